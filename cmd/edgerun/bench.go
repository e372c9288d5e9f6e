package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/pool"
	"github.com/edgerun/edgerun/runtime/prof"
)

// benchResult is what `bench --json` prints.
type benchResult struct {
	Schema    string   `json:"schema"`
	Model     string   `json:"model"`
	Precision string   `json:"precision"`
	Threads   int      `json:"threads"`
	PlanID    string   `json:"plan_id"`
	Inputs    []string `json:"inputs"` // type and shape of each
	MedianMS  float64  `json:"median_ms"`
	MinMS     float64  `json:"min_ms"`
	P50MS     float64  `json:"p50_ms"`
	P90MS     float64  `json:"p90_ms"`
	P99MS     float64  `json:"p99_ms"`
	Runs      int      `json:"runs"`
	LoadMS    float64  `json:"load_ms"` // reading, planning and the first inference
	// AddedRSSMiB is by how much loading and running raised the largest resident size; see addedMiB.
	AddedRSSMiB *float64 `json:"added_rss_mib,omitempty"`
	ArenaMiB    float64  `json:"arena_mib"`
	MACs        int64    `json:"macs"` // that the operators are defined by
	GMACs       float64  `json:"gmac_per_s"`
	// Executed is the number of multiply-adds that the plan's kernels make, and ShareOfPeak the time that they would take at this
	// machine's peaks for their numerics, as a share of the median.
	Executed    int64             `json:"executed_macs"`
	ShareOfPeak float64           `json:"share_of_peak"`
	Peaks       []peak.Arithmetic `json:"peaks"`
}

func benchCommand() *cobra.Command {
	var m modelFlags
	var pf planFlags
	var shapes []string
	var seconds float64
	var runs, warmup int
	var asJSON, machine bool
	cmd := &cobra.Command{
		Use:   "bench MODEL | bench --peak",
		Short: "measure the latency of a model on random inputs",
		Long: `Runs a model back to back on random inputs and prints the latency of one inference. All
outputs are computed in every run, with the same plan that 'edgerun check' uses. The share of
the peak is the time that the multiply-adds that are really executed would take in registers
alone, over the median. The memory is by how much loading and running raise the largest resident
size of the process, random inputs apart.

With --peak it measures this machine instead, on 1 to --threads threads: multiply-adds in
registers for each kind of arithmetic and instruction, and reading from each level of memory.`,
		Example: `  edgerun bench model.onnx --threads 2 --seconds 3
  edgerun bench model.onnx --shape input=1,3,224,224 --runs 100 --warmup 10 --json
  EDGERUN_CPU=-avx512 edgerun bench --peak`,
		Args: func(cmd *cobra.Command, args []string) error {
			if machine {
				return exactArgs(0, "no MODEL with --peak")(cmd, args)
			}
			return exactArgs(1, "one MODEL")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if machine {
				if err := m.check(); err != nil {
					return err
				}
				return benchPeak(cmd, m.threads, asJSON)
			}
			if runs < 0 || warmup < 0 || !(seconds > 0) {
				return usagef("--runs and --warmup must not be negative, and --seconds must be positive")
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			base, haveRSS := peakRSS()
			start := time.Now()
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
			opened := time.Since(start)
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
			times, err := measure(cmd.Context(), s, in, out, seconds, runs, warmup, bar)
			bar.stop()
			if err != nil {
				return err
			}
			p, err := s.Plan(shapesOf(in))
			if err != nil {
				return err
			}
			r := benchResult{Schema: "edgerun.bench/1", Model: args[0], Precision: l.Precision.String(), Threads: s.Threads(), PlanID: p.ID,
				MedianMS: quantile(times, .5), MinMS: ms(times[0]), P50MS: quantile(times, .5), P90MS: quantile(times, .9), P99MS: quantile(times, .99), Runs: len(times),
				LoadMS: ms(opened + first.took), ArenaMiB: float64(p.ArenaSize) / (1 << 20), MACs: p.MACs()}
			for _, t := range in {
				r.Inputs = append(r.Inputs, t.String())
			}
			r.GMACs = float64(r.MACs) / r.MedianMS / 1e6
			if now, ok := peakRSS(); ok && haveRSS {
				inputs := 0
				for _, t := range in {
					inputs += t.MemorySize()
				}
				added := addedMiB(base, first.peakRSS, now, int64(inputs))
				r.AddedRSSMiB = &added
			}
			if err := r.compare(cmd.Context(), s, in, out); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "%s  %s, %s, plan_id %s\n", args[0], r.Precision, threadCount(r.Threads), r.PlanID)
			fmt.Fprintf(w, "inputs    %s\n", someOf(r.Inputs))
			fmt.Fprintf(w, "latency   median %.3f ms   min %.3f   p90 %.3f   p99 %.3f   (%d runs)\n", r.MedianMS, r.MinMS, r.P90MS, r.P99MS, r.Runs)
			fmt.Fprintf(w, "work      %.1f million MAC, %.2f GMAC/s\n", float64(r.MACs)/1e6, r.GMACs)
			if r.ShareOfPeak > 0 {
				fmt.Fprintf(w, "          %.1f million executed, %.1f %% of this machine's peak", float64(r.Executed)/1e6, 100*r.ShareOfPeak)
				for i, a := range r.Peaks {
					fmt.Fprintf(w, "%s%s %.0f GMAC/s", [2]string{" (", ", "}[min(i, 1)], a.Numerics, a.GMACs)
				}
				fmt.Fprintln(w, ")")
			}
			fmt.Fprintf(w, "memory    arena %.2f MiB", r.ArenaMiB)
			if r.AddedRSSMiB != nil {
				fmt.Fprintf(w, ", loading and running added %.1f MiB", *r.AddedRSSMiB)
			}
			_, err = fmt.Fprintf(w, "\nload      %.1f ms to the first result\n", r.LoadMS)
			return err
		},
	}
	m.register(cmd)
	pf.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&shapes, "shape", nil, "`NAME=1,3,224,224`: the shape of an input with free extents (repeatable)")
	f.Float64Var(&seconds, "seconds", 1, "measure for `S` seconds")
	f.IntVar(&runs, "runs", 0, "measure `N` inferences instead of --seconds")
	f.IntVar(&warmup, "warmup", 3, "run `M` inferences before measuring")
	f.BoolVar(&machine, "peak", false, "measure this machine instead of a model")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// addedMiB is by how much loading and running raised the largest resident size above base, in MiB: before the inputs were drawn, or until now without
// them, as they are the caller's. What loading gave back before the inputs came counts either way.
func addedMiB(base, beforeInputs, now, inputs int64) float64 {
	return float64(max(beforeInputs, now-inputs)-base) / (1 << 20)
}

// compare runs once more, observed, to see what is executed, and sets that against the machine's peaks.
func (r *benchResult) compare(ctx context.Context, s *runtime.Session, in, out []*tensor.Tensor) error {
	p := prof.New()
	s.Observe(p.Observe)
	defer s.Observe(nil)
	if err := s.Run(ctx, in, out); err != nil {
		return err
	}
	p.Next()
	least := 0.0 // ms
	work := p.Work()
	r.Peaks = []peak.Arithmetic{}
	for _, n := range slices.Sorted(maps.Keys(work)) {
		m := peak.For(n, s.Threads())
		r.Peaks = append(r.Peaks, m.Arithmetic...)
		r.Executed += work[n]
		least += float64(work[n]) / m.Rate(n) / 1e6
	}
	r.ShareOfPeak = least / r.MedianMS
	return nil
}

func threadCount(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// someOf joins the first few of a list.
func someOf(list []string) string {
	const most = 4
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], " "), len(list)-most)
	}
	return strings.Join(list, " ")
}

// measure runs the session back to back and returns the sorted times.
func measure(ctx context.Context, s *runtime.Session, in, out []*tensor.Tensor, seconds float64, runs, warmup int, bar *progress) ([]time.Duration, error) {
	bar.phase("warming up", warmup, "runs")
	for range warmup {
		if err := s.Run(ctx, in, out); err != nil {
			return nil, err
		}
		bar.add(1)
	}
	least := 5 // even where one inference takes longer than the time asked for
	if runs > 0 {
		least, seconds = runs, 0
	}
	times := make([]time.Duration, 0, max(least, 1024))
	if runs > 0 {
		bar.phase("measuring", runs, "runs")
	} else {
		bar.timed("measuring", time.Duration(seconds*float64(time.Second)))
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for len(times) < least || seconds > 0 && time.Now().Before(end) {
		start := time.Now()
		if err := s.Run(ctx, in, out); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
		bar.add(1)
	}
	slices.Sort(times)
	return times, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile of sorted times in ms, by the nearest rank.
func quantile(times []time.Duration, q float64) float64 {
	i := int(math.Ceil(q*float64(len(times)))) - 1
	return ms(times[min(max(i, 0), len(times)-1)])
}

// median of times in ms.
func median(times []time.Duration) float64 {
	sorted := slices.Clone(times)
	slices.Sort(sorted)
	return quantile(sorted, .5)
}

// benchPeak measures the machine on 1 to most threads.
func benchPeak(cmd *cobra.Command, most int, asJSON bool) error {
	if most == 0 {
		most = pool.Usable()
	}
	bar := newProgress(cmd, asJSON)
	defer bar.stop()
	bar.phase("measuring the machine", most, "threads")
	var list []*peak.Machine
	for n := 1; n <= most; n++ {
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		list = append(list, peak.Measure(n))
		bar.add(1)
	}
	bar.stop()
	if asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.peak/1", "cpu": cpu.Name(), "machines": list})
	}
	return printPeak(cmd.OutOrStdout(), list)
}

func printPeak(w io.Writer, list []*peak.Machine) error {
	fmt.Fprintf(w, "%s; a multiply-add counts as two operations\n\n", cpu.Name())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "arithmetic, GOP/s\tneeds\t")
	for _, m := range list {
		fmt.Fprintf(t, "%s\t", threadCount(m.Threads))
	}
	fmt.Fprintln(t)
	for i, a := range list[0].Arithmetic {
		fmt.Fprintf(t, "%s %s\t%s\t", a.Numerics, a.Kernel, a.Needs)
		for _, m := range list {
			fmt.Fprintf(t, "%.1f\t", m.Arithmetic[i].GOPs)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\t\t\nreading, GB/s\tholds\t\n")
	for i, l := range list[0].Memory {
		holds := ""
		if l.Bytes > 0 {
			holds = fmt.Sprintf("%d KiB", l.Bytes>>10)
		}
		fmt.Fprintf(t, "%s\t%s\t", l.Level, holds)
		for _, m := range list {
			if i < len(m.Memory) && m.Memory[i].Level == l.Level {
				fmt.Fprintf(t, "%.1f\t", m.Memory[i].GBs)
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
