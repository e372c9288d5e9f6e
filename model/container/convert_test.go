package container

import (
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

func TestConvertWeights(t *testing.T) {
	k := func(name string, shape ...int) *model.Value {
		c := tensor.New(tensor.F32, shape)
		for i := range tensor.Of[float32](c) {
			tensor.Of[float32](c)[i] = float32(i) + 1.0/3
		}
		return model.NewConst(name, c)
	}
	v := func(name string) *model.Value { return &model.Value{Name: name, DType: tensor.F32} }
	x, idx := v("x"), model.NewConst("idx", tensor.From([]int64{0}))
	w, b, shared, lw, lr, emb, vec, inner := k("w", 2, 1, 1, 1), k("b", 2), k("shared", 2, 2), k("lw", 1, 4, 2), k("lr", 1, 4, 1), k("emb", 5, 2), k("vec", 3), k("inner", 2, 2)
	out := func(n string) []*model.Value { return []*model.Value{v(n)} }
	body := &model.Graph{Name: "body", Nodes: []*model.Node{{Name: "deep", Op: "MatMul", In: []*model.Value{x, inner}, Out: out("q")}}}
	g := &model.Graph{Name: "g", Inputs: []*model.Value{x}, Nodes: []*model.Node{
		{Name: "conv", Op: "Conv", In: []*model.Value{x, w, b}, Out: out("c"), Attrs: attr.Attrs{}},
		{Name: "mm", Op: "MatMul", In: []*model.Value{x, shared}, Out: out("m")},
		{Name: "add", Op: "Add", In: []*model.Value{x, shared}, Out: out("a")},
		{Name: "lstm", Op: "LSTM", In: []*model.Value{x, lw, lr}, Out: out("l")},
		{Name: "emb", Op: "Gather", In: []*model.Value{emb, idx}, Out: out("e")},
		{Name: "pick", Op: "Gather", In: []*model.Value{vec, idx}, Out: out("p")},
		{Name: "if", Op: "If", In: []*model.Value{x}, Graphs: map[string]*model.Graph{"then_branch": body}},
	}}
	c, err := ConvertWeights(g, num.FP16)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		num num.Numerics
		in  string
	}{{num.FP16, "f32 f16 f32"}, {num.Default, "f32 f32"}, {num.Default, "f32 f32"}, {num.FP16, "f32 f16 f16"}, {num.FP16, "f16 i64"}, {num.Default, "f32 i64"}} {
		n := c.Nodes[i]
		var in []string
		for _, v := range n.In {
			if v.Const != nil && v.Const.DType != v.DType {
				t.Errorf("%s: value is %v, its constant %v", v.Name, v.DType, v.Const.DType)
			}
			in = append(in, v.DType.String())
		}
		if got := strings.Join(in, " "); got != want.in || n.Num != want.num {
			t.Errorf("%s: %s @%v, want %s @%v", n.Name, got, n.Num, want.in, want.num)
		}
	}
	if n := c.Nodes[6].Graphs["then_branch"].Nodes[0]; n.In[1].DType != tensor.F16 || n.Num != num.FP16 {
		t.Errorf("in the subgraph: %v @%v", n.In[1].DType, n.Num)
	}
	if got := tensor.Of[uint16](c.Nodes[0].In[1].Const); got[0] != 0x3555 || got[1] != 0x3d55 {
		t.Errorf("weights %#x", got)
	}
	if w.DType != tensor.F32 || g.Nodes[0].Num != num.Default {
		t.Error("the original has changed")
	}
	if c, err := ConvertWeights(g, num.BF16); err != nil || tensor.Of[uint16](c.Nodes[0].In[1].Const)[0] != 0x3eab {
		t.Errorf("bf16: %v", err)
	}
	if c, err := ConvertWeights(g, num.FP32W); err != nil || c.Nodes[0].In[1].Const != w.Const || c.Nodes[0].Num != num.FP32W || c.Nodes[1].Num != num.Default {
		t.Errorf("fp32w: %v", err)
	}
	tensor.Of[float32](w.Const)[1] = -65505
	if _, err := ConvertWeights(g, num.FP16); err == nil || !strings.Contains(err.Error(), "tensor w: element 1, -65505, is beyond fp16") {
		t.Errorf("overflow: %v", err)
	}
	if _, err := ConvertWeights(g, num.Int8); err == nil {
		t.Error("int8 is no conversion")
	}
}
