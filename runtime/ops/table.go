package ops

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// tableOp maps each 8-bit element through a constant table of 256: out[i] = table[in[i]], where a signed element counts
// as its bit pattern. Passes make it of pointwise operators on quantised values.
var tableOp = op.Op{
	Traits: op.Pointwise | op.InPlace | op.QuantKernel,
	Infer: func(c *op.Call) error {
		if err := c.Need(2); err != nil {
			return err
		}
		if err := c.Want(0, tensor.I8, tensor.U8); err != nil {
			return err
		}
		if err := c.Want(1, tensor.I8, tensor.U8); err != nil {
			return err
		}
		if s := c.In[1].Shape; s.Known() && s.Len() != 256 {
			return c.Errorf("table has shape %v, want 256 elements", s)
		}
		c.Set(0, c.In[1].DType, c.In[0].Shape)
		return nil
	},
	Prepare: func(c *op.Call) (op.Run, error) {
		if !c.In[1].HasData() {
			return nil, c.Errorf("the table is not constant")
		}
		table := [256]byte(c.In[1].Data)
		body := func(lo, hi int) {
			in, out := c.In[0].Data[lo:hi], c.Out[0].Data[lo:hi]
			for i, b := range in {
				out[i] = table[b]
			}
		}
		n := c.In[0].Len()
		return func() error {
			c.Par.For(n, 1<<14, body)
			return nil
		}, nil
	},
}
