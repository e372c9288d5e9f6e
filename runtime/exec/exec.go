// Package exec runs plans.
//
// An Instance is a plan with an arena: the state of one inference at a time. Importers: runtime.
package exec

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/plan"
)

// ErrShape is wrapped by errors about inputs or outputs of the wrong type or shape.
var ErrShape = errors.New("wrong type or shape")

// Observer sees each step after it ran. The event is valid only during the call.
type Observer func(*Event)

// Event is a step that ran.
type Event struct {
	*plan.Step
	In, Out []*tensor.Tensor
	// Uses lists the rows of the kernel table that the step drives; none for control flow.
	Uses  []op.Use
	Start time.Time
	Took  time.Duration
	// Spans tells what ran where, loop by loop; none for control flow, whose steps have their own.
	Spans []Span
}

// Options say how to make an Instance.
type Options struct {
	Par   op.Par
	Store op.Store
	// MaxMemory bounds the bytes of all tensors at any time; 0 means no bound.
	MaxMemory int
}

// Instance runs one plan. It belongs to one goroutine at a time.
type Instance struct {
	Plan     *plan.Plan
	Observe  Observer
	opts     Options
	slots    []tensor.Tensor
	arena    *mem.Block
	steps    []step
	heap     []int // heap slots, released after each run
	heapSize int   // bytes of heap slots in use, and of what loops collect
	// carrySize is what loops carry from one iteration to the next, in bytes, kept for the next run.
	carrySize int
	watch     *watch // of the threads, for the observer
	event     Event
	kept      *op.Memory     // what operators keep beside inputs and outputs; nil where there is no limit
	current   *plan.Step     // for errors
	shared    map[string]any // what operators have in common, while they are prepared
}

// step is a plan's step with what this instance needs to run it.
type step struct {
	*plan.Step
	in, out []*tensor.Tensor
	run     op.Run // Static operators
	uses    []op.Use
	ways    []op.Way
	bodies  [][]step // control flow
	carry   [2][]tensor.Tensor
}

// New prepares every step whose shapes are known.
func New(p *plan.Plan, o Options) (*Instance, error) {
	if o.Par == nil {
		o.Par = op.Serial{}
	}
	w := &watch{Par: o.Par}
	w.timed = w.span
	o.Par = w
	x := &Instance{Plan: p, opts: o, watch: w, slots: make([]tensor.Tensor, len(p.Slots))}
	for i := range p.Slots {
		s := &p.Slots[i]
		x.slots[i] = tensor.Tensor{DType: s.DType, Shape: s.Shape, Quant: s.Quant, Pitch: s.Pitch}
		switch s.Kind {
		case plan.Const:
			if s.Const != nil {
				x.slots[i] = *s.Const
			}
		case plan.Heap:
			x.heap = append(x.heap, i)
		}
	}
	if o.MaxMemory > 0 {
		x.kept = op.NewMemory(o.MaxMemory - p.ArenaSize)
	}
	x.shared = map[string]any{}
	var err error
	if x.steps, err = x.prepare(p.Steps); err != nil {
		return nil, err
	}
	x.shared = nil
	// Only now do the slots get their data: an operator must not take what lies there for a known value.
	x.arena = mem.NewBlock(p.ArenaSize)
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == plan.Arena {
			x.slots[i].Data = x.arena.Data[s.Offset : s.Offset+s.Size : s.Offset+s.Size]
		}
	}
	for i := range p.Slots {
		x.follow(i)
	}
	return x, nil
}

func (x *Instance) prepare(steps []plan.Step) ([]step, error) {
	list := make([]step, len(steps))
	for i := range steps {
		s := &list[i]
		s.Step = &steps[i]
		s.in, s.out = x.tensors(s.In), x.tensors(s.Out)
		for _, b := range s.Bodies {
			inner, err := x.prepare(b.Steps)
			if err != nil {
				return nil, err
			}
			s.bodies = append(s.bodies, inner)
		}
		if s.Flow != plan.None || s.View || !s.Static {
			continue
		}
		c := x.call(s, s.out)
		c.Memory, c.Shared = x.kept, x.shared
		addStages(c, s, x.tensor)
		run, err := op.PrepareOf(s.Kernel, c)
		if err != nil {
			return nil, err
		}
		if err := chosen(c); err != nil {
			return nil, err
		}
		s.run, s.uses, s.ways = run, c.Uses, c.Ways
	}
	return list, nil
}

// chosen fails where a node was not prepared as its plan chooses.
func chosen(c *op.Call) error {
	for _, name := range c.Choice.Rows {
		if !slices.ContainsFunc(c.Uses, func(u op.Use) bool { return u.Row.Name == name }) {
			return c.Errorf("kernel %s does not serve this layer, or gives other results: %w", name, plan.ErrChoice)
		}
	}
	for name := range c.Choice.Ways {
		if !slices.ContainsFunc(c.Ways, func(w op.Way) bool { return w.Name == name }) {
			return c.Errorf("%q is no choice in this layer: %w", name, plan.ErrChoice)
		}
	}
	return nil
}

func (x *Instance) tensors(slots []int) []*tensor.Tensor { return each(slots, x.tensor) }

func (x *Instance) tensor(slot int) *tensor.Tensor { return &x.slots[slot] }

// each lists what at gives for slots, nil for absent ones.
func each(slots []int, at func(slot int) *tensor.Tensor) []*tensor.Tensor {
	list := make([]*tensor.Tensor, len(slots))
	for i, slot := range slots {
		if slot >= 0 {
			list[i] = at(slot)
		}
	}
	return list
}

func (x *Instance) call(s *step, out []*tensor.Tensor) *op.Call {
	c := &op.Call{Name: s.Name, Op: s.Op, Attrs: s.Attrs, Num: s.Num, In: s.in, Out: out, Par: x.opts.Par, Store: x.opts.Store, Choice: s.Choice}
	if s.Choice.Alone {
		c.Par = op.Serial{}
	}
	return c
}

// addStages gives a call those that it stands for, with the tensors of their slots.
func addStages(c *op.Call, s *step, at func(slot int) *tensor.Tensor) {
	for i := range s.Stages {
		t := *c
		t.Name, t.Op, t.Attrs, t.Num, t.Stages = s.Stages[i].Name, s.Stages[i].Op, s.Stages[i].Attrs, s.Stages[i].Num, nil
		t.In, t.Out = each(s.Stages[i].In, at), each(s.Stages[i].Out, at)
		c.Stages = append(c.Stages, &t)
	}
}

// Fits reports whether the plan was made for these input shapes.
func (x *Instance) Fits(shapes []tensor.Shape) bool {
	for i, slot := range x.Plan.Inputs {
		if s := &x.Plan.Slots[slot]; s.DType != tensor.Sequence && !s.Shape.Equal(shapes[i]) {
			return false
		}
	}
	return len(shapes) == len(x.Plan.Inputs)
}

// Run computes the outputs of in. An out tensor with data receives its output there and must fit it; one without gets
// new data. Both have one entry per input or output of the plan.
func (x *Instance) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	p := x.Plan
	if len(in) != len(p.Inputs) || len(out) != len(p.Outputs) {
		return fmt.Errorf("%d inputs and %d outputs given, want %d and %d: %w", len(in), len(out), len(p.Inputs), len(p.Outputs), ErrShape)
	}
	for i, slot := range p.Inputs {
		s, t := &p.Slots[slot], in[i]
		if t == nil || t.DType != s.DType || s.DType != tensor.Sequence && !t.Shape.Equal(s.Shape) || !t.HasData() {
			return fmt.Errorf("input %s: got %v, want %v%v: %w", s.Name, t, s.DType, s.Shape, ErrShape)
		}
		x.bind(slot, t)
	}
	err := x.runAll(ctx)
	if err == nil {
		err = x.collect(out)
	}
	for _, i := range x.heap {
		t := &x.slots[i]
		t.Data, t.Str, t.Elems = nil, nil, nil
	}
	x.heapSize = 0
	runtime.KeepAlive(x) // and with it what constants lie in, while kernels read them
	return err
}

// runAll runs all steps. A panic in an operator becomes an error that names the step, since models come from outside.
func (x *Instance) runAll(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s (%s): %w", x.current.Name, x.current.Op, op.Recovered(r))
		}
	}()
	return x.runSteps(ctx, x.steps)
}

// bind points a slot at t's data.
func (x *Instance) bind(slot int, t *tensor.Tensor) {
	s := &x.slots[slot]
	s.Shape, s.Data, s.Str, s.Elems = t.Shape, t.Data, t.Str, t.Elems
}

func (x *Instance) collect(out []*tensor.Tensor) error {
	for i, slot := range x.Plan.Outputs {
		t, o := &x.slots[slot], out[i]
		x.follow(slot)
		name := x.Plan.Slots[slot].Name
		if o == nil {
			return fmt.Errorf("output %s: no tensor given: %w", name, ErrShape)
		}
		if !t.HasData() {
			return fmt.Errorf("output %s: the model leaves it empty", name)
		}
		if !o.HasData() {
			*o = *t.Clone()
			continue
		}
		if o.DType != t.DType || !o.Shape.Equal(t.Shape) {
			return fmt.Errorf("output %s: got room for %v, want %v: %w", name, o, t, ErrShape)
		}
		copy(o.Data, t.Data)
		copy(o.Str, t.Str)
		if t.DType == tensor.Sequence {
			o.Elems = t.Elems
		}
	}
	return nil
}

func (x *Instance) runSteps(ctx context.Context, steps []step) error {
	done := ctx.Done()
	for i := range steps {
		s := &steps[i]
		if done != nil {
			select {
			case <-done:
				return ctx.Err()
			default:
			}
		}
		x.current = s.Step
		if x.Observe == nil {
			if err := x.runStep(ctx, s); err != nil {
				return err
			}
			continue
		}
		if err := x.runObserved(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (x *Instance) runObserved(ctx context.Context, s *step) error {
	if s.Flow == plan.None {
		x.watch.begin()
	}
	start := time.Now()
	if err := x.runStep(ctx, s); err != nil {
		x.watch.end()
		return err
	}
	x.event = Event{Step: s.Step, In: s.in, Out: s.out, Uses: s.uses, Start: start, Took: time.Since(start)}
	if s.Flow == plan.None {
		x.event.Spans = x.watch.end()
	}
	x.Observe(&x.event)
	return nil
}

func (x *Instance) runStep(ctx context.Context, s *step) error {
	// An alias of what is bound, or of what an earlier step allocated, moves with it.
	for _, slot := range s.In {
		x.follow(slot)
	}
	if s.run != nil {
		for _, slot := range s.Out {
			x.follow(slot)
		}
		return s.run()
	}
	switch s.Flow {
	case plan.If:
		return x.runIf(ctx, s)
	case plan.Loop:
		return x.runLoop(ctx, s)
	case plan.Scan:
		return x.runScan(ctx, s)
	}
	if s.View {
		x.follow(s.Out[0])
		return nil
	}
	return x.runDynamic(s)
}

// follow refreshes an alias.
func (x *Instance) follow(slot int) {
	if slot < 0 || x.Plan.Slots[slot].Kind != plan.Alias {
		return
	}
	s := &x.Plan.Slots[slot]
	x.follow(s.Of)
	data := x.slots[s.Of].Data
	if end := s.At + s.Size; end <= len(data) { // not where it waits for what will be bound
		data = data[s.At:end:end]
	}
	x.slots[slot].Data = data
}

// runDynamic runs an operator whose shapes are known only now.
func (x *Instance) runDynamic(s *step) error {
	out := make([]*tensor.Tensor, len(s.Out))
	for i, slot := range s.Out {
		if slot < 0 {
			continue
		}
		out[i] = &tensor.Tensor{Quant: x.slots[slot].Quant, DType: x.slots[slot].DType}
	}
	limit := 0
	if x.opts.MaxMemory > 0 {
		limit = max(1, x.opts.MaxMemory-x.used())
	}
	c := x.call(s, out)
	if err := op.Eval(s.Kernel, c, limit); err != nil {
		return err
	}
	s.uses = c.Uses
	for i, slot := range s.Out {
		if slot < 0 {
			continue
		}
		if err := x.put(s, slot, out[i]); err != nil {
			return err
		}
	}
	return nil
}

// put makes t, which nobody else keeps, the value of a slot.
func (x *Instance) put(s *step, slot int, t *tensor.Tensor) error {
	dst := &x.slots[slot]
	if t.DType != dst.DType {
		return fmt.Errorf("%s (%s): output is %v, was planned as %v", s.Name, s.Op, t.DType, dst.DType)
	}
	if x.Plan.Slots[slot].Kind != plan.Heap {
		x.follow(slot)
		if !t.Shape.Equal(dst.Shape) {
			return fmt.Errorf("%s (%s): output has shape %v, was planned as %v", s.Name, s.Op, t.Shape, dst.Shape)
		}
		copy(dst.Data, t.Data)
		return nil
	}
	if err := x.grow(s, t.MemorySize()-dst.MemorySize()); err != nil {
		return err
	}
	dst.Shape, dst.Data, dst.Str, dst.Elems = t.Shape, t.Data, t.Str, t.Elems
	return nil
}

// grow counts n more bytes on the heap.
func (x *Instance) grow(s *step, n int) error {
	x.heapSize += n
	return x.withinLimit(s)
}

// Size is what the instance keeps between runs, in bytes.
func (x *Instance) Size() int { return x.used() }

// used is what the instance's tensors and its operators' buffers take, in bytes.
func (x *Instance) used() int { return x.Plan.ArenaSize + x.kept.Used() + x.heapSize + x.carrySize }

// withinLimit fails where the instance's tensors pass the limit.
func (x *Instance) withinLimit(s *step) error {
	if x.opts.MaxMemory > 0 && x.used() > x.opts.MaxMemory {
		return fmt.Errorf("%s (%s): tensors need more than %d bytes: %w", s.Name, s.Op, x.opts.MaxMemory, tensor.ErrTooLarge)
	}
	return nil
}
