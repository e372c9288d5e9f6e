package nn

import (
	"math"
	"strings"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// qlinearOps are the operators of com.microsoft that take and give integers with scale and zero point as inputs. They are
// defined on the reals, in float32 steps, rounded half to even to the output.
var qlinearOps = map[string]op.Op{
	"com.microsoft.QLinearAdd":               {Infer: inferQLinearBinary, Prepare: prepareQLinearBinary, Traits: op.PlainIntegers},
	"com.microsoft.QLinearMul":               {Infer: inferQLinearBinary, Prepare: prepareQLinearBinary, Traits: op.PlainIntegers},
	"com.microsoft.QLinearSigmoid":           {Infer: inferQLinearUnary, Prepare: prepareQLinearUnary, Traits: op.PlainIntegers},
	"com.microsoft.QLinearLeakyRelu":         {Infer: inferQLinearUnary, Prepare: prepareQLinearUnary, Traits: op.PlainIntegers},
	"com.microsoft.QLinearConcat":            {Infer: inferQLinearConcat, Prepare: prepareQLinearConcat, Traits: op.PlainIntegers},
	"com.microsoft.QLinearSoftmax":           {Infer: inferQLinearUnary, Prepare: prepareQLinearSoftmax, Traits: op.PlainIntegers},
	"com.microsoft.QLinearAveragePool":       {Infer: inferQLinearPool, Prepare: prepareQLinearPool, Traits: op.PlainIntegers},
	"com.microsoft.QLinearGlobalAveragePool": {Infer: inferQLinearPool, Prepare: prepareQLinearPool, Traits: op.PlainIntegers},
}

// param is a scale and zero point that are inputs, per tensor.
type param struct {
	scale func(int) float32
	zero  func(int) int32
}

func readParam(c *op.Call, scale, zero int) (param, error) {
	s, z := c.Input(scale), c.Input(zero)
	if s == nil || s.DType != tensor.F32 || s.Len() != 1 {
		return param{}, c.Errorf("input %d is %v, want one f32", scale, s)
	}
	if z != nil && (z.Len() != 1 || !narrowInt(z.DType)) {
		return param{}, c.Errorf("input %d is %v, want one zero point", zero, z)
	}
	return param{scaleAt(s), zeroAt(z)}, nil
}

// real is the number that q stands for.
func (p *param) real(q int32) float32 { return float32(float32(q-p.zero(0)) * p.scale(0)) }

// round is the integer of the given type nearest to f.
func (p *param) round(f float32, d tensor.DType) int32 {
	lo, hi := d.IntRange()
	q := math.RoundToEven(float64(f/p.scale(0))) + float64(p.zero(0))
	if !(q > float64(lo)) {
		return int32(lo)
	}
	return int32(min(q, float64(hi)))
}

// The inputs are A, its scale and zero point, B with the same, the scale and zero point of C.
func inferQLinearBinary(c *op.Call) error {
	if err := c.Need(7); err != nil {
		if c.Input(0) == nil || c.Input(1) == nil || c.Input(3) == nil || c.Input(4) == nil || c.Input(6) == nil {
			return err
		}
	}
	if err := wantBytes(c, 0, 3); err != nil {
		return err
	}
	s, err := c.Broadcast(c.In[0].Shape, c.In[3].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareQLinearBinary(c *op.Call) (op.Run, error) {
	pa, err := readParam(c, 1, 2)
	if err != nil {
		return nil, err
	}
	pb, err := readParam(c, 4, 5)
	if err != nil {
		return nil, err
	}
	pc, err := readParam(c, 6, 7)
	if err != nil {
		return nil, err
	}
	a, b, y := c.In[0], c.In[3], c.Out[0]
	ra, rb := intReader(a), intReader(b)
	sa, sb := broadcastStrides(a.Shape, y.Shape), broadcastStrides(b.Shape, y.Shape)
	product := strings.HasSuffix(c.Op, "Mul")
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			va, vb := ra(offsetOf(i, y.Shape, sa)), rb(offsetOf(i, y.Shape, sb))
			f := float32(0)
			if product {
				f = float32(pa.real(va) * pb.real(vb))
			} else {
				f = pa.real(va) + pb.real(vb)
			}
			storeInt(y, i, pc.round(f, y.DType))
		}
	}
	return func() error {
		c.Par.For(y.Len(), 4096, body)
		return nil
	}, nil
}

// broadcastStrides are the strides of a shape that is broadcast to another; 0 where it repeats.
func broadcastStrides(s, to tensor.Shape) []int {
	st := make([]int, len(to))
	for i, n := range s.Strides() {
		if s[i] > 1 {
			st[len(to)-len(s)+i] = n
		}
	}
	return st
}

// offsetOf is the element of a broadcast operand that belongs to flat index i.
func offsetOf(i int, shape tensor.Shape, strides []int) int {
	at := 0
	for d := len(shape) - 1; d >= 0; d-- {
		at += i % shape[d] * strides[d]
		i /= shape[d]
	}
	return at
}

// The inputs are X, its scale and zero point, those of Y.
func inferQLinearUnary(c *op.Call) error {
	if c.Input(0) == nil || c.Input(1) == nil || c.Input(3) == nil {
		return c.Errorf("input, its scale or the output's scale is missing")
	}
	if err := wantBytes(c, 0); err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, c.In[0].Shape)
	return nil
}

// lookup is a table of 256 results, by the byte as it is stored.
type lookup struct {
	table [256]byte
	from  param
	to    param
	d     tensor.DType
	f     func(float32) float32
}

func (l *lookup) build() {
	for i := range l.table {
		q := int32(i)
		if l.d == tensor.I8 {
			q = int32(int8(i))
		}
		l.table[i] = byte(l.to.round(l.f(l.from.real(q)), l.d))
	}
}

func prepareQLinearUnary(c *op.Call) (op.Run, error) {
	l := &lookup{d: c.In[0].DType, f: fmath.Sigmoid}
	if strings.HasSuffix(c.Op, "LeakyRelu") {
		alpha := c.Attrs.Float("alpha", .01)
		l.f = func(x float32) float32 {
			if x < 0 {
				return float32(alpha * x)
			}
			return x
		}
	}
	var err error
	if l.from, err = readParam(c, 1, 2); err != nil {
		return nil, err
	}
	if l.to, err = readParam(c, 3, 4); err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	return func() error {
		l.build()
		for i, v := range x.Data {
			y.Data[i] = l.table[v]
		}
		return nil
	}, nil
}

// The inputs are the scale and zero point of Y, then each X with its own.
func inferQLinearConcat(c *op.Call) error {
	if len(c.In) < 5 || (len(c.In)-2)%3 != 0 {
		return c.Errorf("%d inputs, want 2 and 3 for each operand", len(c.In))
	}
	var shape tensor.Shape
	for i := 2; i < len(c.In); i += 3 {
		if c.In[i] == nil {
			return c.Errorf("input %d is missing", i)
		}
		if err := wantBytes(c, i); err != nil {
			return err
		}
		s := c.In[i].Shape
		if s == nil {
			c.Set(0, c.In[2].DType, nil)
			return nil
		}
		axis, err := c.Axis(c.Attrs.Int("axis", 1), len(s))
		if err != nil {
			return err
		}
		if shape == nil {
			shape = s.Clone()
			continue
		}
		if len(s) != len(shape) {
			return c.Errorf("operands of ranks %d and %d", len(shape), len(s))
		}
		for d := range s {
			switch {
			case d == axis && (s[d] < 0 || shape[d] < 0):
				shape[d] = -1
			case d == axis:
				shape[d] += s[d]
			case shape[d] < 0:
				shape[d] = s[d]
			case s[d] >= 0 && s[d] != shape[d]:
				return c.Errorf("operands %v and %v do not fit", shape, s)
			}
		}
	}
	c.Set(0, c.In[2].DType, shape)
	return nil
}

func prepareQLinearConcat(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 1), len(y.Shape))
	if err != nil {
		return nil, err
	}
	to, err := readParam(c, 0, 1)
	if err != nil {
		return nil, err
	}
	type part struct {
		lookup
		x    *tensor.Tensor
		size int // bytes per outer index
	}
	var parts []*part
	inner := y.Shape[axis+1:].Len()
	for i := 2; i < len(c.In); i += 3 {
		p := &part{x: c.In[i], size: c.In[i].Shape[axis] * inner}
		if p.x.DType != y.DType {
			return nil, c.Errorf("operands of types %v and %v", y.DType, p.x.DType)
		}
		p.lookup = lookup{to: to, d: y.DType, f: func(x float32) float32 { return x }}
		if p.from, err = readParam(c, i+1, i+2); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	outer := y.Shape[:axis].Len()
	return func() error {
		for _, p := range parts {
			p.build()
		}
		at := 0
		for o := range outer {
			for _, p := range parts {
				for _, v := range p.x.Data[o*p.size : (o+1)*p.size] {
					y.Data[at] = p.table[v]
					at++
				}
			}
		}
		return nil
	}, nil
}

// prepareQLinearSoftmax computes in float32, along one axis, or over all from an axis on where opset is below 13. Sums run in 16
// lanes.
func prepareQLinearSoftmax(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", -1), max(1, len(x.Shape)))
	if err != nil {
		return nil, err
	}
	from, err := readParam(c, 1, 2)
	if err != nil {
		return nil, err
	}
	to, err := readParam(c, 3, 4)
	if err != nil {
		return nil, err
	}
	n, inner := 1, 1
	if len(x.Shape) > 0 {
		n, inner = x.Shape[axis], x.Shape[axis+1:].Len()
		if c.Attrs.Int("opset", 13) < 13 {
			n, inner = n*inner, 1
		}
	}
	read := intReader(x)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			base := r/inner*n*inner + r%inner
			top := int32(math.MinInt32)
			for i := range n {
				top = max(top, read(base+i*inner))
			}
			// The zero point cancels: e**(s*(q-top)).
			scale := from.scale(0)
			var lanes [16]float32
			for i := range n {
				lanes[i&15] += fmath.Exp(float32(float32(read(base+i*inner)-top) * scale))
			}
			sum := pairwiseSum(&lanes)
			for i := range n {
				storeInt(y, base+i*inner, to.round(fmath.Exp(float32(float32(read(base+i*inner)-top)*scale))/sum, y.DType))
			}
		}
	}
	rowCount := 0
	if n > 0 {
		rowCount = x.Len() / n
	}
	return func() error {
		c.Par.For(rowCount, 1+4096/max(1, n), body)
		return nil
	}, nil
}

// pairwiseSum adds 16 lanes: 8+8, 4+4, 2+2, 1+1.
func pairwiseSum(lanes *[16]float32) float32 {
	for half := 8; half > 0; half /= 2 {
		for k := range half {
			lanes[k] += lanes[k+half]
		}
	}
	return lanes[0]
}

// The inputs are X, its scale and zero point, those of Y. channels_last chooses the layout.
func inferQLinearPool(c *op.Call) error {
	if err := inferQLinearUnary(c); err != nil {
		return err
	}
	inner := poolCall(c)
	x := *c.In[0]
	x.Quant = nil // what the integers stand for comes from other inputs
	inner.In = []*tensor.Tensor{&x}
	return inferPool(inner)
}

// poolCall is c as AveragePool or GlobalAveragePool of ONNX would see it.
func poolCall(c *op.Call) *op.Call {
	inner := *c
	inner.Op = strings.TrimPrefix(c.Op, "com.microsoft.QLinear")
	inner.Attrs = c.Attrs.Clone()
	if c.Attrs.Bool("channels_last", false) {
		inner.Attrs["layout"] = "NHWC"
	}
	return &inner
}

func prepareQLinearPool(c *op.Call) (op.Run, error) {
	if err := wantParams(c, "X", c.In[1], c.Input(2), 1); err != nil {
		return nil, err
	}
	if err := wantParams(c, "Y", c.In[3], c.Input(4), 1); err != nil {
		return nil, err
	}
	from, to := constantParams(c.In[1], c.Input(2)), constantParams(c.In[3], c.Input(4))
	if from == nil || to == nil {
		return nil, c.Errorf("scales and zero points must be constant")
	}
	inner := poolCall(c)
	x, y := *c.In[0], *c.Out[0]
	x.Quant, y.Quant = from, to
	inner.In, inner.Out = []*tensor.Tensor{&x}, []*tensor.Tensor{&y}
	prepare := prepareAveragePool
	if inner.Op == "GlobalAveragePool" {
		prepare = prepareGlobalAverage
	}
	run, err := anyLayout(prepare, 0)(inner)
	if err != nil {
		return nil, err
	}
	return func() error {
		x.Data, y.Data = c.In[0].Data, c.Out[0].Data
		return run()
	}, nil
}
