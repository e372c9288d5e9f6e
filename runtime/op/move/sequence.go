package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Sequences are immutable: each operator makes a new list of the same tensors.
var sequenceOps = map[string]op.Op{
	"SequenceConstruct":  {Infer: inferSequence, Prepare: prepareSequence(construct)},
	"SequenceEmpty":      {Infer: inferSequence, Prepare: prepareSequence(construct)},
	"SequenceInsert":     {Infer: inferSequence, Prepare: prepareSequence(insert), Traits: op.Sequences},
	"SequenceErase":      {Infer: inferSequence, Prepare: prepareSequence(erase), Traits: op.Sequences},
	"SplitToSequence":    {Infer: inferSequence, Prepare: prepareSequence(splitToSequence)},
	"SequenceAt":         {Infer: inferElement, Prepare: prepareSequenceAt, Traits: op.Sequences},
	"SequenceLength":     {Infer: inferLength, Prepare: prepareSequenceLength, Traits: op.Sequences},
	"ConcatFromSequence": {Infer: inferElement, Prepare: prepareConcatFromSequence, Traits: op.Sequences},
	"Optional":           {Infer: inferIdentity, Prepare: prepareCopy, Traits: op.Sequences},
	"OptionalGetElement": {Infer: inferIdentity, Prepare: prepareCopy, Traits: op.Sequences},
	"OptionalHasElement": {Infer: inferHas, Prepare: prepareHas, Traits: op.Sequences},
}

func inferSequence(c *op.Call) error {
	c.Set(0, tensor.Sequence, nil)
	return nil
}

func prepareSequence(f func(c *op.Call) ([]*tensor.Tensor, error)) func(c *op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		return func() error {
			list, err := f(c)
			if err != nil {
				return err
			}
			if list == nil {
				list = []*tensor.Tensor{}
			}
			*c.Out[0] = tensor.Tensor{DType: tensor.Sequence, Elems: list}
			return nil
		}, nil
	}
}

func construct(c *op.Call) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(c.In))
	for i, t := range c.In {
		if t == nil {
			return nil, c.Errorf("input %d is missing", i)
		}
		list[i] = t.Clone()
	}
	return list, nil
}

func position(c *op.Call, i, n int) (int, error) {
	if !given(c, i) {
		return n, nil
	}
	v, err := scalar(c, i)
	if err != nil {
		return 0, err
	}
	if !(math.Abs(v) <= 1<<30) {
		return 0, c.Errorf("position %g is out of range", v)
	}
	p := int(v)
	if p < 0 {
		p += n
	}
	return p, nil
}

func insert(c *op.Call) ([]*tensor.Tensor, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	old := c.In[0].Elems
	p, err := position(c, 2, len(old))
	if err != nil {
		return nil, err
	}
	if p < 0 || p > len(old) {
		return nil, c.Errorf("position %d in a sequence of %d", p, len(old))
	}
	list := append([]*tensor.Tensor{}, old[:p]...)
	return append(append(list, c.In[1].Clone()), old[p:]...), nil
}

func erase(c *op.Call) ([]*tensor.Tensor, error) {
	if err := c.Need(1); err != nil {
		return nil, err
	}
	old := c.In[0].Elems
	p := len(old) - 1
	if given(c, 1) {
		var err error
		if p, err = position(c, 1, len(old)); err != nil {
			return nil, err
		}
	}
	if p < 0 || p >= len(old) {
		return nil, c.Errorf("position %d in a sequence of %d", p, len(old))
	}
	return append(append([]*tensor.Tensor{}, old[:p]...), old[p+1:]...), nil
}

func splitToSequence(c *op.Call) ([]*tensor.Tensor, error) {
	if err := c.Need(1); err != nil {
		return nil, err
	}
	x := c.In[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	n := x.Shape[axis]
	if x.Len() == 0 && n > 1<<20 {
		return nil, c.Errorf("parts of %v: %w", x, tensor.ErrTooLarge)
	}
	var parts []int
	squeeze := false
	switch {
	case !given(c, 1):
		squeeze = !c.Attrs.Bool("keepdims", true)
		for range n {
			parts = append(parts, 1)
		}
	default:
		v, err := ints(c, 1)
		if err != nil {
			return nil, err
		}
		if len(c.In[1].Shape) > 0 {
			parts = v
			break
		}
		if v[0] < 1 {
			return nil, c.Errorf("split %d", v[0])
		}
		for at := 0; at < n; at += v[0] {
			parts = append(parts, min(v[0], n-at))
		}
	}
	c.Take(tensor.ByteSize(x.DType, x.Len()) + len(parts)*tensor.Header)
	xs := x.Shape.Strides()
	var list []*tensor.Tensor
	at := 0
	for _, p := range parts {
		if p < 0 || at+p > n {
			return nil, c.Errorf("split %v does not fit extent %d", parts, n)
		}
		s := x.Shape.Clone()
		s[axis] = p
		t := tensor.New(x.DType, s)
		newWalker(s, xs, s.Strides(), at*xs[axis], 0).prepare(c, x, t)()
		if squeeze {
			t.Shape = append(s[:axis:axis], s[axis+1:]...)
		}
		list = append(list, t)
		at += p
	}
	return list, nil
}

// inferElement: the type of an element is known only when the sequence is; until then it is what the graph declares,
// or float32.
func inferElement(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d := tensor.F32
	if y := c.Output(0); y != nil && y.DType != tensor.Invalid {
		d = y.DType
	}
	if e := c.In[0].Elems; len(e) > 0 {
		d = e[0].DType
	}
	c.Set(0, d, nil)
	return nil
}

func prepareSequenceAt(c *op.Call) (op.Run, error) {
	return func() error {
		list := c.In[0].Elems
		p, err := position(c, 1, len(list))
		if err != nil {
			return err
		}
		if p < 0 || p >= len(list) {
			return c.Errorf("position %d in a sequence of %d", p, len(list))
		}
		y, err := c.Alloc(0, list[p].DType, list[p].Shape)
		if err != nil {
			return err
		}
		copyAll(y, list[p])
		return nil
	}, nil
}

func inferLength(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, tensor.I64, tensor.Shape{})
	return nil
}

func prepareSequenceLength(c *op.Call) (op.Run, error) {
	return func() error {
		tensor.Of[int64](c.Out[0])[0] = int64(len(c.In[0].Elems))
		return nil
	}, nil
}

func prepareConcatFromSequence(c *op.Call) (op.Run, error) {
	return func() error {
		list := c.In[0].Elems
		if len(list) == 0 {
			return c.Errorf("the sequence is empty")
		}
		stack := c.Attrs.Bool("new_axis", false)
		rank := len(list[0].Shape)
		if stack {
			rank++
		}
		axis, err := c.Axis(c.Attrs.Int("axis", 0), rank)
		if err != nil {
			return err
		}
		shape := list[0].Shape.Clone()
		if stack {
			shape = append(shape[:axis:axis], append(tensor.Shape{1}, shape[axis:]...)...)
		}
		views := make([]*tensor.Tensor, len(list))
		total := 0
		for i, t := range list {
			s := t.Shape.Clone()
			if stack {
				s = append(s[:axis:axis], append(tensor.Shape{1}, s[axis:]...)...)
			}
			if t.DType != list[0].DType || len(s) != rank {
				return c.Errorf("elements %v and %v differ", list[0], t)
			}
			for d := range s {
				if d != axis && s[d] != shape[d] {
					return c.Errorf("elements %v and %v differ", list[0], t)
				}
			}
			views[i] = t.View(s)
			total += s[axis]
		}
		shape[axis] = total
		y, err := c.Alloc(0, list[0].DType, shape)
		if err != nil {
			return err
		}
		ys := shape.Strides()
		at := 0
		for _, t := range views {
			newWalker(t.Shape, t.Shape.Strides(), ys, 0, at*ys[axis]).prepare(c, t, y)()
			at += t.Shape[axis]
		}
		return nil
	}, nil
}

func inferHas(c *op.Call) error {
	c.Set(0, tensor.Bool, tensor.Shape{})
	return nil
}

func prepareHas(c *op.Call) (op.Run, error) {
	return func() error {
		c.Out[0].Data[0] = 0
		if given(c, 0) {
			c.Out[0].Data[0] = 1
		}
		return nil
	}, nil
}
