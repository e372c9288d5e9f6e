package move

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

var scatterOps = map[string]op.Op{
	"ScatterElements": {Infer: inferScatter, Prepare: prepareScatterElements},
	"Scatter":         {Infer: inferScatter, Prepare: prepareScatterElements},
	"ScatterND":       {Infer: inferScatter, Prepare: prepareScatterND},
	"TensorScatter":   {Infer: inferIdentity, Prepare: prepareTensorScatter},
}

func inferScatter(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	return inferIdentity(c)
}

// combiner returns how n elements of an update join what is there, by the attribute reduction.
func combiner(c *op.Call, x *tensor.Tensor) (func(y, u *tensor.Tensor, to, from, n int), error) {
	name := c.Attrs.Str("reduction", "none")
	switch name {
	case "none":
		return func(y, u *tensor.Tensor, to, from, n int) { cellsOf(u).copyTo(cellsOf(y), to, from, n) }, nil
	case "add", "mul", "max", "min":
	default:
		return nil, c.Errorf("reduction %q unknown", name)
	}
	switch x.DType {
	case tensor.F32:
		return joined[float32](name), nil
	case tensor.F64:
		return joined[float64](name), nil
	case tensor.I64:
		return joined[int64](name), nil
	case tensor.I32:
		return joined[int32](name), nil
	case tensor.I16:
		return joined[int16](name), nil
	case tensor.I8:
		return joined[int8](name), nil
	case tensor.U64:
		return joined[uint64](name), nil
	case tensor.U32:
		return joined[uint32](name), nil
	case tensor.U16:
		return joined[uint16](name), nil
	case tensor.U8:
		return joined[uint8](name), nil
	}
	get, err := getter(c, x.DType)
	if err != nil {
		return nil, err
	}
	set, f := number.Setter(x.DType), joiner[float64](name)
	return func(y, u *tensor.Tensor, to, from, n int) {
		for i := range n {
			set(y, to+i, f(get(y, to+i), get(u, from+i)))
		}
	}, nil
}

type ordered interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8
}

func joiner[T ordered](name string) func(a, b T) T {
	switch name {
	case "add":
		return func(a, b T) T { return a + b }
	case "mul":
		return func(a, b T) T { return a * b }
	case "max":
		return func(a, b T) T { return max(a, b) }
	}
	return func(a, b T) T { return min(a, b) }
}

func joined[T ordered](name string) func(y, u *tensor.Tensor, to, from, n int) {
	f := joiner[T](name)
	return func(y, u *tensor.Tensor, to, from, n int) {
		d, s := tensor.Of[T](y)[to:to+n], tensor.Of[T](u)[from:from+n]
		for i, v := range s {
			d[i] = f(d[i], v)
		}
	}
}

func prepareScatterElements(c *op.Call) (op.Run, error) {
	x, u, y := c.In[0], c.In[2], c.Out[0]
	is := c.In[1].Shape
	axis, err := elementAxis(c, x.Shape, is)
	if err != nil {
		return nil, err
	}
	if !u.Shape.Equal(is) || u.DType != x.DType {
		return nil, c.Errorf("updates %v do not fit indices %v of %v", u, is, x)
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	join, err := combiner(c, x)
	if err != nil {
		return nil, err
	}
	put := func(k, off int) { join(y, u, off, k, 1) }
	return func() error {
		copyAll(y, x)
		return elementOffsets(c, x.Shape, is, axis, at, put)
	}, nil
}

func prepareScatterND(c *op.Call) (op.Run, error) {
	x, u, y, is := c.In[0], c.In[2], c.Out[0], c.In[1].Shape
	if len(is) == 0 || is[len(is)-1] > len(x.Shape) {
		return nil, c.Errorf("indices %v do not fit data %v", is, x.Shape)
	}
	depth := is[len(is)-1]
	count, inner := is[:len(is)-1].Len(), x.Shape[depth:].Len()
	if u.Len() != count*inner || u.DType != x.DType {
		return nil, c.Errorf("updates %v do not fit indices %v of %v", u, is, x)
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	join, err := combiner(c, x)
	if err != nil {
		return nil, err
	}
	st := x.Shape.Strides()
	return func() error {
		copyAll(y, x)
		for k := range count {
			off, err := ndOffset(c, x.Shape, st, 0, depth, at, k)
			if err != nil {
				return err
			}
			join(y, u, off, k*inner, inner)
		}
		return nil
	}, nil
}

// prepareTensorScatter writes an update into a cache along an axis, from a position per batch on.
func prepareTensorScatter(c *op.Call) (op.Run, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	x, u, y := c.In[0], c.In[1], c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", -2), len(x.Shape))
	if err != nil {
		return nil, err
	}
	if axis == 0 || len(u.Shape) != len(x.Shape) || u.DType != x.DType {
		return nil, c.Errorf("update %v does not fit cache %v along axis %d", u, x, axis)
	}
	for d := range x.Shape {
		if d != axis && x.Shape[d] != u.Shape[d] {
			return nil, c.Errorf("update %v does not fit cache %v along axis %d", u, x, axis)
		}
	}
	at := func(int) int { return 0 }
	if given(c, 2) {
		if at, err = indices(c, 2); err != nil {
			return nil, err
		}
		if c.In[2].Len() != x.Shape[0] {
			return nil, c.Errorf("%d positions for %d batches", c.In[2].Len(), x.Shape[0])
		}
	}
	mode := c.Attrs.Str("mode", "linear")
	if mode != "linear" && mode != "circular" {
		return nil, c.Errorf("mode %q unknown", mode)
	}
	circular := mode == "circular"
	outer, inner := x.Shape[:axis].Len(), x.Shape[axis+1:].Len()
	n, m := x.Shape[axis], u.Shape[axis]
	perBatch := outer / max(1, x.Shape[0])
	cu, cy := cellsOf(u), cellsOf(y)
	return func() error {
		copyAll(y, x)
		for o := range outer {
			start := at(o / max(1, perBatch))
			for k := range m {
				p := start + k
				if circular && n > 0 {
					p = mod(mod(start, n)+k, n)
				}
				if start < 0 || p < 0 || p >= n {
					return c.Errorf("position %d of batch %d is out of range for a cache of %d", p, o/max(1, perBatch), n)
				}
				cu.copyTo(cy, (o*n+p)*inner, (o*m+k)*inner, inner)
			}
		}
		return nil
	}, nil
}
