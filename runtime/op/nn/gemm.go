package nn

import (
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

func inferGemm(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	a, b := c.In[0].Shape, c.In[1].Shape
	d, err := resultType(c, productType(c))
	if err != nil {
		return err
	}
	m, n, ka, kb := -1, -1, -1, -1
	if a != nil {
		if len(a) != 2 {
			return c.Errorf("A has rank %d, want 2", len(a))
		}
		if m, ka = a[0], a[1]; c.Attrs.Bool("transA", false) {
			m, ka = ka, m
		}
	}
	if b != nil {
		if len(b) != 2 {
			return c.Errorf("B has rank %d, want 2", len(b))
		}
		if kb, n = b[0], b[1]; c.Attrs.Bool("transB", false) {
			kb, n = n, kb
		}
	}
	if ka >= 0 && kb >= 0 && ka != kb {
		return c.Errorf("operands %v and %v do not fit", a, b)
	}
	if x := c.Input(2); x != nil && x.Shape.Known() && m >= 0 && n >= 0 {
		s, err := c.Broadcast(x.Shape, tensor.Shape{m, n})
		if err != nil {
			return err
		}
		if !s.Equal(tensor.Shape{m, n}) {
			return c.Errorf("C %v does not broadcast to %v", x.Shape, tensor.Shape{m, n})
		}
	}
	c.Set(0, d, tensor.Shape{m, n})
	return nil
}

func prepareGemm(c *op.Call) (op.Run, error) {
	x := &matrices{batch: 1, aOff: []int{0}, bOff: []int{0}, aT: c.Attrs.Bool("transA", false), bT: c.Attrs.Bool("transB", false)}
	x.m, x.n = c.Out[0].Shape[0], c.Out[0].Shape[1]
	x.k = c.In[0].Shape[1]
	if x.aT {
		x.k = c.In[0].Shape[0]
	}
	alpha, beta := c.Attrs.Float("alpha", 1), c.Attrs.Float("beta", 1)
	b := c.Input(2)
	row := b == nil || len(b.Shape) >= 1 && b.Len() == x.n && b.Shape[len(b.Shape)-1] == x.n && (x.n > 1 || x.m == 1 || b.Len() == 1)
	switch c.In[0].DType {
	case tensor.F64, tensor.I32, tensor.I64, tensor.U32, tensor.U64:
		row = b == nil // plain products have no bias
	}
	if alpha == 1 && (beta == 1 || b == nil) && row {
		return x.prepare(c, b)
	}
	return x.general(c, alpha, beta, b)
}

// general is alpha*A·B + beta*C with C broadcast, in the type of A.
func (x *matrices) general(c *op.Call, alpha, beta float32, b *tensor.Tensor) (op.Run, error) {
	if c.In[0].Quant != nil || c.In[1].Quant != nil && c.Attrs.Bool("dynamic_quantize", false) {
		return nil, c.Errorf("quantised operands with alpha %g, beta %g and C %v", alpha, beta, b)
	}
	lo, hi := activation(c)
	inner := *c
	inner.Attrs = c.Attrs.Clone()
	delete(inner.Attrs, "act_min")
	delete(inner.Attrs, "act_max")
	run, err := x.prepare(&inner, nil)
	if err != nil {
		return nil, err
	}
	y := c.Out[0]
	if b != nil && !(slices.Contains(anyFloat, b.DType) && slices.Contains(anyFloat, y.DType) && (b.DType == tensor.F64) == (y.DType == tensor.F64)) && b.DType != y.DType {
		return nil, c.Errorf("C of type %v for a result of type %v", b.DType, y.DType)
	}
	var bm, bn int // strides of C
	if b != nil {
		s := b.Shape
		if len(s) > 0 && s[len(s)-1] > 1 {
			bn = 1
		}
		if len(s) == 2 && s[0] > 1 {
			bm = s[1]
		}
	}
	switch y.DType {
	case tensor.F64:
		return func() error {
			if err := run(); err != nil {
				return err
			}
			v := tensor.Of[float64](y)
			for i := range v {
				v[i] *= float64(alpha)
				if b != nil {
					v[i] += float64(float64(beta) * tensor.Of[float64](b)[i/x.n*bm+i%x.n*bn])
				}
			}
			bound64(c, y)
			return nil
		}, nil
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return generalInts(c, x, run, alpha, beta, b, bm, bn)
	}
	fy, fb := newFloats(c, y), newBias(c, b)
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v, bias := fy.get(), fb.get()
		for i := range v {
			r := float32(alpha * v[i])
			if bias != nil {
				r += float32(beta * bias[i/x.n*bm+i%x.n*bn])
			}
			v[i] = clamp(r, lo, hi)
		}
		fy.put()
		return nil
	}, nil
}

func generalInts(c *op.Call, x *matrices, run op.Run, alpha, beta float32, b *tensor.Tensor, bm, bn int) (op.Run, error) {
	switch c.Out[0].DType {
	case tensor.I32:
		return scaleInts[int32](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.I64:
		return scaleInts[int64](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.U32:
		return scaleInts[uint32](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.U64:
		return scaleInts[uint64](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	}
	return nil, c.Errorf("operands of type %v", c.Out[0].DType)
}

func scaleInts[T int32 | int64 | uint32 | uint64](x *matrices, run op.Run, y, b *tensor.Tensor, alpha, beta float32, bm, bn int) op.Run {
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v := tensor.Of[T](y)
		for i := range v {
			v[i] *= T(alpha)
			if b != nil {
				v[i] += T(beta) * tensor.Of[T](b)[i/x.n*bm+i%x.n*bn]
			}
		}
		return nil
	}
}
