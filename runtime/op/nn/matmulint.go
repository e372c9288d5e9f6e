package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/ref"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// intSums prepares exact sums of (a-za)*(w-zw) and returns the work of one run; each makes the epilogue that gets the sums of a
// batch's tile. The zero points of w, one per column, are constant if fixed.
func (x *matrices) intSums(c *op.Call, a, w *tensor.Tensor, fill16 func([]int16), fill32 func([]int32), zw func(j int) int32, fixed, wide bool, each func(batch func() int) tiles) func() {
	if wide {
		row := c.Select(spec.Gemm, tensor.I32, tensor.I32, tensor.I64, tensor.I64, c.Num)
		return matSums(c, x, a, row, intSource[int32](w, zw, fixed, x.n), fill32, func(b func() int, p *product[int32, int32, int64]) { p.epilogue = each(b).e64 })
	}
	row := c.Select(spec.Gemm, tensor.I16, tensor.I16, tensor.I32, tensor.I32, c.Num)
	return matSums(c, x, a, row, intSource[int16](w, zw, fixed, x.n), fill16, func(b func() int, p *product[int16, int16, int32]) { p.epilogue = each(b).e32 })
}

func matSums[T int16 | int32, C int32 | int64](c *op.Call, x *matrices, a *tensor.Tensor, row *spec.Row, w *source[T], fill func([]T), set func(b func() int, p *product[T, T, C])) func() {
	buf := op.Make[T](c, a.Len())
	run := matProducts(c, x, row, w, func() []T { return buf }, set)
	return func() {
		fill(buf)
		run()
	}
}

// columns returns B's parameters, which are per tensor or per column.
func (x *matrices) columns(c *op.Call, w *tensor.Tensor) (*tensor.QParams, error) {
	q := w.Quant
	if q.PerTensor() {
		return q, nil
	}
	axis := len(w.Shape) - 1
	if x.bT {
		axis = len(w.Shape) - 2
	}
	if q.Axis != axis || len(w.Shape) != 2 {
		return nil, c.Errorf("weights quantised along axis %d, want %d", q.Axis, axis)
	}
	return q, nil
}

func (x *matrices) prepareQuant(c *op.Call, bias *tensor.Tensor) (op.Run, error) {
	q, err := x.columns(c, c.In[1])
	if err != nil {
		return nil, err
	}
	return x.quantised(c, c.In[0], c.In[1], c.Out[0], c.In[0].Quant, q, c.Out[0].Quant, bias)
}

// quantised is the product of integers a with parameters aq by w with wq (per tensor or column) into y with yq.
func (x *matrices) quantised(c *op.Call, a, w, y *tensor.Tensor, aq, wq, yq *tensor.QParams, b *tensor.Tensor) (op.Run, error) {
	if !aq.PerTensor() || !yq.PerTensor() || !wq.PerTensor() && len(wq.Scale) != x.n {
		return nil, c.Errorf("quantised products need activations per tensor and weights per tensor or column")
	}
	if b != nil && b.DType != tensor.I32 && b.DType != tensor.I64 && b.DType != tensor.F32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	if err := wantInts(c, a, w, y); err != nil {
		return nil, err
	}
	r := newRequant(c, aq, wq, yq, y.DType)
	bias := intBias(b, aq, wq)
	zw, za := qzero(wq), aq.ZeroAt(0)
	zero := func() int32 { return za }
	wide := wideSums(a.DType, w.DType, x.k)
	if w.HasData() && x.sameB() {
		facts := factsOf(c, w, x.kind(), zw, x.n, x.k, func(j, k int) int { return x.bAt(k, j) })
		switch same := a.DType == y.DType && facts.bytes && !wideSums(tensor.I8, tensor.I8, x.k); {
		case same && a.DType == tensor.I8:
			return quantMatKernel[int8, int8, int32](c, x, w, y, &r, zw, raw[int8](a), correction[int32](za, facts, bias, fixedBias(b))), nil
		case same && a.DType == tensor.U8:
			return quantMatKernel[uint8, int8, int32](c, x, w, y, &r, zw, raw[uint8](a), correction[int32](za, facts, bias, fixedBias(b))), nil
		case same && a.DType == tensor.I16:
			return quantMatKernel[int16, int8, int64](c, x, w, y, &r, zw, raw[int16](a), correction[int64](za, facts, bias, fixedBias(b))), nil
		case !wide && (y.DType == tensor.I8 || y.DType == tensor.U8):
			return quantMatKernel[int16, int16, int32](c, x, w, y, &r, zw, copied(a, zero), correction[int32](0, facts, bias, fixedBias(b))), nil
		}
	}
	run := x.intSums(c, a, w, intFill[int16](a, zero), intFill[int32](a, zero), zw, true, wide, func(batch func() int) tiles {
		return tiles{batchTile[int32](x, batch, y, &r, bias), batchTile[int64](x, batch, y, &r, bias)}
	})
	return func() error { run(); return nil }, nil
}

// quantMatKernel is quantKernel for matrices.
func quantMatKernel[T int8 | uint8 | int16, W int8 | int16, C int32 | int64](c *op.Call, x *matrices, w, y *tensor.Tensor, r *requant, zw func(j int) int32, src func() []T, start func(dst []C, shift int)) op.Run {
	row := productRow(c, x.m, x.k, tensor.DTypeOf[T](), tensor.DTypeOf[W](), tensor.DTypeOf[C](), y.DType)
	first := make([]C, x.n)
	var a []T
	run := matProducts(c, x, row, intSource[W](w, zw, true, x.n), func() []T { return a }, func(batch func() int, p *product[T, W, C]) {
		p.zero, p.qlo, p.qhi, p.ldc, p.scale = r.zero, r.lo, r.hi, x.n, r.columns(x.n)
		p.bias = func() []C { return first }
		p.out = func() []byte { return rest(y.Data, batch()*x.m*x.n*p.outElement) }
	})
	return func() error {
		if len(y.Data) > 0 {
			a = src()
			start(first, row.Shift)
			run()
		}
		return nil
	}
}

func batchTile[C int32 | int64](x *matrices, batch func() int, y *tensor.Tensor, r *requant, bias func(int) int64) func([]C, int, int, int, int, int) {
	return func(sums []C, stride, r0, rowCount, j0, cols int) {
		base := batch() * x.m * x.n
		for i := range rowCount {
			for j := range cols {
				storeInt(y, base+(r0+i)*x.n+j0+j, r.of(int64(sums[i*stride+j])+bias(j0+j), j0+j))
			}
		}
	}
}

// prepareHybrid quantises each row of the input on the fly; see prepareHybridConv.
func (x *matrices) prepareHybrid(c *op.Call, bias *tensor.Tensor) (op.Run, error) {
	a, w, y := c.In[0], c.In[1], c.Out[0]
	if a.DType != tensor.F32 || y.DType != tensor.F32 || !w.HasData() || x.batch != 1 || x.aT || wideSums(tensor.I8, w.DType, x.k) {
		return nil, c.Errorf("dynamic_quantize needs an f32 input and one matrix of constant weights of at most 8 bits")
	}
	q, err := x.columns(c, w)
	if err != nil {
		return nil, err
	}
	if err := wantInts(c, w); err != nil {
		return nil, err
	}
	if err := wantFloats(c, bias); err != nil {
		return nil, err
	}
	lo, hi := activation(c)
	d := newDynamic[int16](c, x.m, x.k)
	fb := newBias(c, bias)
	var bs, ys []float32
	scale := op.Make[float32](c, x.m*x.n) // of each sum
	fill := func(dst []int16) {
		d.quantise(dst, tensor.Of[float32](a))
		d.factors(scale, q.Scale)
	}
	run := x.intSums(c, a, w, fill, nil, qzero(q), true, false, func(func() int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			var b []float32
			if len(bs) > 0 {
				b = bs[j0:][:cols]
			}
			for r := r0; r < r0+rowCount; r++ {
				s := scale[r*x.n+j0:][:cols]
				kernels.ScaleSums(ys[r*x.n+j0:], x.n, sums[(r-r0)*stride:], stride, 1, s, b, lo, hi)
			}
		}}
	})
	return func() error {
		bs, ys = fb.get(), tensor.Of[float32](y)
		run()
		return nil
	}, nil
}

func inferMatMulInteger(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := wantBytes(c, 0, 1); err != nil {
		return err
	}
	s, err := matmulShape(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, tensor.I32, s)
	return nil
}

func prepareMatMulInteger(c *op.Call) (op.Run, error) {
	x := newMatrices(c.In[0].Shape, c.In[1].Shape).merged()
	y := c.Out[0]
	run, err := x.integerSums(c, c.In[0], c.In[1], c.Input(2), c.Input(3), func(batch func() int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			v := tensor.Of[int32](y)[batch()*x.m*x.n:]
			for i := range rowCount {
				copy(v[(r0+i)*x.n+j0:], sums[i*stride:i*stride+cols])
			}
		}}
	})
	if err != nil {
		return nil, err
	}
	return func() error { run(); return nil }, nil
}

// integerSums is intSums of bytes whose zero points are inputs: of a one or one per row, of w one or one per column.
func (x *matrices) integerSums(c *op.Call, a, w, za, zw *tensor.Tensor, each func(batch func() int) tiles) (func(), error) {
	if wideSums(a.DType, w.DType, x.k) {
		return nil, c.Errorf("sums of %d products of %v and %v may pass 32 bits", x.k, a.DType, w.DType)
	}
	if err := wantZeros(c, za, zw); err != nil {
		return nil, err
	}
	if err := wantInts(c, a, w); err != nil {
		return nil, err
	}
	if n := lenOf(za); n > 1 && n != x.m && x.m%n != 0 || x.aT && n > 1 {
		return nil, c.Errorf("%d zero points for %d rows", n, x.m)
	}
	if n := lenOf(zw); n > 1 && n != x.n {
		return nil, c.Errorf("%d zero points for %d columns", n, x.n)
	}
	return x.intSums(c, a, w, x.rowFill(a, za), nil, zeroAt(zw), fixedZero(zw), false, each), nil
}

func lenOf(t *tensor.Tensor) int {
	if t == nil {
		return 0
	}
	return t.Len()
}

// rowFill reads A less its zero point, which is one or one per row.
func (x *matrices) rowFill(a, zero *tensor.Tensor) func(dst []int16) {
	z := zeroAt(zero)
	n := max(1, lenOf(zero))
	return func(dst []int16) {
		widenInts(dst, a)
		for r := range len(dst) / max(1, x.k) {
			if v := int16(z(r % n)); v != 0 {
				for i := r * x.k; i < (r+1)*x.k; i++ {
					dst[i] -= v
				}
			}
		}
	}
}

func inferQLinearMatMul(c *op.Call) error {
	if err := c.Need(8); err != nil {
		return err
	}
	s, err := matmulShape(c, c.In[0].Shape, c.In[3].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[7].DType, s)
	return nil
}

func prepareQLinearMatMul(c *op.Call) (op.Run, error) {
	x := newMatrices(c.In[0].Shape, c.In[3].Shape).merged()
	return x.qlinear(c, c.In[0], c.In[3], [3]*tensor.Tensor{c.In[1], c.In[4], c.In[6]}, [3]*tensor.Tensor{c.Input(2), c.Input(5), c.Input(7)}, nil)
}

// qlinear is the product of integers whose parameters (of a, w and y) are inputs. a's are one or one per row, w's one or one per column.
func (x *matrices) qlinear(c *op.Call, a, w *tensor.Tensor, scales, zeros [3]*tensor.Tensor, b *tensor.Tensor) (op.Run, error) {
	y := c.Out[0]
	if !y.DType.IsInt() || y.DType.Bits() > 16 {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	if b != nil && b.DType != tensor.I32 {
		return nil, c.Errorf("bias of type %v", b.DType)
	}
	rows := max(1, lenOf(scales[0]))
	if x.m%rows != 0 {
		return nil, c.Errorf("%d scales for %d rows", rows, x.m)
	}
	for i, n := range [3]int{rows, x.n, 1} {
		if err := wantParams(c, [3]string{"A", "B", "the output"}[i], scales[i], zeros[i], n); err != nil {
			return nil, err
		}
	}
	aq, wq, yq := constantParams(scales[0], zeros[0]), constantParams(scales[1], zeros[1]), constantParams(scales[2], zeros[2])
	if aq != nil && wq != nil && yq != nil && w.HasData() && aq.PerTensor() && yq.PerTensor() && (wq.PerTensor() || len(wq.Scale) == x.n && len(w.Shape) == 2) {
		return x.quantised(c, a, w, y, aq, wq, yq, b)
	}
	sa, sw, sy, zy := scaleAt(scales[0]), scaleAt(scales[1]), scaleAt(scales[2]), zeroAt(zeros[2])
	perRow := lenOf(scales[0])
	lo, hi := y.DType.IntRange()
	bias := intBias(b, nil, nil)
	run, err := x.integerSums(c, a, w, zeros[0], zeros[1], func(batch func() int) tiles {
		return tiles{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			base := batch() * x.m * x.n
			for i := range rowCount {
				s := float64(sa((r0 + i) % perRow))
				for j := range cols {
					m := float32(s * float64(sw(j0+j)) / float64(sy(0)))
					q := ref.Requantise(int64(sums[i*stride+j])+bias(j0+j), m, zy(0), int32(lo), int32(hi))
					storeInt(y, base+(r0+i)*x.n+j0+j, q)
				}
			}
		}}
	})
	if err != nil {
		return nil, err
	}
	return func() error { run(); return nil }, nil
}
