package move

import (
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
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

// combiner returns how an update joins what is there, by the attribute reduction.
func combiner(c *op.Call, x *tensor.Tensor) (func(y, u *tensor.Tensor, to, from, n int), error) {
	name := c.Attrs.Str("reduction", "none")
	if name == "none" {
		return func(y, u *tensor.Tensor, to, from, n int) { cellsOf(u).copyTo(cellsOf(y), to, from, n) }, nil
	}
	var f func(a, b float64) float64
	switch name {
	case "add":
		f = func(a, b float64) float64 { return a + b }
	case "mul":
		f = func(a, b float64) float64 { return a * b }
	case "max":
		f = func(a, b float64) float64 { return max(a, b) }
	case "min":
		f = func(a, b float64) float64 { return min(a, b) }
	default:
		return nil, c.Errorf("reduction %q unknown", name)
	}
	if x.DType == tensor.I64 {
		g := map[string]func(a, b int64) int64{"add": func(a, b int64) int64 { return a + b }, "mul": func(a, b int64) int64 { return a * b },
			"max": func(a, b int64) int64 { return max(a, b) }, "min": func(a, b int64) int64 { return min(a, b) }}[name]
		return func(y, u *tensor.Tensor, to, from, n int) {
			d, s := tensor.Of[int64](y), tensor.Of[int64](u)
			for i := range n {
				d[to+i] = g(d[to+i], s[from+i])
			}
		}, nil
	}
	read, err := number(c, x.DType)
	if err != nil {
		return nil, err
	}
	return func(y, u *tensor.Tensor, to, from, n int) {
		for i := range n {
			if err := setNumber(c, y, to+i, f(read(y, to+i), read(u, from+i))); err != nil {
				panic("BUG: " + err.Error())
			}
		}
	}, nil
}

// number returns a function that reads an element as float64.
func number(c *op.Call, d tensor.DType) (func(t *tensor.Tensor, i int) float64, error) {
	switch d {
	case tensor.F32:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[float32](t)[i]) }, nil
	case tensor.F64:
		return func(t *tensor.Tensor, i int) float64 { return tensor.Of[float64](t)[i] }, nil
	case tensor.F16:
		return func(t *tensor.Tensor, i int) float64 { return float64(half.FromF16(tensor.Of[uint16](t)[i])) }, nil
	case tensor.BF16:
		return func(t *tensor.Tensor, i int) float64 { return float64(half.FromBF16(tensor.Of[uint16](t)[i])) }, nil
	case tensor.I64:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[int64](t)[i]) }, nil
	case tensor.I32:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[int32](t)[i]) }, nil
	case tensor.I16:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[int16](t)[i]) }, nil
	case tensor.I8:
		return func(t *tensor.Tensor, i int) float64 { return float64(int8(t.Data[i])) }, nil
	case tensor.U8, tensor.Bool:
		return func(t *tensor.Tensor, i int) float64 { return float64(t.Data[i]) }, nil
	case tensor.U16:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[uint16](t)[i]) }, nil
	case tensor.U32:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[uint32](t)[i]) }, nil
	case tensor.U64:
		return func(t *tensor.Tensor, i int) float64 { return float64(tensor.Of[uint64](t)[i]) }, nil
	}
	return nil, c.Errorf("elements of type %v unsupported", d)
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
	}
	circular := c.Attrs.Str("mode", "linear") == "circular"
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
					p = mod(p, n)
				}
				if p < 0 || p >= n {
					return c.Errorf("position %d is out of range for a cache of %d", p, n)
				}
				cu.copyTo(cy, (o*n+p)*inner, (o*m+k)*inner, inner)
			}
		}
		return nil
	}, nil
}
