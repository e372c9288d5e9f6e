package fmath

import (
	"flag"
	"math"
	"math/big"
	"testing"
)

// stride is the step through the 2**32 bit patterns of float32; 1 tests every number, in minutes.
var stride = flag.Uint("stride", 4099, "step through the bit patterns of float32")

func sigmoid64(x float64) float64 {
	e := math.Exp(-math.Abs(x))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

func softplus64(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func mish64(x float64) float64 {
	if x > 30 {
		return x
	}
	n := math.Exp(x) * (math.Exp(x) + 2)
	return x * (n / (n + 2))
}

var functions = []struct {
	name string
	got  func(float32) float32
	want func(float64) float64
	ulp  float64 // what the documentation promises
}{
	{"Exp", Exp, math.Exp, .85},
	{"Expm1", Expm1, math.Expm1, 1.5},
	{"Sigmoid", Sigmoid, sigmoid64, 2},
	{"Tanh", Tanh, math.Tanh, 2},
	{"Erf", Erf, math.Erf, 2},
	{"Log", Log, math.Log, 1},
	{"Softplus", Softplus, softplus64, 2},
	{"Mish", Mish, mish64, 3.5},
	{"Sin", Sin, math.Sin, 1},
	{"Cos", Cos, math.Cos, 1},
}

// ulpsOff is the distance of got from want, in units of the last place of a float32 near want.
func ulpsOff(got float32, want float64) float64 {
	switch {
	case want != want:
		if got != got {
			return 0
		}
		return math.Inf(1)
	case got != got:
		return math.Inf(1)
	}
	w := float32(want)
	if w == got {
		return 0
	}
	if math.IsInf(float64(got), 0) || math.IsInf(float64(w), 0) {
		// One step beyond the largest number counts as one.
		if math.Abs(math.Abs(want)-math.MaxFloat32) <= 0x1p105 {
			return 1
		}
		return math.Inf(1)
	}
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

func TestFunctionsAreAccurate(t *testing.T) {
	for _, f := range functions {
		worst, at := 0.0, float32(0)
		check := func(x float32) {
			if f.name == "Mish" && x < -87 {
				return
			}
			if d := ulpsOff(f.got(x), f.want(float64(x))); d > worst {
				worst, at = d, x
			}
		}
		for u := uint64(0); u < 1<<32; u += uint64(*stride) {
			check(math.Float32frombits(uint32(u)))
		}
		for i := -200_000; i < 200_000; i++ { // the interesting range evenly
			check(float32(i) * 1e-4)
		}
		for _, x := range edges() {
			check(x)
		}
		if worst > f.ulp {
			t.Errorf("%s is %.3g ulp off at %g: %g, want %g", f.name, worst, at, f.got(at), f.want(float64(at)))
		}
		t.Logf("%s: %.3g ulp at %g", f.name, worst, at)
	}
}

// edges lists numbers at which an algorithm changes, and their neighbours.
func edges() []float32 {
	var list []float32
	for _, x := range []float64{0, 0x1p-149, 0x1p-126, 1e-10, .34657359, .41421356, .625, .70710678, 1, 1.41421356, 2, 3.9192, 4, 9.1, 10, 20, 26,
		87.3365, 88, 88.722839, 89, 103.97208, 104, math.Pi / 4, math.Pi / 2, math.Pi, 1 << 20, 1<<20 + 1, 1e10, 1e30, math.MaxFloat32, math.Inf(1)} {
		for _, s := range []float64{1, -1} {
			v := float32(s * x)
			list = append(list, v, math.Nextafter32(v, 2*v), math.Nextafter32(v, 0))
		}
	}
	return append(list, float32(math.NaN()))
}

func TestFunctionsAtTheEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	zero := float32(0)
	for _, c := range []struct {
		name      string
		got, want float32
	}{
		{"Exp(inf)", Exp(inf), inf}, {"Exp(-inf)", Exp(-inf), 0}, {"Exp(0)", Exp(0), 1}, {"Exp(89)", Exp(89), inf},
		{"Exp(-103.9)", Exp(-103.9), 0x1p-149}, {"Expm1(-inf)", Expm1(-inf), -1}, {"Expm1(inf)", Expm1(inf), inf},
		{"Sigmoid(inf)", Sigmoid(inf), 1}, {"Sigmoid(-inf)", Sigmoid(-inf), 0}, {"Sigmoid(0)", Sigmoid(0), .5},
		{"Tanh(inf)", Tanh(inf), 1}, {"Tanh(-inf)", Tanh(-inf), -1}, {"Erf(inf)", Erf(inf), 1}, {"Erf(-inf)", Erf(-inf), -1},
		{"Log(1)", Log(1), 0}, {"Log(0)", Log(0), -inf}, {"Log(-0)", Log(-zero), -inf}, {"Log(inf)", Log(inf), inf},
		{"Softplus(inf)", Softplus(inf), inf}, {"Softplus(-inf)", Softplus(-inf), 0}, {"Mish(inf)", Mish(inf), inf},
		{"Sin(0)", Sin(0), 0}, {"Cos(0)", Cos(0), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s = %g, want %g", c.name, c.got, c.want)
		}
	}
	negative := math.Float32frombits(1 << 31)
	for name, f := range map[string]func(float32) float32{"Expm1": Expm1, "Tanh": Tanh, "Erf": Erf, "Sin": Sin} {
		if math.Float32bits(f(negative)) != 1<<31 {
			t.Errorf("%s(-0) = %g", name, f(negative))
		}
	}
	for _, f := range functions {
		if y := f.got(nan); y == y {
			t.Errorf("%s(NaN) = %g", f.name, y)
		}
	}
	for name, y := range map[string]float32{"Log(-1)": Log(-1), "Log(-inf)": Log(-inf), "Sin(inf)": Sin(inf), "Cos(-inf)": Cos(-inf)} {
		if y == y {
			t.Errorf("%s = %g, want NaN", name, y)
		}
	}
}

// The digits of 2/pi are those that big arithmetic gives, by Machin's formula.
func TestTwoOverPi(t *testing.T) {
	const bits = 420
	one := new(big.Int).Lsh(big.NewInt(1), bits)
	arctan := func(n int64) *big.Int { // of 1/n
		x := new(big.Int).Div(one, big.NewInt(n))
		sum := new(big.Int).Set(x)
		for k := int64(3); x.Sign() != 0; k += 2 {
			x.Div(x, big.NewInt(-n*n))
			sum.Add(sum, new(big.Int).Quo(x, big.NewInt(k)))
		}
		return sum
	}
	pi := new(big.Int).Mul(arctan(5), big.NewInt(16))
	pi.Sub(pi, new(big.Int).Mul(arctan(239), big.NewInt(4)))
	q := new(big.Int).Div(new(big.Int).Lsh(one, bits+1), pi)
	q.Rsh(q, bits-320)
	for i := 5; i > 0; i-- {
		if w := new(big.Int).And(q, new(big.Int).SetUint64(math.MaxUint64)).Uint64(); w != twoOverPi[i] {
			t.Errorf("word %d is %#x, want %#x", i, twoOverPi[i], w)
		}
		q.Rsh(q, 64)
	}
}

// The bits are part of the definition: every machine must give these.
func TestFunctionsBits(t *testing.T) {
	for _, f := range functions {
		h := uint32(2166136261)
		for i := -3000; i <= 3000; i++ {
			u := math.Float32bits(f.got(float32(i) * 0.01171875))
			if u&0x7fffffff > 0x7f800000 {
				u = 0x7fc00000
			}
			h = (h ^ u) * 16777619
		}
		if h != wantBits[f.name] {
			t.Errorf("%q: %#08x,", f.name, h)
		}
	}
}

var wantBits = map[string]uint32{
	"Exp":      0x4af4fc11,
	"Expm1":    0x3234cca6,
	"Sigmoid":  0x948d38f1,
	"Tanh":     0xc99bab57,
	"Erf":      0x54568507,
	"Log":      0x60a8b222,
	"Softplus": 0x7d1f5f96,
	"Mish":     0x3d8b1e5b,
	"Sin":      0x15000087,
	"Cos":      0x41458ee7,
}

func BenchmarkFunctions(b *testing.B) {
	for _, f := range functions {
		b.Run(f.name, func(b *testing.B) {
			s, x := float32(0), float32(-5)
			for range b.N {
				s += f.got(x)
				if x += .01; x > 5 {
					x = -5
				}
			}
			sink = s
		})
	}
}

var sink float32
