package tree

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += float64(v * b[i])
	}
	return s
}

// weights of a linear model: one row of coefficients per target.
type linear struct {
	coefficients, intercepts []float64
	targets                  int
}

func (m *linear) score(x, out []float64) {
	for t := range m.targets {
		if out[t] = dot(x, m.coefficients[t*len(x):]); len(m.intercepts) > 0 {
			out[t] += m.intercepts[t]
		}
	}
}

func readLinear(c *op.Call, cols int) (*linear, error) {
	m := &linear{coefficients: reals(c, "coefficients"), intercepts: reals(c, "intercepts")}
	n := len(m.coefficients)
	if cols < 1 || n == 0 || n%cols != 0 {
		return nil, c.Errorf("%d coefficients for %d features", n, cols)
	}
	m.targets = n / cols
	if len(m.intercepts) != 0 && len(m.intercepts) != m.targets {
		return nil, c.Errorf("%d intercepts for %d targets", len(m.intercepts), m.targets)
	}
	return m, nil
}

func inferLinearRegressor(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	n := c.Attrs.Int("targets", 1)
	if n < 1 || n > 1<<20 {
		return c.Errorf("targets %d", n)
	}
	c.Set(0, tensor.F32, tensor.Shape{rows, n})
	return nil
}

func prepareLinearRegressor(c *op.Call) (op.Run, error) {
	rows, cols, _ := checkRows(c)
	m, err := readLinear(c, cols)
	if err != nil {
		return nil, err
	}
	if m.targets != c.Out[0].Shape[1] {
		return nil, c.Errorf("%d coefficients for %d features and %d targets", len(m.coefficients), cols, c.Out[0].Shape[1])
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	return perRow(c, c.Out[0], rows, cols, m.targets, func(_ int, x, y []float64) {
		m.score(x, y)
		post(y)
	}), nil
}

// perRow returns the work that makes each row of z, of width n, from one of input 0. z may be nil.
func perRow(c *op.Call, z *tensor.Tensor, rows, cols, n int, f func(r int, x, y []float64)) op.Run {
	read := input(c, 0)
	var x []float64
	y := op.Make[float64](c, rows*n)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			f(r, x[r*cols:(r+1)*cols], y[r*n:(r+1)*n])
		}
	}
	grain := 1 + (1<<12)/max(1, cols*n)
	return func() error {
		x = read()
		c.Par.For(rows, grain, body)
		if z != nil {
			number.Write(z, y)
		}
		return nil
	}
}

// linearWidth is the number of scores of a linear classifier, -1 where unknown: one target for two classes gives both.
func linearWidth(c *op.Call, l labels, cols int) int {
	n := -1
	if k := len(reals(c, "intercepts")); k > 0 {
		n = k
	} else if cols > 0 {
		n = len(reals(c, "coefficients")) / cols
	}
	if n == 1 && l.len() == 2 {
		n = 2
	}
	return n
}

func inferLinearClassifier(c *op.Call) error {
	rows, cols, err := checkRows(c)
	if err != nil {
		return err
	}
	l := readLabels(c, "classlabels_ints")
	setClassified(c, l, rows, linearWidth(c, l, cols))
	return nil
}

func prepareLinearClassifier(c *op.Call) (op.Run, error) {
	rows, cols, _ := checkRows(c)
	m, err := readLinear(c, cols)
	if err != nil {
		return nil, err
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	l := readLabels(c, "classlabels_ints")
	if k := l.len(); k != 0 && k != m.targets && !(m.targets == 1 && k == 2) {
		return nil, c.Errorf("%d labels for %d targets", k, m.targets)
	}
	n := linearWidth(c, l, cols)
	least := .5
	if c.Attrs.Str("post_transform", "NONE") == "NONE" {
		least = 0
	}
	return perRow(c, c.Output(1), rows, cols, n, func(r int, x, y []float64) {
		m.score(x, y)
		if m.targets < n {
			y[0], y[1] = -y[0], y[0]
		}
		post(y)
		k := best(y)
		if n == 1 { // the class, or none of it
			switch yes := y[0] >= least; {
			case !yes && l.len() > 0:
				k = -1
			case yes && l.len() == 0:
				k = 1
			}
		}
		l.put(c.Output(0), r, k)
	}), nil
}

// machine is a support vector machine's kernel and vectors.
type machine struct {
	kernel             string
	gamma, coef, power float64
	vectors            []float64
	coefficients, rho  []float64
	// count is the number of support vectors; 0 makes the machine linear in its coefficients.
	count int
}

func readMachine(c *op.Call, count, cols int) (*machine, error) {
	m := &machine{kernel: c.Attrs.Str("kernel_type", "LINEAR"), vectors: reals(c, "support_vectors"), coefficients: reals(c, "coefficients"), rho: reals(c, "rho"), count: count}
	if p := c.Attrs.Floats("kernel_params"); len(p) >= 3 {
		m.gamma, m.coef, m.power = float64(p[0]), float64(p[1]), float64(p[2])
	}
	switch m.kernel {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return nil, c.Errorf("kernel_type %q unknown", m.kernel)
	}
	if count == 0 {
		m.kernel = "LINEAR"
	}
	if count < 0 || cols < 1 || count > 0 && len(m.vectors) != count*cols || len(m.rho) == 0 || len(m.coefficients) == 0 {
		return nil, c.Errorf("%d support vectors of %d features, %d values, %d coefficients and %d rho do not fit", count, cols, len(m.vectors), len(m.coefficients), len(m.rho))
	}
	return m, nil
}

// similarity is the kernel function.
func (m *machine) similarity(a, b []float64) float64 {
	switch m.kernel {
	case "RBF":
		s := 0.0
		for i, v := range a {
			d := v - b[i]
			s += float64(d * d)
		}
		return float64(fmath.Exp(float32(-m.gamma * s)))
	case "POLY":
		s := float64(dot(a, b)*m.gamma) + m.coef
		if m.power == math.Trunc(m.power) && m.power >= 0 && m.power <= 64 {
			p := 1.0
			for range int(m.power) {
				p *= s
			}
			return p
		}
		return math.Pow(s, m.power)
	case "SIGMOID":
		return float64(fmath.Tanh(float32(float64(dot(a, b)*m.gamma) + m.coef)))
	}
	return dot(a, b)
}

func inferSVMRegressor(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	c.Set(0, tensor.F32, tensor.Shape{rows, 1})
	return nil
}

func prepareSVMRegressor(c *op.Call) (op.Run, error) {
	rows, cols, _ := checkRows(c)
	m, err := readMachine(c, c.Attrs.Int("n_supports", 0), cols)
	if err != nil {
		return nil, err
	}
	if m.count > 0 && len(m.coefficients) < m.count || m.count == 0 && len(m.coefficients) != cols {
		return nil, c.Errorf("%d coefficients for %d support vectors and %d features", len(m.coefficients), m.count, cols)
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	oneClass := c.Attrs.Bool("one_class", false)
	return perRow(c, c.Out[0], rows, cols, 1, func(_ int, x, y []float64) {
		s := m.rho[0]
		if m.count == 0 {
			s += dot(x, m.coefficients)
		}
		for j := range m.count {
			s += float64(m.coefficients[j] * m.similarity(x, m.vectors[j*cols:]))
		}
		if y[0] = s; oneClass {
			if y[0] = -1; s > 0 {
				y[0] = 1
			}
		}
		post(y)
	}), nil
}
