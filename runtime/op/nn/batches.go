package nn

import (
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// batched are the products of some matrices, one after the other.
type batched[A, B operand, C accum] struct {
	*matrices
	par   op.Par
	p     *product[A, B, C]
	batch int    // the current one
	pack  func() // brings its B into panels; nil where all share a constant one
}

// matProducts returns the work of one run: a product per batch. Where all batches share a constant w it is packed once. set
// fills the epilogue, which finds the current batch by its argument.
//
// Threads share the batches where these are enough and small, else each product.
func matProducts[A, B operand, C accum](c *op.Call, x *matrices, row *spec.Row, w *source[B], src func() []A, set func(batch func() int, p *product[A, B, C])) func() {
	if !x.sameB() {
		w.constant = nil
	}
	var now values[B]
	first := newBatched(c, c.Par, x, row, w, &now, src, set)
	c.Executes(row, x.batch*x.m*x.k*x.n)
	shares := 1
	if threads := c.Par.Threads(); x.batch >= threads && len(first.p.lanes) < threads {
		shares = op.Shares(c.Par, threads, int(min(float64(x.batch)*first.p.work(), 1e9)))
	}
	list := []*batched[A, B, C]{first}
	if shares > 1 {
		list = list[:0]
		for range shares {
			list = append(list, newBatched(c, op.Serial{}, x, row, w, &now, src, set))
		}
	}
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			list[i].run(i*x.batch/shares, (i+1)*x.batch/shares)
		}
	}
	return func() {
		if w.constant == nil {
			now.load(w)
		}
		if shares == 1 {
			first.run(0, x.batch)
			return
		}
		c.Par.For(shares, 1, body)
	}
}

// values are a source's elements in one run: as they are, or behind a function.
type values[B operand] struct {
	plain   []B
	element func(i, o int) B
}

func (v *values[B]) load(w *source[B]) {
	if w.plain != nil {
		v.plain = w.plain()
		return
	}
	v.element = w.load()
}

func newBatched[A, B operand, C accum](c *op.Call, par op.Par, x *matrices, row *spec.Row, w *source[B], now *values[B], src func() []A, set func(batch func() int, p *product[A, B, C])) *batched[A, B, C] {
	b := &batched[A, B, C]{matrices: x, par: par}
	e := newEngine[A, B, C](par, row, x.m, 1, x.k, x.n)
	index := func(k, j int) int { return x.bOff[b.batch] + x.bAt(k, j) }
	if w.constant != nil {
		attach(c, e, w, x.kind(), index, func(j int) int { return j })
	} else {
		e.take(w)
		e.b = op.Make[B](c, e.panels())
		at := func(k, j int) B { return now.element(index(k, j), j) }
		body := func(lo, hi int) {
			switch {
			case now.plain == nil:
				e.packPanels(e.b, at, lo, hi)
			case row.KR == 1 && !x.bT:
				e.packRows(e.b, now.plain[x.bOff[b.batch]:], lo, hi)
			default:
				e.packPlain(e.b, now.plain, index, lo, hi)
			}
		}
		panels := ceil(x.n, row.NR)
		grain := op.Grain(panels, x.k*x.n) // about 1 ns each
		b.pack = func() { par.For(panels, grain, body) }
	}
	b.p = &product[A, B, C]{engine: e, src: func() []A { return rest(src(), x.aOff[b.batch]) }, step: x.k}
	if x.aT {
		b.p.gather = func(dst []A, r0, rows int) {
			a := rest(src(), x.aOff[b.batch])
			for i := range rows {
				for k := range x.k {
					dst[i*x.k+k] = a[k*x.m+r0+i]
				}
			}
		}
	}
	set(func() int { return b.batch }, b.p)
	b.p.ready(c)
	return b
}

// run computes batches from to to-1.
func (b *batched[A, B, C]) run(from, to int) {
	for b.batch = from; b.batch < to; b.batch++ {
		if b.pack != nil && (b.batch == from || b.bOff[b.batch] != b.bOff[b.batch-1]) {
			b.pack()
		}
		b.p.first = b.batch * b.m * b.n
		b.p.run(b.par)
	}
}
