package move

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// MediaPipe's pair of pools: the first tells for each maximum where in its window it stood, and the second puts it back there.
// Values are NHWC. A place counts row by row within the window; as a float it is 0.1 above that, so that it survives rounding.
var unpoolOps = map[string]op.Op{
	"mediapipe.MaxPoolArgmax": {Infer: inferPoolArgmax, Prepare: preparePoolArgmax},
	"mediapipe.MaxUnpool":     {Infer: inferWindowUnpool, Prepare: prepareWindowUnpool},
}

// pooling is a window over height and width, with what is padded before the input.
type pooling struct {
	in, out, kernel, stride, begin [2]int
	batch, channels                int
}

// readPooling reads the window; small and large are the extents that the pool makes of each other, -1 where unknown.
func readPooling(c *op.Call, s tensor.Shape, unpool bool) (*pooling, error) {
	if len(s) != 4 {
		return nil, c.Errorf("input %v, want rank 4", s)
	}
	k, st := c.Attrs.Ints("kernel_shape"), c.Attrs.Ints("strides")
	if len(k) != 2 || len(st) != 2 {
		return nil, c.Errorf("kernel_shape %v and strides %v", k, st)
	}
	same := true
	switch mode := c.Attrs.Str("auto_pad", ""); mode {
	case "VALID":
		same = false
	case "SAME_UPPER":
	default:
		return nil, c.Errorf("auto_pad %q", mode)
	}
	p := &pooling{batch: s[0], channels: s[3]}
	for i := range 2 {
		if k[i] < 1 || k[i] > 1<<12 || st[i] < 1 || st[i] > 1<<12 {
			return nil, c.Errorf("kernel_shape %v and strides %v are out of range", k, st)
		}
		p.kernel[i], p.stride[i], p.in[i] = k[i], st[i], s[1+i]
		if s[1+i] < 0 {
			p.out[i] = -1
			continue
		}
		small, large := 0, s[1+i]
		switch {
		case unpool:
			small, large = s[1+i], s[1+i]*k[i]
			p.out[i] = large
		case same:
			small = (large + st[i] - 1) / st[i]
			p.out[i] = small
		default:
			small = max(0, (large-k[i]+st[i])/st[i])
			p.out[i] = small
		}
		p.begin[i] = max(0, (small-1)*st[i]+k[i]-large) / 2
	}
	return p, nil
}

func inferPoolArgmax(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := c.Want(0, tensor.F32); err != nil {
		return err
	}
	var s tensor.Shape
	if c.In[0].Shape != nil {
		p, err := readPooling(c, c.In[0].Shape, false)
		if err != nil {
			return err
		}
		s = tensor.Shape{p.batch, p.out[0], p.out[1], p.channels}
	}
	c.Set(0, tensor.F32, s)
	c.Set(1, tensor.F32, s)
	return nil
}

func preparePoolArgmax(c *op.Call) (op.Run, error) {
	p, err := readPooling(c, c.In[0].Shape, false)
	if err != nil {
		return nil, err
	}
	values, places := c.Output(0), c.Output(1)
	body := func(lo, hi int) {
		x := tensor.Of[float32](c.In[0])
		for i := lo; i < hi; i++ { // output pixels
			ox, r := i%p.out[1], i/p.out[1]
			oy, n := r%p.out[0], r/p.out[0]
			y0, x0 := oy*p.stride[0]-p.begin[0], ox*p.stride[1]-p.begin[1]
			for ch := range p.channels {
				best, place := float32(-math.MaxFloat32), 0
				for ky := max(0, -y0); ky < min(p.kernel[0], p.in[0]-y0); ky++ {
					for kx := max(0, -x0); kx < min(p.kernel[1], p.in[1]-x0); kx++ {
						if v := x[((n*p.in[0]+y0+ky)*p.in[1]+x0+kx)*p.channels+ch]; v > best {
							best, place = v, ky*p.kernel[1]+kx
						}
					}
				}
				if values != nil {
					tensor.Of[float32](values)[i*p.channels+ch] = best
				}
				if places != nil {
					tensor.Of[float32](places)[i*p.channels+ch] = float32(place) + .1
				}
			}
		}
	}
	n := p.batch * p.out[0] * p.out[1]
	grain := 1 + (1<<12)/max(1, p.kernel[0]*p.kernel[1]*p.channels)
	return func() error {
		c.Par.For(n, grain, body)
		return nil
	}, nil
}

func inferWindowUnpool(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	for i := range 2 {
		if err := c.Want(i, tensor.F32); err != nil {
			return err
		}
	}
	x, at := c.In[0].Shape, c.In[1].Shape
	if x.Known() && at.Known() && !x.Equal(at) {
		return c.Errorf("values %v at places %v", x, at)
	}
	var s tensor.Shape
	if x != nil {
		p, err := readPooling(c, x, true)
		if err != nil {
			return err
		}
		s = tensor.Shape{p.batch, p.out[0], p.out[1], p.channels}
	}
	c.Set(0, tensor.F32, s)
	return nil
}

// prepareWindowUnpool drops values whose place lies outside.
func prepareWindowUnpool(c *op.Call) (op.Run, error) {
	p, err := readPooling(c, c.In[0].Shape, true)
	if err != nil {
		return nil, err
	}
	y := c.Out[0]
	return func() error {
		clear(y.Data)
		x, at, out := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.In[1]), tensor.Of[float32](y)
		for i, v := range x {
			f := at[i]
			if !(f >= 0 && f < 1<<24) {
				continue
			}
			ch, r := i%p.channels, i/p.channels
			px, r := r%p.in[1], r/p.in[1]
			py, n := r%p.in[0], r/p.in[0]
			oy, ox := py*p.stride[0]-p.begin[0]+int(f)/p.kernel[1], px*p.stride[1]-p.begin[1]+int(f)%p.kernel[1]
			if oy >= 0 && oy < p.out[0] && ox >= 0 && ox < p.out[1] {
				out[((n*p.out[0]+oy)*p.out[1]+ox)*p.channels+ch] = v
			}
		}
		return nil
	}, nil
}
