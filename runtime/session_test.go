package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/edgerun/edgerun/internal/demo"
	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/plan"
)

// digits is the demo's network: convolutions, BatchNormalization, a residual, pooling, a Gemm.
func digits(t testing.TB, o runtime.Options) *runtime.Model {
	t.Helper()
	g, err := onnx.Import(demo.Model, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func session(t testing.TB, m *runtime.Model, threads int) *runtime.Session {
	t.Helper()
	s, err := m.NewSession(runtime.SessionOptions{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// inputs fills all inputs of fixed shape with small numbers.
func inputs(m *runtime.Model) []*tensor.Tensor {
	var list []*tensor.Tensor
	for _, f := range m.Inputs() {
		shape := f.Shape.Clone()
		for i := range shape {
			shape[i] = max(shape[i], 1)
		}
		x := tensor.New(f.DType, shape)
		switch f.DType {
		case tensor.F32:
			for i := range tensor.Of[float32](x) {
				tensor.Of[float32](x)[i] = float32(i%17)/16 - .25
			}
		case tensor.I64:
			for i := range tensor.Of[int64](x) {
				tensor.Of[int64](x)[i] = 16000
			}
		default:
			for i := range x.Data {
				x.Data[i] = byte(i % 7)
			}
		}
		list = append(list, x)
	}
	return list
}

func outputs(m *runtime.Model) []*tensor.Tensor {
	list := make([]*tensor.Tensor, len(m.Outputs()))
	for i := range list {
		list[i] = &tensor.Tensor{}
	}
	return list
}

func checkNoAllocation(t *testing.T, m *runtime.Model, in []*tensor.Tensor, threads int) {
	t.Helper()
	s := session(t, m, threads)
	out := outputs(m)
	ctx := context.Background()
	if err := s.Run(ctx, in, out); err != nil { // makes the outputs
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(2, func() {
		if err := s.Run(ctx, in, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%d threads: %g allocations per run", threads, n)
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	for _, threads := range []int{1, 2} {
		m := digits(t, runtime.Options{})
		checkNoAllocation(t, m, inputs(m), threads)
	}
}

// staticSteps reports whether all shapes of the plan are known before it runs.
func staticSteps(p *plan.Plan) bool {
	static := true
	p.Walk(func(_ int, s *plan.Step) { static = static && s.Static && s.Flow == plan.None })
	return static
}

// TestRunAllocatesNothingOnSharedModels runs every shared model on a recorded input. A model with free extents is
// static too once its inputs are given, unless a shape depends on data.
func TestRunAllocatesNothingOnSharedModels(t *testing.T) {
	dir := testdata.Dir(t)
	files, err := os.ReadDir(filepath.Join(dir, "models"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		name := strings.TrimSuffix(f.Name(), ext)
		if ext != ".onnx" && ext != ".tflite" || (testing.Short() || runtime.Racing) && !strings.HasPrefix(name, "mlperf_tiny") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := sharedModel(t, name)
			in := inputs(m)
			if cases, err := golden.Cases(filepath.Join(dir, "golden", name)); err == nil {
				if in, err = golden.Load(cases[0], "in", infoNames(m.Inputs())); err != nil {
					t.Fatal(err)
				}
			}
			var shapes []tensor.Shape
			for _, x := range in {
				shapes = append(shapes, x.Shape)
			}
			p, err := m.Plan(shapes)
			if err != nil {
				t.Fatal(err)
			}
			if !staticSteps(p) {
				t.Skip("shapes depend on data")
			}
			checked++
			checkNoAllocation(t, m, in, 2)
		})
	}
	if checked < 5 {
		t.Errorf("only %d models have static shapes", checked)
	}
}

func TestEightSessions(t *testing.T) {
	m := digits(t, runtime.Options{})
	images := demo.Images()[:40]
	want := make([][]byte, len(images))
	run := func(s *runtime.Session, visit func(i int, out []byte)) error {
		x := tensor.New(tensor.F32, tensor.Shape{1, 1, 8, 8})
		out := outputs(m)
		for i, image := range images {
			image.Fill(x)
			if err := s.Run(context.Background(), []*tensor.Tensor{x}, out); err != nil {
				return err
			}
			visit(i, out[0].Data)
		}
		return nil
	}
	if err := run(session(t, m, 1), func(i int, out []byte) { want[i] = bytes.Clone(out) }); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for k := range 8 {
		s := session(t, m, 1+k%4)
		wg.Go(func() {
			if err := run(s, func(i int, out []byte) {
				if !bytes.Equal(out, want[i]) {
					t.Errorf("session %d, image %d: other bytes than alone", k, i)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestThreadsDoNotChangeResults(t *testing.T) {
	m := digits(t, runtime.Options{})
	var want []byte
	for threads := 1; threads <= 8; threads++ {
		out := outputs(m)
		if err := session(t, m, threads).Run(context.Background(), inputs(m), out); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = out[0].Data
		} else if !bytes.Equal(want, out[0].Data) {
			t.Errorf("%d threads give other bytes than one", threads)
		}
	}
}

// Graphs of all kinds give the same bytes, whatever the number of threads.
func TestThreadsDoNotChangeRandomGraphs(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 25, Flow: seed%3 == 0, Quant: seed%2 == 0, Dynamic: seed%4 == 0})
		m, err := runtime.New(g.Graph, runtime.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var want []*tensor.Tensor
		for _, threads := range []int{1, 2, 3, 5, 8} {
			out := outputs(m)
			if err := session(t, m, threads).Run(context.Background(), g.In, out); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if want == nil {
				want = out
			}
			for i := range out {
				if !out[i].Shape.Equal(want[i].Shape) || !bytes.Equal(out[i].Data, want[i].Data) {
					t.Errorf("seed %d, output %d: %d threads give other bytes than one", seed, i, threads)
				}
			}
		}
	}
}

// Eight sessions run one graph of operators on floats and integers at once.
func TestEightSessionsOfRandomGraphs(t *testing.T) {
	for seed := range 6 {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 20, Quant: true, Flow: seed%3 == 0, Dynamic: seed%2 == 0})
		m, err := runtime.New(g.Graph, runtime.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want := outputs(m)
		if err := session(t, m, 1).Run(context.Background(), g.In, want); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var wg sync.WaitGroup
		for k := range 8 {
			s := session(t, m, 1+k%3)
			wg.Go(func() {
				for range 3 {
					got := outputs(m)
					if err := s.Run(context.Background(), g.In, got); err != nil {
						t.Error(err)
						return
					}
					for j := range got {
						if !bytes.Equal(got[j].Data, want[j].Data) {
							t.Errorf("seed %d, session %d: output %d has other bytes than alone", seed, k, j)
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

// Eight sessions see ever other shapes, more than the model keeps plans for.
func TestEightSessionsOfManyShapes(t *testing.T) {
	g := graphgen.New(4, graphgen.Options{Nodes: 20, Dynamic: true})
	m, err := runtime.New(relu(), runtime.Options{Plans: 2})
	if err != nil {
		t.Fatal(err)
	}
	random, err := runtime.New(g.Graph, runtime.Options{Plans: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := outputs(random)
	if err := session(t, random, 1).Run(context.Background(), g.In, want); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for k := range 8 {
		s, r := session(t, m, 1+k%3), session(t, random, 1+k%3)
		wg.Go(func() {
			for i := range 30 {
				n := 1 + (i*(k+1))%11
				x := tensor.New(tensor.F32, tensor.Shape{n, 3})
				tensor.Of[float32](x)[3*n-1] = float32(k + 1)
				out := outputs(m)
				if err := s.Run(context.Background(), []*tensor.Tensor{x}, out); err != nil {
					t.Error(err)
					return
				}
				if v := tensor.Of[float32](out[0]); len(v) != 3*n || v[3*n-1] != float32(k+1) {
					t.Errorf("session %d, %d rows: %v", k, n, v)
				}
				if i%10 > 0 {
					continue
				}
				got := outputs(random)
				if err := r.Run(context.Background(), g.In, got); err != nil {
					t.Error(err)
					return
				}
				for j := range got {
					if !bytes.Equal(got[j].Data, want[j].Data) {
						t.Errorf("session %d: output %d has other bytes than alone", k, j)
					}
				}
			}
		})
	}
	wg.Wait()
}

// relu is a network with a free batch.
func relu() *model.Graph {
	x := &model.Value{Name: "x", DType: tensor.F32, Shape: model.Shape{-1, 3}, Dims: []string{"batch", ""}}
	y := &model.Value{Name: "y", DType: tensor.F32}
	return &model.Graph{Name: "relu", Inputs: []*model.Value{x}, Outputs: []*model.Value{y},
		Nodes: []*model.Node{{Name: "relu", Op: "Relu", In: []*model.Value{x}, Out: []*model.Value{y}}}}
}

func TestDynamicShapes(t *testing.T) {
	m, err := runtime.New(relu(), runtime.Options{Plans: 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Inputs()[0].Describe(); got != "f32[batch,3]" {
		t.Errorf("input is %s", got)
	}
	s := session(t, m, 1)
	for _, n := range []int{1, 4, 2, 7, 1, 9, 4} {
		x := tensor.New(tensor.F32, tensor.Shape{n, 3})
		tensor.Of[float32](x)[3*n-1] = 5
		tensor.Of[float32](x)[0] -= 2
		out := outputs(m)
		if err := s.Run(context.Background(), []*tensor.Tensor{x}, out); err != nil {
			t.Fatal(err)
		}
		if v := tensor.Of[float32](out[0]); len(v) != 3*n || v[3*n-1] != 5 || v[0] != 0 {
			t.Errorf("batch %d gives %v", n, v)
		}
	}
}

func TestWrongInputs(t *testing.T) {
	m := digits(t, runtime.Options{})
	s := session(t, m, 1)
	for name, x := range map[string]*tensor.Tensor{
		"shape": tensor.New(tensor.F32, tensor.Shape{1, 1, 8, 9}), "type": tensor.New(tensor.I8, tensor.Shape{1, 1, 8, 8}),
		"nil": nil, "no data": {DType: tensor.F32, Shape: tensor.Shape{1, 1, 8, 8}},
	} {
		err := s.Run(context.Background(), []*tensor.Tensor{x}, outputs(m))
		if !errors.Is(err, runtime.ErrShape) || !strings.Contains(err.Error(), "image") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Run(context.Background(), inputs(m), []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{3})}); !errors.Is(err, runtime.ErrShape) {
		t.Errorf("an output that does not fit gives %v", err)
	}
}

func TestOutputsBelongToTheCaller(t *testing.T) {
	m := digits(t, runtime.Options{})
	s := session(t, m, 1)
	in := inputs(m)
	own := tensor.New(tensor.F32, tensor.Shape{1, 10})
	data := &own.Data[0]
	first := outputs(m)
	for _, out := range [][]*tensor.Tensor{first, {own}} {
		if err := s.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
	}
	if data != &own.Data[0] || !bytes.Equal(own.Data, first[0].Data) {
		t.Error("the caller's tensor was not filled in place")
	}
	before := bytes.Clone(first[0].Data)
	clear(in[0].Data)
	if err := s.Run(context.Background(), in, []*tensor.Tensor{own}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, first[0].Data) {
		t.Error("a later run changed an earlier run's output")
	}
}

func TestCancelledAndClosed(t *testing.T) {
	m := digits(t, runtime.Options{})
	s := session(t, m, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx, inputs(m), outputs(m)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run gives %v", err)
	}
	s.Close()
	if err := s.Run(context.Background(), inputs(m), outputs(m)); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("a closed session gives %v", err)
	}
}

func TestMaxMemory(t *testing.T) {
	m := digits(t, runtime.Options{MaxMemory: 64})
	if _, err := m.NewSession(runtime.SessionOptions{}); !errors.Is(err, runtime.ErrTooLarge) {
		t.Errorf("an arena above the limit gives %v", err)
	}
}

// Leaving a pass out changes a result by rounding at most.
func TestPassesKeepTheMeaning(t *testing.T) {
	in := inputs(digits(t, runtime.Options{}))
	run := func(skip ...string) []float32 {
		m := digits(t, runtime.Options{SkipPasses: skip})
		out := outputs(m)
		if err := session(t, m, 1).Run(context.Background(), in, out); err != nil {
			t.Fatalf("without %v: %v", skip, err)
		}
		return tensor.Of[float32](out[0])
	}
	want := run()
	for _, skip := range []string{"fold-affine", "fuse-patterns", "fuse-clamp", "layout", "simplify", "simplify-again", "share", "fold"} {
		for i, v := range run(skip) {
			if d := v - want[i]; d > 1e-4 || d < -1e-4 {
				t.Errorf("without %s logit %d is %g, with it %g", skip, i, v, want[i])
			}
		}
	}
}

// What steps keep between runs, and hand to kernels by address, are pointers that the collector can follow at any time.
func TestCollectorRunsBeside(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	m := digits(t, runtime.Options{})
	in, out := inputs(m), outputs(m)
	s := session(t, m, 2)
	for range 200 {
		if err := s.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		runtimeGarbage = make([]byte, 1<<16)
	}
	for seed := range uint64(60) {
		g := graphgen.New(seed, graphgen.Options{Nodes: 12})
		m, err := runtime.New(g.Graph, runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := session(t, m, 2)
		for range 5 {
			if err := s.Run(context.Background(), g.In, outputs(m)); err != nil {
				t.Fatal(err)
			}
			runtimeGarbage = make([]byte, 1<<16)
		}
	}
}

// runtimeGarbage keeps the collector busy.
var runtimeGarbage []byte
