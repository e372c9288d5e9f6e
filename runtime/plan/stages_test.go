package plan_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/plan"
	"github.com/edgerun/edgerun/runtime/pool"
)

// mobile makes a depthwise and a pointwise convolution that follow each other, with one that expands before them in some; they are large enough to run
// together. bf16 values are what two operators of numerics bf16 hand on to each other.
func mobile(rng *rand.Rand, d tensor.DType, n num.Numerics, expand bool) (*model.Graph, *tensor.Tensor) {
	j := &joinGen{rng: rng, g: &model.Graph{Name: "g"}, d: d}
	if d != tensor.F32 {
		j.q = &tensor.QParams{Scale: []float32{.05}, Zero: []int32{int32(rng.IntN(20))}}
	}
	k, s, dil := 1+rng.IntN(5), 1+rng.IntN(2), 1+rng.IntN(2)
	span := (k-1)*dil + 1
	h, w, c := span+rng.IntN(20), span+rng.IntN(20), 0
	x := &model.Value{Name: "x", DType: d, Quant: j.q, Shape: tensor.Shape{1 + rng.IntN(2), h, w, c}}
	j.g.Inputs, j.scope = []*model.Value{x}, []*model.Value{x}
	conv := func(kernel, out, per int, a attr.Attrs) {
		x := j.scope[len(j.scope)-1]
		a.Set("layout", "NHWC")
		wt := j.fill(tensor.New(d, tensor.Shape{out, kernel, kernel, per}))
		if d != tensor.F32 {
			wt.DType, wt.Quant = tensor.I8, &tensor.QParams{Scale: []float32{.01}}
		}
		if d == tensor.F32 && rng.IntN(3) == 0 { // stored narrow
			narrow := tensor.New(tensor.F16, wt.Shape)
			for i, f := range tensor.Of[float32](wt) {
				tensor.Of[uint16](narrow)[i] = half.F16(f)
			}
			wt = narrow
		}
		in := []*model.Value{x, model.NewConst("w", wt)}
		if d == tensor.F32 && rng.IntN(2) == 0 {
			in = append(in, model.NewConst("b", j.fill(tensor.New(d, tensor.Shape{out}))))
			a.Set("act_min", float32(0))
		}
		if d == tensor.F32 && n == num.Default && rng.IntN(3) == 0 {
			for len(in) < 3 {
				in = append(in, nil)
			}
			a.Set("chain", []string{"Sigmoid", "Mul in=3"})
			in = append(in, model.NewConst("m", j.fill(tensor.New(tensor.F32, tensor.Shape{out}))))
		}
		spatial := func(n, begin, end int) int {
			return (n+begin+end-((kernel-1)*a.Ints("dilations")[0]+1))/a.Ints("strides")[0] + 1
		}
		p := a.Ints("pads")
		j.node("Conv", a, []tensor.Shape{{x.Shape[0], spatial(x.Shape[1], p[0], p[2]), spatial(x.Shape[2], p[1], p[3]), out}}, in...)
		j.g.Nodes[len(j.g.Nodes)-1].Num = n
	}
	geometry := func(group, stride, dilation int, pads ...int64) attr.Attrs {
		a := attr.Attrs{}
		a.Set("group", group)
		a.Set("strides", []int{stride, stride})
		a.Set("dilations", []int{dilation, dilation})
		a.Set("pads", pads)
		return a
	}
	x.Shape[1] += 50
	x.Shape[2] += 30
	size := 1
	if n == num.BF16 {
		size = 2
	} else if d == tensor.F32 {
		size = 4
	}
	if expand {
		x.Shape[3] = 1 + rng.IntN(4)
		c = 2 + (3<<19)/(size*x.Shape[0]*x.Shape[1]*x.Shape[2])
		conv(1, c, x.Shape[3], geometry(1, 1, 1, 0, 0, 0, 0))
	} else {
		c = 2 + (3<<19)/(size*x.Shape[0]*((x.Shape[1]-span)/s+1)*((x.Shape[2]-span)/s+1))
		x.Shape[3] = c
	}
	pad := func() int64 { return int64(rng.IntN(k)) }
	conv(k, c, 1, geometry(c, s, dil, pad(), pad(), pad(), pad()))
	conv(1, 1+rng.IntN(20), c, geometry(1, 1, 1, 0, 0, 0, 0))
	for _, v := range j.scope[1 : len(j.scope)-1] {
		if n == num.BF16 {
			v.DType = tensor.BF16
		}
	}
	for i, node := range j.g.Nodes {
		if n == num.BF16 {
			node.Attrs.Set("result_type", []string{"bf16", "f32"}[i/(len(j.g.Nodes)-1)])
		}
	}
	j.g.Outputs = j.scope[len(j.scope)-1:]
	return j.g, j.fill(tensor.New(d, x.Shape))
}

// What runs together computes what its stages compute one after the other, on any number of threads, and so do the ways that a plan may choose.
func TestStagesKeepOutputs(t *testing.T) {
	seeds := uint64(80)
	if testing.Short() {
		seeds = 20
	}
	threads := pool.New(3)
	defer threads.Close()
	together := map[string]int{}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 2))
		d, n := []tensor.DType{tensor.F32, tensor.F32, tensor.I8, tensor.U8}[seed%4], num.Default
		if seed%4 == 1 {
			n = num.BF16
		}
		if seed%8 == 0 {
			n = num.FP32
		}
		g, x := mobile(rng, d, n, seed%5 == 0)
		if err := model.Verify(g); err != nil {
			t.Fatal(err)
		}
		o := plan.Options{Ops: ops.Lookup, Shapes: []tensor.Shape{x.Shape}, Skip: []string{plan.StagesPass}}
		reference, err := plan.Build(g, o)
		if err != nil {
			t.Fatalf("seed %d: %v\n%v", seed, err, g)
		}
		want := runPlan(t, reference, []*tensor.Tensor{x}, 1)[0]
		o.Skip = nil
		p, err := plan.Build(g, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Steps) != 1 || len(p.Steps[0].Stages) != len(g.Nodes) {
			t.Fatalf("seed %d: %d steps", seed, len(p.Steps))
		}
		for _, way := range []map[string]bool{nil, {"bands": true}, {"bands": false}} {
			for _, par := range []op.Par{op.Serial{}, threads} {
				q := p.With(map[int]op.Choice{0: {Ways: way}})
				y, err := exec.New(q, exec.Options{Par: par})
				if err != nil {
					if way != nil { // not on this machine
						continue
					}
					t.Fatalf("seed %d: %v", seed, err)
				}
				if way["bands"] {
					together[fmt.Sprint(d, " ", n, " ", len(p.Steps[0].Stages))]++
				}
				for range 2 {
					got := &tensor.Tensor{}
					if err := y.Run(context.Background(), []*tensor.Tensor{x}, []*tensor.Tensor{got}); err != nil {
						t.Fatal(err)
					}
					if !got.Shape.Equal(want.Shape) || !bytes.Equal(got.Data, want.Data) {
						t.Fatalf("seed %d, %v: the output differs\n%v", seed, way, g)
					}
				}
			}
		}
	}
	if len(together) == 0 {
		t.Error("no stages ran together")
	}
}
