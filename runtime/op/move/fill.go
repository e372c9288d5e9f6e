package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

var fillOps = map[string]op.Op{
	"ConstantOfShape": {Infer: inferConstantOfShape, Prepare: prepareConstantOfShape},
	"Range":           {Infer: inferRange, Prepare: prepareRange},
	"EyeLike":         {Infer: inferEyeLike, Prepare: prepareEyeLike, Traits: op.ShapeOnly},
	"Trilu":           {Infer: inferTrilu, Prepare: prepareTrilu},
}

func inferConstantOfShape(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d := tensor.F32
	if v := c.Attrs.Tensor("value"); v != nil {
		if v.Len() != 1 || v.DType == tensor.Sequence {
			return c.Errorf("value has %d elements, want 1", v.Len())
		}
		d = v.DType
	}
	v, err := ints(c, 0)
	if err != nil {
		return err
	}
	if !c.In[0].HasData() {
		c.Set(0, d, listed(c.In[0]))
		return nil
	}
	s, err := extents(c, v)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

func prepareConstantOfShape(c *op.Call) (op.Run, error) {
	v := c.Attrs.Tensor("value")
	if v == nil {
		v = tensor.New(tensor.F32, tensor.Shape{1})
	}
	y := c.Out[0]
	n := y.Len()
	return func() error {
		cellsOf(y).fill(cellsOf(v), 0, n)
		return nil
	}, nil
}

// integers are the types whose Range is exact in 64 bits.
func integers(d tensor.DType) bool { return d.IsInt() && d.Bits() >= 8 && d != tensor.U64 }

// intScalar reads an integer of any type but u64.
func intScalar(t *tensor.Tensor) int64 {
	if t.DType == tensor.I64 {
		return tensor.Of[int64](t)[0]
	}
	v, _ := number.Scalar(t)
	return int64(v)
}

// rangeLen is the number of elements of a Range whose inputs are known.
func rangeLen(c *op.Call) (int, error) {
	var v [3]float64
	var err error
	for i := range v {
		if c.In[i].DType != c.In[0].DType {
			return 0, c.Errorf("inputs of types %v and %v", c.In[0].DType, c.In[i].DType)
		}
		if v[i], err = scalar(c, i); err != nil {
			return 0, err
		}
	}
	if v[2] == 0 {
		return 0, c.Errorf("step 0")
	}
	count := math.Ceil((v[1] - v[0]) / v[2])
	if integers(c.In[0].DType) {
		start, limit, step := intScalar(c.In[0]), intScalar(c.In[1]), intScalar(c.In[2])
		if math.Abs(v[1]-v[0]) < 1<<62 { // the difference does not overflow
			d := limit - start
			n := d / step
			if d%step != 0 && (d < 0) == (step < 0) {
				n++
			}
			count = float64(n)
		}
	}
	if !(count < math.MaxInt/16) {
		return 0, c.Errorf("%g elements: %w", count, tensor.ErrTooLarge)
	}
	return int(max(0, count)), nil
}

func inferRange(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	s := tensor.Shape{-1}
	if known(c, 0) && known(c, 1) && known(c, 2) {
		n, err := rangeLen(c)
		if err != nil {
			return err
		}
		s[0] = n
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareRange(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	whole := integers(y.DType)
	return func() error {
		n, err := rangeLen(c)
		if err != nil {
			return err
		}
		if n != y.Len() {
			return c.Errorf("%d elements where %d were planned", n, y.Len())
		}
		if whole {
			start, step, size := intScalar(c.In[0]), intScalar(c.In[2]), y.DType.Bits()/8
			for i := range n {
				v := start + int64(i)*step
				for k := range size {
					y.Data[i*size+k] = byte(v >> (8 * k))
				}
			}
			return nil
		}
		start, err := scalar(c, 0)
		if err != nil {
			return err
		}
		step, err := scalar(c, 2)
		if err != nil {
			return err
		}
		for i := range n {
			set(y, i, start+float64(float64(i)*step))
		}
		return nil
	}, nil
}

func inferEyeLike(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d := c.In[0].DType
	if c.Attrs.Has("dtype") {
		d = number.ONNX(c.Attrs.Int("dtype", 0))
	}
	if _, err := setter(c, d); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s != nil && len(s) != 2 {
		return c.Errorf("input has rank %d, want 2", len(s))
	}
	if s == nil {
		s = unknown(2)
	}
	c.Set(0, d, s)
	return nil
}

func prepareEyeLike(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	k := c.Attrs.Int("k", 0)
	rows, cols := y.Shape[0], y.Shape[1]
	return func() error {
		clear(y.Data)
		for i := range rows {
			if k < cols && i+k >= 0 && i+k < cols {
				set(y, i*cols+i+k, 1)
			}
		}
		return nil
	}, nil
}

func inferTrilu(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if s := c.In[0].Shape; s != nil && len(s) < 2 {
		return c.Errorf("input has rank %d, want 2 or more", len(s))
	}
	return inferIdentity(c)
}

func prepareTrilu(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	n := len(x.Shape)
	rows, cols := x.Shape[n-2], x.Shape[n-1]
	upper := c.Attrs.Bool("upper", true)
	all := x.Shape[:n-1].Len()
	return func() error {
		k := 0
		if given(c, 1) {
			v, err := scalarInt(c, 1)
			if err != nil {
				return err
			}
			k = min(max(v, -rows), cols)
		}
		clear(y.Data)
		clear(y.Str)
		cx, cy := cellsOf(x), cellsOf(y)
		for r := range all {
			i := r % rows
			lo, hi := 0, min(max(i+k+1, 0), cols)
			if upper {
				lo, hi = min(max(i+k, 0), cols), cols
			}
			cx.copyTo(cy, r*cols+lo, r*cols+lo, hi-lo)
		}
		return nil
	}, nil
}
