package container

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

func TestRandomGraphs(t *testing.T) {
	n := uint64(200)
	if testing.Short() {
		n = 8
	}
	for seed := range n {
		m := &Model{Name: "random", Graph: newGen(seed).graph(0)}
		b := write(t, m)
		f := open(t, b)
		if err := f.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, err := f.Graph()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := diff(m.Graph, got); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		if _, err := f.Outline(); err != nil {
			t.Fatalf("seed %d: outline: %v", seed, err)
		}
		// Reading and writing gives the same bytes.
		all, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(write(t, all), b) {
			t.Fatalf("seed %d: written again, the file differs", seed)
		}
	}
}

func TestAllParts(t *testing.T) {
	want := small()
	b := write(t, want)
	f := open(t, b)
	got, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want.Graph, got.Graph); d != "" {
		t.Error(d)
	}
	again := write(t, got)
	if !bytes.Equal(again, b) {
		t.Error("written again, the file differs")
	}
	got.Graph, want.Graph = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	o, err := f.Outline()
	if err != nil {
		t.Fatal(err)
	}
	if w := o.Graph.Nodes[0].In[1]; w.Const.HasData() || w.Const.String() != "f32[4,2]" || o.Labels != nil || o.Golden[0].Inputs[0].Tensor.HasData() {
		t.Errorf("an outline with data: %+v", o)
	}
	d, err := f.Documents()
	if err != nil || len(d.Labels) != 2 || string(d.Pipeline.Data) != `{"steps":[]}` || d.Histograms[0].Counts[7] != 12 {
		t.Errorf("documents %+v, %v", d, err)
	}
	g, err := f.Golden()
	if err != nil || tensor.Of[float32](g[0].Outputs[0].Tensor)[1] != 2 {
		t.Errorf("golden %+v, %v", g, err)
	}
}

func TestPortsFromGraph(t *testing.T) {
	m := small()
	m.Inputs, m.Outputs = nil, nil
	o, err := open(t, write(t, m)).Outline()
	if err != nil {
		t.Fatal(err)
	}
	want := Port{Name: "x", DType: tensor.F32, Shape: tensor.Shape{-1, 4}, Dims: []string{"batch", ""}}
	if len(o.Inputs) != 1 || !reflect.DeepEqual(o.Inputs[0], want) || o.Outputs[0].Name != "y" {
		t.Errorf("%+v %+v", o.Inputs, o.Outputs)
	}
}

// weights is a graph of MatMuls with constants of the given sizes.
func weights(seed uint64, names []string, sizes []int) *model.Graph {
	g := newGen(seed)
	gr := &model.Graph{Name: "w"}
	x := &model.Value{Name: "x", DType: tensor.F32}
	gr.Inputs = []*model.Value{x}
	for i, n := range names {
		t := tensor.New(tensor.F32, tensor.Shape{sizes[i]})
		for k := range tensor.Of[float32](t) {
			tensor.Of[float32](t)[k] = float32(g.NormFloat64() / 8)
		}
		y := &model.Value{Name: n + ".out", DType: tensor.F32}
		gr.Nodes = append(gr.Nodes, &model.Node{Name: n, Op: "MatMul", In: []*model.Value{x, model.NewConst(n+".w", t)}, Out: []*model.Value{y}})
		x = y
	}
	gr.Outputs = []*model.Value{x}
	return gr
}

func identities(f *File) map[[32]byte]int {
	m := map[[32]byte]int{}
	for _, c := range f.Chunks() {
		m[c.ID] = c.Size
	}
	return m
}

func TestVersionsShareChunks(t *testing.T) {
	var names []string
	var sizes []int
	g := newGen(3)
	for i := range 60 {
		names = append(names, fmt.Sprintf("layer%d", i))
		sizes = append(sizes, 500+g.IntN(6000))
		if i%25 == 0 && !testing.Short() {
			sizes[i] = 300_000 // 1.2 MB, two chunks
		}
	}
	base := weights(1, names, sizes)
	old := identities(open(t, write(t, &Model{Name: "m", Graph: base})))
	total := 0
	for _, n := range old {
		total += n
	}
	changed := func(g *model.Graph) int {
		n := 0
		for id, size := range identities(open(t, write(t, &Model{Name: "m", Version: "2", Graph: g}))) {
			if _, ok := old[id]; !ok {
				n += size
			}
		}
		return n
	}
	if n := changed(base); n != 0 {
		t.Errorf("nothing changed, but %d bytes are new", n)
	}
	// One small tensor changes: its chunk and no other.
	one := base.Clone()
	c := one.Nodes[35].In[1].Const.Clone()
	c.Data[5] ^= 1
	one.Nodes[35].In[1] = model.NewConst(one.Nodes[35].In[1].Name, c)
	if n := changed(one); n == 0 || n > groupMax+largeTensor {
		t.Errorf("one small tensor changed, but %d of %d bytes are new", n, total)
	}
	if !testing.Short() {
		// The tail of a large one changes: its last chunk.
		tail := base.Clone()
		c = tail.Nodes[50].In[1].Const.Clone()
		c.Data[len(c.Data)-1] ^= 1
		tail.Nodes[50].In[1] = model.NewConst(tail.Nodes[50].In[1].Name, c)
		if n := changed(tail); n != 4*300_000-MaxChunk {
			t.Errorf("the tail of a large tensor changed, but %d bytes are new", n)
		}
	}
	// A layer goes: the boundaries fall back into step.
	less := base.Clone()
	less.Nodes[12].In[0] = less.Nodes[10].Out[0]
	less.Nodes = append(less.Nodes[:11:11], less.Nodes[12:]...)
	if n := changed(less); n > 4*(groupMax+largeTensor) {
		t.Errorf("a layer is gone, but %d of %d bytes are new", n, total)
	}
}

func TestEqualTensorsOnce(t *testing.T) {
	names := []string{"a", "b", "c"}
	sizes := []int{30_000, 30_000, 30_000}
	g := weights(1, names, sizes)
	g.Nodes[1].In[1] = model.NewConst("b.w", g.Nodes[0].In[1].Const.Clone())
	again := g.Nodes[0].In[1].Const.Clone()
	again.Shape = tensor.Shape{300, 100}
	g.Nodes[2].In[1] = model.NewConst("c.w", again)
	f := open(t, write(t, &Model{Graph: g}))
	if c := f.Chunks(); len(c) != 1 || c[0].Size != 120_000 {
		t.Errorf("chunks %+v", c)
	}
	got, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(g, got); d != "" {
		t.Error(d)
	}
}

func TestWriteRefuses(t *testing.T) {
	type mutate func(m *Model)
	node := func(m *Model) *model.Node { return m.Graph.Nodes[0] }
	for _, c := range []struct {
		want string
		f    mutate
	}{
		{"no graph", func(m *Model) { m.Graph = nil }},
		{"value z is used before it is defined", func(m *Model) { node(m).In[0] = &model.Value{Name: "z"} }},
		{"value x is defined twice", func(m *Model) { node(m).Out[0] = m.Graph.Inputs[0] }},
		{"value w is a constant and defined", func(m *Model) { m.Graph.Inputs[0] = node(m).In[1] }},
		{"is no UTF-8", func(m *Model) { node(m).Name = "\xff" }},
		{"type int cannot be stored", func(m *Model) { node(m).Attrs["k"] = 1 }},
		{"without data", func(m *Model) { node(m).In[1].Const.Data = nil }},
		{"with 3 bytes", func(m *Model) { node(m).In[1].Const.Data = []byte{1, 2, 3} }},
		{"feature \"telepathy\"", func(m *Model) { m.Requires = []string{"telepathy"} }},
		{"extra field graph: known already", func(m *Model) { m.Extra = map[string][]byte{"graph": {1}} }},
		{"extra field f: manifest", func(m *Model) { m.Extra = map[string][]byte{"f": {0x82, 1}} }},
		{"2 are described, the graph has 1", func(m *Model) { m.Inputs = append(m.Inputs, m.Inputs[0]) }},
		{"a hash of 3 bytes", func(m *Model) { m.Provenance.Source = []byte{1, 2, 3} }},
		{"nested more than 16 deep", func(m *Model) {
			for range 17 {
				m.Graph = &model.Graph{Name: "outer", Nodes: []*model.Node{{Name: "loop", Op: "Loop", Graphs: map[string]*model.Graph{"body": m.Graph}}}}
			}
			m.Inputs = nil
		}},
		{"element 0 is a sequence itself", func(m *Model) {
			s := &tensor.Tensor{DType: tensor.Sequence, Shape: tensor.Shape{}}
			node(m).Attrs["k"] = &tensor.Tensor{DType: tensor.Sequence, Shape: tensor.Shape{}, Elems: []*tensor.Tensor{s}}
		}},
		{"value in is used outside of its graph", func(m *Model) {
			in := &model.Value{Name: "in"}
			sub := &model.Graph{Name: "sub", Inputs: []*model.Value{in}, Outputs: []*model.Value{in}}
			node(m).Graphs = map[string]*model.Graph{"body": sub}
			m.Graph.Outputs = []*model.Value{in}
		}},
	} {
		m := small()
		m.Outputs = nil
		c.f(m)
		if err := Write(&bytes.Buffer{}, m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.want, err)
		}
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.edge")
	if err := WriteFile(path, small()); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, Policy{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Digest()) != 64 {
		t.Error(f.Digest())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if m, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(m) != 1 {
		t.Errorf("left behind: %q", m)
	}
}
