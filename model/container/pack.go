package container

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
)

// How tensors become chunks. A large tensor is cut at multiples of MaxChunk. Small ones of the same kind share a chunk,
// in the order in which they come. Where a shared chunk ends depends on the tensors' names and sizes only, never on their
// bytes: new weights change the chunks that they are in and no others, and after a tensor is added or removed the
// boundaries fall back into step.
const (
	largeTensor = 64 << 10 // tensors from this size on have chunks of their own
	groupMin    = 32 << 10 // a shared chunk may end from this size on
	groupMax    = 128 << 10
)

func f32bits(x float32) uint32 { return math.Float32bits(x) }

// class tells what may share a chunk.
type class struct {
	use   string // weights, golden, document
	dtype tensor.DType
}

// width is the element size that the class's chunks are encoded with.
func (c class) width() int {
	if b := c.dtype.Bits(); b >= 16 {
		return b / 8
	}
	return 1
}

// slot is a chunk that is being built.
type slot struct {
	class class
	data  []byte
}

// place is where a tensor's bytes lie.
type place struct {
	offset int
	slots  []*slot
}

// entry is a tensor of the table before slots have numbers.
type entry struct {
	wire wireTensor
	at   place
}

type tensorKey struct {
	head string // type, dimensions, quantisation, length
	hash [32]byte
}

// packer collects tensors into chunks, equal ones once.
type packer struct {
	slots   []*slot
	open    map[class]*slot
	places  map[class]map[[32]byte]place
	entries []entry
	known   map[tensorKey]int
}

func newPacker() *packer {
	return &packer{open: map[class]*slot{}, places: map[class]map[[32]byte]place{}, known: map[tensorKey]int{}}
}

// payload is the byte form of a tensor: its elements or, for strings, each one's length (32 bits, little-endian) and bytes.
func payload(t *tensor.Tensor) ([]byte, error) {
	n, err := t.Shape.Size()
	if err != nil {
		return nil, err
	}
	if !t.HasData() && n > 0 {
		return nil, fmt.Errorf("%v without data", t)
	}
	if t.DType == tensor.String {
		if len(t.Str) != n {
			return nil, fmt.Errorf("%v with %d elements", t, len(t.Str))
		}
		var b []byte
		for _, s := range t.Str {
			if len(s) > math.MaxInt32 {
				return nil, fmt.Errorf("string of %d bytes", len(s))
			}
			b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
		return b, nil
	}
	if len(t.Data) != tensor.ByteSize(t.DType, n) {
		return nil, fmt.Errorf("%v with %d bytes", t, len(t.Data))
	}
	return t.Data, nil
}

// add puts a tensor into the table and returns its number. name decides where chunks end. wire comes with type and
// quantisation filled in.
func (p *packer) add(use, name string, t *tensor.Tensor, wire wireTensor) (int, error) {
	b, err := payload(t)
	if err != nil {
		return 0, fmt.Errorf("tensor %s: %w", name, err)
	}
	for _, d := range t.Shape {
		wire.Dims = append(wire.Dims, int64(d))
	}
	if t.DType == tensor.String {
		wire.Length = uint64(len(b))
	}
	hash := sha256.Sum256(b)
	key := tensorKey{fmt.Sprint(use, wire.DType, wire.Dims, wire.Quant, wire.Length), hash}
	if i, ok := p.known[key]; ok {
		return i, nil
	}
	p.entries = append(p.entries, entry{wire, p.place(class{use, t.DType}, name, b, hash)})
	p.known[key] = len(p.entries) - 1
	return len(p.entries) - 1, nil
}

func (p *packer) place(c class, name string, b []byte, hash [32]byte) place {
	if len(b) == 0 {
		return place{}
	}
	if at, ok := p.places[c][hash]; ok {
		return at
	}
	var at place
	if len(b) >= largeTensor {
		for ; len(b) > 0; b = b[min(len(b), MaxChunk):] {
			s := &slot{class: c, data: b[:min(len(b), MaxChunk)]}
			p.slots = append(p.slots, s)
			at.slots = append(at.slots, s)
		}
	} else {
		s := p.open[c]
		if s == nil {
			s = &slot{class: c}
			p.slots = append(p.slots, s)
			p.open[c] = s
		}
		at = place{len(s.data), []*slot{s}}
		s.data = append(s.data, b...)
		h := sha256.Sum256([]byte(name))
		if len(s.data) >= groupMax || len(s.data) >= groupMin && h[0] < 64 {
			delete(p.open, c)
		}
	}
	if p.places[c] == nil {
		p.places[c] = map[[32]byte]place{}
	}
	p.places[c][hash] = at
	return at
}

// finish encodes the chunks and gives them numbers. Stored bytes come in the order of the table.
func (p *packer) finish() (chunks []wireChunk, stored [][]byte, tensors []wireTensor, err error) {
	number := map[*slot]uint32{}
	byID := map[[32]byte]uint32{}
	var slots []*slot
	chunks = []wireChunk{}
	for _, s := range p.slots {
		id := sha256.Sum256(s.data)
		n, ok := byID[id]
		if !ok {
			n = uint32(len(slots))
			byID[id] = n
			slots = append(slots, s)
			chunks = append(chunks, wireChunk{ID: id[:], Size: uint64(len(s.data))})
		}
		number[s] = n
	}
	if len(slots) > MaxChunks {
		return nil, nil, nil, fmt.Errorf("%d chunks: at most %d are possible", len(slots), MaxChunks)
	}
	stored = make([][]byte, len(slots))
	mem.Parallel(len(slots), func(i int) {
		s := slots[i]
		e, b := encode(s.data, s.class.width(), s.class.dtype.IsFloat())
		chunks[i].Encoding, chunks[i].Stored = uint64(e), uint64(len(b))
		if e != Raw {
			h := sha256.Sum256(b)
			chunks[i].Hash = h[:]
		} else {
			chunks[i].Hash = []byte{}
		}
		stored[i] = b
	})
	tensors = make([]wireTensor, len(p.entries))
	for i, e := range p.entries {
		e.wire.Offset = uint64(e.at.offset)
		for _, s := range e.at.slots {
			e.wire.Chunks = append(e.wire.Chunks, number[s])
		}
		tensors[i] = e.wire
	}
	return chunks, stored, tensors, nil
}
