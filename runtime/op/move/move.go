package move

import (
	"maps"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// Ops is the table of this family.
var Ops = join(shapeOps, fillOps, spaceOps, padOps, indexOps, scatterOps, resizeOps, selectOps, textOps, sequenceOps, tokenOps, visionOps, roiOps, imageOps, liteOps, segmentOps, suppressOps, permuteOps, unpoolOps, pickOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// ints reads an input of integers; nil where it is absent or not known yet.
func ints(c *op.Call, i int) ([]int, error) {
	t := c.Input(i)
	if t == nil || !t.HasData() {
		return nil, nil
	}
	v, err := t.Ints()
	if err != nil {
		return nil, c.Errorf("input %d: %w", i, err)
	}
	r := make([]int, len(v))
	for k, x := range v {
		r[k] = tensor.Int(x)
	}
	return r, nil
}

// given reports whether input i is present.
func given(c *op.Call, i int) bool { return c.Input(i) != nil }

// known reports whether input i is absent or its value is known.
func known(c *op.Call, i int) bool { return c.Input(i) == nil || c.Input(i).HasData() }

// unknown is a shape of known rank.
func unknown(rank int) tensor.Shape {
	s := make(tensor.Shape, rank)
	for i := range s {
		s[i] = -1
	}
	return s
}

// listed is the shape of the rank that a tensor of extents gives it.
func listed(extents *tensor.Tensor) tensor.Shape {
	if n := extents.Shape; len(n) == 1 && n[0] >= 0 && n[0] <= tensor.MaxRank {
		return unknown(n[0])
	}
	return nil
}

// extents checks a list of extents that is to become a shape.
func extents(c *op.Call, v []int) (tensor.Shape, error) {
	if len(v) > tensor.MaxRank {
		return nil, c.Errorf("rank %d is too large", len(v))
	}
	for _, d := range v {
		if d < 0 {
			return nil, c.Errorf("shape %v has a negative dimension", v)
		}
	}
	return append(tensor.Shape{}, v...), nil
}

// getter returns the function that reads numbers of type d.
func getter(c *op.Call, d tensor.DType) (func(t *tensor.Tensor, i int) float64, error) {
	if f := number.Getter(d); f != nil {
		return f, nil
	}
	return nil, c.Errorf("elements of type %v unsupported", d)
}

// setter returns the function that writes numbers of type d.
func setter(c *op.Call, d tensor.DType) (func(t *tensor.Tensor, i int, v float64), error) {
	if f := number.Setter(d); f != nil {
		return f, nil
	}
	return nil, c.Errorf("elements of type %v unsupported", d)
}

// scalar reads an input of one number.
func scalar(c *op.Call, i int) (float64, error) {
	v, ok := number.Scalar(c.Input(i))
	if !ok {
		return 0, c.Errorf("input %d is %v, want one number", i, c.Input(i))
	}
	return v, nil
}

// scalarInt reads an input of one integer.
func scalarInt(c *op.Call, i int) (int, error) {
	v, ok := number.Int(c.Input(i))
	if !ok {
		return 0, c.Errorf("input %d is %v, want one integer", i, c.Input(i))
	}
	return v, nil
}

// realsOf returns a function that reads numbers into memory of its own at run time.
func realsOf(c *op.Call, i int) (func() []float64, error) {
	t := c.In[i]
	if _, err := getter(c, t.DType); err != nil {
		return nil, err
	}
	buf := op.Make[float64](c, t.Len())
	return func() []float64 {
		number.Read(buf, t)
		return buf
	}, nil
}

// nothing is the Run of an operator whose output is empty.
func nothing() error { return nil }
