package nn

import (
	"bytes"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Convolutions of integers give the same bytes whether or not they join outputs.
func TestJoinedOutputs(t *testing.T) {
	rng := draws(t)
	joined := 0
	for range 2 * *count {
		s := drawSpatial(rng, false)
		s.dilation[len(s.dilation)-1] = 1
		s.attrs.Set("dilations", s.dilation)
		batch, ic, oc := 1+rng.IntN(2), 1+rng.IntN(8), 1+rng.IntN(12)
		d := []tensor.DType{tensor.I8, tensor.U8, tensor.I16}[rng.IntN(3)]
		x := quantised(rng, randomInts(rng, d, 0, nhwc(batch, s.in, ic)...), 1, 0, d == tensor.I16)
		w := quantised(rng, randomInts(rng, tensor.I8, 0, nhwc(oc, s.kernel, ic)...), []int{1, oc}[rng.IntN(2)], 0, true)
		y := quantised(rng, &tensor.Tensor{DType: d}, 1, 0, d == tensor.I16)
		y.Quant.Scale[0] = x.Quant.Scale[0] * w.Quant.Scale[0] * 200
		bias := (*tensor.Tensor)(nil)
		if rng.IntN(2) == 0 {
			bias = quantBias(rng, tensor.I32, oc)
		}
		call := func(join bool) *op.Call {
			return &op.Call{Name: "c", Op: "Conv", Attrs: s.attrs, In: []*tensor.Tensor{x, w, bias}, Out: []*tensor.Tensor{{DType: d, Quant: y.Quant}},
				Choice: op.Choice{Ways: map[string]bool{"join-outputs": join}}}
		}
		alone, all := call(false), call(true)
		if err := op.Eval(Ops["Conv"], alone, 0); err != nil {
			t.Fatal(err)
		}
		if err := sameOnThreads(Ops["Conv"], all); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(alone.Out[0].Data, all.Out[0].Data) {
			t.Fatalf("%v %v %v %v: outputs differ", x, w, y, s.attrs)
		}
		for _, way := range alone.Ways {
			if way.Name == "join-outputs" {
				joined++
			}
		}
	}
	if joined < *count/10 {
		t.Errorf("%d of %d cases could join outputs", joined, 2**count)
	}
}
