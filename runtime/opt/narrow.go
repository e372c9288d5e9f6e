package opt

import (
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// narrow stores a value as BF16 where an operator of numerics bf16 makes it and only such operators read it, since these round it to BF16
// anyway. Attribute result_type says what such an operator makes.
func narrow(c *Context, g *model.Graph) error {
	x := newIndex(g)
	for _, n := range c.visit(g.Nodes) {
		if !multipliesBF16(n) || len(n.Out) != 1 || n.Out[0].DType != tensor.F32 {
			continue
		}
		y := n.Out[0]
		fits := !x.output[y] && len(x.readers[y]) > 0
		for _, r := range x.readers[y] {
			fits = fits && r != nested && multipliesBF16(r) && r.In[0] == y
			for i, v := range r.In {
				fits = fits && (i == 0 || v != y)
			}
		}
		if !fits {
			continue
		}
		n.Attrs.Set("result_type", "bf16")
		y.DType = tensor.BF16
		for _, r := range x.readers[y] {
			if len(r.Out) == 1 && r.Attrs.Str("result_type", "") == "" {
				r.Attrs.Set("result_type", "f32")
			}
		}
	}
	return nil
}

// multipliesBF16 reports whether a node rounds its first input to BF16.
func multipliesBF16(n *model.Node) bool {
	switch n.Op {
	case "Conv", "Gemm", "MatMul":
		return n.Num == num.BF16 && len(n.In) > 1 && n.In[0].Quant == nil && n.In[0].DType.IsFloat() && n.In[0].DType != tensor.F64 && n.In[1].Quant == nil
	}
	return false
}
