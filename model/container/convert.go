package container

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// weightInputs lists the inputs that hold weights, by operator. Biases and the parameters of normalisation are none.
var weightInputs = map[string][]int{
	"Conv":                      {1},
	"ConvTranspose":             {1},
	"Gemm":                      {0, 1},
	"MatMul":                    {0, 1},
	"RNN":                       {1, 2},
	"LSTM":                      {1, 2},
	"GRU":                       {1, 2},
	"Gather":                    {0},
	"com.microsoft.FusedConv":   {1},
	"com.microsoft.FusedMatMul": {0, 1},
}

// maxF16 is the largest finite binary16.
const maxF16 = 65504

// ConvertWeights returns a copy of g whose float32 weights are stored as n says: FP32, FP16 or BF16. The constant's element
// type changes, and the node that reads it gets the numerics n. A constant that is a weight to some of its readers and
// something else to others stays as it is. A weight beyond what FP16 holds is an error. For FP32 and Default the copy
// has no changes; other numerics need more than a conversion and are refused.
func ConvertWeights(g *model.Graph, n num.Numerics) (*model.Graph, error) {
	var to tensor.DType
	switch n {
	case num.Default, num.FP32:
		return g.Clone(), nil
	case num.FP32W:
		to = tensor.F32
	case num.FP16:
		to = tensor.F16
	case num.BF16:
		to = tensor.BF16
	default:
		return nil, fmt.Errorf("weights cannot be converted to %v: fp32w, fp16 and bf16 are possible", n)
	}
	c := g.Clone()
	weight := map[*model.Value]bool{} // false: read as something else, too
	reads := func(v *model.Value, asWeight bool) {
		if v == nil || v.Const == nil {
			return
		}
		old, ok := weight[v]
		weight[v] = asWeight && (old || !ok) && isWeight(v)
	}
	visit(c, func(n *model.Node) {
		for i, v := range n.In {
			reads(v, isSlot(n, i))
		}
	}, func(v *model.Value) { reads(v, false) })
	done := map[*tensor.Tensor]*tensor.Tensor{}
	for _, v := range c.Consts() {
		if !weight[v] {
			continue
		}
		t := done[v.Const]
		if t == nil {
			var err error
			if t, err = narrow(v.Const, to); err != nil {
				return nil, fmt.Errorf("tensor %s: %w", v.Name, err)
			}
			done[v.Const] = t
		}
		v.Const, v.DType = t, to
	}
	visit(c, func(node *model.Node) {
		for i, v := range node.In {
			if isSlot(node, i) && v != nil && weight[v] {
				node.Num = n
			}
		}
	}, func(*model.Value) {})
	return c, nil
}

// visit calls node for every node and out for every graph output, subgraphs included.
func visit(g *model.Graph, node func(*model.Node), out func(*model.Value)) {
	outputs := func(g *model.Graph) {
		for _, v := range g.Outputs {
			out(v)
		}
	}
	outputs(g)
	g.Walk(func(_ *model.Graph, n *model.Node) {
		node(n)
		for _, name := range n.GraphNames() {
			outputs(n.Graphs[name])
		}
	})
}

func isSlot(n *model.Node, i int) bool {
	for _, k := range weightInputs[n.Op] {
		if k == i {
			return true
		}
	}
	return false
}

// isWeight leaves out what is not float32, and the vectors and scalars that Gather and MatMul are given in computations
// of shapes and scales.
func isWeight(v *model.Value) bool {
	return v.Const.DType == tensor.F32 && v.Const.Quant == nil && len(v.Const.Shape) >= 2
}

func narrow(t *tensor.Tensor, to tensor.DType) (*tensor.Tensor, error) {
	if to == t.DType {
		return t, nil
	}
	src := tensor.Of[float32](t)
	defer mem.Drop(t.Data)
	out := tensor.New(to, t.Shape)
	if to == tensor.BF16 {
		for i, x := range src {
			if y := half.FromBF16(half.BF16(x)); math.IsInf(float64(y), 0) && !math.IsInf(float64(x), 0) {
				return nil, fmt.Errorf("element %d, %g, is beyond bf16", i, x)
			}
		}
		half.ToBF16(tensor.Of[uint16](out), src)
		return out, nil
	}
	for i, x := range src {
		if math.Abs(float64(x)) > maxF16 {
			return nil, fmt.Errorf("element %d, %g, is beyond fp16 (%d)", i, x, maxF16)
		}
	}
	half.ToF16(tensor.Of[uint16](out), src)
	return out, nil
}
