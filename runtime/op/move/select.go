package move

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var selectOps = map[string]op.Op{
	"TopK":     {Infer: inferTopK, Prepare: prepareTopK},
	"OneHot":   {Infer: inferOneHot, Prepare: prepareOneHot},
	"NonZero":  {Infer: inferNonZero, Prepare: prepareNonZero},
	"Compress": {Infer: inferCompress, Prepare: prepareCompress},
	"Unique":   {Infer: inferUnique, Prepare: prepareUnique},
}

func inferTopK(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		c.Set(1, tensor.I64, nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(x.Shape))
	if err != nil {
		return err
	}
	k, err := ints(c, 1)
	if err != nil {
		return err
	}
	s := x.Shape.Clone()
	s[axis] = -1
	if c.In[1].HasData() {
		if len(k) != 1 || k[0] < 0 || x.Shape[axis] >= 0 && k[0] > x.Shape[axis] {
			return c.Errorf("k %v of extent %d", k, x.Shape[axis])
		}
		s[axis] = k[0]
	}
	c.Set(0, x.DType, s)
	c.Set(1, tensor.I64, s)
	return nil
}

// rankOf returns a function that maps elements to numbers of the same order. Zeros of either sign are equal, NaN is the
// largest.
func rankOf(c *op.Call, d tensor.DType) (func(t *tensor.Tensor, i int) uint64, error) {
	const sign = 1 << 63
	switch d {
	case tensor.I64:
		return func(t *tensor.Tensor, i int) uint64 { return uint64(tensor.Of[int64](t)[i]) ^ sign }, nil
	case tensor.U64:
		return func(t *tensor.Tensor, i int) uint64 { return tensor.Of[uint64](t)[i] }, nil
	}
	get, err := getter(c, d)
	if err != nil {
		return nil, err
	}
	return func(t *tensor.Tensor, i int) uint64 {
		v := get(t, i)
		if v != v {
			return math.MaxUint64
		}
		if v == 0 {
			v = 0
		}
		u := math.Float64bits(v)
		if u&sign != 0 {
			return ^u
		}
		return u | sign
	}, nil
}

// candidate is an element of a line that TopK looks through. Smaller ranks are better, then smaller positions.
type candidate struct {
	rank uint64
	at   int
}

func (a candidate) compare(b candidate) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.at, b.at))
}

// sink restores a heap, whose root is the worst, where element i may be out of place above good heaps.
func sink(heap []candidate, i int) {
	for {
		k := 2*i + 1
		if k >= len(heap) {
			return
		}
		if k+1 < len(heap) && heap[k+1].compare(heap[k]) > 0 {
			k++
		}
		if heap[i].compare(heap[k]) >= 0 {
			return
		}
		heap[i], heap[k] = heap[k], heap[i]
		i = k
	}
}

// prepareTopK finds the best of each line, in order; equal elements keep theirs.
func prepareTopK(c *op.Call) (op.Run, error) {
	x, y, at := c.In[0], c.Out[0], c.Output(1)
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(x.Shape))
	if err != nil {
		return nil, err
	}
	var shape tensor.Shape
	switch {
	case y != nil:
		shape = y.Shape
	case at != nil:
		shape = at.Shape
	default:
		return nothing, nil
	}
	rank, err := rankOf(c, x.DType)
	if err != nil {
		return nil, err
	}
	outer, n, inner := x.Shape[:axis].Len(), x.Shape[axis], x.Shape[axis+1:].Len()
	k := shape[axis]
	flip := uint64(0)
	if c.Attrs.Bool("largest", true) {
		flip = math.MaxUint64
	}
	lines := outer * inner
	if lines*k == 0 {
		return nothing, nil
	}
	memory := make(chan []candidate, c.Par.Threads())
	for range cap(memory) {
		memory <- make([]candidate, k)
	}
	body := func(lo, hi int) {
		heap := <-memory
		for q := lo; q < hi; q++ {
			o, i := q/inner, q%inner
			for j := range n {
				v := candidate{rank(x, (o*n+j)*inner+i) ^ flip, j}
				switch {
				case j < k:
					heap[j] = v
					for r := k/2 - 1; r >= 0 && j == k-1; r-- {
						sink(heap, r)
					}
				case v.rank < heap[0].rank:
					heap[0] = v
					sink(heap, 0)
				}
			}
			slices.SortFunc(heap, candidate.compare)
			for j, v := range heap {
				to := (o*k+j)*inner + i
				if y != nil {
					cellsOf(x).copyTo(cellsOf(y), to, (o*n+v.at)*inner+i, 1)
				}
				if at != nil {
					tensor.Of[int64](at)[to] = int64(v.at)
				}
			}
		}
		memory <- heap
	}
	grain := cellsOf(x).split(lines, n)
	return func() error {
		c.Par.For(lines, grain, body)
		return nil
	}, nil
}

func inferOneHot(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, c.In[2].DType, nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s)+1)
	if err != nil {
		return err
	}
	depth := -1
	if c.In[1].HasData() {
		d, err := scalar(c, 1)
		if err != nil {
			return err
		}
		if !(d >= 0 && d < 1<<30) {
			return c.Errorf("depth %g is out of range", d)
		}
		depth = int(d)
	}
	r := append(tensor.Shape{}, s[:axis]...)
	r = append(append(r, depth), s[axis:]...)
	c.Set(0, c.In[2].DType, r)
	return nil
}

func prepareOneHot(c *op.Call) (op.Run, error) {
	s, y := c.In[0].Shape, c.Out[0]
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s)+1)
	if err != nil {
		return nil, err
	}
	read, err := getter(c, c.In[0].DType)
	if err != nil {
		return nil, err
	}
	if c.In[2].Len() != 2 {
		return nil, c.Errorf("values has %d elements, want 2", c.In[2].Len())
	}
	depth := y.Shape[axis]
	inner, all, count := s[axis:].Len(), y.Len(), s.Len()
	return func() error {
		cv, cy := cellsOf(c.In[2]), cellsOf(y)
		cy.fill(cv, 0, all)
		for i := range count {
			v := math.Trunc(read(c.In[0], i))
			if !(v >= float64(-depth) && v < float64(depth)) {
				continue
			}
			k := int(v)
			if k < 0 {
				k += depth
			}
			cv.copyTo(cy, (i/inner*depth+k)*inner+i%inner, 1, 1)
		}
		return nil
	}, nil
}

func inferNonZero(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := unknown(2)
	if c.In[0].Shape != nil {
		s[0] = len(c.In[0].Shape)
	}
	c.Set(0, tensor.I64, s)
	return nil
}

func prepareNonZero(c *op.Call) (op.Run, error) {
	x := c.In[0]
	read, err := getter(c, x.DType)
	if err != nil {
		return nil, err
	}
	return func() error {
		var at []int
		for i := range x.Len() {
			if read(x, i) != 0 {
				at = append(at, i)
			}
		}
		rank := len(x.Shape)
		y, err := c.Alloc(0, tensor.I64, tensor.Shape{rank, len(at)})
		if err != nil {
			return err
		}
		out := tensor.Of[int64](y)
		for k, i := range at {
			for d := rank - 1; d >= 0; d-- {
				out[d*len(at)+k] = int64(i % x.Shape[d])
				i /= x.Shape[d]
			}
		}
		return nil
	}, nil
}

func inferCompress(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	return setSelected(c)
}

// setSelected gives output 0 an open extent: its only one, or that of the attribute axis.
func setSelected(c *op.Call) error {
	x := c.In[0]
	if !c.Attrs.Has("axis") {
		c.Set(0, x.DType, unknown(1))
		return nil
	}
	s := x.Shape.Clone()
	if s != nil {
		axis, err := c.Axis(c.Attrs.Int("axis", 0), len(s))
		if err != nil {
			return err
		}
		s[axis] = -1
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareCompress(c *op.Call) (op.Run, error) {
	x := c.In[0]
	if err := c.Want(1, tensor.Bool); err != nil {
		return nil, err
	}
	s, axis := x.Shape, 0
	if c.Attrs.Has("axis") {
		var err error
		if axis, err = c.Axis(c.Attrs.Int("axis", 0), len(s)); err != nil {
			return nil, err
		}
	} else {
		s = tensor.Shape{x.Len()}
	}
	outer, n, inner := s[:axis].Len(), s[axis], s[axis+1:].Len()
	return func() error {
		var keep []int
		for i, b := range c.In[1].Data {
			if b != 0 && i < n {
				keep = append(keep, i)
			}
		}
		shape := s.Clone()
		shape[axis] = len(keep)
		y, err := c.Alloc(0, x.DType, shape)
		if err != nil {
			return err
		}
		if y.Len() == 0 {
			return nil
		}
		cx, cy := cellsOf(x), cellsOf(y)
		for o := range outer {
			for k, i := range keep {
				cx.copyTo(cy, (o*len(keep)+k)*inner, (o*n+i)*inner, inner)
			}
		}
		return nil
	}, nil
}

func inferUnique(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := setSelected(c); err != nil {
		return err
	}
	for i := 1; i < 4; i++ {
		c.Set(i, tensor.I64, unknown(1))
	}
	return nil
}

func prepareUnique(c *op.Call) (op.Run, error) {
	x := c.In[0]
	s, axis := x.Shape, 0
	if c.Attrs.Has("axis") {
		var err error
		if axis, err = c.Axis(c.Attrs.Int("axis", 0), len(s)); err != nil {
			return nil, err
		}
	} else {
		s = tensor.Shape{x.Len()}
	}
	outer, n, inner := s[:axis].Len(), s[axis], s[axis+1:].Len()
	if x.Len() == 0 && n > 1<<20 {
		return nil, c.Errorf("%v: %w", x, tensor.ErrTooLarge)
	}
	var rank func(t *tensor.Tensor, i int) uint64
	if x.DType != tensor.String {
		var err error
		if rank, err = rankOf(c, x.DType); err != nil {
			return nil, err
		}
	}
	compareAt := func(i, j int) int {
		if rank == nil {
			return strings.Compare(x.Str[i], x.Str[j])
		}
		return cmp.Compare(rank(x, i), rank(x, j))
	}
	compare := func(a, b int) int {
		for o := range outer {
			for i := range inner {
				if r := compareAt((o*n+a)*inner+i, (o*n+b)*inner+i); r != 0 {
					return r
				}
			}
		}
		return 0
	}
	return func() error {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, compare)
		var first []int // of each distinct slice
		inverse := make([]int, n)
		for k, i := range order {
			if k == 0 || compare(order[k-1], i) != 0 {
				first = append(first, i)
			}
			inverse[i] = len(first) - 1
		}
		if !c.Attrs.Bool("sorted", true) {
			rank := make([]int, len(first))
			byFirst := make([]int, len(first))
			for i := range byFirst {
				byFirst[i] = i
			}
			slices.SortFunc(byFirst, func(a, b int) int { return cmp.Compare(first[a], first[b]) })
			moved := make([]int, len(first))
			for k, i := range byFirst {
				rank[i], moved[k] = k, first[i]
			}
			first = moved
			for i := range inverse {
				inverse[i] = rank[inverse[i]]
			}
		}
		shape := s.Clone()
		shape[axis] = len(first)
		y, err := c.Alloc(0, x.DType, shape)
		if err != nil {
			return err
		}
		cx, cy := cellsOf(x), cellsOf(y)
		for o := range outer {
			for k, i := range first {
				cx.copyTo(cy, (o*len(first)+k)*inner, (o*n+i)*inner, inner)
			}
		}
		counts := make([]int, len(first))
		for _, k := range inverse {
			counts[k]++
		}
		for i, list := range [][]int{first, inverse, counts} {
			if c.Output(i+1) == nil {
				continue
			}
			t, err := c.Alloc(i+1, tensor.I64, tensor.Shape{len(list)})
			if err != nil {
				return err
			}
			for k, v := range list {
				tensor.Of[int64](t)[k] = int64(v)
			}
		}
		return nil
	}, nil
}
