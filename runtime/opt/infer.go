package opt

import (
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/plan"
)

// Infer fills the types and shapes of all values as far as they are known without input shapes. An operator that the
// runtime does not have is an error.
func Infer(c *Context, g *model.Graph) (err error) {
	defer c.guard(&err)
	return c.infer(g)
}

func (c *Context) infer(g *model.Graph) error {
	for _, n := range c.visit(g.Nodes) {
		if err := c.inferNode(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *Context) inferNode(n *model.Node) error {
	switch n.Op {
	case "If", "Loop", "Scan":
		return c.inferFlow(n)
	}
	o, ok := c.Ops(n.Op)
	if !ok {
		return fmt.Errorf("%s (%s): %w", n.Name, n.Op, plan.ErrUnsupported)
	}
	call := &op.Call{Name: n.Name, Op: n.Op, Attrs: n.Attrs, Num: n.Num}
	reals := onReals(n, o.Traits)
	for _, v := range n.In {
		if reals && v != nil && v.Quant != nil {
			call.In = append(call.In, &tensor.Tensor{DType: tensor.F32, Shape: v.Shape})
			continue
		}
		call.In = append(call.In, header(v))
	}
	for _, v := range n.Out {
		switch {
		case v == nil:
			call.Out = append(call.Out, nil)
		case reals && v.Quant != nil:
			call.Out = append(call.Out, &tensor.Tensor{DType: tensor.F32})
		default:
			call.Out = append(call.Out, &tensor.Tensor{Quant: v.Quant, DType: v.DType})
		}
	}
	if err := op.InferOf(o, call); err != nil {
		return err
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		t := call.Out[i]
		if t.DType != tensor.Invalid && (!reals || v.Quant == nil) {
			v.DType = t.DType
		}
		setShape(v, merge(v.Shape, t.Shape))
	}
	return nil
}

// onReals reports whether legalise-quant will put Dequantize and Quantize around a node for want of an integer form, so that
// its rule sees float32 in place of quantised values.
func onReals(n *model.Node, tr op.Traits) bool {
	switch {
	case tr&(op.QuantKernel|op.PlainIntegers) != 0:
		return false
	case tr&op.QuantMoves == 0:
		return true
	}
	return len(n.In) > 0 && !movesPlain(n) && !movesAsIs(n) && n.Op != "Concat"
}

// merge prefers what the rule says and keeps what the file said where the rule is silent.
func merge(file, rule tensor.Shape) tensor.Shape {
	if rule == nil {
		return file
	}
	r := rule.Clone()
	if len(file) == len(rule) {
		for i := range r {
			if r[i] < 0 {
				r[i] = file[i]
			}
		}
	}
	return r
}

// setShape gives a value its shape. Names that the file gave to other dimensions go.
func setShape(v *model.Value, s tensor.Shape) {
	v.Shape = s
	if len(v.Dims) != len(s) {
		v.Dims = nil
	}
}

// header is a value as a shape rule sees it.
func header(v *model.Value) *tensor.Tensor {
	if v == nil {
		return nil
	}
	if v.Const != nil {
		if v.Const.Quant == v.Quant {
			return v.Const
		}
		t := *v.Const
		t.Quant = v.Quant
		return &t
	}
	return &tensor.Tensor{DType: v.DType, Shape: v.Shape, Quant: v.Quant}
}

// inferFlow infers subgraphs. What a loop carries may change its shape from one iteration to the next, so the body's
// inputs keep only their types.
func (c *Context) inferFlow(n *model.Node) error {
	if body := n.Graphs["body"]; body != nil {
		for i, v := range body.Inputs {
			if n.Op == "Loop" && i < 2 {
				v.DType = []tensor.DType{tensor.I64, tensor.Bool}[i]
				continue
			}
			if in := n.Input(i); in != nil {
				v.DType, v.Quant = in.DType, in.Quant
				v.Shape, v.Dims = nil, nil
			}
		}
	}
	for _, name := range n.GraphNames() {
		if err := c.infer(n.Graphs[name]); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Name, n.Op, err)
		}
	}
	switch n.Op {
	case "If":
		then, els := n.Graphs["then_branch"], n.Graphs["else_branch"]
		if then == nil || els == nil || len(then.Outputs) < len(n.Out) || len(els.Outputs) < len(n.Out) {
			return fmt.Errorf("%s (If): needs two branches with %d outputs", n.Name, len(n.Out))
		}
		for i, v := range n.Out {
			if v != nil {
				a, b := then.Outputs[i], els.Outputs[i]
				v.DType, v.Quant = a.DType, a.Quant
				if a.Shape.Known() && a.Shape.Equal(b.Shape) {
					setShape(v, a.Shape.Clone())
				} else {
					setShape(v, nil)
				}
			}
		}
	case "Loop", "Scan":
		body, first := n.Graphs["body"], 0
		if n.Op == "Loop" {
			first = 1
		}
		if body == nil || len(body.Outputs) < len(n.Out)+first {
			return fmt.Errorf("%s (%s): needs a body with %d outputs", n.Name, n.Op, len(n.Out)+first)
		}
		for i, v := range n.Out {
			if v != nil {
				v.DType, v.Quant = body.Outputs[i+first].DType, body.Outputs[i+first].Quant
			}
		}
	}
	return nil
}
