package graphgen

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// within makes a subgraph of some nodes whose last value, brought to the given shape, is its output.
func (g *gen) within(name string, inputs []value, like value, lead ...*model.Value) *model.Graph {
	outer, scope, wholes := g.graph, len(g.scope), len(g.wholes)
	g.graph = &model.Graph{Name: g.name(name)}
	g.depth++
	g.graph.Inputs = append(g.graph.Inputs, lead...)
	for _, v := range inputs {
		g.graph.Inputs = append(g.graph.Inputs, v.Value)
		g.scope = append(g.scope, v)
	}
	g.fill(2 + g.rng.IntN(4))
	last := like
	for _, v := range g.scope[scope:] {
		if v.shape.Equal(like.shape) {
			last = v
		}
	}
	if g.rng.IntN(3) > 0 {
		last = g.node("Tanh", nil, like.shape, last.Value)
	}
	r := g.graph
	r.Outputs = []*model.Value{last.Value}
	g.graph, g.scope, g.wholes = outer, g.scope[:scope], g.wholes[:wholes]
	g.depth--
	return r
}

func (g *gen) branch() {
	like := g.pick(false)
	then, els := g.within("then", nil, like), g.within("else", nil, like)
	n := &model.Node{Name: g.name("If"), Op: "If", In: []*model.Value{g.cond}, Attrs: attr.Attrs{},
		Graphs: map[string]*model.Graph{"then_branch": then, "else_branch": els}}
	if g.rng.IntN(4) == 0 { // known beforehand
		n.In[0] = model.NewConst(g.name("c"), tensor.Scalar(g.rng.IntN(2) == 0))
	}
	n.Out = []*model.Value{{Name: g.name("v"), DType: tensor.F32}}
	g.graph.Nodes = append(g.graph.Nodes, n)
	g.keep(n.Out[0], like.shape)
}

func (g *gen) loop() {
	init := g.pick(false)
	v := value{&model.Value{Name: g.name("v"), DType: tensor.F32}, init.shape}
	i := &model.Value{Name: g.name("i"), DType: tensor.I64, Shape: tensor.Shape{}}
	k := &model.Value{Name: g.name("k"), DType: tensor.Bool, Shape: tensor.Shape{}}
	body := g.within("body", []value{v}, v, i, k)
	body.Outputs = []*model.Value{k, body.Outputs[0], body.Outputs[0]}
	trips := g.rng.IntN(4)
	n := &model.Node{Name: g.name("Loop"), Op: "Loop", In: []*model.Value{model.NewConst(g.name("n"), tensor.Scalar(int64(trips))), nil, init.Value},
		Attrs: attr.Attrs{}, Graphs: map[string]*model.Graph{"body": body}}
	n.Out = []*model.Value{{Name: g.name("v"), DType: tensor.F32}, {Name: g.name("v"), DType: tensor.F32}}
	g.graph.Nodes = append(g.graph.Nodes, n)
	g.keep(n.Out[0], init.shape)
	if len(init.shape) < 5 && init.shape.Len() < 1<<10 && trips > 0 {
		g.keep(n.Out[1], append(tensor.Shape{trips}, init.shape...))
	}
}
