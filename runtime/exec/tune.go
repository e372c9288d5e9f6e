package exec

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Tuned is a choice for a step that was measured to be faster than what the cost model does.
type Tuned struct {
	Step         int // number in the order of plan.Walk
	Choice       op.Choice
	Static, Best time.Duration // of one run, without and with it
}

const (
	// tuneGain is how much faster a choice must be, so that noise decides nothing.
	tuneGain = 0.03
	// tuneTime bounds the measuring of one way to run a step, tuneRuns its runs.
	tuneTime = 4 * time.Millisecond
	tuneRuns = 9
	// aloneBelow is the time up to which a step may be better off on one thread.
	aloneBelow = 200 * time.Microsecond
)

// Tune runs the plan once on in, and times for each step the ways to run it that give the same results: each other row of the kernel table for each that it
// uses, each way that its operator offers, and one thread. It returns what was faster. A way whose outputs differ in any byte is not taken.
// Steps in subgraphs, those whose shapes depend on data and those that write over their inputs are left as they are. It ends early, without an error, when
// the time is up.
func (x *Instance) Tune(ctx context.Context, in []*tensor.Tensor, limit time.Duration) (list []Tuned, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s (%s): %w", x.current.Name, x.current.Op, op.Recovered(r))
		}
	}()
	for i, slot := range x.Plan.Inputs {
		x.bind(slot, in[i])
	}
	end := time.Now().Add(limit)
	number := map[*plan.Step]int{}
	x.Plan.Walk(func(_ int, s *plan.Step) { number[s] = len(number) })
	for i := range x.steps {
		s := &x.steps[i]
		if err := x.runSteps(ctx, x.steps[i:i+1]); err != nil {
			return nil, err
		}
		if s.run == nil || x.inPlace(s) {
			continue
		}
		t, err := x.tuneStep(ctx, s, end)
		if err != nil {
			return nil, err
		}
		if time.Now().After(end) {
			break
		}
		if t != nil {
			t.Step = number[s.Step]
			list = append(list, *t)
		}
	}
	return list, nil
}

// inPlace reports whether a step writes where it reads.
func (x *Instance) inPlace(s *step) bool {
	for _, out := range s.out {
		for _, in := range s.in {
			if out != nil && in != nil && len(out.Data) > 0 && len(in.Data) > 0 && &out.Data[0] == &in.Data[0] {
				return true
			}
		}
	}
	return false
}

// tuneStep times the ways to run a step that has just run, one kind of choice after the other; nil where none is better.
func (x *Instance) tuneStep(ctx context.Context, s *step, end time.Time) (*Tuned, error) {
	want := make([]*tensor.Tensor, len(s.out))
	for i, t := range s.out {
		if t != nil {
			want[i] = t.Clone()
		}
	}
	static, err := timed(s.run)
	if err != nil {
		return nil, err
	}
	best := Tuned{Choice: s.Choice, Static: static, Best: static}
	try := func(c op.Choice) error {
		if err := ctx.Err(); err != nil || time.Now().After(end) {
			return err
		}
		call := x.call(s, nil)
		headers := map[int]*tensor.Tensor{}
		header := func(slot int) *tensor.Tensor { return x.unknown(headers, slot) }
		call.In, call.Out = each(s.In, header), each(s.Out, header)
		call.Store = nil // what is not taken must not stay
		call.Choice = c
		if c.Alone {
			call.Par = op.Serial{}
		}
		addStages(call, s, header)
		run, err := op.PrepareOf(s.Kernel, call)
		if err != nil || chosen(call) != nil {
			return nil // not possible here
		}
		known(call.In, s.in)
		known(call.Out, s.out)
		took, err := timed(run)
		if err != nil {
			return err
		}
		for i, t := range s.out {
			if t != nil && !(bytes.Equal(t.Data, want[i].Data) && slices.Equal(t.Str, want[i].Str)) {
				return s.run() // not the same result
			}
		}
		if float64(took) < (1-tuneGain)*float64(best.Best) {
			best.Choice, best.Best = c, took
		}
		return nil
	}
	for _, u := range s.uses {
		for _, r := range alternatives(u.Row) {
			c := best.Choice
			c.Rows = append(slices.Clone(s.Choice.Rows), r.Name)
			if err := try(c); err != nil {
				return nil, err
			}
		}
	}
	for _, w := range s.ways {
		c := best.Choice
		c.Ways = map[string]bool{w.Name: !w.On}
		if err := try(c); err != nil {
			return nil, err
		}
	}
	if x.opts.Par.Threads() > 1 && best.Best < aloneBelow && !best.Choice.Alone {
		c := best.Choice
		c.Alone = true
		if err := try(c); err != nil {
			return nil, err
		}
	}
	if best.Best == static {
		return nil, nil
	}
	return &best, nil
}

// unknown is a slot as preparation sees it, the same each time: only constants have data.
func (x *Instance) unknown(headers map[int]*tensor.Tensor, slot int) *tensor.Tensor {
	if headers[slot] == nil {
		t := x.slots[slot]
		if x.Plan.Slots[slot].Kind != plan.Const {
			t.Data, t.Str, t.Elems = nil, nil, nil
		}
		headers[slot] = &t
	}
	return headers[slot]
}

// known gives them the data of the step's own.
func known(list, own []*tensor.Tensor) {
	for i, t := range list {
		if t != nil {
			t.Data, t.Str, t.Elems = own[i].Data, own[i].Str, own[i].Elems
		}
	}
}

// alternatives lists the rows that give the same results as r, on this machine.
func alternatives(r *spec.Row) []*spec.Row {
	if r.Num == spec.Approx {
		return nil
	}
	var list []*spec.Row
	rows := kernels.Here().Rows()
	for i := range rows {
		q := &rows[i]
		if q.Name != r.Name && q.Op == r.Op && q.In == r.In && q.W == r.W && q.Acc == r.Acc && q.Out == r.Out && q.Num == r.Num && (q.Needs != 0 || r.Needs == 0) {
			list = append(list, q)
		}
	}
	return list
}

// timed is the least time of some runs.
func timed(run op.Run) (time.Duration, error) {
	if err := run(); err != nil {
		return 0, err
	}
	least, begin := time.Duration(1<<62), time.Now()
	for i := 0; i < tuneRuns && (i < 2 || time.Since(begin) < tuneTime); i++ {
		start := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		least = min(least, time.Since(start))
	}
	return least, nil
}
