// Package amd64 is the table of the kernels in assembly for amd64.
//
// It builds on every architecture, so that the table can be listed anywhere: rows carry no build tag, only the bindings
// of their functions do. A row whose function is not built in is listed but never selected, since kernels.For asks for
// the rows of the architecture it runs on. Sources are in src; asmgen makes the Go assembly and the bindings.
package amd64

import (
	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

//go:generate go run ../asmgen -arch amd64 -dir .

const (
	fma  = cpu.AVX2 | cpu.FMA
	vnni = cpu.AVX512 | cpu.AVX512VNNI
	vbmi = vnni | cpu.AVX512VBMI
	bf16 = cpu.AVX512 | cpu.AVX512BF16
	// avxvnni has the instructions of VNNI for 256 bits alone.
	avxvnni = cpu.AVX2 | cpu.AVXVNNI
)

// Table lists the rows, best first.
var Table = bound([]spec.Row{
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 48, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "gemmF32Zmm8x48"},
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 6, NR: 16, KR: 1, Needs: fma, Num: spec.Consistent, Name: "gemmF32Ymm6x16"},
	{Op: spec.Gemm, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 48, KR: 2, Needs: bf16, Num: spec.Approx, ULP: 2, Name: "gemmBF16Zmm8x48"},
	{Op: spec.Gemm, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.BF16, MR: 8, NR: 48, KR: 2, Needs: bf16, Num: spec.Approx, ULP: 2, Name: "gemmBF16NZmm8x48"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 8, NR: 48, KR: 4, WShift: 128, Needs: vnni, Num: spec.Exact, Depth: 40, Name: "gemmI8QDeepVnni8x48"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 8, NR: 48, KR: 4, Shift: 128, Needs: vnni, Num: spec.Exact, Name: "gemmI8QVnni8x48"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 8, NR: 48, KR: 4, Needs: vnni, Num: spec.Exact, Name: "gemmU8I8QVnni8x48"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 8, NR: 48, KR: 2, Needs: vnni, Num: spec.Exact, Name: "gemmI16QI8Vnni8x48", Code: "gemmI16QVnni8x48"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 8, NR: 48, KR: 2, Needs: vnni, Num: spec.Exact, Name: "gemmI16QU8Vnni8x48", Code: "gemmI16QVnni8x48"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 8, NR: 48, KR: 4, WShift: 128, Needs: vnni, Num: spec.Exact, Depth: 40, Name: "gemmI8DeepVnni8x48"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 8, NR: 48, KR: 4, Shift: 128, Needs: vnni, Num: spec.Exact, Name: "gemmI8Vnni8x48"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 8, NR: 48, KR: 4, Needs: vnni, Num: spec.Exact, Name: "gemmU8I8Vnni8x48"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.F32, MR: 8, NR: 48, KR: 4, Needs: vnni, Num: spec.Consistent, Name: "gemmU8I8F32Vnni8x48"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I32, MR: 8, NR: 48, KR: 2, Needs: vnni, Num: spec.Exact, Name: "gemmI16Vnni8x48"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 6, NR: 16, KR: 4, Shift: 128, Needs: avxvnni, Num: spec.Exact, Name: "gemmI8QAvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 6, NR: 16, KR: 4, Needs: avxvnni, Num: spec.Exact, Name: "gemmU8I8QAvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 6, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "gemmI16QI8AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 6, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "gemmI16QU8AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 4, Shift: 128, Needs: avxvnni, Num: spec.Exact, Name: "gemmI8AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 4, Needs: avxvnni, Num: spec.Exact, Name: "gemmU8I8AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.F32, MR: 6, NR: 16, KR: 4, Needs: avxvnni, Num: spec.Consistent, Name: "gemmU8I8F32AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "gemmI16AvxVnni6x16"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmI8QYmm6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmU8I8QYmm6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmI16QI8Ymm6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmI16QU8Ymm6x16"},
	{Op: spec.Gemm, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmI8Ymm6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmU8I8Ymm6x16"},
	{Op: spec.Gemm, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.F32, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Consistent, Name: "gemmU8I8F32Ymm6x16"},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I32, MR: 6, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemmI16Ymm6x16"},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 4, NR: 64, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "gemvF32Zmm4x64"},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F16, Acc: tensor.F32, Out: tensor.F32, MR: 4, NR: 64, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "gemvF16Zmm4x64"},
	{Op: spec.Gemv, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 4, NR: 64, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "gemvBF16Zmm4x64"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 4, NR: 64, KR: 4, Shift: 128, Needs: vnni, Num: spec.Exact, Name: "gemvI8QVnni4x64"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 4, NR: 64, KR: 4, Needs: vnni, Num: spec.Exact, Name: "gemvU8I8QVnni4x64"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 4, NR: 64, KR: 4, Shift: 128, Needs: vnni, Num: spec.Exact, Name: "gemvI8Vnni4x64"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 4, NR: 64, KR: 4, Needs: vnni, Num: spec.Exact, Name: "gemvU8I8Vnni4x64"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 2, NR: 32, KR: 4, Shift: 128, Needs: avxvnni, Num: spec.Exact, Name: "gemvI8QAvxVnni2x32"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 2, NR: 32, KR: 4, Needs: avxvnni, Num: spec.Exact, Name: "gemvU8I8QAvxVnni2x32"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 32, KR: 4, Shift: 128, Needs: avxvnni, Num: spec.Exact, Name: "gemvI8AvxVnni2x32"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 32, KR: 4, Needs: avxvnni, Num: spec.Exact, Name: "gemvU8I8AvxVnni2x32"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 2, NR: 32, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemvI8QYmm2x32"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 2, NR: 32, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemvU8I8QYmm2x32"},
	{Op: spec.Gemv, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 32, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemvI8Ymm2x32"},
	{Op: spec.Gemv, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 32, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "gemvU8I8Ymm2x32"},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 32, KR: 1, Needs: fma, Num: spec.Consistent, Name: "gemvF32Ymm2x32"},
	{Op: spec.Gemv, In: tensor.F32, W: tensor.F16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 32, KR: 1, Needs: fma | cpu.F16C, Num: spec.Consistent, Name: "gemvF16Ymm2x32"},
	{Op: spec.Gemv, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 32, KR: 1, Needs: fma, Num: spec.Consistent, Name: "gemvBF16Ymm2x32"},
	{Op: spec.DepthwiseRow, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "depthwiserowF32Zmm8x16"},
	{Op: spec.DepthwiseRow, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 8, KR: 1, Needs: fma, Num: spec.Consistent, Name: "depthwiserowF32Ymm8x8"},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "depthwiserowBF16Zmm8x16"},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.BF16, MR: 8, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "depthwiserowBF16NZmm8x16"},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 8, NR: 8, KR: 1, Needs: fma, Num: spec.Consistent, Name: "depthwiserowBF16Ymm8x8"},
	{Op: spec.DepthwiseRow, In: tensor.BF16, W: tensor.F32, Acc: tensor.F32, Out: tensor.BF16, MR: 8, NR: 8, KR: 1, Needs: fma, Num: spec.Consistent, Name: "depthwiserowBF16NYmm8x8"},
	{Op: spec.DepthwiseRow, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 8, NR: 16, KR: 4, Shift: 128, Needs: vbmi, Num: spec.Exact, Name: "depthwiserowI8QVbmi8x16"},
	{Op: spec.DepthwiseRow, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 8, NR: 16, KR: 4, Needs: vbmi, Num: spec.Exact, Name: "depthwiserowU8I8QVbmi8x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 8, NR: 16, KR: 2, Needs: vbmi, Num: spec.Exact, Name: "depthwiserowI16QI8Vbmi8x16", Code: "depthwiserowI16QVbmi8x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 8, NR: 16, KR: 2, Needs: vbmi, Num: spec.Exact, Name: "depthwiserowI16QU8Vbmi8x16", Code: "depthwiserowI16QVbmi8x16"},
	{Op: spec.DepthwiseRow, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 4, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "depthwiserowI8QAvxVnni4x16"},
	{Op: spec.DepthwiseRow, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 4, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "depthwiserowU8I8QAvxVnni4x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 4, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "depthwiserowI16QI8AvxVnni4x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 4, NR: 16, KR: 2, Needs: avxvnni, Num: spec.Exact, Name: "depthwiserowI16QU8AvxVnni4x16"},
	{Op: spec.DepthwiseRow, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I8, MR: 4, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "depthwiserowI8QYmm4x16"},
	{Op: spec.DepthwiseRow, In: tensor.U8, W: tensor.I8, Acc: tensor.I32, Out: tensor.U8, MR: 4, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "depthwiserowU8I8QYmm4x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I8, MR: 4, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "depthwiserowI16QI8Ymm4x16"},
	{Op: spec.DepthwiseRow, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.U8, MR: 4, NR: 16, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "depthwiserowI16QU8Ymm4x16"},
	function(spec.Exp, "expF32Zmm"),
	function(spec.Sigmoid, "sigmoidF32Zmm"),
	function(spec.Tanh, "tanhF32Zmm"),
	function(spec.Erf, "erfF32Zmm"),
	function(spec.Gelu, "geluF32Zmm"),
	function(spec.GeluTanh, "gelutanhF32Zmm"),
	function(spec.Swish, "swishF32Zmm"),
	function(spec.HardSwish, "hardswishF32Zmm"),
	function(spec.Log, "logF32Zmm"),
	function(spec.Softplus, "softplusF32Zmm"),
	function(spec.Mish, "mishF32Zmm"),
	function(spec.Elu, "eluF32Zmm"),
	function(spec.LeakyRelu, "leakyreluF32Zmm"),
	function(spec.HardSigmoid, "hardsigmoidF32Zmm"),
	functionFMA(spec.Exp, "expF32Ymm"),
	functionFMA(spec.Sigmoid, "sigmoidF32Ymm"),
	functionFMA(spec.Tanh, "tanhF32Ymm"),
	functionFMA(spec.Erf, "erfF32Ymm"),
	functionFMA(spec.Gelu, "geluF32Ymm"),
	functionFMA(spec.GeluTanh, "gelutanhF32Ymm"),
	functionFMA(spec.Swish, "swishF32Ymm"),
	function8(spec.HardSwish, "hardswishF32Ymm"),
	functionFMA(spec.Log, "logF32Ymm"),
	functionFMA(spec.Softplus, "softplusF32Ymm"),
	functionFMA(spec.Mish, "mishF32Ymm"),
	functionFMA(spec.Elu, "eluF32Ymm"),
	function8(spec.LeakyRelu, "leakyreluF32Ymm"),
	function8(spec.HardSigmoid, "hardsigmoidF32Ymm"),
	function(spec.Add, "addF32Zmm"),
	function(spec.Sub, "subF32Zmm"),
	function(spec.SubFrom, "subfromF32Zmm"),
	function(spec.Mul, "mulF32Zmm"),
	function(spec.Div, "divF32Zmm"),
	function(spec.DivInto, "divintoF32Zmm"),
	function(spec.PRelu, "preluF32Zmm"),
	function(spec.Max, "maxF32Zmm"),
	function(spec.Min, "minF32Zmm"),
	function(spec.Clip, "clipF32Zmm"),
	function8(spec.Add, "addF32Ymm"),
	function8(spec.Sub, "subF32Ymm"),
	function8(spec.SubFrom, "subfromF32Ymm"),
	function8(spec.Mul, "mulF32Ymm"),
	function8(spec.Div, "divF32Ymm"),
	function8(spec.DivInto, "divintoF32Ymm"),
	function8(spec.PRelu, "preluF32Ymm"),
	function8(spec.Max, "maxF32Ymm"),
	function8(spec.Min, "minF32Ymm"),
	function8(spec.Clip, "clipF32Ymm"),
	turn(tensor.U8, cpu.AVX512, 64, 16, "turn1x64Zmm"),
	turn(tensor.U16, cpu.AVX512, 32, 8, "turn2x32Zmm"),
	turn(tensor.U32, cpu.AVX512, 16, 16, "turn4x16Zmm"),
	turn(tensor.U8, cpu.AVX2, 16, 16, "turn1x16Ymm"),
	turn(tensor.U16, cpu.AVX2, 16, 8, "turn2x16Ymm"),
	turn(tensor.U32, cpu.AVX2, 8, 8, "turn4x8Ymm"),
	function(spec.SumLanes, "sumlanesF32Zmm"),
	function(spec.SquareLanes, "squarelanesF32Zmm"),
	function(spec.Extent, "extentF32Zmm"),
	function8(spec.SumLanes, "sumlanesF32Ymm"),
	function8(spec.SquareLanes, "squarelanesF32Ymm"),
	function8(spec.Extent, "extentF32Ymm"),
	function(spec.SumRows, "sumrowsF32Zmm"),
	function(spec.MaxRows, "maxrowsF32Zmm"),
	function(spec.MinRows, "minrowsF32Zmm"),
	function(spec.ArgMaxRows, "argmaxrowsF32Zmm"),
	function(spec.ArgMinRows, "argminrowsF32Zmm"),
	function(spec.Softmax, "softmaxF32Zmm"),
	function(spec.Mix, "mixF32Zmm"),
	function(spec.MaxPool, "maxpoolF32Zmm"),
	function(spec.MeanPool, "meanpoolF32Zmm"),
	function8(spec.SumRows, "sumrowsF32Ymm"),
	function8(spec.MaxRows, "maxrowsF32Ymm"),
	function8(spec.MinRows, "minrowsF32Ymm"),
	function8(spec.ArgMaxRows, "argmaxrowsF32Ymm"),
	function8(spec.ArgMinRows, "argminrowsF32Ymm"),
	functionFMA(spec.Softmax, "softmaxF32Ymm"),
	function8(spec.Mix, "mixF32Ymm"),
	function8(spec.MaxPool, "maxpoolF32Ymm"),
	function8(spec.MeanPool, "meanpoolF32Ymm"),
	function(spec.WinogradIn, "winogradinF32Zmm"),
	function(spec.WinogradOut, "winogradoutF32Zmm"),
	functionFMA(spec.WinogradIn, "winogradinF32Ymm"),
	functionFMA(spec.WinogradOut, "winogradoutF32Ymm"),
	bytes(spec.MaxPool, tensor.I8, cpu.AVX512, 64, "maxpoolI8Zmm"),
	bytes(spec.MaxPool, tensor.U8, cpu.AVX512, 64, "maxpoolU8Zmm"),
	bytes(spec.MaxPool, tensor.I8, cpu.AVX2, 32, "maxpoolI8Ymm"),
	bytes(spec.MaxPool, tensor.U8, cpu.AVX2, 32, "maxpoolU8Ymm"),
	convert(tensor.F32, tensor.BF16, cpu.AVX512, 16, "convertF32BF16Zmm"),
	convert(tensor.BF16, tensor.F32, cpu.AVX512, 16, "convertBF16F32Zmm"),
	convert(tensor.F32, tensor.F16, cpu.AVX512, 16, "convertF32F16Zmm"),
	convert(tensor.F16, tensor.F32, cpu.AVX512, 16, "convertF16F32Zmm"),
	convert(tensor.F32, tensor.BF16, cpu.AVX2, 8, "convertF32BF16Ymm"),
	convert(tensor.BF16, tensor.F32, cpu.AVX2, 8, "convertBF16F32Ymm"),
	convert(tensor.F32, tensor.F16, cpu.AVX2|cpu.F16C, 8, "convertF32F16Ymm"),
	convert(tensor.F16, tensor.F32, cpu.AVX2|cpu.F16C, 8, "convertF16F32Ymm"),
	{Op: spec.Peak, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 24, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "peakF32Zmm24x16"},
	{Op: spec.Peak, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 12, NR: 8, KR: 1, Needs: fma, Num: spec.Consistent, Name: "peakF32Ymm12x8"},
	{Op: spec.Peak, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 24, NR: 16, KR: 2, Needs: cpu.AVX512 | cpu.AVX512BF16, Num: spec.Consistent, Name: "peakBF16Zmm24x16"},
	{Op: spec.Peak, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 24, NR: 16, KR: 4, Needs: vnni, Num: spec.Exact, Name: "peakI8Vnni24x16"},
	{Op: spec.Peak, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 12, NR: 8, KR: 4, Needs: cpu.AVX2 | cpu.AVXVNNI, Num: spec.Exact, Name: "peakI8AvxVnni12x8"},
	{Op: spec.Peak, In: tensor.I8, W: tensor.I8, Acc: tensor.I32, Out: tensor.I32, MR: 12, NR: 8, KR: 2, Needs: cpu.AVX2, Num: spec.Exact, Name: "peakI8Ymm12x8"},
	{Op: spec.Read, In: tensor.U64, W: tensor.U64, Acc: tensor.U64, Out: tensor.U64, MR: 8, NR: 8, KR: 1, Needs: cpu.AVX512, Num: spec.Exact, Name: "readU64Zmm"},
	{Op: spec.Read, In: tensor.U64, W: tensor.U64, Acc: tensor.U64, Out: tensor.U64, MR: 8, NR: 4, KR: 1, Needs: cpu.AVX2, Num: spec.Exact, Name: "readU64Ymm"},
	quantised(spec.QuantAdd, tensor.I8, cpu.AVX512, 16, "quantaddI8Zmm", ""),
	quantised(spec.QuantAdd, tensor.U8, cpu.AVX512, 16, "quantaddU8Zmm", ""),
	quantised(spec.QuantMul, tensor.I8, cpu.AVX512, 16, "quantmulI8Zmm", ""),
	quantised(spec.QuantMul, tensor.U8, cpu.AVX512, 16, "quantmulU8Zmm", ""),
	quantised(spec.Quantize, tensor.I8, cpu.AVX512, 16, "quantizeI8Zmm", "quantize8Zmm"),
	quantised(spec.Quantize, tensor.U8, cpu.AVX512, 16, "quantizeU8Zmm", "quantize8Zmm"),
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.I16, MR: 1, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Exact, Name: "quantizeawayI16Zmm"},
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.U8, MR: 1, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Exact, Name: "quantizeawayU8Zmm"},
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.I16, MR: 1, NR: 8, KR: 1, Needs: cpu.AVX2, Num: spec.Exact, Name: "quantizeawayI16Ymm"},
	{Op: spec.QuantizeAway, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.U8, MR: 1, NR: 8, KR: 1, Needs: cpu.AVX2, Num: spec.Exact, Name: "quantizeawayU8Ymm"},
	{Op: spec.ScaleSums, In: tensor.I32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: "scalesumsI32Zmm"},
	{Op: spec.ScaleSums, In: tensor.I32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 8, KR: 1, Needs: cpu.AVX2, Num: spec.Consistent, Name: "scalesumsI32Ymm"},
	quantised(spec.Dequantize, tensor.I8, cpu.AVX512, 16, "dequantizeI8Zmm", ""),
	quantised(spec.Dequantize, tensor.U8, cpu.AVX512, 16, "dequantizeU8Zmm", ""),
	quantised(spec.QuantAdd, tensor.I8, cpu.AVX2, 8, "quantaddI8Ymm", ""),
	quantised(spec.QuantAdd, tensor.U8, cpu.AVX2, 8, "quantaddU8Ymm", ""),
	quantised(spec.QuantMul, tensor.I8, cpu.AVX2, 8, "quantmulI8Ymm", ""),
	quantised(spec.QuantMul, tensor.U8, cpu.AVX2, 8, "quantmulU8Ymm", ""),
	quantised(spec.Quantize, tensor.I8, cpu.AVX2, 8, "quantizeI8Ymm", "quantize8Ymm"),
	quantised(spec.Quantize, tensor.U8, cpu.AVX2, 8, "quantizeU8Ymm", "quantize8Ymm"),
	quantised(spec.Dequantize, tensor.I8, cpu.AVX2, 8, "dequantizeI8Ymm", ""),
	quantised(spec.Dequantize, tensor.U8, cpu.AVX2, 8, "dequantizeU8Ymm", ""),
})

// quantised is a row of n elements of an integer type at once.
func quantised(o spec.Op, d tensor.DType, needs cpu.Features, n int, name, code string) spec.Row {
	r := spec.Row{Op: o, In: d, W: d, Acc: tensor.F32, Out: d, MR: 1, NR: n, KR: 1, Needs: needs, Num: spec.Exact, Name: name, Code: code}
	switch o {
	case spec.Quantize:
		r.In, r.W = tensor.F32, tensor.F32
	case spec.Dequantize:
		r.W, r.Out, r.Num = tensor.F32, tensor.F32, spec.Consistent
	}
	return r
}

// turn is a row that transposes elements of the size of d.
func turn(d tensor.DType, needs cpu.Features, rows, cols int, name string) spec.Row {
	return spec.Row{Op: spec.Turn, In: d, W: d, Acc: d, Out: d, MR: rows, NR: cols, KR: 1, Needs: needs, Num: spec.Exact, Name: name}
}

// function is a row of 16 elements at once.
func function(o spec.Op, name string) spec.Row {
	return spec.Row{Op: o, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 16, KR: 1, Needs: cpu.AVX512, Num: spec.Consistent, Name: name}
}

// function8 is a row of 8 elements at once.
func function8(o spec.Op, name string) spec.Row {
	r := function(o, name)
	r.NR, r.Needs = 8, cpu.AVX2
	return r
}

// functionFMA is one that multiplies and adds at once.
func functionFMA(o spec.Op, name string) spec.Row {
	r := function8(o, name)
	r.Needs = fma
	return r
}

// bytes is a row of n elements of one type at once.
func bytes(o spec.Op, d tensor.DType, needs cpu.Features, n int, name string) spec.Row {
	return spec.Row{Op: o, In: d, W: d, Acc: d, Out: d, MR: 1, NR: n, KR: 1, Needs: needs, Num: spec.Exact, Name: name}
}

// convert is a row of n elements at once.
func convert(in, out tensor.DType, needs cpu.Features, n int, name string) spec.Row {
	return spec.Row{Op: spec.Convert, In: in, W: in, Acc: tensor.F32, Out: out, MR: 1, NR: n, KR: 1, Needs: needs, Num: spec.Consistent, Name: name}
}

// bound gives the rows their functions, where these are built in. A routine that serves several rows bears the name of none.
func bound(rows []spec.Row) []spec.Row {
	for i := range rows {
		r := &rows[i]
		if r.Code == "" {
			r.Code = r.Name
		}
		r.Func = functions[r.Code]
	}
	return rows
}
