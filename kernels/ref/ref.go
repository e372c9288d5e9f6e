// Package ref holds kernels in plain Go. They define the numerics that every other row must reproduce, and end every
// chain of the table, so that each operation runs on each machine.
//
// Go has no float32 multiply-add and may fuse x*y+z, so the float rows multiply in float64, where the product is exact,
// and round as internal/fmath.FMA does.
package ref

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Table lists the rows. No two serve the same types.
var Table = []spec.Row{
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmF32Ref2x4", Func: gemmF32},
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmF16Ref2x4", Func: gemmF16},
	{Op: spec.Gemm, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmBF16Ref2x4", Func: gemmBF16},
	{Op: spec.Gemm, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.BF16, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmBF16NRef2x4", Func: gemmBF16N},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI8QRef2x4", Func: gemmQuant[int8, int8, int32, int8]},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmU8I8QRef2x4", Func: gemmQuant[uint8, int8, int32, uint8]},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I8, Acc: tensor.I64, Out: tensor.I16, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI16I8QRef2x4", Func: gemmQuant[int16, int8, int64, int16]},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI16QI8Ref2x4", Func: gemmQuant[int16, int16, int32, int8]},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI16QU8Ref2x4", Func: gemmQuant[int16, int16, int32, uint8]},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI8Ref2x4", Func: gemmInt[int8, int8, int32]},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmU8I8Ref2x4", Func: gemmInt[uint8, int8, int32]},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmU8I8F32Ref2x4", Func: gemmFloats},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI16Ref2x4", Func: gemmInt[int16, int16, int32]},
	{Op: spec.Gemm, In: tensor.I32, W: tensor.I32, Acc: tensor.I64, Out: tensor.I64, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI32Ref2x4", Func: gemmInt[int32, int32, int64]},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemvF32Ref2x4", Func: gemvF32},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemvF16Ref2x4", Func: gemvF16},
	{Op: spec.Gemv, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemvBF16Ref2x4", Func: gemvBF16},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemvI8QRef2x4", Func: gemvQuant[int8, int8]},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemvU8I8QRef2x4", Func: gemvQuant[uint8, uint8]},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemvI8Ref2x4", Func: gemvInt[int8]},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemvU8I8Ref2x4", Func: gemvInt[uint8]},
	{Op: spec.DepthwiseRow, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 4, KR: 1, Num: spec.Consistent, Name: "depthwiserowF32Ref", Func: depthwiseF32},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 4, KR: 1, Num: spec.Consistent, Name: "depthwiserowBF16Ref", Func: depthwiseBF16(itself)},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.BF16, MR: 1, NR: 4, KR: 1, Num: spec.Consistent, Name: "depthwiserowBF16NRef", Func: depthwiseBF16(half.BF16)},
	{Op: spec.DepthwiseRow, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 1, NR: 4, KR: 1, Num: spec.Exact, Name: "depthwiserowI8QRef", Func: depthwiseInt[int8, int8, int8]},
	{Op: spec.DepthwiseRow, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 1, NR: 4, KR: 1, Num: spec.Exact, Name: "depthwiserowU8I8QRef", Func: depthwiseInt[uint8, int8, uint8]},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 1, NR: 4, KR: 1, Num: spec.Exact, Name: "depthwiserowI16QI8Ref", Func: depthwiseInt[int16, int16, int8]},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 1, NR: 4, KR: 1, Num: spec.Exact, Name: "depthwiserowI16QU8Ref", Func: depthwiseInt[int16, int16, uint8]},
	function(spec.Exp, "expF32Ref", fmath.Exp),
	function(spec.Sigmoid, "sigmoidF32Ref", fmath.Sigmoid),
	function(spec.Tanh, "tanhF32Ref", fmath.Tanh),
	function(spec.Erf, "erfF32Ref", fmath.Erf),
	function(spec.Gelu, "geluF32Ref", fmath.Gelu),
	function(spec.GeluTanh, "gelutanhF32Ref", fmath.GeluTanh),
	parametric(spec.Swish, "swishF32Ref", func(x, lo, _ float32) float32 { return fmath.Swish(x, lo) }),
	function(spec.HardSwish, "hardswishF32Ref", hardSwish),
	function(spec.Log, "logF32Ref", fmath.Log),
	function(spec.Softplus, "softplusF32Ref", fmath.Softplus),
	function(spec.Mish, "mishF32Ref", fmath.Mish),
	parametric(spec.Elu, "eluF32Ref", fmath.Elu),
	parametric(spec.LeakyRelu, "leakyreluF32Ref", func(x, lo, _ float32) float32 { return prelu(x, lo) }),
	parametric(spec.HardSigmoid, "hardsigmoidF32Ref", fmath.HardSigmoid),
	parametric(spec.Clip, "clipF32Ref", Clamp),
	binary(spec.Add, "addF32Ref", func(x, b float32) float32 { return x + b }),
	binary(spec.Sub, "subF32Ref", func(x, b float32) float32 { return x - b }),
	binary(spec.SubFrom, "subfromF32Ref", func(x, b float32) float32 { return b - x }),
	binary(spec.Mul, "mulF32Ref", func(x, b float32) float32 { return x * b }),
	binary(spec.Div, "divF32Ref", func(x, b float32) float32 { return x / b }),
	binary(spec.DivInto, "divintoF32Ref", func(x, b float32) float32 { return b / x }),
	binary(spec.PRelu, "preluF32Ref", prelu),
	binary(spec.Max, "maxF32Ref", func(x, b float32) float32 { return max(x, b) }),
	binary(spec.Min, "minF32Ref", func(x, b float32) float32 { return min(x, b) }),
	turn[uint8](tensor.U8, "turn1Ref16"),
	turn[uint16](tensor.U16, "turn2Ref16"),
	turn[uint32](tensor.U32, "turn4Ref16"),
	lanes(spec.SumLanes, "sumlanesF32Ref", func(y, x float32) float32 { return y + x }),
	lanes(spec.SquareLanes, "squarelanesF32Ref", func(y, x float32) float32 { return y + float32(x*x) }),
	{Op: spec.Extent, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "extentF32Ref", Func: extent},
	rows(spec.SumRows, "sumrowsF32Ref", sumRows),
	rows(spec.MaxRows, "maxrowsF32Ref", extremeRows(larger[float32])),
	rows(spec.MinRows, "minrowsF32Ref", extremeRows(smaller)),
	rows(spec.ArgMaxRows, "argmaxrowsF32Ref", argRows(func(x, y float32) bool { return x > y })),
	rows(spec.ArgMinRows, "argminrowsF32Ref", argRows(func(x, y float32) bool { return x < y })),
	rows(spec.Softmax, "softmaxF32Ref", softmax),
	{Op: spec.Mix, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "mixF32Ref", Func: mix},
	{Op: spec.MaxPool, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "maxpoolF32Ref", Func: maxPool[float32]},
	{Op: spec.MaxPool, In: tensor.I8, W: tensor.I8, Acc: tensor.I8, Out: tensor.I8, MR: 1, NR: 1, KR: 1, Num: spec.Exact, Name: "maxpoolI8Ref", Func: maxPool[int8]},
	{Op: spec.MaxPool, In: tensor.U8, W: tensor.U8, Acc: tensor.U8, Out: tensor.U8, MR: 1, NR: 1, KR: 1, Num: spec.Exact, Name: "maxpoolU8Ref", Func: maxPool[uint8]},
	{Op: spec.MeanPool, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 16, KR: 1, Num: spec.Consistent, Name: "meanpoolF32Ref", Func: meanPool},
	{Op: spec.WinogradIn, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "winogradinF32Ref", Func: winogradIn},
	{Op: spec.WinogradOut, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "winogradoutF32Ref", Func: winogradOut},
	convert(tensor.F32, tensor.BF16, "convertF32BF16Ref", half.ToBF16),
	convert(tensor.BF16, tensor.F32, "convertBF16F32Ref", half.WidenBF16),
	convert(tensor.F32, tensor.F16, "convertF32F16Ref", half.ToF16),
	convert(tensor.F16, tensor.F32, "convertF16F32Ref", half.WidenF16),
	{Op: spec.Peak, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 1, KR: 1, Num: spec.Consistent, Name: "peakF32Ref", Func: peak[float32]},
	{Op: spec.Peak, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 1, KR: 1, Num: spec.Consistent, Name: "peakBF16Ref", Func: peak[float32]},
	{Op: spec.Peak, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 8, NR: 1, KR: 1, Num: spec.Exact, Name: "peakI8Ref", Func: peak[int32]},
	{Op: spec.Read, In: tensor.U64, W: tensor.U64, Acc: tensor.U64, Out: tensor.U64, MR: 4, NR: 1, KR: 1, Num: spec.Exact, Name: "readU64Ref", Func: read},
	quantised(spec.QuantAdd, "quantaddI8Ref", quantAdd[int8]),
	quantised(spec.QuantAdd, "quantaddU8Ref", quantAdd[uint8]),
	quantised(spec.QuantMul, "quantmulI8Ref", quantMul[int8]),
	quantised(spec.QuantMul, "quantmulU8Ref", quantMul[uint8]),
	quantised(spec.Quantize, "quantizeI8Ref", quantize[int8]),
	quantised(spec.Quantize, "quantizeU8Ref", quantize[uint8]),
	quantised(spec.Quantize, "quantizeI16Ref", quantize[int16]),
	quantised(spec.Quantize, "quantizeU16Ref", quantize[uint16]),
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.I16, MR: 1, NR: 1, KR: 1, Num: spec.Exact, Name: "quantizeawayI16Ref", Func: quantizeAway[int16]},
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.U8, MR: 1, NR: 1, KR: 1, Num: spec.Exact, Name: "quantizeawayU8Ref", Func: quantizeAway[uint8]},
	{Op: spec.ScaleSums, In: tensor.I32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "scalesumsI32Ref", Func: scaleSums},
	quantised(spec.Dequantize, "dequantizeI8Ref", dequantize[int8]),
	quantised(spec.Dequantize, "dequantizeU8Ref", dequantize[uint8]),
}

// function is a row that computes one element at a time.
func function(o spec.Op, name string, f func(float32) float32) spec.Row {
	return parametric(o, name, func(x, _, _ float32) float32 { return f(x) })
}

// parametric is one of a function that depends on Lo and Hi.
func parametric(o spec.Op, name string, f func(x, lo, hi float32) float32) spec.Row {
	run := func(a *spec.MapArgs) {
		x, y := unsafe.Slice((*float32)(a.X), a.N), unsafe.Slice((*float32)(a.Y), a.N)
		for i, v := range x {
			y[i] = f(v, a.Lo, a.Hi)
		}
	}
	return spec.Row{Op: o, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: name, Func: run}
}

// convert is a row that changes the type.
func convert[S, D any](in, out tensor.DType, name string, f func([]D, []S)) spec.Row {
	run := func(a *spec.MapArgs) { f(unsafe.Slice((*D)(a.Y), a.N), unsafe.Slice((*S)(a.X), a.N)) }
	return spec.Row{Op: spec.Convert, In: in, W: in, Acc: tensor.F32, Out: out, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: name, Func: run}
}

// turn is a row that transposes elements of the size of T.
func turn[T uint8 | uint16 | uint32](d tensor.DType, name string) spec.Row {
	size := int(unsafe.Sizeof(T(0)))
	run := func(a *spec.RowsArgs) {
		for i := range a.Rows {
			if a.Cols == 0 {
				return
			}
			for j, v := range unsafe.Slice((*T)(unsafe.Add(a.X, i*a.XStride)), a.Cols) {
				*(*T)(unsafe.Add(a.Y, j*a.YStride+size*i)) = v
			}
		}
	}
	return spec.Row{Op: spec.Turn, In: d, W: d, Acc: d, Out: d, MR: 16, NR: 1, KR: 1, Num: spec.Exact, Name: name, Func: run}
}

// rows is a row of an operation on rows.
func rows(o spec.Op, name string, f func(*spec.RowsArgs)) spec.Row {
	return spec.Row{Op: o, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: name, Func: f}
}

// smaller is x where it is below y or not a number, else y.
func smaller(y, x float32) float32 {
	if x < y || x != x {
		return x
	}
	return y
}

// lanes is a row of a reduction into 16 lanes.
func lanes(o spec.Op, name string, f func(y, x float32) float32) spec.Row {
	run := func(a *spec.MapArgs) {
		y := (*[16]float32)(a.Y)
		for i, v := range unsafe.Slice((*float32)(a.X), a.N) {
			y[i&15] = f(y[i&15], v)
		}
	}
	return spec.Row{Op: o, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 16, KR: 1, Num: spec.Consistent, Name: name, Func: run}
}

// extent is spec.Extent.
func extent(a *spec.MapArgs) {
	y := (*[2]float32)(a.Y)
	lo, hi := y[0], y[1]
	for _, v := range unsafe.Slice((*float32)(a.X), a.N) {
		lo, hi = min(lo, v), max(hi, v)
	}
	y[0], y[1] = lo+0, hi+0
	if lo != lo || hi != hi {
		y[0] += hi
		y[1] += lo
	}
}

// binary is a row of a function of two elements.
func binary(o spec.Op, name string, f func(x, b float32) float32) spec.Row {
	run := func(a *spec.BinaryArgs) {
		x, y := unsafe.Slice((*float32)(a.X), a.N), unsafe.Slice((*float32)(a.Y), a.N)
		for i, v := range x {
			y[i] = f(v, *(*float32)(unsafe.Add(a.B, 4*i*a.Step)))
		}
	}
	return spec.Row{Op: o, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: name, Func: run}
}

func prelu(x, slope float32) float32 {
	if x < 0 {
		return x * slope
	}
	return x
}

func hardSwish(x float32) float32 { return float32(x*min(max(x+3, 0), 6)) / 6 }
