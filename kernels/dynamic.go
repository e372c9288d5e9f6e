package kernels

import (
	"sync"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// The rows for what is quantised on the fly.
var dynamics = sync.OnceValue(func() (d struct {
	extent              mapFunc
	quantise, quantise8 func(*spec.QuantArgs)
	scale               func(*spec.ScaleArgs)
}) {
	f := tensor.F32
	d.extent = Here().Select(spec.Extent, f, f, f, f, num.FP32).Func.(mapFunc)
	d.quantise = Here().Select(spec.QuantizeAway, f, f, f, tensor.I16, num.FP32).Func.(func(*spec.QuantArgs))
	d.quantise8 = Here().Select(spec.QuantizeAway, f, f, f, tensor.U8, num.FP32).Func.(func(*spec.QuantArgs))
	d.scale = Here().Select(spec.ScaleSums, tensor.I32, f, f, f, num.FP32).Func.(func(*spec.ScaleArgs))
	return d
})

// Range is the least and the largest of 0 and the elements of x; both are NaN where one of these is.
func Range(x []float32) (lo, hi float32) {
	d, l := dynamics(), Borrow()
	l.Lanes[0], l.Lanes[1] = 0, 0
	for i := 0; i < len(x); i += convertBlock {
		l.Map = spec.MapArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&l.Lanes), N: min(convertBlock, len(x)-i)}
		d.extent(&l.Map)
	}
	lo, hi = l.Lanes[0], l.Lanes[1]
	l.Return()
	return lo, hi
}

// QuantizeAway fills y, as long as x, with the integers nearest to x*scale, half away from zero, plus zero, within lo and hi.
func QuantizeAway[T int16 | uint8](y []T, x []float32, scale float32, zero, lo, hi T) {
	d, l := dynamics(), Borrow()
	quantise := d.quantise
	if unsafe.Sizeof(lo) == 1 {
		quantise = d.quantise8
	}
	y = y[:len(x)]
	for i := 0; i < len(x); i += convertBlock {
		l.Quant = spec.QuantArgs{A: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&y[i]), N: min(convertBlock, len(x)-i), ScaleA: scale, OutZero: int32(zero), QLo: int32(lo), QHi: int32(hi)}
		quantise(&l.Quant)
	}
	l.Return()
}

// ScaleSums fills rows of y, ldy elements apart, with those of sums, lds elements apart and as long as scale: clamp(sum*scale + bias, lo, hi). bias
// is as long, or empty.
func ScaleSums(y []float32, ldy int, sums []int32, lds, rows int, scale, bias []float32, lo, hi float32) {
	cols := len(scale)
	if rows <= 0 || cols == 0 {
		return
	}
	_, _ = y[(rows-1)*ldy+cols-1], sums[(rows-1)*lds+cols-1]
	l := Borrow()
	l.Scale = spec.ScaleArgs{A: unsafe.Pointer(&sums[0]), C: unsafe.Pointer(&y[0]), Scale: unsafe.Pointer(&scale[0]), Rows: rows, Cols: cols, AStride: 4 * lds, CStride: 4 * ldy, Lo: lo, Hi: hi}
	if len(bias) > 0 {
		l.Scale.Bias = unsafe.Pointer(&bias[:cols][0])
	}
	dynamics().scale(&l.Scale)
	l.Return()
}
