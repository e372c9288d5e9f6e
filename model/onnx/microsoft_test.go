package onnx

import (
	"errors"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// modelWith is a model that imports the domains of these operators.
func modelWith(fields ...pb) pb {
	return modelOf(21, graphOf(fields...), bytesField(8, cat(text(1, "ai.onnx.ml"), integerField(2, 3))), bytesField(8, cat(text(1, "com.microsoft"), integerField(2, 1))))
}

func bytesOf(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.U8, shape)
	for i := range t.Data {
		t.Data[i] = byte(0x10*i + i + 1)
	}
	return t
}

func TestLowered(t *testing.T) {
	x, q := input("x", tensor.F32, 2, 3), input("q", tensor.U8, 2, 3)
	f32 := func(shape ...int) *tensor.Tensor { return tensor.New(tensor.F32, shape) }
	params := []pb{q, initializer("s", f32()), initializer("z", tensor.New(tensor.U8, tensor.Shape{}))}
	at := input("i", tensor.I64, 2, 1)
	for _, c := range []struct {
		name   string
		fields []pb
		want   string
	}{
		{"zip map", []pb{x, node("y = ai.onnx.ml.ZipMap(x)", attr("classlabels_strings", []string{"a", "b", "c"}))}, `y = Identity(x)`},
		{"cdist", []pb{x, node("n: y = com.microsoft.CDist(x, x)", attr("metric", "euclidean"))}, `
			n/Unsqueeze = Unsqueeze(x, i64[1][1])
			n/Unsqueeze_1 = Unsqueeze(x, i64[1][0])
			n/Sub = Sub(n/Unsqueeze, n/Unsqueeze_1)
			y = ReduceL2(n/Sub, i64[1][-1]) keepdims=0`},
		{"cdist, squares", []pb{x, node("n: y = com.microsoft.CDist(x, x)")}, `
			n/Unsqueeze = Unsqueeze(x, i64[1][1])
			n/Unsqueeze_1 = Unsqueeze(x, i64[1][0])
			n/Sub = Sub(n/Unsqueeze, n/Unsqueeze_1)
			y = ReduceSumSquare(n/Sub, i64[1][-1]) keepdims=0`},
		{"where", append(params, input("c", tensor.Bool), node("n: y = com.microsoft.QLinearWhere(c, q, s, z, q, s, z, s, z)")), `
			n/DequantizeLinear = DequantizeLinear(q, f32[][0], u8[][0])
			n/DequantizeLinear_1 = DequantizeLinear(q, f32[][0], u8[][0])
			n/Where = Where(c, n/DequantizeLinear, n/DequantizeLinear_1)
			y = QuantizeLinear(n/Where, f32[][0], u8[][0])`},
		{"mean", append(params, node("n: y = com.microsoft.QLinearReduceMean(q, s, z, s)", attr("axes", []int64{1}), attr("keepdims", 0))), `
			n/DequantizeLinear = DequantizeLinear(q, f32[][0], u8[][0])
			n/ReduceMean = ReduceMean(n/DequantizeLinear, i64[1][1]) keepdims=0
			y = QuantizeLinear(n/ReduceMean, f32[][0]) output_dtype=2`},
		{"embedding", append(params, input("i", tensor.I32, 1, 2), node("n: y = com.microsoft.QEmbedLayerNormalization(i, _, q, q, _, q, q, _, s, s, _, s, s, z, z, _, z, z)", attr("epsilon", float32(.5)))), `
			n/DequantizeLinear = DequantizeLinear(q, f32[][0], u8[][0])
			n/DequantizeLinear_1 = DequantizeLinear(q, f32[][0], u8[][0])
			n/DequantizeLinear_2 = DequantizeLinear(q, f32[][0], u8[][0])
			n/DequantizeLinear_3 = DequantizeLinear(q, f32[][0], u8[][0])
			y = com.microsoft.EmbedLayerNormalization(i, _, n/DequantizeLinear, n/DequantizeLinear_1, _, n/DequantizeLinear_2, n/DequantizeLinear_3, _) epsilon=0.5`},
		{"gather of int4", []pb{input("w", tensor.I4, 5, 32), input("s", tensor.F32, 5, 2), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s)", attr("block_size", 16))}, `
			n/Gather = Gather(w, i) axis=0
			n/Gather_1 = Gather(s, i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1) axis=-1 block_size=16`},
		{"gather along axis 1", []pb{input("w", tensor.I4, 5, 32, 4), input("s", tensor.F32, 5, 2, 4), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s)", attr("block_size", 16), attr("gather_axis", 0), attr("quantize_axis", 1))}, `
			n/Gather = Gather(w, i) axis=0
			n/Gather_1 = Gather(s, i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1) axis=2 block_size=16`},
		{"gather of packed bytes", []pb{initializer("w", bytesOf(2, 2)), initializer("s", f32(2, 1)), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s)", attr("bits", 4), attr("block_size", 16))}, `
			n/Gather = Gather(u4[2,4]01122334, i) axis=0
			n/Gather_1 = Gather(f32[2,1][0 0], i) axis=0
			n/Gather_2 = Gather(u4[2,1]88, i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1, n/Gather_2) axis=-1 block_size=16`},
		{"zero points in half bytes", []pb{initializer("w", bytesOf(2, 20)), initializer("s", f32(2, 3)), initializer("z", bytesOf(2, 2)), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s, z)", attr("bits", 8), attr("block_size", 16))}, `
			n/Gather = Gather(WEIGHTS, i) axis=0
			n/Gather_1 = Gather(f32[2,3][0 0 0 0 0 0], i) axis=0
			n/Gather_2 = Gather(u8[2,2][1 18 35 52], i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1, n/Gather_2) axis=-1 block_size=16`},
		{"odd zero points", []pb{initializer("w", bytesOf(2, 2)), initializer("s", f32(2, 3)), initializer("z", bytesOf(2, 2)), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s, z)", attr("bits", 4), attr("block_size", 16))}, `
			n/Gather = Gather(u4[2,4]01122334, i) axis=0
			n/Gather_1 = Gather(f32[2,3][0 0 0 0 0 0], i) axis=0
			n/Gather_2 = Gather(u4[2,3]013242, i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1, n/Gather_2) axis=-1 block_size=16`},
		{"gather of bytes", []pb{initializer("w", bytesOf(2, 2)), initializer("s", f32(2, 1)), at,
			node("n: y = com.microsoft.GatherBlockQuantized(w, i, s)", attr("bits", 8), attr("block_size", 16))}, `
			n/Gather = Gather(u8[2,2][1 18 35 52], i) axis=0
			n/Gather_1 = Gather(f32[2,1][0 0], i) axis=0
			n/Gather_2 = Gather(u8[2,1][128 128], i) axis=0
			y = DequantizeLinear(n/Gather, n/Gather_1, n/Gather_2) axis=-1 block_size=16`},
		{"nhwc", []pb{input("p", tensor.F32, 1, 8, 8, 3), input("w", tensor.F32, 4, 3, 3, 3), input("r", tensor.F32, 1, 6, 6, 4),
			node("n: y = com.microsoft.NhwcFusedConv(p, w, _, r)", attr("activation", "Relu"))}, `
			n/Transpose = Transpose(p) perm=[0 3 1 2]
			n/Transpose_1 = Transpose(r) perm=[0 3 1 2]
			n/nchw = com.microsoft.FusedConv(n/Transpose, w, _, n/Transpose_1) activation=Relu
			y = Transpose(n/nchw) perm=[0 2 3 1]`},
		{"nhwc by the kernel", []pb{input("p", tensor.U8), node("n: y = com.microsoft.NhwcMaxPool(p)", attr("kernel_shape", []int64{2}))}, `
			n/Transpose = Transpose(p) perm=[0 2 1]
			n/nchw = MaxPool(n/Transpose) kernel_shape=[2]
			y = Transpose(n/nchw) perm=[0 2 1]`},
		{"conv on integers", append(params, node("n: y = com.microsoft.QLinearConv(q, s, z, q, s, z, s, z)", attr("channels_last", 0))),
			`y = QLinearConv(q, f32[][0], u8[][0], q, f32[][0], u8[][0], f32[][0], u8[][0])`},
		{"group norm", []pb{input("p", tensor.F16, 1, 8, 8, 4), input("g", tensor.F32, 4),
			node("n: y = com.microsoft.GroupNorm(p, g, g)", attr("groups", 2), attr("activation", 1))}, `
			n/Transpose = Transpose(p) perm=[0 3 1 2]
			n/CastLike = CastLike(g, n/Transpose)
			n/CastLike_1 = CastLike(g, n/Transpose)
			n/GroupNormalization = GroupNormalization(n/Transpose, n/CastLike, n/CastLike_1) epsilon=1e-05 num_groups=2
			n/Sigmoid = Sigmoid(n/GroupNormalization)
			n/Mul = Mul(n/GroupNormalization, n/Sigmoid)
			y = Transpose(n/Mul) perm=[0 2 3 1]`},
		{"group norm of a sum", []pb{input("p", tensor.F32, 1, 8, 8, 4), input("e", tensor.F32, 1, 4), input("g", tensor.F32, 4), output("sum", tensor.F32),
			node("n: y, sum = com.microsoft.SkipGroupNorm(p, g, g, e, g)", attr("groups", 2))}, `
			n/Unsqueeze = Unsqueeze(e, i64[2][1 2])
			n/Add = Add(p, n/Unsqueeze)
			n/Add_1 = Add(n/Add, g)
			n/Transpose = Transpose(n/Add_1) perm=[0 3 1 2]
			n/CastLike = CastLike(g, n/Transpose)
			n/CastLike_1 = CastLike(g, n/Transpose)
			n/GroupNormalization = GroupNormalization(n/Transpose, n/CastLike, n/CastLike_1) epsilon=1e-05 num_groups=2
			y = Transpose(n/GroupNormalization) perm=[0 2 3 1]
			sum = Identity(n/Add_1)`},
		{"bias", []pb{x, node("n: y = com.microsoft.BiasAdd(x, x, x)")}, "n/Add = Add(x, x)\ny = Add(n/Add, x)"},
		{"halves", []pb{x, node("n: y = com.microsoft.BiasSplitGelu(x, x)")}, `
			n/Add = Add(x, x)
			n/a, n/b = Split(n/Add) axis=-1 num_outputs=2
			n/Gelu = Gelu(n/b)
			y = Mul(n/a, n/Gelu)`},
		{"expand", []pb{x, input("i", tensor.I32), node("n: y = com.microsoft.ExpandDims(x, i)")}, `
			n/Cast = Cast(i) to=7
			n/Reshape = Reshape(n/Cast, i64[1][1])
			y = Unsqueeze(x, n/Reshape)`},
		{"other names", []pb{x, input("i", tensor.I64), node("a = com.microsoft.GridSample(x, x)"), node("b = com.microsoft.Pad(a, i)", attr("mode", "edge")),
			node("c = com.microsoft.Trilu(b)"), node("y = com.microsoft.TransposeMatMul(c, c)", attr("transB", 1))}, `
			a = GridSample(x, x) mode=linear
			b = Pad(a, i) mode=edge
			c = Trilu(b)
			y = com.microsoft.FusedMatMul(c, c) transB=1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields := append(c.fields, output("y", tensor.F32))
			want := strings.Replace(c.want, "WEIGHTS", literal(bytesOf(2, 20)), 1)
			wantLines(t, mustImport(t, modelWith(fields...)), want)
		})
	}
}

func TestZipMap(t *testing.T) {
	fields := []pb{input("x", tensor.F32, 2, 3), node("y = ai.onnx.ml.ZipMap(x)", attr("classlabels_int64s", []int64{3, 1, 2})), valueField(12, "y", bytesField(4, bytesField(1, bytesField(5, nil))))}
	g := mustImport(t, modelWith(fields...))
	if g.Outputs[0].DType != tensor.F32 || g.Meta["onnx.classes.y"] != "[3,1,2]" {
		t.Errorf("output of type %v, metadata %v", g.Outputs[0].DType, g.Meta)
	}
}

func TestLoweredErrors(t *testing.T) {
	x := input("x", tensor.F32, 2, 3)
	packed := initializer("w", bytesOf(2, 2))
	for _, c := range []struct {
		fields []pb
		want   string
		is     error
	}{
		{[]pb{x, node("y = ai.onnx.ml.ZipMap(x)")}, "classlabels", ErrFormat},
		{[]pb{node("y = ai.onnx.ml.ZipMap(_)")}, "input 0 is missing", ErrFormat},
		{[]pb{x, node("y = com.microsoft.CDist(x)")}, "input 1 is missing", ErrFormat},
		{[]pb{x, node("y = com.microsoft.CDist(x, x)", attr("metric", "cosine"))}, `metric: malformed onnx: "cosine"`, ErrFormat},
		{[]pb{x, node("y = com.microsoft.QLinearWhere(x, x, x)")}, "input 4 is missing", ErrFormat},
		{[]pb{x, node("y = com.microsoft.QLinearReduceMean(x)")}, "input 1 is missing", ErrFormat},
		{[]pb{x, node("y = com.microsoft.QEmbedLayerNormalization(x, x, x, x, x, x, x)")}, "input 8 is missing", ErrFormat},
		{[]pb{x, node("y = com.microsoft.GatherBlockQuantized(x, x, x)")}, "type f32", ErrUnsupported},
		{[]pb{x, node("y = com.microsoft.GatherBlockQuantized(x, x, x)", attr("quantize_axis", 2))}, "quantize_axis", ErrFormat},
		{[]pb{x, node("y = com.microsoft.GatherBlockQuantized(x, x, x)", attr("gather_axis", -1))}, "quantize_axis", ErrFormat},
		{[]pb{x, input("w", tensor.U8, 2, 2), node("y = com.microsoft.GatherBlockQuantized(w, x, x)")}, "no constant", ErrUnsupported},
		{[]pb{x, input("w", tensor.U8, 2, 2), node("y = com.microsoft.GatherBlockQuantized(w, x, x)", attr("bits", 3))}, "3 bits", ErrUnsupported},
		{[]pb{x, packed, input("s", tensor.F32, 2, 5), node("y = com.microsoft.GatherBlockQuantized(w, x, s, w)")}, "zero points", ErrFormat},
		{[]pb{x, packed, input("s", tensor.F32), node("y = com.microsoft.GatherBlockQuantized(w, x, s)")}, "scales", ErrFormat},
		{[]pb{x, packed, input("s", tensor.F32), node("y = com.microsoft.GatherBlockQuantized(w, x, s, w)")}, "scales", ErrFormat},
		{[]pb{x, input("w", tensor.I4, 2, 4, 2), input("s", tensor.F32, 2, 1, 2), node("i = NonZero(x)"), node("y = com.microsoft.GatherBlockQuantized(w, i, s)")}, "unknown rank", ErrUnsupported},
		{[]pb{x, node("y = com.microsoft.NhwcConv(_, _)")}, "kernel_shape", ErrFormat},
		{[]pb{x, node("y, z = com.microsoft.NhwcMaxPool(x)", attr("kernel_shape", []int64{2}))}, "2 outputs", ErrUnsupported},
		{[]pb{x, node("y = com.microsoft.GroupNorm(x, x, x)")}, "groups", ErrFormat},
		{[]pb{x, node("y = com.microsoft.GroupNorm(x, x, x)", attr("groups", 1), attr("activation", 2))}, "activation", ErrFormat},
		{[]pb{x, node("y = com.microsoft.SkipGroupNorm(x, x, x)", attr("groups", 1))}, "input 3", ErrFormat},
		{[]pb{x, node("y = com.microsoft.BiasAdd(x)")}, "input 1", ErrFormat},
		{[]pb{x, node("y = com.microsoft.BiasSplitGelu(x)")}, "input 1", ErrFormat},
		{[]pb{x, node("y = com.microsoft.ExpandDims(x)")}, "input 1", ErrFormat},
	} {
		_, err := Import(modelWith(append(c.fields, output("y", tensor.F32))...), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.is) {
			t.Errorf("%v, want one about %q", err, c.want)
		}
	}
}
