package fmath

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func fmaBig(x, y, z float32) float32 {
	p := new(big.Float).SetPrec(2000).SetFloat64(float64(x))
	p.Mul(p, new(big.Float).SetPrec(2000).SetFloat64(float64(y)))
	p.Add(p, new(big.Float).SetPrec(2000).SetFloat64(float64(z)))
	f, _ := p.Float32()
	return f
}

func TestFMA(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func() float32 {
		switch rng.IntN(4) {
		case 0: // any finite bits
			for {
				if f := math.Float32frombits(rng.Uint32()); f-f == 0 {
					return f
				}
			}
		case 1: // few bits, so that ties are common
			return float32(math.Ldexp(float64(rng.IntN(9)-4), rng.IntN(60)-30))
		case 2: // small
			return float32(math.Ldexp(rng.Float64()-.5, -rng.IntN(80)))
		}
		return float32(rng.NormFloat64())
	}
	for range 300000 {
		x, y, z := draw(), draw(), draw()
		got, want := FMA(x, y, z), fmaBig(x, y, z)
		if got != want {
			t.Fatalf("FMA(%g, %g, %g) = %g (%08x), want %g (%08x)", x, y, z, got, math.Float32bits(got), want, math.Float32bits(want))
		}
	}
	// Rounding twice gives 1 here; the exact sum lies just above the tie.
	x, y, z := float32(1+0x1p-23), float32(0x1p-24), float32(1)
	if got := FMA(x, y, z); got != 1+0x1p-23 {
		t.Errorf("FMA near a tie = %g", got)
	}
	for _, z := range []float32{float32(math.Inf(1)), float32(math.NaN())} {
		if got := FMA(1, 1, z); !(math.IsInf(float64(got), 1) || math.IsNaN(float64(got))) {
			t.Errorf("FMA(1, 1, %g) = %g", z, got)
		}
	}
}
