package runtime_test

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/ops"
)

// mutator changes a graph as a script of bytes says.
type mutator struct {
	script []byte
	graph  *model.Graph
	names  []string // of attributes
	kinds  []string // of operators
	used   int
}

func (m *mutator) draw(n int) int {
	if len(m.script) == 0 || n <= 0 {
		return 0
	}
	b := int(m.script[0])
	m.script = m.script[1:]
	if n > 256 && len(m.script) > 0 {
		b = b<<8 | int(m.script[0])
		m.script = m.script[1:]
	}
	return b % n
}

var oddNumbers = []int64{0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 64, -2, -3, 100, 1 << 16, 1<<31 - 1, 1 << 31, -1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}

func (m *mutator) number() int64 { return oddNumbers[m.draw(len(oddNumbers))] }

func (m *mutator) shape() tensor.Shape {
	s := tensor.Shape{}
	for range m.draw(6) {
		s = append(s, []int{1, 2, 3, 4, 8, 0, 33, 300}[m.draw(8)])
	}
	return s
}

func (m *mutator) constant() *model.Value {
	d := []tensor.DType{tensor.F32, tensor.I64, tensor.I32, tensor.U8, tensor.I8, tensor.Bool, tensor.F16, tensor.String, tensor.F64, tensor.I16}[m.draw(10)]
	s := m.shape()
	if n, err := s.Size(); err != nil || n > 1<<12 {
		s = tensor.Shape{2}
	}
	t := tensor.New(d, s)
	kind := m.draw(3)
	for i := range t.Data {
		t.Data[i] = byte(i * kind * 37)
	}
	if d == tensor.I64 && kind == 0 {
		for i := range tensor.Of[int64](t) {
			tensor.Of[int64](t)[i] = m.number()
		}
	}
	m.used++
	return model.NewConst("mutant"+string(rune('A'+m.used%26))+string(rune('A'+m.used/26%26)), t)
}

// step changes one node.
func (m *mutator) step() {
	var nodes []*model.Node
	var graphs []*model.Graph
	m.graph.Walk(func(g *model.Graph, n *model.Node) { nodes, graphs = append(nodes, n), append(graphs, g) })
	if len(nodes) == 0 {
		return
	}
	k := m.draw(len(nodes))
	n, g := nodes[k], graphs[k]
	input := func(v *model.Value) {
		if i := m.draw(len(n.In) + 1); i < len(n.In) {
			n.In[i] = v
		} else {
			n.In = append(n.In, v)
		}
	}
	switch m.draw(12) {
	case 0:
		n.Op = m.kinds[m.draw(len(m.kinds))]
	case 1: // reads what another node before it makes
		before := graphNodes(g, n)
		if len(before) > 0 {
			if p := before[m.draw(len(before))]; len(p.Out) > 0 {
				input(p.Out[m.draw(len(p.Out))])
			}
		}
	case 2:
		input(nil)
	case 3:
		n.Attrs.Set(m.names[m.draw(len(m.names))], m.number())
	case 4:
		list := make([]int64, m.draw(6))
		for i := range list {
			list[i] = m.number()
		}
		n.Attrs.Set(m.names[m.draw(len(m.names))], list)
	case 5:
		n.Attrs.Set(m.names[m.draw(len(m.names))], []float32{0, -1, 1e30, float32(math.NaN()), .5}[m.draw(5)])
	case 6, 7:
		input(m.constant())
	case 8: // other numbers in a list that is there
		if names := n.Attrs.Names(); len(names) > 0 {
			name := names[m.draw(len(names))]
			if list := n.Attrs.Ints(name); len(list) > 0 {
				list = slices.Clone(list)
				list[m.draw(len(list))] = int(m.number())
				n.Attrs.Set(name, list)
			} else {
				n.Attrs.Set(name, m.number())
			}
		}
	case 9:
		if len(n.Out) > 0 {
			if v := n.Out[m.draw(len(n.Out))]; v != nil {
				v.DType = []tensor.DType{tensor.I8, tensor.U8, tensor.F32, tensor.I64, tensor.I16}[m.draw(5)]
				v.Quant = &tensor.QParams{Scale: []float32{.1}, Zero: []int32{int32(m.draw(100))}}
				if m.draw(2) == 0 {
					v.Quant = nil
				}
			}
		}
	case 10:
		if len(m.graph.Inputs) > 0 {
			v := m.graph.Inputs[m.draw(len(m.graph.Inputs))]
			v.Shape, v.Dims = m.shape(), nil
			if m.draw(3) == 0 {
				v.Shape = nil
			}
		}
	case 11:
		if len(n.In) > 0 && m.draw(2) == 0 {
			n.In = n.In[:m.draw(len(n.In))]
		} else if len(n.Out) > 1 {
			n.Out[m.draw(len(n.Out))] = nil
		}
	}
}

// graphNodes lists the nodes of g before n.
func graphNodes(g *model.Graph, n *model.Node) []*model.Node {
	for i, m := range g.Nodes {
		if m == n {
			return g.Nodes[:i]
		}
	}
	return nil
}

// FuzzMutated changes graphs that run, random ones and the recorded cases of operators, in ways that readers let pass.
func FuzzMutated(f *testing.F) {
	files, err := filepath.Glob("op/*/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		f.Fatalf("%v, %d files", err, len(files))
	}
	var bases []*model.Graph
	for _, file := range files {
		bases = append(bases, recorded(f, file)...)
	}
	names := map[string]bool{}
	for _, g := range bases {
		for name := range g.Nodes[0].Attrs {
			names[name] = true
		}
	}
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	for i := range 64 {
		script := make([]byte, 1+i/4)
		for k := range script {
			script[k] = byte(i * (k + 7) * 31)
		}
		f.Add(uint16(i*97), script)
	}
	f.Fuzz(func(t *testing.T, seed uint16, script []byte) {
		var g *model.Graph
		if seed%2 == 0 {
			g = bases[int(seed/2)%len(bases)].Clone()
		} else {
			g = graphgen.New(uint64(seed), graphgen.Options{Nodes: 3 + int(seed)%8, Flow: seed%3 == 0, Quant: seed%5 < 3, Dynamic: seed%7 == 0}).Clone()
		}
		m := &mutator{script: script, graph: g, names: list, kinds: ops.Names()}
		for i := 0; i < 8 && len(m.script) > 0; i++ {
			m.step()
		}
		if model.Verify(g) == nil {
			runAny(t, g)
		}
	})
}
