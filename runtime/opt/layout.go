package opt

import (
	"errors"
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// spatial lists, per operator that must run on NHWC, the input that holds its weights (0: none).
var spatial = map[string]int{
	"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3,
	"com.microsoft.FusedConv": 1, "MaxPool": 0, "AveragePool": 0, "LpPool": 0,
	"GlobalAveragePool": 0, "GlobalMaxPool": 0, "GlobalLpPool": 0,
}

// layout makes spatial operators work on NHWC. Each value that a rewritten node makes is remembered in NHWC; the
// NCHW form that the rest of the graph knows follows from it by a Transpose, which dies where nobody needs it.
func layout(c *Context, g *model.Graph) error {
	l := &layouter{c: c, x: newIndex(g), nhwc: map[*model.Value]*model.Value{}, rank: map[*model.Value]int{}, turned: map[turnedKey]*tensor.Tensor{}}
	for _, n := range c.visit(g.Nodes) {
		if err := l.node(n); err != nil {
			return err
		}
	}
	g.Nodes = l.nodes
	return nil
}

type layouter struct {
	c     *Context
	x     *index
	nodes []*model.Node
	nhwc  map[*model.Value]*model.Value // by value in NCHW
	rank  map[*model.Value]int          // of the values in NHWC, whose shapes may be unknown
	// turned holds constants in NHWC, which many nodes may share.
	turned map[turnedKey]*tensor.Tensor
}

type turnedKey struct {
	v    *model.Value
	rank int
}

// constant returns a constant in NHWC, seen with the given shape.
func (l *layouter) constant(v *model.Value, shape tensor.Shape) (*tensor.Tensor, error) {
	key := turnedKey{v, len(shape)}
	if t := l.turned[key]; t != nil {
		return t, nil
	}
	t, err := l.c.transposed(header(v).View(shape), toLast(len(shape)))
	if err == nil {
		l.turned[key] = t
	}
	return t, err
}

// toLast and toFirst are the permutations between channels first and channels last.
func toLast(rank int) []int {
	p := []int{0}
	for i := 2; i < rank; i++ {
		p = append(p, i)
	}
	return append(p, 1)
}

func toFirst(rank int) []int {
	p := []int{0, rank - 1}
	for i := 1; i < rank-1; i++ {
		p = append(p, i)
	}
	return p
}

// permuted is s with its dimensions in another order; nil where it is not known, or where a file declares a shape of another rank for
// what no rule can tell before shapes of inputs are known.
func permuted(s model.Shape, perm []int) model.Shape {
	if len(s) != len(perm) {
		return nil
	}
	r := make(model.Shape, len(perm))
	for i, p := range perm {
		r[i] = s[p]
	}
	return r
}

func (l *layouter) transpose(from, to *model.Value, perm []int) {
	n := &model.Node{Name: l.c.name(from.Name, "transpose"), Op: "Transpose", In: []*model.Value{from}, Out: []*model.Value{to}, Attrs: attr.Attrs{}}
	n.Attrs.Set("perm", perm)
	l.nodes = append(l.nodes, n)
}

// last returns v in NHWC, transposing it where nothing better is known.
func (l *layouter) last(v *model.Value, rank int) *model.Value {
	if w := l.nhwc[v]; w != nil {
		return w
	}
	perm := toLast(rank)
	w := l.c.derive(v, "nhwc")
	w.Shape, w.Quant = permuted(v.Shape, perm), permuteQuant(v.Quant, perm)
	l.transpose(v, w, perm)
	l.nhwc[v], l.rank[w] = w, rank
	return w
}

// made replaces output i of n by a value in NHWC and defines the old one from it.
func (l *layouter) made(n *model.Node, i, rank int) func() {
	v := n.Out[i]
	perm := toLast(rank)
	w := l.c.derive(v, "nhwc")
	w.Shape, w.Quant = permuted(v.Shape, perm), permuteQuant(v.Quant, perm)
	n.Out[i] = w
	l.nhwc[v], l.rank[w] = w, rank
	return func() { l.transpose(w, v, toFirst(rank)) }
}

func (l *layouter) node(n *model.Node) error {
	if weights, ok := spatial[n.Op]; ok && n.Attrs.Str("layout", "NCHW") == "NCHW" && len(n.In) > weights && n.In[0] != nil {
		rank := len(n.In[0].Shape)
		if n.In[0].Shape == nil && weights > 0 && n.In[weights] != nil {
			rank = len(n.In[weights].Shape)
		}
		if rank < 3 {
			l.nodes = append(l.nodes, n)
			return nil // the operator will say what is wrong
		}
		n.In[0] = l.last(n.In[0], rank)
		if weights > 0 && n.In[weights] != nil {
			if err := l.weights(n, weights, rank); err != nil {
				return err
			}
		}
		if n.Op == "com.microsoft.FusedConv" && n.Input(3) != nil {
			n.In[3] = l.last(n.In[3], rank)
		}
		n.Attrs["layout"] = "NHWC"
		l.finish(n, rank, 0, 1) // output 1 is MaxPool's indices
		return nil
	}
	if l.agnostic(n) {
		return nil
	}
	l.nodes = append(l.nodes, n)
	return nil
}

// finish appends n with its output i in NHWC.
func (l *layouter) finish(n *model.Node, rank int, outs ...int) {
	var after []func()
	for _, i := range outs {
		if n.Output(i) != nil {
			after = append(after, l.made(n, i, rank))
		}
	}
	l.nodes = append(l.nodes, n)
	for _, f := range after {
		f()
	}
}

func (l *layouter) weights(n *model.Node, i, rank int) error {
	v := n.In[i]
	if t := isConst(v); t != nil {
		if len(t.Shape) != rank {
			return nil // the operator will say what is wrong
		}
		r, err := l.constant(v, t.Shape)
		if errors.Is(err, tensor.ErrTooLarge) {
			n.In[i] = l.last(v, rank) // transposed in each run
			return nil
		}
		if err != nil {
			return err
		}
		w := model.NewConst(v.Name, r)
		w.Quant = permuteQuant(v.Quant, toLast(rank))
		n.In[i] = w
		return nil
	}
	n.In[i] = l.last(v, rank)
	return nil
}

// agnostic rewrites an operator that works in either layout where its inputs are known in NHWC.
func (l *layouter) agnostic(n *model.Node) bool {
	if len(n.In) == 0 || n.In[0] == nil || len(n.Out) == 0 || n.Out[0] == nil {
		return false
	}
	tr := l.c.traits(n)
	switch {
	case tr&op.Pointwise != 0, n.Op == "Quantize", n.Op == "Dequantize":
		w := l.nhwc[n.In[0]]
		if w == nil || n.Out[0].Quant != nil && !n.Out[0].Quant.PerTensor() || n.In[0].Quant != nil && !n.In[0].Quant.PerTensor() {
			return false
		}
		for _, v := range n.Out[1:] {
			if v != nil {
				return false
			}
		}
		n.In[0] = w
		l.finish(n, l.rank[w], 0)
		return true
	case tr&op.Broadcasts != 0:
		return l.broadcast(n)
	}
	w := l.nhwc[n.In[0]]
	if w == nil {
		return false
	}
	rank := l.rank[w]
	// place is where dimension i of NCHW stands in NHWC.
	place := func(i int) int {
		if i < 0 {
			i += rank
		}
		return slices.Index(toLast(rank), i)
	}
	switch n.Op {
	case "Concat":
		for _, v := range n.In {
			if v == nil || l.nhwc[v] == nil && v.Const == nil || l.nhwc[v] != nil && l.rank[l.nhwc[v]] != rank {
				return false
			}
		}
		axis := n.Attrs.Int("axis", 0)
		if axis < -rank || axis >= rank {
			return false
		}
		for i, v := range n.In {
			if l.nhwc[v] == nil {
				t, err := l.constant(v, v.Shape)
				if err != nil {
					return false
				}
				n.In[i] = model.NewConst(l.c.name(v.Name, "nhwc"), t)
				n.In[i].Quant = t.Quant
			} else {
				n.In[i] = l.nhwc[v]
			}
		}
		n.Attrs.Set("axis", place(axis))
	case "Split", "Softmax", "LogSoftmax", "Hardmax":
		if n.Attrs.Bool("flatten", false) {
			return false
		}
		def := 0
		if n.Op != "Split" {
			def = -1
		}
		axis := n.Attrs.Int("axis", def)
		if axis < -rank || axis >= rank {
			return false
		}
		n.In[0] = w
		n.Attrs.Set("axis", place(axis))
		outs := make([]int, len(n.Out))
		for i := range outs {
			outs[i] = i
		}
		l.finish(n, rank, outs...)
		return true
	case "BatchNormalization":
		if len(n.Out) > 1 || n.Attrs.Int("axis", 1) != 1 {
			return false
		}
		n.Attrs.Set("axis", rank-1)
	case "Pad":
		pads := isConst(n.Input(1))
		if pads == nil || n.Input(3) != nil || pads.Len() != 2*rank {
			return false
		}
		old, err := pads.Ints()
		if err != nil {
			return false
		}
		p := make([]int64, 2*rank)
		for i, d := range toLast(rank) {
			p[i], p[i+rank] = old[d], old[d+rank]
		}
		n.In[1] = model.NewConst(l.c.name(n.In[1].Name, "nhwc"), tensor.From(p))
	case "Resize":
		if n.Attrs.Has("axes") || n.Input(1) != nil && n.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
			return false
		}
		for _, i := range []int{2, 3} {
			if v := n.Input(i); v != nil && (v.Const == nil || v.Const.Len() != rank && v.Const.Len() != 0) {
				// Sizes that are computed are permuted by a Gather.
				if len(v.Shape) != 1 || v.Shape[0] != rank {
					return false
				}
			}
		}
		for _, i := range []int{2, 3} {
			v := n.Input(i)
			if v == nil || v.Const != nil && v.Const.Len() == 0 {
				continue
			}
			if n.In[i] = l.permuteVector(v, toLast(rank)); n.In[i] == nil {
				return false
			}
		}
		if len(n.In) > 1 {
			n.In[1] = nil // the region of interest is used by tf_crop_and_resize alone
		}
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd", "ReduceSumSquare", "ReduceL1":
		t := isConst(n.Input(1))
		if t == nil || t.Len() == 0 {
			return false
		}
		axes, err := t.Ints()
		if err != nil {
			return false
		}
		moved := make([]int64, len(axes))
		reduced := map[int]bool{}
		for i, a := range axes {
			if a < int64(-rank) || a >= int64(rank) {
				return false
			}
			moved[i] = int64(place(int(a)))
			reduced[(int(a)+rank)%rank] = true
		}
		keep := n.Attrs.Bool("keepdims", true)
		if !keep {
			// What is left must stand in the same order in both layouts.
			spatialLeft := false
			for d := 2; d < rank; d++ {
				spatialLeft = spatialLeft || !reduced[d]
			}
			if !reduced[1] && spatialLeft {
				return false
			}
		}
		n.In[0] = w
		n.In[1] = model.NewConst(l.c.name(n.In[1].Name, "nhwc"), tensor.From(moved))
		if keep {
			l.finish(n, rank, 0)
		} else {
			l.nodes = append(l.nodes, n)
		}
		return true
	case "Slice":
		axes := isConst(n.Input(3))
		if axes == nil {
			return false
		}
		old, err := axes.Ints()
		if err != nil {
			return false
		}
		moved := make([]int64, len(old))
		for i, a := range old {
			if a < int64(-rank) || a >= int64(rank) {
				return false
			}
			moved[i] = int64(place(int(a)))
		}
		n.In[3] = model.NewConst(l.c.name(n.In[3].Name, "nhwc"), tensor.From(moved))
	case "Squeeze":
		// Extents of 1 beside the batch and the channels go away.
		axes := constAxes(n.Input(1), rank)
		left := rank - len(axes)
		if len(axes) == 0 || left < 2 || n.Out[0].Shape == nil || n.Out[0].Quant != nil && !n.Out[0].Quant.PerTensor() {
			return false
		}
		moved := make([]int64, len(axes))
		for i, a := range axes {
			if a < 2 {
				return false
			}
			moved[i] = int64(place(a))
		}
		n.In[0], n.In[1] = w, model.NewConst(l.c.name(n.In[1].Name, "nhwc"), tensor.From(moved))
		if left == 2 {
			l.nodes = append(l.nodes, n)
		} else {
			l.finish(n, left, 0)
		}
		return true
	case "Unsqueeze":
		// New extents of 1 behind those of the batch and the channels.
		t := isConst(n.Input(1))
		if t == nil || t.Len() == 0 || n.Out[0].Shape == nil || n.Out[0].Quant != nil && !n.Out[0].Quant.PerTensor() {
			return false
		}
		wide := rank + t.Len()
		axes := constAxes(n.Input(1), wide)
		moved := make([]int64, len(axes))
		for i, a := range axes {
			if a < 2 {
				return false
			}
			moved[i] = int64(slices.Index(toLast(wide), a))
		}
		if len(axes) == 0 || wide > tensor.MaxRank {
			return false
		}
		n.In[0], n.In[1] = w, model.NewConst(l.c.name(n.In[1].Name, "nhwc"), tensor.From(moved))
		l.finish(n, wide, 0)
		return true
	case "DepthToSpace", "SpaceToDepth":
		if rank != 4 || n.Attrs.Str("layout", "NCHW") != "NCHW" {
			return false
		}
		n.Attrs["layout"] = "NHWC"
	default:
		return false
	}
	if n.Op != "Concat" {
		n.In[0] = w
	}
	l.finish(n, rank, 0)
	return true
}

// permuteVector reorders the elements of a vector, constant or computed.
func (l *layouter) permuteVector(v *model.Value, perm []int) *model.Value {
	index := make([]int64, len(perm))
	for i, p := range perm {
		index[i] = int64(p)
	}
	w := l.c.derive(v, "nhwc")
	n := &model.Node{Name: l.c.name(v.Name, "gather"), Op: "Gather", Attrs: attr.Attrs{"axis": int64(0)},
		In:  []*model.Value{v, model.NewConst(l.c.name(v.Name, "perm"), tensor.From(index))},
		Out: []*model.Value{w}}
	if v.Const != nil {
		folded, err := l.c.foldNode(n)
		if err != nil || folded == nil {
			return nil
		}
		return folded[0]
	}
	l.nodes = append(l.nodes, n)
	return w
}

// broadcast rewrites an elementwise operator where one input is known in NHWC and the others are too, are constants, or
// have one element.
func (l *layouter) broadcast(n *model.Node) bool {
	rank := 0
	for _, v := range n.In {
		if v != nil && l.nhwc[v] != nil {
			rank = l.rank[l.nhwc[v]]
		}
	}
	if rank == 0 || len(n.Out) != 1 {
		return false
	}
	ins := make([]*model.Value, len(n.In))
	for i, v := range n.In {
		switch {
		case v == nil:
		case l.nhwc[v] != nil:
			if l.rank[l.nhwc[v]] != rank {
				return false
			}
			ins[i] = l.nhwc[v]
		case v.Shape != nil && len(v.Shape) == 0, v.Const != nil && len(v.Shape) <= rank && v.Const.Len() == 1:
			ins[i] = v
		case v.Const != nil && len(v.Shape) <= rank && (v.Quant == nil || v.Quant.PerTensor()):
			shape := make(tensor.Shape, rank)
			for d := range shape {
				shape[d] = 1
			}
			copy(shape[rank-len(v.Shape):], v.Shape)
			t, err := l.constant(v, shape)
			if err != nil {
				return false
			}
			ins[i] = model.NewConst(l.c.name(v.Name, "nhwc"), t)
			ins[i].Quant = t.Quant
		case len(v.Shape) == rank && v.Quant == nil && n.Op != "Where":
			// A computed operand: transposing it costs less than leaving NHWC, if it is small.
			ins[i] = l.last(v, rank)
		default:
			return false
		}
	}
	n.In = ins
	l.finish(n, rank, 0)
	return true
}
