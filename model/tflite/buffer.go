package tflite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Sentinels that errors of this package wrap.
var (
	// ErrFormat: the file is damaged or no TFLite model.
	ErrFormat = errors.New("not a valid TFLite model")
	// ErrLimit: a count or size passes a limit.
	ErrLimit = errors.New("limit passed")
	// ErrUnsupported: the model uses something that cannot be translated.
	ErrUnsupported = errors.New("unsupported")
)

const (
	// maxCount bounds the length of every vector of the file.
	maxCount = 1 << 24
	// slack is what parsing may take besides the size of the file, in bytes.
	slack = 24 << 20
)

// reader gives checked access to a flatbuffer. The first error sticks; afterwards everything reads as empty, so that
// callers check once per table. As a flatbuffer may refer to one place any number of times, all that is made from it is
// charged to two budgets.
type reader struct {
	b       []byte
	mapped  bool // b is a mapped file, which may change and costs memory where it is read
	err     error
	budget  int   // bytes left for structures
	tensors int64 // bytes left for the data of tensors
}

// charge takes n bytes from the budget of structures.
func (r *reader) charge(n int) {
	if r.budget -= n; r.budget < 0 && r.err == nil {
		r.err = fmt.Errorf("%w: the graph needs more memory than its file explains", ErrLimit)
	}
}

// chargeTensor takes n elements from the budget of tensors and reports whether they are permitted.
func (r *reader) chargeTensor(d tensor.DType, n int) bool {
	size := int64(n) * int64(max(8, d.Bits())) / 8
	if d == tensor.String {
		size = 16 * int64(n)
	}
	if r.tensors -= size; r.tensors < 0 && r.err == nil {
		r.err = fmt.Errorf("%w: tensors need more than the permitted memory (%d bytes here): %w", ErrLimit, size, tensor.ErrTooLarge)
	}
	return r.err == nil
}

func (r *reader) fail(at int, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: offset %d: %s", ErrFormat, at, fmt.Sprintf(format, args...))
	}
}

// bytes returns n bytes at an offset, nil where they are not all there.
func (r *reader) bytes(at, n int) []byte {
	if r.err != nil {
		return nil
	}
	if at < 0 || n < 0 || at > len(r.b)-n {
		r.fail(at, "%d bytes reach beyond the file's end", n)
		return nil
	}
	return r.b[at : at+n]
}

// u32 saturates where int has 32 bits.
func (r *reader) u32(at int) int {
	if b := r.bytes(at, 4); b != nil {
		return tensor.Int(int64(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

func (r *reader) i32(at int) int {
	if b := r.bytes(at, 4); b != nil {
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

func (r *reader) u16(at int) int {
	if b := r.bytes(at, 2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// table is one table of the file; the zero table has no fields.
type table struct {
	r      *reader
	at     int // of the table
	vtable int
	fields int
}

// root returns the file's root table.
func (r *reader) root() table {
	if string(r.bytes(4, 4)) != "TFL3" {
		r.fail(4, "the identifier is not TFL3")
		return table{}
	}
	return r.table(r.u32(0))
}

func (r *reader) table(at int) table {
	v := at - r.i32(at)
	size := r.u16(v)
	if r.err != nil {
		return table{}
	}
	if v < 0 || size < 4 || size%2 != 0 || r.bytes(v, size) == nil {
		r.fail(at, "the table's list of fields is damaged")
		return table{}
	}
	return table{r, at, v, size/2 - 2}
}

// field returns the offset of field i, 0 where it is absent.
func (t table) field(i int) int {
	if t.r == nil || i >= t.fields {
		return 0
	}
	off := t.r.u16(t.vtable + 4 + 2*i)
	if off == 0 {
		return 0
	}
	return t.at + off
}

func (t table) i8(i, def int) int {
	if at := t.field(i); at != 0 {
		if b := t.r.bytes(at, 1); b != nil {
			return int(int8(b[0]))
		}
	}
	return def
}

func (t table) flag(i int) bool { return t.i8(i, 0) != 0 }

func (t table) i32(i, def int) int {
	if at := t.field(i); at != 0 {
		return t.r.i32(at)
	}
	return def
}

func (t table) u32(i, def int) int {
	if at := t.field(i); at != 0 {
		return t.r.u32(at)
	}
	return def
}

func (t table) u64(i int) uint64 {
	if at := t.field(i); at != 0 {
		if b := t.r.bytes(at, 8); b != nil {
			return binary.LittleEndian.Uint64(b)
		}
	}
	return 0
}

func (t table) f32(i int, def float32) float32 {
	if at := t.field(i); at != 0 {
		if b := t.r.bytes(at, 4); b != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
	}
	return def
}

// sub returns the table that field i refers to; the zero table where it is absent.
func (t table) sub(i int) table {
	at := t.field(i)
	if at == 0 {
		return table{}
	}
	return t.r.table(at + t.r.u32(at))
}

// vector returns where the elements of field i begin and how many there are, each of size bytes.
func (t table) vector(i, size int) (at, n int) {
	f := t.field(i)
	if f == 0 {
		return 0, 0
	}
	v := f + t.r.u32(f)
	n = t.r.u32(v)
	if n < 0 || n > maxCount && size > 1 {
		t.r.fail(v, "a vector of %d elements", n)
	}
	if t.r.bytes(v+4, n*size) == nil {
		return 0, 0
	}
	return v + 4, n
}

func (t table) data(i int) []byte {
	at, n := t.vector(i, 1)
	if n == 0 {
		return nil
	}
	return t.r.bytes(at, n)
}

func (t table) str(i int) string {
	d := t.data(i)
	if t.r != nil {
		t.r.charge(len(d))
	}
	return string(d)
}

// room charges for a vector of n elements of size bytes and reports whether it may be made.
func (t table) room(n, size int) bool {
	if n == 0 {
		return false
	}
	t.r.charge(n * size)
	return t.r.err == nil
}

func (t table) ints(i int) []int {
	at, n := t.vector(i, 4)
	if !t.room(n, 8) {
		return nil
	}
	v := make([]int, n)
	for k := range v {
		v[k] = t.r.i32(at + 4*k)
	}
	return v
}

func (t table) longs(i int) []int64 {
	at, n := t.vector(i, 8)
	if !t.room(n, 8) {
		return nil
	}
	v := make([]int64, n)
	for k := range v {
		v[k] = int64(binary.LittleEndian.Uint64(t.r.b[at+8*k:]))
	}
	return v
}

func (t table) floats(i int) []float32 {
	at, n := t.vector(i, 4)
	if !t.room(n, 4) {
		return nil
	}
	v := make([]float32, n)
	for k := range v {
		v[k] = math.Float32frombits(uint32(t.r.u32(at + 4*k)))
	}
	return v
}

// tables returns the tables of a vector.
func (t table) tables(i int) []table {
	at, n := t.vector(i, 4)
	if !t.room(n, int(unsafe.Sizeof(t))) {
		return nil
	}
	v := make([]table, 0, n)
	for k := range n {
		p := at + 4*k
		v = append(v, t.r.table(p+t.r.u32(p)))
		if t.r.err != nil {
			return nil
		}
	}
	return v
}
