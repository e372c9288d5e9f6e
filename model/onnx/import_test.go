package onnx

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
)

func wantError(t *testing.T, data pb, o Options, is error, want string) {
	t.Helper()
	_, err := Import(data, o)
	if !errors.Is(err, is) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %v with %q", err, is, want)
	}
}

func TestInputsOutputsAndMeta(t *testing.T) {
	data := cat(modelOf(17, graphOf(
		input("x", tensor.F32, "batch", 3, "?", "?"), input("w", tensor.F32, 2), input("s", tensor.F32),
		initializer("w", tensor.From([]float32{1, 2})),
		valueField(13, "h", typeMessage(tensor.F32, "batch", 4)),
		node("h = Foo(x, w, s)"), node("y = Relu(h)"),
		output("y", tensor.F32, 1, "n"), output("w", tensor.F32, 2))),
		bytesField(14, cat(text(1, "character"), text(2, "a\nb"))), text(3, "2.0"), integerField(5, 7), text(6, "about"))
	g := mustImport(t, data)
	if len(g.Inputs) != 2 || g.Inputs[0].Name != "x" || g.Inputs[1].Name != "s" {
		t.Fatalf("inputs %v", g.Inputs)
	}
	x := g.Inputs[0]
	if x.DType != tensor.F32 || !x.Shape.Equal(tensor.Shape{-1, 3, -1, -1}) || !slices.Equal(x.Dims, []string{"batch", "", "", ""}) {
		t.Errorf("x is %v%v %q", x.DType, x.Shape, x.Dims)
	}
	if s := g.Inputs[1]; s.Shape == nil || len(s.Shape) != 0 {
		t.Errorf("scalar s has shape %v", s.Shape)
	}
	h := g.Nodes[0].Out[0]
	if h.DType != tensor.F32 || !h.Shape.Equal(tensor.Shape{-1, 4}) || h.Dims[0] != "batch" {
		t.Errorf("h is %v%v %q", h.DType, h.Shape, h.Dims)
	}
	if y := g.Outputs[0]; y != g.Nodes[1].Out[0] || !y.Shape.Equal(tensor.Shape{1, -1}) || y.Dims[1] != "n" {
		t.Errorf("y is %v %q", y.Shape, y.Dims)
	}
	if g.Outputs[1].Const == nil || g.Outputs[1] != g.Nodes[0].In[1] {
		t.Error("an initializer that is an output is another value")
	}
	for k, want := range map[string]string{"character": "a\nb", "onnx.producer_name": "writer", "onnx.producer_version": "2.0",
		"onnx.model_version": "7", "onnx.doc_string": "about", "onnx.ir_version": "8", "onnx.opset": "17"} {
		if g.Meta[k] != want {
			t.Errorf("meta %s is %q, want %q", k, g.Meta[k], want)
		}
	}
}

func TestConstants(t *testing.T) {
	for _, c := range []struct {
		attr pb
		want string
	}{
		{attr("value", tensor.From([]int32{1, 2}, 1, 2)), "i32[1,2][1 2]"},
		{attr("value_float", float32(1.5)), "f32[][1.5]"},
		{attr("value_floats", []float32{1, 2}), "f32[2][1 2]"},
		{attr("value_int", 3), "i64[][3]"},
		{attr("value_ints", []int64{3, 4}), "i64[2][3 4]"},
		{attr("value_ints", []int64{}), "i64[0][]"},
		{attr("value_string", "s"), `string[]["s"]`},
		{attr("value_strings", []string{"s", "t"}), `string[2]["s" "t"]`},
	} {
		g := mustImport(t, modelOf(13, graphOf(node("c = Constant()", c.attr), node("y = Identity(c)"), untyped("y"))))
		wantLines(t, g, "y = Identity("+c.want+")")
	}
	wantError(t, modelOf(13, graphOf(node("c = Constant()"))), Options{}, ErrFormat, "node #0 (Constant): ")
	wantError(t, modelOf(13, graphOf(node("c = Constant()", attr("value", graphOf())))), Options{}, ErrFormat, "attribute value cannot be a constant")
}

func TestNodesAreSorted(t *testing.T) {
	// d reads b inside a subgraph; nodes that need not move keep their order.
	branch := graphOf(node("in = Neg(b)"), untyped("in"))
	g := mustImport(t, modelOf(17, graphOf(input("x", tensor.F32), input("p", tensor.Bool),
		node("d = If(p)", attr("then_branch", branch), attr("else_branch", branch)),
		node("c = Add(a, x)"), node("b = Relu(a)"), node("a = Abs(x)"), untyped("d"), untyped("c"))))
	var ops []string
	for _, n := range g.Nodes {
		ops = append(ops, n.Op)
	}
	if got := strings.Join(ops, " "); got != "Abs Add Relu If" {
		t.Errorf("order %s", got)
	}
	if names := []string{g.Nodes[0].Name, g.Nodes[3].Name}; !slices.Equal(names, []string{"Abs_3", "If_0"}) {
		t.Errorf("names %v", names)
	}
}

func TestGraphErrors(t *testing.T) {
	x := input("x", tensor.F32, 1)
	for _, c := range []struct {
		name  string
		graph pb
		is    error
		want  string
	}{
		{"cycle", graphOf(x, node("n1: a = Add(x, c)"), node("n2: b = Relu(a)"), node("n3: c = Relu(b)"), node("e = Neg(c)")), ErrFormat, "nodes depend on their own outputs: n"},
		{"own output", graphOf(node("n: a = Relu(a)")), ErrFormat, "nodes depend on their own outputs: n (Relu)"},
		{"undefined input", graphOf(x, node("conv_3: y = Conv(x, w)")), ErrFormat, `node conv_3 (Conv): malformed onnx: input 1, "w", is not defined`},
		{"undefined output", graphOf(x, untyped("z")), ErrFormat, `output "z" is not defined`},
		{"two makers", graphOf(x, node("a: y = Abs(x)"), node("b: y = Neg(x)")), ErrFormat, `node b (Neg): malformed onnx: output "y" is also one of node a (Abs)`},
		{"node and input", graphOf(x, node("a: x = Abs()")), ErrFormat, `node a (Abs): malformed onnx: value "x" is defined twice`},
		{"two inputs", graphOf(x, x), ErrFormat, `input "x" is listed twice`},
		{"two initializers", graphOf(initializer("w", tensor.From([]int64{1})), initializer("w", tensor.From([]int64{1}))), ErrFormat, `initializer: malformed onnx: value "w" is defined twice`},
		{"input without a type", graphOf(bytesField(11, text(1, "x"))), ErrFormat, "input x has no type"},
		{"map input", graphOf(valueField(11, "x", bytesField(5, nil))), ErrUnsupported, "input x: unsupported onnx feature: type map"},
		{"attribute twice", graphOf(x, node("n: y = Foo(x)", attr("a", 1), attr("a", 2))), ErrFormat, "node n (Foo): malformed onnx: attribute a is given twice"},
		{"no operator", graphOf(bytesField(1, text(3, "n"))), ErrFormat, "no operator"},
		{"type of an attribute", graphOf(bytesField(1, cat(text(3, "n"), text(4, "Foo"), bytesField(5, cat(text(1, "a"), integerField(20, 77)))))), ErrFormat, "node n (Foo): attribute a: byte "},
		{"undefined in a subgraph", graphOf(input("p", tensor.Bool), node("n: y = If(p)", attr("then_branch", graphOf(node("m: a = Abs(q)"), untyped("a"))))), ErrFormat,
			`node n (If): attribute then_branch: node m (Abs): malformed onnx: input 0, "q", is not defined`},
		{"wire type", cat(integerField(1, 5)), ErrFormat, "field 1 has wire type 0, want 2"},
		{"huge dimension", graphOf(input("x", tensor.F32, math.MaxInt)), ErrLimit, "value x: byte "},
		{"initializer", graphOf(initializer("w", &tensor.Tensor{DType: tensor.F32, Shape: tensor.Shape{2}, Data: make([]byte, 4)})), ErrFormat, "initializer: tensor w: byte "},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, modelOf(17, c.graph), Options{}, c.is, c.want) })
	}
	wantError(t, nil, Options{}, ErrFormat, "no graph")
	wantError(t, []byte("\x89PNG\r\n\x1a\n"), Options{}, ErrFormat, "byte 0")
	wantError(t, cat(integerField(1, 8), bytesField(7, graphOf())), Options{}, ErrFormat, "no opset_import")
}

func TestNamesAreMadeUnique(t *testing.T) {
	x := input("x", tensor.F32)
	g := mustImport(t, modelOf(17, graphOf(x, node("n_1: a = Abs(x)"), node("n: b = Abs(x)"), node("n: c = Abs(x)"), node("n: d = Abs(x)"), node("e = Abs(x)"), untyped("e"))))
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Name)
	}
	if want := []string{"n_1", "n", "n_2", "n_3", "Abs_4"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestSubgraphsSeeTheValuesAround(t *testing.T) {
	g := mustImport(t, modelOf(17, graphOf(input("x", tensor.F32), input("p", tensor.Bool), initializer("w", tensor.From([]float32{1})),
		node("y = If(p)",
			attr("then_branch", graphOf(node("t = Add(x, w)"), untyped("t"))),
			attr("else_branch", graphOf(initializer("x", tensor.From([]float32{2})), untyped("x")))),
		untyped("y"))))
	wantLines(t, g, `
			y = If(p)
			  else_branch() -> f32[1][2]
			  then_branch() -> t
			  t = Add(x, f32[1][1])`)
	if then := g.Nodes[0].Graphs["then_branch"].Nodes[0]; then.In[0] != g.Inputs[0] {
		t.Error("the branch reads another x")
	}
}

func TestFunctionsAreInlined(t *testing.T) {
	main := func(nodes ...pb) pb {
		return graphOf(input("x", tensor.F32, 2), cat(nodes...), untyped("y"))
	}
	scale := function("Scale", []string{"a", "b"}, []string{"r"}, []string{"alpha"},
		functionNode("k = Constant()", ref("value_float", "alpha", attrFloat)), functionNode("m: h = Mul(a, k)"), functionNode("r = Clip(h, b)"))
	for _, c := range []struct {
		name  string
		model pb
		want  string
	}{
		{"attribute and absent input", modelOf(17, main(node("f: y = local.Scale(x)", attr("alpha", float32(3)))), scale), `
			f/h = Mul(x, f32[][3])
			y = Clip(f/h)`},
		{"present input, two calls", modelOf(17, main(node("f: h = local.Scale(x, x)", attr("alpha", float32(3))), node("f: y = local.Scale(h)", attr("alpha", float32(4)))), scale), `
			f/h = Mul(x, f32[][3])
			h = Clip(f/h, x)
			f/h = Mul(h, f32[][4])
			y = Clip(f/h)`},
		{"default attribute", modelOf(17, main(node("f: y = local.Leak(x)")),
			function("Leak", []string{"a"}, []string{"r"}, nil, bytesField(11, cat(text(1, "s"), floatField(2, .5), integerField(20, attrFloat))),
				functionNode("r = LeakyRelu(a)", ref("alpha", "s", attrFloat)))), `y = LeakyRelu(x) alpha=0.5`},
		{"attribute left out", modelOf(17, main(node("f: y = local.Leak(x)")),
			function("Leak", []string{"a"}, []string{"r"}, []string{"s"}, functionNode("r = LeakyRelu(a)", ref("alpha", "s", attrFloat)))), `y = LeakyRelu(x)`},
		{"nested, with the attribute handed on", modelOf(17, main(node("f: y = local.Twice(x)", attr("s", float32(2)))),
			function("Twice", []string{"a"}, []string{"r"}, []string{"s"},
				functionNode("g: h = local.Scale(a)", ref("alpha", "s", attrFloat)), functionNode("g: r = local.Scale(h)", ref("alpha", "s", attrFloat))), scale), `
			f/g/h = Mul(x, f32[][2])
			f/h = Clip(f/g/h)
			f/g/h = Mul(f/h, f32[][2])
			y = Clip(f/g/h)`},
		{"an input as output, twice", modelOf(17, main(node("f: h, y = local.Same(x)")),
			function("Same", []string{"a"}, []string{"a", "a"}, nil)), `
			h = Identity(x)
			y = Identity(x)`},
		{"constant as output", modelOf(17, main(node("f: y = local.One()")),
			function("One", nil, []string{"r"}, nil, functionNode("r = Constant()", attr("value_int", 1)))), `y = Identity(i64[][1])`},
		{"unwanted output", modelOf(17, main(node("f: _, y = local.Two(x)")),
			function("Two", []string{"a"}, []string{"r", "s"}, nil, functionNode("r = Abs(a)"), functionNode("s = Neg(a)"))), `
			f/r = Abs(x)
			y = Neg(x)`},
		{"a subgraph in a function", modelOf(17, main(node("f: y = local.Choose(x, x)", attr("s", float32(2)))),
			function("Choose", []string{"a", "b", "none"}, []string{"r"}, []string{"s"},
				functionNode("c = Cast(a)", attr("to", 9)),
				functionNode("r = If(c)", attr("then_branch", graphOf(node("t = LeakyRelu(a)", ref("alpha", "s", attrFloat)), untyped("t"))),
					attr("else_branch", graphOf(node("e = Clip(b, none)"), untyped("e")))))), `
			f/c = Cast(x) to=9
			y = If(f/c)
			  else_branch() -> f/e
			  f/e = Clip(x)
			  then_branch() -> f/t
			  f/t = LeakyRelu(x) alpha=2`},
		{"a subgraph as attribute", modelOf(17, main(node("c = Cast(x)", attr("to", 9)), node("f: y = local.Either(c)", attr("g", graphOf(node("t = Abs(x)"), untyped("t"))))),
			function("Either", []string{"p"}, []string{"r"}, []string{"g"},
				functionNode("r = If(p)", ref("then_branch", "g", attrGraph), ref("else_branch", "g", attrGraph)))), `
			c = Cast(x) to=9
			y = If(c)
			  else_branch() -> t
			  t = Abs(x)
			  then_branch() -> t
			  t = Abs(x)`},
		{"old opset inside", modelOf(17, main(node("f: y = local.Old(x)")),
			bytesField(25, cat(text(1, "Old"), text(10, "local"), bytesField(9, integerField(2, 11)), text(4, "a"), text(5, "r"),
				functionNode("r = Squeeze(a)", attr("axes", []int64{0}))))), `y = Squeeze(x, i64[1][0])`},
	} {
		t.Run(c.name, func(t *testing.T) { wantLines(t, mustImport(t, c.model), c.want) })
	}
	for _, c := range []struct {
		name  string
		model pb
		is    error
		want  string
	}{
		{"recursion", modelOf(17, main(node("f: y = local.A(x)")),
			function("A", []string{"a"}, []string{"r"}, nil, functionNode("r = local.B(a)")),
			function("B", []string{"a"}, []string{"r"}, nil, functionNode("r = local.A(a)"))), ErrFormat, "function A calls itself"},
		{"too many inputs", modelOf(17, main(node("f: y = local.Scale(x, x, x)")), scale), ErrFormat, "3 inputs and 1 outputs, but the function has 2 and 1"},
		{"defined twice", modelOf(17, main(), scale, scale), ErrFormat, "function local.Scale is defined twice"},
		{"undefined output", modelOf(17, main(node("f: y = local.E()")), function("E", nil, []string{"r"}, nil)), ErrFormat, `function E does not define its output "r"`},
		{"values around are not seen", modelOf(17, main(node("f: y = local.E()")), function("E", nil, []string{"r"}, nil, functionNode("r = Abs(x)"))), ErrFormat, `"x", is not defined`},
		{"explosion", explosion(), ErrLimit, "more memory than its file explains"},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, c.model, Options{}, c.is, c.want) })
	}
}

// explosion is a chain of functions each of which calls the next one eight times.
func explosion() pb {
	var fs []pb
	for i := range 20 {
		var nodes []pb
		for k := range 8 {
			nodes = append(nodes, functionNode(fmt.Sprintf("r%d = local.F%d(a)", k, i+1)))
		}
		fs = append(fs, function(fmt.Sprintf("F%d", i), []string{"a"}, []string{"r0"}, nil, nodes...))
	}
	fs = append(fs, function("F20", []string{"a"}, []string{"r0"}, nil, functionNode("r0 = Abs(a)")))
	return modelOf(17, graphOf(input("x", tensor.F32), node("y = local.F0(x)"), untyped("y")), fs...)
}

func TestLimits(t *testing.T) {
	deep := graphOf(untyped("x"))
	for range 100 {
		deep = graphOf(node("y = If(p)", attr("then_branch", deep)))
	}
	wantError(t, modelOf(17, deep), Options{}, ErrLimit, "nested more than")

	// Two bytes a node, that would take half a kilobyte each in memory.
	many := make([]byte, 0, 1<<20)
	for len(many) < 1<<20 {
		many = append(many, bytesField(1, text(4, "A"))...)
	}
	wantError(t, modelOf(17, many), Options{}, ErrLimit, "more memory than its file explains")

	types := typeMessage(tensor.F32)
	for range 30 {
		types = bytesField(4, bytesField(1, types))
	}
	wantError(t, modelOf(17, graphOf(valueField(11, "x", types))), Options{}, ErrLimit, "types nested")
}

// TestParsingTakesLittleMemory counts all that is allocated, garbage included, for files that try to take much.
func TestParsingTakesLittleMemory(t *testing.T) {
	repeat := func(parts ...pb) pb {
		var b pb
		for i := 0; len(b) < 1<<20; i++ {
			b = append(b, parts[i%len(parts)]...)
		}
		return b
	}
	var made []pb
	for i := range 40000 {
		made = append(made, node(fmt.Sprintf("a%d, b%d = A(a%d)", i, i, max(0, i-1))))
	}
	made[0] = node("a0 = A()")
	var outputs pb
	for i := range 120000 {
		outputs = append(outputs, text(2, fmt.Sprint(i))...)
	}
	var ints pb
	for range 1 << 20 {
		ints = append(ints, 1)
	}
	for _, c := range []struct {
		name string
		data pb
	}{
		{"nodes", modelOf(17, graphOf(repeat(node(" = A()"))))},
		{"chain", modelOf(17, graphOf(made...))},
		{"outputs", modelOf(17, graphOf(bytesField(1, cat(text(4, "A"), outputs))))},
		{"inputs", modelOf(17, graphOf(bytesField(1, cat(text(4, "A"), repeat(text(1, ""))))))},
		{"attributes", modelOf(17, graphOf(bytesField(1, cat(text(4, "A"), repeat(attr("a", 1))))))},
		{"integers", modelOf(17, graphOf(node(" = A()", bytesField(5, cat(text(1, "a"), bytesField(8, ints))))))},
		{"graphs", modelOf(17, graphOf(node(" = A()", repeat(attr("a", graphOf())))))},
		{"values", modelOf(17, graphOf(repeat(valueField(13, "", nil), valueField(13, "a", typeMessage(tensor.F32, "n", 1, 1)))))},
		{"types", modelOf(17, graphOf(repeat(valueField(13, "", bytesField(4, bytesField(1, nil))))))},
		{"initializers", modelOf(17, graphOf(repeat(bytesField(5, integerField(tensorType, 1)))))},
		{"metadata", modelOf(17, graphOf(), repeat(bytesField(14, text(1, "a"))))},
		{"functions", explosion()},
		{"misaligned data", modelOf(17, graphOf(initializer("w", tensor.New(tensor.F64, tensor.Shape{1 << 21})), untyped("w")))},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Import(c.data, Options{})
			runtime.ReadMemStats(&after)
			// The file itself counts once.
			if took, most := after.TotalAlloc-before.TotalAlloc, uint64(len(c.data)+64<<20); took > most {
				t.Errorf("%d bytes of file took %d bytes, more than %d (%v)", len(c.data), took, most, err)
			} else {
				t.Logf("%d bytes of file took %d bytes (%v)", len(c.data), took, err)
			}
		})
	}
}

func TestEveryPrefixAndFlippedByteEndsInAnError(t *testing.T) {
	data := modelOf(11, graphOf(input("x", tensor.F32, "n", 3), initializer("w", tensor.From([]float32{1, 2, 3})),
		node("a = Add(x, w)"), node("b = Squeeze(a)", attr("axes", []int64{0})),
		node("y = If(p)", attr("then_branch", graphOf(node("t = Abs(b)"), untyped("t"))), attr("else_branch", graphOf(untyped("b")))),
		input("p", tensor.Bool), untyped("y")), function("F", []string{"a"}, []string{"r"}, nil, functionNode("r = Abs(a)")))
	mustImport(t, data)
	check := func(b []byte) {
		if _, err := Import(b, Options{MaxTensorBytes: 1 << 20}); err != nil &&
			!errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("%x: %v", b, err)
		}
	}
	for i := range data {
		check(data[:i:i])
		for _, x := range []byte{1, 0x80, 0xff, 0x08} {
			b := slices.Clone(data)
			b[i] ^= x
			check(b)
		}
	}
}

func TestSharedModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata.Dir(t), "models", "*.onnx"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d models: %v", len(files), err)
	}
	for _, f := range files {
		g, err := Open(f, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if len(g.Inputs) == 0 || len(g.Outputs) == 0 || len(g.Nodes) == 0 {
			t.Errorf("%s: %d inputs, %d outputs, %d nodes", f, len(g.Inputs), len(g.Outputs), len(g.Nodes))
		}
	}
}

// FuzzImport: whatever the bytes, Import returns a graph that passes Verify or an error that says of what kind it is.
func FuzzImport(f *testing.F) {
	x := input("x", tensor.F32, "n", 3)
	for _, seed := range []pb{
		modelOf(17, graphOf(x, node("y = Relu(x)"), output("y", tensor.F32))),
		modelOf(6, graphOf(x, initializer("w", tensor.From([]float32{1})), node("y = Add(x, w)", attr("broadcast", 1), attr("axis", 0)), output("y", tensor.F32))),
		modelOf(8, graphOf(x, node("y = Scan(_, x, x)", attr("num_scan_inputs", 1), attr("body", graphOf(valueField(11, "a", nil), valueField(11, "b", nil), untyped("a")))), untyped("y"))),
		modelOf(17, graphOf(x, node("y = local.F(x)", attr("s", 1)), untyped("y")), function("F", []string{"a"}, []string{"r"}, []string{"s"}, functionNode("r = Foo(a)", ref("t", "s", attrInt)))),
		modelOf(11, graphOf(valueField(11, "o", bytesField(9, bytesField(1, typeMessage(tensor.I64)))), node("h = OptionalHasElement(o)"), untyped("h"))),
		modelOf(17, graphOf(x, node("s = SequenceConstruct(x)"), node("y = SequenceMap(s)", attr("body", graphOf(valueField(11, "a", nil), untyped("a")))), untyped("y"))),
		explosion(),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := Import(data, Options{MaxTensorBytes: 1 << 20})
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if err := model.Verify(g); err != nil {
			t.Fatal(err)
		}
	})
}
