package plan_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
)

func parse(t testing.TB, text string) *model.Graph {
	t.Helper()
	g, err := model.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Verify(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func build(t testing.TB, text string, shapes ...tensor.Shape) *plan.Plan {
	t.Helper()
	p, err := plan.Build(parse(t, text), plan.Options{Ops: ops.Lookup, Shapes: shapes})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stepOps(p *plan.Plan) string {
	var list []string
	p.Walk(func(_ int, s *plan.Step) { list = append(list, s.Op) })
	return strings.Join(list, " ")
}

// A large value that only its shape is wanted of leaves neither a step nor a place in the arena.
func TestShapeArithmeticFolds(t *testing.T) {
	const text = `graph main(x: f32[n,1000]) -> (y) {
  big = Neg(x) : f32[n,1000]
  s = Shape(big) : i64[2]
  rows = Gather(s, i: i64[]{0}) {axis=0} : i64[]
  twice = Mul(rows, two: i64[]{2}) : i64[]
  y = Identity(twice) : i64[]
}`
	p := build(t, text, tensor.Shape{7, 1000})
	if got := stepOps(p); got != "" {
		t.Errorf("steps are left: %s", got)
	}
	x, err := exec.New(p, exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := []*tensor.Tensor{{}}
	if err := x.Run(context.Background(), []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{7, 1000})}, out); err != nil {
		t.Fatal(err)
	}
	if tensor.Of[int64](out[0])[0] != 14 {
		t.Errorf("got %v", tensor.Of[int64](out[0]))
	}
}

// An output that nobody wants, of a step that stays, takes no place either.
func TestUnwantedOutput(t *testing.T) {
	const text = `graph main(x: f32[n,4]) -> (z) {
  small, large = Split(x, sizes: i64[2]{1, 3}) {axis=1} : f32[n,1], f32[n,3]
  y = Neg(small) : f32[n,1]
  s = Shape(large) : i64[2]
  z = Expand(one: f32[1]{1}, s) : f32[?,?]
  unused = Add(y, large) : f32[n,3]
}`
	p := build(t, text, tensor.Shape{100, 4})
	if _, err := exec.New(p, exec.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestViewsAreAliases(t *testing.T) {
	const text = `graph main(x: f32[2,1,3]) -> (y) {
  a = Neg(x) : f32[2,1,3]
  b = Reshape(a, s: i64[2]{3, 2}) : f32[3,2]
  c = Unsqueeze(b, axes: i64[1]{0}) : f32[1,3,2]
  d = Transpose(c) {perm=[1,0,2]} : f32[3,1,2]
  y = Transpose(d) {perm=[2,1,0]} : f32[2,1,3]
}`
	p := build(t, text, tensor.Shape{2, 1, 3})
	var kinds []string
	for i := range p.Slots {
		kinds = append(kinds, p.Slots[i].Name+":"+p.Slots[i].Kind.String())
	}
	got := strings.Join(kinds, " ")
	for _, want := range []string{"a:arena", "b:alias", "c:alias", "d:alias", "y:arena"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestID(t *testing.T) {
	const text = `graph main(x: f32[n,4]) -> (y) {
  a = Clip(x, lo: f32[]{0}, hi: f32[]{6}) : f32[n,4]
  y = Add(a, a) {act_min=0.0} : f32[n,4]
}`
	id := func(text string, n int) string { return build(t, text, tensor.Shape{n, 4}).ID }
	want := id(text, 2)
	if got := id(text, 2); got != want {
		t.Errorf("the same plan has ids %s and %s", want, got)
	}
	seen := map[string]string{want: "the first"}
	for name, c := range map[string]struct {
		text string
		n    int
	}{
		"another shape":          {text, 3},
		"another operator":       {strings.Replace(text, "Add(", "Mul(", 1), 2},
		"another attribute":      {strings.Replace(text, "act_min=0.0", "act_min=0.5", 1), 2},
		"no attribute":           {strings.Replace(text, " {act_min=0.0}", "", 1), 2},
		"other numerics":         {strings.Replace(text, "{act_min=0.0}", "{act_min=0.0} @fp16", 1), 2},
		"other operands":         {strings.Replace(text, "Add(a, a)", "Add(a, x)", 1), 2},
		"another output":         {strings.Replace(text, "-> (y)", "-> (a)", 1), 2},
		"the same output twice":  {strings.Replace(text, "-> (y)", "-> (y, y)", 1), 2},
		"another quantisation":   {strings.Replace(text, "Add(a, a) {act_min=0.0} : f32[n,4]", "Quantize(a) : u8[n,4] q(0.5, 3)", 1), 2},
		"yet another zero point": {strings.Replace(text, "Add(a, a) {act_min=0.0} : f32[n,4]", "Quantize(a) : u8[n,4] q(0.5, 4)", 1), 2},
	} {
		got := id(c.text, c.n)
		if other, ok := seen[got]; ok {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[got] = name
	}
}

func TestLimits(t *testing.T) {
	const text = `graph main(x: f32[n]) -> (y) {
  a = Neg(x) : f32[n]
  y = Concat(a, x, a) {axis=0} : f32[?]
}`
	g := parse(t, text)
	for _, n := range []int{1 << 18, math.MaxInt / 256, math.MaxInt / 20} {
		if _, err := plan.Build(g, plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{{n}}, MaxMemory: 1 << 20}); !errors.Is(err, tensor.ErrTooLarge) {
			t.Errorf("%d elements give %v", n, err)
		}
	}
	if _, err := plan.Build(g, plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{{1 << 16}}, MaxMemory: 2 << 20}); err != nil {
		t.Error(err)
	}
}

// Many slots, each of a size that passes, must not wrap around in their sum.
func TestArenaOverflows(t *testing.T) {
	var lines, names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("v%d", i))
		lines = append(lines, names[i]+" = Neg(x) : i8[n]\n")
	}
	text := "graph main(x: i8[n]) -> (y) {\n" + strings.Join(lines, "") + "y = Max(" + strings.Join(names, ", ") + ") : i8[n]\n}"
	if _, err := plan.Build(parse(t, text), plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{{math.MaxInt / 17}}}); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestBadPlans(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		shapes     []tensor.Shape
	}{
		"number of shapes": {"graph main(x: f32[n]) -> (x) {\n}", "0 shapes given for 1 inputs", nil},
		"negative extent":  {"graph main(image: f32[n]) -> (image) {\n}", "input image: shape [?]: negative dimension", []tensor.Shape{{-1}}},
		"huge extent":      {"graph main(image: f32[n]) -> (image) {\n}", "input image: shape", []tensor.Shape{{math.MaxInt / 2}}},
		"operands": {`graph main(x: f32[n], z: f32[3]) -> (y) {
  sum: y = Add(x, z) : f32[?]
}`, "sum (Add): shapes [[2] [3]] do not broadcast", []tensor.Shape{{2}, {3}}},
		"operator": {`graph main(x: f32[n]) -> (y) {
  odd: y = Nonsense(x) : f32[?]
}`, "odd (Nonsense): unsupported operator", []tensor.Shape{{2}}},
		"operator in a branch": {`graph main(c: bool[], x: f32[n]) -> (y) {
  y = If(c) {then_branch=graph () -> (x) {
  }, else_branch=graph () -> (z) {
    odd: z = Nonsense(x) : f32[?]
  }} : f32[?]
}`, "y (If): odd (Nonsense): unsupported operator", []tensor.Shape{{}, {2}}},
		"reshape": {`graph main(x: f32[n]) -> (y) {
  flat: y = Reshape(x, s: i64[1]{5}) : f32[5]
}`, "flat (Reshape): ", []tensor.Shape{{2}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plan.Build(parse(t, c.text), plan.Options{Ops: ops.Lookup, Shapes: c.shapes})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Loops within loops, each of which needs two rounds until its shapes settle, come to an end all the same.
func TestNestedLoopsSettle(t *testing.T) {
	text := func(depth int) string {
		var open, shut string
		for i := range depth {
			in := strings.Repeat(" ", 2*i+2)
			open += fmt.Sprintf("%sy%d = Loop(n, _, f32[1]{1}) {body=graph (i%d: i64[], k%d: bool[], v%d: f32) -> (k%d, w%d) {\n", in, i, i, i, i, i, i)
			tail := fmt.Sprintf("v%d", i)
			if i+1 < depth {
				tail = fmt.Sprintf("y%d", i+1)
			}
			shut = fmt.Sprintf("%s  w%d = Concat(v%d, %s) {axis=0}\n%s}}\n", in, i, i, tail, in) + shut
		}
		return "graph main(n: i64[]) -> (y0) {\n" + open + shut + "}"
	}
	build(t, text(4), tensor.Shape{})
	if _, err := plan.Build(parse(t, text(31)), plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{{}}}); !errors.Is(err, tensor.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}
