package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// padding reads the begins and ends per dimension; nil where not known yet.
func padding(c *op.Call, rank int) (begin, end []int, err error) {
	if !known(c, 1) || !known(c, 3) {
		return nil, nil, nil
	}
	v, err := ints(c, 1)
	if err != nil {
		return nil, nil, err
	}
	begin, end = make([]int, rank), make([]int, rank)
	axes, err := ints(c, 3)
	if err != nil {
		return nil, nil, err
	}
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(v) != 2*len(axes) {
		return nil, nil, c.Errorf("%d pads for %d axes", len(v), len(axes))
	}
	for i, a := range axes {
		d, err := c.Axis(a, rank)
		if err != nil {
			return nil, nil, err
		}
		begin[d], end[d] = v[i], v[i+len(axes)]
	}
	return begin, end, nil
}

func inferPad(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	s := unknown(len(x.Shape))
	begin, end, err := padding(c, len(x.Shape))
	if err != nil {
		return err
	}
	if begin != nil {
		for i, d := range x.Shape {
			if d >= 0 {
				if s[i] = d + begin[i] + end[i]; s[i] < 0 {
					return c.Errorf("pads remove more than dimension %d has", i)
				}
			}
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func preparePad(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	rank := len(x.Shape)
	begin, _, err := padding(c, rank)
	if err != nil {
		return nil, err
	}
	mode := c.Attrs.Str("mode", "constant")
	// from lists, per dimension and output position, the input position; -1 for padding.
	from := make([][]int, rank)
	for d := range rank {
		n := x.Shape[d]
		from[d] = make([]int, y.Shape[d])
		for o := range from[d] {
			i := o - begin[d]
			if i < 0 || i >= n {
				switch {
				case n == 0 && mode != "constant":
					return nil, c.Errorf("cannot pad an empty dimension in mode %s", mode)
				case mode == "constant":
					i = -1
				case mode == "edge":
					i = min(max(i, 0), n-1)
				case mode == "reflect":
					if n == 1 {
						i = 0
					} else if i = mod(i, 2*(n-1)); i >= n {
						i = 2*(n-1) - i
					}
				case mode == "symmetric":
					if i = mod(i, 2*n); i >= n {
						i = 2*n - 1 - i
					}
				case mode == "wrap":
					i = mod(i, n)
				default:
					return nil, c.Errorf("mode %q unknown", mode)
				}
			}
			from[d][o] = i
		}
	}
	fill := tensor.New(x.DType, tensor.Shape{1})
	readFill := func() error { return fillValue(c, fill, x) }
	if rank == 0 {
		return prepareCopy(c)
	}
	cx, cy, cf := cellsOf(x), cellsOf(y), cellsOf(fill)
	last := rank - 1
	row := y.Shape[last]
	// The longest run of the last dimension that is copied as it is.
	lo, hi := 0, row
	for lo < row && (from[last][lo] < 0 || lo+1 < row && from[last][lo+1] != from[last][lo]+1 && from[last][lo] != x.Shape[last]-1) {
		lo++
	}
	hi = lo
	for hi < row && from[last][hi] == from[last][lo]+hi-lo && from[last][hi] >= 0 {
		hi++
	}
	xs := x.Shape.Strides()
	rows := tensor.Shape(y.Shape[:last]).Len()
	body := func(a, b int) {
		for r := a; r < b; r++ {
			at, ok, q := 0, true, r
			for d := last - 1; d >= 0; d-- {
				i := from[d][q%y.Shape[d]]
				q /= y.Shape[d]
				ok = ok && i >= 0
				at += i * xs[d]
			}
			for o := 0; o < row; o++ {
				switch i := from[last][o]; {
				case !ok || i < 0:
					cf.copyTo(cy, r*row+o, 0, 1)
				case o == lo && hi > lo:
					cx.copyTo(cy, r*row+o, at+i, hi-lo)
					o = hi - 1
				default:
					cx.copyTo(cy, r*row+o, at+i, 1)
				}
			}
		}
	}
	split := 1 + (1<<13)/max(1, row)
	if cx.size == 0 {
		split = rows
	}
	return func() error {
		if err := readFill(); err != nil {
			return err
		}
		c.Par.For(rows, split, body)
		return nil
	}, nil
}

func mod(a, n int) int {
	a %= n
	if a < 0 {
		a += n
	}
	return a
}

// fillValue reads the value of padding: input 2, or zero, which for quantised values is the zero point.
func fillValue(c *op.Call, fill, x *tensor.Tensor) error {
	if v := c.Input(2); v != nil {
		if v.Len() != 1 {
			return c.Errorf("fill value is %v, want one element", v)
		}
		if v.DType == fill.DType {
			copy(fill.Data, v.Data)
			copy(fill.Str, v.Str)
			return nil
		}
		if v.DType != tensor.F32 || x.Quant == nil {
			return c.Errorf("fill value of type %v for elements of type %v", v.DType, x.DType)
		}
		q := math.RoundToEven(float64(tensor.Of[float32](v)[0]/x.Quant.Scale[0])) + float64(x.Quant.ZeroAt(0))
		lo, hi := x.DType.IntRange()
		storeInt(fill, int64(min(max(q, float64(lo)), float64(hi))))
		return nil
	}
	if x.Quant != nil {
		storeInt(fill, int64(x.Quant.ZeroAt(0)))
	}
	return nil
}

// storeInt writes the low bits of v as the one element of t.
func storeInt(t *tensor.Tensor, v int64) {
	if t.DType.Bits() < 8 {
		setBits(t, 0, uint8(v)&(1<<t.DType.Bits()-1))
		return
	}
	for i := range t.Data {
		t.Data[i] = byte(v >> (8 * i))
	}
}

func inferConstantOfShape(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d := tensor.F32
	if v := c.Attrs.Tensor("value"); v != nil {
		if v.Len() != 1 {
			return c.Errorf("value has %d elements, want 1", v.Len())
		}
		d = v.DType
	}
	v, err := ints(c, 0)
	if err != nil {
		return err
	}
	if !c.In[0].HasData() {
		var s tensor.Shape
		if n := c.In[0].Shape; len(n) == 1 && n[0] >= 0 {
			s = unknown(n[0])
		}
		c.Set(0, d, s)
		return nil
	}
	for _, x := range v {
		if x < 0 {
			return c.Errorf("shape %v has a negative dimension", v)
		}
	}
	c.Set(0, d, append(tensor.Shape{}, v...))
	return nil
}

func prepareConstantOfShape(c *op.Call) (op.Run, error) {
	v := c.Attrs.Tensor("value")
	y := c.Out[0]
	n := y.Len()
	return func() error {
		if v == nil {
			clear(y.Data)
			return nil
		}
		cv, cy := cellsOf(v), cellsOf(y)
		for i := range n {
			cv.copyTo(cy, i, 0, 1)
		}
		return nil
	}, nil
}

// rangeOf returns the count of a Range whose inputs are known.
func rangeOf(c *op.Call) (start, step float64, n int, err error) {
	var v [3]float64
	for i := range v {
		if v[i], err = scalar(c, i); err != nil {
			return 0, 0, 0, err
		}
	}
	if v[2] == 0 {
		return 0, 0, 0, c.Errorf("step 0")
	}
	count := math.Ceil((v[1] - v[0]) / v[2])
	if !(count < math.MaxInt/16) {
		return 0, 0, 0, c.Errorf("%g elements: %w", count, tensor.ErrTooLarge)
	}
	return v[0], v[2], int(max(0, count)), nil
}

// scalar reads an input of one number.
func scalar(c *op.Call, i int) (float64, error) {
	t := c.Input(i)
	if t == nil || !t.HasData() || t.Len() != 1 {
		return 0, c.Errorf("input %d is %v, want one number", i, t)
	}
	switch t.DType {
	case tensor.F32:
		return float64(tensor.Of[float32](t)[0]), nil
	case tensor.F64:
		return tensor.Of[float64](t)[0], nil
	case tensor.F16:
		return float64(half.FromF16(tensor.Of[uint16](t)[0])), nil
	case tensor.BF16:
		return float64(half.FromBF16(tensor.Of[uint16](t)[0])), nil
	}
	v, err := t.Ints()
	if err != nil {
		return 0, c.Errorf("input %d: %w", i, err)
	}
	return float64(v[0]), nil
}

func inferRange(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	s := tensor.Shape{-1}
	if known(c, 0) && known(c, 1) && known(c, 2) {
		_, _, n, err := rangeOf(c)
		if err != nil {
			return err
		}
		s[0] = n
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

func prepareRange(c *op.Call) (op.Run, error) {
	return func() error {
		start, step, n, err := rangeOf(c)
		if err != nil {
			return err
		}
		y := c.Out[0]
		if n != y.Len() {
			return c.Errorf("%d elements where %d were planned", n, y.Len())
		}
		for i := range n {
			v := start + float64(i)*step
			switch y.DType {
			case tensor.F32:
				tensor.Of[float32](y)[i] = float32(v)
			case tensor.F64:
				tensor.Of[float64](y)[i] = v
			case tensor.F16:
				tensor.Of[uint16](y)[i] = half.F16(float32(v))
			case tensor.BF16:
				tensor.Of[uint16](y)[i] = half.BF16(float32(v))
			case tensor.I64:
				a, b := tensor.Of[int64](c.In[0])[0], tensor.Of[int64](c.In[2])[0]
				tensor.Of[int64](y)[i] = a + int64(i)*b
			case tensor.I32:
				tensor.Of[int32](y)[i] = int32(v)
			case tensor.I16:
				tensor.Of[int16](y)[i] = int16(v)
			default:
				return c.Errorf("elements of type %v unsupported", y.DType)
			}
		}
		return nil
	}, nil
}

// onnxTypes maps the numbers of ONNX's element types.
var onnxTypes = map[int]tensor.DType{1: tensor.F32, 2: tensor.U8, 3: tensor.I8, 4: tensor.U16, 5: tensor.I16, 6: tensor.I32, 7: tensor.I64,
	8: tensor.String, 9: tensor.Bool, 10: tensor.F16, 11: tensor.F64, 12: tensor.U32, 13: tensor.U64, 16: tensor.BF16}

// setOne stores the number 1 as element i.
func setOne(c *op.Call, t *tensor.Tensor, i int) error { return setNumber(c, t, i, 1) }

func setNumber(c *op.Call, t *tensor.Tensor, i int, v float64) error {
	switch t.DType {
	case tensor.F32:
		tensor.Of[float32](t)[i] = float32(v)
	case tensor.F64:
		tensor.Of[float64](t)[i] = v
	case tensor.F16:
		tensor.Of[uint16](t)[i] = half.F16(float32(v))
	case tensor.BF16:
		tensor.Of[uint16](t)[i] = half.BF16(float32(v))
	default:
		if !t.DType.IsInt() && t.DType != tensor.Bool || t.DType.Bits() < 8 {
			return c.Errorf("elements of type %v unsupported", t.DType)
		}
		size := t.DType.Bits() / 8
		for k := range size {
			t.Data[i*size+k] = byte(int64(v) >> (8 * k))
		}
	}
	return nil
}

func inferEyeLike(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d := c.In[0].DType
	if t := c.Attrs.Int("dtype", 0); t != 0 {
		d = onnxTypes[t]
	}
	if s := c.In[0].Shape; s != nil && len(s) != 2 {
		return c.Errorf("input has rank %d, want 2", len(s))
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

func prepareEyeLike(c *op.Call) (op.Run, error) {
	return func() error {
		y := c.Out[0]
		clear(y.Data)
		k := c.Attrs.Int("k", 0)
		for i := range y.Shape[0] {
			if j := i + k; j >= 0 && j < y.Shape[1] {
				if err := setOne(c, y, i*y.Shape[1]+j); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// depthSpace returns batch, channels, height and width in either layout.
func depthSpace(c *op.Call, s tensor.Shape) (n, ch, h, w, b int, nhwc bool, err error) {
	if len(s) != 4 {
		return 0, 0, 0, 0, 0, false, c.Errorf("input has rank %d, want 4", len(s))
	}
	if b = c.Attrs.Int("blocksize", 0); b < 1 {
		return 0, 0, 0, 0, 0, false, c.Errorf("blocksize %d must be positive", b)
	}
	if nhwc = c.Attrs.Str("layout", "NCHW") == "NHWC"; nhwc {
		return s[0], s[3], s[1], s[2], b, true, nil
	}
	return s[0], s[1], s[2], s[3], b, false, nil
}

func layoutShape(n, ch, h, w int, nhwc bool) tensor.Shape {
	if nhwc {
		return tensor.Shape{n, h, w, ch}
	}
	return tensor.Shape{n, ch, h, w}
}

// times multiplies extents that may be unknown; over divides.
func times(a, b int) int {
	if a < 0 {
		return -1
	}
	return a * b
}

func inferDepthToSpace(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, unknown(4))
		return nil
	}
	n, ch, h, w, b, nhwc, err := depthSpace(c, x.Shape)
	if err != nil {
		return err
	}
	if ch >= 0 && ch%(b*b) != 0 {
		return c.Errorf("%d channels are no multiple of %d", ch, b*b)
	}
	if ch >= 0 {
		ch /= b * b
	}
	c.Set(0, x.DType, layoutShape(n, ch, times(h, b), times(w, b), nhwc))
	return nil
}

func prepareDepthToSpace(c *op.Call) (op.Run, error) {
	n, ch, h, w, b, nhwc, err := depthSpace(c, c.In[0].Shape)
	if err != nil {
		return nil, err
	}
	out := ch / (b * b)
	crd := c.Attrs.Str("mode", "DCR") == "CRD"
	// Walk over n, h, bh, w, bw, c of the output.
	dims := []int{n, h, b, w, b, out}
	cs := 1 // step of a channel
	sn, sh, sw := ch*h*w, w*ch, ch
	dn, dh, dw, dc := out*h*b*w*b, w*b*out, out, 1
	if !nhwc {
		cs, sh, sw = h*w, w, 1
		dh, dw, dc = w*b, 1, h*b*w*b
	}
	var src []int
	if crd {
		src = []int{sn, sh, b * cs, sw, cs, b * b * cs}
	} else {
		src = []int{sn, sh, b * out * cs, sw, out * cs, cs}
	}
	dst := []int{dn, dh * b, dh, dw * b, dw, dc}
	return walkRun(c, newWalker(dims, src, dst, 0, 0)), nil
}

func inferSpaceToDepth(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, unknown(4))
		return nil
	}
	n, ch, h, w, b, nhwc, err := depthSpace(c, x.Shape)
	if err != nil {
		return err
	}
	if h >= 0 && h%b != 0 || w >= 0 && w%b != 0 {
		return c.Errorf("input %v is no multiple of blocksize %d", x.Shape, b)
	}
	div := func(v int) int {
		if v < 0 {
			return -1
		}
		return v / b
	}
	c.Set(0, x.DType, layoutShape(n, times(ch, b*b), div(h), div(w), nhwc))
	return nil
}

func prepareSpaceToDepth(c *op.Call) (op.Run, error) {
	n, ch, h, w, b, nhwc, err := depthSpace(c, c.In[0].Shape)
	if err != nil {
		return nil, err
	}
	oh, ow := h/b, w/b
	dims := []int{n, oh, b, ow, b, ch}
	var src, dst []int
	if nhwc {
		src = []int{h * w * ch, b * w * ch, w * ch, b * ch, ch, 1}
		dst = []int{h * w * ch, ow * b * b * ch, b * ch, b * b * ch, ch, 1}
	} else {
		src = []int{h * w * ch, b * w, w, b, 1, h * w}
		dst = []int{h * w * ch, ow, b * ch * oh * ow, 1, ch * oh * ow, oh * ow}
		if c.Attrs.Str("mode", "DCR") == "CRD" {
			dst = []int{h * w * ch, ow, b * oh * ow, 1, oh * ow, b * b * oh * ow}
		}
	}
	return walkRun(c, newWalker(dims, src, dst, 0, 0)), nil
}

func cropAxes(c *op.Call, rank int) ([]int, error) {
	axes := c.Attrs.Ints("axes")
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	r := make([]int, len(axes))
	for i, a := range axes {
		d, err := c.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		r[i] = d
	}
	return r, nil
}

func inferCenterCropPad(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	axes, err := cropAxes(c, len(x.Shape))
	if err != nil {
		return err
	}
	s := x.Shape.Clone()
	want, err := ints(c, 1)
	if err != nil {
		return err
	}
	if want != nil && len(want) != len(axes) {
		return c.Errorf("%d extents for %d axes", len(want), len(axes))
	}
	for i, a := range axes {
		s[a] = -1
		if want != nil {
			if s[a] = want[i]; want[i] < 0 {
				return c.Errorf("shape %v has a negative dimension", want)
			}
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareCenterCropPad(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	xs, ys := x.Shape.Strides(), y.Shape.Strides()
	dims := make([]int, len(xs))
	from, to := 0, 0
	for i := range dims {
		a, b := x.Shape[i], y.Shape[i]
		dims[i] = min(a, b)
		if a > b {
			from += (a - b) / 2 * xs[i]
		} else {
			to += (b - a) / 2 * ys[i]
		}
	}
	f := newWalker(dims, xs, ys, from, to).prepare(c, x, y)
	fill := tensor.New(x.DType, tensor.Shape{1})
	return func() error {
		if x.Quant != nil {
			storeInt(fill, int64(x.Quant.ZeroAt(0)))
		}
		cf, cy := cellsOf(fill), cellsOf(y)
		for i := range y.Len() {
			cf.copyTo(cy, i, 0, 1)
		}
		f()
		return nil
	}, nil
}

// prepareReverse turns the axes of input 1 round.
func prepareReverse(c *op.Call) (op.Run, error) {
	x := c.In[0]
	axes, err := ints(c, 1)
	if err != nil {
		return nil, err
	}
	if !known(c, 1) {
		return nil, c.Errorf("axes must be constant")
	}
	list := make([]span, len(x.Shape))
	for i, d := range x.Shape {
		list[i] = span{0, d, 1}
	}
	for _, a := range axes {
		d, err := c.Axis(a, len(x.Shape))
		if err != nil {
			return nil, err
		}
		list[d] = span{x.Shape[d] - 1, x.Shape[d], -1}
	}
	return spanRun(c, list), nil
}

func prepareTrilu(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	n := len(x.Shape)
	if n < 2 {
		return nil, c.Errorf("input has rank %d, want 2 or more", n)
	}
	rows, cols := x.Shape[n-2], x.Shape[n-1]
	upper := c.Attrs.Bool("upper", true)
	return func() error {
		k := 0
		if given(c, 1) {
			v, err := scalar(c, 1)
			if err != nil {
				return err
			}
			k = int(v)
		}
		clear(y.Data)
		cx, cy := cellsOf(x), cellsOf(y)
		for r := range x.Len() / max(1, cols) {
			i := r % max(1, rows)
			lo, hi := 0, min(max(i+k+1, 0), cols)
			if upper {
				lo, hi = min(max(i+k, 0), cols), cols
			}
			cx.copyTo(cy, r*cols+lo, r*cols+lo, hi-lo)
		}
		return nil
	}, nil
}
