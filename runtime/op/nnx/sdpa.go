package nnx

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// rowsAt says where the rows of a tensor of heads begin: first + batch*b + head*h + step*s.
type rowsAt struct{ first, batch, head, step int }

func (r rowsAt) at(b, h, s int) int { return r.first + b*r.batch + h*r.head + s*r.step }

// from is r in a tensor that begins with n other elements.
func (r rowsAt) from(n int) rowsAt {
	r.first = n
	return r
}

// split is the place of rows in [batch, heads, steps, size], packed in [batch, steps, heads*size] of width elements.
func split(steps, size, width int) rowsAt { return rowsAt{0, steps * width, size, width} }

// stacked is the place of rows in [batch, heads, steps, size].
func stacked(heads, steps, size int) rowsAt {
	return rowsAt{0, heads * steps * size, steps * size, size}
}

// sdpa is scaled dot-product attention over rows of queries, keys and values, wherever these lie:
//
//	score[j] = softcap(scale * q·k[j]) + bias[j]      y = Σ softmax(score)[j] * v[j]
//
// Keys that a query does not see have no part in it, whatever they hold; a query that sees none gives zeros.
type sdpa[T float] struct {
	arith[T]
	par                                        op.Par
	batch, heads, kvHeads, qLen, kvLen, dk, dv int
	scale, softcap                             T
	// A query i of batch b stands at position i + offset[b] and sees the keys below limit[b], none beyond its
	// position if causal is set, at most left before it and right behind it (-1: all).
	causal        bool
	left, right   int
	offset, limit []int
	qAt, kAt, vAt rowsAt
	yAt           rowsAt
	bias, more    mask[T]
	sinks         []T // one more score per head, whose share is lost
	smooth        bool
	q, k, v, y    []T
	scores        []T // a row per batch and head
	qk            []T // nil, or what stage says of all scores, [batch, heads, qLen, kvLen]
	stage         int // 0 scaled product, 1 softcapped, 2 with bias, 3 softmax
	body          func(lo, hi int)
	tiles         *sdpaTiles // nil: none for this type
}

// mask is a bias or a choice of keys, broadcast to [batch, heads, qLen, length]; keys from length on are not seen.
type mask[T float] struct {
	add                     []T
	see                     []bool
	batch, head, query, key int // strides
	length                  int
	on                      bool
	zero                    T // bias of keys that see leaves out; they are not seen at all where it is -Inf
}

// place sets the strides of a mask of the given shape, aligned to the right.
func (m *mask[T]) place(c *op.Call, shape tensor.Shape, batch, heads, qLen, kvLen int) error {
	if len(shape) == 0 || len(shape) > 4 {
		return c.Errorf("mask of shape %v", shape)
	}
	var full [4]int
	for i := range full {
		full[i] = 1
	}
	copy(full[4-len(shape):], shape)
	st := tensor.Shape(full[:]).Strides()
	for i, want := range [4]int{batch, heads, qLen, kvLen} {
		switch {
		case i == 3 && full[3] <= kvLen:
		case full[i] == 1:
			st[i] = 0
		case full[i] != want:
			return c.Errorf("mask of shape %v does not fit [%d,%d,%d,%d]", shape, batch, heads, qLen, kvLen)
		}
	}
	m.batch, m.head, m.query, m.key, m.length, m.on = st[0], st[1], st[2], st[3], full[3], true
	m.zero = -inf[T]()
	return nil
}

// prepare makes the buffers; shapes and options are set before.
func (a *sdpa[T]) prepare(c *op.Call) error {
	if a.kvHeads < 1 || a.heads%a.kvHeads != 0 {
		return c.Errorf("%d heads of queries do not divide by %d heads of keys", a.heads, a.kvHeads)
	}
	a.arith, a.par = arithOf[T](), c.Par
	n, err := tensor.Shape{a.batch, a.heads, a.kvLen}.Size()
	if err != nil {
		return c.Errorf("scores: %w", err)
	}
	a.scores = op.Make[T](c, n)
	a.offset, a.limit = make([]int, a.batch), make([]int, a.batch)
	for b := range a.limit {
		a.limit[b] = a.kvLen
	}
	a.body = func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for i := range a.qLen {
				a.row(r/a.heads, r%a.heads, i)
			}
		}
	}
	return nil
}

// finish makes tiles where these serve the type; all that Prepare sets is set.
func (a *sdpa[T]) finish(c *op.Call) {
	if f, ok := any(a).(*sdpa[float32]); ok {
		f.tiles = newSDPATiles(c, f)
	}
}

// run uses tiles, but for scores that somebody wants to see.
func (a *sdpa[T]) run() {
	if a.tiles != nil && a.qk == nil {
		a.tiles.run()
		return
	}
	a.par.For(a.batch*a.heads, 1, a.body)
}

func (a *sdpa[T]) row(b, h, i int) {
	hk := h / (a.heads / a.kvHeads)
	s := a.scores[(b*a.heads+h)*a.kvLen:][:a.kvLen]
	from := a.qAt.at(b, h, i)
	q := a.q[from : from+a.dk]
	var out []T
	if a.qk != nil {
		out = a.qk[((b*a.heads+h)*a.qLen+i)*a.kvLen:][:a.kvLen]
	}
	top, none := -inf[T](), -inf[T]()
	for j := range s {
		bias := a.biasOf(b, h, i, j)
		if bias == none && (out == nil || a.stage >= 2) {
			s[j] = none
			continue
		}
		k := a.kAt.at(b, hk, j)
		v := T(a.scale * a.dot(0, q, a.k[k:k+a.dk]))
		if out != nil && a.stage == 0 {
			out[j] = v
		}
		if a.softcap > 0 {
			v = T(a.softcap * a.tanh(v/a.softcap))
		}
		if out != nil && a.stage == 1 {
			out[j] = v
		}
		if bias == none {
			v = none
		} else if bias != 0 {
			v += bias
		}
		s[j] = v
		top = max(top, v)
	}
	if a.stage == 2 {
		copy(out, s)
	}
	sink := none
	switch {
	case a.sinks != nil:
		sink = a.sinks[h]
	case a.smooth:
		sink = 0
	}
	top = max(top, sink)
	to := a.yAt.at(b, h, i)
	y := a.y[to : to+a.dv]
	clear(y)
	if top == none {
		clear(s)
		if a.stage == 3 {
			copy(out, s)
		}
		return
	}
	for j, v := range s {
		if v == none {
			s[j] = 0
		} else {
			s[j] = a.exp(v - top)
		}
	}
	total := sum(s)
	if sink != none {
		total += a.exp(sink - top)
	}
	for j, v := range s {
		if v == 0 {
			continue
		}
		v /= total
		s[j] = v
		at := a.vAt.at(b, hk, j)
		a.axpy(y, v, a.v[at:at+a.dv])
	}
	if a.stage == 3 {
		copy(out, s)
	}
}

// biasOf is what is added to the score of key j for query i; -Inf if the query does not see it.
func (a *sdpa[T]) biasOf(b, h, i, j int) T {
	p := i + a.offset[b]
	if j >= a.limit[b] || a.causal && j > p || a.left >= 0 && j < p-a.left || a.right >= 0 && j > p+a.right {
		return -inf[T]()
	}
	return a.bias.of(b, h, i, j) + a.more.of(b, h, i, j)
}

func (m *mask[T]) of(b, h, i, j int) T {
	if !m.on {
		return 0
	}
	if j >= m.length {
		return -inf[T]()
	}
	at := b*m.batch + h*m.head + i*m.query + j*m.key
	if m.see == nil {
		return m.add[at]
	}
	if m.see[at] {
		return 0
	}
	return m.zero
}

// defaultScale is the scale that is meant where none is given: 1/sqrt(size of a head).
func defaultScale[T float](c *op.Call, dk int) T {
	if s := c.Attrs.Float("scale", 0); s != 0 {
		return T(s)
	}
	return T(1 / math.Sqrt(float64(dk)))
}
