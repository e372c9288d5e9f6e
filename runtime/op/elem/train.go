package elem

import (
	"math"

	"github.com/edgerun/edgerun/runtime/op"
)

var trainOps = map[string]op.Op{
	"ai.onnx.preview.training.Adagrad":  {Infer: inferOptimizer, Prepare: prepareOptimizer},
	"ai.onnx.preview.training.Adam":     {Infer: inferOptimizer, Prepare: prepareOptimizer},
	"ai.onnx.preview.training.Momentum": {Infer: inferOptimizer, Prepare: prepareOptimizer},
}

// stateCount is the number of state tensors per weight.
func stateCount(c *op.Call) int {
	if c.Op == "ai.onnx.preview.training.Adam" {
		return 2
	}
	return 1
}

// inferOptimizer: inputs are rate, step, then weights, gradients and states, each listed for all weights; outputs are new
// weights and states.
func inferOptimizer(c *op.Call) error {
	per := 2 + stateCount(c)
	if len(c.In) < 2+per || (len(c.In)-2)%per != 0 {
		return c.Errorf("%d inputs, want 2 and %d per weight", len(c.In), per)
	}
	if err := c.Need(len(c.In)); err != nil {
		return err
	}
	n := (len(c.In) - 2) / per
	for i := range c.Out {
		src := c.In[2+i%n]
		c.Set(i, src.DType, src.Shape)
	}
	return nil
}

func prepareOptimizer(c *op.Call) (op.Run, error) {
	states := stateCount(c)
	n := (len(c.In) - 2) / (2 + states)
	rate, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	step, err := reader(c, c.In[1])
	if err != nil {
		return nil, err
	}
	f := func(name string, def float32) float64 { return float64(c.Attrs.Float(name, def)) }
	norm := f("norm_coefficient", 0)
	return func() error {
		r, t := rate(0), step(0)
		for k := range n {
			get := func(group int) func(i int) float64 {
				g, err := reader(c, c.In[2+group*n+k])
				if err != nil {
					return func(int) float64 { return math.NaN() }
				}
				return g
			}
			put := func(group, i int, v float64) {
				if y := c.Output(group*n + k); y != nil {
					if w, err := writer(c, y); err == nil {
						w(i, v)
					}
				}
			}
			x, g, s := get(0), get(1), get(2)
			for i := range c.In[2+k].Len() {
				w, d := x(i), g(i)
				d += norm * w
				switch c.Op {
				case "ai.onnx.preview.training.Adagrad":
					h := s(i) + d*d
					put(0, i, w-r/(1+t*f("decay_factor", 0))*d/(math.Sqrt(h)+f("epsilon", 1e-6)))
					put(1, i, h)
				case "ai.onnx.preview.training.Momentum":
					alpha, beta := f("alpha", 0), f("beta", 0)
					if t == 0 {
						beta = 1
					}
					v := alpha*s(i) + beta*d
					if c.Attrs.Str("mode", "standard") == "nesterov" {
						put(0, i, w-r*(d+alpha*v))
					} else {
						put(0, i, w-r*v)
					}
					put(1, i, v)
				default:
					a, b := f("alpha", .9), f("beta", .999)
					m := a*s(i) + (1-a)*d
					v := b*get(3)(i) + (1-b)*d*d
					rt := r
					if t > 0 {
						rt = r * math.Sqrt(1-math.Pow(b, t)) / (1 - math.Pow(a, t))
					}
					put(0, i, (w-rt*m/(math.Sqrt(v)+f("epsilon", 1e-6)))*(1-f("norm_coefficient_post", 0)))
					put(1, i, m)
					put(2, i, v)
				}
			}
		}
		return nil
	}, nil
}
