package nn

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// hostile draws a call of an operator with inputs and attributes that mostly make no sense.
func hostile(rng *rand.Rand, name string) *op.Call {
	types := []tensor.DType{tensor.F32, tensor.F32, tensor.F16, tensor.F64, tensor.U8, tensor.I8, tensor.I8, tensor.I16, tensor.I32, tensor.I64, tensor.I4, tensor.Bool, tensor.F8E4M3FN, tensor.String}
	pick := func() *tensor.Tensor {
		shape := make([]int, rng.IntN(6))
		for i := range shape {
			shape[i] = rng.IntN(4)
		}
		if rng.IntN(2) == 0 { // a plausible rank
			shape = []int{1 + rng.IntN(2), 1 + rng.IntN(3), 1 + rng.IntN(3), 1 + rng.IntN(3)}
		}
		if rng.IntN(4) == 0 {
			shape = []int{}
		}
		t := tensor.New(types[rng.IntN(len(types))], shape)
		for i := range t.Data {
			t.Data[i] = byte(rng.IntN(256))
		}
		if t.DType == tensor.Bool {
			clear(t.Data)
		}
		if narrowInt(t.DType) && rng.IntN(2) == 0 {
			n := []int{1, 2, 3}[rng.IntN(3)]
			quantised(rng, t, n, rng.IntN(4), rng.IntN(2) == 0)
			if n == 1 {
				t.Quant.Zero = nil
			}
		}
		return t
	}
	c := &op.Call{Name: "n", Op: name, Attrs: attr.Attrs{}, Num: []num.Numerics{num.Default, num.BF16, num.FP16}[rng.IntN(3)]}
	first := pick()
	for i := range rng.IntN(9) {
		switch {
		case rng.IntN(8) == 0:
			c.In = append(c.In, nil)
		case i > 0 && rng.IntN(3) == 0: // like the first input, so that some checks pass
			t := first.Clone()
			c.In = append(c.In, t)
		case i == 0:
			c.In = append(c.In, first)
		default:
			c.In = append(c.In, pick())
		}
	}
	for range 1 + rng.IntN(3) {
		t := &tensor.Tensor{}
		if rng.IntN(3) == 0 {
			d := pick()
			t.DType, t.Quant = d.DType, d.Quant
		}
		c.Out = append(c.Out, t)
	}
	for _, name := range []string{"strides", "dilations", "pads", "kernel_shape", "output_padding", "output_shape"} {
		if rng.IntN(3) == 0 {
			n := []int{2, 2, 4, rng.IntN(7)}[rng.IntN(4)]
			v := make([]int64, n)
			for i := range v {
				v[i] = []int64{1, 1, 2, 0, -1, 3, 1 << 40, -1 << 40, 1 << 20}[rng.IntN(9)]
			}
			c.Attrs[name] = v
		}
	}
	for _, name := range []string{"group", "offset_group", "axis", "block_size", "transA", "transB", "ceil_mode", "count_include_pad", "storage_order", "p", "K", "N", "bits",
		"output_dtype", "precision", "dynamic_quantize", "channels_last", "opset"} {
		if rng.IntN(3) == 0 {
			c.Attrs[name] = []int64{0, 1, 1, 2, 3, -1, 4, 16, 1 << 40, -1 << 60}[rng.IntN(10)]
		}
	}
	if rng.IntN(2) == 0 {
		c.Attrs["layout"] = "NHWC"
	}
	if rng.IntN(4) == 0 {
		c.Attrs["auto_pad"] = []string{"SAME_UPPER", "SAME_LOWER", "VALID", "?"}[rng.IntN(4)]
	}
	if rng.IntN(4) == 0 {
		c.Attrs["act_max"] = float32(6)
	}
	c.Attrs["equation"] = []string{"ij,jk->ik", "...i,...j->...", "ii->i", "", "->", "a,b,c->", "i->jj", "...->...", "ab...->...a"}[rng.IntN(9)]
	c.Attrs["activation"] = []string{"", "Relu", "Clip", "Nonsense"}[rng.IntN(4)]
	return c
}

// Bad inputs end in an error, never in a panic, whether they come before Prepare or after.
func TestNoPanics(t *testing.T) {
	rng := draws(t)
	names := make([]string, 0, len(Ops))
	for name := range Ops {
		names = append(names, name)
	}
	slices.Sort(names)
	good := map[string]int{}
	for range 40 * *count {
		name := names[rng.IntN(len(names))]
		c := hostile(rng, name)
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s %v %v %v %v: %v", name, c.In, c.Out, c.Attrs, c.Num, p)
				}
			}()
			err := op.Eval(Ops[name], c, 1<<22)
			if err == nil {
				good[name]++
			}
		}()
		if t.Failed() {
			return
		}
	}
	t.Logf("calls that made sense: %v", good)
}

// Padding makes output positions at no cost to the model; nothing is made for each of them where the output is empty.
func TestHugePaddingOfNothing(t *testing.T) {
	for _, name := range []string{"GlobalAveragePool", "AveragePool", "MaxPool", "LpPool"} {
		c := &op.Call{Name: "n", Op: name, In: []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{0, 1, 1, 1})}, Out: []*tensor.Tensor{{}},
			Attrs: attr.Attrs{"layout": "NHWC", "kernel_shape": []int64{1, 1}, "pads": []int64{0, 0, 1 << 20, 1 << 20}}}
		if err := op.Eval(Ops[name], c, 1<<22); err != nil && !errors.Is(err, tensor.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
