package nnx

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var stateOps = map[string]op.Op{
	"LinearAttention": {Infer: inferLinearAttention, Prepare: func(c *op.Call) (op.Run, error) {
		return byType(c, c.In[0].DType, prepareLinearAttention[float32], prepareLinearAttention[float64])
	}},
	"CausalConvWithState": {Infer: inferCausalConv, Prepare: func(c *op.Call) (op.Run, error) {
		return byType(c, c.In[0].DType, prepareCausalConv[float32], prepareCausalConv[float64])
	}},
}

func linearHeads(c *op.Call) (heads, kvHeads, dk, dv int, err error) {
	if err = c.Need(3); err != nil {
		return
	}
	if err = ranks(c, 3, 0, 1, 2); err != nil {
		return
	}
	heads, kvHeads = c.Attrs.Int("q_num_heads", 0), c.Attrs.Int("kv_num_heads", 0)
	if heads < 1 || kvHeads < 1 || heads%kvHeads != 0 {
		err = c.Errorf("%d heads of queries do not divide by %d heads of keys", heads, kvHeads)
		return
	}
	if dk, err = over(c, "query width", extent(c.In[0], 2), heads); err != nil {
		return
	}
	dv, err = over(c, "value width", extent(c.In[2], 2), kvHeads)
	return
}

func inferLinearAttention(c *op.Call) error {
	heads, kvHeads, dk, dv, err := linearHeads(c)
	if err != nil {
		return err
	}
	q := c.In[0]
	c.Set(0, q.DType, tensor.Shape{extent(q, 0), extent(q, 1), times(heads, dv)})
	state := q.DType
	if p := c.Input(3); p != nil {
		state = p.DType
	}
	c.Set(1, state, tensor.Shape{extent(q, 0), kvHeads, dk, dv})
	return nil
}

// prepareLinearAttention runs the recurrence token by token, for each head of keys:
//
//	S = exp(decay)*S    v' = beta*(v - Sᵀk)    S += k⊗v'    y = scale * Sᵀq
//
// where rules without a gate leave out the first, rules without delta the second step.
func prepareLinearAttention[T float](c *op.Call) (op.Run, error) {
	heads, kvHeads, dk, dv, err := linearHeads(c)
	if err != nil {
		return nil, err
	}
	batch, steps := c.In[0].Shape[0], c.In[0].Shape[1]
	gated, delta := false, false
	switch rule := c.Attrs.Str("update_rule", "gated_delta"); rule {
	case "linear":
	case "gated":
		gated = true
	case "delta":
		delta = true
	case "gated_delta":
		gated, delta = true, true
	default:
		return nil, c.Errorf("update_rule %q unknown", rule)
	}
	if gated != (c.Input(4) != nil) || delta != (c.Input(5) != nil) {
		return nil, c.Errorf("decay and beta do not fit update_rule")
	}
	rows := batch * steps
	decayWidth, betaWidth := 0, 0
	if gated {
		if decayWidth = extent(c.In[4], 2); len(c.In[4].Shape) != 3 || decayWidth != kvHeads && decayWidth != kvHeads*dk {
			return nil, c.Errorf("decay of shape %v", c.In[4].Shape)
		}
	}
	if delta {
		if betaWidth = extent(c.In[5], 2); len(c.In[5].Shape) != 3 || betaWidth != kvHeads && betaWidth != 1 {
			return nil, c.Errorf("beta of shape %v", c.In[5].Shape)
		}
	}
	var src [6]*source[T]
	for i, n := range [6]int{rows * heads * dk, rows * kvHeads * dk, rows * kvHeads * dv, batch * kvHeads * dk * dv, rows * decayWidth, rows * betaWidth} {
		if src[i], err = newSource[T](c, i, n); err != nil {
			return nil, err
		}
	}
	y, last := newTarget[T](c, 0, rows*heads*dv), newTarget[T](c, 1, batch*kvHeads*dk*dv)
	var q, k, v, past, decay, beta, out, state []T
	ar := arithOf[T]()
	scale := defaultScale[T](c, dk)
	group := heads / kvHeads
	fresh := make([]T, batch*kvHeads*dv)
	body := func(lo, hi int) {
		for bh := lo; bh < hi; bh++ {
			b, h := bh/kvHeads, bh%kvHeads
			s := state[bh*dk*dv : (bh+1)*dk*dv]
			if past != nil {
				copy(s, past[bh*dk*dv:])
			} else {
				clear(s)
			}
			write := fresh[bh*dv : (bh+1)*dv]
			for t := range steps {
				row := b*steps + t
				kt := k[(row*kvHeads+h)*dk:][:dk]
				copy(write, v[(row*kvHeads+h)*dv:][:dv])
				if gated {
					for i := range dk {
						g := decay[row*decayWidth+h*decayWidth/kvHeads+i%(decayWidth/kvHeads)]
						e := ar.exp(g)
						for j := range s[i*dv : (i+1)*dv] {
							s[i*dv+j] *= e
						}
					}
				}
				if delta {
					for i, x := range kt {
						ar.axpy(write, -x, s[i*dv:(i+1)*dv])
					}
					r := beta[row*betaWidth+h%betaWidth]
					for j := range write {
						write[j] *= r
					}
				}
				for i, x := range kt {
					ar.axpy(s[i*dv:(i+1)*dv], x, write)
				}
				for g := range group {
					hq := h*group + g
					o := out[(row*heads+hq)*dv:][:dv]
					clear(o)
					for i, x := range q[(row*heads+hq)*dk:][:dk] {
						ar.axpy(o, x, s[i*dv:(i+1)*dv])
					}
					for j := range o {
						o[j] *= scale
					}
				}
			}
		}
	}
	return func() error {
		q, k, v, past, decay, beta = src[0].get(), src[1].get(), src[2].get(), src[3].get(), src[4].get(), src[5].get()
		out, state = y.get(), last.get()
		c.Par.For(batch*kvHeads, 1, body)
		y.put()
		last.put()
		return nil
	}, nil
}

func inferCausalConv(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, w := c.In[0], c.In[1]
	if x.Shape != nil && len(x.Shape) != 3 || w.Shape != nil && len(w.Shape) != 3 {
		return c.Errorf("input %v and weights %v, want rank 3", x.Shape, w.Shape)
	}
	if a, b := extent(x, 1), extent(w, 0); a >= 0 && b >= 0 && a != b || extent(w, 1) > 1 || extent(w, 2) == 0 {
		return c.Errorf("weights %v do not fit input %v", w.Shape, x.Shape)
	}
	if x.Shape == nil {
		c.Set(0, x.DType, tensor.Shape{-1, extent(w, 0), -1})
	} else {
		c.Set(0, x.DType, x.Shape)
	}
	k := extent(w, 2)
	if k > 0 {
		k--
	}
	c.Set(1, x.DType, tensor.Shape{extent(x, 0), max(extent(x, 1), extent(w, 0)), k})
	return nil
}

// prepareCausalConv convolves each channel with its own kernel: y[t] = act(bias + Σ w[i] * padded[t+i]), where padded is
// the past state, or zeros, followed by the input.
func prepareCausalConv[T float](c *op.Call) (op.Run, error) {
	xs, k := c.In[0].Shape, c.In[1].Shape[2]
	batch, channels, length := xs[0], xs[1], xs[2]
	silu := false
	switch act := c.Attrs.Str("activation", "none"); act {
	case "none":
	case "silu", "swish":
		silu = true
	default:
		return nil, c.Errorf("activation %q unknown", act)
	}
	var src [4]*source[T]
	var err error
	for i, n := range [4]int{xs.Len(), channels * k, channels, batch * channels * (k - 1)} {
		if src[i], err = newSource[T](c, i, n); err != nil {
			return nil, err
		}
	}
	y, last := newTarget[T](c, 0, xs.Len()), newTarget[T](c, 1, batch*channels*(k-1))
	padded := op.Make[T](c, batch*channels*(length+k-1))
	ar := arithOf[T]()
	var x, w, bias, past, out, state []T
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			ch := r % channels
			p := padded[r*(length+k-1) : (r+1)*(length+k-1)]
			if past != nil {
				copy(p[:k-1], past[r*(k-1):])
			} else {
				clear(p[:k-1])
			}
			copy(p[k-1:], x[r*length:(r+1)*length])
			for t := range length {
				var acc T
				if bias != nil {
					acc = bias[ch]
				}
				acc = ar.dot(acc, w[ch*k:(ch+1)*k], p[t:])
				if silu {
					acc *= ar.sigmoid(acc)
				}
				out[r*length+t] = acc
			}
			copy(state[r*(k-1):(r+1)*(k-1)], p[length:])
		}
	}
	return func() error {
		x, w, bias, past = src[0].get(), src[1].get(), src[2].get(), src[3].get()
		out, state = y.get(), last.get()
		c.Par.For(batch*channels, 1+4096/(length*k+1), body)
		y.put()
		last.put()
		return nil
	}, nil
}
