package pool

import (
	"sync/atomic"
	"testing"
	"time"
)

func TestForCoversRangeOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := New(threads)
		for n := range 300 {
			for _, grain := range []int{0, 1, 7, 100} {
				hits := make([]atomic.Int32, n)
				p.For(n, grain, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						hits[i].Add(1)
					}
				})
				for i := range hits {
					if h := hits[i].Load(); h != 1 {
						t.Fatalf("threads %d n %d grain %d: index %d called %d times", threads, n, grain, i, h)
					}
				}
			}
		}
		p.Close()
	}
}

func TestForAfterParking(t *testing.T) {
	p := New(4)
	defer p.Close()
	var sum atomic.Int64
	body := func(lo, hi int) { sum.Add(int64(hi - lo)) }
	for range 50 {
		time.Sleep(200 * time.Microsecond)
		p.For(1000, 1, body)
	}
	if sum.Load() != 50_000 {
		t.Errorf("sum = %d", sum.Load())
	}
}

func TestForNested(t *testing.T) {
	p := New(2)
	defer p.Close()
	var sum atomic.Int64
	p.For(8, 1, func(lo, hi int) {
		for range hi - lo {
			p.For(10, 1, func(lo, hi int) { sum.Add(int64(hi - lo)) })
		}
	})
	if sum.Load() != 80 {
		t.Errorf("sum = %d", sum.Load())
	}
}

func TestForPanics(t *testing.T) {
	p := New(3)
	defer p.Close()
	defer func() {
		if r := recover(); r != "boom" {
			t.Errorf("recovered %v", r)
		}
		p.For(10, 1, func(int, int) {}) // still usable
	}()
	p.For(100, 1, func(lo, hi int) {
		if lo >= 50 {
			panic("boom")
		}
	})
}

func TestForDoesNotAllocate(t *testing.T) {
	p := New(2)
	defer p.Close()
	body := func(lo, hi int) {}
	if a := testing.AllocsPerRun(100, func() { p.For(1000, 1, body) }); a != 0 {
		t.Errorf("%g allocations per loop", a)
	}
}
