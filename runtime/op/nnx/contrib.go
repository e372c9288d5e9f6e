package nnx

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// contribOps are attention layers of the com.microsoft domain. DynamicQuantizeLSTM's weights count as the reals that
// they stand for; its inputs are not quantised.
var contribOps = map[string]op.Op{
	"com.microsoft.Attention":               {Infer: inferMSAttention, Prepare: byFirst(prepareMSAttention[float32], prepareMSAttention[float64])},
	"com.microsoft.QAttention":              {Infer: inferMSAttention, Prepare: prepareMSAttention[float32], Traits: op.PlainIntegers},
	"com.microsoft.MultiHeadAttention":      {Infer: inferMHA, Prepare: byFirst(prepareMHA[float32], prepareMHA[float64])},
	"com.microsoft.GroupQueryAttention":     {Infer: inferGQA, Prepare: byFirst(prepareGQA[float32], prepareGQA[float64])},
	"com.microsoft.EmbedLayerNormalization": {Infer: inferEmbed, Prepare: prepareEmbed},
	"com.microsoft.DynamicQuantizeLSTM":     {Infer: inferQuantLSTM, Prepare: prepareQuantLSTM, Traits: op.PlainIntegers},
}

func byFirst(f32, f64 func(*op.Call) (op.Run, error)) func(*op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) { return byType(c, c.In[0].DType, f32, f64) }
}

// dense is attention over queries, keys and values that Run gathers into [batch, heads, steps, size].
type dense[T float] struct {
	sdpa[T]
}

// newDense prepares the shapes; y is laid out as [batch, qLen, heads*dv].
func newDense[T float](c *op.Call, batch, heads, kvHeads, qLen, kvLen, dk, dv int) (*dense[T], error) {
	d := &dense[T]{sdpa: sdpa[T]{batch: batch, heads: heads, kvHeads: kvHeads, qLen: qLen, kvLen: kvLen, dk: dk, dv: dv,
		scale: defaultScale[T](c, dk), left: -1, right: -1}}
	if err := d.prepare(c); err != nil {
		return nil, err
	}
	d.qAt, d.kAt, d.vAt = stacked(heads, qLen, dk), stacked(kvHeads, kvLen, dk), stacked(kvHeads, kvLen, dv)
	d.yAt = split(qLen, dv, heads*dv)
	d.q, d.k, d.v = op.Make[T](c, batch*heads*qLen*dk), op.Make[T](c, batch*kvHeads*kvLen*dk), op.Make[T](c, batch*kvHeads*kvLen*dv)
	return d, nil
}

// keyMask reads a mask of keys by its shape: [batch] counts the keys that are seen, [2*batch] gives their ends and then
// their beginnings, all else is zero where a key is not seen: [batch, keys], [batch, queries, keys] or, of rank 4, a
// square of at least past+queries rows. filter is added to scores of keys that are not seen.
func (d *dense[T]) keyMask(c *op.Call, i, past int, filter T) (func(), error) {
	t := c.Input(i)
	if t == nil {
		return func() {}, nil
	}
	idx, err := newIndices(c, i, -1)
	if err != nil {
		return nil, err
	}
	rows, n := 1, t.Len()
	var see func(b, q, k int) bool
	switch s := t.Shape; {
	case len(s) == 1 && n == d.batch:
		see = func(b, _, k int) bool { return k < idx.at(b) }
	case len(s) == 1 && n == 2*d.batch:
		see = func(b, _, k int) bool { return k < idx.at(b) && k >= idx.at(d.batch+b) }
	case len(s) == 1 && n == 3*d.batch+2:
		see = func(b, _, k int) bool { return k < idx.at(b) }
	case len(s) == 2 && s[0] == d.batch && s[1] == d.kvLen:
		see = func(b, _, k int) bool { return idx.at(b*d.kvLen+k) != 0 }
	case len(s) == 3 && s[0] == d.batch && s[1] == d.qLen && s[2] == d.kvLen:
		rows = d.qLen
		see = func(b, q, k int) bool { return idx.at((b*d.qLen+q)*d.kvLen+k) != 0 }
	case len(s) == 4 && s[0] == d.batch && s[1] == 1 && s[2] == s[3] && s[2] >= d.kvLen && s[2] >= past+d.qLen:
		rows = d.qLen
		see = func(b, q, k int) bool { return idx.at((b*s[2]+past+q)*s[2]+k) != 0 }
	default:
		return nil, c.Errorf("mask of shape %v for %d batches, %d queries and %d keys", s, d.batch, d.qLen, d.kvLen)
	}
	m := &d.bias
	m.on, m.length, m.add = true, d.kvLen, op.Make[T](c, d.batch*rows*d.kvLen)
	m.batch, m.key = rows*d.kvLen, 1
	if rows > 1 {
		m.query = d.kvLen
	}
	return func() {
		for b := range d.batch {
			for q := range rows {
				row := m.add[(b*rows+q)*d.kvLen:][:d.kvLen]
				for k := range row {
					row[k] = filter
					if see(b, q, k) {
						row[k] = 0
					}
				}
			}
		}
	}, nil
}

// scoreBias reads a bias of scores.
func (d *dense[T]) scoreBias(c *op.Call, i int) (func(), error) {
	t := input(c, i)
	if t == nil {
		return func() {}, nil
	}
	s, err := newSource[T](c, i, -1)
	if err != nil {
		return nil, err
	}
	if err := d.more.place(c, t.Shape, d.batch, d.heads, d.qLen, d.kvLen); err != nil {
		return nil, err
	}
	return func() { d.more.add = s.get() }, nil
}

func filterOf[T float](c *op.Call) T { return T(c.Attrs.Float("mask_filter_value", -10000)) }

// --- Attention and QAttention: projection, then attention ---

// msInputs says where inputs stand; -1 where the operator has none.
type msInputs struct{ bias, mask, past, scoreBias, pastLen int }

func msAt(c *op.Call) msInputs {
	if c.Op == "com.microsoft.QAttention" {
		return msInputs{2, 5, 8, -1, -1}
	}
	return msInputs{2, 3, 4, 5, 6}
}

// msSizes are the widths of projected queries (and keys) and of values.
func msSizes(c *op.Call) (heads, qk, v int, err error) {
	if heads = c.Attrs.Int("num_heads", 0); heads < 1 {
		return 0, 0, 0, c.Errorf("num_heads %d", heads)
	}
	width := extent(c.In[1], 1)
	qk, v = width, width
	if s := c.Attrs.Ints("qkv_hidden_sizes"); len(s) == 3 {
		if qk, v = s[0], s[2]; s[0] != s[1] || width >= 0 && s[0]+s[1]+s[2] != width {
			return 0, 0, 0, c.Errorf("qkv_hidden_sizes %v of %d", s, width)
		}
	} else if width >= 0 {
		if width%3 != 0 {
			return 0, 0, 0, c.Errorf("weights %v are not three alike", c.In[1].Shape)
		}
		qk, v = width/3, width/3
	}
	if qk >= 0 && qk%heads != 0 || v >= 0 && v%heads != 0 {
		return 0, 0, 0, c.Errorf("widths of %d and %d do not divide by %d heads", qk, v, heads)
	}
	return heads, qk, v, nil
}

func inferMSAttention(c *op.Call) error {
	at := msAt(c)
	n := 2
	if c.Op == "com.microsoft.QAttention" {
		n = 5
	}
	if err := c.Need(n); err != nil {
		return err
	}
	x, w := c.In[0], c.In[1]
	if x.Shape != nil && len(x.Shape) != 3 || w.Shape != nil && len(w.Shape) != 2 {
		return c.Errorf("input %v and weights %v, want rank 3 and 2", x.Shape, w.Shape)
	}
	if a, b := extent(x, 2), extent(w, 0); a >= 0 && b >= 0 && a != b {
		return c.Errorf("weights %v do not fit input %v", w.Shape, x.Shape)
	}
	heads, qk, v, err := msSizes(c)
	if err != nil {
		return err
	}
	if c.Attrs.Bool("past_present_share_buffer", false) || c.Attrs.Bool("do_rotary", false) || input(c, at.pastLen) != nil {
		return c.Errorf("shared buffers and rotary embedding are not supported")
	}
	d := x.DType
	if n == 5 {
		d = c.In[3].DType
	}
	past := 0
	if p := c.Input(at.past); p != nil {
		past = extent(p, 3)
	}
	c.Set(0, d, tensor.Shape{extent(x, 0), extent(x, 1), v})
	size := qk
	if qk >= 0 {
		size = qk / heads
	}
	c.Set(1, d, tensor.Shape{2, extent(x, 0), heads, plus(past, extent(x, 1)), size})
	return nil
}

func prepareMSAttention[T float](c *op.Call) (op.Run, error) {
	at := msAt(c)
	heads, qk, v, err := msSizes(c)
	if err != nil {
		return nil, err
	}
	batch, steps := c.In[0].Shape[0], c.In[0].Shape[1]
	past := 0
	if p := c.Input(at.past); p != nil {
		if len(p.Shape) != 5 || p.Shape[0] != 2 || p.Shape[1] != batch || p.Shape[2] != heads || p.Shape[4] != qk/heads || qk != v {
			return nil, c.Errorf("past of shape %v", p.Shape)
		}
		past = p.Shape[3]
	} else if c.Output(1) != nil && qk != v {
		return nil, c.Errorf("present keys and values of widths %d and %d", qk, v)
	}
	total, width := past+steps, 2*qk+v
	d, err := newDense[T](c, batch, heads, heads, steps, total, qk/heads, v/heads)
	if err != nil {
		return nil, err
	}
	d.causal = c.Attrs.Bool("unidirectional", false)
	for b := range d.offset {
		d.offset[b] = past
	}
	project, err := projection[T](c, at.bias, batch*steps, width)
	if err != nil {
		return nil, err
	}
	mask, err := d.keyMask(c, at.mask, past, filterOf[T](c))
	if err != nil {
		return nil, err
	}
	bias, err := d.scoreBias(c, at.scoreBias)
	if err != nil {
		return nil, err
	}
	before, err := newSource[T](c, at.past, -1)
	if err != nil {
		return nil, err
	}
	d.finish(c)
	y, present := newTarget[T](c, 0, batch*steps*v), newTarget[T](c, 1, 0)
	qkv := op.Make[T](c, batch*steps*width)
	return func() error {
		project(qkv)
		mask()
		bias()
		d.y = y.get()
		old := before.get()
		var oldV []T
		if old != nil {
			oldV = old[len(old)/2:]
		}
		for b := range batch {
			q := joint[T]{d.qAt, heads, d.dk}
			k := joint[T]{d.kAt, heads, d.dk}
			w := joint[T]{d.vAt, heads, d.dv}
			q.copy(d.q, b, 0, qkv, split(steps, d.dk, width), steps, nil)
			k.copy(d.k, b, 0, old, stacked(heads, past, d.dk), past, nil)
			w.copy(d.v, b, 0, oldV, stacked(heads, past, d.dv), past, nil)
			k.copy(d.k, b, past, qkv, split(steps, d.dk, width).from(qk), steps, nil)
			w.copy(d.v, b, past, qkv, split(steps, d.dv, width).from(2*qk), steps, nil)
		}
		if present.t != nil {
			p := present.get()
			copy(p, d.k)
			copy(p[len(d.k):], d.v)
			present.put()
		}
		d.run()
		y.put()
		return nil
	}, nil
}

// projection prepares out = x*w + bias for rows of x. Integers (QAttention) are multiplied exactly.
func projection[T float](c *op.Call, bias, rows, width int) (func(out []T), error) {
	b, err := newSource[T](c, bias, width)
	if err != nil {
		return nil, err
	}
	in := c.In[1].Shape[0]
	if c.Op == "com.microsoft.QAttention" {
		return integerProjection(c, b, rows, in, width)
	}
	x, err := newSource[T](c, 0, rows*in)
	if err != nil {
		return nil, err
	}
	w, err := newSource[T](c, 1, in*width)
	if err != nil {
		return nil, err
	}
	if b, ok := any(b).(*source[float32]); ok {
		m, x := newTurned(c, any(w).(*source[float32]), width, in, rows), any(x).(*source[float32])
		return func(out []T) {
			m.ready()
			m.mulAll(any(out).([]float32), b.get(), x.get(), rows)
		}, nil
	}
	ar := arithOf[T]()
	var xs, ws, start, y []T
	zeros := make([]T, width)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := y[r*width : (r+1)*width]
			copy(row, start)
			for k, v := range xs[r*in : (r+1)*in] {
				ar.axpy(row, v, ws[k*width:(k+1)*width])
			}
		}
	}
	return func(out []T) {
		xs, ws, start, y = x.get(), w.get(), b.get(), out
		if start == nil {
			start = zeros
		}
		c.Par.For(rows, 1, body)
	}, nil
}

func integerProjection[T float](c *op.Call, bias *source[T], rows, in, width int) (func(out []T), error) {
	for i := range 2 {
		if err := c.Want(i, tensor.I8, tensor.U8); err != nil {
			return nil, err
		}
	}
	sx, err := newSource[T](c, 3, 1)
	if err != nil {
		return nil, err
	}
	sw, err := newSource[T](c, 4, -1)
	if err != nil {
		return nil, err
	}
	for i, n := range map[int]int{4: width, 6: 1, 7: width} {
		t := c.Input(i)
		if t == nil {
			continue
		}
		if t.Len() != 1 && t.Len() != n {
			return nil, c.Errorf("input %d has shape %v, want 1 or %d elements", i, t.Shape, n)
		}
		if i > 5 {
			if err := c.Want(i, c.In[i-6].DType); err != nil {
				return nil, err
			}
		}
	}
	byteAt := func(t *tensor.Tensor, i int) int32 {
		if t.DType == tensor.I8 {
			return int32(int8(t.Data[i]))
		}
		return int32(t.Data[i])
	}
	acc := make([]int32, width)
	return func(out []T) {
		x, w, zx, zw := c.In[0], c.In[1], int32(0), c.Input(7)
		if t := c.Input(6); t != nil {
			zx = byteAt(t, 0)
		}
		sx, sw, start := sx.get(), sw.get(), bias.get()
		for r := range rows {
			clear(acc)
			for k := range in {
				v := byteAt(x, r*in+k) - zx
				for j := range acc {
					z := int32(0)
					if zw != nil {
						z = byteAt(zw, min(j, zw.Len()-1))
					}
					acc[j] += v * (byteAt(w, k*width+j) - z)
				}
			}
			for j, a := range acc {
				v := T(T(a) * T(sx[0]*sw[min(j, len(sw)-1)]))
				if start != nil {
					v += start[j]
				}
				out[r*width+j] = v
			}
		}
	}, nil
}

// --- MultiHeadAttention ---

// mhaDims are the extents and places of queries, keys and values.
type mhaDims struct {
	batch, heads, qLen, kvLen, past, dk, dv int
	qAt, kAt, vAt                           rowsAt
	kIn, vIn                                int // their inputs
	kvBias                                  bool
}

func mhaShape(c *op.Call) (*mhaDims, error) {
	if err := c.Need(1); err != nil {
		return nil, err
	}
	d := &mhaDims{heads: c.Attrs.Int("num_heads", 0), batch: -1, qLen: -1, kvLen: -1, dk: -1, dv: -1, kIn: 1, vIn: 2, kvBias: true}
	if d.heads < 1 {
		return nil, c.Errorf("num_heads %d", d.heads)
	}
	q, k, v := c.In[0], c.Input(1), c.Input(2)
	if p := c.Input(6); p != nil {
		d.past = extent(p, 2)
	}
	if q.Shape == nil || k != nil && k.Shape == nil || v != nil && v.Shape == nil {
		return d, nil
	}
	d.batch, d.qLen = extent(q, 0), extent(q, 1)
	var err error
	switch {
	case len(q.Shape) == 5 && k == nil && v == nil && (q.Shape[2] < 0 || q.Shape[2] == d.heads) && (q.Shape[3] < 0 || q.Shape[3] == 3):
		d.kvLen, d.dk, d.dv = d.qLen, q.Shape[4], q.Shape[4]
		d.kIn, d.vIn = 0, 0
		d.qAt = rowsAt{0, d.qLen * d.heads * 3 * d.dk, 3 * d.dk, d.heads * 3 * d.dk}
		d.kAt, d.vAt = d.qAt.from(d.dk), d.qAt.from(2*d.dk)
		return d, nil
	case len(q.Shape) != 3 || k == nil:
		return nil, c.Errorf("queries %v and keys %v", q, k)
	}
	if d.dk, err = over(c, "query width", extent(q, 2), d.heads); err != nil {
		return nil, err
	}
	d.qAt = split(d.qLen, d.dk, d.heads*d.dk)
	switch {
	case len(k.Shape) == 5 && v == nil:
		d.kvLen, d.dv = k.Shape[1], d.dk
		d.vIn = 1
		d.kAt = rowsAt{0, d.kvLen * d.heads * 2 * d.dk, 2 * d.dk, d.heads * 2 * d.dk}
		d.vAt = d.kAt.from(d.dk)
	case v == nil:
		return nil, c.Errorf("values are missing")
	case len(k.Shape) == 4 && len(v.Shape) == 4:
		d.kvLen, d.dv, d.kvBias = k.Shape[2], v.Shape[3], false
		d.kAt, d.vAt = stacked(d.heads, d.kvLen, d.dk), stacked(d.heads, d.kvLen, d.dv)
	case len(k.Shape) == 3 && len(v.Shape) == 3:
		d.kvLen = k.Shape[1]
		if d.dv, err = over(c, "value width", extent(v, 2), d.heads); err != nil {
			return nil, err
		}
		d.kAt, d.vAt = split(d.kvLen, d.dk, d.heads*d.dk), split(d.kvLen, d.dv, d.heads*d.dv)
	default:
		return nil, c.Errorf("keys %v and values %v", k.Shape, v.Shape)
	}
	return d, nil
}

func inferMHA(c *op.Call) error {
	d, err := mhaShape(c)
	if err != nil {
		return err
	}
	if c.Input(8) != nil || c.Input(9) != nil {
		return c.Errorf("shared buffers and beams are not supported")
	}
	t, total := c.In[0].DType, plus(d.past, d.kvLen)
	c.Set(0, t, tensor.Shape{d.batch, d.qLen, times(d.heads, d.dv)})
	c.Set(1, t, tensor.Shape{d.batch, d.heads, total, d.dk})
	c.Set(2, t, tensor.Shape{d.batch, d.heads, total, d.dv})
	c.Set(3, t, tensor.Shape{d.batch, d.heads, d.qLen, total})
	return nil
}

func prepareMHA[T float](c *op.Call) (op.Run, error) {
	m, err := mhaShape(c)
	if err != nil {
		return nil, err
	}
	total := m.past + m.kvLen
	n, kn, vn := m.batch*m.qLen*m.heads*m.dk, m.batch*m.kvLen*m.heads*m.dk, m.batch*m.kvLen*m.heads*m.dv
	sizes := map[int]int{0: n, 1: kn, 2: vn}
	if m.kIn == 0 {
		sizes[0] = 3 * n
	} else if m.vIn == 1 {
		sizes[1] = kn + vn
	}
	src := map[int]*source[T]{}
	sizes[3], sizes[6], sizes[7] = m.heads*(2*m.dk+m.dv), m.batch*m.heads*m.past*m.dk, m.batch*m.heads*m.past*m.dv
	for _, i := range [6]int{0, 1, 2, 3, 6, 7} {
		if src[i], err = newSource[T](c, i, sizes[i]); err != nil {
			return nil, err
		}
	}
	d, err := newDense[T](c, m.batch, m.heads, m.heads, m.qLen, total, m.dk, m.dv)
	if err != nil {
		return nil, err
	}
	d.causal = c.Attrs.Bool("unidirectional", false)
	for b := range d.offset {
		d.offset[b] = total - m.qLen
	}
	mask, err := d.keyMask(c, 4, m.past, filterOf[T](c))
	if err != nil {
		return nil, err
	}
	add, err := d.scoreBias(c, 5)
	if err != nil {
		return nil, err
	}
	d.finish(c)
	y, pk, pv, qk := newTarget[T](c, 0, m.batch*m.qLen*m.heads*m.dv), newTarget[T](c, 1, 0), newTarget[T](c, 2, 0), newTarget[T](c, 3, 0)
	queries, keys, values, biases, pastK, pastV := src[0], src[m.kIn], src[m.vIn], src[3], src[6], src[7]
	return func() error {
		mask()
		add()
		var qb, kb, vb []T
		if b := biases.get(); b != nil {
			qb = b[:m.heads*m.dk]
			if m.kvBias {
				kb, vb = b[m.heads*m.dk:2*m.heads*m.dk], b[2*m.heads*m.dk:]
			}
		}
		q, k, v := joint[T]{d.qAt, m.heads, m.dk}, joint[T]{d.kAt, m.heads, m.dk}, joint[T]{d.vAt, m.heads, m.dv}
		qs, ks, vs, oldK, oldV := queries.get(), keys.get(), values.get(), pastK.get(), pastV.get()
		for b := range m.batch {
			q.copy(d.q, b, 0, qs, m.qAt, m.qLen, qb)
			k.copy(d.k, b, 0, oldK, stacked(m.heads, m.past, m.dk), m.past, nil)
			v.copy(d.v, b, 0, oldV, stacked(m.heads, m.past, m.dv), m.past, nil)
			k.copy(d.k, b, m.past, ks, m.kAt, m.kvLen, kb)
			v.copy(d.v, b, m.past, vs, m.vAt, m.kvLen, vb)
		}
		for i, p := range [2]*target[T]{pk, pv} {
			if p.t != nil {
				copy(p.get(), [2][]T{d.k, d.v}[i])
				p.put()
			}
		}
		d.y = y.get()
		if qk.t != nil {
			d.qk = qk.get()
		}
		d.run()
		y.put()
		qk.put()
		return nil
	}, nil
}
