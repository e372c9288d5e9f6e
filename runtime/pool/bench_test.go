package pool

import (
	"sync/atomic"
	"testing"
)

// BenchmarkFor measures a loop of two bodies of about a microsecond each, on one and two threads.
func BenchmarkFor(b *testing.B) {
	var sink atomic.Int64
	body := func(lo, hi int) {
		x := int64(lo)
		for i := range 1000 * int64(hi-lo) {
			x = x*3 + i
		}
		sink.Store(x)
	}
	for _, threads := range []int{1, 2} {
		b.Run(map[int]string{1: "one", 2: "two"}[threads], func(b *testing.B) {
			p := New(threads)
			defer p.Close()
			for b.Loop() {
				p.For(2, 1, body)
			}
		})
	}
}
