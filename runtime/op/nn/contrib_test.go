package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
	"github.com/edgerun/edgerun/runtime/pool"
)

// split takes a quantised tensor apart into its integers, scale and zero point.
func split(t *tensor.Tensor) (x, scale, zero *tensor.Tensor) {
	n := *t
	n.Quant = nil
	shape := tensor.Shape{}
	if !t.Quant.PerTensor() {
		shape = tensor.Shape{len(t.Quant.Scale)}
	}
	scale, zero = tensor.New(tensor.F32, shape), tensor.New(t.DType, shape)
	copy(tensor.Of[float32](scale), t.Quant.Scale)
	for i := range t.Quant.Scale {
		storeInt(zero, i, t.Quant.ZeroAt(i))
	}
	return &n, scale, zero
}

func eightBits(rng *rand.Rand) tensor.DType { return []tensor.DType{tensor.I8, tensor.U8}[rng.IntN(2)] }

func evalIn(t *testing.T, name string, a attr.Attrs, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in, Out: []*tensor.Tensor{{}}}
	if err := sameOnThreads(Ops[name], c); err != nil {
		t.Fatalf("%s %v %v: %v", name, in, a, err)
	}
	return c.Out[0]
}

// The QLinear operators of com.microsoft are those of the reals within one step.
func TestQLinear(t *testing.T) {
	rng := draws(t)
	for range *count {
		d := eightBits(rng)
		shape := []int{1 + rng.IntN(2), 1 + rng.IntN(4), 1 + rng.IntN(4), 1 + rng.IntN(4)}
		a := quantised(rng, randomInts(rng, d, 0, shape...), 1, 0, false)
		b := quantised(rng, randomInts(rng, d, 0, shape[1], 1, shape[3]), 1, 0, false)
		y := quantised(rng, &tensor.Tensor{DType: d}, 1, 0, false)
		xa, sa, za := split(a)
		xb, sb, zb := split(b)
		check := func(name string, got *tensor.Tensor, scale float32, want func(i int) float64, in attr.Attrs) {
			t.Helper()
			got.Quant = &tensor.QParams{Scale: []float32{scale}, Zero: y.Quant.Zero}
			for i := range got.Len() {
				if err := withinStep(got, i, want(i)); err != nil {
					t.Fatalf("%s %v %v: %v", name, a, in, err)
				}
			}
		}
		params := func(scale float32) (s, z *tensor.Tensor) {
			p := *y
			p.Quant = &tensor.QParams{Scale: []float32{scale}, Zero: y.Quant.Zero}
			_, s, z = split(&p)
			return s, z
		}
		bs := broadcastStrides(b.Shape, shape)
		scale := a.Quant.Scale[0] + b.Quant.Scale[0]
		sy, zy := params(scale)
		check("Add", evalIn(t, "com.microsoft.QLinearAdd", attr.Attrs{}, xa, sa, za, xb, sb, zb, sy, zy), scale,
			func(i int) float64 { return real(a, i) + real(b, offsetOf(i, shape, bs)) }, nil)
		scale = a.Quant.Scale[0] * b.Quant.Scale[0] * 50
		sy, zy = params(scale)
		check("Mul", evalIn(t, "com.microsoft.QLinearMul", attr.Attrs{}, xa, sa, za, xb, sb, zb, sy, zy), scale,
			func(i int) float64 { return real(a, i) * real(b, offsetOf(i, shape, bs)) }, nil)
		sy, zy = params(1. / 256)
		check("Sigmoid", evalIn(t, "com.microsoft.QLinearSigmoid", attr.Attrs{}, xa, sa, za, sy, zy), 1./256,
			func(i int) float64 { return 1 / (1 + math.Exp(-real(a, i))) }, nil)
		at := attr.Attrs{"alpha": float32(.3)}
		sy, zy = params(a.Quant.Scale[0])
		check("LeakyRelu", evalIn(t, "com.microsoft.QLinearLeakyRelu", at, xa, sa, za, sy, zy), a.Quant.Scale[0],
			func(i int) float64 { v := real(a, i); return math.Max(v, 0) + .3*math.Min(v, 0) }, at)

		axis := rng.IntN(4)
		at = attr.Attrs{"axis": int64(axis)}
		sy, zy = params(1. / 256)
		inner, n := tensor.Shape(shape[axis+1:]).Len(), shape[axis]
		check("Softmax", evalIn(t, "com.microsoft.QLinearSoftmax", at, xa, sa, za, sy, zy), 1./256, func(i int) float64 {
			base, sum := i-i/inner%n*inner, 0.0
			for k := range n {
				sum += math.Exp(real(a, base+k*inner) - real(a, i))
			}
			return 1 / sum
		}, at)

		c := quantised(rng, randomInts(rng, d, 0, shape...), 1, 0, false)
		xc, sc, zc := split(c)
		sy, zy = params(a.Quant.Scale[0])
		joined := evalIn(t, "com.microsoft.QLinearConcat", at, sy, zy, xa, sa, za, xc, sc, zc)
		check("Concat", joined, a.Quant.Scale[0], func(i int) float64 {
			part := i / inner % (2 * n)
			from := (i/inner/(2*n)*n+part%n)*inner + i%inner
			if part < n {
				return real(a, from)
			}
			return real(c, from)
		}, at)

		last := rng.IntN(2) == 0
		at = attr.Attrs{}
		at.Set("channels_last", last)
		ch, space := shape[1], shape[2]*shape[3]
		if last {
			ch, space = shape[3], shape[1]*shape[2]
		}
		check("GlobalAveragePool", evalPool(t, "com.microsoft.QLinearGlobalAveragePool", at, xa, sa, za, sy, zy), a.Quant.Scale[0], func(i int) float64 {
			sum := 0.0
			for p := range space {
				if last {
					sum += real(a, (i/ch*space+p)*ch+i%ch)
				} else {
					sum += real(a, i*space+p)
				}
			}
			return sum / float64(space)
		}, at)
		at.Set("kernel_shape", []int{1, 1})
		check("AveragePool", evalPool(t, "com.microsoft.QLinearAveragePool", at, xa, sa, za, sy, zy), a.Quant.Scale[0], func(i int) float64 { return real(a, i) }, at)
	}
}

// evalPool evaluates an operator whose parameters have to be constant.
func evalPool(t *testing.T, name string, a attr.Attrs, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in, Out: []*tensor.Tensor{{}}}
	if err := op.Eval(Ops[name], c, 0); err != nil {
		t.Fatalf("%s %v %v: %v", name, in, a, err)
	}
	return c.Out[0]
}

// QLinearConv and QLinearMatMul give the same whether their parameters are known, which takes another way, or not.
func TestQLinearProducts(t *testing.T) {
	rng := draws(t)
	for range *count {
		d, dw := eightBits(rng), eightBits(rng)
		m, k, n := 1+rng.IntN(6), 1+rng.IntN(20), 1+rng.IntN(9)
		x := quantised(rng, randomInts(rng, d, 0, m, k), 1, 0, false)
		w := quantised(rng, randomInts(rng, dw, 0, k, n), []int{1, n}[rng.IntN(2)], 1, false)
		y := quantised(rng, &tensor.Tensor{DType: d}, 1, 0, false)
		y.Quant.Scale[0] = x.Quant.Scale[0] * w.Quant.Scale[0] * float32(k) * 60
		xi, sx, zx := split(x)
		wi, sw, zw := split(w)
		_, sy, zy := split(y)
		got := evalIn(t, "QLinearMatMul", attr.Attrs{}, xi, sx, zx, wi, sw, zw, sy, zy)
		got.Quant = y.Quant
		for i := range got.Len() {
			sum := 0.0
			for p := range k {
				sum += real(x, i/n*k+p) * real(w, p*n+i%n)
			}
			if err := withinStep(got, i, sum); err != nil {
				t.Fatalf("%v %v: %v", x, w, err)
			}
		}
		// The same as a convolution, NCHW.
		wc := tensor.New(dw, tensor.Shape{n, k, 1, 1})
		for i := range k * n {
			wc.Data[i%n*k+i/n] = wi.Data[i]
		}
		xc := tensor.New(d, tensor.Shape{1, k, m, 1})
		for i := range m * k {
			xc.Data[i%k*m+i/k] = xi.Data[i]
		}
		conv := evalIn(t, "QLinearConv", attr.Attrs{}, xc, sx, zx, wc, sw, zw, sy, zy)
		for i := range m * n {
			if a, b := conv.Data[i%n*m+i/n], got.Data[i]; a != b {
				t.Fatalf("%v %v: convolution gives %d, product %d", x, w, a, b)
			}
		}
		// And in f32.
		b := randomFloats(rng, tensor.F32, n)
		f := evalIn(t, "com.microsoft.MatMulIntegerToFloat", attr.Attrs{}, xi, wi, sx, sw, zx, zw, b)
		for i := range f.Len() {
			sum := real(b, i%n)
			for p := range k {
				sum += real(x, i/n*k+p) * real(w, p*n+i%n)
			}
			if got := real(f, i); math.Abs(got-sum) > 1e-5*(1+math.Abs(sum)) {
				t.Fatalf("%v %v: element %d is %g, want %g", x, w, i, got, sum)
			}
		}
		// QGemm with B transposed and a bias.
		wt := tensor.New(dw, tensor.Shape{n, k})
		copy(wt.Data, wc.Data)
		bias := quantBias(rng, tensor.I32, n)
		at := attr.Attrs{"transB": int64(1), "alpha": float32(1.5)}
		q := evalIn(t, "com.microsoft.QGemm", at, xi, sx, zx, wt, sw, zw, bias, sy, zy)
		q.Quant = y.Quant
		plain := evalIn(t, "com.microsoft.QGemm", at, xi, sx, zx, wt, sw, zw, bias)
		for i := range q.Len() {
			sum := real(bias, i%n) * float64(x.Quant.Scale[0]) * float64(w.Quant.Scale[min(i%n, len(w.Quant.Scale)-1)])
			for p := range k {
				sum += real(x, i/n*k+p) * real(w, p*n+i%n)
			}
			if err := withinStep(q, i, 1.5*sum); err != nil {
				t.Fatalf("QGemm %v %v: %v", x, w, err)
			}
			if got := real(plain, i); math.Abs(got-1.5*sum) > 1e-5*(1+math.Abs(sum)) {
				t.Fatalf("QGemm %v %v: element %d is %g, want %g", x, w, i, got, 1.5*sum)
			}
		}
	}
}

// DynamicQuantizeMatMul is DynamicQuantizeLinear, then MatMulIntegerToFloat.
func TestDynamicQuantizeMatMul(t *testing.T) {
	rng := draws(t)
	for range *count {
		m, k, n := 1+rng.IntN(6), 1+rng.IntN(20), 1+rng.IntN(9)
		a := randomFloats(rng, tensor.F32, 2, m, k)
		w := quantised(rng, randomInts(rng, eightBits(rng), 0, k, n), n, 1, false)
		wi, sw, zw := split(w)
		b := randomFloats(rng, tensor.F32, n)
		d := &op.Call{Name: "d", Op: "DynamicQuantizeLinear", Attrs: attr.Attrs{}, In: []*tensor.Tensor{a}, Out: []*tensor.Tensor{{}, {}, {}}}
		if err := op.Eval(Ops[d.Op], d, 0); err != nil {
			t.Fatal(err)
		}
		want := evalIn(t, "com.microsoft.MatMulIntegerToFloat", attr.Attrs{}, d.Out[0], wi, d.Out[1], sw, d.Out[2], zw, b)
		got := evalIn(t, "com.microsoft.DynamicQuantizeMatMul", attr.Attrs{}, a, wi, sw, zw, b)
		for i, v := range tensor.Of[float32](want) {
			if tensor.Of[float32](got)[i] != v {
				t.Fatalf("%v: element %d is %g, want %g", a, i, tensor.Of[float32](got)[i], v)
			}
		}
	}
}

// MatMulNBits against the weights taken apart by hand.
func TestMatMulNBits(t *testing.T) {
	rng := draws(t)
	for range *count {
		bits := []int{2, 4, 8}[rng.IntN(3)]
		m, k, n, block := 1+rng.IntN(4), 1+rng.IntN(70), 1+rng.IntN(6), 16<<rng.IntN(2)
		blocks := (k + block - 1) / block
		b := randomInts(rng, tensor.U8, 0, n, blocks, block*bits/8)
		scales := randomFloats(rng, tensor.F32, n*blocks)
		a := randomFloats(rng, tensor.F32, m, k)
		at := attr.Attrs{"K": int64(k), "N": int64(n), "bits": int64(bits), "block_size": int64(block)}
		in := []*tensor.Tensor{a, b, scales}
		zero := func(n, b int) float64 { return float64(int(1) << (bits - 1)) }
		per := 8 / bits
		switch rng.IntN(3) {
		case 1:
			stride := (blocks*bits + 7) / 8
			z := randomInts(rng, tensor.U8, 0, n*stride)
			in = append(in, z)
			zero = func(n, b int) float64 {
				return float64(int(z.Data[n*stride+b/per]) >> (b % per * bits) & (1<<bits - 1))
			}
		case 2:
			z := randomFloats(rng, tensor.F32, n*blocks)
			in = append(in, z)
			zero = func(n, b int) float64 { return real(z, n*blocks+b) }
		}
		bias := (*tensor.Tensor)(nil)
		if rng.IntN(2) == 0 {
			for len(in) < 5 {
				in = append(in, nil)
			}
			bias = randomFloats(rng, tensor.F32, n)
			in = append(in, bias)
		}
		y := evalIn(t, "com.microsoft.MatMulNBits", at, in...)
		for i := range y.Len() {
			r, col := i/n, i%n
			sum := real(bias, col*min(1, lenOf(bias)))
			for p := range k {
				at := p % block
				byteAt := (col*blocks+p/block)*(block*bits/8) + at/per
				q := float64(int(b.Data[byteAt]) >> (at % per * bits) & (1<<bits - 1))
				sum += real(a, r*k+p) * (q - zero(col, p/block)) * real(scales, col*blocks+p/block)
			}
			if got := real(y, i); math.Abs(got-sum) > 1e-4*(1+math.Abs(sum))*math.Sqrt(float64(int(1)<<bits)) {
				t.Fatalf("%v: element %d is %g, want %g", at, i, got, sum)
			}
		}
	}
}

// FusedConv adds Z and applies the activation; FusedMatMul transposes and scales; FusedGemm applies the activation.
func TestFused(t *testing.T) {
	rng := draws(t)
	x, w := randomFloats(rng, tensor.F32, 1, 3, 5, 5), randomFloats(rng, tensor.F32, 4, 3, 3, 3)
	plain := evalIn(t, "Conv", attr.Attrs{}, x, w)
	z := randomFloats(rng, tensor.F32, plain.Shape...)
	fused := evalIn(t, "com.microsoft.FusedConv", attr.Attrs{"activation": "LeakyRelu", "activation_params": []float32{.1}}, x, w, nil, z)
	for i := range plain.Len() {
		v := tensor.Of[float32](plain)[i] + tensor.Of[float32](z)[i]
		if v < 0 {
			v *= .1
		}
		if got := tensor.Of[float32](fused)[i]; got != v {
			t.Fatalf("FusedConv: element %d is %g, want %g", i, got, v)
		}
	}
	for _, flags := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		for _, batch := range [][]int{{}, {3}} {
			aS, bS := []int{4, 5}, []int{5, 6}
			if flags[0] == 1 {
				aS = []int{5, 4}
			}
			if flags[1] == 1 {
				bS = []int{6, 5}
			}
			a := randomFloats(rng, tensor.F32, append(append([]int{}, batch...), aS...)...)
			b := randomFloats(rng, tensor.F32, bS...)
			y := evalIn(t, "com.microsoft.FusedMatMul", attr.Attrs{"transA": int64(flags[0]), "transB": int64(flags[1]), "alpha": float32(.5)}, a, b)
			for i := range y.Len() {
				n, r, col := i/24, i/6%4, i%6
				sum := 0.0
				for p := range 5 {
					ai, bi := r*5+p, p*6+col
					if flags[0] == 1 {
						ai = p*4 + r
					}
					if flags[1] == 1 {
						bi = col*5 + p
					}
					sum += real(a, n*20+ai) * real(b, bi)
				}
				if got := real(y, i); math.Abs(got-sum/2) > 1e-5 {
					t.Fatalf("FusedMatMul %v %v: element %d is %g, want %g", a, flags, i, got, sum/2)
				}
			}
		}
	}
	a, b := randomFloats(rng, tensor.F32, 4, 5), randomFloats(rng, tensor.F32, 5, 6)
	y := evalIn(t, "com.microsoft.FusedGemm", attr.Attrs{"activation": "Relu"}, a, b)
	for i, v := range tensor.Of[float32](evalIn(t, "Gemm", attr.Attrs{}, a, b)) {
		if got := tensor.Of[float32](y)[i]; got != max(v, 0) {
			t.Fatalf("FusedGemm: element %d is %g, want %g", i, got, max(v, 0))
		}
	}
}

// Run allocates nothing, whether the inputs are known when it is prepared or not, on one thread or several.
func TestRunAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := func(shape ...int) *tensor.Tensor { return randomFloats(rng, tensor.F32, shape...) }
	q := func(d tensor.DType, n, axis int, shape ...int) *tensor.Tensor {
		return quantised(rng, randomInts(rng, d, 0, shape...), n, axis, true)
	}
	quantOut := func(d tensor.DType) *tensor.Tensor { return quantised(rng, &tensor.Tensor{DType: d}, 1, 0, true) }
	u8 := func(shape ...int) *tensor.Tensor { return randomInts(rng, tensor.U8, 0, shape...) }
	s := func() *tensor.Tensor { return tensor.Scalar(float32(.1)) }
	z := func() *tensor.Tensor { return tensor.Scalar(uint8(7)) }
	nhwc := attr.Attrs{"layout": "NHWC"}
	with := func(kv ...any) attr.Attrs {
		a := attr.Attrs{"layout": "NHWC"}
		for i := 0; i < len(kv); i += 2 {
			a.Set(kv[i].(string), kv[i+1])
		}
		return a
	}
	four := pool.New(4)
	defer four.Close()
	for i, c := range []*op.Call{
		{Op: "Conv", Attrs: nhwc, In: []*tensor.Tensor{f(1, 9, 9, 8), f(8, 3, 3, 8), f(8)}},
		{Op: "Conv", Attrs: with("group", 8), In: []*tensor.Tensor{f(1, 9, 9, 8), f(8, 3, 3, 1), f(8)}},
		{Op: "Conv", Attrs: with("group", 2), In: []*tensor.Tensor{f(1, 9, 9, 8), f(8, 9, 9, 4)}},
		{Op: "Conv", Attrs: attr.Attrs{}, In: []*tensor.Tensor{f(1, 8, 9, 9), f(8, 8, 3, 3), f(8)}},
		{Op: "Conv", Attrs: nhwc, In: []*tensor.Tensor{q(tensor.I8, 1, 0, 1, 9, 9, 8), q(tensor.I8, 8, 0, 8, 3, 3, 8), quantBias(rng, tensor.I32, 8)}, Out: []*tensor.Tensor{quantOut(tensor.I8)}},
		{Op: "Conv", Attrs: with("group", 8), In: []*tensor.Tensor{q(tensor.U8, 1, 0, 1, 9, 9, 8), q(tensor.I8, 8, 0, 8, 3, 3, 1)}, Out: []*tensor.Tensor{quantOut(tensor.U8)}},
		{Op: "Conv", Attrs: with("dynamic_quantize", 1), In: []*tensor.Tensor{f(1, 9, 9, 8), q(tensor.I8, 8, 0, 8, 3, 3, 8)}},
		{Op: "ConvTranspose", Attrs: with("strides", []int{2, 2}), In: []*tensor.Tensor{f(1, 5, 5, 8), f(8, 3, 3, 4), f(4)}},
		{Op: "ConvInteger", Attrs: nhwc, In: []*tensor.Tensor{u8(1, 5, 5, 8), u8(4, 3, 3, 8), z(), z()}},
		{Op: "QLinearConv", Attrs: nhwc, In: []*tensor.Tensor{u8(1, 5, 5, 8), s(), z(), u8(4, 3, 3, 8), s(), z(), s(), z(), quantBias(rng, tensor.I32, 4)}},
		{Op: "DeformConv", Attrs: nhwc, In: []*tensor.Tensor{f(1, 5, 5, 4), f(4, 3, 3, 4), f(1, 3, 3, 18)}},
		{Op: "MatMul", Attrs: nhwc, In: []*tensor.Tensor{f(2, 9, 8), f(2, 8, 7)}},
		{Op: "MatMul", Attrs: nhwc, In: []*tensor.Tensor{f(2, 1, 8), f(8, 70)}},
		{Op: "Gemm", Attrs: with("alpha", float32(2)), In: []*tensor.Tensor{f(9, 8), f(8, 7), f(7)}},
		{Op: "Gemm", Attrs: with("transB", 1, "dynamic_quantize", 1), In: []*tensor.Tensor{f(9, 8), q(tensor.I8, 7, 0, 7, 8)}},
		{Op: "MatMulInteger", Attrs: nhwc, In: []*tensor.Tensor{u8(9, 8), u8(8, 7), z(), z()}},
		{Op: "QLinearMatMul", Attrs: nhwc, In: []*tensor.Tensor{u8(9, 8), s(), z(), u8(8, 7), s(), z(), s(), z()}},
		{Op: "Einsum", Attrs: with("equation", "bij,bjk->bik"), In: []*tensor.Tensor{f(2, 9, 8), f(2, 8, 7)}},
		{Op: "MaxPool", Attrs: with("kernel_shape", []int{3, 3}), In: []*tensor.Tensor{f(1, 9, 9, 8)}},
		{Op: "AveragePool", Attrs: with("kernel_shape", []int{3, 3}), In: []*tensor.Tensor{f(1, 9, 9, 8)}},
		{Op: "AveragePool", Attrs: with("kernel_shape", []int{3, 3}), In: []*tensor.Tensor{q(tensor.I8, 1, 0, 1, 9, 9, 8)}, Out: []*tensor.Tensor{quantOut(tensor.I8)}},
		{Op: "LpPool", Attrs: with("kernel_shape", []int{3, 3}), In: []*tensor.Tensor{f(1, 9, 9, 8)}},
		{Op: "GlobalAveragePool", Attrs: nhwc, In: []*tensor.Tensor{f(1, 9, 9, 8)}},
		{Op: "Quantize", Attrs: nhwc, In: []*tensor.Tensor{f(1, 9, 9, 8)}, Out: []*tensor.Tensor{quantOut(tensor.I8)}},
		{Op: "Dequantize", Attrs: nhwc, In: []*tensor.Tensor{q(tensor.I8, 1, 0, 1, 9, 9, 8)}},
		{Op: "QuantizeLinear", Attrs: nhwc, In: []*tensor.Tensor{f(1, 9, 9, 8), s(), z()}},
		{Op: "QuantizeLinear", Attrs: with("axis", 1), In: []*tensor.Tensor{f(2, 4), f(4), u8(4)}},
		{Op: "DequantizeLinear", Attrs: nhwc, In: []*tensor.Tensor{u8(1, 9, 9, 8), s(), z()}},
		{Op: "DynamicQuantizeLinear", Attrs: nhwc, In: []*tensor.Tensor{f(1, 9, 9, 8)}},
		{Op: "com.microsoft.MatMulNBits", Attrs: with("K", 32, "N", 7, "bits", 4, "block_size", 16), In: []*tensor.Tensor{f(9, 32), u8(7, 2, 8), f(14)}},
		{Op: "com.microsoft.DynamicQuantizeMatMul", Attrs: nhwc, In: []*tensor.Tensor{f(9, 8), u8(8, 7), s()}},
		{Op: "com.microsoft.QLinearAdd", Attrs: nhwc, In: []*tensor.Tensor{u8(9, 8), s(), z(), u8(8), s(), z(), s(), z()}},
		{Op: "com.microsoft.QLinearSoftmax", Attrs: nhwc, In: []*tensor.Tensor{u8(9, 8), s(), z(), s(), z()}},
		{Op: "com.microsoft.QLinearConcat", Attrs: nhwc, In: []*tensor.Tensor{s(), z(), u8(9, 8), s(), z(), u8(9, 8), s(), z()}},
	} {
		c.Name = "n"
		if c.Out == nil {
			c.Out = []*tensor.Tensor{{}}
		}
		if c.Op == "DynamicQuantizeLinear" {
			c.Out = append(c.Out, &tensor.Tensor{}, &tensor.Tensor{})
		}
		for _, par := range []op.Par{op.Serial{}, four} {
			for _, known := range []bool{true, false} {
				if !known && len(c.In) > 1 && c.In[1].Quant != nil {
					continue
				}
				d := *c
				d.Par = par
				d.In = nil
				for _, t := range c.In {
					u := *t
					if !known {
						u.Data = nil
					}
					d.In = append(d.In, &u)
				}
				run, err := optest.Prepare(Ops[c.Op], &d)
				if err != nil {
					t.Fatalf("case %d, %s: %v", i, c.Op, err)
				}
				for k := range d.In {
					d.In[k].Data = c.In[k].Data
				}
				if n := testing.AllocsPerRun(5, func() {
					if err := run(); err != nil {
						t.Fatal(err)
					}
				}); n != 0 {
					t.Errorf("case %d, %s, %d threads, inputs known %v: %g allocations", i, c.Op, par.Threads(), known, n)
				}
			}
		}
	}
}
