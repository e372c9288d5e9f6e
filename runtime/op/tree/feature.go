package tree

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

func inferToF32(c *op.Call) error { return inferAs(c, tensor.F32) }

func inferSame(c *op.Call) error { return inferAs(c, tensor.Invalid) }

func inferAs(c *op.Call, d tensor.DType) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := c.Want(0, numeric...); err != nil {
		return err
	}
	if d == tensor.Invalid {
		d = c.In[0].DType
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

// lastExtent is the number of features: the last extent, 1 for a scalar.
func lastExtent(s tensor.Shape) int {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}

// perElement returns the work that makes each element of output 0 from the one of input 0, given its feature.
func perElement(c *op.Call, f func(x float64, feature int) float64) op.Run {
	cols := max(1, lastExtent(c.In[0].Shape))
	get, set := number.Getter(c.In[0].DType), number.Setter(c.Out[0].DType)
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			set(c.Out[0], i, f(get(c.In[0], i), i%cols))
		}
	}
	n := c.In[0].Len()
	return func() error {
		c.Par.For(n, 1<<12, body)
		return nil
	}
}

// perFeature checks an attribute that has one value per feature, or one for all.
func perFeature(c *op.Call, name string, n int) ([]float64, error) {
	v := reals(c, name)
	if cols := lastExtent(c.In[0].Shape); n != cols && n != 1 || len(v) != n {
		return nil, c.Errorf("%d values of %s for %d features", len(v), name, cols)
	}
	return v, nil
}

func prepareScaler(c *op.Call) (op.Run, error) {
	offset, err := perFeature(c, "offset", len(c.Attrs.Floats("offset")))
	if err != nil {
		return nil, err
	}
	scale, err := perFeature(c, "scale", len(c.Attrs.Floats("scale")))
	if err != nil {
		return nil, err
	}
	return perElement(c, func(x float64, k int) float64 {
		return (x - offset[min(k, len(offset)-1)]) * scale[min(k, len(scale)-1)]
	}), nil
}

func prepareNormalizer(c *op.Call) (op.Run, error) {
	var norm func(v []float64) float64
	switch name := c.Attrs.Str("norm", "MAX"); name {
	case "MAX":
		norm = func(v []float64) float64 { return v[best(v)] }
	case "L1":
		norm = func(v []float64) float64 {
			s := 0.0
			for _, x := range v {
				s += math.Abs(x)
			}
			return s
		}
	case "L2":
		norm = func(v []float64) float64 { return math.Sqrt(dot(v, v)) }
	default:
		return nil, c.Errorf("norm %q unknown", name)
	}
	cols := lastExtent(c.In[0].Shape)
	if cols == 0 {
		return func() error { return nil }, nil
	}
	return perRow(c, c.Out[0], c.In[0].Len()/cols, cols, cols, func(_ int, x, y []float64) {
		d := norm(x)
		if d == 0 {
			d = 1
		}
		for i, v := range x {
			y[i] = v / d
		}
	}), nil
}

// prepareImputer replaces one value. Integers are compared as such, so that none is mistaken for another.
func prepareImputer(c *op.Call) (op.Run, error) {
	x := c.In[0]
	if x.DType.IsInt() {
		return imputeInts(c)
	}
	by, err := perFeature(c, "imputed_value_floats", len(c.Attrs.Floats("imputed_value_floats")))
	if err != nil {
		return nil, err
	}
	old := float64(c.Attrs.Float("replaced_value_float", 0))
	return perElement(c, func(v float64, k int) float64 {
		if v == old || old != old && v != v {
			return by[min(k, len(by)-1)]
		}
		return v
	}), nil
}

func imputeInts(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	cols := lastExtent(x.Shape)
	by := attr.Get[[]int64](c.Attrs, "imputed_value_int64s", nil)
	if len(by) != 1 && len(by) != cols || len(by) == 0 {
		return nil, c.Errorf("%d values of imputed_value_int64s for %d features", len(by), cols)
	}
	old := attr.Get(c.Attrs, "replaced_value_int64", int64(0))
	n := x.Len()
	return func() error {
		for i := range n {
			by := by[min(i%cols, len(by)-1)]
			if x.DType == tensor.I32 {
				v := tensor.Of[int32](x)[i]
				if int64(v) == old {
					v = int32(by)
				}
				tensor.Of[int32](y)[i] = v
				continue
			}
			v := tensor.Of[int64](x)[i]
			if v == old {
				v = by
			}
			tensor.Of[int64](y)[i] = v
		}
		return nil
	}, nil
}

func prepareBinarizer(c *op.Call) (op.Run, error) {
	least := float64(c.Attrs.Float("threshold", 0))
	return perElement(c, func(v float64, _ int) float64 {
		if v > least {
			return 1
		}
		return 0
	}), nil
}

// vectorized is the shape of an input of FeatureVectorizer; a vector is one row.
func vectorized(c *op.Call, t *tensor.Tensor) (rows, cols int, err error) {
	switch s := t.Shape; {
	case s == nil:
		return -1, -1, nil
	case len(s) == 1:
		return 1, s[0], nil
	case len(s) == 2:
		return s[0], s[1], nil
	default:
		return 0, 0, c.Errorf("input %v is no matrix", t)
	}
}

func inferVectorizer(c *op.Call) error {
	if err := c.Need(max(1, len(c.In))); err != nil {
		return err
	}
	widths := c.Attrs.Ints("inputdimensions")
	if widths != nil && len(widths) != len(c.In) {
		return c.Errorf("%d inputdimensions for %d inputs", len(widths), len(c.In))
	}
	rows, sum := -1, 0
	for i, t := range c.In {
		if err := c.Want(i, numeric...); err != nil {
			return err
		}
		r, n, err := vectorized(c, t)
		if err != nil {
			return err
		}
		if rows >= 0 && r >= 0 && r != rows {
			return c.Errorf("inputs of %d and %d rows", rows, r)
		}
		rows = max(rows, r)
		if widths != nil {
			if n = widths[i]; n < 0 || n > 1<<28 {
				return c.Errorf("inputdimensions %v", widths)
			}
		}
		if sum >= 0 {
			if sum += n; n < 0 {
				sum = -1
			}
		}
	}
	c.Set(0, tensor.F32, tensor.Shape{rows, sum})
	return nil
}

// prepareVectorizer puts the inputs beside each other, each cut to its width or filled up with zeros.
func prepareVectorizer(c *op.Call) (op.Run, error) {
	widths := c.Attrs.Ints("inputdimensions")
	y := c.Out[0]
	type part struct {
		x           *tensor.Tensor
		cols, width int
		get         func(*tensor.Tensor, int) float64
	}
	var list []part
	for i, t := range c.In {
		_, cols, err := vectorized(c, t)
		if err != nil {
			return nil, err
		}
		p := part{t, cols, cols, number.Getter(t.DType)}
		if widths != nil {
			p.width = widths[i]
		}
		list = append(list, p)
	}
	rows := y.Shape[0]
	return func() error {
		out := tensor.Of[float32](y)
		at := 0
		for r := range rows {
			for _, p := range list {
				for k := range p.width {
					if out[at] = 0; k < p.cols {
						out[at] = float32(p.get(p.x, r*p.cols+k))
					}
					at++
				}
			}
		}
		return nil
	}, nil
}

func inferExtractor(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := c.Want(1, tensor.I64, tensor.I32); err != nil {
		return err
	}
	x, i := c.In[0], c.In[1].Shape
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	if len(x.Shape) == 0 {
		return c.Errorf("input is a scalar")
	}
	n := -1
	if i.Known() {
		n = i.Len()
	}
	s := x.Shape.Clone()
	if s[len(s)-1] = n; len(s) == 1 {
		s = tensor.Shape{1, n}
	}
	c.Set(0, x.DType, s)
	return nil
}

// prepareExtractor takes elements of the last axis.
func prepareExtractor(c *op.Call) (op.Run, error) {
	x, i, y := c.In[0], c.In[1], c.Out[0]
	n, cols := i.Len(), lastExtent(x.Shape)
	rows := 0
	if cols > 0 {
		rows = x.Len() / cols
	}
	size := x.DType.Bits() / 8
	if size == 0 && x.DType != tensor.String {
		return nil, c.Errorf("elements of type %v unsupported", x.DType)
	}
	return func() error {
		for k := range n {
			at := 0
			if i.DType == tensor.I32 {
				at = int(tensor.Of[int32](i)[k])
			} else {
				at = tensor.Int(tensor.Of[int64](i)[k])
			}
			if at < 0 || at >= cols {
				return c.Errorf("index %d at position %d is out of range for extent %d", at, k, cols)
			}
			for r := range rows {
				to, from := r*n+k, r*cols+at
				if size == 0 {
					y.Str[to] = x.Str[from]
				} else {
					copy(y.Data[to*size:(to+1)*size], x.Data[from*size:])
				}
			}
		}
		return nil
	}, nil
}
