package nnx

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// testCase is one node with its inputs and the outputs that it has to give.
type testCase struct {
	Name, Op string
	Attrs    map[string][2]json.RawMessage // kind and value
	In, Out  []*testTensor
}

type testTensor struct {
	DType string
	Shape []int
	Data  []byte
	Scale []float32
	Zero  []int32
	Steps float64 // how far integers that stand for reals may be off
}

func (x *testTensor) tensor(t testing.TB) *tensor.Tensor {
	if x == nil {
		return nil
	}
	d, err := tensor.ParseDType(x.DType)
	if err != nil {
		t.Fatal(err)
	}
	v := tensor.New(d, x.Shape)
	if len(v.Data) != len(x.Data) {
		t.Fatalf("%d bytes for %v", len(x.Data), v)
	}
	copy(v.Data, x.Data)
	if x.Scale != nil {
		v.Quant = &tensor.QParams{Scale: x.Scale, Zero: x.Zero}
	}
	return v
}

func (x *testCase) call(t testing.TB) *op.Call {
	c := &op.Call{Name: x.Name, Op: x.Op, Attrs: attr.Attrs{}}
	for name, kv := range x.Attrs {
		var kind string
		json.Unmarshal(kv[0], &kind)
		c.Attrs[name] = map[string]func() any{
			"int": func() any { return decode[int64](t, kv[1]) }, "float": func() any { return decode[float32](t, kv[1]) },
			"ints": func() any { return decode[[]int64](t, kv[1]) }, "floats": func() any { return decode[[]float32](t, kv[1]) },
			"string": func() any { return decode[string](t, kv[1]) }, "strings": func() any { return decode[[]string](t, kv[1]) },
		}[kind]()
	}
	for _, in := range x.In {
		c.In = append(c.In, in.tensor(t))
	}
	for _, out := range x.Out {
		if out == nil {
			c.Out = append(c.Out, nil)
			continue
		}
		h := &tensor.Tensor{}
		if out.Scale != nil {
			w := out.tensor(t)
			h.DType, h.Quant = w.DType, w.Quant
		}
		c.Out = append(c.Out, h)
	}
	return c
}

func decode[T any](t testing.TB, b []byte) T {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readCases(t testing.TB, path string) []*testCase {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []*testCase
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<26)
	for s.Scan() {
		c := &testCase{}
		if err := json.Unmarshal(s.Bytes(), c); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		t.Fatalf("%s: no cases", path)
	}
	return list
}

func reals(t *tensor.Tensor) []float64 {
	var f []float64
	switch t.DType {
	case tensor.F32:
		for _, v := range tensor.Of[float32](t) {
			f = append(f, float64(v))
		}
	case tensor.F64:
		f = tensor.Of[float64](t)
	case tensor.F16:
		for _, v := range tensor.Of[uint16](t) {
			f = append(f, float64(half.FromF16(v)))
		}
	case tensor.BF16:
		for _, v := range tensor.Of[uint16](t) {
			f = append(f, float64(half.FromBF16(v)))
		}
	default:
		ints, _ := t.Ints()
		for _, v := range ints {
			f = append(f, float64(v))
		}
	}
	return f
}

// differs returns the first element at which the tensors are not close, -1 where there is none.
func differs(got, want *tensor.Tensor, rtol, atol float64) (int, float64, float64) {
	g, w := reals(got), reals(want)
	for i := range w {
		if g[i] != w[i] && !(math.IsNaN(g[i]) && math.IsNaN(w[i])) && !(math.Abs(g[i]-w[i]) <= atol+rtol*math.Abs(w[i])) {
			return i, g[i], w[i]
		}
	}
	return -1, 0, 0
}

func (x *testCase) run(t *testing.T, rtol, atol float64) {
	c := x.call(t)
	if err := op.Eval(Ops[x.Op], c, 1<<28); err != nil {
		t.Fatal(err)
	}
	for i, out := range x.Out {
		if out == nil {
			continue
		}
		want, got := out.tensor(t), c.Out[i]
		if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
			t.Errorf("output %d is %v, want %v", i, got, want)
			continue
		}
		r, a := rtol, atol
		if out.Scale != nil {
			r, a = 0, out.Steps
		}
		if k, g, w := differs(got, want, r, a); k >= 0 {
			t.Errorf("output %d element %d: %v, want %v", i, k, g, w)
		}
	}
}

// TestCases runs what ONNX's backend tests and reference say, and TestAllCases the file that EDGERUN_NNX_CASES names.
func TestCases(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("testdata", "*.jsonl"))
	if f := os.Getenv("EDGERUN_NNX_CASES"); f != "" {
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, f := range files {
		for _, x := range readCases(t, f) {
			t.Run(x.Name, func(t *testing.T) { x.run(t, 1e-3, 1e-4) })
		}
	}
}
