package opt_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/demo"
	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/opt"
	"github.com/edgerun/edgerun/runtime/plan"
)

// optimise runs the named passes, or all of them, over a copy of g.
func optimise(g *model.Graph, passes ...string) (*model.Graph, error) {
	c := &opt.Context{Ops: ops.Lookup, Skip: map[string]bool{}}
	if len(passes) > 0 {
		for _, p := range opt.AllPasses() {
			c.Skip[p.Name] = true
		}
		for _, name := range passes {
			c.Skip[name] = false
		}
	}
	g = g.Clone()
	if err := opt.Run(c, g); err != nil {
		return nil, err
	}
	var shapes []tensor.Shape
	for _, v := range g.Inputs {
		shapes = append(shapes, v.Shape)
	}
	g, err := opt.RunShaped(c, g, shapes)
	if err != nil {
		return nil, err
	}
	if err := model.Verify(g); err != nil {
		return nil, fmt.Errorf("after optimisation: %w", err)
	}
	return g, nil
}

func evaluate(g *model.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	o := plan.Options{Ops: ops.Lookup}
	for _, x := range in {
		o.Shapes = append(o.Shapes, x.Shape)
	}
	p, err := plan.Build(g, o)
	if err != nil {
		return nil, err
	}
	x, err := exec.New(p, exec.Options{})
	if err != nil {
		return nil, err
	}
	out := make([]*tensor.Tensor, len(p.Outputs))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out, x.Run(context.Background(), in, out)
}

// baseline is g with no more than what makes it run.
func baseline(g *model.Graph, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	g, err := optimise(g, "legalise-quant")
	if err != nil {
		return nil, err
	}
	return evaluate(g, in)
}

// differ compares outputs: tol is relative to the largest element; 0 wants the same bytes, any NaN for any other.
func differ(got, want []*tensor.Tensor, tol float64) error {
	for i, w := range want {
		g := got[i]
		if g.DType != w.DType || !g.Shape.Equal(w.Shape) {
			return fmt.Errorf("output %d is %v, want %v", i, g, w)
		}
		if w.DType != tensor.F32 {
			if !bytes.Equal(g.Data, w.Data) {
				return fmt.Errorf("output %d: %v, want %v", i, g.Data, w.Data)
			}
			continue
		}
		a, b := tensor.Of[float32](g), tensor.Of[float32](w)
		largest := 1.0
		for _, x := range b {
			if v := math.Abs(float64(x)); v > largest && !math.IsInf(v, 0) {
				largest = v
			}
		}
		for k := range b {
			if math.Float32bits(a[k]) == math.Float32bits(b[k]) || a[k] != a[k] && b[k] != b[k] {
				continue
			}
			if d := math.Abs(float64(a[k]) - float64(b[k])); !(tol > 0 && d <= tol*largest) {
				return fmt.Errorf("output %d, element %d: %g, want %g", i, k, a[k], b[k])
			}
		}
	}
	return nil
}

// exact lists the passes that promise the same bytes. The others change the order of sums or move factors.
var exact = map[string]bool{
	"fold-shaped": true, "simplify-shaped": true, "fuse-chain": true, "narrow": true,
	"lift-quant": true, "fold": true, "simplify": true, "fuse-clamp": true, "fold-again": true, "simplify-again": true, "share": true,
}

// checkPasses runs every pass alone and all together. tol bounds what may differ at the outputs.
func checkPasses(t *testing.T, g *model.Graph, in []*tensor.Tensor, tol float64) {
	t.Helper()
	want, err := baseline(g, in)
	if err != nil {
		t.Fatalf("without passes: %v\n%v", err, g)
	}
	try := func(what string, tol float64, passes ...string) {
		t.Helper()
		after, err := optimise(g, passes...)
		if err != nil {
			t.Fatalf("%s: %v\n%v", what, err, g)
		}
		got, err := evaluate(after, in)
		if err == nil {
			err = differ(got, want, tol)
		}
		if err != nil {
			t.Fatalf("%s: %v\nbefore: %v\nafter: %v", what, err, g, after)
		}
	}
	for _, p := range opt.AllPasses() {
		switch {
		case p.Name == "legalise-quant":
		case exact[p.Name]:
			try(p.Name, 0, p.Name, "legalise-quant")
		default:
			try(p.Name, tol, p.Name, "legalise-quant")
		}
	}
	try("all passes", tol)
}

func TestPassesKeepOutputs(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 4 + seed%20, Flow: seed%3 == 0, Dynamic: seed%4 == 0})
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { checkPasses(t, g.Graph, g.In, 2e-5) })
	}
}

func TestPassesKeepQuantisedOutputs(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 4 + seed%8, Quant: true, Flow: seed%5 == 0, Dynamic: seed%4 == 0})
		// A rounding may go the other way, which is a step at each of the roundings.
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { checkPasses(t, g.Graph, g.In, .15) })
	}
}

// A second run of the list finds nothing to do.
func TestPassesSettle(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 4 + seed%20, Flow: seed%3 == 0, Dynamic: seed%4 == 0, Quant: seed%5 == 0})
		once, err := optimise(g.Graph)
		if err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, g)
		}
		twice, err := optimise(once)
		if err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, once)
		}
		if err := model.Equal(once, twice); err != nil {
			t.Fatalf("seed %d: %v\nonce: %v\ntwice: %v", seed, err, once, twice)
		}
	}
}

func TestPassesOnDemo(t *testing.T) {
	g, err := onnx.Import(demo.Model, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(tensor.F32, tensor.Shape{1, 1, 8, 8})
	demo.Images()[0].Fill(x)
	checkPasses(t, g, []*tensor.Tensor{x}, 2e-5)
}
