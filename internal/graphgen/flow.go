package graphgen

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// within makes a subgraph of some nodes whose last value, brought to the given shape, is its output.
func (g *gen) within(name string, inputs []value, like value, lead ...*model.Value) *model.Graph {
	outer, scope := g.graph, len(g.scope)
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
	g.graph, g.scope = outer, g.scope[:scope]
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

// quantised puts QuantizeLinear and DequantizeLinear around an operator.
func (g *gen) quantised() {
	params := func(signed bool) (scale, zero *model.Value) {
		s := float32(.02 + .05*g.rng.Float64())
		if signed {
			return g.scalar(s), model.NewConst(g.name("z"), tensor.Scalar(int8(g.rng.IntN(20)-10)))
		}
		return g.scalar(s), model.NewConst(g.name("z"), tensor.Scalar(uint8(100+g.rng.IntN(60))))
	}
	x := g.pick(true)
	if x.Value == nil || x.shape.Len() > 1<<11 || x.shape.Len() == 0 {
		return
	}
	signed := g.rng.IntN(2) == 0
	d := tensor.U8
	if signed {
		d = tensor.I8
	}
	quantise := func(v value, scale, zero *model.Value) *model.Value {
		return g.raw("QuantizeLinear", nil, 1, d, v.Value, scale, zero)[0]
	}
	dequantise := func(v *model.Value, shape tensor.Shape, scale, zero *model.Value) value {
		return g.node("DequantizeLinear", nil, shape, v, scale, zero)
	}
	pair := func(v value) value {
		s, z := params(signed)
		return dequantise(quantise(v, s, z), v.shape, s, z)
	}
	a := pair(x)
	switch g.rng.IntN(6) {
	case 0: // a convolution with weights per channel
		out := 1 + g.rng.IntN(4)
		w := tensor.New(tensor.I8, tensor.Shape{out, x.shape[1], 1, 1})
		for i := range w.Data {
			w.Data[i] = byte(g.rng.IntN(255) - 127)
		}
		scale := g.tensor(tensor.Shape{out}, 0)
		for i := range tensor.Of[float32](scale) {
			tensor.Of[float32](scale)[i] = float32(.002 + .01*g.rng.Float64())
		}
		at := attr.Attrs{}
		at.Set("axis", 0)
		wf := g.raw("DequantizeLinear", at, 1, tensor.F32, model.NewConst(g.name("w"), w), model.NewConst(g.name("s"), scale))[0]
		shape := x.shape.Clone()
		shape[1] = out
		y := g.node("Conv", nil, shape, a.Value, wf, g.constant(tensor.Shape{out}, 1))
		if g.rng.IntN(2) == 0 {
			y = g.node("Relu", nil, shape, y.Value)
		}
		pair(y)
	case 1:
		b := pair(g.node("Neg", nil, x.shape, x.Value))
		pair(g.node([]string{"Add", "Mul", "Sub"}[g.rng.IntN(3)], nil, x.shape, a.Value, b.Value))
	case 2:
		pair(g.node([]string{"Sigmoid", "Tanh", "LeakyRelu", "HardSwish"}[g.rng.IntN(4)], nil, x.shape, a.Value))
	case 3: // moved on as integers
		s, z := params(signed)
		q := quantise(x, s, z)
		at := attr.Attrs{}
		at.Set("perm", []int{0, 2, 3, 1})
		t := g.raw("Transpose", at, 1, d, q)[0]
		dequantise(t, tensor.Shape{x.shape[0], x.shape[2], x.shape[3], x.shape[1]}, s, z)
	case 4: // padded as integers, and read with other parameters
		s, z := params(signed)
		s2, z2 := params(signed)
		q := quantise(x, s, z)
		p := g.raw("Pad", nil, 1, d, q, g.ints(0, 0, 1, 0, 0, 0, 0, 1))[0]
		shape := tensor.Shape{x.shape[0], x.shape[1], x.shape[2] + 1, x.shape[3] + 1}
		dequantise(p, shape, s, z)
		if g.rng.IntN(2) == 0 {
			dequantise(p, shape, s2, z2)
		}
	case 5: // computed on as integers
		s, z := params(signed)
		q := quantise(x, s, z)
		m := g.raw([]string{"Max", "Min"}[g.rng.IntN(2)], nil, 1, d, q, z)[0]
		dequantise(m, x.shape, s, z)
	}
}
