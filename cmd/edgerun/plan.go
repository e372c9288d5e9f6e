package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime"
)

// planFlags say where plans come from.
type planFlags struct {
	plan    string
	write   string
	seconds float64
}

func (p *planFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.plan, "plan", "static", "static (a cost model), tune (measured on this device), or a `FILE` that --write-plan has written")
	f.StringVar(&p.write, "write-plan", "", "write the plan to `FILE`")
	f.Float64Var(&p.seconds, "tune-seconds", 20, "--plan tune measures for at most `S` seconds; what it finds stays in $EDGERUN_CACHE")
	completeFlag(cmd, "plan", "static", "tune")
}

// use is to be called before a session is made.
func (p *planFlags) use(m *runtime.Model) error {
	if !(p.seconds > 0) {
		return usagef("--tune-seconds must be positive")
	}
	switch p.plan {
	case "static", "tune":
		return nil
	case "":
		return usagef("--plan: want static, tune or a FILE")
	}
	f, err := runtime.ReadPlans(p.plan)
	if err != nil {
		return fmt.Errorf("--plan: %w", err)
	}
	if err := m.UsePlans(f); err != nil {
		return fmt.Errorf("--plan %s: %w", p.plan, err)
	}
	return nil
}

// tune is to be called once there are inputs, or some like them.
func (p *planFlags) tune(ctx context.Context, s *runtime.Session, in []*tensor.Tensor, bar *progress) error {
	if p.plan != "tune" {
		return nil
	}
	bar.phase("tuning", 0, "")
	return s.Tune(ctx, in, time.Duration(p.seconds*float64(time.Second)))
}

// save writes the plan for the shapes, if that is wanted.
func (p *planFlags) save(m *runtime.Model, shapes []tensor.Shape) error {
	if p.write == "" {
		return nil
	}
	f, err := m.Plans(shapes)
	if err != nil {
		return err
	}
	return f.Write(p.write)
}

// fixed prepares for inputs that are not there yet: it tunes and writes the plan for the model's own shapes, which must be fixed where either is wanted.
func (p *planFlags) fixed(ctx context.Context, m *runtime.Model, s *runtime.Session, bar *progress) error {
	if p.plan != "tune" && p.write == "" {
		return nil
	}
	shapes := make([]tensor.Shape, len(m.Inputs()))
	known := true
	for i, in := range m.Inputs() {
		shapes[i] = in.Shape
		known = known && in.Shape.Known() && in.DType != tensor.Sequence
	}
	switch {
	case known:
		in, err := randomInputs(m, shapes, 0)
		if err != nil {
			return err
		}
		if err := p.tune(ctx, s, in, bar); err != nil {
			return err
		}
		return p.save(m, shapes)
	case p.write != "":
		return usagef("--write-plan: the shapes of this model's inputs are free; write the plan with bench and --shape")
	}
	m.UseTuned(s.Threads()) // what bench has tuned
	return nil
}
