package opt

import (
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// index answers who makes and who reads a value, for one graph. Reads by subgraphs count as the reader nested.
type index struct {
	graph    *model.Graph
	producer map[*model.Value]*model.Node
	readers  map[*model.Value][]*model.Node
	output   map[*model.Value]bool
}

// nested stands for all nodes of subgraphs among the readers of a value.
var nested = &model.Node{Name: "nested"}

func newIndex(g *model.Graph) *index {
	x := &index{g, map[*model.Value]*model.Node{}, map[*model.Value][]*model.Node{}, map[*model.Value]bool{}}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v != nil {
				x.producer[v] = n
			}
		}
		for _, v := range n.In {
			if v != nil {
				x.readers[v] = append(x.readers[v], n)
			}
		}
		for _, sub := range n.Graphs {
			captures(sub, func(v *model.Value) { x.readers[v] = append(x.readers[v], nested) })
		}
	}
	for _, v := range g.Outputs {
		x.output[v] = true
	}
	return x
}

// captures calls f for every value that g's nodes and outputs read, its own included.
func captures(g *model.Graph, f func(*model.Value)) {
	g.Walk(func(_ *model.Graph, n *model.Node) {
		for _, v := range n.In {
			if v != nil {
				f(v)
			}
		}
		for _, sub := range n.Graphs {
			for _, v := range sub.Outputs {
				f(v)
			}
		}
	})
	for _, v := range g.Outputs {
		f(v)
	}
}

// made returns the node that makes v if it is one of the given operators.
func (x *index) made(v *model.Value, ops ...string) *model.Node {
	if v == nil {
		return nil
	}
	if n := x.producer[v]; n != nil && slices.Contains(ops, n.Op) {
		return n
	}
	return nil
}

// only returns the sole reader of v; nil where there are more, or where v is an output of the graph.
func (x *index) only(v *model.Value) *model.Node {
	if v == nil || x.output[v] || len(x.readers[v]) != 1 || x.readers[v][0] == nested {
		return nil
	}
	return x.readers[v][0]
}

// replaceAll makes every reader of a value in m read its replacement instead, subgraphs and the graph's outputs included;
// chains of replacements are followed.
func replaceAll(g *model.Graph, m map[*model.Value]*model.Value) {
	if len(m) == 0 {
		return
	}
	swap := func(list []*model.Value) {
		for i, v := range list {
			for w, ok := m[v]; ok; w, ok = m[v] {
				v = w
			}
			list[i] = v
		}
	}
	g.Walk(func(_ *model.Graph, n *model.Node) {
		swap(n.In)
		for _, sub := range n.Graphs {
			swap(sub.Outputs)
		}
	})
	swap(g.Outputs)
}

// removeDead drops nodes whose outputs nobody reads, and outputs that nobody wants of those that stay.
func removeDead(c *Context, g *model.Graph) {
	live := map[*model.Value]bool{}
	var sweep func(g *model.Graph)
	sweep = func(g *model.Graph) {
		for _, v := range g.Outputs {
			live[v] = true
		}
		kept := g.Nodes[:0:0]
		for _, n := range slices.Backward(g.Nodes) {
			used := false
			for _, v := range n.Out {
				used = used || v != nil && live[v]
			}
			if !used {
				continue
			}
			if len(n.Graphs) == 0 {
				for i, v := range n.Out {
					if v != nil && !live[v] {
						n.Out[i] = nil
					}
				}
				for len(n.Out) > 0 && n.Out[len(n.Out)-1] == nil {
					n.Out = n.Out[:len(n.Out)-1]
				}
			}
			for _, name := range n.GraphNames() {
				sweep(n.Graphs[name])
			}
			for _, v := range n.In {
				if v != nil {
					live[v] = true
				}
			}
			kept = append(kept, n)
		}
		slices.Reverse(kept)
		g.Nodes = kept
	}
	sweep(g)
}

// remove drops the given nodes.
func remove(g *model.Graph, dead map[*model.Node]bool) {
	if len(dead) > 0 {
		g.Nodes = slices.DeleteFunc(g.Nodes, func(n *model.Node) bool { return dead[n] })
	}
}

// isConst returns the tensor of a constant value, nil for others.
func isConst(v *model.Value) *tensor.Tensor {
	if v == nil {
		return nil
	}
	return v.Const
}

// constFloats returns the elements of a constant f32 value.
func constFloats(v *model.Value) ([]float32, bool) {
	t := isConst(v)
	if t == nil || t.DType != tensor.F32 || t.Quant != nil {
		return nil, false
	}
	return tensor.Of[float32](t), true
}

// constScalar returns the element of a constant f32 value that has just one.
func constScalar(v *model.Value) (float32, bool) {
	f, ok := constFloats(v)
	if !ok || len(f) != 1 {
		return 0, false
	}
	return f[0], true
}

// derive makes a value like v under a new name.
func (c *Context) derive(v *model.Value, what string) *model.Value {
	return &model.Value{Name: c.name(v.Name, what), DType: v.DType, Shape: v.Shape.Clone(), Quant: v.Quant}
}

// transposed returns t with its dimensions permuted: the same elements under another shape where they stay in order.
func (c *Context) transposed(t *tensor.Tensor, perm []int) (*tensor.Tensor, error) {
	var r *tensor.Tensor
	if t.Shape.KeepsOrder(perm) {
		r = t.View(permuted(t.Shape, perm))
	} else {
		o, ok := c.Ops("Transpose")
		if !ok {
			panic("BUG: no operator Transpose")
		}
		a := attr.Attrs{}
		a.Set("perm", perm)
		call := &op.Call{Name: "weights", Op: "Transpose", Attrs: a, In: []*tensor.Tensor{t}, Out: []*tensor.Tensor{{}}, New: c.New}
		if err := op.Eval(o, call, 0); err != nil {
			return nil, err
		}
		r = call.Out[0]
		mem.Drop(t.Data)
		mem.Drop(r.Data)
		if !c.room.made(r) {
			return nil, c.errRoom()
		}
	}
	if q := t.Quant; q != nil {
		r.Quant = permuteQuant(q, perm)
	}
	return r, nil
}

// permuteQuant follows the channel axis through a Transpose.
func permuteQuant(q *tensor.QParams, perm []int) *tensor.QParams {
	if q == nil || q.PerTensor() {
		return q
	}
	p := *q
	p.Axis = slices.Index(perm, q.Axis)
	return &p
}
