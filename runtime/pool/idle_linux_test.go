package pool

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process whose pools have nothing to do uses no processor.
func TestIdle(t *testing.T) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for range 3 {
		p := New(4)
		defer p.Close()
		for range 100 {
			p.For(1000, 1, func(int, int) {})
		}
	}
	least := time.Second
	for range 3 { // the collector, or a test before this one, may still be at work
		time.Sleep(100 * time.Millisecond)
		before := used()
		time.Sleep(time.Second)
		if least = min(least, used()-before); least < 20*time.Millisecond {
			t.Logf("an idle second takes %v of the processors' time", least)
			return
		}
	}
	t.Errorf("an idle second takes %v of the processors' time", least)
}
