package move

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var shapeOps = map[string]op.Op{
	"Reshape":   {Infer: inferReshape, Prepare: prepareCopy, Traits: op.View | op.QuantMoves},
	"Flatten":   {Infer: inferFlatten, Prepare: prepareCopy, Traits: op.View | op.QuantMoves},
	"Squeeze":   {Infer: inferSqueeze, Prepare: prepareCopy, Traits: op.View | op.QuantMoves},
	"Unsqueeze": {Infer: inferUnsqueeze, Prepare: prepareCopy, Traits: op.View | op.QuantMoves},
	"Identity":  {Infer: inferIdentity, Prepare: prepareCopy, Traits: op.View | op.QuantMoves | op.Pointwise | op.Sequences},
	"Shape":     {Infer: inferShape, Prepare: prepareShape, Traits: op.ShapeOnly | op.PlainIntegers},
	"Size":      {Infer: inferSize, Prepare: prepareSize, Traits: op.ShapeOnly | op.PlainIntegers},
	"Transpose": {Infer: inferTranspose, Prepare: prepareTranspose, Traits: op.QuantMoves},
	"Expand":    {Infer: inferExpand, Prepare: prepareExpand, Traits: op.QuantMoves},
	"Tile":      {Infer: inferTile, Prepare: prepareTile, Traits: op.QuantMoves},
	"Concat":    {Infer: inferConcat, Prepare: prepareConcat, Pitched: anyRows, Parts: concatParts, Traits: op.QuantMoves},
	"Split":     {Infer: inferSplit, Prepare: prepareSplit, Pitched: firstRows, Parts: splitParts, Traits: op.QuantMoves},
	"Slice":     {Infer: inferSlice, Prepare: prepareSlice, Pitched: firstRows, Parts: sliceParts, Traits: op.QuantMoves},
}

func prepareCopy(c *op.Call) (op.Run, error) {
	return func() error {
		copyAll(c.Out[0], c.In[0])
		return nil
	}, nil
}

func inferIdentity(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, c.In[0].Shape)
	return nil
}

func inferReshape(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	want, err := ints(c, 1)
	if err != nil {
		return err
	}
	if !c.In[1].HasData() {
		var s tensor.Shape
		if n := c.In[1].Shape; len(n) == 1 && n[0] >= 0 {
			s = unknown(n[0])
		}
		c.Set(0, x.DType, s)
		return nil
	}
	allowZero := c.Attrs.Bool("allowzero", false)
	s := make(tensor.Shape, len(want))
	open, size := -1, 1
	for i, d := range want {
		switch {
		case d == 0 && !allowZero:
			if x.Shape == nil {
				s[i] = -1
				size = -1
				continue
			}
			if i >= len(x.Shape) {
				return c.Errorf("shape %v copies dimension %d of input %v", want, i, x.Shape)
			}
			s[i] = x.Shape[i]
		case d == -1:
			if open >= 0 {
				return c.Errorf("shape %v has two open dimensions", want)
			}
			open = i
			s[i] = -1
			continue
		case d < -1:
			return c.Errorf("shape %v has a negative dimension", want)
		default:
			s[i] = d
		}
		if s[i] < 0 {
			size = -1
		} else if size >= 0 {
			size *= s[i]
		}
	}
	if x.Shape.Known() && size >= 0 {
		n, err := x.Shape.Size()
		if err != nil {
			return c.Errorf("%w", err)
		}
		switch {
		case open >= 0 && (size == 0 || n%size != 0), open < 0 && n != size:
			return c.Errorf("cannot reshape %v to %v", x.Shape, want)
		case open >= 0:
			s[open] = n / size
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func inferFlatten(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if !x.Shape.Known() {
		c.Set(0, x.DType, unknown(2))
		return nil
	}
	axis := c.Attrs.Int("axis", 1)
	if axis < 0 {
		axis += len(x.Shape)
	}
	if axis < 0 || axis > len(x.Shape) {
		return c.Errorf("axis %d out of range for rank %d", axis, len(x.Shape))
	}
	c.Set(0, x.DType, tensor.Shape{x.Shape[:axis].Len(), x.Shape[axis:].Len()})
	return nil
}

func inferSqueeze(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	axes, err := ints(c, 1)
	if err != nil {
		return err
	}
	if x.Shape == nil || !known(c, 1) || axes == nil && !x.Shape.Known() && !given(c, 1) {
		c.Set(0, x.DType, nil)
		return nil
	}
	drop := map[int]bool{}
	if given(c, 1) {
		for _, a := range axes {
			i, err := c.Axis(a, len(x.Shape))
			if err != nil {
				return err
			}
			if x.Shape[i] > 1 || x.Shape[i] == 0 {
				return c.Errorf("dimension %d of %v is not 1", i, x.Shape)
			}
			drop[i] = true
		}
	} else {
		for i, d := range x.Shape {
			drop[i] = d == 1
		}
	}
	s := tensor.Shape{}
	for i, d := range x.Shape {
		if !drop[i] {
			s = append(s, d)
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func inferUnsqueeze(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	axes, err := ints(c, 1)
	if err != nil {
		return err
	}
	if x.Shape == nil || !known(c, 1) {
		c.Set(0, x.DType, nil)
		return nil
	}
	rank := len(x.Shape) + len(axes)
	if rank > tensor.MaxRank {
		return c.Errorf("rank %d is too large", rank)
	}
	add := map[int]bool{}
	for _, a := range axes {
		i, err := c.Axis(a, rank)
		if err != nil {
			return err
		}
		if add[i] {
			return c.Errorf("axis %d is listed twice", a)
		}
		add[i] = true
	}
	s := tensor.Shape{}
	k := 0
	for i := range rank {
		if add[i] {
			s = append(s, 1)
		} else {
			s = append(s, x.Shape[k])
			k++
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

// shapeRange is the part of the shape that Shape returns.
func shapeRange(c *op.Call, rank int) (lo, hi int) {
	lo, hi = c.Attrs.Int("start", 0), c.Attrs.Int("end", rank)
	if lo < 0 {
		lo += rank
	}
	if hi < 0 {
		hi += rank
	}
	lo, hi = min(max(lo, 0), rank), min(max(hi, 0), rank)
	return lo, max(lo, hi)
}

func inferShape(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := tensor.Shape{-1}
	if x := c.In[0].Shape; x != nil {
		lo, hi := shapeRange(c, len(x))
		s[0] = hi - lo
	}
	c.Set(0, tensor.I64, s)
	return nil
}

func prepareShape(c *op.Call) (op.Run, error) {
	return func() error {
		lo, hi := shapeRange(c, len(c.In[0].Shape))
		out := tensor.Of[int64](c.Out[0])
		for i, d := range c.In[0].Shape[lo:hi] {
			out[i] = int64(d)
		}
		return nil
	}, nil
}

func inferSize(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, tensor.I64, tensor.Shape{})
	return nil
}

func prepareSize(c *op.Call) (op.Run, error) {
	return func() error {
		tensor.Of[int64](c.Out[0])[0] = int64(c.In[0].Len())
		return nil
	}, nil
}

func permutation(c *op.Call, rank int) ([]int, error) {
	p := c.Attrs.Ints("perm")
	if p == nil {
		for i := range rank {
			p = append(p, rank-1-i)
		}
	}
	sorted := slices.Clone(p)
	slices.Sort(sorted)
	for i, v := range sorted {
		if i != v {
			return nil, c.Errorf("perm %v is no permutation", p)
		}
	}
	if len(p) != rank {
		return nil, c.Errorf("perm %v for rank %d", p, rank)
	}
	return p, nil
}

func inferTranspose(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		if p := c.Attrs.Ints("perm"); p != nil {
			if _, err := permutation(c, len(p)); err != nil {
				return err
			}
		}
		c.Set(0, x.DType, nil)
		return nil
	}
	p, err := permutation(c, len(x.Shape))
	if err != nil {
		return err
	}
	s := tensor.Shape{}
	for _, i := range p {
		s = append(s, x.Shape[i])
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareTranspose(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	p, err := permutation(c, len(x.Shape))
	if err != nil {
		return nil, err
	}
	st := x.Shape.Strides()
	src := make([]int, len(p))
	for i, d := range p {
		src[i] = st[d]
	}
	return walkRun(c, newWalker(y.Shape, src, y.Shape.Strides(), 0, 0)), nil
}

// broadcastSteps are the source steps of x broadcast to shape y.
func broadcastSteps(x, y tensor.Shape) []int {
	st := x.Strides()
	r := make([]int, len(y))
	for i, d := range x {
		if d != 1 {
			r[len(y)-len(x)+i] = st[i]
		}
	}
	return r
}

func inferExpand(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	v, err := ints(c, 1)
	if err != nil {
		return err
	}
	if n := c.In[1].Shape; !c.In[1].HasData() && x.Shape != nil && len(n) == 1 && n[0] >= 0 && n[0] <= tensor.MaxRank {
		// Extents above 1 stay.
		s := unknown(max(n[0], len(x.Shape)))
		for i, d := range x.Shape {
			if d > 1 {
				s[len(s)-len(x.Shape)+i] = d
			}
		}
		c.Set(0, x.DType, s)
		return nil
	}
	if !c.In[1].HasData() || x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	for _, d := range v {
		if d < 0 {
			return c.Errorf("shape %v has a negative dimension", v)
		}
	}
	s, err := c.Broadcast(x.Shape, tensor.Shape(v))
	if err != nil {
		return err
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareExpand(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	return walkRun(c, newWalker(y.Shape, broadcastSteps(x.Shape, y.Shape), y.Shape.Strides(), 0, 0)), nil
}

func inferTile(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	reps, err := ints(c, 1)
	if err != nil {
		return err
	}
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	s := unknown(len(x.Shape))
	if c.In[1].HasData() {
		if len(reps) != len(x.Shape) {
			return c.Errorf("%d repeats for rank %d", len(reps), len(x.Shape))
		}
		for i, r := range reps {
			if r < 0 {
				return c.Errorf("repeats %v are negative", reps)
			}
			if x.Shape[i] >= 0 {
				s[i] = x.Shape[i] * r
			}
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareTile(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	var dims, src, dst []int
	xs, ys := x.Shape.Strides(), y.Shape.Strides()
	for i, d := range x.Shape {
		if d == 0 || y.Shape[i] == 0 {
			return func() error { return nil }, nil
		}
		dims = append(dims, y.Shape[i]/d, d)
		src = append(src, 0, xs[i])
		dst = append(dst, ys[i]*d, ys[i])
	}
	return walkRun(c, newWalker(dims, src, dst, 0, 0)), nil
}

func inferConcat(c *op.Call) error {
	if len(c.In) == 0 {
		return c.Errorf("no inputs")
	}
	var s tensor.Shape
	axis := 0
	for i, t := range c.In {
		if t == nil {
			return c.Errorf("input %d is missing", i)
		}
		if t.DType != c.In[0].DType {
			return c.Errorf("inputs of types %v and %v", c.In[0].DType, t.DType)
		}
		if t.Shape == nil {
			c.Set(0, c.In[0].DType, nil)
			return nil
		}
		if i == 0 {
			var err error
			if axis, err = c.Axis(c.Attrs.Int("axis", 0), len(t.Shape)); err != nil {
				return err
			}
			s = t.Shape.Clone()
			continue
		}
		if len(t.Shape) != len(s) {
			return c.Errorf("inputs %v and %v have different ranks", c.In[0].Shape, t.Shape)
		}
		for d := range s {
			switch {
			case d == axis:
				if s[d] < 0 || t.Shape[d] < 0 {
					s[d] = -1
				} else {
					s[d] += t.Shape[d]
				}
			case s[d] < 0:
				s[d] = t.Shape[d]
			case t.Shape[d] >= 0 && t.Shape[d] != s[d]:
				return c.Errorf("inputs %v and %v differ beside axis %d", c.In[0].Shape, t.Shape, axis)
			}
		}
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareConcat(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(y.Shape))
	if err != nil {
		return nil, err
	}
	ys := y.Strides()
	at := 0
	var parts []part
	for _, t := range c.In {
		parts = append(parts, newPart(t, y, at*ys[axis], newWalker(t.Shape, t.Strides(), ys, 0, at*ys[axis]).prepare(c, t, y)))
		at += t.Shape[axis]
	}
	return copyParts(parts), nil
}

func concatParts(c *op.Call) []op.Part {
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(c.Out[0].Shape))
	if err != nil {
		return nil
	}
	inner := c.Out[0].Shape[axis+1:].Len()
	at := 0
	var parts []op.Part
	for i, t := range c.In {
		parts = append(parts, op.Part{Value: i, Of: ^0, At: at * inner})
		at += t.Shape[axis]
	}
	return parts
}

// part is what a tensor has in common with a larger one: its elements, from position at of the larger one on.
type part struct {
	own, whole *tensor.Tensor
	at         int // bytes
	copy       func()
}

func newPart(own, whole *tensor.Tensor, at int, copy func()) part {
	return part{own, whole, at * cellsOf(own).size, copy}
}

// copyParts copies those parts that the plan has not placed where they belong.
func copyParts(parts []part) op.Run {
	return func() error {
		for i := range parts {
			p := &parts[i]
			if len(p.own.Data) == 0 || p.at >= len(p.whole.Data) || &p.own.Data[0] != &p.whole.Data[p.at] {
				p.copy()
			}
		}
		return nil
	}
}

// anyRows and firstRows let rows lie apart: of all tensors, or of all but other inputs than the first.
func anyRows(c *op.Call, _ int) bool { return cellsOf(c.In[0]).size > 0 }

func firstRows(c *op.Call, i int) bool { return i <= 0 && anyRows(c, i) }

// splits returns the extents of the parts; nil where they are not known yet.
func splits(c *op.Call, extent int) ([]int, error) {
	if given(c, 1) {
		v, err := ints(c, 1)
		if err != nil || v == nil {
			return nil, err
		}
		sum := 0
		for _, d := range v {
			if d < 0 {
				return nil, c.Errorf("split %v is negative", v)
			}
			sum += d
		}
		if extent >= 0 && sum != extent || len(v) < len(c.Out) {
			return nil, c.Errorf("split %v does not fit extent %d and %d outputs", v, extent, len(c.Out))
		}
		return v, nil
	}
	if extent < 0 {
		return nil, nil
	}
	n := c.Attrs.Int("num_outputs", len(c.Out))
	if n < 1 || n < len(c.Out) {
		return nil, c.Errorf("%d parts for %d outputs", n, len(c.Out))
	}
	size := extent / n
	if extent%n > 0 {
		size++
	}
	v := make([]int, len(c.Out))
	for i := range v {
		v[i] = min(size, max(0, extent-i*size))
	}
	return v, nil
}

func inferSplit(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		for i := range c.Out {
			c.Set(i, x.DType, nil)
		}
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return err
	}
	parts, err := splits(c, x.Shape[axis])
	if err != nil {
		return err
	}
	for i := range c.Out {
		s := x.Shape.Clone()
		s[axis] = -1
		if parts != nil {
			s[axis] = parts[i]
		}
		c.Set(i, x.DType, s)
	}
	return nil
}

func prepareSplit(c *op.Call) (op.Run, error) {
	x := c.In[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	parts, err := splits(c, x.Shape[axis])
	if err != nil {
		return nil, err
	}
	if parts == nil {
		return nil, c.Errorf("BUG: parts are unknown")
	}
	xs := x.Strides()
	at := 0
	var list []part
	for i, n := range parts {
		if y := c.Output(i); y != nil {
			list = append(list, newPart(y, x, at*xs[axis], newWalker(y.Shape, xs, y.Strides(), at*xs[axis], 0).prepare(c, x, y)))
		}
		at += n
	}
	return copyParts(list), nil
}

func splitParts(c *op.Call) []op.Part {
	x := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x))
	if err != nil {
		return nil
	}
	extents, err := splits(c, x[axis])
	if err != nil {
		return nil
	}
	inner, at := x[axis+1:].Len(), 0
	var parts []op.Part
	for i, n := range extents {
		if c.Output(i) != nil {
			parts = append(parts, op.Part{Value: ^i, Of: 0, At: at * inner})
		}
		at += n
	}
	return parts
}

// ranges are the starts, counts and steps of a Slice, per dimension; nil where not known yet.
type span struct{ start, count, step int }

func slices3(c *op.Call, s tensor.Shape) ([]span, error) {
	list := make([]span, len(s))
	for i, d := range s {
		list[i] = span{0, d, 1}
	}
	for i := 1; i < 5; i++ {
		if given(c, i) && !known(c, i) {
			return nil, nil
		}
	}
	starts, err := ints(c, 1)
	if err != nil {
		return nil, err
	}
	ends, err := ints(c, 2)
	if err != nil {
		return nil, err
	}
	axes, err := ints(c, 3)
	if err != nil {
		return nil, err
	}
	steps, err := ints(c, 4)
	if err != nil {
		return nil, err
	}
	if axes == nil {
		for i := range starts {
			axes = append(axes, i)
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, c.Errorf("%d starts, %d ends, %d axes and %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	for i := range starts {
		a, err := c.Axis(axes[i], len(s))
		if err != nil {
			return nil, err
		}
		step := 1
		if steps != nil {
			step = steps[i]
		}
		if step == 0 {
			return nil, c.Errorf("step 0")
		}
		if s[a] < 0 {
			list[a].count = -1
			continue
		}
		list[a] = sliceOf(s[a], starts[i], ends[i], step)
	}
	return list, nil
}

// sliceOf applies Python's rules to one dimension.
func sliceOf(extent, start, end, step int) span {
	// Positions beyond any extent mean the end; clipped, they do not overflow.
	const far = math.MaxInt32 / 2
	step = min(max(step, -far), far)
	clip := func(v, lo, hi int) int {
		if v < 0 {
			v = max(v, -far) + extent
		}
		return min(max(v, lo), hi)
	}
	if step > 0 {
		start, end = clip(start, 0, extent), clip(end, 0, extent)
		return span{start, max(0, (end-start+step-1)/step), step}
	}
	start = clip(start, 0, extent-1)
	if end < -extent {
		end = -1
	} else {
		end = clip(end, -1, extent-1)
	}
	return span{start, max(0, (start-end-step-1)/-step), step}
}

func inferSlice(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	list, err := slices3(c, x.Shape)
	if err != nil {
		return err
	}
	s := unknown(len(x.Shape))
	for i, l := range list {
		s[i] = l.count
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareSlice(c *op.Call) (op.Run, error) {
	x := c.In[0]
	list, err := slices3(c, x.Shape)
	if err != nil {
		return nil, err
	}
	return spanRun(c, list), nil
}

func sliceParts(c *op.Call) []op.Part {
	list, err := slices3(c, c.In[0].Shape)
	if err != nil {
		return nil
	}
	at := 0
	for i, step := range c.In[0].Shape.Strides() {
		if list[i].step != 1 && list[i].count > 1 {
			return nil
		}
		at += list[i].start * step
	}
	return []op.Part{{Value: ^0, Of: 0, At: at}}
}

// spanRun copies spans of each dimension; the output's shape may have lost some.
func spanRun(c *op.Call, list []span) op.Run {
	x, y := c.In[0], c.Out[0]
	xs := x.Strides()
	full := make(tensor.Shape, len(list))
	src := make([]int, len(list))
	at := 0
	for i, l := range list {
		full[i], src[i] = l.count, xs[i]*l.step
		at += l.start * xs[i]
	}
	if full.Len() == 0 {
		return func() error { return nil }
	}
	dst := full.Strides()
	if len(y.Shape) == len(full) {
		dst = y.Strides()
	}
	return copyParts([]part{newPart(y, x, at, newWalker(full, src, dst, at, 0).prepare(c, x, y))})
}
