package exec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
)

// build plans a graph in text form for inputs of the given shapes.
func build(t *testing.T, text string, limit int, in ...*tensor.Tensor) (*exec.Instance, error) {
	t.Helper()
	return buildWith(t, text, plan.Options{Ops: ops.Lookup, MaxMemory: limit}, in...)
}

func buildWith(t *testing.T, text string, o plan.Options, in ...*tensor.Tensor) (*exec.Instance, error) {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Verify(g); err != nil {
		t.Fatal(err)
	}
	for _, x := range in {
		o.Shapes = append(o.Shapes, x.Shape)
	}
	p, err := plan.Build(g, o)
	if err != nil {
		return nil, err
	}
	return exec.New(p, exec.Options{MaxMemory: o.MaxMemory})
}

func runInstance(x *exec.Instance, ctx context.Context, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, len(x.Plan.Outputs))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out, x.Run(ctx, in, out)
}

// eval runs a graph twice, so that what a run leaves behind shows, and returns its outputs as text.
func eval(t *testing.T, text string, in ...*tensor.Tensor) string {
	t.Helper()
	x, err := build(t, text, 0, in...)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for i := range 2 {
		out, err := runInstance(x, context.Background(), in...)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, o := range out {
			s = append(s, show(o))
		}
		got := strings.Join(s, " ")
		if i > 0 && got != last {
			t.Errorf("second run gives %s, the first %s", got, last)
		}
		last = got
	}
	return last
}

func show(t *tensor.Tensor) string {
	switch t.DType {
	case tensor.F32:
		return fmt.Sprintf("%v%v", t.Shape, tensor.Of[float32](t))
	case tensor.I64:
		return fmt.Sprintf("%v%v", t.Shape, tensor.Of[int64](t))
	case tensor.Bool:
		return fmt.Sprintf("%v%v", t.Shape, tensor.Of[bool](t))
	case tensor.String:
		return fmt.Sprintf("%v%v", t.Shape, t.Str)
	}
	return fmt.Sprintf("%v%v", t, t.Data)
}

func f32(v ...float32) *tensor.Tensor { return tensor.From(v) }
func boolean(b bool) *tensor.Tensor   { return tensor.Scalar(b) }
func i64(v int64) *tensor.Tensor      { return tensor.Scalar(v) }

const ifGraph = `graph main(c: bool[], x: f32[2]) -> (y, x) {
  z = Neg(x) : f32[2]
  y = If(c) {then_branch=graph () -> (a) {
    a = Add(z, x) : f32[2]
  }, else_branch=graph () -> (z) {
  }} : f32[2]
}`

const loopGraph = `graph main(n: i64[], c: bool[], x: f32[2]) -> (last, all, seen) {
  two = Add(x, x) : f32[2]
  last, all, seen = Loop(n, c, x) {body=graph (i: i64[], k: bool[], v: f32[2]) -> (go, w, w, i) {
    w = Add(v, two) : f32[2]
    s = ReduceSum(w, axes: i64[1]{0}) {keepdims=0} : f32[]
    go = Less(s, limit: f32[]{100}) : bool[]
  }} : f32[2], f32[?,2], i64[?]
}`

// Each carried value goes on in the other's place.
const swapGraph = `graph main(n: i64[], a: f32[1], b: f32[1]) -> (p, q) {
  p, q = Loop(n, _, a, b) {body=graph (i: i64[], k: bool[], v: f32[1], w: f32[1]) -> (k, w, v) {
  }} : f32[1], f32[1]
}`

// The carried value grows, so its shape is known in each iteration only.
const growGraph = `graph main(n: i64[], x: f32[1]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32[?]) -> (k, w) {
    w = Concat(v, v) {axis=0} : f32[?]
  }} : f32[?]
}`

const nestedGraph = `graph main(n: i64[], x: f32[1]) -> (y, hist) {
  y, hist = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32[1]) -> (k, u, h) {
    m = Add(i, one: i64[]{1}) : i64[]
    u, h = Loop(m, _, v) {body=graph (j: i64[], kk: bool[], r: f32[1]) -> (kk, s, s) {
      even = Equal(j, zero: i64[]{0}) : bool[]
      d = If(even) {then_branch=graph () -> (x) {
      }, else_branch=graph () -> (e) {
        e = Neg(v) : f32[1]
      }} : f32[1]
      s = Add(r, d) : f32[1]
    }} : f32[1], f32[?,1]
    hh = ReduceSum(h, axes: i64[2]{0, 1}) {keepdims=0} : f32[]
  }} : f32[1], f32[?,?,1]
}`

func scanGraph(attrs string) string {
	return `graph main(s: f32[2], x: f32[3,2]) -> (last, sums) {
  last, sums = Scan(s, x) {body=graph (v: f32[2], e: f32[2]) -> (w, w) {
    w = Add(v, e) : f32[2]
  }, num_scan_inputs=1` + attrs + `} : f32[2], f32[?,?]
}`
}

func TestFlow(t *testing.T) {
	x := tensor.From([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
	empty := tensor.New(tensor.F32, tensor.Shape{0, 2})
	for _, c := range []struct {
		name, graph, want string
		in                []*tensor.Tensor
	}{
		{"then", ifGraph, "[2][0 0] [2][1 2]", []*tensor.Tensor{boolean(true), f32(1, 2)}},
		{"else", ifGraph, "[2][-1 -2] [2][1 2]", []*tensor.Tensor{boolean(false), f32(1, 2)}},
		{"loop", loopGraph, "[2][5 10] [2,2][3 6 5 10] [2][0 1]", []*tensor.Tensor{i64(2), boolean(true), f32(1, 2)}},
		{"no trips", loopGraph, "[2][1 2] [0,2][] [0][]", []*tensor.Tensor{i64(0), boolean(true), f32(1, 2)}},
		{"negative trips", loopGraph, "[2][1 2] [0,2][] [0][]", []*tensor.Tensor{i64(-5), boolean(true), f32(1, 2)}},
		{"condition false at once", loopGraph, "[2][1 2] [0,2][] [0][]", []*tensor.Tensor{i64(9), boolean(false), f32(1, 2)}},
		{"early exit", loopGraph, "[2][60 60] [1,2][60 60] [1][0]", []*tensor.Tensor{i64(9), boolean(true), f32(20, 20)}},
		{"odd swap", swapGraph, "[1][2] [1][1]", []*tensor.Tensor{i64(3), f32(1), f32(2)}},
		{"even swap", swapGraph, "[1][1] [1][2]", []*tensor.Tensor{i64(4), f32(1), f32(2)}},
		{"growth", growGraph, "[8][3 3 3 3 3 3 3 3]", []*tensor.Tensor{i64(3), f32(3)}},
		{"no growth", growGraph, "[1][3]", []*tensor.Tensor{i64(0), f32(3)}},
		{"scan", scanGraph(""), "[2][9 12] [3,2][1 2 4 6 9 12]", []*tensor.Tensor{f32(0, 0), x}},
		{"scan backwards", scanGraph(", scan_input_directions=[1]"), "[2][9 12] [3,2][5 6 8 10 9 12]", []*tensor.Tensor{f32(0, 0), x}},
		{"results backwards", scanGraph(", scan_output_directions=[1]"), "[2][9 12] [3,2][9 12 4 6 1 2]", []*tensor.Tensor{f32(0, 0), x}},
		{"results along axis 1", scanGraph(", scan_output_axes=[1]"), "[2][9 12] [2,3][1 4 9 2 6 12]", []*tensor.Tensor{f32(0, 0), x}},
		{"results along axis -1", scanGraph(", scan_output_axes=[-1], scan_output_directions=[1]"), "[2][9 12] [2,3][9 4 1 12 6 2]", []*tensor.Tensor{f32(0, 0), x}},
		{"slices along axis -1", scanGraph(", scan_input_axes=[-1]"), "[3][3 7 11] [2,3][1 3 5 3 7 11]", []*tensor.Tensor{f32(0, 0, 0), x}},
		{"scan of nothing", scanGraph(""), "[2][7 8] [0,2][]", []*tensor.Tensor{f32(7, 8), empty}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := eval(t, c.graph, c.in...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Loops within loops, with an If that reads values of all graphs around it.
func TestNestedFlow(t *testing.T) {
	const n = 5
	v, hist := float32(1), []float32{}
	for i := range n {
		r, sum := v, float32(0)
		for j := range i + 1 {
			d := -v
			if j == 0 {
				d = 1
			}
			r += d
			sum += r
		}
		v, hist = r, append(hist, sum)
	}
	g := strings.Replace(strings.Replace(nestedGraph, "(k, u, h)", "(k, u, hh)", 1), "f32[?,?,1]\n}", "f32[?]\n}", 1)
	if got, want := eval(t, g, i64(n), f32(1)), fmt.Sprintf("[1]%v [5]%v", []float32{v}, hist); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Iterations of different lengths cannot be stacked.
func TestRaggedIterations(t *testing.T) {
	x, err := build(t, nestedGraph, 0, i64(2), f32(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runInstance(x, context.Background(), i64(2), f32(1)); err == nil || !strings.Contains(err.Error(), "y (Loop): iterations yield shapes [1,1] and [2,1]") {
		t.Errorf("got %v", err)
	}
}

// A loop without end, whose body has work to do or none at all, ends when the context does.
func TestEndlessLoopIsCancelled(t *testing.T) {
	for name, text := range map[string]string{
		"work": `graph main(x: f32[2]) -> (y) {
  y = Loop(_, _, x) {body=graph (i: i64[], k: bool[], v: f32[2]) -> (k, w) {
    w = Neg(v) : f32[2]
  }} : f32[2]
}`,
		"none": `graph main(x: f32[2]) -> (y) {
  y = Loop(_, _, x) {body=graph (i: i64[], k: bool[], v: f32[2]) -> (k, v) {
  }} : f32[2]
}`,
		"inner": `graph main(x: f32[2]) -> (y) {
  y = Loop(three: i64[]{3}, _, x) {body=graph (i: i64[], k: bool[], v: f32[2]) -> (k, w) {
    w = Loop(_, _, v) {body=graph (j: i64[], kk: bool[], u: f32[2]) -> (kk, u) {
    }} : f32[2]
  }} : f32[2]
}`,
	} {
		t.Run(name, func(t *testing.T) {
			x, err := build(t, text, 0, f32(1, 2))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				_, err := runInstance(x, ctx, f32(1, 2))
				done <- err
			}()
			time.Sleep(5 * time.Millisecond)
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the run goes on")
			}
		})
	}
}

// What a loop without end collects, however little per iteration, comes to the limit.
func TestStackedIterationsAreBounded(t *testing.T) {
	for name, text := range map[string]string{
		"floats": `graph main(x: f32[64]) -> (y) {
  y = Loop(_, _) {body=graph (i: i64[], k: bool[]) -> (k, w) {
    w = Neg(x) : f32[64]
  }} : f32[?,64]
}`,
		"nothing": `graph main(x: f32[64]) -> (y) {
  y = Loop(_, _) {body=graph (i: i64[], k: bool[]) -> (k, e) {
    e = Slice(x, a: i64[1]{0}, b: i64[1]{0}) : f32[0]
  }} : f32[?,0]
}`,
		"strings": `graph main(x: f32[64]) -> (y) {
  y = Loop(_, _) {body=graph (i: i64[], k: bool[]) -> (k, s) {
    s = Cast(i) {to=8} : string[]
  }} : string[?]
}`,
		"carried": `graph main(x: f32[64]) -> (y) {
  y = Loop(_, _, x) {body=graph (i: i64[], k: bool[], v: f32[?]) -> (k, w) {
    w = Concat(v, v) {axis=0} : f32[?]
  }} : f32[?]
}`,
	} {
		t.Run(name, func(t *testing.T) {
			x, err := build(t, text, 1<<20, tensor.New(tensor.F32, tensor.Shape{64}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err = runInstance(x, ctx, tensor.New(tensor.F32, tensor.Shape{64}))
			if !errors.Is(err, tensor.ErrTooLarge) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The limit counts what a loop collects once: iterations that fit in it are let through, run after run.
func TestStackedIterationsWithinLimit(t *testing.T) {
	const text = `graph main(n: i64[], x: f32[1024]) -> (s) {
  y = Loop(n, _) {body=graph (i: i64[], k: bool[]) -> (k, w) {
    w = Neg(x) : f32[1024]
  }} : f32[?,1024]
  s = ReduceSum(y, axes: i64[2]{0, 1}) {keepdims=0} : f32[]
}`
	in := []*tensor.Tensor{i64(20), tensor.New(tensor.F32, tensor.Shape{1024})}
	x, err := build(t, text, 200<<10, in...)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := runInstance(x, context.Background(), in...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadFlow(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		in         []*tensor.Tensor
	}{
		"condition of the body": {`graph main(n: i64[], x: u8[1]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: u8[1]) -> (v, v) {
  }} : u8[1]
}`, "y (Loop): the body's condition is u8[1], want one bool", []*tensor.Tensor{i64(3), tensor.From([]uint8{1})}},
		"length of the body's condition": {`graph main(n: i64[], x: bool[2]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: bool[2]) -> (v, v) {
  }} : bool[2]
}`, "y (Loop): the body's condition is bool[2], want one bool", []*tensor.Tensor{i64(3), tensor.From([]bool{true, true})}},
		"condition of If": {`graph main(c: i8[1], x: f32[1]) -> (y) {
  y = If(c) {then_branch=graph () -> (x) {
  }, else_branch=graph () -> (x) {
  }} : f32[1]
}`, "y (If): condition is i8[1], want one bool", []*tensor.Tensor{tensor.From([]int8{1}), f32(1)}},
		"constant condition of If": {`graph main(x: f32[1]) -> (y) {
  y = If(c: i64[]{256}) {then_branch=graph () -> (x) {
  }, else_branch=graph () -> (x) {
  }} : f32[1]
}`, "y (If): condition is i64[], want one bool", []*tensor.Tensor{f32(1)}},
		"trip count": {`graph main(n: f32[], x: f32[1]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32[1]) -> (k, v) {
  }} : f32[1]
}`, "y (Loop): trip count is f32[], want one integer", []*tensor.Tensor{tensor.Scalar(float32(2)), f32(1)}},
		"types of what comes back": {`graph main(n: i64[], x: f32[1]) -> (y) {
  y = Loop(n, _, x) {body=graph (i: i64[], k: bool[], v: f32[1]) -> (k, k) {
  }} : f32[1]
}`, "input 2 is f32, but bool comes back", []*tensor.Tensor{i64(2), f32(1)}},
		"types of branches": {`graph main(c: bool[], x: f32[1]) -> (y) {
  y = If(c) {then_branch=graph () -> (x) {
  }, else_branch=graph () -> (c) {
  }} : f32[1]
}`, "y (If): output 0 is f32 in one branch and bool in the other", []*tensor.Tensor{boolean(true), f32(1)}},
		"lengths of scan inputs": {`graph main(x: f32[2], z: f32[3]) -> (y) {
  y = Scan(x, z) {body=graph (a: f32[], b: f32[]) -> (c) {
    c = Add(a, b) : f32[]
  }, num_scan_inputs=2} : f32[?]
}`, "y (Scan): scan inputs of lengths 2 and 3", []*tensor.Tensor{f32(1, 2), f32(1, 2, 3)}},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := build(t, c.text, 0, c.in...)
			if err == nil {
				_, err = runInstance(x, context.Background(), c.in...)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Outputs that nobody wants may be left out at the end, even those of carried values.
func TestUnwantedFlowOutputs(t *testing.T) {
	for name, text := range map[string]string{
		"loop": `graph main(n: i64[], a: f32[1], b: f32[1]) -> (p) {
  p = Loop(n, _, a, b) {body=graph (i: i64[], k: bool[], v: f32[1], w: f32[1]) -> (k, w, v, w) {
  }} : f32[1]
}`,
		"scan": `graph main(n: f32[3], a: f32[1], b: f32[1]) -> (p) {
  p = Scan(a, b, n) {body=graph (v: f32[1], w: f32[1], e: f32[]) -> (w, v, w) {
  }, num_scan_inputs=1} : f32[1]
}`,
	} {
		t.Run(name, func(t *testing.T) {
			n := i64(3)
			if name == "scan" {
				n = f32(1, 2, 3)
			}
			if got := eval(t, text, n, f32(1), f32(2)); got != "[1][2]" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// Elements of 4 bits, three per iteration, do not end at byte boundaries.
func TestStackedNibbles(t *testing.T) {
	const text = `graph main(x: u4[3]) -> (y) {
  y = Loop(n: i64[]{3}, _) {body=graph (i: i64[], k: bool[]) -> (k, x) {
  }} : u4[?,3]
}`
	x := tensor.New(tensor.U4, tensor.Shape{3})
	x.Data[0], x.Data[1] = 0x21, 0x03
	if got := eval(t, text, x); got != "u4[3,3][33 19 50 33 3]" {
		t.Errorf("got %s", got)
	}
}

func TestWrongInputs(t *testing.T) {
	in := []*tensor.Tensor{boolean(true), f32(1, 2)}
	x, err := build(t, ifGraph, 0, in...)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]*tensor.Tensor{
		"type": tensor.From([]int32{1, 2}), "shape": f32(1, 2, 3), "rank": tensor.From([]float32{1, 2}, 1, 2), "nil": nil,
		"no data": {DType: tensor.F32, Shape: tensor.Shape{2}},
	} {
		_, err := runInstance(x, context.Background(), in[0], bad)
		if !errors.Is(err, exec.ErrShape) || !strings.Contains(err.Error(), "input x: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := runInstance(x, context.Background(), in[0]); !errors.Is(err, exec.ErrShape) {
		t.Errorf("too few inputs give %v", err)
	}
	for name, out := range map[string][]*tensor.Tensor{
		"nil": {nil, {}}, "type": {tensor.From([]int32{1, 2}), {}}, "shape": {f32(1), {}},
	} {
		if err := x.Run(context.Background(), in, out); !errors.Is(err, exec.ErrShape) || !strings.Contains(err.Error(), "output ") {
			t.Errorf("output %s: %v", name, err)
		}
	}
	if _, err := runInstance(x, context.Background(), in...); err != nil {
		t.Errorf("after bad calls: %v", err)
	}
}

// A panic in an operator is an error that names the node, wherever the operator stands, and the instance stays usable.
func TestPanicNamesTheNode(t *testing.T) {
	explode := true
	bomb := op.Op{
		Infer: func(c *op.Call) error { c.Set(0, c.In[0].DType, c.In[0].Shape); return nil },
		Prepare: func(c *op.Call) (op.Run, error) {
			return func() error {
				if explode {
					_ = c.In[0].Data[len(c.In[0].Data)]
				}
				copy(c.Out[0].Data, c.In[0].Data)
				return nil
			}, nil
		},
	}
	lookup := func(name string) (op.Op, bool) {
		if name == "Bomb" {
			return bomb, true
		}
		return ops.Lookup(name)
	}
	for _, text := range []string{`graph main(x: f32[1]) -> (y) {
  fuse: y = Bomb(x) : f32[1]
}`, `graph main(x: f32[1]) -> (y) {
  y = Loop(n: i64[]{2}, _, x) {body=graph (i: i64[], k: bool[], v: f32[1]) -> (k, w) {
    fuse: w = Bomb(v) : f32[1]
  }} : f32[1]
}`} {
		explode = true
		x, err := buildWith(t, text, plan.Options{Ops: lookup}, f32(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := runInstance(x, context.Background(), f32(1)); !errors.Is(err, op.ErrInternal) || !strings.Contains(err.Error(), "fuse (Bomb): ") {
			t.Errorf("got %v", err)
		}
		explode = false
		if out, err := runInstance(x, context.Background(), f32(1)); err != nil || show(out[0]) != "[1][1]" {
			t.Errorf("afterwards: %v, %v", out[0], err)
		}
	}
}

// An observer sees the steps in order, those of bodies once per iteration, with their tensors.
func TestObserver(t *testing.T) {
	in := []*tensor.Tensor{i64(2), boolean(true), f32(1, 2)}
	x, err := build(t, loopGraph, 0, in...)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	x.Observe = func(e *exec.Event) {
		if e.Took < 0 || e.Start.IsZero() || len(e.In) != len(e.Step.In) || len(e.Out) != len(e.Step.Out) {
			t.Errorf("%s: %v, %d inputs, %d outputs", e.Name, e.Took, len(e.In), len(e.Out))
		}
		names = append(names, e.Name)
	}
	if _, err := runInstance(x, context.Background(), in...); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "two w s go w s go last" {
		t.Errorf("observed %s", got)
	}
}
