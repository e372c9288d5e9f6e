package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var arithmeticOps = map[string]op.Op{
	"Add":               {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace | op.QuantKernel},
	"Sub":               {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace | op.QuantKernel},
	"Mul":               {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace | op.QuantKernel},
	"Div":               {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"Pow":               {Infer: inferPow, Prepare: preparePow, Traits: op.Broadcasts | op.InPlace},
	"Mod":               {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"FloorDiv":          {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"FloorMod":          {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"SquaredDifference": {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"PRelu":             {Infer: inferBinary, Prepare: prepareArithmetic, Traits: op.Broadcasts | op.InPlace},
	"Atan2":             {Infer: inferBinary, Prepare: prepareFloat2, Traits: op.Broadcasts | op.InPlace},
	"SwiGLU":            {Infer: inferBinary, Prepare: prepareFloat2, Traits: op.Broadcasts | op.InPlace},
	"BitwiseAnd":        {Infer: inferBinary, Prepare: prepareBits, Traits: op.Broadcasts | op.InPlace},
	"BitwiseOr":         {Infer: inferBinary, Prepare: prepareBits, Traits: op.Broadcasts | op.InPlace},
	"BitwiseXor":        {Infer: inferBinary, Prepare: prepareBits, Traits: op.Broadcasts | op.InPlace},
	"BitShift":          {Infer: inferBinary, Prepare: prepareBits, Traits: op.Broadcasts | op.InPlace},
}

// inferBinary is the shape rule of two inputs of one type that are broadcast.
func inferBinary(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	a, b := c.In[0], c.In[1]
	if a.DType != b.DType && (a.Quant == nil || b.Quant == nil) {
		return c.Errorf("inputs of types %v and %v", a.DType, b.DType)
	}
	return inferPow(c)
}

// inferPow is inferBinary with any types.
func inferPow(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	a, b := c.In[0], c.In[1]
	s, err := c.Broadcast(a.Shape, b.Shape)
	if err != nil {
		return err
	}
	d := a.DType
	if a.Quant != nil {
		d = tensor.F32
	}
	c.Set(0, d, s)
	return nil
}

func prepareArithmetic(c *op.Call) (op.Run, error) {
	if c.In[0].Quant != nil || c.In[1].Quant != nil || c.Out[0].Quant != nil {
		return prepareQuantised(c)
	}
	return each{arithmetic[float64], arithmetic[float32], arithmetic[int64], arithmetic[int32], arithmetic[int16], arithmetic[int8],
		arithmetic[uint64], arithmetic[uint32], arithmetic[uint16], arithmetic[uint8]}.byInput(c)
}

func arithmetic[T number](c *op.Call) (op.Run, error) {
	var k kernel[T, T]
	switch c.Op {
	case "Add":
		k = addKernel[T]()
	case "Sub":
		k = kernel[T, T]{f: func(a, b T) T { return a - b }, vv: subRows[T], vs: subScalar[T], sv: subFrom[T]}
	case "Mul":
		k = kernel[T, T]{f: func(a, b T) T { return a * b }, vv: mulRows[T], vs: mulScalar[T],
			sv: func(y []T, a T, b []T) { mulScalar(y, b, a) }}
	case "Div":
		k = divKernel[T]()
	case "FloorDiv":
		k.f = floorDiv[T]()
	case "FloorMod":
		k.f = floorMod[T]()
	case "Mod":
		k.f = floorMod[T]()
		if c.Attrs.Bool("fmod", false) {
			k.f = truncatedMod[T]()
		}
	case "SquaredDifference":
		k.f = func(a, b T) T {
			d := T(a - b)
			return d * d
		}
	case "PRelu":
		k.f = func(x, slope T) T {
			if x < 0 {
				return x * slope
			}
			return x
		}
	default:
		return nil, c.Errorf("BUG: no arithmetic operator")
	}
	switch c.Op {
	case "Add":
		k = kernels32(k, add32, add32)
	case "Sub":
		k = kernels32(k, sub32, subFrom32)
	case "Mul":
		k = kernels32(k, mul32, mul32)
	case "Div":
		k = kernels32(k, div32, divInto32)
	case "PRelu":
		k = kernels32(k, prelu32, nil)
	}
	k.after = bounded[T](c)
	return runBinary(c, k)
}

func addKernel[T number]() kernel[T, T] {
	return kernel[T, T]{f: func(a, b T) T { return a + b }, vv: addRows[T], vs: addScalar[T],
		sv: func(y []T, a T, b []T) { addScalar(y, b, a) }}
}

func addRows[T number](y, a, b []T) {
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

func addScalar[T number](y, a []T, b T) {
	for i := range y {
		y[i] = a[i] + b
	}
}

func subRows[T number](y, a, b []T) {
	for i := range y {
		y[i] = a[i] - b[i]
	}
}

func subScalar[T number](y, a []T, b T) {
	for i := range y {
		y[i] = a[i] - b
	}
}

func subFrom[T number](y []T, a T, b []T) {
	for i := range y {
		y[i] = a - b[i]
	}
}

func mulRows[T number](y, a, b []T) {
	for i := range y {
		y[i] = a[i] * b[i]
	}
}

func mulScalar[T number](y, a []T, b T) {
	for i := range y {
		y[i] = a[i] * b
	}
}

// divKernel divides; integers by zero give 0, so that no input makes a run panic.
func divKernel[T number]() kernel[T, T] {
	if !isFloat[T]() {
		return kernel[T, T]{f: func(a, b T) T {
			if b == 0 {
				return 0
			}
			return a / b
		}}
	}
	return kernel[T, T]{f: func(a, b T) T { return a / b },
		vv: func(y, a, b []T) {
			for i := range y {
				y[i] = a[i] / b[i]
			}
		},
		vs: func(y, a []T, b T) {
			for i := range y {
				y[i] = a[i] / b
			}
		}}
}

func floorDiv[T number]() func(a, b T) T {
	if isFloat[T]() {
		return func(a, b T) T { return T(math.Floor(float64(a / b))) }
	}
	return func(a, b T) T {
		if b == 0 {
			return 0
		}
		q := a / b
		if q*b != a && (a < 0) != (b < 0) {
			q--
		}
		return q
	}
}

// floorMod has the sign of the divisor.
func floorMod[T number]() func(a, b T) T {
	if isFloat[T]() {
		return func(a, b T) T {
			r := math.Mod(float64(a), float64(b))
			if r != 0 && (r < 0) != (b < 0) {
				r += float64(b)
			}
			return T(r)
		}
	}
	return func(a, b T) T {
		if b == 0 {
			return 0
		}
		r := a - a/b*b
		if r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r
	}
}

// truncatedMod has the sign of the dividend.
func truncatedMod[T number]() func(a, b T) T {
	if isFloat[T]() {
		return func(a, b T) T { return T(math.Mod(float64(a), float64(b))) }
	}
	return func(a, b T) T {
		if b == 0 {
			return 0
		}
		return a - a/b*b
	}
}

// bounded clamps results to act_min and act_max; nil where the node has neither.
func bounded[T number](c *op.Call) func(y []T) {
	lo, hi := c.Attrs.Float("act_min", float32(math.Inf(-1))), c.Attrs.Float("act_max", float32(math.Inf(1)))
	if math.IsInf(float64(lo), -1) && math.IsInf(float64(hi), 1) {
		return nil
	}
	if isFloat[T]() {
		return func(y []T) { clampRow(y, T(lo), T(hi)) }
	}
	return func(y []T) {
		for i, v := range y {
			if float64(v) < float64(lo) {
				y[i] = T(lo)
			} else if float64(v) > float64(hi) {
				y[i] = T(hi)
			}
		}
	}
}

func clampRow[T number](y []T, lo, hi T) {
	for i, v := range y {
		y[i] = bound(v, lo, hi)
	}
}

// bound gives what lies below lo that value, and then what lies above hi that one. NaN and -0, which is no less than 0, stay.
func bound[T number](v, lo, hi T) T {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}

// prepareFloat2 prepares operators on two floats.
func prepareFloat2(c *op.Call) (op.Run, error) {
	return each{f64: float2[float64], f32: float2[float32]}.byInput(c)
}

func float2[T float](c *op.Call) (op.Run, error) {
	k := kernel[T, T]{f: func(a, b T) T { return T(math.Atan2(float64(a), float64(b))) }}
	if c.Op == "SwiGLU" { // swish(a) * b
		alpha := T(c.Attrs.Float("alpha", 1))
		k.f = func(a, b T) T { return T(a*sigmoid(T(alpha*a))) * b }
	}
	return runBinary(c, k)
}

func prepareBits(c *op.Call) (op.Run, error) {
	return each{i64: bitwise[int64], i32: bitwise[int32], i16: bitwise[int16], i8: bitwise[int8],
		u64: bitwise[uint64], u32: bitwise[uint32], u16: bitwise[uint16], u8: bitwise[uint8]}.byInput(c)
}

func bitwise[T integer](c *op.Call) (op.Run, error) {
	var f func(a, b T) T
	switch direction := c.Attrs.Str("direction", ""); {
	case c.Op == "BitwiseAnd":
		f = func(a, b T) T { return a & b }
	case c.Op == "BitwiseOr":
		f = func(a, b T) T { return a | b }
	case c.Op == "BitwiseXor":
		f = func(a, b T) T { return a ^ b }
	case direction == "LEFT":
		f = func(a, b T) T { return a << uint64(b) }
	case direction == "RIGHT":
		f = func(a, b T) T { return a >> uint64(b) }
	default:
		return nil, c.Errorf("direction %q, want LEFT or RIGHT", direction)
	}
	return runBinary(c, kernel[T, T]{f: f})
}

// preparePow raises to a power; the exponent may have a type of its own.
func preparePow(c *op.Call) (op.Run, error) {
	a, b := c.In[0], c.In[1]
	if a.DType == b.DType {
		return each{power[float64], power[float32], power[int64], power[int32], power[int16], power[int8],
			power[uint64], power[uint32], power[uint16], power[uint8]}.byInput(c)
	}
	if b.Len() == 1 && (a.DType.IsFloat() && a.DType.Bits() >= 16) {
		return each{f64: powerScalar[float64], f32: powerScalar[float32]}.byInput(c)
	}
	x, err := reader(c, a)
	if err != nil {
		return nil, err
	}
	e, err := reader(c, b)
	if err != nil {
		return nil, err
	}
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	w := newStrided(c.Out[0].Shape, a.Shape, b.Shape)
	body := func(lo, hi int) {
		at := w.seek(lo)
		for r := lo; r < hi; r++ {
			for i := range w.row {
				put(r*w.row+i, math.Pow(x(at.at[0]+i*w.step[0]), e(at.at[1]+i*w.step[1])))
			}
			w.next(&at)
		}
	}
	return func() error {
		if rows := w.rows(); rows > 0 {
			c.Par.For(rows, 1+grain/w.row, body)
		}
		return nil
	}, nil
}

func power[T number](c *op.Call) (op.Run, error) {
	k := kernel[T, T]{f: intPower[T]}
	if isFloat[T]() {
		k.f = func(a, b T) T { return T(math.Pow(float64(a), float64(b))) }
		k.vs = func(y, a []T, b T) { powerRow(y, a, float64(b)) }
	}
	return runBinary(c, k)
}

// powerScalar is a float to the power of one number of another type.
func powerScalar[T float](c *op.Call) (op.Run, error) {
	exponent, err := reader(c, c.In[1])
	if err != nil {
		return nil, err
	}
	var e float64
	run := mapRows(c, func(y, x []T) { powerRow(y, x, e) })
	return func() error {
		e = exponent(0)
		return run()
	}, nil
}

func powerRow[T number](y, x []T, e float64) {
	switch e {
	case 2:
		mulRows(y, x, x)
	case .5:
		for i, v := range x {
			if v > 0 {
				y[i] = T(math.Sqrt(float64(v)))
			} else {
				y[i] = T(math.Pow(float64(v), .5))
			}
		}
	default:
		for i, v := range x {
			y[i] = T(math.Pow(float64(v), e))
		}
	}
}

// intPower wraps; a negative power is 1/a**-b, truncated.
func intPower[T number](a, b T) T {
	if b < 0 {
		switch {
		case a == 1:
			return 1
		case a < 0 && a+1 == 0: // -1
			if uint64(int64(b))&1 == 0 {
				return 1
			}
			return a
		}
		return 0
	}
	y := T(1)
	for n := uint64(b); n != 0; n >>= 1 {
		if n&1 != 0 {
			y *= a
		}
		a *= a
	}
	return y
}
