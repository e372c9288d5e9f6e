package model

import (
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

// The names of internal/tensor and internal/attr that users of a graph need.
type (
	// Tensor is a dense array.
	Tensor = tensor.Tensor
	// Shape holds extents; in a Value -1 is an unknown extent and nil an unknown rank.
	Shape = tensor.Shape
	// DType is an element type.
	DType = tensor.DType
	// QParams maps stored integers to reals.
	QParams = tensor.QParams
	// Attrs holds a node's attributes.
	Attrs = attr.Attrs
	// Numerics names the arithmetic of a node.
	Numerics = num.Numerics
)

// Value is one edge of the graph.
type Value struct {
	Name  string
	DType DType
	// Shape may be incomplete. Dims names symbolic extents: nil, or one entry per dimension, "" where it has no name.
	Shape Shape
	Dims  []string
	// Quant is set where integers stand for reals.
	Quant *QParams
	// Const is the value itself where it is known before any input is.
	Const *Tensor
}

// Node is one operator.
type Node struct {
	Name string // unique within the graph, not empty
	Op   string
	// In holds nil for an optional input that is absent, Out for an output that nobody wants.
	In, Out []*Value
	Attrs   Attrs
	// Graphs holds subgraphs by attribute name: then_branch, else_branch, body.
	Graphs map[string]*Graph
	// Num is the arithmetic that the node was certified with.
	Num Numerics
}

// Graph is a network or a subgraph of one.
type Graph struct {
	Name            string
	Inputs, Outputs []*Value
	Nodes           []*Node
	// Meta holds the source's own metadata (labels, authors, ...), as text.
	Meta map[string]string
	// Keep is what the constants' data lie in, where that is not the heap. Tensors of such a graph are of use as long as the graph, or a copy
	// of it, can be reached.
	Keep any
}

// NewConst makes a constant value of t.
func NewConst(name string, t *Tensor) *Value {
	return &Value{Name: name, DType: t.DType, Shape: t.Shape.Clone(), Quant: t.Quant, Const: t}
}

// Walk calls f for every node, outer before inner, in order. f may not change the graph.
func (g *Graph) Walk(f func(g *Graph, n *Node)) {
	for _, n := range g.Nodes {
		f(g, n)
		for _, name := range n.GraphNames() {
			n.Graphs[name].Walk(f)
		}
	}
}

// Consts lists the constants that the graph and its subgraphs use, each once, in order of first use.
func (g *Graph) Consts() []*Value {
	var list []*Value
	seen := map[*Value]bool{}
	add := func(v *Value) {
		if v != nil && v.Const != nil && !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	var visit func(g *Graph)
	visit = func(g *Graph) {
		for _, n := range g.Nodes {
			for _, v := range n.In {
				add(v)
			}
			for _, name := range n.GraphNames() {
				visit(n.Graphs[name])
			}
		}
		for _, v := range g.Outputs {
			add(v)
		}
	}
	visit(g)
	return list
}

// GraphNames lists the subgraphs' names in sorted order.
func (n *Node) GraphNames() []string {
	if len(n.Graphs) == 0 {
		return nil
	}
	names := make([]string, 0, len(n.Graphs))
	for k := range n.Graphs {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// Input returns the i-th input, nil where it is absent.
func (n *Node) Input(i int) *Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}

// Output returns the i-th output, nil where nobody wants it.
func (n *Node) Output(i int) *Value {
	if i < len(n.Out) {
		return n.Out[i]
	}
	return nil
}

// Clone copies the graph and everything in it except the constants' tensors, which are never modified.
// Values of graphs around g stay shared.
func (g *Graph) Clone() *Graph { return g.clone(map[*Value]*Value{}) }

func (g *Graph) clone(m map[*Value]*Value) *Graph {
	def := func(v *Value) *Value {
		if v == nil {
			return nil
		}
		if c, ok := m[v]; ok {
			return c
		}
		c := *v
		m[v] = &c
		return &c
	}
	use := func(v *Value) *Value {
		if v == nil {
			return nil
		}
		if c, ok := m[v]; ok {
			return c
		}
		if v.Const != nil {
			return def(v)
		}
		return v
	}
	c := &Graph{Name: g.Name, Meta: g.Meta, Keep: g.Keep}
	for _, v := range g.Inputs {
		c.Inputs = append(c.Inputs, def(v))
	}
	for _, n := range g.Nodes {
		d := &Node{Name: n.Name, Op: n.Op, Attrs: n.Attrs.Clone(), Num: n.Num}
		for _, v := range n.In {
			d.In = append(d.In, use(v))
		}
		for _, name := range n.GraphNames() {
			if d.Graphs == nil {
				d.Graphs = map[string]*Graph{}
			}
			d.Graphs[name] = n.Graphs[name].clone(m)
		}
		for _, v := range n.Out {
			d.Out = append(d.Out, def(v))
		}
		c.Nodes = append(c.Nodes, d)
	}
	for _, v := range g.Outputs {
		c.Outputs = append(c.Outputs, use(v))
	}
	return c
}
