package nnx

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var attentionOps = map[string]op.Op{
	"Attention": {Infer: inferAttention, Prepare: func(c *op.Call) (op.Run, error) {
		return byType(c, c.In[0].DType, prepareAttention[float32], prepareAttention[float64])
	}},
}

// attentionDims are the extents of ONNX's Attention, -1 where unknown.
type attentionDims struct {
	batch, heads, kvHeads, qLen, kvLen, past, dk, dv int
	packed                                           bool // 3-D inputs
}

func attentionShape(c *op.Call) (*attentionDims, error) {
	if err := c.Need(3); err != nil {
		return nil, err
	}
	q, k, v := c.In[0], c.In[1], c.In[2]
	d := &attentionDims{batch: -1, heads: -1, kvHeads: -1, qLen: -1, kvLen: -1, dk: -1, dv: -1}
	rank := 0
	for i, t := range c.In[:3] {
		if t.Shape == nil {
			continue
		}
		if r := len(t.Shape); r != 3 && r != 4 || rank != 0 && r != rank {
			return nil, c.Errorf("input %d has rank %d; queries, keys and values have 3 or 4 alike", i, r)
		}
		rank = len(t.Shape)
	}
	if (c.Input(4) == nil) != (c.Input(5) == nil) {
		return nil, c.Errorf("past keys and values come together")
	}
	if c.Input(6) != nil && c.Input(4) != nil {
		return nil, c.Errorf("lengths of keys and past keys exclude each other")
	}
	d.past = 0
	if p := c.Input(4); p != nil {
		if p.Shape != nil && len(p.Shape) != 4 {
			return nil, c.Errorf("past keys of shape %v", p.Shape)
		}
		d.past = extent(p, 2)
	}
	d.batch = extent(q, 0)
	var err error
	switch rank {
	case 3:
		d.packed = true
		d.heads, d.kvHeads = c.Attrs.Int("q_num_heads", 0), c.Attrs.Int("kv_num_heads", 0)
		if d.heads < 1 || d.kvHeads < 1 {
			return nil, c.Errorf("3-D inputs need q_num_heads and kv_num_heads")
		}
		d.qLen, d.kvLen = extent(q, 1), extent(k, 1)
		if d.dk, err = over(c, "query width", extent(q, 2), d.heads); err != nil {
			return nil, err
		}
		if d.dv, err = over(c, "value width", extent(v, 2), d.kvHeads); err != nil {
			return nil, err
		}
	case 4:
		d.heads, d.kvHeads, d.qLen, d.kvLen, d.dk, d.dv = extent(q, 1), extent(k, 1), extent(q, 2), extent(k, 2), extent(q, 3), extent(v, 3)
	}
	return d, nil
}

func inferAttention(c *op.Call) error {
	d, err := attentionShape(c)
	if err != nil {
		return err
	}
	q, k, v := c.In[0], c.In[1], c.In[2]
	total := plus(d.past, d.kvLen)
	if q.Shape == nil && k.Shape == nil && v.Shape == nil {
		c.Set(0, q.DType, nil)
	} else if d.packed {
		c.Set(0, q.DType, tensor.Shape{d.batch, d.qLen, times(d.heads, d.dv)})
	} else {
		c.Set(0, q.DType, tensor.Shape{d.batch, d.heads, d.qLen, d.dv})
	}
	c.Set(1, k.DType, tensor.Shape{d.batch, d.kvHeads, total, d.dk})
	c.Set(2, v.DType, tensor.Shape{d.batch, d.kvHeads, total, d.dv})
	c.Set(3, q.DType, tensor.Shape{d.batch, d.heads, d.qLen, total})
	return nil
}

// prepareAttention runs ONNX's Attention. Scores are softmaxed in the arithmetic of the inputs (f32 for f16 and bf16)
// whatever softmax_precision asks for.
func prepareAttention[T float](c *op.Call) (op.Run, error) {
	d, err := attentionShape(c)
	if err != nil {
		return nil, err
	}
	total := d.past + d.kvLen
	a := &sdpa[T]{
		batch: d.batch, heads: d.heads, kvHeads: d.kvHeads, qLen: d.qLen, kvLen: total, dk: d.dk, dv: d.dv,
		scale: defaultScale[T](c, d.dk), softcap: T(c.Attrs.Float("softcap", 0)), causal: c.Attrs.Bool("is_causal", false),
		left: c.Attrs.Int("left_window_size", -1), right: c.Attrs.Int("right_window_size", -1), stage: c.Attrs.Int("qk_matmul_output_mode", 0),
	}
	if a.left < -1 || a.right < -1 || a.stage < 0 || a.stage > 3 {
		return nil, c.Errorf("windows of %d and %d, stage %d", a.left, a.right, a.stage)
	}
	if err := a.prepare(c); err != nil {
		return nil, err
	}
	if d.packed {
		a.qAt, a.yAt = split(d.qLen, d.dk, d.heads*d.dk), split(d.qLen, d.dv, d.heads*d.dv)
	} else {
		a.qAt, a.yAt = stacked(d.heads, d.qLen, d.dk), stacked(d.heads, d.qLen, d.dv)
	}
	q, err := newSource[T](c, 0, d.batch*d.heads*d.qLen*d.dk)
	if err != nil {
		return nil, err
	}
	caches := [2]*cache[T]{}
	for i, size := range [2]int{d.dk, d.dv} {
		x := &cache[T]{batch: d.batch, heads: d.kvHeads, past: d.past, steps: d.kvLen, size: size}
		if x.now, err = newSource[T](c, 1+i, d.batch*d.kvHeads*d.kvLen*size); err != nil {
			return nil, err
		}
		if x.before, err = newSource[T](c, 4+i, d.batch*d.kvHeads*d.past*size); err != nil {
			return nil, err
		}
		x.nowAt = stacked(d.kvHeads, d.kvLen, size)
		if d.packed {
			x.nowAt = split(d.kvLen, size, d.kvHeads*size)
		}
		x.prepare(c, 1+i)
		caches[i] = x
	}
	a.kAt, a.vAt = caches[0].at, caches[1].at
	fill, err := attentionMask(c, a, 3, d.batch, total)
	if err != nil {
		return nil, err
	}
	lens, err := newIndices(c, 6, d.batch)
	if err != nil {
		return nil, err
	}
	for b := range a.offset {
		a.offset[b] = d.past
	}
	a.finish(c)
	y := newTarget[T](c, 0, d.batch*d.heads*d.qLen*d.dv)
	qk := newTarget[T](c, 3, 0)
	return func() error {
		a.q, a.y = q.get(), y.get()
		a.k, a.v = caches[0].get(), caches[1].get()
		if qk.t != nil {
			a.qk = qk.get()
		}
		fill()
		if lens.present() {
			for b := range d.batch {
				n := lens.at(b)
				if n < 0 || n > total {
					return c.Errorf("batch %d has %d keys of %d", b, n, total)
				}
				a.limit[b], a.offset[b] = n, n-d.qLen
			}
		}
		a.run()
		y.put()
		qk.put()
		return nil
	}, nil
}

// attentionMask prepares input i, a mask that is a choice (bool) or a bias (float); the result reads it in Run.
func attentionMask[T float](c *op.Call, a *sdpa[T], i, batch, kvLen int) (func(), error) {
	t := c.Input(i)
	if t == nil {
		return func() {}, nil
	}
	if err := a.bias.place(c, t.Shape, batch, a.heads, a.qLen, kvLen); err != nil {
		return nil, err
	}
	if t.DType == tensor.Bool {
		return func() { a.bias.see = tensor.Of[bool](t) }, nil
	}
	s, err := newSource[T](c, i, -1)
	if err != nil {
		return nil, err
	}
	return func() { a.bias.add = s.get() }, nil
}

// cache joins past and new keys, or values, in the layout [batch, heads, past+steps, size] where somebody wants that.
type cache[T float] struct {
	batch, heads, past, steps, size int
	before, now                     *source[T]
	nowAt, at                       rowsAt
	joined                          *target[T]
}

func (x *cache[T]) prepare(c *op.Call, out int) {
	if x.before.t == nil && c.Output(out) == nil {
		x.at = x.nowAt
		return
	}
	x.at = stacked(x.heads, x.past+x.steps, x.size)
	x.joined = newTarget[T](c, out, x.batch*x.heads*(x.past+x.steps)*x.size)
}

func (x *cache[T]) get() []T {
	now := x.now.get()
	if x.joined == nil {
		return now
	}
	all := x.joined.get()
	for b := range x.batch {
		join := joint[T]{to: x.at, heads: x.heads, size: x.size}
		join.copy(all, b, 0, x.before.get(), stacked(x.heads, x.past, x.size), x.past, nil)
		join.copy(all, b, x.past, now, x.nowAt, x.steps, nil)
	}
	x.joined.put()
	return all
}

// joint fills rows of heads from elsewhere.
type joint[T float] struct {
	to          rowsAt
	heads, size int
}

// copy puts n steps of batch b behind step first, and adds the bias of each head, if there is one. Absent rows are skipped.
func (j *joint[T]) copy(dst []T, b, first int, src []T, at rowsAt, n int, bias []T) {
	if src == nil {
		return
	}
	for h := range j.heads {
		for s := range n {
			to, from := j.to.at(b, h, first+s), at.at(b, h, s)
			row := dst[to : to+j.size]
			copy(row, src[from:from+j.size])
			if bias != nil {
				for i, v := range bias[h*j.size : (h+1)*j.size] {
					row[i] += v
				}
			}
		}
	}
}
