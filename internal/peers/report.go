package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/edgerun/edgerun/internal/cases"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/prof"
)

type report struct {
	rows []row
	peak struct {
		CPU      string
		Machines []peak.Machine
	}
	version  struct{ Version, Go, OS, Arch string }
	profiles []profile
}

// row is a row of compare.py.
type row struct {
	Case    string
	Threads int
	Results map[string]measured
}

type measured struct {
	Error       string
	Median      float64 `json:"median_ms"`
	AddedRSS    float64 `json:"added_rss_mib"`
	ShareOfPeak float64 `json:"share_of_peak"`
}

// profile is what edgerun profile says about a case.
type profile struct {
	Case      string `json:"-"`
	Precision string
	Threads   int
	Steps     []prof.Step
}

const self = "edgerun"

// row is the row as the table shows it.
func (r *row) row() cases.Row {
	mine := r.Results[self]
	t := cases.Row{Case: r.Case, Threads: r.Threads, MS: mine.Median, Share: mine.ShareOfPeak, MiB: mine.AddedRSS, LeastMiB: math.Inf(1)}
	var others []string
	for _, e := range slices.Sorted(maps.Keys(r.Results)) {
		m := r.Results[e]
		switch {
		case e == self:
		case m.Error != "":
			others = append(others, e+" fails")
		default:
			t.LeastMiB = min(t.LeastMiB, m.AddedRSS)
			if t.Peer == "" || m.Median < t.PeerMS {
				t.Peer, t.PeerMS = e, m.Median
			}
		}
	}
	if t.Peer == "" {
		t.LeastMiB = 0
	}
	for _, e := range slices.Sorted(maps.Keys(r.Results)) {
		if m := r.Results[e]; e != self && e != t.Peer && m.Error == "" {
			others = append(others, fmt.Sprintf("%s %.4g", e, m.Median))
		}
	}
	if mine.Error != "" {
		t.MS = 0
		others = append(others, self+": "+cell(mine.Error))
	}
	t.Others = strings.Join(others, ", ")
	return t
}

func (r *report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Performance\n\nMeasured by `make bench-peers` on %s, version %s, on\n%s, %s/%s, %s.\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		r.version.Version, r.peak.CPU, r.version.OS, r.version.Arch, r.version.Go)
	r.machine(&b)
	r.table(&b)
	r.layers(&b)
	return b.Bytes()
}

func (r *report) machine(b *bytes.Buffer) {
	fmt.Fprint(b, "\n## What the machine can do\n\nA multiply-add in registers counts as two operations (`edgerun bench --peak`).\n\n| |")
	for _, m := range r.peak.Machines {
		fmt.Fprintf(b, " %d threads |", m.Threads)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(r.peak.Machines)))
	if len(r.peak.Machines) == 0 {
		return
	}
	for i, a := range r.peak.Machines[0].Arithmetic {
		fmt.Fprintf(b, "| %s, %s |", a.Numerics, a.Needs)
		for _, m := range r.peak.Machines {
			fmt.Fprintf(b, " %.0f GOP/s |", m.Arithmetic[i].GOPs)
		}
		fmt.Fprintln(b)
	}
	for _, l := range r.peak.Machines[0].Memory {
		fmt.Fprintf(b, "| reading from %s |", l.Level)
		for _, m := range r.peak.Machines {
			text := ""
			for _, x := range m.Memory {
				if x.Level == l.Level {
					text = fmt.Sprintf("%.0f GB/s", x.GBs)
				}
			}
			fmt.Fprintf(b, " %s |", text)
		}
		fmt.Fprintln(b)
	}
}

func (r *report) table(b *bytes.Buffer) {
	fmt.Fprint(b, `
## Against other runtimes

Latency of one inference in ms, all engines in turn in one run; the ratio is the best peer's latency over edgerun's, so above 1 edgerun is
ahead. Memory is what loading and running add to the resident size, in MiB, inputs apart. The share of the peak counts executed multiply-adds.

`+cases.Head)
	list := make([]cases.Row, len(r.rows))
	for i := range r.rows {
		list[i] = r.rows[i].row()
		fmt.Fprintln(b, list[i])
	}
	s := cases.Summarise(list)
	if s.Rows > 0 {
		fmt.Fprintf(b, "\nGeometric mean of the ratio: **%.3f** over the %d rows whose best peer takes %g ms or more; ahead in %d of them, worst %.2f; more memory than the\nleast of the peers in %d. ",
			s.Mean, s.Rows, cases.Counted, s.Ahead, s.Worst, s.Heavy)
	}
	fmt.Fprintf(b, "Below that: behind in %d of %d rows.\n", s.SmallBehind, s.Small)
}

func cell(s string) string {
	s, _, _ = strings.Cut(strings.ReplaceAll(s, "|", "/"), "\n")
	return s
}

// furthest is the number of layers that are shown per case.
const furthest = 3

func (r *report) layers(b *bytes.Buffer) {
	fmt.Fprint(b, `
## Where the time goes

For each case, on one thread, the layers that lose most time against their bound (the time that their multiply-adds take at the peak, or their
bytes from the level of memory that holds them, whichever is longer), and why. The first line of a case adds all layers.

| case | layer | kernel | ms | bound | of bound | why |
|---|---|---|---|---|---|---|
`)
	rows := map[string]*spec.Row{}
	table := kernels.Table(runtime.GOARCH)
	for i := range table {
		rows[table[i].Name] = &table[i]
	}
	for _, p := range r.profiles {
		total, bound := 0.0, 0.0
		for _, s := range p.Steps {
			if s.Bound != "" {
				calls := float64(max(1, s.Calls))
				total, bound = total+s.MedianMS*calls, bound+s.BoundMS*calls
			}
		}
		if total == 0 {
			continue
		}
		fmt.Fprintf(b, "| **%s** (%s) | %d layers | | %.4g | %.4g | %.0f %% | |\n", p.Case, p.Precision, len(p.Steps), total, bound, 100*bound/total)
		slices.SortStableFunc(p.Steps, func(x, y prof.Step) int { return cmp.Compare(y.LostMS, x.LostMS) })
		for _, s := range p.Steps[:min(furthest, len(p.Steps))] {
			at := s.Bound
			if at == "memory" {
				at = s.Level
			}
			fmt.Fprintf(b, "| | %s (%s) | %s | %.4g | %.4g (%s) | %.0f %% | %s |\n", cell(s.Name), s.Op, strings.Join(s.Kernels, ", "), s.MedianMS, s.BoundMS, at,
				100*s.ShareOfBound, why(&s, rows, total))
		}
	}
}

// why tells what keeps a step from its bound, as far as its shape and its kernel show it.
func why(s *prof.Step, rows map[string]*spec.Row, total float64) string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if s.LostMS < .01*total {
		add("near its bound: no layer loses more")
	}
	var main *spec.Row // of the products
	for _, name := range s.Kernels {
		if r := rows[name]; r != nil && r.Op.Multiplies() && main == nil {
			main = r
		}
	}
	d, shape := outputOf(s.Output)
	switch {
	case len(s.Kernels) == 0 && s.MACs > 0:
		add("multiplied by plain Go, %.2f GOP/s", s.GOPs)
	case len(s.Kernels) == 0:
		add("elements are moved or mapped, %.1f GB/s", s.GBs)
	case main != nil && main.Needs == 0:
		add("no kernel in assembly for %v×%v here", main.In, main.W)
	case main == nil:
		add("%.1f GB/s through %s", s.GBs, s.Kernels[0])
	}
	if main != nil && !main.In.IsFloat() && main.Out == main.Acc && d != main.Out.String() {
		add("the kernel's sums of %v become %v in plain Go", main.Out, d)
	}
	if main != nil && len(shape) > 0 && s.MACs > 0 {
		cols := shape[len(shape)-1]
		total := shape.Len()
		depth := float64(s.MACs) / float64(max(1, total)) // multiply-adds per element
		if main.Op == spec.Gemm && cols > 0 {
			m := total / cols
			fill := filled(m, main.MR) * filled(cols, main.NR)
			switch {
			case m < main.MR:
				add("%d rows for tiles of %d: weights are read from %s once per %d rows, %.1f GB/s", m, main.MR, s.Level, m, s.GBs)
			case fill < .85:
				add("%d×%d of output fills tiles of %d×%d to %.0f %%", m, cols, main.MR, main.NR, 100*fill)
			}
			if depth < 48 && m >= main.MR {
				add("sums of %.0f products only, so that reading and storing %v weighs", depth, d)
			}
		}
		if main.Op == spec.Gemv {
			add("weights are read from %s once, %.1f GB/s", s.Level, s.GBs)
		}
		if main.Op == spec.DepthwiseRow {
			add("%.0f taps per element: each column is loaded once per line of taps; %.1f GB/s", depth, s.GBs)
		}
	}
	if s.MedianMS < .01 {
		add("short: its start is a good part of %.1f µs", 1e3*s.MedianMS)
	}
	if len(list) == 0 {
		add("%.0f %% of the peak at %.1f GB/s: panels and rows come from %s", 100*s.ShareOfPeak, s.GBs, s.Level)
	}
	return strings.Join(list, "; ")
}

// filled is the share of whole tiles that n elements use.
func filled(n, tile int) float64 { return float64(n) / float64((n+tile-1)/tile*tile) }

// outputOf reads a type and shape as in f32[1,224,224,3].
func outputOf(s string) (string, tensor.Shape) {
	d, rest, ok := strings.Cut(s, "[")
	rest, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return d, nil
	}
	var shape tensor.Shape
	for _, f := range strings.Split(rest, ",") {
		n := 0
		if _, err := fmt.Sscan(f, &n); err != nil {
			return d, nil
		}
		shape = append(shape, n)
	}
	return d, shape
}
