package ref

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
)

// larger is x where it is above y or not a number.
func larger[T float32 | int8 | uint8](y, x T) T {
	if x > y || x != x {
		return x
	}
	return y
}

// rowOf is row i of n elements, stride bytes apart.
func rowOf[T any](p unsafe.Pointer, i, stride, n int) []T {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Add(p, i*stride)), n)
}

func sumRows(a *spec.RowsArgs) {
	for i := range a.Rows {
		y := rowOf[float32](a.Y, (a.First+i)&15, a.YStride, a.Cols)
		for j, v := range rowOf[float32](a.X, i, a.XStride, a.Cols) {
			y[j] += v
		}
	}
}

// extremeRows keeps, column by column, what f takes of two.
func extremeRows(f func(y, x float32) float32) func(*spec.RowsArgs) {
	return func(a *spec.RowsArgs) {
		y := rowOf[float32](a.Y, 0, 0, a.Cols)
		for i := range a.Rows {
			for j, v := range rowOf[float32](a.X, i, a.XStride, a.Cols) {
				y[j] = f(y[j], v)
			}
		}
	}
}

// argRows keeps, column by column, the first extreme element and its number.
func argRows(better func(x, y float32) bool) func(*spec.RowsArgs) {
	return func(a *spec.RowsArgs) {
		best, index := rowOf[float32](a.Y, 0, 0, a.Cols), rowOf[int32](a.Y, 1, a.YStride, a.Cols)
		for i := range a.Rows {
			for j, v := range rowOf[float32](a.X, i, a.XStride, a.Cols) {
				if y := best[j]; better(v, y) || v != v && y == y {
					best[j], index[j] = v, int32(a.First+i)
				}
			}
		}
	}
}

func softmax(a *spec.RowsArgs) {
	for i := range a.Rows {
		x, y := rowOf[float32](a.X, i, a.XStride, a.Cols), rowOf[float32](a.Y, i, a.YStride, a.Cols)
		m := float32(math.Inf(-1))
		for _, v := range x {
			m = larger(m, v)
		}
		var lane [16]float32
		for j, v := range x {
			y[j] = fmath.Exp(v - m)
			lane[j&15] += y[j]
		}
		for half := 8; half > 0; half /= 2 {
			for k := range half {
				lane[k] += lane[k+half]
			}
		}
		for j := range y {
			y[j] /= lane[0]
		}
	}
}

func mix(a *spec.MixArgs) {
	for i := range a.Rows {
		at, w := rowOf[int64](a.At, i, 8*a.Taps, a.Taps), rowOf[float32](a.W, i, 4*a.Taps, a.Taps)
		y := rowOf[float32](a.Y, i, a.YStride, a.Cols)
		for t, f := range w {
			for j, v := range rowOf[float32](a.X, 1, int(at[t]), a.Cols) {
				if p := float32(v * f); t == 0 {
					y[j] = p
				} else {
					y[j] += p
				}
			}
		}
	}
}

func maxPool[T float32 | int8 | uint8](a *spec.PoolArgs) {
	if a.Channels == 0 || a.Width == 0 {
		return
	}
	lo, hi := T(a.QLo), T(a.QHi)
	if f, ok := any(&lo).(*float32); ok {
		*f, *any(&hi).(*float32) = a.Lo, a.Hi
	}
	in := unsafe.Slice((*unsafe.Pointer)(a.In), a.Taps)
	for x := range a.Width {
		out := rowOf[T](a.Out, x, a.OutStep, a.Channels)
		copy(out, rowOf[T](in[0], x, a.InStep, a.Channels))
		for _, p := range in[1:] {
			for c, v := range rowOf[T](p, x, a.InStep, a.Channels) {
				out[c] = larger(out[c], v)
			}
		}
		for c, v := range out {
			if v < lo {
				out[c] = lo
			} else if v > hi {
				out[c] = hi
			}
		}
	}
}

func meanPool(a *spec.PoolArgs) {
	if a.Channels == 0 || a.Width == 0 {
		return
	}
	in := unsafe.Slice((*unsafe.Pointer)(a.In), a.Taps)
	by := *(*float32)(a.Scale)
	for x := range a.Width {
		for c0 := 0; c0 < a.Channels; c0 += 16 {
			n := min(16, a.Channels-c0)
			var lanes [16][16]float32
			for t, p := range in {
				lane := lanes[t&15][:n]
				for c, v := range rowOf[float32](unsafe.Add(p, 4*c0), x, a.InStep, n) {
					lane[c] += v
				}
			}
			for half := 8; half > 0; half /= 2 {
				for k := range half {
					for c := range n {
						lanes[k][c] += lanes[k+half][c]
					}
				}
			}
			out := rowOf[float32](unsafe.Add(a.Out, 4*c0), x, a.OutStep, n)
			for c := range out {
				out[c] = Clamp(lanes[0][c]/by, a.Lo, a.Hi)
			}
		}
	}
}
