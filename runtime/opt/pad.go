package opt

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// foldPad lets convolutions pad with zeros themselves.
func foldPad(c *Context, g *model.Graph) error {
	x := newIndex(g)
	for _, n := range c.visit(g.Nodes) {
		if n.Op != "Conv" || len(n.In) == 0 {
			continue
		}
		pad := x.made(n.In[0], "Pad")
		if pad == nil || pad.Attrs.Str("mode", "constant") != "constant" || !zeroFill(pad) || !pad.In[0].Quant.Equal(n.In[0].Quant) {
			continue
		}
		rank := len(n.In[0].Shape)
		begin, end := spatialPads(pad, rank, n.Attrs.Str("layout", "NCHW") == "NHWC")
		own := n.Attrs.Ints("pads")
		switch n.Attrs.Str("auto_pad", "NOTSET") {
		case "NOTSET", "":
		case "VALID":
			own = nil
		default:
			continue // depends on the extents
		}
		spatial := rank - 2
		if begin == nil || own != nil && len(own) != 2*spatial {
			continue
		}
		pads := make([]int, 2*spatial)
		copy(pads, own)
		for i := range spatial {
			pads[i] += begin[i]
			pads[i+spatial] += end[i]
		}
		delete(n.Attrs, "auto_pad")
		n.Attrs.Set("pads", pads)
		n.In[0] = pad.In[0]
	}
	return nil
}

// zeroFill reports whether a Pad fills with what stands for the real 0.
func zeroFill(pad *model.Node) bool {
	v := pad.Input(2)
	if v == nil {
		return pad.In[0].DType.IsFloat() || pad.In[0].Quant != nil
	}
	t := isConst(v)
	if t == nil || t.Len() != 1 || t.DType != pad.In[0].DType {
		return false
	}
	if q := pad.In[0].Quant; q != nil {
		z, err := t.Ints()
		return err == nil && q.PerTensor() && z[0] == int64(q.ZeroAt(0))
	}
	if !t.DType.IsFloat() {
		return false
	}
	for _, b := range t.Data {
		if b != 0 {
			return false
		}
	}
	return true
}

// spatialPads returns what a Pad adds before and after each spatial dimension; nil where that is not known, where it takes away, or where it
// pads other dimensions too.
func spatialPads(pad *model.Node, rank int, nhwc bool) (begin, end []int) {
	pads, axes := constInts(pad.Input(1)), constInts(pad.Input(3))
	if rank < 3 || pads == nil || pad.Input(3) != nil && axes == nil {
		return nil, nil
	}
	if pad.Input(3) == nil {
		for i := range rank {
			axes = append(axes, int64(i))
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, nil
	}
	begin, end = make([]int, rank-2), make([]int, rank-2)
	first := 2
	if nhwc {
		first = 1
	}
	const most = 1 << 20
	for i, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		b, e := pads[i], pads[i+len(axes)]
		d := int(a) - first
		switch {
		case a < 0 || a >= int64(rank) || b < 0 || e < 0 || b > most || e > most:
			return nil, nil
		case d >= 0 && d < rank-2:
			begin[d], end[d] = int(b), int(e)
		case b != 0 || e != 0:
			return nil, nil
		}
	}
	return begin, end
}

// constInts returns a constant's integers; nil where v is none.
func constInts(v *model.Value) []int64 {
	t := isConst(v)
	if t == nil || t.DType != tensor.I64 && t.DType != tensor.I32 {
		return nil
	}
	n, err := t.Ints()
	if err != nil {
		return nil
	}
	return n
}
