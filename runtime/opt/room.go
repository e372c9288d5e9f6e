package opt

import (
	"fmt"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// room counts the constants that passes make.
type room struct {
	limit, used int
	own         map[unsafe.Pointer]bool // where their elements begin
}

// start is where t's elements begin.
func start(t *tensor.Tensor) unsafe.Pointer {
	if len(t.Str) > 0 {
		return unsafe.Pointer(unsafe.SliceData(t.Str))
	}
	return unsafe.Pointer(unsafe.SliceData(t.Data))
}

// left is what a new constant may take, in bytes.
func (r *room) left() int {
	if r.limit == 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, r.limit-r.used)
}

// take counts n bytes; false where there is no room for them.
func (r *room) take(n int) bool {
	if n < 0 || n > r.left() {
		return false
	}
	r.used += n
	return true
}

// made counts a constant; false where there is no room for it.
func (r *room) made(t *tensor.Tensor) bool {
	if !r.take(t.MemorySize()) {
		return false
	}
	if r.own == nil {
		r.own = map[unsafe.Pointer]bool{}
	}
	r.own[start(t)] = true
	return true
}

// sweep forgets the constants that g does not use.
func (r *room) sweep(g *model.Graph) {
	kept := map[unsafe.Pointer]bool{}
	r.used = 0
	for _, v := range g.Consts() {
		if p := start(v.Const); r.own[p] && !kept[p] {
			kept[p] = true
			r.used += v.Const.MemorySize()
		}
	}
	r.own = kept
}

// errRoom is the error of a constant for which there is no room.
func (c *Context) errRoom() error {
	return fmt.Errorf("constants need more than %d bytes: %w", c.room.limit, tensor.ErrTooLarge)
}
