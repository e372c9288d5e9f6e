package elem

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var scanOps = map[string]op.Op{
	"CumSum":  {Infer: same, Prepare: prepareCum},
	"CumProd": {Infer: same, Prepare: prepareCum},
	"Det":     {Infer: inferDet, Prepare: prepareDet},
}

func prepareCum(c *op.Call) (op.Run, error) {
	if err := c.Need(2); err != nil {
		return nil, err
	}
	return byType{
		f64: func() op.Run { return cumulate[float64](c) }, f32: func() op.Run { return cumulate[float32](c) },
		i64: func() op.Run { return cumulate[int64](c) }, i32: func() op.Run { return cumulate[int32](c) },
		i16: func() op.Run { return cumulate[int16](c) }, i8: func() op.Run { return cumulate[int8](c) },
		u64: func() op.Run { return cumulate[uint64](c) }, u32: func() op.Run { return cumulate[uint32](c) },
		u16: func() op.Run { return cumulate[uint16](c) }, u8: func() op.Run { return cumulate[uint8](c) },
	}.pick(c, c.In[0].DType)
}

func cumulate[T number](c *op.Call) op.Run {
	x, y := newView[T](c.In[0]), newView[T](c.Out[0])
	exclusive, reverse := c.Attrs.Bool("exclusive", false), c.Attrs.Bool("reverse", false)
	product := c.Op == "CumProd"
	return func() error {
		v, err := c.In[1].Ints()
		if err != nil || len(v) != 1 {
			return c.Errorf("axis is %v, want one integer", c.In[1])
		}
		axis, err := c.Axis(int(v[0]), len(c.In[0].Shape))
		if err != nil {
			return err
		}
		l := linesOf(c.In[0].Shape, axis, false)
		in, out := x.get(), y.room()
		for k := range l.outer * l.inner {
			at, step := k/l.inner*l.n*l.inner+k%l.inner, l.inner
			if reverse {
				at, step = at+(l.n-1)*l.inner, -step
			}
			var acc T
			if product {
				acc = 1
			}
			for range l.n {
				e := in[at]
				if exclusive {
					out[at] = acc
				}
				if product {
					acc *= e
				} else {
					acc += e
				}
				if !exclusive {
					out[at] = acc
				}
				at += step
			}
		}
		y.put()
		return nil
	}
}

func inferDet(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	n := len(s)
	if n < 2 || s[n-1] >= 0 && s[n-2] >= 0 && s[n-1] != s[n-2] {
		return c.Errorf("input %v holds no square matrices", s)
	}
	c.Set(0, c.In[0].DType, s[:n-2])
	return nil
}

// prepareDet eliminates with partial pivoting in float64.
func prepareDet(c *op.Call) (op.Run, error) {
	get, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	n := c.In[0].Shape[len(c.In[0].Shape)-1]
	count := tensor.Shape(c.Out[0].Shape).Len()
	m := make([]float64, n*n)
	return func() error {
		for b := range count {
			for i := range m {
				m[i] = get(b*n*n + i)
			}
			put(b, determinant(m, n))
		}
		return nil
	}, nil
}

func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if abs(m[i*n+k]) > abs(m[p*n+k]) {
				p = i
			}
		}
		if m[p*n+k] == 0 {
			return 0
		}
		if p != k {
			for j := range n {
				m[p*n+j], m[k*n+j] = m[k*n+j], m[p*n+j]
			}
			det = -det
		}
		det *= m[k*n+k]
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= float64(f * m[k*n+j])
			}
		}
	}
	return det
}

func abs(x float64) float64 { return max(x, -x) }
