package tflite

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Operands that are known at run time only.

// made makes a value of the given type and a node that computes it.
func (b *builder) made(op, what string, d tensor.DType, a attr.Attrs, in ...*model.Value) *model.Value {
	b.r.charge(256)
	v := &model.Value{Name: b.unique(b.op + "." + what), DType: d}
	b.node(op, v, a, in...)
	return v
}

// shapeLater is a transposed convolution whose output shape is known at run time only and reports whether it is one. It must be
// what strides and kernel make of the input; a Reshape to it fails where it is not.
func (b *builder) shapeLater(a attr.Attrs, w, x *model.Value) bool {
	s, strides := b.o(0).Shape, a.Ints("strides")
	if len(s) != 4 || s[1] >= 0 && s[2] >= 0 || len(w.Shape) != 4 {
		return false
	}
	for i, st := range strides {
		if a.Str("auto_pad", "") == "VALID" && w.Shape[1+i] < st {
			return false
		}
	}
	y := b.like(b.o(0), "grown")
	b.finish("ConvTranspose", b.opts.i8(3, 0), y, a, inputs(x, b.moved(w, []int{3, 1, 2, 0}), b.maybe(3))...)
	b.node("Reshape", b.o(0), nil, y, b.list(0))
	return true
}

// sliceLater: sizes of -1 take the rest, however the begins and sizes come about.
func (b *builder) sliceLater() {
	begin, size := b.list(1), b.list(2)
	end := b.made("Add", "end", tensor.I64, nil, begin, size)
	rest := b.made("Less", "rest", tensor.Bool, nil, size, b.ints(0))
	end = b.made("Where", "bound", tensor.I64, nil, rest, b.ints(math.MaxInt32), end)
	b.node("Slice", b.o(0), nil, b.i(0), begin, end)
}

// gatherInBatches: the first extents of data and indices are one batch each, whose indices choose along the axis. The axis moves
// behind the batch, is gathered from, and the indices' extents move back to its place.
func (b *builder) gatherInBatches(axis, batch int) {
	x, index := b.i(0), b.i(1)
	rank, depth := len(x.Shape), len(index.Shape)
	if axis < 0 {
		axis += rank
	}
	if batch < 0 {
		batch += depth
	}
	if batch < 0 || batch > axis || axis >= rank || batch > depth {
		b.fail("%w: option batch_dims %d for axis %d of %v and indices %v", ErrFormat, b.opts.i32(1, 0), b.opts.i32(0, 0), x.Shape, index.Shape)
		return
	}
	if axis > batch {
		var p []int
		for d := range rank {
			if d == batch {
				p = append(p, axis)
			}
			if d != axis {
				p = append(p, d)
			}
		}
		turned := b.like(x, "turned")
		a := attr.Attrs{}
		a.Set("perm", p)
		b.node("Transpose", turned, a, x)
		x = turned
	}
	places := b.made("Unsqueeze", "places", tensor.I64, nil, b.wide(index), b.ints(-1))
	out := b.o(0)
	if axis > batch {
		out = b.like(out, "gathered")
	}
	a := attr.Attrs{}
	a.Set("batch_dims", batch)
	b.node("GatherND", out, a, x, places)
	if axis > batch {
		// batch, indices, x between, x behind -> batch, x between, indices, x behind
		n, between := depth-batch, axis-batch
		var p []int
		for d := range rank + depth - batch - 1 {
			switch {
			case d >= batch && d < batch+between:
				d += n
			case d >= batch+between && d < batch+between+n:
				d -= between
			}
			p = append(p, d)
		}
		a := attr.Attrs{}
		a.Set("perm", p)
		b.node("Transpose", b.o(0), a, out)
	}
}
