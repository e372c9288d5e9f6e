package nn

import (
	"runtime"
	"sync/atomic"

	"github.com/edgerun/edgerun/runtime/op"
)

// room is scratch memory of each thread. The nodes of an instance, which run one after the other, share it.
type room[T any] struct{ slots []slot[T] }

type slot[T any] struct {
	busy atomic.Bool
	of   T
	_    [64]byte // threads do not share a line of cache
}

// roomFor returns the instance's room of a name, once grow has made each slot large enough.
func roomFor[T any](c *op.Call, name string, grow func(of *T)) *room[T] {
	r := op.Common(c, name, func() *room[T] { return &room[T]{make([]slot[T], c.Par.Threads())} })
	for i := range r.slots {
		grow(&r.slots[i].of)
	}
	return r
}

// borrow takes a slot, until giveBack.
func (r *room[T]) borrow() *slot[T] {
	for ; ; runtime.Gosched() {
		for i := range r.slots {
			if s := &r.slots[i]; s.busy.CompareAndSwap(false, true) {
				return s
			}
		}
	}
}

func (s *slot[T]) giveBack() { s.busy.Store(false) }

// atLeast makes b n elements long where it is shorter.
func atLeast[T any](c *op.Call, b *[]T, n int) {
	if len(*b) < n {
		*b = op.Make[T](c, n)
	}
}

// roomForPanels is room for widened panels of n elements.
func roomForPanels(c *op.Call, n int) *room[[]float32] {
	return roomFor(c, "widened panels", func(panel *[]float32) { atLeast(c, panel, n) })
}
