// Package pool runs loop bodies on a fixed set of threads.
//
// A Pool belongs to one session and is used by one goroutine at a time. Workers spin for a bounded time after a loop
// and then park, so that an idle process uses no CPU. Starting a loop allocates nothing. How the range is cut depends
// on its size and grain and on the number of threads, so a body must compute index i in the same way in every cut.
package pool

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// spinFor bounds how long a worker, or the caller at the end of a loop, looks for work before it parks.
const spinFor = 50 * time.Microsecond

// Pool is a set of threads: the caller's and threads-1 workers.
type Pool struct {
	workers []*worker
	// state holds the epoch of the current loop (high half) and the next chunk (low half). A worker claims a chunk by
	// a compare-and-swap on the whole, so it can never take one of a later loop with the fields of an earlier one.
	state  atomic.Uint64
	chunks atomic.Uint32 // number of chunks of the current loop
	done   atomic.Uint32 // chunks finished
	n      int
	size   int
	body   func(lo, hi int)

	waiting atomic.Bool
	wake    chan struct{}
	inLoop  bool
	stop    atomic.Bool
	failed  atomic.Pointer[failure]
}

type failure struct{ value any }

type worker struct {
	parked atomic.Bool
	wake   chan struct{}
}

// New makes a pool of the given number of threads; 0 means as many as the process may use at once (GOMAXPROCS, which
// honours CPU quotas).
func New(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{wake: make(chan struct{}, 1)}
	for range threads - 1 {
		w := &worker{wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		go p.work(w)
	}
	return p
}

// Threads is the number of threads, the caller's included.
func (p *Pool) Threads() int { return len(p.workers) + 1 }

// Close ends the workers. The pool must not be used again.
func (p *Pool) Close() {
	p.stop.Store(true)
	for _, w := range p.workers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// For calls body on disjoint ranges that cover [0,n) and returns when all have returned. A panic in a body is raised
// again in the caller.
func (p *Pool) For(n, grain int, body func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	if len(p.workers) == 0 || n <= grain || p.inLoop {
		body(0, n)
		return
	}
	// Four chunks per thread even out what the threads are given, as far as the grain allows.
	size := max(grain, (n+4*p.Threads()-1)/(4*p.Threads()))
	chunks := (n + size - 1) / size
	p.inLoop = true
	// An epoch without chunks comes first: a late worker must not claim a chunk of the last loop while the fields change.
	epoch := p.state.Load()>>32 + 1
	p.state.Store(epoch<<32 | math.MaxUint32)
	p.n, p.size, p.body = n, size, body
	p.done.Store(0)
	p.chunks.Store(uint32(chunks))
	epoch++
	p.state.Store(epoch << 32)
	for _, w := range p.workers[:min(len(p.workers), chunks-1)] {
		if w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	for p.step(epoch) {
	}
	p.join(uint32(chunks))
	p.body = nil
	p.inLoop = false
	if f := p.failed.Swap(nil); f != nil {
		panic(f.value)
	}
}

// join waits until all chunks are finished.
func (p *Pool) join(chunks uint32) {
	start, spins := time.Time{}, 0
	for p.done.Load() != chunks {
		spins++
		if spins%64 != 0 {
			continue
		}
		if start.IsZero() {
			start = time.Now()
		} else if time.Since(start) > spinFor {
			p.waiting.Store(true)
			if p.done.Load() == chunks {
				// The last worker may have seen waiting and left a token.
				if !p.waiting.CompareAndSwap(true, false) {
					<-p.wake
				}
				return
			}
			<-p.wake
			return
		} else {
			runtime.Gosched()
		}
	}
}

// step claims and runs one chunk of the loop; false when none is left.
func (p *Pool) step(epoch uint64) bool {
	s := p.state.Load()
	if s>>32 != epoch || uint32(s) >= p.chunks.Load() || !p.state.CompareAndSwap(s, s+1) {
		return s>>32 == epoch && uint32(s) < p.chunks.Load()
	}
	// The claim keeps the loop open, so its fields cannot change now.
	chunks := p.chunks.Load()
	lo := int(uint32(s)) * p.size
	p.call(lo, min(lo+p.size, p.n))
	if p.done.Add(1) == chunks && p.waiting.CompareAndSwap(true, false) {
		p.wake <- struct{}{}
	}
	return true
}

func (p *Pool) call(lo, hi int) {
	defer func() {
		if r := recover(); r != nil {
			p.failed.CompareAndSwap(nil, &failure{r})
		}
	}()
	p.body(lo, hi)
}

func (p *Pool) work(w *worker) {
	seen := uint64(0)
	for {
		epoch, start, spins := uint64(0), time.Time{}, 0
		for {
			if p.stop.Load() {
				return
			}
			if epoch = p.state.Load() >> 32; epoch != seen {
				break
			}
			spins++
			if spins%64 != 0 {
				continue
			}
			if start.IsZero() {
				start = time.Now()
			} else if time.Since(start) < spinFor {
				runtime.Gosched()
			} else {
				w.parked.Store(true)
				if p.state.Load()>>32 != seen || p.stop.Load() {
					if !w.parked.CompareAndSwap(true, false) {
						<-w.wake
					}
					continue
				}
				<-w.wake
				start = time.Time{}
			}
		}
		seen = epoch
		for p.step(epoch) {
		}
	}
}
