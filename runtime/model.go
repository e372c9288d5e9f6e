package runtime

import (
	"container/list"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/exec"
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
	// SkipPasses names passes of package opt to leave out, or plan, for debugging.
	SkipPasses []string
	// Cache is a folder for what loading computes, which Load and Open use; "" turns that off. See package cache for what is trusted there. A folder
	// that cannot be used is as good as none.
	Cache string
	// CacheLimit bounds the bytes of all files there. 0 means cache.DefaultLimit.
	CacheLimit int64
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
	store           store         // of what is computed from the graph's constants
	consts          map[*byte]int // where the data of these begin, and their number
	packed          *packed       // what an earlier process has computed of them, and this one will leave; nil where there is no cache

	garbage atomic.Bool // whether what loading took is still to be given back to the system

	idOnce sync.Once
	id     string

	mu     sync.Mutex
	chosen []StoredPlan             // what plans choose beyond the cost model
	tuned  int                      // the number of threads whose tuned plans in the cache are taken; 0: none
	plans  map[string]*list.Element // of *planned, most recently used first in order
	order  list.List
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
func New(g *model.Graph, o Options) (*Model, error) { return newModel(g, o, nil) }

// newModel makes the constants that passes make in the scratch file, where there is one.
func newModel(g *model.Graph, o Options, scratch *mem.Scratch) (_ *Model, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	if err := model.Verify(g); err != nil {
		return nil, err
	}
	m := &Model{graph: g.Clone(), meta: g.Meta, opts: o.withDefaults(), plans: map[string]*list.Element{}}
	m.inputs = infos(m.graph.Inputs)
	names := infos(m.graph.Outputs)
	c := m.passes()
	if scratch != nil {
		m.graph.Keep = []any{g.Keep, scratch}
		c.New = func(d tensor.DType, shape tensor.Shape) *tensor.Tensor { return newIn(scratch, d, shape) }
	}
	if err := opt.Run(c, m.graph); err != nil {
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

func (o Options) withDefaults() Options {
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Plans == 0 {
		o.Plans = DefaultPlans
	}
	return o
}

// newIn is tensor.New in the scratch file, for what is large enough.
func newIn(s *mem.Scratch, d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	n, err := shape.Size()
	if bytes := tensor.ByteSize(d, n); err == nil && d != tensor.String && d != tensor.Sequence && bytes >= tensor.LargeView {
		if data, err := s.Make(bytes); err == nil {
			return &tensor.Tensor{DType: d, Shape: shape.Clone(), Data: data}
		}
	}
	return tensor.New(d, shape)
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
		defer mem.Recover(&p.err, debug.SetPanicOnFault(true))
		if p.plan, p.err = m.build(shapes); p.err == nil {
			p.plan, p.err = m.choose(p.plan, shapes)
		}
		// What loading and planning leave behind goes before the first session takes its memory.
		if m.garbage.Swap(false) {
			debug.FreeOSMemory()
		}
	})
	return p, p.err
}

// build makes the plan that the cost model alone chooses.
func (m *Model) build(shapes []tensor.Shape) (*plan.Plan, error) {
	g, err := opt.RunShaped(m.passes(), m.graph, shapes)
	if err != nil {
		return nil, err
	}
	return plan.Build(g, plan.Options{Ops: ops.Lookup, Shapes: shapes, MaxMemory: m.opts.MaxMemory, KeepInputs: m.opts.KeepInputs, Skip: m.opts.SkipPasses})
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

// dataOf lists where the data of g's constants begin, and numbers them in the order of the graph.
func dataOf(g *model.Graph) map[*byte]int {
	at := map[*byte]int{}
	add := func(t *tensor.Tensor) {
		if t == nil || len(t.Data) == 0 {
			return
		}
		if _, ok := at[&t.Data[0]]; !ok {
			at[&t.Data[0]] = len(at)
		}
	}
	for _, v := range g.Consts() {
		add(v.Const)
	}
	g.Walk(func(_ *model.Graph, n *model.Node) {
		for _, name := range n.Attrs.Names() {
			add(n.Attrs.Tensor(name))
		}
	})
	return at
}
