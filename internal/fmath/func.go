package fmath

import "math"

// Exp is e**x within 1 ulp. x = n·ln2 + r with |r| <= ln2/2, where ln2 is split in two so that n·hi is exact; e**r is a
// polynomial in one FMA chain; 2**n is applied in two steps, so that subnormal results are rounded once.
func Exp(x float32) float32 {
	const (
		log2e = 1.44269504
		ln2hi = 0.693359375
		ln2lo = -2.12194440e-4
	)
	switch {
	case x != x:
		return x
	case x > 88.7229:
		return float32(math.Inf(1))
	case x < -103.98:
		return 0
	}
	n := float32(math.RoundToEven(float64(float32(x * log2e))))
	r := FMA(n, -ln2hi, x)
	r = FMA(n, -ln2lo, r)
	p := float32(1.9875691500e-4)
	p = FMA(p, r, 1.3981999507e-3)
	p = FMA(p, r, 8.3334519073e-3)
	p = FMA(p, r, 4.1665795894e-2)
	p = FMA(p, r, 1.6666665459e-1)
	p = FMA(p, r, 5.0000001201e-1)
	p = FMA(p, float32(r*r), r)
	p = float32(p + 1)
	half := int32(n) / 2
	return float32(float32(p*pow2(half)) * pow2(int32(n)-half))
}

// pow2 is 2**n for -126 <= n <= 127.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Sigmoid is 1/(1+e**-x).
func Sigmoid(x float32) float32 {
	if x >= 0 {
		return 1 / float32(1+Exp(-x))
	}
	e := Exp(x)
	return e / float32(1+e)
}

// Tanh is the hyperbolic tangent: a polynomial near 0, else 1 - 2/(e**2x + 1).
func Tanh(x float32) float32 {
	a := x
	if a < 0 {
		a = -a
	}
	switch {
	case x != x:
		return x
	case a < 0.625:
		s := float32(x * x)
		p := float32(-5.70498872745e-3)
		p = FMA(p, s, 2.06390887954e-2)
		p = FMA(p, s, -5.37397155531e-2)
		p = FMA(p, s, 1.33314422036e-1)
		p = FMA(p, s, -3.33332819422e-1)
		return FMA(float32(p*s), x, x)
	case a > 9.1:
		return float32(math.Copysign(1, float64(x)))
	}
	t := float32(1 - 2/float32(Exp(float32(2*a))+1))
	if x < 0 {
		return -t
	}
	return t
}

// Erf is the error function, rounded from float64 arithmetic that uses only +, -, *, / and FMA-free steps, so that its
// bits do not depend on the machine: Abramowitz and Stegun's series near 0, a continued fraction elsewhere would need
// exp; here both use the Taylor series, which converges for the |x| < 4 where erf is not 1 in float32.
func Erf(x float32) float32 {
	a := math.Abs(float64(x))
	switch {
	case x != x:
		return x
	case a > 3.9192059:
		return float32(math.Copysign(1, float64(x)))
	}
	// erf(x) = 2/sqrt(pi) · e**(-x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!, all terms positive.
	s := float64(a * a)
	term, sum := a, a
	for n := 1; n < 60; n++ {
		term = float64(term*float64(2*s)) / float64(2*n+1)
		sum = float64(sum + term)
		if term < sum*1e-12 {
			break
		}
	}
	r := float64(float64(1.1283791670955126*exp64(-s)) * sum)
	if r > 1 {
		r = 1
	}
	return float32(math.Copysign(r, float64(x)))
}

// exp64 is e**x for -16 <= x <= 0 in float64 steps whose rounding is spelled out; good to 1e-14.
func exp64(x float64) float64 {
	n := math.RoundToEven(float64(x * 1.4426950408889634))
	r := float64(x-float64(n*0.693147180369123816490)) - float64(n*1.90821492927058770002e-10)
	term, sum := 1.0, 1.0
	for i := 1; i < 16; i++ {
		term = float64(term*r) / float64(i)
		sum = float64(sum + term)
	}
	return math.Ldexp(sum, int(n))
}
