package nnx

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// gqaDims are the extents of com.microsoft.GroupQueryAttention, -1 where unknown.
type gqaDims struct {
	batch, steps, heads, kvHeads, size int
	past                               int // room in the past buffers
	total                              int // value of total_sequence_length, -1 where unknown
	packed                             bool
}

// mostHeads bounds the attribute num_heads.
const mostHeads = 1 << 20

func gqaShape(c *op.Call) (*gqaDims, error) {
	if err := need(c, 0, 5, 6); err != nil {
		return nil, err
	}
	d := &gqaDims{heads: c.Attrs.Int("num_heads", 0), kvHeads: c.Attrs.Int("kv_num_heads", 0), packed: c.Input(1) == nil, total: -1}
	if d.heads < 1 || d.kvHeads < 1 || d.heads > mostHeads || d.heads%d.kvHeads != 0 {
		return nil, c.Errorf("%d heads of queries do not divide by %d heads of keys", d.heads, d.kvHeads)
	}
	q := c.In[0]
	if err := ranks(c, 3, 0, 1, 2); err != nil {
		return nil, err
	}
	if (c.Input(1) == nil) != (c.Input(2) == nil) || (c.Input(3) == nil) != (c.Input(4) == nil) {
		return nil, c.Errorf("keys and values come together")
	}
	d.batch, d.steps = extent(q, 0), extent(q, 1)
	heads := d.heads
	if d.packed {
		heads += 2 * d.kvHeads
	}
	var err error
	if d.size, err = over(c, "query width", extent(q, 2), heads); err != nil {
		return nil, err
	}
	if p := c.Input(3); p != nil {
		d.past = extent(p, 2)
	}
	if t := c.In[6]; t.HasData() && t.DType == tensor.I32 && t.Len() == 1 {
		d.total = int(tensor.Of[int32](t)[0])
		if d.total < 0 || d.total > 1<<30 {
			return nil, c.Errorf("total_sequence_length %d", d.total)
		}
	}
	return d, nil
}

func inferGQA(c *op.Call) error {
	d, err := gqaShape(c)
	if err != nil {
		return err
	}
	room := -1
	if d.past >= 0 && d.total >= 0 {
		room = max(d.past, d.total)
	}
	t := c.In[0].DType
	c.Set(0, t, tensor.Shape{d.batch, d.steps, times(d.heads, d.size)})
	c.Set(1, t, tensor.Shape{d.batch, d.kvHeads, room, d.size})
	c.Set(2, t, tensor.Shape{d.batch, d.kvHeads, room, d.size})
	return nil
}

// prepareGQA appends keys and values to each batch's cache behind the tokens that it holds, and attends causally.
// Room in the caches that no token fills is zero.
func prepareGQA[T float](c *op.Call) (op.Run, error) {
	d, err := gqaShape(c)
	if err != nil {
		return nil, err
	}
	if d.total < 0 {
		// The shapes do not depend on the total where nobody wants the caches.
		d.total = d.past + d.steps
	}
	if d.total > d.past+d.steps {
		return nil, c.Errorf("total_sequence_length %d for %d old and %d new tokens", d.total, d.past, d.steps)
	}
	room := max(d.past, d.total)
	a, err := newDense[T](c, d.batch, d.heads, d.kvHeads, d.steps, room, d.size, d.size)
	if err != nil {
		return nil, err
	}
	a.causal, a.softcap, a.smooth = true, T(c.Attrs.Float("softcap", 0)), c.Attrs.Int("smooth_softmax", 0) == 1
	if w := c.Attrs.Int("local_window_size", -1); w > 0 {
		a.left = w - 1
	}
	qn, kn := d.batch*d.steps*d.heads*d.size, d.batch*d.steps*d.kvHeads*d.size
	width, kWidth := d.heads*d.size, d.kvHeads*d.size
	if d.packed {
		qn += 2 * kn
		width += 2 * kWidth
		kWidth = width
	}
	kAt := split(d.steps, d.size, kWidth)
	vAt := kAt
	if d.packed {
		kAt, vAt = kAt.from(d.heads*d.size), vAt.from((d.heads+d.kvHeads)*d.size)
	}
	src := map[int]*source[T]{}
	for i, n := range map[int]int{0: qn, 1: kn, 2: kn, 3: d.batch * d.kvHeads * d.past * d.size, 4: d.batch * d.kvHeads * d.past * d.size, 11: d.heads} {
		if src[i], err = newSource[T](c, i, n); err != nil {
			return nil, err
		}
	}
	lens, err := newIndices(c, 5, d.batch)
	if err != nil {
		return nil, err
	}
	totals, err := newIndices(c, 6, 1)
	if err != nil {
		return nil, err
	}
	positions, err := newIndices(c, 9, -1)
	if err != nil {
		return nil, err
	}
	if positions.present() && c.In[9].Len() != d.batch*d.steps {
		return nil, c.Errorf("positions %v for %d batches of %d", c.In[9].Shape, d.batch, d.steps)
	}
	add, err := a.scoreBias(c, 10)
	if err != nil {
		return nil, err
	}
	var turn *rotary[T]
	var cos, sin *source[T]
	rows := 0
	if c.Attrs.Bool("do_rotary", false) {
		if err := need(c, 7, 8); err != nil {
			return nil, err
		}
		rows = extent(c.In[7], 0)
		turn = &rotary[T]{size: d.size, dim: 2 * extent(c.In[7], 1), interleaved: c.Attrs.Bool("rotary_interleaved", false)}
		if len(c.In[7].Shape) != 2 || turn.dim > d.size || rows < 1 {
			return nil, c.Errorf("cos of shape %v for heads of %d", c.In[7].Shape, d.size)
		}
		if cos, err = newSource[T](c, 7, rows*turn.dim/2); err != nil {
			return nil, err
		}
		if sin, err = newSource[T](c, 8, rows*turn.dim/2); err != nil {
			return nil, err
		}
	}
	a.finish(c)
	y, pk, pv := newTarget[T](c, 0, d.batch*d.steps*d.heads*d.size), newTarget[T](c, 1, 0), newTarget[T](c, 2, 0)
	row := make([]T, d.size)
	var cosines, sines []T
	spin := func(x []T, p int) {
		copy(row, x)
		half := turn.dim / 2
		turn.turn(x, row, cosines[p*half:], sines[p*half:])
	}
	return func() error {
		add()
		if turn != nil {
			cosines, sines = cos.get(), sin.get()
		}
		qs, ks, vs, oldK, oldV := src[0].get(), src[1].get(), src[2].get(), src[3].get(), src[4].get()
		if d.packed {
			ks, vs = qs, qs
		}
		a.sinks = src[11].get()
		clear(a.k)
		clear(a.v)
		total := totals.at(0)
		for b := range d.batch {
			held := lens.at(b) + 1 - d.steps
			if total == d.steps { // a prompt, padded behind its end
				held = 0
			}
			if held < 0 || held > d.past || held+d.steps > room || lens.at(b) < 0 || lens.at(b) >= room {
				return c.Errorf("batch %d ends at token %d, with %d new ones and room for %d", b, lens.at(b), d.steps, room)
			}
			a.offset[b], a.limit[b] = held, min(lens.at(b)+1, room)
			q, k, v := joint[T]{a.qAt, d.heads, d.size}, joint[T]{a.kAt, d.kvHeads, d.size}, joint[T]{a.vAt, d.kvHeads, d.size}
			q.copy(a.q, b, 0, qs, split(d.steps, d.size, width), d.steps, nil)
			k.copy(a.k, b, 0, oldK, stacked(d.kvHeads, d.past, d.size), held, nil)
			v.copy(a.v, b, 0, oldV, stacked(d.kvHeads, d.past, d.size), held, nil)
			k.copy(a.k, b, held, ks, kAt, d.steps, nil)
			v.copy(a.v, b, held, vs, vAt, d.steps, nil)
			if turn == nil {
				continue
			}
			for s := range d.steps {
				p := held + s
				if positions.present() {
					p = positions.at(b*d.steps + s)
				}
				if p < 0 || p >= rows {
					return c.Errorf("position %d of %d", p, rows)
				}
				for h := range d.heads {
					at := a.qAt.at(b, h, s)
					spin(a.q[at:at+d.size], p)
				}
				for h := range d.kvHeads {
					at := a.kAt.at(b, h, held+s)
					spin(a.k[at:at+d.size], p)
				}
			}
		}
		for i, p := range [2]*target[T]{pk, pv} {
			if p.t != nil {
				copy(p.get(), [2][]T{a.k, a.v}[i])
				p.put()
			}
		}
		a.y = y.get()
		a.run()
		y.put()
		return nil
	}, nil
}

// --- EmbedLayerNormalization ---

func inferEmbed(c *op.Call) error {
	if err := need(c, 0, 2, 3, 5, 6); err != nil {
		return err
	}
	if err := ranks(c, 2, 0, 2, 3, 4); err != nil {
		return err
	}
	ids, words := c.In[0], c.In[2]
	shape := tensor.Shape{extent(ids, 0), extent(ids, 1), extent(words, 1)}
	c.Set(0, words.DType, shape)
	c.Set(1, tensor.I32, tensor.Shape{extent(ids, 0)})
	c.Set(2, words.DType, shape)
	return nil
}

// prepareEmbed adds the embeddings of word, position and segment and normalises each row. The mask index counts the
// tokens that the mask keeps.
func prepareEmbed(c *op.Call) (op.Run, error) {
	batch, steps, width := c.In[0].Shape[0], c.In[0].Shape[1], extent(c.In[2], 1)
	n := batch * steps
	ids, err := newIndices(c, 0, n)
	if err != nil {
		return nil, err
	}
	segments, err := newIndices(c, 1, n)
	if err != nil {
		return nil, err
	}
	mask, err := newIndices(c, 7, n)
	if err != nil {
		return nil, err
	}
	positions, err := newIndices(c, 8, -1)
	if err != nil {
		return nil, err
	}
	if positions.present() && c.In[8].Len() != n && c.In[8].Len() != steps {
		return nil, c.Errorf("positions %v for %d batches of %d", c.In[8].Shape, batch, steps)
	}
	var table [5]*source[float32] // words, positions, segments, gamma, beta
	var rows [3]int
	for i := range table {
		if t := c.Input(2 + i); i < 3 && t != nil {
			if len(t.Shape) != 2 || t.Shape[1] != width {
				return nil, c.Errorf("input %d has shape %v, want rows of %d", 2+i, t.Shape, width)
			}
			rows[i] = t.Shape[0]
		}
		size := -1
		if i > 2 {
			size = width
		}
		if table[i], err = newSource[float32](c, 2+i, size); err != nil {
			return nil, err
		}
	}
	if segments.present() && c.Input(4) == nil {
		return nil, c.Errorf("segments without embeddings")
	}
	y, added := newTarget[float32](c, 0, n*width), newTarget[float32](c, 2, n*width)
	eps := c.Attrs.Float("epsilon", 1e-12)
	squares := make([]float32, width)
	return func() error {
		out, sums := y.get(), added.get()
		var w [5][]float32
		for i, t := range table {
			w[i] = t.get()
		}
		for r := range n {
			dst := sums[r*width : (r+1)*width]
			clear(dst)
			pick := [3]int{ids.at(r), r % steps, -1}
			if positions.present() {
				pick[1] = positions.at(r % c.In[8].Len())
			}
			if segments.present() {
				pick[2] = segments.at(r)
			}
			for k, i := range pick {
				if k == 2 && !segments.present() {
					continue
				}
				if i < 0 || i >= rows[k] {
					return c.Errorf("index %d into input %d of %d rows", i, 2+k, rows[k])
				}
				for j, v := range w[k][i*width : (i+1)*width] {
					dst[j] += v
				}
			}
			mean := sum(dst) / float32(width)
			for j, v := range dst {
				squares[j] = float32((v - mean) * (v - mean))
			}
			inv := 1 / float32(math.Sqrt(float64(sum(squares)/float32(width)+eps)))
			for j, v := range dst {
				out[r*width+j] = float32(float32((v-mean)*inv)*w[3][j]) + w[4][j]
			}
		}
		if t := c.Output(1); t != nil {
			counts := tensor.Of[int32](t)
			for b := range batch {
				counts[b] = 0
				for s := range steps {
					if mask.present() && mask.at(b*steps+s) != 0 {
						counts[b]++
					}
				}
			}
		}
		y.put()
		added.put()
		return nil
	}, nil
}

// --- DynamicQuantizeLSTM ---

// Its weights are [directions, inputs, 4*hidden], and scales and zero points follow the inputs of LSTM.
func inferQuantLSTM(c *op.Call) error {
	if err := need(c, 0, 1, 2, 8, 9, 10, 11); err != nil {
		return err
	}
	if err := ranks(c, 3, 0, 1, 2); err != nil {
		return err
	}
	hidden := c.Attrs.Int("hidden_size", -1)
	if n := extent(c.In[2], 1); n >= 0 {
		hidden = n
	}
	return setRecurrent(c, hidden, directions(c))
}

func prepareQuantLSTM(c *op.Call) (op.Run, error) {
	l := newLayer[float32](c)
	l.g, l.hidden = 4, c.In[2].Shape[1]
	var err error
	for i, n := range [8]int{l.seq * l.batch * l.in, 0, 0, l.dirs * 8 * l.hidden, -1, l.dirs * l.batch * l.hidden, l.dirs * l.batch * l.hidden, l.dirs * 3 * l.hidden} {
		switch i {
		case 4:
			l.src[i] = &source[float32]{}
		case 1, 2:
			rows := [3]int{0, l.in, l.hidden}[i]
			w, err := quantWeights(c, i, 6+2*i, l.dirs, rows, 4*l.hidden)
			if err != nil {
				return nil, err
			}
			l.src[i] = &source[float32]{t: c.In[i], buf: w, fixed: true, own: true}
		default:
			if l.src[i], err = newSource[float32](c, i, n); err != nil {
				return nil, err
			}
		}
	}
	return l.prepare()
}

// quantWeights dequantises constant weights [dirs, rows, cols] and turns them into [dirs, cols, rows].
func quantWeights(c *op.Call, i, scale, dirs, rows, cols int) ([]float32, error) {
	w, s, z := c.In[i], c.In[scale], c.In[scale+1]
	if err := c.Want(i, tensor.I8, tensor.U8); err != nil {
		return nil, err
	}
	if !w.Shape.Equal(tensor.Shape{dirs, rows, cols}) || s.DType != tensor.F32 || z.DType != w.DType || s.Len() != z.Len() || s.Len() != dirs && s.Len() != dirs*cols {
		return nil, c.Errorf("weights %v with scales %v and zero points %v, want [%d,%d,%d]", w, s, z, dirs, rows, cols)
	}
	if !w.HasData() || !s.HasData() || !z.HasData() {
		return nil, c.Errorf("weights, scales and zero points have to be constant")
	}
	qi, err := w.Ints()
	if err != nil {
		return nil, c.Errorf("input %d: %w", i, err)
	}
	zi, err := z.Ints()
	if err != nil {
		return nil, c.Errorf("input %d: %w", scale+1, err)
	}
	per := s.Len() / dirs
	scales := tensor.Of[float32](s)
	out := make([]float32, len(qi))
	for d := range dirs {
		for r := range rows {
			for k := range cols {
				p := d*per + k%per
				out[(d*cols+k)*rows+r] = float32(qi[(d*rows+r)*cols+k]-zi[p]) * scales[p]
			}
		}
	}
	return out, nil
}
