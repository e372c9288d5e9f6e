package move

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// PickRow picks rows of a table: y[..., :] = table[x[..., 0] - first], or its last row for an x beyond the others. A pass makes it.
var pickOps = map[string]op.Op{
	"PickRow": {Infer: inferPick, Prepare: preparePick},
}

func inferPick(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, table := c.In[0], c.In[1]
	if !x.DType.IsInt() || x.DType.Bits() < 8 || table.DType.Bits() < 8 {
		return c.Errorf("rows of type %v picked by %v", table.DType, x.DType)
	}
	if x.Shape == nil || table.Shape == nil {
		c.Set(0, table.DType, nil)
		return nil
	}
	if n := len(x.Shape); n == 0 || len(table.Shape) != 2 || x.Shape[n-1] > 1 || x.Shape[n-1] == 0 || table.Shape[0] == 0 {
		return c.Errorf("rows of %v picked by %v", table, x)
	}
	s := x.Shape.Clone()
	s[len(s)-1] = table.Shape[1]
	c.Set(0, table.DType, s)
	return nil
}

func preparePick(c *op.Call) (op.Run, error) {
	switch c.In[0].DType {
	case tensor.I8:
		return pickRows[int8](c), nil
	case tensor.U8:
		return pickRows[uint8](c), nil
	case tensor.I16:
		return pickRows[int16](c), nil
	case tensor.U16:
		return pickRows[uint16](c), nil
	case tensor.I32:
		return pickRows[int32](c), nil
	case tensor.U32:
		return pickRows[uint32](c), nil
	case tensor.I64:
		return pickRows[int64](c), nil
	}
	return nil, c.Errorf("rows picked by %v", c.In[0])
}

func pickRows[T int8 | uint8 | int16 | uint16 | int32 | uint32 | int64](c *op.Call) op.Run {
	n, rows, first := c.In[0].Len(), c.In[1].Shape[0]-1, int64(c.Attrs.Int("first", 0))
	size := c.In[1].Shape[1] * c.In[1].DType.Bits() / 8
	var x []T
	var y, table []byte
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := int64(x[i]) - first // wraps at worst, and then is negative or beyond the table
			if row < 0 || row >= int64(rows) {
				row = int64(rows)
			}
			copy(y[i*size:(i+1)*size], table[int(row)*size:])
		}
	}
	return func() error {
		x, y, table = tensor.Of[T](c.In[0]), c.Out[0].Data, c.In[1].Data
		if size > 0 {
			c.Par.For(n, 1+(1<<16)/size, body)
		}
		return nil
	}
}
