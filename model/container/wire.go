package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The limits of the format. Writers keep them, readers refuse what passes them.
const (
	MaxManifest   = 16 << 20 // decoded bytes of the manifest
	MaxItems      = 1 << 20  // CBOR data items in the manifest
	MaxDepth      = 48       // nesting of CBOR arrays and maps
	MaxName       = 64 << 10 // bytes of one text or byte string, hashes and documents included
	MaxPairs      = 4096     // entries of one CBOR map
	MaxChunk      = 1 << 20  // decoded bytes of a chunk; stored bytes are fewer or as many
	MaxChunks     = 1 << 17
	MaxSubgraphs  = 16 // nesting of subgraphs
	MaxSignatures = 16
	// MaxWeight bounds what a reader may need for the items of a manifest, in bytes; a file may use as many more as its
	// chunks take. The weights estimate what this reader needs.
	MaxWeight    = 40 << 20
	weightNumber = 32
	weightText   = 32 // and its length
	weightArray  = 160
	weightMap    = 256
	weightPair   = 192
)

// The sentinels that errors of this package wrap.
var (
	ErrFormat      = errors.New("not a valid .edge file")
	ErrUnsupported = errors.New("needs a newer edgerun")
	ErrSignature   = errors.New("signature not acceptable")
	ErrCorrupt     = errors.New("content does not match its hash")
	ErrTooLarge    = errors.New("passes the memory limit")
)

// formatError is an ErrFormat whose text is the place and the fault alone.
type formatError struct{ error }

func (e formatError) Is(target error) bool { return target == ErrFormat }
func (e formatError) Unwrap() error        { return e.error }

func bad(format string, args ...any) error { return formatError{fmt.Errorf(format, args...)} }

// encMode writes deterministic CBOR (RFC 8949, 4.2.1); decMode reads it, without tags, duplicates or indefinite lengths.
var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	eo.TagsMd = cbor.TagsForbidden
	e, err := eo.EncMode()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	d, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxItems,
		MaxMapPairs:       MaxPairs,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return e, d
}

// scan walks over one CBOR item that fills b and holds it to the limits, so that decoding it is safe and cheap. area is
// the size of the file's chunks.
func scan(b []byte, area int64) error {
	s := scanner{b: b, left: MaxWeight + area}
	if err := s.item(0); err != nil {
		return bad("manifest, byte %d: %w", s.at, err)
	}
	if s.at != len(b) {
		return bad("manifest: %d bytes after its end", len(b)-s.at)
	}
	return nil
}

type scanner struct {
	b     []byte
	at    int
	items int
	left  int64 // weight
}

func (s *scanner) weigh(n int) error {
	if s.left -= int64(n); s.left < 0 {
		return fmt.Errorf("it needs more memory than %d bytes and the size of the chunks", MaxWeight)
	}
	return nil
}

func (s *scanner) item(depth int) error {
	if s.items++; s.items > MaxItems {
		return fmt.Errorf("more than %d items", MaxItems)
	}
	if depth > MaxDepth {
		return fmt.Errorf("nested more than %d deep", MaxDepth)
	}
	if s.at >= len(s.b) {
		return errors.New("truncated")
	}
	major, info := s.b[s.at]>>5, s.b[s.at]&31
	s.at++
	n := uint64(info)
	if info >= 24 {
		if info > 27 {
			return errors.New("indefinite length or reserved item")
		}
		k := 1 << (info - 24)
		if len(s.b)-s.at < k {
			return errors.New("truncated")
		}
		n = 0
		for _, c := range s.b[s.at : s.at+k] {
			n = n<<8 | uint64(c)
		}
		s.at += k
		if major < 7 && info > 24 && n>>(4<<(info-24)) == 0 || major < 7 && info == 24 && n < 24 {
			return errors.New("number not in its shortest form")
		}
	}
	switch major {
	case 2, 3:
		if n > MaxName {
			return fmt.Errorf("string of %d bytes", n)
		}
		if uint64(len(s.b)-s.at) < n {
			return errors.New("truncated")
		}
		s.at += int(n)
		return s.weigh(weightText + int(n))
	case 4, 5:
		weight := weightArray
		if major == 5 {
			if n > MaxPairs {
				return fmt.Errorf("map of %d entries", n)
			}
			weight = weightMap + weightPair*int(n)
			n *= 2
		}
		if err := s.weigh(weight); err != nil {
			return err
		}
		if n > uint64(len(s.b)-s.at) {
			return errors.New("truncated")
		}
		for ; n > 0; n-- {
			if err := s.item(depth + 1); err != nil {
				return err
			}
		}
	case 6:
		return errors.New("tag")
	default:
		return s.weigh(weightNumber)
	}
	return nil
}

// fields is a map of the manifest in which readers keep what they do not know.
type fields map[string]cbor.RawMessage

// put stores v under key.
func (f fields) put(key string, v any) error {
	b, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	f[key] = b
	return nil
}

// take moves the field into dst and reports whether there was one.
func (f fields) take(key string, dst any) (bool, error) {
	raw, ok := f[key]
	if !ok {
		return false, nil
	}
	delete(f, key)
	if err := decMode.Unmarshal(raw, dst); err != nil {
		return false, bad("%s: %v", key, err)
	}
	return true, nil
}

// need is take for a field that must be there.
func (f fields) need(key string, dst any) error {
	ok, err := f.take(key, dst)
	if err == nil && !ok {
		err = bad("%s is missing", key)
	}
	return err
}

// extra returns what is left, nil where nothing is.
func (f fields) extra() map[string][]byte {
	if len(f) == 0 {
		return nil
	}
	m := make(map[string][]byte, len(f))
	for k, v := range f {
		m[k] = v
	}
	return m
}

// add puts unknown fields back.
func (f fields) add(extra map[string][]byte) error {
	for _, k := range slices.Sorted(maps.Keys(extra)) {
		if _, ok := f[k]; ok {
			return fmt.Errorf("extra field %s: known already", k)
		}
		if err := scan(extra[k], 0); err != nil {
			return fmt.Errorf("extra field %s: %w", k, err)
		}
		f[k] = extra[k]
	}
	return nil
}

// text is a string that is written as a byte string where it is not UTF-8.
type text string

// MarshalCBOR implements cbor.Marshaler.
func (t text) MarshalCBOR() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return encMode.Marshal(string(t))
	}
	return encMode.Marshal([]byte(t))
}

// UnmarshalCBOR implements cbor.Unmarshaler.
func (t *text) UnmarshalCBOR(b []byte) error {
	if len(b) > 0 && b[0]>>5 == 2 {
		var raw []byte
		err := decMode.Unmarshal(b, &raw)
		*t = text(raw)
		return err
	}
	return decMode.Unmarshal(b, (*string)(t))
}

// The closed structures: arrays of exactly these elements. Changing one takes a new required feature.
type (
	// wireChunk is one chunk. Its place follows from the stored sizes before it.
	wireChunk struct {
		_        struct{} `cbor:",toarray"`
		ID       []byte
		Encoding uint64
		Size     uint64
		Stored   uint64
		Hash     []byte // empty where it equals ID
	}

	// wireTensor is one tensor: bytes from Offset of its first chunk to the end of that, then whole chunks, the last
	// one as far as needed. Length is the number of bytes, given for strings only. Elems numbers a sequence's elements.
	wireTensor struct {
		_      struct{} `cbor:",toarray"`
		DType  int      // index into strings
		Dims   []int64
		Offset uint64
		Chunks []uint32
		Quant  int // 0, or 1 + index into quants
		Length uint64
		Elems  []uint32
	}

	// wireQuant holds up to maxInline scales and zeros itself, more in tensors (1 + index).
	wireQuant struct {
		_      struct{} `cbor:",toarray"`
		Axis   int64
		Scale  []byte // little-endian float32
		Zero   []int32
		ScaleT int
		ZeroT  int
	}

	// wireValue is one value. A constant whose type, shape and quantisation are its tensor's leaves them out.
	wireValue struct {
		_     struct{} `cbor:",toarray"`
		Name  string
		DType int     // 0, or 1 + index into strings
		Shape []int64 // null: unknown rank
		Dims  []int   // null, or 0 or 1 + index into strings per dimension
		Quant int
		Const int // 0, or 1 + index into tensors
	}

	// wireGraph refers to values by the numbers that refs describes.
	wireGraph struct {
		_       struct{} `cbor:",toarray"`
		Name    string
		Meta    map[string]text
		Inputs  []uint32
		Nodes   []wireNode
		Outputs []uint32
	}

	wireNode struct {
		_      struct{} `cbor:",toarray"`
		Name   string
		Op     int // index into strings
		Num    int // 0, or 1 + index into strings
		In     []uint32
		Attrs  []wireAttr
		Graphs []wireSub
		Out    []uint32
	}

	wireAttr struct {
		_     struct{} `cbor:",toarray"`
		Name  int      // index into strings
		Value cbor.RawMessage
	}

	wireSub struct {
		_     struct{} `cbor:",toarray"`
		Name  int      // index into strings
		Graph wireGraph
	}

	// wireNamed is a tensor under a name.
	wireNamed struct {
		_      struct{} `cbor:",toarray"`
		Name   string
		Tensor int
	}

	wireDocument struct {
		_      struct{} `cbor:",toarray"`
		Schema string
		Tensor int
	}

	wireHistograms struct {
		_      struct{} `cbor:",toarray"`
		Names  []string
		Ranges int // f32 tensor [names, 2]
		Counts int // u64 tensor [names, 64]
	}
)

// The kinds of attribute that are written as [kind, value]; a single integer, float or string stands for itself.
const (
	attrInts    = 1 // array of integers
	attrFloats  = 2 // byte string of little-endian float32
	attrStrings = 3 // array of text or byte strings
	attrTensor  = 4 // index into tensors
	attrIntsT   = 5 // integers in an i64 tensor
	attrFloatsT = 6 // floats in an f32 tensor
	attrStrsT   = 7 // strings in a string tensor
	attrFloat   = 8 // byte string: one float32 whose bits CBOR's own floats do not keep (NaN)
	attrStringT = 9 // one string in a string tensor, where it is longer than maxInlineText
)

const (
	maxInline     = 8       // longest list that is kept in the manifest
	maxInlineText = 4 << 10 // longest string attribute that is kept in the manifest
)

// maxInlineList is the longest attribute list that is kept in the manifest.
const maxInlineList = 64

// floatBytes is the little-endian form of v.
func floatBytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, f32bits(x))
	}
	return b
}
