package runtime

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/runtime/cache"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/plan"
)

// ErrPlan: a stored plan is not for this model, or not for this machine.
var ErrPlan = plan.ErrChoice

// planSchema is that of PlanFile.
const planSchema = "edgerun.plan/1"

// PlanFile holds what plans of a model choose beyond the cost model. It is written as JSON.
type PlanFile struct {
	Schema   string       `json:"schema"`
	Model    string       `json:"model"` // Model.ID
	CPU      string       `json:"cpu"`   // where it was made; for people
	Features string       `json:"features"`
	Plans    []StoredPlan `json:"plans"`
}

// StoredPlan is for one set of input shapes.
type StoredPlan struct {
	Inputs  []string      `json:"inputs"`    // shapes
	Static  string        `json:"static_id"` // of the plan without choices
	ID      string        `json:"plan_id"`
	Threads int           `json:"threads"` // that it was measured with; 0: it was not
	Layers  []StoredLayer `json:"layers"`  // for which something is chosen
}

// StoredLayer is a choice for one step.
type StoredLayer struct {
	Step      int             `json:"step"` // in the order of the plan
	Name      string          `json:"name"`
	Op        string          `json:"op"`
	Rows      []string        `json:"kernels,omitempty"`
	Ways      map[string]bool `json:"ways,omitempty"`
	OneThread bool            `json:"one_thread,omitempty"`
	StaticUS  float64         `json:"static_us"` // of one run, as measured
	US        float64         `json:"us"`
}

// ReadPlans reads a plan file.
func ReadPlans(path string) (*PlanFile, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > 64<<20 {
		return nil, fmt.Errorf("%s: no plan file: %w", path, ErrPlan)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := parsePlans(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func parsePlans(b []byte) (*PlanFile, error) {
	f := &PlanFile{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("no plan file: %w: %w", err, ErrPlan)
	}
	if f.Schema != planSchema {
		return nil, fmt.Errorf("its schema is %q, want %q: %w", f.Schema, planSchema, ErrPlan)
	}
	return f, nil
}

// ID identifies the model's graph after all passes, the bytes of its constants apart: plan files are for one such graph.
func (m *Model) ID() string {
	m.idOnce.Do(func() {
		if f, err := container.Flatten(m.graph); err == nil {
			h := sha256.Sum256(f.Structure)
			m.id = hex.EncodeToString(h[:6])
		}
	})
	return m.id
}

// UsePlans has plans made as f says, for the shapes that it has; others are left to the cost model. It is to be called before a session is made.
func (m *Model) UsePlans(f *PlanFile) error {
	if f.Model != m.ID() {
		return fmt.Errorf("the plan file is for model %s, this is %s (another model or precision, or another version of edgerun): %w", f.Model, m.ID(), ErrPlan)
	}
	known, here := map[string]cpu.Features{}, map[string]bool{}
	for _, r := range kernels.Table(goruntime.GOARCH) {
		known[r.Name] = r.Needs
	}
	for _, r := range kernels.Here().Rows() {
		here[r.Name] = true
	}
	for i := range f.Plans {
		for _, l := range f.Plans[i].Layers {
			for _, name := range l.Rows {
				needs, ok := known[name]
				if !ok {
					return fmt.Errorf("%s (%s): kernel %q is unknown on %s: %w", l.Name, l.Op, name, goruntime.GOARCH, ErrPlan)
				}
				if !here[name] {
					return fmt.Errorf("%s (%s): kernel %s needs %v, which this CPU or %s lacks: %w", l.Name, l.Op, name, needs, "EDGERUN_CPU", ErrPlan)
				}
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chosen = f.Plans
	return nil
}

// UseTuned has plans made as an earlier Session.Tune with as many threads left them in the cache; where it left nothing the cost model decides.
func (m *Model) UseTuned(threads int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tuned = threads
}

func shapesText(shapes []tensor.Shape) []string {
	list := make([]string, len(shapes))
	for i, s := range shapes {
		list[i] = s.String()
	}
	return list
}

// choose gives a plan the choices that are stored for it.
func (m *Model) choose(p *plan.Plan, shapes []tensor.Shape) (*plan.Plan, error) {
	m.mu.Lock()
	stored, threads := m.chosen, m.tuned
	m.mu.Unlock()
	text := shapesText(shapes)
	if threads > 0 && m.packed != nil {
		if f := m.cachedPlan(p.ID, threads); f != nil {
			stored = append(slices.Clone(stored), f.Plans...)
		}
	}
	for i := range stored {
		if s := &stored[i]; slices.Equal(s.Inputs, text) {
			if s.Static != p.ID {
				return nil, fmt.Errorf("the stored plan for inputs %s follows from plan %s, this version of edgerun makes %s: %w", strings.Join(text, " "), s.Static, p.ID, ErrPlan)
			}
			return s.apply(p)
		}
	}
	return p, nil
}

func (s *StoredPlan) apply(p *plan.Plan) (*plan.Plan, error) {
	var steps []*plan.Step
	p.Walk(func(_ int, s *plan.Step) { steps = append(steps, s) })
	choices := map[int]op.Choice{}
	for _, l := range s.Layers {
		if l.Step < 0 || l.Step >= len(steps) || steps[l.Step].Name != l.Name || steps[l.Step].Op != l.Op {
			return nil, fmt.Errorf("the plan has no layer %d named %s (%s): %w", l.Step, l.Name, l.Op, ErrPlan)
		}
		if _, twice := choices[l.Step]; twice {
			return nil, fmt.Errorf("%s (%s): two choices for one layer: %w", l.Name, l.Op, ErrPlan)
		}
		choices[l.Step] = op.Choice{Rows: l.Rows, Ways: l.Ways, Alone: l.OneThread}
	}
	return p.With(choices), nil
}

// planKey is of what was measured: model, CPU, threads and the plan without choices.
func (m *Model) planKey(static string, threads int) cache.Key {
	return cache.KeyOf("plan", string(m.packed.key[:]), cpu.Name(), strconv.Itoa(threads), static)
}

const planKind = "plan"

// cachedPlan is what Tune left; nil where there is nothing, or nothing that this process can use.
func (m *Model) cachedPlan(static string, threads int) *PlanFile {
	file, err := m.packed.dir.Read(planKind, m.planKey(static, threads), true)
	if err != nil {
		return nil
	}
	b, _ := file.Find(planKind)
	f, err := parsePlans(b)
	if err != nil || len(f.Plans) != 1 || f.Plans[0].Static != static {
		return nil
	}
	return f
}

// Tune measures, on in, the ways to run each layer that give the same results, for at most about limit, and has this session and those that come later
// take the fastest. The choice is left in the cache, and taken from there the next time. It is not for the path of a request: see exec.Instance.Tune.
func (s *Session) Tune(ctx context.Context, in []*tensor.Tensor, limit time.Duration) (err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	shapes := make([]tensor.Shape, len(in))
	for i, t := range in {
		shapes[i] = t.Shape.Clone()
	}
	out := make([]*tensor.Tensor, len(s.model.outputs))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	if err := s.Run(ctx, in, out); err != nil { // the inputs fit
		return err
	}
	m, threads := s.model, s.Threads()
	static, err := m.static(shapes)
	if err != nil {
		return err
	}
	if m.packed == nil || m.cachedPlan(static.ID, threads) == nil {
		m.forget(shapes)
		s.instances = nil
		m.UseTuned(0)
		x, err := s.instance(shapes)
		if err != nil {
			return err
		}
		list, err := x.Tune(ctx, in, limit)
		if err != nil {
			return err
		}
		f := m.newPlanFile()
		p := StoredPlan{Inputs: shapesText(shapes), Static: static.ID, Threads: threads, Layers: []StoredLayer{}}
		var steps []*plan.Step
		static.Walk(func(_ int, s *plan.Step) { steps = append(steps, s) })
		for _, t := range list {
			p.Layers = append(p.Layers, StoredLayer{Step: t.Step, Name: steps[t.Step].Name, Op: steps[t.Step].Op, Rows: t.Choice.Rows, Ways: t.Choice.Ways,
				OneThread: t.Choice.Alone, StaticUS: float64(t.Static) / 1e3, US: float64(t.Best) / 1e3})
		}
		q, err := p.apply(static)
		if err != nil {
			return err
		}
		p.ID = q.ID
		f.Plans = []StoredPlan{p}
		m.mu.Lock()
		m.chosen = append(slices.Clone(m.chosen), p)
		m.mu.Unlock()
		if m.packed != nil {
			if b, err := json.Marshal(f); err == nil {
				_ = m.packed.dir.Write(planKind, m.planKey(static.ID, threads), []cache.Section{{Name: planKind, Data: b}})
			}
		}
	}
	m.UseTuned(threads)
	m.forget(shapes)
	s.instances = nil
	_, err = s.instance(shapes)
	return err
}

// static is the plan for the shapes without choices.
func (m *Model) static(shapes []tensor.Shape) (*plan.Plan, error) {
	if len(shapes) != len(m.inputs) {
		return nil, fmt.Errorf("%d shapes given for %d inputs: %w", len(shapes), len(m.inputs), ErrShape)
	}
	for i := range shapes {
		if err := m.inputs[i].fits(shapes[i]); err != nil {
			return nil, err
		}
	}
	return m.build(shapes)
}

// forget drops the plan for the shapes, so that it is made anew.
func (m *Model) forget(shapes []tensor.Shape) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var key strings.Builder
	for _, s := range shapes {
		key.WriteString(s.String())
	}
	if e, ok := m.plans[key.String()]; ok {
		m.order.Remove(e)
		delete(m.plans, key.String())
	}
}

func (m *Model) newPlanFile() *PlanFile {
	return &PlanFile{Schema: planSchema, Model: m.ID(), CPU: cpu.Name(), Features: kernels.Here().Features.String(), Plans: []StoredPlan{}}
}

// Plans returns the plan for the shapes as a file, whatever made it.
func (m *Model) Plans(shapes []tensor.Shape) (_ *PlanFile, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	static, err := m.static(shapes)
	if err != nil {
		return nil, err
	}
	p, err := m.Plan(shapes)
	if err != nil {
		return nil, err
	}
	f := m.newPlanFile()
	text := shapesText(shapes)
	m.mu.Lock()
	stored, threads := slices.Clone(m.chosen), m.tuned
	m.mu.Unlock()
	if threads > 0 && m.packed != nil {
		if c := m.cachedPlan(static.ID, threads); c != nil {
			stored = append(stored, c.Plans...)
		}
	}
	for _, s := range stored {
		if slices.Equal(s.Inputs, text) && s.Static == static.ID {
			s.ID = p.ID
			f.Plans = append(f.Plans, s)
			return f, nil
		}
	}
	f.Plans = append(f.Plans, StoredPlan{Inputs: text, Static: static.ID, ID: p.ID, Layers: []StoredLayer{}})
	return f, nil
}

// Write writes the file, as a whole or not at all.
func (f *PlanFile) Write(path string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, append(b, '\n'), 0o666); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}
