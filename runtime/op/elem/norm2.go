package elem

import (
	"math"

	"github.com/edgerun/edgerun/runtime/op"
)

func prepareLRN(c *op.Call) (op.Run, error) {
	return each{f64: lrn[float64], f32: lrn[float32]}.byInput(c)
}

// lrn is x / (bias + alpha/size * Σ x² over size neighbouring channels)**beta, in float64.
func lrn[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", 1), len(s))
	if err != nil {
		return nil, err
	}
	size := c.Attrs.Int("size", 0)
	if size < 1 {
		return nil, c.Errorf("size %d must be positive", size)
	}
	alpha, beta, bias := float64(c.Attrs.Float("alpha", 1e-4)), float64(c.Attrs.Float("beta", .75)), float64(c.Attrs.Float("bias", 1))
	power := func(v float64) float64 { return math.Pow(v, beta) }
	switch beta {
	case .5:
		power = math.Sqrt
	case .75:
		power = func(v float64) float64 {
			r := math.Sqrt(v)
			return r * math.Sqrt(r)
		}
	case 1:
		power = func(v float64) float64 { return v }
	}
	before, after := (size-1)/2, size/2
	return runLines(c, linesOf(s, axis, false), func(y, x []T, step int) {
		for i := 0; i < len(x); i += step {
			sum := 0.0
			for j := max(0, i-before*step); j < min(len(x), i+after*step+1); j += step {
				sum += float64(float64(x[j]) * float64(x[j]))
			}
			y[i] = T(float64(x[i]) / power(bias+float64(alpha/float64(size)*sum)))
		}
	}), nil
}

func prepareLpNorm(c *op.Call) (op.Run, error) {
	return each{f64: lpNorm[float64], f32: lpNorm[float32]}.byInput(c)
}

func lpNorm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	p := c.Attrs.Int("p", 2)
	if p != 1 && p != 2 {
		return nil, c.Errorf("p %d, want 1 or 2", p)
	}
	return runLines(c, linesOf(s, axis, false), func(y, x []T, step int) { lpLine(y, x, step, p, 0) }), nil
}

func prepareL2Norm(c *op.Call) (op.Run, error) {
	return each{f64: l2Norm[float64], f32: l2Norm[float32]}.byInput(c)
}

// l2Norm is TFLite's: along an axis, the last by default, the sum of squares at least epsilon.
func l2Norm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	eps := T(c.Attrs.Float("epsilon", 1e-6))
	return runLines(c, linesOf(s, axis, false), func(y, x []T, step int) { lpLine(y, x, step, 2, eps) }), nil
}

// lpLine divides a line by its norm, whose sum is at least least; a line of zeros stays one.
func lpLine[T float](y, x []T, step, p int, least T) {
	var l [16]T
	n := (len(x) + step - 1) / step
	if p == 1 {
		foldRun(foldAbs, &l, 0, x, n, step, 0)
	} else {
		squareRun(&l, 0, x, n, step)
	}
	norm := max(pairwise(&l), least)
	if p == 2 {
		norm = T(math.Sqrt(float64(norm)))
	}
	if norm == 0 {
		norm = 1
	}
	if y32, ok := as32(y); ok && step == 1 {
		x32, _ := as32(x)
		scalar32(div32, y32, x32, float32(norm))
		return
	}
	for i := 0; i < len(x); i += step {
		y[i] = x[i] / norm
	}
}

func prepareMVN(c *op.Call) (op.Run, error) {
	return each{f64: meanVarianceNorm[float64], f32: meanVarianceNorm[float32]}.byInput(c)
}

// meanVarianceNorm is (x-mean) / (sqrt(variance) + 1e-9) over some axes, in float64.
func meanVarianceNorm[T float](c *op.Call) (op.Run, error) {
	axes := c.Attrs.Ints("axes")
	if axes == nil {
		axes = []int{0, 2, 3}
	}
	list := make([]int, len(axes))
	for i, a := range axes {
		axis, err := c.Axis(a, len(c.In[0].Shape))
		if err != nil {
			return nil, err
		}
		list[i] = axis
	}
	g := newGroups(c.In[0].Shape, list)
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			at := g.start(o)
			sum, square := 0.0, 0.0
			for r := range g.runs {
				from := at + g.run(r)
				for i := range g.n {
					sum += float64(in[from+i*g.step])
				}
			}
			mean := sum / float64(g.size)
			for r := range g.runs {
				from := at + g.run(r)
				for i := range g.n {
					d := float64(in[from+i*g.step]) - mean
					square += float64(d * d)
				}
			}
			deviation := math.Sqrt(square/float64(g.size)) + 1e-9
			for r := range g.runs {
				from := at + g.run(r)
				for i := range g.n {
					out[from+i*g.step] = T((float64(in[from+i*g.step]) - mean) / deviation)
				}
			}
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		if g.size > 0 {
			c.Par.For(g.outputs, 1+grain/g.size, body)
		}
		y.put()
		return nil
	}, nil
}
