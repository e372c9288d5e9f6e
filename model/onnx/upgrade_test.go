package onnx

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// lines prints the nodes of g, one a line: OUTPUTS = OP(INPUTS) {ATTRIBUTES}, constants as their elements, subgraphs
// indented below.
func lines(g *model.Graph) []string {
	var all []string
	names := func(list []*model.Value) string {
		var s []string
		for _, v := range list {
			switch {
			case v == nil:
				s = append(s, "_")
			case v.Const != nil:
				s = append(s, literal(v.Const))
			default:
				s = append(s, v.Name)
			}
		}
		return strings.Join(s, ", ")
	}
	for _, n := range g.Nodes {
		line := names(n.Out) + " = " + n.Op + "(" + names(n.In) + ")"
		for _, a := range n.Attrs.Names() {
			v := n.Attrs[a]
			if t, ok := v.(*tensor.Tensor); ok {
				v = literal(t)
			}
			line += fmt.Sprintf(" %s=%v", a, v)
		}
		all = append(all, line)
		for _, name := range n.GraphNames() {
			sub := n.Graphs[name]
			all = append(all, "  "+name+"("+names(sub.Inputs)+") -> "+names(sub.Outputs))
			for _, l := range lines(sub) {
				all = append(all, "  "+l)
			}
		}
	}
	return all
}

func literal(t *tensor.Tensor) string {
	switch t.DType {
	case tensor.F32:
		return fmt.Sprintf("f32%v%v", t.Shape, tensor.Of[float32](t))
	case tensor.F64:
		return fmt.Sprintf("f64%v%v", t.Shape, tensor.Of[float64](t))
	case tensor.F16:
		return fmt.Sprintf("f16%v%#x", t.Shape, tensor.Of[uint16](t))
	case tensor.String:
		return fmt.Sprintf("string%v%q", t.Shape, t.Str)
	}
	v, err := t.Ints()
	if err != nil {
		return fmt.Sprintf("%v%x", t, t.Data)
	}
	return fmt.Sprintf("%v%v", t, v)
}

func mustImport(t *testing.T, data pb) *model.Graph {
	t.Helper()
	g, err := Import(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func wantLines(t *testing.T, g *model.Graph, want string) {
	t.Helper()
	got := strings.Join(lines(g), "\n")
	var trimmed []string
	for _, l := range strings.Split(strings.TrimSpace(want), "\n") {
		trimmed = append(trimmed, strings.TrimPrefix(l, "\t\t\t"))
	}
	if want = strings.Join(trimmed, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestUpgrades covers the table of upgrades: one node of an old opset, and the nodes that it becomes.
func TestUpgrades(t *testing.T) {
	x := input("x", tensor.F32, 2, 3, 4, 5)
	f32 := func(v ...float32) *tensor.Tensor { return tensor.From(v, len(v)) }
	for _, c := range []struct {
		name   string
		opset  int64
		fields []pb
		want   string
	}{
		{"squeeze", 11, []pb{x, node("y = Squeeze(x)", attr("axes", []int64{0, 2}))}, `y = Squeeze(x, i64[2][0 2])`},
		{"squeeze all", 11, []pb{x, node("y = Squeeze(x)")}, `y = Squeeze(x)`},
		{"squeeze new", 13, []pb{x, initializer("a", tensor.From([]int64{1})), node("y = Squeeze(x, a)")}, `y = Squeeze(x, i64[1][1])`},
		{"unsqueeze", 12, []pb{x, node("y = Unsqueeze(x)", attr("axes", []int64{0}))}, `y = Unsqueeze(x, i64[1][0])`},
		{"reduce sum", 12, []pb{x, node("y = ReduceSum(x)", attr("axes", []int64{-1}), attr("keepdims", 0))}, `y = ReduceSum(x, i64[1][-1]) keepdims=0`},
		{"reduce mean", 17, []pb{x, node("y = ReduceMean(x)", attr("axes", []int64{1}))}, `y = ReduceMean(x, i64[1][1])`},
		{"reduce max, all", 17, []pb{x, node("y = ReduceMax(x)", attr("axes", []int64{}))}, `y = ReduceMax(x)`},
		{"clip", 10, []pb{x, node("y = Clip(x)", attr("min", float32(0)), attr("max", float32(6)))}, `y = Clip(x, f32[][0], f32[][6])`},
		{"clip, max alone", 6, []pb{x, node("y = Clip(x)", attr("max", float32(6)))}, `y = Clip(x, _, f32[][6])`},
		{"clip of halves", 10, []pb{input("x", tensor.F16, 2), node("y = Clip(x)", attr("min", float32(1)))}, `y = Clip(x, f16[][0x3c00])`},
		{"clip of doubles behind a node", 10, []pb{input("x", tensor.F64, 2), node("r = Relu(x)"), node("y = Clip(r)", attr("min", float32(1)))}, `
			r = Relu(x)
			y = Clip(r, f64[][1])`},
		{"dropout", 7, []pb{x, node("y = Dropout(x)", attr("ratio", float32(.5)))}, `y = Dropout(x)`},
		{"dropout mask", 7, []pb{x, node("d: y, m = Dropout(x)"), output("m", tensor.F32)}, `
			y, d/mask = Dropout(x)
			m = CastLike(d/mask, x)`},
		{"pad 2", 2, []pb{input("x", tensor.F32, 2), node("y = Pad(x)", attr("pads", []int64{1, 2}), attr("value", float32(3)))}, `y = Pad(x, i64[2][1 2], f32[][3])`},
		{"pad 1", 1, []pb{input("x", tensor.F32, 2), node("y = Pad(x)", attr("paddings", []int64{1, 2}), attr("mode", "edge"))}, `y = Pad(x, i64[2][1 2]) mode=edge`},
		{"slice", 9, []pb{x, node("y = Slice(x)", attr("starts", []int64{1}), attr("ends", []int64{-1}), attr("axes", []int64{2}))}, `y = Slice(x, i64[1][1], i64[1][-1], i64[1][2])`},
		{"slice without axes", 9, []pb{x, node("y = Slice(x)", attr("starts", []int64{1}), attr("ends", []int64{2}))}, `y = Slice(x, i64[1][1], i64[1][2])`},
		{"split", 11, []pb{x, node("y, z = Split(x)", attr("split", []int64{1, 3}), attr("axis", 2))}, `y, z = Split(x, i64[2][1 3]) axis=2`},
		{"split evenly", 13, []pb{x, node("y, z = Split(x)", attr("axis", 2))}, `y, z = Split(x) axis=2 num_outputs=2`},
		{"reshape", 1, []pb{x, node("y = Reshape(x)", attr("shape", []int64{0, -1}), attr("consumed_inputs", []int64{0}))}, `y = Reshape(x, i64[2][0 -1])`},
		{"top k", 9, []pb{x, node("y, i = TopK(x)", attr("k", 3), attr("axis", 1))}, `y, i = TopK(x, i64[1][3]) axis=1`},
		{"softmax, last axis", 11, []pb{input("x", tensor.F32, 2, 3), node("y = Softmax(x)")}, `y = Softmax(x) axis=-1`},
		{"softmax, coerced", 11, []pb{x, node("y = Softmax(x)")}, `y = Softmax(x) axis=1 flatten=1`},
		{"softmax, rank unknown", 9, []pb{x, node("r = Foo(x)"), node("y = LogSoftmax(r)", attr("axis", 2))}, `
			r = Foo(x)
			y = LogSoftmax(r) axis=2 flatten=1`},
		{"softmax 13", 13, []pb{x, node("y = Softmax(x)")}, `y = Softmax(x)`},
		{"upsample 9", 9, []pb{x, initializer("s", f32(1, 1, 2, 2)), node("y = Upsample(x, s)", attr("mode", "linear"))},
			`y = Resize(x, _, f32[4][1 1 2 2]) coordinate_transformation_mode=asymmetric mode=linear nearest_mode=floor`},
		{"upsample 7", 7, []pb{x, node("y = Upsample(x)", attr("scales", []float32{1, 1, 2, 2}))},
			`y = Resize(x, _, f32[4][1 1 2 2]) coordinate_transformation_mode=asymmetric nearest_mode=floor`},
		{"upsample 1", 1, []pb{x, node("y = Upsample(x)", attr("height_scale", float32(2)), attr("width_scale", float32(3)), attr("mode", "bilinear"))},
			`y = Resize(x, _, f32[4][1 1 2 3]) coordinate_transformation_mode=asymmetric mode=linear nearest_mode=floor`},
		{"resize 10", 10, []pb{x, initializer("s", f32(1, 1, 2, 2)), node("y = Resize(x, s)")},
			`y = Resize(x, _, f32[4][1 1 2 2]) coordinate_transformation_mode=asymmetric nearest_mode=floor`},
		{"resize 11 with empty inputs", 11, []pb{x, initializer("r", f32()), initializer("s", f32()), initializer("z", tensor.From([]int64{2, 3, 8, 8})), node("y = Resize(x, r, s, z)")},
			`y = Resize(x, _, _, i64[4][2 3 8 8])`},
		{"scatter", 9, []pb{x, input("i", tensor.I64, 1), input("u", tensor.F32, 1), node("y = Scatter(x, i, u)", attr("axis", 1))}, `y = ScatterElements(x, i, u) axis=1`},
		{"cast by name", 1, []pb{x, node("y = Cast(x)", attr("to", "INT64"))}, `y = Cast(x) to=7`},
		{"concat 1", 1, []pb{x, node("y = Concat(x, x)")}, `y = Concat(x, x) axis=1`},
		{"gemm", 6, []pb{x, node("y = Gemm(x, x, x)", attr("broadcast", 1), attr("transB", 1))}, `y = Gemm(x, x, x) transB=1`},
		{"add along an axis", 6, []pb{x, initializer("b", f32(1, 2, 3)), node("n: y = Add(x, b)", attr("broadcast", 1), attr("axis", 1))}, `
			n/Unsqueeze = Unsqueeze(f32[3][1 2 3], i64[2][1 2])
			y = Add(x, n/Unsqueeze)`},
		{"add, no axis", 6, []pb{x, initializer("b", f32(1, 2, 3, 4, 5)), node("y = Add(x, b)", attr("broadcast", 1))}, `y = Add(x, f32[5][1 2 3 4 5])`},
		{"add, rank unknown", 6, []pb{x, node("r = Foo(x)"), initializer("b", f32(1, 2, 3)), node("n: y = Mul(r, b)", attr("broadcast", 1), attr("axis", 1))}, `
			r = Foo(x)
			n/Shape = Shape(f32[3][1 2 3])
			n/Shape_1 = Shape(r)
			n/Size = Size(n/Shape_1)
			n/Size_1 = Size(n/Shape)
			n/Add = Add(n/Size_1, i64[][1])
			n/Sub = Sub(n/Size, n/Add)
			n/Reshape = Reshape(n/Sub, i64[1][1])
			n/ConstantOfShape = ConstantOfShape(n/Reshape) value=i64[1][1]
			n/Concat = Concat(n/Shape, n/ConstantOfShape) axis=0
			n/Reshape_1 = Reshape(f32[3][1 2 3], n/Concat)
			y = Mul(r, n/Reshape_1)`},
		{"prelu", 6, []pb{x, initializer("b", f32(1, 2, 3)), node("n: y = PRelu(x, b)")}, `
			n/Unsqueeze = Unsqueeze(f32[3][1 2 3], i64[2][1 2])
			y = PRelu(x, n/Unsqueeze)`},
		{"prelu, one slope", 6, []pb{x, initializer("b", f32(1)), node("y = PRelu(x, b)")}, `y = PRelu(x, f32[1][1])`},
		{"batch norm", 8, []pb{x, node("y, a, b, c, d = BatchNormalization(x, s, s, s, s)"), input("s", tensor.F32, 3)}, `y = BatchNormalization(x, s, s, s, s)`},
		{"batch norm, training", 8, []pb{x, node("y, a, b = BatchNormalization(x, s, s, s, s)"), input("s", tensor.F32, 3), output("a", tensor.F32)}, `y, a, b = BatchNormalization(x, s, s, s, s) training_mode=1`},
		{"batch norm per element", 7, []pb{x, node("n: y = BatchNormalization(x, s, s, s, s)", attr("spatial", 0)), input("s", tensor.F32, 3, 4, 5)}, `
			n/Add = Add(s, f32[][1e-05])
			n/Sqrt = Sqrt(n/Add)
			n/Sub = Sub(x, s)
			n/Div = Div(n/Sub, n/Sqrt)
			n/Mul = Mul(n/Div, s)
			y = Add(n/Mul, s)`},
		{"group norm", 18, []pb{input("x", tensor.F32, 1, 4, 2), initializer("s", f32(1, 2)), node("n: y = GroupNormalization(x, s, s)", attr("num_groups", 2))}, `
			n/Shape = Shape(x) end=2 start=1
			n/Div = Div(n/Shape, i64[1][2])
			n/Unsqueeze = Unsqueeze(f32[2][1 2], i64[1][1])
			n/Concat = Concat(i64[1][2], i64[1][2]) axis=0
			n/Expand = Expand(n/Unsqueeze, n/Concat)
			n/Reshape = Reshape(n/Expand, i64[1][-1])
			n/Unsqueeze_1 = Unsqueeze(f32[2][1 2], i64[1][1])
			n/Concat_1 = Concat(i64[1][2], i64[1][2]) axis=0
			n/Expand_1 = Expand(n/Unsqueeze_1, n/Concat_1)
			n/Reshape_1 = Reshape(n/Expand_1, i64[1][-1])
			y = GroupNormalization(x, n/Reshape, n/Reshape_1) num_groups=2`},
		{"group norm 21", 21, []pb{x, node("y = GroupNormalization(x, x, x)", attr("num_groups", 2))}, `y = GroupNormalization(x, x, x) num_groups=2`},
		{"dft", 17, []pb{x, node("y = DFT(x)", attr("axis", 2), attr("onesided", 1))}, `y = DFT(x, _, i64[][2]) onesided=1`},
		{"dft, default axis", 17, []pb{x, node("y = DFT(x)")}, `y = DFT(x, _, i64[][1])`},
		{"grid sample", 16, []pb{x, node("y = GridSample(x, x)", attr("mode", "bicubic"))}, `y = GridSample(x, x) mode=cubic`},
		{"grid sample, default", 16, []pb{x, node("y = GridSample(x, x)")}, `y = GridSample(x, x) mode=linear`},
		{"roi align", 10, []pb{x, node("y = RoiAlign(x, x, x)")}, `y = RoiAlign(x, x, x) coordinate_transformation_mode=output_half_pixel`},
		{"lp pool", 1, []pb{x, node("y = LpPool(x)", attr("p", float32(3)))}, `y = LpPool(x) p=3`},
		{"lstm", 1, []pb{x, node("y = LSTM(x, x, x)", attr("output_sequence", 1), attr("hidden_size", 3))}, `y = LSTM(x, x, x) hidden_size=3`},
		{"tile", 1, []pb{x, input("n", tensor.F32), input("a", tensor.F32), node("t: y = Tile(x, n, a)")}, `
			t/Shape = Shape(x)
			t/Shape_1 = Shape(t/Shape)
			t/ConstantOfShape = ConstantOfShape(t/Shape_1) value=i64[1][1]
			t/Cast = Cast(a) to=7
			t/Reshape = Reshape(t/Cast, i64[1][1])
			t/Cast_1 = Cast(n) to=7
			t/Reshape_1 = Reshape(t/Cast_1, i64[1][1])
			t/ScatterElements = ScatterElements(t/ConstantOfShape, t/Reshape, t/Reshape_1)
			y = Tile(x, t/ScatterElements)`},
		{"newer than the newest", NewestOpset + 5, []pb{x, node("y = Relu(x)")}, `y = Relu(x)`},
		{"quantisation below opset 21", 13, []pb{x, input("s", tensor.F32), input("z", tensor.U16),
			node("q = com.microsoft.QuantizeLinear(x, s, z)", attr("axis", 0)), node("y = com.microsoft.DequantizeLinear(q, s, z)")},
			"q = QuantizeLinear(x, s, z) axis=0\ny = DequantizeLinear(q, s, z)"},
		{"another domain", 9, []pb{x, node("y = com.microsoft.Squeeze(x)", attr("axes", []int64{0}))}, `y = com.microsoft.Squeeze(x) axes=[0]`},
		{"the default domain by name", 11, []pb{x, node("y = ai.onnx.Squeeze(x)", attr("axes", []int64{0}))}, `y = Squeeze(x, i64[1][0])`},
		{"label encoder", 9, []pb{input("x", tensor.String, 1), node("y = ai.onnx.ml.LabelEncoder(x)", attr("classes_strings", []string{"a", "b"}), attr("default_int64", -1))},
			`y = ai.onnx.ml.LabelEncoder(x) default_int64=-1 keys_strings=[a b] values_int64s=[0 1]`},
		{"optional of a tensor", 16, []pb{x, node("o: o = Optional(x)"), node("h: h = OptionalHasElement(o)"), node("g: y = OptionalGetElement(o)"), output("h", tensor.Bool)}, `
			o = SequenceConstruct(x)
			h/SequenceLength = SequenceLength(o)
			h = Greater(h/SequenceLength, i64[][0])
			y = SequenceAt(o, i64[][0])`},
		{"optional that is none", 18, []pb{x, node("y = OptionalGetElement(x)"), node("h = OptionalHasElement()"), node("k = OptionalHasElement(x)"), node("z = Not(h)"), node("w = Not(k)")}, `
			y = Identity(x)
			z = Not(bool[][0])
			w = Not(bool[][1])`},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields := append(c.fields, output("y", tensor.F32))
			if c.name == "optional that is none" {
				fields = append(fields, output("z", tensor.Bool))
			}
			ml := bytesField(8, cat(text(1, "ai.onnx.ml"), integerField(2, 1)))
			ms := bytesField(8, cat(text(1, "com.microsoft"), integerField(2, 1)))
			wantLines(t, mustImport(t, modelOf(c.opset, graphOf(fields...), ml, ms)), c.want)
		})
	}
}

func TestUpgradeErrors(t *testing.T) {
	x := input("x", tensor.F32, 2, 3)
	for _, c := range []struct {
		name  string
		opset int64
		node  pb
		want  string
	}{
		{"axes as text", 11, node("n: y = Squeeze(x)", attr("axes", "0")), `node n (Squeeze): attribute axes: malformed onnx: want a list of integers`},
		{"k missing", 9, node("y, i = TopK(x)"), `node #0 (TopK): attribute k: malformed onnx: is missing`},
		{"bad axis", 6, node("n: y = Add(x, x)", attr("broadcast", 1), attr("axis", 1)), `attribute axis: malformed onnx: 1, but the shapes are [2,3] and [2,3]`},
		{"fractional p", 1, node("y = LpPool(x)", attr("p", float32(1.5))), `attribute p: unsupported onnx feature`},
		{"unknown type", 1, node("y = Cast(x)", attr("to", "QUAD")), `attribute to: malformed onnx: type "QUAD"`},
		{"sequence lengths", 8, node("n: y = Scan(x, x)", attr("num_scan_inputs", 1), attr("body", graphOf(valueField(11, "a", typeMessage(tensor.F32)), untyped("a")))), `input sequence_lens: unsupported`},
		{"scan body", 8, node("n: y = Scan(_, x)", attr("num_scan_inputs", 3), attr("body", graphOf())), `node n (Scan): malformed onnx: the body does not fit`},
		{"upsample without scales", 7, node("y = Upsample(x)"), `attribute scales`},
		{"group norm without groups", 18, node("y = GroupNormalization(x, x, x)"), `0 groups`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Import(modelOf(c.opset, graphOf(x, c.node, output("y", tensor.F32))), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestScanOfOpset8IsTwoScans(t *testing.T) {
	body := graphOf(
		valueField(11, "sum", typeMessage(tensor.F32, 2)), valueField(11, "next", typeMessage(tensor.F32, 2)),
		node("sum_out = Add(sum, next)"), node("scan_out = Identity(sum_out)"), untyped("sum_out"), untyped("scan_out"))
	g := mustImport(t, modelOf(8, graphOf(input("initial", tensor.F32, 1, 2), input("x", tensor.F32, 1, 3, 2),
		node("s: y, z = Scan(_, initial, x)", attr("num_scan_inputs", 1), attr("directions", []int64{1}), attr("body", body)),
		output("y", tensor.F32), output("z", tensor.F32))))
	wantLines(t, g, `
			y, z = Scan(initial, x) num_scan_inputs=2
			  body(s/in_0, s/in_1) -> s/out_0, s/out_1
			  s/out_0, s/out_1 = Scan(s/in_0, s/in_1) num_scan_inputs=1 scan_input_directions=[1]
			    body(sum, next) -> sum_out, scan_out
			    sum_out = Add(sum, next)
			    scan_out = Identity(sum_out)`)
}

func TestSequenceMapIsALoop(t *testing.T) {
	body := graphOf(valueField(11, "a", typeMessage(tensor.F32)), valueField(11, "b", typeMessage(tensor.F32)),
		node("c = Add(a, b)"), valueField(12, "c", typeMessage(tensor.F32)))
	g := mustImport(t, modelOf(17, graphOf(input("x", tensor.F32, 2),
		node("s = SequenceConstruct(x, x)"),
		node("m: y = SequenceMap(s, x)", attr("body", body)),
		valueField(12, "y", bytesField(4, bytesField(1, typeMessage(tensor.F32)))))))
	wantLines(t, g, `
			s = SequenceConstruct(x, x)
			m/SequenceLength = SequenceLength(s)
			m/SequenceEmpty = SequenceEmpty() dtype=1
			y = Loop(m/SequenceLength, _, m/SequenceEmpty)
			  body(m/iteration, m/go, m/state_0) -> m/go, m/next_0
			  a = SequenceAt(s, m/iteration)
			  b = Identity(x)
			  c = Add(a, b)
			  m/next_0 = SequenceInsert(m/state_0, c)`)
	if g.Outputs[0].DType != tensor.Sequence {
		t.Errorf("output is %v, want a sequence", g.Outputs[0].DType)
	}
}
