package move

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var permuteOps = map[string]op.Op{
	"tflite.Transpose": {Infer: inferPermute, Prepare: preparePermute, Traits: op.QuantMoves},
}

// permuted is the Transpose that the second input asks for; nil where it is not known yet.
func permuted(c *op.Call) (*op.Call, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	if err := c.Want(1, tensor.I32, tensor.I64); err != nil {
		return nil, err
	}
	if s := c.In[1].Shape; s != nil && len(s) != 1 {
		return nil, c.Errorf("permutation has shape %v", s)
	}
	p, err := ints(c, 1)
	if err != nil || !c.In[1].HasData() {
		return nil, err
	}
	t := *c
	t.Attrs = c.Attrs.Clone()
	t.Attrs.Set("perm", p)
	return &t, nil
}

// inferPermute: Transpose with the permutation as an input.
func inferPermute(c *op.Call) error {
	t, err := permuted(c)
	if err != nil {
		return err
	}
	x := c.In[0]
	if t == nil || x.Shape == nil {
		if x.Shape == nil {
			c.Set(0, x.DType, nil)
		} else {
			c.Set(0, x.DType, unknown(len(x.Shape)))
		}
		return nil
	}
	p, err := permutation(t, len(x.Shape))
	if err != nil {
		return err
	}
	s := make(tensor.Shape, len(p))
	for i, d := range p {
		s[i] = x.Shape[d]
	}
	c.Set(0, x.DType, s)
	return nil
}

func preparePermute(c *op.Call) (op.Run, error) {
	t, err := permuted(c)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, c.Errorf("the permutation is not known")
	}
	return prepareTranspose(t)
}
