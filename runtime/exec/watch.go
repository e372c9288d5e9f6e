package exec

import (
	"sync"
	"time"

	"github.com/edgerun/edgerun/runtime/op"
)

// Span is the time that a thread spent on a piece of a loop. Lane is the lowest number that no other thread had at that time.
type Span struct {
	Lane  int
	Start time.Time
	Took  time.Duration
}

// watch is a Par that can record what its threads do. It allocates while it records only.
type watch struct {
	op.Par
	timed func(lo, hi int)

	on     bool
	inside sync.Mutex // held during a recorded loop; loops within it belong to their pieces
	body   func(lo, hi int)

	mu    sync.Mutex
	busy  []bool // by lane
	spans []Span
}

func (w *watch) begin() { w.on, w.spans = true, w.spans[:0] }

// end returns the spans since begin, which the next begin overwrites.
func (w *watch) end() []Span {
	w.on = false
	return w.spans
}

// For implements op.Par.
func (w *watch) For(n, grain int, body func(lo, hi int)) {
	if !w.on || !w.inside.TryLock() {
		w.Par.For(n, grain, body)
		return
	}
	defer w.inside.Unlock()
	w.body = body
	w.Par.For(n, grain, w.timed)
}

func (w *watch) span(lo, hi int) {
	w.mu.Lock()
	lane := 0
	for lane < len(w.busy) && w.busy[lane] {
		lane++
	}
	if lane == len(w.busy) {
		w.busy = append(w.busy, false)
	}
	w.busy[lane] = true
	w.mu.Unlock()
	start := time.Now()
	defer func() {
		took := time.Since(start)
		w.mu.Lock()
		w.busy[lane] = false
		w.spans = append(w.spans, Span{lane, start, took})
		w.mu.Unlock()
	}()
	w.body(lo, hi)
}
