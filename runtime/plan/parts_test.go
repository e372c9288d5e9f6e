package plan_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
	"github.com/edgerun/edgerun/runtime/pool"
)

// joinGen makes graphs of operators on NHWC that join and divide values.
type joinGen struct {
	rng   *rand.Rand
	g     *model.Graph
	d     tensor.DType
	q     *tensor.QParams
	scope []*model.Value
}

func newJoins(seed uint64, d tensor.DType, nodes int) *graphgen.Graph {
	j := &joinGen{rng: rand.New(rand.NewPCG(seed, 1)), g: &model.Graph{Name: "g"}, d: d}
	if d != tensor.F32 {
		j.q = &tensor.QParams{Scale: []float32{.05}, Zero: []int32{int32(j.rng.IntN(20))}}
	}
	x := &model.Value{Name: "x", DType: d, Quant: j.q, Shape: tensor.Shape{1, 2 + j.rng.IntN(5), 2 + j.rng.IntN(5), j.channels()}}
	if seed%5 == 0 {
		x.Shape[0] = 2
	}
	j.g.Inputs, j.scope = []*model.Value{x}, []*model.Value{x}
	for len(j.g.Nodes) < nodes {
		j.step()
	}
	for i, v := range j.scope {
		if i == len(j.scope)-1 || j.rng.IntN(6) == 0 {
			j.g.Outputs = append(j.g.Outputs, v)
		}
	}
	return &graphgen.Graph{Graph: j.g, In: []*tensor.Tensor{j.fill(tensor.New(d, x.Shape))}}
}

// channels is a number of channels that make a row short or long.
func (j *joinGen) channels() int {
	n := 1 + j.rng.IntN(40)
	if j.d != tensor.F32 {
		n *= 4
	}
	return n
}

func (j *joinGen) fill(t *tensor.Tensor) *tensor.Tensor {
	if t.DType == tensor.F32 {
		for i := range tensor.Of[float32](t) {
			tensor.Of[float32](t)[i] = float32(j.rng.NormFloat64())
		}
		return t
	}
	for i := range t.Data {
		t.Data[i] = byte(j.rng.IntN(256))
	}
	return t
}

func (j *joinGen) node(name string, a attr.Attrs, shapes []tensor.Shape, in ...*model.Value) {
	n := &model.Node{Name: fmt.Sprint(name, len(j.g.Nodes)), Op: name, Attrs: a, In: in}
	for i, s := range shapes {
		v := &model.Value{Name: fmt.Sprint(n.Name, "v", i), DType: j.d, Quant: j.q, Shape: s}
		n.Out, j.scope = append(n.Out, v), append(j.scope, v)
	}
	j.g.Nodes = append(j.g.Nodes, n)
}

func (j *joinGen) step() {
	x := j.scope[max(j.rng.IntN(len(j.scope)), j.rng.IntN(len(j.scope)))]
	s := x.Shape.Clone()
	a := attr.Attrs{}
	layout := func() { a.Set("layout", "NHWC") }
	ints := func(v ...int64) *model.Value { return model.NewConst("i", tensor.From(v)) }
	switch j.rng.IntN(9) {
	case 0, 1:
		j.conv(x)
	case 2:
		layout()
		a.Set("kernel_shape", []int64{3, 3})
		a.Set("pads", []int64{1, 1, 1, 1})
		j.node("MaxPool", a, []tensor.Shape{s}, x)
	case 3:
		if j.d != tensor.F32 || s.Len() > 4096 {
			return
		}
		if s[1], s[2] = 2*s[1], 2*s[2]; j.rng.IntN(2) == 0 {
			a.Set("mode", "linear")
		}
		j.node("Resize", a, []tensor.Shape{s}, x, nil, nil, ints(int64(s[0]), int64(s[1]), int64(s[2]), int64(s[3])))
	case 4:
		if j.d != tensor.F32 {
			return
		}
		b := j.fill(tensor.New(tensor.F32, tensor.Shape{s[3]}))
		a.Set("chain", []string{"Mul in=1", "Sigmoid"})
		j.node("Chain", a, []tensor.Shape{s}, x, model.NewConst("b", b))
	case 5, 6:
		axis := j.rng.IntN(4)
		list := []*model.Value{x}
		for range 30 {
			y := j.scope[j.rng.IntN(len(j.scope))]
			fits := s.Len() < 8192
			for d := range s {
				fits = fits && (d == axis || s[d] == y.Shape[d])
			}
			if fits && len(list) < 4 {
				list, s[axis] = append(list, y), s[axis]+y.Shape[axis]
			}
		}
		a.Set("axis", axis)
		j.node("Concat", a, []tensor.Shape{s}, list...)
	default:
		axis := j.rng.IntN(4)
		if s[axis] < 2 {
			return
		}
		at := 1 + j.rng.IntN(s[axis]-1)
		first, second := s.Clone(), s.Clone()
		first[axis], second[axis] = at, s[axis]-at
		if j.rng.IntN(2) == 0 {
			j.node("Slice", a, []tensor.Shape{second}, x, ints(int64(at)), ints(1000), ints(int64(axis)))
			return
		}
		a.Set("axis", axis)
		if j.rng.IntN(3) == 0 {
			j.node("Reshape", nil, []tensor.Shape{{s[0], s[1] * s[2], 1, s[3]}}, x, ints(int64(s[0]), int64(s[1]*s[2]), 1, int64(s[3])))
			return
		}
		j.node("Split", a, []tensor.Shape{first, second}, x, ints(int64(at), int64(s[axis]-at)))
	}
}

func (j *joinGen) conv(x *model.Value) {
	a := attr.Attrs{}
	a.Set("layout", "NHWC")
	c, k := x.Shape[3], 1+2*j.rng.IntN(2)
	out, per := j.channels(), c
	if j.rng.IntN(3) == 0 {
		a.Set("group", c)
		out, per = c*(1+j.rng.IntN(8)/7), 1
	}
	a.Set("pads", []int64{int64(k / 2), int64(k / 2), int64(k / 2), int64(k / 2)})
	w := j.fill(tensor.New(j.d, tensor.Shape{out, k, k, per}))
	in := []*model.Value{x}
	if j.d == tensor.F32 {
		if j.rng.IntN(2) == 0 {
			a.Set("chain", []string{"Sigmoid", "Mul in=3"})
			in = append(in, model.NewConst("w", w), nil, model.NewConst("m", j.fill(tensor.New(tensor.F32, tensor.Shape{out}))))
		} else {
			in = append(in, model.NewConst("w", w))
		}
	} else {
		w.DType, w.Quant = tensor.I8, &tensor.QParams{Scale: []float32{.01}}
		in = append(in, model.NewConst("w", w))
	}
	j.node("Conv", a, []tensor.Shape{append(x.Shape[:3:3], out)}, in...)
}

// Wherever parts lie, outputs are those of a plan without, on any number of threads.
func TestPartsKeepOutputs(t *testing.T) {
	seeds := uint64(600)
	if testing.Short() {
		seeds = 400
	}
	threads := pool.New(3)
	defer threads.Close()
	lie, joined, divided := 0, map[string]int{}, 0
	for seed := range seeds {
		g := newJoins(seed, []tensor.DType{tensor.F32, tensor.F32, tensor.I8, tensor.U8}[seed%4], 3+int(seed%14))
		if err := model.Verify(g.Graph); err != nil {
			t.Fatal(err)
		}
		o := plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{g.In[0].Shape}, Skip: []string{plan.PartsPass, plan.StagesPass}}
		reference, err := plan.Build(g.Graph, o)
		if err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, g.Graph)
		}
		want := runPlan(t, reference, g.In, 1)
		o.Skip = nil
		p, err := plan.Build(g.Graph, o)
		if err != nil {
			t.Fatal(err)
		}
		checkOverlaps(t, int(seed), p)
		for i := range p.Steps {
			s := &p.Steps[i]
			for _, out := range s.Out {
				if out >= 0 && p.Slots[out].Pitch > 0 && s.Kernel.Parts == nil {
					joined[s.Op+p.Slots[out].DType.String()]++
				} else if out >= 0 && p.Slots[out].Kind == plan.Alias && s.Kernel.Parts != nil {
					divided++
				} else if out >= 0 && p.Slots[out].Kind == plan.Alias {
					lie++
				}
			}
		}
		for _, par := range []op.Par{nil, threads} {
			x, err := exec.New(p, exec.Options{Par: par})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got := make([]*tensor.Tensor, len(want))
				for i := range got {
					got[i] = &tensor.Tensor{}
				}
				if err := x.Run(context.Background(), g.In, got); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					if !got[i].Shape.Equal(want[i].Shape) || !bytes.Equal(got[i].Data, want[i].Data) {
						t.Fatalf("seed %d: output %d differs\n%v", seed, i, g.Graph)
					}
				}
			}
		}
	}
	for _, name := range []string{"Convf32", "Convi8", "Convu8", "Chainf32", "Resizef32", "MaxPoolf32", "MaxPooli8", "MaxPoolu8"} {
		if joined[name] == 0 {
			t.Errorf("no %s was made among others' rows", name)
		}
	}
	if lie == 0 || divided == 0 {
		t.Errorf("%d parts with neighbouring rows, %d that stay where they are", lie, divided)
	}
}
