package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// window is the geometry of a convolution or pool over one to three spatial dimensions, which count as three here.
type window struct {
	nhwc             bool
	batch, channels  int
	in, kernel, out  [3]int
	stride, dilation [3]int
	begin, end       [3]int // padding
	rank             int    // spatial
}

// spatialOf returns batch, channels and spatial extents of a shape in either layout.
func spatialOf(s tensor.Shape, nhwc bool) (batch, channels int, sp []int) {
	if nhwc {
		return s[0], s[len(s)-1], s[1 : len(s)-1]
	}
	return s[0], s[1], s[2:]
}

// shapeOf is the inverse.
func shapeOf(batch, channels int, sp []int, nhwc bool) tensor.Shape {
	s := tensor.Shape{batch}
	if nhwc {
		return append(append(s, sp...), channels)
	}
	return append(append(s, channels), sp...)
}

// readWindow reads strides, dilations and pads for input x and a kernel of the given spatial extents. Extents may be
// unknown (-1); then so are the outputs that depend on them.
func readWindow(c *op.Call, x tensor.Shape, kernel []int, ceil bool) (*window, error) {
	if len(x) < 3 || len(x) > 5 {
		return nil, c.Errorf("input of rank %d, want 3 to 5", len(x))
	}
	layout := c.Attrs.Str("layout", "NCHW")
	if layout != "NCHW" && layout != "NHWC" {
		return nil, c.Errorf("layout %q, want NCHW or NHWC", layout)
	}
	w := &window{nhwc: layout == "NHWC", rank: len(x) - 2}
	var sp []int
	w.batch, w.channels, sp = spatialOf(x, w.nhwc)
	n := w.rank
	if len(kernel) != n {
		return nil, c.Errorf("kernel has %d dimensions, the input %d", len(kernel), n)
	}
	read := func(name string, count, def, least int) ([]int, error) {
		v := c.Attrs.Ints(name)
		if v == nil {
			v = make([]int, count)
			for i := range v {
				v[i] = def
			}
		}
		if len(v) != count {
			return nil, c.Errorf("%s %v: want %d values", name, v, count)
		}
		for _, x := range v {
			if x < least || x > 1<<20 {
				return nil, c.Errorf("%s %v is out of range", name, v)
			}
		}
		return v, nil
	}
	strides, err := read("strides", n, 1, 1)
	if err != nil {
		return nil, err
	}
	dilations, err := read("dilations", n, 1, 1)
	if err != nil {
		return nil, err
	}
	pads, err := read("pads", 2*n, 0, -1<<20)
	if err != nil {
		return nil, err
	}
	auto := c.Attrs.Str("auto_pad", "NOTSET")
	for i := range 3 {
		w.in[i], w.kernel[i], w.out[i], w.stride[i], w.dilation[i] = 1, 1, 1, 1, 1
	}
	for i := range n {
		if kernel[i] == 0 || kernel[i] < -1 {
			return nil, c.Errorf("kernel of extent %d", kernel[i])
		}
		d := 3 - n + i
		w.in[d], w.kernel[d], w.stride[d], w.dilation[d] = sp[i], kernel[i], strides[i], dilations[i]
		w.begin[d], w.end[d] = pads[i], pads[i+n]
		if sp[i] < 0 || kernel[i] < 0 {
			w.out[d] = -1
			continue
		}
		span := (kernel[i]-1)*dilations[i] + 1
		switch auto {
		case "NOTSET", "":
		case "VALID":
			w.begin[d], w.end[d] = 0, 0
		case "SAME_UPPER", "SAME_LOWER":
			out := (sp[i] + strides[i] - 1) / strides[i]
			total := max(0, (out-1)*strides[i]+span-sp[i])
			w.begin[d] = total / 2
			if auto == "SAME_LOWER" {
				w.begin[d] = total - total/2
			}
			w.end[d] = total - w.begin[d]
		default:
			return nil, c.Errorf("auto_pad %q is unknown", auto)
		}
		room := sp[i] + w.begin[d] + w.end[d] - span
		if room < 0 {
			return nil, c.Errorf("kernel of extent %d (with dilation) is larger than the padded input of %d", span, room+span)
		}
		w.out[d] = room/strides[i] + 1
		if ceil && room%strides[i] != 0 {
			// A window that would begin in the padding after the input is left out.
			if (w.out[d])*strides[i] < sp[i]+w.begin[d] {
				w.out[d]++
			}
		}
	}
	return w, w.bounded(c)
}

// bounded fails where a kernel has more positions than any sensible one: a million, or those of the input.
func (w *window) bounded(c *op.Call) error {
	most, taps := 1<<20, 1
	if w.in[0] > 0 && w.in[1] > 0 && w.in[2] > 0 {
		most = max(most, w.inPositions())
	}
	for d := range 3 {
		if w.kernel[d] > most/taps {
			return c.Errorf("kernel %v: %w", w.kernel[3-w.rank:], tensor.ErrTooLarge)
		}
		taps *= max(1, w.kernel[d])
	}
	return nil
}

// outSpatial is the output's spatial extents in the operator's rank.
func (w *window) outSpatial() []int { return w.out[3-w.rank:] }

// positions is the number of output positions per image; taps that of kernel positions.
func (w *window) positions() int { return w.out[0] * w.out[1] * w.out[2] }
func (w *window) taps() int      { return w.kernel[0] * w.kernel[1] * w.kernel[2] }

// inPositions is the number of input positions per image.
func (w *window) inPositions() int { return w.in[0] * w.in[1] * w.in[2] }

// offsets fills dst with the input position (within its image, in row-major order) of each tap of output position p; -1 in the
// padding.
func (w *window) offsets(p int, dst []int32) {
	o2 := p%w.out[2]*w.stride[2] - w.begin[2]
	o1 := p/w.out[2]%w.out[1]*w.stride[1] - w.begin[1]
	o0 := p/(w.out[2]*w.out[1])*w.stride[0] - w.begin[0]
	n := w.kernel[2]
	for k0 := range w.kernel[0] {
		i0 := o0 + k0*w.dilation[0]
		for k1 := range w.kernel[1] {
			i1 := o1 + k1*w.dilation[1]
			row := dst[:n]
			dst = dst[n:]
			if i0 < 0 || i0 >= w.in[0] || i1 < 0 || i1 >= w.in[1] {
				for k := range row {
					row[k] = -1
				}
				continue
			}
			base := (i0*w.in[1] + i1) * w.in[2]
			i2 := o2
			for k := range row {
				row[k] = -1
				if i2 >= 0 && i2 < w.in[2] {
					row[k] = int32(base + i2)
				}
				i2 += w.dilation[2]
			}
		}
	}
}
