package opt_test

import (
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Between its first Quantize and its last Dequantize a quantised network computes on integers.
func TestQuantisedNetworksComputeOnIntegers(t *testing.T) {
	g := parse(t, `graph main(x: f32[1,2,6,6]) -> (y) {
  q = QuantizeLinear(x, f32[]{0.05}, u8[]{128})
  d = DequantizeLinear(q, f32[]{0.05}, u8[]{128})
  w = DequantizeLinear(i8[4,2,3,3]{1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6, 1, -2, 3, 4, -5, 6}, f32[4]{0.1, 0.2, 0.3, 0.4}, i8[4]{0, 0, 0, 0}) {axis=0}
  b = DequantizeLinear(i32[4]{10, -20, 30, 0}, f32[4]{0.005, 0.01, 0.015, 0.02}, i32[4]{0, 0, 0, 0}) {axis=0}
  c = Conv(d, w, b)
  r = Clip(c, f32[]{0}, f32[]{6})
  cq = QuantizeLinear(r, f32[]{0.1}, u8[]{0})
  cd = DequantizeLinear(cq, f32[]{0.1}, u8[]{0})
  p = MaxPool(cd) {kernel_shape=[2,2], strides=[2,2]}
  pq = QuantizeLinear(p, f32[]{0.1}, u8[]{0})
  pd = DequantizeLinear(pq, f32[]{0.1}, u8[]{0})
  v = DequantizeLinear(i8[4,1,1,1]{3, -4, 5, 6}, f32[]{0.25})
  e = Conv(pd, v) {group=4}
  eq = QuantizeLinear(e, f32[]{0.2}, u8[]{100})
  ed = DequantizeLinear(eq, f32[]{0.2}, u8[]{100})
  f = Flatten(ed)
  m = DequantizeLinear(i8[16,3]{1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3, 1, 2, -3}, f32[3]{0.5, 0.25, 0.125}) {axis=1}
  z = Gemm(f, m, f32[3]{1, 2, 3})
  zq = QuantizeLinear(z, f32[]{0.4}, u8[]{120})
  y = DequantizeLinear(zq, f32[]{0.4}, u8[]{120})
}`)
	after, err := optimise(g)
	if err != nil {
		t.Fatal(err)
	}
	heavy := 0
	for _, n := range after.Nodes {
		switch n.Op {
		case "Conv", "Gemm", "MatMul", "MaxPool":
			heavy++
			for _, v := range n.In[:min(2, len(n.In))] {
				if v.DType == tensor.F32 {
					t.Errorf("%s (%s) reads %v", n.Name, n.Op, v.DType)
				}
			}
			if n.Out[0].DType != tensor.U8 {
				t.Errorf("%s (%s) makes %v", n.Name, n.Op, n.Out[0].DType)
			}
		}
	}
	if heavy != 4 {
		t.Errorf("%d of 4 heavy operators left", heavy)
	}
}
