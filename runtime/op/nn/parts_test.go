package nn

import (
	"bytes"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Products whose panels are cut into parts give the same bytes as whole ones.
func TestProductsInParts(t *testing.T) {
	was := partSize
	defer func() { partSize = was }()
	rng := draws(t)
	for range *count {
		size, kernel, in, out := 1+rng.IntN(12), 1+rng.IntN(3), 1+rng.IntN(40), 1+rng.IntN(150)
		attrs := attr.Attrs{"layout": "NHWC", "pads": []int64{1, 0, 0, 1}}
		bounds(rng, attrs)
		ins := []*tensor.Tensor{randomFloats(rng, tensor.F32, 1, size+kernel, size+kernel, in), randomFloats(rng, tensor.F32, out, kernel, kernel, in)}
		if rng.IntN(2) == 0 {
			ins = append(ins, randomFloats(rng, tensor.F32, out))
		}
		var whole *tensor.Tensor
		for _, partSize = range []int{1 << 30, 48 * 4 * in * (1 + rng.IntN(3)), 1 + rng.IntN(48*4*in)} {
			c := &op.Call{Name: "c", Op: "Conv", Attrs: attrs, In: ins, Out: []*tensor.Tensor{{}}}
			if err := sameOnThreads(Ops["Conv"], c); err != nil {
				t.Fatal(err)
			}
			if whole == nil {
				whole = c.Out[0]
			}
			if !bytes.Equal(c.Out[0].Data, whole.Data) {
				t.Fatalf("%v with %v, parts of %d bytes: another result", ins[0].Shape, ins[1].Shape, partSize)
			}
		}
	}
}
