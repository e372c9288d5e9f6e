package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

var padOps = map[string]op.Op{
	"Pad":           {Infer: inferPad, Prepare: preparePad, Traits: op.QuantMoves},
	"CenterCropPad": {Infer: inferCenterCropPad, Prepare: prepareCenterCropPad, Traits: op.QuantMoves},
}

// padding reads the begins and ends per dimension; nil where not known yet.
func padding(c *op.Call, rank int) (begin, end []int, err error) {
	if !known(c, 1) || !known(c, 3) {
		return nil, nil, nil
	}
	v, err := ints(c, 1)
	if err != nil {
		return nil, nil, err
	}
	begin, end = make([]int, rank), make([]int, rank)
	axes, err := ints(c, 3)
	if err != nil {
		return nil, nil, err
	}
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(v) != 2*len(axes) {
		return nil, nil, c.Errorf("%d pads for %d axes", len(v), len(axes))
	}
	for i, a := range axes {
		d, err := c.Axis(a, rank)
		if err != nil {
			return nil, nil, err
		}
		begin[d], end[d] = v[i], v[i+len(axes)]
	}
	return begin, end, nil
}

func inferPad(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	s := unknown(len(x.Shape))
	begin, end, err := padding(c, len(x.Shape))
	if err != nil {
		return err
	}
	if begin != nil {
		for i, d := range x.Shape {
			if d >= 0 {
				if s[i] = d + begin[i] + end[i]; s[i] < 0 {
					return c.Errorf("pads remove more than dimension %d has", i)
				}
			}
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func preparePad(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	rank := len(x.Shape)
	begin, _, err := padding(c, rank)
	if err != nil {
		return nil, err
	}
	mode := c.Attrs.Str("mode", "constant")
	// from lists, per dimension and output position, the input position; -1 for padding.
	from := make([][]int, rank)
	for d := range rank {
		n := x.Shape[d]
		from[d] = op.Make[int](c, y.Shape[d])
		for o := range from[d] {
			i := o - begin[d]
			if i < 0 || i >= n {
				switch {
				case n == 0 && mode != "constant":
					return nil, c.Errorf("cannot pad an empty dimension in mode %s", mode)
				case mode == "constant":
					i = -1
				case mode == "edge":
					i = min(max(i, 0), n-1)
				case mode == "reflect":
					if n == 1 {
						i = 0
					} else if i = mod(i, 2*(n-1)); i >= n {
						i = 2*(n-1) - i
					}
				case mode == "symmetric":
					if i = mod(i, 2*n); i >= n {
						i = 2*n - 1 - i
					}
				case mode == "wrap":
					i = mod(i, n)
				default:
					return nil, c.Errorf("mode %q unknown", mode)
				}
			}
			from[d][o] = i
		}
	}
	if rank == 0 {
		return prepareCopy(c)
	}
	fill := tensor.New(x.DType, tensor.Shape{1})
	cx, cy, cf := cellsOf(x), cellsOf(y), cellsOf(fill)
	last := rank - 1
	row := y.Shape[last]
	runs := runsOf(from[last])
	xs := x.Shape.Strides()
	rows := y.Shape[:last].Len()
	body := func(a, b int) {
		for r := a; r < b; r++ {
			at, ok, q := 0, true, r
			for d := last - 1; d >= 0; d-- {
				i := from[d][q%y.Shape[d]]
				q /= y.Shape[d]
				ok = ok && i >= 0
				at += i * xs[d]
			}
			if !ok {
				cy.fill(cf, r*row, row)
				continue
			}
			for _, u := range runs {
				if u.from < 0 {
					cy.fill(cf, r*row+u.to, u.n)
				} else {
					cx.copyTo(cy, r*row+u.to, at+u.from, u.n)
				}
			}
		}
	}
	grain := cy.split(rows, row)
	return func() error {
		if err := fillValue(c, fill, x); err != nil {
			return err
		}
		c.Par.For(rows, grain, body)
		return nil
	}, nil
}

// run is a range of output positions that come from neighbours, or from the padding where from is -1.
type run struct{ to, from, n int }

func runsOf(from []int) []run {
	var runs []run
	for o, i := range from {
		if k := len(runs) - 1; k >= 0 && (i < 0 && runs[k].from < 0 || i >= 0 && runs[k].from >= 0 && i == runs[k].from+runs[k].n) {
			runs[k].n++
			continue
		}
		runs = append(runs, run{o, i, 1})
	}
	return runs
}

func mod(a, n int) int {
	a %= n
	if a < 0 {
		a += n
	}
	return a
}

// fillValue reads the value of padding: input 2, or zero, which for quantised values is the zero point.
func fillValue(c *op.Call, fill, x *tensor.Tensor) error {
	if v := c.Input(2); v != nil {
		if v.Len() != 1 {
			return c.Errorf("fill value is %v, want one element", v)
		}
		if !v.HasData() {
			return c.Errorf("fill value is unknown")
		}
		if v.DType == fill.DType && (v.Quant == nil || v.Quant.Equal(x.Quant)) {
			copy(fill.Data, v.Data)
			copy(fill.Str, v.Str)
			return nil
		}
		f, ok := number.Scalar(v)
		if !ok || x.Quant == nil {
			return c.Errorf("fill value of type %v for elements of type %v", v.DType, x.DType)
		}
		if v.Quant != nil {
			f = float64(v.Quant.Scale[0]) * (f - float64(v.Quant.ZeroAt(0)))
		}
		number.Setter(x.DType)(fill, 0, math.RoundToEven(f/float64(x.Quant.Scale[0]))+float64(x.Quant.ZeroAt(0)))
		return nil
	}
	zeroPoint(fill, x)
	return nil
}

// zeroPoint stores what stands for the real 0 among the elements of x.
func zeroPoint(fill, x *tensor.Tensor) {
	if x.Quant != nil {
		number.Setter(x.DType)(fill, 0, float64(x.Quant.ZeroAt(0)))
	}
}

func cropAxes(c *op.Call, rank int) ([]int, error) {
	axes := c.Attrs.Ints("axes")
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	r := make([]int, len(axes))
	for i, a := range axes {
		d, err := c.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		r[i] = d
	}
	return r, nil
}

func inferCenterCropPad(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	axes, err := cropAxes(c, len(x.Shape))
	if err != nil {
		return err
	}
	s := x.Shape.Clone()
	want, err := ints(c, 1)
	if err != nil {
		return err
	}
	if want != nil && len(want) != len(axes) {
		return c.Errorf("%d extents for %d axes", len(want), len(axes))
	}
	for i, a := range axes {
		s[a] = -1
		if want != nil {
			if s[a] = want[i]; want[i] < 0 {
				return c.Errorf("shape %v has a negative dimension", want)
			}
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareCenterCropPad(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	xs, ys := x.Shape.Strides(), y.Shape.Strides()
	dims := make([]int, len(xs))
	from, to := 0, 0
	for i := range dims {
		a, b := x.Shape[i], y.Shape[i]
		dims[i] = min(a, b)
		if a > b {
			from += (a - b) / 2 * xs[i]
		} else {
			to += (b - a) / 2 * ys[i]
		}
	}
	f := newWalker(dims, xs, ys, from, to).prepare(c, x, y)
	fill := tensor.New(x.DType, tensor.Shape{1})
	n := y.Len()
	return func() error {
		zeroPoint(fill, x)
		cellsOf(y).fill(cellsOf(fill), 0, n)
		f()
		return nil
	}, nil
}
