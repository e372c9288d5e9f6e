package plan_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/opt"
	"github.com/edgerun/edgerun/runtime/plan"
)

// optimised is g after all passes.
func optimised(t *testing.T, g *graphgen.Graph) *graphgen.Graph {
	t.Helper()
	after := &graphgen.Graph{Graph: g.Clone(), In: g.In}
	if err := opt.Run(&opt.Context{Ops: ops.Lookup}, after.Graph); err != nil {
		t.Fatalf("%v\n%v", err, g.Graph)
	}
	return after
}

func buildRandom(t *testing.T, g *graphgen.Graph, keep bool) *plan.Plan {
	t.Helper()
	o := plan.Options{Ops: ops.Lookup, KeepInputs: keep}
	for _, x := range g.In {
		o.Shapes = append(o.Shapes, x.Shape)
	}
	p, err := plan.Build(g.Graph, o)
	if err != nil {
		t.Fatalf("%v\n%v", err, g.Graph)
	}
	return p
}

func runPlan(t *testing.T, p *plan.Plan, in []*tensor.Tensor, runs int) []*tensor.Tensor {
	t.Helper()
	x, err := exec.New(p, exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]*tensor.Tensor, len(p.Outputs))
	for range runs {
		for i := range out {
			out[i] = &tensor.Tensor{}
		}
		if err := x.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// apart gives every slot of the arena a range of its own.
func apart(p *plan.Plan) {
	p.ArenaSize = 0
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == plan.Arena {
			s.Offset = p.ArenaSize
			p.ArenaSize += (s.Size + tensor.Align - 1) / tensor.Align * tensor.Align
		}
	}
}

// Whatever the arena shares, the outputs are those of a run in which nothing shares memory.
func TestArenaKeepsOutputs(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 5 + seed%30, Flow: seed%2 == 0, Quant: seed%5 < 2, Dynamic: seed%3 == 0})
		if seed%4 > 1 {
			g = optimised(t, g)
		}
		reference := buildRandom(t, g, true)
		apart(reference)
		want := runPlan(t, reference, g.In, 1)
		for _, keep := range []bool{false, true} {
			p := buildRandom(t, g, keep)
			if p.ArenaSize > reference.ArenaSize {
				t.Errorf("seed %d: sharing takes %d bytes, none %d", seed, p.ArenaSize, reference.ArenaSize)
			}
			checkOverlaps(t, seed, p)
			for i, o := range runPlan(t, p, g.In, 2) {
				if !o.Shape.Equal(want[i].Shape) || !bytes.Equal(o.Data, want[i].Data) {
					t.Fatalf("seed %d, KeepInputs %v: output %d differs where memory is shared\n%v", seed, keep, i, g.Graph)
				}
			}
		}
	}
}

// checkOverlaps computes, for plans without control flow, which bytes hold which value after each step: a step must
// find in the bytes of each input what the step that made it left there.
func checkOverlaps(t *testing.T, seed int, p *plan.Plan) {
	t.Helper()
	owner := make([]int, p.ArenaSize) // per byte the version of its value
	holds := make([]int, len(p.Slots))
	version := 0
	span := func(i int) (int, int, bool) {
		root := i
		for p.Slots[root].Kind == plan.Alias {
			root = p.Slots[root].Of
		}
		s := &p.Slots[root]
		return s.Offset, s.Offset + s.Size, s.Kind == plan.Arena
	}
	check := func(what string, i int) {
		if i < 0 {
			return
		}
		lo, hi, ok := span(i)
		for b := lo; ok && b < hi; b++ {
			if owner[b] != holds[i] {
				t.Fatalf("seed %d: %s reads slot %d (%s), whose byte %d was overwritten", seed, what, i, p.Slots[i].Name, b)
			}
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Flow != plan.None {
			return
		}
		for _, in := range s.In {
			check(s.Name, in)
		}
		if s.View {
			holds[s.Out[0]] = holds[s.In[0]]
			continue
		}
		for _, out := range s.Out {
			if out < 0 {
				continue
			}
			version++
			holds[out] = version
			lo, hi, ok := span(out)
			for b := lo; ok && b < hi; b++ {
				owner[b] = version
			}
		}
	}
	for _, out := range p.Outputs {
		check("the end", out)
	}
}

// Building the same graph again gives the same plan.
func TestIDIsStable(t *testing.T) {
	for seed := range 40 {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 20, Flow: true, Quant: true})
		if a, b := buildRandom(t, g, false), buildRandom(t, g, false); a.ID != b.ID {
			t.Errorf("seed %d: %s and %s", seed, a.ID, b.ID)
		}
	}
}
