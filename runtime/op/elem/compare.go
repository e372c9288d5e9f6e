package elem

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Truth values are computed as bytes, 0 or 1.

var compareOps = map[string]op.Op{
	"Equal":          {Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts},
	"Less":           {Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts},
	"LessOrEqual":    {Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts},
	"Greater":        {Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts},
	"GreaterOrEqual": {Infer: inferCompare, Prepare: prepareCompare, Traits: op.Broadcasts},
	"And":            {Infer: inferLogic, Prepare: prepareLogic, Traits: op.Broadcasts | op.InPlace},
	"Or":             {Infer: inferLogic, Prepare: prepareLogic, Traits: op.Broadcasts | op.InPlace},
	"Xor":            {Infer: inferLogic, Prepare: prepareLogic, Traits: op.Broadcasts | op.InPlace},
	"Where":          {Infer: inferWhere, Prepare: prepareWhere, Traits: op.Broadcasts},
}

func inferCompare(c *op.Call) error {
	if err := inferBinary(c); err != nil {
		return err
	}
	if y := c.Output(0); y != nil {
		c.Set(0, tensor.Bool, y.Shape)
	}
	return nil
}

func prepareCompare(c *op.Call) (op.Run, error) {
	switch d := c.In[0].DType; {
	case d == tensor.String && c.Op == "Equal":
		return equalStrings(c)
	case d == tensor.Bool && c.Op == "Equal":
		return compare[uint8](c)
	}
	return each{compare[float64], compare[float32], compare[int64], compare[int32], compare[int16], compare[int8],
		compare[uint64], compare[uint32], compare[uint16], compare[uint8]}.byInput(c)
}

func truth(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func compare[T number](c *op.Call) (op.Run, error) {
	var k kernel[T, uint8]
	switch c.Op {
	case "Equal":
		k = kernel[T, uint8]{
			f: func(a, b T) uint8 { return truth(a == b) },
			vv: func(y []uint8, a, b []T) {
				a, b = a[:len(y)], b[:len(y)]
				for i := range y {
					y[i] = truth(a[i] == b[i])
				}
			},
			vs: func(y []uint8, a []T, b T) {
				a = a[:len(y)]
				for i := range y {
					y[i] = truth(a[i] == b)
				}
			},
			sv: func(y []uint8, a T, b []T) {
				b = b[:len(y)]
				for i := range y {
					y[i] = truth(a == b[i])
				}
			},
		}
	case "Less":
		k = kernel[T, uint8]{
			f: func(a, b T) uint8 { return truth(a < b) },
			vv: func(y []uint8, a, b []T) {
				a, b = a[:len(y)], b[:len(y)]
				for i := range y {
					y[i] = truth(a[i] < b[i])
				}
			},
			vs: func(y []uint8, a []T, b T) {
				a = a[:len(y)]
				for i := range y {
					y[i] = truth(a[i] < b)
				}
			},
			sv: func(y []uint8, a T, b []T) {
				b = b[:len(y)]
				for i := range y {
					y[i] = truth(a < b[i])
				}
			},
		}
	case "LessOrEqual":
		k = kernel[T, uint8]{
			f: func(a, b T) uint8 { return truth(a <= b) },
			vv: func(y []uint8, a, b []T) {
				a, b = a[:len(y)], b[:len(y)]
				for i := range y {
					y[i] = truth(a[i] <= b[i])
				}
			},
			vs: func(y []uint8, a []T, b T) {
				a = a[:len(y)]
				for i := range y {
					y[i] = truth(a[i] <= b)
				}
			},
			sv: func(y []uint8, a T, b []T) {
				b = b[:len(y)]
				for i := range y {
					y[i] = truth(a <= b[i])
				}
			},
		}
	case "Greater":
		k = kernel[T, uint8]{
			f: func(a, b T) uint8 { return truth(a > b) },
			vv: func(y []uint8, a, b []T) {
				a, b = a[:len(y)], b[:len(y)]
				for i := range y {
					y[i] = truth(a[i] > b[i])
				}
			},
			vs: func(y []uint8, a []T, b T) {
				a = a[:len(y)]
				for i := range y {
					y[i] = truth(a[i] > b)
				}
			},
			sv: func(y []uint8, a T, b []T) {
				b = b[:len(y)]
				for i := range y {
					y[i] = truth(a > b[i])
				}
			},
		}
	default:
		k = kernel[T, uint8]{
			f: func(a, b T) uint8 { return truth(a >= b) },
			vv: func(y []uint8, a, b []T) {
				a, b = a[:len(y)], b[:len(y)]
				for i := range y {
					y[i] = truth(a[i] >= b[i])
				}
			},
			vs: func(y []uint8, a []T, b T) {
				a = a[:len(y)]
				for i := range y {
					y[i] = truth(a[i] >= b)
				}
			},
			sv: func(y []uint8, a T, b []T) {
				b = b[:len(y)]
				for i := range y {
					y[i] = truth(a >= b[i])
				}
			},
		}
	}
	return runBinary(c, k)
}

func equalStrings(c *op.Call) (op.Run, error) {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	return func() error {
		y, a, b := c.Out[0].Data, c.In[0].Str, c.In[1].Str
		at := w.seek(0)
		for r := range w.rows() {
			for i := range w.row {
				y[r*w.row+i] = truth(a[at.at[0]+i*w.step[0]] == b[at.at[1]+i*w.step[1]])
			}
			w.next(&at)
		}
		return nil
	}, nil
}

func inferLogic(c *op.Call) error {
	for i := range 2 {
		if err := c.Want(i, tensor.Bool); err != nil {
			return err
		}
	}
	return inferBinary(c)
}

func prepareLogic(c *op.Call) (op.Run, error) {
	f := func(a, b uint8) uint8 { return a & b }
	switch c.Op {
	case "Or":
		f = func(a, b uint8) uint8 { return a | b }
	case "Xor":
		f = func(a, b uint8) uint8 { return a ^ b }
	}
	return runBinary(c, kernel[uint8, uint8]{f: f})
}

func inferWhere(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := c.Want(0, tensor.Bool); err != nil {
		return err
	}
	if c.In[1].DType != c.In[2].DType {
		return c.Errorf("inputs of types %v and %v", c.In[1].DType, c.In[2].DType)
	}
	s, err := c.Broadcast(c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[1].DType, s)
	return nil
}

// prepareWhere moves elements, whatever they mean, by their size.
func prepareWhere(c *op.Call) (op.Run, error) {
	switch d := c.In[1].DType; {
	case d == tensor.String:
		return where(c, func(t *tensor.Tensor) []string { return t.Str }), nil
	case d.Bits() == 8:
		return where(c, tensor.Of[uint8]), nil
	case d.Bits() == 16:
		return where(c, tensor.Of[uint16]), nil
	case d.Bits() == 32:
		return where(c, tensor.Of[uint32]), nil
	case d.Bits() == 64:
		return where(c, tensor.Of[uint64]), nil
	}
	return nil, c.Errorf("elements of type %v unsupported", c.In[1].DType)
}

func where[T any](c *op.Call, elements func(*tensor.Tensor) []T) op.Run {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	var cond []byte
	var as, bs, ys []T
	sc, sa, sb := w.step[0], w.step[1], w.step[2]
	run := func(y []T, ci, ai, bi int) {
		for i := range y {
			v := bs[bi]
			if cond[ci] != 0 {
				v = as[ai]
			}
			y[i] = v
			ci, ai, bi = ci+sc, ai+sa, bi+sb
		}
	}
	rows := func(lo, hi int) {
		at := w.seek(lo)
		for r := lo; r < hi; r++ {
			run(ys[r*w.row:(r+1)*w.row], at.at[0], at.at[1], at.at[2])
			w.next(&at)
		}
	}
	flat := func(lo, hi int) { run(ys[lo:hi], lo*sc, lo*sa, lo*sb) }
	return func() error {
		cond, as, bs, ys = c.In[0].Data, elements(c.In[1]), elements(c.In[2]), elements(c.Out[0])
		switch n := w.rows(); n {
		case 0:
		case 1:
			c.Par.For(w.n, grain, flat)
		default:
			c.Par.For(n, 1+grain/w.row, rows)
		}
		return nil
	}
}
