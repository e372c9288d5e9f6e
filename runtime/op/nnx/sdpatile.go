package nnx

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// sdpaTiles computes attention in FP32 in rows of the kernel table, some queries of one head at a time, with the same bytes as sdpa.row. Scores
// stand with a row for each key, so that the queries of a softmax lie side by side.
type sdpaTiles struct {
	*sdpa[float32]
	row    *spec.Row
	kernel func(*spec.GemmArgs)
	most   int // queries of a tile
	blocks int // tiles of a head
	shares []sdpaShare
	body   func(lo, hi int)
}

// sdpaShare is what one share of the tiles needs.
type sdpaShare struct {
	elem.Tile
	args           spec.GemmArgs
	factor         [2]float32 // scale and softcap
	queries        []float32  // in panels
	values         []float32  // in panels
	scores, turned []float32
	bias           []float32 // a row for each key; nil: nothing is added
	at             [3]int    // batch, head and block that bias holds
	keys           int       // rows of bias
}

// newSDPATiles prepares the buffers; a is ready but for what each run sets.
func newSDPATiles(c *op.Call, a *sdpa[float32]) *sdpaTiles {
	t := &sdpaTiles{sdpa: a}
	t.row = c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
	t.kernel = t.row.Func.(func(*spec.GemmArgs))
	nr := t.row.NR
	t.most = min(a.qLen, max(nr, min(240, 1<<15/max(1, a.kvLen)/nr*nr)))
	macs := a.batch * a.heads * a.qLen * a.kvLen * (a.dk + a.dv)
	c.Executes(t.row, macs)
	shares := op.Shares(c.Par, 4*c.Par.Threads(), macs/32+a.batch*a.heads*a.qLen*a.kvLen*2)
	if pairs := a.batch * a.heads; shares > pairs { // the heads are few, so their queries are shared too
		wanted := (shares + pairs - 1) / pairs
		t.most = min(t.most, ((a.qLen+wanted-1)/wanted+15)&^15)
	}
	t.blocks = (a.qLen + t.most - 1) / max(1, t.most)
	items := a.batch * t.blocks * a.heads
	t.shares = make([]sdpaShare, max(1, min(shares, items)))
	panels := func(k, n int) int { return (n + nr - 1) / nr * nr * k }
	masked := t.masked()
	for i := range t.shares {
		s := &t.shares[i]
		s.Tile = elem.NewTile(c, a.kvLen, t.most)
		s.queries, s.values = op.Make[float32](c, panels(a.dk, t.most)), op.Make[float32](c, panels(a.kvLen, a.dv))
		s.scores, s.turned = op.Make[float32](c, a.kvLen*t.most), op.Make[float32](c, a.kvLen*t.most)
		if masked {
			s.bias = op.Make[float32](c, a.kvLen*t.most)
		}
		s.factor = [2]float32{a.scale, a.softcap}
	}
	t.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			s := &t.shares[i]
			s.at[0] = -1
			for k := i * items / len(t.shares); k < (i+1)*items/len(t.shares); k++ {
				b, block, h := k/a.heads/t.blocks, k/a.heads%t.blocks, k%a.heads
				t.tile(s, b, h, block)
			}
		}
	}
	return t
}

// masked reports whether anything may be added to scores.
func (t *sdpaTiles) masked() bool {
	return t.causal || t.left >= 0 || t.right >= 0 || t.bias.on || t.more.on
}

func (t *sdpaTiles) run() { t.par.For(len(t.shares), 1, t.body) }

// tile computes a block of queries of head h.
func (t *sdpaTiles) tile(s *sdpaShare, b, h, block int) {
	first := block * t.most
	n := min(t.most, t.qLen-first)
	keys := max(0, min(t.kvLen, t.limit[b]))
	if t.causal {
		keys = max(0, min(keys, first+n+t.offset[b]))
	}
	hk := h / (t.heads / t.kvHeads)
	if !t.packValues(s, b, hk, keys) || keys == 0 {
		for i := first; i < first+n; i++ {
			t.sdpa.row(b, h, i)
		}
		return
	}
	s.N, s.Cols, s.Step = keys, n, t.most
	s.turned, s.scores = s.turned[:cap(s.turned)], s.scores[:cap(s.scores)]
	t.packQueries(s, b, h, first, n)
	t.multiply(s, t.k[t.kAt.at(b, hk, 0):], t.kAt.step, keys, t.dk, s.queries, s.scores, s.Step, n)
	t.soften(s, b, h, block)
	elem.Turn(s.turned, s.scores, keys, n, s.Step, keys)
	t.multiply(s, s.turned, keys, n, keys, s.values, t.y[t.yAt.at(b, h, first):], t.yAt.step, t.dv)
}

// packQueries brings n queries from first on into panels, a column for each.
func (t *sdpaTiles) packQueries(s *sdpaShare, b, h, first, n int) {
	nr := t.row.NR
	if n%nr != 0 {
		clear(s.queries)
	}
	for i := 0; i < n; i += nr {
		elem.Turn(s.queries[i*t.dk:], t.q[t.qAt.at(b, h, first+i):], min(nr, n-i), t.dk, t.qAt.step, nr)
	}
}

// packValues brings the values of some keys into panels; false where one of them might be no finite number, which must not meet the zero of a key
// that is not seen.
func (t *sdpaTiles) packValues(s *sdpaShare, b, h, keys int) bool {
	nr := t.row.NR
	used := (t.dv + nr - 1) / nr * nr * keys
	if used == 0 {
		return true
	}
	for j := range keys {
		at := t.vAt.at(b, h, j)
		row := t.v[at : at+t.dv]
		for c := 0; c < t.dv; c += nr {
			copy(s.values[c*keys+j*nr:][:nr], row[c:])
		}
	}
	return finite(s, s.values[:used])
}

// finite reports whether the squares of x have a finite sum.
func finite(s *sdpaShare, x []float32) bool {
	sum := s.SquareLanes(x)
	return sum-sum == 0
}

// multiply computes rows of A, which lie step elements apart, by k rows of n columns in panels.
func (t *sdpaTiles) multiply(s *sdpaShare, a []float32, step, rows, k int, panels, c []float32, cstep, n int) {
	if rows == 0 || n == 0 {
		return
	}
	if len(a) < (rows-1)*step+k || len(c) < (rows-1)*cstep+n {
		panic("BUG: an operand of attention is short")
	}
	mr, nr := t.row.MR, t.row.NR
	g := &s.args
	*g = spec.GemmArgs{AStride: 4 * step, Taps: 1, K: k, CStride: cstep, Lo: -inf[float32](), Hi: inf[float32]()}
	for j := 0; j < n; j += nr {
		g.Cols = min(nr, n-j)
		if k > 0 {
			g.B = unsafe.Pointer(&panels[j*k])
		}
		for r := 0; r < rows; r += mr {
			g.Rows, g.C = min(mr, rows-r), unsafe.Pointer(&c[r*cstep+j])
			if k > 0 {
				g.A = unsafe.Pointer(&a[r*step])
			}
			t.kernel(g)
		}
	}
}

// soften turns products into weights.
func (t *sdpaTiles) soften(s *sdpaShare, b, h, block int) {
	for j := range s.N {
		r := s.Row(s.scores, j)
		s.Mul(r, r, s.factor[:1], 0)
		if t.softcap > 0 {
			s.Div(r, r, s.factor[1:], 0)
			s.Tanh(r, r)
			s.Mul(r, r, s.factor[1:], 0)
		}
	}
	t.addBias(s, b, h, block)
	m := s.Max(s.scores)
	none, sink := -inf[float32](), -inf[float32]()
	switch {
	case t.sinks != nil:
		sink = t.sinks[h]
	case t.smooth:
		sink = 0
	}
	for i, v := range m {
		if m[i] = max(v, sink); m[i] == none { // all weights are 0
			m[i] = 0
		}
	}
	for j := range s.N {
		r := s.Row(s.scores, j)
		s.Sub(r, r, m, 1)
		s.Exp(r, r)
	}
	total := s.Sum(s.scores)
	for i, v := range total {
		if sink != none {
			v += t.exp(sink - m[i])
		}
		if v == 0 {
			v = 1
		}
		total[i] = v
	}
	for j := range s.N {
		r := s.Row(s.scores, j)
		s.Div(r, r, total, 1)
	}
}

// addBias adds what masks say. Keys that are not seen get -Inf, whatever their scores are.
func (t *sdpaTiles) addBias(s *sdpaShare, b, h, block int) {
	if s.bias == nil {
		return
	}
	of := [3]int{b, 0, block}
	if t.bias.head != 0 || t.more.head != 0 {
		of[1] = h
	}
	if of != s.at || s.keys != s.N {
		s.at, s.keys = of, s.N
		for i := range s.Cols {
			for j := range s.N {
				s.bias[j*s.Step+i] = t.biasOf(b, h, block*t.most+i, j)
			}
		}
	}
	// Sums of -Inf and a finite number need no look at each.
	plain := finite(s, s.scores[:(s.N-1)*s.Step+s.Cols])
	none := -inf[float32]()
	for j := range s.N {
		r, add := s.Row(s.scores, j), s.Row(s.bias, j)
		if plain {
			s.Add(r, r, add, 1)
			continue
		}
		for i, v := range add {
			if v == none {
				r[i] = none
			} else if v != 0 {
				r[i] += v
			}
		}
	}
}
