package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// binaryFuncs are the instances of one operator of two arguments; nil where it does not take the type.
type binaryFuncs struct {
	f32      func(a, b float32) float32
	f64      func(a, b float64) float64
	signed   func(a, b int64) int64
	unsigned func(a, b uint64) uint64
}

var arithmetic = map[string]binaryFuncs{
	"Add": {func(a, b float32) float32 { return a + b }, func(a, b float64) float64 { return a + b },
		func(a, b int64) int64 { return a + b }, func(a, b uint64) uint64 { return a + b }},
	"Sub": {func(a, b float32) float32 { return a - b }, func(a, b float64) float64 { return a - b },
		func(a, b int64) int64 { return a - b }, func(a, b uint64) uint64 { return a - b }},
	"Mul": {func(a, b float32) float32 { return a * b }, func(a, b float64) float64 { return a * b },
		func(a, b int64) int64 { return a * b }, func(a, b uint64) uint64 { return a * b }},
	"Div": {func(a, b float32) float32 { return a / b }, func(a, b float64) float64 { return a / b }, divInt, divUint},
	"Pow": {func(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) }, math.Pow,
		func(a, b int64) int64 { return int64(math.Pow(float64(a), float64(b))) }, func(a, b uint64) uint64 { return uint64(math.Pow(float64(a), float64(b))) }},
	"SquaredDifference": {func(a, b float32) float32 { d := a - b; return d * d }, func(a, b float64) float64 { d := a - b; return d * d },
		func(a, b int64) int64 { return (a - b) * (a - b) }, func(a, b uint64) uint64 { return (a - b) * (a - b) }},
	"FloorDiv": {func(a, b float32) float32 { return float32(math.Floor(float64(a / b))) }, func(a, b float64) float64 { return math.Floor(a / b) },
		func(a, b int64) int64 {
			q := divInt(a, b)
			if b != 0 && a%b != 0 && (a < 0) != (b < 0) {
				q--
			}
			return q
		}, divUint},
	"FloorMod": {func(a, b float32) float32 { return float32(floorMod(float64(a), float64(b))) }, floorMod, floorModInt,
		func(a, b uint64) uint64 {
			if b == 0 {
				return 0
			}
			return a % b
		}},
	"Atan2":      {f32: func(a, b float32) float32 { return float32(math.Atan2(float64(a), float64(b))) }, f64: math.Atan2},
	"BitwiseAnd": {signed: func(a, b int64) int64 { return a & b }, unsigned: func(a, b uint64) uint64 { return a & b }},
	"BitwiseOr":  {signed: func(a, b int64) int64 { return a | b }, unsigned: func(a, b uint64) uint64 { return a | b }},
	"BitwiseXor": {signed: func(a, b int64) int64 { return a ^ b }, unsigned: func(a, b uint64) uint64 { return a ^ b }},
}

// Division by zero is undefined for ONNX's integers; here it yields 0, so that no input makes a run panic.
func divInt(a, b int64) int64 {
	if b == 0 {
		return 0
	}
	if b == -1 {
		return -a
	}
	return a / b
}

func divUint(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func floorMod(a, b float64) float64 {
	r := math.Mod(a, b)
	if r != 0 && (r < 0) != (b < 0) {
		r += b
	}
	return r
}

func floorModInt(a, b int64) int64 {
	if b == 0 || b == -1 {
		return 0
	}
	r := a % b
	if r != 0 && (r < 0) != (b < 0) {
		r += b
	}
	return r
}

var comparisons = []string{"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}

var binaryOps = func() map[string]op.Op {
	ops := map[string]op.Op{
		"Mod":      {Infer: inferBinary, Prepare: prepareMod, Traits: op.Broadcasts},
		"BitShift": {Infer: inferBinary, Prepare: prepareShift, Traits: op.Broadcasts},
		"And":      {Infer: inferCompare, Prepare: prepareLogic(func(a, b byte) byte { return a & b }), Traits: op.Broadcasts},
		"Or":       {Infer: inferCompare, Prepare: prepareLogic(func(a, b byte) byte { return a | b }), Traits: op.Broadcasts},
		"Xor":      {Infer: inferCompare, Prepare: prepareLogic(func(a, b byte) byte { return a ^ b }), Traits: op.Broadcasts},
		"PRelu":    {Infer: inferBinary, Prepare: preparePRelu, Traits: op.Broadcasts},
		"Where":    {Infer: inferWhere, Prepare: prepareWhere, Traits: op.Broadcasts},
		"Clip":     {Infer: same, Prepare: prepareClip, Traits: op.Pointwise | op.InPlace},
		"Max":      {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts},
		"Min":      {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts},
		"Sum":      {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts},
		"Mean":     {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts},
		"SwiGLU":   {Infer: inferBinary, Prepare: prepareSwiGLU, Traits: op.Broadcasts},
	}
	for name, f := range arithmetic {
		t := op.Broadcasts | op.InPlace
		if name == "Add" || name == "Sub" || name == "Mul" {
			t |= op.QuantKernel
		}
		ops[name] = op.Op{Infer: inferBinary, Prepare: f.prepare, Traits: t}
	}
	for _, name := range comparisons {
		ops[name] = op.Op{Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts}
	}
	return ops
}()

func inferBinary(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	a, b := c.In[0], c.In[1]
	if a.DType != b.DType && a.Quant == nil && b.Quant == nil && c.Op != "Pow" {
		return c.Errorf("inputs of types %v and %v", a.DType, b.DType)
	}
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

func inferCompare(c *op.Call) error {
	if err := inferBinary(c); err != nil {
		return err
	}
	if y := c.Output(0); y != nil {
		y.DType = tensor.Bool
	}
	return nil
}

func bounds(c *op.Call) (lo, hi float32, any bool) {
	lo, hi = c.Attrs.Float("act_min", float32(math.Inf(-1))), c.Attrs.Float("act_max", float32(math.Inf(1)))
	return lo, hi, !math.IsInf(float64(lo), -1) || !math.IsInf(float64(hi), 1)
}

func (f binaryFuncs) prepare(c *op.Call) (op.Run, error) {
	a := c.In[0]
	if a.Quant != nil || c.In[1].Quant != nil || c.Out[0].Quant != nil {
		return prepareQuantBinary(c)
	}
	if c.Op == "Pow" && a.DType != c.In[1].DType {
		return prepareMixedPow(c)
	}
	lo, hi, clamps := bounds(c)
	switch a.DType {
	case tensor.F32, tensor.F16, tensor.BF16:
		if f.f32 == nil {
			break
		}
		g := f.f32
		if clamps {
			inner := g
			g = func(a, b float32) float32 { return min(max(inner(a, b), lo), hi) }
			return walkBinary(c, g), nil
		}
		switch c.Op {
		case "Add":
			return fastBinary(c, g, addRow), nil
		case "Mul":
			return fastBinary(c, g, mulRow), nil
		}
		return walkBinary(c, g), nil
	case tensor.F64:
		if f.f64 != nil {
			return walkBinary(c, f.f64), nil
		}
	default:
		if f.signed != nil {
			return byType{
				i64: func() op.Run { return walkBinary(c, f.signed) },
				i32: func() op.Run { return walkBinary(c, narrowed[int32](f.signed)) },
				i16: func() op.Run { return walkBinary(c, narrowed[int16](f.signed)) },
				i8:  func() op.Run { return walkBinary(c, narrowed[int8](f.signed)) },
				u64: func() op.Run { return walkBinary(c, f.unsigned) },
				u32: func() op.Run { return walkBinary(c, narrowedU[uint32](f.unsigned)) },
				u16: func() op.Run { return walkBinary(c, narrowedU[uint16](f.unsigned)) },
				u8:  func() op.Run { return walkBinary(c, narrowedU[uint8](f.unsigned)) },
			}.pick(c, a.DType)
		}
	}
	return nil, c.Errorf("elements of type %v unsupported", a.DType)
}

func narrowed[T int32 | int16 | int8](f func(a, b int64) int64) func(a, b T) T {
	return func(a, b T) T { return T(f(int64(a), int64(b))) }
}

func narrowedU[T uint32 | uint16 | uint8](f func(a, b uint64) uint64) func(a, b T) T {
	return func(a, b T) T { return T(f(uint64(a), uint64(b))) }
}

func addRow(out, a, b []float32) {
	for i := range out {
		out[i] = a[i] + b[i]
	}
}

func mulRow(out, a, b []float32) {
	for i := range out {
		out[i] = a[i] * b[i]
	}
}

// walkBinary applies f to broadcast inputs.
func walkBinary[T number](c *op.Call, f func(a, b T) T) op.Run { return fastBinary(c, f, nil) }

// fastBinary is walkBinary with a loop of its own for rows along which both inputs advance.
func fastBinary[T number](c *op.Call, f func(a, b T) T, row func(out, a, b []T)) op.Run {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	a, b, y := newView[T](c.In[0]), newView[T](c.In[1]), newView[T](c.Out[0])
	var as, bs, ys []T
	sa, sb := w.step[0], w.step[1]
	run := func(out []T, ai, bi int) {
		if row != nil && sa == 1 && sb == 1 {
			row(out, as[ai:ai+len(out)], bs[bi:bi+len(out)])
			return
		}
		for i := range out {
			out[i] = f(as[ai], bs[bi])
			ai += sa
			bi += sb
		}
	}
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			run(ys[r*w.row:(r+1)*w.row], w.start(r, 0), w.start(r, 1))
		}
	}
	flat := func(lo, hi int) { run(ys[lo:hi], lo*sa, lo*sb) }
	rows := w.rows()
	return func() error {
		as, bs, ys = a.get(), b.get(), y.room()
		if rows == 1 {
			c.Par.For(w.n, grain, flat)
		} else {
			c.Par.For(rows, 1+grain/max(1, w.row), body)
		}
		y.put()
		return nil
	}
}

func prepareMixedPow(c *op.Call) (op.Run, error) {
	a, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	b, err := reader(c, c.In[1])
	if err != nil {
		return nil, err
	}
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	return func() error {
		for r := range w.rows() {
			ai, bi := w.start(r, 0), w.start(r, 1)
			for i := range w.row {
				put(r*w.row+i, math.Pow(a(ai+i*w.step[0]), b(bi+i*w.step[1])))
			}
		}
		return nil
	}, nil
}

// prepareQuantBinary works on quantised values: each is scaled to the output's step by one float32 multiply.
func prepareQuantBinary(c *op.Call) (op.Run, error) {
	x, z, y := c.In[0], c.In[1], c.Out[0]
	for _, t := range []*tensor.Tensor{x, z, y} {
		if t.Quant == nil || !t.Quant.PerTensor() || t.DType.Bits() > 16 || t.DType.Bits() < 8 {
			return nil, c.Errorf("inputs %v, %v and output %v must all be quantised per tensor to 8 or 16 bits", x, z, y)
		}
	}
	a, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	b, err := reader(c, z)
	if err != nil {
		return nil, err
	}
	put, err := writer(c, y)
	if err != nil {
		return nil, err
	}
	sx, sz, sy := float64(x.Quant.Scale[0]), float64(z.Quant.Scale[0]), float64(y.Quant.Scale[0])
	zx, zz, zy := float64(x.Quant.ZeroAt(0)), float64(z.Quant.ZeroAt(0)), float64(y.Quant.ZeroAt(0))
	ma, mb, mm := float32(sx/sy), float32(sz/sy), float32(sx*sz/sy)
	lo64, hi64 := y.DType.IntRange()
	qlo, qhi := float64(lo64), float64(hi64)
	if amin, amax, any := bounds(c); any {
		qlo = clamp64(math.RoundToEven(float64(amin)/sy)+zy, qlo, qhi)
		qhi = clamp64(math.RoundToEven(float64(amax)/sy)+zy, qlo, qhi)
	}
	var f func(a, b float64) float32
	switch c.Op {
	case "Add":
		f = func(a, b float64) float32 { return float32(float32(a)*ma) + float32(float32(b)*mb) }
	case "Sub":
		f = func(a, b float64) float32 { return float32(float32(a)*ma) - float32(float32(b)*mb) }
	default:
		f = func(a, b float64) float32 { return float32(float32(a*b) * mm) }
	}
	w := newStrided(y.Shape, x.Shape, z.Shape)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			ai, bi := w.start(r, 0), w.start(r, 1)
			for i := range w.row {
				v := f(a(ai+i*w.step[0])-zx, b(bi+i*w.step[1])-zz)
				put(r*w.row+i, clamp64(math.RoundToEven(float64(v))+zy, qlo, qhi))
			}
		}
	}
	return func() error {
		c.Par.For(w.rows(), 1+grain/max(1, w.row), body)
		return nil
	}, nil
}

func prepareMod(c *op.Call) (op.Run, error) {
	f := binaryFuncs{f32: arithmetic["FloorMod"].f32, f64: floorMod, signed: floorModInt, unsigned: arithmetic["FloorMod"].unsigned}
	if c.Attrs.Bool("fmod", false) {
		f.f32 = func(a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) }
		f.f64 = math.Mod
		f.signed = func(a, b int64) int64 {
			if b == 0 || b == -1 {
				return 0
			}
			return a % b
		}
	}
	return f.prepare(c)
}

func prepareShift(c *op.Call) (op.Run, error) {
	f := binaryFuncs{unsigned: func(a, b uint64) uint64 { return a << min(b, 64) }, signed: func(a, b int64) int64 { return a << min(uint64(b), 64) }}
	switch c.Attrs.Str("direction", "") {
	case "LEFT":
	case "RIGHT":
		f.unsigned = func(a, b uint64) uint64 { return a >> min(b, 64) }
		f.signed = func(a, b int64) int64 { return a >> min(uint64(b), 63) }
	default:
		return nil, c.Errorf("direction %q, want LEFT or RIGHT", c.Attrs.Str("direction", ""))
	}
	return f.prepare(c)
}

func prepareLogic(f func(a, b byte) byte) func(c *op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		if err := c.Want(0, tensor.Bool); err != nil {
			return nil, err
		}
		// Bool views as bytes.
		d := *c
		d.In = []*tensor.Tensor{c.In[0], c.In[1]}
		return walkBytes(&d, f), nil
	}
}

func walkBytes(c *op.Call, f func(a, b byte) byte) op.Run {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	return func() error {
		a, b, y := c.In[0].Data, c.In[1].Data, c.Out[0].Data
		for r := range w.rows() {
			ai, bi := w.start(r, 0), w.start(r, 1)
			for i := range w.row {
				y[r*w.row+i] = f(a[ai+i*w.step[0]], b[bi+i*w.step[1]])
			}
		}
		return nil
	}
}

func prepareCompare(c *op.Call) (op.Run, error) {
	if c.In[0].DType == tensor.String {
		return compareStrings(c)
	}
	switch c.In[0].DType {
	case tensor.Bool:
		return compareWalk(c, func(t *tensor.Tensor) []uint8 { return t.Data }), nil
	case tensor.F16, tensor.BF16:
		a, b := newView[float32](c.In[0]), newView[float32](c.In[1])
		return compareWalk(c, func(t *tensor.Tensor) []float32 {
			if t == c.In[0] {
				return a.get()
			}
			return b.get()
		}), nil
	}
	return byType{
		f64: func() op.Run { return compareWalk(c, tensor.Of[float64]) }, f32: func() op.Run { return compareWalk(c, tensor.Of[float32]) },
		i64: func() op.Run { return compareWalk(c, tensor.Of[int64]) }, i32: func() op.Run { return compareWalk(c, tensor.Of[int32]) },
		i16: func() op.Run { return compareWalk(c, tensor.Of[int16]) }, i8: func() op.Run { return compareWalk(c, tensor.Of[int8]) },
		u64: func() op.Run { return compareWalk(c, tensor.Of[uint64]) }, u32: func() op.Run { return compareWalk(c, tensor.Of[uint32]) },
		u16: func() op.Run { return compareWalk(c, tensor.Of[uint16]) }, u8: func() op.Run { return compareWalk(c, tensor.Of[uint8]) },
	}.pick(c, c.In[0].DType)
}

func compareWalk[T number](c *op.Call, read func(*tensor.Tensor) []T) op.Run {
	var f func(a, b T) bool
	switch c.Op {
	case "Equal":
		f = func(a, b T) bool { return a == b }
	case "Less":
		f = func(a, b T) bool { return a < b }
	case "LessOrEqual":
		f = func(a, b T) bool { return a <= b }
	case "Greater":
		f = func(a, b T) bool { return a > b }
	default:
		f = func(a, b T) bool { return a >= b }
	}
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	return func() error {
		a, b, y := read(c.In[0]), read(c.In[1]), tensor.Of[bool](c.Out[0])
		for r := range w.rows() {
			ai, bi := w.start(r, 0), w.start(r, 1)
			for i := range w.row {
				y[r*w.row+i] = f(a[ai+i*w.step[0]], b[bi+i*w.step[1]])
			}
		}
		return nil
	}
}

func compareStrings(c *op.Call) (op.Run, error) {
	if c.Op != "Equal" {
		return nil, c.Errorf("strings have no order")
	}
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	return func() error {
		y := tensor.Of[bool](c.Out[0])
		for r := range w.rows() {
			ai, bi := w.start(r, 0), w.start(r, 1)
			for i := range w.row {
				y[r*w.row+i] = c.In[0].Str[ai+i*w.step[0]] == c.In[1].Str[bi+i*w.step[1]]
			}
		}
		return nil
	}, nil
}

func preparePRelu(c *op.Call) (op.Run, error) {
	return binaryFuncs{
		f32: func(x, s float32) float32 {
			if x < 0 {
				return x * s
			}
			return x
		},
		f64: func(x, s float64) float64 {
			if x < 0 {
				return x * s
			}
			return x
		},
		signed: func(x, s int64) int64 {
			if x < 0 {
				return x * s
			}
			return x
		},
		unsigned: func(x, _ uint64) uint64 { return x },
	}.prepare(c)
}

func inferWhere(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := c.Want(0, tensor.Bool); err != nil {
		return err
	}
	if c.In[1].DType != c.In[2].DType {
		return c.Errorf("inputs of types %v and %v", c.In[1].DType, c.In[2].DType)
	}
	s, err := c.Broadcast(c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[1].DType, s)
	return nil
}

func prepareWhere(c *op.Call) (op.Run, error) {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	size := c.In[1].DType.Bits() / 8
	if size == 0 && c.In[1].DType != tensor.String {
		return nil, c.Errorf("elements of type %v unsupported", c.In[1].DType)
	}
	return func() error {
		y, cond := c.Out[0], c.In[0].Data
		for r := range w.rows() {
			ci, ai, bi := w.start(r, 0), w.start(r, 1), w.start(r, 2)
			for i := range w.row {
				from, at := c.In[2], bi+i*w.step[2]
				if cond[ci+i*w.step[0]] != 0 {
					from, at = c.In[1], ai+i*w.step[1]
				}
				o := r*w.row + i
				if size == 0 {
					y.Str[o] = from.Str[at]
				} else {
					copy(y.Data[o*size:(o+1)*size], from.Data[at*size:])
				}
			}
		}
		return nil
	}, nil
}

// prepareClip bounds its input; the bounds may be computed.
func prepareClip(c *op.Call) (op.Run, error) {
	x := c.In[0]
	switch x.DType {
	case tensor.F32, tensor.F16, tensor.BF16:
		return clip(c, float32(math.Inf(-1)), float32(math.Inf(1))), nil
	}
	return byType{
		f64: func() op.Run { return clip(c, math.Inf(-1), math.Inf(1)) },
		f32: func() op.Run { return nil },
		i64: func() op.Run { return clip[int64](c, math.MinInt64, math.MaxInt64) }, i32: func() op.Run { return clip[int32](c, math.MinInt32, math.MaxInt32) },
		i16: func() op.Run { return clip[int16](c, math.MinInt16, math.MaxInt16) }, i8: func() op.Run { return clip[int8](c, math.MinInt8, math.MaxInt8) },
		u64: func() op.Run { return clip[uint64](c, 0, math.MaxUint64) }, u32: func() op.Run { return clip[uint32](c, 0, math.MaxUint32) },
		u16: func() op.Run { return clip[uint16](c, 0, math.MaxUint16) }, u8: func() op.Run { return clip[uint8](c, 0, math.MaxUint8) },
	}.pick(c, x.DType)
}

func clip[T number](c *op.Call, least, most T) op.Run {
	x, y := newView[T](c.In[0]), newView[T](c.Out[0])
	lo, hi := newView[T](c.Input(1)), newView[T](c.Input(2))
	return func() error {
		a, b := least, most
		if v := lo.get(); len(v) > 0 {
			a = v[0]
		}
		if v := hi.get(); len(v) > 0 {
			b = v[0]
		}
		in, out := x.get(), y.room()
		for i, v := range in {
			if v < a {
				v = a
			}
			if v > b {
				v = b
			}
			out[i] = v
		}
		y.put()
		return nil
	}
}

func inferVariadic(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	shapes := make([]tensor.Shape, len(c.In))
	for i, t := range c.In {
		if t == nil {
			return c.Errorf("input %d is missing", i)
		}
		if t.DType != c.In[0].DType {
			return c.Errorf("inputs of types %v and %v", c.In[0].DType, t.DType)
		}
		shapes[i] = t.Shape
	}
	s, err := c.Broadcast(shapes...)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareVariadic(c *op.Call) (op.Run, error) {
	return byType{
		f64: func() op.Run { return variadic[float64](c) }, f32: func() op.Run { return variadic[float32](c) },
		i64: func() op.Run { return variadic[int64](c) }, i32: func() op.Run { return variadic[int32](c) },
		i16: func() op.Run { return variadic[int16](c) }, i8: func() op.Run { return variadic[int8](c) },
		u64: func() op.Run { return variadic[uint64](c) }, u32: func() op.Run { return variadic[uint32](c) },
		u16: func() op.Run { return variadic[uint16](c) }, u8: func() op.Run { return variadic[uint8](c) },
	}.pick(c, c.In[0].DType)
}

func variadic[T number](c *op.Call) op.Run {
	var f func(a, b T) T
	switch c.Op {
	case "Max":
		f = func(a, b T) T {
			if a > b || a != a {
				return a
			}
			return b
		}
	case "Min":
		f = func(a, b T) T {
			if a < b || a != a {
				return a
			}
			return b
		}
	default:
		f = func(a, b T) T { return a + b }
	}
	ins := make([]*view[T], len(c.In))
	walks := make([]*strided, len(c.In))
	for i, t := range c.In {
		ins[i], walks[i] = newView[T](t), newStrided(c.Out[0].Shape, t.Shape)
	}
	y := newView[T](c.Out[0])
	return func() error {
		out := y.room()
		for k, in := range ins {
			v, w := in.get(), walks[k]
			for r := range w.rows() {
				at := w.start(r, 0)
				for i := range w.row {
					o := r*w.row + i
					if x := v[at+i*w.step[0]]; k == 0 {
						out[o] = x
					} else {
						out[o] = f(out[o], x)
					}
				}
			}
		}
		if c.Op == "Mean" {
			for i := range out {
				out[i] /= T(len(ins))
			}
		}
		y.put()
		return nil
	}
}

// prepareSwiGLU is swish(a) * b.
func prepareSwiGLU(c *op.Call) (op.Run, error) {
	alpha := c.Attrs.Float("alpha", 1)
	return binaryFuncs{
		f32: func(a, b float32) float32 { return float32(a/float32(1+float32(math.Exp(float64(-alpha*a))))) * b },
		f64: func(a, b float64) float64 { return a * sigmoid(float64(alpha)*a) * b },
	}.prepare(c)
}
