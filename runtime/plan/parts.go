package plan

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// PartsPass names what shareParts does, for those who want to leave it out.
const PartsPass = "share-parts"

// shareParts places values that are part of others within these, as far as the operators that make and read them allow: what Concat joins is made
// where it belongs, and what Slice and Split take out stays where it is.
func (p *Plan) shareParts() {
	s := &parts{Plan: p, made: make([]*Step, len(p.Slots)), readers: make([][]reader, len(p.Slots)), fixed: make([]bool, len(p.Slots))}
	for _, out := range p.Outputs {
		s.fixed[out] = true
	}
	p.Walk(func(_ int, step *Step) {
		for i, in := range step.In {
			if in >= 0 {
				s.readers[in] = append(s.readers[in], reader{step, i})
				s.fixed[in] = s.fixed[in] || !step.Static || step.View || step.Flow != None
			}
		}
		for _, b := range step.Bodies {
			for _, i := range b.Inputs {
				s.fixed[i] = true
			}
			for _, i := range b.Outputs {
				s.fixed[i] = true
			}
		}
	})
	s.list(p.Steps)
}

// parts is what shareParts knows of each slot.
type parts struct {
	*Plan
	made    []*Step // the operator that makes it, if that is in the list of steps at hand
	readers [][]reader
	// fixed: its rows must follow each other, since others than operators with known shapes read it.
	fixed []bool
}

// reader is an operator with the number of its input.
type reader struct {
	step *Step
	in   int
}

func (s *parts) list(steps []Step) {
	for i := range steps {
		for _, b := range steps[i].Bodies {
			s.list(b.Steps)
		}
	}
	for i := range steps {
		step := &steps[i]
		if step.Flow != None || !step.Static || step.View {
			continue
		}
		for _, out := range step.Out {
			if out >= 0 {
				s.made[out] = step
			}
		}
	}
	// What is joined last comes first, so that it is known where its parts, and theirs, lie.
	for i := len(steps) - 1; i >= 0; i-- {
		s.share(&steps[i], true)
	}
	for i := range steps {
		s.share(&steps[i], false)
	}
	clear(s.made)
}

// share places the parts of a step: its inputs in its outputs, or its outputs in its inputs.
func (s *parts) share(step *Step, joins bool) {
	if step.Kernel.Parts == nil || !step.Static || step.View {
		return
	}
	slot := func(i int) int {
		if i < 0 {
			return step.Out[^i]
		}
		return step.In[i]
	}
	list := step.Kernel.Parts(s.call(step))
	all := len(list) > 0
	for _, part := range list {
		of := slot(part.Of)
		all = joins == (part.Of < 0) && of >= 0 && s.Slots[of].Kind != Const && s.Slots[of].Kind != Heap && s.place(slot(part.Value), of, part.At) && all
	}
	step.View = all
}

// minRow is the least length of a row, in bytes, that is worth lying apart from the next: shorter ones are copied as fast as they are reached.
const minRow = 64

// place makes a slot a part of another one, from element at on. It reports whether it did.
func (s *parts) place(slot, of, at int) bool {
	shape := s.Slots[slot].Shape
	viewed := false
	for s.Slots[slot].Kind == Alias && s.Slots[slot].Pitch == 0 && s.Slots[slot].Size == s.Slots[s.Slots[slot].Of].Size {
		slot, viewed = s.Slots[slot].Of, true
	}
	v := &s.Slots[slot]
	if v.Kind != Arena || v.Size == 0 || v.DType.Bits() < 8 || s.made[slot] == nil {
		return false
	}
	whole := s.header(of)
	pitch, ok := rowPitch(shape, whole.Strides())
	if !ok || pitch > 0 && (viewed || shape[len(shape)-1]*v.DType.Bits()/8 < minRow || !s.rowsMayLieApart(slot)) {
		return false
	}
	if last := len(whole.Shape) - 1; whole.Pitch > 0 {
		at = at/whole.Shape[last]*whole.Pitch + at%whole.Shape[last]
	}
	v.Kind, v.Of, v.At, v.Pitch = Alias, of, at*v.DType.Bits()/8, pitch
	v.Size = tensor.ByteSize(v.DType, s.header(slot).Span())
	return true
}

// rowsMayLieApart reports whether all operators that make and read a value take it with rows that do not follow each other.
func (s *parts) rowsMayLieApart(slot int) bool {
	may := func(step *Step, i int) bool {
		return step.Kernel.Pitched != nil && step.Kernel.Pitched(s.call(step), i)
	}
	if s.fixed[slot] {
		return false
	}
	for i, out := range s.made[slot].Out {
		if out == slot && !may(s.made[slot], ^i) {
			return false
		}
	}
	for _, r := range s.readers[slot] {
		if !may(r.step, r.in) {
			return false
		}
	}
	return true
}

// call is a step as its operator sees it while it is planned.
func (p *Plan) call(s *Step) *op.Call {
	c := &op.Call{Name: s.Name, Op: s.Op, Attrs: s.Attrs, Num: s.Num}
	for _, i := range s.In {
		c.In = append(c.In, p.header(i))
	}
	for _, i := range s.Out {
		c.Out = append(c.Out, p.header(i))
	}
	return c
}

// rowPitch is the pitch of a tensor whose elements are so many apart in each dimension, 0 where its rows follow each other; ok is false where a pitch
// does not describe it.
func rowPitch(shape tensor.Shape, strides []int) (pitch int, ok bool) {
	last := len(shape) - 1
	if last < 0 {
		return 0, true
	}
	for d := last - 1; d >= 0; d-- {
		if shape[d] == 1 {
			continue
		}
		if pitch == 0 {
			pitch = strides[d]
		} else if strides[d] != pitch*shape[d+1:last].Len() {
			return 0, false
		}
	}
	if pitch == shape[last] {
		pitch = 0
	}
	return pitch, true
}
