package move

import (
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/runtime/op"
)

var indexOps = map[string]op.Op{
	"Gather":          {Infer: inferGather, Prepare: prepareGather, Traits: op.QuantMoves},
	"GatherElements":  {Infer: inferGatherElements, Prepare: prepareGatherElements, Traits: op.QuantMoves},
	"GatherND":        {Infer: inferGatherND, Prepare: prepareGatherND, Traits: op.QuantMoves},
	"ReverseSequence": {Infer: inferIdentity, Prepare: prepareReverseSequence, Traits: op.QuantMoves},
}

// indices reads a tensor of indices at run time.
func indices(c *op.Call, i int) (func(k int) int, error) {
	t := c.Input(i)
	switch t.DType {
	case tensor.I64:
		return func(k int) int { return tensor.Int(tensor.Of[int64](t)[k]) }, nil
	case tensor.I32:
		return func(k int) int { return int(tensor.Of[int32](t)[k]) }, nil
	case tensor.U8:
		return func(k int) int { return int(t.Data[k]) }, nil
	case tensor.I16:
		return func(k int) int { return int(tensor.Of[int16](t)[k]) }, nil
	}
	return nil, c.Errorf("indices of type %v", t.DType)
}

// wrap counts a negative index from the end.
func wrap(c *op.Call, v, n, at int) (int, error) {
	if v < -n || v >= n {
		return 0, c.Errorf("index %d at position %d is out of range for extent %d", v, at, n)
	}
	if v < 0 {
		v += n
	}
	return v, nil
}

func inferGather(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, i := c.In[0], c.In[1]
	if x.Shape == nil || i.Shape == nil {
		c.Set(0, gatheredType(c), nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return err
	}
	s := append(tensor.Shape{}, x.Shape[:axis]...)
	s = append(append(s, i.Shape...), x.Shape[axis+1:]...)
	c.Set(0, gatheredType(c), s)
	return nil
}

// gatheredType is FP32 where the data are weights that are stored narrow.
func gatheredType(c *op.Call) tensor.DType {
	if c.Num == num.FP16 || c.Num == num.BF16 {
		return tensor.F32
	}
	return c.In[0].DType
}

func prepareGather(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	outer, n, inner := x.Shape[:axis].Len(), x.Shape[axis], x.Shape[axis+1:].Len()
	count := c.In[1].Len()
	cx, cy := cellsOf(x), cellsOf(y)
	copyTo := cx.copyTo
	if x.DType != y.DType {
		widen := kernels.WidenF16
		if x.DType == tensor.BF16 {
			widen = kernels.WidenBF16
		}
		copyTo = func(_ cells, to, from, n int) {
			widen(tensor.Of[float32](y)[to:to+n], tensor.Of[uint16](x)[from:from+n])
		}
	}
	index := make([]int, count)
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			copyTo(cy, q*inner, (q/count*n+index[q%count])*inner, inner)
		}
	}
	rows := outer * count
	grain := cy.split(rows, inner)
	return func() error {
		for k := range index {
			i, err := wrap(c, at(k), n, k)
			if err != nil {
				return err
			}
			index[k] = i
		}
		c.Par.For(rows, grain, body)
		return nil
	}, nil
}

func inferGatherElements(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, c.In[1].Shape)
	return nil
}

// elementOffsets calls f for each element of an index tensor with its flat position and the flat position that it
// addresses in a tensor of shape s along axis.
func elementOffsets(c *op.Call, s, is tensor.Shape, axis int, at func(int) int, f func(k, off int)) error {
	var step, pos [tensor.MaxRank]int
	n := 1
	for d := len(s) - 1; d >= 0; d-- {
		step[d] = n
		n *= s[d]
	}
	base := 0 // of the line along axis
	for k := range is.Len() {
		i, err := wrap(c, at(k), s[axis], k)
		if err != nil {
			return err
		}
		f(k, base+i*step[axis])
		for d := len(is) - 1; d >= 0; d-- {
			pos[d]++
			if d != axis {
				base += step[d]
			}
			if pos[d] < is[d] {
				break
			}
			pos[d] = 0
			if d != axis {
				base -= step[d] * is[d]
			}
		}
	}
	return nil
}

// elementAxis checks that an index tensor addresses elements of a tensor along an axis.
func elementAxis(c *op.Call, s, is tensor.Shape) (int, error) {
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return 0, err
	}
	if len(is) != len(s) {
		return 0, c.Errorf("indices %v and data %v have different ranks", is, s)
	}
	for d := range s {
		if d != axis && is[d] > s[d] {
			return 0, c.Errorf("indices %v reach beyond data %v", is, s)
		}
	}
	return axis, nil
}

func prepareGatherElements(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	axis, err := elementAxis(c, x.Shape, c.In[1].Shape)
	if err != nil {
		return nil, err
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	cx, cy := cellsOf(x), cellsOf(y)
	is := c.In[1].Shape
	take := func(k, off int) { cx.copyTo(cy, k, off, 1) }
	return func() error { return elementOffsets(c, x.Shape, is, axis, at, take) }, nil
}

func inferGatherND(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, i := c.In[0], c.In[1]
	if x.Shape == nil || i.Shape == nil || len(i.Shape) > 0 && i.Shape[len(i.Shape)-1] < 0 {
		c.Set(0, x.DType, nil)
		return nil
	}
	b := c.Attrs.Int("batch_dims", 0)
	if len(i.Shape) == 0 || b < 0 || b >= len(i.Shape) || b+i.Shape[len(i.Shape)-1] > len(x.Shape) {
		return c.Errorf("indices %v with %d batch dimensions do not fit data %v", i.Shape, b, x.Shape)
	}
	last := len(i.Shape) - 1
	s := append(tensor.Shape{}, i.Shape[:last]...)
	c.Set(0, x.DType, append(s, x.Shape[b+i.Shape[last]:]...))
	return nil
}

// ndOffset is the flat position that index vector k addresses.
func ndOffset(c *op.Call, s tensor.Shape, st []int, first, depth int, at func(int) int, k int) (int, error) {
	off := 0
	for d := range depth {
		i, err := wrap(c, at(k*depth+d), s[first+d], k*depth+d)
		if err != nil {
			return 0, err
		}
		off += i * st[first+d]
	}
	return off, nil
}

func prepareGatherND(c *op.Call) (op.Run, error) {
	x, y, is := c.In[0], c.Out[0], c.In[1].Shape
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	b, depth := c.Attrs.Int("batch_dims", 0), is[len(is)-1]
	for d := range b {
		if is[d] != x.Shape[d] {
			return nil, c.Errorf("indices %v and data %v differ in batch dimension %d", is, x.Shape, d)
		}
	}
	st := x.Shape.Strides()
	batches := is[:b].Len()
	per := is[b : len(is)-1].Len()
	inner := x.Shape[b+depth:].Len()
	step := x.Shape[b:].Len()
	cx, cy := cellsOf(x), cellsOf(y)
	return func() error {
		for k := range batches * per {
			off, err := ndOffset(c, x.Shape, st, b, depth, at, k)
			if err != nil {
				return err
			}
			cx.copyTo(cy, k*inner, k/max(1, per)*step+off, inner)
		}
		return nil
	}, nil
}

func prepareReverseSequence(c *op.Call) (op.Run, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	rank := len(x.Shape)
	ta, err := c.Axis(c.Attrs.Int("time_axis", 0), rank)
	if err != nil {
		return nil, err
	}
	ba, err := c.Axis(c.Attrs.Int("batch_axis", 1), rank)
	if err != nil {
		return nil, err
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	if ta == ba || c.In[1].Len() != x.Shape[ba] {
		return nil, c.Errorf("%d lengths for %d sequences", c.In[1].Len(), x.Shape[ba])
	}
	st := x.Shape.Strides()
	last := max(ta, ba)
	inner := x.Shape[last+1:].Len()
	outer := x.Shape[:last+1].Len()
	cx, cy := cellsOf(x), cellsOf(y)
	return func() error {
		for k := range outer {
			t, b := k*inner/st[ta]%x.Shape[ta], k*inner/st[ba]%x.Shape[ba]
			n := at(b)
			if n < 0 || n > x.Shape[ta] {
				return c.Errorf("length %d of sequence %d is out of range for %d steps", n, b, x.Shape[ta])
			}
			from := k * inner
			if t < n {
				from += (n - 1 - 2*t) * st[ta]
			}
			cx.copyTo(cy, k*inner, from, inner)
		}
		return nil
	}, nil
}
