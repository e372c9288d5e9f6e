package nn

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/runtime/op"
)

// activation reads the bounds that passes put on an operator's result.
func activation(c *op.Call) (lo, hi float32) {
	return c.Attrs.Float("act_min", float32(math.Inf(-1))), c.Attrs.Float("act_max", float32(math.Inf(1)))
}

func clamp(x, lo, hi float32) float32 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

func clampAll(v []float32, lo, hi float32) {
	if math.IsInf(float64(lo), -1) && math.IsInf(float64(hi), 1) {
		return
	}
	for i, x := range v {
		v[i] = clamp(x, lo, hi)
	}
}

// floats gives f32 access to an input or output of type f32, f16, bf16 or f64. get is called in Run and fills the
// buffer where the type is another one; put rounds the buffer back.
type floats struct {
	t     *tensor.Tensor
	buf   []float32
	fixed []float32 // the numbers, where they never change and t does not hold them so
}

func newFloats(c *op.Call, t *tensor.Tensor) *floats {
	if t == nil {
		return nil
	}
	f := &floats{t: t}
	if t.DType != tensor.F32 {
		f.buf = op.Make[float32](c, t.Len())
	}
	return f
}

// newBias is newFloats for a bias. Subnormal constants become zero; see op.PackedWeights.
func newBias(c *op.Call, t *tensor.Tensor) *floats {
	f := newFloats(c, t)
	if t != nil && t.DType == tensor.F32 && t.HasData() {
		if b := tensor.Of[float32](t); slices.ContainsFunc(b, fmath.Subnormal) {
			f.fixed = op.Make[float32](c, len(b))
			copy(f.fixed, b)
			op.FlushSubnormals(f.fixed)
		}
	}
	return f
}

func (f *floats) get() []float32 {
	switch {
	case f == nil:
		return nil
	case f.fixed != nil:
		return f.fixed
	}
	switch f.t.DType {
	case tensor.F32:
		return tensor.Of[float32](f.t)
	case tensor.F16:
		kernels.WidenF16(f.buf, tensor.Of[uint16](f.t))
	case tensor.BF16:
		kernels.WidenBF16(f.buf, tensor.Of[uint16](f.t))
	case tensor.F64:
		for i, x := range tensor.Of[float64](f.t) {
			f.buf[i] = float32(x)
		}
	}
	return f.buf
}

// room is where results go before put.
func (f *floats) room() []float32 {
	if f.buf == nil {
		return tensor.Of[float32](f.t)
	}
	return f.buf
}

func (f *floats) put() {
	switch f.t.DType {
	case tensor.F16:
		kernels.ToF16(tensor.Of[uint16](f.t), f.buf)
	case tensor.BF16:
		kernels.ToBF16(tensor.Of[uint16](f.t), f.buf)
	case tensor.F64:
		d := tensor.Of[float64](f.t)
		for i, x := range f.buf {
			d[i] = float64(x)
		}
	}
}

// anyFloat lists the float types that these operators take.
var anyFloat = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.F64}

// widenInts reads integers of up to 32 bits into dst.
func widenInts[T int16 | int32](dst []T, t *tensor.Tensor) {
	switch t.DType {
	case tensor.I8:
		for i, x := range tensor.Of[int8](t) {
			dst[i] = T(x)
		}
	case tensor.U8:
		for i, x := range tensor.Of[uint8](t) {
			dst[i] = T(x)
		}
	case tensor.I16:
		for i, x := range tensor.Of[int16](t) {
			dst[i] = T(x)
		}
	case tensor.U16:
		for i, x := range tensor.Of[uint16](t) {
			dst[i] = T(x)
		}
	case tensor.I32:
		for i, x := range tensor.Of[int32](t) {
			dst[i] = T(x)
		}
	case tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		for i := range dst {
			dst[i] = T(packed(t, i))
		}
	default:
		panic("BUG: integers of type " + t.DType.String())
	}
}

// packed reads element i of a tensor of 4- or 2-bit integers.
func packed(t *tensor.Tensor, i int) int32 {
	b := t.DType.Bits()
	per := 8 / b
	v := int32(t.Data[i/per]) >> (i % per * b) & (1<<b - 1)
	if t.DType.IsSigned() && v >= 1<<(b-1) {
		v -= 1 << b
	}
	return v
}

// setPacked writes it.
func setPacked(t *tensor.Tensor, i int, v int32) {
	b := t.DType.Bits()
	per := 8 / b
	shift := i % per * b
	mask := byte(1<<b-1) << shift
	t.Data[i/per] = t.Data[i/per]&^mask | byte(v)<<shift&mask
}

// dequantisedWeights returns a constant's reals as f32.
func dequantisedWeights(t *tensor.Tensor) []float32 {
	n := t.Len()
	ints := make([]int32, n)
	widenInts(ints, t)
	f := make([]float32, n)
	q := t.Quant
	inner, channels := 1, len(q.Scale)
	if channels > 1 {
		inner = tensor.Shape(t.Shape[q.Axis+1:]).Len()
	}
	for i, v := range ints {
		ch := 0
		if channels > 1 {
			ch = i / inner % channels
		}
		f[i] = float32(v-q.ZeroAt(ch)) * q.Scale[ch]
	}
	return f
}
