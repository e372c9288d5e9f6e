package move

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// segmentOps are further operators of TFLite that ONNX has no equivalent of.
var segmentOps = map[string]op.Op{
	"Bucketize":                 {Infer: inferBucketize, Prepare: prepareBucketize},
	"SegmentSum":                {Infer: inferSegmentSum, Prepare: prepareSegmentSum},
	"UnsortedSegmentSum":        {Infer: inferUnsorted, Prepare: prepareUnsorted("add")},
	"UnsortedSegmentProd":       {Infer: inferUnsorted, Prepare: prepareUnsorted("mul")},
	"UnsortedSegmentMax":        {Infer: inferUnsorted, Prepare: prepareUnsorted("max")},
	"UnsortedSegmentMin":        {Infer: inferUnsorted, Prepare: prepareUnsorted("min")},
	"SparseToDense":             {Infer: inferSparse, Prepare: prepareSparse},
	"MatrixDiag":                {Infer: inferMatrixDiag, Prepare: prepareMatrixDiag, Traits: op.QuantMoves},
	"MatrixSetDiag":             {Infer: inferMatrixSetDiag, Prepare: prepareMatrixSetDiag, Traits: op.QuantMoves},
	"tflite.BroadcastArgs":      {Infer: inferBroadcastArgs, Prepare: prepareBroadcastArgs},
	"tflite.DynamicUpdateSlice": {Infer: inferUpdateSlice, Prepare: prepareUpdateSlice, Traits: op.QuantMoves},
}

func inferBucketize(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if _, err := getter(c, c.In[0].DType); err != nil {
		return err
	}
	if b := c.Attrs.Floats("boundaries"); !slices.IsSorted(b) {
		return c.Errorf("boundaries %v do not rise", b)
	}
	c.Set(0, tensor.I32, c.In[0].Shape)
	return nil
}

// prepareBucketize counts, for each element, the boundaries (an attribute) that are not above it.
func prepareBucketize(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	get, err := getter(c, x.DType)
	if err != nil {
		return nil, err
	}
	b := c.Attrs.Floats("boundaries")
	body := func(lo, hi int) {
		out := tensor.Of[int32](y)
		for i := lo; i < hi; i++ {
			v := get(x, i)
			from, to := 0, len(b)
			for from < to {
				if mid := (from + to) / 2; float64(b[mid]) <= v {
					from = mid + 1
				} else {
					to = mid
				}
			}
			out[i] = int32(from)
		}
	}
	n := x.Len()
	return func() error {
		c.Par.For(n, 1<<12, body)
		return nil
	}, nil
}

// rowsOf checks data and their segments, one number per row, and returns the extents of a row.
func rowsOf(c *op.Call) (tensor.Shape, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	if err := c.Want(1, tensor.I32, tensor.I64); err != nil {
		return nil, err
	}
	x, s := c.In[0].Shape, c.In[1].Shape
	if x == nil || s == nil {
		return nil, nil
	}
	n := len(s)
	if n > len(x) {
		return nil, c.Errorf("segments %v for data %v", s, x)
	}
	for d := range s {
		if s[d] >= 0 && x[d] >= 0 && s[d] != x[d] {
			return nil, c.Errorf("segments %v for data %v", s, x)
		}
	}
	return append(tensor.Shape{}, x[n:]...), nil
}

func inferSegmentSum(c *op.Call) error {
	row, err := rowsOf(c)
	if err != nil {
		return err
	}
	if row == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	c.Set(0, c.In[0].DType, append(tensor.Shape{-1}, row...))
	return nil
}

// prepareSegmentSum sums rows of the same segment; segments rise, and the last says how many there are.
func prepareSegmentSum(c *op.Call) (op.Run, error) {
	x := c.In[0]
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	add, err := segmentJoin(c, "add")
	if err != nil {
		return nil, err
	}
	row, err := rowsOf(c)
	if err != nil {
		return nil, err
	}
	n, inner := c.In[1].Len(), row.Len()
	return func() error {
		count := 0
		for k := range n {
			v := at(k)
			if v < max(count-1, 0) {
				return c.Errorf("segment %d at position %d does not rise", v, k)
			}
			if v >= math.MaxInt32 {
				return c.Errorf("segment %d at position %d is out of range", v, k)
			}
			count = v + 1
		}
		y, err := c.Alloc(0, x.DType, append(tensor.Shape{count}, row...))
		if err != nil {
			return err
		}
		clear(y.Data)
		for k := range n {
			add(y, x, at(k)*inner, k*inner, inner)
		}
		return nil
	}, nil
}

func segmentJoin(c *op.Call, name string) (func(y, u *tensor.Tensor, to, from, n int), error) {
	r := *c
	r.Attrs = c.Attrs.Clone()
	r.Attrs.Set("reduction", name)
	return combiner(&r, c.In[0])
}

func inferUnsorted(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	row, err := rowsOf(c)
	if err != nil {
		return err
	}
	n := -1
	if known(c, 2) {
		if n, err = scalarInt(c, 2); err != nil {
			return err
		}
		if n < 0 || n > 1<<30 {
			return c.Errorf("%d segments", n)
		}
	}
	if row == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	c.Set(0, c.In[0].DType, append(tensor.Shape{n}, row...))
	return nil
}

// prepareUnsorted joins rows of the same segment; rows of negative segments are dropped. Segments without rows hold 0, 1, or
// the least or largest number of the type.
func prepareUnsorted(name string) func(c *op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		x, y := c.In[0], c.Out[0]
		at, err := indices(c, 1)
		if err != nil {
			return nil, err
		}
		join, err := segmentJoin(c, name)
		if err != nil {
			return nil, err
		}
		set, err := setter(c, x.DType)
		if err != nil {
			return nil, err
		}
		row, err := rowsOf(c)
		if err != nil {
			return nil, err
		}
		top := map[tensor.DType]float64{tensor.F32: math.MaxFloat32, tensor.F16: 65504, tensor.BF16: 0x1.fep127}[x.DType]
		if top == 0 {
			top = math.MaxFloat64 // integers saturate
		}
		empty := tensor.New(x.DType, tensor.Shape{1})
		set(empty, 0, map[string]float64{"add": 0, "mul": 1, "max": -top, "min": top}[name])
		n, inner, segments, all := c.In[1].Len(), row.Len(), y.Shape[0], y.Len()
		return func() error {
			cellsOf(y).fill(cellsOf(empty), 0, all)
			for k := range n {
				s := at(k)
				if s >= segments {
					return c.Errorf("segment %d at position %d is out of range for %d", s, k, segments)
				}
				if s >= 0 {
					join(y, x, s*inner, k*inner, inner)
				}
			}
			return nil
		}, nil
	}
}

// inferSparse: inputs are places, the output's shape, values and the value of all other places.
func inferSparse(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	v, err := ints(c, 1)
	if err != nil {
		return err
	}
	if !known(c, 1) {
		c.Set(0, c.In[2].DType, listed(c.In[1]))
		return nil
	}
	s, err := extents(c, v)
	if err != nil {
		return err
	}
	c.Set(0, c.In[2].DType, s)
	return nil
}

func prepareSparse(c *op.Call) (op.Run, error) {
	places, values, y := c.In[0], c.In[2], c.Out[0]
	at, err := indices(c, 0)
	if err != nil {
		return nil, err
	}
	depth, n := len(y.Shape), 1
	switch s := places.Shape; {
	case len(s) == 2 && s[1] == depth:
		n = s[0]
	case len(s) == 1 && depth == 1:
		n = s[0]
	case len(s) == 1 && s[0] == depth, len(s) == 0 && depth == 1:
	default:
		return nil, c.Errorf("places %v for output %v", s, y.Shape)
	}
	step := 1 // of values; one for all has none
	if values.Len() == 1 {
		step = 0
	} else if values.Len() != n {
		return nil, c.Errorf("%d values for %d places", values.Len(), n)
	}
	other := tensor.New(values.DType, tensor.Shape{1})
	if t := c.Input(3); t != nil {
		if t.DType != values.DType || t.Len() != 1 {
			return nil, c.Errorf("value %v for other places among values %v", t, values)
		}
		other = t
	}
	st, all := y.Shape.Strides(), y.Len()
	return func() error {
		cellsOf(y).fill(cellsOf(other), 0, all)
		for k := range n {
			off, err := ndOffset(c, y.Shape, st, 0, depth, at, k)
			if err != nil {
				return err
			}
			cellsOf(values).copyTo(cellsOf(y), off, k*step, 1)
		}
		return nil
	}, nil
}

func inferMatrixDiag(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s != nil {
		if len(s) == 0 {
			return c.Errorf("input is a scalar")
		}
		s = append(s.Clone(), s[len(s)-1])
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareMatrixDiag(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	fill := tensor.New(x.DType, tensor.Shape{1})
	zeroPoint(fill, x)
	n, all := lastOf(x.Shape), y.Len()
	count := x.Len()
	return func() error {
		cx, cy := cellsOf(x), cellsOf(y)
		cy.fill(cellsOf(fill), 0, all)
		for k := range count {
			cx.copyTo(cy, k*n+k%n, k, 1)
		}
		return nil
	}, nil
}

func inferMatrixSetDiag(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, d := c.In[0].Shape, c.In[1].Shape
	if x.Known() && d.Known() {
		n := len(x)
		if n < 2 || len(d) != n-1 || !d[:n-2].Equal(x[:n-2]) || d[n-2] != min(x[n-2], x[n-1]) || c.In[0].DType != c.In[1].DType {
			return c.Errorf("diagonal %v of matrices %v", c.In[1], c.In[0])
		}
	}
	return inferIdentity(c)
}

func prepareMatrixSetDiag(c *op.Call) (op.Run, error) {
	x, d, y := c.In[0], c.In[1], c.Out[0]
	rank := len(x.Shape)
	rows, cols := x.Shape[rank-2], x.Shape[rank-1]
	n, count := min(rows, cols), d.Len()
	return func() error {
		copyAll(y, x)
		for k := range count {
			cellsOf(d).copyTo(cellsOf(y), k/n*rows*cols+k%n*(cols+1), k, 1)
		}
		return nil
	}, nil
}

func inferBroadcastArgs(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	n := 0
	for i, t := range c.In[:2] {
		if err := c.Want(i, tensor.I32, tensor.I64); err != nil {
			return err
		}
		switch s := t.Shape; {
		case s == nil || len(s) == 1 && s[0] < 0 || n < 0:
			n = -1
		case len(s) != 1 || s[0] > tensor.MaxRank:
			return c.Errorf("input %d is no shape: %v", i, t)
		default:
			n = max(n, s[0])
		}
	}
	c.Set(0, c.In[0].DType, tensor.Shape{n})
	return nil
}

// prepareBroadcastArgs computes the shape that two shapes broadcast to.
func prepareBroadcastArgs(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	var at [2]func(int) int
	for i := range at {
		if at[i], err = indices(c, i); err != nil {
			return nil, err
		}
	}
	n := y.Shape[0]
	return func() error {
		for d := range n {
			e := [2]int{1, 1}
			for i := range e {
				if k := d - n + c.In[i].Shape[0]; k >= 0 {
					e[i] = at[i](k)
				}
			}
			if e[0] == 1 {
				e[0] = e[1]
			}
			if e[1] != 1 && e[0] != e[1] {
				return c.Errorf("extents %d and %d at position %d do not broadcast", e[0], e[1], d)
			}
			set(y, d, float64(e[0]))
		}
		return nil
	}, nil
}

func inferUpdateSlice(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	x, u := c.In[0], c.In[1]
	if x.DType != u.DType || x.Shape != nil && u.Shape != nil && len(x.Shape) != len(u.Shape) {
		return c.Errorf("update %v of %v", u, x)
	}
	for d := range min(len(x.Shape), len(u.Shape)) {
		if x.Shape[d] >= 0 && u.Shape[d] > x.Shape[d] {
			return c.Errorf("update %v is larger than %v", u.Shape, x.Shape)
		}
	}
	return inferIdentity(c)
}

// prepareUpdateSlice puts an update where the third input says, moved so that it fits.
func prepareUpdateSlice(c *op.Call) (op.Run, error) {
	x, u, y := c.In[0], c.In[1], c.Out[0]
	if c.In[2].Len() != len(x.Shape) {
		return nil, c.Errorf("%d positions for rank %d", c.In[2].Len(), len(x.Shape))
	}
	at, err := indices(c, 2)
	if err != nil {
		return nil, err
	}
	xs := x.Shape.Strides()
	w := newWalker(u.Shape, u.Shape.Strides(), xs, 0, 0)
	f := w.prepare(c, u, y)
	return func() error {
		copyAll(y, x)
		w.dstAt = 0
		for d := range x.Shape {
			w.dstAt += min(max(at(d), 0), x.Shape[d]-u.Shape[d]) * xs[d]
		}
		f()
		return nil
	}, nil
}
