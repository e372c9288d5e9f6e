package elem

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var skipOps = map[string]op.Op{
	"com.microsoft.SkipLayerNormalization":           {Infer: inferSkipNorm, Prepare: prepareSkipNorm},
	"com.microsoft.SkipSimplifiedLayerNormalization": {Infer: inferSkipNorm, Prepare: prepareSkipNorm},
	"com.microsoft.BiasGelu":                         {Infer: inferBiasGelu, Prepare: prepareBiasGelu},
	"com.microsoft.FastGelu":                         {Infer: same, Prepare: prepareBiasGelu, Traits: op.InPlace},
}

func inferSkipNorm(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := same(c); err != nil {
		return err
	}
	c.Set(3, c.In[0].DType, c.In[0].Shape)
	if s := c.In[0].Shape; s == nil {
		c.Set(1, tensor.F32, nil)
		c.Set(2, tensor.F32, nil)
	} else if len(s) > 0 {
		r := s.Clone()
		r[len(r)-1] = 1
		c.Set(1, tensor.F32, r)
		c.Set(2, tensor.F32, r)
	}
	return nil
}

func prepareSkipNorm(c *op.Call) (op.Run, error) {
	if len(c.In[0].Shape) == 0 {
		return nil, c.Errorf("input is a scalar")
	}
	return each{f64: skipNorm[float64], f32: skipNorm[float32]}.byInput(c)
}

// skipNorm normalises input + skip + bias along the last axis: with mean and beta, or (Simplified) without. Output 3 is
// the sum.
func skipNorm[T float](c *op.Call) (op.Run, error) {
	rms := c.Op == "com.microsoft.SkipSimplifiedLayerNormalization"
	beta, bias := c.Input(3), 4
	if rms {
		beta, bias = nil, 3
	}
	s := c.In[0].Shape
	c.Take(tensor.ByteSize(tensor.DTypeOf[T](), s.Len()))
	sum := tensor.New(tensor.DTypeOf[T](), s)
	inner := *c
	inner.Attrs = c.Attrs.Clone()
	inner.Attrs.Set("axis", -1)
	if !inner.Attrs.Has("epsilon") {
		inner.Attrs.Set("epsilon", 1e-12)
	}
	inner.In = []*tensor.Tensor{sum, c.In[2], beta}
	inner.Out = c.Out[:min(len(c.Out), 3)]
	norm := layerNorm[T]
	if rms {
		norm = rmsNorm[T]
		inner.Out = []*tensor.Tensor{c.Out[0], c.Output(2)}
	}
	run, err := norm(&inner)
	if err != nil {
		return nil, err
	}
	x := newView[T](c, c.In[0])
	size := s[len(s)-1]
	var parts [2]*repeated[T]
	for k, i := range []int{1, bias} {
		if parts[k], err = newRepeated[T](c, i, size); err != nil {
			return nil, err
		}
	}
	total := newView[T](c, c.Output(3))
	var in, out []T
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			y := out[r*size : (r+1)*size]
			copy(y, in[r*size:])
			parts[0].add(y, r*size)
			parts[1].add(y, r*size)
		}
	}
	n := s.Len() / max(1, size)
	return func() error {
		parts[0].begin()
		parts[1].begin()
		in, out = x.get(), tensor.Of[T](sum)
		c.Par.For(n, 1+grain/max(1, size), body)
		copy(total.room(), out)
		total.put()
		return run()
	}, nil
}

func inferBiasGelu(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	return same(c)
}

func prepareBiasGelu(c *op.Call) (op.Run, error) {
	return each{f64: biasGelu[float64], f32: biasGelu[float32]}.byInput(c)
}

// biasGelu is gelu(x+bias) along the last axis; FastGelu takes the tanh approximation, and its bias may be absent.
func biasGelu[T float](c *op.Call) (op.Run, error) {
	f := gelu[T]
	if c.Op == "com.microsoft.FastGelu" {
		f = geluTanh[T]
	}
	s := c.In[0].Shape
	size := 1
	if len(s) > 0 {
		size = s[len(s)-1]
	}
	bias, err := newRepeated[T](c, 1, size)
	if err != nil {
		return nil, err
	}
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			y := out[r*size : (r+1)*size]
			copy(y, in[r*size:])
			bias.add(y, r*size)
			for i, v := range y {
				y[i] = f(v)
			}
		}
	}
	n := s.Len() / max(1, size)
	return func() error {
		bias.begin()
		in, out = x.get(), y.room()
		c.Par.For(n, 1+grain/max(1, size), body)
		y.put()
		return nil
	}, nil
}
