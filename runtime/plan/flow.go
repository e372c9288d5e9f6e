package plan

import (
	"errors"
	"fmt"
	"maps"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// ErrUnsupported is wrapped by errors about operators that the runtime does not have.
var ErrUnsupported = errors.New("unsupported operator")

func (b *builder) ifNode(n *model.Node, s *Step, steps *[]Step) (*Step, error) {
	then, els := n.Graphs["then_branch"], n.Graphs["else_branch"]
	if then == nil || els == nil || len(s.In) != 1 || s.In[0] < 0 || len(then.Outputs) != len(n.Out) || len(els.Outputs) != len(n.Out) {
		return nil, fmt.Errorf("%s (If): needs one condition and two branches with %d outputs", n.Name, len(n.Out))
	}
	if c := b.plan.Slots[s.In[0]]; c.Kind == Const {
		if c.DType != tensor.Bool || len(c.Const.Data) != 1 {
			return nil, fmt.Errorf("%s (If): condition is %v, want one bool", n.Name, c.Const)
		}
		branch := els
		if c.Const.Data[0] != 0 {
			branch = then
		}
		inner, err := b.steps(branch)
		if err != nil {
			return nil, fmt.Errorf("%s (If): %w", n.Name, err)
		}
		*steps = append(*steps, inner...)
		for i, v := range n.Out {
			slot, err := b.use(branch.Outputs[i])
			if err != nil {
				return nil, fmt.Errorf("%s (If): %w", n.Name, err)
			}
			if v != nil {
				b.slots[v] = slot
			}
		}
		return nil, nil
	}
	s.Flow = If
	for _, g := range []*model.Graph{then, els} {
		body, err := b.body(g, nil)
		if err != nil {
			return nil, fmt.Errorf("%s (If): %w", n.Name, err)
		}
		s.Bodies = append(s.Bodies, body)
	}
	for i, v := range n.Out {
		x, y := &b.plan.Slots[s.Bodies[0].Outputs[i]], &b.plan.Slots[s.Bodies[1].Outputs[i]]
		if x.DType != y.DType {
			return nil, fmt.Errorf("%s (If): output %d is %v in one branch and %v in the other", n.Name, i, x.DType, y.DType)
		}
		slot := Slot{DType: x.DType, Quant: x.Quant}
		if x.Shape.Known() && x.Shape.Equal(y.Shape) {
			slot.Shape = x.Shape
		}
		if err := b.flowOut(s, v, slot); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// flowOut adds one output of a control-flow node.
func (b *builder) flowOut(s *Step, v *model.Value, slot Slot) error {
	if v == nil {
		s.Out = append(s.Out, -1)
		return nil
	}
	slot.Name = v.Name
	if err := slot.kind(); err != nil {
		return fmt.Errorf("%s (%s): output %s: %w", s.Name, s.Op, v.Name, err)
	}
	s.Out = append(s.Out, b.add(v, slot))
	return nil
}

// body lowers a subgraph whose inputs get the given slots.
func (b *builder) body(g *model.Graph, inputs []Slot) (*Body, error) {
	body := &Body{}
	for i, v := range g.Inputs {
		if i >= len(inputs) {
			return nil, fmt.Errorf("subgraph %s has %d inputs, %d are given", g.Name, len(g.Inputs), len(inputs))
		}
		s := inputs[i]
		s.Name, s.Kind = v.Name, Bound
		body.Inputs = append(body.Inputs, b.add(v, s))
	}
	steps, err := b.steps(g)
	if err != nil {
		return nil, err
	}
	body.Steps = steps
	for _, v := range g.Outputs {
		i, err := b.use(v)
		if err != nil {
			return nil, fmt.Errorf("subgraph %s: output %s: %w", g.Name, v.Name, err)
		}
		body.Outputs = append(body.Outputs, i)
	}
	return body, nil
}

// loopBody lowers a subgraph whose outputs out[i] feed its inputs in[i] in the next iteration, until the shapes of
// these are the same in every iteration; extents that change are left open.
func (b *builder) loopBody(g *model.Graph, inputs []Slot, in, out []int) (*Body, error) {
	for {
		slots, known, made := len(b.plan.Slots), maps.Clone(b.slots), b.made
		body, err := b.body(g, inputs)
		if err != nil {
			return nil, err
		}
		settled := true
		for i := range in {
			if in[i] >= len(body.Inputs) || out[i] >= len(body.Outputs) {
				return nil, fmt.Errorf("subgraph %s has %d inputs and %d outputs, too few for what it carries on", g.Name, len(body.Inputs), len(body.Outputs))
			}
			x, y := &inputs[in[i]], &b.plan.Slots[body.Outputs[out[i]]]
			if x.DType != y.DType {
				return nil, fmt.Errorf("subgraph %s: input %d is %v, but %v comes back", g.Name, in[i], x.DType, y.DType)
			}
			if joined := join(x.Shape, y.Shape); x.Shape != nil && (joined == nil || !joined.Equal(x.Shape)) {
				x.Shape, settled = joined, false
			}
		}
		if settled {
			return body, nil
		}
		b.plan.Slots, b.slots, b.made = b.plan.Slots[:slots], known, made
	}
}

// join keeps what two shapes have in common.
func join(a, b tensor.Shape) tensor.Shape {
	if a == nil || b == nil || len(a) != len(b) {
		return nil
	}
	r := a.Clone()
	for i := range r {
		if b[i] != r[i] {
			r[i] = -1
		}
	}
	return r
}

func (b *builder) loopNode(n *model.Node, s *Step) (*Step, error) {
	g := n.Graphs["body"]
	carried := len(s.In) - 2
	if g == nil || carried < 0 || len(g.Inputs) != carried+2 || len(g.Outputs) < carried+1 || len(n.Out) > len(g.Outputs)-1 {
		return nil, fmt.Errorf("%s (Loop): body does not fit %d inputs and %d outputs", n.Name, len(n.In), len(n.Out))
	}
	s.Flow = Loop
	inputs := []Slot{{DType: tensor.I64, Shape: tensor.Shape{}}, {DType: tensor.Bool, Shape: tensor.Shape{}}}
	if len(g.Inputs[1].Shape) == 1 {
		inputs[1].Shape = tensor.Shape{1}
	}
	if len(g.Inputs[0].Shape) == 1 {
		inputs[0].Shape = tensor.Shape{1}
	}
	var in, out []int
	for i, slot := range s.In[2:] {
		if slot < 0 {
			return nil, fmt.Errorf("%s (Loop): input %d is missing", n.Name, i+2)
		}
		x := &b.plan.Slots[slot]
		inputs = append(inputs, Slot{DType: x.DType, Shape: x.Shape.Clone(), Quant: x.Quant})
		in, out = append(in, i+2), append(out, i+1)
	}
	body, err := b.loopBody(g, inputs, in, out)
	if err != nil {
		return nil, fmt.Errorf("%s (Loop): %w", n.Name, err)
	}
	if c := &b.plan.Slots[body.Outputs[0]]; c.DType != tensor.Bool {
		return nil, fmt.Errorf("%s (Loop): the body's condition is %v%v, want one bool", n.Name, c.DType, c.Shape)
	}
	s.Bodies = []*Body{body}
	for i, v := range n.Out {
		x := b.plan.Slots[body.Outputs[i+1]]
		slot := Slot{DType: x.DType, Quant: x.Quant}
		if i < carried {
			slot.Shape = join(inputs[i+2].Shape, inputs[i+2].Shape)
		} else if x.Shape != nil {
			slot.Shape = append(tensor.Shape{-1}, x.Shape...)
		}
		if err := b.flowOut(s, v, slot); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (b *builder) scanNode(n *model.Node, s *Step) (*Step, error) {
	g := n.Graphs["body"]
	scanned := n.Attrs.Int("num_scan_inputs", 0)
	states := len(s.In) - scanned
	if g == nil || scanned < 1 || states < 0 || len(g.Inputs) != len(s.In) || len(g.Outputs) < states || len(n.Out) > len(g.Outputs) {
		return nil, fmt.Errorf("%s (Scan): body does not fit %d inputs and %d outputs", n.Name, len(n.In), len(n.Out))
	}
	s.Flow = Scan
	var inputs []Slot
	var in, out []int
	axes := n.Attrs.Ints("scan_input_axes")
	for i, slot := range s.In {
		if slot < 0 {
			return nil, fmt.Errorf("%s (Scan): input %d is missing", n.Name, i)
		}
		x := &b.plan.Slots[slot]
		shape := x.Shape.Clone()
		if k := i - states; k >= 0 && shape != nil {
			axis := 0
			if k < len(axes) {
				axis = axes[k]
			}
			if axis < 0 {
				axis += len(shape)
			}
			if axis < 0 || axis >= len(shape) {
				return nil, fmt.Errorf("%s (Scan): axis of scan input %d out of range for rank %d", n.Name, k, len(shape))
			}
			shape = append(shape[:axis], shape[axis+1:]...)
		} else if i < states {
			in, out = append(in, i), append(out, i)
		}
		inputs = append(inputs, Slot{DType: x.DType, Shape: shape, Quant: x.Quant})
	}
	body, err := b.loopBody(g, inputs, in, out)
	if err != nil {
		return nil, fmt.Errorf("%s (Scan): %w", n.Name, err)
	}
	s.Bodies = []*Body{body}
	for i, v := range n.Out {
		x := b.plan.Slots[body.Outputs[i]]
		slot := Slot{DType: x.DType, Quant: x.Quant}
		if i < states {
			slot.Shape = inputs[i].Shape.Clone()
		}
		if err := b.flowOut(s, v, slot); err != nil {
			return nil, err
		}
	}
	return s, nil
}
