package onnx

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// change is one step in the history of an operator: nodes of an opset before the given one are rewritten by do.
type change struct {
	before int64
	do     func(u *up) error
}

// always marks what every version needs.
const always = math.MaxInt64

// upgrades lists, per operator, what changed its meaning or its form, oldest first. New types
// and new attributes whose default is the old meaning need no entry.
var upgrades = map[string][]change{
	"Add":                {{7, oldBroadcast}},
	"And":                {{7, oldBroadcast}},
	"BatchNormalization": {{9, perActivation}, {14, oldStatistics}},
	"Cast":               {{6, castByName}},
	"Clip":               {{11, scalarInput(1, "min")}, {11, scalarInput(2, "max")}},
	"Concat":             {{4, preset("axis", int64(1))}},
	"DFT":                {{20, axisInput}},
	"Div":                {{7, oldBroadcast}},
	"Dropout":            {{12, oldDropout}},
	"Equal":              {{7, oldBroadcast}},
	"GRU":                {{7, drop("output_sequence")}},
	"Gemm":               {{7, drop("broadcast")}},
	"GlobalLpPool":       {{2, integer("p")}},
	"Greater":            {{7, oldBroadcast}},
	"GridSample":         {{20, rename("mode", "bilinear", "linear")}, {20, rename("mode", "bicubic", "cubic")}},
	"GroupNormalization": {{21, perGroup}},
	"Hardmax":            {{13, flatten}},
	"LSTM":               {{7, drop("output_sequence")}},
	"Less":               {{7, oldBroadcast}},
	"LogSoftmax":         {{13, flatten}},
	"LpPool":             {{2, integer("p")}},
	"Mul":                {{7, oldBroadcast}},
	"Optional":           {{always, optional}},
	"OptionalGetElement": {{always, optionalGetElement}},
	"OptionalHasElement": {{always, optionalHasElement}},
	"Or":                 {{7, oldBroadcast}},
	"PRelu":              {{7, slopePerChannel}},
	"Pad":                {{2, renameAttr("paddings", "pads")}, {11, scalarInput(2, "value")}, {11, listInput(1, "pads")}},
	"Pow":                {{7, oldBroadcast}},
	"RNN":                {{7, drop("output_sequence")}},
	"ReduceL1":           {{18, listInput(1, "axes")}},
	"ReduceL2":           {{18, listInput(1, "axes")}},
	"ReduceLogSum":       {{18, listInput(1, "axes")}},
	"ReduceLogSumExp":    {{18, listInput(1, "axes")}},
	"ReduceMax":          {{18, listInput(1, "axes")}},
	"ReduceMean":         {{18, listInput(1, "axes")}},
	"ReduceMin":          {{18, listInput(1, "axes")}},
	"ReduceProd":         {{18, listInput(1, "axes")}},
	"ReduceSum":          {{13, listInput(1, "axes")}},
	"ReduceSumSquare":    {{18, listInput(1, "axes")}},
	"Reshape":            {{5, listInput(1, "shape")}},
	"Resize":             {{11, resize10}, {always, oneOfScalesAndSizes}},
	"RoiAlign":           {{16, preset("coordinate_transformation_mode", "output_half_pixel")}},
	"Scan":               {{9, scan8}},
	"Scatter":            {{always, renameOp("ScatterElements")}},
	"Selu":               {{6, preset("alpha", float32(1.6732))}, {6, preset("gamma", float32(1.0507))}},
	"SequenceMap":        {{always, sequenceMap}},
	"Slice":              {{10, listInput(3, "axes")}, {10, listInput(1, "starts")}, {10, listInput(2, "ends")}},
	"Softmax":            {{13, flatten}},
	"Split":              {{2, splitByInput}, {13, listInput(1, "split")}, {18, equalParts}},
	"Squeeze":            {{13, listInput(1, "axes")}},
	"Sub":                {{7, oldBroadcast}},
	"Tile":               {{6, tile1}},
	"TopK":               {{10, topK1}},
	"Unsqueeze":          {{13, listInput(1, "axes")}},
	"Upsample":           {{7, upsample1}, {9, scalesInput}, {always, upsample}},
	"Xor":                {{7, oldBroadcast}},

	"ai.onnx.ml.LabelEncoder": {{2, labelEncoder1}},

	"ai.onnx.ml.ZipMap": {{always, zipMap}},

	"com.microsoft.BiasAdd":                  {{always, biasAdd}},
	"com.microsoft.BiasSplitGelu":            {{always, biasSplitGelu}},
	"com.microsoft.CDist":                    {{always, cdist}},
	"com.microsoft.DequantizeLinear":         {{always, renameOp("DequantizeLinear")}},
	"com.microsoft.ExpandDims":               {{always, expandDims}},
	"com.microsoft.GatherBlockQuantized":     {{always, gatherBlocks}},
	"com.microsoft.GatherND":                 {{always, renameOp("GatherND")}},
	"com.microsoft.GridSample":               {{always, renameOp("GridSample")}, {always, rename("mode", "bilinear", "linear")}, {always, rename("mode", "bicubic", "cubic")}},
	"com.microsoft.GroupNorm":                {{always, groupNorm(false)}},
	"com.microsoft.NhwcConv":                 {{always, channelsFirst("Conv", 0)}},
	"com.microsoft.NhwcFusedConv":            {{always, channelsFirst("com.microsoft.FusedConv", 0, 3)}},
	"com.microsoft.NhwcMaxPool":              {{always, channelsFirst("MaxPool", 0)}},
	"com.microsoft.Pad":                      {{always, renameOp("Pad")}},
	"com.microsoft.QEmbedLayerNormalization": {{always, qembed}},
	"com.microsoft.QLinearConv":              {{always, qlinearConv}},
	"com.microsoft.QLinearReduceMean":        {{always, qlinearReduceMean}},
	"com.microsoft.QLinearWhere":             {{always, qlinearWhere}},
	"com.microsoft.QuantizeLinear":           {{always, renameOp("QuantizeLinear")}},
	"com.microsoft.Range":                    {{always, renameOp("Range")}},
	"com.microsoft.SkipGroupNorm":            {{always, groupNorm(true)}},
	"com.microsoft.TransposeMatMul":          {{always, renameOp("com.microsoft.FusedMatMul")}},
	"com.microsoft.Trilu":                    {{always, renameOp("Trilu")}},
}

// up is one node on its way to the newest opset.
type up struct {
	*builder
	n        *model.Node
	node     *nodeProto
	version  int64
	replaced bool          // the node is not wanted any more
	after    []*model.Node // nodes that follow it
}

func (u *up) run() error {
	if u.node.domain == "" && u.version < 6 {
		delete(u.n.Attrs, "consumed_inputs")
	}
	for _, c := range upgrades[u.n.Op] {
		if u.version < c.before {
			if err := c.do(u); err != nil {
				return err
			}
		}
	}
	if !u.replaced {
		u.add(u.n)
	}
	for _, n := range u.after {
		u.add(n)
	}
	return nil
}

// add appends a node whose values are made.
func (b *builder) add(n *model.Node) {
	b.g.Nodes = append(b.g.Nodes, n)
	b.note(n)
}

// emit adds a node with one new output before the node itself.
func (u *up) emit(op string, attrs model.Attrs, in ...*model.Value) *model.Value {
	if attrs == nil {
		attrs = model.Attrs{}
	}
	name := u.unique(u.n.Name + "/" + op)
	v := &model.Value{Name: name}
	u.add(&model.Node{Name: name, Op: op, In: in, Out: []*model.Value{v}, Attrs: attrs})
	return v
}

// ints makes a constant vector.
func (u *up) ints(name string, v ...int64) *model.Value {
	return u.constant(u.n.Name+"/"+name, tensor.From(v, len(v)))
}

func (u *up) scalar(name string, v int64) *model.Value {
	return u.constant(u.n.Name+"/"+name, tensor.Scalar(v))
}

// setInput puts v in place i, behind absent inputs where there are too few.
func (u *up) setInput(i int, v *model.Value) {
	for len(u.n.In) <= i {
		u.n.In = append(u.n.In, nil)
	}
	u.n.In[i] = v
}

func badAttr(name, format string, args ...any) error {
	return fmt.Errorf("attribute %s: %w: %w", name, ErrFormat, fmt.Errorf(format, args...))
}

// listInput turns a list of integers, where it is present and not empty, into input i.
func listInput(i int, name string) func(u *up) error {
	return func(u *up) error {
		v, ok := u.n.Attrs[name]
		if !ok {
			return nil
		}
		list, ok := v.([]int64)
		if !ok {
			return badAttr(name, "want a list of integers")
		}
		delete(u.n.Attrs, name)
		if u.n.Input(i) != nil {
			return badAttr(name, "is input %d too", i)
		}
		if len(list) > 0 || name == "shape" {
			u.setInput(i, u.ints(name, list...))
		}
		return nil
	}
}

// scalarInput turns a float, where it is present, into input i, a scalar of input 0's type.
func scalarInput(i int, name string) func(u *up) error {
	return func(u *up) error {
		v, ok := u.n.Attrs[name]
		if !ok {
			return nil
		}
		f, ok := v.(float32)
		if !ok {
			return badAttr(name, "want a float")
		}
		delete(u.n.Attrs, name)
		u.setInput(i, u.like(name, f, u.n.Input(0)))
		return nil
	}
}

// preset gives an attribute the default value of that time.
func preset(name string, v any) func(u *up) error {
	return func(u *up) error {
		if !u.n.Attrs.Has(name) {
			u.n.Attrs[name] = v
		}
		return nil
	}
}

func drop(name string) func(u *up) error {
	return func(u *up) error {
		delete(u.n.Attrs, name)
		return nil
	}
}

// rename replaces one value of a string attribute, which is also the default of that time.
func rename(name, from, to string) func(u *up) error {
	return func(u *up) error {
		if u.n.Attrs.Str(name, from) == from {
			u.n.Attrs[name] = to
		}
		return nil
	}
}

func renameAttr(from, to string) func(u *up) error {
	return func(u *up) error {
		if v, ok := u.n.Attrs[from]; ok {
			delete(u.n.Attrs, from)
			u.n.Attrs[to] = v
		}
		return nil
	}
}

func renameOp(to string) func(u *up) error {
	return func(u *up) error {
		u.n.Op = to
		return nil
	}
}

// integer turns a float attribute into an integer.
func integer(name string) func(u *up) error {
	return func(u *up) error {
		if f, ok := u.n.Attrs[name].(float32); ok {
			if f != float32(math.Trunc(float64(f))) || f < 1 || f > 1<<20 {
				return fmt.Errorf("attribute %s: %w: %v", name, ErrUnsupported, f)
			}
			u.n.Attrs[name] = int64(f)
		}
		return nil
	}
}

// oldBroadcast: before opset 7 the second input was broadcast on demand, its first axis set against the attribute axis.
func oldBroadcast(u *up) error {
	on := u.n.Attrs.Bool("broadcast", false)
	axis := u.n.Attrs.Int("axis", -1)
	delete(u.n.Attrs, "broadcast")
	delete(u.n.Attrs, "axis")
	if !on || axis < 0 || len(u.n.In) != 2 {
		return nil // aligned at the last axis, as ever since
	}
	v, err := u.align(u.n.In[1], u.n.In[0], axis)
	u.n.In = []*model.Value{u.n.In[0], v}
	return err
}

// align appends axes of extent 1 to v until its first axis lies at the given one of like.
func (u *up) align(v, like *model.Value, axis int) (*model.Value, error) {
	if v == nil || like == nil {
		return v, nil
	}
	if v.Shape != nil && like.Shape != nil {
		k := len(like.Shape) - axis - len(v.Shape)
		switch {
		case v.Shape.Known() && v.Shape.Len() == 1 || k == 0:
			return v, nil
		case k < 0:
			return nil, badAttr("axis", "%d, but the shapes are %v and %v", axis, like.Shape, v.Shape)
		}
		axes := make([]int64, k)
		for i := range axes {
			axes[i] = int64(len(v.Shape) + i)
		}
		return u.emit("Unsqueeze", nil, v, u.ints("axes", axes...)), nil
	}
	shape := u.emit("Shape", nil, v)
	rank := u.emit("Size", nil, u.emit("Shape", nil, like))
	used := u.emit("Add", nil, u.emit("Size", nil, shape), u.scalar("axis", int64(axis)))
	k := u.emit("Reshape", nil, u.emit("Sub", nil, rank, used), u.ints("vector", 1))
	ones := u.emit("ConstantOfShape", model.Attrs{"value": tensor.From([]int64{1})}, k)
	return u.emit("Reshape", nil, v, u.emit("Concat", model.Attrs{"axis": int64(0)}, shape, ones)), nil
}

// slopePerChannel: before opset 7 a vector of slopes lay along axis 1.
func slopePerChannel(u *up) error {
	if len(u.n.In) != 2 || len(u.n.In[1].Shape) > 1 {
		return nil
	}
	v, err := u.align(u.n.In[1], u.n.In[0], 1)
	u.n.In = []*model.Value{u.n.In[0], v}
	return err
}

// flatten: before opset 13 the input was taken as a matrix, the axes from the attribute axis on being its columns.
func flatten(u *up) error {
	axis := u.n.Attrs.Int("axis", 1)
	if v := u.n.Input(0); v != nil && (axis == -1 || v.Shape != nil && axis == len(v.Shape)-1) {
		u.n.Attrs["axis"] = int64(-1)
		return nil
	}
	u.n.Attrs["axis"], u.n.Attrs["flatten"] = int64(axis), int64(1)
	return nil
}

func castByName(u *up) error {
	names := map[string]int64{"FLOAT": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7,
		"STRING": 8, "BOOL": 9, "FLOAT16": 10, "DOUBLE": 11, "UINT32": 12, "UINT64": 13}
	if s, ok := u.n.Attrs["to"].(string); ok {
		if names[s] == 0 {
			return badAttr("to", "type %q", s)
		}
		u.n.Attrs["to"] = names[s]
	}
	return nil
}

// axisInput: before opset 20 the axis was an attribute and 1 by default.
func axisInput(u *up) error {
	axis := u.n.Attrs.Int("axis", 1)
	delete(u.n.Attrs, "axis")
	u.setInput(2, u.scalar("axis", int64(axis)))
	return nil
}

// oldDropout: without the input training_mode, which came with opset 12, the operator does nothing at inference, and
// the ratio does not matter. The mask had the data's type before opset 10.
func oldDropout(u *up) error {
	delete(u.n.Attrs, "ratio")
	delete(u.n.Attrs, "is_test")
	u.n.In = u.n.In[:min(1, len(u.n.In))]
	if mask := u.n.Output(1); mask != nil && u.version < 10 {
		raw := &model.Value{Name: u.n.Name + "/mask"}
		u.n.Out = []*model.Value{u.n.Out[0], raw}
		u.after = append(u.after, &model.Node{Name: u.unique(u.n.Name + "/CastLike"), Op: "CastLike",
			In: []*model.Value{raw, u.n.Input(0)}, Out: []*model.Value{mask}, Attrs: model.Attrs{}})
	}
	return nil
}

// splitByInput: opset 1 took the sizes from an input too, as floats or integers; an absent axis meant 0.
func splitByInput(u *up) error {
	if s := u.n.Input(1); s != nil {
		u.n.In = []*model.Value{u.n.In[0], u.emit("Cast", model.Attrs{"to": int64(7)}, s)}
	}
	return nil
}

// equalParts: before opset 18 a Split without sizes made as many equal parts as it has outputs.
func equalParts(u *up) error {
	if u.n.Input(1) == nil {
		u.n.Attrs["num_outputs"] = int64(len(u.n.Out))
	}
	return nil
}

// tile1: opset 1 repeated one axis: inputs data, tiles, axis.
func tile1(u *up) error {
	if len(u.n.In) != 3 || u.n.In[0] == nil {
		return fmt.Errorf("%w: Tile of opset 1 without tiles and axis", ErrFormat)
	}
	rank := u.emit("Shape", nil, u.emit("Shape", nil, u.n.In[0]))
	ones := u.emit("ConstantOfShape", model.Attrs{"value": tensor.From([]int64{1})}, rank)
	vector := func(v *model.Value) *model.Value {
		return u.emit("Reshape", nil, u.emit("Cast", model.Attrs{"to": int64(7)}, v), u.ints("vector", 1))
	}
	u.n.In = []*model.Value{u.n.In[0], u.emit("ScatterElements", nil, ones, vector(u.n.In[2]), vector(u.n.In[1]))}
	return nil
}

// topK1: the number was an attribute.
func topK1(u *up) error {
	k, ok := u.n.Attrs["k"].(int64)
	if !ok {
		return badAttr("k", "is missing")
	}
	delete(u.n.Attrs, "k")
	u.setInput(1, u.ints("k", k))
	return nil
}
