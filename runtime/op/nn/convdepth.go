package nn

import (
	"runtime"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// filters is the work of a depthwise convolution, position by position. Where a channel has several filters, each gets a copy
// of the channel.
type filters[T, W operand] struct {
	*conv
	kernel func(*spec.DepthwiseArgs)
	w      []W // [taps][outC]
	pack   func()
	// args holds what all positions share; its pointers are set by each run.
	args spec.DepthwiseArgs
	x    []T
	wide []T // the input with each channel repeated, where that is needed
	out  []byte
	size int // of an element of y, in bytes
	pad  []T // what stands for a tap in the padding; nil skips the tap
	// shares hold each share's own pointers.
	shares []filterShare
	body   func(lo, hi int)
}

type filterShare struct {
	offs []int32
	in   []unsafe.Pointer
	args spec.DepthwiseArgs
}

func newFilters[T, W operand](c *op.Call, v *conv, row *spec.Row, w *source[W]) *filters[T, W] {
	taps := v.taps()
	f := &filters[T, W]{conv: v, kernel: row.Func.(func(*spec.DepthwiseArgs)), size: row.Out.Bits() / 8}
	turn := func(dst []W, at func(i, o int) W) { // [outC][taps] to [taps][outC]
		for ch := range v.outC {
			for t := range taps {
				dst[t*v.outC+ch] = at(ch*taps+t, ch)
			}
		}
	}
	if w.constant != nil {
		f.w = op.Packed(c, w.constant, w.kind+"/depthwise", func() []W {
			dst := make([]W, taps*v.outC)
			turn(dst, w.load())
			return dst
		})
	} else {
		f.w = make([]W, taps*v.outC)
		f.pack = func() { turn(f.w, w.load()) }
	}
	if v.og > 1 {
		f.wide = op.Make[T](c, v.batch*v.inPos*v.outC)
	}
	f.shares = make([]filterShare, max(1, min(4*c.Par.Threads(), v.m)))
	for i := range f.shares {
		f.shares[i].offs, f.shares[i].in = make([]int32, taps), make([]unsafe.Pointer, taps)
	}
	f.body = func(from, to int) {
		for l := from; l < to; l++ {
			f.share(&f.shares[l], l*v.m/len(f.shares), (l+1)*v.m/len(f.shares))
		}
	}
	return f
}

// run computes all positions. It checks the lengths of what the kernel gets by address; args.Bias and args.Scale hold outC elements.
func (f *filters[T, W]) run(par op.Par, x []T, out []byte) {
	if len(f.w) < f.taps()*f.outC || f.pad != nil && len(f.pad) < f.outC || len(x) < f.batch*f.inPos*f.channels || len(out) < f.m*f.outC*f.size {
		panic("BUG: input, weights or output are short")
	}
	f.x, f.out = x, out
	if f.wide != nil {
		for i, v := range x {
			for k := range f.og {
				f.wide[i*f.og+k] = v
			}
		}
		f.x = f.wide
	}
	if f.pack != nil {
		f.pack()
	}
	par.For(len(f.shares), 1, f.body)
}

func (f *filters[T, W]) share(s *filterShare, from, to int) {
	s.args = f.args
	a := &s.args
	a.In, a.W, a.Taps, a.Channels = unsafe.Pointer(&s.in[0]), unsafe.Pointer(&f.w[0]), len(s.in), f.outC
	pad, out := pointer(f.pad), pointer(f.out)
	for r := from; r < to; r++ {
		f.offsets(r%f.pos, s.offs)
		base := r / f.pos * f.inPos
		for t, o := range s.offs {
			s.in[t] = pad
			if o >= 0 {
				s.in[t] = unsafe.Pointer(&f.x[(base+int(o))*f.outC])
			}
		}
		a.Out = unsafe.Add(out, r*f.outC*f.size)
		f.kernel(a)
	}
	runtime.KeepAlive(s)
}

// depthwise runs one filter per channel on floats.
func (v *conv) depthwise(c *op.Call, w *source[float32], xs, ys, bs *[]float32, lo, hi float32) func() {
	row := rows.Select(spec.Depthwise, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	f := newFilters[float32](c, v, row, w)
	f.args = spec.DepthwiseArgs{Lo: lo, Hi: hi}
	return func() {
		if len(*bs) > 0 && len(*bs) < v.outC {
			panic("BUG: the bias is short")
		}
		f.args.Bias = pointer(*bs)
		f.run(c.Par, *xs, tensor.Bytes(*ys))
	}
}
