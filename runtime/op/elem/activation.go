package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// The functions below are written once for both float types; float32's steps are spelled out, so that nothing is fused.

func exp[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Exp(v))
	}
	return T(math.Exp(float64(x)))
}

func expm1[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Expm1(v))
	}
	return T(math.Expm1(float64(x)))
}

func log[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Log(v))
	}
	return T(math.Log(float64(x)))
}

func tanh[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Tanh(v))
	}
	return T(math.Tanh(float64(x)))
}

func erf[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Erf(v))
	}
	return T(math.Erf(float64(x)))
}

func sigmoid[T float](x T) T {
	if v, ok := any(x).(float32); ok {
		return T(fmath.Sigmoid(v))
	}
	e := T(math.Exp(-math.Abs(float64(x))))
	if x < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

func softplus64(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func hardSwish64(x float64) float64 { return float64(x*min(max(x+3, 0), 6)) / 6 }

func softsignRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = v / T(1+T(math.Abs(float64(v))))
	}
}

// gelu is x/2 * (1 + erf(x/sqrt(2))).
func gelu[T float](x T) T { return T(T(.5*x) * T(1+erf(T(x*(1/math.Sqrt2))))) }

// geluTanh is x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x**3))).
func geluTanh[T float](x T) T {
	cube := T(T(0.044715*x) * T(x*x))
	return T(T(.5*x) * T(1+tanh(T(0.7978845608028654*T(x+cube)))))
}

// alphaBeta makes a function of runs from the attributes alpha and beta (or others, by name).
type alphaBeta[T float] func(alpha, beta T) func(y, x []T)

// shapedRow is a function with the two attributes that the kernel table has.
func shapedRow(o spec.Op, f alphaBeta[float64], alpha string, a float32, beta string, b float32) unary {
	u := shaped(nil, f, alpha, a, beta, b)
	u.choose = func(c *op.Call) (*spec.Row, float32, float32) {
		return row32(o), c.Attrs.Float(alpha, a), c.Attrs.Float(beta, b)
	}
	return u
}

// shaped is a function with the two attributes.
func shaped(g alphaBeta[float32], f alphaBeta[float64], alpha string, a float32, beta string, b float32) unary {
	return unary{
		f32: func(c *op.Call) func(y, x []float32) { return g(c.Attrs.Float(alpha, a), c.Attrs.Float(beta, b)) },
		f64: func(c *op.Call) func(y, x []float64) {
			return f(float64(c.Attrs.Float(alpha, a)), float64(c.Attrs.Float(beta, b)))
		},
	}
}

func leakyRelu64(a, _ float64) func(y, x []float64) {
	return mapped(func(x float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	})
}

func thresholdedRelu[T float](a, _ T) func(y, x []T) {
	return func(y, x []T) {
		for i, v := range x {
			if v <= a {
				v = 0
			}
			y[i] = v
		}
	}
}

func elu64(a, g float64) func(y, x []float64) {
	return mapped(func(x float64) float64 {
		if x < 0 {
			return g * float64(a*math.Expm1(x))
		}
		return g * x
	})
}

func celu[T float](a, _ T) func(y, x []T) {
	return mapped(func(x T) T { return T(max(x, 0)) + min(T(a*expm1(T(x/a))), 0) })
}

func hardSigmoid64(a, b float64) func(y, x []float64) {
	return mapped(func(x float64) float64 { return min(max(float64(a*x)+b, 0), 1) })
}

func swish64(a, _ float64) func(y, x []float64) {
	return mapped(func(x float64) float64 { return x * sigmoid(float64(a*x)) })
}

func shrink[T float](lambda, bias T) func(y, x []T) {
	return mapped(func(x T) T {
		switch {
		case x < -lambda:
			return x + bias
		case x > lambda:
			return x - bias
		case x != x:
			return x
		}
		return 0
	})
}

// geluRow is the kernel of Gelu in one of its forms.
func geluRow(c *op.Call) (row *spec.Row, lo, hi float32) {
	if c.Attrs.Str("approximate", "none") == "tanh" {
		return row32(spec.GeluTanh), 0, 0
	}
	return row32(spec.Gelu), 0, 0
}

func geluOf[T float](c *op.Call) func(y, x []T) {
	if c.Attrs.Str("approximate", "none") == "tanh" {
		return mapped(geluTanh[T])
	}
	return mapped(gelu[T])
}

var activations = map[string]unary{
	"Relu":            clipped(0, float32(math.Inf(1))).withIntegers(),
	"Relu6":           clipped(0, 6),
	"Sigmoid":         kernel32(spec.Sigmoid, sigmoid[float64]),
	"Tanh":            kernel32(spec.Tanh, math.Tanh),
	"Softplus":        kernel32(spec.Softplus, softplus64),
	"Softsign":        rows(softsignRow[float32], softsignRow[float64]),
	"Mish":            kernel32(spec.Mish, func(x float64) float64 { return x * math.Tanh(softplus64(x)) }),
	"HardSwish":       kernel32(spec.HardSwish, hardSwish64),
	"LeakyRelu":       shapedRow(spec.LeakyRelu, leakyRelu64, "alpha", .01, "", 0),
	"ThresholdedRelu": shaped(thresholdedRelu[float32], thresholdedRelu[float64], "alpha", 1, "", 0),
	"Elu":             shapedRow(spec.Elu, elu64, "alpha", 1, "", 1),
	"Celu":            shaped(celu[float32], celu[float64], "alpha", 1, "", 0),
	"Selu": shapedRow(spec.Elu, elu64, "alpha", 1.67326319217681884765625,
		"gamma", 1.05070102214813232421875),
	"HardSigmoid":             shapedRow(spec.HardSigmoid, hardSigmoid64, "alpha", .2, "beta", .5),
	"Swish":                   shapedRow(spec.Swish, swish64, "alpha", 1, "", 0),
	"Shrink":                  shaped(shrink[float32], shrink[float64], "lambd", .5, "bias", 0),
	"Gelu":                    unary{f32: geluOf[float32], f64: geluOf[float64], choose: geluRow},
	"com.microsoft.Gelu":      kernel32(spec.Gelu, gelu[float64]),
	"com.microsoft.QuickGelu": shapedRow(spec.Swish, swish64, "alpha", 1.702, "", 0),
}
