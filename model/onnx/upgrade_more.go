package onnx

import (
	"fmt"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// like makes a float scalar of the element type of v.
func (u *up) like(name string, f float32, v *model.Value) *model.Value {
	name = u.n.Name + "/" + name
	t := tensor.Scalar(f)
	d := u.elem(v)
	switch d {
	case tensor.F32:
	case tensor.F64:
		t = tensor.Scalar(float64(f))
	case tensor.F16, tensor.BF16:
		bits := half.F16(f)
		if d == tensor.BF16 {
			bits = half.BF16(f)
		}
		t = tensor.Scalar(bits)
		t.DType = d
	default:
		c := u.constant(name, t)
		if v == nil {
			return c
		}
		return u.emit("CastLike", nil, c, v)
	}
	return u.constant(name, t)
}

// perActivation: before opset 9 spatial=0 asked for statistics per element, not per channel.
func perActivation(u *up) error {
	spatial := u.n.Attrs.Bool("spatial", true)
	delete(u.n.Attrs, "spatial")
	if u.version < 7 {
		if u.n.Attrs.Bool("is_test", false) {
			u.n.Out = u.n.Out[:1]
		}
		delete(u.n.Attrs, "is_test")
	}
	if spatial {
		return nil
	}
	if len(u.n.In) != 5 || u.n.Input(0) == nil || u.n.Output(0) == nil {
		return fmt.Errorf("%w: BatchNormalization with %d inputs", ErrFormat, len(u.n.In))
	}
	// y = (x - mean) / sqrt(var + epsilon) * scale + bias
	x, scale, bias, mean, variance := u.n.In[0], u.n.In[1], u.n.In[2], u.n.In[3], u.n.In[4]
	eps := u.like("epsilon", u.n.Attrs.Float("epsilon", 1e-5), x)
	std := u.emit("Sqrt", nil, u.emit("Add", nil, variance, eps))
	y := u.emit("Mul", nil, u.emit("Div", nil, u.emit("Sub", nil, x, mean), std), scale)
	u.n.Op, u.n.Attrs, u.n.In, u.n.Out = "Add", model.Attrs{}, []*model.Value{y, bias}, u.n.Out[:1]
	return nil
}

// oldStatistics: before opset 14 a node with more than one output was in training mode. Many files list the other
// outputs without using them, and mean inference.
func oldStatistics(u *up) error {
	if u.n.Op != "BatchNormalization" {
		return nil
	}
	var used [5]bool
	for i, name := range u.node.out[:min(len(used), len(u.node.out))] {
		if i > 0 && name != "" {
			var err error
			if used[i], err = u.read(name); err != nil {
				return err
			}
		}
	}
	switch {
	case used[3] || used[4]:
		return fmt.Errorf("%w: the outputs saved_mean and saved_var", ErrUnsupported)
	case used[1] || used[2]:
		u.n.Attrs["training_mode"] = int64(1)
		u.n.Out = u.n.Out[:min(3, len(u.n.Out))]
	default:
		u.n.Out = u.n.Out[:min(1, len(u.n.Out))]
	}
	return nil
}

// perGroup: before opset 21 scale and bias were given per group; each is repeated for the channels of its group.
func perGroup(u *up) error {
	groups := u.n.Attrs.Int("num_groups", 0)
	if groups < 1 || len(u.n.In) != 3 || u.n.Input(0) == nil {
		return fmt.Errorf("%w: GroupNormalization with %d inputs and %d groups", ErrFormat, len(u.n.In), groups)
	}
	channels := u.emit("Shape", model.Attrs{"start": int64(1), "end": int64(2)}, u.n.In[0])
	size := u.emit("Div", nil, channels, u.ints("groups", int64(groups)))
	if s := u.n.In[0].Shape; len(s) > 1 && s[1] > 0 {
		size = u.ints("group_size", int64(s[1]/groups))
	}
	repeat := func(v *model.Value) *model.Value {
		if v == nil {
			return nil
		}
		col := u.emit("Unsqueeze", nil, v, u.ints("axes", 1))
		shape := u.emit("Concat", model.Attrs{"axis": int64(0)}, u.ints("groups", int64(groups)), size)
		return u.emit("Reshape", nil, u.emit("Expand", nil, col, shape), u.ints("vector", -1))
	}
	u.n.In = []*model.Value{u.n.In[0], repeat(u.n.In[1]), repeat(u.n.In[2])}
	return nil
}

// resize10: inputs data and scales; points were mapped without any offset and rounded down.
func resize10(u *up) error {
	if len(u.n.In) != 2 {
		return fmt.Errorf("%w: Resize with %d inputs", ErrFormat, len(u.n.In))
	}
	u.n.In = []*model.Value{u.n.In[0], nil, u.n.In[1]}
	u.n.Attrs["coordinate_transformation_mode"] = "asymmetric"
	u.n.Attrs["nearest_mode"] = "floor"
	return nil
}

// oneOfScalesAndSizes: opset 11 wanted all inputs and took empty tensors for absent ones; many files still do that.
func oneOfScalesAndSizes(u *up) error {
	for i := 1; i < len(u.n.In); i++ {
		if v := u.n.In[i]; v != nil && (v.Const != nil || len(v.Shape) == 1) && v.Shape.Known() && v.Shape.Len() == 0 {
			u.n.In[i] = nil
		}
	}
	if u.n.Input(3) != nil && u.version < 13 {
		u.n.In[2] = nil
	}
	for len(u.n.In) > 1 && u.n.In[len(u.n.In)-1] == nil {
		u.n.In = u.n.In[:len(u.n.In)-1]
	}
	return nil
}

// upsample1: opset 1 scaled height and width by attributes.
func upsample1(u *up) error {
	h, w := u.n.Attrs.Float("height_scale", 0), u.n.Attrs.Float("width_scale", 0)
	if !u.n.Attrs.Has("scales") {
		u.n.Attrs["scales"] = []float32{1, 1, h, w}
	}
	delete(u.n.Attrs, "height_scale")
	delete(u.n.Attrs, "width_scale")
	return nil
}

func scalesInput(u *up) error {
	scales := u.n.Attrs.Floats("scales")
	if len(scales) == 0 {
		return badAttr("scales", "is missing")
	}
	delete(u.n.Attrs, "scales")
	u.setInput(1, u.constant(u.n.Name+"/scales", tensor.From(scales)))
	return nil
}

// upsample: the operator was replaced by Resize, whose first version had the same meaning.
func upsample(u *up) error {
	u.n.Op = "Resize"
	if u.n.Attrs.Str("mode", "") == "bilinear" {
		u.n.Attrs["mode"] = "linear"
	}
	return resize10(u)
}

// labelEncoder1: the first version took strings to their places in a list, and places to strings.
func labelEncoder1(u *up) error {
	classes := u.n.Attrs.Strs("classes_strings")
	if len(classes) == 0 || len(u.n.In) != 1 {
		return badAttr("classes_strings", "is missing")
	}
	delete(u.n.Attrs, "classes_strings")
	places := make([]int64, len(classes))
	for i := range places {
		places[i] = int64(i)
	}
	switch d := u.elem(u.n.In[0]); d {
	case tensor.String:
		u.n.Attrs["keys_strings"], u.n.Attrs["values_int64s"] = classes, places
	case tensor.I64:
		u.n.Attrs["keys_int64s"], u.n.Attrs["values_strings"] = places, classes
	default:
		return fmt.Errorf("input of type %v: %w", d, ErrUnsupported)
	}
	return nil
}

// The elements of an optional value: it is a sequence of at most one.

func optional(u *up) error {
	if len(u.n.In) == 1 {
		u.n.Op = "SequenceConstruct"
	} else {
		u.n.Op = "SequenceEmpty"
		if n, ok := u.n.Attrs["type"].(int64); ok && n != 0 {
			u.n.Attrs["dtype"] = n
		}
	}
	delete(u.n.Attrs, "type")
	if v := u.n.Output(0); v != nil {
		v.DType, v.Shape, v.Dims = tensor.Sequence, nil, nil
		u.kinds[v] = KindOptional
	}
	return nil
}

func optionalGetElement(u *up) error {
	v := u.n.Input(0)
	if v == nil {
		return fmt.Errorf("%w: no input", ErrFormat)
	}
	if u.kinds[v] != KindOptional {
		u.n.Op = "Identity"
		return nil
	}
	u.n.Op = "SequenceAt"
	u.n.In = []*model.Value{v, u.scalar("index", 0)}
	return nil
}

func optionalHasElement(u *up) error {
	v := u.n.Input(0)
	if u.n.Output(0) == nil {
		u.replaced = true
		return nil
	}
	if v != nil && u.kinds[v] == KindOptional {
		u.n.Op = "Greater"
		u.n.In = []*model.Value{u.emit("SequenceLength", nil, v), u.scalar("zero", 0)}
		return nil
	}
	u.replaced = true
	u.scope.vals[u.node.out[0]] = u.constant(u.n.Out[0].Name, tensor.Scalar(v != nil))
	return nil
}

// sequenceMap becomes a Loop over the elements that carries the output sequences:
//
//	for i, go = 0 .. length(in) { s_k = SequenceInsert(s_k, body_k(SequenceAt(in, i), ...)) }
func sequenceMap(u *up) error {
	body := u.n.Graphs["body"]
	if body == nil || len(u.n.In) == 0 || u.n.In[0] == nil || len(body.Inputs) != len(u.n.In) || len(body.Outputs) != len(u.n.Out) {
		return fmt.Errorf("%w: the body does not fit %d inputs and %d outputs", ErrFormat, len(u.n.In), len(u.n.Out))
	}
	name := u.n.Name
	value := func(s string, d tensor.DType, shape tensor.Shape) *model.Value {
		return &model.Value{Name: name + "/" + s, DType: d, Shape: shape}
	}
	node := func(op, s string, out *model.Value, in ...*model.Value) *model.Node {
		return &model.Node{Name: u.unique(name + "/" + s), Op: op, In: in, Out: []*model.Value{out}, Attrs: model.Attrs{}}
	}
	iter, cond := value("iteration", tensor.I64, tensor.Shape{}), value("go", tensor.Bool, tensor.Shape{})
	loop := &model.Graph{Name: name, Inputs: []*model.Value{iter, cond}, Outputs: []*model.Value{cond}}
	ins := []*model.Value{u.emit("SequenceLength", nil, u.n.In[0]), nil}
	for i, v := range body.Inputs {
		if seq := u.n.In[i]; i == 0 || seq != nil && u.elem(seq) == tensor.Sequence {
			loop.Nodes = append(loop.Nodes, node("SequenceAt", "SequenceAt", v, seq, iter))
		} else if seq != nil {
			loop.Nodes = append(loop.Nodes, node("Identity", "Identity", v, seq))
		} else {
			return fmt.Errorf("%w: input %d is missing", ErrFormat, i)
		}
	}
	loop.Nodes = append(loop.Nodes, body.Nodes...)
	for i, v := range body.Outputs {
		empty := model.Attrs{}
		if n := ElemNumber(u.elem(v)); n != 0 {
			empty["dtype"] = n
		}
		ins = append(ins, u.emit("SequenceEmpty", empty))
		state, next := value(fmt.Sprintf("state_%d", i), tensor.Sequence, nil), value(fmt.Sprintf("next_%d", i), tensor.Sequence, nil)
		loop.Inputs = append(loop.Inputs, state)
		loop.Outputs = append(loop.Outputs, next)
		loop.Nodes = append(loop.Nodes, node("SequenceInsert", "SequenceInsert", next, state, v))
	}
	u.n.Op, u.n.In, u.n.Attrs = "Loop", ins, model.Attrs{}
	u.n.Graphs = map[string]*model.Graph{"body": loop}
	return nil
}

// scan8: opset 8 scanned each element of a batch apart, which lay along axis 0 of all inputs, the sequence along axis 1.
// The newest operator, over the batch, holds another one, over the sequence.
func scan8(u *up) error {
	body := u.n.Graphs["body"]
	scanned := u.n.Attrs.Int("num_scan_inputs", 0)
	if body == nil || len(u.n.In) < 2 || len(body.Inputs) != len(u.n.In)-1 || scanned < 1 || scanned > len(body.Inputs) || len(body.Outputs) != len(u.n.Out) {
		return fmt.Errorf("%w: the body does not fit %d inputs and %d outputs", ErrFormat, len(u.n.In), len(u.n.Out))
	}
	if u.n.In[0] != nil {
		return fmt.Errorf("input sequence_lens: %w", ErrUnsupported)
	}
	inner := &model.Node{Name: u.unique(u.n.Name + "/sequence"), Op: "Scan", Graphs: u.n.Graphs,
		Attrs: model.Attrs{"num_scan_inputs": int64(scanned)}}
	if dirs, ok := u.n.Attrs["directions"]; ok {
		inner.Attrs["scan_input_directions"] = dirs
	}
	batch := &model.Graph{Name: body.Name + "/batch", Nodes: []*model.Node{inner}}
	for i, v := range u.n.In[1:] {
		if v == nil {
			return fmt.Errorf("%w: input %d is missing", ErrFormat, i+1)
		}
		in := &model.Value{Name: fmt.Sprintf("%s/in_%d", u.n.Name, i), DType: v.DType}
		batch.Inputs, inner.In = append(batch.Inputs, in), append(inner.In, in)
	}
	for i := range body.Outputs {
		out := &model.Value{Name: fmt.Sprintf("%s/out_%d", u.n.Name, i)}
		batch.Outputs, inner.Out = append(batch.Outputs, out), append(inner.Out, out)
	}
	u.n.In = u.n.In[1:]
	u.n.Graphs = map[string]*model.Graph{"body": batch}
	u.n.Attrs = model.Attrs{"num_scan_inputs": int64(len(batch.Inputs))}
	return nil
}
