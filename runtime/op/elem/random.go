package elem

import (
	"math"
	"math/rand/v2"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var randomOps = map[string]op.Op{
	"RandomNormal":      {Infer: inferRandom, Prepare: prepareRandom, Traits: op.Impure},
	"RandomUniform":     {Infer: inferRandom, Prepare: prepareRandom, Traits: op.Impure},
	"RandomNormalLike":  {Infer: inferRandom, Prepare: prepareRandom, Traits: op.Impure},
	"RandomUniformLike": {Infer: inferRandom, Prepare: prepareRandom, Traits: op.Impure},
	"Bernoulli":         {Infer: inferRandom, Prepare: prepareRandom, Traits: op.Impure},
	"Multinomial":       {Infer: inferMultinomial, Prepare: prepareMultinomial, Traits: op.Impure},
}

// typeAttribute reads the attribute dtype.
func typeAttribute(c *op.Call, def tensor.DType) (tensor.DType, error) {
	n := c.Attrs.Int("dtype", 0)
	if n == 0 {
		return def, nil
	}
	d, ok := onnxTypes[n]
	if !ok || d == tensor.String {
		return 0, c.Errorf("element type %d unsupported", n)
	}
	return d, nil
}

func inferRandom(c *op.Call) error {
	d := tensor.F32
	var s tensor.Shape
	if c.Op == "RandomNormal" || c.Op == "RandomUniform" {
		s = tensor.Shape(c.Attrs.Ints("shape"))
		if s == nil {
			return c.Errorf("attribute shape is missing")
		}
		if _, err := s.Size(); err != nil {
			return c.Errorf("%w", err)
		}
	} else {
		if err := c.Need(1); err != nil {
			return err
		}
		s, d = c.In[0].Shape, c.In[0].DType
	}
	d, err := typeAttribute(c, d)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// source is the generator of a node: by its seed where it has one.
func source(c *op.Call) *rand.Rand {
	if c.Attrs.Has("seed") {
		return rand.New(rand.NewPCG(uint64(math.Float32bits(c.Attrs.Float("seed", 0))), 0))
	}
	return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
}

func prepareRandom(c *op.Call) (op.Run, error) {
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	rng := source(c)
	var draw func(i int) float64
	switch c.Op {
	case "RandomNormal", "RandomNormalLike":
		mean, scale := float64(c.Attrs.Float("mean", 0)), float64(c.Attrs.Float("scale", 1))
		draw = func(int) float64 { return mean + scale*rng.NormFloat64() }
	case "Bernoulli":
		get, err := reader(c, c.In[0])
		if err != nil {
			return nil, err
		}
		draw = func(i int) float64 {
			if rng.Float64() < get(i) {
				return 1
			}
			return 0
		}
	default:
		lo, hi := float64(c.Attrs.Float("low", 0)), float64(c.Attrs.Float("high", 1))
		draw = func(int) float64 { return lo + (hi-lo)*rng.Float64() }
	}
	n := c.Out[0].Len()
	return func() error {
		for i := range n {
			put(i, draw(i))
		}
		return nil
	}, nil
}

func inferMultinomial(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d, err := typeAttribute(c, tensor.I32)
	if err != nil {
		return err
	}
	s := tensor.Shape{-1, c.Attrs.Int("sample_size", 1)}
	if s[1] < 0 {
		return c.Errorf("sample_size %d is negative", s[1])
	}
	if len(c.In[0].Shape) == 2 {
		s[0] = c.In[0].Shape[0]
	}
	c.Set(0, d, s)
	return nil
}

func prepareMultinomial(c *op.Call) (op.Run, error) {
	if len(c.In[0].Shape) != 2 {
		return nil, c.Errorf("input has rank %d, want 2", len(c.In[0].Shape))
	}
	get, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	rng := source(c)
	classes, samples := c.In[0].Shape[1], c.Out[0].Shape[1]
	return func() error {
		for b := range c.In[0].Shape[0] {
			if classes == 0 && samples > 0 {
				return c.Errorf("no classes to draw from")
			}
			total := 0.0
			for k := range classes {
				total += math.Exp(get(b*classes + k))
			}
			for s := range samples {
				u, k := rng.Float64()*total, 0
				for ; k < classes-1; k++ {
					if u -= math.Exp(get(b*classes + k)); u < 0 {
						break
					}
				}
				put(b*samples+s, float64(k))
			}
		}
		return nil
	}, nil
}
