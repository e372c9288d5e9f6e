package nnx

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var rotaryOps = map[string]op.Op{
	"RotaryEmbedding": {Infer: inferRotary, Prepare: func(c *op.Call) (op.Run, error) {
		return byType(c, c.In[0].DType, prepareRotary[float32], prepareRotary[float64])
	}},
	"com.microsoft.RotaryEmbedding": {Infer: inferRotary, Prepare: func(c *op.Call) (op.Run, error) {
		return byType(c, c.In[0].DType, prepareRotaryMS[float32], prepareRotaryMS[float64])
	}},
}

func inferRotary(c *op.Call) error {
	n := 3
	if c.Op != "RotaryEmbedding" {
		n = 4 // X, position_ids, cos, sin
	}
	if err := c.Need(n); err != nil {
		return err
	}
	if s := c.In[0].Shape; s != nil && len(s) != 3 && len(s) != 4 {
		return c.Errorf("input has rank %d, want 3 or 4", len(s))
	}
	c.Set(0, c.In[0].DType, c.In[0].Shape)
	return nil
}

// rotary turns pairs of elements of each head by the angle of its position:
//
//	y1 = cos*x1 - sin*x2    y2 = sin*x1 + cos*x2
//
// Pairs are neighbours where interleaved is set, else one element of each half. Elements from dim on stay as they are.
type rotary[T float] struct {
	batch, steps, heads, size, dim int
	interleaved                    bool
	at                             rowsAt
}

func newRotary[T float](c *op.Call, shape tensor.Shape, heads, dim int) (*rotary[T], error) {
	r := &rotary[T]{batch: shape[0], interleaved: c.Attrs.Bool("interleaved", false), dim: dim}
	if len(shape) == 4 {
		r.heads, r.steps, r.size = shape[1], shape[2], shape[3]
		r.at = stacked(r.heads, r.steps, r.size)
	} else {
		r.steps, r.heads = shape[1], heads
		if r.heads < 1 || shape[2]%r.heads != 0 {
			return nil, c.Errorf("width of %d does not divide by %d heads", shape[2], r.heads)
		}
		r.size = shape[2] / r.heads
		r.at = split(r.steps, r.size, shape[2])
	}
	if r.dim == 0 {
		r.dim = r.size
	}
	if r.dim < 0 || r.dim%2 != 0 || r.dim > r.size {
		return nil, c.Errorf("%d of %d elements cannot be rotated", r.dim, r.size)
	}
	return r, nil
}

// turn rotates one head; cos and sin hold half of dim.
func (r *rotary[T]) turn(y, x, cos, sin []T) {
	half := r.dim / 2
	for i := range half {
		a, b := i, i+half
		if r.interleaved {
			a, b = 2*i, 2*i+1
		}
		x1, x2 := x[a], x[b]
		y[a] = T(cos[i]*x1) - T(sin[i]*x2)
		y[b] = T(sin[i]*x1) + T(cos[i]*x2)
	}
	copy(y[r.dim:r.size], x[r.dim:r.size])
}

func prepareRotary[T float](c *op.Call) (op.Run, error) {
	r, err := newRotary[T](c, c.In[0].Shape, c.Attrs.Int("num_heads", 0), c.Attrs.Int("rotary_embedding_dim", 0))
	if err != nil {
		return nil, err
	}
	if r.dim == 0 {
		return nil, c.Errorf("heads of no elements")
	}
	pos, err := newIndices(c, 3, r.batch*r.steps)
	if err != nil {
		return nil, err
	}
	rows := r.batch * r.steps
	if pos.present() {
		rows = extent(c.In[1], 0)
	}
	return r.prepare(c, 1, rows, func(b, s int) int {
		if pos.present() {
			return pos.at(b*r.steps + s)
		}
		return b*r.steps + s
	})
}

// prepareRotaryMS runs com.microsoft.RotaryEmbedding, whose positions may be one offset for all.
func prepareRotaryMS[T float](c *op.Call) (op.Run, error) {
	heads := c.Attrs.Int("num_heads", 0)
	dim := c.Attrs.Int("rotary_embedding_dim", 0)
	cosWidth := extent(c.In[2], 1)
	if s := c.In[0].Shape; heads == 0 && len(s) == 3 && cosWidth > 0 {
		size := 2 * cosWidth
		if dim != 0 {
			return nil, c.Errorf("rotary_embedding_dim needs num_heads")
		}
		if s[2]%size != 0 {
			return nil, c.Errorf("width of %d does not divide by a head of %d", s[2], size)
		}
		heads = s[2] / size
	}
	r, err := newRotary[T](c, c.In[0].Shape, heads, dim)
	if err != nil {
		return nil, err
	}
	if r.dim == 0 {
		return nil, c.Errorf("heads of no elements")
	}
	n := c.In[1].Len()
	if n != 1 && n != r.batch*r.steps {
		return nil, c.Errorf("positions %v for %d batches of %d", c.In[1].Shape, r.batch, r.steps)
	}
	pos, err := newIndices(c, 1, n)
	if err != nil {
		return nil, err
	}
	perToken := len(c.In[1].Shape) == 2 && n == r.batch*r.steps
	return r.prepare(c, 2, extent(c.In[2], 0), func(b, s int) int {
		if perToken {
			return pos.at(b*r.steps + s)
		}
		return pos.at(0) + s
	})
}

// prepare runs over all heads; inputs first and first+1 hold rows of cos and sin, row says which one belongs to a step.
func (r *rotary[T]) prepare(c *op.Call, first, rows int, row func(b, s int) int) (op.Run, error) {
	half := r.dim / 2
	var src [3]*source[T]
	var err error
	for i, k := range [3]int{0, first, first + 1} {
		if src[i], err = newSource[T](c, k, [3]int{r.batch * r.steps * r.heads * r.size, rows * half, rows * half}[i]); err != nil {
			return nil, err
		}
	}
	y := newTarget[T](c, 0, c.In[0].Len())
	return func() error {
		x, cos, sin, out := src[0].get(), src[1].get(), src[2].get(), y.get()
		for b := range r.batch {
			for s := range r.steps {
				p := row(b, s)
				if p < 0 || p >= rows {
					return c.Errorf("position %d of %d", p, rows)
				}
				for h := range r.heads {
					at := r.at.at(b, h, s)
					r.turn(out[at:at+r.size], x[at:at+r.size], cos[p*half:], sin[p*half:])
				}
			}
		}
		y.put()
		return nil
	}, nil
}
