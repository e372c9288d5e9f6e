package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

var matmulOps = map[string]op.Op{
	"MatMul":        {Infer: inferMatMul, Prepare: prepareMatMul, Traits: op.QuantKernel},
	"Gemm":          {Infer: inferGemm, Prepare: prepareGemm, Traits: op.QuantKernel},
	"MatMulInteger": {Infer: inferMatMulInteger, Prepare: prepareMatMulInteger, Traits: op.PlainIntegers},
	"QLinearMatMul": {Infer: inferQLinearMatMul, Prepare: prepareQLinearMatMul, Traits: op.PlainIntegers},
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

// kind tells ways to read one tensor as B from each other.
func (x *matrices) kind() string {
	s := itoa(x.k) + "x" + itoa(x.n)
	if x.bT {
		s += "/t"
	}
	return s
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

// newMatrices lays out a MatMul of known shapes.
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
	return x
}

// merged makes one tall product of batches that share B and whose A lie one after the other. A must not be transposed.
func (x *matrices) merged() *matrices {
	for i, o := range x.aOff {
		if o != i*x.m*x.k {
			return x
		}
	}
	if x.batch > 1 && x.sameB() {
		x.m, x.batch, x.aOff, x.bOff = x.m*x.batch, 1, []int{0}, []int{0}
	}
	return x
}

// floats prepares y[b] = clamp(a[b]·w[b] + bias) of floats, w from a source.
func (x *matrices) floats(c *op.Call, w *source[float32], bias *tensor.Tensor) (op.Run, error) {
	chain, err := elem.NewChain(c, c.Out[0].Shape)
	if err != nil {
		return nil, err
	}
	if c.Num == num.BF16 {
		return x.bf16(c, w, bias, chain), nil
	}
	lo, hi := activation(c)
	fa, fy, fb := newFloats(c, c.In[0]), newFloats(c, c.Out[0]), newBias(c, bias)
	var as, ys, bs []float32
	src, dst := func() []float32 { return as }, func() []byte { return tensor.Bytes(ys) }
	var run func()
	var row *spec.Row
	var half *source[uint16]
	if x.sameB() {
		row, half = storedHalf(c, w, x.m, true)
	}
	if half != nil {
		run = matProducts(c, x, row, half, src, matEpilogue[float32, uint16](x, c.Out[0], chain, dst, &bs, lo, hi))
	} else {
		row = productRow(c, x.m, x.k, tensor.F32, tensor.F32, tensor.F32, tensor.F32)
		run = matProducts(c, x, row, w, src, matEpilogue[float32, float32](x, c.Out[0], chain, dst, &bs, lo, hi))
	}
	return func() error {
		as, ys, bs = fa.get(), fy.room(), fb.get()
		if len(ys) > 0 {
			chain.Bind()
			run()
			fy.put()
		}
		return nil
	}, nil
}

// matEpilogue lets the kernel write bias and bounds itself; then follows the chain, if there is one.
func matEpilogue[A, B operand](x *matrices, y *tensor.Tensor, chain *elem.Chain, out func() []byte, bias *[]float32, lo, hi float32) func(batch func() int, p *product[A, B, float32]) {
	return func(batch func() int, p *product[A, B, float32]) {
		p.lo, p.hi, p.ldc, p.chain, p.width = lo, hi, x.n, chain, x.n
		p.narrow = chain != nil && y.DType == tensor.BF16
		p.out = func() []byte { return rest(out(), batch()*x.m*x.n*p.outElement) }
		p.bias = func() []float32 { return *bias }
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
	d, err := resultType(c, productType(c))
	if err != nil {
		return err
	}
	c.Set(0, d, s)
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
	x := newMatrices(c.In[0].Shape, c.In[1].Shape).merged()
	return x.prepare(c, nil)
}

// prepare dispatches by the operands' types. The bias is a row of N, or nil.
func (x *matrices) prepare(c *op.Call, bias *tensor.Tensor) (op.Run, error) {
	a, w, y := c.In[0], c.In[1], c.Out[0]
	switch {
	case a.Quant != nil && w.Quant != nil && y.Quant != nil:
		return x.prepareQuant(c, bias)
	case a.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("operands %v, %v and result %v: not all are quantised", a, w, y)
	case w.Quant != nil && c.Attrs.Bool("dynamic_quantize", false):
		return x.prepareHybrid(c, bias)
	}
	switch a.DType {
	case tensor.I32, tensor.I64, tensor.U32, tensor.U64:
		if w.DType != a.DType || y.DType != a.DType {
			return nil, c.Errorf("operands of types %v and %v, result of type %v", a.DType, w.DType, y.DType)
		}
	case tensor.F64:
		if bias == nil && (w.DType != a.DType || y.DType != a.DType) {
			return nil, c.Errorf("operands of types %v and %v, result of type %v", a.DType, w.DType, y.DType)
		}
	}
	switch a.DType {
	case tensor.I32:
		return plainProduct[int32](c, x), nil
	case tensor.I64:
		return plainProduct[int64](c, x), nil
	case tensor.U32:
		return plainProduct[uint32](c, x), nil
	case tensor.U64:
		return plainProduct[uint64](c, x), nil
	case tensor.F64:
		if bias == nil {
			run := plainProduct[float64](c, x)
			return func() error {
				err := run()
				bound64(c, y)
				return err
			}, nil
		}
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return nil, c.Errorf("operands of type %v", a.DType)
	}
	if err := wantFloats(c, bias); err != nil {
		return nil, err
	}
	from, err := floatSource(c, w, x.sameB())
	if err != nil {
		return nil, err
	}
	return x.floats(c, from, bias)
}

// bound64 applies the fused activation to float64.
func bound64(c *op.Call, y *tensor.Tensor) {
	if lo, hi := bounds64(c); !math.IsInf(lo, -1) || !math.IsInf(hi, 1) {
		v := tensor.Of[float64](y)
		for i := range v {
			v[i] = math.Max(lo, math.Min(hi, v[i]))
		}
	}
}

// plainProduct is the product of types that no kernel serves.
func plainProduct[T int32 | int64 | uint32 | uint64 | float64](c *op.Call, x *matrices) op.Run {
	body := func(from, to int) {
		as, ws, ys := tensor.Of[T](c.In[0]), tensor.Of[T](c.In[1]), tensor.Of[T](c.Out[0])
		for r := from; r < to; r++ {
			b, i := r/x.m, r%x.m
			for j := range x.n {
				var sum T
				for k := range x.k {
					sum += T(as[x.aOff[b]+x.aAt(i, k)] * ws[x.bOff[b]+x.bAt(k, j)])
				}
				ys[r*x.n+j] = sum
			}
		}
	}
	return func() error {
		c.Par.For(x.batch*x.m, 1, body)
		return nil
	}
}
