// Package prof records where the time of inferences goes: per step, against what the machine can do, as a table, as JSON
// and as a trace that Perfetto and chrome://tracing open. Importers: runtime's users.
package prof

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Step is the record of one step of a plan. Rates and shares are 0 where they are not known: where nothing is multiplied, or where the
// machine was not measured.
type Step struct {
	Name     string   `json:"name"`
	Op       string   `json:"op"`
	Output   string   `json:"output"`  // type and shape
	Kernels  []string `json:"kernels"` // rows of the kernel table that were selected for it; none where it maps or moves elements, or is plain Go
	Numerics string   `json:"numerics"`
	Calls    int      `json:"calls"` // per inference, on average; 0 for fewer than one
	MedianMS float64  `json:"median_ms"`
	Share    float64  `json:"share"` // of the sum of all medians times calls; 0 for control flow, whose time is that of the steps inside
	// MACs is the number of multiply-adds that are executed, which an algorithm (Winograd, say) may make fewer than the operator's definition has.
	MACs        int64   `json:"macs"`
	GMACs       float64 `json:"gmac_per_s"`
	GOPs        float64 `json:"gop_per_s"` // two operations per multiply-add
	ShareOfPeak float64 `json:"share_of_peak"`
	Bytes       int     `json:"bytes"` // of inputs, weights included, and outputs
	GBs         float64 `json:"gb_per_s"`
	// Bound is what limits the step, compute or memory: whichever would take longer at the machine's best rate, which is BoundMS. Level is the
	// memory that holds Bytes.
	Bound        string  `json:"bound,omitempty"`
	Level        string  `json:"level,omitempty"`
	BoundMS      float64 `json:"bound_ms"`
	ShareOfBound float64 `json:"share_of_bound"`
	LostMS       float64 `json:"lost_ms"` // per inference, against the bound
}

// Profile collects observations. Use Observe as a session's observer, and call Next after each inference.
type Profile struct {
	// Machine is what steps are measured against; nil where that is not known.
	Machine *peak.Machine
	index   map[*plan.Step]int
	steps   []record
	runs    int
	start   time.Time
	trace   []event
	lanes   int
}

type record struct {
	step     *plan.Step
	out      string
	bytes    int
	kernels  []string
	macs     int64
	numerics num.Numerics
	took     []time.Duration
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
func (p *Profile) Observe(e *exec.Event) {
	i, ok := p.index[e.Step]
	if !ok {
		i = len(p.steps)
		p.index[e.Step] = i
		p.steps = append(p.steps, recordOf(e))
	}
	r := &p.steps[i]
	r.took = append(r.took, e.Took)
	if len(p.trace) >= maxEvents {
		return
	}
	args := map[string]string{"output": r.out}
	if len(r.kernels) > 0 {
		args["kernels"] = fmt.Sprint(r.kernels)
	}
	p.trace = append(p.trace, event{Name: e.Name, Cat: e.Op, Ph: "X", TS: us(e.Start.Sub(p.start)), Dur: us(e.Took), PID: 1, TID: layerTrack, Args: args})
	for _, s := range e.Spans {
		p.lanes = max(p.lanes, s.Lane+1)
		p.trace = append(p.trace, event{Name: e.Name, Cat: e.Op, Ph: "X", TS: us(s.Start.Sub(p.start)), Dur: us(s.Took), PID: 1, TID: layerTrack + 1 + s.Lane})
	}
}

// layerTrack is the track of layers; those of the threads follow it.
const layerTrack = 1

func recordOf(e *exec.Event) record {
	r := record{step: e.Step, macs: e.MACs, numerics: numericsOf(e), kernels: []string{}}
	if len(e.Out) > 0 && e.Out[0] != nil {
		r.out = e.Out[0].String()
	}
	for _, list := range [2][]*tensor.Tensor{e.In, e.Out} {
		for _, t := range list {
			if t != nil {
				r.bytes += len(t.Data)
			}
		}
	}
	executed := int64(0)
	for _, u := range e.Uses {
		r.kernels = append(r.kernels, u.Row.Name)
		executed += u.MACs
	}
	if executed > 0 {
		r.macs = executed
	}
	return r
}

// numericsOf tells in which arithmetic a step multiplies: fp32, bf16 or int8.
func numericsOf(e *exec.Event) num.Numerics {
	for _, u := range e.Uses {
		if u.Row.Op.Multiplies() {
			return peak.NumericsOf(u.Row)
		}
	}
	if len(e.In) > 0 && e.In[0] != nil && (e.In[0].Quant != nil || e.In[0].DType == tensor.I8 || e.In[0].DType == tensor.U8) {
		return num.Int8
	}
	if e.Num == num.BF16 {
		return num.BF16
	}
	return num.FP32
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Next marks the end of an inference.
func (p *Profile) Next() { p.runs++ }

// calls is how often a step runs per inference.
func (p *Profile) calls(r *record) int {
	if p.runs == 0 {
		return 0
	}
	return len(r.took) / p.runs
}

// Work is the number of multiply-adds that one inference executes, by numerics: fp32, bf16 and int8.
func (p *Profile) Work() map[num.Numerics]int64 {
	work := map[num.Numerics]int64{}
	for i := range p.steps {
		if r := &p.steps[i]; r.macs > 0 {
			work[r.numerics] += r.macs * int64(max(1, p.calls(r)))
		}
	}
	return work
}

// Steps returns the records in the order in which the steps first ran.
func (p *Profile) Steps() []Step {
	list := make([]Step, len(p.steps))
	total := 0.0
	for i := range p.steps {
		r := &p.steps[i]
		took := slices.Clone(r.took)
		slices.Sort(took)
		ms := float64(took[len(took)/2]) / float64(time.Millisecond)
		s := Step{Name: r.step.Name, Op: r.step.Op, Output: r.out, Kernels: r.kernels, Numerics: r.numerics.String(),
			Calls: p.calls(r), MedianMS: ms, MACs: r.macs, Bytes: r.bytes}
		if r.step.Flow == plan.None && !r.step.View { // the time of control flow is that of the steps inside
			total += ms * float64(max(1, s.Calls))
			p.against(&s, r)
		}
		list[i] = s
	}
	for i := range list {
		if total > 0 && p.steps[i].step.Flow == plan.None {
			list[i].Share = list[i].MedianMS * float64(max(1, list[i].Calls)) / total
		}
	}
	return list
}

// against sets the rates of a step, and compares them with the machine's.
func (p *Profile) against(s *Step, r *record) {
	if s.MedianMS <= 0 {
		return
	}
	perMS := 1 / s.MedianMS / 1e6 // from one per step to 1e9 per second
	s.GMACs, s.GBs = float64(s.MACs)*perMS, float64(s.Bytes)*perMS
	s.GOPs = 2 * s.GMACs
	if p.Machine == nil {
		return
	}
	compute, memory := 0.0, 0.0 // ms
	if rate := p.Machine.Rate(r.numerics); rate > 0 {
		s.ShareOfPeak = s.GMACs / rate
		compute = float64(s.MACs) / rate / 1e6
	}
	if rate, level := p.Machine.Bandwidth(s.Bytes); rate > 0 {
		s.Level = level
		memory = float64(s.Bytes) / rate / 1e6
	}
	if s.Bound, s.BoundMS = "memory", memory; compute > memory {
		s.Bound, s.BoundMS = "compute", compute
	}
	s.ShareOfBound = s.BoundMS / s.MedianMS
	s.LostMS = max(0, s.MedianMS-s.BoundMS) * float64(max(1, s.Calls))
}

// Trace writes the events in the Chrome trace format: a track of layers, and one for each thread, with the pieces of loops that it ran.
func (p *Profile) Trace(w io.Writer) error {
	named := func(tid int, name string) event {
		return event{Name: "thread_name", Ph: "M", PID: 1, TID: tid, Args: map[string]string{"name": name}}
	}
	all := []event{}
	if len(p.trace) > 0 {
		all = append(all, named(layerTrack, "layers"))
		for i := range p.lanes {
			all = append(all, named(layerTrack+1+i, fmt.Sprintf("thread %d", i+1)))
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": append(all, p.trace...), "displayTimeUnit": "ms"})
}
