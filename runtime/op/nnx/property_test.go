package nnx

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

func TestEveryOperatorHasACase(t *testing.T) {
	have := map[string]bool{}
	for _, x := range allCases(t) {
		have[x.Op] = true
	}
	for name := range Ops {
		if !have[name] {
			t.Errorf("no case of %s", name)
		}
	}
}

func TestIntegerCasesRunInIntegers(t *testing.T) {
	n := 0
	for _, x := range allCases(t) {
		if x.Op == "tflite.UnidirectionalSequenceLSTM" && x.In[0].Scale != nil {
			n++
			if !integerLSTM(call(t, x)) {
				t.Errorf("%s runs in floats", x.Name)
			}
		}
	}
	if n == 0 {
		t.Error("no cases")
	}
}

// TestDamagedCases changes shapes, types, attributes and inputs at random: an error is welcome, a panic is not.
func TestDamagedCases(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, x := range allCases(t) {
		for round := range 200 {
			c := call(t, x)
			for range 1 + rng.IntN(2) {
				damage(rng, c)
			}
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("%s, round %d: inputs %v, attributes %v: panic: %v\n%s", x.Name, round, c.In, c.Attrs, r, debug.Stack())
					}
				}()
				_ = op.Eval(Ops[x.Op], c, 1<<20)
			}()
		}
	}
}

func damage(rng *rand.Rand, c *op.Call) {
	if len(c.In) == 0 {
		return
	}
	i := rng.IntN(len(c.In))
	t := c.In[i]
	switch k := rng.IntN(7); {
	case k == 0:
		c.In = c.In[:i]
	case t == nil:
		c.In[i] = tensor.New(tensor.F32, tensor.Shape{rng.IntN(4), rng.IntN(4)})
	case k == 1:
		c.In[i] = nil
	case k == 2:
		for name, v := range c.Attrs {
			switch v := v.(type) {
			case int64:
				c.Attrs[name] = v + rng.Int64N(7) - 3
			case []int64:
				c.Attrs[name] = v[:rng.IntN(len(v)+1)]
			case string:
				c.Attrs[name] = "?"
			}
		}
	case k == 3:
		d := []tensor.DType{tensor.F64, tensor.I8, tensor.I32, tensor.I64, tensor.F16, tensor.Bool}[rng.IntN(6)]
		c.In[i] = tensor.New(d, t.Shape)
	default:
		s := t.Shape.Clone()
		switch {
		case len(s) == 0 || rng.IntN(4) == 0:
			s = append(s, rng.IntN(3))
		case rng.IntN(4) == 0:
			s = s[1:]
		default:
			s[rng.IntN(len(s))] = rng.IntN(6)
		}
		c.In[i] = tensor.New(t.DType, s)
		c.In[i].Quant = t.Quant
	}
}

func random(rng *rand.Rand, shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.F32, shape)
	v := tensor.Of[float32](t)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return t
}

func eval(t *testing.T, name string, outs int, a attr.Attrs, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in}
	for range outs {
		c.Out = append(c.Out, &tensor.Tensor{})
	}
	if err := op.Eval(Ops[name], c, 0); err != nil {
		t.Fatal(err)
	}
	return c.Out
}

// TestLiteLSTMIsLSTM compares both definitions: TFLite's gates input, forget, cell, output are ONNX's 0, 2, 3, 1.
func TestLiteLSTMIsLSTM(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const steps, batch, in, hidden = 4, 2, 3, 5
	x := random(rng, steps, batch, in)
	var w, r, b []*tensor.Tensor
	for range 4 {
		w, r, b = append(w, random(rng, hidden, in)), append(r, random(rng, hidden, hidden)), append(b, random(rng, hidden))
	}
	join := func(parts []*tensor.Tensor, extra int, shape ...int) *tensor.Tensor {
		var f []float32
		for _, i := range []int{0, 3, 1, 2} {
			f = append(f, tensor.Of[float32](parts[i])...)
		}
		return tensor.From(append(f, make([]float32, extra)...), shape...)
	}
	h, cell := random(rng, batch, hidden), random(rng, batch, hidden)
	lite := eval(t, "tflite.UnidirectionalSequenceLSTM", 3, attr.Attrs{"time_major": int64(1)},
		slices.Concat([]*tensor.Tensor{x}, w, r, []*tensor.Tensor{nil, nil, nil}, b, []*tensor.Tensor{nil, nil, h, cell})...)
	onnx := eval(t, "LSTM", 3, attr.Attrs{"hidden_size": int64(hidden)}, x, join(w, 0, 1, 4*hidden, in), join(r, 0, 1, 4*hidden, hidden),
		join(b, 4*hidden, 1, 8*hidden), nil, h.View(tensor.Shape{1, batch, hidden}), cell.View(tensor.Shape{1, batch, hidden}))
	for i := range lite {
		if !bytes.Equal(lite[i].Data, onnx[i].Data) {
			t.Errorf("output %d differs", i)
		}
	}
}

// TestStatesCarryOn runs a sequence at once and in two parts.
func TestStatesCarryOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const steps, in, hidden = 6, 3, 4
	for _, name := range []string{"LSTM", "GRU", "RNN"} {
		g := gates[name]
		x, w, r := random(rng, steps, 1, in), random(rng, 1, g*hidden, in), random(rng, 1, g*hidden, hidden)
		outs := map[bool]int{true: 3, false: 2}[name == "LSTM"]
		whole := eval(t, name, outs, attr.Attrs{}, x, w, r)
		half := func(k int) *tensor.Tensor {
			return &tensor.Tensor{DType: tensor.F32, Shape: tensor.Shape{steps / 2, 1, in}, Data: x.Data[k*len(x.Data)/2 : (k+1)*len(x.Data)/2]}
		}
		first := eval(t, name, outs, attr.Attrs{}, half(0), w, r)
		second := eval(t, name, outs, attr.Attrs{}, slices.Concat([]*tensor.Tensor{half(1), w, r, nil, nil}, first[1:])...)
		if got := append(slices.Clone(first[0].Data), second[0].Data...); !bytes.Equal(got, whole[0].Data) {
			t.Errorf("%s: outputs differ", name)
		}
		for i := 1; i < outs; i++ {
			if !bytes.Equal(second[i].Data, whole[i].Data) {
				t.Errorf("%s: state %d differs", name, i)
			}
		}
	}
}

// TestPaddingHasNoPart fills keys and values that nobody sees with NaN.
func TestPaddingHasNoPart(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	q, k, v := random(rng, 1, 2, 3, 4), random(rng, 1, 2, 5, 4), random(rng, 1, 2, 5, 4)
	mask := tensor.From([]bool{true, true, false, true, false}, 1, 5)
	want := eval(t, "Attention", 1, attr.Attrs{}, q, k, v, mask)[0]
	for _, kv := range []*tensor.Tensor{k, v} {
		f := tensor.Of[float32](kv)
		for h := range 2 {
			for _, row := range []int{2, 4} {
				for i := range 4 {
					f[(h*5+row)*4+i] = float32(math.NaN())
				}
			}
		}
	}
	if got := eval(t, "Attention", 1, attr.Attrs{}, q, k, v, mask)[0]; !bytes.Equal(got.Data, want.Data) {
		t.Errorf("%v, want %v", tensor.Of[float32](got), tensor.Of[float32](want))
	}
}
