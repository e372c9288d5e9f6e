package prof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/plan"
	"github.com/edgerun/edgerun/runtime/prof"
)

const text = `graph main(x: f32[64,64]) -> (y) {
  a = MatMul(x, x) : f32[64,64]
  b = Loop(i64[]{3}, _, a) {body=graph (i: i64[], k: bool[], v: f32[64,64]) -> (k, w) {
    n = Neg(v) : f32[64,64]
    w = Loop(i64[]{2}, _, n) {body=graph (j: i64[], m: bool[], u: f32[64,64]) -> (m, t) {
      t = Tanh(u) : f32[64,64]
    }} : f32[64,64]
  }} : f32[64,64]
  y = Abs(b) : f32[64,64]
}`

const runs = 4

// profiled profiles the text's graph and returns how long that took.
func profiled(t *testing.T) (*prof.Profile, time.Duration) {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	return profile(t, g), time.Since(start)
}

// profile runs a graph a few times on zeros.
func profile(t *testing.T, g *model.Graph) *prof.Profile {
	t.Helper()
	var in []*tensor.Tensor
	var shapes []tensor.Shape
	for _, v := range g.Inputs {
		in, shapes = append(in, tensor.New(v.DType, v.Shape)), append(shapes, v.Shape)
	}
	out := make([]*tensor.Tensor, len(g.Outputs))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	p, err := plan.Build(g, plan.Options{Ops: ops.Lookup, Shapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	x, err := exec.New(p, exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := prof.New()
	x.Observe = r.Observe
	for range runs {
		if err := x.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		r.Next()
	}
	return r
}

func TestSteps(t *testing.T) {
	r, took := profiled(t)
	if w := r.Work(); len(w) != 1 || w[num.FP32] != 64*64*64 {
		t.Errorf("work %v", w)
	}
	r.Machine = &peak.Machine{Threads: 1, Arithmetic: []peak.Arithmetic{{Numerics: "fp32", GMACs: 1e3}}, Memory: []peak.Memory{{Level: "L1", Bytes: 1 << 20, GBs: 1e3}}}
	calls := map[string]int{"MatMul a": 1, "Neg n": 3, "Tanh t": 6, "Loop w": 3, "Loop b": 1, "Abs y": 1}
	share, ms := 0.0, 0.0
	for _, s := range r.Steps() {
		name := s.Op + " " + s.Name
		if s.Calls != calls[name] {
			t.Errorf("%s: %d calls per run, want %d", name, s.Calls, calls[name])
		}
		delete(calls, name)
		if s.Output != "f32[64,64]" || s.Bytes < 2*64*64*4 || s.MedianMS <= 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if s.Op == "MatMul" && (s.MACs != 64*64*64 || math.Abs(s.GMACs*s.MedianMS*1e6/float64(s.MACs)-1) > 1e-6) {
			t.Errorf("%+v", s)
		}
		if s.Op == "MatMul" && (len(s.Kernels) != 1 || s.Numerics != "fp32" || s.ShareOfPeak <= 0 || s.Bound == "" || s.Level != "L1" || s.BoundMS <= 0 ||
			math.Abs(s.LostMS-max(0, s.MedianMS-s.BoundMS)) > 1e-9) {
			t.Errorf("%+v", s)
		}
		if s.Op == "Loop" && s.Share != 0 {
			t.Errorf("%s has a share of its own", name)
		} else if s.Op != "Loop" {
			ms += s.MedianMS * float64(s.Calls)
		}
		share += s.Share
	}
	if len(calls) > 0 || math.Abs(share-1) > 1e-9 {
		t.Errorf("%v not seen; shares add up to %g", calls, share)
	}
	if total := took.Seconds() * 1e3; ms > 2*total {
		t.Errorf("the medians add up to %g ms per run, all runs took %g", ms, total)
	}
}

// A step lists the rows of the table that it drives, and is measured by the arithmetic of the one that multiplies.
func TestKernelsOfSteps(t *testing.T) {
	g, err := model.Parse([]byte(`graph main(x: f32[3,1,64], w: f32[1,64,64], r: f32[1,64,16], m: f32[128,64]) -> (y, n) {
  y = LSTM(x, w, r) {hidden_size=16} : f32[3,1,1,16]
  n = Transpose(m) {perm=[1,0]} : f32[64,128]
}`))
	if err != nil {
		t.Fatal(err)
	}
	r := profile(t, g)
	kernels := map[string]string{"LSTM": "gemvF32", "Transpose": "turn"}
	for _, s := range r.Steps() {
		if len(s.Kernels) != 1 || !strings.HasPrefix(s.Kernels[0], kernels[s.Op]) || s.Numerics != "fp32" {
			t.Errorf("%+v", s)
		}
		delete(kernels, s.Op)
	}
	if len(kernels) > 0 {
		t.Errorf("%v not seen", kernels)
	}
}

func TestTable(t *testing.T) {
	r, _ := profiled(t)
	var b strings.Builder
	if err := r.Table(&b, true, 2); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	// A head and two steps; an empty line; a head and five operators.
	if len(lines) != 3+2+5 || !strings.HasPrefix(strings.TrimSpace(lines[0]), "ms ") {
		t.Errorf("got\n%s", b.String())
	}
	if err := prof.New().Table(&b, false, 0); err != nil {
		t.Error(err)
	}
}

// The trace is what chrome://tracing and Perfetto take: complete events that nest on their thread.
func TestTrace(t *testing.T) {
	r, took := profiled(t)
	var b bytes.Buffer
	if err := r.Trace(&b); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name, Cat, Ph *string
			TS, Dur       *float64
			PID, TID      *int
			Args          map[string]string
		}
		DisplayTimeUnit string
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&trace); err != nil {
		t.Fatal(err)
	}
	layers := 0
	names := map[int]string{}
	for _, e := range trace.TraceEvents {
		if e.Ph != nil && *e.Ph == "M" && *e.Name == "thread_name" {
			names[*e.TID] = e.Args["name"]
		} else if e.TID != nil && *e.TID == 1 {
			layers++
		}
	}
	if names[1] != "layers" || names[2] != "thread 1" {
		t.Errorf("tracks %v", names)
	}
	if layers != runs*15 || trace.DisplayTimeUnit != "ms" {
		t.Errorf("%d layers in %s", layers, trace.DisplayTimeUnit)
	}
	for _, e := range trace.TraceEvents {
		if e.Name == nil || e.Cat == nil || e.Ph == nil || e.TS == nil || e.Dur == nil || e.PID == nil || e.TID == nil {
			t.Fatalf("a field is missing: %+v", e)
		}
		if *e.Ph == "M" {
			continue
		}
		if *e.TID != 1 && names[*e.TID] == "" {
			t.Errorf("track %d has no name", *e.TID)
		}
		if *e.Ph != "X" || *e.Dur < 0 || *e.TS < 0 || *e.TS+*e.Dur > took.Seconds()*1e6+1e6 || *e.TID == 1 && e.Args["output"] == "" {
			t.Errorf("%s: ph %s, ts %g, dur %g", *e.Name, *e.Ph, *e.TS, *e.Dur)
		}
		for _, f := range trace.TraceEvents {
			if *f.TID != *e.TID || *f.Ph == "M" {
				continue
			}
			const eps = 1e-6 // a trace counts nanoseconds
			a, b, c, d := *e.TS, *e.TS+*e.Dur, *f.TS, *f.TS+*f.Dur
			apart := b <= c+eps || d <= a+eps
			within := a >= c-eps && b <= d+eps || c >= a-eps && d <= b+eps
			if !apart && !within {
				t.Errorf("%s and %s cross: [%g, +%g] and [%g, +%g]", *e.Name, *f.Name, *e.TS, *e.Dur, *f.TS, *f.Dur)
			}
		}
	}
}

func TestEmptyTrace(t *testing.T) {
	var b bytes.Buffer
	if err := prof.New().Trace(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"traceEvents":[]`) {
		t.Errorf("got %s", b.String())
	}
}
