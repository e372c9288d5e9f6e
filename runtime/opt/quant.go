package opt

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// quantParams reads constant scale and zero-point inputs as parameters for a value of the given type and rank; nil
// where they are not constant, not float32 or FP16, or blocked, and for values of other types.
func quantParams(n *model.Node, v *model.Value) *model.QParams {
	scale := isConst(n.Input(1))
	if scale == nil || !lifts(v.DType) && v.DType != tensor.I32 || n.Attrs.Int("block_size", 0) != 0 || len(scale.Shape) > 1 || scale.Len() == 0 {
		return nil
	}
	q := &model.QParams{}
	switch scale.DType {
	case tensor.F32:
		q.Scale = append(q.Scale, tensor.Of[float32](scale)...)
	case tensor.F16:
		for _, h := range tensor.Of[uint16](scale) {
			q.Scale = append(q.Scale, half.FromF16(h))
		}
	default:
		return nil
	}
	for _, s := range q.Scale {
		if !(s > 0) || math.IsInf(float64(s), 0) {
			return nil
		}
	}
	if z := n.Input(2); z != nil {
		t := isConst(z)
		if t == nil || t.Len() != scale.Len() {
			return nil
		}
		zero, err := t.Ints()
		if err != nil {
			return nil
		}
		any := false
		lo, hi := v.DType.IntRange()
		for _, x := range zero {
			if x < lo || x > hi {
				return nil // the operator will say what is wrong
			}
			q.Zero = append(q.Zero, int32(x))
			any = any || x != 0
		}
		if !any {
			q.Zero = nil
		}
	}
	if len(q.Scale) > 1 {
		if v.Shape == nil {
			return nil
		}
		q.Axis = n.Attrs.Int("axis", 1)
		if q.Axis < 0 {
			q.Axis += len(v.Shape)
		}
		if q.Axis < 0 || q.Axis >= len(v.Shape) || v.Shape[q.Axis] >= 0 && v.Shape[q.Axis] != len(q.Scale) {
			return nil
		}
	}
	return q
}

// liftQuant turns QDQ pairs with constant parameters into values that carry these.
func liftQuant(c *Context, g *model.Graph) error {
	x := newIndex(g)
	l := lifter{c, x, map[*model.Value]bool{}, g == c.top}
	for _, v := range g.Inputs {
		l.input[v] = true
	}
	for _, n := range c.visit(g.Nodes) {
		switch n.Op {
		case "QuantizeLinear":
			out, in := n.Out[0], n.Input(0)
			if !lifts(out.DType) || in == nil || in.DType != tensor.F32 {
				continue
			}
			if q := quantParams(n, out); q != nil && c.room.take(8*len(q.Scale)) && l.label(out, q) {
				n.Op, n.In, n.Attrs = "Quantize", n.In[:1], attr.Attrs{}
			}
		case "DequantizeLinear":
			in := n.Input(0)
			if in == nil || !lifts(in.DType) && in.DType != tensor.I32 || n.Out[0].DType != tensor.F32 {
				continue
			}
			q := quantParams(n, in)
			if q == nil || !c.room.take(8*len(q.Scale)) {
				continue
			}
			switch {
			case in.Const != nil && in.Quant == nil:
				v := *in
				v.Name, v.Quant = c.name(in.Name, "q"), q
				t := *in.Const
				t.Quant = q
				v.Const = &t
				in = &v
			case in.Quant != nil:
				if !in.Quant.Equal(q) {
					continue
				}
			case !l.input[in] || !l.label(in, q):
				continue
			}
			n.Op, n.In, n.Attrs = "Dequantize", []*model.Value{in}, attr.Attrs{}
		default:
			// Moving elements keeps their meaning.
			if c.traits(n)&op.QuantMoves != 0 && len(n.In) > 0 && n.In[0] != nil && n.In[0].Quant != nil && n.In[0].Quant.PerTensor() && moves(n) {
				for _, v := range n.Out {
					if v != nil && v.DType == n.In[0].DType && v.Quant == nil {
						l.label(v, n.In[0].Quant)
					}
				}
			}
		}
	}
	return nil
}

// lifter gives plain integers the meaning that DequantizeLinear gives them.
type lifter struct {
	c     *Context
	x     *index
	input map[*model.Value]bool // of the graph
	top   bool                  // the graph is not a subgraph
}

// label gives v, which is defined in this graph, the parameters q. It declines unless every reader takes v as q says
// or as the integers that it is. What a subgraph gives or takes stays plain, as its counterparts outside do.
func (l *lifter) label(v *model.Value, q *model.QParams) bool {
	if !l.top && (l.x.output[v] || l.input[v]) {
		return false
	}
	for _, r := range l.x.readers[v] {
		switch {
		case r == nested:
			return false
		case r.Op == "DequantizeLinear" && r.Input(0) == v:
			if p := quantParams(r, v); p == nil || !p.Equal(q) {
				return false
			}
		case r.Op == "Dequantize", l.c.traits(r)&op.PlainIntegers != 0:
		case l.c.traits(r)&op.QuantMoves == 0, fills[r.Op] && q.Zero != nil:
			return false
		}
	}
	v.Quant = q
	for _, r := range l.x.readers[v] {
		if r.Op == "Pad" && r.Input(0) == v && r.Input(2) == nil {
			// Plain integers are padded with 0, which is not what stands for the real 0.
			for len(r.In) < 3 {
				r.In = append(r.In, nil)
			}
			r.In[2] = model.NewConst(l.c.name(r.Name, "fill"), tensor.New(v.DType, tensor.Shape{}))
		}
	}
	return true
}

// fills lists the operators that move elements and put zeros between them.
var fills = map[string]bool{"CenterCropPad": true, "SpaceToBatchND": true, "MatrixDiag": true}

// moves reports whether all inputs that are as quantised as the first one agree with it.
func moves(n *model.Node) bool {
	for _, v := range n.In[1:] {
		if v != nil && v.DType == n.In[0].DType && v.Const == nil && !v.Quant.Equal(n.In[0].Quant) {
			return false
		}
	}
	return true
}

func lifts(d tensor.DType) bool {
	return d == tensor.I8 || d == tensor.U8 || d == tensor.I16 || d == tensor.U16 || d == tensor.I4 || d == tensor.U4
}

// sinkQuant moves elements before they are dequantised, where an operator with an integer form follows.
func sinkQuant(c *Context, g *model.Graph) error {
	x := newIndex(g)
	var nodes []*model.Node
	for _, n := range c.visit(g.Nodes) {
		nodes = append(nodes, n)
		if c.traits(n)&op.QuantMoves == 0 || len(n.In) == 0 || len(n.Out) != 1 || n.Out[0] == nil || n.Out[0].DType != tensor.F32 || n.Op == "Pad" || fills[n.Op] {
			continue
		}
		in := dequantised(x, n.In[0])
		if in == nil || in.Const != nil || !in.Quant.PerTensor() || !lifts(in.DType) || !c.feeds(x, n.Out[0]) || slices.ContainsFunc(n.In[1:], func(v *model.Value) bool { return v != nil && v.DType == tensor.F32 }) {
			continue
		}
		out := n.Out[0]
		moved := &model.Value{Name: c.name(out.Name, "q"), DType: in.DType, Shape: out.Shape.Clone(), Quant: in.Quant}
		n.In[0], n.Out[0] = in, moved
		d := &model.Node{Name: c.name(n.Name, "dequantize"), Op: "Dequantize", In: []*model.Value{moved}, Out: []*model.Value{out}, Attrs: attr.Attrs{}}
		nodes = append(nodes, d)
		x.producer[moved], x.producer[out] = n, d
	}
	g.Nodes = nodes
	return nil
}

// feeds reports whether v is, perhaps after further moves, computed on by an operator that has nothing but quantised operands and results.
func (c *Context) feeds(x *index, v *model.Value) bool {
	for {
		r := x.only(v)
		if r == nil || len(r.Out) != 1 {
			return false
		}
		if data := quantInputs[r.Op]; data > 0 && c.traits(r)&op.QuantKernel != 0 {
			if q := x.only(r.Out[0]); q == nil || q.Op != "Quantize" || len(r.In) < data {
				return false
			}
			for _, w := range r.In[:data] {
				if w != v && dequantised(x, w) == nil {
					return false
				}
			}
			return true
		}
		if c.traits(r)&op.QuantMoves == 0 || r.In[0] != v {
			return false
		}
		v = r.Out[0]
	}
}

// quantInputs is, per operator with an integer form, the number of data inputs (activations and weights).
var quantInputs = map[string]int{
	"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": 2, "Add": 2, "Sub": 2, "Mul": 2,
	"AveragePool": 1, "GlobalAveragePool": 1, "MaxPool": 1,
	"tflite.Exp": 1, "tflite.Log": 1, "tflite.Rsqrt": 1, "tflite.Tanh": 1, "tflite.Softmax": 1,
}

// fuseQuant turns Dequantize, operator, Quantize into the operator on quantised values.
func fuseQuant(c *Context, g *model.Graph) error {
	x := newIndex(g)
	dead := map[*model.Node]bool{}
	for _, n := range c.visit(g.Nodes) {
		tr := c.traits(n)
		if len(n.Out) == 0 || n.Out[0] == nil || len(n.In) == 0 {
			continue
		}
		for _, v := range n.Out[1:] {
			if v != nil {
				tr = 0
			}
		}
		quantize := x.only(n.Out[0])
		if quantize == nil || quantize.Op != "Quantize" || quantize.Out[0].Quant == nil || !quantize.Out[0].Quant.PerTensor() {
			continue
		}
		out := quantize.Out[0]
		data := 0
		switch {
		case tr&op.QuantKernel != 0:
			data = quantInputs[n.Op]
		case tr&op.QuantMoves != 0:
			switch data = 1; n.Op {
			case "Concat":
				data = len(n.In)
			case "MatrixSetDiag", "tflite.DynamicUpdateSlice":
				data = 2
			}
		case tr&op.Pointwise != 0:
			data = 1
		}
		if data == 0 || data > len(n.In) {
			continue
		}
		ins := make([]*model.Value, data)
		ok := true
		for i := range data {
			ins[i] = dequantised(x, n.In[i])
			ok = ok && ins[i] != nil && fits(n, i, ins[i])
			if ok && tr&op.QuantMoves != 0 && tr&op.QuantKernel == 0 {
				ok = ins[i].Quant.Equal(out.Quant) && ins[i].DType == out.DType
			}
		}
		if tr&op.Pointwise != 0 && tr&op.QuantKernel == 0 && ok {
			ok = ins[0].DType.Bits() == 8 && ins[0].DType == out.DType
		}
		if !ok || out.DType.Bits() > 16 || tr&op.QuantKernel != 0 && !unscaled(n) {
			continue
		}
		if tr&op.QuantKernel != 0 && data == 2 && len(n.In) > 2 && n.In[2] != nil {
			bias := c.intBias(x, n.In[2], ins[0].Quant, ins[1].Quant)
			if bias == nil {
				continue
			}
			n.In[2] = bias
		}
		copy(n.In, ins)
		n.Out[0] = out
		dead[quantize] = true
	}
	remove(g, dead)
	return nil
}

// dequantised returns the quantised value behind a Dequantize.
func dequantised(x *index, v *model.Value) *model.Value {
	if n := x.made(v, "Dequantize"); n != nil && n.In[0].Quant != nil {
		return n.In[0]
	}
	return nil
}

// fits reports whether the operator's integer form takes v as input i: per-tensor activations, and weights per tensor
// or per output channel, which are constant for convolutions.
func fits(n *model.Node, i int, v *model.Value) bool {
	if v.DType.Bits() > 16 || i == 1 && v.Const == nil && (n.Op == "Conv" || n.Op == "ConvTranspose") {
		return false
	}
	if v.Quant.PerTensor() {
		return true
	}
	if i != 1 || v.Const == nil {
		return false
	}
	last := len(v.Shape) - 1
	switch n.Op {
	case "Conv":
		return v.Quant.Axis == 0
	case "Gemm":
		return v.Quant.Axis == 0 == n.Attrs.Bool("transB", false)
	case "MatMul":
		return last == 1 && v.Quant.Axis == last
	case "ConvTranspose":
		out := 1
		if n.Attrs.Str("layout", "NCHW") == "NHWC" {
			out = last
		}
		return v.Quant.Axis == out && n.Attrs.Int("group", 1) == 1
	}
	return false
}

// intBias expresses a constant bias in units of the accumulator, scale sx*sw.
func (c *Context) intBias(x *index, v *model.Value, qx, qw *model.QParams) *model.Value {
	scale := func(i int) float64 {
		if qw.PerTensor() {
			i = 0
		}
		return float64(qx.Scale[0]) * float64(qw.Scale[i])
	}
	if d := dequantised(x, v); d != nil && d.DType == tensor.I32 && d.Const != nil && len(d.Shape) == 1 {
		same := true
		for i := range d.Shape[0] {
			s := d.Quant.Scale[0]
			if !d.Quant.PerTensor() {
				s = d.Quant.Scale[i]
			}
			same = same && math.Abs(float64(s)-scale(i)) <= 1e-6*scale(i) && d.Quant.ZeroAt(i) == 0
		}
		if same {
			return d
		}
	}
	f, ok := constFloats(v)
	if !ok {
		d := dequantised(x, v)
		if d == nil || d.Const == nil {
			return nil
		}
		t, err := c.dequantise(d)
		if err != nil {
			return nil
		}
		f = tensor.Of[float32](t)
	}
	if len(v.Shape) != 1 || !qw.PerTensor() && len(f) != len(qw.Scale) || 8*len(f) > c.room.left() {
		return nil
	}
	t := tensor.New(tensor.I32, v.Shape)
	c.room.made(t)
	b := tensor.Of[int32](t)
	q := &model.QParams{}
	for i := range f {
		if s := float32(scale(i)); !(s > 0) || math.IsInf(float64(s), 0) {
			return nil
		}
		r := math.RoundToEven(float64(f[i]) / scale(i))
		if math.Abs(r) > math.MaxInt32/2 {
			return nil
		}
		b[i] = int32(r)
		q.Scale = append(q.Scale, float32(scale(i)))
	}
	if qw.PerTensor() {
		q.Scale = q.Scale[:1]
	}
	t.Quant = q
	return model.NewConst(c.name(v.Name, "i32"), t)
}

// dequantise evaluates a quantised constant.
func (c *Context) dequantise(v *model.Value) (*tensor.Tensor, error) {
	o, ok := c.Ops("Dequantize")
	if !ok {
		panic("BUG: no operator Dequantize")
	}
	call := &op.Call{Name: v.Name, Op: "Dequantize", Attrs: attr.Attrs{}, In: []*tensor.Tensor{header(v)}, Out: []*tensor.Tensor{{}}}
	if err := op.Eval(o, call, c.MaxConst); err != nil {
		return nil, err
	}
	return call.Out[0], nil
}

// legaliseQuant makes every operator on quantised values one that the runtime can execute.
func legaliseQuant(c *Context, g *model.Graph) error {
	var nodes []*model.Node
	memo := map[*model.Value]*model.Value{}
	for _, n := range c.visit(g.Nodes) {
		tr := c.traits(n)
		if !quantised(n) || n.Op == "Quantize" || n.Op == "Dequantize" || n.Op == "Table" || len(n.Graphs) > 0 || tr&op.PlainIntegers != 0 {
			nodes = append(nodes, n)
			continue
		}
		if tr&op.QuantMoves != 0 {
			if movesPlain(n) {
				nodes = append(nodes, n)
				continue
			}
			before := c.alignMoves(n)
			if before != nil || movesAsIs(n) {
				nodes = append(append(nodes, before...), n)
				continue
			}
		}
		if tr&op.QuantKernel != 0 && kernelTakes(n) {
			nodes = append(nodes, n)
			continue
		}
		if tr&op.Pointwise != 0 {
			if t, err := c.table(n); err != nil {
				return err
			} else if t != nil {
				nodes = append(nodes, t)
				continue
			}
		}
		for i, v := range n.In {
			if v == nil || v.Quant == nil {
				continue
			}
			d := memo[v]
			if d == nil {
				d = &model.Value{Name: c.name(v.Name, "f"), DType: tensor.F32, Shape: v.Shape.Clone()}
				nodes = append(nodes, &model.Node{Name: c.name(n.Name, "dequantize"), Op: "Dequantize", In: []*model.Value{v}, Out: []*model.Value{d}, Attrs: attr.Attrs{}})
				memo[v] = d
			}
			n.In[i] = d
		}
		nodes = append(nodes, n)
		for i, v := range n.Out {
			if v == nil || v.Quant == nil {
				continue
			}
			f := &model.Value{Name: c.name(v.Name, "f"), DType: tensor.F32, Shape: v.Shape.Clone()}
			n.Out[i] = f
			nodes = append(nodes, &model.Node{Name: c.name(n.Name, "quantize"), Op: "Quantize", In: []*model.Value{f}, Out: []*model.Value{v}, Attrs: attr.Attrs{}})
		}
	}
	g.Nodes = nodes
	return nil
}

// quantised reports whether some input or output of n is.
func quantised(n *model.Node) bool {
	for _, list := range [2][]*model.Value{n.In, n.Out} {
		for _, v := range list {
			if v != nil && v.Quant != nil {
				return true
			}
		}
	}
	return false
}

// legal reports whether n, an operator with the traits, needs neither Dequantize nor Quantize around it.
func legal(n *model.Node, tr op.Traits) bool {
	switch {
	case !quantised(n) || tr&op.PlainIntegers != 0 || n.Op == "Quantize" || n.Op == "Dequantize" || n.Op == "Table":
		return true
	case tr&op.QuantMoves != 0:
		return movesPlain(n) || movesAsIs(n)
	}
	return tr&op.QuantKernel != 0 && kernelTakes(n)
}

// movesPlain reports whether a moving operator's outputs are plain integers of its inputs' type.
func movesPlain(n *model.Node) bool {
	for _, v := range n.Out {
		if v != nil && (v.Quant != nil || n.In[0] == nil || v.DType != n.In[0].DType) {
			return false
		}
	}
	return true
}

// movesAsIs reports whether all data inputs and outputs of a moving operator share type and parameters.
func movesAsIs(n *model.Node) bool {
	first := n.In[0]
	if first == nil || first.Quant == nil || !first.Quant.PerTensor() {
		return false
	}
	for _, list := range [2][]*model.Value{n.In[1:], n.Out} {
		for _, v := range list {
			if v != nil && v.Quant != nil && (v.DType != first.DType || !v.Quant.Equal(first.Quant)) {
				return false
			}
		}
	}
	for _, v := range n.Out {
		if v != nil && v.DType == first.DType && v.Quant == nil {
			return false
		}
	}
	return true
}

// alignMoves rounds the inputs of a Concat to its output's parameters, and the output of another moving operator from
// its input's. It returns the nodes to put before, nil where that is not the way.
func (c *Context) alignMoves(n *model.Node) []*model.Node {
	if n.Op != "Concat" || n.Out[0] == nil || n.Out[0].Quant == nil || movesAsIs(n) {
		return nil
	}
	out := n.Out[0]
	var nodes []*model.Node
	for i, v := range n.In {
		if v == nil || v.Quant != nil && v.Quant.Equal(out.Quant) && v.DType == out.DType {
			continue
		}
		if v.Quant == nil && v.DType != tensor.F32 {
			return nil
		}
		r := &model.Value{Name: c.name(v.Name, "r"), DType: out.DType, Shape: v.Shape.Clone(), Quant: out.Quant}
		nodes = append(nodes, &model.Node{Name: c.name(n.Name, "requantize"), Op: "Quantize", In: []*model.Value{v}, Out: []*model.Value{r}, Attrs: attr.Attrs{}})
		n.In[i] = r
	}
	return nodes
}

// layers lists the operators with states, which take whatever of their values is quantised.
var layers = map[string]bool{
	"tflite.UnidirectionalSequenceLSTM": true, "tflite.LSTM": true, "tflite.BidirectionalSequenceLSTM": true,
	"tflite.UnidirectionalSequenceRNN": true, "tflite.RNN": true, "tflite.SVDF": true,
}

// kernelTakes reports whether the operator's integer form covers the node's values.
func kernelTakes(n *model.Node) bool {
	out := n.Out[0]
	if layers[n.Op] || n.Attrs.Bool("dynamic_quantize", false) || len(n.In) > 1 && n.In[0] != nil && n.In[0].Quant == nil && n.In[1] != nil && n.In[1].Const != nil {
		return true // weights alone are quantised
	}
	if out == nil || out.Quant == nil || !out.Quant.PerTensor() || out.DType.Bits() > 16 {
		return false
	}
	for i := range min(quantInputs[n.Op], len(n.In)) {
		v := n.In[i]
		if v == nil || v.Quant == nil || !fits(n, i, v) {
			return false
		}
	}
	return quantInputs[n.Op] > 0 && unscaled(n)
}

// unscaled reports whether a product is one without factors, whose C, if there is one, has an element per column: integer products have no
// other form.
func unscaled(n *model.Node) bool {
	if n.Op != "Gemm" {
		return true
	}
	c := n.Input(2)
	return n.Attrs.Float("alpha", 1) == 1 && (c == nil || n.Attrs.Float("beta", 1) == 1 && len(c.Shape) == 1 && n.Out[0] != nil && len(n.Out[0].Shape) == 2 && c.Shape[0] == n.Out[0].Shape[1])
}

// table replaces a pointwise operator on 8-bit values by its values for all 256 inputs; nil where it cannot. The
// operator's name, attributes and further inputs stay with the table, for those who want to know what it stands for.
func (c *Context) table(n *model.Node) (*model.Node, error) {
	in, out := n.In[0], n.Out[0]
	if in == nil || out == nil || in.Quant == nil || out.Quant == nil || in.DType.Bits() != 8 || out.DType.Bits() != 8 ||
		!in.Quant.PerTensor() || !out.Quant.PerTensor() {
		return nil, nil
	}
	for _, v := range n.In[1:] {
		if v != nil && (v.Const == nil || v.Const.Len() != 1) {
			return nil, nil
		}
	}
	all := tensor.New(in.DType, tensor.Shape{256})
	all.Quant = in.Quant
	for i := range all.Data {
		all.Data[i] = byte(i)
	}
	f, err := c.dequantise(model.NewConst(n.Name, all))
	if err != nil {
		return nil, err
	}
	o, _ := c.Ops(n.Op)
	call := &op.Call{Name: n.Name, Op: n.Op, Attrs: n.Attrs, Num: n.Num, In: []*tensor.Tensor{f}, Out: []*tensor.Tensor{{}}}
	for _, v := range n.In[1:] {
		if v != nil && v.Quant != nil {
			t, err := c.dequantise(v)
			if err != nil {
				return nil, err
			}
			call.In = append(call.In, t)
		} else {
			call.In = append(call.In, header(v))
		}
	}
	if err := op.Eval(o, call, 0); err != nil {
		return nil, err
	}
	q, ok := c.Ops("Quantize")
	if !ok {
		panic("BUG: no operator Quantize")
	}
	quantize := &op.Call{Name: n.Name, Op: "Quantize", Attrs: attr.Attrs{}, In: call.Out, Out: []*tensor.Tensor{{DType: out.DType, Quant: out.Quant}}}
	if err := op.Eval(q, quantize, 0); err != nil {
		return nil, err
	}
	t := *quantize.Out[0]
	t.Quant = nil
	a := n.Attrs.Clone()
	a["of"] = n.Op
	return &model.Node{Name: n.Name, Op: "Table", In: append([]*model.Value{in, model.NewConst(c.name(n.Name, "table"), &t)}, n.In[1:]...), Out: n.Out,
		Attrs: a, Num: n.Num}, nil
}
