// Package trig holds the sines of the pipeline: float64 without fused operations, the same bits on every machine.
//
// Only the packages below pipeline import it.
package trig

import "math"

// Sinc is sin(pi x)/(pi x).
func Sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return SinPi(x) / float64(math.Pi*x)
}

// SinPi is sin(pi x): Taylor polynomials of degree 17 for the sine on [-1/4, 1/4] and of degree 16 for the cosine
// elsewhere. |x| must be below 2^52.
func SinPi(x float64) float64 {
	n := math.Round(x)
	r := x - n
	var p float64
	if math.Abs(r) <= 0.25 {
		r = float64(r * math.Pi)
		p = float64(taylor(float64(r*r), 16) * r)
	} else {
		q := float64((0.5 - math.Abs(r)) * math.Pi)
		p = math.Copysign(taylor(float64(q*q), 15), r)
	}
	if int64(n)&1 != 0 {
		return -p
	}
	return p
}

// taylor is 1 - z/(k(k+1)) * (1 - z/((k+2)(k+3)) * ...), from k = 2 or 1 to last.
func taylor(z, last float64) float64 {
	p := 1.0
	for k := last; k >= 1; k -= 2 {
		p = 1 - float64(float64(z*p)/float64(k*(k+1)))
	}
	return p
}
