package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edgerun/edgerun/internal/tensor"
)

// ErrFormat is wrapped by all errors about a file's content.
var ErrFormat = errors.New("npy")

const (
	magic     = "\x93NUMPY"
	maxHeader = 1 << 20
	maxText   = 1 << 30 // bytes that the strings of one array may take, stored or read
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// header is the dictionary at the beginning of a file.
type header struct {
	kind    byte // b, i, u, f, U or S
	size    int  // bytes per element
	big     bool
	fortran bool
	shape   tensor.Shape
}

// Read reads one array of exactly size bytes, header included. The result is row-major and little-endian, whatever
// the file is. Nothing is allocated that the file's size does not justify.
func Read(r io.Reader, size int64) (*tensor.Tensor, error) { return read(r, size, tensor.Invalid) }

// read is Read with the element type that a note gives, or Invalid.
func read(r io.Reader, size int64, want tensor.DType) (*tensor.Tensor, error) {
	h, used, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	n, err := h.shape.Size()
	if err != nil {
		return nil, bad("%w", err)
	}
	hi, total := bits.Mul64(uint64(n), uint64(h.size))
	if hi != 0 || total != uint64(size-used) {
		return nil, bad("shape %v of %d-byte elements needs %d bytes, the file has %d", h.shape, h.size, total, size-used)
	}
	if h.kind == 'U' || h.kind == 'S' {
		if want != tensor.Invalid && want != tensor.String {
			return nil, bad("the note says %v, the file holds strings", want)
		}
		return readStrings(r, h, n)
	}
	stored, err := h.dtype()
	if err != nil {
		return nil, err
	}
	if want == tensor.Invalid {
		want = stored
	}
	if s, _ := storage(want); s != stored {
		return nil, bad("the note says %v, which is not stored as %v", want, stored)
	}
	t := tensor.New(stored, h.shape)
	if _, err := io.ReadFull(r, t.Data); err != nil {
		return nil, bad("elements: %w", noEOF(err))
	}
	if h.big {
		swap(t.Data, h.size)
	}
	if h.fortran && len(h.shape) > 1 {
		t.Data = fromFortran(t.Data, h.shape, h.size)
	}
	if want == tensor.Bool {
		for i, b := range t.Data {
			if b != 0 {
				t.Data[i] = 1
			}
		}
	}
	if want == stored {
		return t, nil
	}
	return narrow(t, want)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHeader returns the header and the bytes it took.
func readHeader(r io.Reader, size int64) (h header, used int64, err error) {
	var pre [8]byte
	if _, err := io.ReadFull(r, pre[:]); err != nil {
		return h, 0, bad("prefix: %w", noEOF(err))
	}
	if string(pre[:6]) != magic {
		return h, 0, bad("not an array file")
	}
	lenSize := 4
	switch pre[6] {
	case 1:
		lenSize = 2
	case 2, 3:
	default:
		return h, 0, bad("version %d unsupported", pre[6])
	}
	var lb [4]byte
	if _, err := io.ReadFull(r, lb[:lenSize]); err != nil {
		return h, 0, bad("header length: %w", noEOF(err))
	}
	n := int64(binary.LittleEndian.Uint32(lb[:]))
	used = 8 + int64(lenSize) + n
	if n > maxHeader || used > size {
		return h, 0, bad("header of %d bytes in a file of %d", n, size)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, 0, bad("header: %w", noEOF(err))
	}
	h, err = parseHeader(string(text))
	return h, used, err
}

// parseHeader reads a Python dictionary with the keys descr, fortran_order and shape.
func parseHeader(s string) (h header, err error) {
	p := &lexer{s: s}
	var descr string
	seen := map[string]bool{}
	p.want('{')
	for p.err == nil && !p.take('}') {
		key := p.str()
		p.want(':')
		if seen[key] {
			return h, bad("header: key %q twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			descr = p.str()
		case "fortran_order":
			h.fortran = p.boolean()
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail("unknown key %q", key)
		}
		if !p.take(',') {
			p.want('}')
			break
		}
	}
	p.space()
	if p.err == nil && p.i < len(s) {
		p.fail("text after the dictionary")
	}
	if p.err != nil {
		return h, p.err
	}
	for _, k := range []string{"descr", "fortran_order", "shape"} {
		if !seen[k] {
			return h, bad("header: key %q is missing", k)
		}
	}
	return h, h.setDescr(descr)
}

func (h *header) setDescr(d string) error {
	s := d
	if s != "" && strings.IndexByte("<>|=", s[0]) >= 0 {
		h.big = s[0] == '>'
		s = s[1:]
	}
	if s == "" || strings.IndexByte("?biufUS", s[0]) < 0 {
		return bad("element type %q unsupported", d)
	}
	h.kind, h.size = s[0], 1
	if s != "?" {
		n, err := strconv.Atoi(s[1:])
		if err != nil || n < 0 || n > maxText/4 {
			return bad("element type %q unsupported", d)
		}
		h.size = n
	}
	switch h.kind {
	case '?':
		h.kind = 'b'
	case 'U':
		h.size *= 4
	}
	return nil
}

func (h *header) dtype() (tensor.DType, error) {
	switch {
	case h.kind == 'b' && h.size == 1:
		return tensor.Bool, nil
	case h.kind == 'i' && h.size == 1:
		return tensor.I8, nil
	case h.kind == 'i' && h.size == 2:
		return tensor.I16, nil
	case h.kind == 'i' && h.size == 4:
		return tensor.I32, nil
	case h.kind == 'i' && h.size == 8:
		return tensor.I64, nil
	case h.kind == 'u' && h.size == 1:
		return tensor.U8, nil
	case h.kind == 'u' && h.size == 2:
		return tensor.U16, nil
	case h.kind == 'u' && h.size == 4:
		return tensor.U32, nil
	case h.kind == 'u' && h.size == 8:
		return tensor.U64, nil
	case h.kind == 'f' && h.size == 2:
		return tensor.F16, nil
	case h.kind == 'f' && h.size == 4:
		return tensor.F32, nil
	case h.kind == 'f' && h.size == 8:
		return tensor.F64, nil
	}
	return tensor.Invalid, bad("element type %c%d unsupported", h.kind, h.size)
}

// lexer reads the few Python literals that a header holds.
type lexer struct {
	s   string
	i   int
	err error
}

func (p *lexer) fail(format string, args ...any) {
	if p.err == nil {
		p.err = bad("header, byte %d: %s", p.i, fmt.Sprintf(format, args...))
	}
	p.i = len(p.s)
}

func (p *lexer) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *lexer) take(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *lexer) want(c byte) {
	if !p.take(c) {
		p.fail("%q expected", c)
	}
}

func (p *lexer) str() string {
	p.space()
	if p.i < len(p.s) && (p.s[p.i] == '\'' || p.s[p.i] == '"') {
		q := p.s[p.i]
		if n := strings.IndexByte(p.s[p.i+1:], q); n >= 0 {
			v := p.s[p.i+1 : p.i+1+n]
			p.i += n + 2
			return v
		}
	}
	p.fail("a string expected")
	return ""
}

func (p *lexer) boolean() bool {
	p.space()
	for _, w := range []string{"True", "False"} {
		if strings.HasPrefix(p.s[p.i:], w) {
			p.i += len(w)
			return w == "True"
		}
	}
	p.fail("True or False expected")
	return false
}

func (p *lexer) tuple() tensor.Shape {
	shape := tensor.Shape{}
	p.want('(')
	for p.err == nil && !p.take(')') {
		p.space()
		start := p.i
		for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
			p.i++
		}
		n, err := strconv.ParseInt(p.s[start:p.i], 10, strconv.IntSize)
		if errors.Is(err, strconv.ErrRange) {
			p.fail("extent %.40s: %v", p.s[start:p.i], tensor.ErrTooLarge)
		} else if err != nil {
			p.fail("an extent expected")
		}
		if p.i < len(p.s) && p.s[p.i] == 'L' { // written by Python 2
			p.i++
		}
		if shape = append(shape, int(n)); len(shape) > tensor.MaxRank {
			p.fail("more than %d dimensions", tensor.MaxRank)
		}
		if !p.take(',') {
			p.want(')')
			break
		}
	}
	return shape
}

// swap turns each group of size bytes round.
func swap(b []byte, size int) {
	for ; len(b) >= size && size > 1; b = b[size:] {
		slices.Reverse(b[:size])
	}
}

// fromFortran reorders column-major elements into row-major ones.
func fromFortran(src []byte, shape tensor.Shape, size int) []byte {
	dst := tensor.AlignedBytes(len(src))
	stride := make([]int, len(shape)) // of the source, in bytes
	for d, s := 0, size; d < len(shape); d++ {
		stride[d] = s
		s *= shape[d]
	}
	at := make([]int, len(shape))
	from := 0
	for to := 0; to < len(dst); to += size {
		copy(dst[to:to+size], src[from:from+size])
		for d := len(shape) - 1; d >= 0; d-- {
			at[d]++
			from += stride[d]
			if at[d] < shape[d] {
				break
			}
			from -= at[d] * stride[d]
			at[d] = 0
		}
	}
	return dst
}

func readStrings(r io.Reader, h header, n int) (*tensor.Tensor, error) {
	// Empty strings take no byte of the file, so their count has a bound of its own.
	if h.size == 0 && n > maxHeader {
		return nil, bad("%d strings of no bytes", n)
	}
	if int64(n)*int64(h.size) > maxText {
		return nil, bad("strings of %d bytes in all: %w", int64(n)*int64(h.size), tensor.ErrTooLarge)
	}
	raw := make([]byte, n*h.size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, bad("elements: %w", noEOF(err))
	}
	if h.fortran && len(h.shape) > 1 {
		raw = fromFortran(raw, h.shape, h.size)
	}
	t := tensor.New(tensor.String, h.shape)
	var buf []byte
	for i := range t.Str {
		e := raw[i*h.size : (i+1)*h.size]
		if h.kind == 'S' {
			t.Str[i] = strings.TrimRight(string(e), "\x00")
			continue
		}
		buf = buf[:0]
		for ; len(e) > 0; e = e[4:] {
			c := binary.LittleEndian.Uint32(e)
			if h.big {
				c = binary.BigEndian.Uint32(e)
			}
			if c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
				return nil, bad("string %d: code point %#x", i, c)
			}
			buf = utf8.AppendRune(buf, rune(c))
		}
		t.Str[i] = strings.TrimRight(string(buf), "\x00")
	}
	return t, nil
}

// storage is the element type that d is stored as, and whether a note is needed to tell.
func storage(d tensor.DType) (as tensor.DType, note bool) {
	switch d {
	case tensor.BF16:
		return tensor.U16, true
	case tensor.I4, tensor.I2:
		return tensor.I8, true
	case tensor.U4, tensor.U2, tensor.F8E4M3FN, tensor.F8E4M3FNUZ, tensor.F8E5M2, tensor.F8E5M2FNUZ, tensor.F8E8M0, tensor.F4E2M1:
		return tensor.U8, true
	}
	return d, false
}

// narrow makes a tensor of type d of its storage form.
func narrow(t *tensor.Tensor, d tensor.DType) (*tensor.Tensor, error) {
	b := d.Bits()
	if b >= 8 {
		t.DType = d
		return t, nil
	}
	c := tensor.New(d, t.Shape)
	per, mask := 8/b, byte(1)<<b-1
	for i, v := range t.Data {
		code := v & mask
		if widen(code, d) != v {
			return nil, bad("element %d: %#x is no %v", i, v, d)
		}
		c.Data[i/per] |= code << (i % per * b)
	}
	return c, nil
}

// widen is the byte that the code of a narrow type is stored as.
func widen(code byte, d tensor.DType) byte {
	if d.IsInt() && d.IsSigned() {
		s := 8 - d.Bits()
		return byte(int8(code<<s) >> s)
	}
	return code
}

// unpack is the inverse of narrow.
func unpack(t *tensor.Tensor) []byte {
	b := t.DType.Bits()
	if b >= 8 {
		return t.Data
	}
	out := make([]byte, t.Len())
	per, mask := 8/b, byte(1)<<b-1
	for i := range out {
		out[i] = widen(t.Data[i/per]>>(i%per*b)&mask, t.DType)
	}
	return out
}

// Write writes t in version 1 of the format. It cannot write a note; see WriteFile.
func Write(w io.Writer, t *tensor.Tensor) error {
	if !t.HasData() || t.DType == tensor.Sequence || !t.DType.Valid() {
		return fmt.Errorf("npy: cannot store %v", t)
	}
	var descr string
	var body []byte
	if t.DType == tensor.String {
		width := 1
		for i, s := range t.Str {
			if !utf8.ValidString(s) || strings.HasSuffix(s, "\x00") {
				return fmt.Errorf("npy: string %d is not UTF-8 or ends in a zero", i)
			}
			width = max(width, utf8.RuneCountInString(s))
		}
		if int64(width)*int64(len(t.Str))*4 > maxText {
			return fmt.Errorf("npy: %d strings of up to %d characters: %w", len(t.Str), width, tensor.ErrTooLarge)
		}
		descr = fmt.Sprintf("<U%d", width)
		body = make([]byte, 4*width*len(t.Str))
		for i, s := range t.Str {
			e := body[4*width*i:]
			for _, r := range s {
				binary.LittleEndian.PutUint32(e, uint32(r))
				e = e[4:]
			}
		}
	} else {
		as, _ := storage(t.DType)
		size := as.Bits() / 8
		kind, order := byte('f'), byte('<')
		switch {
		case as == tensor.Bool:
			kind = 'b'
		case as.IsSigned():
			kind = 'i'
		case as.IsInt():
			kind = 'u'
		}
		if size == 1 {
			order = '|'
		}
		descr = fmt.Sprintf("%c%c%d", order, kind, size)
		body = unpack(t)
	}
	if _, err := w.Write(makeHeader(descr, t.Shape)); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

func makeHeader(descr string, shape tensor.Shape) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr)
	for i, d := range shape {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(d))
	}
	if len(shape) == 1 {
		b.WriteByte(',')
	}
	b.WriteString("), }")
	// Prefix and dictionary together fill a multiple of 64 bytes and end in a newline. MaxRank extents fit version 1.
	n := 10 + b.Len() + 1
	b.WriteString(strings.Repeat(" ", (64-n%64)%64) + "\n")
	h := append([]byte(magic), 1, 0)
	h = binary.LittleEndian.AppendUint16(h, uint16(b.Len()))
	return append(h, b.String()...)
}
