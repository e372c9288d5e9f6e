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
	if len(c.Out) > n*(per-1) {
		return c.Errorf("%d outputs, want %d", len(c.Out), n*(per-1))
	}
	for i := range c.Out {
		w := c.In[2+i%n]
		c.Set(i, w.DType, w.Shape)
	}
	return nil
}

// parameter is one weight with its gradient g and states s, and what they become. A weight has one state or two.
type parameter struct {
	n       int
	x, g    func(i int) float64
	s       [2]func(i int) float64
	newX    func(i int, v float64)
	newS    [2]func(i int, v float64)
	rate    float64 // of this step
	step    float64
	updates func(p *parameter, i int, x, g float64)
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
	for i := range 2 {
		if err := wants(c, i, 1); err != nil {
			return nil, err
		}
	}
	params := make([]parameter, n)
	update := optimizer(c)
	for k := range params {
		p := &params[k]
		p.n, p.updates = c.In[2+k].Len(), update
		get := func(group int) (f func(int) float64) {
			i := 2 + group*n + k
			if err == nil {
				if err = wants(c, i, p.n); err == nil {
					f, err = reader(c, c.In[i])
				}
			}
			return f
		}
		put := func(group int) func(int, float64) {
			f := func(int, float64) {}
			if t := c.Output(group*n + k); t != nil && err == nil {
				f, err = writer(c, t)
			}
			return f
		}
		p.x, p.g, p.newX = get(0), get(1), put(0)
		for s := range states {
			p.s[s], p.newS[s] = get(2+s), put(1+s)
		}
	}
	if err != nil {
		return nil, err
	}
	decay := float64(c.Attrs.Float("norm_coefficient", 0))
	return func() error {
		r, t := rate(0), step(0)
		for k := range params {
			p := &params[k]
			p.rate, p.step = r, t
			for i := range p.n {
				x := p.x(i)
				p.updates(p, i, x, p.g(i)+decay*x)
			}
		}
		return nil
	}, nil
}

// optimizer is the update of one element x whose regularised gradient is g.
func optimizer(c *op.Call) func(p *parameter, i int, x, g float64) {
	attribute := func(name string, def float32) float64 { return float64(c.Attrs.Float(name, def)) }
	eps := attribute("epsilon", 1e-6)
	switch c.Op {
	case "ai.onnx.preview.training.Adagrad":
		decay := attribute("decay_factor", 0)
		return func(p *parameter, i int, x, g float64) {
			h := p.s[0](i) + g*g
			p.newX(i, x-p.rate/(1+p.step*decay)*g/(math.Sqrt(h)+eps))
			p.newS[0](i, h)
		}
	case "ai.onnx.preview.training.Momentum":
		alpha, beta := attribute("alpha", 0), attribute("beta", 0)
		nesterov := c.Attrs.Str("mode", "standard") == "nesterov"
		return func(p *parameter, i int, x, g float64) {
			b := beta
			if p.step == 0 {
				b = 1
			}
			v := alpha*p.s[0](i) + b*g
			if nesterov {
				p.newX(i, x-p.rate*(g+alpha*v))
			} else {
				p.newX(i, x-p.rate*v)
			}
			p.newS[0](i, v)
		}
	}
	alpha, beta, post := attribute("alpha", .9), attribute("beta", .999), attribute("norm_coefficient_post", 0)
	return func(p *parameter, i int, x, g float64) {
		m := alpha*p.s[0](i) + (1-alpha)*g
		v := beta*p.s[1](i) + (1-beta)*g*g
		r := p.rate
		if p.step > 0 {
			r *= math.Sqrt(1-math.Pow(beta, p.step)) / (1 - math.Pow(alpha, p.step))
		}
		p.newX(i, (x-r*m/(math.Sqrt(v)+eps))*(1-post))
		p.newS[0](i, m)
		p.newS[1](i, v)
	}
}
