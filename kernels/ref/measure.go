package ref

import (
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// peak keeps eight chains of multiply-adds in registers.
func peak[T float32 | int32](a *spec.MapArgs) {
	var c0, c1, c2, c3, c4, c5, c6, c7, x T
	for range a.N {
		c0 = x*c0 + x
		c1 = x*c1 + x
		c2 = x*c2 + x
		c3 = x*c3 + x
		c4 = x*c4 + x
		c5 = x*c5 + x
		c6 = x*c6 + x
		c7 = x*c7 + x
	}
	if c0+c1+c2+c3+c4+c5+c6+c7 != 0 {
		panic("BUG: a product of zeros")
	}
}

func read(a *spec.MapArgs) {
	x := unsafe.Slice((*uint64)(a.X), a.N)
	var c0, c1, c2, c3 uint64
	for len(x) >= 4 {
		c0, c1, c2, c3 = c0^x[0], c1^x[1], c2^x[2], c3^x[3]
		x = x[4:]
	}
	for _, v := range x {
		c0 ^= v
	}
	*(*uint64)(a.Y) = c0 ^ c1 ^ c2 ^ c3
}
