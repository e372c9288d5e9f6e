package nn

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
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
			// The rest goes to the end for SAME_UPPER, else to the beginning. pads do not count here.
			total := max(0, full-o)
			begin = total - total/2
			if auto == "SAME_UPPER" {
				begin = total / 2
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
	return t, shapeOf(batch, outC, out, nhwc), t.bounded(c)
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
	t, shape, err := transposedWindow(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	if b := c.Input(2); b != nil && b.Shape.Known() && t.outC >= 0 && b.Shape.Len() != t.outC {
		return c.Errorf("bias %v for %d output channels", b.Shape, t.outC)
	}
	c.Set(0, d, shape)
	return nil
}

// phase is the set of output positions with the same remainders by the strides: those that the same taps reach. Over them a
// transposed convolution is a convolution of stride 1 with these taps alone.
type phase struct {
	first, count [3]int // the positions are first + stride*q for q < count
	taps         []int
	delta        [][3]int // of each tap: q + delta is the input position
}

// tiles reports whether along the last dimension each input position makes a run of outputs of its own, as long as the stride; then the
// phases along it can be columns of one product.
func (t *transposedConv) tiles() bool {
	return t.group == 1 && t.kernel[2] == t.stride[2] && t.dilation[2] == 1 && t.begin[2] == 0 && t.in[2] == t.out[2]*t.stride[2]
}

// blocks reports whether each input position makes a block of outputs of its own in all dimensions.
func (t *transposedConv) blocks() bool {
	ok := t.group == 1
	for d := range t.kernel {
		ok = ok && t.kernel[d] == t.stride[d] && t.dilation[d] == 1 && t.begin[d] == 0 && t.in[d] == t.out[d]*t.stride[d]
	}
	return ok
}

// turns reports whether the products have so few columns that turning the input pays.
func (t *transposedConv) turns() bool {
	return t.kernel[2]*t.outC <= 2*mostTurned && t.taps()*t.outC <= 4*mostTurned && t.ic <= mostTurnedDepth && t.batch*t.positions() >= leastTurned
}

// phases sorts the output positions. Taps that reach none of a phase's are left out. Where merged is set the phases along the last dimension
// stay together, as do the taps along it, which bear the number of their first.
func (t *transposedConv) phases(merged bool) []*phase {
	var list []*phase
	rem := [3]int{min(t.stride[0], t.in[0]), min(t.stride[1], t.in[1]), min(t.stride[2], t.in[2])}
	if merged {
		rem[2] = min(1, rem[2])
	}
	for r := range rem[0] * rem[1] * rem[2] {
		ph := &phase{first: [3]int{r / (rem[1] * rem[2]), r / rem[2] % rem[1], r % rem[2]}}
		for d := range 3 {
			ph.count[d] = ceil(t.in[d]-ph.first[d], t.stride[d])
		}
		for k := range t.taps() {
			at := [3]int{k / (t.kernel[2] * t.kernel[1]), k / t.kernel[2] % t.kernel[1], k % t.kernel[2]}
			live := true
			var delta [3]int
			for d := range at {
				from := ph.first[d] + t.begin[d] - at[d]*t.dilation[d]
				live = live && from%t.stride[d] == 0
				delta[d] = from / t.stride[d]
			}
			if live {
				ph.taps, ph.delta = append(ph.taps, k), append(ph.delta, delta)
			}
		}
		list = append(list, ph)
	}
	return list
}

// size is the number of positions.
func (ph *phase) size() int { return ph.count[0] * ph.count[1] * ph.count[2] }

// at splits the i-th position.
func (ph *phase) at(i int) [3]int {
	return [3]int{i / (ph.count[2] * ph.count[1]), i / ph.count[2] % ph.count[1], i % ph.count[2]}
}

// source is the input position of a tap for position q, -1 where there is none.
func (t *transposedConv) source(ph *phase, q [3]int, tap int) int {
	at := 0
	for d, v := range ph.delta[tap] {
		i := q[d] + v
		if i < 0 || i >= t.out[d] {
			return -1
		}
		at = at*t.out[d] + i
	}
	return at
}

// target is the flat output position of q.
func (t *transposedConv) target(ph *phase, q [3]int) int {
	at := 0
	for d, v := range q {
		at = at*t.in[d] + ph.first[d] + v*t.stride[d]
	}
	return at
}

// transposedProducts makes one product per phase and group and returns the work of one run. store gets the sums
// of some channels from first on, for rows of the output from r on, whose distance is the last stride.
func transposedProducts[A, B operand, C accum](c *op.Call, t *transposedConv, row *spec.Row, w *source[B], src func() []A,
	store func(sums []C, stride, rows, cols, r, first int)) func() {
	var packs []func()
	var jobs []*product[A, B, C]
	positions, inPos, taps := t.inPositions(), t.positions(), t.taps()
	for _, ph := range t.phases(false) {
		live, size := len(ph.taps), ph.size()
		index := indexOf(c, t.batch*size, live, row.MR, func(r int, dst []int32) {
			q := ph.at(r % size)
			for k := range dst {
				dst[k] = -1
				if off := t.source(ph, q, k); off >= 0 {
					dst[k] = int32(r/size*inPos + off)
				}
			}
		})
		for g := range t.group {
			e := newEngine[A, B, C](c.Par, row, t.batch*size, live, t.cg, t.og)
			c.Executes(row, t.batch*size*live*t.cg*t.og)
			kind := "transposed/" + itoa(g) + "of" + itoa(t.group) + fmt.Sprint(ph.first, t.stride, t.dilation, t.begin)
			pack := attach(c, e, w, kind, func(k, j int) int { return ((g*t.cg+k%t.cg)*taps+ph.taps[k/t.cg])*t.og + j }, func(j int) int { return g*t.og + j })
			if pack != nil {
				packs = append(packs, pack)
			}
			p := &product[A, B, C]{engine: e, src: src, off: g * t.cg, step: t.ic, index: index, pad: op.Make[A](c, t.cg)}
			p.epilogue = func(sums []C, stride, r0, rows, j0, cols int) {
				for i, n := 0, 0; i < rows; i += n {
					n = min(rows-i, ph.count[2]-(r0+i)%ph.count[2]) // of a line
					store(sums[i*stride:], stride, n, cols, (r0+i)/size*positions+t.target(ph, ph.at((r0+i)%size)), g*t.og+j0)
				}
			}
			jobs = append(jobs, p.ready(c))
		}
	}
	return func() {
		for _, f := range packs {
			f()
		}
		for _, p := range jobs {
			p.run(c.Par)
		}
	}
}

// prepareConvTranspose computes y[o] = b + Σ over kernel positions t in order, over input channels i in order, of
// x[(o + begin - t*dilation)/stride][i] * w[i][t][o's channel].
func prepareConvTranspose(c *op.Call) (op.Run, error) {
	t, _, err := transposedWindow(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return nil, err
	}
	const most, steps = 1 << 16, 1 << 24 // each phase and group has buffers of its own, each phase looks at each tap
	if n := min(t.stride[0], t.in[0]) * min(t.stride[1], t.in[1]) * min(t.stride[2], t.in[2]); n > most/t.group || n > steps/max(1, t.taps()) {
		return nil, c.Errorf("strides %v in %d groups: %w", t.stride[3-t.rank:], t.group, tensor.ErrTooLarge)
	}
	x, w, y := c.In[0], c.In[1], c.Out[0]
	switch {
	case x.Quant != nil && y.Quant != nil && w.Quant != nil:
		return t.quantised(c)
	case x.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("input %v, weights %v and output %v: not all are quantised", x, w, y)
	case c.Attrs.Bool("dynamic_quantize", false) && w.Quant != nil:
		return t.hybrid(c)
	case x.DType == tensor.F64:
		return t.float64s(c)
	}
	if err := wantFloats(c, c.Input(2)); err != nil {
		return nil, err
	}
	fx, fy, bias := newFloats(c, x), newFloats(c, y), newBias(c, c.Input(2))
	from, err := floatSource(c, w, true)
	if err != nil {
		return nil, err
	}
	var xs, ys, bs []float32
	run := t.floatProducts(c, from, &xs, &ys, &bs)
	return func() error {
		xs, ys, bs = fx.get(), fy.room(), bias.get()
		if len(ys) > 0 {
			run()
			fy.put()
		}
		return nil
	}, nil
}

// floatProducts makes one product per phase and group, whose rows go to where they belong, and returns the work of one run.
func (t *transposedConv) floatProducts(c *op.Call, w *source[float32], xs, ys, bs *[]float32) func() {
	var packs []func()
	var jobs []*product[float32, float32, float32]
	lo, hi := activation(c)
	row := c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	positions, inPos, taps := t.inPositions(), t.positions(), t.taps()
	if t.kernel[0] == 1 && t.blocks() && t.turns() {
		line := t.in[2] * t.outC
		p := &turned{m: t.batch * inPos, k: t.ic, n: taps * t.outC, step: t.ic, lo: lo, hi: hi, groups: t.kernel[1], apart: line, ldc: t.kernel[2] * t.outC, line: t.out[2]}
		p.src, p.out, p.bias = func() []float32 { return *xs }, func() []float32 { return *ys }, func() []float32 { return *bs }
		p.place = func(r int) int { return r/t.out[2]*t.kernel[1]*line + r%t.out[2]*p.ldc }
		return p.ready(c, w, func(k, j int) int { return k*p.n + j })
	}
	merged, n := t.tiles(), t.og
	var bias []float32 // of all columns
	if merged {
		n *= t.kernel[2]
		bias = op.Make[float32](c, n)
	}
	for _, ph := range t.phases(merged) {
		live, size := len(ph.taps), ph.size()
		index := indexOf(c, t.batch*size, live, row.MR, func(r int, dst []int32) {
			q := ph.at(r % size)
			for k := range dst {
				dst[k] = -1
				if off := t.source(ph, q, k); off >= 0 {
					dst[k] = int32(r/size*inPos + off)
				}
			}
		})
		for g := range t.group {
			e := newEngine[float32, float32, float32](c.Par, row, t.batch*size, live, t.cg, n)
			c.Executes(row, t.batch*size*live*t.cg*n)
			kind := "transposed/" + itoa(g) + "of" + itoa(t.group) + fmt.Sprint(ph.first, t.stride, t.dilation, t.begin, merged)
			pack := attach(c, e, w, kind, func(k, j int) int {
				return ((g*t.cg+k%t.cg)*taps+ph.taps[k/t.cg]+j/t.og)*t.og + j%t.og
			}, func(j int) int { return g*t.og + j%t.og })
			if pack != nil {
				packs = append(packs, pack)
			}
			p := &product[float32, float32, float32]{engine: e, src: func() []float32 { return *xs }, off: g * t.cg, step: t.ic, index: index, pad: op.Make[float32](c, t.cg), lo: lo, hi: hi}
			p.ldc, p.line = t.stride[2]*t.outC, ph.count[2]
			p.place = func(r int) int { return (r/size*positions+t.target(ph, ph.at(r%size)))*t.outC + g*t.og }
			p.out = func() []byte { return tensor.Bytes(*ys) }
			p.bias = func() []float32 {
				if merged && len(*bs) > 0 {
					return bias
				}
				return rest(*bs, g*t.og)
			}
			jobs = append(jobs, p.ready(c))
		}
	}
	return func() {
		for _, f := range packs {
			f()
		}
		for i := range bias {
			if len(*bs) > 0 {
				bias[i] = (*bs)[i%t.og]
			}
		}
		for _, p := range jobs {
			p.run(c.Par)
		}
	}
}

// checkQuant fails unless w is constant and quantised per tensor, or per output channel in one group.
func (t *transposedConv) checkQuant(c *op.Call) error {
	w := c.In[1]
	if !w.HasData() {
		return c.Errorf("quantised transposed convolution needs constant weights")
	}
	if err := wantInts(c, w); err != nil {
		return err
	}
	if last := len(w.Shape) - 1; !w.Quant.PerTensor() && (w.Quant.Axis != last || t.group != 1) {
		return c.Errorf("weights quantised along axis %d, want %d and one group", w.Quant.Axis, last)
	}
	return nil
}

// sums prepares integer sums; see conv.intSums. store32 or store64 gets them; see transposedProducts.
func (t *transposedConv) sums(c *op.Call, fill16 func([]int16), fill32 func([]int32), wide bool, store32 func(sums []int32, stride, rows, cols, r, first int),
	store64 func(sums []int64, stride, rows, cols, r, first int)) func() {
	x, w := c.In[0], c.In[1]
	if wide {
		buf := op.Make[int32](c, x.Len())
		row := c.Select(spec.Gemm, tensor.I32, tensor.I32, tensor.I64, tensor.I64, c.Num)
		run := transposedProducts(c, t, row, intSource[int32](w, qzero(w.Quant), true, t.outC), func() []int32 { return buf }, store64)
		return func() {
			fill32(buf)
			run()
		}
	}
	buf := make([]int16, x.Len())
	row := c.Select(spec.Gemm, tensor.I16, tensor.I16, tensor.I32, tensor.I32, c.Num)
	run := transposedProducts(c, t, row, intSource[int16](w, qzero(w.Quant), true, t.outC), func() []int16 { return buf }, store32)
	return func() {
		fill16(buf)
		run()
	}
}

func (t *transposedConv) quantised(c *op.Call) (op.Run, error) {
	if err := t.checkQuant(c); err != nil {
		return nil, err
	}
	x, w, y, b := c.In[0], c.In[1], c.Out[0], c.Input(2)
	if !x.Quant.PerTensor() || !y.Quant.PerTensor() {
		return nil, c.Errorf("quantised transposed convolution needs activations per tensor")
	}
	if b != nil && b.DType != tensor.I32 && b.DType != tensor.I64 && b.DType != tensor.F32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	if err := wantInts(c, x, y); err != nil {
		return nil, err
	}
	r := newRequant(c, x.Quant, w.Quant, y.Quant, y.DType)
	bias := intBias(b, x.Quant, w.Quant)
	zx := x.Quant.ZeroAt(0)
	zero := func() int32 { return zx }
	run := t.sums(c, intFill[int16](x, zero), intFill[int32](x, zero), wideSums(x.DType, w.DType, t.taps()*t.cg),
		requantRows[int32](t, y, &r, bias), requantRows[int64](t, y, &r, bias))
	return func() error { run(); return nil }, nil
}

func requantRows[C int32 | int64](t *transposedConv, y *tensor.Tensor, r *requant, bias func(int) int64) func([]C, int, int, int, int, int) {
	return func(sums []C, stride, rows, cols, row, first int) {
		requantSums(y, row*t.outC+first, t.stride[2]*t.outC, sums, stride, rows, cols, first, r, bias)
	}
}

// hybrid quantises each image on the fly; see prepareHybridConv.
func (t *transposedConv) hybrid(c *op.Call) (op.Run, error) {
	if err := t.checkQuant(c); err != nil {
		return nil, err
	}
	x, y, sw := c.In[0], c.Out[0], c.In[1].Quant.Scale
	if x.DType != tensor.F32 || y.DType != tensor.F32 || wideSums(tensor.I8, c.In[1].DType, t.taps()*t.cg) {
		return nil, c.Errorf("dynamic_quantize needs f32 input and output and weights of at most 8 bits")
	}
	if err := wantFloats(c, c.Input(2)); err != nil {
		return nil, err
	}
	lo, hi := activation(c)
	q := newDynamic[int16](c, t.batch, t.positions()*t.ic)
	bias := newBias(c, c.Input(2))
	var bs, ys []float32
	scale := op.Make[float32](c, t.batch*t.outC) // of the sums of each image
	fill := func(d []int16) {
		q.quantise(d, tensor.Of[float32](x))
		q.factors(scale, sw)
	}
	run := t.sums(c, fill, nil, false, func(sums []int32, stride, rows, cols, row, first int) {
		var b []float32
		if len(bs) > 0 {
			b = bs[first:][:cols]
		}
		kernels.ScaleSums(ys[row*t.outC+first:], t.stride[2]*t.outC, sums, stride, rows, scale[row/t.inPositions()*t.outC+first:][:cols], b, lo, hi)
	}, nil)
	return func() error {
		bs, ys = bias.get(), tensor.Of[float32](y)
		run()
		return nil
	}, nil
}

// float64s is the transposed convolution in float64, whose products are rounded one by one.
func (t *transposedConv) float64s(c *op.Call) (op.Run, error) {
	b := c.Input(2)
	if b != nil && b.DType != tensor.F64 || c.In[1].DType != tensor.F64 {
		return nil, c.Errorf("weights %v and bias %v for an input of type f64", c.In[1], b)
	}
	lo, hi := bounds64(c)
	taps, positions, inPos := t.taps(), t.inPositions(), t.positions()
	list := t.phases(false)
	return func() error {
		x, w, y := tensor.Of[float64](c.In[0]), tensor.Of[float64](c.In[1]), tensor.Of[float64](c.Out[0])
		for _, ph := range list {
			for r := range t.batch * ph.size() {
				image, q := r/ph.size(), ph.at(r%ph.size())
				for ch := range t.outC {
					g, o := ch/t.og, ch%t.og
					sum := 0.0
					if b != nil {
						sum = tensor.Of[float64](b)[ch]
					}
					for k, tap := range ph.taps {
						off := t.source(ph, q, k)
						if off < 0 {
							continue
						}
						for i := range t.cg {
							sum += float64(x[(image*inPos+off)*t.ic+g*t.cg+i] * w[((g*t.cg+i)*taps+tap)*t.og+o])
						}
					}
					y[(image*positions+t.target(ph, q))*t.outC+ch] = math.Max(lo, math.Min(hi, sum))
				}
			}
		}
		return nil
	}, nil
}
