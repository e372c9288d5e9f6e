package onnx

import (
	"encoding/json"
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Operators of com.microsoft and ai.onnx.ml that say what a few standard ones say.

// finish makes the node op(in...) of what the operator was; its outputs stay.
func (u *up) finish(op string, attrs model.Attrs, in ...*model.Value) {
	if attrs == nil {
		attrs = model.Attrs{}
	}
	u.n.Op, u.n.Attrs, u.n.In = op, attrs, in
}

// needs checks that the listed inputs are there.
func (u *up) needs(list ...int) error {
	for _, i := range list {
		if u.n.Input(i) == nil {
			return fmt.Errorf("%w: input %d is missing", ErrFormat, i)
		}
	}
	return nil
}

// zipMap gives one dictionary of scores by class for each row. The graph has the matrix of the scores; the classes go to the
// metadata.
func zipMap(u *up) error {
	if err := u.needs(0); err != nil {
		return err
	}
	var classes any
	for _, name := range []string{"classlabels_int64s", "classlabels_strings"} {
		if u.n.Attrs.Has(name) {
			classes = u.n.Attrs[name]
		}
	}
	text, err := json.Marshal(classes)
	if err != nil || classes == nil {
		return badAttr("classlabels_int64s", "is missing, and so is classlabels_strings")
	}
	u.finish("Identity", nil, u.n.In[0])
	if v := u.n.Output(0); v != nil {
		u.file.meta["onnx.classes."+v.Name] = string(text)
		v.DType, v.Shape, v.Dims = u.elem(u.n.In[0]), nil, nil
		u.kinds[v] = KindTensor
	}
	return nil
}

// cdist: the distances of the rows of A from those of B.
func cdist(u *up) error {
	if err := u.needs(0, 1); err != nil {
		return err
	}
	metric := u.n.Attrs.Str("metric", "sqeuclidean")
	d := u.emit("Sub", nil, u.emit("Unsqueeze", nil, u.n.In[0], u.ints("one", 1)), u.emit("Unsqueeze", nil, u.n.In[1], u.ints("zero", 0)))
	axes, flat := u.ints("axes", -1), model.Attrs{"keepdims": int64(0)}
	switch metric {
	case "sqeuclidean":
		u.finish("ReduceSumSquare", flat, d, axes)
	case "euclidean":
		u.finish("ReduceL2", flat, d, axes)
	default:
		return badAttr("metric", "%q", metric)
	}
	return nil
}

// dequantised gives the reals that input i stands for, with the scale and zero point in the inputs named.
func (u *up) dequantised(i, scale, zero int) *model.Value {
	in := []*model.Value{u.n.Input(i), u.n.Input(scale)}
	if z := u.n.Input(zero); z != nil {
		in = append(in, z)
	}
	return u.emit("DequantizeLinear", nil, in...)
}

// quantise makes the node a QuantizeLinear of v.
func (u *up) quantise(v *model.Value, scale, zero int) {
	in := []*model.Value{v, u.n.Input(scale)}
	attrs := model.Attrs{}
	if z := u.n.Input(zero); z != nil {
		in = append(in, z)
	} else {
		attrs["output_dtype"] = ElemNumber(u.elem(u.n.Input(0)))
	}
	u.finish("QuantizeLinear", attrs, in...)
}

func qlinearWhere(u *up) error {
	if err := u.needs(0, 1, 2, 4, 5, 7, 8); err != nil {
		return err
	}
	u.quantise(u.emit("Where", nil, u.n.In[0], u.dequantised(1, 2, 3), u.dequantised(4, 5, 6)), 7, 8)
	return nil
}

func qlinearReduceMean(u *up) error {
	if err := u.needs(0, 1, 3); err != nil {
		return err
	}
	in := []*model.Value{u.dequantised(0, 1, 2)}
	if axes, ok := u.n.Attrs["axes"].([]int64); ok {
		in = append(in, u.ints("axes", axes...))
	}
	u.quantise(u.emit("ReduceMean", model.Attrs{"keepdims": int64(u.n.Attrs.Int("keepdims", 1))}, in...), 3, 4)
	return nil
}

// qembed is EmbedLayerNormalization with five quantised inputs from 2 on, whose scales begin at 8 and zero points at 13.
func qembed(u *up) error {
	if err := u.needs(0, 2, 3, 5, 6); err != nil {
		return err
	}
	in := []*model.Value{u.n.In[0], u.n.In[1]}
	for i := 2; i < 7; i++ {
		if u.n.In[i] == nil {
			in = append(in, nil)
			continue
		}
		if err := u.needs(i + 6); err != nil {
			return err
		}
		in = append(in, u.dequantised(i, i+6, i+11))
	}
	u.finish("com.microsoft.EmbedLayerNormalization", u.n.Attrs, append(in, u.n.Input(7))...)
	return nil
}

// gatherBlocks is Gather of blockwise quantised rows: the rows that are wanted are dequantised.
func gatherBlocks(u *up) error {
	if err := u.needs(0, 1, 2); err != nil {
		return err
	}
	data, at := u.n.In[0], u.n.In[1]
	rank := int64(len(data.Shape))
	axis, along := int64(u.n.Attrs.Int("gather_axis", 0)), int64(u.n.Attrs.Int("quantize_axis", 1))
	if axis < 0 {
		axis += rank
	}
	if along < 0 {
		along += rank
	}
	if data.Shape == nil || axis < 0 || axis >= rank || along < 0 || along >= rank || along == axis {
		return badAttr("quantize_axis", "%d with gather_axis %d and data %v", along, axis, data.Shape)
	}
	if s := u.n.In[2].Shape; s != nil && int64(len(s)) != rank {
		return fmt.Errorf("%w: scales %v for data %v", ErrFormat, s, data.Shape)
	}
	behind := along // the same axis of what is gathered
	switch {
	case along == rank-1:
		behind = -1
	case along > axis && at.Shape == nil:
		return fmt.Errorf("attribute quantize_axis: %w: %d with indices of unknown rank", ErrUnsupported, along)
	case along > axis:
		behind += int64(len(at.Shape)) - 1
	}
	zero := u.n.Input(3)
	switch bits := u.n.Attrs.Int("bits", 4); {
	case data.DType == tensor.U8 && bits == 4: // two to a byte
		if along != rank-1 {
			return fmt.Errorf("attribute quantize_axis: %w: %d of packed data of rank %d", ErrUnsupported, along, rank)
		}
		if data.Const == nil || zero != nil && zero.Const == nil {
			return fmt.Errorf("%w: packed data that is no constant", ErrUnsupported)
		}
		data = u.nibbles(data, data.Shape[along]*2)
		if zero != nil {
			s := u.n.In[2].Shape
			if s == nil {
				return fmt.Errorf("%w: scales of unknown shape", ErrUnsupported)
			}
			zero = u.nibbles(zero, s[along])
		} else {
			zero = u.fill(tensor.U4, 8, u.n.In[2])
		}
	case data.DType == tensor.U8 && bits == 8 && zero == nil:
		zero = u.fill(tensor.U8, 128, u.n.In[2])
	case data.DType != tensor.U8 && data.DType != tensor.I4 && data.DType != tensor.U4 && data.DType != tensor.I8 || data.DType == tensor.U8 && bits != 8:
		return fmt.Errorf("%w: data of type %v with %d bits", ErrUnsupported, data.DType, bits)
	}
	if data == nil || zero == nil && u.n.In[0].DType == tensor.U8 {
		return fmt.Errorf("%w: data, scales and zero points of %v, %v and %v", ErrFormat, u.n.In[0].Shape, u.n.In[2].Shape, shapeOfInput(u.n, 3))
	}
	rows := func(v *model.Value) *model.Value {
		return u.emit("Gather", model.Attrs{"axis": axis}, v, at)
	}
	in := []*model.Value{rows(data), rows(u.n.In[2])}
	if zero != nil {
		in = append(in, rows(zero))
	}
	u.finish("DequantizeLinear", model.Attrs{"axis": behind, "block_size": int64(u.n.Attrs.Int("block_size", 128))}, in...)
	return nil
}

// nibbles takes the bytes of a constant as pairs of U4 along the last axis, the lower half first, n of them in a row; nil where the
// rows have another length.
func (u *up) nibbles(v *model.Value, n int) *model.Value {
	s := v.Shape.Clone()
	if len(s) == 0 || n < 1 || s[len(s)-1] != (n+1)/2 {
		return nil
	}
	s[len(s)-1] = n
	t := &tensor.Tensor{DType: tensor.U4, Shape: s, Data: v.Const.Data}
	if n%2 != 0 {
		t = tensor.New(tensor.U4, s)
		for i := range t.Len() {
			half := v.Const.Data[i/n*((n+1)/2)+i%n/2] >> (i % n % 2 * 4) & 15
			t.Data[i/2] |= half << (i % 2 * 4)
		}
	}
	return u.constant(v.Name+"/u4", t)
}

func shapeOfInput(n *model.Node, i int) tensor.Shape {
	if v := n.Input(i); v != nil {
		return v.Shape
	}
	return nil
}

// fill makes a constant of one value, two of which may share a byte, of the shape of another constant; nil where that is none.
func (u *up) fill(d tensor.DType, value byte, like *model.Value) *model.Value {
	if like.Const == nil {
		return nil
	}
	t := tensor.New(d, like.Const.Shape)
	if d.Bits() == 4 {
		value |= value << 4
	}
	for i := range t.Data {
		t.Data[i] = value
	}
	return u.constant(u.n.Name+"/zero", t)
}

// channelsFirst gives an operator on NHWC pictures the axes that the standard's have: it runs as op, between transposes of its
// listed inputs and its output.
func channelsFirst(op string, inputs ...int) func(u *up) error {
	return func(u *up) error {
		delete(u.n.Attrs, "channels_last")
		out := u.n.Output(0)
		if len(u.n.Out) != 1 || out == nil {
			return fmt.Errorf("%w: %d outputs", ErrUnsupported, len(u.n.Out))
		}
		rank := len(u.n.Attrs.Ints("kernel_shape")) + 2
		for _, i := range append(inputs, 1, 3) {
			if v := u.n.Input(i); rank == 2 && v != nil && len(v.Shape) > 2 {
				rank = len(v.Shape)
			}
		}
		if rank == 2 {
			return badAttr("kernel_shape", "is missing")
		}
		first, last := []int64{0, int64(rank - 1)}, []int64{0}
		for i := 1; i < rank-1; i++ {
			first = append(first, int64(i))
			last = append(last, int64(i+1))
		}
		last = append(last, 1)
		for _, i := range inputs {
			if v := u.n.Input(i); v != nil {
				u.n.In[i] = u.emit("Transpose", model.Attrs{"perm": first}, v)
			}
		}
		name := u.n.Name
		y := &model.Value{Name: u.unique(name + "/nchw"), DType: out.DType}
		u.n.Op, u.n.Out = op, []*model.Value{y}
		u.after = append(u.after, &model.Node{Name: u.unique(name + "/Transpose"), Op: "Transpose", In: []*model.Value{y}, Out: []*model.Value{out},
			Attrs: model.Attrs{"perm": last}})
		return nil
	}
}

// qlinearConv has the standard's form where its pictures are NCHW.
func qlinearConv(u *up) error {
	if u.n.Attrs.Bool("channels_last", false) {
		return channelsFirst("QLinearConv", 0)(u)
	}
	delete(u.n.Attrs, "channels_last")
	u.n.Op = "QLinearConv"
	return nil
}

// groupNorm is GroupNormalization, of x + skip + bias for SkipGroupNorm, on NHWC as a rule, with SiLU behind it on demand.
func groupNorm(skip bool) func(u *up) error {
	return func(u *up) error {
		if err := u.needs(0, 1, 2); err != nil {
			return err
		}
		x := u.n.In[0]
		if skip {
			if err := u.needs(3); err != nil {
				return err
			}
			s := u.n.In[3]
			if len(s.Shape) == 2 {
				s = u.emit("Unsqueeze", nil, s, u.ints("axes", 1, 2))
			}
			x = u.emit("Add", nil, x, s)
			if b := u.n.Input(4); b != nil {
				x = u.emit("Add", nil, x, b)
			}
			if sum := u.n.Output(1); sum != nil {
				u.after = append(u.after, &model.Node{Name: u.unique(u.n.Name + "/sum"), Op: "Identity", In: []*model.Value{x}, Out: []*model.Value{sum},
					Attrs: model.Attrs{}})
			}
		}
		last := u.n.Attrs.Bool("channels_last", true)
		if !last && skip {
			return fmt.Errorf("attribute channels_last: %w: 0", ErrUnsupported)
		}
		silu := u.n.Attrs.Int("activation", 0)
		if silu != 0 && silu != 1 {
			return badAttr("activation", "%d", silu)
		}
		groups := int64(u.n.Attrs.Int("groups", 0))
		if groups < 1 {
			return badAttr("groups", "%d", groups)
		}
		if last {
			x = u.emit("Transpose", model.Attrs{"perm": []int64{0, 3, 1, 2}}, x)
		}
		attrs := model.Attrs{"num_groups": groups, "epsilon": u.n.Attrs.Float("epsilon", 1e-5)}
		like := func(v *model.Value) *model.Value { return u.emit("CastLike", nil, v, x) }
		y := u.emit("GroupNormalization", attrs, x, like(u.n.In[1]), like(u.n.In[2]))
		if silu == 1 {
			y = u.emit("Mul", nil, y, u.emit("Sigmoid", nil, y))
		}
		u.n.Out = u.n.Out[:1]
		if last {
			u.finish("Transpose", model.Attrs{"perm": []int64{0, 2, 3, 1}}, y)
		} else {
			u.finish("Identity", nil, y)
		}
		return nil
	}
}

// biasAdd is x + bias + skip.
func biasAdd(u *up) error {
	if err := u.needs(0, 1, 2); err != nil {
		return err
	}
	u.finish("Add", nil, u.emit("Add", nil, u.n.In[0], u.n.In[1]), u.n.In[2])
	return nil
}

// biasSplitGelu is a * gelu(b) of the halves of x + bias.
func biasSplitGelu(u *up) error {
	if err := u.needs(0, 1); err != nil {
		return err
	}
	x := u.emit("Add", nil, u.n.In[0], u.n.In[1])
	a, b := &model.Value{Name: u.unique(u.n.Name + "/a")}, &model.Value{Name: u.unique(u.n.Name + "/b")}
	u.add(&model.Node{Name: u.unique(u.n.Name + "/Split"), Op: "Split", In: []*model.Value{x}, Out: []*model.Value{a, b},
		Attrs: model.Attrs{"axis": int64(-1), "num_outputs": int64(2)}})
	u.finish("Mul", nil, a, u.emit("Gelu", nil, b))
	return nil
}

// expandDims inserts one axis.
func expandDims(u *up) error {
	if err := u.needs(0, 1); err != nil {
		return err
	}
	u.finish("Unsqueeze", nil, u.n.In[0], u.emit("Reshape", nil, u.emit("Cast", model.Attrs{"to": int64(7)}, u.n.In[1]), u.ints("vector", 1)))
	return nil
}
