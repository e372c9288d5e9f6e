package opt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// fold is foldAll without the weights that Dequantize makes, which integer operators take as they are.
func fold(c *Context, g *model.Graph) error { return foldBut(c, g, "Dequantize") }

// foldAll evaluates nodes whose inputs are constants, and replaces If by its branch where the condition is one.
func foldAll(c *Context, g *model.Graph) error { return foldBut(c, g, "") }

func foldBut(c *Context, g *model.Graph, keep string) error {
	changed := map[*model.Value]*model.Value{}
	var kept []*model.Node
	var visit func(nodes []*model.Node) error
	visit = func(nodes []*model.Node) error {
		for _, n := range c.visit(nodes) {
			for i, v := range n.In {
				if w, ok := changed[v]; ok {
					n.In[i] = w
				}
			}
			if n.Op == "If" && isConst(n.Input(0)) != nil {
				branch := n.Graphs["else_branch"]
				cond := n.In[0].Const
				if cond.DType != tensor.Bool || len(cond.Data) != 1 {
					return fmt.Errorf("%s (If): condition is %v, want one bool", n.Name, cond)
				}
				if cond.Data[0] != 0 {
					branch = n.Graphs["then_branch"]
				}
				replaceAll(branch, changed)
				if err := visit(branch.Nodes); err != nil {
					return err
				}
				for i, v := range n.Out {
					if v != nil {
						changed[v] = branch.Outputs[i]
						if w, ok := changed[branch.Outputs[i]]; ok {
							changed[v] = w
						}
					}
				}
				continue
			}
			var folded []*model.Value
			if len(n.Graphs) == 0 { // what was folded before it may tell its shape
				if err := c.inferNode(n); err != nil {
					return err
				}
			}
			if n.Op != keep {
				var err error
				if folded, err = c.foldNode(n); err != nil {
					return err
				}
			}
			if folded == nil {
				kept = append(kept, n)
				continue
			}
			for i, v := range n.Out {
				if v != nil {
					changed[v] = folded[i]
				}
			}
		}
		return nil
	}
	if err := visit(g.Nodes); err != nil {
		return err
	}
	g.Nodes = kept
	replaceAll(g, changed)
	return nil
}

// foldNode returns the constant outputs of n, nil where it has to stay.
func (c *Context) foldNode(n *model.Node) ([]*model.Value, error) {
	o, ok := c.Ops(n.Op)
	if !ok || len(n.Graphs) > 0 || o.Traits&op.Impure != 0 || !legal(n, o.Traits) {
		return nil, nil
	}
	call := &op.Call{Name: n.Name, Op: n.Op, Attrs: n.Attrs, Num: n.Num, New: c.New}
	for _, v := range n.In {
		if v != nil && v.Const == nil && !(o.Traits&op.ShapeOnly != 0 && v.Shape.Known()) {
			return nil, nil
		}
		call.In = append(call.In, header(v))
	}
	for _, v := range n.Out {
		if v == nil {
			call.Out = append(call.Out, nil)
			continue
		}
		if v.DType == tensor.Sequence {
			return nil, nil
		}
		t := &tensor.Tensor{Quant: v.Quant}
		if v.Quant != nil {
			t.DType = v.DType
		}
		call.Out = append(call.Out, t)
	}
	if err := op.Eval(o, call, max(1, min(c.MaxConst, c.room.left()))); err != nil {
		if errors.Is(err, tensor.ErrTooLarge) {
			return nil, nil // perhaps never needed; the planner decides
		}
		return nil, err
	}
	for _, t := range slices.Concat(call.In, call.Out) {
		if t != nil {
			mem.Drop(t.Data)
		}
	}
	out := make([]*model.Value, len(n.Out))
	for i, v := range n.Out {
		if v != nil {
			if !c.room.made(call.Out[i]) {
				return nil, nil
			}
			out[i] = model.NewConst(v.Name, call.Out[i])
		}
	}
	return out, nil
}

// simplify drops nodes that do nothing and joins chains.
func simplify(c *Context, g *model.Graph) error {
	x := newIndex(g)
	changed := map[*model.Value]*model.Value{}
	read := func(v *model.Value) *model.Value {
		for w, ok := changed[v]; ok; w, ok = changed[v] {
			v = w
		}
		return v
	}
	for _, n := range c.visit(g.Nodes) {
		for i, v := range n.In {
			n.In[i] = read(v)
		}
		if len(n.In) == 0 || n.In[0] == nil || len(n.Out) == 0 || n.Out[0] == nil {
			continue
		}
		in, out := n.In[0], n.Out[0]
		same := in.Quant.Equal(out.Quant) && in.DType == out.DType
		alone := true
		for _, v := range n.Out[1:] {
			alone = alone && v == nil
		}
		switch n.Op {
		case "Identity":
			if same && in.DType != tensor.Sequence {
				changed[out] = in
			}
		case "Dropout":
			if alone && same && (len(n.In) < 3 || isConst(n.In[2]) != nil && len(n.In[2].Const.Data) == 1 && n.In[2].Const.Data[0] == 0) {
				changed[out] = in
			}
		case "Cast", "CastLike":
			if same && in.DType != tensor.Invalid {
				changed[out] = in
			}
		case "Quantize":
			if same && in.Quant != nil {
				changed[out] = in
			}
		case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
			if same && in.Shape.Known() && in.Shape.Equal(out.Shape) {
				changed[out] = in
			} else if p := x.made(in, "Reshape", "Flatten", "Squeeze", "Unsqueeze"); p != nil && out.Shape.Known() && p.In[0].Quant.Equal(in.Quant) {
				if same && p.In[0].DType == out.DType && p.In[0].Shape.Known() && p.In[0].Shape.Equal(out.Shape) {
					changed[out] = p.In[0]
					break
				}
				shape := make([]int64, len(out.Shape))
				for i, d := range out.Shape {
					shape[i] = int64(d)
				}
				n.Op, n.Attrs = "Reshape", attr.Attrs{"allowzero": int64(1)}
				n.In = []*model.Value{p.In[0], model.NewConst(c.name(n.Name, "shape"), tensor.From(shape))}
			}
		case "Slice":
			if same && wholeSlice(n) {
				changed[out] = in
			}
		case "Expand":
			if same && in.Shape.Known() && in.Shape.Equal(out.Shape) {
				changed[out] = in
			}
		case "Concat":
			if same && len(n.In) == 1 {
				changed[out] = in
			}
		case "Transpose":
			perm := n.Attrs.Ints("perm")
			if perm == nil && in.Shape != nil {
				for i := range in.Shape {
					perm = append(perm, len(in.Shape)-1-i)
				}
				n.Attrs.Set("perm", perm)
			}
			// A Transpose to other parameters rounds, so it neither joins another nor goes away.
			rounds := func(from, to *model.Value) bool {
				return from.Quant != nil && from.Quant.PerTensor() && !from.Quant.Equal(to.Quant)
			}
			if p := x.made(in, "Transpose"); p != nil && perm != nil && p.Attrs.Has("perm") && !rounds(p.In[0], in) && in.DType == p.In[0].DType {
				first := p.Attrs.Ints("perm")
				if len(first) == len(perm) {
					joined := make([]int, len(perm))
					for i, d := range perm {
						joined[i] = first[d]
					}
					n.In[0], perm = p.In[0], joined
					n.Attrs.Set("perm", perm)
				}
			}
			if perm != nil && slices.IsSorted(perm) && !rounds(n.In[0], out) && n.In[0].DType == out.DType {
				changed[out] = n.In[0]
			}
		}
	}
	replaceAll(g, changed)
	return nil
}

// wholeSlice reports whether a Slice takes all that there is.
func wholeSlice(n *model.Node) bool {
	shape := n.In[0].Shape
	var list [5][]int64 // starts, ends, axes, steps
	for i := 1; i < 5; i++ {
		if n.Input(i) == nil {
			continue
		}
		t := isConst(n.In[i])
		if t == nil {
			return false
		}
		v, err := t.Ints()
		if err != nil {
			return false
		}
		list[i] = v
	}
	starts, ends, axes, steps := list[1], list[2], list[3], list[4]
	if shape == nil || len(ends) != len(starts) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return false
	}
	for i, from := range starts {
		axis := i
		if axes != nil {
			if axis = int(axes[i]); axis < 0 {
				axis += len(shape)
			}
		}
		if axis < 0 || axis >= len(shape) || from != 0 || steps != nil && steps[i] != 1 {
			return false
		}
		if ends[i] < math.MaxInt32 && (shape[axis] < 0 || ends[i] < int64(shape[axis])) {
			return false
		}
	}
	return true
}

// share replaces nodes that repeat an earlier one.
func share(c *Context, g *model.Graph) error {
	seen := map[string]*model.Node{}
	ids := map[*model.Value]int{}
	id := func(v *model.Value) int {
		if v == nil {
			return 0
		}
		if _, ok := ids[v]; !ok {
			ids[v] = len(ids) + 1
		}
		return ids[v]
	}
	changed := map[*model.Value]*model.Value{}
	var kept []*model.Node
	for _, n := range c.visit(g.Nodes) {
		for i, v := range n.In {
			if w, ok := changed[v]; ok {
				n.In[i] = w
			}
		}
		key, ok := c.key(n, id)
		if ok {
			if m := seen[key]; m != nil {
				for i, v := range n.Out {
					if v != nil {
						changed[v] = m.Out[i]
					}
				}
				continue
			}
			seen[key] = n
		}
		kept = append(kept, n)
	}
	g.Nodes = kept
	replaceAll(g, changed)
	return nil
}

// key identifies what a node computes; false where it must not be shared.
func (c *Context) key(n *model.Node, id func(*model.Value) int) (string, bool) {
	if len(n.Graphs) > 0 || c.traits(n)&op.Impure != 0 {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", n.Op, n.Num)
	for _, v := range n.In {
		fmt.Fprintf(&b, " %d", id(v))
	}
	for _, v := range n.Out {
		if v == nil {
			fmt.Fprint(&b, " -")
		} else if v.Quant != nil {
			fmt.Fprintf(&b, " %v%v", v.DType, *v.Quant)
		} else {
			fmt.Fprintf(&b, " %v", v.DType)
		}
	}
	for _, name := range n.Attrs.Names() {
		if _, ok := n.Attrs[name].(*tensor.Tensor); ok {
			return "", false
		}
		fmt.Fprintf(&b, " %s=%#v", name, n.Attrs[name])
	}
	return b.String(), true
}
