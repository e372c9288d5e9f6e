package elem

import (
	"math/rand/v2"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var dropoutOps = map[string]op.Op{
	"Dropout": {Infer: inferDropout, Prepare: prepareDropout},
}

func inferDropout(c *op.Call) error {
	if err := same(c); err != nil {
		return err
	}
	for i, d := range []tensor.DType{tensor.F32, tensor.Bool} {
		if t := c.Input(i + 1); t != nil && (t.Shape.Known() && t.Len() != 1 || i == 1 && t.DType != d) {
			return c.Errorf("input %d is %v, want one element", i+1, t)
		}
	}
	c.Set(1, tensor.Bool, c.In[0].Shape)
	return nil
}

// prepareDropout copies its input, with a mask of ones. In training mode with a ratio above 0 it draws the mask, from
// the attribute seed where there is one, and divides what is left by 1-ratio.
func prepareDropout(c *op.Call) (op.Run, error) {
	x, y, mask := c.In[0], c.Output(0), c.Output(1)
	get, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	put := func(int, float64) {}
	if y != nil {
		if put, err = writer(c, y); err != nil {
			return nil, err
		}
	}
	ratioOf := func(int) float64 { return .5 }
	if r := c.Input(1); r != nil {
		if ratioOf, err = reader(c, r); err != nil {
			return nil, err
		}
	}
	var rng *rand.Rand
	if c.Input(2) != nil {
		rng = source(c)
	}
	n := x.Len()
	drop := func(ratio float64) {
		for i := range n {
			kept := rng.Float64() >= ratio
			if mask != nil {
				mask.Data[i] = truth(kept)
			}
			if kept {
				put(i, get(i)/(1-ratio))
			} else {
				put(i, 0)
			}
		}
	}
	return func() error {
		if rng != nil && c.In[2].Data[0] != 0 {
			if ratio := ratioOf(0); !(ratio >= 0 && ratio < 1) {
				return c.Errorf("ratio %g, want at least 0 and below 1", ratio)
			} else if ratio > 0 {
				drop(ratio)
				return nil
			}
		}
		if y != nil {
			copy(y.Data, x.Data)
		}
		if mask != nil {
			for i := range mask.Data {
				mask.Data[i] = 1
			}
		}
		return nil
	}, nil
}
