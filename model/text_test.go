package model

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
)

var update = flag.Bool("update", false, "write golden files")

func parse(t *testing.T, text string) *Graph {
	t.Helper()
	g, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// everything is a graph that uses all that the text form knows.
func everything() *Graph {
	f := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)*0.37 - 1
		}
		return v
	}
	x := &Value{Name: "x", DType: tensor.F32, Shape: Shape{-1, 3, -1, 8}, Dims: []string{"batch size", "", "", "w"}}
	cond := &Value{Name: "cond", DType: tensor.Bool, Shape: Shape{}}
	w := NewConst("w/weights", tensor.From(f(64), 4, 4, 2, 2))
	b := NewConst("b::0", tensor.From(f(4)))
	shared := NewConst("shared", tensor.From([]int64{-1, 2}))
	q := tensor.From([]int8{1, -2, 3, 4}, 2, 2)
	q.Quant = &QParams{Scale: []float32{0.5, 0.25}, Zero: []int32{0, -3}, Axis: 1}
	i4 := tensor.New(tensor.I4, Shape{3})
	copy(i4.Data, []byte{0x8f, 0x07})
	f8 := tensor.New(tensor.F8E4M3FN, Shape{2})
	f8.Data[1] = 0x7e
	half := tensor.New(tensor.F16, Shape{2})
	copy(tensor.Of[uint16](half), []uint16{0x3c00, 0x0001})
	nan := tensor.New(tensor.F32, Shape{1})
	tensor.Of[uint32](&tensor.Tensor{DType: tensor.U32, Data: nan.Data})[0] = 0x7fc00123
	seq := &Tensor{DType: tensor.Sequence, Elems: []*Tensor{tensor.From([]float32{1}), tensor.From([]int64{2, 3})}}
	y1 := &Value{Name: "y", DType: tensor.F32}
	y2 := &Value{Name: "y", DType: tensor.I8, Shape: Shape{2, -1}, Quant: &QParams{Scale: []float32{0.1}, Zero: []int32{-128}}}
	z := &Value{Name: "_"}
	conv := &Node{Name: "conv 1", Op: "Conv", In: []*Value{x, w, b}, Out: []*Value{y1, nil, y2}, Num: num.FP16, Attrs: attr.Attrs{
		"ints": []int64{1, -2}, "none": []int64{}, "floats": []float32{1, -0.5}, "nofloats": []float32{}, "strs": []string{"a\n", ""},
		"nostrs": []string{}, "i": int64(3), "f": float32(3), "s": "NHWC", "t": q, "big": float32(1e30),
	}}
	inner := &Value{Name: "y"}
	els := &Graph{Name: "else", Outputs: []*Value{inner}, Nodes: []*Node{{Name: "r", Op: "Reshape", In: []*Value{y1, shared}, Out: []*Value{inner}}}}
	then := &Graph{Outputs: []*Value{shared}, Meta: map[string]string{"k": "v"}}
	branch := &Node{Name: "_", Op: "If", In: []*Value{cond}, Out: []*Value{z}, Graphs: map[string]*Graph{"then_branch": then, "else_branch": els}}
	last := &Node{Name: "misc", Op: "my.domain.Op", In: []*Value{
		NewConst("i4", i4), nil, NewConst("f8", f8), NewConst("half", half), NewConst("nan", nan), NewConst("seq", seq),
		NewConst("fill", tensor.New(tensor.U8, Shape{1000})), NewConst("text", tensor.FromStrings([]string{"a", "\"b\""})),
		NewConst("bools", tensor.From([]bool{true, false})), NewConst("empty", tensor.New(tensor.F32, Shape{0, 4})),
		NewConst("q", q), NewConst("f64", tensor.Scalar(1e-300)), z,
	}, Out: []*Value{{Name: "out", DType: tensor.Sequence}, {Name: "const"}}}
	nothing := &Node{Name: "sink", Op: "Sink"}
	return &Graph{Name: "main", Inputs: []*Value{x, cond}, Outputs: []*Value{last.Out[0], y2, shared}, Nodes: []*Node{conv, branch, last, nothing},
		Meta: map[string]string{"author": "a \"b\"", "labels": "x\ny"}}
}

func TestRoundTrip(t *testing.T) {
	g := everything()
	if err := Verify(g); err != nil {
		t.Fatal(err)
	}
	var full bytes.Buffer
	if err := PrintFull(&full, g); err != nil {
		t.Fatal(err)
	}
	h := parse(t, full.String())
	if err := Verify(h); err != nil {
		t.Errorf("%v\n%s", err, full.String())
	}
	if err := Equal(g, h); err != nil {
		t.Errorf("%v\n%s", err, full.String())
	}
	golden := filepath.Join("testdata", "everything.txt")
	short := g.String()
	if *update {
		if err := os.WriteFile(golden, []byte(short), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != short {
		t.Errorf("Print (%v):\n%s", err, short)
	}
	// Without its large constants a graph still parses, but does not pass as whole.
	if err := Verify(parse(t, short)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "w/weights") {
		t.Errorf("text without data verifies: %v", err)
	}
}

func TestPrintParsePrint(t *testing.T) {
	for _, text := range []string{
		"graph (x) -> (x) {\n}\n",
		"graph main(x: f32[1,n,?]) -> (y) {\n  y = Relu(x) : f32[1,n,?]\n}\n",
		"graph main(x: f32[n=4]) -> (y) {\n  const w: f32[4]{0.5, ...}\n  a: t = Add(x, w)\n  b: y = Mul(t, w) {act_min=0.0} @int8 : ?[4]\n}\n",
		"graph main(x: i8[1,2] q(0.5, 3)) -> (y) {\n  y = Conv(x, w: i8[2] q([0.5, 0.25], axis=0){1, 2}) : i8 q(0.25)\n}\n",
		"graph main(x) -> (x#3) {\n  x#2 = A(x)\n  x#3 = A(x#2)\n}\n",
		"graph (x) -> () {\n  n: () = A(_, x)\n  m: _, y = A()\n}\n",
	} {
		if got := parse(t, text).String(); got != text {
			t.Errorf("%s\nprints as\n%s", text, got)
		}
	}
}

func TestByHand(t *testing.T) {
	g := parse(t, `
		// what a pass is tested on
		graph (x: f32[2,2], n) -> (y) {
		  const two: f32{2}
		  t, _ = Split(x, i64{1,1}) {axis=1, ratio=0.5, keep=true, mix=[1, 2.5]}
		  y = Add(t, two, f16[3]{1, ...}, string{"a"},)   // trailing commas are fine
		}`)
	if err := Verify(g); err != nil {
		t.Fatal(err)
	}
	split, add := g.Nodes[0], g.Nodes[1]
	if split.Name != "t" || len(split.Out) != 2 || split.Out[1] != nil {
		t.Errorf("split: %+v", split)
	}
	if s := split.In[1].Const; s.DType != tensor.I64 || !s.Shape.Equal(Shape{2}) {
		t.Errorf("list without shape: %v", s)
	}
	if a := split.Attrs; a.Int("axis", 0) != 1 || a.Float("ratio", 0) != 0.5 || !a.Bool("keep", false) || len(a.Floats("mix")) != 2 || a.Floats("mix")[0] != 1 {
		t.Errorf("attributes: %v", a)
	}
	if c := add.In[1].Const; len(c.Shape) != 0 || tensor.Of[float32](c)[0] != 2 {
		t.Errorf("scalar: %v", c)
	}
	if h := tensor.Of[uint16](add.In[2].Const); len(h) != 3 || h[2] != 0x3c00 {
		t.Errorf("fill: %v", h)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1"},
		{"graph (x) -> (y) {}", "1:15: graph text: value y is not defined here"},
		{"graph (x) -> (x) {\n  y = Relu(z)\n}", "2:12: graph text: value z is not defined"},
		{"graph (x) -> (x) {\n  x = Relu(x)\n}", "2:3: graph text: value x is defined twice"},
		{"graph (x: f33) -> () {}", "1:11"},
		{"graph (x: f32[1,2) -> () {}", "1:18"},
		{"graph (x) -> () { y = A(x) {a=1, a=2} }", "attribute a is given twice"},
		{"graph (x) -> () { y = A(x) {a=[1,\"b\"]} }", "numbers and strings"},
		{"graph (x) -> () { y = A(x) {a=99999999999999999999} }", "64 bits"},
		{"graph (x) -> () { y = A(f32[3]{1,2}) }", "needs 3 elements, these are 2"},
		{"graph (x) -> () { y = A(i8[1]{200}) }", `"200" is no i8`},
		{"graph (x) -> () { y = A(f32[99999999]{0, ...}) }", "stands for more than"},
		{"graph (x) -> () { y = A(f32[999999999999999999,999999999999]{0}) }", "too large"},
		{"graph (x) -> () { y = A(f32[2] hex\"00\") }", "needs 8 bytes, these are 1"},
		{"graph (x) -> () { y = A(x) @fp17 }", "unknown numerics"},
		{"graph (x: i8[2] q(#12345678, axis=0)) -> () {}", "left out"},
		{"graph (x) -> () { \"y = A(x)\n }", "string without end"},
		{"graph (x) -> () { y = A(x) } y", "where the end is needed"},
		{"graph (x) -> () { y = A(x) ; }", `unexpected ';'`},
		{"graph (x: f32[" + strings.Repeat("1,", 17) + "]) -> () {}", "rank above"},
		{strings.Repeat("graph () -> () { a: () = If() {b=", 40), "nested more than"},
		{"graph () -> () { y = A(" + strings.Repeat("sequence{", 100), "bad sequence"},
	} {
		_, err := Parse([]byte(c.text))
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestEqualSaysWhere(t *testing.T) {
	base := "graph main(x: f32[2]) -> (y) {\n  const w: f32{1}\n  n: y = Add(x, w) {a=1} : f32[2]\n}"
	for from, want := range map[string]string{
		"f32[2]) ->|f32[3]) ->": "graph main: input 0: value x: shapes [2] and [3]",
		"{1}|{2}":               "n (Add): input 1: constant w: other elements",
		"a=1|a=2":               "n (Add): attribute a: 1 and 2",
		"a=1|a=1.0":             "n (Add): attribute a",
		"a=1|b=1":               "n (Add): attributes [a] and [b]",
		"Add(x, w)|Add(w, x)":   "n (Add): input 0: value x is w in the other graph, elsewhere x",
		"n:|m:":                 "the other graph has m (Add) here",
		"} : f32|} @bf16 : f32": "numerics default and bf16",
		": f32[2]\n|: f16[2]\n": "output 0: value y: types f32 and f16",
		"(y) {|(x) {":           "graph main: output 0: value y is x in the other graph, elsewhere y",
	} {
		a, b, _ := strings.Cut(from, "|")
		err := Equal(parse(t, base), parse(t, strings.Replace(base, a, b, 1)))
		if !errors.Is(err, ErrDifferent) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", from, err, want)
		}
	}
	if err := Equal(parse(t, base), parse(t, base)); err != nil {
		t.Error(err)
	}
}

func TestDOT(t *testing.T) {
	var b strings.Builder
	if err := WriteDOT(&b, everything()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"digraph \"main\" {", "label=\"Conv\\nconv 1\"", "cluster_n4_else_branch", "n1 -> n3 [label=\"f32[?,3,?,8]\"];", "out1 [label=\"y: i8[2,?] q(0.1, -128)\""} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds, _ := filepath.Glob(filepath.Join("testdata", "*.txt"))
	for _, s := range seeds {
		text, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	var full bytes.Buffer
	if err := PrintFull(&full, everything()); err != nil {
		f.Fatal(err)
	}
	f.Add(full.Bytes())
	f.Add([]byte("graph (x: i8[n=2] q([1, 2], axis=0)) -> (y) { a: y, _ = A(x, _, f16{1, ...}) {k=[1.5], g=graph () -> () {}} @int8 : ?, _ }"))
	f.Add([]byte("graph (x) -> (x#2) { const \"_\": sequence{u4[3]{1, ...}, bool[1] hex\"02\"}\n x#2 = B(x, \"_\") {t=string{\"a\"}, i=-1} : f32 }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := Parse(text)
		if err != nil {
			return
		}
		_ = g.String()
		if Verify(g) != nil {
			return
		}
		var b bytes.Buffer
		if err := PrintFull(&b, g); err != nil {
			t.Fatal(err)
		}
		h, err := Parse(b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
		if err := Equal(g, h); err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
	})
}
