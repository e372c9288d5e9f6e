package plan_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/opt"
	"github.com/edgerun/edgerun/runtime/plan"
)

// optimised is g after all passes, those for its shapes included where shaped is set.
func optimised(t *testing.T, g *graphgen.Graph, shaped bool) *graphgen.Graph {
	t.Helper()
	after := &graphgen.Graph{Graph: g.Clone(), In: g.In}
	c := &opt.Context{Ops: ops.Lookup}
	err := opt.Run(c, after.Graph)
	if err == nil && shaped {
		var shapes []tensor.Shape
		for _, x := range g.In {
			shapes = append(shapes, x.Shape)
		}
		after.Graph, err = opt.RunShaped(c, after.Graph, shapes)
	}
	if err != nil {
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
			g = optimised(t, g, seed%4 > 2)
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

// checkOverlaps follows, for plans without control flow, which byte of the arena holds which byte of which value: a step must find in those of each
// input what the step that made it left there. Operators that join or divide values move their bytes.
func checkOverlaps(t *testing.T, seed int, p *plan.Plan) {
	t.Helper()
	arena := make([]int, p.ArenaSize)
	values := make([][]int, len(p.Slots)) // their bytes, numbered over all values ever made
	made := 0
	value := func(i int) []int {
		if values[i] == nil {
			values[i] = make([]int, tensor.ByteSize(p.Slots[i].DType, p.Slots[i].Shape.Len()))
			for b := range values[i] {
				made++
				values[i][b] = made
			}
		}
		return values[i]
	}
	// each calls f for each byte b of a value that lies in the arena, at at.
	each := func(i int, f func(b, at int)) {
		s := &p.Slots[i]
		lo, root := 0, i
		for p.Slots[root].Kind == plan.Alias {
			lo, root = lo+p.Slots[root].At, p.Slots[root].Of
		}
		if p.Slots[root].Kind != plan.Arena {
			return
		}
		row, pitch := max(1, s.Size), max(1, s.Size)
		if s.Pitch > 0 {
			row, pitch = s.Shape[len(s.Shape)-1]*s.DType.Bits()/8, s.Pitch*s.DType.Bits()/8
		}
		for b := range value(i) {
			f(b, p.Slots[root].Offset+lo+b/row*pitch+b%row)
		}
	}
	check := func(what string, i int) {
		if i < 0 {
			return
		}
		each(i, func(b, at int) {
			if arena[at] != values[i][b] {
				t.Fatalf("seed %d: %s reads slot %d (%s), whose byte %d was overwritten", seed, what, i, p.Slots[i].Name, b)
			}
		})
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Flow != plan.None || !s.Static {
			return
		}
		for _, in := range s.In {
			check(s.Name, in)
		}
		for _, out := range s.Out {
			if out >= 0 {
				values[out] = nil
				if value(out); s.View && s.Kernel.Parts == nil {
					values[out] = value(s.In[0])
				}
			}
		}
		if s.Kernel.Parts != nil {
			moveParts(p, s, value)
		}
		for _, out := range s.Out {
			if out >= 0 {
				each(out, func(b, at int) { arena[at] = values[out][b] })
			}
		}
	}
	for _, out := range p.Outputs {
		check("the end", out)
	}
}

// moveParts lets the outputs of a step that joins or divides values hold the bytes of its inputs.
func moveParts(p *plan.Plan, s *plan.Step, value func(i int) []int) {
	c := &op.Call{Name: s.Name, Op: s.Op, Attrs: s.Attrs, Num: s.Num}
	header := func(list []int) (headers []*tensor.Tensor) {
		for _, i := range list {
			var h *tensor.Tensor
			if i >= 0 {
				h = &tensor.Tensor{DType: p.Slots[i].DType, Shape: p.Slots[i].Shape}
				if k := p.Slots[i].Const; k != nil {
					h = k
				}
			}
			headers = append(headers, h)
		}
		return headers
	}
	c.In, c.Out = header(s.In), header(s.Out)
	slot := func(i int) int {
		if i < 0 {
			return s.Out[^i]
		}
		return s.In[i]
	}
	for _, part := range s.Kernel.Parts(c) {
		v, of := slot(part.Value), slot(part.Of)
		if v < 0 || of < 0 || p.Slots[v].DType.Bits() < 8 {
			continue
		}
		size := p.Slots[v].DType.Bits() / 8
		shape, strides := p.Slots[v].Shape, p.Slots[of].Shape.Strides()
		for e := range shape.Len() {
			at, r := part.At, e
			for d := len(shape) - 1; d >= 0; d-- {
				at += r % shape[d] * strides[d]
				r /= shape[d]
			}
			for b := range size {
				if small, large := &value(v)[e*size+b], &value(of)[at*size+b]; part.Of < 0 {
					*large = *small
				} else {
					*small = *large
				}
			}
		}
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
