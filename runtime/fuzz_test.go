package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/demo"
	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/model/tflite"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

// The targets of this file take a model all the way: reader, passes, plan and Run, with little memory. Whatever the
// model, the end is a result or an error, and none that stands for a panic.

// fuzzMemory bounds tensors in fuzz targets, in bytes.
const fuzzMemory = 1 << 20

// complain fails for errors that must never come.
func complain(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, op.ErrInternal) || err != nil && strings.Contains(err.Error(), "BUG") {
		t.Fatal(err)
	}
}

// runAny runs g on small inputs, if it can be.
func runAny(t *testing.T, g *model.Graph) {
	m, err := runtime.New(g, runtime.Options{MaxMemory: fuzzMemory})
	complain(t, err)
	if err != nil {
		return
	}
	var in []*tensor.Tensor
	total := 0
	for _, f := range m.Inputs() {
		shape := f.Shape.Clone()
		if shape == nil {
			shape = tensor.Shape{2, 2}
		}
		for i := range shape {
			if shape[i] < 0 {
				shape[i] = 2
			}
		}
		n, err := shape.Size()
		if total += n; err != nil || n > fuzzMemory || total > fuzzMemory/8 {
			return
		}
		if f.DType == tensor.Sequence {
			in = append(in, &tensor.Tensor{DType: f.DType, Elems: []*tensor.Tensor{tensor.Scalar(float32(1))}})
			continue
		}
		x := tensor.New(f.DType, shape)
		for i := range x.Data {
			x.Data[i] = byte(i % 3)
		}
		if f.DType == tensor.F32 {
			for i := range tensor.Of[float32](x) {
				tensor.Of[float32](x)[i] = float32(i%17) - 4
			}
		}
		in = append(in, x)
	}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 1})
	complain(t, err)
	if err != nil {
		return
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for range 2 { // the second finds what the first left
		err = s.Run(ctx, in, outputs(m))
		complain(t, err)
	}
}

// FuzzGraph takes the text form.
func FuzzGraph(f *testing.F) {
	add := func(g *model.Graph) {
		var b bytes.Buffer
		if err := model.PrintFull(&b, g); err != nil {
			f.Fatal(err)
		}
		if b.Len() < 8<<10 {
			f.Add(b.Bytes())
		}
	}
	for seed := range 40 {
		add(graphgen.New(uint64(seed), graphgen.Options{Nodes: 3 + seed%6, Flow: seed%3 == 0, Quant: seed%2 == 0, Dynamic: seed%5 == 0}).Graph)
	}
	for _, pattern := range []string{"opt/testdata/*/*.txt", "op/*/testdata/*.jsonl"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %v, %d files", pattern, err, len(files))
		}
		for _, file := range files {
			if filepath.Ext(file) == ".jsonl" {
				for _, g := range recorded(f, file) {
					add(g)
				}
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if g, err := model.Parse(text); err == nil {
			runAny(t, g)
		}
	})
}

// recorded makes graphs of the recorded cases of operators, two of each. Their inputs but the first are constants.
func recorded(f *testing.F, file string) []*model.Graph {
	cases, err := optest.Read(file)
	if err != nil {
		f.Fatal(err)
	}
	var list []*model.Graph
	count := map[string]int{}
	for _, x := range cases {
		if count[x.Op]++; count[x.Op] > 2 {
			continue
		}
		c, err := x.Call()
		if err != nil {
			f.Fatal(err)
		}
		n := &model.Node{Name: "n", Op: x.Op, Attrs: c.Attrs}
		g := &model.Graph{Name: "g", Nodes: []*model.Node{n}}
		for i, t := range c.In {
			switch {
			case t == nil:
				n.In = append(n.In, nil)
			case i == 0 || t.DType == tensor.Sequence:
				v := &model.Value{Name: "x" + string(rune('a'+i)), DType: t.DType, Shape: t.Shape, Quant: t.Quant}
				n.In, g.Inputs = append(n.In, v), append(g.Inputs, v)
			default:
				v := model.NewConst("c"+string(rune('a'+i)), t)
				n.In = append(n.In, v)
			}
		}
		for i, t := range c.Out {
			if t == nil {
				n.Out = append(n.Out, nil)
				continue
			}
			v := &model.Value{Name: "y" + string(rune('a'+i)), DType: t.DType, Quant: t.Quant}
			n.Out, g.Outputs = append(n.Out, v), append(g.Outputs, v)
		}
		if model.Verify(g) == nil {
			list = append(list, g)
		}
	}
	return list
}

func FuzzONNX(f *testing.F) {
	f.Add(demo.Model)
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := onnx.Import(data, onnx.Options{MaxTensorBytes: fuzzMemory})
		complain(t, err)
		if err == nil && model.Verify(g) == nil {
			runAny(t, g)
		}
	})
}

func FuzzTFLite(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := tflite.Import(data, tflite.Options{MaxTensorBytes: fuzzMemory})
		complain(t, err)
		if err == nil && model.Verify(g) == nil {
			runAny(t, g)
		}
	})
}

// FuzzEdge reads an .edge file part by part, whole, and runs it.
func FuzzEdge(f *testing.F) {
	for seed := range 12 {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 2 + seed%4, Flow: seed%3 == 0, Quant: seed%2 == 0, Dynamic: seed%5 == 0})
		m := &container.Model{Name: "g", Graph: g.Graph, Labels: []string{"a", "b"}}
		for i, x := range g.In {
			m.Golden = append(m.Golden, container.Golden{Name: "0", Inputs: []container.Named{{Name: g.Inputs[i].Name, Tensor: x}}})
		}
		var b bytes.Buffer
		if err := container.Write(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := container.OpenReader(bytes.NewReader(data), int64(len(data)), container.Policy{AllowUnsigned: true, MaxMemory: fuzzMemory})
		if err != nil {
			return
		}
		defer file.Close()
		_, err = file.Outline()
		complain(t, err)
		_, err = file.Golden()
		complain(t, err)
		g, err := file.Graph()
		complain(t, err)
		if err == nil {
			runAny(t, g)
		}
	})
}
