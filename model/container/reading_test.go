package container_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
)

// modelText writes a model as independent_test.go writes what it reads.
type modelText struct {
	strings.Builder
	ids map[*model.Value]int
}

func quantText(q *tensor.QParams) *numbers {
	if q == nil {
		return nil
	}
	n := &numbers{axis: int64(q.Axis), zero: q.Zero}
	for _, s := range q.Scale {
		n.scale = append(n.scale, math.Float32bits(s))
	}
	return n
}

func wide(s []int) []int64 {
	r := []int64{}
	for _, d := range s {
		r = append(r, int64(d))
	}
	return r
}

func textOf(t *tensor.Tensor) string {
	var elems []string
	for _, e := range t.Elems {
		elems = append(elems, textOf(e))
	}
	return tensorText(t.DType.String(), wide(t.Shape), t.Data, t.Str, elems, quantText(t.Quant))
}

func (m *modelText) ref(v *model.Value) string {
	if v == nil {
		return "_"
	}
	if i, ok := m.ids[v]; ok {
		return fmt.Sprint("#", i)
	}
	i := len(m.ids)
	m.ids[v] = i
	shape, dims := "?", ""
	if v.Shape != nil {
		shape = fmt.Sprint(wide(v.Shape))
	}
	for _, d := range v.Dims {
		dims += fmt.Sprintf(" %q", d)
	}
	text := fmt.Sprintf("%q %v %s%s%v", v.Name, v.DType, shape, dims, quantText(v.Quant))
	if v.Const != nil {
		text += " const " + textOf(v.Const)
	}
	return fmt.Sprintf("#%d=(%s)", i, text)
}

func (m *modelText) refs(list []*model.Value) string {
	var r []string
	for _, v := range list {
		r = append(r, m.ref(v))
	}
	return strings.Join(r, ", ")
}

func attributeText(v any) string {
	switch v := v.(type) {
	case int64:
		return fmt.Sprint("int ", v)
	case float32:
		return fmt.Sprintf("float %08x", math.Float32bits(v))
	case string:
		return fmt.Sprintf("string %q", v)
	case []int64:
		return fmt.Sprint("ints ", v)
	case []float32:
		var list []string
		for _, f := range v {
			list = append(list, fmt.Sprintf("%08x", math.Float32bits(f)))
		}
		return fmt.Sprint("floats ", list)
	case []string:
		return fmt.Sprintf("strings %q", v)
	}
	return "tensor " + textOf(v.(*tensor.Tensor))
}

func (m *modelText) graph(g *model.Graph, indent string) {
	var list []string
	for k, v := range g.Meta {
		list = append(list, fmt.Sprintf("%q=%q", k, v))
	}
	sort.Strings(list)
	fmt.Fprintf(m, "%sgraph %q %v (%s)\n", indent, g.Name, list, m.refs(g.Inputs))
	for _, n := range g.Nodes {
		num := "default"
		if n.Num != 0 {
			num = n.Num.String()
		}
		fmt.Fprintf(m, "%snode %q %s %s (%s)\n", indent, n.Name, n.Op, num, m.refs(n.In))
		for _, name := range n.Attrs.Names() {
			fmt.Fprintf(m, "%s .%s %s\n", indent, name, attributeText(n.Attrs[name]))
		}
		for _, name := range n.GraphNames() {
			fmt.Fprintf(m, "%s :%s\n", indent, name)
			m.graph(n.Graphs[name], indent+"  ")
		}
		fmt.Fprintf(m, "%s -> %s\n", indent, m.refs(n.Out))
	}
	fmt.Fprintf(m, "%sreturn %s\n", indent, m.refs(g.Outputs))
}

// independent reads what the writer makes of m, with the reader of independent_test.go, and compares the graphs.
func independent(t *testing.T, m *container.Model) *fileReading {
	t.Helper()
	var b bytes.Buffer
	if err := container.Write(&b, m); err != nil {
		t.Fatal(err)
	}
	f, err := readFile(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.text()
	if err != nil {
		t.Fatal(err)
	}
	want := &modelText{ids: map[*model.Value]int{}}
	want.graph(m.Graph, "")
	if !strings.Contains(got, want.String()) {
		a, b := strings.Split(got, "\n")[1:], strings.Split(want.String(), "\n")
		for i := range b {
			if i >= len(a) || a[i] != b[i] {
				t.Fatalf("line %d: read\n%s\nwritten\n%s", i, a[min(i, len(a)-1)], b[i])
			}
		}
	}
	return f
}

// A reader written from FORMAT.md alone reads what the writer writes.
func TestIndependentReader(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "independent_test.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if strings.Contains(i.Path.Value, "edgerun") {
			t.Errorf("the reader imports %s", i.Path.Value)
		}
	}
	seeds := uint64(60)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		independent(t, &container.Model{Name: "random", Graph: container.RandomGraph(seed)})
	}
}

// Chunks of every encoding, tensors of many chunks and chunks of many tensors are read alike.
func TestIndependentReaderOnAllEncodings(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := map[uint64]int{}
	fill := func(d tensor.DType, size int, f func(i int) uint64) *tensor.Tensor {
		n := (size*8 + d.Bits() - 1) / d.Bits()
		t := tensor.New(d, tensor.Shape{n})
		w := len(t.Data) / n
		for i := range n {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], f(i))
			copy(t.Data[i*w:(i+1)*w], b[:])
		}
		return t
	}
	sizes := []int{40, 3001, 70_000, 1_100_000} // bytes, more or less
	if testing.Short() {
		sizes = sizes[:3]
	}
	for _, size := range sizes {
		var list []*tensor.Tensor
		list = append(list,
			fill(tensor.U8, size, func(int) uint64 { return rng.Uint64() }),
			fill(tensor.U8, size, func(i int) uint64 { return uint64(i / 7 % 250) }),
			fill(tensor.U8, size, func(int) uint64 { return rng.Uint64() % 16 }),
			fill(tensor.I8, size, func(int) uint64 { return rng.Uint64()%16 - 8 }),
			fill(tensor.U16, size, func(int) uint64 { return rng.Uint64() % 256 }),
			fill(tensor.U32, size, func(int) uint64 { return rng.Uint64() % 256 }),
			fill(tensor.U64, size, func(int) uint64 { return rng.Uint64() % 256 }),
			fill(tensor.BF16, size, func(int) uint64 { return uint64(math.Float32bits(float32(rng.NormFloat64())) >> 16) }),
			fill(tensor.F32, size, func(int) uint64 { return uint64(math.Float32bits(float32(rng.NormFloat64()))) }),
			fill(tensor.F64, size, func(int) uint64 { return math.Float64bits(rng.NormFloat64()) }),
		)
		for i, x := range list {
			g := &model.Graph{Name: "g"}
			for k := range 3 { // one large, or three that share a chunk
				name := fmt.Sprint("w", k)
				g.Outputs = append(g.Outputs, model.NewConst(name, &tensor.Tensor{DType: x.DType, Shape: tensor.Shape{len(x.Data) / (x.DType.Bits() / 8)}, Data: x.Data}))
				if size > 65_536 {
					break
				}
				x = &tensor.Tensor{DType: x.DType, Data: slices.Clone(x.Data)}
				slices.Reverse(x.Data[:len(x.Data)/16*8])
			}
			f := independent(t, &container.Model{Name: fmt.Sprint(size, i), Graph: g})
			for k, c := range f.kinds {
				kinds[k] += c
			}
		}
	}
	for k := range uint64(container.Encodings) {
		if kinds[k] == 0 {
			t.Errorf("no chunk has encoding %d: %v", k, kinds)
		}
	}
}

// All parts but the graph.
func TestIndependentReaderOnAllParts(t *testing.T) {
	m := container.EveryPart()
	path := filepath.Join(t.TempDir(), "all.edge")
	if err := container.WriteFile(path, m); err != nil {
		t.Fatal(err)
	}
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	keys := []crypto.Signer{ed25519.NewKeyFromSeed(seed), p256}
	for _, k := range keys {
		if err := container.Sign(path, k); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := readFile(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		spki, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.signed(spki); err != nil {
			t.Errorf("%T: %v", k, err)
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.signed(spki); err == nil {
		t.Error("a key that has not signed has")
	}
	got, err := f.text()
	if err != nil {
		t.Fatal(err)
	}
	g := m.Golden[0]
	h := m.Histograms[0]
	ranges := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, math.Float32bits(h.Lo)), math.Float32bits(h.Hi))
	var counts []byte
	for _, c := range h.Counts {
		counts = binary.LittleEndian.AppendUint64(counts, c)
	}
	for _, want := range []string{
		"model name=small version=1.2\n",
		"inputs \"x\" f32[-1 4] [\"batch\" \"\"] layout=NC\nunit=616d\n",
		"outputs \"y\" f32[-1 2]\n",
		fmt.Sprintf("pipeline %q %x\n", m.Pipeline.Schema, m.Pipeline.Data),
		fmt.Sprintf("certificate %q %x\n", m.Certificate.Schema, m.Certificate.Data),
		fmt.Sprintf("labels %q\n", m.Labels),
		fmt.Sprintf("provenance format=\"onnx\" file=\"small.onnx\" tool=\"edgerun 0.1\" source=%x \"precision\"=\"fp32\" note=01\n", m.Provenance.Source),
		fmt.Sprintf("golden \"0\"\n in \"x\" %s\n out \"y\" %s\n tolerance rtol=0.001 cosine=0.9999 top1=true\n ulps=03|by=616e\n", textOf(g.Inputs[0].Tensor), textOf(g.Outputs[0].Tensor)),
		fmt.Sprintf("histogram \"y\" %x %x\n", ranges, counts),
		"later=820102\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not read: %s\nbut\n%s", want, got)
		}
	}
}
