package tflite

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

func (b *builder) ins() []*model.Value {
	list := make([]*model.Value, len(b.in))
	for k := range list {
		list[k] = b.i(k)
	}
	return list
}

// inline translates a subgraph into this one, with the given inputs, and returns its outputs.
func (b *builder) inline(i int, in []*model.Value) []*model.Value {
	g, err := b.importer.graph(i, in)
	if err != nil {
		b.fail("subgraph %d: %w", i, err)
		return nil
	}
	b.g.Nodes = append(b.g.Nodes, g.Nodes...)
	return g.Outputs
}

func call(b *builder) {
	b.calls(b.opts.i32(0, 0))
}

// calls puts a subgraph in the operator's place.
func (b *builder) calls(i int) {
	for k, v := range b.inline(i, b.ins()) {
		if k < len(b.out) && !b.passed(v, k) {
			b.node("Identity", b.o(k), nil, v)
		}
	}
}

func ifOp(b *builder) {
	in := b.ins()
	if len(in) == 0 {
		b.fail("%w: no condition", ErrFormat)
		return
	}
	graphs := map[string]*model.Graph{}
	for name, i := range map[string]int{"then_branch": b.opts.i32(0, 0), "else_branch": b.opts.i32(1, 0)} {
		b.flows++
		g, err := b.importer.graph(i, in[1:])
		b.flows--
		if err != nil {
			b.fail("%s: %w", name, err)
			return
		}
		if len(g.Outputs) != len(b.out) {
			b.fail("%w: %s has %d outputs, want %d", ErrFormat, name, len(g.Outputs), len(b.out))
			return
		}
		for _, v := range g.Outputs {
			if b.handles[v] != nil {
				b.fail("%s returns a handle of a variable or table: %w", name, ErrUnsupported)
				return
			}
		}
		graphs[name] = g
	}
	b.flow("If", graphs, in[:1])
}

// flow appends a node with subgraphs.
func (b *builder) flow(op string, graphs map[string]*model.Graph, in []*model.Value) {
	n := &model.Node{Name: b.unique(fmt.Sprintf("%s_%d", b.op, b.index)), Op: op, In: in, Attrs: attr.Attrs{}, Graphs: graphs}
	for k := range b.out {
		if o := b.o(k); b.handles[o] == nil {
			n.Out = append(n.Out, o)
		}
	}
	b.g.Nodes = append(b.g.Nodes, n)
}

// passed binds output k to v's resource where v is a handle.
func (b *builder) passed(v *model.Value, k int) bool {
	r := b.handles[v]
	if r != nil {
		b.handles[b.o(k)] = r
	}
	return r != nil
}

// whileOp becomes a Loop: the condition is evaluated once before it, and at the end of each iteration.
func whileOp(b *builder) {
	b.loop(b.opts.i32(0, 0), b.opts.i32(1, 0))
}

// loop runs the subgraph body while the subgraph cond says so.
func (b *builder) loop(cond, body int) {
	in := b.ins()
	first := b.inline(cond, in)
	if b.err != nil || len(first) != 1 {
		b.fail("%w: the condition has %d outputs", ErrFormat, len(first))
		return
	}
	inner := &builder{importer: b.importer, g: &model.Graph{Name: b.unique(b.op + ".body")}, op: b.op, index: b.index}
	iter := &model.Value{Name: b.unique("iteration"), DType: tensor.I64, Shape: model.Shape{}}
	keep := &model.Value{Name: b.unique("condition"), DType: tensor.Bool, Shape: model.Shape{}}
	inner.g.Inputs = []*model.Value{iter, keep}
	var carried []*model.Value
	for _, v := range in {
		if b.handles[v] != nil { // no loop changes it
			carried = append(carried, v)
			continue
		}
		c := &model.Value{Name: b.unique(v.Name + ".carried"), DType: v.DType, Quant: v.Quant}
		if v.Shape != nil {
			c.Shape = make(model.Shape, len(v.Shape))
			copy(c.Shape, v.Shape)
		}
		carried = append(carried, c)
	}
	for i, v := range carried {
		if v != in[i] {
			inner.g.Inputs = append(inner.g.Inputs, v)
		}
	}
	b.flows++
	defer func() { b.flows-- }()
	next := inner.inline(body, carried)
	if inner.err != nil {
		b.fail("%w", inner.err)
		return
	}
	if len(next) != len(in) {
		b.fail("%w: the body has %d outputs, want %d", ErrFormat, len(next), len(in))
		return
	}
	// A value that is handed on as it is needs a node to be an output of its own.
	for i, v := range next {
		if r := b.handles[in[i]]; r != nil || b.handles[v] != nil {
			if r != b.handles[v] {
				b.fail("the body replaces a handle of a variable or table: %w", ErrUnsupported)
				return
			}
			if i < len(b.out) {
				b.passed(v, i)
			}
			continue
		}
		c := &model.Value{Name: b.unique(v.Name + ".next"), DType: v.DType, Quant: v.Quant}
		inner.node("Identity", c, nil, v)
		next[i] = c
	}
	again := inner.inline(cond, next)
	if inner.err != nil || len(again) != 1 {
		b.fail("%w: the condition has %d outputs", ErrFormat, len(again))
		return
	}
	inner.g.Outputs = again
	start := []*model.Value{nil, first[0]}
	for i, v := range next {
		if b.handles[v] == nil {
			inner.g.Outputs, start = append(inner.g.Outputs, v), append(start, in[i])
		}
	}
	b.flow("Loop", map[string]*model.Graph{"body": inner.g}, start)
}

// sequenceLSTM becomes ONNX's LSTM where the layer is one that it can express: float or dequantised weights, no
// projection, no layer normalisation; else an operator of its own.
func sequenceLSTM(b *builder) {
	names := []string{"input", "input_to_input", "input_to_forget", "input_to_cell", "input_to_output", "recurrent_to_input", "recurrent_to_forget",
		"recurrent_to_cell", "recurrent_to_output", "cell_to_input", "cell_to_forget", "cell_to_output", "input_bias", "forget_bias", "cell_bias", "output_bias",
		"projection", "projection_bias", "activation_state", "cell_state", "input_layer_norm", "forget_layer_norm", "cell_layer_norm", "output_layer_norm"}
	v := map[string]*model.Value{}
	for k, name := range names {
		v[name] = b.maybe(k)
	}
	if b.opts.flag(5) {
		b.fail("option diagonal_recurrent_tensors: %w", ErrUnsupported)
		return
	}
	own := v["input_to_input"] == nil || b.opts.i8(0, 0) != 4 || len(b.inner) == 5 && b.i(0).Quant != nil
	if clip := b.opts.f32(1, 0); clip != 0 && clip < 10 {
		own = true
	}
	for _, name := range []string{"projection", "projection_bias", "input_layer_norm", "forget_layer_norm", "cell_layer_norm", "output_layer_norm"} {
		own = own || v[name] != nil
	}
	if own {
		b.wholeLSTM("tflite.UnidirectionalSequenceLSTM", b.lstmOptions(3, false))
		return
	}
	x, out := v["input"], b.o(0)
	w := v["input_to_input"]
	r := v["recurrent_to_input"]
	if r == nil || w.Const == nil || r.Const == nil {
		b.fail("weights must be constant: %w", ErrUnsupported)
		return
	}
	if len(x.Shape) != 3 || len(w.Shape) != 2 || len(r.Shape) != 2 || r.Shape[0] != r.Shape[1] || r.Shape[0] != w.Shape[0] {
		b.fail("input %v and weights %v: %w", x.Shape, w.Shape, ErrUnsupported)
		return
	}
	hidden, size := w.Shape[0], w.Shape[1]
	// The constants below have this size, in proportion to weights that are in the file.
	if !b.r.chargeTensor(tensor.F32, 4*(w.Const.Len()+r.Const.Len())+8*hidden) {
		return
	}
	// ONNX's order of gates is input, output, forget, cell.
	order := []string{"input", "output", "forget", "cell"}
	weights := func(prefix string, cols int) *model.Value {
		if w := b.gateWeights(prefix, v, order, hidden, cols); w != nil {
			return w
		}
		var data []float32
		for _, g := range order {
			f, ok := reals(v[prefix+"_to_"+g])
			if !ok || len(f) != hidden*cols {
				b.fail("weights %s_to_%s must be constant, %d elements: %w", prefix, g, hidden*cols, ErrUnsupported)
				return nil
			}
			data = append(data, f...)
		}
		return model.NewConst(b.unique(b.op+"."+prefix), tensor.From(data, 1, 4*hidden, cols))
	}
	bias := make([]float32, 8*hidden)
	for i, g := range order {
		f, ok := reals(v[g+"_bias"])
		if !ok || len(f) != hidden {
			b.fail("%s_bias must be constant, %d elements: %w", g, hidden, ErrUnsupported)
			return
		}
		copy(bias[i*hidden:], f)
	}
	in := []*model.Value{nil, weights("input", size), weights("recurrent", hidden), model.NewConst(b.unique(b.op+".bias"), tensor.From(bias, 1, 8*hidden)), nil}
	if b.err != nil {
		return
	}
	real := func(x *model.Value) *model.Value {
		if x.Quant == nil {
			return x
		}
		f := &model.Value{Name: b.unique(x.Name + ".real"), DType: tensor.F32}
		b.node("Dequantize", f, nil, x)
		return f
	}
	in[0] = real(x)
	timeMajor := b.opts.flag(3)
	if !timeMajor {
		t := &model.Value{Name: b.unique(x.Name + ".steps"), DType: tensor.F32}
		a := attr.Attrs{}
		a.Set("perm", []int{1, 0, 2})
		b.node("Transpose", t, a, in[0])
		in[0] = t
	}
	for _, name := range []string{"activation_state", "cell_state"} {
		s := v[name]
		if s == nil {
			b.fail("%w: input %s is missing", ErrFormat, name)
			return
		}
		t := &model.Value{Name: b.unique(s.Name + ".first"), DType: tensor.F32}
		b.node("Unsqueeze", t, nil, real(s), b.ints(0))
		in = append(in, t)
	}
	if p := v["cell_to_input"]; p != nil {
		var peep []float32
		for _, name := range []string{"cell_to_input", "cell_to_output", "cell_to_forget"} {
			f, ok := reals(v[name])
			if !ok || len(f) != hidden {
				b.fail("%s must be constant, %d elements: %w", name, hidden, ErrUnsupported)
				return
			}
			peep = append(peep, f...)
		}
		in = append(in, model.NewConst(b.unique(b.op+".peepholes"), tensor.From(peep, 1, 3*hidden)))
	}
	a := attr.Attrs{}
	a.Set("hidden_size", hidden)
	y := &model.Value{Name: b.unique(out.Name + ".all"), DType: tensor.F32}
	n := b.node("LSTM", y, a, in...)
	// y is [steps, 1, batch, hidden].
	steps := &model.Value{Name: b.unique(out.Name + ".steps"), DType: tensor.F32}
	b.node("Squeeze", steps, nil, y, b.ints(1))
	last := steps
	if !timeMajor {
		last = &model.Value{Name: b.unique(out.Name + ".real"), DType: tensor.F32}
		p := attr.Attrs{}
		p.Set("perm", []int{1, 0, 2})
		b.node("Transpose", last, p, steps)
	}
	if out.Quant != nil {
		b.node("Quantize", out, nil, last)
	} else {
		b.node("Identity", out, nil, last)
	}
	if b.opts0().ExposeStates {
		for i, name := range []string{"activation_state", "cell_state"} {
			s := v[name]
			for len(n.Out) < i+2 {
				n.Out = append(n.Out, &model.Value{Name: b.unique(s.Name + ".last"), DType: tensor.F32})
			}
			next := &model.Value{Name: b.unique(s.Name + ".next"), DType: s.DType, Quant: s.Quant}
			flat := next
			if s.Quant != nil {
				flat = &model.Value{Name: b.unique(s.Name + ".flat"), DType: tensor.F32}
			}
			b.node("Squeeze", flat, nil, n.Out[i+1], b.ints(0))
			if s.Quant != nil {
				b.node("Quantize", next, nil, flat)
			}
			b.outputs = append(b.outputs, next)
		}
	}
}

// gateWeights joins the 8-bit weights of all gates into one constant with a scale per row, which a node dequantises, so
// that the file holds bytes and not floats; nil where they are of another kind.
func (b *builder) gateWeights(prefix string, v map[string]*model.Value, order []string, hidden, cols int) *model.Value {
	t := tensor.New(tensor.I8, tensor.Shape{1, len(order) * hidden, cols})
	q := &model.QParams{Axis: 1}
	for i, g := range order {
		w := v[prefix+"_to_"+g]
		if w == nil || w.Const == nil || w.DType != tensor.I8 || w.Quant == nil || !w.Quant.PerTensor() || w.Quant.ZeroAt(0) != 0 || w.Const.Len() != hidden*cols {
			return nil
		}
		copy(t.Data[i*hidden*cols:], w.Const.Data)
		for range hidden {
			q.Scale = append(q.Scale, w.Quant.Scale[0])
		}
	}
	t.Quant = q
	f := &model.Value{Name: b.unique(b.op + "." + prefix), DType: tensor.F32}
	b.node("Dequantize", f, nil, model.NewConst(b.unique(b.op+"."+prefix+".i8"), t))
	return f
}

// reals reads a constant as float32, dequantised.
func reals(v *model.Value) ([]float32, bool) {
	if v == nil || v.Const == nil {
		return nil, false
	}
	t := v.Const
	if t.DType == tensor.F32 {
		return tensor.Of[float32](t), true
	}
	ints, err := t.Ints()
	if err != nil || v.Quant == nil {
		return nil, false
	}
	q := v.Quant
	f := make([]float32, len(ints))
	inner := 1
	if !q.PerTensor() {
		inner = tensor.Shape(t.Shape[q.Axis+1:]).Len()
	}
	for i, x := range ints {
		c := 0
		if !q.PerTensor() {
			c = i / inner % len(q.Scale)
		}
		f[i] = float32(float64(x-int64(q.ZeroAt(c))) * float64(q.Scale[c]))
	}
	return f, true
}

// detection reads the options of TFLite_Detection_PostProcess, a FlexBuffers map.
func detection(b *builder) {
	m, err := flexMap(b.custom)
	if err != nil {
		b.fail("options: %w", err)
		return
	}
	a := attr.Attrs{}
	for _, name := range []string{"max_detections", "max_classes_per_detection", "detections_per_class", "num_classes"} {
		if x, ok := m[name]; ok {
			a.Set(name, int(x))
		}
	}
	if x, ok := m["use_regular_nms"]; ok {
		a.Set("use_regular_nms", x != 0)
	}
	for _, name := range []string{"nms_score_threshold", "nms_iou_threshold", "y_scale", "x_scale", "h_scale", "w_scale"} {
		if x, ok := m[name]; ok {
			a.Set(name, x)
		}
	}
	n := b.node("tflite.DetectionPostProcess", b.o(0), a, b.i(0), b.i(1), b.i(2))
	for k := 1; k < len(b.out); k++ {
		n.Out = append(n.Out, b.o(k))
	}
}

// flexMap reads a FlexBuffers map of numbers.
func flexMap(b []byte) (map[string]float64, error) {
	bad := fmt.Errorf("%w: the map is damaged", ErrFormat)
	if len(b) < 3 {
		return nil, bad
	}
	width := int(b[len(b)-1])
	kind := b[len(b)-2]
	root := len(b) - 2 - width
	read := func(at, w int) (uint64, bool) {
		if at < 0 || w < 1 || w > 8 || at > len(b)-w {
			return 0, false
		}
		switch w {
		case 1:
			return uint64(b[at]), true
		case 2:
			return uint64(binary.LittleEndian.Uint16(b[at:])), true
		case 4:
			return uint64(binary.LittleEndian.Uint32(b[at:])), true
		case 8:
			return binary.LittleEndian.Uint64(b[at:]), true
		}
		return 0, false
	}
	if kind>>2 != 9 { // a map
		return nil, bad
	}
	off, ok := read(root, width)
	w := 1 << (kind & 3)
	at := root - int(off)
	if !ok || off > uint64(root) {
		return nil, bad
	}
	n, ok1 := read(at-w, w)
	kw, ok2 := read(at-2*w, w)
	ko, ok3 := read(at-3*w, w)
	if !ok1 || !ok2 || !ok3 || n > 1000 || ko > uint64(at) {
		return nil, bad
	}
	keys := at - 3*w - int(ko)
	m := map[string]float64{}
	for i := range int(n) {
		k, ok := read(keys+i*int(kw), int(kw))
		p := keys + i*int(kw) - int(k)
		if !ok || k > uint64(len(b)) || p < 0 || p >= len(b) {
			return nil, bad
		}
		end := p
		for end < len(b) && b[end] != 0 {
			end++
		}
		x, ok := read(at+i*w, w)
		if !ok || at+int(n)*w+i >= len(b) {
			return nil, bad
		}
		switch t := b[at+int(n)*w+i] >> 2; t {
		case 1: // int
			m[string(b[p:end])] = float64(int64(x<<(64-8*w)) >> (64 - 8*w))
		case 2, 26: // uint, bool
			m[string(b[p:end])] = float64(x)
		case 3:
			if w == 8 {
				m[string(b[p:end])] = math.Float64frombits(x)
			} else if w == 4 {
				m[string(b[p:end])] = float64(math.Float32frombits(uint32(x)))
			}
		}
	}
	return m, nil
}
