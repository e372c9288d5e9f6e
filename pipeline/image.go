package pipeline

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// placed is a picture on the canvas that the model sees: its upper left pixel lies at (x, y), negative where it is cropped.
// What it does not cover is padding.
type placed struct {
	img        *pixel.Image
	w, h, x, y int
	// toSource maps places of the canvas to the source picture.
	toSource pixel.Map
}

// place resizes, crops and pads. w and h are the sides of the model's input, -1 where they are free.
func (m *Image) place(src *pixel.Image, w, h int, lim pixel.Limits) (placed, error) {
	p := placed{img: src, toSource: pixel.Identity()}
	if m.CropFraction > 0 {
		side := max(int(float64(float64(min(src.W, src.H))*m.CropFraction)+0.5), 1)
		x, y := (src.W-side)/2, (src.H-side)/2
		p.img = pixel.Crop(src, x, y, side, side, [3]byte{})
		p.toSource = p.toSource.Cropped(x, y)
	}
	sw, sh := p.img.W, p.img.H
	width, height := m.Width, m.Height
	if width == 0 {
		width = w
	}
	if height == 0 {
		height = h
	}
	nw, nh := sw, sh
	canvasW, canvasH := 0, 0
	switch m.Resize {
	case "none":
	case "short":
		if sw <= sh {
			nw, nh = m.Size, max(scaled(m.Size, sh, sw, 0), 1)
		} else {
			nw, nh = max(scaled(m.Size, sw, sh, 0), 1), m.Size
		}
	case "limit":
		nw, nh = m.limit(sw, sh)
	case "height":
		nw, nh = scaled(m.Size, sw, sh, sh-1), m.Size
		if m.MaxSide > 0 {
			nw = min(nw, m.MaxSide)
		}
		canvasW, canvasH = max(nw, m.MinSide), nh
	case "fit", "", "stretch":
		if width <= 0 || height <= 0 {
			return p, fmt.Errorf("%w: image.width, height: missing, and the model's input does not say", ErrSpec)
		}
		nw, nh = width, height
		if m.Resize == "fit" {
			scale := min(float64(width)/float64(sw), float64(height)/float64(sh))
			nw = min(max(int(float64(float64(sw)*scale)+0.5), 1), width)
			nh = min(max(int(float64(float64(sh)*scale)+0.5), 1), height)
			canvasW, canvasH = width, height
		}
	}
	if err := lim.Check(nw, nh); err != nil {
		return p, fmt.Errorf("resized: %w", err)
	}
	filter := m.Filter
	if filter == "" {
		filter = pixel.Bilinear
	}
	img, err := pixel.Resize(p.img, nw, nh, filter)
	if err != nil {
		return p, err
	}
	p.img, p.w, p.h = img, nw, nh
	p.toSource = p.toSource.Resized(sw, sh, nw, nh)
	if canvasW > 0 {
		p.w, p.h = canvasW, canvasH
		if m.Resize == "fit" && m.Anchor != "corner" {
			p.x, p.y = (p.w-nw)/2, (p.h-nh)/2
		}
	}
	if m.CropWidth > 0 {
		// Floor, also where the crop is larger than the picture.
		dx, dy := (p.w-m.CropWidth)>>1, (p.h-m.CropHeight)>>1
		p.x, p.y, p.w, p.h = p.x-dx, p.y-dy, m.CropWidth, m.CropHeight
	}
	p.toSource = p.toSource.Cropped(-p.x, -p.y)
	if err := lim.Check(p.w, p.h); err != nil {
		return p, fmt.Errorf("input: %w", err)
	}
	if w >= 0 && p.w != w || h >= 0 && p.h != h {
		return p, fmt.Errorf("%w: image: the picture becomes %dx%d, the model takes %sx%s", ErrSpec, p.w, p.h, extent(w), extent(h))
	}
	return p, nil
}

// scaled is floor((size*num + add) / den), at most what an int32 holds.
func scaled(size, num, den, add int) int {
	return int(min((int64(size)*int64(num)+int64(add))/int64(den), math.MaxInt32))
}

func (m *Image) limit(w, h int) (int, int) {
	short, long := float64(min(w, h)), float64(max(w, h))
	r := 1.0
	if m.MinSide > 0 && short < float64(m.MinSide) {
		r = float64(m.MinSide) / short
	}
	if m.MaxSide > 0 && long*r > float64(m.MaxSide) {
		r = float64(m.MaxSide) / long
	}
	mult := float64(max(m.Multiple, 1))
	side := func(v int) int {
		return int(max(math.Floor(float64(v)*r/mult+0.5), 1) * mult)
	}
	return side(w), side(h)
}

func extent(d int) string {
	if d < 0 {
		return "?"
	}
	return fmt.Sprint(d)
}

// imageInput writes placed pictures into tensors: a table per channel, since pixels have 8 bits.
type imageInput struct {
	layout   string
	channels int
	w, h     int // -1 where the model leaves it free
	write    func(dst *tensor.Tensor, p placed)
	dtype    tensor.DType
	quant    *tensor.QParams
}

// newImageInput finds the layout of the input and makes the tables.
func newImageInput(m *Image, in Info) (*imageInput, error) {
	x := &imageInput{layout: m.Layout, channels: m.channels(), w: -1, h: -1, dtype: in.DType, quant: in.Quant}
	if x.layout == "" {
		var err error
		if x.layout, err = guessLayout(in, x.channels); err != nil {
			return nil, err
		}
	}
	if in.Shape != nil {
		s := in.Shape
		c := -1
		n := len(x.layout)
		if x.layout == "flat" {
			n = 2
		}
		if len(s) != n {
			return nil, fmt.Errorf("%w: image.layout: %s for input %s of shape %v", ErrSpec, x.layout, in.Name, s)
		}
		switch x.layout {
		case "nchw":
			c, x.h, x.w = s[1], s[2], s[3]
		case "nhwc":
			x.h, x.w, c = s[1], s[2], s[3]
		case "chw":
			c, x.h, x.w = s[0], s[1], s[2]
		case "hwc":
			x.h, x.w, c = s[0], s[1], s[2]
		case "nhw":
			x.h, x.w = s[1], s[2]
		case "hw":
			x.h, x.w = s[0], s[1]
		}
		if c >= 0 && c != x.channels {
			return nil, fmt.Errorf("%w: image.order: %d channels, input %s takes %d (%v in layout %s)", ErrSpec, x.channels, in.Name, c, s, x.layout)
		}
	}
	var err error
	switch in.DType {
	case tensor.F32:
		x.write = writer(m, x.layout, func(v float32) float32 { return v })
	case tensor.F64:
		x.write = writer(m, x.layout, func(v float32) float64 { return float64(v) })
	case tensor.F16:
		x.write = writer(m, x.layout, half.F16)
	case tensor.BF16:
		x.write = writer(m, x.layout, half.BF16)
	case tensor.U8:
		x.write = writer(m, x.layout, toInt[uint8](x))
	case tensor.I8:
		x.write = writer(m, x.layout, toInt[int8](x))
	case tensor.I16:
		x.write = writer(m, x.layout, toInt[int16](x))
	case tensor.I32:
		x.write = writer(m, x.layout, toInt[int32](x))
	case tensor.I64:
		x.write = writer(m, x.layout, func(v float32) int64 { return int64(math.RoundToEven(float64(v))) })
	default:
		err = fmt.Errorf("%w: image: input %s is %v, pictures become floats or integers", ErrSpec, in.Name, in.DType)
	}
	if in.Quant != nil && !in.Quant.PerTensor() {
		err = fmt.Errorf("%w: image: input %s is quantised per channel", ErrSpec, in.Name)
	}
	return x, err
}

// guessLayout takes the only layout that fits the input's shape.
func guessLayout(in Info, channels int) (string, error) {
	s := in.Shape
	var list []string
	switch len(s) {
	case 4:
		// A dimension that says the number of channels counts more than one that is free.
		for _, d := range []int{channels, -1} {
			if len(list) == 0 && s[1] == d {
				list = append(list, "nchw")
			}
			if s[3] == d && (len(list) == 0 || s[1] == d) {
				list = append(list, "nhwc")
			}
		}
	case 3:
		if s[0] == channels && channels != 1 {
			list = append(list, "chw")
		}
		if s[2] == channels {
			list = append(list, "hwc")
		}
		if channels == 1 && s[2] != 1 {
			list = append(list, "nhw")
		}
	case 2:
		list = append(list, "flat")
	}
	if len(list) == 0 {
		return "", fmt.Errorf("%w: image: input %s with shape %v takes no picture of %d channels", ErrSpec, in.Name, s, channels)
	}
	if len(list) != 1 {
		return "", fmt.Errorf("%w: image.layout: missing, and shape %v of input %s fits %d layouts", ErrSpec, s, in.Name, len(list))
	}
	return list[0], nil
}

func (x *imageInput) shape(p placed) tensor.Shape {
	c, h, w := x.channels, p.h, p.w
	switch x.layout {
	case "nchw":
		return tensor.Shape{1, c, h, w}
	case "nhwc":
		return tensor.Shape{1, h, w, c}
	case "chw":
		return tensor.Shape{c, h, w}
	case "hwc":
		return tensor.Shape{h, w, c}
	case "nhw":
		return tensor.Shape{1, h, w}
	case "hw":
		return tensor.Shape{h, w}
	}
	return tensor.Shape{1, h * w * c}
}

// toInt quantises a real by the input's parameters: float32(v/scale) rounded half to even, plus zero, saturated. Without
// parameters it only rounds.
func toInt[T int8 | uint8 | int16 | int32](x *imageInput) func(float32) T {
	lo, hi := x.dtype.IntRange()
	scale, zero := float32(1), int64(0)
	if x.quant != nil && len(x.quant.Scale) > 0 {
		scale, zero = x.quant.Scale[0], int64(x.quant.ZeroAt(0))
	}
	return func(v float32) T {
		q := math.RoundToEven(float64(v/scale)) + float64(zero)
		if !(q > float64(lo)) {
			return T(lo)
		}
		return T(int64(min(q, float64(hi))))
	}
}

// at is element c of a list that may be empty (def) or hold one value for all.
func at(list []float32, c int, def float32) float32 {
	switch len(list) {
	case 0:
		return def
	case 1:
		return list[0]
	}
	return list[c]
}

// writer makes the tables and returns the loop over a picture.
func writer[T tensor.Elem](m *Image, layout string, convert func(float32) T) func(*tensor.Tensor, placed) {
	scale := m.Scale
	if scale == 0 {
		scale = 1
	}
	n := m.channels()
	var table [3][256]T
	var pad [3]T
	for c := range n {
		// (p*Scale - Mean) / Std, each step in float32.
		value := func(p float32) T {
			return convert((float32(p*scale) - at(m.Mean, c, 0)) / at(m.Std, c, 1))
		}
		for p := range 256 {
			table[c][p] = value(float32(p))
		}
		pad[c] = value(at(m.Pad, c, 0))
		if m.Raw {
			switch t := any(&table[c]).(type) {
			case *[256]uint8:
				for p := range t {
					t[p] = uint8(p)
				}
			case *[256]int8:
				for p := range t {
					t[p] = int8(p - 128)
				}
			}
			if b := int(min(max(at(m.Pad, c, 0), 0), 255)); tensor.DTypeOf[T]().Bits() == 8 {
				pad[c] = table[c][b]
			}
		}
	}
	planar := layout == "nchw" || layout == "chw"
	from := [3]int{0, 1, 2}
	if m.Order == "bgr" {
		from = [3]int{2, 1, 0}
	}
	return func(dst *tensor.Tensor, p placed) {
		out := tensor.Of[T](dst)
		// Element (c, y, x) lies at c*cs + (y*w+x)*ps.
		cs, ps := 1, n
		if planar {
			cs, ps = p.w*p.h, 1
		}
		x0, x1 := min(max(p.x, 0), p.w), min(max(p.x+p.img.W, 0), p.w)
		for y := range p.h {
			sy := y - p.y
			inside := sy >= 0 && sy < p.img.H && x0 < x1
			for c := range n {
				row := out[c*cs+y*p.w*ps:]
				if !inside || x0 > 0 || x1 < p.w {
					for x := range p.w {
						row[x*ps] = pad[c]
					}
				}
				if !inside {
					continue
				}
				src := p.img.Pix[3*(sy*p.img.W+x0-p.x) : 3*(sy*p.img.W+x1-p.x)]
				t := &table[c]
				if n == 1 {
					for i, x := 0, x0; i+2 < len(src); i, x = i+3, x+1 {
						row[x*ps] = t[pixel.Gray(src[i], src[i+1], src[i+2])]
					}
					continue
				}
				for i, o := from[c], x0*ps; i < len(src); i, o = i+3, o+ps {
					row[o] = t[src[i]]
				}
			}
		}
	}
}
