package elem

import (
	"math"

	"github.com/edgerun/edgerun/runtime/op"
)

var scanOps = map[string]op.Op{
	"CumSum":  {Infer: inferCum, Prepare: prepareCum},
	"CumProd": {Infer: inferCum, Prepare: prepareCum},
	"Det":     {Infer: inferDet, Prepare: prepareDet},
}

func inferCum(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	return same(c)
}

func prepareCum(c *op.Call) (op.Run, error) {
	return each{cumulate[float64], cumulate[float32], cumulate[int64], cumulate[int32], cumulate[int16], cumulate[int8],
		cumulate[uint64], cumulate[uint32], cumulate[uint16], cumulate[uint8]}.byInput(c)
}

// cumulate runs along an axis that may be computed.
func cumulate[T number](c *op.Call) (op.Run, error) {
	if d := c.In[1]; d.Len() != 1 || !d.DType.IsInt() {
		return nil, c.Errorf("axis is %v, want one integer", d)
	}
	axisOf, err := reader(c, c.In[1])
	if err != nil {
		return nil, err
	}
	s := c.In[0].Shape
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Out[0])
	exclusive, reverse := c.Attrs.Bool("exclusive", false), c.Attrs.Bool("reverse", false)
	product := c.Op == "CumProd"
	var l lines
	var in, out []T
	body := func(lo, hi int) {
		for k := lo; k < hi; k++ {
			at, step := l.start(k), l.inner
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
	}
	return func() error {
		axis, err := c.Axis(int(axisOf(0)), len(s))
		if err != nil {
			return err
		}
		l = linesOf(s, axis, false)
		in, out = x.get(), y.room()
		c.Par.For(l.count(), 1+grain/max(1, l.n), body)
		y.put()
		return nil
	}, nil
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
	count := c.Out[0].Len()
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

// determinant overwrites the n×n matrix m.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[p*n+k]) {
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
