package move

import (
	"cmp"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var visionOps = map[string]op.Op{
	"GridSample":        {Infer: inferGridSample, Prepare: prepareGridSample},
	"AffineGrid":        {Infer: inferAffineGrid, Prepare: prepareAffineGrid},
	"RoiAlign":          {Infer: inferRoiAlign, Prepare: prepareRoiAlign},
	"NonMaxSuppression": {Infer: inferNMS, Prepare: prepareNMS},
	"Col2Im":            {Infer: inferCol2Im, Prepare: prepareCol2Im},
	"MaxUnpool":         {Infer: inferMaxUnpool, Prepare: prepareMaxUnpool},
}

// realsOf returns a function that reads a float tensor into a slice of float64 at run time.
func realsOf(c *op.Call, i int) (func() []float64, error) {
	t := c.Input(i)
	read, err := number(c, t.DType)
	if err != nil {
		return nil, err
	}
	buf := make([]float64, t.Len())
	return func() []float64 {
		for k := range buf {
			buf[k] = read(t, k)
		}
		return buf
	}, nil
}

func inferGridSample(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x, g := c.In[0].Shape, c.In[1].Shape
	if x == nil || g == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	if len(x) < 3 || len(x) > 5 || len(g) != len(x) || g[len(g)-1] >= 0 && g[len(g)-1] != len(x)-2 {
		return c.Errorf("input %v and grid %v do not fit", x, g)
	}
	c.Set(0, c.In[0].DType, append(tensor.Shape{x[0], x[1]}, g[1:len(g)-1]...))
	return nil
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
	mode, pad := c.Attrs.Str("mode", "linear"), c.Attrs.Str("padding_mode", "zeros")
	corners := c.Attrs.Bool("align_corners", false)
	n := len(x) - 2
	sp := x[2:]
	support := map[string]int{"nearest": 0, "linear": 1, "bilinear": 1, "cubic": 2, "bicubic": 2}
	width, ok := support[mode]
	if !ok {
		return nil, c.Errorf("mode %q unknown", mode)
	}
	if pad != "zeros" && pad != "border" && pad != "reflection" {
		return nil, c.Errorf("padding_mode %q unknown", pad)
	}
	place := func(v float64, d int) float64 {
		if corners {
			return (v + 1) / 2 * float64(d-1)
		}
		return ((v+1)*float64(d) - 1) / 2
	}
	// fix maps a position into the input; false where it reads zero.
	fix := func(i, d int) (int, bool) {
		switch {
		case i >= 0 && i < d:
			return i, true
		case pad == "zeros":
			return 0, false
		case pad == "border":
			return min(max(i, 0), d-1), true
		}
		lo, hi := -.5, float64(d)-.5
		if corners {
			lo, hi = 0, float64(d-1)
		}
		return min(max(int(reflect(float64(i), lo, hi)), 0), d-1), true
	}
	points := g[1 : len(g)-1].Len()
	xs := x.Strides()
	return func() error {
		src, at := in(), grid()
		for b := range x[0] {
			for p := range points {
				pos := make([]float64, n)
				for d := range n {
					pos[d] = place(at[(b*points+p)*n+n-1-d], sp[d])
					if pad == "border" {
						pos[d] = min(max(pos[d], 0), float64(sp[d]-1))
					} else if pad == "reflection" {
						if corners {
							pos[d] = reflect(pos[d], 0, float64(sp[d]-1))
						} else {
							pos[d] = reflect(pos[d], -.5, float64(sp[d])-.5)
						}
					}
				}
				for ch := range x[1] {
					var sample func(d, off int) float64
					sample = func(d, off int) float64 {
						if d == n {
							return src[off]
						}
						v := pos[d]
						if width == 0 {
							i, ok := fix(int(math.RoundToEven(v)), sp[d])
							if !ok {
								return 0
							}
							return sample(d+1, off+i*xs[2+d])
						}
						base := int(math.Floor(v))
						sum := 0.0
						for k := base - width + 1; k <= base+width; k++ {
							w := 1 - math.Abs(v-float64(k))
							if width == 2 {
								w = cubicWeight(-.75, math.Abs(v-float64(k)))
							}
							if i, ok := fix(k, sp[d]); ok && w != 0 {
								sum += w * sample(d+1, off+i*xs[2+d])
							}
						}
						return sum
					}
					if err := setNumber(c, y, (b*x[1]+ch)*points+p, sample(0, b*xs[0]+ch*xs[1])); err != nil {
						return err
					}
				}
			}
		}
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
	if size == nil {
		c.Set(0, c.In[0].DType, nil)
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
	corners := c.Attrs.Bool("align_corners", false)
	points := y.Shape[1 : n+1].Len()
	return func() error {
		t := theta()
		for b := range y.Shape[0] {
			for p := range points {
				v := make([]float64, n+1) // x first
				r := p
				for d := n - 1; d >= 0; d-- {
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
				v[n] = 1
				for k := range n {
					sum := 0.0
					for j := range n + 1 {
						sum += t[(b*n+k)*(n+1)+j] * v[j]
					}
					if err := setNumber(c, y, (b*points+p)*n+k, sum); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}, nil
}

func inferRoiAlign(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	s := unknown(4)
	if x := c.In[0].Shape; len(x) == 4 {
		s[1] = x[1]
	}
	if r := c.In[1].Shape; len(r) == 2 {
		s[0] = r[0]
	}
	s[2], s[3] = c.Attrs.Int("output_height", 1), c.Attrs.Int("output_width", 1)
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareRoiAlign(c *op.Call) (op.Run, error) {
	x, y := c.In[0].Shape, c.Out[0]
	if len(x) != 4 || len(c.In[1].Shape) != 2 || c.In[1].Shape[1] != 4 || c.In[2].Len() != c.In[1].Shape[0] {
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
	batch, err := indices(c, 2)
	if err != nil {
		return nil, err
	}
	scale, ratio := float64(c.Attrs.Float("spatial_scale", 1)), c.Attrs.Int("sampling_ratio", 0)
	offset := .5
	if c.Attrs.Str("coordinate_transformation_mode", "half_pixel") == "output_half_pixel" {
		offset = 0
	}
	most := c.Attrs.Str("mode", "avg") == "max"
	h, w := x[2], x[3]
	oh, ow := y.Shape[2], y.Shape[3]
	return func() error {
		src, r := in(), rois()
		for k := range y.Shape[0] {
			b, err := wrap(c, batch(k), x[0], k)
			if err != nil {
				return err
			}
			x0, y0 := r[k*4]*scale-offset, r[k*4+1]*scale-offset
			rw, rh := r[k*4+2]*scale-offset-x0, r[k*4+3]*scale-offset-y0
			if offset == 0 {
				rw, rh = max(rw, 1), max(rh, 1)
			}
			bh, bw := rh/float64(oh), rw/float64(ow)
			gh, gw := ratio, ratio
			if ratio <= 0 {
				gh, gw = max(1, int(math.Ceil(bh))), max(1, int(math.Ceil(bw)))
			}
			if gh > 1<<16 || gw > 1<<16 {
				return c.Errorf("region %d is too large", k)
			}
			for ch := range x[1] {
				plane := src[(b*x[1]+ch)*h*w:][:h*w]
				for p := range oh * ow {
					sum, top := 0.0, math.Inf(-1)
					for i := range gh {
						for j := range gw {
							py := y0 + float64(p/ow)*bh + (float64(i)+.5)*bh/float64(gh)
							px := x0 + float64(p%ow)*bw + (float64(j)+.5)*bw/float64(gw)
							v, m := roiSample(plane, h, w, py, px)
							sum += v
							top = max(top, m)
						}
					}
					v := sum / float64(gh*gw)
					if most {
						v = top
					}
					if err := setNumber(c, y, (k*x[1]+ch)*oh*ow+p, v); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}, nil
}

// roiSample is the bilinear value at (py, px), and the largest of its weighted corners.
func roiSample(plane []float64, h, w int, py, px float64) (sum, top float64) {
	if py < -1 || py > float64(h) || px < -1 || px > float64(w) {
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
	v := [4]float64{(1 - ly) * (1 - lx) * plane[y0*w+x0], (1 - ly) * lx * plane[y0*w+x1], ly * (1 - lx) * plane[y1*w+x0], ly * lx * plane[y1*w+x1]}
	return v[0] + v[1] + v[2] + v[3], max(v[0], v[1], v[2], v[3])
}

func inferNMS(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	c.Set(0, tensor.I64, tensor.Shape{-1, 3})
	return nil
}

// prepareNMS selects boxes greedily by score; equal scores go by index.
func prepareNMS(c *op.Call) (op.Run, error) {
	b, s := c.In[0].Shape, c.In[1].Shape
	if len(b) != 3 || len(s) != 3 || b[2] != 4 || b[0] != s[0] || b[1] != s[2] {
		return nil, c.Errorf("boxes %v and scores %v do not fit", b, s)
	}
	boxes, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	scores, err := realsOf(c, 1)
	if err != nil {
		return nil, err
	}
	centre := c.Attrs.Bool("center_point_box", false)
	option := func(i int, def float64) (float64, error) {
		if !given(c, i) || c.In[i].Len() == 0 {
			return def, nil
		}
		return scalar(c, i)
	}
	return func() error {
		most, err := option(2, 0)
		if err != nil {
			return err
		}
		overlap, err := option(3, 0)
		if err != nil {
			return err
		}
		least, err := option(4, math.Inf(-1))
		if err != nil {
			return err
		}
		bx, sc := boxes(), scores()
		var picked []int
		for n := range s[0] {
			corner := make([][4]float64, b[1])
			for i := range corner {
				v := bx[(n*b[1]+i)*4:][:4]
				if centre {
					corner[i] = [4]float64{v[1] - v[3]/2, v[0] - v[2]/2, v[1] + v[3]/2, v[0] + v[2]/2}
				} else {
					corner[i] = [4]float64{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
				}
			}
			for k := range s[1] {
				line := sc[(n*s[1]+k)*s[2]:][:s[2]]
				var order []int
				for i, v := range line {
					if v > least {
						order = append(order, i)
					}
				}
				slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(line[j], line[i]) })
				var kept []int
				for _, i := range order {
					if len(kept) >= int(most) {
						break
					}
					if !slices.ContainsFunc(kept, func(j int) bool { return iou(corner[i], corner[j]) > overlap }) {
						kept = append(kept, i)
						picked = append(picked, n, k, i)
					}
				}
			}
		}
		y, err := c.Alloc(0, tensor.I64, tensor.Shape{len(picked) / 3, 3})
		if err != nil {
			return err
		}
		for i, v := range picked {
			tensor.Of[int64](y)[i] = int64(v)
		}
		return nil
	}, nil
}

// iou is the intersection over union of boxes (y0, x0, y1, x1).
func iou(a, b [4]float64) float64 {
	h, w := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if h <= 0 || w <= 0 {
		return 0
	}
	union := (a[2]-a[0])*(a[3]-a[1]) + (b[2]-b[0])*(b[3]-b[1]) - h*w
	if union <= 0 {
		return 0
	}
	return h * w / union
}

// columns is the geometry of Col2Im.
type columns struct {
	image, block, stride, dilation, begin, count []int
}

func readColumns(c *op.Call) (*columns, error) {
	if !known(c, 1) || !known(c, 2) {
		return nil, nil
	}
	image, err := ints(c, 1)
	if err != nil {
		return nil, err
	}
	block, err := ints(c, 2)
	if err != nil {
		return nil, err
	}
	n := len(image)
	g := &columns{image: image, block: block, stride: c.Attrs.Ints("strides"), dilation: c.Attrs.Ints("dilations"), begin: c.Attrs.Ints("pads"), count: make([]int, n)}
	one := func(v []int, k, def int) []int {
		if v == nil {
			v = make([]int, k)
			for i := range v {
				v[i] = def
			}
		}
		return v
	}
	g.stride, g.dilation, g.begin = one(g.stride, n, 1), one(g.dilation, n, 1), one(g.begin, 2*n, 0)
	if n == 0 || len(block) != n || len(g.stride) != n || len(g.dilation) != n || len(g.begin) != 2*n {
		return nil, c.Errorf("image %v, block %v, strides, dilations and pads do not fit", image, block)
	}
	for i := range n {
		room := image[i] + g.begin[i] + g.begin[n+i] - (block[i]-1)*g.dilation[i] - 1
		if g.stride[i] < 1 || block[i] < 1 || room < 0 {
			return nil, c.Errorf("block %v does not fit image %v", block, image)
		}
		g.count[i] = room/g.stride[i] + 1
	}
	return g, nil
}

func inferCol2Im(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	x := c.In[0]
	g, err := readColumns(c)
	if err != nil {
		return err
	}
	if g == nil || !x.Shape.Known() {
		c.Set(0, x.DType, nil)
		return nil
	}
	b := tensor.Shape(g.block).Len()
	if len(x.Shape) != 3 || x.Shape[1]%b != 0 || x.Shape[2] != tensor.Shape(g.count).Len() {
		return c.Errorf("input %v does not hold blocks %v of image %v", x.Shape, g.block, g.image)
	}
	c.Set(0, x.DType, append(tensor.Shape{x.Shape[0], x.Shape[1] / b}, g.image...))
	return nil
}

func prepareCol2Im(c *op.Call) (op.Run, error) {
	g, err := readColumns(c)
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, c.Errorf("BUG: geometry is unknown")
	}
	in, err := realsOf(c, 0)
	if err != nil {
		return nil, err
	}
	y := c.Out[0]
	block, count, plane := tensor.Shape(g.block).Len(), tensor.Shape(g.count).Len(), tensor.Shape(g.image).Len()
	sum := make([]float64, plane)
	return func() error {
		src := in()
		for ch := range y.Len() / max(1, plane) {
			clear(sum)
			for b := range block {
				for p := range count {
					at, ok, rb, rp, step := 0, true, b, p, 1
					for d := len(g.image) - 1; d >= 0; d-- {
						i := rp%g.count[d]*g.stride[d] - g.begin[d] + rb%g.block[d]*g.dilation[d]
						rp /= g.count[d]
						rb /= g.block[d]
						ok = ok && i >= 0 && i < g.image[d]
						at += i * step
						step *= g.image[d]
					}
					if ok {
						sum[at] += src[(ch*block+b)*count+p]
					}
				}
			}
			for i, v := range sum {
				if err := setNumber(c, y, ch*plane+i, v); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

func inferMaxUnpool(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if given(c, 2) {
		s, err := ints(c, 2)
		if err != nil {
			return err
		}
		if s == nil {
			c.Set(0, x.DType, nil)
			return nil
		}
		if slices.Min(s) < 0 {
			return c.Errorf("output shape %v is negative", s)
		}
		c.Set(0, x.DType, tensor.Shape(s))
		return nil
	}
	if !x.Shape.Known() {
		c.Set(0, x.DType, nil)
		return nil
	}
	n := len(x.Shape) - 2
	k, st, pads := c.Attrs.Ints("kernel_shape"), c.Attrs.Ints("strides"), c.Attrs.Ints("pads")
	if n < 1 || len(k) != n || st != nil && len(st) != n || pads != nil && len(pads) != 2*n {
		return c.Errorf("kernel_shape %v, strides %v and pads %v for input %v", k, st, pads, x.Shape)
	}
	s := x.Shape.Clone()
	for i := range n {
		step, pad := 1, 0
		if st != nil {
			step = st[i]
		}
		if pads != nil {
			pad = pads[i] + pads[n+i]
		}
		if s[2+i] = (s[2+i]-1)*step + k[i] - pad; s[2+i] < 0 {
			return c.Errorf("output would have extent %d", s[2+i])
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareMaxUnpool(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if x.Len() != c.In[1].Len() {
		return nil, c.Errorf("%d indices for %d elements", c.In[1].Len(), x.Len())
	}
	at, err := indices(c, 1)
	if err != nil {
		return nil, err
	}
	// Indices count in the tensor that was pooled; a larger output keeps their place within it.
	pooled := *c
	pooled.In = c.In[:2]
	header := &tensor.Tensor{}
	pooled.Out = []*tensor.Tensor{header}
	from := y.Shape
	if c.Attrs.Has("kernel_shape") && inferMaxUnpool(&pooled) == nil && header.Shape.Known() && len(header.Shape) == len(y.Shape) {
		from = header.Shape
	}
	ys := y.Shape.Strides()
	n := from.Len()
	return func() error {
		clear(y.Data)
		cx, cy := cellsOf(x), cellsOf(y)
		for k := range x.Len() {
			i := at(k)
			if i < 0 || i >= n {
				return c.Errorf("index %d at position %d is out of range for %d elements", i, k, n)
			}
			to := 0
			for d := len(from) - 1; d >= 0; d-- {
				to += i % from[d] * ys[d]
				i /= from[d]
			}
			if to >= y.Len() {
				return c.Errorf("index at position %d is beyond output %v", k, y.Shape)
			}
			cx.copyTo(cy, to, k, 1)
		}
		return nil
	}, nil
}
