package runtime_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/plan"
)

const tunedModel = `graph main(x: f32[1,3,20,20]) -> (y) {
  const w: f32[16,3,3,3]{0.5, 0.25, -1, 0.125, ...}
  const d: f32[16,1,3,3]{0.25, -0.5, 1, ...}
  const m: f32[16,50]{0.75, -0.25, ...}
  a = Conv(x, w) {pads=[1,1,1,1]} : f32[1,16,20,20]
  r = Relu(a)
  b = Conv(r, d) {pads=[1,1,1,1], group=16} : f32[1,16,20,20]
  s = Sigmoid(b)
  p = GlobalAveragePool(s) : f32[1,16,1,1]
  f = Flatten(p) : f32[1,16]
  y = MatMul(f, m) : f32[1,50]
}`

func tunable(t *testing.T) *runtime.Model {
	t.Helper()
	g, err := model.Parse([]byte(tunedModel))
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ramp() []*tensor.Tensor {
	x := tensor.New(tensor.F32, tensor.Shape{1, 3, 20, 20})
	for i := range tensor.Of[float32](x) {
		tensor.Of[float32](x)[i] = float32(i%41)/16 - 1
	}
	return []*tensor.Tensor{x}
}

func runOnce(t *testing.T, s *runtime.Session, in []*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	out := []*tensor.Tensor{{}}
	if err := s.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A plan that is tuned, and one that is stored and read back, give what the static one gives.
func TestTune(t *testing.T) {
	m, in := tunable(t), ramp()
	s, err := m.NewSession(runtime.SessionOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := runOnce(t, s, in)
	shapes := []tensor.Shape{in[0].Shape}
	static, err := s.Plan(shapes)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tune(context.Background(), in, time.Minute); err != nil {
		t.Fatal(err)
	}
	if !equalResults(runOnce(t, s, in), want) {
		t.Error("the tuned plan gives other results")
	}
	f, err := m.Plans(shapes)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(shapes)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Plans) != 1 || f.Plans[0].Static != static.ID || f.Plans[0].ID != p.ID || (p.ID == static.ID) != (len(f.Plans[0].Layers) == 0) {
		t.Errorf("plan %s from %s, file %+v", p.ID, static.ID, f)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	g, err := runtime.ReadPlans(path)
	if err != nil {
		t.Fatal(err)
	}
	n := tunable(t)
	if err := n.UsePlans(g); err != nil {
		t.Fatal(err)
	}
	r, err := n.NewSession(runtime.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if q, err := r.Plan(shapes); err != nil || q.ID != p.ID {
		t.Errorf("the stored plan is %v, want %s: %v", q, p.ID, err)
	}
	if !equalResults(runOnce(t, r, in), want) {
		t.Error("the stored plan gives other results")
	}
	// Time that is up leaves the rest to the cost model.
	if err := s.Tune(context.Background(), in, 1); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Tune(ctx, in, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.Tune(context.Background(), []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{2})}, time.Minute); !errors.Is(err, runtime.ErrShape) {
		t.Errorf("another shape: %v", err)
	}
}

// Every choice that can be made for a layer gives the same result.
func TestChoices(t *testing.T) {
	m, in := tunable(t), ramp()
	shapes := []tensor.Shape{in[0].Shape}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := runOnce(t, s, in)
	base, err := m.Plans(shapes)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(shapes)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(l runtime.StoredLayer) {
		t.Helper()
		f := *base
		f.Plans = []runtime.StoredPlan{base.Plans[0]}
		f.Plans[0].Layers = []runtime.StoredLayer{l}
		n := tunable(t)
		if err := n.UsePlans(&f); err != nil {
			t.Fatal(err)
		}
		r, err := n.NewSession(runtime.SessionOptions{Threads: 2})
		if errors.Is(err, runtime.ErrPlan) {
			return // not for this layer
		} else if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		tried++
		if q, err := r.Plan(shapes); err != nil || q.ID == p.ID {
			t.Errorf("%+v: the plan has the id of the static one: %v", l, err)
		}
		if !equalResults(runOnce(t, r, in), want) {
			t.Errorf("%+v: other results", l)
		}
	}
	for i, step := range p.Steps {
		try(runtime.StoredLayer{Step: i, Name: step.Name, Op: step.Op, OneThread: true})
		for _, on := range []bool{true, false} {
			for _, way := range []string{"merge-taps", "join-outputs"} {
				try(runtime.StoredLayer{Step: i, Name: step.Name, Op: step.Op, Ways: map[string]bool{way: on}})
			}
		}
		for _, r := range kernels.Here().Rows() {
			if r.Op != spec.Peak && r.Op != spec.Read {
				try(runtime.StoredLayer{Step: i, Name: step.Name, Op: step.Op, Rows: []string{r.Name}})
			}
		}
	}
	if tried < len(p.Steps)+4 {
		t.Errorf("only %d choices were possible", tried)
	}
}

func TestPlansOfOthers(t *testing.T) {
	m := tunable(t)
	shapes := []tensor.Shape{{1, 3, 20, 20}}
	good, err := m.Plans(shapes)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Plan(shapes)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Op == "MatMul" || s.Op == "Gemm" })
	layer := runtime.StoredLayer{Step: at, Name: p.Steps[at].Name, Op: p.Steps[at].Op}
	for what, c := range map[string]struct {
		change func(f *runtime.PlanFile)
		want   string
	}{
		"another model":      {func(f *runtime.PlanFile) { f.Model = "0123" }, "is for model 0123, this is " + m.ID()},
		"another plan":       {func(f *runtime.PlanFile) { f.Plans[0].Static = "4567" }, "follows from plan 4567"},
		"an unknown kernel":  {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Rows = []string{"gemmX"} }, `kernel "gemmX" is unknown`},
		"a kernel elsewhere": {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Rows = []string{"depthwiseI32Go"} }, "kernel"},
		"an unknown way":     {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Ways = map[string]bool{"other": true} }, `"other" is no choice`},
		"another layer":      {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Name = "no" }, "no layer"},
		"no such step":       {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Step = 1000 }, "no layer 1000"},
		"a negative step":    {func(f *runtime.PlanFile) { f.Plans[0].Layers[0].Step = -1 }, "no layer -1"},
		"twice": {func(f *runtime.PlanFile) {
			f.Plans[0].Layers = append(f.Plans[0].Layers, f.Plans[0].Layers[0])
		}, "two choices"},
	} {
		f := *good
		f.Plans = slices.Clone(good.Plans)
		f.Plans[0].Layers = []runtime.StoredLayer{layer}
		c.change(&f)
		n := tunable(t)
		err := n.UsePlans(&f)
		if err == nil {
			_, err = n.NewSession(runtime.SessionOptions{Threads: 1})
		}
		if !errors.Is(err, runtime.ErrPlan) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

// What was tuned stays in the cache, for the same model, CPU and number of threads.
func TestTunedPlansStay(t *testing.T) {
	dir, path := t.TempDir(), writeModel(t, strings.Replace(tunedModel, "main", "other", 1))
	in := ramp()
	ids := map[string]bool{}
	for range 2 {
		m, err := runtime.Open(path, anyone, runtime.Options{Cache: dir})
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.NewSession(runtime.SessionOptions{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Tune(context.Background(), in, time.Minute); err != nil {
			t.Fatal(err)
		}
		p, err := s.Plan([]tensor.Shape{in[0].Shape})
		if err != nil {
			t.Fatal(err)
		}
		ids[p.ID] = true
		s.Close()
	}
	if len(ids) != 1 || len(files(t, dir, "plan-*")) != 1 {
		t.Errorf("plans %v, files %v", ids, files(t, dir, "*"))
	}
}
