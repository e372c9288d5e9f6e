package plan

import (
	"fmt"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// Options say how to build a plan.
type Options struct {
	// Ops finds an operator.
	Ops func(name string) (op.Op, bool)
	// Shapes holds the shape of each graph input, all extents known.
	Shapes []tensor.Shape
	// MaxMemory bounds the bytes of the arena, and of constants made while planning; 0 means no bound.
	MaxMemory int
	// KeepInputs makes no step write over its inputs, so that observers see them after it ran.
	KeepInputs bool
	// Skip names passes of this package to leave out: PartsPass, StagesPass.
	Skip []string
}

// Build lowers g. A panic becomes an error that names the node, since models come from outside.
func Build(g *model.Graph, o Options) (_ *Plan, err error) {
	b := &builder{opts: o, plan: &Plan{Keep: g.Keep}, slots: map[*model.Value]int{}, limit: 1 << 14}
	defer func() {
		if r := recover(); r != nil {
			err = op.Recovered(r)
			if b.at != nil {
				err = fmt.Errorf("%s (%s): %w", b.at.Name, b.at.Op, err)
			}
			err = fmt.Errorf("planning: %w", err)
		}
	}()
	g.Walk(func(*model.Graph, *model.Node) { b.limit += 64 })
	if len(o.Shapes) != len(g.Inputs) {
		return nil, fmt.Errorf("%d shapes given for %d inputs", len(o.Shapes), len(g.Inputs))
	}
	for i, v := range g.Inputs {
		s := Slot{Name: v.Name, DType: v.DType, Quant: v.Quant, Kind: Bound, Shape: o.Shapes[i].Clone()}
		if v.DType == tensor.Invalid {
			return nil, fmt.Errorf("input %s: its type is unknown", v.Name)
		}
		if v.DType == tensor.Sequence {
			s.Shape = nil
		} else if _, err := s.Shape.Size(); err != nil {
			return nil, fmt.Errorf("input %s: %w", v.Name, err)
		}
		b.plan.Inputs = append(b.plan.Inputs, b.add(v, s))
	}
	steps, err := b.steps(g)
	if err != nil {
		return nil, err
	}
	b.plan.Steps = steps
	for _, v := range g.Outputs {
		i, err := b.use(v)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", v.Name, err)
		}
		b.plan.Outputs = append(b.plan.Outputs, i)
	}
	b.prune()
	if !o.KeepInputs && !slices.Contains(o.Skip, StagesPass) {
		b.plan.joinStages()
	}
	apart := o.KeepInputs || slices.Contains(o.Skip, PartsPass)
	if err := b.plan.layout(!apart, !o.KeepInputs); err != nil {
		return nil, err
	}
	if o.MaxMemory > 0 && b.plan.ArenaSize > o.MaxMemory {
		if !apart { // a whole takes room from its first part on
			o.Skip = append(slices.Clone(o.Skip), PartsPass)
			return Build(g, o)
		}
		return nil, fmt.Errorf("arena of %d bytes passes the limit of %d: %w", b.plan.ArenaSize, o.MaxMemory, tensor.ErrTooLarge)
	}
	b.plan.ID = b.plan.id()
	return b.plan, nil
}

type builder struct {
	opts  Options
	plan  *Plan
	slots map[*model.Value]int
	made  int // bytes of constants made while planning
	// lowered counts nodes, again for each round in which a loop's shapes settle. Each level of loops within loops may
	// multiply them, so there is a limit, in proportion to the graph.
	lowered, limit int
	at             *model.Node // the node that is lowered, for errors
}

func (b *builder) add(v *model.Value, s Slot) int {
	b.plan.Slots = append(b.plan.Slots, s)
	i := len(b.plan.Slots) - 1
	if v != nil {
		b.slots[v] = i
	}
	return i
}

// use finds the slot of a value that a node reads; -1 for an absent one.
func (b *builder) use(v *model.Value) (int, error) {
	if v == nil {
		return -1, nil
	}
	if i, ok := b.slots[v]; ok {
		return i, nil
	}
	if v.Const != nil {
		return b.add(v, constSlot(v.Name, v.Const, v.Quant)), nil
	}
	return 0, fmt.Errorf("value %s is used before it is defined", v.Name)
}

func constSlot(name string, t *tensor.Tensor, q *tensor.QParams) Slot {
	if t.Quant != q {
		c := *t
		c.Quant = q
		t = &c
	}
	return Slot{Name: name, DType: t.DType, Shape: t.Shape, Quant: q, Kind: Const, Const: t}
}

// header is what a shape rule sees of a slot: data only where they are constant.
func (p *Plan) header(i int) *tensor.Tensor {
	if i < 0 {
		return nil
	}
	s := &p.Slots[i]
	if s.Kind == Const {
		return s.Const
	}
	return &tensor.Tensor{DType: s.DType, Shape: s.Shape, Quant: s.Quant, Pitch: s.Pitch}
}

func (b *builder) steps(g *model.Graph) ([]Step, error) {
	var steps []Step
	outer := b.at
	for _, n := range g.Nodes {
		b.at = n
		s, err := b.node(n, &steps)
		if err != nil {
			return nil, err
		}
		if s != nil {
			steps = append(steps, *s)
		}
	}
	b.at = outer
	return steps, nil
}

// node lowers n. It returns no step where the outputs are known, and appends the steps of an inlined branch itself.
func (b *builder) node(n *model.Node, steps *[]Step) (*Step, error) {
	if b.lowered++; b.lowered > b.limit {
		return nil, fmt.Errorf("%s (%s): the shapes of the loops around do not settle in %d steps: %w", n.Name, n.Op, b.limit, tensor.ErrTooLarge)
	}
	s := &Step{Name: n.Name, Op: n.Op, Attrs: n.Attrs, Num: n.Num}
	for _, v := range n.In {
		i, err := b.use(v)
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", n.Name, n.Op, err)
		}
		s.In = append(s.In, i)
	}
	switch n.Op {
	case "If":
		return b.ifNode(n, s, steps)
	case "Loop":
		return b.loopNode(n, s)
	case "Scan":
		return b.scanNode(n, s)
	}
	o, ok := b.opts.Ops(n.Op)
	if !ok {
		return nil, fmt.Errorf("%s (%s): %w", n.Name, n.Op, ErrUnsupported)
	}
	s.Kernel = o
	c := &op.Call{Name: n.Name, Op: n.Op, Attrs: n.Attrs, Num: n.Num}
	known := true
	for _, i := range s.In {
		c.In = append(c.In, b.plan.header(i))
		if i >= 0 {
			in := &b.plan.Slots[i]
			known = known && (in.Kind == Const || o.Traits&op.ShapeOnly != 0 && in.Shape.Known() && in.DType != tensor.Sequence)
		}
	}
	c.Out = outHeaders(n)
	if err := op.InferOf(o, c); err != nil {
		return nil, err
	}
	if known && o.Traits&op.Impure == 0 {
		if ok, err := b.fold(n, o, c); ok || err != nil {
			return nil, err
		}
	}
	s.Static = true
	for _, i := range s.In {
		s.Static = s.Static && (i < 0 || fixed(&b.plan.Slots[i]))
	}
	for i, v := range n.Out {
		if v == nil {
			s.Out = append(s.Out, -1)
			continue
		}
		t := c.Out[i]
		if t.DType == tensor.Invalid {
			return nil, c.Errorf("BUG: shape rule leaves the type of output %d open", i)
		}
		slot := Slot{Name: v.Name, DType: t.DType, Shape: t.Shape, Quant: v.Quant}
		if err := slot.kind(); err != nil {
			return nil, c.Errorf("output %d: %w", i, err)
		}
		s.Out = append(s.Out, b.add(v, slot))
		s.Static = s.Static && fixed(&slot)
	}
	s.View = isView(n, c, o)
	if s.View {
		out := &b.plan.Slots[s.Out[0]]
		if out.Kind == Arena {
			out.Kind, out.Of = Alias, s.In[0]
		}
		s.View = out.Kind == Alias
	}
	if s.Static {
		s.MACs = macs(c)
	}
	return s, nil
}

// isView reports whether the node only gives its input another shape.
func isView(n *model.Node, c *op.Call, o op.Op) bool {
	if len(n.Out) == 0 || n.Out[0] == nil || len(n.In) == 0 || n.In[0] == nil || c.In[0].DType != c.Out[0].DType ||
		!c.In[0].Shape.Known() || !c.Out[0].Shape.Known() {
		return false
	}
	for _, v := range n.Out[1:] {
		if v != nil {
			return false
		}
	}
	if o.Traits&op.View != 0 {
		return true
	}
	perm := c.Attrs.Ints("perm")
	return n.Op == "Transpose" && perm != nil && c.In[0].Shape.KeepsOrder(perm)
}

// kind chooses where the slot's data live.
func (s *Slot) kind() error {
	if s.DType == tensor.String || s.DType == tensor.Sequence || !s.Shape.Known() {
		s.Kind = Heap
		return nil
	}
	n, err := s.Shape.Size()
	if err != nil {
		return err
	}
	s.Kind, s.Size = Arena, tensor.ByteSize(s.DType, n)
	return nil
}

// fixed reports whether the slot has the same shape, and its data a fixed place, in every run.
func fixed(s *Slot) bool {
	return s.Kind != Heap && s.Shape.Known() && s.DType != tensor.String && s.DType != tensor.Sequence
}

// outHeaders makes the headers that a shape rule fills.
func outHeaders(n *model.Node) []*tensor.Tensor {
	outs := make([]*tensor.Tensor, len(n.Out))
	for i, v := range n.Out {
		if v != nil {
			outs[i] = &tensor.Tensor{Quant: v.Quant, DType: v.DType}
		}
	}
	return outs
}

// fold computes outputs that no input data can change. It declines where they would be too large to keep.
func (b *builder) fold(n *model.Node, o op.Op, c *op.Call) (bool, error) {
	limit := 1 << 30
	if b.opts.MaxMemory > 0 {
		limit = max(1, b.opts.MaxMemory-b.made)
	}
	for _, t := range c.Out {
		if t == nil || t.DType == tensor.Sequence || !t.Shape.Known() {
			continue
		}
		if size, err := t.Shape.Size(); err != nil || tensor.ByteSize(t.DType, size) > limit {
			return false, nil
		}
	}
	c.Out = outHeaders(n)
	if err := op.Eval(o, c, limit); err != nil {
		return false, err
	}
	for i, v := range n.Out {
		if v != nil {
			b.made += c.Out[i].MemorySize()
			b.add(v, constSlot(v.Name, c.Out[i], v.Quant))
		}
	}
	return true, nil
}

// prune drops the steps whose outputs nobody reads.
func (b *builder) prune() {
	p := b.plan
	live := make([]bool, len(p.Slots))
	mark := func(i int) {
		for i >= 0 && !live[i] {
			live[i] = true
			if p.Slots[i].Kind != Alias {
				return
			}
			i = p.Slots[i].Of
		}
	}
	for _, i := range p.Outputs {
		mark(i)
	}
	var sweep func(steps []Step) []Step
	sweep = func(steps []Step) []Step {
		kept := make([]Step, 0, len(steps))
		for _, s := range slices.Backward(steps) {
			if !slices.ContainsFunc(s.Out, func(i int) bool { return i >= 0 && live[i] }) {
				continue
			}
			for i, out := range s.Out {
				if out >= 0 && !live[out] && s.Flow == None {
					s.Out[i] = -1
				}
			}
			for _, i := range s.In {
				mark(i)
			}
			for _, body := range s.Bodies {
				for _, i := range body.Outputs {
					mark(i)
				}
				body.Steps = sweep(body.Steps)
			}
			kept = append(kept, s)
		}
		slices.Reverse(kept)
		return kept
	}
	p.Steps = sweep(p.Steps)
	for i := range p.Slots {
		if !live[i] && p.Slots[i].Kind == Const {
			p.Slots[i].Const = nil
		}
	}
}
