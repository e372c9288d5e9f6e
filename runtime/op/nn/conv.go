package nn

import (
	"fmt"
	"slices"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

var convOps = map[string]op.Op{
	"Conv":                    {Infer: inferConv, Prepare: anyLayout(prepareConv, 0, 1), Pitched: convRows, Together: together, PrepareStages: prepareStages, Traits: op.QuantKernel},
	"ConvInteger":             {Infer: inferConvInteger, Prepare: anyLayout(prepareConvInteger, 0, 1), Traits: op.PlainIntegers},
	"QLinearConv":             {Infer: inferQLinearConv, Prepare: anyLayout(prepareQLinearConv, 0, 3), Traits: op.PlainIntegers},
	"ConvTranspose":           {Infer: inferConvTranspose, Prepare: anyLayout(prepareConvTranspose, 0, 1), Traits: op.QuantKernel},
	"com.microsoft.FusedConv": {Infer: inferConv, Prepare: anyLayout(prepareFusedConv, 0, 1, 3)},
}

// convWindow reads the geometry of a convolution of x with weights w.
func convWindow(c *op.Call, x, w tensor.Shape) (*window, error) {
	if len(w) != len(x) || len(x) < 3 {
		return nil, c.Errorf("weights of rank %d for an input of rank %d", len(w), len(x))
	}
	kernel := []int(w[2:])
	if c.Attrs.Str("layout", "NCHW") == "NHWC" {
		kernel = w[1 : len(w)-1]
	}
	if ks := c.Attrs.Ints("kernel_shape"); ks != nil {
		if len(ks) != len(kernel) {
			return nil, c.Errorf("kernel_shape %v does not fit weights %v", ks, w)
		}
		for i := range ks {
			if kernel[i] >= 0 && ks[i] != kernel[i] {
				return nil, c.Errorf("kernel_shape %v does not fit weights %v", ks, w)
			}
		}
	}
	return readWindow(c, x, kernel, false)
}

// groups checks the channels against the weights and returns the number of groups and the inputs per group.
func groups(c *op.Call, win *window, w tensor.Shape) (group, per int, err error) {
	group = c.Attrs.Int("group", 1)
	per = w[1]
	if win.nhwc {
		per = w[len(w)-1]
	}
	if group < 1 || win.channels >= 0 && per >= 0 && win.channels != group*per || w[0] >= 0 && w[0]%group != 0 {
		return 0, 0, c.Errorf("%d input channels, weights %v and %d groups do not fit", win.channels, w, group)
	}
	return group, per, nil
}

func inferConvAs(c *op.Call, xi, wi, bi int, d tensor.DType) error {
	x, w := c.Input(xi), c.Input(wi)
	if x == nil || w == nil {
		return c.Errorf("input or weights are missing")
	}
	if x.Shape == nil || w.Shape == nil {
		c.Set(0, d, nil)
		return nil
	}
	win, err := convWindow(c, x.Shape, w.Shape)
	if err != nil {
		return err
	}
	if _, _, err := groups(c, win, w.Shape); err != nil {
		return err
	}
	if bi >= 0 && c.Input(bi) != nil {
		b := c.Input(bi)
		if b.Shape.Known() && w.Shape[0] >= 0 && b.Shape.Len() != w.Shape[0] {
			return c.Errorf("bias %v for %d output channels", b.Shape, w.Shape[0])
		}
	}
	c.Set(0, d, shapeOf(win.batch, w.Shape[0], win.outSpatial(), win.nhwc))
	return nil
}

func inferConv(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	d := c.In[0].DType
	if c.In[0].Quant != nil {
		d = tensor.F32 // unless the output says otherwise
	} else if err := c.Want(0, anyFloat...); err != nil {
		return err
	}
	d, err := resultType(c, d)
	if err != nil {
		return err
	}
	return inferConvAs(c, 0, 1, 2, d)
}

// conv is a convolution that is ready to be driven.
type conv struct {
	*window
	stage      *stage // where another loop drives this convolution
	c          *op.Call
	group      int
	cg, og     int // channels per group, in and out
	outC       int
	x, w, y    *tensor.Tensor
	m          int // output rows: batch × positions
	pos, inPos int
	macs       int // multiply-adds
}

func newConv(c *op.Call, xi, wi int) (*conv, error) {
	x, w, y := c.In[xi], c.In[wi], c.Out[0]
	win, err := convWindow(c, x.Shape, w.Shape)
	if err != nil {
		return nil, err
	}
	if !win.nhwc {
		return nil, c.Errorf("BUG: layout NCHW reached the kernel")
	}
	v := &conv{window: win, c: c, x: x, w: w, y: y}
	if v.group, v.cg, err = groups(c, win, w.Shape); err != nil {
		return nil, err
	}
	v.outC = w.Shape[0]
	v.og = v.outC / v.group
	v.pos, v.inPos = win.positions(), win.inPositions()
	v.m = win.batch * v.pos
	v.macs = v.m * win.taps() * v.cg * v.outC
	return v, nil
}

// convRows lets the rows of input and output lie apart where kernels read or write them as they are.
func convRows(c *op.Call, i int) bool {
	x, w, y := c.In[0], c.In[1], c.Out[0]
	if i > 0 || c.Attrs.Str("layout", "NCHW") != "NHWC" {
		return false
	}
	deep := w.Shape[len(w.Shape)-1] == 1 && c.Attrs.Int("group", 1) > 1
	switch {
	case x.Quant == nil && y.Quant == nil && x.DType == tensor.F32 && y.DType == tensor.F32 && w.Quant == nil && w.DType != tensor.F64:
		if i == 0 {
			return c.Num != num.BF16 && !(deep && w.Shape[0] != x.Shape[len(x.Shape)-1])
		}
		return true
	case x.Quant != nil && y.Quant != nil && w.Quant != nil && w.HasData() && !deep:
		zero := slices.ContainsFunc(w.Quant.Zero, func(z int32) bool { return z != 0 })
		return x.DType == y.DType && (x.DType == tensor.I8 || x.DType == tensor.U8) && w.DType == tensor.I8 && !zero && !wideSums(x.DType, w.DType, w.Shape[1:].Len())
	}
	return false
}

// pointwise reports whether output rows are the input's.
func (v *window) pointwise() bool {
	return v.taps() == 1 && v.stride == [3]int{1, 1, 1} && v.begin == [3]int{} && v.end == [3]int{}
}

// selectRow selects the row of the convolution's products.
func (v *conv) selectRow(c *op.Call, in, w, acc, out tensor.DType) *spec.Row {
	if v.pointwise() {
		return productRow(c, v.m, v.cg, in, w, acc, out)
	}
	k := v.cg
	if v.mergeable() && v.shortTaps(kernels.Here().Select(spec.Gemm, in, w, acc, out, c.Num)) {
		k *= v.kernel[2]
	}
	return c.SelectDeep(spec.Gemm, k, in, w, acc, out, c.Num)
}

// indexed is the index of all output rows for tiles of mr rows; nil where output rows are the input's.
func (v *conv) indexed(c *op.Call, mr int) []int32 {
	taps := v.taps()
	if v.pointwise() {
		return nil
	}
	key := fmt.Sprint("conv index ", mr, v.batch, v.in, v.kernel, v.out, v.stride, v.dilation, v.begin)
	return op.Common(c, key, func() []int32 {
		return indexOf(c, v.m, taps, mr, func(r int, dst []int32) {
			v.offsets(r%v.pos, dst)
			for t, o := range dst {
				if o >= 0 {
					dst[t] = int32(r/v.pos*v.inPos) + o
				}
			}
		})
	})
}

// convProducts makes one product per group and returns the work of one run. set fills the products' epilogues. The data are read through
// src; pad is what lies in the padding, in this run. With gather, rows are what it writes.
func convProducts[A, B operand, C accum](c *op.Call, v *conv, row *spec.Row, w *source[B], src func() []A, pad func() A, gather func(group int) func(dst []A, r0, rows int), set func(group int, p *product[A, B, C])) func() {
	var packs []func()
	var jobs []*product[A, B, C]
	taps, k := v.taps(), v.cg
	var index []int32
	var padding []A
	switch {
	case gather != nil:
		taps, k = 1, taps*k
	case v.merges(c, row):
		taps, k = taps/v.kernel[2], v.kernel[2]*k
		index, src = mergedTaps(c, v, row, src, pad)
	default:
		index = v.indexed(c, row.MR)
	}
	if index != nil {
		padding = filled(c, k, pad())
	}
	for g := range v.group {
		e := newEngine[A, B, C](c.Par, row, v.m, taps, k, v.og)
		c.Executes(row, v.macs/v.group)
		pack := attach(c, e, w, itoa(g)+"of"+itoa(v.group), func(at, j int) int { return (g*v.og+j)*taps*k + at }, func(j int) int { return g*v.og + j })
		if pack != nil {
			packs = append(packs, pack)
		}
		p := &product[A, B, C]{engine: e, src: src, off: g * v.cg, step: v.x.RowStep(), index: index, pad: padding}
		if gather != nil {
			p.gather = gather(g)
		}
		set(g, p)
		jobs = append(jobs, p.ready(c))
	}
	if v.stage != nil {
		p := jobs[0]
		v.stage.set(p, len(packs) == 0 && v.pointwise() && v.group == 1 && p.epilogue == nil && p.gather == nil && !p.narrow)
		return func() {
			p.bind()
			v.stage.source = bytesOf(p.src())
		}
	}
	return func() {
		for _, f := range packs {
			f()
		}
		if v := pad(); len(padding) > 0 && padding[0] != v {
			fill(padding, v)
		}
		for _, p := range jobs {
			p.run(c.Par)
		}
	}
}

func prepareConv(c *op.Call) (op.Run, error) { return prepareConvAs(c, nil) }

// prepareConvAs prepares a convolution, or what a run of it begins with where it is a stage of several.
func prepareConvAs(c *op.Call, s *stage) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	if v.stage = s; s != nil {
		s.conv = v
	}
	x, w, y := v.x, v.w, v.y
	switch {
	case c.Attrs.Bool("dynamic_quantize", false) && w.Quant != nil && x.Quant == nil:
		return prepareHybridConv(c, v)
	case x.Quant != nil && w.Quant != nil && y.Quant != nil:
		return prepareQuantConv(c, v)
	case x.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("input %v, weights %v and output %v: not all are quantised", x, w, y)
	case x.DType == tensor.F64 && w.DType == tensor.F64:
		return prepareConv64(c, v)
	}
	return prepareFloatConv(c, v, nil)
}

// floatWeights returns the weights as f32 (or nil where they are not constant), for packing.
func floatWeights(w *tensor.Tensor) []float32 {
	if !w.HasData() {
		return nil
	}
	if w.Quant != nil {
		return dequantisedWeights(w)
	}
	return newFloats(&op.Call{}, w).get() // not counted, as weights are not
}

// floatSource is w as f32. fixed tells whether w may be taken for a constant.
func floatSource(c *op.Call, w *tensor.Tensor, fixed bool) (*source[float32], error) {
	if w.Quant == nil {
		if err := wantFloats(c, w); err != nil {
			return nil, err
		}
	} else if err := wantInts(c, w); err != nil {
		return nil, err
	}
	if w.HasData() && fixed {
		return &source[float32]{constant: w, kind: "f32", plain: func() []float32 { return floatWeights(w) }, load: func() func(i, o int) float32 {
			f := floatWeights(w)
			return func(i, _ int) float32 { return f[i] }
		}}, nil
	}
	if w.Quant != nil {
		return nil, c.Errorf("quantised weights %v must be constant", w)
	}
	var f []float32
	from := newFloats(c, w)
	at := func(i, _ int) float32 { return f[i] }
	return &source[float32]{plain: from.get, load: func() func(i, o int) float32 {
		f = from.get()
		return at
	}}, nil
}

// prepareFloatConv prepares y = clamp(conv(x, w) + b). after, if set, sees the output of each run.
func prepareFloatConv(c *op.Call, v *conv, after func(y []float32)) (op.Run, error) {
	if err := wantFloats(c, c.Input(2)); err != nil {
		return nil, err
	}
	w, err := floatSource(c, v.w, true)
	if err != nil {
		return nil, err
	}
	if c.Num == num.BF16 {
		return prepareBF16Conv(c, v, w, after)
	}
	x, y, bias := newFloats(c, v.x), newFloats(c, v.y), newBias(c, c.Input(2))
	lo, hi := activation(c)
	chain, err := elem.NewChain(c, v.y.Shape)
	if err != nil {
		return nil, err
	}
	var xs, ys, bs []float32
	run := func() {}
	switch {
	case v.cg == 1 && v.group > 1:
		run = v.depthwise(c, w, chain, &xs, &ys, &bs, lo, hi)
	case w.constant != nil && v.winograd(c):
		run = prepareWinograd(c, v, w, chain, &xs, &ys, &bs, lo, hi)
	case v.turns(c):
		p := &turned{m: v.m, k: v.cg, n: v.outC, step: v.x.RowStep(), lo: lo, hi: hi, groups: 1, ldc: v.y.RowStep(), line: v.m, chain: chain}
		p.src, p.out, p.bias = func() []float32 { return xs }, func() []float32 { return ys }, func() []float32 { return bs }
		p.place = func(r int) int { return r * p.ldc }
		run = p.ready(c, w, func(k, j int) int { return j*v.cg + k })
	default:
		src, dst := func() []float32 { return xs }, func() []byte { return tensor.Bytes(ys) }
		if row, half := storedHalf(c, w, v.m, v.pointwise()); half != nil {
			run = convProducts(c, v, row, half, src, always[float32](0), nil, floatEpilogue[float32, uint16](v, chain, &bs, dst, lo, hi))
			break
		}
		row := v.selectRow(c, tensor.F32, tensor.F32, tensor.F32, tensor.F32)
		run = convProducts(c, v, row, w, src, always[float32](0), nil, floatEpilogue[float32, float32](v, chain, &bs, dst, lo, hi))
	}
	return func() error {
		xs, ys, bs = x.get(), y.room(), bias.get()
		chain.Bind()
		run()
		if after != nil {
			after(ys)
		}
		y.put()
		return nil
	}, nil
}

// floatEpilogue lets the kernel write bias and bounds itself; then follows the chain, if there is one.
func floatEpilogue[A, B operand](v *conv, chain *elem.Chain, bs *[]float32, out func() []byte, lo, hi float32) func(g int, p *product[A, B, float32]) {
	return func(g int, p *product[A, B, float32]) {
		p.lo, p.hi, p.ldc, p.chain, p.first, p.width = lo, hi, v.y.RowStep(), chain, g*v.og, v.outC
		p.narrow = chain != nil && v.y.DType == tensor.BF16
		p.out = func() []byte { return rest(out(), g*v.og*p.outElement) }
		p.bias = func() []float32 { return rest(*bs, g*v.og) }
	}
}
