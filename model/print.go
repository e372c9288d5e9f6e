package model

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Print writes the graph as text: a line per node with its outputs, operator, inputs, attributes and types. Constants are
// shown by name and type. Names that are no plain words are quoted.
func Print(w io.Writer, g *Graph) error {
	b := bufio.NewWriter(w)
	printGraph(b, g, 0)
	return b.Flush()
}

// String is what Print writes.
func (g *Graph) String() string {
	var b strings.Builder
	if err := Print(&b, g); err != nil {
		return err.Error()
	}
	return b.String()
}

func printGraph(w *bufio.Writer, g *Graph, depth int) {
	in := strings.Repeat("  ", depth)
	fmt.Fprintf(w, "%sgraph %s(%s) -> (%s) {\n", in, word(g.Name), list(g.Inputs, true), list(g.Outputs, false))
	for _, v := range g.Consts() {
		if depth == 0 {
			fmt.Fprintf(w, "%s  const %s\n", in, typed(v))
		}
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(w, "%s  %s: %s = %s(%s)", in, word(n.Name), list(n.Out, true), n.Op, list(n.In, false))
		for i, name := range n.Attrs.Names() {
			sep := ", "
			if i == 0 {
				sep = " {"
			}
			fmt.Fprintf(w, "%s%s=%s", sep, name, attrText(n.Attrs[name]))
		}
		if len(n.Attrs) > 0 {
			fmt.Fprint(w, "}")
		}
		if n.Num != num.Default {
			fmt.Fprintf(w, " @%v", n.Num)
		}
		fmt.Fprintln(w)
		for _, name := range n.GraphNames() {
			fmt.Fprintf(w, "%s    %s:\n", in, name)
			printGraph(w, n.Graphs[name], depth+2)
		}
	}
	fmt.Fprintf(w, "%s}\n", in)
}

func list(values []*Value, types bool) string {
	parts := make([]string, len(values))
	for i, v := range values {
		switch {
		case v == nil:
			parts[i] = "_"
		case types:
			parts[i] = typed(v)
		default:
			parts[i] = word(v.Name)
		}
	}
	return strings.Join(parts, ", ")
}

// typed is a value's name and type, as in "x: f32[batch,3,?]".
func typed(v *Value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", word(v.Name), v.DType)
	if v.Shape != nil {
		b.WriteByte('[')
		for i, d := range v.Shape {
			if i > 0 {
				b.WriteByte(',')
			}
			switch {
			case d >= 0:
				b.WriteString(strconv.Itoa(d))
			case i < len(v.Dims) && v.Dims[i] != "":
				b.WriteString(word(v.Dims[i]))
			default:
				b.WriteByte('?')
			}
		}
		b.WriteByte(']')
	}
	if q := v.Quant; q != nil {
		if q.PerTensor() {
			fmt.Fprintf(&b, " q(%v, %d)", q.Scale[0], q.ZeroAt(0))
		} else {
			fmt.Fprintf(&b, " q(%d scales, axis=%d)", len(q.Scale), q.Axis)
		}
	}
	return b.String()
}

func attrText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case []int64:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ",")
	case []float32:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ",")
	case *Tensor:
		return v.String()
	}
	return fmt.Sprint(v)
}

// word returns a name as it is where it is a plain word, quoted where not.
func word(s string) string {
	if s == "" {
		return `""`
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./+-$", r)) {
			return strconv.Quote(s)
		}
	}
	return s
}

// WriteDOT writes the graph for Graphviz, subgraphs as clusters.
func WriteDOT(w io.Writer, g *Graph) error {
	d := &dot{w: bufio.NewWriter(w), id: map[*Value]string{}}
	fmt.Fprintf(d.w, "digraph %s {\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=8];\n", strconv.Quote(g.Name))
	d.graph(g, "  ")
	for i, v := range g.Outputs {
		fmt.Fprintf(d.w, "  out%d [label=%s, shape=ellipse];\n", i, strconv.Quote(typed(v)))
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
		fmt.Fprintf(d.w, "%s%s [label=%s, shape=ellipse];\n", indent, d.id[v], strconv.Quote(typed(v)))
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
