package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
)

// A panic while planning is an error that names the node, in subgraphs too.
func TestPanicNamesTheNode(t *testing.T) {
	lookup := func(name string) (op.Op, bool) {
		o, ok := ops.Lookup(name)
		switch name {
		case "Neg":
			panic("boom")
		case "Abs": // folded
			o.Prepare = func(*op.Call) (op.Run, error) { return func() error { panic("boom") }, nil }
		}
		return o, ok
	}
	for text, want := range map[string]string{
		`graph main(x: f32[2]) -> (y) {
  odd: y = Neg(x)
}`: "planning: odd (Neg): internal error: boom",
		`graph main(x: f32[2]) -> (y) {
  y = Loop(i64[]{2}, _, x) {body=graph (i: i64[], k: bool[], v: f32[2]) -> (k, w) {
    odd: w = Neg(v)
  }}
}`: "planning: odd (Neg): internal error: boom",
		`graph main(x: f32[2]) -> (y) {
  a = Relu(x)
  b = Abs(f32[2]{1, 2})
  y = Add(a, b)
}`: "b (Abs): internal error: boom",
	} {
		_, err := plan.Build(parse(t, text), plan.Options{Ops: lookup, Shapes: []tensor.Shape{{2}}})
		if !errors.Is(err, op.ErrInternal) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// A graph that no importer makes: a permutation that only the planner reads.
	g := parse(t, `graph main(x: f32[2,3]) -> (y) {
  a = Relu(x)
  y = Transpose(a)
}`)
	fake := func(name string) (op.Op, bool) {
		o, ok := ops.Lookup(name)
		if name == "Transpose" {
			o.Infer = func(c *op.Call) error {
				c.Set(0, c.In[0].DType, c.In[0].Shape)
				c.Attrs.Set("perm", []int{7, 9})
				return nil
			}
		}
		return o, ok
	}
	_, err := plan.Build(g, plan.Options{Ops: fake, Shapes: []tensor.Shape{{2, 3}}})
	if !errors.Is(err, op.ErrInternal) || !strings.HasPrefix(err.Error(), "planning: y (Transpose): internal error: ") {
		t.Errorf("got %v", err)
	}
}
