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

// gemmFloats is spec.Gemm of bytes with FP32 as its result.
func gemmFloats(a *spec.GemmArgs) {
	c := products[uint8, int8, int32](a)
	bias := biases[int32](a.Bias, a.Cols)
	for i := range a.Rows {
		for j, b := range bias {
			c[i][j] += b
		}
	}
	scaleSums(&spec.ScaleArgs{A: unsafe.Pointer(&c), C: a.C, Scale: a.Scale, Bias: a.Offset, Rows: a.Rows, Cols: a.Cols, AStride: 4 * 4, CStride: 4 * a.CStride, Lo: a.Lo, Hi: a.Hi})
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

// depthwiseInt is spec.DepthwiseRow with requantised results.
func depthwiseInt[A, B operand, O output](a *spec.DepthwiseRowArgs) {
	const nr = 4
	var za A
	var zb B
	sizeA := int(unsafe.Sizeof(za))
	in := unsafe.Slice((*unsafe.Pointer)(a.In), a.Lines)
	scale, bias := unsafe.Slice((*float32)(a.Scale), a.Channels), biases[int32](a.Bias, a.Channels)
	pad := [nr]A{A(a.Pad), A(a.Pad), A(a.Pad), A(a.Pad)}
	block := spec.Row{NR: nr}
	for x := range a.Width {
		out := unsafe.Slice((*O)(unsafe.Add(a.Out, x*a.OutStep)), a.Channels)
		w := a.W
		for b := range (a.Channels + nr - 1) / nr {
			first := block.Block(b, a.Channels)
			var c [nr]int32
			if bias != nil {
				copy(c[:], bias[first:])
			}
			some := pad
			for _, line := range in {
				for t := range a.Across {
					v := &pad
					if i := a.Start + x*a.Stride + t*a.Dilation; i >= 0 && i < a.Columns {
						if at := unsafe.Add(line, i*a.InStep+first*sizeA); a.Channels >= nr {
							v = (*[nr]A)(at)
						} else {
							copy(some[:], unsafe.Slice((*A)(at), a.Channels))
							v = &some
						}
					}
					y := (*[nr]B)(w)
					c[0] += int32(v[0]) * int32(y[0])
					c[1] += int32(v[1]) * int32(y[1])
					c[2] += int32(v[2]) * int32(y[2])
					c[3] += int32(v[3]) * int32(y[3])
					w = unsafe.Add(w, nr*int(unsafe.Sizeof(zb)))
				}
			}
			for i := range min(nr, a.Channels) {
				out[first+i] = O(Requantise(c[i], scale[first+i], a.OutZero, a.QLo, a.QHi))
			}
		}
	}
}
