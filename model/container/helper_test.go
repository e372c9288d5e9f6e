package container

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// write gives the file of m.
func write(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := OpenReader(bytes.NewReader(b), int64(len(b)), Policy{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// diff says where two graphs differ, "" where they are equal. Values are compared by their part in the graph.
func diff(a, b *model.Graph) string {
	return (&differ{seen: map[*model.Value]*model.Value{}}).graph(a, b)
}

type differ struct{ seen map[*model.Value]*model.Value }

func (d *differ) graph(a, b *model.Graph) string {
	if a.Name != b.Name || len(a.Meta) != len(b.Meta) || len(a.Meta) > 0 && !reflect.DeepEqual(a.Meta, b.Meta) {
		return fmt.Sprintf("graphs %s %v and %s %v", a.Name, a.Meta, b.Name, b.Meta)
	}
	if s := d.values("inputs", a.Inputs, b.Inputs); s != "" {
		return s
	}
	if len(a.Nodes) != len(b.Nodes) {
		return fmt.Sprintf("%d and %d nodes", len(a.Nodes), len(b.Nodes))
	}
	for i, n := range a.Nodes {
		if s := d.node(n, b.Nodes[i]); s != "" {
			return n.Name + ": " + s
		}
	}
	return d.values("outputs", a.Outputs, b.Outputs)
}

func (d *differ) node(a, b *model.Node) string {
	if a.Name != b.Name || a.Op != b.Op || a.Num != b.Num || !slices.Equal(a.GraphNames(), b.GraphNames()) || !slices.Equal(a.Attrs.Names(), b.Attrs.Names()) {
		return fmt.Sprintf("%+v and %+v", a, b)
	}
	for k, v := range a.Attrs {
		if !sameAttr(v, b.Attrs[k]) {
			return fmt.Sprintf("attribute %s: %v and %v", k, v, b.Attrs[k])
		}
	}
	if s := d.values("in", a.In, b.In); s != "" {
		return s
	}
	for _, k := range a.GraphNames() {
		if s := d.graph(a.Graphs[k], b.Graphs[k]); s != "" {
			return k + ": " + s
		}
	}
	return d.values("out", a.Out, b.Out)
}

func sameAttr(a, b any) bool {
	switch a := a.(type) {
	case float32:
		b, ok := b.(float32)
		return ok && math.Float32bits(a) == math.Float32bits(b)
	case []float32:
		b, ok := b.([]float32)
		return ok && bytes.Equal(tensor.Bytes(a), tensor.Bytes(b))
	case *tensor.Tensor:
		b, ok := b.(*tensor.Tensor)
		return ok && sameTensor(a, b)
	case []int64:
		b, ok := b.([]int64)
		return ok && slices.Equal(a, b)
	case []string:
		b, ok := b.([]string)
		return ok && slices.Equal(a, b)
	}
	return reflect.DeepEqual(a, b)
}

func sameTensor(a, b *tensor.Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.DType == tensor.Sequence {
		return b.DType == a.DType && slices.EqualFunc(a.Elems, b.Elems, sameTensor)
	}
	return a.DType == b.DType && a.Shape.Equal(b.Shape) && bytes.Equal(a.Data, b.Data) && slices.Equal(a.Str, b.Str) && a.Quant.Equal(b.Quant)
}

func (d *differ) values(what string, a, b []*model.Value) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d %s", len(a), len(b), what)
	}
	for i, v := range a {
		w := b[i]
		if v == nil || w == nil {
			if v != w {
				return fmt.Sprintf("%s %d: absent on one side", what, i)
			}
			continue
		}
		if x, ok := d.seen[v]; ok {
			if x != w {
				return fmt.Sprintf("%s %d: %s is %s elsewhere", what, i, w.Name, x.Name)
			}
			continue
		}
		d.seen[v] = w
		if v.Name != w.Name || v.DType != w.DType || (v.Shape == nil) != (w.Shape == nil) || !v.Shape.Equal(w.Shape) || !slices.Equal(v.Dims, w.Dims) || !v.Quant.Equal(w.Quant) || !sameTensor(v.Const, w.Const) {
			return fmt.Sprintf("%s %d: %+v and %+v", what, i, v, w)
		}
	}
	return ""
}

// gen makes random models.
type gen struct {
	*rand.Rand
	values []*model.Value // in scope
	names  int
}

func newGen(seed uint64) *gen { return &gen{Rand: rand.New(rand.NewPCG(seed, 7))} }

func (g *gen) name(s string) string {
	g.names++
	return fmt.Sprintf("%s_%d", s, g.names)
}

func (g *gen) tensor(depth int) *tensor.Tensor {
	d := tensor.DType(1 + g.IntN(int(tensor.Sequence)))
	if d == tensor.Sequence {
		t := &tensor.Tensor{DType: d, Shape: tensor.Shape{}}
		for range g.IntN(3) + 1 {
			if depth < 1 {
				if e := g.tensor(1); e.DType != tensor.Sequence {
					t.Elems = append(t.Elems, e)
				}
			}
		}
		return t
	}
	shape := tensor.Shape{}
	for range g.IntN(4) {
		shape = append(shape, g.IntN(5))
	}
	if g.IntN(20) == 0 {
		shape = tensor.Shape{g.IntN(1 << 17)}
	}
	if d == tensor.String {
		shape = tensor.Shape{g.IntN(50)}
	}
	t := tensor.New(d, shape)
	mask := byte(1<<g.IntN(9) - 1)
	for i := range t.Data {
		t.Data[i] = byte(g.Uint32()) & mask
		if d == tensor.Bool {
			t.Data[i] &= 1
		}
	}
	for i := range t.Str {
		t.Str[i] = string(rune('a' + g.IntN(3000)))
	}
	if d == tensor.I8 || d == tensor.I32 {
		t.Quant = g.quant()
	}
	return t
}

func (g *gen) quant() *tensor.QParams {
	switch g.IntN(3) {
	case 0:
		return nil
	case 1:
		return &tensor.QParams{Scale: []float32{g.Float32()}, Zero: []int32{int32(g.IntN(9) - 4)}}
	}
	q := &tensor.QParams{Axis: g.IntN(3)}
	for range 1 + g.IntN(20) {
		q.Scale = append(q.Scale, g.Float32())
		q.Zero = append(q.Zero, int32(g.IntN(3)))
	}
	if g.IntN(2) == 0 {
		q.Zero = nil
	}
	return q
}

func (g *gen) value() *model.Value {
	v := &model.Value{Name: g.name("v"), DType: tensor.DType(g.IntN(int(tensor.Sequence) + 1))}
	if g.IntN(5) > 0 {
		v.Shape = tensor.Shape{}
		for range g.IntN(4) {
			v.Shape = append(v.Shape, g.IntN(9)-1)
		}
		if g.IntN(2) == 0 {
			v.Dims = make([]string, len(v.Shape))
			for i := range v.Dims {
				v.Dims[i] = []string{"", "batch", "width"}[g.IntN(3)]
			}
		}
	}
	if v.DType == tensor.I8 {
		v.Quant = g.quant()
	}
	return v
}

func (g *gen) attr() any {
	switch g.IntN(8) {
	case 0:
		return []int64{0, -1, math.MaxInt64, math.MinInt64}[g.IntN(4)]
	case 1:
		return []float32{0, float32(math.Copysign(0, -1)), 0.1, 1.5, math.MaxFloat32, math.Float32frombits(0x7fc12345), float32(math.Inf(-1))}[g.IntN(7)]
	case 2:
		return []string{"", "NCHW", "\xff\xfe", string(make([]byte, 5000))}[g.IntN(4)]
	case 3:
		v := make([]int64, g.IntN(100))
		for i := range v {
			v[i] = int64(g.Uint64())
		}
		return v
	case 4:
		v := make([]float32, g.IntN(100))
		for i := range v {
			v[i] = math.Float32frombits(g.Uint32())
		}
		return v
	case 5:
		v := make([]string, g.IntN(100))
		for i := range v {
			v[i] = string([]byte{byte(g.Uint32())})
		}
		return v
	}
	return g.tensor(0)
}

func (g *gen) graph(depth int) *model.Graph {
	outer := len(g.values)
	defer func() { g.values = g.values[:outer] }()
	gr := &model.Graph{Name: g.name("g")}
	if g.IntN(2) == 0 {
		gr.Meta = map[string]string{"author": "somebody", "labels": "a\nb\xff"}
	}
	for range g.IntN(3) {
		gr.Inputs = append(gr.Inputs, g.value())
	}
	g.values = append(g.values, gr.Inputs...)
	for range g.IntN(8) {
		n := &model.Node{Name: g.name("n"), Op: []string{"Conv", "Relu", "com.microsoft.X"}[g.IntN(3)], Num: num.Numerics(g.IntN(8)), Attrs: attr.Attrs{}}
		for range g.IntN(4) {
			switch k := g.IntN(4); {
			case k == 0:
				n.In = append(n.In, nil)
			case k == 1 || len(g.values) == 0:
				c := model.NewConst(g.name("c"), g.tensor(0))
				if g.IntN(3) == 0 {
					c.Dims = make([]string, len(c.Shape))
				}
				n.In = append(n.In, c)
				g.values = append(g.values, c)
			default:
				n.In = append(n.In, g.values[g.IntN(len(g.values))])
			}
		}
		for range g.IntN(4) {
			n.Attrs[[]string{"pads", "x", "alpha", "axis"}[g.IntN(4)]] = g.attr()
		}
		if depth < 3 && g.IntN(5) == 0 {
			n.Graphs = map[string]*model.Graph{"then_branch": g.graph(depth + 1), "else_branch": g.graph(depth + 1)}
		}
		for range g.IntN(3) {
			if g.IntN(5) == 0 {
				n.Out = append(n.Out, nil)
				continue
			}
			n.Out = append(n.Out, g.value())
		}
		for _, v := range n.Out {
			if v != nil {
				g.values = append(g.values, v)
			}
		}
		gr.Nodes = append(gr.Nodes, n)
	}
	for range g.IntN(3) {
		if len(g.values) > 0 {
			gr.Outputs = append(gr.Outputs, g.values[g.IntN(len(g.values))])
		}
	}
	return gr
}

// small is a model that has every part.
func small() *Model {
	x := &model.Value{Name: "x", DType: tensor.F32, Shape: tensor.Shape{-1, 4}, Dims: []string{"batch", ""}}
	w := model.NewConst("w", tensor.From([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 4, 2))
	y := &model.Value{Name: "y", DType: tensor.F32, Shape: tensor.Shape{-1, 2}}
	h := Histogram{Name: "y", Lo: -1, Hi: 3}
	h.Counts[7] = 12
	return &Model{
		Name: "small", Version: "1.2",
		Graph: &model.Graph{
			Name: "main", Inputs: []*model.Value{x}, Outputs: []*model.Value{y},
			Nodes: []*model.Node{{Name: "mm", Op: "MatMul", In: []*model.Value{x, w}, Out: []*model.Value{y}, Attrs: attr.Attrs{"alpha": float32(0.5)}}},
		},
		Inputs:   []Port{{Name: "x", DType: tensor.F32, Shape: tensor.Shape{-1, 4}, Dims: []string{"batch", ""}, Layout: "NC", Extra: map[string][]byte{"unit": {0x61, 'm'}}}},
		Outputs:  []Port{{Name: "y", DType: tensor.F32, Shape: tensor.Shape{-1, 2}}},
		Pipeline: &Document{Schema: "edgerun.pipeline/1", Data: []byte(`{"steps":[]}`)},
		Labels:   []string{"cat", "dog"},
		Provenance: &Provenance{SourceFormat: "onnx", SourceName: "small.onnx", Source: bytes.Repeat([]byte{1}, 32), Tool: "edgerun 0.1",
			Options: map[string]string{"precision": "fp32"}, Extra: map[string][]byte{"note": {0x01}}},
		Golden: []Golden{{Name: "0", Inputs: []Named{{"x", tensor.From([]float32{1, 0, 0, 0}, 1, 4)}}, Outputs: []Named{{"y", tensor.From([]float32{1, 2}, 1, 2)}},
			Tolerance: Tolerance{RTol: 1e-3, Cosine: 0.9999, Top1: true, Extra: map[string][]byte{"ulps": {0x03}}}, Extra: map[string][]byte{"by": {0x61, 'n'}}}},
		Histograms:  []Histogram{h},
		Certificate: &Document{Schema: "edgerun.certificate/1", Data: []byte{1, 2, 3}},
		Extra:       map[string][]byte{"later": {0x82, 1, 2}},
	}
}
