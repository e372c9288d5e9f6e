package tflite

import (
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// A complex64 tensor is one of float32 with a last extent of two: the real and the imaginary part. Operators that are not in
// complexBuiltins refuse it. Model inputs and outputs of complex64 have that extent too.

const typeComplex64 = 8

// complexBuiltins translates operators where an input or output is complex64; those that handle all inputs alike are missing
// nothing but the last extent, which counts in axes from behind.
func complexBuiltins() map[string]func(*builder) {
	return map[string]func(*builder){
		"ADD": arithmetic("Add"), "SUB": arithmetic("Sub"), "MUL": complexMul, "CAST": complexCast, "RFFT2D": rfft2d, "IMAG": complexPart(1),
		"REAL": complexPart(0), "COMPLEX_ABS": complexAbs, "RESHAPE": complexReshape, "TRANSPOSE": complexTranspose, "SQUEEZE": complexSqueeze,
		"EXPAND_DIMS": complexExpandDims, "SLICE": slice, "CONCATENATION": complexConcat, "PACK": complexPack, "GATHER": complexGather,
	}
}

// isComplex reports whether one of the tensors is complex64.
func (b *builder) isComplex(lists ...[]int) bool {
	for _, l := range lists {
		for _, i := range l {
			if i >= 0 && i < len(b.tensors) && b.tensors[i].i8(1, 0) == typeComplex64 {
				return true
			}
		}
	}
	return false
}

// rfft2d transforms the last two extents, the innermost first.
func rfft2d(b *builder) {
	n := b.known(1)
	x := b.i(0)
	if len(n) != 2 || len(x.Shape) < 2 {
		b.fail("%w: fft_length %v for input %v", ErrFormat, n, x.Shape)
		return
	}
	v := b.made("Unsqueeze", "signal", tensor.F32, nil, x, b.ints(-1))
	v = b.made("DFT", "rows", tensor.F32, attr.Attrs{"onesided": int64(1)}, v, b.ints(n[1]), b.ints(-2))
	if n[0] == 1 && x.Shape[len(x.Shape)-2] == 1 {
		b.node("Identity", b.o(0), nil, v)
		return
	}
	b.node("DFT", b.o(0), nil, v, b.ints(n[0]), b.ints(-3))
}

// part is the real part or the imaginary one.
func (b *builder) part(v *model.Value, k int) *model.Value {
	return b.made("Gather", "part", tensor.F32, attr.Attrs{"axis": int64(-1)}, v, model.NewConst(b.unique(b.op+".part"), tensor.Scalar(int64(k))))
}

func complexPart(k int) func(*builder) {
	return func(b *builder) { b.node("Identity", b.o(0), nil, b.part(b.i(0), k)) }
}

func complexAbs(b *builder) {
	b.node("ReduceL2", b.o(0), attr.Attrs{"keepdims": int64(0)}, b.i(0), b.ints(-1))
}

// joined makes a complex output of its parts.
func (b *builder) joined(re, im *model.Value) {
	re = b.made("Unsqueeze", "re", tensor.F32, nil, re, b.ints(-1))
	im = b.made("Unsqueeze", "im", tensor.F32, nil, im, b.ints(-1))
	b.node("Concat", b.o(0), attr.Attrs{"axis": int64(-1)}, re, im)
}

func complexMul(b *builder) {
	if b.opts.i8(0, 0) != 0 || !b.isComplex(b.in[:1]) || len(b.in) < 2 || !b.isComplex(b.in[1:2]) {
		b.fail("fused activation or mixed types of complex64: %w", ErrUnsupported)
		return
	}
	var p [2][2]*model.Value
	for i := range p {
		for k := range p[i] {
			p[i][k] = b.part(b.i(i), k)
		}
	}
	mul := func(x, y *model.Value) *model.Value { return b.made("Mul", "product", tensor.F32, nil, x, y) }
	re := b.made("Sub", "re", tensor.F32, nil, mul(p[0][0], p[1][0]), mul(p[0][1], p[1][1]))
	im := b.made("Add", "im", tensor.F32, nil, mul(p[0][0], p[1][1]), mul(p[0][1], p[1][0]))
	b.joined(re, im)
}

// complexCast drops the imaginary part, or adds one of 0.
func complexCast(b *builder) {
	from, to := b.isComplex(b.in), b.isComplex(b.out)
	switch x := b.i(0); {
	case from && to:
		b.node("Identity", b.o(0), nil, x)
	case from:
		castValue(b, b.part(x, 0), b.o(0), b.o(0).DType)
	default:
		re := &model.Value{Name: b.unique(b.op + ".re"), DType: tensor.F32}
		castValue(b, x, re, tensor.F32)
		b.joined(re, b.made("ZerosLike", "im", tensor.F32, nil, re))
	}
}

func complexReshape(b *builder) {
	s := b.opts.ints(0)
	if v := b.maybe(1); v != nil {
		if v.Const == nil {
			shape := b.made("Concat", "shape", tensor.I64, attr.Attrs{"axis": int64(0)}, b.list(1), b.ints(2))
			b.node("Reshape", b.o(0), nil, b.i(0), shape)
			return
		}
		s = b.known(1)
	}
	b.node("Reshape", b.o(0), nil, b.i(0), b.ints(append(slices.Clone(s), 2)...))
}

func complexTranspose(b *builder) {
	a := attr.Attrs{}
	p := b.known(1)
	a.Set("perm", append(slices.Clone(p), len(p)))
	b.node("Transpose", b.o(0), a, b.i(0))
}

// behind moves axes that count from behind over the last extent.
func behind(axes []int) []int {
	r := slices.Clone(axes)
	for i, a := range r {
		if a < 0 {
			r[i]--
		}
	}
	return r
}

func complexSqueeze(b *builder) {
	axes := behind(b.opts.ints(0))
	if len(axes) == 0 {
		s := b.i(0).Shape
		for i := range len(s) - 1 {
			if s[i] == 1 {
				axes = append(axes, i)
			}
		}
	}
	b.node("Squeeze", b.o(0), nil, b.i(0), b.ints(axes...))
}

func complexExpandDims(b *builder) {
	b.node("Unsqueeze", b.o(0), nil, b.i(0), b.ints(behind(b.known(1))...))
}

func complexConcat(b *builder) {
	if b.opts.i8(1, 0) != 0 {
		b.fail("fused activation %d of complex64: %w", b.opts.i8(1, 0), ErrUnsupported)
	}
	a := attr.Attrs{}
	a.Set("axis", behind([]int{b.opts.i32(0, 0)})[0])
	b.node("Concat", b.o(0), a, b.ins()...)
}

func complexPack(b *builder) {
	axis := behind([]int{b.opts.i32(1, 0)})[0]
	in := b.ins()
	for k, x := range in {
		in[k] = b.made("Unsqueeze", "packed", tensor.F32, nil, x, b.ints(axis))
	}
	a := attr.Attrs{}
	a.Set("axis", axis)
	b.node("Concat", b.o(0), a, in...)
}

func complexGather(b *builder) {
	if n := b.opts.i32(1, 0); n != 0 {
		b.fail("option batch_dims %d of complex64: %w", n, ErrUnsupported)
	}
	a := attr.Attrs{}
	a.Set("axis", behind([]int{b.opts.i32(0, 0)})[0])
	b.node("Gather", b.o(0), a, b.i(0), b.i(1))
}
