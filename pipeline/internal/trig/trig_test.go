package trig

import (
	"math"
	"testing"
)

func TestSinPi(t *testing.T) {
	for i := range 40001 {
		x := float64(i-20000) / 1024
		if got, want := SinPi(x), math.Sin(math.Pi*math.Mod(x, 2)); math.Abs(got-want) > 2e-15 {
			t.Fatalf("SinPi(%v) = %v, want %v", x, got, want)
		}
	}
	for _, c := range []struct{ x, want float64 }{{0, 0}, {0.5, 1}, {1, 0}, {-0.5, -1}, {1.5, -1}, {100, 0}} {
		if got := SinPi(c.x); got != c.want {
			t.Errorf("SinPi(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}

func TestSinc(t *testing.T) {
	for _, c := range []struct{ x, want float64 }{{0, 1}, {0.5, 2 / math.Pi}, {3, 0}} {
		if got := Sinc(c.x); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("Sinc(%v) = %v, want %v", c.x, got, c.want)
		}
	}
}
