package kernels

import (
	"sync"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// ToBF16 rounds src into dst, which must be as long; so do the others.
func ToBF16(dst []uint16, src []float32) { convert(dst, src, converters().toBF16) }

// WidenBF16 widens src into dst.
func WidenBF16(dst []float32, src []uint16) { convert(dst, src, converters().fromBF16) }

// ToF16 rounds src into dst.
func ToF16(dst []uint16, src []float32) { convert(dst, src, converters().toF16) }

// WidenF16 widens src into dst.
func WidenF16(dst []float32, src []uint16) { convert(dst, src, converters().fromF16) }

type mapFunc = func(*spec.MapArgs)

var converters = sync.OnceValue(func() (c struct{ toBF16, fromBF16, toF16, fromF16 mapFunc }) {
	row := func(in, out tensor.DType) mapFunc {
		return Here().Select(spec.Convert, in, in, tensor.F32, out, num.FP32).Func.(mapFunc)
	}
	c.toBF16, c.fromBF16 = row(tensor.F32, tensor.BF16), row(tensor.BF16, tensor.F32)
	c.toF16, c.fromF16 = row(tensor.F32, tensor.F16), row(tensor.F16, tensor.F32)
	return c
})

// convertBlock is the number of elements of one call of a kernel.
const convertBlock = 1 << 15

func convert[D, S any](dst []D, src []S, f mapFunc) {
	dst = dst[:len(src)]
	a := Borrow()
	for len(src) > 0 {
		n := min(len(src), convertBlock)
		a.Map = spec.MapArgs{X: unsafe.Pointer(&src[0]), Y: unsafe.Pointer(&dst[0]), N: n}
		f(&a.Map)
		src, dst = src[n:], dst[n:]
	}
	a.Return()
}
