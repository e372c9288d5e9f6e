package elem

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var softmaxOps = map[string]op.Op{
	"Softmax":    {Infer: inferSoftmax, Prepare: prepareSoftmax, Traits: op.InPlace},
	"LogSoftmax": {Infer: inferSoftmax, Prepare: prepareSoftmax},
	"Hardmax":    {Infer: inferSoftmax, Prepare: prepareSoftmax},
}

func softmaxAxis(c *op.Call) (axis int, flatten bool, err error) {
	rank := len(c.In[0].Shape)
	flatten = c.Attrs.Bool("flatten", false)
	if rank == 0 {
		return 0, flatten, nil
	}
	def := -1
	if flatten {
		def = 1
		if c.Attrs.Int("axis", def) == rank {
			return rank, true, nil
		}
	}
	axis, err = c.Axis(c.Attrs.Int("axis", def), rank)
	return axis, flatten, err
}

func inferSoftmax(c *op.Call) error {
	if err := same(c); err != nil {
		return err
	}
	if c.In[0].Shape == nil {
		return nil
	}
	_, _, err := softmaxAxis(c)
	return err
}

func prepareSoftmax(c *op.Call) (op.Run, error) {
	return each{f64: softmaxRun[float64], f32: softmaxRun[float32]}.byInput(c)
}

func softmaxRun[T float](c *op.Call) (op.Run, error) {
	axis, flatten, err := softmaxAxis(c)
	if err != nil {
		return nil, err
	}
	l := lines{1, 1, 1}
	if len(c.In[0].Shape) > 0 {
		l = linesOf(c.In[0].Shape, axis, flatten)
	}
	switch _, single := any(T(0)).(float32); {
	case c.Op == "Hardmax":
		return runLines(c, l, hardmax[T]), nil
	case single:
		return softmax32(c, l), nil
	case c.Op == "Softmax":
		return runLines(c, l, softmax[T]), nil
	}
	return runLines(c, l, logSoftmax[T]), nil
}

// lineMax is NaN where there is one.
func lineMax[T float](x []T, step int) T {
	m := x[0]
	for i := step; i < len(x); i += step {
		if x[i] > m || x[i] != x[i] {
			m = x[i]
		}
	}
	return m
}

// softmax is e**(x-max) / Σ, the sum in 16 lanes.
func softmax[T float](y, x []T, step int) {
	m := lineMax(x, step)
	var l [16]T
	k := 0
	for i := 0; i < len(x); i += step {
		e := exp(x[i] - m)
		y[i] = e
		l[k&15] += e
		k++
	}
	s := pairwise(&l)
	for i := 0; i < len(y); i += step {
		y[i] /= s
	}
}

// softmaxLimit is the number of elements from which on lines are worth a call of the kernel, which takes as long for fewer.
const softmaxLimit = 24

// softmax32 is Softmax or LogSoftmax in rows of the kernel table.
func softmax32(c *op.Call, l lines) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	logs := c.Op == "LogSoftmax"
	if l.inner > 1 || l.n < softmaxLimit || logs && l.n < besideLimit {
		b := newBeside(c, l, 1.5, softmaxTile)
		if logs {
			b = newBeside(c, l, 1.5, logSoftmaxTile)
		}
		return func() error {
			b.run(c.Par, y.room(), x.get())
			y.put()
			return nil
		}
	}
	var in, out []float32
	body := func(lo, hi int) {
		for i := lo * l.n; i < hi*l.n; i += l.n {
			logSoftmaxLine(out[i:i+l.n], in[i:i+l.n])
		}
	}
	if !logs {
		body = func(lo, hi int) {
			softmaxRows(out[lo*l.n:hi*l.n], in[lo*l.n:hi*l.n], l.n)
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(l.count(), 1+grain/l.n, body)
		y.put()
		return nil
	}
}

// softmaxTile is softmax of lines side by side.
func softmaxTile(t *Tile, y, x []float32) {
	m := t.Max(x)
	for i := range t.N {
		r := t.Row(y, i)
		t.Sub(r, t.Row(x, i), m, 1)
		t.Exp(r, r)
	}
	s := t.Sum(y)
	for i := range t.N {
		r := t.Row(y, i)
		t.Div(r, r, s, 1)
	}
}

// logSoftmaxTile is logSoftmax of lines side by side.
func logSoftmaxTile(t *Tile, y, x []float32) {
	m, e := t.Max(x), t.b[:t.Cols]
	clear(t.lanes)
	for i := range t.N {
		r, l := t.Row(y, i), t.lane(i)
		t.Sub(r, t.Row(x, i), m, 1)
		t.Exp(e, r)
		t.Add(l, l, e, 1)
	}
	s := t.pairwise()
	t.Log(s, s)
	for i := range t.N {
		r := t.Row(y, i)
		t.Sub(r, r, s, 1)
	}
}

// softmaxRows is softmax of lines of n elements; y may be x.
func softmaxRows(y, x []float32, n int) {
	step := max(1, kernelBlock/max(1, n)) * n // of one call
	args := kernels.Borrow()
	for i := 0; i < len(y); i += step {
		args.Rows = spec.RowsArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&y[i]), Rows: min(step, len(y)-i) / n, Cols: n, XStride: 4 * n, YStride: 4 * n}
		softmaxKernel(&args.Rows)
	}
	args.Return()
}

// logSoftmaxLine is logSoftmax of one line; y is not x.
func logSoftmaxLine(y, x []float32) {
	m, sum := exponentials(y, x)
	scalar32(sub32, y, x, m)
	scalar32(sub32, y, y, fmath.Log(sum))
}

// exponentials makes e**(x-m), where m is the largest x, and their sum in 16 lanes.
func exponentials(y, x []float32) (m, sum float32) {
	m = largest32(x[0], x)
	scalar32(sub32, y, x, m)
	exp32(y, y)
	var l [16]float32
	sumLanes32(&l, y)
	return m, pairwise(&l)
}

// logSoftmax is x - max - log Σ e**(x-max).
func logSoftmax[T float](y, x []T, step int) {
	m := lineMax(x, step)
	var l [16]T
	k := 0
	for i := 0; i < len(x); i += step {
		l[k&15] += exp(x[i] - m)
		k++
	}
	s := log(pairwise(&l))
	for i := 0; i < len(y); i += step {
		y[i] = x[i] - m - s
	}
}

// hardmax is 1 at the first largest element.
func hardmax[T float](y, x []T, step int) {
	at := 0
	for i := 0; i < len(x); i += step {
		y[i] = 0
		if x[i] > x[at] {
			at = i
		}
	}
	y[at] = 1
}
