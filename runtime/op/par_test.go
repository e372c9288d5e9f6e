package op_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/edgerun/edgerun/runtime/op"
)

func TestGoroutines(t *testing.T) {
	for n := range 50 {
		for grain := range 12 {
			seen := make([]atomic.Int32, n)
			var bodies atomic.Int32
			op.Goroutines{}.For(n, grain, func(lo, hi int) {
				bodies.Add(1)
				if hi-lo < min(n, grain) {
					t.Errorf("%d of %d, at least %d", hi-lo, n, grain)
				}
				for i := lo; i < hi; i++ {
					seen[i].Add(1)
				}
			})
			for i := range seen {
				if seen[i].Load() != 1 {
					t.Fatalf("%d is done %d times", i, seen[i].Load())
				}
			}
			if int(bodies.Load()) > runtime.GOMAXPROCS(0) {
				t.Errorf("%d bodies", bodies.Load())
			}
		}
	}
}
