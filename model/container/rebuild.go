package container

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/fxamacker/cbor/v2"
)

// decoder builds a graph whose tensors have no data yet.
type decoder struct {
	*contents
	built  map[int]*tensor.Tensor
	qbuilt map[int]*tensor.QParams
	must   map[int]bool   // tensors whose data make part of the graph's structure
	fix    []func() error // to be called once those are there
	vals   []*model.Value
	home   []int // the graph, by number, that each value belongs to
	scope  []int // the graphs around the current place
	graphs int
}

func (c *contents) decoder() *decoder {
	return &decoder{contents: c, built: map[int]*tensor.Tensor{}, qbuilt: map[int]*tensor.QParams{}, must: map[int]bool{}}
}

// tensor is the tensor of a number, the same one each time.
func (d *decoder) tensor(i int) (*tensor.Tensor, error) {
	if i < 0 || i >= len(d.tensors) {
		return nil, bad("tensor %d of %d", i, len(d.tensors))
	}
	if t := d.built[i]; t != nil {
		return t, nil
	}
	s := &d.tensors[i]
	t := &tensor.Tensor{DType: s.dtype, Shape: s.shape}
	d.built[i] = t
	if s.dtype == tensor.Sequence {
		t.Elems = make([]*tensor.Tensor, len(s.elems))
		for k, e := range s.elems {
			x, err := d.tensor(int(e))
			if err != nil {
				return nil, err
			}
			t.Elems[k] = x
		}
	}
	var err error
	t.Quant, err = d.quant(s.quant)
	return t, err
}

// quant is the quantisation of 1 + a number, nil of 0.
func (d *decoder) quant(i int) (*tensor.QParams, error) {
	if i == 0 {
		return nil, nil
	}
	if i < 0 || i > len(d.quants) {
		return nil, bad("quantisation %d of %d", i, len(d.quants))
	}
	if q := d.qbuilt[i]; q != nil {
		return q, nil
	}
	w := d.quants[i-1]
	q := &tensor.QParams{Axis: int(w.Axis)}
	d.qbuilt[i] = q
	var err error
	if q.Scale, err = floats(w.Scale); err != nil {
		return nil, err
	}
	if len(w.Zero) > 0 {
		q.Zero = w.Zero
	}
	var scale, zero *tensor.Tensor
	if w.ScaleT != 0 {
		if scale, err = d.tensor(w.ScaleT - 1); err != nil {
			return nil, err
		}
		d.must[w.ScaleT-1] = true
	}
	if w.ZeroT != 0 {
		if zero, err = d.tensor(w.ZeroT - 1); err != nil {
			return nil, err
		}
		d.must[w.ZeroT-1] = true
	}
	d.fix = append(d.fix, func() error {
		if scale != nil {
			q.Scale = tensor.Of[float32](scale)
		}
		if zero != nil {
			q.Zero = tensor.Of[int32](zero)
		}
		if n := len(q.Zero); len(q.Scale) == 0 || n > 1 && n != len(q.Scale) {
			return bad("quants: entry %d has %d scales and %d zero points", i-1, len(q.Scale), n)
		}
		return nil
	})
	return q, nil
}

func (d *decoder) value(w wireValue) (v *model.Value, err error) {
	v = &model.Value{Name: w.Name}
	if w.Const != 0 {
		if v.Const, err = d.tensor(w.Const - 1); err != nil {
			return nil, err
		}
	}
	if w.DType == 0 {
		if v.Const == nil {
			return nil, bad("no type")
		}
		v.DType, v.Shape, v.Quant = v.Const.DType, v.Const.Shape.Clone(), v.Const.Quant
	} else {
		name, err := d.symbol(w.DType - 1)
		if err != nil {
			return nil, err
		}
		if name != tensor.Invalid.String() {
			if v.DType, err = tensor.ParseDType(name); err != nil {
				return nil, fmt.Errorf("%v: %w", err, ErrUnsupported)
			}
		}
		if v.Shape, err = shape(w.Shape, true); err != nil {
			return nil, err
		}
		if v.Quant, err = d.quant(w.Quant); err != nil {
			return nil, err
		}
	}
	if w.Dims != nil {
		if len(w.Dims) != len(v.Shape) {
			return nil, bad("%d names for %d dimensions", len(w.Dims), len(v.Shape))
		}
		v.Dims = make([]string, len(w.Dims))
		for i, k := range w.Dims {
			if k != 0 {
				if v.Dims[i], err = d.symbol(k - 1); err != nil {
					return nil, err
				}
			}
		}
	}
	return v, nil
}

func (d *decoder) ref(r uint32, defines bool) (*model.Value, error) {
	next := len(d.vals)
	switch {
	case r == 0:
		return nil, nil
	case int64(r) > int64(next)+1:
		return nil, bad("reference %d after %d values", r, next)
	case r > 1:
		k := next - int(r-1)
		v := d.vals[k]
		if defines {
			return nil, bad("value %s is defined twice", v.Name)
		}
		if v.Const == nil && !slices.Contains(d.scope, d.home[k]) {
			return nil, bad("value %s is used outside of its graph", v.Name)
		}
		return v, nil
	case next >= len(d.values):
		return nil, bad("reference to value %d of %d", next, len(d.values))
	}
	v, err := d.value(d.values[next])
	if err != nil {
		return nil, fmt.Errorf("value %d (%s): %w", next, d.values[next].Name, err)
	}
	if defines == (v.Const != nil) {
		return nil, bad("value %s: constants are not defined by the graph, all others are, before they are used", v.Name)
	}
	d.vals = append(d.vals, v)
	d.home = append(d.home, d.scope[len(d.scope)-1])
	return v, nil
}

func (d *decoder) refs(list []uint32, defines bool) ([]*model.Value, error) {
	if len(list) == 0 {
		return nil, nil
	}
	vs := make([]*model.Value, len(list))
	for i, r := range list {
		var err error
		if vs[i], err = d.ref(r, defines); err != nil {
			return nil, err
		}
	}
	return vs, nil
}

func (d *decoder) graphOf(w *wireGraph) (g *model.Graph, err error) {
	if len(d.scope) > MaxSubgraphs {
		return nil, bad("subgraphs are nested more than %d deep", MaxSubgraphs)
	}
	d.scope = append(d.scope, d.graphs)
	d.graphs++
	defer func() { d.scope = d.scope[:len(d.scope)-1] }()
	g = &model.Graph{Name: w.Name}
	if len(w.Meta) > 0 {
		g.Meta = make(map[string]string, len(w.Meta))
		for k, v := range w.Meta {
			g.Meta[k] = string(v)
		}
	}
	if g.Inputs, err = d.refs(w.Inputs, true); err != nil {
		return nil, fmt.Errorf("graph %s: %w", w.Name, err)
	}
	for i := range w.Nodes {
		n, err := d.node(&w.Nodes[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.Nodes[i].Name, err)
		}
		g.Nodes = append(g.Nodes, n)
	}
	if g.Outputs, err = d.refs(w.Outputs, false); err != nil {
		return nil, fmt.Errorf("graph %s: %w", w.Name, err)
	}
	if slices.Contains(g.Inputs, nil) || slices.Contains(g.Outputs, nil) {
		return nil, bad("graph %s: an input or output is absent", w.Name)
	}
	return g, nil
}

func (d *decoder) node(w *wireNode) (n *model.Node, err error) {
	n = &model.Node{Name: w.Name, Attrs: make(attr.Attrs, len(w.Attrs))}
	if n.Op, err = d.symbol(w.Op); err != nil {
		return nil, err
	}
	if w.Num != 0 {
		name, err := d.symbol(w.Num - 1)
		if err != nil {
			return nil, err
		}
		if n.Num, err = num.Parse(name); err != nil {
			return nil, fmt.Errorf("%v: %w", err, ErrUnsupported)
		}
	}
	if n.In, err = d.refs(w.In, false); err != nil {
		return nil, err
	}
	for _, a := range w.Attrs {
		name, err := d.symbol(a.Name)
		if err != nil {
			return nil, err
		}
		if n.Attrs.Has(name) {
			return nil, bad("attribute %s twice", name)
		}
		set := func(v any) { n.Attrs[name] = v }
		if err := d.attr(a.Value, set); err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	for i := range w.Graphs {
		name, err := d.symbol(w.Graphs[i].Name)
		if err != nil {
			return nil, err
		}
		if n.Graphs == nil {
			n.Graphs = map[string]*model.Graph{}
		}
		if n.Graphs[name] != nil {
			return nil, bad("subgraph %s twice", name)
		}
		if n.Graphs[name], err = d.graphOf(&w.Graphs[i].Graph); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	n.Out, err = d.refs(w.Out, true)
	return n, err
}

// attr gives the attribute's value to set, at once or when tensors have data.
func (d *decoder) attr(raw cbor.RawMessage, set func(any)) error {
	if len(raw) == 0 {
		return bad("no value")
	}
	switch raw[0] >> 5 {
	case 0, 1:
		return attrAs(raw, func(v int64) { set(v) })
	case 2, 3:
		return attrAs(raw, func(v text) { set(string(v)) })
	case 7:
		if raw[0] < 0xf9 || raw[0] > 0xfa {
			return bad("value %#x", raw[0])
		}
		return attrAs(raw, func(v float32) { set(v) })
	}
	var w struct {
		_     struct{} `cbor:",toarray"`
		Kind  int
		Value cbor.RawMessage
	}
	if err := decMode.Unmarshal(raw, &w); err != nil {
		return bad("%v", err)
	}
	switch w.Kind {
	case attrInts:
		return attrAs(w.Value, func(v []int64) { set(append([]int64{}, v...)) })
	case attrStrings:
		return attrAs(w.Value, func(v []text) {
			list := make([]string, len(v))
			for i, s := range v {
				list[i] = string(s)
			}
			set(list)
		})
	case attrFloats, attrFloat:
		var b []byte
		if err := attrAs(w.Value, func(v []byte) { b = v }); err != nil {
			return err
		}
		v, err := floats(b)
		switch {
		case err != nil:
			return err
		case w.Kind == attrFloats:
			set(v)
		case len(v) != 1:
			return bad("one float of %d bytes", len(b))
		default:
			set(v[0])
		}
		return nil
	}
	var i int
	if err := attrAs(w.Value, func(v int) { i = v }); err != nil {
		return err
	}
	return d.attrTensor(w.Kind, i, set)
}

// attrAs decodes raw as a T and hands it on.
func attrAs[T any](raw []byte, set func(T)) error {
	var v T
	if err := decMode.Unmarshal(raw, &v); err != nil {
		return bad("%v", err)
	}
	set(v)
	return nil
}

func (d *decoder) attrTensor(kind, i int, set func(any)) error {
	t, err := d.tensor(i)
	if err != nil {
		return err
	}
	if kind == attrTensor {
		set(t)
		return nil
	}
	want := map[int]tensor.DType{attrIntsT: tensor.I64, attrFloatsT: tensor.F32, attrStrsT: tensor.String, attrStringT: tensor.String}[kind]
	if t.DType != want || want == tensor.Invalid || len(t.Shape) != 1 || kind == attrStringT && t.Len() != 1 {
		return bad("kind %d in tensor %v", kind, t)
	}
	set(int64(0)) // keeps the name taken
	d.must[i] = true
	d.fix = append(d.fix, func() error {
		switch kind {
		case attrIntsT:
			set(tensor.Of[int64](t))
		case attrFloatsT:
			set(tensor.Of[float32](t))
		case attrStrsT:
			set(t.Str)
		default:
			set(t.Str[0])
		}
		return nil
	})
	return nil
}

// floats reads little-endian float32.
func floats(b []byte) ([]float32, error) {
	if len(b)%4 != 0 {
		return nil, bad("floats of %d bytes", len(b))
	}
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v, nil
}
