package nn

import (
	"bytes"
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Subnormal constants of products count as zero, in weights and in the bias.
func TestSubnormalWeights(t *testing.T) {
	rng := draws(t)
	layout := attr.Attrs{"layout": "NHWC"}
	for range *count {
		size, in, out := 1+rng.IntN(9), 1+rng.IntN(70), 1+rng.IntN(70)
		for _, c := range []struct {
			op     string
			attrs  attr.Attrs
			num    num.Numerics
			x, w   tensor.Shape
			biases int
		}{
			{"Conv", layout, num.FP32, tensor.Shape{1, size, size, in}, tensor.Shape{out, 1, 1, in}, out},
			{"Conv", layout, num.FP32, tensor.Shape{1, size + 2, size + 2, in}, tensor.Shape{out, 3, 3, in}, out},
			{"Conv", layout, num.FP32W, tensor.Shape{1, size + 2, size + 2, in}, tensor.Shape{out, 3, 3, in}, out},
			{"Conv", attr.Attrs{"layout": "NHWC", "group": int64(in)}, num.FP32, tensor.Shape{1, size + 2, size + 2, in}, tensor.Shape{in, 3, 3, 1}, in},
			{"ConvTranspose", attr.Attrs{"layout": "NHWC", "strides": []int64{2, 2}}, num.FP32, tensor.Shape{1, size, size, in}, tensor.Shape{in, 2, 2, out}, out},
			{"Gemm", nil, num.FP32, tensor.Shape{size, in}, tensor.Shape{in, out}, out},
			{"MatMul", nil, num.FP32, tensor.Shape{size, in}, tensor.Shape{in, out}, 0},
		} {
			x, w := randomFloats(rng, tensor.F32, c.x...), randomFloats(rng, tensor.F32, c.w...)
			ins, flat := []*tensor.Tensor{x, w}, []*tensor.Tensor{x, tensor.New(tensor.F32, c.w)}
			if c.biases > 0 {
				ins, flat = append(ins, randomFloats(rng, tensor.F32, c.biases)), append(flat, tensor.New(tensor.F32, tensor.Shape{c.biases}))
			}
			for i := range ins[1:] {
				some, none := tensor.Of[float32](ins[1+i]), tensor.Of[float32](flat[1+i])
				for j := range some {
					if rng.IntN(2) == 0 {
						some[j] = math.Float32frombits(1 + rng.Uint32N(1<<23-1) | rng.Uint32()<<31)
					} else {
						none[j] = some[j]
					}
				}
			}
			outs := [2]*tensor.Tensor{}
			for i, in := range [][]*tensor.Tensor{ins, flat} {
				call := &op.Call{Name: "c", Op: c.op, Attrs: c.attrs, Num: c.num, In: in, Out: []*tensor.Tensor{{}}}
				if err := op.Eval(Ops[c.op], call, 0); err != nil {
					t.Fatal(err)
				}
				outs[i] = call.Out[0]
			}
			if !bytes.Equal(outs[0].Data, outs[1].Data) {
				t.Fatalf("%s %v of %v with %v: subnormal weights count", c.op, c.num, c.x, c.w)
			}
		}
	}
}
