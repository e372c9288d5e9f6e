package nn

import (
	"math"
	"runtime"
	"unsafe"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var convOps = map[string]op.Op{
	"Conv":                    {Infer: inferConv, Prepare: anyLayout(prepareConv, 0, 1), Traits: op.QuantKernel},
	"ConvInteger":             {Infer: inferConvInteger, Prepare: anyLayout(prepareConvInteger, 0, 1)},
	"QLinearConv":             {Infer: inferQLinearConv, Prepare: anyLayout(prepareQLinearConv, 0, 3)},
	"ConvTranspose":           {Infer: inferConvTranspose, Prepare: anyLayout(prepareConvTranspose, 0, 1), Traits: op.QuantKernel},
	"com.microsoft.FusedConv": {Infer: inferConv, Prepare: anyLayout(prepareFusedConv, 0, 1, 3)},
}

// convWindow reads the geometry of a convolution of x with weights w.
func convWindow(c *op.Call, x, w tensor.Shape) (*window, error) {
	if len(w) != len(x) {
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
	return inferConvAs(c, 0, 1, 2, d)
}

// conv is a convolution that is ready to be driven.
type conv struct {
	*window
	c          *op.Call
	group      int
	cg, og     int // channels per group, in and out
	outC       int
	table      [3][]int32
	x, w, y    *tensor.Tensor
	m          int // output rows: batch × positions
	pos, inPos int
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
	v.table = win.table()
	v.pos, v.inPos = win.positions(), win.inPositions()
	v.m = win.batch * v.pos
	return v, nil
}

// gatherer returns the function that packs the rows of A for one group, and the number of k. The data are read through
// src at run time; lanes are told apart by the destination, so each has offsets of its own.
func gatherer[A operand](v *conv, mr, group int, src func() []A) func(dst []A, r0, rows int) {
	taps := v.taps()
	simple := taps == 1 && v.stride == [3]int{1, 1, 1} && v.begin == [3]int{} && v.end == [3]int{}
	return func(dst []A, r0, rows int) {
		x := src()
		var buf [64]int32
		offs := buf[:]
		if taps > len(buf) {
			offs = make([]int32, taps)
		}
		for i := range mr {
			if i >= rows {
				for k := range taps * v.cg {
					dst[k*mr+i] = 0
				}
				continue
			}
			r := r0 + i
			image := r / v.pos
			if simple {
				offs[0] = int32(r % v.pos)
			} else {
				v.offsets(&v.table, r%v.pos, offs[:taps])
			}
			base := image * v.inPos
			at := i
			for _, o := range offs[:taps] {
				if o < 0 {
					for range v.cg {
						dst[at] = 0
						at += mr
					}
					continue
				}
				from := (base+int(o))*v.channels + group*v.cg
				for _, e := range x[from : from+v.cg] {
					dst[at] = e
					at += mr
				}
			}
		}
	}
}

// weights packs B for each group from at(o, k), the element of output channel o and flat k.
func packWeights[A operand, C accum](e *engine[A, C], v *conv, group int, at func(i int) A) []A {
	b := make([]A, e.panels())
	e.packB(b, func(k, j int) A { return at((group*v.og+j)*e.k + k) })
	return b
}

func prepareConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	x, w, y := v.x, v.w, v.y
	switch {
	case c.Attrs.Bool("dynamic_quantize", false) && w.Quant != nil && x.Quant == nil:
		return prepareHybridConv(c, v)
	case x.Quant != nil && w.Quant != nil && y.Quant != nil:
		return prepareQuantConv(c, v)
	case x.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("input %v, weights %v and output %v: not all are quantised", x, w, y)
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
	return newFloats(w).get()
}

// prepareFloatConv prepares y = clamp(conv(x, w) + b). after, if set, sees the output of each run.
func prepareFloatConv(c *op.Call, v *conv, after func(y []float32)) (op.Run, error) {
	x, y := newFloats(v.x), newFloats(v.y)
	bias := newFloats(c.Input(2))
	lo, hi := activation(c)
	k := v.taps() * v.cg
	var wf *floats
	if !v.w.HasData() {
		wf = newFloats(v.w)
	}
	var xs, ys, bs []float32
	begin := func() {
		xs, ys, bs = x.get(), y.room(), bias.get()
	}
	end := func() {
		if after != nil {
			after(ys)
		}
		y.put()
	}
	biasAt := func(group int) func() unsafe.Pointer {
		return func() unsafe.Pointer {
			if len(bs) == 0 {
				return nil
			}
			return unsafe.Pointer(&bs[group*v.og])
		}
	}
	if v.cg == 1 && v.og == 1 && v.group > 1 && c.Num != num.BF16 {
		return v.depthwise(c, begin, end, func() []float32 { return xs }, func() []float32 { return ys }, func() []float32 { return bs }, wf, lo, hi)
	}
	if c.Num == num.BF16 {
		return v.bf16(c, begin, end, func() []float32 { return xs }, func() []float32 { return ys }, biasAt, wf, lo, hi)
	}
	row := rows.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	var jobs []*product[float32, float32]
	for g := range v.group {
		e := newEngine[float32, float32](c.Par, row, v.m, k, v.og)
		if wf == nil {
			e.b = op.Packed(c, v.w, packKind("f32", row, g, v.group), func() []float32 {
				w := floatWeights(v.w)
				return packWeights(e, v, g, func(i int) float32 { return w[i] })
			})
		} else {
			e.b = make([]float32, e.panels())
		}
		p := &product[float32, float32]{engine: e, m: v.m, lo: lo, hi: hi, ldc: v.outC, bias: biasAt(g),
			gather: gatherer(v, row.MR, g, func() []float32 { return xs }),
			out:    func() unsafe.Pointer { return unsafe.Pointer(&ys[g*v.og]) }}
		jobs = append(jobs, p.ready())
	}
	return func() error {
		begin()
		if len(ys) == 0 {
			return nil
		}
		if wf != nil {
			w := wf.get()
			for g, p := range jobs {
				p.packB(p.b, func(k, j int) float32 { return w[(g*v.og+j)*p.k+k] })
			}
		}
		for _, p := range jobs {
			p.run(c.Par)
		}
		end()
		return nil
	}, nil
}

func packKind(what string, row *spec.Row, group, of int) string {
	return what + "/" + row.Name + "/" + itoa(group) + "/" + itoa(of)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// bf16 rounds both operands to BF16.
func (v *conv) bf16(c *op.Call, begin, end func(), xs, ys func() []float32, biasAt func(int) func() unsafe.Pointer, wf *floats, lo, hi float32) (op.Run, error) {
	row := rows.Select(spec.Gemm, tensor.BF16, tensor.BF16, tensor.F32, tensor.F32, c.Num)
	rounded := make([]uint16, v.x.Len())
	var jobs []*product[uint16, float32]
	for g := range v.group {
		e := newEngine[uint16, float32](c.Par, row, v.m, v.taps()*v.cg, v.og)
		if wf == nil {
			e.b = op.Packed(c, v.w, packKind("bf16", row, g, v.group), func() []uint16 {
				w := floatWeights(v.w)
				return packWeights(e, v, g, func(i int) uint16 { return half.BF16(w[i]) })
			})
		} else {
			e.b = make([]uint16, e.panels())
		}
		p := &product[uint16, float32]{engine: e, m: v.m, lo: lo, hi: hi, ldc: v.outC, bias: biasAt(g),
			gather: gatherer(v, row.MR, g, func() []uint16 { return rounded }),
			out:    func() unsafe.Pointer { return unsafe.Pointer(&ys()[g*v.og]) }}
		jobs = append(jobs, p.ready())
	}
	return func() error {
		begin()
		if len(ys()) == 0 {
			return nil
		}
		half.ToBF16(rounded, xs())
		if wf != nil {
			w := wf.get()
			for g, p := range jobs {
				p.packB(p.b, func(k, j int) uint16 { return half.BF16(w[(g*v.og+j)*p.k+k]) })
			}
		}
		for _, p := range jobs {
			p.run(c.Par)
		}
		end()
		return nil
	}, nil
}

// depthwise runs one filter per channel.
func (v *conv) depthwise(c *op.Call, begin, end func(), xs, ys, bs func() []float32, wf *floats, lo, hi float32) (op.Run, error) {
	row := rows.Select(spec.Depthwise, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	kernel := row.Func.(func(*spec.DepthwiseArgs))
	taps := v.taps()
	transposed := func(dst, w []float32) []float32 { // [C][taps] to [taps][C]
		for ch := range v.channels {
			for t := range taps {
				dst[t*v.channels+ch] = w[ch*taps+t]
			}
		}
		return dst
	}
	var wp []float32
	if wf == nil {
		wp = op.Packed(c, v.w, packKind("dw", row, 0, 1), func() []float32 {
			return transposed(make([]float32, taps*v.channels), floatWeights(v.w))
		})
	} else {
		wp = make([]float32, taps*v.channels)
	}
	type scratch struct {
		offs []int32
		in   []unsafe.Pointer
		args spec.DepthwiseArgs
	}
	shares := make([]scratch, max(1, min(4*c.Par.Threads(), v.m)))
	for i := range shares {
		shares[i].offs, shares[i].in = make([]int32, taps), make([]unsafe.Pointer, taps)
	}
	body := func(from, to int) {
		x, y, b := xs(), ys(), bs()
		for l := from; l < to; l++ {
			s := &shares[l]
			a := &s.args
			*a = spec.DepthwiseArgs{In: unsafe.Pointer(&s.in[0]), W: unsafe.Pointer(&wp[0]), Taps: taps, Channels: v.channels, Lo: lo, Hi: hi}
			if len(b) > 0 {
				a.Bias = unsafe.Pointer(&b[0])
			}
			for r := l * v.m / len(shares); r < (l+1)*v.m/len(shares); r++ {
				v.offsets(&v.table, r%v.pos, s.offs)
				base := r / v.pos * v.inPos
				for t, o := range s.offs {
					s.in[t] = nil
					if o >= 0 {
						s.in[t] = unsafe.Pointer(&x[(base+int(o))*v.channels])
					}
				}
				a.Out = unsafe.Pointer(&y[r*v.channels])
				kernel(a)
			}
			runtime.KeepAlive(s)
		}
	}
	return func() error {
		begin()
		if len(ys()) == 0 {
			return nil
		}
		if wf != nil {
			transposed(wp, wf.get())
		}
		c.Par.For(len(shares), 1, body)
		end()
		return nil
	}, nil
}

// intSums prepares integer sums of (x-zx)*(w-zw), through int16 operands where these fit and int32 otherwise, and returns
// the work of one run. fill reads x less its zero point; wAt reads w less its own, once if w is constant; each makes the
// epilogue that gets the sums of a tile.
func (v *conv) intSums(c *op.Call, fill func(dst16 []int16, dst32 []int32), wAt func() func(o, i int) int32, wConst bool, wide bool,
	each func(group int) tileFuncs) func() {
	k := v.taps() * v.cg
	n := v.x.Len()
	var packs []func()
	if !wide {
		row := rows.Select(spec.Gemm, tensor.I16, tensor.I16, tensor.I32, tensor.I32, c.Num)
		buf := make([]int16, n)
		var jobs []*product[int16, int32]
		for g := range v.group {
			e := newEngine[int16, int32](c.Par, row, v.m, k, v.og)
			pack := func() {
				at := wAt()
				e.packB(e.b, func(kk, j int) int16 { o := g*v.og + j; return int16(at(o, o*k+kk)) })
			}
			if wConst {
				e.b = op.Packed(c, v.w, packKind("i16", row, g, v.group), func() []int16 {
					e.b = make([]int16, e.panels())
					pack()
					return e.b
				})
			} else {
				e.b = make([]int16, e.panels())
			}
			p := &product[int16, int32]{engine: e, m: v.m, gather: gatherer(v, row.MR, g, func() []int16 { return buf }), epilogue: each(g).e32}
			jobs = append(jobs, p.ready())
			if !wConst {
				packs = append(packs, pack)
			}
		}
		return func() {
			for _, p := range packs {
				p()
			}
			fill(buf, nil)
			for _, p := range jobs {
				p.run(c.Par)
			}
		}
	}
	row := rows.Select(spec.Gemm, tensor.I32, tensor.I32, tensor.I64, tensor.I64, c.Num)
	buf := make([]int32, n)
	var jobs []*product[int32, int64]
	for g := range v.group {
		e := newEngine[int32, int64](c.Par, row, v.m, k, v.og)
		pack := func() {
			at := wAt()
			e.packB(e.b, func(kk, j int) int32 { o := g*v.og + j; return at(o, o*k+kk) })
		}
		e.b = make([]int32, e.panels())
		if wConst {
			pack()
		} else {
			packs = append(packs, pack)
		}
		p := &product[int32, int64]{engine: e, m: v.m, gather: gatherer(v, row.MR, g, func() []int32 { return buf }), epilogue: each(g).e64}
		jobs = append(jobs, p.ready())
	}
	return func() {
		for _, p := range packs {
			p()
		}
		fill(nil, buf)
		for _, p := range jobs {
			p.run(c.Par)
		}
	}
}

// wideSums reports whether sums of k products may pass 32 bits, or operands 16.
func wideSums(x, w tensor.DType, k int) bool {
	return x.Bits() > 8 || w.Bits() > 8 || k > 1<<31/(256*256)
}

// intFill returns the function that reads x less its zero point.
func intFill(x *tensor.Tensor, zero func() int32) func(d16 []int16, d32 []int32) {
	return func(d16 []int16, d32 []int32) {
		z := zero()
		if d16 != nil {
			widenInts(d16, x)
			for i := range d16 {
				d16[i] -= int16(z)
			}
			return
		}
		widenInts(d32, x)
		for i := range d32 {
			d32[i] -= z
		}
	}
}

// constInts reads constant weights less their zero points, and returns them by output channel and flat index.
func constInts(w *tensor.Tensor) func(o, i int) int32 {
	v := make([]int32, w.Len())
	widenInts(v, w)
	q := w.Quant
	return func(o, i int) int32 { return v[i] - q.ZeroAt(min(o, len(q.Scale)-1)) }
}

// intBias reads a constant or computed bias of 32 or 64 bits, or a float one in units of the accumulator.
func intBias(b *tensor.Tensor, x, w *tensor.QParams) func(o int) int64 {
	if b == nil {
		return func(int) int64 { return 0 }
	}
	switch b.DType {
	case tensor.I32:
		return func(o int) int64 { return int64(tensor.Of[int32](b)[o]) }
	case tensor.I64:
		return func(o int) int64 { return tensor.Of[int64](b)[o] }
	}
	return func(o int) int64 {
		s := float64(x.Scale[0]) * float64(w.Scale[min(o, len(w.Scale)-1)])
		return int64(math.RoundToEven(float64(tensor.Of[float32](b)[o]) / s))
	}
}

// prepareQuantConv prepares the integer convolution with requantisation.
func prepareQuantConv(c *op.Call, v *conv) (op.Run, error) {
	x, w, y := v.x, v.w, v.y
	if !x.Quant.PerTensor() || !y.Quant.PerTensor() || !w.HasData() || !w.Quant.PerTensor() && (w.Quant.Axis != 0 || len(w.Quant.Scale) != v.outC) {
		return nil, c.Errorf("quantised convolution needs activations per tensor and constant weights per tensor or output channel")
	}
	if b := c.Input(2); b != nil && b.DType != tensor.I32 && b.DType != tensor.I64 && b.DType != tensor.F32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	r := newRequant(c, x.Quant, w.Quant, y.Quant, y.DType)
	bias := intBias(c.Input(2), x.Quant, w.Quant)
	zx := x.Quant.ZeroAt(0)
	sums := v.intSums(c, intFill(x, func() int32 { return zx }), func() func(o, i int) int32 { return constInts(w) }, true,
		wideSums(x.DType, w.DType, v.taps()*v.cg), requantEach(v, y, &r, bias))
	return func() error { sums(); return nil }, nil
}

// tileFuncs are the epilogues for either width of sums; a product uses one of them.
type tileFuncs struct {
	e32 func(sums []int32, stride, r0, rows, j0, cols int)
	e64 func(sums []int64, stride, r0, rows, j0, cols int)
}

// requantEach makes the epilogues that store requantised elements.
func requantEach(v *conv, y *tensor.Tensor, r *requant, bias func(int) int64) func(group int) tileFuncs {
	return func(g int) tileFuncs {
		return tileFuncs{requantTile[int32](v.outC, g*v.og, y, r, bias), requantTile[int64](v.outC, g*v.og, y, r, bias)}
	}
}

func requantTile[C int32 | int64](ldc, first int, y *tensor.Tensor, r *requant, bias func(int) int64) func([]C, int, int, int, int, int) {
	return func(sums []C, stride, r0, rowCount, j0, cols int) {
		for i := range rowCount {
			for j := range cols {
				o := first + j0 + j
				storeInt(y, (r0+i)*ldc+o, r.of(int64(sums[i*stride+j])+bias(o), o))
			}
		}
	}
}
