package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/ref"
	"github.com/edgerun/edgerun/runtime/op"
)

// integerOps are products of com.microsoft on integers.
var integerOps = map[string]op.Op{
	"com.microsoft.DynamicQuantizeMatMul": {Infer: inferDynamicMatMul, Prepare: prepareDynamicMatMul, Traits: op.PlainIntegers},
	"com.microsoft.MatMulIntegerToFloat":  {Infer: inferIntegerToFloat, Prepare: prepareIntegerToFloat, Traits: op.PlainIntegers},
	"com.microsoft.QGemm":                 {Infer: inferQGemm, Prepare: prepareQGemm, Traits: op.PlainIntegers},
}

// The inputs are A, B, B's scale and zero point, bias.
func inferDynamicMatMul(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := c.Want(0, tensor.F32); err != nil {
		return err
	}
	return inferFloatMatMul(c, 1)
}

// The inputs are A, B, the scales of both, the zero points of both, bias.
func inferIntegerToFloat(c *op.Call) error {
	if err := c.Need(4); err != nil {
		return err
	}
	return inferFloatMatMul(c, 0, 1)
}

func inferFloatMatMul(c *op.Call, bytes ...int) error {
	if err := wantBytes(c, bytes...); err != nil {
		return err
	}
	s, err := matmulShape(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, tensor.F32, s)
	return nil
}

// prepareDynamicMatMul quantises A as DynamicQuantizeLinear does.
func prepareDynamicMatMul(c *op.Call) (op.Run, error) {
	a := c.In[0]
	c.Take(a.Len())
	q := tensor.New(tensor.U8, a.Shape)
	scale, zero := tensor.New(tensor.F32, tensor.Shape{}), tensor.New(tensor.U8, tensor.Shape{})
	quantise, err := prepareDynamicQuantizeLinear(&op.Call{Name: c.Name, Op: c.Op, Par: c.Par, In: []*tensor.Tensor{a}, Out: []*tensor.Tensor{q, scale, zero}})
	if err != nil {
		return nil, err
	}
	run, err := dequantised(c, q, c.In[1], scale, c.In[2], zero, c.Input(3), c.Input(4))
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := quantise(); err != nil {
			return err
		}
		return run()
	}, nil
}

func prepareIntegerToFloat(c *op.Call) (op.Run, error) {
	return dequantised(c, c.In[0], c.In[1], c.In[2], c.In[3], c.Input(4), c.Input(5), c.Input(6))
}

// dequantised is Σ(a-za)(w-zw) * (sa*sw) + bias, in float32 from the exact sum. a's parameters are one or one per row, w's one or one per
// column.
func dequantised(c *op.Call, a, w, sa, sw, za, zw, bias *tensor.Tensor) (op.Run, error) {
	x := newMatrices(a.Shape, w.Shape).merged()
	if n := sw.Len(); n != 1 && n != x.n || sw.DType != tensor.F32 {
		return nil, c.Errorf("scales %v for %d columns", sw, x.n)
	}
	if n := sa.Len(); n > 1 && x.m%n != 0 || n == 0 || sa.DType != tensor.F32 {
		return nil, c.Errorf("scales %v for %d rows", sa, x.m)
	}
	if bias != nil && (bias.Len() != x.n || bias.DType != tensor.F32) {
		return nil, c.Errorf("bias %v for %d columns", bias, x.n)
	}
	y := c.Out[0]
	if y.DType != tensor.F32 {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	rowScale, colScale := scaleAt(sa), scaleAt(sw)
	run, err := x.integerSums(c, a, w, za, zw, func(batch func() int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			for i := range rowCount {
				out := tensor.Of[float32](y)[(batch()*x.m+r0+i)*x.n+j0:][:cols]
				s := rowScale((r0 + i) % sa.Len())
				for j := range out {
					out[j] = float32(float32(sums[i*stride+j]) * float32(s*colScale(j0+j)))
					if bias != nil {
						out[j] += tensor.Of[float32](bias)[j0+j]
					}
				}
			}
		}}
	})
	if err != nil {
		return nil, err
	}
	return func() error { run(); return nil }, nil
}

// The inputs are A, its scale and zero point, B, its scale and zero point, C (i32), the scale and zero point of Y; without these Y is f32.
func inferQGemm(c *op.Call) error {
	for _, i := range []int{0, 1, 3, 4} {
		if c.Input(i) == nil {
			return c.Errorf("input %d is missing", i)
		}
	}
	if err := wantBytes(c, 0, 3); err != nil {
		return err
	}
	d := tensor.F32
	if c.Input(7) != nil {
		d = c.In[0].DType
		if z := c.Input(8); z != nil {
			d = z.DType
		}
	}
	a, b := transposedShape(c.In[0].Shape, c.Attrs.Bool("transA", false)), transposedShape(c.In[3].Shape, c.Attrs.Bool("transB", false))
	if a != nil && len(a) != 2 || b != nil && len(b) != 2 {
		return c.Errorf("operands %v and %v must be matrices", a, b)
	}
	s, err := matmulShape(c, a, b)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// prepareQGemm is alpha*A·B requantised. C, in units of the accumulator, is broadcast.
func prepareQGemm(c *op.Call) (op.Run, error) {
	x := &matrices{batch: 1, aOff: []int{0}, bOff: []int{0}, aT: c.Attrs.Bool("transA", false), bT: c.Attrs.Bool("transB", false)}
	y := c.Out[0]
	x.m, x.n = y.Shape[0], y.Shape[1]
	x.k = transposedShape(c.In[0].Shape, x.aT)[1]
	if lenOf(c.In[1]) != 1 || lenOf(c.Input(2)) > 1 {
		return nil, c.Errorf("A needs one scale and zero point")
	}
	if err := wantParams(c, "A", c.In[1], c.Input(2), 1); err != nil {
		return nil, err
	}
	if err := wantParams(c, "B", c.In[4], c.Input(5), x.n); err != nil {
		return nil, err
	}
	if c.Input(7) != nil {
		if err := wantParams(c, "Y", c.In[7], c.Input(8), 1); err != nil {
			return nil, err
		}
	}
	if y.DType != tensor.F32 {
		if err := wantInts(c, y); err != nil {
			return nil, err
		}
	}
	b := c.Input(6)
	if b != nil && b.DType != tensor.I32 {
		return nil, c.Errorf("C of type %v", b.DType)
	}
	var strides []int
	if b != nil {
		if s, err := c.Broadcast(b.Shape, y.Shape); err != nil || !s.Equal(y.Shape) {
			return nil, c.Errorf("C %v does not broadcast to %v", b.Shape, y.Shape)
		}
		strides = broadcastStrides(b.Shape, y.Shape)
	}
	alpha := c.Attrs.Float("alpha", 1)
	sa, sw := scaleAt(c.In[1]), scaleAt(c.In[4])
	sy, zy := func(int) float32 { return 1 }, zeroAt(c.Input(8))
	lo, hi := int64(0), int64(0)
	if y.DType != tensor.F32 {
		sy = scaleAt(c.In[7])
		lo, hi = y.DType.IntRange()
	}
	run, err := x.integerSums(c, c.In[0], c.In[3], c.Input(2), c.Input(5), func(func() int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			for i := range rowCount {
				for j := range cols {
					at := (r0+i)*x.n + j0 + j
					sum := int64(sums[i*stride+j])
					if b != nil {
						sum += int64(tensor.Of[int32](b)[offsetOf(at, y.Shape, strides)])
					}
					m := float32(float64(alpha) * float64(sa(0)) * float64(sw(j0+j)) / float64(sy(0)))
					if y.DType == tensor.F32 {
						tensor.Of[float32](y)[at] = float32(float32(sum) * m)
					} else {
						storeInt(y, at, ref.Requantise(sum, m, zy(0), int32(lo), int32(hi)))
					}
				}
			}
		}}
	})
	if err != nil {
		return nil, err
	}
	return func() error { run(); return nil }, nil
}
