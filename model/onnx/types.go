package onnx

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// elem is the element type of v as far as it is known: declared, or guessed from the operators. It serves upgrades
// that make constants of a matching type; the shape rules of the runtime have the last word.
func (im *importer) elem(v *model.Value) tensor.DType {
	if v == nil {
		return tensor.Invalid
	}
	if v.DType != tensor.Invalid {
		return v.DType
	}
	return im.types[v]
}

// outElems holds the element type of output 0 where it is not that of input 0.
var outElems = map[string]tensor.DType{
	"Shape": tensor.I64, "Size": tensor.I64, "ArgMax": tensor.I64, "ArgMin": tensor.I64, "NonZero": tensor.I64,
	"NonMaxSuppression": tensor.I64, "SequenceLength": tensor.I64,
	"Equal": tensor.Bool, "Greater": tensor.Bool, "GreaterOrEqual": tensor.Bool, "Less": tensor.Bool, "LessOrEqual": tensor.Bool,
	"IsNaN": tensor.Bool, "IsInf": tensor.Bool, "Not": tensor.Bool, "And": tensor.Bool, "Or": tensor.Bool, "Xor": tensor.Bool,
	"SequenceConstruct": tensor.Sequence, "SequenceEmpty": tensor.Sequence, "SequenceInsert": tensor.Sequence,
	"SequenceErase": tensor.Sequence, "SplitToSequence": tensor.Sequence,
	"ConvInteger": tensor.I32, "MatMulInteger": tensor.I32, "DynamicQuantizeLinear": tensor.U8,
}

// likeInput names the input whose type output 0 has, where it is not input 0; -1 is unknown.
var likeInput = map[string]int{
	"Where": 1, "DequantizeLinear": 1, "QuantizeLinear": 2, "CastLike": 1, "OneHot": 2, "QLinearConv": 7, "QLinearMatMul": 7,
	"SequenceAt": -1, "ConcatFromSequence": -1, "OptionalGetElement": -1, "Loop": -1, "Scan": -1, "If": -1,
}

// note remembers what is known of a new node's outputs.
func (b *builder) note(n *model.Node) {
	v := n.Output(0)
	if v == nil || n.Op != "Identity" && b.elem(v) != tensor.Invalid {
		return
	}
	d, fixed := outElems[n.Op]
	in, other := likeInput[n.Op]
	switch {
	case fixed:
	case n.Op == "If" && n.Graphs["then_branch"] != nil && n.Graphs["else_branch"] != nil:
		b.noteBodies(n, n.Graphs["then_branch"].Outputs)
		return
	case n.Op == "Loop" && n.Graphs["body"] != nil && len(n.Graphs["body"].Outputs) > 0:
		b.noteBodies(n, n.Graphs["body"].Outputs[1:])
		return
	case n.Op == "Scan" && n.Graphs["body"] != nil:
		b.noteBodies(n, n.Graphs["body"].Outputs)
		return
	case n.Op == "Cast" || n.Op == "RandomNormal" || n.Op == "RandomUniform" || n.Op == "EyeLike":
		name := "dtype"
		if n.Op == "Cast" {
			name = "to"
		}
		d, _ = ElemType(int64(n.Attrs.Int(name, 1)))
	case n.Op == "ConstantOfShape":
		d = tensor.F32
		if t := n.Attrs.Tensor("value"); t != nil {
			d = t.DType
		}
	case other && in >= 0:
		d = b.elem(n.Input(in))
	case !other:
		d = b.elem(n.Input(0))
	}
	b.types[v] = d
	if n.Op == "Identity" && b.kinds[v] == KindUnknown {
		b.kinds[v] = b.kinds[n.Input(0)]
	}
}

// noteBodies hands on what is known of a subgraph's outputs.
func (b *builder) noteBodies(n *model.Node, from []*model.Value) {
	for i, v := range n.Out {
		if v == nil || i >= len(from) || from[i] == nil {
			continue
		}
		if b.kinds[v] == KindUnknown {
			b.kinds[v] = b.kinds[from[i]]
		}
		if b.elem(v) == tensor.Invalid {
			b.types[v] = b.elem(from[i])
		}
	}
}
