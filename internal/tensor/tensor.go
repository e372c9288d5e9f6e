package tensor

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// ErrTooLarge is wrapped by errors about tensors whose size overflows or passes a limit.
var ErrTooLarge = errors.New("tensor too large")

// MaxRank is the largest rank that any part of edgerun accepts.
const MaxRank = 16

// Shape holds the extent of each dimension, outermost first. The empty shape is a scalar.
// Where a shape may be incomplete (shape rules), -1 marks an unknown extent and a nil Shape an unknown rank.
type Shape []int

// Size is the number of elements, or an error where it overflows or a dimension is negative.
func (s Shape) Size() (int, error) {
	n := 1
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: negative dimension", s)
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > math.MaxInt/16 {
			// A zero further on makes the product zero, but no sane file holds such a shape.
			return 0, fmt.Errorf("shape %v: %w", s, ErrTooLarge)
		}
		n = int(lo)
	}
	return n, nil
}

// Len is Size for shapes that are known to be good.
func (s Shape) Len() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Known reports whether rank and all extents are known.
func (s Shape) Known() bool {
	return s != nil && !slices.ContainsFunc(s, func(d int) bool { return d < 0 })
}

// Equal reports whether both shapes have the same rank and extents.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Clone copies s; the copy of a scalar's shape is not nil.
func (s Shape) Clone() Shape {
	if s == nil {
		return nil
	}
	return append(make(Shape, 0, len(s)), s...)
}

// KeepsOrder reports whether permuting the dimensions, of which perm holds each once, moves only such of extent 1, so that elements stay where they are.
func (s Shape) KeepsOrder(perm []int) bool {
	last := -1
	for _, p := range perm {
		if s[p] == 1 {
			continue
		}
		if p < last {
			return false
		}
		last = p
	}
	return true
}

// Strides returns the row-major strides of s, in elements.
func (s Shape) Strides() []int {
	st := make([]int, len(s))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// String prints the shape as in "[1,3,224,?]"; "[*]" where the rank is unknown.
func (s Shape) String() string {
	if s == nil {
		return "[*]"
	}
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		if d < 0 {
			b.WriteByte('?')
		} else {
			fmt.Fprint(&b, d)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// QParams maps stored integers to reals: real = (q - Zero[c]) * Scale[c], where c is the index along Axis.
// One scale makes it per-tensor. An empty Zero means zero throughout.
type QParams struct {
	Scale []float32
	Zero  []int32
	Axis  int // meaningful where len(Scale) > 1
}

// PerTensor reports whether one scale serves all elements.
func (q *QParams) PerTensor() bool { return len(q.Scale) == 1 }

// ZeroAt is the zero point of channel c.
func (q *QParams) ZeroAt(c int) int32 {
	switch len(q.Zero) {
	case 0:
		return 0
	case 1:
		return q.Zero[0]
	}
	return q.Zero[c]
}

// Equal reports whether both map every integer to the same real.
func (q *QParams) Equal(r *QParams) bool {
	if q == nil || r == nil {
		return q == r
	}
	if !slices.Equal(q.Scale, r.Scale) || len(q.Scale) > 1 && q.Axis != r.Axis {
		return false
	}
	for c := range q.Scale {
		if q.ZeroAt(c) != r.ZeroAt(c) {
			return false
		}
	}
	return true
}

// Tensor is a dense (but for Pitch), row-major, little-endian array. Its header may exist without data:
// shape rules and plans pass such tensors around.
type Tensor struct {
	DType DType
	Shape Shape
	Data  []byte    // packed elements; nil for String and Sequence
	Str   []string  // String only
	Elems []*Tensor // Sequence only
	Quant *QParams  // set where the integers stand for reals
	// Pitch, where above 0, is the number of elements from the beginning of a row (the last dimension) to that of the next; what lies between
	// belongs to other tensors. Only package plan makes such tensors, and only for operators that take them.
	Pitch int
}

// RowStep is the number of elements from the beginning of a row to that of the next.
func (t *Tensor) RowStep() int {
	switch {
	case t.Pitch > 0:
		return t.Pitch
	case len(t.Shape) == 0:
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Strides returns how many elements lie from an index of each dimension to the next.
func (t *Tensor) Strides() []int {
	st := t.Shape.Strides()
	if n := len(st); t.Pitch > 0 {
		for i, step := n-2, t.Pitch; i >= 0; i-- {
			st[i] = step
			step *= t.Shape[i]
		}
	}
	return st
}

// Span is the number of elements from the first to the last, with what lies between.
func (t *Tensor) Span() int {
	n := t.Len()
	if t.Pitch > 0 && n > 0 {
		row := t.Shape[len(t.Shape)-1]
		n = (n/row-1)*t.Pitch + row
	}
	return n
}

// Align is the alignment of Data in every tensor that this package allocates, in bytes.
const Align = 64

// AnyAddress reports whether this machine reads elements at any address, so that data that lie misaligned in a file need no copy.
const AnyAddress = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// LargeView is the size from which on a constant stays in the mapped file that it comes from, in bytes.
const LargeView = 16 << 10

// ByteSize is the number of bytes that n elements of type d take, packed.
func ByteSize(d DType, n int) int {
	b := d.Bits()
	if b >= 8 {
		return n * (b / 8)
	}
	return (n*b + 7) / 8
}

// AlignedBytes returns n zeroed bytes that begin at a multiple of Align.
func AlignedBytes(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	buf := make([]byte, n+Align-1)
	off := int(-uintptr(unsafe.Pointer(&buf[0])) & (Align - 1))
	return buf[off : off+n : off+n]
}

// New allocates a zeroed tensor. The shape must be good (see Shape.Size).
func New(d DType, shape Shape) *Tensor {
	t := &Tensor{DType: d, Shape: shape.Clone()}
	if t.Shape == nil {
		t.Shape = Shape{}
	}
	n := t.Shape.Len()
	switch d {
	case String:
		t.Str = make([]string, n)
	case Sequence:
	default:
		t.Data = AlignedBytes(ByteSize(d, n))
	}
	return t
}

// Len is the number of elements.
func (t *Tensor) Len() int { return t.Shape.Len() }

// Header is what a tensor takes beside its elements, in bytes, roughly.
const Header = 192

// MemorySize is the number of bytes that t's elements take: of strings with what they share with others, of sequences with all that
// is in them.
func (t *Tensor) MemorySize() int {
	n := len(t.Data)
	for _, s := range t.Str {
		n += int(unsafe.Sizeof(s)) + len(s)
	}
	for _, e := range t.Elems {
		n += Header + e.MemorySize()
	}
	return n
}

// Elements is t's data without the bits that packed types leave unused in the last byte.
func (t *Tensor) Elements() []byte {
	if used := t.Len() * t.DType.Bits() % 8; used != 0 && len(t.Data) > 0 {
		b := slices.Clone(t.Data)
		b[len(b)-1] &= 1<<used - 1
		return b
	}
	return t.Data
}

// HasData reports whether the tensor holds its elements.
func (t *Tensor) HasData() bool {
	switch t.DType {
	case String:
		return t.Str != nil
	case Sequence:
		return t.Elems != nil
	}
	return t.Data != nil
}

// Elem is a Go type that can view a tensor's data.
type Elem interface {
	~float64 | ~float32 | ~int64 | ~int32 | ~int16 | ~int8 | ~uint64 | ~uint32 | ~uint16 | ~uint8 | ~bool
}

// Of views t's data as a slice of T, without a copy. T must have the size of t's element type:
// uint16 views F16 and BF16, uint8 or bool views Bool, uint8 the 8-bit floats and packed types.
func Of[T Elem](t *Tensor) []T {
	var z T
	size := int(unsafe.Sizeof(z))
	if b := t.DType.Bits(); b != size*8 && !(b < 8 && size == 1) {
		panic(fmt.Sprintf("BUG: view of %v as %T", t.DType, z))
	}
	if len(t.Data) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&t.Data[0])), len(t.Data)/size)
}

// Bytes views s as bytes, without a copy.
func Bytes[T Elem](s []T) []byte {
	if len(s) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// DTypeOf is the element type that T stands for when nothing else is said.
func DTypeOf[T Elem]() DType {
	var z T
	switch any(z).(type) {
	case float64:
		return F64
	case float32:
		return F32
	case int64:
		return I64
	case int32:
		return I32
	case int16:
		return I16
	case int8:
		return I8
	case uint64:
		return U64
	case uint32:
		return U32
	case uint16:
		return U16
	case uint8:
		return U8
	case bool:
		return Bool
	}
	panic(fmt.Sprintf("BUG: DTypeOf[%T]", z))
}

// From makes a tensor of T's type with a copy of vals. No shape makes a vector.
func From[T Elem](vals []T, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(vals)}
	}
	t := New(DTypeOf[T](), shape)
	if t.Len() != len(vals) {
		panic(fmt.Sprintf("BUG: %d values for shape %v", len(vals), t.Shape))
	}
	copy(Of[T](t), vals)
	return t
}

// Scalar makes a tensor of rank 0.
func Scalar[T Elem](v T) *Tensor {
	t := New(DTypeOf[T](), Shape{})
	Of[T](t)[0] = v
	return t
}

// FromStrings makes a String tensor. No shape makes a vector.
func FromStrings(vals []string, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(vals)}
	}
	return &Tensor{DType: String, Shape: shape, Str: slices.Clone(vals)}
}

// Ints reads a tensor of any integer type of 8 bits or more, or Bool, as int64.
func (t *Tensor) Ints() ([]int64, error) {
	switch t.DType {
	case I64:
		return slices.Clone(Of[int64](t)), nil
	case I32:
		return widen[int32](t), nil
	case I16:
		return widen[int16](t), nil
	case I8:
		return widen[int8](t), nil
	case U64:
		return widen[uint64](t), nil
	case U32:
		return widen[uint32](t), nil
	case U16:
		return widen[uint16](t), nil
	case U8, Bool:
		return widen[uint8](t), nil
	}
	return nil, fmt.Errorf("%v tensor where integers are needed", t.DType)
}

// Int converts to int; where int has 32 bits, what is out of range saturates.
func Int(v int64) int {
	return int(min(max(v, math.MinInt), math.MaxInt))
}

func widen[T int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8](t *Tensor) []int64 {
	v := Of[T](t)
	r := make([]int64, len(v))
	for i, x := range v {
		r[i] = int64(x)
	}
	return r
}

// Clone copies header and data.
func (t *Tensor) Clone() *Tensor {
	c := *t
	c.Shape = t.Shape.Clone()
	if t.Data != nil {
		c.Data = AlignedBytes(len(t.Data))
		copy(c.Data, t.Data)
	}
	c.Str = slices.Clone(t.Str)
	c.Elems = slices.Clone(t.Elems)
	return &c
}

// View returns a tensor over the same data with another shape of the same size.
func (t *Tensor) View(shape Shape) *Tensor {
	c := *t
	c.Shape = shape.Clone()
	return &c
}

// String describes the tensor's type and shape, as in "f32[1,3,224,224]".
func (t *Tensor) String() string {
	if t == nil {
		return "none"
	}
	return t.DType.String() + t.Shape.String()
}
