package elem

import (
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var argOps = map[string]op.Op{
	"ArgMax": {Infer: inferArg, Prepare: prepareArg},
	"ArgMin": {Infer: inferArg, Prepare: prepareArg},
}

func inferArg(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, tensor.I64, nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return err
	}
	c.Set(0, tensor.I64, reducedShape(s, []int{axis}, c.Attrs.Bool("keepdims", true)))
	return nil
}

func prepareArg(c *op.Call) (op.Run, error) {
	return each{arg[float64], arg[float32], arg[int64], arg[int32], arg[int16], arg[int8],
		arg[uint64], arg[uint32], arg[uint16], arg[uint8]}.byInput(c)
}

// arg finds the first extreme element of each line, or the last one. NaN counts as extreme.
func arg[T number](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, err
	}
	l := linesOf(s, axis, false)
	if l.n == 0 && l.count() > 0 {
		return nil, c.Errorf("axis %d is empty", axis)
	}
	last, largest := c.Attrs.Bool("select_last_index", false), c.Op == "ArgMax"
	if _, single := any(T(0)).(float32); single && !last {
		return arg32(c, l, largest), nil
	}
	x := newView[T](c, c.In[0])
	var in []T
	var out []int64
	// Lines that begin side by side are searched together.
	tiles := (l.inner + width - 1) / width
	body := func(lo, hi int) {
		for k := lo; k < hi; k++ {
			var best [width]T
			col := k % tiles * width
			w := min(width, l.inner-col)
			at := k/tiles*l.n*l.inner + col
			index := out[k/tiles*l.inner+col:][:w]
			copy(best[:w], in[at:])
			clear(index)
			for i := 1; i < l.n; i++ {
				row := in[at+i*l.inner:][:w]
				for j, v := range row {
					b := best[j]
					better := largest && v > b || !largest && v < b || v != v && b == b
					if better || last && (v == b || v != v) {
						best[j], index[j] = v, int64(i)
					}
				}
			}
		}
	}
	return func() error {
		in, out = x.get(), tensor.Of[int64](c.Out[0])
		c.Par.For(l.outer*tiles, 1+grain/max(1, l.n*min(width, l.inner)), body)
		return nil
	}, nil
}

// arg32 is arg for float32, the first extreme element, in rows of the kernel table.
func arg32(c *op.Call, l lines, largest bool) op.Run {
	x := newView[float32](c, c.In[0])
	var out []int64
	if l.inner > 1 || l.n < besideLimit {
		o := spec.ArgMinRows
		if largest {
			o = spec.ArgMaxRows
		}
		f := c.Select(o, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32).Func.(func(*spec.RowsArgs))
		b := newBeside(c, l, .4, func(t *Tile, _, x []float32) {
			for j, i := range t.Arg(f, x) {
				out[t.line+j] = int64(i)
			}
		})
		b.reduces = true
		return func() error {
			out = tensor.Of[int64](c.Out[0])
			b.run(c.Par, nil, x.get())
			return nil
		}
	}
	var in []float32
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			out[i] = int64(argLine(in[i*l.n:(i+1)*l.n], largest))
		}
	}
	return func() error {
		in, out = x.get(), tensor.Of[int64](c.Out[0])
		c.Par.For(l.count(), 1+4*grain/l.n, body)
		return nil
	}
}

// argLine looks through a line in blocks, and then for the element in the first block that has it.
func argLine(x []float32, largest bool) int {
	const block = 1 << 10
	m, at := x[0], 0
	for i := 0; i < len(x); i += block {
		part, best := x[i:min(len(x), i+block)], m
		if largest {
			best = largest32(m, part)
		} else {
			best = smallest32(m, part)
		}
		if m == m && best != m {
			m, at = best, i
		}
	}
	for x[at] != m && (m == m || x[at] == x[at]) {
		at++
	}
	return at
}
