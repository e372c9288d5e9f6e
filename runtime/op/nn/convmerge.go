package nn

import (
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// mergedSteps is the most steps of k that a tap may have where taps are merged.
const mergedSteps = 4

// mergeable reports whether the taps of a kernel's row can be taken for one: where they lie side by side in the input.
func (v *conv) mergeable() bool {
	return v.group == 1 && v.kernel[2] > 1 && v.dilation[2] == 1 && v.x.Pitch == 0
}

// shortTaps reports whether a tap is so few steps of k that its taps are better merged.
func (v *conv) shortTaps(row *spec.Row) bool { return ceil(v.cg, row.KR) <= mergedSteps }

// merges decides it. It pays where taps are short, so that the work per tap, and what a tap is short of whole steps of k, count. A row of class Approx
// sums in another order then, so a plan has no say in it.
func (v *conv) merges(c *op.Call, row *spec.Row) bool {
	if !v.mergeable() {
		return false
	}
	pays := v.shortTaps(row)
	if row.Num == spec.Approx {
		return pays
	}
	return c.Choose("merge-taps", pays)
}

// mergedTaps is the index of all output rows where the taps of a kernel's row are one, and the input that it refers to: that of src, or where taps reach
// into the padding a copy whose rows have margins.
func mergedTaps[A operand](c *op.Call, v *conv, row *spec.Row, src func() []A, pad func() A) ([]int32, func() []A) {
	begin, width := v.begin[2], v.in[2]
	needed := (v.out[2]-1)*v.stride[2] + v.kernel[2]
	left := max(0, begin)
	right := min(needed, width+begin) // of what the input fills
	if copied := left > 0 || right < needed; copied {
		src, begin, width = margins(c, v, src, pad, needed, left, right), 0, needed
	}
	taps := v.kernel[0] * v.kernel[1]
	return indexOf(c, v.m, taps, row.MR, func(r int, dst []int32) {
		image, p := r/v.pos, r%v.pos
		o0, o1, o2 := p/(v.out[1]*v.out[2]), p/v.out[2]%v.out[1], p%v.out[2]
		for k0 := range v.kernel[0] {
			i0 := o0*v.stride[0] - v.begin[0] + k0*v.dilation[0]
			for k1 := range v.kernel[1] {
				i1 := o1*v.stride[1] - v.begin[1] + k1*v.dilation[1]
				at := &dst[k0*v.kernel[1]+k1]
				*at = -1
				if i0 >= 0 && i0 < v.in[0] && i1 >= 0 && i1 < v.in[1] {
					*at = int32(((image*v.in[0]+i0)*v.in[1]+i1)*width + o2*v.stride[2] - begin)
				}
			}
		}
	}), src
}

// margins returns the function that copies the input into rows of the given width, of which it fills positions left to right-1.
func margins[A operand](c *op.Call, v *conv, src func() []A, pad func() A, width, left, right int) func() []A {
	count := v.batch * v.in[0] * v.in[1]
	last := pad()
	dst := filled(c, count*width*v.channels, last)
	var x []A
	n := max(0, right-left) * v.channels
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			copy(dst[(r*width+left)*v.channels:][:n], x[(r*v.in[2]+left-v.begin[2])*v.channels:])
		}
	}
	return func() []A {
		x = src()
		if p := pad(); p != last {
			last = p
			fill(dst, p)
		}
		if n > 0 {
			c.Par.For(count, 1+1<<16/n, body)
		}
		return dst
	}
}
