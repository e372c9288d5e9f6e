package nn

import (
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// tiles are the epilogues for either width of sums; a product uses one of them.
type tiles struct {
	e32 func(sums []int32, stride, r0, rows, j0, cols int)
	e64 func(sums []int64, stride, r0, rows, j0, cols int)
}

// intSums prepares integer sums of (x-zx)*(w-zw), through int16 operands where these fit and int32 otherwise, and returns
// the work of one run. fill16 or fill32 reads x less its zero point; each makes the epilogue that gets the sums of a tile.
func (v *conv) intSums(c *op.Call, fill16 func([]int16), fill32 func([]int32), zw func(o int) int32, fixed, wide bool, each func(group int) tiles) func() {
	if wide {
		row := c.Select(spec.Gemm, tensor.I32, tensor.I32, tensor.I64, tensor.I64, c.Num)
		return convSums(c, v, row, intSource[int32](v.w, zw, fixed, v.outC), fill32, func(g int, p *product[int32, int32, int64]) { p.epilogue = each(g).e64 })
	}
	row := c.Select(spec.Gemm, tensor.I16, tensor.I16, tensor.I32, tensor.I32, c.Num)
	return convSums(c, v, row, intSource[int16](v.w, zw, fixed, v.outC), fill16, func(g int, p *product[int16, int16, int32]) { p.epilogue = each(g).e32 })
}

func convSums[T int16 | int32, C int32 | int64](c *op.Call, v *conv, row *spec.Row, w *source[T], fill func([]T), set func(g int, p *product[T, T, C])) func() {
	buf := op.Make[T](c, v.x.Len())
	run := convProducts(c, v, row, w, func() []T { return buf }, always[T](0), nil, set)
	return func() {
		fill(buf)
		run()
	}
}

// prepareQuantConv prepares the integer convolution with requantisation.
func prepareQuantConv(c *op.Call, v *conv) (op.Run, error) {
	w := v.w
	if !w.HasData() || !w.Quant.PerTensor() && w.Quant.Axis != 0 {
		return nil, c.Errorf("quantised convolution needs constant weights per tensor or output channel")
	}
	return v.quantised(c, v.x.Quant, w.Quant, v.y.Quant, c.Input(2))
}

// quantised is the convolution of integers with parameters xq by constant weights with wq (per tensor or output channel)
// into integers with yq.
func (v *conv) quantised(c *op.Call, xq, wq, yq *tensor.QParams, b *tensor.Tensor) (op.Run, error) {
	x, y := v.x, v.y
	if !xq.PerTensor() || !yq.PerTensor() || !wq.PerTensor() && len(wq.Scale) != v.outC {
		return nil, c.Errorf("quantised convolution needs activations per tensor and weights per tensor or output channel")
	}
	if b != nil && b.DType != tensor.I32 && b.DType != tensor.I64 && b.DType != tensor.F32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	if err := wantInts(c, x, v.w, y); err != nil {
		return nil, err
	}
	r := newRequant(c, xq, wq, yq, y.DType)
	bias := intBias(b, xq, wq)
	zw, zx := qzero(wq), xq.ZeroAt(0)
	k := v.taps() * v.cg
	facts := factsOf(c, v.w, itoa(v.outC), zw, v.outC, k, func(o, p int) int { return o*k + p })
	zero := func() int32 { return zx }
	wide := wideSums(x.DType, v.w.DType, k)
	switch same := x.DType == y.DType && facts.bytes && !wideSums(tensor.I8, tensor.I8, k); {
	case same && x.DType == tensor.I8:
		return quantKernel[int8, int8, int32](c, v, &r, zw, raw[int8](x), correction[int32](zx, facts, bias, fixedBias(b)), int8(zx)), nil
	case same && x.DType == tensor.U8:
		return quantKernel[uint8, int8, int32](c, v, &r, zw, raw[uint8](x), correction[int32](zx, facts, bias, fixedBias(b)), uint8(zx)), nil
	case same && x.DType == tensor.I16:
		return quantKernel[int16, int8, int64](c, v, &r, zw, raw[int16](x), correction[int64](zx, facts, bias, fixedBias(b)), int16(zx)), nil
	case !wide && (y.DType == tensor.I8 || y.DType == tensor.U8):
		v.stage = nil
		return quantKernel[int16, int16, int32](c, v, &r, zw, copied(x, zero), correction[int32](0, facts, bias, fixedBias(b)), 0), nil
	}
	sums := v.intSums(c, intFill[int16](x, zero), intFill[int32](x, zero), zw, true, wide, func(g int) tiles {
		return tiles{requantTile[int32](v.outC, g*v.og, y, &r, bias), requantTile[int64](v.outC, g*v.og, y, &r, bias)}
	})
	return func() error { sums(); return nil }, nil
}

// raw reads x as it is.
func raw[T operand](x *tensor.Tensor) func() []T {
	return func() []T { return tensor.Of[T](x) }
}

// copied reads x less its zero point.
func copied(x *tensor.Tensor, zero func() int32) func() []int16 {
	buf, fill := make([]int16, x.Len()), intFill[int16](x, zero)
	return func() []int16 {
		fill(buf)
		return buf
	}
}

// fixedBias reports whether a bias is the same in every run.
func fixedBias(b *tensor.Tensor) bool { return b == nil || b.HasData() }

// correction returns the function that fills what sums of x*w begin with: bias - zx*Σ w per channel; once, where the bias is fixed. Its calls are all
// for the same dst and shift.
func correction[C int32 | int64](zx int32, facts *weightFacts, bias func(int) int64, fixed bool) func(dst []C, shift int) {
	done := false
	return func(dst []C, shift int) {
		if done {
			return
		}
		done = fixed
		for o := range dst {
			dst[o] = C(bias(o) - (int64(zx)+int64(shift))*facts.sum[o])
		}
	}
}

func requantTile[C int32 | int64](ldc, first int, y *tensor.Tensor, r *requant, bias func(int) int64) func([]C, int, int, int, int, int) {
	return func(sums []C, stride, r0, rowCount, j0, cols int) {
		requantSums(y, r0*ldc+first+j0, ldc, sums, stride, rowCount, cols, first+j0, r, bias)
	}
}

// requantSums stores sums of cols channels from first on as elements of y from element at on; rows begin stride and ldc elements apart.
func requantSums[C int32 | int64](y *tensor.Tensor, at, ldc int, sums []C, stride, rows, cols, first int, r *requant, bias func(int) int64) {
	for i := range rows {
		for j := range cols {
			o := first + j
			storeInt(y, at+i*ldc+j, r.of(int64(sums[i*stride+j])+bias(o), o))
		}
	}
}

// quantKernel drives a row that requantises: y = requantise(Σ x*w + start). src reads x once per run; pad is what lies in the padding.
func quantKernel[T int8 | uint8 | int16, W int8 | int16, C int32 | int64](c *op.Call, v *conv, r *requant, zw func(o int) int32, src func() []T, start func(dst []C, shift int), pad T) op.Run {
	in, wt, acc, out := tensor.DTypeOf[T](), tensor.DTypeOf[W](), tensor.DTypeOf[C](), v.y.DType
	w := intSource[W](v.w, zw, true, v.outC)
	first, scale := make([]C, v.outC), r.columns(v.outC)
	var x []T
	var run func()
	shift := 0
	if v.cg == 1 && v.group > 1 && acc == tensor.I32 {
		row := c.Select(spec.DepthwiseRow, in, wt, acc, out, c.Num)
		shift = row.Shift
		n := max(v.outC, row.NR)
		first, scale = make([]C, n), r.columns(n)
		f := newFilters[T](c, v, row, w, pad)
		f.args.Bias, f.args.Scale = pointer(first), pointer(scale)
		f.args.OutZero, f.args.QLo, f.args.QHi = r.zero, r.lo, r.hi
		v.stage.set(f, v.og == 1)
		run = func() { f.run(c.Par, x, v.y.Data) }
	} else {
		row := v.selectRow(c, in, wt, acc, out)
		shift = row.Shift
		u, n := v.join(c, row)
		if n > 1 {
			w = joinedWeights(v, n, w)
			first, scale = make([]C, u.outC), slices.Repeat(scale, n)
		}
		run = convProducts(c, u, row, w, func() []T { return x }, always(pad), nil, func(g int, p *product[T, W, C]) {
			p.zero, p.qlo, p.qhi, p.ldc, p.scale = r.zero, r.lo, r.hi, n*v.y.RowStep(), scale[g*u.og:(g+1)*u.og]
			p.bias = func() []C { return rest(first, g*u.og) }
			p.out = func() []byte { return rest(v.y.Data, g*u.og*p.outElement) }
		})
	}
	return func() error {
		x = src()
		start(first[:v.outC], shift)
		for o := v.outC; o < len(first); o++ {
			first[o] = first[o-v.outC]
		}
		run()
		return nil
	}
}

// prepareHybridConv quantises the input of each image on the fly, multiplies integers and scales back: TFLite's hybrid
// kernels. The scale is the largest magnitude over 127; with asymmetric_quantize_inputs it spans the range in 255 steps.
func prepareHybridConv(c *op.Call, v *conv) (op.Run, error) {
	if v.x.DType != tensor.F32 || v.y.DType != tensor.F32 || !v.w.HasData() || !v.w.Quant.PerTensor() && v.w.Quant.Axis != 0 {
		return nil, c.Errorf("dynamic_quantize needs f32 input and output and constant weights per tensor or output channel")
	}
	if wideSums(tensor.I8, v.w.DType, v.taps()*v.cg) {
		return nil, c.Errorf("dynamic_quantize with weights of type %v and %d products per sum", v.w.DType, v.taps()*v.cg)
	}
	if err := wantFloats(c, c.Input(2)); err != nil {
		return nil, err
	}
	if err := wantInts(c, v.w); err != nil {
		return nil, err
	}
	lo, hi := activation(c)
	bias := newBias(c, c.Input(2))
	zw, k := qzero(v.w.Quant), v.taps()*v.cg
	if facts := factsOf(c, v.w, itoa(v.outC), zw, v.outC, k, func(o, p int) int { return o*k + p }); facts.bytes {
		return v.hybridBytes(c, facts, bias, lo, hi), nil
	}
	q := newDynamic[int16](c, v.batch, v.inPos*v.channels)
	var bs, ys []float32
	scale := op.Make[float32](c, v.batch*v.outC) // of the sums of each image
	fill := func(d []int16) {
		q.quantise(d, tensor.Of[float32](v.x))
		q.factors(scale, v.w.Quant.Scale)
	}
	run := v.intSums(c, fill, nil, zw, true, false, func(g int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			o := g*v.og + j0
			var b []float32
			if len(bs) > 0 {
				b = bs[o:][:cols]
			}
			for i := 0; i < rowCount; {
				image := (r0 + i) / v.pos
				n := min(rowCount-i, (image+1)*v.pos-r0-i) // rows of it
				kernels.ScaleSums(ys[(r0+i)*v.outC+o:], v.outC, sums[i*stride:], stride, n, scale[image*v.outC+o:][:cols], b, lo, hi)
				i += n
			}
		}}
	})
	return func() error {
		bs, ys = bias.get(), tensor.Of[float32](v.y)
		run()
		return nil
	}, nil
}

// hybridBytes is the hybrid convolution by weights of 8 bits. An image is quantised to bytes with its zero point, which is then what lies in the padding; the
// sums begin with what that adds to them.
func (v *conv) hybridBytes(c *op.Call, facts *weightFacts, bias *floats, lo, hi float32) op.Run {
	q := newDynamic[uint8](c, v.batch, v.inPos*v.channels)
	win, u := *v.window, *v
	win.batch, u.window, u.m = 1, &win, v.pos // the convolution of one image
	row := c.Select(spec.Gemm, tensor.U8, tensor.I8, tensor.I32, tensor.F32, c.Num)
	x, first, scale := op.Make[uint8](c, q.size), make([]int32, v.outC), make([]float32, v.outC)
	var zero uint8
	var bs []float32
	image, size := 0, v.pos*v.outC
	src, pad := func() []uint8 { return x }, func() uint8 { return zero }
	run := convProducts(c, &u, row, intSource[int8](v.w, qzero(v.w.Quant), true, v.outC), src, pad, nil, func(g int, p *product[uint8, int8, int32]) {
		at := g * v.og
		p.lo, p.hi, p.ldc, p.scale = lo, hi, v.outC, scale[at:][:v.og]
		p.bias = func() []int32 { return first[at:] }
		p.offset = func() []float32 { return rest(bs, at) }
		p.out = func() []byte { return rest(v.y.Data, 4*(image*size+at)) }
	})
	return func() error {
		bs = bias.get()
		for image = range v.batch {
			zero = q.row(x, tensor.Of[float32](v.x), image)
			for o := range first {
				first[o] = -int32(zero) * int32(facts.sum[o])
			}
			q.rowFactors(scale, v.w.Quant.Scale, image)
			run()
		}
		return nil
	}
}

func inferConvInteger(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := wantBytes(c, 0, 1); err != nil {
		return err
	}
	return inferConvAs(c, 0, 1, -1, tensor.I32)
}

// fixedZero reports whether a zero point is known.
func fixedZero(t *tensor.Tensor) bool { return t == nil || t.HasData() }

func prepareConvInteger(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	if wideSums(v.x.DType, v.w.DType, v.taps()*v.cg) {
		return nil, c.Errorf("sums of %d products may pass 32 bits", v.taps()*v.cg)
	}
	if n := lenOf(c.Input(3)); lenOf(c.Input(2)) > 1 || n > 1 && n != v.outC {
		return nil, c.Errorf("zero points %v and %v, want one and one per output channel", c.Input(2), c.Input(3))
	}
	if err := wantZeros(c, c.Input(2), c.Input(3)); err != nil {
		return nil, err
	}
	zx := zeroAt(c.Input(2))
	run := v.intSums(c, intFill[int16](v.x, func() int32 { return zx(0) }), nil, zeroAt(c.Input(3)), fixedZero(c.Input(3)), false, func(g int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			y := tensor.Of[int32](v.y)
			for i := range rowCount {
				copy(y[(r0+i)*v.outC+g*v.og+j0:], sums[i*stride:i*stride+cols])
			}
		}}
	})
	return func() error { run(); return nil }, nil
}

func inferQLinearConv(c *op.Call) error {
	if err := c.Need(8); err != nil {
		return err
	}
	if err := wantBytes(c, 0, 3, 7); err != nil {
		return err
	}
	return inferConvAs(c, 0, 3, 8, c.In[7].DType)
}

func prepareQLinearConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 3)
	if err != nil {
		return nil, err
	}
	for _, p := range []struct {
		what        string
		scale, zero *tensor.Tensor
		n           int
	}{{"the input", c.In[1], c.In[2], 1}, {"the weights", c.In[4], c.In[5], v.outC}, {"the output", c.In[6], c.In[7], 1}} {
		if err := wantParams(c, p.what, p.scale, p.zero, p.n); err != nil {
			return nil, err
		}
	}
	xq, wq, yq := constantParams(c.In[1], c.In[2]), constantParams(c.In[4], c.In[5]), constantParams(c.In[6], c.In[7])
	if xq != nil && wq != nil && yq != nil && v.w.HasData() {
		return v.quantised(c, xq, wq, yq, c.Input(8))
	}
	if wideSums(v.x.DType, v.w.DType, v.taps()*v.cg) {
		return nil, c.Errorf("sums of %d products may pass 32 bits", v.taps()*v.cg)
	}
	sx, sw, sy := scaleAt(c.In[1]), scaleAt(c.In[4]), scaleAt(c.In[6])
	zx, zy := zeroAt(c.In[2]), zeroAt(c.In[7])
	b := c.Input(8)
	lo, hi := v.y.DType.IntRange()
	scale := make([]float32, v.outC) // as the inputs are in this run
	r := requant{scale: scale, lo: int32(lo), hi: int32(hi)}
	bias := intBias(b, nil, nil)
	if b != nil && b.DType != tensor.I32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	run := v.intSums(c, intFill[int16](v.x, func() int32 { return zx(0) }), nil, zeroAt(c.In[5]), fixedZero(c.In[5]), false, func(g int) tiles {
		return tiles{e32: requantTile[int32](v.outC, g*v.og, v.y, &r, bias)}
	})
	return func() error {
		r.zero = zy(0)
		for o := range scale {
			scale[o] = float32(float64(sx(0)) * float64(sw(o)) / float64(sy(0)))
		}
		run()
		return nil
	}, nil
}
