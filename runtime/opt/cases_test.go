package opt_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

func parse(t testing.TB, text string) *model.Graph {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Verify(g); err != nil {
		t.Fatal(err)
	}
	return g
}

// sample makes inputs for g; with odd floats NaN, infinities and numbers at the bounds of usual clamps are among them.
func sample(g *model.Graph, odd bool) []*tensor.Tensor {
	rng := rand.New(rand.NewPCG(1, 2))
	var list []*tensor.Tensor
	for _, v := range g.Inputs {
		shape := v.Shape.Clone()
		for i := range shape {
			if shape[i] < 0 {
				shape[i] = 3
			}
		}
		x := tensor.New(v.DType, shape)
		switch v.DType {
		case tensor.F32:
			nan, inf := float32(math.NaN()), float32(math.Inf(1))
			special := []float32{nan, inf, -inf, 0, float32(math.Copysign(0, -1)), 6, 3, -3, 1e30}
			for i := range tensor.Of[float32](x) {
				tensor.Of[float32](x)[i] = float32(rng.NormFloat64() * 3)
				if odd && i%3 == 0 {
					tensor.Of[float32](x)[i] = special[i/3%len(special)]
				}
			}
		case tensor.I64:
			for i := range tensor.Of[int64](x) {
				tensor.Of[int64](x)[i] = 2
			}
		case tensor.Bool:
			for i := range x.Data {
				x.Data[i] = byte(rng.IntN(2))
			}
		default:
			for i := range x.Data {
				x.Data[i] = byte(rng.IntN(256))
			}
		}
		list = append(list, x)
	}
	return list
}

// Graphs that look like what a pass rewrites, and where a careless rewrite changes the result.
func TestPassesOnTrickyGraphs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		odd        bool // exact on NaN and infinities
		tol        float64
	}{
		{name: "clamp of a sum after a product", text: `graph main(x: f32[2,3]) -> (y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2})
  y = Add(m, f32[2]{1, -1}) {act_min=0.0, act_max=2.0}
}`, tol: 1e-5},
		{name: "sum after a clamped product", text: `graph main(x: f32[2,3]) -> (y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2}) {act_min=0.0}
  y = Add(m, f32[2]{1, -1})
}`, tol: 1e-5},
		{name: "sum with a matrix", text: `graph main(x: f32[2,3]) -> (y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2})
  y = Add(f32[2,2]{1, -1, 2, 3}, m)
}`, tol: 1e-5},
		{name: "sum with a column", text: `graph main(x: f32[2,3]) -> (y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2})
  y = Add(f32[2,1]{1, -1}, m)
}`, tol: 1e-5},
		{name: "sum that raises the rank", text: `graph main(x: f32[2,3]) -> (y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2})
  y = Add(f32[1,1,2]{1, -1}, m)
}`, tol: 1e-5},
		{name: "product is an output too", text: `graph main(x: f32[2,3]) -> (m, y) {
  m = MatMul(x, f32[3,2]{1, -2, 3, 1, -1, 2})
  y = Add(f32[2]{1, -1}, m)
}`, tol: 1e-5},
		{name: "sum along the width", text: `graph main(x: f32[1,2,3,3]) -> (y, z) {
  a = Conv(x, f32[3,2,1,1]{1, 2, 3, 4, 5, 6})
  y = Add(a, f32[3]{1, 2, 3})
  d = Conv(x, f32[3,2,1,1]{1, 2, 3, 4, 5, 6})
  z = Mul(d, f32[1,3,1]{1, 2, 3})
}`, tol: 1e-5},
		{name: "sum per image", text: `graph main(x: f32[2,2,3,3]) -> (y) {
  a = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  y = Add(a, f32[2,2,1,1]{1, 2, 3, 4})
}`, tol: 1e-5},
		{name: "sum that broadcasts the result", text: `graph main(x: f32[1,2,3,3]) -> (y, z) {
  a = Conv(x, f32[1,2,1,1]{1, 2})
  y = Add(a, f32[1,4,1,1]{1, 2, 3, 4})
  c = Conv(x, f32[1,2,1,1]{1, 2})
  z = Mul(c, f32[1,1,1,1,1]{2})
}`, tol: 1e-5},
		{name: "difference the other way round", text: `graph main(x: f32[1,2,3,3]) -> (y) {
  a = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  y = Sub(f32[2,1,1]{1, 2}, a)
}`, tol: 1e-5},
		{name: "weights of two convolutions", text: `graph main(x: f32[1,2,3,3]) -> (y, b) {
  const w: f32[2,2,1,1]{1, 2, 3, 4}
  const v: f32[2]{1, 2}
  a = Conv(x, w, v)
  y = BatchNormalization(a, f32[2]{2, 3}, v, f32[2]{0.5, 1}, f32[2]{4, 1})
  b = Conv(x, w, v)
}`, tol: 1e-5},
		{name: "normalisation of an output", text: `graph main(x: f32[1,2,3,3]) -> (a, y) {
  a = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  y = BatchNormalization(a, f32[2]{2, 3}, f32[2]{1, 2}, f32[2]{0.5, 1}, f32[2]{4, 1})
}`, tol: 1e-5},
		{name: "value of a branch", text: `graph main(c: bool[], x: f32[1,2,3,3]) -> (y, z) {
  a = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  y = Relu(a)
  z = If(c) {then_branch=graph () -> (a) {
  }, else_branch=graph () -> (b) {
    b = Neg(a)
  }}
}`, tol: 1e-5},
		{name: "groups of transposed convolutions", text: `graph main(x: f32[1,4,3,3]) -> (y) {
  a = ConvTranspose(x, f32[4,2,1,1]{1, 2, 3, 4, 5, 6, 7, 8}) {group=2}
  b = BatchNormalization(a, f32[4]{2, 3, 4, 5}, f32[4]{1, 2, 3, 4}, f32[4]{0.5, 1, 1.5, 2}, f32[4]{4, 1, 2, 3})
  y = Mul(b, f32[4,1,1]{1, -1, 2, -2})
}`, tol: 1e-5},
		{name: "crossed bounds", odd: true, text: `graph main(x: f32[30]) -> (y, z, u) {
  a = Add(x, f32[1]{1})
  y = Clip(a, f32[]{3}, f32[]{-2})
  c = Add(x, f32[1]{2})
  d = Clip(c, f32[]{0}, f32[]{1})
  z = Clip(d, f32[]{4}, f32[]{7})
  e = Mul(x, f32[1]{2})
  f = Clip(e, _, f32[]{6})
  u = Relu(f)
}`},
		{name: "bounds that are no numbers", odd: true, text: `graph main(x: f32[30]) -> (y, z) {
  a = Add(x, f32[1]{1})
  y = Clip(a, f32[]hex"0000c07f", f32[]{2})
  c = Add(x, f32[1]{2})
  z = Clip(c, f32[]{-1}, f32[]hex"0000c07f")
}`},
		{name: "clamps of sums, products and pools", odd: true, text: `graph main(x: f32[1,1,6,6]) -> (p, q, r, s) {
  a = Sub(x, f32[1]{1})
  p = Relu6(a)
  c = Div(x, f32[1]{2})
  q = Relu(c)
  e = MaxPool(x) {kernel_shape=[2,2]}
  r = Clip(e, f32[]{-1}, f32[]{1})
  f = Neg(x)
  s = Relu(f)
}`},
		{name: "factors that raise the rank", text: `graph main(x: f32[2,3]) -> (y, z) {
  d = Div(x, f32[]{1.4142135})
  e = Erf(d)
  f = Add(e, f32[]{1})
  g = Mul(x, f)
  y = Mul(g, f32[1,1,1]{0.5})
  s = Sigmoid(x)
  p = Add(x, f32[]{3})
  k = Clip(p, f32[]{0}, f32[]{6})
  m = Mul(x, k)
  z = Div(m, f32[1,1,1]{6})
}`, tol: 1e-5},
		{name: "clamped factors", text: `graph main(x: f32[2,3]) -> (y) {
  d = Div(x, f32[]{1.4142135})
  e = Erf(d)
  f = Add(e, f32[]{1})
  g = Mul(x, f) {act_min=0.0, act_max=1.0}
  y = Mul(g, f32[]{0.5})
}`, tol: 1e-5},
		{name: "clamped sum of an error function", text: `graph main(x: f32[2,3]) -> (y) {
  d = Div(x, f32[]{1.4142135})
  e = Erf(d)
  f = Add(e, f32[]{1}) {act_min=0.5, act_max=1.0}
  g = Mul(x, f)
  y = Mul(g, f32[]{0.5})
}`, tol: 1e-5},
		{name: "clamped hard swish", text: `graph main(x: f32[2,3]) -> (y, z) {
  p = Add(x, f32[]{3}) {act_max=4.0}
  k = Clip(p, f32[]{0}, f32[]{6})
  m = Mul(x, k)
  y = Div(m, f32[]{6})
  q = Add(x, f32[]{3})
  r = Clip(q, f32[]{0}, f32[]{6})
  n = Mul(x, r) {act_min=0.0}
  z = Div(n, f32[]{6})
}`, tol: 1e-5},
		{name: "normalisation with a clamp within", text: `graph main(x: f32[2,4]) -> (y) {
  m = ReduceMean(x, i64[1]{-1})
  d = Sub(x, m)
  p = Pow(d, f32[]{2})
  v = ReduceMean(p, i64[1]{-1})
  e = Add(v, f32[]{0.01}) {act_max=0.5}
  r = Sqrt(e)
  n = Div(d, r)
  s = Mul(n, f32[4]{1, 2, 3, 4})
  y = Add(s, f32[4]{1, 2, 3, 4})
}`, tol: 1e-5},
		{name: "normalisation that raises the rank", text: `graph main(x: f32[2,4]) -> (y) {
  m = ReduceMean(x, i64[1]{-1})
  d = Sub(x, m)
  p = Pow(d, f32[]{2})
  v = ReduceMean(p, i64[1]{-1})
  e = Add(v, f32[1,1,1]{0.01})
  r = Sqrt(e)
  n = Div(d, r)
  s = Mul(n, f32[4]{1, 2, 3, 4})
  y = Add(s, f32[4]{1, 2, 3, 4})
}`, tol: 1e-5},
		{name: "pool of what a loop carries", text: `graph main(n: i64[], x: f32[1,2,6,6]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32) -> (k, w) {
    w = MaxPool(v) {kernel_shape=[2,2]}
  }}
}`},
		{name: "convolution and average of what a loop carries", text: `graph main(n: i64[], x: f32[1,2,6,6]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32) -> (k, w) {
    p = AveragePool(v) {kernel_shape=[2,2]}
    c = Conv(p, f32[2,2,1,1]{1, 2, 3, -4})
    w = Relu(c)
  }}
}`, tol: 1e-5},
		{name: "places of maxima", text: `graph main(x: f32[1,2,4,4]) -> (y, z) {
  y, z = MaxPool(x) {kernel_shape=[2,2], strides=[2,2]}
}`},
		{name: "axes after a convolution", text: `graph main(x: f32[1,2,4,4]) -> (a, b, c, d, e, f) {
  v = Conv(x, f32[4,2,1,1]{1, 2, 3, 4, -1, 2, -3, 1})
  a = ReduceMean(v, i64[1]{-3}) {keepdims=0}
  b = ReduceMax(v, i64[2]{-1, -2}) {keepdims=0}
  c = ArgMax(v) {axis=1}
  d = CumSum(v, i64[]{1})
  e = PRelu(v, f32[4,1,1]{0.5, 0.25, -1, 2})
  f = Gather(v, i64[2]{3, 0}) {axis=1}
}`, tol: 1e-5},
		{name: "sizes that are computed", text: `graph main(x: f32[1,2,?,?]) -> (y) {
  v = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  s = Shape(v)
  t = Mul(s, i64[4]{1, 1, 2, 3})
  r = Resize(v, _, _, t) {mode="nearest"}
  y = Relu(r)
}`, tol: 1e-5},
		{name: "condition of a choice", text: `graph main(x: f32[1,2,4,4], k: bool[1,2,4,4]) -> (y, z) {
  v = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  u = Conv(x, f32[2,2,1,1]{1, 2, 3, 4}, f32[2]{1, 2})
  y = Where(k, v, u)
  c = Less(v, u)
  z = Where(c, v, f32[]{0})
}`, tol: 1e-5},
		{name: "outputs of identities", text: `graph main(x: f32[2], c: bool[]) -> (a, b, x, k) {
  a = Identity(x)
  b = Identity(a)
  k = If(c) {then_branch=graph () -> (d) {
    d = Identity(x)
  }, else_branch=graph () -> (e) {
    e = Identity(f32[2]{1, 2})
  }}
}`, odd: true},
		{name: "clamp within integer layers", text: `graph main(x: f32[1,2,4,4]) -> (y, z) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  d = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  c = Conv(d, f32[2,2,1,1]{1, -2, 0.5, 1})
  r = Clip(c, f32[]{0}, f32[]{6})
  e = QuantizeLinear(r, f32[]{0.0234}, u8[]{0})
  y = DequantizeLinear(e, f32[]{0.0234}, u8[]{0})
  v = DequantizeLinear(i8[2,2,1,1]{10, -20, 5, 10}, f32[2]{0.1, 0.05}) {axis=0}
  f = Conv(d, v)
  g = Relu(f)
  h = QuantizeLinear(g, f32[]{0.0234}, u8[]{3})
  z = DequantizeLinear(h, f32[]{0.0234}, u8[]{3})
}`, tol: .01},
		{name: "integers that are compared", text: `graph main(x: f32[8]) -> (y, z, a) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  y = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  z = Equal(q, u8[]{128})
  a = Cast(q) {to=6}
}`},
		{name: "integers read within a branch", text: `graph main(c: bool[], x: f32[8]) -> (y, q) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  y = If(c) {then_branch=graph () -> (a) {
    a = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  }, else_branch=graph () -> (b) {
    b = DequantizeLinear(q, f32[]{0.1}, u8[]{100})
  }}
}`},
		{name: "integers given by branches", text: `graph main(c: bool[], x: f32[8]) -> (y) {
  q = If(c) {then_branch=graph () -> (a) {
    a = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  }, else_branch=graph () -> (b) {
    b = QuantizeLinear(x, f32[]{0.1}, u8[]{100})
  }}
  m = Max(q, u8[]{120})
  y = DequantizeLinear(m, f32[]{0.05}, u8[]{128})
}`},
		{name: "integers carried by a loop", text: `graph main(n: i64[], x: u8[8]) -> (y) {
  q = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: u8[8]) -> (k, w) {
    d = DequantizeLinear(v, f32[]{0.05}, u8[]{128})
    w = QuantizeLinear(d, f32[]{0.1}, u8[]{100})
  }}
  y = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
}`},
		{name: "moved integers read in two ways", text: `graph main(x: f32[2,4]) -> (y, z, u) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  t = Transpose(q) {perm=[1,0]}
  y = DequantizeLinear(t, f32[]{0.05}, u8[]{128})
  z = DequantizeLinear(t, f32[]{0.1}, u8[]{128})
  c = Concat(q, u8[1,4]{1, 2, 3, 4}) {axis=0}
  u = DequantizeLinear(c, f32[]{0.05}, u8[]{128})
}`},
		{name: "padding of integer inputs", text: `graph main(x: u8[2,4]) -> (y, z, u) {
  p = Pad(x, i64[4]{1, 0, 0, 1})
  y = DequantizeLinear(p, f32[]{0.05}, u8[]{128})
  z = DequantizeLinear(x, f32[]{0.05}, u8[]{128})
  c = CenterCropPad(x, i64[2]{4, 2})
  u = DequantizeLinear(c, f32[]{0.05}, u8[]{128})
}`},
		{name: "padding between quantised values", text: `graph main(x: f32[2,4]) -> (y, z) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  d = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  p = Pad(d, i64[4]{1, 0, 0, 1}, f32[]{0.3})
  e = QuantizeLinear(p, f32[]{0.05}, u8[]{128})
  y = DequantizeLinear(e, f32[]{0.05}, u8[]{128})
  c = CenterCropPad(d, i64[2]{4, 2})
  f = QuantizeLinear(c, f32[]{0.05}, u8[]{128})
  z = DequantizeLinear(f, f32[]{0.05}, u8[]{128})
}`},
		{name: "products with factors and rows", text: `graph main(x: f32[2,3]) -> (y, z) {
  q = QuantizeLinear(x, f32[]{0.05}, i8[]{3})
  d = DequantizeLinear(q, f32[]{0.05}, i8[]{3})
  w = DequantizeLinear(i8[3,2]{1, -2, 3, 4, -5, 6}, f32[2]{0.5, 0.25}) {axis=1}
  g = Gemm(d, w, f32[2]{1, -1}) {alpha=0.5, beta=2.0}
  e = QuantizeLinear(g, f32[]{0.1}, i8[]{-3})
  y = DequantizeLinear(e, f32[]{0.1}, i8[]{-3})
  h = Gemm(d, w, f32[1]{1.5})
  f = QuantizeLinear(h, f32[]{0.1}, i8[]{-3})
  z = DequantizeLinear(f, f32[]{0.1}, i8[]{-3})
}`, tol: .02},
		{name: "from unsigned to signed integers", text: `graph main(x: f32[1,2,2,2]) -> (a, b, c, d) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  f = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  n = Neg(f)
  o = QuantizeLinear(n, f32[]{0.06}, i8[]{3})
  a = DequantizeLinear(o, f32[]{0.06}, i8[]{3})
  g = Conv(f, f32[2,2,1,1]{1, -2, 0.5, 1})
  w = DequantizeLinear(i8[2,2,1,1]{10, -20, 5, 10}, f32[]{0.1})
  h = Conv(f, w)
  i = QuantizeLinear(h, f32[]{0.1}, i8[]{3})
  b = DequantizeLinear(i, f32[]{0.1}, i8[]{3})
  j = Add(f, f)
  k = QuantizeLinear(j, f32[]{0.1}, i8[]{3})
  c = DequantizeLinear(k, f32[]{0.1}, i8[]{3})
  l = GlobalAveragePool(f)
  m = QuantizeLinear(l, f32[]{0.1}, i8[]{3})
  d = DequantizeLinear(m, f32[]{0.1}, i8[]{3})
}`, tol: .11}, // one step
		{name: "scales whose product vanishes", text: `graph main(x: f32[1,1,2,2]) -> (y) {
  q = QuantizeLinear(x, f32[]{1e-30}, i8[]{0})
  d = DequantizeLinear(q, f32[]{1e-30}, i8[]{0})
  w = DequantizeLinear(i8[1,1,1,1]{3}, f32[]{1e-30})
  g = Conv(d, w, f32[1]{0})
  e = QuantizeLinear(g, f32[]{1}, i8[]{-3})
  y = DequantizeLinear(e, f32[]{1}, i8[]{-3})
}`},
		{name: "transposes that round", text: `graph main(x: f32[2,3]) -> (y, z) {
  q = Quantize(x) : i8[2,3] q(0.1, 3)
  t = Transpose(q) {perm=[0,1]} : i8[2,3] q(0.5, -2)
  y = Dequantize(t)
  u = Transpose(q) {perm=[1,0]} : i8[3,2] q(0.5, -2)
  v = Transpose(u) {perm=[1,0]} : i8[2,3] q(0.1, 3)
  z = Dequantize(v)
}`},
		{name: "quantised values of different scales", text: `graph main(x: f32[1,4,4,2], y: f32[1,4,4,2]) -> (a, b, c, d, e) {
  q = Quantize(x) : i8[1,4,4,2] q(0.05, 3)
  r = Quantize(y) : i8[1,4,4,2] q(0.08, -7)
  k = Concat(q, r) {axis=-1} : i8[1,4,4,4] q(0.1, 1)
  a = Dequantize(k)
  s = Add(q, r) {act_min=0.0, act_max=6.0} : i8[1,4,4,2] q(0.025, -128)
  b = Dequantize(s)
  m = MaxPool(q) {kernel_shape=[2,2], layout="NHWC"} : i8[1,3,3,2] q(0.05, 3)
  c = Dequantize(m)
  t = Relu6(q) : i8[1,4,4,2] q(0.03, -128)
  d = Dequantize(t)
  u = Reshape(q, i64[2]{8, 4}) : i8[8,4] q(0.1, 0)
  e = Dequantize(u)
}`, tol: 1e-5},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := parse(t, c.text)
			checkPasses(t, g, sample(g, c.odd), c.tol)
			for _, x := range sample(g, c.odd) {
				if x.DType == tensor.Bool && x.Len() == 1 { // the other branch
					in := sample(g, c.odd)
					for _, x := range in {
						if x.DType == tensor.Bool && x.Len() == 1 {
							x.Data[0] ^= 1
						}
					}
					checkPasses(t, g, in, c.tol)
				}
			}
		})
	}
}

func TestBadCondition(t *testing.T) {
	g := parse(t, `graph main(x: f32[1]) -> (y) {
  y = If(i64[]{256}) {then_branch=graph () -> (x) {
  }, else_branch=graph () -> (x) {
  }}
}`)
	if _, err := optimise(g); err == nil || !strings.Contains(err.Error(), "y (If): condition is i64[], want one bool") {
		t.Errorf("got %v", err)
	}
}
