// Package ref holds kernels in plain Go. They define the numerics that every other row must reproduce, and end every
// chain of the table, so that each operation runs on each machine.
//
// Go has no float32 multiply-add and may fuse x*y+z, so the FP32 rows multiply in float64, where the product is exact,
// and round as internal/fmath.FMA does.
package ref

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Table lists the rows, best first.
var Table = []spec.Row{
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmF32Ref2x4", Func: gemmF32},
	{Op: spec.Gemm, In: tensor.F32, W: tensor.F16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmF16Ref2x4", Func: gemmF16},
	{Op: spec.Gemm, In: tensor.BF16, W: tensor.BF16, Acc: tensor.F32, Out: tensor.F32, MR: 2, NR: 4, KR: 1, Num: spec.Consistent, Name: "gemmBF16Ref2x4", Func: gemmBF16},
	{Op: spec.Gemm, In: tensor.I16, W: tensor.I16, Acc: tensor.I32, Out: tensor.I32, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI16Ref2x4", Func: gemmI16},
	{Op: spec.Gemm, In: tensor.I32, W: tensor.I32, Acc: tensor.I64, Out: tensor.I64, MR: 2, NR: 4, KR: 1, Num: spec.Exact, Name: "gemmI32Ref2x4", Func: gemmI32},
	{Op: spec.Depthwise, In: tensor.F32, W: tensor.F32, Acc: tensor.F32, Out: tensor.F32, MR: 1, NR: 1, KR: 1, Num: spec.Consistent, Name: "depthwiseF32Ref", Func: depthwiseF32},
}

// fma returns acc + p rounded to float32, held in float64. p is the exact product of two float32.
func fma(acc, p float64) float64 {
	s := acc + p
	u := math.Float64bits(s)
	if u&0x1fffffff == 0x10000000 || u<<1 < 0x7020000000000000 {
		return fmaEdge(acc, p)
	}
	return float64(float32(s))
}

// fmaEdge is fma near ties and in float32's subnormal range.
//
//go:noinline
func fmaEdge(acc, p float64) float64 { return float64(fmath.AddRounded(p, acc)) }

// gemmF32 is spec.Gemm: each output is one chain of fused multiply-adds in the order of k.
func gemmF32(a *spec.GemmArgs) {
	x := unsafe.Slice((*[2]float32)(a.A), a.K)
	w := unsafe.Slice((*[4]float32)(a.B), a.K)
	var c0, c1 [4]float64
	bias(a, &c0)
	c1 = c0
	c00, c01, c02, c03 := c0[0], c0[1], c0[2], c0[3]
	c10, c11, c12, c13 := c1[0], c1[1], c1[2], c1[3]
	w = w[:len(x)]
	for k := range x {
		b := &w[k]
		x0, x1 := float64(x[k][0]), float64(x[k][1])
		b0, b1, b2, b3 := float64(b[0]), float64(b[1]), float64(b[2]), float64(b[3])
		c00 = fma(c00, x0*b0)
		c01 = fma(c01, x0*b1)
		c02 = fma(c02, x0*b2)
		c03 = fma(c03, x0*b3)
		c10 = fma(c10, x1*b0)
		c11 = fma(c11, x1*b1)
		c12 = fma(c12, x1*b2)
		c13 = fma(c13, x1*b3)
	}
	store(a, &[2][4]float64{{c00, c01, c02, c03}, {c10, c11, c12, c13}})
}

// gemmF16 is gemmF32 with weights that are widened as they are read.
func gemmF16(a *spec.GemmArgs) {
	x := unsafe.Slice((*[2]float32)(a.A), a.K)
	w := unsafe.Slice((*[4]uint16)(a.B), a.K)
	var c [2][4]float64
	bias(a, &c[0])
	c[1] = c[0]
	for k := range x {
		for j, h := range w[k] {
			b := float64(half.FromF16(h))
			c[0][j] = fma(c[0][j], float64(x[k][0])*b)
			c[1][j] = fma(c[1][j], float64(x[k][1])*b)
		}
	}
	store(a, &c)
}

// gemmBF16 multiplies BF16 by BF16 and sums in FP32, in the order of k.
func gemmBF16(a *spec.GemmArgs) {
	x := unsafe.Slice((*[2]uint16)(a.A), a.K)
	w := unsafe.Slice((*[4]uint16)(a.B), a.K)
	var c [2][4]float64
	bias(a, &c[0])
	c[1] = c[0]
	for k := range x {
		x0, x1 := float64(half.FromBF16(x[k][0])), float64(half.FromBF16(x[k][1]))
		for j, h := range w[k] {
			b := float64(half.FromBF16(h))
			c[0][j] = fma(c[0][j], x0*b)
			c[1][j] = fma(c[1][j], x1*b)
		}
	}
	store(a, &c)
}

func bias(a *spec.GemmArgs, c *[4]float64) {
	if a.Bias == nil {
		return
	}
	for j, b := range unsafe.Slice((*float32)(a.Bias), a.Cols) {
		c[j] = float64(b)
	}
}

func store(a *spec.GemmArgs, c *[2][4]float64) {
	for i := range a.Rows {
		out := unsafe.Slice((*float32)(unsafe.Add(a.C, 4*i*a.CStride)), a.Cols)
		for j := range out {
			out[j] = Clamp(float32(c[i][j]), a.Lo, a.Hi)
		}
	}
}

// Clamp bounds x to [lo, hi]. NaN stays NaN.
func Clamp(x, lo, hi float32) float32 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

// gemmI16 is the integer product of operands with their zero points already taken off, summed exactly.
func gemmI16(a *spec.GemmArgs) {
	x := unsafe.Slice((*[2]int16)(a.A), a.K)
	w := unsafe.Slice((*[4]int16)(a.B), a.K)
	var c00, c01, c02, c03, c10, c11, c12, c13 int32
	w = w[:len(x)]
	for k := range x {
		b := &w[k]
		x0, x1 := int32(x[k][0]), int32(x[k][1])
		b0, b1, b2, b3 := int32(b[0]), int32(b[1]), int32(b[2]), int32(b[3])
		c00 += x0 * b0
		c01 += x0 * b1
		c02 += x0 * b2
		c03 += x0 * b3
		c10 += x1 * b0
		c11 += x1 * b1
		c12 += x1 * b2
		c13 += x1 * b3
	}
	storeInts(a, &[2][4]int32{{c00, c01, c02, c03}, {c10, c11, c12, c13}})
}

// gemmI32 is gemmI16 for operands of up to 32 bits, summed in 64.
func gemmI32(a *spec.GemmArgs) {
	x := unsafe.Slice((*[2]int32)(a.A), a.K)
	w := unsafe.Slice((*[4]int32)(a.B), a.K)
	var c [2][4]int64
	for k := range x {
		for j, b := range w[k] {
			c[0][j] += int64(x[k][0]) * int64(b)
			c[1][j] += int64(x[k][1]) * int64(b)
		}
	}
	storeInts(a, &c)
}

func storeInts[T int32 | int64](a *spec.GemmArgs, c *[2][4]T) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	for i := range a.Rows {
		out := unsafe.Slice((*T)(unsafe.Add(a.C, size*i*a.CStride)), a.Cols)
		for j := range out {
			out[j] = c[i][j]
			if a.Bias != nil {
				out[j] += unsafe.Slice((*T)(a.Bias), a.Cols)[j]
			}
		}
	}
}

// depthwiseF32 is spec.Depthwise.
func depthwiseF32(a *spec.DepthwiseArgs) {
	in := unsafe.Slice((*unsafe.Pointer)(a.In), a.Taps)
	out := unsafe.Slice((*float32)(a.Out), a.Channels)
	if a.Bias != nil {
		copy(out, unsafe.Slice((*float32)(a.Bias), a.Channels))
	} else {
		clear(out)
	}
	for t, p := range in {
		if p == nil {
			continue
		}
		x := unsafe.Slice((*float32)(p), a.Channels)
		w := unsafe.Slice((*float32)(unsafe.Add(a.W, 4*t*a.Channels)), a.Channels)
		for c := range out {
			out[c] = float32(fma(float64(out[c]), float64(x[c])*float64(w[c])))
		}
	}
	for c, v := range out {
		out[c] = Clamp(v, a.Lo, a.Hi)
	}
}
