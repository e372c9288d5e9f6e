package nn

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// zeros makes some elements zero, of either sign.
func zeros(rng *rand.Rand, t *tensor.Tensor) *tensor.Tensor {
	for i := range tensor.Of[float32](t) {
		if rng.IntN(3) == 0 {
			tensor.Of[float32](t)[i] = float32(math.Copysign(0, float64(rng.IntN(2))-.5))
		}
	}
	return t
}

// A transposed convolution whose blocks do not overlap gives the same bytes line by line, where there are too few rows to be turned.
func TestTurnedConvTranspose(t *testing.T) {
	rng := draws(t)
	for range *count {
		kh, kw, ic, oc := 1+rng.IntN(3), 1+rng.IntN(4), 1+rng.IntN(40), 1+rng.IntN(4)
		batch, h, w := 1+rng.IntN(2), 3+rng.IntN(20), 1+rng.IntN(120)
		attrs := attr.Attrs{"layout": "NHWC", "strides": []int64{int64(kh), int64(kw)}}
		bounds(rng, attrs)
		x, wt := zeros(rng, randomFloats(rng, tensor.F32, batch, h, w, ic)), zeros(rng, randomFloats(rng, tensor.F32, ic, kh, kw, oc))
		bias := (*tensor.Tensor)(nil)
		if rng.IntN(3) > 0 {
			bias = zeros(rng, randomFloats(rng, tensor.F32, oc))
		}
		call := func(x *tensor.Tensor) *op.Call {
			return &op.Call{Name: "c", Op: "ConvTranspose", Attrs: attrs, In: []*tensor.Tensor{x, wt, bias}, Out: []*tensor.Tensor{{}}}
		}
		whole := call(x)
		if err := sameOnThreads(Ops["ConvTranspose"], whole); err != nil {
			t.Fatal(err)
		}
		size := kh * w * kw * oc * 4
		for i := range batch * h {
			line := call(&tensor.Tensor{DType: tensor.F32, Shape: tensor.Shape{1, 1, w, ic}, Data: x.Data[i*w*ic*4:][:w*ic*4]})
			if err := op.Eval(Ops["ConvTranspose"], line, 0); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(line.Out[0].Data, whole.Out[0].Data[i*size:][:size]) {
				t.Fatalf("%v %v: line %d differs", x, wt, i)
			}
		}
	}
}

// So does a convolution of single positions to few channels, with what follows on it.
func TestTurnedConv(t *testing.T) {
	rng := draws(t)
	for range *count {
		h, w, ic, oc := 3+rng.IntN(20), 1+rng.IntN(leastTurned-1), 1+rng.IntN(40), 1+rng.IntN(mostTurned)
		attrs := attr.Attrs{"layout": "NHWC"}
		bounds(rng, attrs)
		x, wt, other := zeros(rng, randomFloats(rng, tensor.F32, 1, h, w, ic)), zeros(rng, randomFloats(rng, tensor.F32, oc, 1, 1, ic)), randomFloats(rng, tensor.F32, 1, h, w, oc)
		bias := (*tensor.Tensor)(nil)
		if rng.IntN(3) > 0 {
			bias = zeros(rng, randomFloats(rng, tensor.F32, oc))
		}
		if rng.IntN(2) == 0 {
			attrs.Set("chain", []string{"Add in=3"})
		}
		lines := func(t *tensor.Tensor, from, to int) *tensor.Tensor {
			size := len(t.Data) / h
			return &tensor.Tensor{DType: tensor.F32, Shape: tensor.Shape{1, to - from, w, t.Shape[3]}, Data: t.Data[from*size : to*size]}
		}
		call := func(from, to int) *op.Call {
			return &op.Call{Name: "c", Op: "Conv", Attrs: attrs, In: []*tensor.Tensor{lines(x, from, to), wt, bias, lines(other, from, to)}, Out: []*tensor.Tensor{{}}}
		}
		whole := call(0, h)
		if err := sameOnThreads(Ops["Conv"], whole); err != nil {
			t.Fatal(err)
		}
		for i := range h {
			line := call(i, i+1)
			if err := op.Eval(Ops["Conv"], line, 0); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(line.Out[0].Data, lines(whole.Out[0], i, i+1).Data) {
				t.Fatalf("%v %v: line %d differs", x, wt, i)
			}
		}
	}
}
