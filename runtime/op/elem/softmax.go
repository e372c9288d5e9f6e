package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var softmaxOps = map[string]op.Op{
	"Softmax":    {Infer: inferSoftmax, Prepare: prepareSoftmax},
	"LogSoftmax": {Infer: inferSoftmax, Prepare: prepareSoftmax},
	"Hardmax":    {Infer: inferSoftmax, Prepare: prepareSoftmax},
}

// lines describes a tensor as lines along one axis: outer × n × inner. With flatten, as ONNX had it before opset 13, a
// line is everything from the axis on.
type lines struct{ outer, n, inner int }

func linesOf(s tensor.Shape, axis int, flatten bool) lines {
	if flatten {
		return lines{s[:axis].Len(), s[axis:].Len(), 1}
	}
	return lines{s[:axis].Len(), s[axis], s[axis+1:].Len()}
}

func softmaxAxis(c *op.Call) (int, bool, error) {
	rank := len(c.In[0].Shape)
	flatten := c.Attrs.Bool("flatten", false)
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
	axis, err := c.Axis(c.Attrs.Int("axis", def), rank)
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
	axis, flatten, err := softmaxAxis(c)
	if err != nil {
		return nil, err
	}
	l := lines{1, 1, 1}
	if len(c.In[0].Shape) > 0 {
		l = linesOf(c.In[0].Shape, axis, flatten)
	}
	switch c.In[0].DType {
	case tensor.F64:
		return lineRun(c, l, map[string]func(y, x []float64, step int){"Softmax": softmax64, "LogSoftmax": logSoftmax64, "Hardmax": hardmax[float64]}[c.Op]), nil
	case tensor.F32, tensor.F16, tensor.BF16:
		return lineRun(c, l, map[string]func(y, x []float32, step int){"Softmax": softmax32, "LogSoftmax": logSoftmax32, "Hardmax": hardmax[float32]}[c.Op]), nil
	}
	return nil, c.Errorf("elements of type %v unsupported", c.In[0].DType)
}

// lineRun calls f for each line; elements of a line are step apart, and both slices end with it.
func lineRun[T float](c *op.Call, l lines, f func(y, x []T, step int)) op.Run {
	x, y := newView[T](c.In[0]), newView[T](c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for k := lo; k < hi; k++ {
			at := k/l.inner*l.n*l.inner + k%l.inner
			end := at + (l.n-1)*l.inner + 1
			f(out[at:end], in[at:end], l.inner)
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		if l.n > 0 {
			c.Par.For(l.outer*l.inner, 1+grain/l.n, body)
		}
		y.put()
		return nil
	}
}

func lineMax[T float](x []T, step int) T {
	m := x[0]
	for i := step; i < len(x); i += step {
		if x[i] > m || x[i] != x[i] {
			m = x[i]
		}
	}
	return m
}

// softmax32 is e**(x-max) / Σ, the sum in 16 lanes.
func softmax32(y, x []float32, step int) {
	m := lineMax(x, step)
	var l [16]float32
	k := 0
	for i := 0; i < len(x); i += step {
		e := fmath.Exp(x[i] - m)
		y[i] = e
		l[k&15] += e
		k++
	}
	s := pairwise(&l)
	for i := 0; i < len(y); i += step {
		y[i] /= s
	}
}

func logSoftmax32(y, x []float32, step int) {
	m := lineMax(x, step)
	var l [16]float32
	k := 0
	for i := 0; i < len(x); i += step {
		l[k&15] += fmath.Exp(x[i] - m)
		k++
	}
	s := float32(math.Log(float64(pairwise(&l))))
	for i := 0; i < len(y); i += step {
		y[i] = x[i] - m - s
	}
}

func softmax64(y, x []float64, step int) {
	m, s := lineMax(x, step), 0.0
	for i := 0; i < len(x); i += step {
		y[i] = math.Exp(x[i] - m)
		s += y[i]
	}
	for i := 0; i < len(y); i += step {
		y[i] /= s
	}
}

func logSoftmax64(y, x []float64, step int) {
	m, s := lineMax(x, step), 0.0
	for i := 0; i < len(x); i += step {
		s += math.Exp(x[i] - m)
	}
	s = math.Log(s)
	for i := 0; i < len(y); i += step {
		y[i] = x[i] - m - s
	}
}

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
