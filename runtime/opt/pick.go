package opt

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// pickRows makes MatMul(Cast(Equal(x, [first, first+1, ...])), table) a PickRow, whose table has one more row for all other x, and lets elementwise
// operators behind it change the table once instead of its rows in each run. Chosen rows are the products to the last bit: the other factors are 0,
// and adding these to 0 changes nothing where the table is finite.
func pickRows(c *Context, g *model.Graph) error {
	x := newIndex(g)
	dead := map[*model.Node]bool{}
	for _, n := range c.visit(g.Nodes) {
		if dead[n] {
			continue
		}
		if n.Op == "MatMul" {
			c.pickRow(x, n)
		}
		for n.Op == "PickRow" {
			next := x.only(n.Out[0])
			if next == nil || !c.intoTable(n, next) {
				break
			}
			n.Out[0] = next.Out[0]
			dead[next] = true
		}
	}
	remove(g, dead)
	return nil
}

// pickRow makes a product with one-hot rows a PickRow.
func (c *Context) pickRow(x *index, n *model.Node) {
	if len(n.In) != 2 || len(n.Out) != 1 || n.Num != num.Default && n.Num != num.FP32 || len(n.Attrs.Strs("chain")) > 0 || clamped(n) {
		return
	}
	cast := x.made(n.In[0], "Cast")
	if cast == nil || !plainFloat(n.In[0]) || !plainFloat(n.Out[0]) {
		return
	}
	equal := x.made(cast.In[0], "Equal")
	w, ok := constFloats(n.In[1])
	if equal == nil || !ok || len(n.In[1].Shape) != 2 {
		return
	}
	rows, cols := n.In[1].Shape[0], n.In[1].Shape[1]
	for _, o := range operands(equal) {
		first, isRange := consecutive(o[1], rows)
		s := o[0].Shape
		if !isRange || !s.Known() || len(s) == 0 || s[len(s)-1] != 1 || o[0].Quant != nil || o[0].DType == tensor.U64 || len(n.Out[0].Shape) != len(s) || !c.room.take(4*(rows+1)*cols) {
			continue
		}
		table := tensor.New(tensor.F32, tensor.Shape{rows + 1, cols})
		t := tensor.Of[float32](table)
		for i, v := range w {
			if v-v != 0 {
				return // infinities times 0 are no numbers
			}
			t[i] = v + 0 // a sum that begins with 0 is never -0
		}
		n.Op, n.Attrs = "PickRow", attr.Attrs{"first": first}
		n.In = []*model.Value{o[0], model.NewConst(c.name(n.In[1].Name, "rows"), table)}
		return
	}
}

// consecutive reads a constant of n integers along its last axis that follow each other.
func consecutive(v *model.Value, n int) (first int64, ok bool) {
	t := isConst(v)
	if t == nil || !t.DType.IsInt() || t.Quant != nil || t.Len() != n || n == 0 || len(t.Shape) == 0 || t.Shape[len(t.Shape)-1] != n {
		return 0, false
	}
	list, err := t.Ints()
	if err != nil || list[0] > math.MaxInt64-int64(n) {
		return 0, false
	}
	for i, v := range list {
		if v != list[0]+int64(i) {
			return 0, false
		}
	}
	return list[0], true
}

// intoTable applies node next, elementwise on what n picks, to n's table.
func (c *Context) intoTable(n, next *model.Node) bool {
	if len(next.Out) != 1 || !plainFloat(next.Out[0]) || next.Num != num.Default || !next.Out[0].Shape.Equal(n.Out[0].Shape) {
		return false
	}
	table := n.In[1]
	cols := table.Shape[1]
	clone := *next
	clone.In = make([]*model.Value, len(next.In))
	unary, binary, _ := elem.ChainStep(next.Op)
	if !unary && !binary && next.Op != "Clip" {
		return false
	}
	for i, v := range next.In {
		switch {
		case v == nil:
		case v == n.Out[0]:
			clone.In[i] = table
		default: // a constant of one element, or a row
			t := isConst(v)
			if t == nil || t.Quant != nil || len(v.Shape) > len(n.Out[0].Shape) || t.Len() != 1 && (t.Len() != cols || v.Shape[len(v.Shape)-1] != cols) {
				return false
			}
			shape := tensor.Shape{}
			if t.Len() != 1 {
				shape = tensor.Shape{cols}
			}
			clone.In[i] = model.NewConst(v.Name, t.View(shape))
		}
	}
	out := c.derive(table, "table")
	clone.Out = []*model.Value{out}
	folded, err := c.foldNode(&clone)
	if err != nil || folded == nil || folded[0] == nil || !folded[0].Const.Shape.Equal(tensor.Shape(table.Shape)) {
		return false
	}
	n.In[1] = folded[0]
	return true
}

// sinkViews moves Reshape and its like down behind elementwise operators with at most a constant operand.
func sinkViews(c *Context, g *model.Graph) error {
	x := newIndex(g)
	for i, n := range c.visit(g.Nodes) {
		if len(n.Out) != 1 || n.Out[0] == nil || n.Num != num.Default {
			continue
		}
		main, ok := viewed(x, n)
		if !ok {
			continue
		}
		view := x.producer[n.In[main]]
		in, through, out := view.In[0], n.In[main], n.Out[0]
		// What the operator makes has the shape from before the view now, and the view comes last.
		inner := c.derive(out, "flat")
		inner.Shape = in.Shape.Clone()
		n.In[main], n.Out[0] = in, inner
		view.In[0], view.Out[0] = inner, out
		for j, v := range n.In {
			if t := isConst(v); j != main && t != nil && t.Len() > 1 {
				n.In[j] = model.NewConst(c.name(v.Name, "row"), t.View(tensor.Shape{t.Len()}))
			}
		}
		for j, m := range g.Nodes[:i] {
			if m == view {
				g.Nodes[j], g.Nodes[i] = n, view
			}
		}
		x.producer[inner], x.producer[out] = n, view
		x.readers[in] = replaced(x.readers[in], view, n)
		x.readers[inner], x.readers[through] = []*model.Node{view}, nil
	}
	return nil
}

// replaced is a list of nodes with one in place of another.
func replaced(list []*model.Node, old, by *model.Node) []*model.Node {
	r := make([]*model.Node, len(list))
	for i, n := range list {
		if r[i] = n; n == old {
			r[i] = by
		}
	}
	return r
}

// viewed reports whether n is an elementwise operator whose input main is a view that nobody else reads, and whose operand, if it has one, means the same
// before that view.
func viewed(x *index, n *model.Node) (main int, ok bool) {
	unary, binary, _ := elem.ChainStep(n.Op)
	if !unary && !binary && n.Op != "Clip" {
		return 0, false
	}
	for main, v := range n.In {
		view := x.made(v, "Reshape", "Squeeze", "Unsqueeze", "Flatten")
		if view == nil || x.only(v) != n || !plainFloat(v) || !plainFloat(n.Out[0]) || !plainFloat(view.In[0]) || len(view.Out) != 1 {
			continue
		}
		in := view.In[0].Shape
		if !in.Known() || len(in) == 0 || !v.Shape.Equal(n.Out[0].Shape) {
			continue
		}
		fits := true
		for i, w := range n.In {
			t := isConst(w)
			switch {
			case i == main || w == nil:
			case t == nil || t.Quant != nil || len(w.Shape) > len(in):
				fits = false
			case t.Len() == 1:
			default: // a row along the last dimension, the same in both shapes
				last := w.Shape[len(w.Shape)-1]
				fits = fits && t.Len() == last && in[len(in)-1] == last && v.Shape[len(v.Shape)-1] == last
			}
		}
		if fits {
			return main, true
		}
	}
	return 0, false
}
