package plan

import "github.com/edgerun/edgerun/runtime/op"

// macs counts the multiply-accumulates of convolutions and matrix products. All shapes are known.
func macs(c *op.Call) int64 {
	out := func() int64 {
		if t := c.Output(0); t != nil {
			return int64(t.Len())
		}
		return 0
	}
	wi := 1
	switch c.Op {
	case "Conv", "ConvInteger", "com.microsoft.FusedConv":
	case "QLinearConv":
		wi = 3
	case "ConvTranspose":
		x, w := c.Input(0), c.Input(1)
		if x == nil || w == nil || len(w.Shape) == 0 || w.Shape[0] == 0 {
			return 0
		}
		return int64(x.Len()) * int64(w.Len()/w.Shape[0])
	case "MatMul", "MatMulInteger", "com.microsoft.FusedMatMul":
		if x := c.Input(0); x != nil && len(x.Shape) > 0 {
			return out() * int64(x.Shape[len(x.Shape)-1])
		}
		return 0
	case "Gemm":
		if x := c.Input(0); x != nil && len(x.Shape) == 2 {
			k := x.Shape[1]
			if c.Attrs.Bool("transA", false) {
				k = x.Shape[0]
			}
			return out() * int64(k)
		}
		return 0
	case "LSTM", "GRU", "RNN":
		x, w, r := c.Input(0), c.Input(1), c.Input(2)
		if x == nil || w == nil || r == nil || len(x.Shape) != 3 {
			return 0
		}
		return int64(x.Shape[0]*x.Shape[1]) * int64(w.Len()+r.Len())
	default:
		return 0
	}
	w := c.Input(wi)
	if w == nil || len(w.Shape) == 0 || w.Shape[0] == 0 {
		return 0
	}
	return out() * int64(w.Len()/w.Shape[0])
}
