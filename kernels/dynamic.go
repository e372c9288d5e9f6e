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
	least, most mapFunc
	quantise    func(*spec.QuantArgs)
	scale       func(*spec.ScaleArgs)
}) {
	f := tensor.F32
	d.least = Here().Select(spec.MinLanes, f, f, f, f, num.FP32).Func.(mapFunc)
	d.most = Here().Select(spec.MaxLanes, f, f, f, f, num.FP32).Func.(mapFunc)
	d.quantise = Here().Select(spec.QuantizeAway, f, f, f, tensor.I16, num.FP32).Func.(func(*spec.QuantArgs))
	d.scale = Here().Select(spec.ScaleSums, tensor.I32, f, f, f, num.FP32).Func.(func(*spec.ScaleArgs))
	return d
})

// Range is the least and the largest of 0 and the elements of x; both are NaN where one of these is.
func Range(x []float32) (lo, hi float32) {
	d, l := dynamics(), Borrow()
	l.lanes(d.least, x)
	for _, v := range l.Lanes {
		lo = min(lo, v)
	}
	l.lanes(d.most, x)
	for _, v := range l.Lanes {
		hi = max(hi, v)
	}
	l.Return()
	return lo, hi
}

// lanes reduces x, and 0, into Lanes.
func (a *Args) lanes(f mapFunc, x []float32) {
	clear(a.Lanes[:])
	for i := 0; i < len(x); i += convertBlock {
		a.Map = spec.MapArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&a.Lanes), N: min(convertBlock, len(x)-i)}
		f(&a.Map)
	}
}

// QuantizeAway fills y, as long as x, with the integers nearest to x*scale, half away from zero, within lo and hi.
func QuantizeAway(y []int16, x []float32, scale float32, lo, hi int16) {
	d, l := dynamics(), Borrow()
	y = y[:len(x)]
	for i := 0; i < len(x); i += convertBlock {
		l.Quant = spec.QuantArgs{A: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&y[i]), N: min(convertBlock, len(x)-i), ScaleA: scale, QLo: int32(lo), QHi: int32(hi)}
		d.quantise(&l.Quant)
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
