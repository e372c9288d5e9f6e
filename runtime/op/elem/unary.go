package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// unary makes the function of one element for a call, from its attributes; nil for a type that the operator does not take.
type unary struct {
	f32  func(c *op.Call) func(float32) float32
	f64  func(c *op.Call) func(float64) float64
	ints intFunc
}

// intFunc is a function on integers, generic through int64: the result wraps to the element type.
type intFunc func(x int64) int64

// wide makes both float versions of a function that is computed in float64.
func wide(f func(float64) float64) unary {
	return unary{
		f32: func(*op.Call) func(float32) float32 { return func(x float32) float32 { return float32(f(float64(x))) } },
		f64: func(*op.Call) func(float64) float64 { return f },
	}
}

// both is a function with a float32 version of its own.
func both(g func(float32) float32, f func(float64) float64) unary {
	u := wide(f)
	u.f32 = func(*op.Call) func(float32) float32 { return g }
	return u
}

// with is a function whose attributes are read first.
func with(make func(c *op.Call) func(float64) float64) unary {
	return unary{
		f32: func(c *op.Call) func(float32) float32 {
			f := make(c)
			return func(x float32) float32 { return float32(f(float64(x))) }
		},
		f64: make,
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softplus(x float64) float64 {
	if x > 30 {
		return x
	}
	return math.Log1p(math.Exp(x))
}

func sign64(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func relu64(x float64) float64 {
	if x < 0 {
		return 0
	}
	return x
}

func clamp64(x, lo, hi float64) float64 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

func withInts(u unary, f intFunc) unary {
	u.ints = f
	return u
}

// unaries lists the functions of one argument.
var unaries = map[string]unary{
	"Abs":        withInts(wide(math.Abs), func(x int64) int64 { return max(x, -x) }),
	"Neg":        withInts(wide(func(x float64) float64 { return -x }), func(x int64) int64 { return -x }),
	"Sign":       withInts(wide(sign64), func(x int64) int64 { return min(max(x, -1), 1) }),
	"Floor":      wide(math.Floor),
	"Ceil":       wide(math.Ceil),
	"Round":      wide(math.RoundToEven),
	"Reciprocal": wide(func(x float64) float64 { return 1 / x }),
	"Sqrt":       wide(math.Sqrt),
	"Rsqrt":      wide(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	"Square":     withInts(wide(func(x float64) float64 { return x * x }), func(x int64) int64 { return x * x }),
	"Exp":        both(fmath.Exp, math.Exp),
	"Log":        wide(math.Log),
	"Sin":        wide(math.Sin), "Cos": wide(math.Cos), "Tan": wide(math.Tan),
	"Asin": wide(math.Asin), "Acos": wide(math.Acos), "Atan": wide(math.Atan),
	"Sinh": wide(math.Sinh), "Cosh": wide(math.Cosh),
	"Asinh": wide(math.Asinh), "Acosh": wide(math.Acosh), "Atanh": wide(math.Atanh),
	"Tanh":     both(fmath.Tanh, math.Tanh),
	"Sigmoid":  both(fmath.Sigmoid, sigmoid),
	"Erf":      both(fmath.Erf, math.Erf),
	"Relu":     withInts(wide(relu64), func(x int64) int64 { return max(x, 0) }),
	"Relu6":    wide(func(x float64) float64 { return clamp64(x, 0, 6) }),
	"Softplus": wide(softplus),
	"Softsign": wide(func(x float64) float64 { return x / (1 + math.Abs(x)) }),
	"Mish":     wide(func(x float64) float64 { return x * math.Tanh(softplus(x)) }),
	"HardSwish": both(func(x float32) float32 {
		return float32(x*min(max(float32(x+3), 0), 6)) / 6
	}, func(x float64) float64 { return x * clamp64(x+3, 0, 6) / 6 }),
	"LeakyRelu": withF32(func(c *op.Call) func(float32) float32 {
		a := c.Attrs.Float("alpha", .01)
		return func(x float32) float32 {
			if x < 0 {
				return a * x
			}
			return x
		}
	}, func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", .01))
		return func(x float64) float64 {
			if x < 0 {
				return a * x
			}
			return x
		}
	}),
	"ThresholdedRelu": with(func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 {
			if x > a {
				return x
			}
			return 0
		}
	}),
	"Elu": with(func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 {
			if x < 0 {
				return a * math.Expm1(x)
			}
			return x
		}
	}),
	"Celu": with(func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 { return math.Max(0, x) + math.Min(0, a*math.Expm1(x/a)) }
	}),
	"Selu": with(func(c *op.Call) func(float64) float64 {
		a, g := float64(c.Attrs.Float("alpha", 1.67326319217681884765625)), float64(c.Attrs.Float("gamma", 1.05070102214813232421875))
		return func(x float64) float64 {
			if x <= 0 {
				return g * a * math.Expm1(x)
			}
			return g * x
		}
	}),
	"HardSigmoid": withF32(func(c *op.Call) func(float32) float32 {
		a, b := c.Attrs.Float("alpha", .2), c.Attrs.Float("beta", .5)
		return func(x float32) float32 { return min(max(float32(a*x)+b, 0), 1) }
	}, func(c *op.Call) func(float64) float64 {
		a, b := float64(c.Attrs.Float("alpha", .2)), float64(c.Attrs.Float("beta", .5))
		return func(x float64) float64 { return clamp64(a*x+b, 0, 1) }
	}),
	"Swish": withF32(func(c *op.Call) func(float32) float32 {
		a := c.Attrs.Float("alpha", 1)
		return func(x float32) float32 { return x * fmath.Sigmoid(float32(a*x)) }
	}, func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", 1))
		return func(x float64) float64 { return x * sigmoid(a*x) }
	}),
	"Gelu": withF32(gelu32, gelu64),
	"Shrink": with(func(c *op.Call) func(float64) float64 {
		lambda, bias := float64(c.Attrs.Float("lambd", .5)), float64(c.Attrs.Float("bias", 0))
		return func(x float64) float64 {
			switch {
			case x < -lambda:
				return x + bias
			case x > lambda:
				return x - bias
			}
			return 0
		}
	}),
	"com.microsoft.QuickGelu": with(func(c *op.Call) func(float64) float64 {
		a := float64(c.Attrs.Float("alpha", 1.702))
		return func(x float64) float64 { return x * sigmoid(a*x) }
	}),
	"com.microsoft.Gelu": both(geluErf, func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }),
}

func withF32(g func(c *op.Call) func(float32) float32, f func(c *op.Call) func(float64) float64) unary {
	return unary{f32: g, f64: f}
}

func geluErf(x float32) float32 {
	return float32(float32(.5*x) * float32(1+fmath.Erf(float32(x*0.70710678118))))
}

func geluTanh(x float32) float32 {
	inner := float32(float32(0.7978845608) * float32(x+float32(float32(0.044715*x)*float32(x*x))))
	return float32(float32(.5*x) * float32(1+fmath.Tanh(inner)))
}

func gelu32(c *op.Call) func(float32) float32 {
	if c.Attrs.Str("approximate", "none") == "tanh" {
		return geluTanh
	}
	return geluErf
}

func gelu64(c *op.Call) func(float64) float64 {
	if c.Attrs.Str("approximate", "none") == "tanh" {
		return func(x float64) float64 {
			return .5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+.044715*x*x*x)))
		}
	}
	return func(x float64) float64 { return .5 * x * (1 + math.Erf(x/math.Sqrt2)) }
}

var unaryOps = func() map[string]op.Op {
	ops := map[string]op.Op{
		"IsNaN":      {Infer: inferTest, Prepare: prepareIsNaN},
		"IsInf":      {Infer: inferTest, Prepare: prepareIsInf},
		"Not":        {Infer: same, Prepare: prepareNot, Traits: op.Pointwise},
		"BitwiseNot": {Infer: same, Prepare: prepareBitwiseNot, Traits: op.Pointwise},
		"ZerosLike":  {Infer: same, Prepare: prepareZeros, Traits: op.ShapeOnly},
		"Dropout":    {Infer: inferDropout, Prepare: prepareDropout},
	}
	for name, u := range unaries {
		ops[name] = op.Op{Infer: same, Prepare: u.prepare, Traits: op.Pointwise | op.InPlace}
	}
	return ops
}()

func (u unary) prepare(c *op.Call) (op.Run, error) {
	d := c.In[0].DType
	switch d {
	case tensor.F32, tensor.F16, tensor.BF16:
		return mapFloat(c, u.f32(c)), nil
	case tensor.F64:
		return mapFloat(c, u.f64(c)), nil
	}
	if u.ints == nil {
		return nil, c.Errorf("elements of type %v unsupported", d)
	}
	f := u.ints
	return byType{
		i64: func() op.Run { return mapInts[int64](c, f) }, i32: func() op.Run { return mapInts[int32](c, f) },
		i16: func() op.Run { return mapInts[int16](c, f) }, i8: func() op.Run { return mapInts[int8](c, f) },
		u64: func() op.Run { return mapInts[uint64](c, unsigned(c, f)) }, u32: func() op.Run { return mapInts[uint32](c, f) },
		u16: func() op.Run { return mapInts[uint16](c, f) }, u8: func() op.Run { return mapInts[uint8](c, f) },
	}.pick(c, d)
}

// unsigned keeps the sign tests of f right for 64-bit values above the range of int64.
func unsigned(c *op.Call, f intFunc) intFunc {
	switch c.Op {
	case "Abs", "Relu":
		return func(x int64) int64 { return x }
	case "Sign":
		return func(x int64) int64 {
			if x != 0 {
				return 1
			}
			return 0
		}
	}
	return f
}

func mapFloat[T float](c *op.Call, f func(T) T) op.Run {
	x, y := newView[T](c.In[0]), newView[T](c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for i, v := range in[lo:hi] {
			out[lo+i] = f(v)
		}
	}
	n := c.In[0].Len()
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(n, grain, body)
		y.put()
		return nil
	}
}

func mapInts[T int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8](c *op.Call, f intFunc) op.Run {
	return func() error {
		out := tensor.Of[T](c.Out[0])
		for i, v := range tensor.Of[T](c.In[0]) {
			out[i] = T(f(int64(v)))
		}
		return nil
	}
}

func inferTest(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if !c.In[0].DType.IsFloat() {
		return c.Errorf("input of type %v, want a float", c.In[0].DType)
	}
	c.Set(0, tensor.Bool, c.In[0].Shape)
	return nil
}

func prepareIsNaN(c *op.Call) (op.Run, error) {
	return testFloats(c, func(x float64) bool { return x != x })
}

func prepareIsInf(c *op.Call) (op.Run, error) {
	neg, pos := c.Attrs.Bool("detect_negative", true), c.Attrs.Bool("detect_positive", true)
	return testFloats(c, func(x float64) bool { return pos && math.IsInf(x, 1) || neg && math.IsInf(x, -1) })
}

func testFloats(c *op.Call, f func(float64) bool) (op.Run, error) {
	read, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	n := c.In[0].Len()
	return func() error {
		out := tensor.Of[bool](c.Out[0])
		for i := range n {
			out[i] = f(read(i))
		}
		return nil
	}, nil
}

func prepareNot(c *op.Call) (op.Run, error) {
	if err := c.Want(0, tensor.Bool); err != nil {
		return nil, err
	}
	return func() error {
		for i, b := range c.In[0].Data {
			c.Out[0].Data[i] = b ^ 1
		}
		return nil
	}, nil
}

func prepareBitwiseNot(c *op.Call) (op.Run, error) {
	if d := c.In[0].DType; !d.IsInt() || d.Bits() < 8 {
		return nil, c.Errorf("input of type %v, want an integer", d)
	}
	return func() error {
		for i, b := range c.In[0].Data {
			c.Out[0].Data[i] = ^b
		}
		return nil
	}, nil
}

func prepareZeros(c *op.Call) (op.Run, error) {
	return func() error {
		clear(c.Out[0].Data)
		return nil
	}, nil
}

func inferDropout(c *op.Call) error {
	if err := same(c); err != nil {
		return err
	}
	c.Set(1, tensor.Bool, c.In[0].Shape)
	return nil
}

// prepareDropout copies its input: dropping is for training, where only a ratio of 0 has a defined result.
func prepareDropout(c *op.Call) (op.Run, error) {
	return func() error {
		if t := c.Input(2); t != nil && len(t.Data) == 1 && t.Data[0] != 0 {
			ratio := .5
			if r := c.Input(1); r != nil {
				read, err := reader(c, r)
				if err != nil {
					return err
				}
				ratio = read(0)
			}
			if ratio != 0 {
				return c.Errorf("training mode with ratio %g unsupported", ratio)
			}
		}
		if y := c.Output(0); y != nil {
			copy(y.Data, c.In[0].Data)
		}
		if m := c.Output(1); m != nil {
			for i := range m.Data {
				m.Data[i] = 1
			}
		}
		return nil
	}, nil
}
