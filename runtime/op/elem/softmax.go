package elem

import (
	"slices"

	"github.com/edgerun/edgerun/runtime/op"
)

var softmaxOps = map[string]op.Op{
	"Softmax":    {Infer: inferSoftmax, Prepare: prepareSoftmax, Traits: op.InPlace},
	"LogSoftmax": {Infer: inferSoftmax, Prepare: prepareSoftmax, Traits: op.InPlace},
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
	switch c.Op {
	case "Softmax":
		if _, ok := any(T(0)).(float32); ok && l.inner == 1 {
			return softmaxLines(c, l), nil
		}
		return runLines(c, l, softmax[T]), nil
	case "LogSoftmax":
		return runLines(c, l, logSoftmax[T]), nil
	}
	return runLines(c, l, hardmax[T]), nil
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

// softmax32 is softmax of lines of n elements each, one after the other.
func softmax32(y, x []float32, n int) {
	if n >= 64 {
		for i := 0; i < len(x); i += n {
			y, x := y[i:i+n], x[i:i+n]
			var l [16]float32
			for k := range l {
				l[k] = x[0]
			}
			maxLanes32(&l, x)
			scalar32(sub32, y, x, slices.Max(l[:]))
			exp32(y, y)
			l = [16]float32{}
			sumLanes32(&l, y)
			scalar32(div32, y, y, pairwise(&l))
		}
		return
	}
	for i := 0; i < len(x); i += n { // short lines share the exponentials
		m := lineMax(x[i:i+n], 1)
		for k, v := range x[i : i+n] {
			y[i+k] = v - m
		}
	}
	exp32(y, y)
	for i := 0; i < len(y); i += n {
		y := y[i : i+n]
		var l [16]float32
		for k, e := range y {
			l[k&15] += e
		}
		s := pairwise(&l)
		for k := range y {
			y[k] /= s
		}
	}
}

// softmaxLines runs softmax32 over blocks of lines.
func softmaxLines(c *op.Call, l lines) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	block := max(1, 4096/max(1, l.n)) // lines
	var in, out []float32
	body := func(lo, hi int) {
		for ; lo < hi; lo += block {
			from, to := lo*l.n, min(hi, lo+block)*l.n
			softmax32(out[from:to], in[from:to], l.n)
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		if l.n > 0 {
			c.Par.For(l.count(), 1+grain/l.n, body)
		}
		y.put()
		return nil
	}
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
