package runtime

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/plan"
	"github.com/edgerun/edgerun/runtime/pool"
)

// sessionPlans is the number of sets of input shapes whose arenas a session keeps.
const sessionPlans = 4

// MaxThreads is the largest number of threads of a session.
const MaxThreads = 1024

// SessionOptions say how to run a model. The zero value is good.
type SessionOptions struct {
	// Threads is the number of threads; 0 means pool.Usable: as many as affinity, quotas and the speed of the processors make useful.
	Threads int
}

// Session runs a model. It belongs to one goroutine at a time.
type Session struct {
	model     *Model
	pool      *pool.Pool
	instances []*exec.Instance // most recently used first
	shapes    []tensor.Shape
	observe   exec.Observer
}

// NewSession makes a session. Where all input shapes are fixed the model is planned now, so that the first Run has
// nothing left to find wrong.
func (m *Model) NewSession(o SessionOptions) (_ *Session, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	if o.Threads < 0 || o.Threads > MaxThreads {
		return nil, fmt.Errorf("%d threads asked for, want 0 to %d", o.Threads, MaxThreads)
	}
	if o.Threads == 0 {
		o.Threads = min(pool.Usable(), MaxThreads)
	}
	s := &Session{model: m, pool: pool.New(o.Threads), shapes: make([]tensor.Shape, len(m.inputs))}
	fixed := true
	for i, in := range m.inputs {
		s.shapes[i] = in.Shape
		fixed = fixed && in.Shape.Known() && in.DType != tensor.Sequence
	}
	if fixed {
		if _, err := s.instance(s.shapes); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close frees the session's threads and memory, and writes what the cache does not have yet.
func (s *Session) Close() {
	if s.pool != nil {
		s.pool.Close()
	}
	s.model.packed.write()
	s.pool, s.instances = nil, nil
}

// Threads is the number of threads that Run uses.
func (s *Session) Threads() int { return s.pool.Threads() }

// Observe has f called after each step of every Run; nil ends that. Observed runs are slower.
func (s *Session) Observe(f exec.Observer) {
	s.observe = f
	for _, x := range s.instances {
		x.Observe = f
	}
}

// Plan returns the plan for the given shapes, one per input, and makes this session ready to run it.
func (s *Session) Plan(shapes []tensor.Shape) (_ *plan.Plan, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	x, err := s.instance(shapes)
	if err != nil {
		return nil, err
	}
	return x.Plan, nil
}

// Run computes the outputs of in, both in the model's order. An out tensor with data receives its output there and must
// have its type and shape; one without gets new data. The inputs are not modified and may be used by many sessions.
func (s *Session) Run(ctx context.Context, in, out []*tensor.Tensor) (err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	if len(in) != len(s.model.inputs) || len(out) != len(s.model.outputs) {
		return fmt.Errorf("%d inputs and %d outputs given, the model has %d and %d: %w",
			len(in), len(out), len(s.model.inputs), len(s.model.outputs), ErrShape)
	}
	for i, t := range in {
		f := &s.model.inputs[i]
		if t == nil || t.DType != f.DType {
			return fmt.Errorf("input %s: got %v, the model takes %s: %w", f.Name, t, f.Describe(), ErrShape)
		}
		s.shapes[i] = t.Shape
	}
	x, err := s.instance(s.shapes)
	if err != nil {
		return err
	}
	return x.Run(ctx, in, out)
}

// instance finds or makes the instance for the shapes.
func (s *Session) instance(shapes []tensor.Shape) (*exec.Instance, error) {
	if s.pool == nil {
		return nil, ErrClosed
	}
	for i, x := range s.instances {
		if x.Fits(shapes) {
			copy(s.instances[1:i+1], s.instances[:i])
			s.instances[0] = x
			return x, nil
		}
	}
	own := make([]tensor.Shape, len(shapes))
	for i := range shapes {
		own[i] = shapes[i].Clone()
	}
	p, err := s.model.planned(own)
	if err != nil {
		return nil, err
	}
	s.makeRoom(p.plan.ArenaSize)
	x, err := exec.New(p.plan, exec.Options{Par: s.pool, Store: planStore{s.model, p}, MaxMemory: s.model.opts.MaxMemory})
	if err != nil {
		return nil, err
	}
	s.model.packed.writeLater()
	x.Observe = s.observe
	s.instances = append(s.instances, nil)
	copy(s.instances[1:], s.instances)
	s.instances[0] = x
	if len(s.instances) > sessionPlans {
		clear(s.instances[sessionPlans:])
		s.instances = s.instances[:sessionPlans]
	}
	return x, nil
}

// makeRoom forgets the instances used longest ago, so that the others and n bytes more stay within the limit.
func (s *Session) makeRoom(n int) {
	for i, x := range s.instances {
		if n += x.Size(); n > s.model.opts.MaxMemory {
			clear(s.instances[i:])
			s.instances = s.instances[:i]
			return
		}
	}
}
