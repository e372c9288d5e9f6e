package peak_test

import (
	"testing"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/runtime/peak"
)

// All rates are there, and what holds more comes later.
func TestMeasure(t *testing.T) {
	for threads := range 2 {
		m := peak.Measure(threads + 1)
		for _, n := range []num.Numerics{num.FP32, num.FP16, num.BF16, num.Int8} {
			if r := m.Rate(n); !(r > 0) {
				t.Errorf("%v: %g", n, r)
			}
			if r := peak.For(n, threads+1).Rate(n); !(r > 0) {
				t.Errorf("%v alone: %g", n, r)
			}
		}
		for i, l := range m.Memory {
			if !(l.GBs > 0) || l.Threads != threads+1 || (l.Bytes == 0) != (i == len(m.Memory)-1) || i > 0 && l.Bytes > 0 && l.Bytes <= m.Memory[i-1].Bytes {
				t.Errorf("%+v", l)
			}
		}
		if _, at := m.Bandwidth(1); at != "L1" {
			t.Errorf("a byte is held by %s", at)
		}
		if _, at := m.Bandwidth(1 << 30); at != "DRAM" {
			t.Errorf("a gibibyte is held by %s", at)
		}
	}
	if x, _ := new(peak.Machine).Bandwidth(1); x != 0 {
		t.Errorf("nothing was measured, but %g is told", x)
	}
}
