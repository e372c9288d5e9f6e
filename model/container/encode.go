package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/fxamacker/cbor/v2"
)

// The uses of chunks; only tensors of the same use share one.
const (
	useWeights  = "weights"
	useGolden   = "golden"
	useDocument = "document"
)

// encoder turns a Model into the parts of a manifest.
type encoder struct {
	pack    *packer
	flat    *flatPack // instead of chunks; nil otherwise
	strings []string
	str     map[string]int
	quants  []wireQuant
	quant   map[string]int
	values  []wireValue
	number  map[*model.Value]int
	scope   []*model.Graph // the graphs around the current place
	home    map[*model.Value]*model.Graph
}

func newEncoder() *encoder {
	return &encoder{
		pack: newPacker(), strings: []string{}, quants: []wireQuant{}, values: []wireValue{},
		str: map[string]int{}, quant: map[string]int{}, number: map[*model.Value]int{}, home: map[*model.Value]*model.Graph{},
	}
}

// symbol numbers a string that is likely to come again.
func (e *encoder) symbol(s string) (int, error) {
	i, ok := e.str[s]
	if !ok {
		if !utf8.ValidString(s) || len(s) > MaxName {
			return 0, fmt.Errorf("name %.40q is no UTF-8 or longer than %d bytes", s, MaxName)
		}
		i = len(e.strings)
		e.str[s] = i
		e.strings = append(e.strings, s)
	}
	return i, nil
}

func (e *encoder) quantisation(name string, q *tensor.QParams) (int, error) {
	if q == nil {
		return 0, nil
	}
	w := wireQuant{Axis: int64(q.Axis), Scale: []byte{}, Zero: []int32{}}
	if len(q.Scale) <= maxInline {
		w.Scale = floatBytes(q.Scale)
	} else {
		i, err := e.tensor(useWeights, name+"#scale", tensor.From(q.Scale))
		if err != nil {
			return 0, err
		}
		w.ScaleT = i + 1
	}
	if len(q.Zero) <= maxInline {
		w.Zero = append(w.Zero, q.Zero...)
	} else {
		i, err := e.tensor(useWeights, name+"#zero", tensor.From(q.Zero))
		if err != nil {
			return 0, err
		}
		w.ZeroT = i + 1
	}
	key := fmt.Sprint(w)
	i, ok := e.quant[key]
	if !ok {
		i = len(e.quants)
		e.quant[key] = i
		e.quants = append(e.quants, w)
	}
	return i + 1, nil
}

// tensor puts t into the table and returns its number.
func (e *encoder) tensor(use, name string, t *tensor.Tensor) (int, error) {
	if t == nil || !t.DType.Valid() {
		return 0, fmt.Errorf("tensor %s: no type", name)
	}
	if len(t.Shape) > tensor.MaxRank {
		return 0, fmt.Errorf("tensor %s: rank %d, at most %d is possible", name, len(t.Shape), tensor.MaxRank)
	}
	d, err := e.symbol(t.DType.String())
	if err != nil {
		return 0, err
	}
	q, err := e.quantisation(name, t.Quant)
	if err != nil {
		return 0, err
	}
	w := wireTensor{DType: d, Dims: []int64{}, Chunks: []uint32{}, Quant: q, Elems: []uint32{}}
	if t.DType != tensor.Sequence && e.flat != nil {
		i, err := e.flat.add(e, t, w)
		if err != nil {
			err = fmt.Errorf("tensor %s: %w", name, err)
		}
		return i, err
	}
	if t.DType != tensor.Sequence {
		return e.pack.add(use, name, t, w)
	}
	for i, x := range t.Elems {
		if x == nil || x.DType == tensor.Sequence {
			return 0, fmt.Errorf("tensor %s: element %d is a sequence itself", name, i)
		}
		k, err := e.tensor(use, fmt.Sprintf("%s#%d", name, i), x)
		if err != nil {
			return 0, err
		}
		w.Elems = append(w.Elems, uint32(k))
	}
	e.pack.entries = append(e.pack.entries, entry{wire: w})
	return len(e.pack.entries) - 1, nil
}

// ref is the number under which a place of the graph refers to v: 0 for none, 1 for the first value that has not been
// referred to before, k+1 for the k-th last value that has been.
func (e *encoder) ref(v *model.Value, defines bool) (uint32, error) {
	if v == nil {
		return 0, nil
	}
	i, ok := e.number[v]
	if ok {
		if defines {
			return 0, fmt.Errorf("value %s is defined twice", v.Name)
		}
		if v.Const == nil && !slices.Contains(e.scope, e.home[v]) {
			return 0, fmt.Errorf("value %s is used outside of its graph", v.Name)
		}
		return uint32(len(e.values)-i) + 1, nil
	}
	if defines == (v.Const != nil) {
		if defines {
			return 0, fmt.Errorf("value %s is a constant and defined by the graph too", v.Name)
		}
		return 0, fmt.Errorf("value %s is used before it is defined", v.Name)
	}
	w, err := e.value(v)
	if err != nil {
		return 0, err
	}
	e.number[v] = len(e.values)
	e.home[v] = e.scope[len(e.scope)-1]
	e.values = append(e.values, w)
	return 1, nil
}

func (e *encoder) refs(list []*model.Value, defines bool) ([]uint32, error) {
	r := make([]uint32, len(list))
	for i, v := range list {
		var err error
		if r[i], err = e.ref(v, defines); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (e *encoder) value(v *model.Value) (w wireValue, err error) {
	if err := checkName(v.Name); err != nil {
		return w, fmt.Errorf("value: %w", err)
	}
	w.Name = v.Name
	if v.Dims != nil {
		if len(v.Dims) != len(v.Shape) {
			return w, fmt.Errorf("value %s: %d names for %d dimensions", v.Name, len(v.Dims), len(v.Shape))
		}
		w.Dims = make([]int, len(v.Dims))
		for i, d := range v.Dims {
			if d != "" {
				k, err := e.symbol(d)
				if err != nil {
					return w, err
				}
				w.Dims[i] = k + 1
			}
		}
	}
	if t := v.Const; t != nil {
		i, err := e.tensor(useWeights, v.Name, t)
		if err != nil {
			return w, err
		}
		w.Const = i + 1
		if v.DType == t.DType && v.Shape.Equal(t.Shape) && v.Quant.Equal(t.Quant) {
			return w, nil
		}
	}
	if len(v.Shape) > tensor.MaxRank {
		return w, fmt.Errorf("value %s: rank %d, at most %d is possible", v.Name, len(v.Shape), tensor.MaxRank)
	}
	d, err := e.symbol(v.DType.String())
	if err != nil {
		return w, err
	}
	w.DType = d + 1
	w.Shape = wireShape(v.Shape)
	w.Quant, err = e.quantisation(v.Name, v.Quant)
	return w, err
}

// wireShape keeps the difference between nil and empty.
func wireShape(s tensor.Shape) []int64 {
	if s == nil {
		return nil
	}
	r := make([]int64, len(s))
	for i, d := range s {
		r[i] = max(int64(d), -1)
	}
	return r
}

func checkName(s string) error {
	if !utf8.ValidString(s) || len(s) > MaxName {
		return fmt.Errorf("name %.40q is no UTF-8 or longer than %d bytes", s, MaxName)
	}
	return nil
}

func (e *encoder) graph(g *model.Graph) (w wireGraph, err error) {
	if len(e.scope) > MaxSubgraphs {
		return w, fmt.Errorf("graph %s: subgraphs are nested more than %d deep", g.Name, MaxSubgraphs)
	}
	e.scope = append(e.scope, g)
	defer func() { e.scope = e.scope[:len(e.scope)-1] }()
	if err := checkName(g.Name); err != nil {
		return w, fmt.Errorf("graph: %w", err)
	}
	w.Name = g.Name
	w.Meta = map[string]text{}
	for k, v := range g.Meta {
		if err := checkName(k); err != nil {
			return w, fmt.Errorf("meta: %w", err)
		}
		w.Meta[k] = text(v)
	}
	if w.Inputs, err = e.refs(g.Inputs, true); err != nil {
		return w, fmt.Errorf("graph %s: %w", g.Name, err)
	}
	w.Nodes = make([]wireNode, len(g.Nodes))
	for i, n := range g.Nodes {
		if w.Nodes[i], err = e.node(n); err != nil {
			return w, fmt.Errorf("%s (%s): %w", n.Name, n.Op, err)
		}
	}
	if w.Outputs, err = e.refs(g.Outputs, false); err != nil {
		return w, fmt.Errorf("graph %s: %w", g.Name, err)
	}
	return w, nil
}

func (e *encoder) node(n *model.Node) (w wireNode, err error) {
	if err := checkName(n.Name); err != nil {
		return w, err
	}
	w.Name = n.Name
	if w.Op, err = e.symbol(n.Op); err != nil {
		return w, err
	}
	if n.Num != num.Default {
		k, err := e.symbol(n.Num.String())
		if err != nil {
			return w, err
		}
		w.Num = k + 1
	}
	if w.In, err = e.refs(n.In, false); err != nil {
		return w, err
	}
	w.Attrs = make([]wireAttr, 0, len(n.Attrs))
	for _, name := range n.Attrs.Names() {
		a := wireAttr{}
		if a.Name, err = e.symbol(name); err != nil {
			return w, err
		}
		if a.Value, err = e.attr(n.Name+"#"+name, n.Attrs[name]); err != nil {
			return w, fmt.Errorf("attribute %s: %w", name, err)
		}
		w.Attrs = append(w.Attrs, a)
	}
	w.Graphs = make([]wireSub, 0, len(n.Graphs))
	for _, name := range n.GraphNames() {
		s := wireSub{}
		if s.Name, err = e.symbol(name); err != nil {
			return w, err
		}
		if n.Graphs[name] == nil {
			return w, fmt.Errorf("%s: no graph", name)
		}
		if s.Graph, err = e.graph(n.Graphs[name]); err != nil {
			return w, fmt.Errorf("%s: %w", name, err)
		}
		w.Graphs = append(w.Graphs, s)
	}
	w.Out, err = e.refs(n.Out, true)
	return w, err
}

// attr is the CBOR form of an attribute; name is for a tensor's chunk.
func (e *encoder) attr(name string, v any) (cbor.RawMessage, error) {
	kind, val := 0, v
	intable := func(k int, t *tensor.Tensor) error {
		i, err := e.tensor(useWeights, name, t)
		kind, val = k, i
		return err
	}
	var err error
	switch v := v.(type) {
	case int64:
	case float32:
		// CBOR's shortest floats keep all values but not the bits of a NaN.
		if v != v {
			kind, val = attrFloat, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
		}
	case string:
		if len(v) > maxInlineText {
			err = intable(attrStringT, tensor.FromStrings([]string{v}))
		} else {
			val = text(v)
		}
	case []int64:
		if kind, val = attrInts, append([]int64{}, v...); len(v) > maxInlineList {
			err = intable(attrIntsT, tensor.From(v))
		}
	case []float32:
		if kind, val = attrFloats, floatBytes(v); len(v) > maxInlineList {
			err = intable(attrFloatsT, tensor.From(v))
		}
	case []string:
		list := make([]text, len(v))
		long := len(v) > maxInlineList
		for i, s := range v {
			list[i] = text(s)
			long = long || len(s) > maxInlineText
		}
		if kind, val = attrStrings, list; long {
			err = intable(attrStrsT, tensor.FromStrings(v))
		}
	case *tensor.Tensor:
		err = intable(attrTensor, v)
	default:
		err = fmt.Errorf("type %T cannot be stored", v)
	}
	if err != nil {
		return nil, err
	}
	if kind != 0 {
		return encMode.Marshal([]any{kind, val})
	}
	return encMode.Marshal(val)
}

// document stores a blob of bytes.
func (e *encoder) document(name string, d *Document) (wireDocument, error) {
	if err := checkName(d.Schema); err != nil {
		return wireDocument{}, err
	}
	i, err := e.tensor(useDocument, name, tensor.From(d.Data))
	return wireDocument{Schema: d.Schema, Tensor: i}, err
}

func (e *encoder) named(list []Named, g string) ([]wireNamed, error) {
	w := make([]wireNamed, len(list))
	for i, n := range list {
		if err := checkName(n.Name); err != nil {
			return nil, err
		}
		k, err := e.tensor(useGolden, g+"#"+n.Name, n.Tensor)
		if err != nil {
			return nil, err
		}
		w[i] = wireNamed{Name: n.Name, Tensor: k}
	}
	return w, nil
}

func (e *encoder) histograms(list []Histogram) (wireHistograms, error) {
	w := wireHistograms{Names: make([]string, len(list))}
	ranges := tensor.New(tensor.F32, tensor.Shape{len(list), 2})
	counts := tensor.New(tensor.U64, tensor.Shape{len(list), HistogramBins})
	r, c := tensor.Of[float32](ranges), tensor.Of[uint64](counts)
	for i, h := range list {
		if err := checkName(h.Name); err != nil {
			return w, err
		}
		w.Names[i] = h.Name
		r[2*i], r[2*i+1] = h.Lo, h.Hi
		copy(c[HistogramBins*i:], h.Counts[:])
	}
	var err error
	if w.Ranges, err = e.tensor(useDocument, "histograms#ranges", ranges); err != nil {
		return w, err
	}
	w.Counts, err = e.tensor(useDocument, "histograms#counts", counts)
	return w, err
}

// manifest gives the manifest's bytes, decoded, and the chunks that it lists.
func manifest(m *Model) (out []byte, stored [][]byte, err error) {
	if m.Graph == nil {
		return nil, nil, errors.New("no graph")
	}
	e, f := newEncoder(), fields{}
	var errs []error
	put := func(key string, v any, err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", key, err)
		} else {
			err = f.put(key, v)
		}
		errs = append(errs, err)
	}
	put("schema", 1, nil)
	put("name", m.Name, checkName(m.Name))
	if m.Version != "" {
		put("version", m.Version, checkName(m.Version))
	}
	if len(m.Requires) > 0 {
		put("requires", slices.Compact(slices.Sorted(slices.Values(m.Requires))), checkFeatures(m.Requires))
	}
	g, err := e.graph(m.Graph)
	put("graph", g, err)
	if m.Labels != nil {
		i, err := e.tensor(useDocument, "labels", tensor.FromStrings(m.Labels))
		put("labels", i, err)
	}
	if m.Pipeline != nil {
		d, err := e.document("pipeline", m.Pipeline)
		put("pipeline", d, err)
	}
	if m.Certificate != nil {
		d, err := e.document("certificate", m.Certificate)
		put("certificate", d, err)
	}
	if m.Provenance != nil {
		p, err := provenanceFields(m.Provenance)
		put("provenance", p, err)
	}
	if len(m.Histograms) > 0 {
		h, err := e.histograms(m.Histograms)
		put("histograms", h, err)
	}
	if len(m.Golden) > 0 {
		list := make([]fields, len(m.Golden))
		for i := range m.Golden {
			if list[i], err = e.golden(&m.Golden[i]); err != nil {
				put("golden", nil, err)
			}
		}
		put("golden", list, nil)
	}
	for _, p := range []struct {
		key    string
		ports  []Port
		values []*model.Value
	}{{"inputs", m.Inputs, m.Graph.Inputs}, {"outputs", m.Outputs, m.Graph.Outputs}} {
		list, err := ports(p.ports, p.values)
		put(p.key, list, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	chunks, stored, tensors, err := e.pack.finish()
	if err != nil {
		return nil, nil, err
	}
	for key, v := range map[string]any{"strings": e.strings, "quants": e.quants, "values": e.values, "chunks": chunks, "tensors": tensors} {
		if err := f.put(key, v); err != nil {
			return nil, nil, err
		}
	}
	if err := f.add(m.Extra); err != nil {
		return nil, nil, err
	}
	if out, err = encMode.Marshal(f); err != nil {
		return nil, nil, err
	}
	if len(out) > MaxManifest {
		return nil, nil, fmt.Errorf("manifest of %d bytes: at most %d are possible", len(out), MaxManifest)
	}
	area := 0
	for _, b := range stored {
		area += len(b)
	}
	return out, stored, scan(out, int64(area))
}

func (e *encoder) golden(g *Golden) (fields, error) {
	f := fields{}
	in, err := e.named(g.Inputs, g.Name)
	if err != nil {
		return nil, err
	}
	out, err := e.named(g.Outputs, g.Name)
	if err != nil {
		return nil, err
	}
	t := fields{}
	var errs []error
	for k, v := range map[string]float64{"rtol": g.Tolerance.RTol, "atol": g.Tolerance.ATol, "cosine": g.Tolerance.Cosine, "equal": g.Tolerance.Equal} {
		if v != 0 {
			errs = append(errs, t.put(k, v))
		}
	}
	if g.Tolerance.Top1 {
		errs = append(errs, t.put("top1", true))
	}
	errs = append(errs, t.add(g.Tolerance.Extra), checkName(g.Name), f.put("name", g.Name), f.put("in", in), f.put("out", out), f.put("tolerance", t), f.add(g.Extra))
	return f, errors.Join(errs...)
}

func provenanceFields(p *Provenance) (fields, error) {
	f := fields{}
	var errs []error
	for k, v := range map[string]string{"format": p.SourceFormat, "file": p.SourceName, "tool": p.Tool, "created": p.Created} {
		if v != "" {
			errs = append(errs, checkName(v), f.put(k, v))
		}
	}
	for k, v := range map[string][]byte{"source": p.Source, "calibration": p.Calibration, "evaluation": p.Evaluation} {
		if len(v) != 0 {
			if len(v) != 32 {
				errs = append(errs, fmt.Errorf("%s: a hash of %d bytes", k, len(v)))
			}
			errs = append(errs, f.put(k, v))
		}
	}
	if len(p.Options) > 0 {
		options := map[string]text{}
		for k, v := range p.Options {
			errs = append(errs, checkName(k))
			options[k] = text(v)
		}
		errs = append(errs, f.put("options", options))
	}
	return f, errors.Join(append(errs, f.add(p.Extra))...)
}

// ports is the contract, from the graph's values where nothing is given.
func ports(list []Port, values []*model.Value) ([]fields, error) {
	if list == nil {
		for _, v := range values {
			list = append(list, Port{Name: v.Name, DType: v.DType, Shape: v.Shape, Dims: v.Dims})
		}
	}
	if len(list) != len(values) {
		return nil, fmt.Errorf("%d are described, the graph has %d", len(list), len(values))
	}
	out := make([]fields, len(list))
	for i, p := range list {
		f := fields{}
		err := errors.Join(checkName(p.Name), checkName(p.Layout), f.put("name", p.Name), f.put("dtype", p.DType.String()))
		if p.Shape != nil {
			err = errors.Join(err, f.put("shape", wireShape(p.Shape)))
		}
		if p.Dims != nil {
			for _, d := range p.Dims {
				err = errors.Join(err, checkName(d))
			}
			err = errors.Join(err, f.put("dims", p.Dims))
		}
		if p.Layout != "" {
			err = errors.Join(err, f.put("layout", p.Layout))
		}
		if err = errors.Join(err, f.add(p.Extra)); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		out[i] = f
	}
	return out, nil
}
