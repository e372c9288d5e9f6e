package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/prof"
)

func profileCommand() *cobra.Command {
	var m modelFlags
	var pf planFlags
	var shapes []string
	var runs, top int
	var asJSON, sorted bool
	var trace string
	cmd := &cobra.Command{
		Use:   "profile MODEL",
		Short: "show where the time of an inference goes, layer by layer",
		Long: `Runs a model on random inputs and prints for each layer its time, the kernels that it uses, its
rate and share of this machine's peak (a multiply-add counts as two operations), the bytes that
it touches, weights included, and its bound: the time that its arithmetic would take at the
peak ("compute"), or reading its bytes from the level of memory that holds them (L1, L2, L3,
DRAM), whichever is longer. At the end it shows how the time is shared out among operators.

The trace has a track for the layers and one for each thread.`,
		Example: `  edgerun profile model.onnx --sort --top 20
  edgerun profile model.onnx --trace trace.json    # open it in ui.perfetto.dev`,
		Args: exactArgs(1, "one MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if runs < 1 || top < 0 {
				return usagef("--runs must be positive, and --top must not be negative")
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			l, err := m.open(args[0])
			if err != nil {
				return err
			}
			if err := pf.use(l.Model); err != nil {
				return err
			}
			s, err := l.Model.NewSession(runtime.SessionOptions{Threads: m.threads})
			if err != nil {
				return err
			}
			defer s.Close()
			bar.phase("first run", 0, "")
			first, err := firstRun(cmd.Context(), l, s, shapes)
			if err != nil {
				return err
			}
			in, out := first.in, first.out
			if err := pf.tune(cmd.Context(), s, in, bar); err != nil {
				return err
			}
			if err := pf.save(l.Model, shapesOf(in)); err != nil {
				return err
			}
			p := prof.New()
			bar.phase("measuring the machine", 0, "")
			p.Machine = peak.Measure(s.Threads())
			bar.phase("warming up", 0, "")
			if err := s.Run(cmd.Context(), in, out); err != nil { // brings the caches back
				return err
			}
			s.Observe(p.Observe)
			bar.phase("observing", runs, "runs")
			for range runs {
				if err := s.Run(cmd.Context(), in, out); err != nil {
					return err
				}
				p.Next()
				bar.add(1)
			}
			bar.stop()
			if trace != "" {
				f, err := os.Create(trace)
				if err != nil {
					return err
				}
				if err := p.Trace(f); err != nil {
					f.Close()
					return err
				}
				if err := f.Close(); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s\n", trace)
			}
			pl, err := s.Plan(shapesOf(in))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.profile/1", "model": args[0], "precision": l.Precision.String(),
					"threads": s.Threads(), "plan_id": pl.ID, "runs": runs, "machine": p.Machine, "steps": p.Steps()})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s, %s, plan_id %s, median of %d runs\n\n", args[0], l.Precision, threadCount(s.Threads()), pl.ID, runs)
			return p.Table(cmd.OutOrStdout(), sorted, top)
		},
	}
	m.register(cmd)
	pf.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&shapes, "shape", nil, "`NAME=1,3,224,224`: the shape of an input with free extents (repeatable)")
	f.IntVar(&runs, "runs", 10, "observe `N` inferences")
	f.IntVar(&top, "top", 0, "show only `N` layers; 0 shows all")
	f.BoolVar(&sorted, "sort", false, "show the slowest layers first")
	f.StringVar(&trace, "trace", "", "write a trace for ui.perfetto.dev to `FILE`")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
