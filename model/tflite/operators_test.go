package tflite

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/model"
)

// code is the number of a builtin operator.
func code(name string) int { return slices.Index(builtinNames, name) }

// floats makes tensors of float32.
func floats(shapes ...[]int32) []testTensor {
	var list []testTensor
	for i, s := range shapes {
		list = append(list, testTensor{name: string(rune('a' + i)), shape: s})
	}
	return list
}

// lines is the text form of a graph's nodes.
func lines(t *testing.T, m testModel, o Options) string {
	t.Helper()
	g, err := Import(m.build(), o)
	if err == nil {
		err = model.Verify(g)
	}
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := model.Print(&text, g); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestEveryBuiltinIsTranslatedOrRefused(t *testing.T) {
	if len(builtinNames) != 210 || BuiltinName(67) != "TRANSPOSE_CONV" || BuiltinName(209) != "STABLEHLO_CASE" {
		t.Errorf("%d names", len(builtinNames))
	}
	for name := range builtins() {
		if !slices.Contains(builtinNames, name) {
			t.Errorf("%s is no builtin operator", name)
		}
		if refused[name] != "" {
			t.Errorf("%s is translated and refused", name)
		}
	}
	for _, o := range Operators() {
		if o.Refused == unknownOperator {
			t.Errorf("%s is refused without a reason", o.Name)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		op   testOp
		want string
	}{
		{"no kernel", testOp{code: code("CONCAT_EMBEDDINGS")}, "operator 0 (CONCAT_EMBEDDINGS): unsupported: no runtime"},
		{"TensorFlow", testOp{code: builtinCustom, custom: "FlexErf"}, "operator 0 (FlexErf): unsupported: it is TensorFlow's own operator Erf"},
		{"custom", testOp{code: builtinCustom, custom: "Mine"}, "operator 0 (Mine): unsupported"},
		{"face meshes", testOp{code: builtinCustom, custom: "TransformTensorBilinear"}, "(TransformTensorBilinear): unsupported: only MediaPipe"},
		{"custom options", testOp{code: builtinCustom, custom: "MaxUnpooling2D", data: []byte{1, 2}}, "2 bytes of options, want 24"},
		{"no handle", testOp{code: code("READ_VARIABLE")}, "input 0 is no handle"},
		{"late options", testOp{code: code("STABLEHLO_PAD"), late: true, options: []any{[]int64{0}, []int64{0}, []int64{1}}}, "option interior_padding [1]"},
		{"activation", testOp{code: code("RNN"), options: []any{int8(77)}}, "fused activation 77"},
		{"complex border", testOp{code: code("RFFT2D")}, "no tensor of it is complex64"},
	} {
		c.op.in, c.op.out = []int32{0, 1}, []int32{2}
		m := testModel{tensors: floats([]int32{2}, []int32{}, []int32{2}), ops: []testOp{c.op}, in: []int32{0, 1}, out: []int32{2}}
		if c.name == "no handle" {
			c.op.in = c.op.in[:1]
		}
		_, err := Import(m.build(), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want one about %q", c.name, err, c.want)
		}
	}
}

// Operators that know nothing of complex64 refuse it, the others see pairs.
func TestComplex(t *testing.T) {
	tensors := floats([]int32{3}, []int32{3}, []int32{3})
	tensors[0].typ = typeComplex64
	tensors[1].typ = typeComplex64
	m := testModel{tensors: tensors[:2], ops: []testOp{{code: code("ADD"), in: []int32{0, 0}, out: []int32{1}}}, in: []int32{0}, out: []int32{1}}
	if got := lines(t, m, Options{}); !strings.Contains(got, "f32[3,2]") {
		t.Errorf("%s", got)
	}
	m.ops[0].code = code("EXP")
	if _, err := Import(m.build(), Options{}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "(EXP): unsupported: it is not defined on complex64") {
		t.Errorf("%v", err)
	}
	// A product of pairs, and a real number beside one.
	m.ops[0].code = code("MUL")
	if got := lines(t, m, Options{}); strings.Count(got, "Mul(") != 4 {
		t.Errorf("%s", got)
	}
	m = testModel{tensors: tensors[1:], ops: []testOp{{code: code("CAST"), in: []int32{0}, out: []int32{1}}}, in: []int32{0}, out: []int32{1}}
	if got := lines(t, m, Options{}); !strings.Contains(got, "Gather(") || !strings.Contains(got, "Cast(") {
		t.Errorf("%s", got)
	}
}

func TestStableHLO(t *testing.T) {
	m := testModel{tensors: floats([]int32{4, 3}, []int32{3, 4}), ops: []testOp{{code: code("STABLEHLO_TRANSPOSE"), late: true, options: []any{[]int64{1, 0}}, in: []int32{0}, out: []int32{1}}},
		in: []int32{0}, out: []int32{1}}
	if got := lines(t, m, Options{}); !strings.Contains(got, "Transpose(") || !strings.Contains(got, "perm=[1,0]") {
		t.Errorf("%s", got)
	}
	m.ops[0] = testOp{code: code("STABLEHLO_BROADCAST_IN_DIM"), late: true, options: []any{[]int64{1}}, in: []int32{0}, out: []int32{1}}
	m.tensors[0].shape = []int32{4}
	if got := lines(t, m, Options{}); !strings.Contains(got, "Expand(") {
		t.Errorf("%s", got)
	}
	m.ops[0] = testOp{code: code("STABLEHLO_BROADCAST_IN_DIM"), late: true, options: []any{[]int64{7}}, in: []int32{0}, out: []int32{1}}
	if _, err := Import(m.build(), Options{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

// MediaPipe's transposed convolution has the output that its options say.
func TestTransposeConvBias(t *testing.T) {
	tensors := floats([]int32{1, 3, 4, 2}, []int32{5, 3, 3, 2}, []int32{5}, []int32{1, 5, 8, 5})
	tensors[1].data, tensors[2].data = floatBytes(make([]float32, 90)...), floatBytes(1, 2, 3, 4, 5)
	m := testModel{tensors: tensors, ops: []testOp{{code: builtinCustom, custom: "Convolution2DTransposeBias", data: intBytes(1, 2, 2, 0), in: []int32{0, 1, 2}, out: []int32{3}}},
		in: []int32{0}, out: []int32{3}}
	// An odd extent n gives 2n-1, an even one 2n.
	if got := lines(t, m, Options{}); !strings.Contains(got, "output_shape=[5,8]") || !strings.Contains(got, "strides=[2,2]") {
		t.Errorf("%s", got)
	}
}
