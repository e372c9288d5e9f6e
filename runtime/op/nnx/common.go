package nnx

import (
	"maps"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = join(recurrentOps, attentionOps, stateOps, rotaryOps, contribOps, liteOps, liteTableOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

type float interface{ float32 | float64 }

// arith is the arithmetic of one float type. The functions of float32 have the same bits everywhere.
type arith[T float] struct {
	// dot continues the FMA chain acc + Σ a[i]*b[i]; b is at least as long as a.
	dot func(acc T, a, b []T) T
	// dot4 continues four chains at once, over consecutive rows of w, stride apart.
	dot4 func(acc [4]T, a, w []T, stride int) [4]T
	// axpy adds a*x to y, fused.
	axpy               func(y []T, a T, x []T)
	exp, tanh, sigmoid func(T) T
	erf, log1p         func(T) T
}

var arith32 = arith[float32]{
	dot: func(acc float32, a, b []float32) float32 {
		b = b[:len(a)]
		for i, x := range a {
			acc = fmath.FMA(x, b[i], acc)
		}
		return acc
	},
	dot4: func(acc [4]float32, a, w []float32, stride int) [4]float32 {
		n := len(a)
		w0, w1, w2, w3 := w[:n], w[stride:stride+n], w[2*stride:2*stride+n], w[3*stride:3*stride+n]
		s0, s1, s2, s3 := acc[0], acc[1], acc[2], acc[3]
		for i, x := range a {
			s0, s1 = fmath.FMA(x, w0[i], s0), fmath.FMA(x, w1[i], s1)
			s2, s3 = fmath.FMA(x, w2[i], s2), fmath.FMA(x, w3[i], s3)
		}
		return [4]float32{s0, s1, s2, s3}
	},
	axpy: func(y []float32, a float32, x []float32) {
		x = x[:len(y)]
		for i := range y {
			y[i] = fmath.FMA(a, x[i], y[i])
		}
	},
	exp: fmath.Exp, tanh: fmath.Tanh, sigmoid: fmath.Sigmoid, erf: fmath.Erf,
	log1p: func(x float32) float32 { return float32(math.Log1p(float64(x))) },
}

var arith64 = arith[float64]{
	dot: func(acc float64, a, b []float64) float64 {
		for i, x := range a {
			acc = math.FMA(x, b[i], acc)
		}
		return acc
	},
	dot4: func(acc [4]float64, a, w []float64, stride int) [4]float64 {
		for k := range acc {
			for i, x := range a {
				acc[k] = math.FMA(x, w[k*stride+i], acc[k])
			}
		}
		return acc
	},
	axpy: func(y []float64, a float64, x []float64) {
		for i := range y {
			y[i] = math.FMA(a, x[i], y[i])
		}
	},
	exp: math.Exp, tanh: math.Tanh, erf: math.Erf, log1p: math.Log1p,
	sigmoid: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
}

func arithOf[T float]() arith[T] {
	if a, ok := any(arith32).(arith[T]); ok {
		return a
	}
	return any(arith64).(arith[T])
}

// products sets out[i] to the chain init[i] + Σ a*w[i], for all rows of w (len(out) rows of stride elements).
func (a *arith[T]) products(out, init, x, w []T, stride int) {
	i := 0
	for ; i+4 <= len(out); i += 4 {
		acc := a.dot4([4]T(init[i:i+4]), x, w[i*stride:], stride)
		copy(out[i:], acc[:])
	}
	for ; i < len(out); i++ {
		out[i] = a.dot(init[i], x, w[i*stride:i*stride+len(x)])
	}
}

// sum adds x up in 16 lanes (lane = index mod 16), then pairwise over the lanes.
func sum[T float](x []T) T {
	var lane [16]T
	for i, v := range x {
		lane[i&15] += v
	}
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			lane[i] += lane[i+n]
		}
	}
	return lane[0]
}

func inf[T float]() T { return T(math.Inf(1)) }

// byType prepares an operator in the arithmetic of the element type d.
func byType(c *op.Call, d tensor.DType, f32, f64 func(*op.Call) (op.Run, error)) (op.Run, error) {
	switch d {
	case tensor.F32, tensor.F16, tensor.BF16:
		return f32(c)
	case tensor.F64:
		return f64(c)
	}
	return nil, c.Errorf("element type %v, want a float", d)
}

// dequantised lists the integers that widen reads.
var dequantised = []tensor.DType{tensor.I8, tensor.U8, tensor.I16, tensor.I32, tensor.I64}

// source reads an input as elements of type T, in each run anew unless the input is constant. Integers with Quant are
// read as the reals that they stand for.
type source[T float] struct {
	t     *tensor.Tensor
	buf   []T
	fixed bool
	own   bool // buf depends on more than the data of t
}

// constant reports whether all runs read the same.
func (s *source[T]) constant() bool { return s.t != nil && (s.fixed || s.t.HasData()) }

// newSource wants the input, if it is there, to have n elements; -1 takes any number.
func newSource[T float](c *op.Call, i, n int) (*source[T], error) {
	t := c.Input(i)
	s := &source[T]{t: t}
	if t == nil {
		return s, nil
	}
	if n != -1 && t.Len() != n {
		return nil, c.Errorf("input %d has shape %v, want %d elements", i, t.Shape, n)
	}
	switch {
	case t.DType == tensor.DTypeOf[T]():
		return s, nil
	case t.DType == tensor.F16, t.DType == tensor.BF16, t.DType == tensor.F32, t.DType == tensor.F64:
	case t.Quant != nil && slices.Contains(dequantised, t.DType):
	default:
		return nil, c.Errorf("input %d has type %v, want a float", i, t.DType)
	}
	if t.HasData() {
		kind := "nnx.f64"
		if tensor.DTypeOf[T]() == tensor.F32 {
			kind = "nnx.f32"
		}
		s.buf, s.fixed = op.PackedSlice(c, t, kind, t.Len(), func(dst []T) { widen(dst, t) }), true
		return s, nil
	}
	s.buf = op.Make[T](c, t.Len())
	return s, nil
}

func (s *source[T]) get() []T {
	switch {
	case s.t == nil:
		return nil
	case s.fixed:
		return s.buf
	case s.buf == nil:
		return tensor.Of[T](s.t)
	}
	return widen(s.buf, s.t)
}

func widen[T float](dst []T, t *tensor.Tensor) []T {
	switch t.DType {
	case tensor.F32:
		convert(dst, tensor.Of[float32](t))
	case tensor.F64:
		convert(dst, tensor.Of[float64](t))
	case tensor.F16:
		for i, h := range tensor.Of[uint16](t) {
			dst[i] = T(half.FromF16(h))
		}
	case tensor.BF16:
		for i, h := range tensor.Of[uint16](t) {
			dst[i] = T(half.FromBF16(h))
		}
	case tensor.I8:
		dequantize(dst, tensor.Of[int8](t), t)
	case tensor.U8:
		dequantize(dst, tensor.Of[uint8](t), t)
	case tensor.I16:
		dequantize(dst, tensor.Of[int16](t), t)
	case tensor.I32:
		dequantize(dst, tensor.Of[int32](t), t)
	case tensor.I64:
		dequantize(dst, tensor.Of[int64](t), t)
	default:
		panic("BUG: " + t.DType.String() + " as float")
	}
	return dst
}

func convert[T, F float](dst []T, src []F) {
	for i, v := range src {
		dst[i] = T(v)
	}
}

// dequantize computes (q - zero) * scale.
func dequantize[T float, I int8 | uint8 | int16 | int32 | int64](dst []T, src []I, t *tensor.Tensor) {
	q, inner := t.Quant, len(src)
	if !q.PerTensor() {
		inner = t.Shape[q.Axis+1:].Len()
	}
	for i, v := range src {
		c := i / max(inner, 1) % len(q.Scale)
		dst[i] = T(float32(float64(int64(v)-int64(q.ZeroAt(c))) * float64(q.Scale[c])))
	}
}

// target takes the elements of an output; put rounds them to the output's type, integers with Quant (per tensor)
// included. Of an output that nobody wants, get
// gives nil, or a buffer of need elements.
type target[T float] struct {
	t   *tensor.Tensor
	buf []T
}

func newTarget[T float](c *op.Call, i, need int) *target[T] {
	// The shape rules give outputs a float type, or leave them one with Quant.
	y := &target[T]{t: c.Output(i)}
	if y.t == nil {
		y.buf = op.Make[T](c, need)
	} else if y.t.DType != tensor.DTypeOf[T]() {
		y.buf = op.Make[T](c, y.t.Len())
	}
	return y
}

func (y *target[T]) get() []T {
	if y.t != nil && y.buf == nil {
		return tensor.Of[T](y.t)
	}
	return y.buf
}

func (y *target[T]) put() {
	if y.t == nil || y.buf == nil {
		return
	}
	switch y.t.DType {
	case tensor.F32:
		convert(tensor.Of[float32](y.t), y.buf)
	case tensor.F64:
		convert(tensor.Of[float64](y.t), y.buf)
	case tensor.F16:
		d := tensor.Of[uint16](y.t)
		for i, v := range y.buf {
			d[i] = half.F16(float32(v))
		}
	case tensor.BF16:
		d := tensor.Of[uint16](y.t)
		for i, v := range y.buf {
			d[i] = half.BF16(float32(v))
		}
	case tensor.I8:
		quantize(tensor.Of[int8](y.t), y.buf, y.t)
	case tensor.U8:
		quantize(tensor.Of[uint8](y.t), y.buf, y.t)
	case tensor.I16:
		quantize(tensor.Of[int16](y.t), y.buf, y.t)
	default:
		panic("BUG: floats as " + y.t.DType.String())
	}
}

// quantize rounds v/scale half to even, adds the zero point and saturates.
func quantize[I int8 | uint8 | int16, T float](dst []I, src []T, t *tensor.Tensor) {
	lo, hi := t.DType.IntRange()
	scale, zero := t.Quant.Scale[0], float64(t.Quant.ZeroAt(0))
	for i, v := range src {
		q := math.RoundToEven(float64(float32(v)/scale)) + zero
		if q != q {
			q = zero
		}
		dst[i] = I(min(max(q, float64(lo)), float64(hi)))
	}
}

// indices reads an integer input of i32 or i64, element by element, in Run.
type indices struct{ t *tensor.Tensor }

func newIndices(c *op.Call, i, n int) (indices, error) {
	t := c.Input(i)
	if t == nil {
		return indices{}, nil
	}
	if err := c.Want(i, tensor.I32, tensor.I64); err != nil {
		return indices{}, err
	}
	if n != -1 && t.Len() != n {
		return indices{}, c.Errorf("input %d has shape %v, want %d elements", i, t.Shape, n)
	}
	return indices{t}, nil
}

func (x indices) present() bool { return x.t != nil }

func (x indices) at(i int) int {
	if x.t.DType == tensor.I32 {
		return int(tensor.Of[int32](x.t)[i])
	}
	return int(tensor.Of[int64](x.t)[i])
}

// extent is dimension i of a shape that may be incomplete.
func extent(t *tensor.Tensor, i int) int {
	if t == nil || i >= len(t.Shape) {
		return -1
	}
	return t.Shape[i]
}

// times multiplies extents, -1 where one is unknown.
func times(a, b int) int {
	if a < 0 || b < 0 {
		return -1
	}
	return a * b
}

// plus adds extents, -1 where one is unknown.
func plus(a, b int) int {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}

// over divides an extent, -1 where it is unknown or n is.
func over(c *op.Call, what string, a, n int) (int, error) {
	if a < 0 || n < 0 {
		return -1, nil
	}
	if n == 0 || a%n != 0 {
		return 0, c.Errorf("%s of %d does not divide by %d heads", what, a, n)
	}
	return a / n, nil
}

// ranks fails where one of the inputs is known to have another rank.
func ranks(c *op.Call, rank int, inputs ...int) error {
	for _, i := range inputs {
		if t := c.Input(i); t != nil && t.Shape != nil && len(t.Shape) != rank {
			return c.Errorf("input %d has rank %d, want %d", i, len(t.Shape), rank)
		}
	}
	return nil
}

// storable fails where an output has a type that target cannot round to.
func storable(c *op.Call) error {
	for i, t := range c.Out {
		if t == nil {
			continue
		}
		switch t.DType {
		case tensor.F32, tensor.F64, tensor.F16, tensor.BF16:
			continue
		case tensor.I8, tensor.U8, tensor.I16:
			if t.Quant != nil && t.Quant.PerTensor() {
				continue
			}
		}
		return c.Errorf("output %d of type %v without quantisation parameters for the whole tensor", i, t.DType)
	}
	return nil
}
