// Package prof records where the time of inferences goes: per step, as a table, as JSON and as a trace that Perfetto
// and chrome://tracing open. Importers: runtime's users.
package prof

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Step is the record of one step of a plan.
type Step struct {
	Name     string  `json:"name"`
	Op       string  `json:"op"`
	Output   string  `json:"output"` // type and shape
	Calls    int     `json:"calls"`  // per inference, on average; 0 for fewer than one
	MedianMS float64 `json:"median_ms"`
	Share    float64 `json:"share"` // of the sum of all medians times calls; 0 for control flow, whose time is that of the steps inside
	MACs     int64   `json:"macs"`
	GMACs    float64 `json:"gmac_per_s"`
	Bytes    int     `json:"bytes"` // of inputs and outputs
}

// Profile collects observations. Use Observe as a session's observer, and call Next after each inference.
type Profile struct {
	index map[*plan.Step]int
	steps []record
	runs  int
	start time.Time
	trace []event
}

type record struct {
	step  *plan.Step
	out   string
	bytes int
	took  []time.Duration
}

type event struct {
	Name string            `json:"name"`
	Cat  string            `json:"cat"`
	Ph   string            `json:"ph"`
	TS   float64           `json:"ts"`  // µs
	Dur  float64           `json:"dur"` // µs
	PID  int               `json:"pid"`
	TID  int               `json:"tid"`
	Args map[string]string `json:"args,omitempty"`
}

// maxEvents bounds the trace.
const maxEvents = 200_000

// New makes an empty profile.
func New() *Profile {
	return &Profile{index: map[*plan.Step]int{}, start: time.Now(), trace: []event{}}
}

// Observe is an exec.Observer.
func (p *Profile) Observe(s *plan.Step, in, out []*tensor.Tensor, took time.Duration) {
	i, ok := p.index[s]
	if !ok {
		i = len(p.steps)
		p.index[s] = i
		r := record{step: s}
		if len(out) > 0 && out[0] != nil {
			r.out = out[0].String()
		}
		for _, list := range [2][]*tensor.Tensor{in, out} {
			for _, t := range list {
				if t != nil {
					r.bytes += len(t.Data)
				}
			}
		}
		p.steps = append(p.steps, r)
	}
	p.steps[i].took = append(p.steps[i].took, took)
	if len(p.trace) < maxEvents {
		end := us(time.Since(p.start))
		begin := end - us(took)
		if s.Flow != plan.None {
			// The steps inside were recorded before. Slices of one thread must nest, whatever the clock's readings add.
			for _, e := range slices.Backward(p.trace) {
				if e.TS+e.Dur <= begin {
					break
				}
				begin = min(begin, e.TS)
			}
		}
		p.trace = append(p.trace, event{Name: s.Name, Cat: s.Op, Ph: "X", TS: begin, Dur: end - begin, PID: 1, TID: 1,
			Args: map[string]string{"output": p.steps[i].out}})
	}
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Next marks the end of an inference.
func (p *Profile) Next() { p.runs++ }

// Steps returns the records in the order in which the steps first ran.
func (p *Profile) Steps() []Step {
	list := make([]Step, len(p.steps))
	total := 0.0
	for i, r := range p.steps {
		took := slices.Clone(r.took)
		slices.Sort(took)
		ms := float64(took[len(took)/2]) / float64(time.Millisecond)
		calls := 0
		if p.runs > 0 {
			calls = len(took) / p.runs
		}
		list[i] = Step{Name: r.step.Name, Op: r.step.Op, Output: r.out, Calls: calls, MedianMS: ms, MACs: r.step.MACs, Bytes: r.bytes}
		if ms > 0 {
			list[i].GMACs = float64(r.step.MACs) / ms / 1e6
		}
		if r.step.Flow == plan.None { // the time of control flow is that of the steps inside
			total += ms * float64(max(1, calls))
		}
	}
	for i := range list {
		if total > 0 && p.steps[i].step.Flow == plan.None {
			list[i].Share = list[i].MedianMS * float64(max(1, list[i].Calls)) / total
		}
	}
	return list
}

// Table writes the steps, the slowest first where sorted, and sums by operator. top bounds the steps shown; 0 shows all.
// Long names are shortened in the middle, so that lines keep to 110 columns; Steps has them in full.
func (p *Profile) Table(w io.Writer, sorted bool, top int) error {
	steps := p.Steps()
	byOp := map[string]float64{}
	count := map[string]int{}
	for _, s := range steps {
		byOp[s.Op] += s.Share
		count[s.Op]++
	}
	if sorted {
		slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(b.Share, a.Share) })
	}
	if top > 0 && top < len(steps) {
		steps = steps[:top]
	}
	t := table{numbers: 5}
	t.add("ms", "share", "GMAC/s", "MAC", "bytes", "operator", "layer", "output")
	for _, s := range steps {
		rate, macs := "", ""
		if s.MACs > 0 {
			rate, macs = fmt.Sprintf("%.2f", s.GMACs), fmt.Sprint(s.MACs)
		}
		t.add(fmt.Sprintf("%.4f", s.MedianMS), fmt.Sprintf("%.1f %%", 100*s.Share), rate, macs, fmt.Sprint(s.Bytes), s.Op, s.Name, s.Output)
	}
	t.fit(tableWidth, 5, 6, 7)
	if err := t.write(w); err != nil {
		return err
	}
	ops := make([]string, 0, len(byOp))
	for op := range byOp {
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b string) int { return cmp.Or(cmp.Compare(byOp[b], byOp[a]), cmp.Compare(a, b)) })
	t = table{numbers: 2}
	t.add("share", "layers", "operator")
	for _, op := range ops {
		t.add(fmt.Sprintf("%.1f %%", 100*byOp[op]), fmt.Sprint(count[op]), op)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w)
}

// Trace writes the events in the Chrome trace format.
func (p *Profile) Trace(w io.Writer) error {
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": p.trace, "displayTimeUnit": "ms"})
}
