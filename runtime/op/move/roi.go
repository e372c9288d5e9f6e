package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var roiOps = map[string]op.Op{
	"RoiAlign":   {Infer: inferRoiAlign, Prepare: prepareRoiAlign},
	"MaxRoiPool": {Infer: inferMaxRoiPool, Prepare: prepareMaxRoiPool},
}

// pooledShape is the shape of what regions of a picture are pooled to.
func pooledShape(c *op.Call, h, w int) error {
	if h < 1 || w < 1 || h > 1<<14 || w > 1<<14 {
		return c.Errorf("output of %d×%d", h, w)
	}
	s := tensor.Shape{-1, -1, h, w}
	if x := c.In[0].Shape; x != nil {
		if len(x) != 4 {
			return c.Errorf("input %v has not rank 4", x)
		}
		s[1] = x[1]
	}
	if r := c.In[1].Shape; r != nil {
		if len(r) != 2 {
			return c.Errorf("regions %v have not rank 2", r)
		}
		s[0] = r[0]
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func inferRoiAlign(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	return pooledShape(c, c.Attrs.Int("output_height", 1), c.Attrs.Int("output_width", 1))
}

// mostSamples bounds the samples per bin and direction.
const mostSamples = 1 << 12

// prepareRoiAlign samples each bin of a region on a grid and takes the mean or the largest corner.
func prepareRoiAlign(c *op.Call) (op.Run, error) {
	x, y := c.In[0].Shape, c.Out[0]
	if c.In[1].Shape[1] != 4 || c.In[2].Len() != c.In[1].Shape[0] {
		return nil, c.Errorf("input %v, regions %v and batch indices %v do not fit", x, c.In[1].Shape, c.In[2].Shape)
	}
	in, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	rois, err := realsOf(c, 1)
	if err != nil {
		return nil, err
	}
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	batch, err := indices(c, 2)
	if err != nil {
		return nil, err
	}
	scale, ratio := float64(c.Attrs.Float("spatial_scale", 1)), c.Attrs.Int("sampling_ratio", 0)
	offset := .5
	if c.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "output_half_pixel" {
		offset = 0
	}
	mode := c.Attrs.Str("mode", "avg")
	if mode != "avg" && mode != "max" {
		return nil, c.Errorf("mode %q unknown", mode)
	}
	most := mode == "max"
	channels, h, w := x[1], x[2], x[3]
	oh, ow := y.Shape[2], y.Shape[3]
	if y.Len() > 0 && h*w == 0 {
		return nil, c.Errorf("input %v has nothing to sample", x)
	}
	var src, r []float64
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			k, p := q/(oh*ow), q%(oh*ow)
			g := bins(r[k*4:], scale, offset, oh, ow, ratio)
			b := batch(k)
			if b < 0 {
				b += x[0]
			}
			for ch := range channels {
				plane := src[(b*channels+ch)*h*w:][:h*w]
				sum, top := 0.0, math.Inf(-1)
				for i := range g.rows {
					py := g.y + float64(float64(p/ow)*g.height) + (float64(i)+.5)*g.height/float64(g.rows)
					for j := range g.cols {
						px := g.x + float64(float64(p%ow)*g.width) + (float64(j)+.5)*g.width/float64(g.cols)
						v, m := roiSample(plane, h, w, py, px)
						sum += v
						top = max(top, m)
					}
				}
				v := sum / float64(g.rows*g.cols)
				if most {
					v = top
				}
				set(y, (k*channels+ch)*oh*ow+p, v)
			}
		}
	}
	all := y.Shape[0] * oh * ow
	grain := cellsOf(y).split(all, 64*channels)
	return func() error {
		src, r = in(), rois()
		for k := range y.Shape[0] {
			if _, err := wrap(c, batch(k), x[0], k); err != nil {
				return err
			}
			if g := bins(r[k*4:], scale, offset, oh, ow, ratio); g.rows > mostSamples || g.cols > mostSamples {
				return c.Errorf("region %d is too large", k)
			}
		}
		c.Par.For(all, grain, body)
		return nil
	}, nil
}

// binning is how a region is cut into bins.
type binning struct {
	x, y, width, height float64 // of the region's corner, and of one bin
	rows, cols          int     // samples per bin
}

func bins(r []float64, scale, offset float64, oh, ow, ratio int) binning {
	x, y := float64(r[0]*scale)-offset, float64(r[1]*scale)-offset
	w, h := float64(r[2]*scale)-offset-x, float64(r[3]*scale)-offset-y
	if offset == 0 {
		w, h = max(w, 1), max(h, 1)
	}
	g := binning{x, y, w / float64(ow), h / float64(oh), ratio, ratio}
	if ratio <= 0 {
		few := func(v float64) int {
			if !(v < mostSamples) {
				return mostSamples + 1
			}
			return max(1, int(math.Ceil(v)))
		}
		g.rows, g.cols = few(g.height), few(g.width)
	}
	return g
}

// roiSample is the bilinear value at (py, px), and the largest of its weighted corners.
func roiSample(plane []float64, h, w int, py, px float64) (sum, top float64) {
	if !(py >= -1 && py <= float64(h) && px >= -1 && px <= float64(w)) {
		return 0, 0
	}
	py, px = max(py, 0), max(px, 0)
	y0, x0 := min(int(py), h-1), min(int(px), w-1)
	y1, x1 := min(y0+1, h-1), min(x0+1, w-1)
	if y0 == h-1 {
		py = float64(y0)
	}
	if x0 == w-1 {
		px = float64(x0)
	}
	ly, lx := py-float64(y0), px-float64(x0)
	a, b := float64((1-ly)*(1-lx))*plane[y0*w+x0], float64((1-ly)*lx)*plane[y0*w+x1]
	d, e := float64(ly*(1-lx))*plane[y1*w+x0], float64(ly*lx)*plane[y1*w+x1]
	return float64(a) + float64(b) + float64(d) + float64(e), max(a, b, d, e)
}

func inferMaxRoiPool(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	p := c.Attrs.Ints("pooled_shape")
	if len(p) != 2 {
		return c.Errorf("pooled_shape %v, want two extents", p)
	}
	return pooledShape(c, p[0], p[1])
}

// prepareMaxRoiPool cuts each region, whose corners are rounded to elements, into bins and takes the largest element of each;
// bins without elements are zero.
func prepareMaxRoiPool(c *op.Call) (op.Run, error) {
	x, y := c.In[0].Shape, c.Out[0]
	if c.In[1].Shape[1] != 5 {
		return nil, c.Errorf("regions %v, want a batch index and two corners each", c.In[1].Shape)
	}
	in, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	rois, err := realsOf(c, 1)
	if err != nil {
		return nil, err
	}
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	scale := float64(c.Attrs.Float("spatial_scale", 1))
	channels, h, w := x[1], x[2], x[3]
	oh, ow := y.Shape[2], y.Shape[3]
	// edges are the elements of bin i of n in a region from a to b.
	edges := func(a, b float64, i, n, extent int) (int, int) {
		first := math.Round(float64(a * scale))
		size := max(math.Round(float64(b*scale))-first+1, 1) / float64(n)
		lo, hi := math.Floor(float64(float64(i)*size))+first, math.Ceil(float64(float64(i+1)*size))+first
		e := float64(extent)
		return int(min(max(lo, 0), e)), int(min(max(hi, 0), e))
	}
	var src, r []float64
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			k, p := q/(oh*ow), q%(oh*ow)
			roi := r[k*5 : k*5+5]
			x0, x1 := edges(roi[1], roi[3], p%ow, ow, w)
			y0, y1 := edges(roi[2], roi[4], p/ow, oh, h)
			for ch := range channels {
				plane := src[(int(roi[0])*channels+ch)*h*w:][:h*w]
				top := math.Inf(-1)
				for i := y0; i < y1; i++ {
					for _, v := range plane[i*w+x0 : i*w+max(x0, x1)] {
						top = max(top, v)
					}
				}
				if y1 <= y0 || x1 <= x0 {
					top = 0
				}
				set(y, (k*channels+ch)*oh*ow+p, top)
			}
		}
	}
	all := y.Shape[0] * oh * ow
	grain := cellsOf(y).split(all, 64*channels)
	return func() error {
		src, r = in(), rois()
		for k := range y.Shape[0] {
			roi := r[k*5 : k*5+5]
			if b := roi[0]; !(b >= 0 && b < float64(x[0])) {
				return c.Errorf("batch index %g of region %d is out of range for extent %d", b, k, x[0])
			}
			for _, v := range roi[1:] {
				if !(math.Abs(v*scale) < 1<<30) {
					return c.Errorf("region %d has a corner at %g", k, v)
				}
			}
		}
		c.Par.For(all, grain, body)
		return nil
	}, nil
}
