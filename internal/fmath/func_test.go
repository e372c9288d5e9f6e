package fmath

import (
	"math"
	"testing"
)

// ulps is the distance between two float32 of one sign in units of the last place.
func ulps(a, b float32) int {
	x, y := int64(math.Float32bits(a)), int64(math.Float32bits(b))
	if x > y {
		return int(x - y)
	}
	return int(y - x)
}

func TestFunctionsWithinTwoUlp(t *testing.T) {
	for _, c := range []struct {
		name   string
		got    func(float32) float32
		want   func(float64) float64
		lo, hi float64
	}{
		{"Exp", Exp, math.Exp, -103.5, 88.7},
		{"Sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, -80, 80},
		{"Tanh", Tanh, math.Tanh, -10, 10},
		{"Erf", Erf, math.Erf, -4, 4},
	} {
		worst := 0
		at := float32(0)
		const steps = 200_000
		for i := range steps {
			x := float32(c.lo + (c.hi-c.lo)*float64(i)/steps)
			if d := ulps(c.got(x), float32(c.want(float64(x)))); d > worst {
				worst, at = d, x
			}
		}
		for e := -140; e < 0; e++ { // near zero
			for _, x := range []float32{float32(math.Ldexp(1.37, e)), float32(-math.Ldexp(1.11, e))} {
				if d := ulps(c.got(x), float32(c.want(float64(x)))); d > worst {
					worst, at = d, x
				}
			}
		}
		if worst > 2 {
			t.Errorf("%s is %d ulp off at %g", c.name, worst, at)
		}
	}
}

func TestFunctionsAtTheEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name      string
		got, want float32
	}{
		{"Exp(inf)", Exp(inf), inf}, {"Exp(-inf)", Exp(-inf), 0}, {"Exp(0)", Exp(0), 1}, {"Exp(89)", Exp(89), inf},
		{"Sigmoid(inf)", Sigmoid(inf), 1}, {"Sigmoid(-inf)", Sigmoid(-inf), 0}, {"Sigmoid(0)", Sigmoid(0), .5},
		{"Tanh(inf)", Tanh(inf), 1}, {"Tanh(-inf)", Tanh(-inf), -1}, {"Erf(inf)", Erf(inf), 1}, {"Erf(-inf)", Erf(-inf), -1},
	} {
		if c.got != c.want {
			t.Errorf("%s = %g, want %g", c.name, c.got, c.want)
		}
	}
	for name, f := range map[string]func(float32) float32{"Exp": Exp, "Sigmoid": Sigmoid, "Tanh": Tanh, "Erf": Erf} {
		if y := f(nan); y == y {
			t.Errorf("%s(NaN) = %g", name, y)
		}
	}
}
