package model

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

func TestVerify(t *testing.T) {
	// Each case spoils a good graph, and the error has to name the place.
	for name, c := range map[string]struct {
		spoil func(g *Graph)
		want  string
	}{
		"defined twice":  {func(g *Graph) { g.Nodes[1].Out[0] = g.Nodes[0].Out[0] }, "b (Mul): output 0: value t is defined twice"},
		"order":          {func(g *Graph) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] }, "b (Mul): input 0: value t is used before"},
		"cycle":          {func(g *Graph) { g.Nodes[0].In[0] = g.Nodes[1].Out[0] }, "a (Add): input 0: value y is used before"},
		"inner value":    {func(g *Graph) { g.Outputs[0] = g.Nodes[2].Graphs["then_branch"].Nodes[0].Out[0] }, "output 0: value i is used before"},
		"own output":     {func(g *Graph) { g.Nodes[2].Graphs["then_branch"].Nodes[0].In[0] = g.Nodes[2].Out[0] }, "c (If): then_branch: d (Relu): input 0: value z"},
		"node names":     {func(g *Graph) { g.Nodes[1].Name = "a" }, "a (Mul): the name is used twice"},
		"no name":        {func(g *Graph) { g.Nodes[1].Name = "" }, "(Mul): the name"},
		"no operator":    {func(g *Graph) { g.Nodes[1].Op = "" }, "b ()"},
		"nil node":       {func(g *Graph) { g.Nodes[1] = nil }, "node 1 is nil"},
		"nil input":      {func(g *Graph) { g.Inputs[0] = nil }, "input 0 is nil"},
		"nil output":     {func(g *Graph) { g.Outputs[0] = nil }, "output 0 is nil"},
		"input names":    {func(g *Graph) { g.Inputs[1].Name = "x" }, `two inputs are called "x"`},
		"constant input": {func(g *Graph) { g.Inputs[0].Const = tensor.Scalar(float32(1)) }, "value x is a constant and is defined too"},
		"type":           {func(g *Graph) { g.Inputs[0].DType = 99 }, "value x has type"},
		"rank":           {func(g *Graph) { g.Inputs[0].Shape = make(Shape, 17) }, "value x has rank 17"},
		"extent":         {func(g *Graph) { g.Inputs[0].Shape = Shape{-2} }, "value x has shape"},
		"dims":           {func(g *Graph) { g.Inputs[0].Dims = []string{"n"} }, "value x has 1 names for 2"},
		"short data":     {func(g *Graph) { w := *g.Nodes[0].In[1].Const; w.Data = w.Data[:4]; g.Nodes[0].In[1].Const = &w }, "a (Add): input 1: constant w: 4 bytes"},
		"constant type":  {func(g *Graph) { g.Nodes[0].In[1].DType = tensor.I32 }, "constant w is f32[2], but declared as i32[2]"},
		"huge constant": {func(g *Graph) {
			g.Nodes[0].In[1] = NewConst("w", &Tensor{DType: tensor.F32, Shape: Shape{1 << 30, 1 << 30, 1 << 30}, Data: []byte{}})
		}, "constant w: "},
		"scale zero":     {func(g *Graph) { g.Nodes[1].Out[0].Quant.Scale[0] = 0 }, "value y: scale 0"},
		"scale infinite": {func(g *Graph) { g.Nodes[1].Out[0].Quant.Scale[0] = float32(math.Inf(1)) }, "value y: scale +Inf"},
		"scale NaN":      {func(g *Graph) { g.Nodes[1].Out[0].Quant.Scale[0] = float32(math.NaN()) }, "value y: scale NaN"},
		"zero point":     {func(g *Graph) { g.Nodes[1].Out[0].Quant.Zero[0] = 128 }, "value y: zero point 128"},
		"zero points":    {func(g *Graph) { g.Nodes[1].Out[0].Quant.Zero = []int32{1} }, "value y: 2 scales and 1 zero points"},
		"axis":           {func(g *Graph) { g.Nodes[1].Out[0].Quant.Axis = 2 }, "value y: quantisation axis 2"},
		"channels":       {func(g *Graph) { g.Nodes[1].Out[0].Shape = Shape{2, 3} }, "value y: 2 scales for extent 3"},
		"float quant":    {func(g *Graph) { g.Nodes[1].Out[0].DType = tensor.F32 }, "value y: quantisation of type f32"},
		"attribute":      {func(g *Graph) { g.Nodes[0].Attrs["k"] = 3 }, "a (Add): attribute k has type int"},
		"nil tensor":     {func(g *Graph) { g.Nodes[0].Attrs["k"] = (*Tensor)(nil) }, "a (Add): attribute k: the tensor is nil"},
		"no branch":      {func(g *Graph) { delete(g.Nodes[2].Graphs, "else_branch") }, "c (If): subgraph else_branch is missing"},
		"branch outputs": {func(g *Graph) { g.Nodes[2].Graphs["else_branch"].Outputs = nil }, "c (If): subgraph else_branch takes 0 values and gives 0, want 0 and 1"},
		"loop":           {func(g *Graph) { g.Nodes[2].Op = "Loop"; g.Nodes[2].Graphs["body"] = &Graph{} }, "c (Loop): 1 inputs"},
		"scan":           {func(g *Graph) { g.Nodes[2].Op = "Scan"; g.Nodes[2].Graphs["body"] = &Graph{} }, "c (Scan): num_scan_inputs"},
		"shared branch":  {func(g *Graph) { g.Nodes[2].Graphs["else_branch"] = g.Nodes[2].Graphs["then_branch"] }, "used in more than one place"},
		"graph in itself": {func(g *Graph) {
			h := g.Nodes[2].Graphs["then_branch"]
			h.Nodes[0].Graphs = map[string]*Graph{"body": h}
		}, "used in more than one place"},
		"sequence in itself": {func(g *Graph) {
			s := &Tensor{DType: tensor.Sequence}
			s.Elems = []*Tensor{s}
			g.Nodes[0].Attrs["k"] = s
		}, "attribute k: element 0"},
	} {
		g := parse(t, `graph main(x: f32[2,2], cond: bool[]) -> (y, z) {
			const w: f32[2]{1, 2}
			a: t = Add(x, w)
			b: y = Mul(t, w) : i8[2,2] q([0.5, 0.25], [1, 2], axis=1)
			c: z = If(cond) {then_branch=graph () -> (i) { d: i = Relu(t) }, else_branch=graph () -> (t) {}}
		}`)
		g.Nodes[0].Attrs = attr.Attrs{}
		if err := Verify(g); err != nil {
			t.Fatal(err)
		}
		c.spoil(g)
		if err := Verify(g); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		_ = g.String() // does not panic either
	}
	if err := Verify(nil); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
