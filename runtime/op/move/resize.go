package move

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

var resizeOps = map[string]op.Op{
	"Resize": {Infer: inferResize, Prepare: prepareResize, Pitched: resizeRows},
	"Upsample": {
		Infer:   func(c *op.Call) error { return inferResize(upsampled(c)) },
		Prepare: func(c *op.Call) (op.Run, error) { return prepareResize(upsampled(c)) },
	},
}

// upsampled gives Upsample, which has an input and scales, the form of Resize: asymmetric, nearest to the floor.
func upsampled(c *op.Call) *op.Call {
	r := *c
	r.Attrs = c.Attrs.Clone()
	r.Attrs.Set("coordinate_transformation_mode", "asymmetric")
	r.Attrs.Set("nearest_mode", "floor")
	r.In = []*tensor.Tensor{c.Input(0), nil, c.Input(1)}
	return &r
}

// resizing is what a Resize does to each dimension. The scale is num/den, which sizes give without rounding.
type resizing struct {
	num, den []float64
	out      []int
	roi      []float64 // starts, then ends
}

func (r *resizing) scale(d int) float64 { return r.num[d] / r.den[d] }

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
	crop := c.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize"
	if hasSizes && !known(c, 3) || !hasSizes && !known(c, 2) || !s.Known() || crop && !known(c, 1) {
		return nil, nil
	}
	r := &resizing{num: make([]float64, rank), den: make([]float64, rank), out: s.Clone(), roi: make([]float64, 2*rank)}
	for i := range rank {
		r.num[i], r.den[i], r.roi[rank+i] = 1, 1, 1
	}
	if t := c.Input(1); crop && t != nil && t.Len() > 0 {
		if t.Len() != 2*len(axes) {
			return nil, c.Errorf("%d numbers of roi for %d axes", t.Len(), len(axes))
		}
		read, err := getter(c, t.DType)
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
		if policy != "stretch" && policy != "not_larger" && policy != "not_smaller" {
			return nil, c.Errorf("keep_aspect_ratio_policy %q unknown", policy)
		}
		best := -1
		for i, a := range axes {
			if v[i] <= 0 || v[i] > 1<<30 || s[a] == 0 {
				return nil, c.Errorf("size %d of an extent of %d", v[i], s[a])
			}
			r.out[a], r.num[a], r.den[a] = v[i], float64(v[i]), float64(s[a])
			if best < 0 || policy == "not_larger" && r.scale(a) < r.scale(best) || policy == "not_smaller" && r.scale(a) > r.scale(best) {
				best = a
			}
		}
		if policy != "stretch" && best >= 0 {
			num, den := r.num[best], r.den[best]
			for _, a := range axes {
				r.num[a], r.den[a] = num, den
				r.out[a] = max(1, int(math.Floor(float64(num*float64(s[a]))/den+.5)))
			}
		}
		return r, nil
	}
	t := c.In[2]
	read, err := getter(c, t.DType)
	if err != nil {
		return nil, err
	}
	if t.Len() != len(axes) {
		return nil, c.Errorf("%d scales for %d axes", t.Len(), len(axes))
	}
	for i, a := range axes {
		f := read(t, i)
		if !(f > 0) || f > 1<<20 {
			return nil, c.Errorf("scale %g", f)
		}
		r.num[a] = f
		n := float64(s[a])
		if crop {
			n *= r.roi[rank+a] - r.roi[a]
		}
		// Scales are float32; what they should reach exactly may be a hair below.
		if n = math.Floor(float64(n*f) + 1e-6); !(n >= 0 && n < 1<<30) {
			return nil, c.Errorf("extent %g of dimension %d", n, a)
		}
		r.out[a] = int(n)
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

// coordinate is where output position o of dimension d, of in elements, lies in the input; outside tells that it lies
// beyond the region that is cropped.
func (r *resizing) coordinate(c *op.Call, mode string, o, in, d int) (at float64, outside bool, err error) {
	x, out := float64(o), r.out[d]
	if bits := c.Attrs.Int("coordinate_bits", 0); bits != 0 {
		at, err = fixedCoordinate(c, mode, bits, o, in, out)
		return at, false, err
	}
	num, den := r.num[d], r.den[d]
	resized := float64(num*float64(in)) / den // a fraction where scales are given
	switch mode {
	case "half_pixel":
		return float64((x+.5)*den)/num - .5, false, nil
	case "half_pixel_symmetric":
		centre := float64(in) / 2
		return float64(centre*(1-float64(out)/resized)) + float64((x+.5)*den)/num - .5, false, nil
	case "pytorch_half_pixel":
		if out > 1 {
			return float64((x+.5)*den)/num - .5, false, nil
		}
		return 0, false, nil
	case "align_corners":
		if out == 1 && resized < 2 && resized != math.Trunc(resized) || resized == 1 {
			return 0, false, nil
		}
		return float64(x*float64(in-1)) / (resized - 1), false, nil
	case "asymmetric":
		return float64(x*den) / num, false, nil
	case "tf_half_pixel_for_nn":
		return float64((x+.5)*den) / num, false, nil
	case "tf_crop_and_resize":
		start, end, last := r.roi[d], r.roi[len(r.out)+d], float64(in-1)
		p := float64(float64(.5*(start+end)) * last)
		if out > 1 {
			p = float64(start*last) + float64(x*float64((end-start)*last))/float64(out-1)
		}
		return p, !(p >= 0 && p <= last), nil
	}
	return 0, false, c.Errorf("coordinate_transformation_mode %q unknown", mode)
}

// fixedCoordinate is a coordinate that is computed in integers with some fractional bits: the scale in/out, or
// (in-1)/(out-1) between aligned corners, is rounded to them before it is multiplied by o.
func fixedCoordinate(c *op.Call, mode string, bits, o, in, out int) (float64, error) {
	if bits < 1 || bits > 16 {
		return 0, c.Errorf("coordinate_bits %d, want 1 to 16", bits)
	}
	one := int64(1) << bits
	from, to := int64(in), int64(out)
	if mode == "align_corners" && out > 1 {
		from, to = from-1, to-1
	}
	scale := (from*one + to/2) / to
	p := int64(o) * scale
	switch mode {
	case "half_pixel":
		p += scale/2 - one/2
	case "align_corners", "asymmetric":
	default:
		return 0, c.Errorf("coordinate_transformation_mode %q with coordinate_bits", mode)
	}
	return float64(p) / float64(one), nil
}

// kernel is what weighs elements by their distance, and where it ends.
type kernel struct {
	support float64
	weight  func(t float64) float64
}

func resizeKernel(c *op.Call) (k kernel, err error) {
	switch mode := c.Attrs.Str("mode", "nearest"); mode {
	case "nearest":
	case "linear":
		k = kernel{1, func(t float64) float64 { return max(0, 1-math.Abs(t)) }}
	case "cubic":
		a := float64(c.Attrs.Float("cubic_coeff_a", -.75))
		k = kernel{2, func(t float64) float64 { return cubicWeight(a, math.Abs(t)) }}
	default:
		err = c.Errorf("mode %q unknown", mode)
	}
	return k, err
}

// taps lists, for each output position of a dimension, the input positions that it mixes.
func (r *resizing) taps(c *op.Call, d int) ([][]tap, error) {
	in, out := c.In[0].Shape[d], r.out[d]
	coord := c.Attrs.Str("coordinate_transformation_mode", "half_pixel")
	k, err := resizeKernel(c)
	if err != nil {
		return nil, err
	}
	stretch := 1.0
	antialias := c.Attrs.Bool("antialias", false) && r.scale(d) < 1
	if antialias {
		stretch = r.scale(d)
	}
	exclude := c.Attrs.Bool("exclude_outside", false)
	list := make([][]tap, out)
	for o := range list {
		x, outside, err := r.coordinate(c, coord, o, in, d)
		if err != nil {
			return nil, err
		}
		if outside {
			list[o] = []tap{{-1, 1}}
			continue
		}
		if k.weight == nil {
			n, err := nearest(c, x)
			if err != nil {
				return nil, err
			}
			list[o] = []tap{{min(max(n, 0), in-1), 1}}
			continue
		}
		lo, hi := int(math.Floor(x))-int(k.support)+1, int(math.Floor(x))+int(k.support)
		if antialias {
			lo, hi = int(math.Floor(x-k.support/stretch))+1, int(math.Ceil(x+k.support/stretch))-1
		}
		var ts []tap
		var ws []float64
		sum := 0.0
		for i := lo; i <= hi; i++ {
			if exclude && (i < 0 || i >= in) {
				continue
			}
			w := k.weight(float64((float64(i) - x) * stretch))
			sum += w
			ws = append(ws, w)
			ts = append(ts, tap{at: min(max(i, 0), in-1)})
		}
		for j, w := range ws {
			if (exclude || antialias) && sum != 0 {
				w /= sum
			}
			ts[j].w = float32(w)
		}
		list[o] = ts
	}
	return list, nil
}

// cubicWeight is the cubic convolution kernel at distance t >= 0.
func cubicWeight(a, t float64) float64 {
	switch {
	case t <= 1:
		return float64((float64((a+2)*t)-(a+3))*float64(t*t)) + 1
	case t < 2:
		return float64((float64((float64(a*t)-float64(5*a))*t)+float64(8*a))*t) - float64(4*a)
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

// stage resizes one dimension, of n elements, with outer lines before and inner elements behind it.
type stage struct {
	first           []int // of the taps of each output position; one more at the end
	at              []int
	w               []float32
	outer, n, inner int
	outside         float32
	taps            int     // of each output position, none of them outside; 0 where these differ
	offsets         []int64 // of the taps, in bytes
}

// mixKernel mixes lines.
var mixKernel = kernels.Here().Select(spec.Mix, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32).Func.(func(*spec.MixArgs))

func newStage(taps [][]tap, outer, n, inner int, outside float32) *stage {
	s := &stage{outer: outer, n: n, inner: inner, outside: outside}
	for _, ts := range taps {
		s.first = append(s.first, len(s.at))
		for _, t := range ts {
			s.at, s.w = append(s.at, t.at), append(s.w, t.w)
		}
	}
	s.first = append(s.first, len(s.at))
	s.taps = len(s.at) / max(1, len(taps))
	for _, ts := range taps {
		if len(ts) != s.taps || len(ts) > 0 && ts[0].at < 0 {
			s.taps = 0
		}
		for _, t := range ts {
			s.offsets = append(s.offsets, int64(4*t.at*inner))
		}
	}
	return s
}

// mix is run for as many taps everywhere, in calls that are not too long.
func (s *stage) mix(dst, src []float32, lo, hi, step int) {
	const most = 1 << 14 // elements of a call
	out := len(s.first) - 1
	room := kernels.Borrow()
	a := &room.Mix
	for lo < hi {
		p := lo % out
		n := min(hi-lo, out-p, 1+most/s.inner)
		x, y := src[lo/out*s.n*s.inner:][:s.n*s.inner], dst[lo*step:][:(n-1)*step+s.inner]
		for j := 0; j < s.inner; j += most {
			*a = spec.MixArgs{X: unsafe.Pointer(&x[j]), Y: unsafe.Pointer(&y[j]), At: unsafe.Pointer(&s.offsets[p*s.taps]), W: unsafe.Pointer(&s.w[p*s.taps]),
				Rows: n, Cols: min(most, s.inner-j), Taps: s.taps, YStride: 4 * step}
			mixKernel(a)
		}
		lo += n
	}
	room.Return()
}

// run computes lines lo to hi, of which each has inner elements, step from one to the next: x0*w0 + x1*w1 + ..., rounded at each step.
func (s *stage) run(dst, src []float32, lo, hi, step int) {
	if s.taps > 0 && s.inner > 0 && hi > lo {
		s.mix(dst, src, lo, hi, step)
		return
	}
	out := len(s.first) - 1
	if s.inner == 1 {
		for q := lo; q < hi; q++ {
			p := q % out
			row := src[q/out*s.n:][:s.n]
			a, b := s.first[p], s.first[p+1]
			switch {
			case b == a: // all taps lie outside
				dst[q] = 0
			case s.at[a] < 0:
				dst[q] = s.outside
			default:
				sum := float32(row[s.at[a]] * s.w[a])
				for k := a + 1; k < b; k++ {
					sum += float32(row[s.at[k]] * s.w[k])
				}
				dst[q] = sum
			}
		}
		return
	}
	for q := lo; q < hi; q++ {
		p := q % out
		y := dst[q*step:][:s.inner]
		a, b := s.first[p], s.first[p+1]
		line := func(k int) []float32 { return src[(q/out*s.n+s.at[k])*s.inner:][:len(y)] }
		switch {
		case b == a:
			clear(y)
			continue
		case s.at[a] < 0:
			for i := range y {
				y[i] = s.outside
			}
			continue
		}
		w := s.w[a]
		for i, v := range line(a) {
			y[i] = v * w
		}
		for k := a + 1; k < b; k++ {
			w := s.w[k]
			for i, v := range line(k) {
				y[i] += float32(v * w)
			}
		}
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
	crop := c.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize"
	if c.Attrs.Str("mode", "nearest") == "nearest" && !crop {
		return nearestRun(c, r)
	}
	if _, err := getter(c, x.DType); err != nil {
		return nil, err
	}
	set, err := setter(c, y.DType)
	if err != nil {
		return nil, err
	}
	var stages []*stage
	shape := x.Shape.Clone()
	size := x.Len()
	for d := range shape {
		if r.out[d] == shape[d] && r.scale(d) == 1 && !crop {
			continue
		}
		if shape[d] == 0 {
			return nil, c.Errorf("dimension %d of %v is empty", d, x.Shape)
		}
		t, err := r.taps(c, d)
		if err != nil {
			return nil, err
		}
		stages = append(stages, newStage(t, shape[:d].Len(), shape[d], shape[d+1:].Len(), c.Attrs.Float("extrapolation_value", 0)))
		shape[d] = r.out[d]
		n, err := shape.Size()
		if err != nil {
			return nil, c.Errorf("between the dimensions: %w", err)
		}
		size = max(size, n)
	}
	if len(stages) == 0 {
		return prepareCopy(c)
	}
	// Between stages, and where the type is another, elements stand in one of two buffers.
	var bufs [2][]float32
	float := x.DType == tensor.F32
	if n := len(stages); !float || n > 1 {
		bufs[0] = op.Make[float32](c, size)
		if !float || n > 2 {
			bufs[1] = op.Make[float32](c, size)
		}
	}
	var src, dst []float32
	bodies := make([]func(lo, hi int), len(stages))
	for k, s := range stages {
		step := s.inner
		if k == len(stages)-1 && y.Pitch > 0 {
			step = y.Pitch
		}
		bodies[k] = func(lo, hi int) { s.run(dst, src, lo, hi, step) }
	}
	get := number.Getter(x.DType)
	whole := y.DType.IsInt()
	n, m := x.Len(), y.Len()
	return func() error {
		if float {
			src, dst = tensor.Of[float32](x), bufs[0]
		} else {
			for i := range n {
				bufs[1][i] = float32(get(x, i))
			}
			src, dst = bufs[1], bufs[0]
		}
		for k, s := range stages {
			if float && k == len(stages)-1 {
				dst = tensor.Of[float32](y)
			}
			c.Par.For(s.outer*(len(s.first)-1), 1+(1<<13)/max(1, s.inner), bodies[k])
			if src, dst = dst, src; k == 0 && float {
				dst = bufs[1]
			}
		}
		for i := 0; i < m && !float; i++ {
			v := float64(src[i])
			if whole {
				v = math.Round(v)
			}
			set(y, i, v)
		}
		return nil
	}, nil
}

// resizeRows lets the rows of the output lie apart where all that is resized last is the dimension before them.
func resizeRows(c *op.Call, i int) bool {
	x, y, last := c.In[0], c.Out[0], len(c.Out[0].Shape)-1
	if i != ^0 || last < 1 || x.Shape[last] != y.Shape[last] || x.Shape[last-1] == y.Shape[last-1] || cellsOf(y).size == 0 {
		return false
	}
	r, err := readResize(c)
	if err != nil || r == nil || r.scale(last) != 1 || c.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
		return false
	}
	return c.Attrs.Str("mode", "nearest") == "nearest" || x.DType == tensor.F32 && y.DType == tensor.F32
}

// nearestRun moves each element from the one that is nearest.
func nearestRun(c *op.Call, r *resizing) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	rank := len(x.Shape)
	if rank == 0 {
		return prepareCopy(c)
	}
	if y.Len() == 0 {
		return nothing, nil
	}
	if x.Len() == 0 {
		return nil, c.Errorf("input %v is empty", x.Shape)
	}
	from := make([][]int, rank)
	last := 0
	for d := range rank {
		t, err := r.taps(c, d)
		if err != nil {
			return nil, err
		}
		from[d] = op.Make[int](c, len(t))
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
	cols, rows := y.Shape[last], y.Shape[:last].Len()
	xs := x.Shape.Strides()
	for o := range from[last] {
		from[last][o] *= inner
	}
	// From one column, and from one row, of the output to the next.
	step, rowStep := inner, cols*inner
	switch {
	case last == rank-1:
		rowStep = y.RowStep()
	case last == rank-2:
		step, rowStep = y.RowStep(), cols*y.RowStep()
	}
	copyRow := rowCopier(x, y, from[last], inner, step)
	body := func(lo, hi int) {
		for q := lo; q < hi; q++ {
			at, p := 0, q
			for d := last - 1; d >= 0; d-- {
				at += from[d][p%y.Shape[d]] * xs[d]
				p /= y.Shape[d]
			}
			copyRow(q*rowStep, at)
		}
	}
	grain := cellsOf(y).split(rows, cols*inner)
	return func() error {
		c.Par.For(rows, grain, body)
		return nil
	}, nil
}

// rowCopier returns a function that copies runs of inner elements, which stand at offsets from a position of x, to a position of y and further
// ones that are step apart.
func rowCopier(x, y *tensor.Tensor, offsets []int, inner, step int) func(to, from int) {
	cx, cy := cellsOf(x), cellsOf(y)
	if inner == 1 && step == 1 {
		switch cx.size {
		case 1:
			return func(to, from int) { pick(words[uint8](y)[to:], words[uint8](x)[from:], offsets) }
		case 2:
			return func(to, from int) { pick(words[uint16](y)[to:], words[uint16](x)[from:], offsets) }
		case 4:
			return func(to, from int) { pick(words[uint32](y)[to:], words[uint32](x)[from:], offsets) }
		case 8:
			return func(to, from int) { pick(words[uint64](y)[to:], words[uint64](x)[from:], offsets) }
		}
	}
	return func(to, from int) {
		for _, o := range offsets {
			cx.copyTo(cy, to, from+o, inner)
			to += step
		}
	}
}

func pick[T word](dst, src []T, offsets []int) {
	for i, o := range offsets {
		dst[i] = src[o]
	}
}
