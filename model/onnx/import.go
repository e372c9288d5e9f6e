package onnx

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// NewestOpset is the version of the default domain whose meaning operators have after import. Models of newer versions
// are read as if they were of this one.
const NewestOpset = 28

// DefaultMaxTensorBytes bounds the data of a model's tensors unless Options say otherwise.
const DefaultMaxTensorBytes = 4 << 30

// Options say how to read a model. The zero value is good.
type Options struct {
	// MaxTensorBytes bounds the data of all tensors in the file together. 0 means DefaultMaxTensorBytes.
	MaxTensorBytes int64
	// Root is the folder that holds external data. Nil makes external data an error.
	Root *os.Root
	// External, if set, is called with the name of each file that tensors refer to.
	External func(location string)
}

// Open reads the model in the file path. External data is looked for in the same folder, unless o.Root names another.
func Open(path string, o Options) (*model.Graph, error) {
	g, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func open(path string, o Options) (*model.Graph, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: no regular file", ErrFormat)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrLimit, st.Size(), int64(maxFile))
	}
	m, err := mem.Map(f, int(st.Size()))
	if err != nil {
		return nil, err
	}
	if o.Root == nil {
		root, err := os.OpenRoot(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer root.Close()
		o.Root = root
	}
	g, err := importBytes(m.Data, o, m.Mapped())
	if err != nil {
		return nil, err
	}
	g.Keep = m
	mem.Drop(m.Data)
	return g, nil
}

// Import reads a model. The graph refers to data, which must not be changed afterwards.
func Import(data []byte, o Options) (*model.Graph, error) { return importBytes(data, o, false) }

func importBytes(data []byte, o Options, mapped bool) (*model.Graph, error) {
	dec := newDecoder(len(data), o)
	dec.mapped = mapped
	defer dec.close()
	p, err := dec.model(msg{b: data})
	if err != nil {
		return nil, err
	}
	if _, ok := p.opsets[""]; !ok {
		if p.irVersion >= 3 && len(p.opsets) == 0 {
			return nil, fmt.Errorf("%w: no opset_import", ErrFormat)
		}
		p.opsets[""] = NewestOpset
		if p.irVersion < 3 {
			p.opsets[""] = 1
		}
	}
	im := &importer{dec: dec, file: p, used: map[string]bool{}, next: map[string]int{}, kinds: map[*model.Value]Kind{}, types: map[*model.Value]tensor.DType{}}
	g, err := im.graph(p.graph, nil, &env{opsets: p.opsets}, true)
	if err != nil {
		return nil, err
	}
	g.Meta = p.meta
	g.Meta["onnx.ir_version"] = strconv.FormatInt(p.irVersion, 10)
	for domain, v := range p.opsets {
		g.Meta[strings.TrimSuffix("onnx.opset."+domain, ".")] = strconv.FormatInt(v, 10)
	}
	if err := model.Verify(g); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return g, nil
}

type importer struct {
	dec   *decoder
	file  *modelProto
	used  map[string]bool               // node names
	next  map[string]int                // the last number that was appended to a node name
	kinds map[*model.Value]Kind         // where known
	types map[*model.Value]tensor.DType // a guess at the element type, where nothing is declared
	depth int                           // of functions being inlined and subgraphs being built
}

// env is what the nodes of one model or function have in common.
type env struct {
	opsets map[string]int64
	prefix string               // for the names of nodes and values in inlined functions
	refs   map[string]attribute // the attributes of the call, by name
	active []funcKey            // functions being inlined
}

// attribute is an attribute's value and, for graphs, the place where it was written.
type attribute struct {
	value any
	scope *scope
	env   *env
}

// scope maps names to values.
type scope struct {
	outer *scope
	vals  map[string]*model.Value
	types map[string]*typeProto
	// want holds the values that a function call has already made for its outputs.
	want map[string]*model.Value
}

// find looks a name up. The value is nil where the name is that of a function's absent input.
func (s *scope) find(name string) (v *model.Value, ok bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.vals[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// builder adds nodes to one graph.
type builder struct {
	*importer
	g     *model.Graph
	scope *scope
	env   *env
	// reads tells which names the graph or function reads; see read.
	reads map[string]bool
	proto *graphProto
	outs  []string
}

// newValue makes a value with the type that the file declares for name.
func (b *builder) newValue(name string) *model.Value {
	if v := b.scope.want[name]; v != nil {
		delete(b.scope.want, name)
		return v
	}
	v := &model.Value{Name: b.env.prefix + name}
	b.declare(v, b.scope.types[name])
	return v
}

func (b *builder) declare(v *model.Value, t *typeProto) {
	if t == nil {
		return
	}
	b.kinds[v] = t.kind
	v.DType = t.dtype
	if t.kind == KindTensor && t.shape != nil {
		v.Shape, v.Dims = t.shape.Clone(), slices.Clone(t.dims)
	}
}

// define binds name in the innermost scope.
func (b *builder) define(name string, v *model.Value) error {
	if _, twice := b.scope.vals[name]; twice {
		return fmt.Errorf("%w: value %q is defined twice", ErrFormat, brief(name))
	}
	b.scope.vals[name] = v
	return nil
}

// graph builds p, whose nodes may use the values of outer.
func (im *importer) graph(p *graphProto, outer *scope, e *env, top bool) (*model.Graph, error) {
	if im.depth++; im.depth > 2*maxNesting {
		return nil, fmt.Errorf("%w: functions and subgraphs nested too deep", ErrLimit)
	}
	defer func() { im.depth-- }()
	b := &builder{importer: im, g: &model.Graph{Name: p.name}, env: e}
	b.scope = &scope{outer: outer, vals: map[string]*model.Value{}, types: map[string]*typeProto{}}
	if err := im.dec.charge(512); err != nil {
		return nil, err
	}
	for _, list := range [][]valueProto{p.infos, p.outputs, p.inputs} {
		for i := range list {
			b.scope.types[list[i].name] = &list[i].typ
		}
	}
	inputs := map[string]bool{}
	for _, in := range p.inputs {
		if inputs[in.name] {
			return nil, fmt.Errorf("%w: input %q is listed twice", ErrFormat, brief(in.name))
		}
		inputs[in.name] = true
	}
	for _, c := range p.inits {
		if c.name == "" || !top && inputs[c.name] {
			continue // nobody can read the first; the second is a default of an input that is always given
		}
		delete(inputs, c.name)
		v := b.constant(c.name, c.t)
		v.Name = e.prefix + c.name
		if err := b.define(c.name, v); err != nil {
			return nil, fmt.Errorf("initializer: %w", err)
		}
	}
	for i := range p.inputs {
		in := &p.inputs[i]
		if !inputs[in.name] {
			continue
		}
		if in.name == "" {
			return nil, fmt.Errorf("%w: input %d has no name", ErrFormat, i)
		}
		if in.typ.other != "" && top {
			return nil, fmt.Errorf("input %s: %w: type %s", in.name, ErrUnsupported, in.typ.other)
		}
		if top && (in.typ.kind == KindUnknown || in.typ.dtype == tensor.Invalid) {
			return nil, fmt.Errorf("%w: input %s has no type", ErrFormat, in.name)
		}
		v := b.newValue(in.name)
		b.g.Inputs = append(b.g.Inputs, v)
		if err := b.define(in.name, v); err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
	}
	for i := range p.outputs {
		b.outs = append(b.outs, p.outputs[i].name)
	}
	if err := b.nodes(p); err != nil {
		return nil, err
	}
	for i := range p.outputs {
		name := p.outputs[i].name
		v, _ := b.scope.find(name)
		if v == nil {
			return nil, fmt.Errorf("%w: output %q is not defined", ErrFormat, brief(name))
		}
		b.g.Outputs = append(b.g.Outputs, v)
	}
	return b.g, nil
}

// read reports whether a node of this graph, or its list of outputs, uses name.
func (b *builder) read(name string) (bool, error) {
	if b.reads == nil {
		b.reads = map[string]bool{}
		for _, n := range b.proto.nodes {
			uses, err := b.uses(n)
			if err != nil {
				return false, err
			}
			for _, s := range uses {
				b.reads[s] = true
			}
		}
		for _, s := range b.outs {
			b.reads[s] = true
		}
		if err := b.dec.charge(64 * len(b.reads)); err != nil {
			return false, err
		}
	}
	return b.reads[name], nil
}

func (b *builder) nodes(p *graphProto) error {
	b.proto = p
	if err := b.order(p); err != nil {
		return err
	}
	for _, n := range p.nodes {
		if err := b.node(n); err != nil {
			return fmt.Errorf("node %s: %w", brief(b.env.prefix)+n.label(), err)
		}
	}
	return nil
}

// constant makes a constant value; tensors are shared where a function is inlined more than once.
func (b *builder) constant(name string, t *tensor.Tensor) *model.Value {
	v := model.NewConst(name, t)
	b.kinds[v] = KindTensor
	return v
}

// unique makes a node name that no other node has.
func (im *importer) unique(base string) string {
	name := base
	for im.used[name] {
		im.next[base]++
		name = base + "_" + strconv.Itoa(im.next[base])
	}
	im.used[name] = true
	return name
}

func (b *builder) node(p *nodeProto) error {
	if err := b.dec.charge(576 + 32*len(p.in) + 320*len(p.out) + 128*len(p.attrs)); err != nil {
		return err
	}
	n := &model.Node{Op: p.opName(), Attrs: model.Attrs{}}
	var ins []*model.Value
	for i, name := range p.in {
		var v *model.Value
		if name != "" {
			var ok bool
			if v, ok = b.scope.find(name); !ok {
				return fmt.Errorf("%w: input %d, %q, is not defined", ErrFormat, i, brief(name))
			}
		}
		ins = append(ins, v)
	}
	for len(ins) > 0 && ins[len(ins)-1] == nil {
		ins = ins[:len(ins)-1]
	}
	n.In = ins
	attrs, err := b.attributes(p)
	if err != nil {
		return err
	}
	base := p.name
	if base == "" {
		base = n.Op + "_" + strconv.Itoa(p.index)
	}
	if f := b.function(p); f != nil {
		return b.inline(f, p, base, ins, attrs)
	}
	n.Name = b.unique(b.env.prefix + base)
	if n.Op == "Constant" {
		return b.constantNode(p, attrs)
	}
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := attrs[name]
		switch v := a.value.(type) {
		case *graphProto:
			sub, err := b.graph(v, a.scope, a.env, false)
			if err != nil {
				return fmt.Errorf("attribute %s: %w", name, err)
			}
			if n.Graphs == nil {
				n.Graphs = map[string]*model.Graph{}
			}
			n.Graphs[name] = sub
		case typeProto:
			if n.Op != "Optional" {
				return fmt.Errorf("attribute %s: %w: types as attributes", name, ErrUnsupported)
			}
			if v.elem == nil && v.kind == KindTensor {
				n.Attrs[name] = ElemNumber(v.dtype)
			}
		default:
			n.Attrs[name] = v
		}
	}
	for _, name := range p.out {
		if name == "" {
			n.Out = append(n.Out, nil)
			continue
		}
		v := b.newValue(name)
		if err := b.define(name, v); err != nil {
			return err
		}
		n.Out = append(n.Out, v)
	}
	u := &up{builder: b, n: n, node: p, version: b.version(p.domain)}
	return u.run()
}

func (b *builder) version(domain string) int64 {
	if v, ok := b.env.opsets[domain]; ok {
		return v
	}
	if domain == "" {
		return b.file.opsets[""]
	}
	return math.MaxInt64
}

// attributes resolves references to the attributes of the call that is being inlined.
func (b *builder) attributes(p *nodeProto) (map[string]attribute, error) {
	attrs := make(map[string]attribute, len(p.attrs))
	for _, a := range p.attrs {
		if _, twice := attrs[a.name]; twice {
			return nil, fmt.Errorf("%w: attribute %s is given twice", ErrFormat, a.name)
		}
		if a.ref == "" {
			attrs[a.name] = attribute{a.value, b.scope, b.env}
		} else if v, ok := b.env.refs[a.ref]; ok {
			attrs[a.name] = v
		}
	}
	return attrs, nil
}

func (b *builder) function(p *nodeProto) *functionProto {
	return b.file.functions[funcKey{p.domain, p.op, p.overload}]
}

// inline adds the nodes of a function. base names the call.
func (b *builder) inline(f *functionProto, p *nodeProto, base string, ins []*model.Value, attrs map[string]attribute) error {
	if slices.Contains(b.env.active, f.key) {
		return fmt.Errorf("%w: function %s calls itself", ErrFormat, f.key.name)
	}
	if b.depth++; b.depth > 2*maxNesting {
		return fmt.Errorf("%w: functions and subgraphs nested too deep", ErrLimit)
	}
	defer func() { b.depth-- }()
	if len(ins) > len(f.inputs) || len(p.out) > len(f.outputs) {
		return fmt.Errorf("%w: %d inputs and %d outputs, but the function has %d and %d", ErrFormat, len(ins), len(p.out), len(f.inputs), len(f.outputs))
	}
	e := &env{opsets: f.opsets, prefix: b.env.prefix + base + "/", refs: map[string]attribute{}, active: append(slices.Clone(b.env.active), f.key)}
	if err := b.dec.charge(1024 + len(e.prefix)*(len(f.body.nodes)*3+1) + 64*(len(e.active)+len(f.inputs)+len(f.outputs)+len(f.attrs)+len(f.defaults))); err != nil {
		return err
	}
	// The function's scope has no outer one.
	in := &builder{importer: b.importer, g: b.g, env: e, outs: f.outputs}
	in.scope = &scope{vals: map[string]*model.Value{}, types: f.types, want: map[string]*model.Value{}}
	for _, a := range f.defaults {
		e.refs[a.name] = attribute{a.value, in.scope, e}
	}
	for _, name := range f.attrs {
		if a, ok := attrs[name]; ok {
			e.refs[name] = a
		}
	}
	for _, a := range f.defaults {
		if v, ok := attrs[a.name]; ok {
			e.refs[a.name] = v
		}
	}
	for i, name := range f.inputs {
		var v *model.Value // an absent input is defined as nothing, so that the body may pass it on
		if i < len(ins) {
			v = ins[i]
		}
		if err := in.define(name, v); err != nil {
			return err
		}
	}
	outs := make([]*model.Value, len(p.out))
	for i, name := range p.out {
		if name == "" {
			continue
		}
		outs[i] = b.newValue(name)
		_, twice := in.scope.want[f.outputs[i]]
		if _, passed := in.scope.vals[f.outputs[i]]; !twice && !passed {
			in.scope.want[f.outputs[i]] = outs[i]
		}
	}
	if err := in.nodes(&f.body); err != nil {
		return fmt.Errorf("function %s: %w", brief(f.key.name), err)
	}
	for i, name := range p.out {
		if name == "" {
			continue
		}
		v, _ := in.scope.find(f.outputs[i])
		if v == nil {
			return fmt.Errorf("%w: function %s does not define its output %q", ErrFormat, f.key.name, f.outputs[i])
		}
		if v != outs[i] {
			b.g.Nodes = append(b.g.Nodes, &model.Node{Name: b.unique(e.prefix + "Identity"), Op: "Identity",
				In: []*model.Value{v}, Out: []*model.Value{outs[i]}, Attrs: model.Attrs{}})
			b.kinds[outs[i]], b.types[outs[i]] = b.kinds[v], b.elem(v)
		}
		if err := b.define(name, outs[i]); err != nil {
			return err
		}
	}
	return nil
}

// constantNode binds the node's output to a constant.
func (b *builder) constantNode(p *nodeProto, attrs map[string]attribute) error {
	if len(p.out) != 1 || p.out[0] == "" || len(attrs) != 1 {
		return fmt.Errorf("%w: a constant has one output and one attribute", ErrFormat)
	}
	for name, a := range attrs {
		t, err := constantValue(name, a.value)
		if err != nil {
			return err
		}
		delete(b.scope.want, p.out[0])
		return b.define(p.out[0], b.constant(b.env.prefix+p.out[0], t))
	}
	return nil
}

func constantValue(name string, value any) (*tensor.Tensor, error) {
	switch v := value.(type) {
	case *tensor.Tensor:
		return v, nil
	case float32:
		return tensor.Scalar(v), nil
	case []float32:
		return tensor.From(v, len(v)), nil
	case int64:
		return tensor.Scalar(v), nil
	case []int64:
		return tensor.From(v, len(v)), nil
	case string:
		return &tensor.Tensor{DType: tensor.String, Shape: tensor.Shape{}, Str: []string{v}}, nil
	case []string:
		return tensor.FromStrings(v, len(v)), nil
	}
	return nil, fmt.Errorf("%w: attribute %s cannot be a constant", ErrFormat, name)
}
