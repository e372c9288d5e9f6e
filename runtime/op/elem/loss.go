package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var lossOps = map[string]op.Op{
	"NegativeLogLikelihoodLoss": {Infer: inferLoss, Prepare: prepareLoss},
	"SoftmaxCrossEntropyLoss":   {Infer: inferLoss, Prepare: prepareLoss},
}

func inferLoss(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	s := tensor.Shape{}
	switch r := c.Attrs.Str("reduction", "mean"); r {
	case "none":
		s = c.In[1].Shape
	case "mean", "sum":
	default:
		return c.Errorf("reduction %q unknown", r)
	}
	c.Set(0, c.In[0].DType, s)
	if c.Op == "SoftmaxCrossEntropyLoss" {
		c.Set(1, c.In[0].DType, c.In[0].Shape)
	}
	return nil
}

// prepareLoss is -w[t]·x[t] per position, where x are log probabilities (computed from scores for cross entropy).
func prepareLoss(c *op.Call) (op.Run, error) {
	x := c.In[0]
	if len(x.Shape) < 2 || !c.In[1].Shape.Equal(append(tensor.Shape{x.Shape[0]}, x.Shape[2:]...)) {
		return nil, c.Errorf("input %v and target %v do not fit", x, c.In[1])
	}
	get, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	target, err := reader(c, c.In[1])
	if err != nil {
		return nil, err
	}
	put := func(int, float64) {}
	if t := c.Output(0); t != nil {
		if put, err = writer(c, t); err != nil {
			return nil, err
		}
	}
	weight := func(int) float64 { return 1 }
	if w := c.Input(2); w != nil {
		if w.Len() != x.Shape[1] {
			return nil, c.Errorf("%d weights for %d classes", w.Len(), x.Shape[1])
		}
		if weight, err = reader(c, w); err != nil {
			return nil, err
		}
	}
	putLog := func(int, float64) {}
	if t := c.Output(1); t != nil {
		if putLog, err = writer(c, t); err != nil {
			return nil, err
		}
	}
	classes := x.Shape[1]
	inner := x.Shape[2:].Len()
	entropy := c.Op == "SoftmaxCrossEntropyLoss"
	ignore, ignores := c.Attrs.Int("ignore_index", 0), c.Attrs.Has("ignore_index")
	reduction := c.Attrs.Str("reduction", "mean")
	return func() error {
		sum, total := 0.0, 0.0
		for p := range c.In[1].Len() {
			base := p/inner*classes*inner + p%inner
			at := func(k int) float64 { return get(base + k*inner) }
			log := 0.0
			if entropy {
				top := math.Inf(-1)
				for k := range classes {
					top = max(top, at(k))
				}
				for k := range classes {
					log += math.Exp(at(k) - top)
				}
				log = top + math.Log(log)
				for k := range classes {
					putLog(base+k*inner, at(k)-log)
				}
			}
			t := int(target(p))
			if ignores && t == ignore {
				if reduction == "none" {
					put(p, 0)
				}
				continue
			}
			if t < 0 || t >= classes {
				return c.Errorf("target %d at position %d is not among %d classes", t, p, classes)
			}
			w := weight(t)
			loss := -w * (at(t) - log)
			if reduction == "none" {
				put(p, loss)
			}
			sum += loss
			total += w
		}
		switch reduction {
		case "sum":
			put(0, sum)
		case "mean":
			put(0, sum/total)
		}
		return nil
	}, nil
}
