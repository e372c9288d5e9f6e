package runtime

import (
	"container/list"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/ops"
	"github.com/edgerun/edgerun/runtime/opt"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Errors that callers tell apart.
var (
	// ErrShape: an input or output tensor has the wrong type or shape.
	ErrShape = exec.ErrShape
	// ErrUnsupported: the model uses an operator that the runtime does not have.
	ErrUnsupported = plan.ErrUnsupported
	// ErrTooLarge: a limit on memory would be passed.
	ErrTooLarge = tensor.ErrTooLarge
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("session is closed")
)

// DefaultMaxMemory bounds the tensors of one session unless Options say otherwise, in bytes.
const DefaultMaxMemory = min(4<<30, math.MaxInt)

// DefaultPlans is the number of plans, one per set of input shapes, that a model keeps unless Options say otherwise.
const DefaultPlans = 16

// Options say how to load a model. The zero value is good.
type Options struct {
	// MaxMemory bounds the bytes of a session's tensors and of its operators' buffers; the bytes of constants that passes make
	// of the model's own; and, for each plan that is kept, the bytes of constants that planning makes. The model's own weights, the
	// form in which kernels read constants, and outputs, which belong to the caller, are not counted. 0 means DefaultMaxMemory.
	MaxMemory int
	// Plans bounds the plans that are kept. 0 means DefaultPlans.
	Plans int
	// KeepInputs makes no layer write over its inputs, so that an observer sees what it was given.
	KeepInputs bool
	// SkipPasses names passes of package opt to leave out, for debugging.
	SkipPasses []string
	// AfterPass, if set, sees the graph after each pass.
	AfterPass func(pass string, g *model.Graph)
}

// Info describes one input or output of a model.
type Info struct {
	Name  string
	DType tensor.DType
	// Shape has -1 where an extent is free, and is nil where the rank is. Dims names free extents that have a name.
	Shape tensor.Shape
	Dims  []string
	Quant *tensor.QParams
}

// Model is a network that is ready to be planned. It is immutable and safe for use by many goroutines.
type Model struct {
	graph           *model.Graph
	meta            map[string]string
	inputs, outputs []Info
	opts            Options
	store           store          // of what is computed from the graph's constants
	consts          map[*byte]bool // where the data of these begin

	mu    sync.Mutex
	plans map[string]*list.Element // of *planned, most recently used first in order
	order list.List
}

type planned struct {
	key  string
	once sync.Once
	plan *plan.Plan
	err  error
	// store is of what is computed from constants that exist for this plan's shapes only.
	store store
}

// New makes a model of a graph, which it does not change.
func New(g *model.Graph, o Options) (*Model, error) {
	if err := model.Verify(g); err != nil {
		return nil, err
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Plans == 0 {
		o.Plans = DefaultPlans
	}
	m := &Model{graph: g.Clone(), meta: g.Meta, opts: o, plans: map[string]*list.Element{}}
	m.inputs = infos(m.graph.Inputs)
	names := infos(m.graph.Outputs)
	if err := opt.Run(m.passes(), m.graph); err != nil {
		return nil, err
	}
	if err := model.Verify(m.graph); err != nil {
		return nil, fmt.Errorf("BUG: after optimisation: %w", err)
	}
	m.consts = dataOf(m.graph)
	m.outputs = infos(m.graph.Outputs)
	for i := range m.outputs {
		m.outputs[i].Name, m.outputs[i].Dims = names[i].Name, names[i].Dims
	}
	return m, nil
}

// passes is what graph passes need.
func (m *Model) passes() *opt.Context {
	o := m.opts
	c := &opt.Context{Ops: ops.Lookup, Skip: map[string]bool{}, After: o.AfterPass, MaxConst: min(o.MaxMemory, 256<<20), MaxMemory: o.MaxMemory}
	for _, name := range o.SkipPasses {
		c.Skip[name] = true
	}
	return c
}

func infos(values []*model.Value) []Info {
	list := make([]Info, len(values))
	for i, v := range values {
		list[i] = Info{Name: v.Name, DType: v.DType, Shape: v.Shape.Clone(), Dims: v.Dims, Quant: v.Quant}
	}
	return list
}

// Inputs describes the inputs, in the model's order. The result must not be changed.
func (m *Model) Inputs() []Info { return m.inputs }

// Outputs describes the outputs, in the model's order. The result must not be changed.
func (m *Model) Outputs() []Info { return m.outputs }

// Meta holds the source's own metadata. It must not be changed.
func (m *Model) Meta() map[string]string { return m.meta }

// Graph is the graph after all passes. It must not be changed.
func (m *Model) Graph() *model.Graph { return m.graph }

// Plan returns the plan for the given input shapes, made on first use. The plans used last are kept.
func (m *Model) Plan(shapes []tensor.Shape) (*plan.Plan, error) {
	p, err := m.planned(shapes)
	if err != nil {
		return nil, err
	}
	return p.plan, nil
}

func (m *Model) planned(shapes []tensor.Shape) (*planned, error) {
	if len(shapes) != len(m.inputs) {
		return nil, fmt.Errorf("%d shapes given for %d inputs: %w", len(shapes), len(m.inputs), ErrShape)
	}
	var key strings.Builder
	for i, s := range shapes {
		if err := m.inputs[i].fits(s); err != nil {
			return nil, err
		}
		key.WriteString(s.String())
	}
	m.mu.Lock()
	e, ok := m.plans[key.String()]
	if ok {
		m.order.MoveToFront(e)
	} else {
		e = m.order.PushFront(&planned{key: key.String()})
		m.plans[key.String()] = e
		if m.order.Len() > m.opts.Plans {
			last := m.order.Back()
			delete(m.plans, m.order.Remove(last).(*planned).key)
		}
	}
	p := e.Value.(*planned)
	m.mu.Unlock()
	p.once.Do(func() {
		var g *model.Graph
		if g, p.err = opt.RunShaped(m.passes(), m.graph, shapes); p.err != nil {
			return
		}
		p.plan, p.err = plan.Build(g, plan.Options{Ops: ops.Lookup, Shapes: shapes, MaxMemory: m.opts.MaxMemory, KeepInputs: m.opts.KeepInputs})
	})
	return p, p.err
}

// fits checks an input's shape against what the model declares.
func (f *Info) fits(s tensor.Shape) error {
	if f.DType == tensor.Sequence {
		return nil
	}
	if s == nil {
		return fmt.Errorf("input %s: no shape given: %w", f.Name, ErrShape)
	}
	ok := f.Shape == nil || len(f.Shape) == len(s)
	if ok && f.Shape != nil {
		for i, d := range f.Shape {
			ok = ok && (d < 0 || d == s[i])
		}
	}
	if !ok {
		return fmt.Errorf("input %s: got shape %v, the model takes %v: %w", f.Name, s, f.Describe(), ErrShape)
	}
	return nil
}

// Describe prints type and shape with the names of free extents, as in "f32[batch,3,224,224]".
func (f *Info) Describe() string {
	if f.DType == tensor.Sequence {
		return "sequence"
	}
	s := f.Shape.String()
	if f.Shape != nil {
		parts := make([]string, len(f.Shape))
		for i, d := range f.Shape {
			switch {
			case d >= 0:
				parts[i] = fmt.Sprint(d)
			case i < len(f.Dims) && f.Dims[i] != "":
				parts[i] = f.Dims[i]
			default:
				parts[i] = "?"
			}
		}
		s = "[" + strings.Join(parts, ",") + "]"
	}
	return f.DType.String() + s
}

// dataOf lists where the data of g's constants begin.
func dataOf(g *model.Graph) map[*byte]bool {
	at := map[*byte]bool{}
	add := func(t *tensor.Tensor) {
		if t != nil && len(t.Data) > 0 {
			at[&t.Data[0]] = true
		}
	}
	for _, v := range g.Consts() {
		add(v.Const)
	}
	g.Walk(func(_ *model.Graph, n *model.Node) {
		for name := range n.Attrs {
			add(n.Attrs.Tensor(name))
		}
	})
	return at
}

// planStore is what the instances of one plan see: what comes from the graph's constants is kept with the model, for all
// plans, and what comes from constants that were made while planning goes with the plan.
type planStore struct {
	model *Model
	plan  *planned
}

// Get implements op.Store.
func (s planStore) Get(t *tensor.Tensor, kind string, make func() any) any {
	if len(t.Data) == 0 {
		return make()
	}
	if s.model.consts[&t.Data[0]] {
		return s.model.store.get(t, kind, make)
	}
	return s.plan.store.get(t, kind, make)
}

var _ op.Store = planStore{}

// store keeps what is computed from constants, packed weights say, once for all sessions.
type store struct {
	mu   sync.Mutex
	made map[storeKey]*stored
}

type storeKey struct {
	data *byte
	size int
	kind string
}

type stored struct {
	once  sync.Once
	value any
}

func (s *store) get(t *tensor.Tensor, kind string, make func() any) any {
	key := storeKey{&t.Data[0], len(t.Data), kind}
	s.mu.Lock()
	if s.made == nil {
		s.made = map[storeKey]*stored{}
	}
	e := s.made[key]
	if e == nil {
		e = &stored{}
		s.made[key] = e
	}
	s.mu.Unlock()
	e.once.Do(func() { e.value = make() })
	return e.value
}
