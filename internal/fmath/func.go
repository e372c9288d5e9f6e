package fmath

import "math"

// The polynomials below are fitted by fit.py.

// clamp bounds x; NaN stays.
func clamp(x, lo, hi float32) float32 { return min(max(x, lo), hi) }

// exponential splits e**x into 2**n * (1 + (r + q)): x = n*ln2 + r with |r| <= ln2/2, where ln2 has two parts so that n
// times the first is exact, and q = e**r - 1 - r = r*r*P(r), to which the part of r that rounding lost is added.
func exponential(x float32) (n, r, q float32) {
	const (
		log2e = 1.44269504
		ln2hi = 0.693359375
		ln2lo = -2.12194440e-4
	)
	n = float32(math.RoundToEven(float64(float32(x * log2e))))
	high := FMA(n, -ln2hi, x)
	r = FMA(n, -ln2lo, high)
	low := FMA(n, -ln2lo, float32(high-r))
	p := FMA(1.9761725e-4, r, 1.39323215e-3)
	p = FMA(p, r, 8.33354611e-3)
	p = FMA(p, r, 4.16664928e-2)
	p = FMA(p, r, 1.66666657e-1)
	p = FMA(p, r, 0.5)
	return n, r, FMA(p, float32(r*r), low)
}

// pow2 is 2**n for -126 <= n <= 127.
func pow2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Exp is e**x. The power of two is applied in two steps, so that subnormal results are rounded once and large ones
// reach infinity.
func Exp(x float32) float32 {
	if x != x {
		return x
	}
	n, r, q := exponential(clamp(x, -104, 89))
	one := float32(1 + r)
	lost := float32(r - float32(one-1))
	y := one + float32(lost+q)
	half := int32(n) >> 1
	return float32(float32(y*pow2(half)) * pow2(int32(n)-half))
}

// Expm1 is e**x - 1, exact to the last places also near 0.
func Expm1(x float32) float32 {
	if x != x {
		return x
	}
	// Beyond 88 the product overflows one power of two too early.
	if x > 88 {
		return Exp(x)
	}
	n, r, q := exponential(max(x, -26))
	s := pow2(int32(n))
	y := FMA(float32(r+q), s, float32(s-1))
	if y == 0 {
		return x // a zero keeps its sign
	}
	return y
}

// Sigmoid is 1/(1+e**-x), computed as e**-|x|/(1+e**-|x|) where x is negative, with most of what rounding the divisor
// lost put back.
func Sigmoid(x float32) float32 {
	e := Exp(-abs(x))
	d := float32(1 + e)
	lost := float32(e - float32(d-1))
	top := float32(1)
	if x < 0 {
		top = e
	}
	y := top / d
	return FMA(-y, lost, y)
}

// Tanh is the hyperbolic tangent: x + x**3*T(x*x) for |x| < 0.625, else 1 - 2/(e**2|x| + 1).
func Tanh(x float32) float32 {
	a := abs(x)
	if !(a < 0.625) {
		return sign(1-2/float32(Exp(2*a)+1), x)
	}
	s := float32(a * a)
	t := FMA(-5.69721917e-3, s, 2.06316467e-2)
	t = FMA(t, s, -5.37372567e-2)
	t = FMA(t, s, 0.133314103)
	t = FMA(t, s, -0.333332807)
	return sign(FMA(float32(t*s), a, a), x)
}

// Erf is the error function, 1 - e**-t with t = -log(erfc(|x|)) = |x| * (1.125 + R(|x|)).
func Erf(x float32) float32 {
	if x != x {
		return x
	}
	a := min(abs(x), 4)
	r := FMA(1.43967372e-6, a, -2.36976321e-5)
	r = FMA(r, a, 1.76447662e-4)
	r = FMA(r, a, -7.58502632e-4)
	r = FMA(r, a, 1.81913981e-3)
	r = FMA(r, a, -2.65368086e-4)
	r = FMA(r, a, -1.91136338e-2)
	r = FMA(r, a, 1.02770656e-1)
	r = FMA(r, a, 6.36619866e-1)
	r = FMA(r, a, 3.37916659e-3)
	t := FMA(a, 1.125, float32(a*r))
	return sign(-Expm1(-t), x)
}

// Gelu is x/2 * (1 + erf(x/sqrt(2))).
func Gelu(x float32) float32 {
	return float32(.5*x) * float32(1+Erf(float32(x*(1/math.Sqrt2))))
}

// GeluTanh is x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x**3))).
func GeluTanh(x float32) float32 {
	cube := float32(float32(0.044715*x) * float32(x*x))
	return float32(.5*x) * float32(1+Tanh(float32(0.7978845608028654*float32(x+cube))))
}

// Swish is x/(1+e**(-a*x)).
func Swish(x, a float32) float32 { return x * Sigmoid(float32(a*x)) }

// Log is the natural logarithm.
func Log(x float32) float32 {
	switch {
	case x != x || x > math.MaxFloat32:
		return x
	case x < 0:
		return float32(math.NaN())
	case x == 0:
		return float32(math.Inf(-1))
	}
	e := int32(0)
	if x < 0x1p-126 {
		x, e = x*0x1p23, -23
	}
	// x = 2**e * (1+f) with sqrt(1/2) <= 1+f < sqrt(2).
	const sqrtHalf = 0x3f3504f3
	u := math.Float32bits(x) - sqrtHalf
	e += int32(u) >> 23
	return logarithm(math.Float32frombits(u&0x7fffff+sqrtHalf)-1, float32(e))
}

// logarithm is log(1+f) + e*ln2, with log(1+f) = f - f*f/2 + f**3*L(f).
func logarithm(f, e float32) float32 {
	const (
		ln2hi = 0.693359375
		ln2lo = -2.12194440e-4
	)
	s := float32(f * f)
	l := FMA(6.75060302e-2, f, -1.16713785e-1)
	l = FMA(l, f, 1.18836753e-1)
	l = FMA(l, f, -1.24060579e-1)
	l = FMA(l, f, 1.42203212e-1)
	l = FMA(l, f, -1.66679949e-1)
	l = FMA(l, f, 2.0002073e-1)
	l = FMA(l, f, -2.50000089e-1)
	l = FMA(l, f, 3.33333135e-1)
	y := float32(float32(f*s) * l)
	y = FMA(e, ln2lo, y)
	y = FMA(s, -0.5, y)
	return FMA(e, ln2hi, float32(f+y))
}

// Softplus is log(1+e**x) = max(x, 0) + log(1+e**-|x|).
func Softplus(x float32) float32 {
	f, e := Exp(-abs(x)), float32(0)
	if f > 0.41421356 {
		f, e = float32(0.5*f)-0.5, 1 // 1+f halved; exact
	}
	return max(x, 0) + logarithm(f, e)
}

// Mish is x*tanh(softplus(x)) = x*n/(n+2) with n = e**x * (e**x + 2). Below -87, where e**x has lost digits, so has Mish.
func Mish(x float32) float32 {
	if x > 20 {
		return x
	}
	e := Exp(x)
	n := FMA(e, e, 2*e)
	return float32(x*n) / float32(n+2)
}

// Elu is g*x, or g*a*(e**x - 1) where x is negative.
func Elu(x, a, g float32) float32 {
	if x < 0 {
		return g * float32(a*Expm1(x))
	}
	return g * x
}

// HardSigmoid is a*x + b between 0 and 1; NaN stays.
func HardSigmoid(x, a, b float32) float32 {
	switch y := float32(a*x) + b; {
	case y < 0:
		return 0
	case y > 1:
		return 1
	default:
		return y
	}
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// sign gives y, which is not negative, the sign of x.
func sign(y, x float32) float32 {
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

// Subnormal tells whether x is not zero, yet smaller in magnitude than any normal number.
func Subnormal(x float32) bool { return x > -0x1p-126 && x < 0x1p-126 && x != 0 }
