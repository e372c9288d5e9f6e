package elem

import (
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// strided walks over an output and its broadcast inputs in rows: runs of the innermost dimension along which every
// input has a constant step.
type strided struct {
	n     int     // elements of the output
	row   int     // elements of a run
	dims  []int   // of the runs, outermost first
	step  []int   // per input: step within a run
	outer [][]int // per input: step along each of dims
}

// newStrided prepares the walk over out with the given inputs' shapes; dimensions that all inputs walk alike are joined.
func newStrided(out tensor.Shape, ins ...tensor.Shape) *strided {
	rank := len(out)
	strides := make([][]int, len(ins))
	for k, s := range ins {
		strides[k] = make([]int, rank)
		st := s.Strides()
		for i := range s {
			if s[i] != 1 {
				strides[k][rank-len(s)+i] = st[i]
			}
		}
	}
	var dims []int
	joined := make([][]int, len(ins))
	for d := range rank {
		if out[d] == 1 {
			continue
		}
		if n := len(dims); n > 0 {
			fits := true
			for k := range ins {
				fits = fits && joined[k][n-1] == strides[k][d]*out[d]
			}
			if fits {
				dims[n-1] *= out[d]
				for k := range ins {
					joined[k][n-1] = strides[k][d]
				}
				continue
			}
		}
		dims = append(dims, out[d])
		for k := range ins {
			joined[k] = append(joined[k], strides[k][d])
		}
	}
	s := &strided{n: out.Len(), row: 1, step: make([]int, len(ins)), outer: make([][]int, len(ins))}
	if n := len(dims); n > 0 {
		s.row, s.dims = dims[n-1], dims[:n-1]
		for k := range ins {
			s.step[k], s.outer[k] = joined[k][n-1], joined[k][:n-1]
		}
	}
	return s
}

// rows is the number of runs.
func (s *strided) rows() int {
	if s.n == 0 {
		return 0
	}
	return s.n / s.row
}

// cursor stands at one run: at[k] is where it begins in input k.
type cursor struct {
	at    [3]int
	index [tensor.MaxRank]int
}

// seek returns the cursor at run r.
func (s *strided) seek(r int) (c cursor) {
	for d := len(s.dims) - 1; d >= 0; d-- {
		c.index[d] = r % s.dims[d]
		r /= s.dims[d]
		for k := range s.outer {
			c.at[k] += c.index[d] * s.outer[k][d]
		}
	}
	return c
}

// next moves to the following run.
func (s *strided) next(c *cursor) {
	for d := len(s.dims) - 1; d >= 0; d-- {
		c.index[d]++
		for k := range s.outer {
			c.at[k] += s.outer[k][d]
		}
		if c.index[d] < s.dims[d] {
			return
		}
		c.index[d] = 0
		for k := range s.outer {
			c.at[k] -= s.dims[d] * s.outer[k][d]
		}
	}
}

// mapRows applies f to runs of input 0.
func mapRows[S, D number](c *op.Call, f func(y []D, x []S)) op.Run {
	x, y := newView[S](c, c.In[0]), newView[D](c, c.Out[0])
	var in []S
	var out []D
	body := func(lo, hi int) { f(out[lo:hi], in[lo:hi]) }
	n := c.In[0].Len()
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(n, grain, body)
		y.put()
		return nil
	}
}

// mapped makes the function of runs from the function of one element.
func mapped[S, D number](f func(S) D) func(y []D, x []S) {
	return func(y []D, x []S) {
		y = y[:len(x)]
		for i, v := range x {
			y[i] = f(v)
		}
	}
}

// kernel is a function of two arguments for runs of elements.
type kernel[S, D number] struct {
	f func(a, b S) D // the definition
	// Loops of their own for runs along which both inputs advance, or one of them; nil: loops around f.
	vv func(y []D, a, b []S)
	vs func(y []D, a []S, b S)
	sv func(y []D, a S, b []S)
	// after bounds the result of a run; may be nil.
	after func(y []D)
}

// run computes y from the inputs' elements 0, sa, 2*sa ... and 0, sb, 2*sb ...
func (k *kernel[S, D]) run(y []D, a []S, sa int, b []S, sb int) {
	switch {
	case sa == 1 && sb == 1:
		a, b = a[:len(y)], b[:len(y)]
		if k.vv != nil {
			k.vv(y, a, b)
			break
		}
		for i := range y {
			y[i] = k.f(a[i], b[i])
		}
	case sa == 1 && sb == 0:
		a = a[:len(y)]
		if k.vs != nil {
			k.vs(y, a, b[0])
			break
		}
		v := b[0]
		for i := range y {
			y[i] = k.f(a[i], v)
		}
	case sa == 0 && sb == 1:
		b = b[:len(y)]
		if k.sv != nil {
			k.sv(y, a[0], b)
			break
		}
		v := a[0]
		for i := range y {
			y[i] = k.f(v, b[i])
		}
	default:
		i, j := 0, 0
		for o := range y {
			y[o] = k.f(a[i], b[j])
			i += sa
			j += sb
		}
	}
	if k.after != nil {
		k.after(y)
	}
}

// binary applies a kernel to inputs that are broadcast to the output's shape.
type binary[S, D number] struct {
	kernel     kernel[S, D]
	walk       *strided
	a, b       []S
	y          []D
	rows, flat func(lo, hi int)
	// tiled, where it is set, takes the place of a short input that repeats along the output, more often; source is that input.
	tiled  []S
	source *[]S
}

func newBinary[S, D number](k kernel[S, D], out, a, b tensor.Shape) *binary[S, D] {
	w := newStrided(out, a, b)
	p := &binary[S, D]{kernel: k, walk: w}
	sa, sb := w.step[0], w.step[1]
	p.rows = func(lo, hi int) {
		at := w.seek(lo)
		for r := lo; r < hi; r++ {
			p.kernel.run(p.y[r*w.row:(r+1)*w.row], p.a[at.at[0]:], sa, p.b[at.at[1]:], sb)
			w.next(&at)
		}
	}
	// One run is cut up, so that what a second pass over it reads is still in cache.
	const block = 4096
	p.flat = func(lo, hi int) {
		for ; lo < hi; lo += block {
			p.kernel.run(p.y[lo:min(lo+block, hi)], p.a[lo*sa:], sa, p.b[lo*sb:], sb)
		}
	}
	for k, in := range []*[]S{&p.a, &p.b} {
		whole := []tensor.Shape{b, a}[k].Len() == out.Len()
		if whole && w.row < chainPeriod && len(w.dims) > 0 && w.step[k] == 1 && !slices.ContainsFunc(w.outer[k], func(step int) bool { return step != 0 }) {
			p.source, p.tiled = in, make([]S, w.row*(1+chainPeriod/w.row))
			p.flat = p.repeated
		}
	}
	return p
}

// repeated computes a part of the output where an input is tiled.
func (p *binary[S, D]) repeated(lo, hi int) {
	for lo < hi {
		at := lo % p.walk.row
		n := min(len(p.tiled)-at, hi-lo)
		if y := p.y[lo : lo+n]; p.source == &p.a {
			p.kernel.run(y, p.tiled[at:], 1, p.b[lo:], 1)
		} else {
			p.kernel.run(y, p.a[lo:], 1, p.tiled[at:], 1)
		}
		lo += n
	}
}

// run computes y, which may be the same memory as an input of its shape.
func (p *binary[S, D]) run(par op.Par, y []D, a, b []S) {
	p.y, p.a, p.b = y, a, b
	switch rows := p.walk.rows(); {
	case rows == 0:
	case p.tiled != nil:
		for n := copy(p.tiled, (*p.source)[:p.walk.row]); n < len(p.tiled); n *= 2 {
			copy(p.tiled[n:], p.tiled[:n])
		}
		par.For(p.walk.n, grain, p.flat)
	case rows == 1:
		par.For(p.walk.n, grain, p.flat)
	default:
		par.For(rows, 1+grain/p.walk.row, p.rows)
	}
}

// runBinary is the work of an operator with two inputs.
func runBinary[S, D number](c *op.Call, k kernel[S, D]) (op.Run, error) {
	p := newBinary(k, c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	a, b, y := newView[S](c, c.In[0]), newView[S](c, c.In[1]), newView[D](c, c.Out[0])
	return func() error {
		p.run(c.Par, y.room(), a.get(), b.get())
		y.put()
		return nil
	}, nil
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

func (l lines) count() int { return l.outer * l.inner }

// start is where line k begins.
func (l lines) start(k int) int { return k/l.inner*l.n*l.inner + k%l.inner }

// runLines calls f for each line; elements of a line are step apart, and both slices end with it.
func runLines[T float](c *op.Call, l lines, f func(y, x []T, step int)) op.Run {
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for k := lo; k < hi; k++ {
			at := l.start(k)
			end := at + (l.n-1)*l.inner + 1
			f(out[at:end], in[at:end], l.inner)
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
