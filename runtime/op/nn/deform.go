package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// inputs of DeformConv: X, W, offset, B, mask.
var deformOps = map[string]op.Op{
	"DeformConv": {Infer: inferDeformConv, Prepare: anyLayout(prepareDeformConv, 0, 1, 2, 4)},
}

func inferDeformConv(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := c.Want(0, anyFloat...); err != nil {
		return err
	}
	if x := c.In[0].Shape; x != nil && len(x) != 4 {
		return c.Errorf("input of rank %d, want 4", len(x))
	}
	return inferConvAs(c, 0, 1, 3, c.In[0].DType)
}

// deform samples the input of a convolution at positions that are shifted by an input.
type deform struct {
	*conv
	groups, per int // offset groups, channels in each
	x           []float32
	offset      []float32 // [batch][positions][groups][taps][2]
	mask        []float32 // [batch][positions][groups][taps], nil: 1
}

func prepareDeformConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	d := &deform{conv: v, groups: c.Attrs.Int("offset_group", 1)}
	if d.groups < 1 || v.channels%d.groups != 0 {
		return nil, c.Errorf("offset_group %d for %d channels", d.groups, v.channels)
	}
	d.per = v.channels / d.groups
	taps := v.taps()
	want := tensor.Shape{v.batch, v.out[1], v.out[2], d.groups * taps * 2}
	if !c.In[2].Shape.Equal(want) {
		return nil, c.Errorf("offset %v, want %v (NHWC)", c.In[2].Shape, want)
	}
	want[3] /= 2
	if m := c.Input(4); m != nil && !m.Shape.Equal(want) {
		return nil, c.Errorf("mask %v, want %v (NHWC)", m.Shape, want)
	}
	w, err := floatSource(c, v.w, true)
	if err != nil {
		return nil, err
	}
	if err := wantFloats(c, c.In[2], c.Input(3), c.Input(4)); err != nil {
		return nil, err
	}
	x, offset, bias, mask, y := newFloats(c, v.x), newFloats(c, c.In[2]), newFloats(c, c.Input(3)), newFloats(c, c.Input(4)), newFloats(c, v.y)
	var bs, ys []float32
	row := c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	lo, hi := activation(c)
	run := convProducts(c, v, row, w, func() []float32 { return d.x }, always[float32](0), func(g int) func(dst []float32, r0, n int) {
		return func(dst []float32, r0, n int) {
			for i := range n {
				for t := range taps {
					d.sample(dst[(i*taps+t)*v.cg:], t, r0+i, g*v.cg)
				}
			}
		}
	}, floatEpilogue[float32, float32](v, nil, &bs, func() []byte { return tensor.Bytes(ys) }, lo, hi))
	return func() error {
		d.x, d.offset, d.mask, bs, ys = x.get(), offset.get(), mask.get(), bias.get(), y.room()
		if len(ys) > 0 {
			run()
			y.put()
		}
		return nil
	}, nil
}

// sample writes the channels first to first+cg-1 of tap t of output row r: each is interpolated between the four
// inputs around its position, which count as 0 outside.
func (d *deform) sample(dst []float32, t, r, first int) {
	taps := d.taps()
	p := r % d.pos
	oy, ox := p/d.out[2], p%d.out[2]
	base := r / d.pos * d.inPos
	for ch := range d.cg {
		at := (r*d.groups+(first+ch)/d.per)*taps + t
		v := float32(0)
		y := float32(oy*d.stride[1]-d.begin[1]+t/d.kernel[2]*d.dilation[1]) + d.offset[2*at]
		x := float32(ox*d.stride[2]-d.begin[2]+t%d.kernel[2]*d.dilation[2]) + d.offset[2*at+1]
		if y > -1 && y < float32(d.in[1]) && x > -1 && x < float32(d.in[2]) {
			y0, x0 := int(math.Floor(float64(y))), int(math.Floor(float64(x)))
			fy, fx := y-float32(y0), x-float32(x0)
			pixel := func(y, x int) float32 {
				if y < 0 || y >= d.in[1] || x < 0 || x >= d.in[2] {
					return 0
				}
				return d.x[(base+y*d.in[2]+x)*d.channels+first+ch]
			}
			top := float32(pixel(y0, x0)*(1-fx)) + float32(pixel(y0, x0+1)*fx)
			bottom := float32(pixel(y0+1, x0)*(1-fx)) + float32(pixel(y0+1, x0+1)*fx)
			v = float32(top*(1-fy)) + float32(bottom*fy)
		}
		if d.mask != nil {
			v = float32(v * d.mask[at])
		}
		dst[ch] = v
	}
}
