package opt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// fuseChain lets elementwise operators on FP32 follow the products that they come from while these are in cache, and makes one loop of
// those that follow each other.
func fuseChain(c *Context, g *model.Graph) error {
	x := newIndex(g)
	f := fuser{x: x, hosts: map[*model.Value]*model.Node{}, dead: map[*model.Node]bool{}, moved: map[*model.Node]*model.Node{}, place: map[*model.Node]*model.Node{}}
	for _, n := range c.visit(g.Nodes) {
		if !f.step(n) && hostsChain(n) {
			f.hosts[n.Out[0]] = n
		}
	}
	if len(f.moved) == 0 {
		return nil
	}
	nodes := g.Nodes[:0:0]
	for _, n := range g.Nodes {
		switch host := f.moved[n]; {
		case host != nil:
			nodes = append(nodes, host)
		case !f.dead[n]:
			nodes = append(nodes, n)
		}
	}
	g.Nodes = nodes
	return nil
}

// fuser collects what fuseChain changes.
type fuser struct {
	x     *index
	hosts map[*model.Value]*model.Node // nodes that a step may follow, by what they make
	dead  map[*model.Node]bool         // nodes that are gone, or stand elsewhere
	moved map[*model.Node]*model.Node  // nodes by those in whose place they stand
	place map[*model.Node]*model.Node  // the inverse
}

// hostsChain reports whether a node's work can be followed by steps.
func hostsChain(n *model.Node) bool {
	if len(n.Out) != 1 || !plainFloat(n.Out[0]) || !n.Out[0].Shape.Known() || len(n.In) < 2 || len(n.In) > 3 {
		return false
	}
	for _, v := range n.In {
		if v != nil && (v.Quant != nil || v.DType == tensor.F64) {
			return false
		}
	}
	switch n.Op {
	case "Conv":
		return n.Attrs.Str("layout", "NCHW") == "NHWC"
	case "MatMul":
		return n.In[0].DType.IsFloat()
	case "Gemm":
		return n.In[0].DType.IsFloat() && n.Attrs.Float("alpha", 1) == 1 && n.Attrs.Float("beta", 1) == 1 && (n.Input(2) == nil || len(n.In[2].Shape) == 1)
	}
	return false
}

func plainFloat(v *model.Value) bool { return v != nil && v.DType == tensor.F32 && v.Quant == nil }

// step makes n a step of the node before it, or the first of a new chain, and reports whether n is elementwise.
func (f *fuser) step(n *model.Node) bool {
	if len(n.Out) != 1 || !plainFloat(n.Out[0]) || !n.Out[0].Shape.Known() || n.Num != num.Default {
		return false
	}
	texts, main, operand, ok := f.read(n)
	if !ok {
		return false
	}
	v := n.In[main]
	host := f.hosts[v]
	if host == nil || f.x.only(v) != n || operand == v {
		f.hosts[n.Out[0]] = n
		return true
	}
	if host.Op != "Chain" && !hostsChain(host) && len(host.Attrs.Strs("chain")) == 0 {
		if !f.begin(host) {
			f.hosts[n.Out[0]] = n
			return true
		}
	}
	f.append(host, texts, operand)
	host.Out[0] = n.Out[0]
	// The host moves to where n is, since the operand may be made between the two.
	if place := f.place[host]; place != nil {
		delete(f.moved, place)
		f.dead[place] = true
	}
	f.dead[host], f.moved[n], f.place[host] = true, host, n
	delete(f.hosts, v)
	f.hosts[n.Out[0]] = host
	return true
}

// append adds steps to a node; the first one may have an operand.
func (f *fuser) append(host *model.Node, texts []string, operand *model.Value) {
	if operand != nil {
		for len(host.In) < 3 && host.Op != "Chain" {
			host.In = append(host.In, nil)
		}
		texts[0] += fmt.Sprintf(" in=%d", len(host.In))
		host.In = append(host.In, operand)
	}
	host.Attrs.Set("chain", append(host.Attrs.Strs("chain"), texts...))
}

// begin turns an elementwise node into operator Chain. Its input may be an operand too.
func (f *fuser) begin(n *model.Node) bool {
	texts, main, operand, ok := f.read(n)
	if !ok {
		return false
	}
	n.Op, n.In, n.Attrs = "Chain", []*model.Value{n.In[main]}, attr.Attrs{}
	f.append(n, texts, operand)
	return true
}

// read describes an elementwise node: its steps, of which the first takes the operand if there is one, and the input that goes through them.
func (f *fuser) read(n *model.Node) (texts []string, main int, operand *model.Value, ok bool) {
	shape := n.Out[0].Shape
	fits := func(i int) bool { return plainFloat(n.Input(i)) && n.In[i].Const == nil && n.In[i].Shape.Equal(shape) }
	name := n.Op
	if name == "Sum" && len(n.In) == 2 {
		name = "Add"
	}
	unary, binary, reversible := elem.ChainStep(name)
	switch {
	case n.Op == "Clip":
		lo, okLo := bound(n.Input(1), "lo")
		hi, okHi := bound(n.Input(2), "hi")
		return []string{strings.TrimSpace("Clip" + lo + hi)}, 0, nil, fits(0) && okLo && okHi
	case unary:
		if !fits(0) || len(n.In) != 1 {
			return nil, 0, nil, false
		}
		text := n.Op
		for _, name := range n.Attrs.Names() {
			switch v := n.Attrs[name].(type) {
			case float32:
				text += " " + name + "=" + formatFloat(v)
			case string:
				if strings.ContainsAny(v, " =\t\n") || v == "" {
					return nil, 0, nil, false
				}
				text += " " + name + "=" + v
			default:
				return nil, 0, nil, false
			}
		}
		return []string{text}, 0, nil, true
	case binary && len(n.In) == 2:
		main = -1
		for i := range 2 {
			// What was just made, rather than what has been waiting.
			if (i == 0 || reversible) && fits(i) && plainFloat(n.In[1-i]) && (main < 0 || f.hosts[n.In[i]] != nil && f.x.only(n.In[i]) == n && !f.fuses(n.In[main], n)) {
				main = i
			}
		}
		if main < 0 {
			return nil, 0, nil, false
		}
		text := name
		if main == 1 && (n.Op == "Sub" || n.Op == "Div") {
			text += " rev"
		}
		texts = []string{text}
		lo, hi := "", ""
		for _, name := range n.Attrs.Names() {
			v, isFloat := n.Attrs[name].(float32)
			switch {
			case name == "act_min" && isFloat:
				lo = " lo=" + formatFloat(v)
			case name == "act_max" && isFloat:
				hi = " hi=" + formatFloat(v)
			default:
				return nil, 0, nil, false
			}
		}
		if lo+hi != "" {
			texts = append(texts, "Clip"+lo+hi)
		}
		return texts, main, n.In[1-main], true
	}
	return nil, 0, nil, false
}

// fuses reports whether n could follow what makes v.
func (f *fuser) fuses(v *model.Value, n *model.Node) bool {
	return f.hosts[v] != nil && f.x.only(v) == n
}

// bound describes a bound of Clip, which must be a constant or absent.
func bound(v *model.Value, name string) (string, bool) {
	if v == nil {
		return "", true
	}
	b, ok := constScalar(v)
	return " " + name + "=" + formatFloat(b), ok
}

func formatFloat(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }
