package fmath

import (
	"math"
	"math/bits"
)

// Sin is the sine of x radians, of any size.
func Sin(x float32) float32 {
	if x == 0 {
		return x
	}
	q, r := quarterTurns(x)
	return turned(q, r)
}

// Cos is the cosine of x radians, of any size.
func Cos(x float32) float32 {
	q, r := quarterTurns(x)
	return turned(q+1, r)
}

// turned is sin(q*pi/2 + r) for |r| <= pi/4, by polynomials in float64 steps.
func turned(q int, r float64) float32 {
	s := float64(r * r)
	var y float64
	if q&1 == 0 {
		// sin(r) = r + r**3 * S(r*r)
		p := float64(-2.476037990468059e-08*s) + 2.7555338605447143e-06
		p = float64(p*s) - 0.0001984126372352505
		p = float64(p*s) + 0.00833333332506789
		p = float64(p*s) - 0.1666666666663029
		y = r + float64(float64(r*s)*p)
	} else {
		// cos(r) = 1 - r*r/2 + r**4 * C(r*r)
		p := float64(-2.7205682666052316e-07*s) + 2.479945928411089e-05
		p = float64(p*s) - 0.001388888349675158
		p = float64(p*s) + 0.041666666619452356
		y = 1 - float64(0.5*s) + float64(float64(s*s)*p)
	}
	if q&2 != 0 {
		y = -y
	}
	return float32(y)
}

// quarterTurns splits x = q*pi/2 + r with |r| <= pi/4 or a little more; q counts modulo 4.
func quarterTurns(x float32) (q int, r float64) {
	a := abs(x)
	if a >= 1<<20 {
		if a > math.MaxFloat32 || x != x {
			return 0, math.NaN()
		}
		q, r = longDivision(a)
		if x < 0 {
			return -q, -r
		}
		return q, r
	}
	// pi/2 in two parts; n times the first, which has 33 bits, is exact.
	const hi, lo = 1.57079632673412561417e+00, 6.07710050650619224932e-11
	n := math.RoundToEven(float64(float64(x) * (2 / math.Pi)))
	return int(n), float64(float64(x)-float64(n*hi)) - float64(n*lo)
}

// twoOverPi holds the bits of 2/pi behind 64 zeros.
var twoOverPi = [...]uint64{0, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0}

// longDivision is quarterTurns of a large positive number (Payne and Hanek): with a = m * 2**e, of the bits of 2/pi only
// those matter whose product with a counts below 4.
func longDivision(a float32) (q int, r float64) {
	u := math.Float32bits(a)
	m := uint64(u&0x7fffff | 1<<23)
	first := int(u>>23) - 127 - 23 - 2 + 64
	word := func(at int) uint64 {
		i, s := at/64, uint(at%64)
		return twoOverPi[i]<<s | twoOverPi[i+1]>>(64-s)
	}
	c, lo := bits.Mul64(m, word(first+64))
	hi := m*word(first) + c
	turns := int64(hi<<2 | lo>>62) // of a quarter, in units of 2**-64
	q = int(hi >> 62)
	if turns < 0 {
		q++
	}
	return q, float64(float64(turns) * (math.Pi / 2 * 0x1p-64))
}
