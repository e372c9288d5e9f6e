package kernels

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// Args is room for the arguments of one call, for code that has none of its own: kernels get them by address, and what lives on a stack
// would move to the heap for that.
type Args struct {
	Map    spec.MapArgs
	Binary spec.BinaryArgs
	Quant  spec.QuantArgs
	Scale  spec.ScaleArgs
	Mix    spec.MixArgs
	Rows   spec.RowsArgs
	Lanes  [16]float32
	busy   atomic.Bool
	_      [64]byte // threads do not share a line of cache
}

// argsRoom serves all threads; nothing is allocated, and nothing is lost to the collector.
var argsRoom [64]Args

// Borrow returns room that nobody else uses until it is returned.
func Borrow() *Args {
	var here byte
	first := uintptr(unsafe.Pointer(&here)) >> 13 // stacks lie apart
	for i := uintptr(0); ; i++ {
		a := &argsRoom[(first+i)%uintptr(len(argsRoom))]
		if !a.busy.Load() && a.busy.CompareAndSwap(false, true) {
			return a
		}
		if i%uintptr(len(argsRoom)) == uintptr(len(argsRoom))-1 {
			runtime.Gosched()
		}
	}
}

// Return gives room back. It keeps no pointer.
func (a *Args) Return() {
	a.Map, a.Binary, a.Quant, a.Scale, a.Mix = spec.MapArgs{}, spec.BinaryArgs{}, spec.QuantArgs{}, spec.ScaleArgs{}, spec.MixArgs{}
	a.busy.Store(false)
}
