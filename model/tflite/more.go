package tflite

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// moreBuiltins are the translations of this file.
func moreBuiltins() map[string]func(*builder) {
	return map[string]func(*builder){
		"SPARSE_TO_DENSE": plain("SparseToDense"), "MATRIX_DIAG": plain("MatrixDiag"), "MATRIX_SET_DIAG": plain("MatrixSetDiag"),
		"NON_MAX_SUPPRESSION_V4": suppression, "NON_MAX_SUPPRESSION_V5": suppression, "SEGMENT_SUM": plain("SegmentSum"), "CONV_3D": conv3d,
		"REDUCE_ALL": reduce("ReduceMin"), "CONV_3D_TRANSPOSE": transposeConv3d, "RANDOM_STANDARD_NORMAL": random("RandomNormal"), "BUCKETIZE": bucketize,
		"RANDOM_UNIFORM": random("RandomUniform"), "MULTINOMIAL": multinomial, "UNSORTED_SEGMENT_PROD": plain("UnsortedSegmentProd"),
		"UNSORTED_SEGMENT_MAX": plain("UnsortedSegmentMax"), "UNSORTED_SEGMENT_SUM": plain("UnsortedSegmentSum"),
		"UNSORTED_SEGMENT_MIN": plain("UnsortedSegmentMin"), "BITCAST": bitcast, "RIGHT_SHIFT": shift("RIGHT"),
		"LSTM": lstm, "RNN": rnn, "SVDF": svdf, "UNIDIRECTIONAL_SEQUENCE_RNN": sequenceRNN, "BIDIRECTIONAL_SEQUENCE_RNN": bidirectionalRNN,
		"BIDIRECTIONAL_SEQUENCE_LSTM": bidirectionalLSTM, "CALL_ONCE": callOnce, "VAR_HANDLE": varHandle, "READ_VARIABLE": readVariable,
		"ASSIGN_VARIABLE": assignVariable, "HASHTABLE": hashtable, "HASHTABLE_IMPORT": hashtableImport, "HASHTABLE_FIND": hashtableFind,
		"HASHTABLE_SIZE": hashtableSize, "DENSIFY": densify,
	}
}

// onnxTypes are ONNX's numbers of element types.
var onnxTypes = map[tensor.DType]int{tensor.F32: 1, tensor.U8: 2, tensor.I8: 3, tensor.U16: 4, tensor.I16: 5, tensor.I32: 6, tensor.I64: 7, tensor.Bool: 9,
	tensor.F16: 10, tensor.F64: 11, tensor.U32: 12, tensor.U64: 13, tensor.BF16: 16, tensor.I4: 22}

// suppression: without a sigma boxes are dropped that overlap too much; with it, their scores fall.
func suppression(b *builder) {
	var in []*model.Value
	for k := range b.in {
		in = append(in, b.i(k))
	}
	n := b.node("tflite.NonMaxSuppression", nil, nil, in...)
	scored := len(in) > 5
	if want := 2; len(b.out) != want && !scored || len(b.out) != 3 && scored {
		b.fail("%w: %d outputs", ErrFormat, len(b.out))
		return
	}
	n.Out = []*model.Value{b.o(0), nil, b.o(len(b.out) - 1)}
	if scored {
		n.Out[1] = b.o(1)
	}
}

// conv3d turns weights [d,h,w,in,out] into [out,d,h,w,in].
func conv3d(b *builder) {
	a := b.spatial3d()
	x, w := b.i(0), b.i(1)
	if len(w.Shape) != 5 {
		b.fail("weights %v: %w", w.Shape, ErrFormat)
		return
	}
	b.finish("Conv", b.opts.i8(4, 0), b.o(0), a, inputs(x, b.moved(w, []int{4, 0, 1, 2, 3}), b.maybe(2))...)
}

// transposeConv3d: inputs are the output's shape, weights [d,h,w,out,in], the input and perhaps a bias.
func transposeConv3d(b *builder) {
	a := b.spatial3d()
	w, x := b.i(1), b.i(2)
	if len(w.Shape) != 5 {
		b.fail("weights %v: %w", w.Shape, ErrFormat)
		return
	}
	if shape := b.outputShape(0, 5); shape != nil {
		a.Set("output_shape", shape[1:4])
		b.finish("ConvTranspose", b.opts.i8(4, 0), b.o(0), a, inputs(x, b.moved(w, []int{4, 0, 1, 2, 3}), b.maybe(3))...)
	}
}

// outputShape reads the input that holds output 0's shape; its spatial extents must be known, from there or from the output itself.
func (b *builder) outputShape(k, rank int) []int {
	shape := []int(b.o(0).Shape)
	if b.i(k).Const != nil {
		shape = b.known(k)
	}
	if len(shape) != rank {
		b.fail("output shape %v: %w", shape, ErrFormat)
		return nil
	}
	for _, d := range shape[1 : rank-1] {
		if d < 1 {
			b.fail("output shape %v, known at run time only: %w", shape, ErrUnsupported)
			return nil
		}
	}
	return shape
}

func (b *builder) spatial3d() attr.Attrs {
	a := attr.Attrs{"layout": "NHWC", "auto_pad": padding(b, b.opts.i8(0, 0))}
	o := b.opts
	for name, v := range map[string][]int{"strides": {o.i32(1, 0), o.i32(3, 0), o.i32(2, 0)}, "dilations": {o.i32(5, 1), o.i32(7, 1), o.i32(6, 1)}} {
		for _, x := range v {
			if x < 1 {
				b.fail("option %s %v: %w", name, v, ErrFormat)
			}
		}
		a.Set(name, v)
	}
	return a
}

// seeded reads the options of a random operator: two seeds, both 0 where each run differs.
func seeded(b *builder) attr.Attrs {
	a := attr.Attrs{}
	if first, second := b.opts.u64(0), b.opts.u64(1); first != 0 || second != 0 {
		mixed := (first*0x9e3779b97f4a7c15 ^ second) * 0xbf58476d1ce4e5b9
		a["seed"] = float32(mixed >> 40)
	}
	return a
}

// random has the shape of its result as input.
func random(op string) func(*builder) {
	return func(b *builder) {
		a := seeded(b)
		if b.i(0).Const != nil {
			a.Set("shape", b.known(0))
			b.node(op, b.o(0), a)
			return
		}
		zeros := &model.Value{Name: b.unique(b.o(0).Name + ".zeros"), DType: tensor.F32}
		b.node("ConstantOfShape", zeros, attr.Attrs{"value": tensor.New(tensor.F32, tensor.Shape{1})}, b.wide(b.i(0)))
		b.node(op+"Like", b.o(0), a, zeros)
	}
}

func multinomial(b *builder) {
	n := b.known(1)
	if len(n) != 1 {
		b.fail("number of samples %v: %w", n, ErrFormat)
		return
	}
	a := seeded(b)
	a.Set("sample_size", n[0])
	a.Set("dtype", onnxTypes[b.o(0).DType])
	b.node("Multinomial", b.o(0), a, b.i(0))
}

func bucketize(b *builder) {
	f := b.opts.floats(0)
	if f == nil {
		f = []float32{}
	}
	b.node("Bucketize", b.o(0), attr.Attrs{"boundaries": f}, b.i(0))
}

// bitcast reads bits as another type; where the sizes differ, the last extent is made or taken.
func bitcast(b *builder) {
	x, y := b.i(0), b.o(0)
	n, ok := onnxTypes[y.DType]
	if !ok {
		b.fail("type %v: %w", y.DType, ErrUnsupported)
	}
	if x.DType.Bits() != y.DType.Bits() {
		b.fail("type %v of %d bits as %v of %d bits: %w", x.DType, x.DType.Bits(), y.DType, y.DType.Bits(), ErrUnsupported)
	}
	a := attr.Attrs{}
	a.Set("to", n)
	b.node("BitCast", y, a, x)
}

func shift(direction string) func(*builder) {
	return func(b *builder) { b.node("BitShift", b.o(0), attr.Attrs{"direction": direction}, b.i(0), b.i(1)) }
}

// wide is v as i64.
func (b *builder) wide(v *model.Value) *model.Value {
	if v.DType == tensor.I64 {
		return v
	}
	w := &model.Value{Name: b.unique(v.Name + ".i64"), DType: tensor.I64}
	b.r.charge(256)
	castValue(b, v, w, tensor.I64)
	return w
}

// list is input k as a vector of i64, a constant where the input is.
func (b *builder) list(k int) *model.Value {
	v := b.i(k)
	if v.Const != nil {
		return b.ints(b.known(k)...)
	}
	w := b.wide(v)
	if len(v.Shape) == 1 {
		return w
	}
	flat := b.like(w, "flat")
	b.node("Reshape", flat, nil, w, b.ints(-1))
	return flat
}
