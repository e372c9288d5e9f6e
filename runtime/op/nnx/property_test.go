package nnx

import (
	"bytes"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

func allCases(t testing.TB) []*testCase {
	var list []*testCase
	files, _ := filepath.Glob(filepath.Join("testdata", "*.jsonl"))
	for _, f := range files {
		list = append(list, readCases(t, f)...)
	}
	return list
}

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
			if !integerLSTM(x.call(t)) {
				t.Errorf("%s runs in floats", x.Name)
			}
		}
	}
	if n == 0 {
		t.Error("no cases")
	}
}

// TestUnknownShapes makes extents of the inputs unknown, one by one and all together: shape rules must not fail, and
// what they say must agree with the real shapes.
func TestUnknownShapes(t *testing.T) {
	for _, x := range allCases(t) {
		check := func(how string, spoil func(i int, s tensor.Shape) tensor.Shape) {
			c := x.call(t)
			for i, in := range c.In {
				if in != nil {
					c.In[i] = &tensor.Tensor{DType: in.DType, Quant: in.Quant, Shape: spoil(i, in.Shape)}
				}
			}
			if err := Ops[x.Op].Infer(c); err != nil {
				t.Errorf("%s, %s: %v", x.Name, how, err)
				return
			}
			for i, out := range x.Out {
				if out == nil {
					continue
				}
				got := c.Out[i].Shape
				if got == nil {
					continue
				}
				ok := len(got) == len(out.Shape)
				for k := range got {
					ok = ok && (got[k] == -1 || got[k] == out.Shape[k])
				}
				if !ok {
					t.Errorf("%s, %s: output %d is %v, but %v in truth", x.Name, how, i, got, out.Shape)
				}
			}
		}
		check("no rank", func(int, tensor.Shape) tensor.Shape { return nil })
		check("no extent", func(_ int, s tensor.Shape) tensor.Shape {
			s = s.Clone()
			for k := range s {
				s[k] = -1
			}
			return s
		})
		for i := range x.In {
			check("one input unknown", func(k int, s tensor.Shape) tensor.Shape {
				if k == i {
					return nil
				}
				return s
			})
		}
	}
}

// backwards runs bodies in small pieces, in goroutines, last first.
type backwards struct{}

func (backwards) For(n, grain int, body func(lo, hi int)) {
	var wg sync.WaitGroup
	for lo := max(0, (n-1)/max(grain, 1)*max(grain, 1)); lo >= 0; lo -= max(grain, 1) {
		wg.Go(func() { body(lo, min(n, lo+max(grain, 1))) })
	}
	wg.Wait()
}

func (backwards) Threads() int { return 8 }

// TestDataAfterPrepare prepares operators without any data, as for inputs that are not constant: results have the bits
// that constants give, whatever the threads, and Run allocates nothing.
func TestDataAfterPrepare(t *testing.T) {
	for _, x := range allCases(t) {
		if x.Op == "com.microsoft.DynamicQuantizeLSTM" || strings.HasSuffix(x.Name, "_int8") || strings.HasPrefix(x.Name, "lstm_int8") {
			continue // constant weights only, or integers only with these
		}
		t.Run(x.Name, func(t *testing.T) {
			want := x.call(t)
			if err := op.Eval(Ops[x.Op], want, 0); err != nil {
				t.Fatal(err)
			}
			for _, par := range []op.Par{op.Serial{}, backwards{}} {
				c := x.call(t)
				c.Par = par
				data := make([][]byte, len(c.In))
				for i, in := range c.In {
					if in != nil {
						data[i], in.Data = in.Data, nil
					}
				}
				if err := Ops[x.Op].Infer(c); err != nil {
					t.Fatal(err)
				}
				for _, out := range c.Out {
					if out != nil && !out.Shape.Known() {
						t.Skip("shapes depend on data")
					}
				}
				run, err := Ops[x.Op].Prepare(c)
				if err != nil {
					t.Fatal(err)
				}
				for i, in := range c.In {
					if in != nil {
						in.Data = data[i]
					}
				}
				for _, out := range c.Out {
					if out != nil {
						out.Data = tensor.AlignedBytes(tensor.ByteSize(out.DType, out.Len()))
						for i := range out.Data {
							out.Data[i] = 0x55 // what an arena may hold
						}
					}
				}
				for range 2 { // the second run must not depend on the first
					if err := run(); err != nil {
						t.Fatal(err)
					}
				}
				for i, out := range c.Out {
					if out != nil && !bytes.Equal(out.Data, want.Out[i].Data) {
						t.Errorf("output %d differs from that of constants (%d threads)", i, par.Threads())
					}
				}
				if n := testing.AllocsPerRun(3, func() { run() }); n > 0 && par.Threads() == 1 {
					t.Errorf("Run allocates %v times", n)
				}
			}
		})
	}
}

// TestDamagedCases changes shapes, types, attributes and inputs at random: an error is welcome, a panic is not.
func TestDamagedCases(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, x := range allCases(t) {
		for round := range 200 {
			c := x.call(t)
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
