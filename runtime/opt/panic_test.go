package opt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/opt"
)

// A panic in a pass is an error that names the pass and the node, in subgraphs too.
func TestPanicNamesPassAndNode(t *testing.T) {
	plain := `graph main(x: f32[2], c: bool[]) -> (y) {
  a = Abs(x)
  odd = Neg(a)
  y = Add(a, odd)
}`
	inner := `graph main(x: f32[2], c: bool[]) -> (y) {
  a = Abs(x)
  y = If(c) {then_branch=graph () -> (odd) {
    odd = Neg(a)
  }, else_branch=graph () -> (e) {
    e = Abs(a)
  }}
}`
	for _, pass := range []string{"lift-quant", "fold", "fuse-quant", "layout", "legalise-quant", "fold-again", "share"} {
		for _, text := range []string{plain, inner} {
			g := parse(t, text)
			c := &opt.Context{Ops: ops.Lookup}
			arm := func() {
				lookups := 0
				c.Ops = func(name string) (op.Op, bool) {
					if name == "Neg" {
						if lookups++; lookups > 1 { // the first is for shapes
							panic("boom")
						}
					}
					return ops.Lookup(name)
				}
			}
			before := opt.Passes[max(0, slices.IndexFunc(opt.Passes, func(p opt.Pass) bool { return p.Name == pass })-1)].Name
			if before == pass { // it is the first
				arm()
			}
			c.After = func(name string, g *model.Graph) {
				if name == before {
					arm()
				}
			}
			err := opt.Run(c, g)
			if want := "pass " + pass + ": odd (Neg): internal error: boom"; !errors.Is(err, op.ErrInternal) || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// Inferring shapes is no pass, and names the node alike.
func TestPanicWhileInferring(t *testing.T) {
	c := &opt.Context{Ops: func(name string) (op.Op, bool) { panic("boom") }}
	err := opt.Run(c, parse(t, `graph main(x: f32[2]) -> (y) {
  odd: y = Neg(x)
}`))
	if !errors.Is(err, op.ErrInternal) || err.Error() != "odd (Neg): internal error: boom" {
		t.Errorf("got %v", err)
	}
}

// A panic of an operator that is folded names it; so does one in a pass that reads a constant without its data.
func TestPanicWhileFolding(t *testing.T) {
	c := &opt.Context{Ops: func(name string) (op.Op, bool) {
		o, ok := ops.Lookup(name)
		if name == "Neg" {
			o.Prepare = func(c *op.Call) (op.Run, error) { return func() error { panic("boom") }, nil }
		}
		return o, ok
	}}
	err := opt.Run(c, parse(t, `graph main(x: f32[2]) -> (y) {
  odd = Neg(f32[2]{1, 2})
  y = Add(x, odd)
}`))
	if !errors.Is(err, op.ErrInternal) || err.Error() != "pass fold: odd (Neg): internal error: boom" {
		t.Errorf("got %v", err)
	}
	g := parse(t, `graph main(x: f32[1,2,3,3]) -> (y) {
  a = Conv(x, f32[2,2,1,1]{1, 2, 3, 4})
  y = Mul(a, f32[2,1,1]{5, 6})
}`)
	g.Nodes[0].In[1].Const = &tensor.Tensor{DType: tensor.F32, Shape: tensor.Shape{2, 2, 1, 1}, Data: make([]byte, 4)}
	_, err = optimise(g, "fold-affine")
	if !errors.Is(err, op.ErrInternal) || !strings.HasPrefix(err.Error(), "pass fold-affine: a (Conv): internal error: ") {
		t.Errorf("got %v", err)
	}
}
