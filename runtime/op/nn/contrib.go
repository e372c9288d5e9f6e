package nn

import (
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
	s, err := matmulShape(c, transposedShape(c.In[0].Shape, c.Attrs.Bool("transA", false)), transposedShape(c.In[1].Shape, c.Attrs.Bool("transB", false)))
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareFusedMatMul(c *op.Call) (op.Run, error) {
	if c.Attrs.Bool("transBatchA", false) || c.Attrs.Bool("transBatchB", false) {
		return nil, c.Errorf("transBatchA and transBatchB unsupported")
	}
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
	return scaled(c, run, c.Attrs.Float("alpha", 1), nil), nil
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
