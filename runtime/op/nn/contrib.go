package nn

import (
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// contribOps are operators of the com.microsoft domain that quantisation and graph optimisation tools write.
var contribOps = map[string]op.Op{
	"com.microsoft.FusedMatMul": {Infer: inferFusedMatMul, Prepare: prepareFusedMatMul},
	"com.microsoft.FusedGemm":   {Infer: inferGemm, Prepare: prepareFusedGemm},
}

// transposedShape swaps the last two extents where asked.
func transposedShape(s tensor.Shape, t bool) tensor.Shape {
	if !t || len(s) < 2 {
		return s
	}
	r := s.Clone()
	n := len(r)
	r[n-1], r[n-2] = r[n-2], r[n-1]
	return r
}

func inferFusedMatMul(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	var operands [2]tensor.Shape
	for i, name := range []string{"A", "B"} {
		operands[i] = c.In[i].Shape
		if c.Attrs.Bool("transBatch"+name, false) && operands[i] != nil {
			if len(operands[i]) < 3 {
				return c.Errorf("transBatch%s of input %v", name, operands[i])
			}
			operands[i] = regrouped(operands[i])
		}
		operands[i] = transposedShape(operands[i], c.Attrs.Bool("trans"+name, false))
	}
	s, err := matmulShape(c, operands[0], operands[1])
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareFusedMatMul(c *op.Call) (op.Run, error) {
	c, before := regroupInputs(c)
	aT, bT := c.Attrs.Bool("transA", false), c.Attrs.Bool("transB", false)
	x := newMatrices(transposedShape(c.In[0].Shape, aT), transposedShape(c.In[1].Shape, bT))
	if !aT {
		x.merged()
	}
	x.aT, x.bT = aT, bT
	run, err := x.prepare(c, nil)
	if err != nil {
		return nil, err
	}
	run = scaled(c, run, c.Attrs.Float("alpha", 1), nil)
	return func() error {
		before()
		return run()
	}, nil
}

// regrouped moves the first extent behind all others but the last: [M,batch…,K] becomes [batch…,M,K].
func regrouped(s tensor.Shape) tensor.Shape {
	n := len(s)
	return append(append(s[1:n-1].Clone(), s[0]), s[n-1])
}

// regroupInputs returns a call whose inputs are regrouped as transBatchA and transBatchB ask for, and what has to be done before each
// run of it.
func regroupInputs(c *op.Call) (*op.Call, func()) {
	inner := *c
	inner.In = slices.Clone(c.In)
	var work []func()
	for i, name := range []string{"transBatchA", "transBatchB"} {
		if !c.Attrs.Bool(name, false) {
			continue
		}
		s := c.In[i].Shape
		n := len(s)
		rows, batch, row := s[0], s[1:n-1].Len(), s[n-1]*c.In[i].DType.Bits()/8
		t, buf := &tensor.Tensor{DType: c.In[i].DType, Shape: regrouped(s)}, tensor.New(c.In[i].DType, s).Data
		inner.In[i] = t
		work = append(work, func() {
			t.Data = buf
			for b := range batch {
				for r := range rows {
					copy(buf[(b*rows+r)*row:][:row], c.In[i].Data[(r*batch+b)*row:])
				}
			}
		})
	}
	return &inner, func() {
		for _, f := range work {
			f()
		}
	}
}

// scaled multiplies the output by alpha and applies act.
func scaled(c *op.Call, run op.Run, alpha float32, act func(float32) float32) op.Run {
	if alpha == 1 && act == nil {
		return run
	}
	y := newFloats(c, c.Out[0])
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v := y.get()
		for i := range v {
			v[i] *= alpha
			if act != nil {
				v[i] = act(v[i])
			}
		}
		y.put()
		return nil
	}
}

func prepareFusedGemm(c *op.Call) (op.Run, error) {
	act, err := namedActivation(c)
	if err != nil {
		return nil, err
	}
	run, err := prepareGemm(c)
	if err != nil {
		return nil, err
	}
	return scaled(c, run, 1, act), nil
}

// prepareFusedConv is Conv with a residual input Z and an activation by name (com.microsoft.FusedConv).
func prepareFusedConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	act, err := namedActivation(c)
	if err != nil {
		return nil, err
	}
	if z := c.Input(3); z != nil && !z.Shape.Equal(c.Out[0].Shape) {
		return nil, c.Errorf("Z %v for a result %v", z.Shape, c.Out[0].Shape)
	}
	if err := c.Want(3, anyFloat...); err != nil {
		return nil, err
	}
	z := newFloats(c, c.Input(3))
	return prepareFloatConv(c, v, func(y []float32) {
		for i, r := range z.get() {
			y[i] += r
		}
		for i, x := range y {
			y[i] = act(x)
		}
	})
}
