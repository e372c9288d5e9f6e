package ref

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// short is an integer that stands for a real.
type short interface{ int8 | uint8 | int16 | uint16 }

// quantised is a row of operands of type T, which Quantize and Dequantize have on one side alone.
func quantised[T short](o spec.Op, name string, f func(*spec.QuantArgs, T)) spec.Row {
	d := tensor.DTypeOf[T]()
	r := spec.Row{Op: o, In: d, W: d, Acc: tensor.F32, Out: d, MR: 1, NR: 1, KR: 1, Num: spec.Exact, Name: name}
	switch o {
	case spec.Quantize:
		r.In, r.W = tensor.F32, tensor.F32
	case spec.Dequantize:
		r.W, r.Out, r.Num = tensor.F32, tensor.F32, spec.Consistent
	}
	r.Func = func(a *spec.QuantArgs) { f(a, 0) }
	return r
}

// quantise is that of spec.QuantArgs.
func quantise(a *spec.QuantArgs, v float32) int32 {
	q := math.RoundToEven(float64(v)) + float64(a.OutZero)
	if !(q > float64(a.QLo)) {
		return a.QLo
	}
	return int32(min(q, float64(a.QHi)))
}

// second is element i of B.
func second[T any](a *spec.QuantArgs, i int) T {
	if a.OneB != 0 {
		i = 0
	}
	var z T
	return *(*T)(unsafe.Add(a.B, i*int(unsafe.Sizeof(z))))
}

func quantAdd[T short](a *spec.QuantArgs, _ T) {
	x, y := unsafe.Slice((*T)(a.A), a.N), unsafe.Slice((*T)(a.Y), a.N)
	for i, v := range x {
		l := float32(float32(int32(v)-a.ZeroA) * a.ScaleA)
		r := float32(float32(int32(second[T](a, i))-a.ZeroB) * a.ScaleB)
		y[i] = T(quantise(a, l+r))
	}
}

func quantMul[T short](a *spec.QuantArgs, _ T) {
	x, y := unsafe.Slice((*T)(a.A), a.N), unsafe.Slice((*T)(a.Y), a.N)
	for i, v := range x {
		p := int64(int32(v)-a.ZeroA) * int64(int32(second[T](a, i))-a.ZeroB)
		y[i] = T(quantise(a, float32(float32(p)*a.ScaleA)))
	}
}

func quantize[T short](a *spec.QuantArgs, _ T) {
	x, y := unsafe.Slice((*float32)(a.A), a.N), unsafe.Slice((*T)(a.Y), a.N)
	for i, v := range x {
		y[i] = T(quantise(a, v/a.ScaleA))
	}
}

func dequantize[T short](a *spec.QuantArgs, _ T) {
	x, y := unsafe.Slice((*T)(a.A), a.N), unsafe.Slice((*float32)(a.Y), a.N)
	for i, v := range x {
		y[i] = float32(int32(v)-a.ZeroA) * a.ScaleA
	}
}

// quantizeAway is spec.QuantizeAway.
func quantizeAway[T uint8 | int16](a *spec.QuantArgs) {
	x, y := unsafe.Slice((*float32)(a.A), a.N), unsafe.Slice((*T)(a.Y), a.N)
	lo, hi := float64(a.QLo), float64(a.QHi)
	for i, v := range x {
		q := math.Round(float64(v*a.ScaleA)) + float64(a.OutZero)
		if !(q > lo) {
			q = lo
		}
		y[i] = T(min(q, hi))
	}
}

// scaleSums is spec.ScaleSums.
func scaleSums(a *spec.ScaleArgs) {
	if a.Cols == 0 {
		return
	}
	scale := unsafe.Slice((*float32)(a.Scale), a.Cols)
	for i := range a.Rows {
		x := unsafe.Slice((*int32)(unsafe.Add(a.A, i*a.AStride)), a.Cols)
		y := unsafe.Slice((*float32)(unsafe.Add(a.C, i*a.CStride)), a.Cols)
		for j, v := range x {
			f := float32(float32(v) * scale[j])
			if a.Bias != nil {
				f += *(*float32)(unsafe.Add(a.Bias, 4*j))
			}
			y[j] = Clamp(f, a.Lo, a.Hi)
		}
	}
}
