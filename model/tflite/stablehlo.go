package tflite

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// StableHLO's operators, as far as plain converters emit them: a composite is its decomposition; operators on elements and moves
// have equivalents. Their options stand in a second table.

func stablehloBuiltins() map[string]func(*builder) {
	m := map[string]func(*builder){
		"STABLEHLO_COMPOSITE": composite, "STABLEHLO_WHILE": stablehloWhile, "STABLEHLO_CLAMP": clamp, "STABLEHLO_CBRT": cbrt,
		"STABLEHLO_CONVERT": castTo, "STABLEHLO_RESHAPE": stablehloReshape, "STABLEHLO_TRANSPOSE": stablehloTranspose,
		"STABLEHLO_CONCATENATE": stablehloConcat, "STABLEHLO_SLICE": stablehloSlice, "STABLEHLO_BROADCAST_IN_DIM": broadcastInDim,
		"STABLEHLO_COMPARE": compare, "STABLEHLO_IOTA": iota, "STABLEHLO_PAD": stablehloPad, "STABLEHLO_DYNAMIC_SLICE": dynamicSlice,
		"STABLEHLO_DYNAMIC_UPDATE_SLICE": dynamicUpdateSlice, "STABLEHLO_AND": boolean("And", "BitwiseAnd"),
		"STABLEHLO_OR": boolean("Or", "BitwiseOr"), "STABLEHLO_SHIFT_LEFT": shift("LEFT"), "STABLEHLO_SELECT": selectOp,
		"STABLEHLO_REMAINDER": remainder,
	}
	for name, op := range map[string]string{"LOGISTIC": "Sigmoid", "ABS": "Abs", "COSINE": "Cos", "EXPONENTIAL": "Exp", "FLOOR": "Floor", "LOG": "Log",
		"NEGATE": "Neg", "RSQRT": "Rsqrt", "TANH": "Tanh"} {
		m["STABLEHLO_"+name] = unary(op)
	}
	for name, op := range map[string]string{"ADD": "Add", "DIVIDE": "Div", "MULTIPLY": "Mul", "MAXIMUM": "Max", "MINIMUM": "Min", "POWER": "Pow", "SUBTRACT": "Sub"} {
		m["STABLEHLO_"+name] = plain(op)
	}
	return m
}

// counts reads a list of extents or places from the second options.
func (b *builder) counts(field int) []int {
	l := b.opts2.longs(field)
	r := make([]int, len(l))
	for i, x := range l {
		r[i] = tensor.Int(x)
	}
	return r
}

func composite(b *builder) { b.calls(b.opts2.i32(1, 0)) }

func stablehloWhile(b *builder) { b.loop(b.opts2.i32(0, 0), b.opts2.i32(1, 0)) }

func clamp(b *builder) { // the least, the operand, the largest
	b.node("Min", b.o(0), nil, b.made("Max", "low", b.o(0).DType, nil, b.i(1), b.i(0)), b.i(2))
}

// cbrt is sign(x)·|x|^(1/3).
func cbrt(b *builder) {
	x, d := b.i(0), b.o(0).DType
	if d != tensor.F32 {
		b.fail("type %v: %w", d, ErrUnsupported)
	}
	root := b.made("Pow", "root", d, nil, b.made("Abs", "size", d, nil, x), b.scalar(1.0/3))
	b.node("Mul", b.o(0), nil, b.made("Sign", "sign", d, nil, x), root)
}

// remainder has the sign of the dividend.
func remainder(b *builder) { b.node("Mod", b.o(0), attr.Attrs{"fmod": int64(1)}, b.i(0), b.i(1)) }

func boolean(logical, bitwise string) func(*builder) {
	return func(b *builder) {
		op := bitwise
		if b.o(0).DType == tensor.Bool {
			op = logical
		}
		b.node(op, b.o(0), nil, b.i(0), b.i(1))
	}
}

// fixed is output 0's shape, which must be known.
func (b *builder) fixed() []int {
	s := b.o(0).Shape
	if slices.Contains(s, -1) {
		b.fail("output shape %v is not known: %w", s, ErrUnsupported)
	}
	return s
}

func stablehloReshape(b *builder) { b.node("Reshape", b.o(0), nil, b.i(0), b.ints(b.fixed()...)) }

func stablehloTranspose(b *builder) {
	a := attr.Attrs{}
	a.Set("perm", b.counts(0))
	b.node("Transpose", b.o(0), a, b.i(0))
}

func stablehloConcat(b *builder) {
	axis := int64(b.opts2.u64(0))
	b.node("Concat", b.o(0), attr.Attrs{"axis": axis}, b.ins()...)
}

func stablehloSlice(b *builder) {
	start, limit, stride := b.counts(0), b.counts(1), b.counts(2)
	axes := make([]int, len(start))
	for i := range axes {
		axes[i] = i
	}
	b.node("Slice", b.o(0), nil, b.i(0), b.ints(start...), b.ints(limit...), b.ints(axes...), b.ints(stride...))
}

// broadcastInDim gives extent i of the operand the place dims[i] in the result.
func broadcastInDim(b *builder) {
	x, dims, shape := b.i(0), b.counts(0), b.fixed()
	mid := make([]int, len(shape))
	for i := range mid {
		mid[i] = 1
	}
	if len(dims) != len(x.Shape) {
		b.fail("%w: broadcast_dimensions %v of %v", ErrFormat, dims, x.Shape)
		return
	}
	for i, d := range dims {
		if d < 0 || d >= len(mid) || i > 0 && d <= dims[i-1] || x.Shape[i] < 0 {
			b.fail("broadcast_dimensions %v of %v: %w", dims, x.Shape, ErrUnsupported)
			return
		}
		mid[d] = x.Shape[i]
	}
	r := b.like(x, "placed")
	b.node("Reshape", r, nil, x, b.ints(mid...))
	b.node("Expand", b.o(0), nil, r, b.ints(shape...))
}

func compare(b *builder) {
	switch n := b.opts2.u32(0, 0); n {
	case 1:
		notEqual(b)
	case 0, 2, 3, 4, 5:
		plain([]string{"Equal", "", "GreaterOrEqual", "Greater", "LessOrEqual", "Less"}[n])(b)
	default:
		b.fail("option comparison_direction %d: %w", n, ErrUnsupported)
	}
}

// iota counts along one dimension.
func iota(b *builder) {
	shape, dim := b.fixed(), int(int64(b.opts2.u64(0)))
	if dim < 0 || dim >= len(shape) {
		b.fail("%w: iota_dimension %d of %v", ErrFormat, dim, shape)
		return
	}
	n := shape[dim]
	if !b.r.chargeTensor(tensor.I64, n) {
		return
	}
	count := make([]int64, n)
	for i := range count {
		count[i] = int64(i)
	}
	line := make([]int, len(shape))
	for i := range line {
		line[i] = 1
	}
	line[dim] = n
	v := b.made("Expand", "count", tensor.I64, nil, model.NewConst(b.unique(b.op+".line"), tensor.From(count, line...)), b.ints(shape...))
	castValue(b, v, b.o(0), b.o(0).DType)
}

func stablehloPad(b *builder) {
	low, high, interior := b.counts(0), b.counts(1), b.counts(2)
	for _, n := range interior {
		if n != 0 {
			b.fail("option interior_padding %v: %w", interior, ErrUnsupported)
			return
		}
	}
	b.node("Pad", b.o(0), attr.Attrs{"mode": "constant"}, b.i(0), b.ints(append(low, high...)...), b.i(1))
}

// starts joins the scalar places that follow the operand.
func (b *builder) starts(first int) *model.Value {
	var parts []*model.Value
	for k := first; k < len(b.in); k++ {
		v := b.wide(b.i(k))
		flat := b.like(v, "place")
		b.node("Reshape", flat, nil, v, b.ints(1))
		parts = append(parts, flat)
	}
	if len(parts) == 0 {
		return b.ints()
	}
	return b.made("Concat", "places", tensor.I64, attr.Attrs{"axis": int64(0)}, parts...)
}

// dynamicSlice moves places so that the slice fits.
func dynamicSlice(b *builder) {
	x, size := b.i(0), b.counts(0)
	if len(size) != len(x.Shape) || slices.Contains(x.Shape, -1) {
		b.fail("slice_sizes %v of %v: %w", size, x.Shape, ErrUnsupported)
		return
	}
	last := make([]int, len(size))
	for i, n := range size {
		if n < 0 || n > x.Shape[i] {
			b.fail("%w: slice_sizes %v of %v", ErrFormat, size, x.Shape)
			return
		}
		last[i] = min(x.Shape[i]-n, math.MaxInt32)
	}
	at := b.made("Max", "low", tensor.I64, nil, b.starts(1), b.ints(make([]int, len(size))...))
	at = b.made("Min", "at", tensor.I64, nil, at, b.ints(last...))
	b.node("Slice", b.o(0), nil, x, at, b.made("Add", "end", tensor.I64, nil, at, b.ints(size...)))
}

func dynamicUpdateSlice(b *builder) {
	b.node("tflite.DynamicUpdateSlice", b.o(0), nil, b.i(0), b.i(1), b.starts(2))
}
