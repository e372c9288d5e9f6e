package tflite

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Layers with states. Their states are variable tensors, which are inputs of the operators here; what they become are further
// outputs, which are outputs of the model where Options.ExposeStates says so.

var activationNames = []string{"none", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit"}

// recurrent appends a node whose inputs are all of the operator's, and whose outputs are the operator's and then the new states.
func (b *builder) recurrent(op string, activation int, a attr.Attrs, states ...int) {
	if activation < 0 || activation >= len(activationNames) {
		b.fail("fused activation %d: %w", activation, ErrUnsupported)
		return
	}
	a["activation"] = activationNames[activation]
	var in []*model.Value
	for k := range b.in {
		in = append(in, b.maybe(k))
	}
	n := b.node(op, b.o(0), a, in...)
	for k := 1; k < len(b.out); k++ {
		n.Out = append(n.Out, b.o(k))
	}
	b.keep(n, states...)
}

// keep makes a node's further outputs the next values of states.
func (b *builder) keep(n *model.Node, states ...int) {
	if !b.opts0().ExposeStates {
		return
	}
	for _, k := range states {
		s := b.i(k)
		next := b.like(s, "next")
		next.Name = b.unique(s.Name + ".next")
		n.Out = append(n.Out, next)
		b.outputs = append(b.outputs, next)
	}
}

// intermediates are the quantisation parameters of a quantised LSTM's internal values.
func (b *builder) intermediates(a attr.Attrs) {
	var scale []float32
	var zero []int64
	for _, i := range b.inner {
		if i < 0 || i >= len(b.tensors) {
			b.fail("%w: intermediate tensor %d", ErrFormat, i)
			return
		}
		q := b.tensors[i].sub(4)
		s, z := q.floats(2), q.longs(3)
		if len(s) != 1 {
			return
		}
		scale, zero = append(scale, s[0]), append(zero, append(z, 0)[0])
	}
	if scale != nil {
		a["intermediate_scale"], a["intermediate_zero"] = scale, zero
	}
}

// lstmOptions are those of the LSTM operators, whose time_major is option field at, or -1.
func (b *builder) lstmOptions(at int, def bool) attr.Attrs {
	a := attr.Attrs{"cell_clip": b.opts.f32(1, 0), "proj_clip": b.opts.f32(2, 0)}
	if at >= 0 {
		d := 0
		if def {
			d = 1
		}
		a.Set("time_major", b.opts.i8(at, d) != 0)
	}
	b.intermediates(a)
	return a
}

func (b *builder) wholeLSTM(op string, a attr.Attrs) {
	b.recurrent(op, b.opts.i8(0, 0), a, 18, 19)
}

// lstm is one step: of the full kind, or of the basic one, whose weights are one matrix.
func lstm(b *builder) {
	if b.opts.i8(3, 0) == 0 {
		b.wholeLSTM("tflite.LSTM", b.lstmOptions(-1, false))
		return
	}
	x, h, w, bias, c := b.i(0), b.i(1), b.i(2), b.i(3), b.i(4)
	if x.DType != tensor.F32 || w.DType != tensor.F32 {
		b.fail("kernel_type BASIC of type %v: %w", x.DType, ErrUnsupported)
		return
	}
	if len(b.out) < 2 {
		b.fail("%w: %d outputs", ErrFormat, len(b.out))
		return
	}
	joined := b.made("Concat", "joined", tensor.F32, attr.Attrs{"axis": int64(1)}, x, h)
	sums := b.made("Gemm", "sums", tensor.F32, attr.Attrs{"transB": int64(1)}, joined, w, bias)
	gate := make([]*model.Value, 4) // input, new, forget, output
	for k := range gate {
		gate[k] = b.like(sums, "gate")
	}
	b.node("Split", gate[0], attr.Attrs{"axis": int64(1), "num_outputs": int64(4)}, sums).Out = gate
	for k, f := range []string{"Sigmoid", "Tanh", "Sigmoid", "Sigmoid"} {
		gate[k] = b.made(f, "opened", tensor.F32, nil, gate[k])
	}
	kept, added := b.made("Mul", "kept", tensor.F32, nil, gate[2], c), b.made("Mul", "added", tensor.F32, nil, gate[0], gate[1])
	b.node("Add", b.o(1), nil, kept, added)
	b.node("Mul", b.o(0), nil, gate[3], b.made("Tanh", "cell", tensor.F32, nil, b.o(1)))
	// The other outputs are scratch memory of the original.
	if len(b.out) > 2 {
		b.node("Identity", b.o(2), nil, joined)
	}
	if len(b.out) > 3 {
		b.node("Identity", b.o(3), nil, sums)
	}
}

func rnn(b *builder) { b.recurrent("tflite.RNN", b.opts.i8(0, 0), attr.Attrs{}, 4) }

func sequenceRNN(b *builder) {
	a := attr.Attrs{}
	a.Set("time_major", b.opts.flag(0))
	b.recurrent("tflite.UnidirectionalSequenceRNN", b.opts.i8(1, 0), a, 4)
}

func svdf(b *builder) {
	a := attr.Attrs{}
	a.Set("rank", b.opts.i32(0, 0))
	b.recurrent("tflite.SVDF", b.opts.i8(1, 0), a, 4)
}

func bidirectionalLSTM(b *builder) {
	a := b.lstmOptions(4, true)
	a.Set("merge_outputs", b.opts.flag(3))
	b.recurrent("tflite.BidirectionalSequenceLSTM", b.opts.i8(0, 0), a, 35, 37, 36, 38)
}

// bidirectionalRNN is one layer forwards and one on the reversed sequence, whose output is reversed again.
func bidirectionalRNN(b *builder) {
	activation, merge := b.opts.i8(1, 0), b.opts.flag(2)
	for k := 10; k < len(b.in); k++ {
		if b.maybe(k) != nil {
			b.fail("weights of an auxiliary input: %w", ErrUnsupported)
			return
		}
	}
	if activation < 0 || activation >= len(activationNames) {
		b.fail("fused activation %d: %w", activation, ErrUnsupported)
		return
	}
	a := attr.Attrs{"activation": activationNames[activation]}
	a.Set("time_major", b.opts.flag(0))
	axis := 1
	if b.opts.flag(0) {
		axis = 0
	}
	x, back := b.i(0), b.maybe(9)
	if back == nil {
		back = x
	}
	turn := b.like(back, "reversed")
	b.node("Reverse", turn, nil, back, b.ints(axis))
	layer := func(y *model.Value, x *model.Value, first int) {
		n := b.node("tflite.UnidirectionalSequenceRNN", y, a.Clone(), x, b.i(first), b.i(first+1), b.i(first+2), b.i(first+3))
		b.keep(n, first+3)
	}
	out := b.o(0)
	fw, bw, reversed := out, b.like(out, "backward"), b.like(out, "backwards")
	if merge {
		fw = b.like(out, "forward")
	}
	layer(fw, x, 1)
	layer(bw, turn, 5)
	if !merge {
		b.node("Reverse", b.o(1), nil, bw, b.ints(axis))
		return
	}
	b.node("Reverse", reversed, nil, bw, b.ints(axis))
	b.node("Concat", out, attr.Attrs{"axis": int64(-1)}, fw, reversed)
}
