package model

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"github.com/edgerun/edgerun/internal/tensor"
)

// WriteDOT writes the graph for Graphviz, subgraphs as clusters.
func WriteDOT(w io.Writer, g *Graph) error {
	d := &dot{w: bufio.NewWriter(w), id: map[*Value]string{}}
	fmt.Fprintf(d.w, "digraph %s {\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n", strconv.Quote(g.Name))
	d.graph(g, "  ")
	for i, v := range g.Outputs {
		fmt.Fprintf(d.w, "  out%d [label=%s, shape=ellipse];\n", i, strconv.Quote(v.label()))
		d.edge(v, fmt.Sprintf("out%d", i))
	}
	fmt.Fprintln(d.w, "}")
	return d.w.Flush()
}

type dot struct {
	w     *bufio.Writer
	id    map[*Value]string
	nodes int
}

func (d *dot) graph(g *Graph, indent string) {
	for _, v := range g.Inputs {
		d.nodes++
		d.id[v] = fmt.Sprintf("n%d", d.nodes)
		fmt.Fprintf(d.w, "%s%s [label=%s, shape=ellipse];\n", indent, d.id[v], strconv.Quote(v.label()))
	}
	for _, n := range g.Nodes {
		d.nodes++
		id := fmt.Sprintf("n%d", d.nodes)
		fmt.Fprintf(d.w, "%s%s [label=%s];\n", indent, id, strconv.Quote(n.Op+"\n"+n.Name))
		for _, v := range n.In {
			if v != nil && v.Const == nil {
				d.edge(v, id)
			}
		}
		for _, name := range n.GraphNames() {
			fmt.Fprintf(d.w, "%ssubgraph cluster_%s_%s {\n%s  label=%s;\n", indent, id, name, indent, strconv.Quote(n.Name+"."+name))
			d.graph(n.Graphs[name], indent+"  ")
			fmt.Fprintf(d.w, "%s}\n", indent)
		}
		for _, v := range n.Out {
			if v != nil {
				d.id[v] = id
			}
		}
	}
}

func (d *dot) edge(v *Value, to string) {
	if from := d.id[v]; from != "" {
		label := ""
		if v.Shape != nil && v.DType != tensor.Invalid {
			label = fmt.Sprintf(" [label=%s]", strconv.Quote(v.DType.String()+v.Shape.String()))
		}
		fmt.Fprintf(d.w, "  %s -> %s%s;\n", from, to, label)
	}
}

// label is a value's name and type, as in "x: f32[batch,3,?]".
func (v *Value) label() string { return v.Name + ": " + v.typeText(false) }
