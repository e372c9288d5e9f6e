// Package plan lowers a graph to a plan: a list of steps over numbered slots, for one set of input shapes.
//
// Building a plan infers every shape, folds what no input data can change, chooses how each step runs and lays out the
// arena, so that running it decides nothing. A Plan is immutable and may be shared; package exec runs it.
// Importers: runtime and runtime/exec.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Kind says where a slot's data live.
type Kind uint8

const (
	// Const: known when the plan is built.
	Const Kind = iota
	// Bound: set from outside before the steps that read it run: graph inputs and the inputs of loop bodies.
	Bound
	// Arena: a fixed range of the arena.
	Arena
	// Alias: the data of slot Of, perhaps under another shape.
	Alias
	// Heap: allocated in each run, because the shape depends on data or the type has no fixed size.
	Heap
)

var kindNames = [...]string{"const", "bound", "arena", "alias", "heap"}

func (k Kind) String() string { return kindNames[k] }

// Slot is the place of one value.
type Slot struct {
	Name   string
	DType  tensor.DType
	Shape  tensor.Shape // known unless Kind is Heap (or Bound or Alias within a loop)
	Quant  *tensor.QParams
	Kind   Kind
	Offset int            // Arena: first byte
	Size   int            // Arena and Alias: bytes
	Of     int            // Alias: the slot that holds the data
	At     int            // Alias: first byte, from that of Of
	Pitch  int            // Alias: of rows, as in tensor.Tensor
	Const  *tensor.Tensor // Const

	first, last int // steps between which the data must stay, in the order of the walk
}

// Flow is the kind of control flow of a step.
type Flow uint8

const (
	// None: the step is an operator.
	None Flow = iota
	// If runs Bodies[0] where the condition holds, Bodies[1] where not.
	If
	// Loop repeats Bodies[0].
	Loop
	// Scan repeats Bodies[0] over slices of its inputs.
	Scan
)

// Step is one operator, or one control-flow node with the steps inside it.
type Step struct {
	Name, Op string
	Attrs    attr.Attrs
	Num      num.Numerics
	Kernel   op.Op
	In, Out  []int // slots; -1 where absent
	// Static: all shapes are known, so the step is prepared once.
	Static bool
	// View: the output is the input under another shape, so there is nothing to do.
	View   bool
	Flow   Flow
	Bodies []*Body
	// Stages are the operators that run as this step, where these are several.
	Stages []Step
	// Choice is what the plan chooses beyond the cost model.
	Choice op.Choice
	MACs   int64 // multiply-accumulates, where the operator is one that has them and shapes are known
}

// Body is a subgraph.
type Body struct {
	Inputs, Outputs []int
	Steps           []Step
}

// Plan is a lowered graph.
type Plan struct {
	ID              string // the same for the same steps, kernels and layout
	Slots           []Slot
	Steps           []Step
	Inputs, Outputs []int
	ArenaSize       int // bytes
	// Keep is the graph's: what constants lie in.
	Keep any
}

// Walk calls f for all steps in the order in which they stand, outer before inner.
func (p *Plan) Walk(f func(depth int, s *Step)) { walk(p.Steps, 0, f) }

func walk(steps []Step, depth int, f func(int, *Step)) {
	for i := range steps {
		f(depth, &steps[i])
		for _, b := range steps[i].Bodies {
			walk(b.Steps, depth+1, f)
		}
	}
}

// MACs sums the multiply-accumulates of all steps, each body counted once.
func (p *Plan) MACs() int64 {
	n := int64(0)
	p.Walk(func(_ int, s *Step) { n += s.MACs })
	return n
}

// WeightBytes sums the bytes of all constants that the steps use.
func (p *Plan) WeightBytes() int {
	n := 0
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == Const && s.Const != nil {
			n += len(s.Const.Data)
		}
	}
	return n
}

// Dump writes the plan for people: a line per step with its slots.
func (p *Plan) Dump(w io.Writer) {
	fmt.Fprintf(w, "plan %s: arena %d bytes\n", p.ID, p.ArenaSize)
	p.Walk(func(depth int, s *Step) {
		fmt.Fprintf(w, "%*s%s %s", 2*depth, "", s.Op, s.Name)
		for _, i := range s.In {
			fmt.Fprintf(w, " %s", p.slotString(i))
		}
		fmt.Fprint(w, " ->")
		for _, i := range s.Out {
			fmt.Fprintf(w, " %s", p.slotString(i))
		}
		fmt.Fprintln(w)
	})
}

func (p *Plan) slotString(i int) string {
	if i < 0 {
		return "-"
	}
	s := &p.Slots[i]
	switch s.Kind {
	case Arena:
		return fmt.Sprintf("%d:%v%v@%d", i, s.DType, s.Shape, s.Offset)
	case Alias:
		return fmt.Sprintf("%d:%v%v=%d+%d", i, s.DType, s.Shape, s.Of, s.At)
	}
	return fmt.Sprintf("%d:%v%v %v", i, s.DType, s.Shape, s.Kind)
}

// id hashes everything that decides what a run does, the bytes of constants apart: these are the model's.
func (p *Plan) id() string {
	h := sha256.New()
	fmt.Fprintln(h, p.ArenaSize, p.Inputs, p.Outputs)
	for i := range p.Slots {
		s := &p.Slots[i]
		fmt.Fprintf(h, "%d %v %v %v %d %d %d %d %d", i, s.Kind, s.DType, s.Shape, s.Offset, s.Size, s.Of, s.At, s.Pitch)
		if s.Quant != nil {
			fmt.Fprintf(h, " %v", *s.Quant)
		}
		fmt.Fprintln(h)
	}
	p.Walk(func(depth int, s *Step) {
		fmt.Fprintf(h, "%d %q %q %v %v %v %v %v %d", depth, s.Name, s.Op, s.Num, s.In, s.Out, s.Static, s.View, s.Flow)
		for i := range s.Stages {
			fmt.Fprint(h, s.Stages[i].Name, s.Stages[i].In, s.Stages[i].Out)
		}
		for _, b := range s.Bodies {
			fmt.Fprint(h, b.Inputs, b.Outputs, len(b.Steps))
		}
		for _, name := range s.Attrs.Names() {
			if t, ok := s.Attrs[name].(*tensor.Tensor); ok {
				fmt.Fprintf(h, " %q=%v %q %q", name, t, t.Data, t.Str)
			} else {
				fmt.Fprintf(h, " %q=%#v", name, s.Attrs[name])
			}
		}
		fmt.Fprintln(h)
	})
	return hex.EncodeToString(h.Sum(nil)[:6])
}
