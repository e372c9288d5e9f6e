package move

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var spaceOps = map[string]op.Op{
	"DepthToSpace": {Infer: inferDepthToSpace, Prepare: prepareDepthToSpace, Traits: op.QuantMoves},
	"SpaceToDepth": {Infer: inferSpaceToDepth, Prepare: prepareSpaceToDepth, Traits: op.QuantMoves},
	"Reverse":      {Infer: inferIdentity, Prepare: prepareReverse, Traits: op.QuantMoves},
}

// depthSpace returns batch, channels, height and width in either layout.
func depthSpace(c *op.Call, s tensor.Shape) (n, ch, h, w, b int, nhwc bool, err error) {
	if len(s) != 4 {
		return 0, 0, 0, 0, 0, false, c.Errorf("input has rank %d, want 4", len(s))
	}
	if b = c.Attrs.Int("blocksize", 0); b < 1 || b > 1<<12 {
		return 0, 0, 0, 0, 0, false, c.Errorf("blocksize %d is out of range", b)
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

// times multiplies an extent that may be unknown.
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
