package tflite

import (
	"fmt"
	"maps"
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

const builtinCustom = 32

// builtins maps the names of operators to translations. It is a function because translations of subgraphs lead back to it.
func builtins() map[string]func(*builder) {
	all := map[string]func(*builder){
		"ADD": arithmetic("Add"), "AVERAGE_POOL_2D": pool("AveragePool"), "CONCATENATION": concatenation, "CONV_2D": conv2d, "DEPTHWISE_CONV_2D": depthwise,
		"DEPTH_TO_SPACE": depthSpace("DepthToSpace"), "DEQUANTIZE": dequantize, "EMBEDDING_LOOKUP": embedding, "FLOOR": unary("Floor"),
		"FULLY_CONNECTED": fullyConnected, "L2_NORMALIZATION": l2norm, "L2_POOL_2D": pool("LpPool"), "LOCAL_RESPONSE_NORMALIZATION": lrn,
		"LOGISTIC": unary("Sigmoid"), "MAX_POOL_2D": pool("MaxPool"), "MUL": arithmetic("Mul"), "RELU": unary("Relu"), "RELU_N1_TO_1": clip(-1, 1),
		"RELU6": clip(0, 6), "RESHAPE": reshape, "RESIZE_BILINEAR": resize("linear", 2, 3), "SOFTMAX": softmax,
		"SPACE_TO_DEPTH": depthSpace("SpaceToDepth"), "TANH": function("Tanh"), "CALL": call, "PAD": pad, "GATHER": gather,
		"BATCH_TO_SPACE_ND": plain("BatchToSpaceND"), "SPACE_TO_BATCH_ND": plain("SpaceToBatchND"), "TRANSPOSE": transpose, "MEAN": reduce("ReduceMean"),
		"SUB": arithmetic("Sub"), "DIV": arithmetic("Div"), "SQUEEZE": squeeze, "UNIDIRECTIONAL_SEQUENCE_LSTM": sequenceLSTM, "STRIDED_SLICE": stridedSlice,
		"EXP": function("Exp"), "TOPK_V2": topk, "SPLIT": split(1, 0), "LOG_SOFTMAX": unary("LogSoftmax"), "CAST": castTo, "PRELU": plain("PRelu"),
		"MAXIMUM": plain("Max"), "ARG_MAX": arg("ArgMax"), "MINIMUM": plain("Min"), "LESS": plain("Less"), "NEG": unary("Neg"), "PADV2": pad,
		"GREATER": plain("Greater"), "GREATER_EQUAL": plain("GreaterOrEqual"), "LESS_EQUAL": plain("LessOrEqual"), "SELECT": selectRows, "SLICE": slice,
		"SIN": unary("Sin"), "TRANSPOSE_CONV": transposeConv, "TILE": tile, "EXPAND_DIMS": expandDims, "EQUAL": plain("Equal"), "NOT_EQUAL": notEqual,
		"LOG": function("Log"), "SUM": reduce("ReduceSum"), "SQRT": unary("Sqrt"), "RSQRT": function("Rsqrt"), "SHAPE": shapeOp, "POW": plain("Pow"),
		"ARG_MIN": arg("ArgMin"), "FAKE_QUANT": unary("Identity"), "REDUCE_PROD": reduce("ReduceProd"), "REDUCE_MAX": reduce("ReduceMax"), "PACK": pack,
		"LOGICAL_OR": plain("Or"), "ONE_HOT": oneHot, "LOGICAL_AND": plain("And"), "LOGICAL_NOT": unary("Not"), "UNPACK": unpack,
		"REDUCE_MIN": reduce("ReduceMin"), "FLOOR_DIV": plain("FloorDiv"), "REDUCE_ANY": reduce("ReduceMax"), "SQUARE": unary("Square"),
		"ZEROS_LIKE": unary("ZerosLike"), "FILL": fill, "FLOOR_MOD": plain("FloorMod"), "RANGE": plain("Range"),
		"RESIZE_NEAREST_NEIGHBOR": resize("nearest", 0, 1), "LEAKY_RELU": leakyRelu, "SQUARED_DIFFERENCE": plain("SquaredDifference"),
		"MIRROR_PAD": mirrorPad, "ABS": unary("Abs"), "SPLIT_V": split(0, 2), "UNIQUE": unique, "CEIL": unary("Ceil"), "REVERSE_V2": plain("Reverse"),
		"ADD_N": plain("Sum"), "GATHER_ND": plain("GatherND"), "COS": unary("Cos"), "WHERE": where, "RANK": rank, "ELU": unary("Elu"),
		"REVERSE_SEQUENCE": reverseSequence, "QUANTIZE": quantize, "ROUND": unary("Round"), "HARD_SWISH": unary("HardSwish"), "IF": ifOp, "WHILE": whileOp,
		"SCATTER_ND": scatterND, "SELECT_V2": selectOp, "BATCH_MATMUL": batchMatmul, "CUMSUM": cumsum, "BROADCAST_TO": plain("Expand"),
		"BROADCAST_ARGS": plain("tflite.BroadcastArgs"), "GELU": gelu, "DYNAMIC_UPDATE_SLICE": plain("tflite.DynamicUpdateSlice"),
		"RELU_0_TO_1": clip(0, 1), "ATAN2": plain("Atan2"), "SIGN": unary("Sign"), "BITWISE_XOR": plain("BitwiseXor"),
	}
	maps.Copy(all, moreBuiltins())
	maps.Copy(all, stablehloBuiltins())
	return all
}

// finish appends the operator and the activation that is fused behind it, which sees the same Quant.
func (b *builder) finish(op string, activation int, out *model.Value, a attr.Attrs, in ...*model.Value) {
	if activation == 0 {
		b.node(op, out, a, in...)
		return
	}
	mid := b.like(out, "linear")
	b.node(op, mid, a, in...)
	b.activate(activation, mid, out)
}

// activate appends a fused activation function by its number.
func (b *builder) activate(activation int, in, out *model.Value) {
	switch activation {
	case 1:
		b.node("Relu", out, nil, in)
	case 2:
		b.node("Clip", out, nil, in, b.scalar(-1), b.scalar(1))
	case 3:
		b.node("Clip", out, nil, in, b.scalar(0), b.scalar(6))
	case 4:
		b.node("Tanh", out, nil, in)
	default:
		b.fail("fused activation %d: %w", activation, ErrUnsupported)
	}
}

// unary translates operators of one input; plain hands all inputs on.
func unary(op string) func(*builder) {
	return func(b *builder) { b.node(op, b.o(0), nil, b.i(0)) }
}

func plain(op string) func(*builder) {
	return func(b *builder) {
		in := make([]*model.Value, len(b.in))
		for k := range in {
			in[k] = b.i(k)
		}
		b.node(op, b.o(0), nil, in...)
	}
}

func arithmetic(op string) func(*builder) {
	return func(b *builder) { b.finish(op, b.opts.i8(0, 0), b.o(0), nil, b.i(0), b.i(1)) }
}

func clip(lo, hi float32) func(*builder) {
	return func(b *builder) { b.node("Clip", b.o(0), nil, b.i(0), b.scalar(lo), b.scalar(hi)) }
}

func padding(b *builder, mode int) string {
	switch mode {
	case 0:
		return "SAME_UPPER"
	case 1:
		return "VALID"
	}
	b.fail("option padding %d: %w", mode, ErrUnsupported)
	return ""
}

// spatialAttrs are the attributes of a convolution or pool in two dimensions.
func spatialAttrs(b *builder, pad, strideH, strideW, dilationH, dilationW int) attr.Attrs {
	a := attr.Attrs{"layout": "NHWC", "auto_pad": padding(b, pad)}
	for name, v := range map[string][]int{"strides": {strideH, strideW}, "dilations": {dilationH, dilationW}} {
		if v[0] < 1 || v[1] < 1 {
			b.fail("option %s %v: %w", name, v, ErrFormat)
		}
		a.Set(name, v)
	}
	return a
}

func pool(op string) func(*builder) {
	return func(b *builder) {
		a := spatialAttrs(b, b.opts.i8(0, 0), b.opts.i32(2, 0), b.opts.i32(1, 0), 1, 1)
		a.Set("kernel_shape", []int{b.opts.i32(4, 0), b.opts.i32(3, 0)})
		if op == "LpPool" {
			// TFLite divides by the number of elements, ONNX's LpPool does not: square, average, root.
			delete(a, "p")
			sq, mean := b.like(b.o(0), "square"), b.like(b.o(0), "mean")
			b.node("Square", sq, nil, b.i(0))
			b.node("AveragePool", mean, a, sq)
			b.finish("Sqrt", b.opts.i8(5, 0), b.o(0), nil, mean)
			return
		}
		b.finish(op, b.opts.i8(5, 0), b.o(0), a, b.i(0))
	}
}

// hybrid marks a layer with float activations and integer weights, whose input is quantised on the fly.
func hybrid(x, w *model.Value, a attr.Attrs, asymmetric bool) {
	if x.DType == tensor.F32 && w.Quant != nil && w.DType == tensor.I8 {
		a.Set("dynamic_quantize", true)
		a.Set("asymmetric_quantize_inputs", asymmetric)
	}
}

func inputs(x, w, bias *model.Value) []*model.Value {
	if bias == nil {
		return []*model.Value{x, w}
	}
	return []*model.Value{x, w, bias}
}

func conv2d(b *builder) {
	a := spatialAttrs(b, b.opts.i8(0, 0), b.opts.i32(2, 0), b.opts.i32(1, 0), b.opts.i32(5, 1), b.opts.i32(4, 1))
	x, w := b.i(0), b.i(1)
	if len(x.Shape) == 4 && len(w.Shape) == 4 && w.Shape[3] > 0 && x.Shape[3] > w.Shape[3] && x.Shape[3]%w.Shape[3] == 0 {
		a.Set("group", x.Shape[3]/w.Shape[3])
	}
	hybrid(x, w, a, perChannel(w))
	b.finish("Conv", b.opts.i8(3, 0), b.o(0), a, inputs(x, w, b.maybe(2))...)
}

// depthwise turns weights [1,h,w,c*m] into [c*m,h,w,1] with c groups.
func depthwise(b *builder) {
	a := spatialAttrs(b, b.opts.i8(0, 0), b.opts.i32(2, 0), b.opts.i32(1, 0), b.opts.i32(6, 1), b.opts.i32(5, 1))
	x, w := b.i(0), b.i(1)
	if len(w.Shape) != 4 || w.Shape[0] != 1 || len(x.Shape) != 4 || x.Shape[3] < 1 || w.Shape[3]%x.Shape[3] != 0 {
		b.fail("weights %v for input %v: %w", w.Shape, x.Shape, ErrFormat)
		return
	}
	a.Set("group", x.Shape[3])
	hybrid(x, w, a, perChannel(w))
	b.finish("Conv", b.opts.i8(4, 0), b.o(0), a, inputs(x, b.moved(w, []int{3, 1, 2, 0}), b.maybe(2))...)
}

type turnedKey struct {
	from *model.Tensor
	perm string
}

// moved transposes weights: at once where they are constant, by a node where not.
func (b *builder) moved(w *model.Value, perm []int) *model.Value {
	v := b.like(w, "moved")
	v.Shape = make(model.Shape, len(perm))
	for i, p := range perm {
		v.Shape[i] = w.Shape[p]
	}
	if q := w.Quant; q != nil && !q.PerTensor() {
		c := *q
		for i, p := range perm {
			if p == q.Axis {
				c.Axis = i
			}
		}
		v.Quant = &c
	}
	if w.Const == nil || w.DType.Bits() < 8 {
		a := attr.Attrs{}
		a.Set("perm", perm)
		b.node("Transpose", v, a, w)
		return v
	}
	key := turnedKey{w.Const, fmt.Sprint(perm)}
	if t := b.turned[key]; t != nil {
		v.Const = t
		return v
	}
	if !b.r.chargeTensor(w.DType, w.Const.Len()) {
		return v
	}
	t := tensor.New(w.DType, v.Shape)
	b.turned[key] = t
	t.Quant = v.Quant
	size := w.DType.Bits() / 8
	st := w.Shape.Strides()
	at, from := make([]int, len(perm)), 0 // the place in t, and where its element stands in w
	for i := range t.Len() {
		copy(t.Data[i*size:(i+1)*size], w.Const.Data[from*size:])
		for d := len(perm) - 1; d >= 0; d-- {
			if at[d]++; at[d] < v.Shape[d] {
				from += st[perm[d]]
				break
			}
			from -= (at[d] - 1) * st[perm[d]]
			at[d] = 0
		}
	}
	v.Const = t
	return v
}

// transposeConv: inputs are the output's shape, weights [out,h,w,in], the input and perhaps a bias.
func transposeConv(b *builder) {
	a := spatialAttrs(b, b.opts.i8(0, 0), b.opts.i32(2, 0), b.opts.i32(1, 0), 1, 1)
	w, x := b.i(1), b.i(2)
	if b.i(0).Const == nil && b.shapeLater(a, w, x) {
		return
	}
	shape := b.outputShape(0, 4)
	if len(shape) != 4 || len(w.Shape) != 4 {
		b.fail("output shape %v and weights %v: %w", shape, w.Shape, ErrFormat)
		return
	}
	a.Set("output_shape", shape[1:3])
	hybrid(x, w, a, perChannel(w))
	delete(a, "dynamic_quantize")
	b.finish("ConvTranspose", b.opts.i8(3, 0), b.o(0), a, inputs(x, b.moved(w, []int{3, 1, 2, 0}), b.maybe(3))...)
}

func fullyConnected(b *builder) {
	x, w, out := b.i(0), b.i(1), b.o(0)
	if len(w.Shape) != 2 || b.opts.i8(1, 0) != 0 {
		b.fail("weights %v in format %d: %w", w.Shape, b.opts.i8(1, 0), ErrUnsupported)
		return
	}
	k := w.Shape[1]
	if len(x.Shape) != 2 || x.Shape[1] != k {
		flat := b.like(x, "flat")
		b.node("Reshape", flat, nil, x, b.ints(-1, k))
		x = flat
	}
	a := attr.Attrs{"transB": int64(1)}
	hybrid(x, w, a, b.opts.flag(3))
	y := out
	if len(out.Shape) != 2 {
		y = b.like(out, "flat")
	}
	b.finish("Gemm", b.opts.i8(0, 0), y, a, inputs(x, w, b.maybe(2))...)
	if y != out {
		s := append([]int{}, out.Shape...)
		open := 0
		for _, d := range s {
			if d < 0 {
				open++
			}
		}
		if open > 1 {
			b.fail("output shape %v has several free extents: %w", out.Shape, ErrUnsupported)
			return
		}
		b.node("Reshape", out, nil, y, b.ints(s...))
	}
}

func batchMatmul(b *builder) {
	x, y := b.i(0), b.i(1)
	flip := func(v *model.Value, adj bool) *model.Value {
		if !adj {
			return v
		}
		n := len(v.Shape)
		if n < 2 {
			b.fail("operand %v: %w", v.Shape, ErrFormat)
			return v
		}
		p := make([]int, n)
		for i := range p {
			p[i] = i
		}
		p[n-1], p[n-2] = n-2, n-1
		return b.moved(v, p)
	}
	a := attr.Attrs{}
	hybrid(x, y, a, b.opts.flag(2))
	if len(y.Shape) != 2 {
		delete(a, "dynamic_quantize")
	}
	b.node("MatMul", b.o(0), a, flip(x, b.opts.flag(0)), flip(y, b.opts.flag(1)))
}

func concatenation(b *builder) {
	in := make([]*model.Value, len(b.in))
	for k := range in {
		in[k] = b.i(k)
	}
	a := attr.Attrs{}
	a.Set("axis", b.opts.i32(0, 0))
	b.finish("Concat", b.opts.i8(1, 0), b.o(0), a, in...)
}

func depthSpace(op string) func(*builder) {
	return func(b *builder) {
		a := attr.Attrs{"layout": "NHWC", "mode": "DCR"}
		a.Set("blocksize", b.opts.i32(0, 0))
		b.node(op, b.o(0), a, b.i(0))
	}
}

func castValue(b *builder, in, out *model.Value, d tensor.DType) {
	n, ok := onnxTypes[d]
	if !ok {
		b.fail("type %v: %w", d, ErrUnsupported)
	}
	a := attr.Attrs{}
	a.Set("to", n)
	b.node("Cast", out, a, in)
}

func castTo(b *builder) { castValue(b, b.i(0), b.o(0), b.o(0).DType) }

func dequantize(b *builder) {
	if x := b.i(0); x.Quant == nil {
		castTo(b) // FP16 weights
		return
	}
	b.node("Dequantize", b.o(0), nil, b.i(0))
}

func quantize(b *builder) {
	if b.o(0).Quant == nil {
		b.fail("the output has no quantisation: %w", ErrFormat)
	}
	b.node("Quantize", b.o(0), nil, b.i(0))
}

func embedding(b *builder) { b.node("Gather", b.o(0), attr.Attrs{"axis": int64(0)}, b.i(1), b.i(0)) }

func gather(b *builder) {
	if b.opts.i32(1, 0) != 0 {
		b.gatherInBatches(b.opts.i32(0, 0), b.opts.i32(1, 0))
		return
	}
	a := attr.Attrs{}
	a.Set("axis", b.opts.i32(0, 0))
	b.node("Gather", b.o(0), a, b.i(0), b.i(1))
}

func l2norm(b *builder) {
	b.finish("L2Normalization", b.opts.i8(0, 0), b.o(0), attr.Attrs{"epsilon": float32(1e-6)}, b.i(0))
}

// lrn: TFLite's alpha is not divided by the size, and its radius counts to both sides.
func lrn(b *builder) {
	size := 2*b.opts.i32(0, 0) + 1
	a := attr.Attrs{"bias": b.opts.f32(1, 0), "alpha": b.opts.f32(2, 0) * float32(size), "beta": b.opts.f32(3, 0)}
	a.Set("size", size)
	a.Set("axis", -1)
	b.node("LRN", b.o(0), a, b.i(0))
}

func softmax(b *builder) {
	x := b.i(0)
	if b.onTables(1.0 / 32768) {
		b.node("tflite.Softmax", b.o(0), attr.Attrs{"beta": b.opts.f32(0, 1)}, x)
		return
	}
	if beta := b.opts.f32(0, 1); beta != 1 && beta != 0 {
		f := x
		if x.Quant != nil {
			f = &model.Value{Name: b.unique(x.Name + ".real"), DType: tensor.F32}
			b.node("Dequantize", f, nil, x)
		}
		x = &model.Value{Name: b.unique(x.Name + ".scaled"), DType: tensor.F32}
		b.node("Mul", x, nil, f, b.scalar(beta))
	}
	b.node("Softmax", b.o(0), attr.Attrs{"axis": int64(-1)}, x)
}

func reshape(b *builder) {
	s := b.opts.ints(0)
	if v := b.maybe(1); v != nil {
		if v.Const == nil {
			b.node("Reshape", b.o(0), attr.Attrs{"allowzero": int64(1)}, b.i(0), v)
			return
		}
		s = b.known(1)
	}
	b.node("Reshape", b.o(0), attr.Attrs{"allowzero": int64(1)}, b.i(0), b.ints(s...))
}

func squeeze(b *builder) {
	if axes := b.opts.ints(0); len(axes) > 0 {
		b.node("Squeeze", b.o(0), nil, b.i(0), b.ints(axes...))
		return
	}
	b.node("Squeeze", b.o(0), nil, b.i(0))
}

func expandDims(b *builder) { b.node("Unsqueeze", b.o(0), nil, b.i(0), b.list(1)) }

func transpose(b *builder) {
	if b.i(1).Const == nil {
		b.node("tflite.Transpose", b.o(0), nil, b.i(0), b.i(1))
		return
	}
	a := attr.Attrs{}
	a.Set("perm", b.known(1))
	b.node("Transpose", b.o(0), a, b.i(0))
}

func reduce(op string) func(*builder) {
	return func(b *builder) {
		a := attr.Attrs{}
		a.Set("keepdims", b.opts.flag(0))
		b.node(op, b.o(0), a, b.i(0), b.list(1))
	}
}

func arg(op string) func(*builder) {
	return func(b *builder) {
		axis := b.known(1)
		if len(axis) != 1 {
			b.fail("axis %v: %w", axis, ErrFormat)
			return
		}
		a := attr.Attrs{"keepdims": int64(0)}
		a.Set("axis", axis[0])
		out := b.o(0)
		if out.DType == tensor.I64 {
			b.node(op, out, a, b.i(0))
			return
		}
		wide := &model.Value{Name: b.unique(out.Name + ".i64"), DType: tensor.I64}
		b.node(op, wide, a, b.i(0))
		castValue(b, wide, out, out.DType)
	}
}

func topk(b *builder) {
	values := b.o(0)
	index := &model.Value{Name: b.unique(values.Name + ".i64"), DType: tensor.I64}
	n := b.node("TopK", values, attr.Attrs{"axis": int64(-1)}, b.i(0), b.list(1))
	n.Out = append(n.Out, index)
	if len(b.out) > 1 {
		castValue(b, index, b.o(1), b.o(1).DType)
	}
}

// split: SPLIT has the axis first, SPLIT_V last, after the sizes.
func split(data, axis int) func(*builder) {
	return func(b *builder) {
		at := b.known(axis)
		if len(at) != 1 {
			b.fail("axis %v: %w", at, ErrFormat)
			return
		}
		a := attr.Attrs{}
		a.Set("axis", at[0])
		x := b.i(data)
		in := []*model.Value{x}
		if axis == 2 && b.i(1).Const == nil {
			in = append(in, b.list(1))
		}
		n := b.node("Split", b.o(0), a, in...)
		if axis == 2 && len(in) == 1 {
			sizes := b.known(1)
			open, rest := -1, 0
			for i, s := range sizes {
				if s < 0 {
					open = i
				} else {
					rest += s
				}
			}
			if open >= 0 {
				d := at[0]
				if d < 0 {
					d += len(x.Shape)
				}
				if d < 0 || d >= len(x.Shape) || x.Shape[d] < rest {
					b.fail("sizes %v of %v along axis %d: %w", sizes, x.Shape, at[0], ErrFormat)
					return
				}
				sizes[open] = x.Shape[d] - rest
			}
			n.In = append(n.In, b.ints(sizes...))
		}
		for k := 1; k < len(b.out); k++ {
			n.Out = append(n.Out, b.o(k))
		}
	}
}

func pack(b *builder) {
	axis := b.opts.i32(1, 0)
	in, axes := make([]*model.Value, len(b.in)), b.ints(axis)
	for k := range in {
		x := b.i(k)
		in[k] = b.like(x, "packed")
		b.node("Unsqueeze", in[k], nil, x, axes)
	}
	a := attr.Attrs{}
	a.Set("axis", axis)
	b.node("Concat", b.o(0), a, in...)
}

func unpack(b *builder) {
	axis := b.opts.i32(1, 0)
	a := attr.Attrs{}
	a.Set("axis", axis)
	var n *model.Node
	for k := range b.out {
		out := b.o(k)
		part := b.like(out, "part")
		if n == nil {
			n = b.node("Split", part, a, b.i(0))
		} else {
			n.Out = append(n.Out, part)
		}
	}
	axes := b.ints(axis)
	for k := range b.out {
		b.node("Squeeze", b.o(k), nil, n.Out[k], axes)
	}
}

// pads turns TFLite's pairs per dimension into begins, then ends.
func (b *builder) pads(k int) *model.Value {
	if x := b.i(k); x.Const == nil {
		wide := b.wide(x)
		turned, flat := b.like(wide, "turned"), b.like(wide, "pads")
		a := attr.Attrs{}
		a.Set("perm", []int{1, 0})
		b.node("Transpose", turned, a, wide)
		b.node("Reshape", flat, nil, turned, b.ints(-1))
		return flat
	}
	v := b.known(k)
	if len(v)%2 != 0 {
		b.fail("paddings %v: %w", v, ErrFormat)
		return nil
	}
	n := len(v) / 2
	p := make([]int, 2*n)
	for i := range n {
		p[i], p[n+i] = v[2*i], v[2*i+1]
	}
	return b.ints(p...)
}

func pad(b *builder) {
	in := []*model.Value{b.i(0), b.pads(1)}
	if v := b.maybe(2); v != nil {
		in = append(in, v)
	}
	b.node("Pad", b.o(0), attr.Attrs{"mode": "constant"}, in...)
}

func mirrorPad(b *builder) {
	mode := "reflect"
	if b.opts.i8(0, 0) == 1 {
		mode = "symmetric"
	}
	b.node("Pad", b.o(0), attr.Attrs{"mode": mode}, b.i(0), b.pads(1))
}

// slice has begins and sizes, where -1 takes the rest.
func slice(b *builder) {
	if b.i(1).Const == nil || b.i(2).Const == nil {
		b.sliceLater()
		return
	}
	begin, size := b.known(1), b.known(2)
	if len(begin) != len(size) {
		b.fail("begins %v and sizes %v: %w", begin, size, ErrFormat)
		return
	}
	ends, axes := make([]int, len(begin)), make([]int, len(begin))
	for i := range begin {
		axes[i] = i
		if ends[i] = tensor.Int(int64(begin[i]) + int64(size[i])); size[i] < 0 {
			ends[i] = math.MaxInt32
		}
	}
	b.node("Slice", b.o(0), nil, b.i(0), b.ints(begin...), b.ints(ends...), b.ints(axes...))
}

func stridedSlice(b *builder) {
	a := attr.Attrs{}
	for i, name := range []string{"begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"} {
		a.Set(name, b.opts.i32(i, 0))
	}
	a.Set("offset", b.opts.flag(5))
	b.node("StridedSlice", b.o(0), a, b.i(0), b.i(1), b.i(2), b.i(3))
}

func tile(b *builder) { b.node("Tile", b.o(0), nil, b.i(0), b.i(1)) }

// fill has the shape first.
func fill(b *builder) { b.node("Expand", b.o(0), nil, b.i(1), b.i(0)) }

func resize(mode string, alignField, halfField int) func(*builder) {
	return func(b *builder) {
		size := b.list(1)
		if n := size.Const; n != nil && n.Len() != 2 {
			b.fail("size %v: %w", n, ErrFormat)
			return
		}
		align, half := b.opts.flag(alignField), b.opts.flag(halfField)
		a := attr.Attrs{"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
		switch {
		case align:
			a["coordinate_transformation_mode"] = "align_corners"
			a["nearest_mode"] = "round_prefer_ceil"
		case half && mode == "nearest":
			a["coordinate_transformation_mode"] = "tf_half_pixel_for_nn"
		case half:
			a["coordinate_transformation_mode"] = "half_pixel"
		}
		if x := b.i(0); mode == "linear" && x.Quant != nil && (x.DType == tensor.I8 || x.DType == tensor.I16) {
			a.Set("coordinate_bits", 10) // of signed integers, the coordinates are integers too
		}
		a.Set("axes", []int{1, 2})
		b.node("Resize", b.o(0), a, b.i(0), nil, nil, size)
	}
}

func leakyRelu(b *builder) {
	b.node("LeakyRelu", b.o(0), attr.Attrs{"alpha": b.opts.f32(0, 0)}, b.i(0))
}

func gelu(b *builder) {
	mode := "none"
	if b.opts.flag(0) {
		mode = "tanh"
	}
	b.node("Gelu", b.o(0), attr.Attrs{"approximate": mode}, b.i(0))
}

// selectRows: a condition of one extent chooses whole rows.
func selectRows(b *builder) {
	cond, n := b.i(0), len(b.i(1).Shape)
	if len(cond.Shape) != 1 || n < 2 {
		selectOp(b)
		return
	}
	axes := make([]int, n-1)
	for i := range axes {
		axes[i] = i + 1
	}
	b.node("Where", b.o(0), nil, b.made("Unsqueeze", "rows", tensor.Bool, nil, cond, b.ints(axes...)), b.i(1), b.i(2))
}

func selectOp(b *builder) { b.node("Where", b.o(0), nil, b.i(0), b.i(1), b.i(2)) }

func notEqual(b *builder) {
	eq := &model.Value{Name: b.unique(b.o(0).Name + ".equal"), DType: tensor.Bool}
	b.node("Equal", eq, nil, b.i(0), b.i(1))
	b.node("Not", b.o(0), nil, eq)
}

func shapeOp(b *builder) {
	out := b.o(0)
	if out.DType == tensor.I64 {
		b.node("Shape", out, nil, b.i(0))
		return
	}
	wide := &model.Value{Name: b.unique(out.Name + ".i64"), DType: tensor.I64}
	b.node("Shape", wide, nil, b.i(0))
	castValue(b, wide, out, out.DType)
}

func rank(b *builder) {
	t := tensor.From([]int32{int32(len(b.i(0).Shape))})
	t.Shape = tensor.Shape{}
	b.node("Identity", b.o(0), nil, model.NewConst(b.unique(b.op+".rank"), t))
}

func oneHot(b *builder) {
	a := attr.Attrs{}
	a.Set("axis", b.opts.i32(0, 0))
	on, off := b.i(2), b.i(3)
	if on.Const == nil || off.Const == nil {
		both := []*model.Value{off, on}
		for i, v := range both {
			both[i] = b.like(v, "value")
			b.node("Reshape", both[i], nil, v, b.ints(1))
		}
		values := b.like(on, "values")
		b.node("Concat", values, attr.Attrs{"axis": int64(0)}, both...)
		b.node("OneHot", b.o(0), a, b.i(0), b.i(1), values)
		return
	}
	if on.DType != off.DType || on.DType.Bits() < 8 || on.Const.Len() != 1 || off.Const.Len() != 1 {
		b.fail("on and off values must be one of the same type each: %w", ErrFormat)
		return
	}
	values := &model.Tensor{DType: on.DType, Shape: model.Shape{2}, Data: append(append([]byte{}, off.Const.Data...), on.Const.Data...)}
	values = values.Clone() // aligned
	b.node("OneHot", b.o(0), a, b.i(0), b.i(1), model.NewConst(b.unique(b.op+".values"), values))
}

// where lists the positions of true elements, one per row.
func where(b *builder) {
	columns := &model.Value{Name: b.unique(b.o(0).Name + ".columns"), DType: tensor.I64}
	b.node("NonZero", columns, nil, b.i(0))
	a := attr.Attrs{}
	a.Set("perm", []int{1, 0})
	b.node("Transpose", b.o(0), a, columns)
}

func unique(b *builder) {
	out := b.o(0)
	n := b.node("Unique", out, attr.Attrs{"sorted": int64(0)}, b.i(0))
	if len(b.out) > 1 {
		index := &model.Value{Name: b.unique(out.Name + ".index"), DType: tensor.I64}
		n.Out = append(n.Out, nil, index)
		castValue(b, index, b.o(1), b.o(1).DType)
	}
}

func cumsum(b *builder) {
	a := attr.Attrs{}
	a.Set("exclusive", b.opts.flag(0))
	a.Set("reverse", b.opts.flag(1))
	b.node("CumSum", b.o(0), a, b.i(0), b.i(1))
}

func reverseSequence(b *builder) {
	a := attr.Attrs{}
	a.Set("time_axis", b.opts.i32(0, 0))
	a.Set("batch_axis", b.opts.i32(1, 0))
	b.node("ReverseSequence", b.o(0), a, b.i(0), b.i(1))
}

// scatterND adds updates to zeros of a shape.
func scatterND(b *builder) {
	index, updates := b.i(0), b.i(1)
	zero := tensor.New(updates.DType, tensor.Shape{1})
	base := b.like(updates, "zeros")
	wide := b.i(2)
	if wide.DType != tensor.I64 {
		w := &model.Value{Name: b.unique(wide.Name + ".i64"), DType: tensor.I64}
		castValue(b, wide, w, tensor.I64)
		wide = w
	}
	b.node("ConstantOfShape", base, attr.Attrs{"value": zero}, wide)
	if index.DType != tensor.I64 {
		w := &model.Value{Name: b.unique(index.Name + ".i64"), DType: tensor.I64}
		castValue(b, index, w, tensor.I64)
		index = w
	}
	b.node("ScatterND", b.o(0), attr.Attrs{"reduction": "add"}, base, index, updates)
}

// perChannel reports whether weights have a scale per output channel, where TFLite quantises inputs asymmetrically.
func perChannel(w *model.Value) bool { return w.Quant != nil && !w.Quant.PerTensor() }
