package elem

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
)

// row32 selects a row of functions on FP32.
func row32(o spec.Op) *spec.Row {
	return kernels.Here().Select(o, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
}

// The rows that operators call on runs of elements.
var (
	add32, sub32, subFrom32 = pairRow(spec.Add), pairRow(spec.Sub), pairRow(spec.SubFrom)
	mul32, div32, divInto32 = pairRow(spec.Mul), pairRow(spec.Div), pairRow(spec.DivInto)
	prelu32, max32, min32   = pairRow(spec.PRelu), pairRow(spec.Max), pairRow(spec.Min)
	exp32                   = mapRow(spec.Exp)
	sumKernel               = row32(spec.SumLanes).Func.(func(*spec.MapArgs))
	squareKernel            = row32(spec.SquareLanes).Func.(func(*spec.MapArgs))
	expKernel               = row32(spec.Exp).Func.(func(*spec.MapArgs))
	logKernel               = row32(spec.Log).Func.(func(*spec.MapArgs))
	addPairs                = row32(spec.Add).Func.(func(*spec.BinaryArgs))
	subPairs                = row32(spec.Sub).Func.(func(*spec.BinaryArgs))
	divPairs                = row32(spec.Div).Func.(func(*spec.BinaryArgs))
	mulPairs                = row32(spec.Mul).Func.(func(*spec.BinaryArgs))
	tanhKernel              = row32(spec.Tanh).Func.(func(*spec.MapArgs))
	sumRowsKernel           = row32(spec.SumRows).Func.(func(*spec.RowsArgs))
	softmaxKernel           = row32(spec.Softmax).Func.(func(*spec.RowsArgs))
	maxRowsKernel           = row32(spec.MaxRows).Func.(func(*spec.RowsArgs))
	minRowsKernel           = row32(spec.MinRows).Func.(func(*spec.RowsArgs))
)

// kernelBlock is the number of elements of one call, which cannot be interrupted.
const kernelBlock = 1 << 15

// pairRow makes f(y, x, b, step): y[i] = x[i] op b[i*step], step 0 or 1.
func pairRow(o spec.Op) func(y, x, b []float32, step int) {
	f := row32(o).Func.(func(*spec.BinaryArgs))
	return func(y, x, b []float32, step int) {
		if len(y) == 0 {
			return
		}
		_, _ = x[len(y)-1], b[(len(y)-1)*step]
		l := kernels.Borrow()
		for i := 0; i < len(y); i += kernelBlock {
			l.Binary = spec.BinaryArgs{X: unsafe.Pointer(&x[i]), B: unsafe.Pointer(&b[i*step]), Y: unsafe.Pointer(&y[i]), N: min(kernelBlock, len(y)-i), Step: step}
			f(&l.Binary)
		}
		l.Return()
	}
}

// mapRow makes f(y, x): y[i] = op(x[i]).
func mapRow(o spec.Op) func(y, x []float32) {
	f := row32(o).Func.(func(*spec.MapArgs))
	return func(y, x []float32) {
		if len(y) == 0 {
			return
		}
		_ = x[len(y)-1]
		l := kernels.Borrow()
		for i := 0; i < len(y); i += kernelBlock {
			l.Map = spec.MapArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&y[i]), N: min(kernelBlock, len(y)-i)}
			f(&l.Map)
		}
		l.Return()
	}
}

// sumLanes32 adds x to lanes, from the first one on; squareLanes32 adds its squares.
func sumLanes32(acc *[16]float32, x []float32)    { reduceLanes(sumKernel, acc, x) }
func squareLanes32(acc *[16]float32, x []float32) { reduceLanes(squareKernel, acc, x) }

// largest32 is the largest of first and x, and NaN where there is one; smallest32 is the smallest.
func largest32(first float32, x []float32) float32 {
	return extreme32(maxRowsKernel, func(v, m float32) bool { return v > m }, first, x)
}
func smallest32(first float32, x []float32) float32 {
	return extreme32(minRowsKernel, func(v, m float32) bool { return v < m }, first, x)
}

// extreme32 lays a line out in rows of 16, which a row of the kernel table reduces.
func extreme32(f func(*spec.RowsArgs), beyond func(v, m float32) bool, first float32, x []float32) float32 {
	l := kernels.Borrow()
	for k := range l.Lanes {
		l.Lanes[k] = first
	}
	for len(x) > 0 {
		rows, cols := min(len(x), kernelBlock)/16, 16
		if rows == 0 {
			rows, cols = 1, len(x)
		}
		l.Rows = spec.RowsArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&l.Lanes), Rows: rows, Cols: cols, XStride: 64, YStride: 64}
		f(&l.Rows)
		x = x[rows*cols:]
	}
	m := l.Lanes[0]
	for _, v := range l.Lanes[1:] {
		if beyond(v, m) || v != v {
			m = v
		}
	}
	l.Return()
	return m
}

func reduceLanes(f func(*spec.MapArgs), acc *[16]float32, x []float32) {
	l := kernels.Borrow()
	l.Lanes = *acc
	for i := 0; i < len(x); i += kernelBlock {
		l.Map = spec.MapArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&l.Lanes), N: min(kernelBlock, len(x)-i)}
		f(&l.Map)
	}
	*acc = l.Lanes
	l.Return()
}

// as32 is x if its elements are float32, without an allocation.
func as32[T float](x []T) ([]float32, bool) {
	if unsafe.Sizeof(T(0)) != 4 {
		return nil, false
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x)), true
}

// lanes32 is the same of lanes.
func lanes32[T float](acc *[16]T) *[16]float32 { return (*[16]float32)(unsafe.Pointer(acc)) }

// kernels32 gives a kernel for float32 the loops of the table; reverse may be nil.
func kernels32[T number](k kernel[T, T], forward, reverse func(y, x, b []float32, step int)) kernel[T, T] {
	k32, ok := any(&k).(*kernel[float32, float32])
	if !ok {
		return k
	}
	k32.vv = func(y, a, b []float32) { forward(y, a, b, 1) }
	k32.vs = func(y, a []float32, b float32) { scalar32(forward, y, a, b) }
	if reverse != nil {
		k32.sv = func(y []float32, a float32, b []float32) { scalar32(reverse, y, b, a) }
	}
	return k
}

func scalar32(f func(y, x, b []float32, step int), y, x []float32, b float32) {
	l := kernels.Borrow()
	l.Lanes[0] = b
	f(y, x, l.Lanes[:1], 0)
	l.Return()
}
