package move

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

func inferGridSample(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, g := c.In[0].Shape, c.In[1].Shape
	if x == nil || g == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	if len(x) < 3 || len(x) > 5 || len(g) != len(x) || g[len(g)-1] >= 0 && g[len(g)-1] != len(x)-2 || x[0] >= 0 && g[0] >= 0 && x[0] != g[0] {
		return c.Errorf("input %v and grid %v do not fit", x, g)
	}
	c.Set(0, c.In[0].DType, append(tensor.Shape{x[0], x[1]}, g[1:len(g)-1]...))
	return nil
}

// sampler reads a picture at positions between its elements.
type sampler struct {
	dims, steps       []int // of the space
	support           int   // taps on each side; 0: the nearest alone
	corners           bool
	border, reflected bool
}

// tapsOf holds the elements that a position mixes, with their weights.
type tapsOf struct {
	n  int
	at [64]int
	w  [64]float64
}

// fold brings a position that lies beyond the picture's edge back.
func (s *sampler) fold(v float64, d int) float64 {
	lo, hi := -.5, float64(d)-.5
	if s.corners {
		lo, hi = 0, float64(d-1)
	}
	switch {
	case v >= lo && v <= hi:
	case s.border:
		return min(max(v, 0), float64(d-1))
	case s.reflected:
		return reflect(v, lo, hi)
	}
	return v
}

// find fills t for one position, given from -1 to 1 with the innermost dimension first.
func (s *sampler) find(t *tapsOf, at []float64) {
	t.n, t.at[0], t.w[0] = 1, 0, 1
	for d, extent := range s.dims {
		v := at[len(s.dims)-1-d]
		if s.corners {
			v = (v + 1) / 2 * float64(extent-1)
		} else {
			v = (float64((v+1)*float64(extent)) - 1) / 2
		}
		if s.support == 0 {
			v = math.RoundToEven(v)
		}
		v = s.fold(v, extent)
		if !(math.Abs(v) < 1<<30) { // NaN, or far outside
			t.n = 0
			return
		}
		first, taps := int(math.Floor(v)), max(1, 2*s.support)
		if s.support == 2 {
			first--
		}
		var index [4]int
		var weight [4]float64
		n := 0
		for k := first; k < first+taps; k++ {
			i, w := k, 1.0
			switch s.support {
			case 1:
				w = 1 - math.Abs(v-float64(k))
			case 2:
				w = cubicWeight(-.75, math.Abs(v-float64(k)))
			}
			if i < 0 || i >= extent {
				switch {
				case s.border:
					i = min(max(i, 0), extent-1)
				case s.reflected:
					i = min(max(int(s.fold(float64(i), extent)), 0), extent-1)
				default:
					continue
				}
			}
			if w != 0 {
				index[n], weight[n] = i*s.steps[d], w
				n++
			}
		}
		// All combinations, the last first, so that none is overwritten before it is read.
		for a := t.n - 1; a >= 0; a-- {
			base, w := t.at[a], t.w[a]
			for b := n - 1; b >= 0; b-- {
				t.at[a*n+b], t.w[a*n+b] = base+index[b], float64(w*weight[b])
			}
		}
		t.n *= n
	}
}

func prepareGridSample(c *op.Call) (op.Run, error) {
	x, g, y := c.In[0].Shape, c.In[1].Shape, c.Out[0]
	in, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	grid, err := realsOf(c, 1)
	if err != nil {
		return nil, err
	}
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	mode, pad := c.Attrs.Str("mode", "linear"), c.Attrs.Str("padding_mode", "zeros")
	s := &sampler{dims: x[2:], steps: x.Strides()[2:], corners: c.Attrs.Bool("align_corners", false), border: pad == "border", reflected: pad == "reflection"}
	switch mode {
	case "nearest":
	case "linear", "bilinear":
		s.support = 1
	case "cubic", "bicubic":
		s.support = 2
	default:
		return nil, c.Errorf("mode %q unknown", mode)
	}
	if pad != "zeros" && !s.border && !s.reflected {
		return nil, c.Errorf("padding_mode %q unknown", pad)
	}
	if y.Len() == 0 {
		return nothing, nil
	}
	n := len(s.dims)
	plane := x[2:].Len()
	if plane == 0 {
		return nil, c.Errorf("input %v has nothing to sample", x)
	}
	points := g[1 : len(g)-1].Len()
	channels := x[1]
	var src, at []float64
	body := func(lo, hi int) {
		var t tapsOf
		for q := lo; q < hi; q++ {
			b, p := q/points, q%points
			s.find(&t, at[q*n:(q+1)*n])
			for ch := range channels {
				from := src[(b*channels+ch)*plane:][:plane]
				sum := 0.0
				for k := range t.n {
					sum += float64(t.w[k] * from[t.at[k]])
				}
				set(y, (b*channels+ch)*points+p, sum)
			}
		}
	}
	grain := cellsOf(y).split(x[0]*points, 4*channels)
	return func() error {
		src, at = in(), grid()
		c.Par.For(x[0]*points, grain, body)
		return nil
	}, nil
}

// reflect folds v into [lo, hi].
func reflect(v, lo, hi float64) float64 {
	span := hi - lo
	if span <= 0 {
		return lo
	}
	v = math.Mod(math.Abs(v-lo), 2*span)
	if v > span {
		v = 2*span - v
	}
	return lo + v
}

func inferAffineGrid(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	size, err := ints(c, 1)
	if err != nil {
		return err
	}
	if !known(c, 1) {
		var s tensor.Shape
		if n := c.In[1].Shape; len(n) == 1 && n[0] > 2 && n[0] < tensor.MaxRank {
			s = unknown(n[0])
			s[n[0]-1] = n[0] - 2
		}
		c.Set(0, c.In[0].DType, s)
		return nil
	}
	if len(size) != 4 && len(size) != 5 || slices.Min(size) < 0 {
		return c.Errorf("size %v, want 4 or 5 extents", size)
	}
	s := append(tensor.Shape{size[0]}, size[2:]...)
	c.Set(0, c.In[0].DType, append(s, len(size)-2))
	return nil
}

func prepareAffineGrid(c *op.Call) (op.Run, error) {
	y := c.Out[0]
	n := len(y.Shape) - 2
	if !c.In[0].Shape.Equal(tensor.Shape{y.Shape[0], n, n + 1}) {
		return nil, c.Errorf("theta %v for output %v", c.In[0].Shape, y.Shape)
	}
	theta, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	corners := c.Attrs.Bool("align_corners", false)
	points := y.Shape[1 : n+1].Len()
	var t []float64
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			var v [4]float64 // the innermost dimension first
			v[n] = 1
			for d, r := n-1, q%points; d >= 0; d-- {
				e := y.Shape[1+d]
				i := float64(r % e)
				r /= e
				switch {
				case !corners:
					v[n-1-d] = (2*i+1)/float64(e) - 1
				case e > 1:
					v[n-1-d] = 2*i/float64(e-1) - 1
				default:
					v[n-1-d] = -1
				}
			}
			for k := range n {
				row := t[(q/points*n+k)*(n+1):][:n+1]
				sum := 0.0
				for j, w := range row {
					sum += float64(w * v[j])
				}
				set(y, q*n+k, sum)
			}
		}
	}
	all := y.Shape[0] * points
	grain := cellsOf(y).split(all, 16)
	return func() error {
		t = theta()
		c.Par.For(all, grain, body)
		return nil
	}, nil
}
