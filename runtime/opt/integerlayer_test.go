package opt_test

import (
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

// TFLite's quantised layers with states stay in integers: no pass puts Dequantize before them, and they give what is recorded.
func TestQuantisedLayersStayInIntegers(t *testing.T) {
	list, err := optest.Read("../op/nnx/testdata/lite.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, x := range list {
		c, err := x.Call()
		if err != nil {
			t.Fatal(err)
		}
		if c.In[0] == nil || c.In[0].Quant == nil || c.Out[0] == nil || c.Out[0].Quant == nil {
			continue
		}
		n := &model.Node{Name: "layer", Op: c.Op, Attrs: c.Attrs}
		if n.Attrs == nil {
			n.Attrs = attr.Attrs{}
		}
		g := &model.Graph{Name: "main"}
		for i, v := range c.In {
			if v == nil {
				n.In = append(n.In, nil)
				continue
			}
			w := model.NewConst("in"+string(rune('a'+i%26))+string(rune('a'+i/26)), v)
			w.Quant = v.Quant
			if i == 0 {
				w.Const = nil
				g.Inputs = append(g.Inputs, w)
			}
			n.In = append(n.In, w)
		}
		for i, v := range c.Out {
			if v == nil {
				n.Out = append(n.Out, nil)
				continue
			}
			w := &model.Value{Name: "out" + string(rune('a'+i)), DType: v.DType, Quant: v.Quant}
			n.Out, g.Outputs = append(n.Out, w), append(g.Outputs, w)
		}
		g.Nodes = []*model.Node{n}
		after, err := optimise(g)
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		for _, m := range after.Nodes {
			if m.Op == "Dequantize" {
				t.Errorf("%s: %s (%s) is before the layer", x.Name, m.Name, m.Op)
			}
		}
		got, err := evaluate(after, []*tensor.Tensor{c.In[0]})
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		var want []*tensor.Tensor
		most := 1.0
		for _, v := range x.Out {
			if w, err := v.Tensor(); err != nil {
				t.Fatal(err)
			} else if w != nil {
				want, most = append(want, w), max(most, v.Steps)
			}
		}
		if off := steps(got, want); float64(off) > most {
			t.Errorf("%s (%s) is %d steps off", x.Name, x.Op, off)
		}
		ran++
	}
	if ran == 0 {
		t.Error("no quantised layers")
	}
}
