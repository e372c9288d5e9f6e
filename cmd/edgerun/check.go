package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime"
)

// checkRow is the result of one output of one case.
type checkRow struct {
	Case   string  `json:"case"`
	Output string  `json:"output"`
	MaxAbs finite  `json:"max_abs"`
	MaxRel finite  `json:"max_rel"`
	Cosine finite  `json:"cosine"`
	Equal  float64 `json:"equal"`
	Top1   bool    `json:"top1"`
	// Digest is a short hash of the output's type, shape and bytes.
	Digest string `json:"digest"`
	Fail   string `json:"fail,omitempty"`
}

func checkCommand() *cobra.Command {
	var m modelFlags
	pf := planFlags{seconds: 1}
	var dir string
	var asJSON, locate bool
	var rtol, atol, cosine, equal float64
	var top1 bool
	cmd := &cobra.Command{
		Use:   "check MODEL --golden DIR",
		Short: "compare a model's outputs with recorded ones",
		Long: `Runs a model on recorded inputs and compares its outputs with the recorded ones. Each subfolder
of DIR is one case with in.NAME.npy and out.NAME.npy ('/' and ':' in names as '_').
DIR/tolerance.json says how close the outputs must be (rtol, atol, cosine, top1, equal); flags
replace it. Without either all elements must be equal.

--locate runs layer by layer once more and names the first one whose output differs from the
FP32 reference arithmetic, given the same inputs.`,
		Example: `  edgerun check model.onnx --golden goldens/model
  edgerun check model.edge --golden goldens/model --cosine 0.9999 --top1`,
		Args: exactArgs(1, "one MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return usagef("check needs --golden DIR")
			}
			for name, v := range map[string]float64{"rtol": rtol, "atol": atol} {
				if !(v >= 0) {
					return usagef("--%s %v: want 0 or more", name, v)
				}
			}
			for name, v := range map[string]float64{"cosine": cosine, "equal": equal} {
				if !(v >= 0 && v <= 1) {
					return usagef("--%s %v: want 0 to 1", name, v)
				}
			}
			tol, err := golden.ReadTolerance(dir)
			if err != nil {
				return err
			}
			flags := golden.Tolerance{}
			for name, set := range map[string]func(){
				"rtol": func() { flags.RTol = &rtol }, "atol": func() { flags.ATol = &atol },
				"cosine": func() { flags.Cosine = &cosine }, "equal": func() { flags.Equal = &equal }, "top1": func() { flags.Top1 = &top1 },
			} {
				if cmd.Flags().Changed(name) {
					set()
				}
			}
			if !flags.Strict() {
				tol = flags
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			open := m.open
			if locate { // needs the graph as it was read
				open = m.openFresh
			}
			l, err := open(args[0])
			if err != nil {
				return err
			}
			cases, err := golden.Cases(dir)
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
			var rows []checkRow
			plans := map[string]bool{}
			planID := ""
			failed := 0
			var loc *locator
			if locate { // a model of its own, as its layers must not write over their inputs
				m.keepInputs = true
				if loc, err = newLocator(&m, l.Source); err != nil {
					return err
				}
				defer loc.session.Close()
			}
			bar.phase("checking", len(cases), "cases")
			for _, c := range cases {
				in, err := golden.Load(c, "in", names(l.Model.Inputs()))
				if err != nil {
					return err
				}
				want, err := golden.Load(c, "out", names(l.Model.Outputs()))
				if err != nil {
					return err
				}
				out := newOutputs(l.Model)
				if err := s.Run(cmd.Context(), in, out); err != nil {
					return fmt.Errorf("case %s: %w", filepath.Base(c), err)
				}
				if loc != nil {
					if err := loc.session.Run(cmd.Context(), in, newOutputs(l.Model)); err != nil {
						return fmt.Errorf("case %s: %w", filepath.Base(c), err)
					}
				}
				p, err := s.Plan(shapesOf(in))
				if err != nil {
					return err
				}
				planID = p.ID
				plans[p.ID] = true
				for i, o := range l.Model.Outputs() {
					d, err := golden.Compare(out[i], want[i], o.Quant, tol)
					r := checkRow{Case: filepath.Base(c), Output: o.Name, MaxAbs: finite(d.MaxAbs), MaxRel: finite(d.MaxRel), Cosine: finite(d.Cosine), Equal: d.Equal, Top1: d.Top1,
						Digest: tensor.Digest(out[i])}
					if err != nil {
						r.Fail = err.Error()
					} else {
						r.Fail = d.Check(tol)
					}
					if r.Fail != "" {
						failed++
					}
					rows = append(rows, r)
				}
				bar.add(1)
			}
			bar.stop()
			w := cmd.OutOrStdout()
			if asJSON {
				report := map[string]any{"schema": "edgerun.check/1", "model": args[0], "precision": l.Precision.String(), "plan_id": planID,
					"tolerance": tol, "outputs": rows, "failed": failed}
				if loc != nil {
					report["locate"] = loc.report()
				}
				if err := printJSON(w, report); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(w, "%s  %s, plan_id %s", args[0], l.Precision, planID)
				if len(plans) > 1 {
					fmt.Fprintf(w, " (the last of %d)", len(plans))
				}
				fmt.Fprintln(w)
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "case\toutput\tmax abs\tmax rel\tcosine\tequal\ttop-1\t")
				for _, r := range rows {
					verdict, same := "ok", "same"
					if r.Fail != "" {
						verdict = "FAIL: " + r.Fail
					}
					if !r.Top1 {
						same = "differs"
					}
					fmt.Fprintf(t, "%s\t%s\t%.3g\t%.3g\t%.6f\t%.2f %%\t%s\t%s\n", r.Case, r.Output, r.MaxAbs, r.MaxRel, r.Cosine, 100*r.Equal, same, verdict)
				}
				if err := t.Flush(); err != nil {
					return err
				}
				if loc != nil {
					loc.print(w)
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d outputs are beyond the tolerance", failed, len(rows))
			}
			if loc != nil && loc.err != nil {
				return errors.Join(errors.New("--locate"), loc.err)
			}
			return nil
		},
	}
	m.register(cmd)
	cmd.Flags().StringVar(&pf.plan, "plan", "static", "static (a cost model), or a `FILE` that --write-plan has written")
	f := cmd.Flags()
	f.StringVar(&dir, "golden", "", "folder `DIR` of recorded inputs and outputs")
	f.BoolVar(&locate, "locate", false, "name the first layer that differs from the FP32 reference arithmetic")
	f.Float64Var(&rtol, "rtol", 0, "`R` times the golden element is allowed, plus --atol")
	f.Float64Var(&atol, "atol", 0, "`A` per element is allowed, plus --rtol")
	f.Float64Var(&cosine, "cosine", 0, "smallest cosine `C` between an output and its golden")
	f.Float64Var(&equal, "equal", 0, "smallest share `E` of equal elements, 0 to 1")
	f.BoolVar(&top1, "top1", false, "the largest element must be the same")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func names(list []runtime.Info) []string {
	n := make([]string, len(list))
	for i, f := range list {
		n[i] = f.Name
	}
	return n
}

func shapesOf(list []*tensor.Tensor) []tensor.Shape {
	s := make([]tensor.Shape, len(list))
	for i, t := range list {
		s[i] = t.Shape
	}
	return s
}
