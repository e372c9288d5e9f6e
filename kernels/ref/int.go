package ref

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

type (
	operand interface{ int8 | uint8 | int16 | int32 }
	sum     interface{ int32 | int64 }
	output  interface{ int8 | uint8 | int16 }
)

// products returns the sums of a tile, without the bias.
func products[A, B operand, C sum](a *spec.GemmArgs) [2][4]C {
	var c00, c01, c02, c03, c10, c11, c12, c13 C
	for t := range a.Taps {
		if a.K == 0 {
			break
		}
		left, right := tap[A](a, t)
		w := weights[B](a, t)
		w, right = w[:len(left)], right[:len(left)]
		for k := range left {
			b := &w[k]
			x0, x1 := C(left[k]), C(right[k])
			b0, b1, b2, b3 := C(b[0]), C(b[1]), C(b[2]), C(b[3])
			c00 += x0 * b0
			c01 += x0 * b1
			c02 += x0 * b2
			c03 += x0 * b3
			c10 += x1 * b0
			c11 += x1 * b1
			c12 += x1 * b2
			c13 += x1 * b3
		}
	}
	return [2][4]C{{c00, c01, c02, c03}, {c10, c11, c12, c13}}
}

// biases returns n elements; nil where there are none.
func biases[C sum](p unsafe.Pointer, n int) []C {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*C)(p), n)
}

// gemmInt is spec.Gemm with the sums as its result.
func gemmInt[A, B operand, C sum](a *spec.GemmArgs) {
	c := products[A, B, C](a)
	bias := biases[C](a.Bias, a.Cols)
	var z C
	for i := range a.Rows {
		out := unsafe.Slice((*C)(unsafe.Add(a.C, int(unsafe.Sizeof(z))*i*a.CStride)), a.Cols)
		for j := range out {
			out[j] = c[i][j]
			if bias != nil {
				out[j] += bias[j]
			}
		}
	}
}

// gemmQuant is spec.Gemm with requantised results.
func gemmQuant[A, B operand, C sum, O output](a *spec.GemmArgs) {
	c := products[A, B, C](a)
	bias := biases[C](a.Bias, a.Cols)
	scale := unsafe.Slice((*float32)(a.Scale), a.Cols)
	var z O
	for i := range a.Rows {
		out := unsafe.Slice((*O)(unsafe.Add(a.C, int(unsafe.Sizeof(z))*i*a.CStride)), a.Cols)
		for j := range out {
			v := c[i][j]
			if bias != nil {
				v += bias[j]
			}
			out[j] = O(Requantise(v, scale[j], a.OutZero, a.QLo, a.QHi))
		}
	}
}

// Requantise is the epilogue of integer sums. A product that is not a number yields lo.
func Requantise[C sum](acc C, scale float32, zero, lo, hi int32) int32 {
	q := math.RoundToEven(float64(float32(float32(acc)*scale))) + float64(zero)
	if !(q > float64(lo)) {
		return lo
	}
	if q > float64(hi) {
		return hi
	}
	return int32(q)
}

// depthwiseQuant is spec.Depthwise with requantised results.
func depthwiseQuant[A, B operand, O output](a *spec.DepthwiseArgs) {
	for x := range a.Width {
		depthwiseQuantAt[A, B](a, x*a.InStep, unsafe.Slice((*O)(unsafe.Add(a.Out, x*a.OutStep)), a.Channels))
	}
}

func depthwiseQuantAt[A, B operand, O output](a *spec.DepthwiseArgs, at int, out []O) {
	in := unsafe.Slice((*unsafe.Pointer)(a.In), a.Taps)
	scale := unsafe.Slice((*float32)(a.Scale), a.Channels)
	bias := biases[int32](a.Bias, a.Channels)
	var za A
	var zb B
	sizeA, sizeB := int(unsafe.Sizeof(za)), int(unsafe.Sizeof(zb))
	c := 0
	for ; c+4 <= a.Channels; c += 4 {
		var c0, c1, c2, c3 int32
		if bias != nil {
			b := (*[4]int32)(bias[c:])
			c0, c1, c2, c3 = b[0], b[1], b[2], b[3]
		}
		for t, p := range in {
			x, y := (*[4]A)(unsafe.Add(p, at+c*sizeA)), (*[4]B)(unsafe.Add(a.W, (t*a.Channels+c)*sizeB))
			c0 += int32(x[0]) * int32(y[0])
			c1 += int32(x[1]) * int32(y[1])
			c2 += int32(x[2]) * int32(y[2])
			c3 += int32(x[3]) * int32(y[3])
		}
		s, o := (*[4]float32)(scale[c:]), (*[4]O)(out[c:])
		o[0] = O(Requantise(c0, s[0], a.OutZero, a.QLo, a.QHi))
		o[1] = O(Requantise(c1, s[1], a.OutZero, a.QLo, a.QHi))
		o[2] = O(Requantise(c2, s[2], a.OutZero, a.QLo, a.QHi))
		o[3] = O(Requantise(c3, s[3], a.OutZero, a.QLo, a.QHi))
	}
	for ; c < a.Channels; c++ {
		var sum int32
		if bias != nil {
			sum = bias[c]
		}
		for t, p := range in {
			sum += int32(*(*A)(unsafe.Add(p, at+c*sizeA))) * int32(*(*B)(unsafe.Add(a.W, (t*a.Channels+c)*sizeB)))
		}
		out[c] = O(Requantise(sum, scale[c], a.OutZero, a.QLo, a.QHi))
	}
}
