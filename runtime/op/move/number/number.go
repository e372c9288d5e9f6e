// Package number reads and writes elements of any numeric type as float64, for operators that are defined on numbers
// of many types and are no hot loops. Operators' packages import it.
package number

import (
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

// onnx maps the numbers of ONNX's element types, which attributes bear.
var onnx = [...]tensor.DType{1: tensor.F32, 2: tensor.U8, 3: tensor.I8, 4: tensor.U16, 5: tensor.I16, 6: tensor.I32, 7: tensor.I64,
	8: tensor.String, 9: tensor.Bool, 10: tensor.F16, 11: tensor.F64, 12: tensor.U32, 13: tensor.U64, 16: tensor.BF16,
	17: tensor.F8E4M3FN, 18: tensor.F8E4M3FNUZ, 19: tensor.F8E5M2, 20: tensor.F8E5M2FNUZ, 21: tensor.U4, 22: tensor.I4,
	23: tensor.F4E2M1, 24: tensor.F8E8M0, 25: tensor.U2, 26: tensor.I2}

// ONNX is the element type that ONNX gives this number; Invalid where it gives it to none that edgerun has.
func ONNX(n int) tensor.DType {
	if n < 0 || n >= len(onnx) {
		return tensor.Invalid
	}
	return onnx[n]
}

var small = map[tensor.DType]*half.Small{
	tensor.F8E4M3FN: half.E4M3FN, tensor.F8E4M3FNUZ: half.E4M3FNUZ, tensor.F8E5M2: half.E5M2, tensor.F8E5M2FNUZ: half.E5M2FNUZ,
	tensor.F8E8M0: half.E8M0, tensor.F4E2M1: half.E2M1,
}

// Bits reads element i of a tensor of packed elements.
func Bits(t *tensor.Tensor, i int) uint8 {
	b := t.DType.Bits()
	per := 8 / b
	return t.Data[i/per] >> (i % per * b) & (1<<b - 1)
}

// SetBits writes the low bits of v as element i of a tensor of packed elements.
func SetBits(t *tensor.Tensor, i int, v uint8) {
	b := t.DType.Bits()
	per := 8 / b
	shift := i % per * b
	mask := byte(1<<b-1) << shift
	t.Data[i/per] = t.Data[i/per]&^mask | v<<shift&mask
}

// Getter returns the function that reads element i of tensors of type d; nil for strings and sequences.
func Getter(d tensor.DType) func(t *tensor.Tensor, i int) float64 {
	switch d {
	case tensor.F32:
		return get[float32]
	case tensor.F64:
		return get[float64]
	case tensor.F16:
		return func(t *tensor.Tensor, i int) float64 { return float64(half.FromF16(tensor.Of[uint16](t)[i])) }
	case tensor.BF16:
		return func(t *tensor.Tensor, i int) float64 { return float64(half.FromBF16(tensor.Of[uint16](t)[i])) }
	case tensor.I64:
		return get[int64]
	case tensor.I32:
		return get[int32]
	case tensor.I16:
		return get[int16]
	case tensor.I8:
		return get[int8]
	case tensor.U64:
		return get[uint64]
	case tensor.U32:
		return get[uint32]
	case tensor.U16:
		return get[uint16]
	case tensor.U8, tensor.Bool:
		return get[uint8]
	case tensor.U4, tensor.U2:
		return func(t *tensor.Tensor, i int) float64 { return float64(Bits(t, i)) }
	case tensor.I4:
		return func(t *tensor.Tensor, i int) float64 { return float64(int8(Bits(t, i)<<4) >> 4) }
	case tensor.I2:
		return func(t *tensor.Tensor, i int) float64 { return float64(int8(Bits(t, i)<<6) >> 6) }
	}
	s := small[d]
	switch {
	case s == nil:
		return nil
	case d.Bits() < 8:
		return func(t *tensor.Tensor, i int) float64 { return float64(s.Widen(Bits(t, i))) }
	}
	return func(t *tensor.Tensor, i int) float64 { return float64(s.Widen(t.Data[i])) }
}

// Setter returns the function that writes element i of tensors of type d; nil for strings and sequences. Floats are
// rounded to nearest, ties to even. Integers lose their fraction and saturate, NaN becoming 0; Bool is whether v is not 0.
func Setter(d tensor.DType) func(t *tensor.Tensor, i int, v float64) {
	switch d {
	case tensor.F32:
		return func(t *tensor.Tensor, i int, v float64) { tensor.Of[float32](t)[i] = float32(v) }
	case tensor.F64:
		return func(t *tensor.Tensor, i int, v float64) { tensor.Of[float64](t)[i] = v }
	case tensor.F16:
		return func(t *tensor.Tensor, i int, v float64) { tensor.Of[uint16](t)[i] = half.F16(Odd(v)) }
	case tensor.BF16:
		return func(t *tensor.Tensor, i int, v float64) { tensor.Of[uint16](t)[i] = half.BF16(Odd(v)) }
	case tensor.I64:
		return set[int64](math.MinInt64, math.MaxInt64)
	case tensor.I32:
		return set[int32](math.MinInt32, math.MaxInt32)
	case tensor.I16:
		return set[int16](math.MinInt16, math.MaxInt16)
	case tensor.I8:
		return set[int8](math.MinInt8, math.MaxInt8)
	case tensor.U64:
		return set[uint64](0, math.MaxUint64)
	case tensor.U32:
		return set[uint32](0, math.MaxUint32)
	case tensor.U16:
		return set[uint16](0, math.MaxUint16)
	case tensor.U8:
		return set[uint8](0, math.MaxUint8)
	case tensor.Bool:
		return func(t *tensor.Tensor, i int, v float64) {
			t.Data[i] = 0
			if v != 0 {
				t.Data[i] = 1
			}
		}
	case tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		lo, hi := d.IntRange()
		return func(t *tensor.Tensor, i int, v float64) {
			if v != v {
				v = 0
			}
			SetBits(t, i, uint8(int(min(max(v, float64(lo)), float64(hi)))))
		}
	}
	s := small[d]
	switch {
	case s == nil:
		return nil
	case d.Bits() < 8:
		return func(t *tensor.Tensor, i int, v float64) { SetBits(t, i, s.Round(Odd(v), true)) }
	}
	return func(t *tensor.Tensor, i int, v float64) { t.Data[i] = s.Round(Odd(v), true) }
}

// Odd rounds to float32 so that a further rounding to a narrower type is as if it were the only one: what is lost sets
// the last bit.
func Odd(v float64) float32 {
	f := float32(v)
	if float64(f) == v || v != v || math.IsInf(float64(f), 0) {
		return f
	}
	u := math.Float32bits(f)
	if u&1 == 0 { // the neighbour on v's side is odd
		if math.Abs(float64(f)) < math.Abs(v) {
			u++
		} else {
			u--
		}
	}
	return math.Float32frombits(u)
}

type real interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8
}

type integer interface {
	int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8
}

func get[T real](t *tensor.Tensor, i int) float64 { return float64(tensor.Of[T](t)[i]) }

func set[T integer](lo, hi T) func(t *tensor.Tensor, i int, v float64) {
	return func(t *tensor.Tensor, i int, v float64) {
		x := T(0)
		switch { // float64(hi) may be above hi
		case v >= float64(hi):
			x = hi
		case v <= float64(lo):
			x = lo
		case v == v:
			x = T(v)
		}
		tensor.Of[T](t)[i] = x
	}
}

// Read copies all elements of t, whose Getter must exist, to dst.
func Read(dst []float64, t *tensor.Tensor) {
	switch t.DType {
	case tensor.F32:
		widen[float32](dst, t)
	case tensor.F64:
		copy(dst, tensor.Of[float64](t))
	case tensor.I64:
		widen[int64](dst, t)
	case tensor.I32:
		widen[int32](dst, t)
	case tensor.U8:
		widen[uint8](dst, t)
	case tensor.I8:
		widen[int8](dst, t)
	default:
		g := Getter(t.DType)
		for i := range dst {
			dst[i] = g(t, i)
		}
	}
}

func widen[T real](dst []float64, t *tensor.Tensor) {
	for i, v := range tensor.Of[T](t) {
		dst[i] = float64(v)
	}
}

// Write stores all of src in t, whose Setter must exist.
func Write(t *tensor.Tensor, src []float64) {
	switch t.DType {
	case tensor.F32:
		y := tensor.Of[float32](t)
		for i, v := range src {
			y[i] = float32(v)
		}
	case tensor.F64:
		copy(tensor.Of[float64](t), src)
	default:
		s := Setter(t.DType)
		for i, v := range src {
			s(t, i, v)
		}
	}
}

// Scalar reads the one element of a tensor; false where it has no data or is no single number.
func Scalar(t *tensor.Tensor) (float64, bool) {
	if t == nil || !t.HasData() || t.Len() != 1 {
		return 0, false
	}
	g := Getter(t.DType)
	if g == nil {
		return 0, false
	}
	return g(t, 0), true
}

// Int reads the one element of an integer tensor, saturating.
func Int(t *tensor.Tensor) (int, bool) {
	if t == nil || !t.DType.IsInt() {
		return 0, false
	}
	if t.DType == tensor.I64 && t.HasData() && t.Len() == 1 {
		return int(min(max(tensor.Of[int64](t)[0], math.MinInt), math.MaxInt)), true
	}
	v, ok := Scalar(t)
	switch {
	case v >= math.MaxInt:
		return math.MaxInt, ok
	case v <= math.MinInt:
		return math.MinInt, ok
	}
	return int(v), ok
}
