package nn

import (
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// transposed is the geometry of a transposed convolution: a window from its output to its input.
type transposedConv struct {
	*window          // in and out as of the forward convolution: in is this operator's output
	group, cg    int // input channels per group
	og, outC, ic int
}

func transposedWindow(c *op.Call, x, w tensor.Shape) (*transposedConv, tensor.Shape, error) {
	if len(x) < 3 || len(x) > 5 || len(w) != len(x) {
		return nil, nil, c.Errorf("input %v and weights %v do not fit", x, w)
	}
	nhwc := c.Attrs.Str("layout", "NCHW") == "NHWC"
	n := len(x) - 2
	kernel, og := []int(w[2:]), w[1]
	if nhwc {
		kernel, og = w[1:len(w)-1], w[len(w)-1]
	}
	batch, channels, sp := spatialOf(x, nhwc)
	group := c.Attrs.Int("group", 1)
	if group < 1 || w[0] >= 0 && channels >= 0 && w[0] != channels || channels >= 0 && channels%group != 0 {
		return nil, nil, c.Errorf("%d input channels, weights %v and %d groups do not fit", channels, w, group)
	}
	get := func(name string, count, def int) ([]int, error) {
		v := c.Attrs.Ints(name)
		if v == nil {
			v = make([]int, count)
			for i := range v {
				v[i] = def
			}
		}
		if len(v) != count {
			return nil, c.Errorf("%s %v: want %d values", name, v, count)
		}
		for _, x := range v {
			if x < min(def, 0) || x > 1<<20 {
				return nil, c.Errorf("%s %v is out of range", name, v)
			}
		}
		return v, nil
	}
	strides, err := get("strides", n, 1)
	if err != nil {
		return nil, nil, err
	}
	dilations, err := get("dilations", n, 1)
	if err != nil {
		return nil, nil, err
	}
	pads, err := get("pads", 2*n, 0)
	if err != nil {
		return nil, nil, err
	}
	extra, err := get("output_padding", n, 0)
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		if strides[i] < 1 || dilations[i] < 1 {
			return nil, nil, c.Errorf("strides %v and dilations %v must be positive", strides, dilations)
		}
	}
	want := c.Attrs.Ints("output_shape")
	if want != nil && len(want) == n+2 {
		want = want[2:]
	}
	if want != nil && len(want) != n {
		return nil, nil, c.Errorf("output_shape %v: want %d values", want, n)
	}
	auto := c.Attrs.Str("auto_pad", "NOTSET")
	outC := -1
	if og >= 0 {
		outC = og * group
	}
	t := &transposedConv{window: &window{nhwc: nhwc, batch: batch, channels: outC, rank: n}, group: group, og: og, outC: outC, ic: channels, cg: channels / group}
	out := make([]int, n)
	for d := range 3 {
		t.in[d], t.kernel[d], t.out[d], t.stride[d], t.dilation[d] = 1, 1, 1, 1, 1
	}
	for i := range n {
		d := 3 - n + i
		if sp[i] < 0 || kernel[i] < 0 {
			out[i] = -1
			continue
		}
		span := (kernel[i]-1)*dilations[i] + 1
		full := (sp[i]-1)*strides[i] + extra[i] + span
		begin := pads[i]
		switch {
		case want != nil, auto == "SAME_UPPER", auto == "SAME_LOWER":
			o := sp[i] * strides[i]
			if want != nil {
				o = want[i]
			}
			total := max(0, full-o)
			begin = total / 2
			if auto == "SAME_LOWER" || auto != "SAME_UPPER" && want != nil && auto != "NOTSET" {
				begin = total - total/2
			}
			if want != nil && auto == "NOTSET" && c.Attrs.Has("pads") {
				begin = pads[i]
			}
			out[i] = o
		case auto == "VALID":
			out[i], begin = full, 0
		default:
			out[i] = full - pads[i] - pads[i+n]
		}
		if out[i] < 0 {
			return nil, nil, c.Errorf("output would have extent %d", out[i])
		}
		t.in[d], t.kernel[d], t.out[d] = out[i], kernel[i], sp[i]
		t.stride[d], t.dilation[d], t.begin[d] = strides[i], dilations[i], begin
	}
	return t, shapeOf(batch, outC, out, nhwc), nil
}

func inferConvTranspose(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	d := c.In[0].DType
	if c.In[0].Quant != nil {
		d = tensor.F32
	} else if err := c.Want(0, anyFloat...); err != nil {
		return err
	}
	if c.In[0].Shape == nil || c.In[1].Shape == nil {
		c.Set(0, d, nil)
		return nil
	}
	_, shape, err := transposedWindow(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, shape)
	return nil
}

// prepareConvTranspose gathers, for each output position, the taps of inputs that reach it: y[o] = b + Σ over kernel positions t in order, over
// input channels i in order, of x[(o + begin - t*dilation)/stride][i] * w[i][t][o's channel].
func prepareConvTranspose(c *op.Call) (op.Run, error) {
	t, _, err := transposedWindow(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return nil, err
	}
	if !t.nhwc {
		return nil, c.Errorf("BUG: layout NCHW reached the kernel")
	}
	xt, wt, yt := c.In[0], c.In[1], c.Out[0]
	taps := t.taps()
	// For each dimension: output position, kernel position -> input position or -1.
	var table [3][]int32
	for d := range 3 {
		table[d] = make([]int32, t.in[d]*t.kernel[d])
		for o := range t.in[d] {
			for k := range t.kernel[d] {
				p := o + t.begin[d] - k*t.dilation[d]
				i := -1
				if p >= 0 && p%t.stride[d] == 0 && p/t.stride[d] < t.out[d] {
					i = p / t.stride[d]
				}
				table[d][o*t.kernel[d]+k] = int32(i)
			}
		}
	}
	// The same walk as a convolution, with the roles of in and out exchanged.
	walk := &window{in: t.out, out: t.in, kernel: t.kernel, rank: t.rank}
	positions, inPos := walk.positions(), walk.inPositions()
	m := t.batch * positions
	shares := max(1, min(4*c.Par.Threads(), m))
	offs := make([][]int32, shares)
	for i := range offs {
		offs[i] = make([]int32, taps)
	}
	if xt.Quant != nil && yt.Quant != nil && wt.Quant != nil {
		if !wt.HasData() || !xt.Quant.PerTensor() || !yt.Quant.PerTensor() {
			return nil, c.Errorf("quantised transposed convolution needs activations per tensor and constant weights")
		}
		w := make([]int32, wt.Len())
		widenInts(w, wt)
		axis, q := wt.Quant.Axis, wt.Quant
		last := len(wt.Shape) - 1
		if !q.PerTensor() && (axis != last || t.group != 1) {
			return nil, c.Errorf("weights quantised along axis %d, want %d and one group", axis, last)
		}
		r := newRequant(c, xt.Quant, q, yt.Quant, yt.DType)
		bias := intBias(c.Input(2), xt.Quant, q)
		zx := xt.Quant.ZeroAt(0)
		x := make([]int32, xt.Len())
		body := func(from, to int) {
			for l := from; l < to; l++ {
				for p := l * m / shares; p < (l+1)*m/shares; p++ {
					walk.offsets(&table, p%positions, offs[l])
					for ch := range t.outC {
						g, o := ch/t.og, ch%t.og
						acc := bias(ch)
						for k, off := range offs[l] {
							if off < 0 {
								continue
							}
							base := (p/positions*inPos+int(off))*t.ic + g*t.cg
							for i := range t.cg {
								acc += int64(x[base+i]-zx) * int64(w[((g*t.cg+i)*taps+k)*t.og+o]-q.ZeroAt(min(o, len(q.Scale)-1)))
							}
						}
						storeInt(yt, p*t.outC+ch, r.of(acc, ch))
					}
				}
			}
		}
		return func() error {
			widenInts(x, xt)
			c.Par.For(shares, 1, body)
			return nil
		}, nil
	}
	if xt.Quant != nil || yt.Quant != nil {
		return nil, c.Errorf("input %v, weights %v and output %v: not all are quantised", xt, wt, yt)
	}
	x, y, bias := newFloats(xt), newFloats(yt), newFloats(c.Input(2))
	lo, hi := activation(c)
	// Weights as [tap][group][in][out].
	order := func(w []float32) []float32 {
		r := make([]float32, len(w))
		for i := range t.ic {
			for k := range taps {
				copy(r[(k*t.ic+i)*t.og:(k*t.ic+i+1)*t.og], w[(i*taps+k)*t.og:])
			}
		}
		return r
	}
	var wf *floats
	var w []float32
	if wt.HasData() {
		w = op.Packed(c, wt, "transposed", func() []float32 { return order(floatWeights(wt)) })
	} else {
		wf = newFloats(wt)
	}
	var xs, ys, bs []float32
	body := func(from, to int) {
		for l := from; l < to; l++ {
			for p := l * m / shares; p < (l+1)*m/shares; p++ {
				walk.offsets(&table, p%positions, offs[l])
				out := ys[p*t.outC : (p+1)*t.outC]
				if len(bs) > 0 {
					copy(out, bs)
				} else {
					clear(out)
				}
				for k, off := range offs[l] {
					if off < 0 {
						continue
					}
					in := xs[(p/positions*inPos+int(off))*t.ic:][:t.ic]
					for i, v := range in {
						row := w[(k*t.ic+i)*t.og:][:t.og]
						dst := out[i/t.cg*t.og:][:t.og]
						for o := range dst {
							dst[o] = fmath.FMA(v, row[o], dst[o])
						}
					}
				}
				for o, v := range out {
					out[o] = clamp(v, lo, hi)
				}
			}
		}
	}
	return func() error {
		xs, ys, bs = x.get(), y.room(), bias.get()
		if wf != nil {
			w = order(wf.get())
		}
		c.Par.For(shares, 1, body)
		y.put()
		return nil
	}, nil
}
