package ref

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/kernels/spec"
)

// careful reports whether rounding s, a sum in float64, to float32 might not be rounding the exact sum: s lies midway
// between two float32, or in their subnormal range. Zero is always exact.
func careful(s float64) bool {
	u := math.Float64bits(s)
	return u&0x1fffffff == 0x10000000 || u<<1-1 < 0x7020000000000000-1
}

// exact returns acc + p rounded once to float32, held in float64. p is the exact product of two float32.
//
//go:noinline
func exact(acc, p float64) float64 { return float64(fmath.AddRounded(p, acc)) }

// chain returns acc + p rounded once to float32, held in float64.
func chain(acc, p float64) float64 {
	s := acc + p
	if careful(s) {
		return exact(acc, p)
	}
	return float64(float32(s))
}

// sums is a register tile of float32, held in float64. A sum c + x*b of these may be fused or not: the product is exact.
type sums = [2][4]float64

// tap returns the two rows of A of a tap; the second stands for the first where the tile has one row.
func tap[T any](a *spec.GemmArgs, t int) (x0, x1 []T) {
	row := func(i int) []T {
		i = min(i, a.Rows-1)
		at := i
		if a.Index != nil {
			at = int(*(*int32)(unsafe.Add(a.Index, 4*(2*t+i))))
		}
		if at < 0 {
			return unsafe.Slice((*T)(a.Zero), a.K)
		}
		return unsafe.Slice((*T)(unsafe.Add(a.A, at*a.AStride)), a.K)
	}
	return row(0), row(1)
}

// weights returns the packed B of a tap.
func weights[T any](a *spec.GemmArgs, t int) [][4]T {
	var z T
	return unsafe.Slice((*[4]T)(unsafe.Add(a.B, 4*int(unsafe.Sizeof(z))*a.K*t)), a.K)
}

// gemmF32 is spec.Gemm: each output is one chain of fused multiply-adds in the order of k.
func gemmF32(a *spec.GemmArgs) {
	c := bias(a)
	if a.K > 0 {
		for t := range a.Taps {
			x0, x1 := tap[float32](a, t)
			multiply(&c, x0, x1, weights[float32](a, t))
		}
	}
	store(a, &c)
}

// multiply adds products to a tile. The doubtful cases of the eight sums of a step are tested together, and then all eight
// take the careful way, which gives the same in the other cases.
func multiply(c *sums, left, right []float32, w [][4]float32) {
	c00, c01, c02, c03 := c[0][0], c[0][1], c[0][2], c[0][3]
	c10, c11, c12, c13 := c[1][0], c[1][1], c[1][2], c[1][3]
	w, right = w[:len(left)], right[:len(left)]
	for k := range left {
		b := &w[k]
		x0, x1 := float64(left[k]), float64(right[k])
		b0, b1, b2, b3 := float64(b[0]), float64(b[1]), float64(b[2]), float64(b[3])
		s00, s01, s02, s03 := c00+x0*b0, c01+x0*b1, c02+x0*b2, c03+x0*b3
		s10, s11, s12, s13 := c10+x1*b0, c11+x1*b1, c12+x1*b2, c13+x1*b3
		if careful(s00) || careful(s01) || careful(s02) || careful(s03) || careful(s10) || careful(s11) || careful(s12) || careful(s13) {
			c00, c01, c02, c03 = exact(c00, x0*b0), exact(c01, x0*b1), exact(c02, x0*b2), exact(c03, x0*b3)
			c10, c11, c12, c13 = exact(c10, x1*b0), exact(c11, x1*b1), exact(c12, x1*b2), exact(c13, x1*b3)
			continue
		}
		c00, c01, c02, c03 = float64(float32(s00)), float64(float32(s01)), float64(float32(s02)), float64(float32(s03))
		c10, c11, c12, c13 = float64(float32(s10)), float64(float32(s11)), float64(float32(s12)), float64(float32(s13))
	}
	*c = sums{{c00, c01, c02, c03}, {c10, c11, c12, c13}}
}

// block is the number of k that rows of narrow types widen at once.
const block = 64

// gemmF16 is gemmF32 with weights that are widened as they are read.
func gemmF16(a *spec.GemmArgs) {
	c := bias(a)
	var wide [block][4]float32
	for t := range a.Taps {
		if a.K == 0 {
			break
		}
		x0, x1 := tap[float32](a, t)
		w := weights[uint16](a, t)
		for len(w) > 0 {
			n := min(block, len(w))
			for k, h := range w[:n] {
				wide[k] = [4]float32{half.FromF16(h[0]), half.FromF16(h[1]), half.FromF16(h[2]), half.FromF16(h[3])}
			}
			multiply(&c, x0[:n], x1[:n], wide[:n])
			x0, x1, w = x0[n:], x1[n:], w[n:]
		}
	}
	store(a, &c)
}

// gemmBF16 multiplies BF16 by BF16 and sums in FP32, in the order of k.
func gemmBF16(a *spec.GemmArgs) {
	c := sumBF16(a)
	store(a, &c)
}

// gemmBF16N is gemmBF16 with results rounded to BF16.
func gemmBF16N(a *spec.GemmArgs) {
	c := sumBF16(a)
	for i := range a.Rows {
		out := unsafe.Slice((*uint16)(unsafe.Add(a.C, 2*i*a.CStride)), a.Cols)
		for j := range out {
			out[j] = half.BF16(Clamp(float32(c[i][j]), a.Lo, a.Hi))
		}
	}
}

func sumBF16(a *spec.GemmArgs) sums {
	c := bias(a)
	var left, right [block]float32
	var wide [block][4]float32
	for t := range a.Taps {
		if a.K == 0 {
			break
		}
		x0, x1 := tap[uint16](a, t)
		w := weights[uint16](a, t)
		for len(w) > 0 {
			n := min(block, len(w))
			for k, h := range w[:n] {
				left[k], right[k] = half.FromBF16(x0[k]), half.FromBF16(x1[k])
				wide[k] = [4]float32{half.FromBF16(h[0]), half.FromBF16(h[1]), half.FromBF16(h[2]), half.FromBF16(h[3])}
			}
			multiply(&c, left[:n], right[:n], wide[:n])
			x0, x1, w = x0[n:], x1[n:], w[n:]
		}
	}
	return c
}

func bias(a *spec.GemmArgs) (c sums) {
	if a.Bias != nil {
		for i := range a.Rows {
			for j, b := range unsafe.Slice((*float32)(unsafe.Add(a.Bias, 4*i*a.BiasStride)), a.Cols) {
				c[i][j] = float64(b)
			}
		}
	}
	return c
}

func store(a *spec.GemmArgs, c *sums) {
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

// depthwiseF32 is spec.DepthwiseRow, four channels at a time.
func depthwiseF32(a *spec.DepthwiseRowArgs) {
	var bias []float32
	if a.Bias != nil {
		bias = unsafe.Slice((*float32)(a.Bias), a.Channels)
	}
	for x := range a.Width {
		out := unsafe.Slice((*float32)(unsafe.Add(a.Out, x*a.OutStep)), a.Channels)
		c := 0
		for ; c+4 <= a.Channels; c += 4 {
			var c0, c1, c2, c3 float64
			if bias != nil {
				b := (*[4]float32)(bias[c:])
				c0, c1, c2, c3 = float64(b[0]), float64(b[1]), float64(b[2]), float64(b[3])
			}
			taps(a, x, 4*c, 4*c, func(from, w unsafe.Pointer) {
				x, y := (*[4]float32)(from), (*[4]float32)(w)
				p0, p1 := float64(x[0])*float64(y[0]), float64(x[1])*float64(y[1])
				p2, p3 := float64(x[2])*float64(y[2]), float64(x[3])*float64(y[3])
				s0, s1, s2, s3 := c0+p0, c1+p1, c2+p2, c3+p3
				if careful(s0) || careful(s1) || careful(s2) || careful(s3) {
					c0, c1, c2, c3 = exact(c0, p0), exact(c1, p1), exact(c2, p2), exact(c3, p3)
				} else {
					c0, c1, c2, c3 = float64(float32(s0)), float64(float32(s1)), float64(float32(s2)), float64(float32(s3))
				}
			})
			o := (*[4]float32)(out[c:])
			o[0], o[1] = Clamp(float32(c0), a.Lo, a.Hi), Clamp(float32(c1), a.Lo, a.Hi)
			o[2], o[3] = Clamp(float32(c2), a.Lo, a.Hi), Clamp(float32(c3), a.Lo, a.Hi)
		}
		for ; c < a.Channels; c++ {
			sum := 0.0
			if bias != nil {
				sum = float64(bias[c])
			}
			taps(a, x, 4*c, 4*c, func(from, w unsafe.Pointer) {
				sum = chain(sum, float64(*(*float32)(from))*float64(*(*float32)(w)))
			})
			out[c] = Clamp(float32(sum), a.Lo, a.Hi)
		}
	}
}

// taps calls f with the input and the weight of each tap of position x, in and w bytes into their channels.
func taps(a *spec.DepthwiseRowArgs, x, in, w int, f func(in, w unsafe.Pointer)) {
	for l, line := range unsafe.Slice((*unsafe.Pointer)(a.In), a.Lines) {
		if line == nil {
			continue
		}
		for t := range a.Across {
			if i := a.Start + x*a.Stride + t*a.Dilation; i >= 0 && i < a.Columns {
				f(unsafe.Add(line, i*a.InStep+in), unsafe.Add(a.W, 4*(l*a.Across+t)*a.Channels+w))
			}
		}
	}
}

// depthwiseBF16 is spec.DepthwiseRow of BF16 by FP32; put stores a result.
func depthwiseBF16[T any](put func(float32) T) func(a *spec.DepthwiseRowArgs) {
	return func(a *spec.DepthwiseRowArgs) {
		for x := range a.Width {
			out := unsafe.Slice((*T)(unsafe.Add(a.Out, x*a.OutStep)), a.Channels)
			for c := range out {
				sum := 0.0
				if a.Bias != nil {
					sum = float64(*(*float32)(unsafe.Add(a.Bias, 4*c)))
				}
				taps(a, x, 2*c, 4*c, func(from, w unsafe.Pointer) {
					sum = chain(sum, float64(half.FromBF16(*(*uint16)(from)))*float64(*(*float32)(w)))
				})
				out[c] = put(Clamp(float32(sum), a.Lo, a.Hi))
			}
		}
	}
}

func itself(f float32) float32 { return f }
