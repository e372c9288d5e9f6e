package move

import (
	"cmp"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var visionOps = map[string]op.Op{
	"GridSample":        {Infer: inferGridSample, Prepare: prepareGridSample},
	"AffineGrid":        {Infer: inferAffineGrid, Prepare: prepareAffineGrid},
	"NonMaxSuppression": {Infer: inferNMS, Prepare: prepareNMS},
	"Col2Im":            {Infer: inferCol2Im, Prepare: prepareCol2Im},
	"MaxUnpool":         {Infer: inferMaxUnpool, Prepare: prepareMaxUnpool},
}

func inferNMS(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	c.Set(0, tensor.I64, tensor.Shape{-1, 3})
	return nil
}

// prepareNMS selects boxes greedily by score; equal scores go by index. Areas and ratios are rounded to float32 at every step, so
// that ratios at the threshold fall as with other runtimes.
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
		least, err := option(4, 0)
		if err != nil {
			return err
		}
		all := !given(c, 4) || c.In[4].Len() == 0
		bx, sc := boxes(), scores()
		var picked []int
		for n := range s[0] {
			corner := make([][4]float32, b[1])
			for i := range corner {
				var v [4]float32
				for k, f := range bx[(n*b[1]+i)*4:][:4] {
					v[k] = float32(f)
				}
				if centre {
					h, w := v[3]/2, v[2]/2
					corner[i] = [4]float32{v[1] - h, v[0] - w, v[1] + h, v[0] + w}
				} else {
					corner[i] = [4]float32{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
				}
			}
			for k := range s[1] {
				line := sc[(n*s[1]+k)*s[2]:][:s[2]]
				var order []int
				for i, v := range line {
					if all || v > least {
						order = append(order, i)
					}
				}
				slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(line[j], line[i]) })
				var kept []int
				for _, i := range order {
					if float64(len(kept)) >= most { // most may be beyond int
						break
					}
					if !slices.ContainsFunc(kept, func(j int) bool { return float64(iou(&corner[i], &corner[j])) > overlap }) {
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

// iou is the intersection over union of boxes (y0, x0, y1, x1); 0 where one of them is empty.
func iou(a, b *[4]float32) float32 {
	h, w := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if !(h > 0 && w > 0) {
		return 0
	}
	both := float32(h * w)
	first, second := float32((a[2]-a[0])*(a[3]-a[1])), float32((b[2]-b[0])*(b[3]-b[1]))
	union := float32(first+second) - both
	if !(both > 0 && first > 0 && second > 0 && union > 0) {
		return 0
	}
	return both / union
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
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	block, count, plane := tensor.Shape(g.block).Len(), tensor.Shape(g.count).Len(), tensor.Shape(g.image).Len()
	sum := op.Make[float64](c, plane)
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
				set(y, ch*plane+i, v)
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
		shape, err := extents(c, s)
		if err != nil {
			return err
		}
		c.Set(0, x.DType, shape)
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
