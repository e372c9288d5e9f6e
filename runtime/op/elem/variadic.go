package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var variadicOps = map[string]op.Op{
	"Max":  {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts | op.InPlace},
	"Min":  {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts | op.InPlace},
	"Sum":  {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts | op.InPlace},
	"Mean": {Infer: inferVariadic, Prepare: prepareVariadic, Traits: op.Broadcasts | op.InPlace},
	"Clip": {Infer: inferClip, Prepare: prepareClip, Traits: op.Pointwise | op.InPlace},
}

func inferVariadic(c *op.Call) error {
	if err := c.Need(max(1, len(c.In))); err != nil {
		return err
	}
	shapes := make([]tensor.Shape, len(c.In))
	for i, t := range c.In {
		if t.DType != c.In[0].DType {
			return c.Errorf("inputs of types %v and %v", c.In[0].DType, t.DType)
		}
		shapes[i] = t.Shape
	}
	s, err := c.Broadcast(shapes...)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareVariadic(c *op.Call) (op.Run, error) {
	return each{variadic[float64], variadic[float32], variadic[int64], variadic[int32], variadic[int16], variadic[int8],
		variadic[uint64], variadic[uint32], variadic[uint16], variadic[uint8]}.byInput(c)
}

// variadic folds the inputs from the left into the output.
func variadic[T number](c *op.Call) (op.Run, error) {
	var k kernel[T, T]
	switch c.Op {
	case "Max":
		k = kernel[T, T]{f: func(a, b T) T { return max(a, b) }, vv: maxRows[T], vs: maxScalar[T],
			sv: func(y []T, a T, b []T) { maxScalar(y, b, a) }}
		k = kernels32(k, max32, max32)
	case "Min":
		k = kernel[T, T]{f: func(a, b T) T { return min(a, b) }, vv: minRows[T], vs: minScalar[T],
			sv: func(y []T, a T, b []T) { minScalar(y, b, a) }}
		k = kernels32(k, min32, min32)
	default:
		k = kernels32(addKernel[T](), add32, add32)
	}
	out := c.Out[0].Shape
	ins := make([]*view[T], len(c.In))
	for i, t := range c.In {
		ins[i] = newView[T](c, t)
	}
	steps := make([]*binary[T, T], len(c.In))
	for i := 1; i < len(c.In); i++ {
		acc := out
		if i == 1 {
			acc = c.In[0].Shape
		}
		steps[i] = newBinary(k, out, acc, c.In[i].Shape)
	}
	y := newView[T](c, c.Out[0])
	n := T(len(c.In))
	mean := c.Op == "Mean"
	return func() error {
		r := y.room()
		acc := ins[0].get()
		if len(ins) == 1 {
			copy(r, acc)
		}
		for i, p := range steps {
			if i > 0 {
				p.run(c.Par, r, acc, ins[i].get())
				acc = r
			}
		}
		if r32, ok := any(r).([]float32); ok && mean {
			scalar32(div32, r32, r32, float32(n))
		} else if mean {
			for i := range r {
				r[i] /= n
			}
		}
		y.put()
		return nil
	}, nil
}

func maxRows[T number](y, a, b []T) {
	for i := range y {
		y[i] = max(a[i], b[i])
	}
}

func maxScalar[T number](y, a []T, b T) {
	for i := range y {
		y[i] = max(a[i], b)
	}
}

func minRows[T number](y, a, b []T) {
	for i := range y {
		y[i] = min(a[i], b[i])
	}
}

func minScalar[T number](y, a []T, b T) {
	for i := range y {
		y[i] = min(a[i], b)
	}
}

func inferClip(c *op.Call) error {
	for _, i := range []int{1, 2} {
		if t := c.Input(i); t != nil && t.Shape.Known() && t.Len() != 1 {
			return c.Errorf("bound %v is no scalar", t)
		}
	}
	return same(c)
}

// prepareClip bounds its input; the bounds may be computed, and where they cross the upper one wins.
func prepareClip(c *op.Call) (op.Run, error) {
	return each{
		func(c *op.Call) (op.Run, error) { return clip(c, math.Inf(-1), math.Inf(1)) },
		func(c *op.Call) (op.Run, error) { return clip(c, float32(math.Inf(-1)), float32(math.Inf(1))) },
		func(c *op.Call) (op.Run, error) { return clip[int64](c, math.MinInt64, math.MaxInt64) },
		func(c *op.Call) (op.Run, error) { return clip[int32](c, math.MinInt32, math.MaxInt32) },
		func(c *op.Call) (op.Run, error) { return clip[int16](c, math.MinInt16, math.MaxInt16) },
		func(c *op.Call) (op.Run, error) { return clip[int8](c, math.MinInt8, math.MaxInt8) },
		func(c *op.Call) (op.Run, error) { return clip[uint64](c, 0, math.MaxUint64) },
		func(c *op.Call) (op.Run, error) { return clip[uint32](c, 0, math.MaxUint32) },
		func(c *op.Call) (op.Run, error) { return clip[uint16](c, 0, math.MaxUint16) },
		func(c *op.Call) (op.Run, error) { return clip[uint8](c, 0, math.MaxUint8) },
	}.byInput(c)
}

func clip[T number](c *op.Call, least, most T) (op.Run, error) {
	bounds := [2]*view[T]{newView[T](c, c.Input(1)), newView[T](c, c.Input(2))}
	for _, b := range bounds {
		if b.t != nil && b.t.DType != c.In[0].DType {
			return nil, c.Errorf("bound %v for %v", b.t, c.In[0])
		}
	}
	var lo, hi T
	run := mapRows(c, func(y, x []T) {
		for i, v := range x {
			y[i] = bound(v, lo, hi)
		}
	})
	return func() error {
		lo, hi = least, most
		if v := bounds[0].get(); len(v) > 0 {
			lo = v[0]
		}
		if v := bounds[1].get(); len(v) > 0 {
			hi = v[0]
		}
		return run()
	}, nil
}
