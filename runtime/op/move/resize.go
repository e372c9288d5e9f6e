package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var resizeOps = map[string]op.Op{
	"Resize": {Infer: inferResize, Prepare: prepareResize},
}

// resizing is what a Resize does to each dimension.
type resizing struct {
	scale []float64
	out   []int
	roi   []float64 // starts, then ends
}

// readResize reads scales or sizes; nil where they are not known yet.
func readResize(c *op.Call) (*resizing, error) {
	s := c.In[0].Shape
	rank := len(s)
	axes, err := cropAxes(c, rank)
	if err != nil {
		return nil, err
	}
	hasSizes := given(c, 3) && !(known(c, 3) && c.In[3].Len() == 0)
	hasScales := given(c, 2) && !(known(c, 2) && c.In[2].Len() == 0)
	if !hasSizes && !hasScales {
		return nil, c.Errorf("neither scales nor sizes are given")
	}
	if hasSizes && !known(c, 3) || !hasSizes && !known(c, 2) || !s.Known() {
		return nil, nil
	}
	r := &resizing{scale: make([]float64, rank), out: s.Clone(), roi: make([]float64, 2*rank)}
	for i := range rank {
		r.scale[i], r.roi[rank+i] = 1, 1
	}
	if t := c.Input(1); t != nil && t.HasData() && t.Len() == 2*len(axes) {
		read, err := number(c, t.DType)
		if err != nil {
			return nil, err
		}
		for i, a := range axes {
			r.roi[a], r.roi[rank+a] = read(t, i), read(t, len(axes)+i)
		}
	}
	if hasSizes {
		v, err := ints(c, 3)
		if err != nil {
			return nil, err
		}
		if len(v) != len(axes) {
			return nil, c.Errorf("%d sizes for %d axes", len(v), len(axes))
		}
		policy := c.Attrs.Str("keep_aspect_ratio_policy", "stretch")
		best := 0.0
		for i, a := range axes {
			if v[i] <= 0 || s[a] == 0 {
				return nil, c.Errorf("size %d of an extent of %d", v[i], s[a])
			}
			r.out[a], r.scale[a] = v[i], float64(v[i])/float64(s[a])
			if i == 0 || policy == "not_larger" && r.scale[a] < best || policy == "not_smaller" && r.scale[a] > best {
				best = r.scale[a]
			}
		}
		if policy != "stretch" {
			for _, a := range axes {
				r.scale[a] = best
				r.out[a] = int(math.Floor(best*float64(s[a]) + .5))
			}
		}
		return r, nil
	}
	t := c.In[2]
	read, err := number(c, t.DType)
	if err != nil {
		return nil, err
	}
	if t.Len() != len(axes) {
		return nil, c.Errorf("%d scales for %d axes", t.Len(), len(axes))
	}
	crop := c.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize"
	for i, a := range axes {
		f := read(t, i)
		if !(f > 0) || f > 1<<20 {
			return nil, c.Errorf("scale %g", f)
		}
		r.scale[a] = f
		n := float64(s[a])
		if crop {
			n *= r.roi[rank+a] - r.roi[a]
		}
		// Scales are float32; what they should reach exactly may be a hair below.
		r.out[a] = int(math.Floor(n*f + 1e-6))
	}
	return r, nil
}

func inferResize(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	r, err := readResize(c)
	if err != nil {
		return err
	}
	if r == nil {
		c.Set(0, x.DType, unknown(len(x.Shape)))
		return nil
	}
	c.Set(0, x.DType, r.out)
	return nil
}

// tap is one input position and its weight. Position -1 stands for the extrapolation value.
type tap struct {
	at int
	w  float32
}

// coordinate is where output position o of a dimension lies in the input.
func coordinate(mode string, o, in, out int, scale, start, end float64) (float64, bool) {
	x := float64(o)
	switch mode {
	case "half_pixel", "":
		return (x+.5)/scale - .5, false
	case "half_pixel_symmetric":
		adjust := float64(out) / (scale * float64(in))
		center := float64(in) / 2
		return center*(1-adjust) + (x+.5)/scale - .5, false
	case "pytorch_half_pixel":
		if out > 1 {
			return (x+.5)/scale - .5, false
		}
		return 0, false
	case "align_corners":
		resized := scale * float64(in) // a fraction where scales are given
		if out == 1 && resized < 2 && resized != math.Trunc(resized) || resized == 1 {
			return 0, false
		}
		return x * float64(in-1) / (resized - 1), false
	case "asymmetric":
		return x / scale, false
	case "tf_half_pixel_for_nn":
		return (x + .5) / scale, false
	case "tf_crop_and_resize":
		var p float64
		if out > 1 {
			p = start*float64(in-1) + x*(end-start)*float64(in-1)/float64(out-1)
		} else {
			p = .5 * (start + end) * float64(in-1)
		}
		return p, p < 0 || p > float64(in-1)
	}
	return math.NaN(), false
}

// taps lists, for each output position of a dimension, the input positions that it mixes.
func (r *resizing) taps(c *op.Call, d int) ([][]tap, error) {
	in, out := c.In[0].Shape[d], r.out[d]
	rank := len(r.out)
	mode := c.Attrs.Str("mode", "nearest")
	coord := c.Attrs.Str("coordinate_transformation_mode", "half_pixel")
	antialias := c.Attrs.Bool("antialias", false) && r.scale[d] < 1
	exclude := c.Attrs.Bool("exclude_outside", false)
	cubic := float64(c.Attrs.Float("cubic_coeff_a", -.75))
	list := make([][]tap, out)
	for o := range list {
		x, outside := coordinate(coord, o, in, out, r.scale[d], r.roi[d], r.roi[rank+d])
		if x != x {
			return nil, c.Errorf("coordinate_transformation_mode %q unknown", coord)
		}
		if outside {
			list[o] = []tap{{-1, 1}}
			continue
		}
		if mode == "nearest" {
			n, err := nearest(c, x)
			if err != nil {
				return nil, err
			}
			list[o] = []tap{{min(max(n, 0), in-1), 1}}
			continue
		}
		var support float64
		var weight func(t float64) float64
		switch mode {
		case "linear":
			support, weight = 1, func(t float64) float64 { return max(0, 1-math.Abs(t)) }
		case "cubic":
			support, weight = 2, func(t float64) float64 { return cubicWeight(cubic, math.Abs(t)) }
		default:
			return nil, c.Errorf("mode %q unknown", mode)
		}
		stretch := 1.0
		if antialias {
			stretch = r.scale[d]
		}
		lo, hi := int(math.Floor(x-support/stretch))+1, int(math.Ceil(x+support/stretch))-1
		if !antialias {
			lo = int(math.Floor(x)) - int(support) + 1
			hi = lo + 2*int(support) - 1
		}
		var ts []tap
		sum := 0.0
		var ws []float64
		for i := lo; i <= hi; i++ {
			w := weight((float64(i) - x) * stretch)
			if (exclude || antialias) && (i < 0 || i >= in) && !(antialias && !exclude) {
				continue
			}
			sum += w
			ws = append(ws, w)
			ts = append(ts, tap{at: min(max(i, 0), in-1)})
		}
		for k := range ts {
			w := ws[k]
			if (exclude || antialias) && sum != 0 {
				w /= sum
			}
			ts[k].w = float32(w)
		}
		list[o] = ts
	}
	return list, nil
}

func cubicWeight(a, t float64) float64 {
	switch {
	case t <= 1:
		return ((a+2)*t-(a+3))*t*t + 1
	case t < 2:
		return ((a*t-5*a)*t+8*a)*t - 4*a
	}
	return 0
}

func nearest(c *op.Call, x float64) (int, error) {
	switch m := c.Attrs.Str("nearest_mode", "round_prefer_floor"); m {
	case "round_prefer_floor":
		return int(math.Ceil(x - .5)), nil
	case "round_prefer_ceil":
		return int(math.Floor(x + .5)), nil
	case "floor":
		return int(math.Floor(x)), nil
	case "ceil":
		return int(math.Ceil(x)), nil
	default:
		return 0, c.Errorf("nearest_mode %q unknown", m)
	}
}

// prepareResize resizes one dimension after the other, the outermost first, in float32; nearest moves elements of any type.
func prepareResize(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	r, err := readResize(c)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, c.Errorf("BUG: sizes are unknown")
	}
	if c.Attrs.Str("mode", "nearest") == "nearest" && c.Attrs.Str("coordinate_transformation_mode", "") != "tf_crop_and_resize" {
		return nearestRun(c, r)
	}
	read, err := number(c, x.DType)
	if err != nil {
		return nil, err
	}
	outside := c.Attrs.Float("extrapolation_value", 0)
	type stage struct {
		taps            [][]tap
		outer, n, inner int
	}
	var stages []stage
	shape := x.Shape.Clone()
	size := x.Len()
	for d := range shape {
		if r.out[d] == shape[d] && r.scale[d] == 1 && c.Attrs.Str("coordinate_transformation_mode", "") != "tf_crop_and_resize" {
			continue
		}
		t, err := r.taps(c, d)
		if err != nil {
			return nil, err
		}
		stages = append(stages, stage{t, shape[:d].Len(), shape[d], shape[d+1:].Len()})
		shape[d] = r.out[d]
		size = max(size, shape.Len())
	}
	bufs := [2][]float32{make([]float32, size), make([]float32, size)}
	n := x.Len()
	var src, dst []float32
	bodies := make([]func(lo, hi int), len(stages))
	for k, s := range stages {
		bodies[k] = func(lo, hi int) {
			for q := lo; q < hi; q++ {
				o, p := q/len(s.taps), q%len(s.taps)
				out := dst[q*s.inner : (q+1)*s.inner]
				for k, t := range s.taps[p] {
					if t.at < 0 {
						for i := range out {
							out[i] = outside
						}
						continue
					}
					in := src[(o*s.n+t.at)*s.inner:][:s.inner]
					if k == 0 {
						for i, v := range in {
							out[i] = v * t.w
						}
					} else {
						for i, v := range in {
							out[i] += float32(v * t.w)
						}
					}
				}
			}
		}
	}
	return func() error {
		src, dst = bufs[0], bufs[1]
		if x.DType == tensor.F32 {
			copy(src, tensor.Of[float32](x))
		} else {
			for i := range n {
				src[i] = float32(read(x, i))
			}
		}
		for k, s := range stages {
			c.Par.For(s.outer*len(s.taps), 1+(1<<13)/max(1, s.inner), bodies[k])
			src, dst = dst, src
		}
		if y.DType == tensor.F32 {
			copy(tensor.Of[float32](y), src)
			return nil
		}
		lo, hi := math.Inf(-1), math.Inf(1)
		if y.DType.IsInt() && y.DType.Bits() <= 32 {
			a, b := y.DType.IntRange()
			lo, hi = float64(a), float64(b)
		}
		for i := range y.Len() {
			v := float64(src[i])
			if y.DType.IsInt() {
				v = min(max(math.Round(v), lo), hi)
			}
			if err := setNumber(c, y, i, v); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func nearestRun(c *op.Call, r *resizing) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	rank := len(x.Shape)
	if rank == 0 {
		return prepareCopy(c)
	}
	from := make([][]int, rank)
	last := 0
	for d := range rank {
		t, err := r.taps(c, d)
		if err != nil {
			return nil, err
		}
		from[d] = make([]int, len(t))
		same := x.Shape[d] == r.out[d]
		for o := range t {
			from[d][o] = t[o][0].at
			same = same && from[d][o] == o
		}
		if !same {
			last = d
		}
	}
	inner := x.Shape[last+1:].Len()
	xs := x.Shape.Strides()
	rows := y.Shape[:last+1].Len()
	cx, cy := cellsOf(x), cellsOf(y)
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			at, p := 0, q
			for d := last; d >= 0; d-- {
				at += from[d][p%y.Shape[d]] * xs[d]
				p /= y.Shape[d]
			}
			cx.copyTo(cy, q*inner, at, inner)
		}
	}
	split := 1 + (1<<13)/max(1, inner)
	if cx.size == 0 {
		split = rows
	}
	return func() error {
		c.Par.For(rows, split, body)
		return nil
	}, nil
}
