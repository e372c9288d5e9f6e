// Package pool runs loop bodies on a fixed set of threads.
//
// A Pool belongs to one session and is used by one goroutine at a time. Workers spin for a bounded time after a loop
// and then park, so that an idle process uses no CPU. Starting a loop allocates nothing. How the range is cut depends
// on its size and grain and on the number of threads, so a body must compute index i in the same way in every cut.
package pool

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// spinFor bounds how long a worker, or the caller at the end of a loop, looks for work before it parks.
const spinFor = 200 * time.Microsecond

// maxThreads keeps the numbers of chunks, four per thread, within 16 bits.
const maxThreads = 1 << 12

// Pool is a set of threads: the caller's, number 0, and threads-1 workers.
//
// Every thread owns a run of neighbouring chunks and takes them in order; when it has none left it takes the last of another's. So, as long as
// threads keep pace, each finds in its caches what it wrote in the loop before.
type Pool struct {
	workers []*worker
	queues  []queue // by thread
	wake    chan struct{}
	inLoop  bool
	stop    atomic.Bool
	failed  atomic.Pointer[failure]

	_      line
	loop   atomic.Uint64 // epoch<<32 | chunks of the current loop; changes last
	n      int
	target uint32 // of done
	body   func(lo, hi int)

	_       line
	done    atomic.Uint32 // chunks finished in all loops
	waiting atomic.Bool
	_       line
}

// line keeps apart what different threads write.
type line [64]byte

// queue holds the chunks of a thread that nobody has taken: epoch<<32 | first<<16 | end. Where the epoch is an earlier one, nobody has taken any: so a
// loop begins without a write to the queues, which lie in the caches of others. A chunk is claimed by a compare-and-swap on the whole. A late thread
// can never take one of a later loop: it goes by the number of chunks that came with its epoch, and all of them were claimed in it.
type queue struct {
	state atomic.Uint64
	_     [56]byte
}

type failure struct{ value any }

type worker struct {
	number int
	parked atomic.Bool
	wake   chan struct{}
}

// New makes a pool of the given number of threads; 0 means as many as the process may use at once (GOMAXPROCS, which
// honours CPU quotas).
func New(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	threads = min(threads, maxThreads)
	p := &Pool{wake: make(chan struct{}, 1), queues: make([]queue, threads)}
	for i := range threads - 1 {
		w := &worker{number: i + 1, wake: make(chan struct{}, 1)}
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
	// Four chunks per thread even out what the threads are given, as far as the grain allows.
	threads := p.Threads()
	chunks := min(4*threads, n/grain)
	if len(p.workers) == 0 || chunks <= 1 || p.inLoop {
		body(0, n)
		return
	}
	p.inLoop = true
	// The last loop is over, and nobody reads the fields before they claim a chunk of the next.
	p.n, p.target, p.body = n, p.target+uint32(chunks), body
	epoch := uint32(p.loop.Load()>>32) + 1
	p.loop.Store(uint64(epoch)<<32 | uint64(chunks))
	for _, w := range p.workers {
		if p.first(w.number, chunks) < p.first(w.number+1, chunks) && w.parked.Load() && w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	p.drain(0, epoch, chunks)
	p.join()
	p.inLoop = false
	if f := p.failed.Swap(nil); f != nil {
		panic(f.value)
	}
}

// join waits until all chunks are finished.
func (p *Pool) join() {
	start, spins := time.Time{}, 0
	for p.done.Load() != p.target {
		spins++
		if spins%2048 != 0 {
			continue
		}
		if start.IsZero() {
			start = time.Now()
		} else if time.Since(start) > spinFor {
			p.waiting.Store(true)
			if p.done.Load() == p.target {
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

// first is the first of so many chunks that belongs to thread i or a later one.
func (p *Pool) first(i, chunks int) int { return (i*chunks + p.Threads() - 1) / p.Threads() }

// drain runs chunks of the loop until none is left to claim: those of thread me, then those of the others.
func (p *Pool) drain(me int, epoch uint32, chunks int) {
	for i := range p.queues {
		owner := (me + i) % len(p.queues)
		q, ran, target := &p.queues[owner], uint32(0), uint32(0)
		for {
			s := q.state.Load()
			first, end := int(s>>16&math.MaxUint16), int(s&math.MaxUint16)
			if at := uint32(s >> 32); int32(at-epoch) < 0 {
				first, end = p.first(owner, chunks), p.first(owner+1, chunks)
			} else if at != epoch {
				return
			}
			if first >= end {
				break
			}
			chunk := first
			if i > 0 {
				end--
				chunk = end
			} else {
				first++
			}
			if q.state.CompareAndSwap(s, uint64(epoch)<<32|uint64(first)<<16|uint64(end)) {
				// The claim keeps the loop open: its fields cannot change now.
				p.call(chunk*p.n/chunks, (chunk+1)*p.n/chunks)
				ran, target = ran+1, p.target
			}
		}
		// Told before others' queues are looked at, which takes a while; the caller need not look at all where everything is done.
		if ran > 0 && p.done.Add(ran) == target && p.waiting.CompareAndSwap(true, false) {
			p.wake <- struct{}{}
		}
		if me == 0 && p.done.Load() == p.target {
			return
		}
	}
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
	debug.SetPanicOnFault(true) // what a body reads may lie in a mapped file; call takes the panic to the caller
	seen := uint64(0)
	for {
		loop, start, spins := uint64(0), time.Time{}, 0
		for {
			if loop = p.loop.Load(); loop != seen {
				break
			}
			spins++
			if spins%2048 != 0 {
				continue
			}
			if p.stop.Load() {
				return
			}
			if start.IsZero() {
				start = time.Now()
			} else if time.Since(start) < spinFor {
				runtime.Gosched()
			} else {
				w.parked.Store(true)
				if p.loop.Load() != seen || p.stop.Load() {
					if !w.parked.CompareAndSwap(true, false) {
						<-w.wake
					}
					continue
				}
				<-w.wake
				start = time.Time{}
			}
		}
		seen = loop
		p.drain(w.number, uint32(loop>>32), int(uint32(loop)))
	}
}
