package elem

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// unary makes the function of runs for a call, from its attributes.
type unary struct {
	f32 func(c *op.Call) func(y, x []float32)
	f64 func(c *op.Call) func(y, x []float64)
	// row computes float32; nil where no kernel does.
	row    *spec.Row
	lo, hi float32 // of Clip
	// choose, where it is set, finds row, lo and hi from attributes.
	choose func(c *op.Call) (row *spec.Row, lo, hi float32)
	// integers too
	integers bool
}

// kernel32 is a function without attributes that the kernel table has.
func kernel32(o spec.Op, f func(float64) float64) unary {
	u := rows(nil, mapped(f))
	u.row = row32(o)
	return u
}

// kernel is the row that computes float32, nil where none does, and its bounds.
func (u unary) kernel(c *op.Call) (row *spec.Row, lo, hi float32) {
	if u.choose != nil {
		return u.choose(c)
	}
	return u.row, u.lo, u.hi
}

// clipped is a function that bounds its argument.
func clipped(lo, hi float32) unary {
	u := rows(nil, func(y, x []float64) {
		copy(y, x)
		clampRow(y, float64(lo), float64(hi))
	})
	u.row, u.lo, u.hi = row32(spec.Clip), lo, hi
	return u
}

// mapKernel applies a row of the kernel table to input 0, in shares that each have arguments of their own.
func mapKernel(c *op.Call, row *spec.Row, lo, hi float32) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	row = c.Select(row.Op, row.In, row.W, row.Acc, row.Out, num.FP32)
	f := row.Func.(func(*spec.MapArgs))
	n := c.In[0].Len()
	const most = 1 << 14 // elements of one call, which cannot be interrupted
	shares := max(1, min(4*c.Par.Threads(), n/grain))
	args := make([]spec.MapArgs, shares)
	for i := range args {
		args[i].Lo, args[i].Hi = lo, hi
	}
	var in, out []float32
	body := func(lo, hi int) {
		for s := lo; s < hi; s++ {
			a := &args[s]
			for i, end := s*n/shares, (s+1)*n/shares; i < end; i += most {
				a.N = min(most, end-i)
				a.X, a.Y = unsafe.Pointer(&in[i]), unsafe.Pointer(&out[i])
				f(a)
			}
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(shares, 1, body)
		y.put()
		return nil
	}
}

// fixed is a function without attributes whose float32 version is the float64 one, rounded.
func fixed(f func(float64) float64) unary {
	return two(func(x float32) float32 { return float32(f(float64(x))) }, f)
}

// two is a function without attributes that has two versions.
func two(g func(float32) float32, f func(float64) float64) unary { return rows(mapped(g), mapped(f)) }

// rows is a function without attributes, given for runs.
func rows(g func(y, x []float32), f func(y, x []float64)) unary {
	return unary{
		f32: func(*op.Call) func(y, x []float32) { return g },
		f64: func(*op.Call) func(y, x []float64) { return f },
	}
}

// unaryOf is the function of a name, if it has one.
func unaryOf(name string) (unary, bool) {
	if u, ok := unaries[name]; ok {
		return u, true
	}
	u, ok := activations[name]
	return u, ok
}

// operators makes operators of functions.
func operators(table map[string]unary) map[string]op.Op {
	ops := map[string]op.Op{}
	for name, u := range table {
		ops[name] = op.Op{Infer: same, Prepare: u.prepare, Traits: op.Pointwise | op.InPlace}
	}
	return ops
}

func (u unary) prepare(c *op.Call) (op.Run, error) {
	e := each{
		f64: func(c *op.Call) (op.Run, error) { return mapRows(c, u.f64(c)), nil },
		f32: func(c *op.Call) (op.Run, error) {
			if row, lo, hi := u.kernel(c); row != nil {
				return mapKernel(c, row, lo, hi), nil
			}
			return mapRows(c, u.f32(c)), nil
		},
	}
	if u.integers {
		e = each{e.f64, e.f32, onIntegers[int64], onIntegers[int32], onIntegers[int16], onIntegers[int8],
			onIntegers[uint64], onIntegers[uint32], onIntegers[uint16], onIntegers[uint8]}
	}
	return e.byInput(c)
}

// withIntegers is a function that takes integers too.
func (u unary) withIntegers() unary {
	u.integers = true
	return u
}

func onIntegers[T integer](c *op.Call) (op.Run, error) {
	var f func(x T) T
	switch c.Op {
	case "Abs":
		f = func(x T) T {
			if x < 0 {
				return -x
			}
			return x
		}
	case "Neg":
		f = func(x T) T { return -x }
	case "Sign":
		f = func(x T) T {
			switch {
			case x < 0:
				return ^T(0) // -1
			case x > 0:
				return 1
			}
			return 0
		}
	case "Square":
		f = func(x T) T { return x * x }
	case "Relu":
		f = func(x T) T { return max(x, 0) }
	default:
		return nil, c.Errorf("BUG: no operator on integers")
	}
	return mapRows(c, mapped(f)), nil
}

func absRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = T(math.Abs(float64(v)))
	}
}

func negRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = -v
	}
}

func squareRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = v * v
	}
}

func sqrtRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = T(math.Sqrt(float64(v)))
	}
}

func reciprocalRow[T float](y, x []T) {
	for i, v := range x {
		y[i] = 1 / v
	}
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

var unaries = map[string]unary{
	"Abs":        rows(absRow[float32], absRow[float64]).withIntegers(),
	"Neg":        rows(negRow[float32], negRow[float64]).withIntegers(),
	"Sign":       fixed(sign64).withIntegers(),
	"Square":     rows(squareRow[float32], squareRow[float64]).withIntegers(),
	"Floor":      fixed(math.Floor),
	"Ceil":       fixed(math.Ceil),
	"Round":      fixed(math.RoundToEven),
	"Reciprocal": rows(reciprocalRow[float32], reciprocalRow[float64]),
	"Sqrt":       rows(sqrtRow[float32], sqrtRow[float64]),
	"Rsqrt":      fixed(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	"Exp":        kernel32(spec.Exp, math.Exp),
	"Log":        kernel32(spec.Log, math.Log),
	"Sin":        two(fmath.Sin, math.Sin),
	"Cos":        two(fmath.Cos, math.Cos),
	"Tan":        fixed(math.Tan),
	"Asin":       fixed(math.Asin),
	"Acos":       fixed(math.Acos),
	"Atan":       fixed(math.Atan),
	"Sinh":       fixed(math.Sinh),
	"Cosh":       fixed(math.Cosh),
	"Asinh":      fixed(math.Asinh),
	"Acosh":      fixed(math.Acosh),
	"Atanh":      fixed(math.Atanh),
	"Erf":        kernel32(spec.Erf, math.Erf),
}

var unaryOps = map[string]op.Op{
	"IsNaN":      {Infer: inferTest, Prepare: prepareIsNaN},
	"IsInf":      {Infer: inferTest, Prepare: prepareIsInf},
	"Not":        {Infer: inferNot, Prepare: prepareNot, Traits: op.Pointwise | op.InPlace},
	"BitwiseNot": {Infer: same, Prepare: prepareBitwiseNot, Traits: op.Pointwise | op.InPlace},
	"ZerosLike":  {Infer: same, Prepare: prepareZeros, Traits: op.ShapeOnly},
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
	switch c.In[0].DType {
	case tensor.F64:
		return mapRows(c, mapped(func(x float64) uint8 { return truth(f(x)) })), nil
	case tensor.F32, tensor.F16, tensor.BF16:
		return mapRows(c, mapped(func(x float32) uint8 { return truth(f(float64(x))) })), nil
	}
	read, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	n := c.In[0].Len()
	return func() error {
		for i := range n {
			c.Out[0].Data[i] = truth(f(read(i)))
		}
		return nil
	}, nil
}

func inferNot(c *op.Call) error {
	if err := c.Want(0, tensor.Bool); err != nil {
		return err
	}
	return same(c)
}

func prepareNot(c *op.Call) (op.Run, error) {
	return mapRows(c, mapped(func(b uint8) uint8 { return b ^ 1 })), nil
}

func prepareBitwiseNot(c *op.Call) (op.Run, error) {
	if d := c.In[0].DType; !d.IsInt() || d.Bits() < 8 {
		return nil, c.Errorf("elements of type %v unsupported", d)
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
		clear(c.Out[0].Str)
		return nil
	}, nil
}
