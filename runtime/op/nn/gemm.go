package nn

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var matmulOps = map[string]op.Op{
	"MatMul":        {Infer: inferMatMul, Prepare: prepareMatMul, Traits: op.QuantKernel},
	"Gemm":          {Infer: inferGemm, Prepare: prepareGemm, Traits: op.QuantKernel},
	"MatMulInteger": {Infer: inferMatMulInteger, Prepare: prepareMatMulInteger},
	"QLinearMatMul": {Infer: inferQLinearMatMul, Prepare: prepareQLinearMatMul},
}

// matrices describes batched products: y[b] = a[b]·w[b], M×K times K×N, with operands broadcast over b.
type matrices struct {
	m, k, n    int
	batch      int
	aOff, bOff []int // first element of each batch's operand, in elements
	aT, bT     bool  // the operand is stored transposed
}

func (x *matrices) aAt(i, k int) int {
	if x.aT {
		return k*x.m + i
	}
	return i*x.k + k
}

func (x *matrices) bAt(k, j int) int {
	if x.bT {
		return j*x.k + k
	}
	return k*x.n + j
}

// sameB reports whether all batches share one B.
func (x *matrices) sameB() bool {
	for _, o := range x.bOff {
		if o != 0 {
			return false
		}
	}
	return true
}

func matmulShape(c *op.Call, a, b tensor.Shape) (tensor.Shape, error) {
	if a == nil || b == nil {
		return nil, nil
	}
	if len(a) == 0 || len(b) == 0 {
		return nil, c.Errorf("operands %v and %v must not be scalars", a, b)
	}
	x, y := a, b
	if len(a) == 1 {
		x = tensor.Shape{1, a[0]}
	}
	if len(b) == 1 {
		y = tensor.Shape{b[0], 1}
	}
	if ka, kb := x[len(x)-1], y[len(y)-2]; ka >= 0 && kb >= 0 && ka != kb {
		return nil, c.Errorf("operands %v and %v do not fit", a, b)
	}
	s, err := c.Broadcast(x[:len(x)-2], y[:len(y)-2])
	if err != nil {
		return nil, err
	}
	if len(a) > 1 {
		s = append(s, x[len(x)-2])
	}
	if len(b) > 1 {
		s = append(s, y[len(y)-1])
	}
	return s, nil
}

// newMatrices lays out a MatMul of known shapes. Batches that share B and whose A lie one after the other are one tall
// product.
func newMatrices(a, b tensor.Shape) *matrices {
	if len(a) == 1 {
		a = tensor.Shape{1, a[0]}
	}
	if len(b) == 1 {
		b = tensor.Shape{b[0], 1}
	}
	x := &matrices{m: a[len(a)-2], k: a[len(a)-1], n: b[len(b)-1]}
	ab, bb := a[:len(a)-2], b[:len(b)-2]
	rank := max(len(ab), len(bb))
	dims := make([]int, rank)
	as, bs := make([]int, rank), make([]int, rank)
	fill := func(s tensor.Shape, size int, st []int) {
		step := size
		for i := len(s) - 1; i >= 0; i-- {
			d := rank - len(s) + i
			if s[i] > 1 {
				st[d] = step
			}
			step *= s[i]
			if s[i] != 1 || dims[d] == 0 {
				dims[d] = s[i]
			}
		}
	}
	fill(ab, x.m*x.k, as)
	fill(bb, x.k*x.n, bs)
	x.batch = tensor.Shape(dims).Len()
	x.aOff, x.bOff = make([]int, x.batch), make([]int, x.batch)
	for i := range x.batch {
		r := i
		for d := rank - 1; d >= 0; d-- {
			x.aOff[i] += r % dims[d] * as[d]
			x.bOff[i] += r % dims[d] * bs[d]
			r /= dims[d]
		}
	}
	if x.batch > 1 && x.sameB() && len(ab) == rank {
		dense := true
		for i, o := range x.aOff {
			dense = dense && o == i*x.m*x.k
		}
		if dense {
			x.m, x.batch, x.aOff, x.bOff = x.m*x.batch, 1, []int{0}, []int{0}
		}
	}
	return x
}

// gatherA packs rows of A from the elements src()[off()+aAt].
func gatherA[A operand](x *matrices, mr int, src func() []A, off func() int) func(dst []A, r0, rows int) {
	return func(dst []A, r0, rows int) {
		a := src()[off():]
		for i := range mr {
			if i >= rows {
				for k := range x.k {
					dst[k*mr+i] = 0
				}
				continue
			}
			at, step := x.aAt(r0+i, 0), 1
			if x.aT {
				step = x.m
			}
			for k := range x.k {
				dst[k*mr+i] = a[at]
				at += step
			}
		}
	}
}

// floatProducts prepares y[b] = clamp(a[b]·w[b] + bias) with f32 sums. Operands are read by as, bs at run time; where w is
// constant and shared it is packed once.
func (x *matrices) floatProducts(c *op.Call, w *tensor.Tensor, as, bs, ys func() []float32, bias func() unsafe.Pointer, lo, hi float32) func() {
	if c.Num == num.BF16 {
		return x.bf16Products(c, w, as, bs, ys, bias, lo, hi)
	}
	row := rows.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	e := newEngine[float32, float32](c.Par, row, x.m, x.k, x.n)
	constant := w.HasData() && x.sameB()
	at := func(b []float32) func(k, j int) float32 { return func(k, j int) float32 { return b[x.bAt(k, j)] } }
	if constant {
		e.b = op.Packed(c, w, x.kind("f32", row), func() []float32 {
			p := make([]float32, e.panels())
			e.packB(p, at(floatWeights(w)))
			return p
		})
	} else {
		e.b = make([]float32, e.panels())
	}
	batch := 0
	p := &product[float32, float32]{engine: e, m: x.m, lo: lo, hi: hi, ldc: x.n, bias: bias,
		gather: gatherA(x, row.MR, as, func() int { return x.aOff[batch] }),
		out:    func() unsafe.Pointer { return unsafe.Pointer(&ys()[batch*x.m*x.n]) }}
	p.ready()
	packed := []float32(nil)
	packAt := func(k, j int) float32 { return packed[x.bAt(k, j)] }
	return func() {
		if len(ys()) == 0 {
			return
		}
		for batch = range x.batch {
			if !constant && (batch == 0 || x.bOff[batch] != x.bOff[batch-1]) {
				packed = bs()[x.bOff[batch]:]
				e.packB(e.b, packAt)
			}
			p.run(c.Par)
		}
	}
}

func (x *matrices) kind(what string, row *spec.Row) string {
	t := "n"
	if x.bT {
		t = "t"
	}
	return "mm/" + what + "/" + row.Name + "/" + t + "/" + itoa(x.k) + "x" + itoa(x.n)
}

func (x *matrices) bf16Products(c *op.Call, w *tensor.Tensor, as, bs, ys func() []float32, bias func() unsafe.Pointer, lo, hi float32) func() {
	row := rows.Select(spec.Gemm, tensor.BF16, tensor.BF16, tensor.F32, tensor.F32, c.Num)
	e := newEngine[uint16, float32](c.Par, row, x.m, x.k, x.n)
	constant := w.HasData() && x.sameB()
	if constant {
		e.b = op.Packed(c, w, x.kind("bf16", row), func() []uint16 {
			p, f := make([]uint16, e.panels()), floatWeights(w)
			e.packB(p, func(k, j int) uint16 { return half.BF16(f[x.bAt(k, j)]) })
			return p
		})
	} else {
		e.b = make([]uint16, e.panels())
	}
	var rounded []uint16
	batch := 0
	p := &product[uint16, float32]{engine: e, m: x.m, lo: lo, hi: hi, ldc: x.n, bias: bias,
		gather: gatherA(x, row.MR, func() []uint16 { return rounded }, func() int { return x.aOff[batch] }),
		out:    func() unsafe.Pointer { return unsafe.Pointer(&ys()[batch*x.m*x.n]) }}
	p.ready()
	var from []float32
	packAt := func(k, j int) uint16 { return half.BF16(from[x.bAt(k, j)]) }
	return func() {
		if len(ys()) == 0 {
			return
		}
		a := as()
		if len(rounded) != len(a) {
			rounded = make([]uint16, len(a))
		}
		half.ToBF16(rounded, a)
		for batch = range x.batch {
			if !constant && (batch == 0 || x.bOff[batch] != x.bOff[batch-1]) {
				from = bs()[x.bOff[batch]:]
				e.packB(e.b, packAt)
			}
			p.run(c.Par)
		}
	}
}

// intProducts prepares exact sums of (a-za)*(w-zw); tile gets those of batch b.
func (x *matrices) intProducts(c *op.Call, a, w *tensor.Tensor, fill func(d16 []int16, d32 []int32), wAt func() func(i, j int) int32, wConst bool, tile func(batch func() int) tileFuncs) func() {
	batch := 0
	now := func() int { return batch }
	if !wideSums(a.DType, w.DType, x.k) {
		return intProductsAs[int16, int32](x, c, a, wAt, wConst, rows.Select(spec.Gemm, tensor.I16, tensor.I16, tensor.I32, tensor.I32, c.Num),
			func(d []int16) { fill(d, nil) }, &batch, tile(now).e32)
	}
	return intProductsAs[int32, int64](x, c, a, wAt, wConst, rows.Select(spec.Gemm, tensor.I32, tensor.I32, tensor.I64, tensor.I64, c.Num),
		func(d []int32) { fill(nil, d) }, &batch, tile(now).e64)
}

func intProductsAs[A int16 | int32, C int32 | int64](x *matrices, c *op.Call, a *tensor.Tensor, wAt func() func(i, j int) int32, wConst bool,
	row *spec.Row, fill func([]A), batch *int, epilogue func([]C, int, int, int, int, int)) func() {
	e := newEngine[A, C](c.Par, row, x.m, x.k, x.n)
	e.b = make([]A, e.panels())
	constant := wConst && x.sameB()
	at := func(w func(i, j int) int32, off int) func(k, j int) A {
		return func(k, j int) A { return A(w(off+x.bAt(k, j), j)) }
	}
	if constant {
		e.packB(e.b, at(wAt(), 0))
	}
	buf := make([]A, a.Len())
	p := &product[A, C]{engine: e, m: x.m, epilogue: epilogue,
		gather: gatherA(x, row.MR, func() []A { return buf }, func() int { return x.aOff[*batch] })}
	p.ready()
	return func() {
		fill(buf)
		var w func(i, j int) int32
		if !constant {
			w = wAt()
		}
		for b := range x.batch {
			*batch = b
			if !constant && (b == 0 || x.bOff[b] != x.bOff[b-1]) {
				e.packB(e.b, at(w, x.bOff[b]))
			}
			p.run(c.Par)
		}
	}
}

func inferMatMul(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	s, err := matmulShape(c, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, productType(c), s)
	return nil
}

// productType is the type of a product: that of A, but FP32 where A is quantised, or a weight that is stored narrow.
func productType(c *op.Call) tensor.DType {
	if c.In[0].Quant != nil || c.Num == num.FP16 || c.Num == num.BF16 {
		return tensor.F32
	}
	return c.In[0].DType
}

func prepareMatMul(c *op.Call) (op.Run, error) {
	x := newMatrices(c.In[0].Shape, c.In[1].Shape)
	return x.prepare(c, nil)
}

// prepare dispatches by the operands' types. The bias is a row of N, or nil.
func (x *matrices) prepare(c *op.Call, bias *tensor.Tensor) (op.Run, error) {
	a, w, y := c.In[0], c.In[1], c.Out[0]
	lo, hi := activation(c)
	switch {
	case a.Quant != nil && w.Quant != nil && y.Quant != nil:
		return x.prepareQuant(c, bias)
	case a.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("operands %v, %v and result %v: not all are quantised", a, w, y)
	case w.Quant != nil && c.Attrs.Bool("dynamic_quantize", false):
		return x.prepareHybrid(c, bias)
	}
	switch a.DType {
	case tensor.I32:
		return plainProduct[int32](x, a, w, y), nil
	case tensor.I64:
		return plainProduct[int64](x, a, w, y), nil
	case tensor.U32:
		return plainProduct[uint32](x, a, w, y), nil
	case tensor.U64:
		return plainProduct[uint64](x, a, w, y), nil
	case tensor.F64:
		if bias == nil {
			return plainProduct[float64](x, a, w, y), nil
		}
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return nil, c.Errorf("operands of type %v", a.DType)
	}
	fa, fy, fb := newFloats(a), newFloats(y), newFloats(bias)
	var fw *floats
	if !w.HasData() || !x.sameB() {
		fw = newFloats(w)
	}
	var as, bs, ys, bias32 []float32
	run := x.floatProducts(c, w, func() []float32 { return as }, func() []float32 { return bs }, func() []float32 { return ys },
		func() unsafe.Pointer {
			if len(bias32) == 0 {
				return nil
			}
			return unsafe.Pointer(&bias32[0])
		}, lo, hi)
	return func() error {
		as, bs, ys, bias32 = fa.get(), fw.get(), fy.room(), fb.get()
		run()
		fy.put()
		return nil
	}, nil
}

// plainProduct is the product of types that no kernel serves.
func plainProduct[T int32 | int64 | uint32 | uint64 | float64](x *matrices, a, w, y *tensor.Tensor) op.Run {
	return func() error {
		as, ws, ys := tensor.Of[T](a), tensor.Of[T](w), tensor.Of[T](y)
		for b := range x.batch {
			for i := range x.m {
				for j := range x.n {
					var sum T
					for k := range x.k {
						sum += T(as[x.aOff[b]+x.aAt(i, k)] * ws[x.bOff[b]+x.bAt(k, j)])
					}
					ys[(b*x.m+i)*x.n+j] = sum
				}
			}
		}
		return nil
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
	a, w, y := c.In[0], c.In[1], c.Out[0]
	if !a.Quant.PerTensor() || !y.Quant.PerTensor() {
		return nil, c.Errorf("quantised products need activations per tensor")
	}
	q, err := x.columns(c, w)
	if err != nil {
		return nil, err
	}
	r := newRequant(c, a.Quant, q, y.Quant, y.DType)
	b := intBias(bias, a.Quant, q)
	za := a.Quant.ZeroAt(0)
	run := x.intProducts(c, a, w, intFill(a, func() int32 { return za }), x.readWeights(w, func(j int) int32 { return q.ZeroAt(min(j, len(q.Scale)-1)) }), w.HasData(),
		func(batch func() int) tileFuncs {
			return tileFuncs{batchTile[int32](x, batch, y, &r, b), batchTile[int64](x, batch, y, &r, b)}
		})
	return func() error { run(); return nil }, nil
}

// readWeights returns B's elements less the zero point of their column.
func (x *matrices) readWeights(w *tensor.Tensor, zero func(j int) int32) func() func(i, j int) int32 {
	v := make([]int32, w.Len())
	return func() func(i, j int) int32 {
		widenInts(v, w)
		return func(i, j int) int32 { return v[i] - zero(j) }
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

func (x *matrices) prepareHybrid(c *op.Call, bias *tensor.Tensor) (op.Run, error) {
	a, w, y := c.In[0], c.In[1], c.Out[0]
	if a.DType != tensor.F32 || y.DType != tensor.F32 || !w.HasData() || x.batch != 1 || x.aT || wideSums(tensor.I8, w.DType, x.k) {
		return nil, c.Errorf("dynamic quantisation needs an f32 input and one matrix of constant weights")
	}
	q, err := x.columns(c, w)
	if err != nil {
		return nil, err
	}
	lo, hi := activation(c)
	d := newDynamic(x.m, x.k, c.Attrs.Bool("asymmetric_quantize_inputs", false))
	fb := newFloats(bias)
	var bs, ys []float32
	run := x.intProducts(c, &tensor.Tensor{DType: tensor.I8, Shape: a.Shape}, w, func(d16 []int16, _ []int32) { d.quantise(d16, tensor.Of[float32](a)) },
		x.readWeights(w, func(j int) int32 { return q.ZeroAt(min(j, len(q.Scale)-1)) }), true,
		func(func() int) tileFuncs {
			return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
				for i := range rowCount {
					for j := range cols {
						o := j0 + j
						f := float32(float32(sums[i*stride+j]) * float32(d.scale[r0+i]*q.Scale[min(o, len(q.Scale)-1)]))
						if len(bs) > 0 {
							f += bs[o]
						}
						ys[(r0+i)*x.n+o] = clamp(f, lo, hi)
					}
				}
			}}
		})
	return func() error {
		bs, ys = fb.get(), tensor.Of[float32](y)
		run()
		return nil
	}, nil
}

func inferGemm(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	a, b := c.In[0].Shape, c.In[1].Shape
	d := productType(c)
	m, n, ka, kb := -1, -1, -1, -1
	if a != nil {
		if len(a) != 2 {
			return c.Errorf("A has rank %d, want 2", len(a))
		}
		if m, ka = a[0], a[1]; c.Attrs.Bool("transA", false) {
			m, ka = ka, m
		}
	}
	if b != nil {
		if len(b) != 2 {
			return c.Errorf("B has rank %d, want 2", len(b))
		}
		if kb, n = b[0], b[1]; c.Attrs.Bool("transB", false) {
			kb, n = n, kb
		}
	}
	if ka >= 0 && kb >= 0 && ka != kb {
		return c.Errorf("operands %v and %v do not fit", a, b)
	}
	if x := c.Input(2); x != nil && x.Shape.Known() && m >= 0 && n >= 0 {
		s, err := c.Broadcast(x.Shape, tensor.Shape{m, n})
		if err != nil {
			return err
		}
		if !s.Equal(tensor.Shape{m, n}) {
			return c.Errorf("C %v does not broadcast to %v", x.Shape, tensor.Shape{m, n})
		}
	}
	c.Set(0, d, tensor.Shape{m, n})
	return nil
}

func prepareGemm(c *op.Call) (op.Run, error) {
	x := &matrices{batch: 1, aOff: []int{0}, bOff: []int{0}, aT: c.Attrs.Bool("transA", false), bT: c.Attrs.Bool("transB", false)}
	x.m, x.n = c.Out[0].Shape[0], c.Out[0].Shape[1]
	x.k = c.In[0].Shape[1]
	if x.aT {
		x.k = c.In[0].Shape[0]
	}
	alpha, beta := c.Attrs.Float("alpha", 1), c.Attrs.Float("beta", 1)
	b := c.Input(2)
	row := b == nil || len(b.Shape) >= 1 && b.Len() == x.n && b.Shape[len(b.Shape)-1] == x.n && (x.n > 1 || x.m == 1 || b.Len() == 1)
	if alpha == 1 && (beta == 1 || b == nil) && row {
		return x.prepare(c, b)
	}
	return x.general(c, alpha, beta, b)
}

// general is alpha*A·B + beta*C with C broadcast, in the type of A.
func (x *matrices) general(c *op.Call, alpha, beta float32, b *tensor.Tensor) (op.Run, error) {
	if c.In[0].Quant != nil || c.In[1].Quant != nil && c.Attrs.Bool("dynamic_quantize", false) {
		return nil, c.Errorf("quantised operands with alpha %g, beta %g and C %v", alpha, beta, b)
	}
	lo, hi := activation(c)
	inner := *c
	inner.Attrs = c.Attrs.Clone()
	delete(inner.Attrs, "act_min")
	delete(inner.Attrs, "act_max")
	run, err := x.prepare(&inner, nil)
	if err != nil {
		return nil, err
	}
	y := c.Out[0]
	var bm, bn int // strides of C
	if b != nil {
		s := b.Shape
		if len(s) > 0 && s[len(s)-1] > 1 {
			bn = 1
		}
		if len(s) == 2 && s[0] > 1 {
			bm = s[1]
		}
	}
	switch y.DType {
	case tensor.F64:
		return func() error {
			if err := run(); err != nil {
				return err
			}
			v := tensor.Of[float64](y)
			for i := range v {
				v[i] *= float64(alpha)
				if b != nil {
					v[i] += float64(float64(beta) * tensor.Of[float64](b)[i/x.n*bm+i%x.n*bn])
				}
			}
			return nil
		}, nil
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return generalInts(c, x, run, alpha, beta, b, bm, bn)
	}
	fy, fb := newFloats(y), newFloats(b)
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v, bias := fy.get(), fb.get()
		for i := range v {
			r := float32(alpha * v[i])
			if bias != nil {
				r += float32(beta * bias[i/x.n*bm+i%x.n*bn])
			}
			v[i] = clamp(r, lo, hi)
		}
		fy.put()
		return nil
	}, nil
}

func generalInts(c *op.Call, x *matrices, run op.Run, alpha, beta float32, b *tensor.Tensor, bm, bn int) (op.Run, error) {
	switch c.Out[0].DType {
	case tensor.I32:
		return scaleInts[int32](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.I64:
		return scaleInts[int64](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.U32:
		return scaleInts[uint32](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	case tensor.U64:
		return scaleInts[uint64](x, run, c.Out[0], b, alpha, beta, bm, bn), nil
	}
	return nil, c.Errorf("operands of type %v", c.Out[0].DType)
}

func scaleInts[T int32 | int64 | uint32 | uint64](x *matrices, run op.Run, y, b *tensor.Tensor, alpha, beta float32, bm, bn int) op.Run {
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v := tensor.Of[T](y)
		for i := range v {
			v[i] *= T(alpha)
			if b != nil {
				v[i] += T(beta) * tensor.Of[T](b)[i/x.n*bm+i%x.n*bn]
			}
		}
		return nil
	}
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
	x := newMatrices(c.In[0].Shape, c.In[1].Shape)
	a, w, y := c.In[0], c.In[1], c.Out[0]
	za, zw := c.Input(2), zeroAt(c.Input(3))
	run := x.intProducts(c, a, w, x.rowFill(a, za), x.readWeights(w, zw), false, func(batch func() int) tileFuncs {
		return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			v := tensor.Of[int32](y)[batch()*x.m*x.n:]
			for i := range rowCount {
				copy(v[(r0+i)*x.n+j0:], sums[i*stride:i*stride+cols])
			}
		}}
	})
	return func() error { run(); return nil }, nil
}

// rowFill reads A less its zero point, which is one or one per row.
func (x *matrices) rowFill(a, zero *tensor.Tensor) func(d16 []int16, d32 []int32) {
	z := zeroAt(zero)
	perRow := zero != nil && zero.Len() > 1
	k := x.k
	return func(d16 []int16, d32 []int32) {
		if d16 != nil {
			widenInts(d16, a)
		} else {
			widenInts(d32, a)
		}
		for i := range max(len(d16), len(d32)) {
			r := 0
			if perRow {
				r = i / k % zero.Len()
			}
			if d16 != nil {
				d16[i] -= int16(z(r))
			} else {
				d32[i] -= z(r)
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
	x := newMatrices(c.In[0].Shape, c.In[3].Shape)
	a, w, y := c.In[0], c.In[3], c.Out[0]
	sa, sw, sy := scaleAt(c.In[1]), scaleAt(c.In[4]), scaleAt(c.In[6])
	zw, zy := zeroAt(c.In[5]), zeroAt(c.In[7])
	perRow := c.In[1].Len() > 1
	if !y.DType.IsInt() || y.DType.Bits() > 16 {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	lo, hi := y.DType.IntRange()
	tile := func(batch func() int) tileFuncs {
		return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			base := batch() * x.m * x.n
			r := requant{zero: zy(0), lo: int32(lo), hi: int32(hi), scale: make([]float32, 1)}
			for i := range rowCount {
				ri := 0
				if perRow {
					ri = (r0 + i) % c.In[1].Len()
				}
				for j := range cols {
					r.scale[0] = float32(float64(sa(ri)) * float64(sw(j0+j)) / float64(sy(0)))
					storeInt(y, base+(r0+i)*x.n+j0+j, r.of(int64(sums[i*stride+j]), 0))
				}
			}
		}}
	}
	run := x.intProducts(c, a, w, x.rowFill(a, c.In[2]), x.readWeights(w, zw), false, tile)
	return func() error { run(); return nil }, nil
}
