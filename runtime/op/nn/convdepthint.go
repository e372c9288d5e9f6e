package nn

import (
	"runtime"
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// channelwise is the work of a depthwise convolution of integers, a row of output positions at a time.
//
// What a row of the output reads comes from rows of the input between margins of padding, of which each share keeps as many copies as the kernel
// spans; where nothing lies in the margins, the input itself is read. Where positions are no further apart than their channels, some neighbours are taken for
// one position that has the channels of all, so that few channels fill a vector too.
type channelwise[T, W operand] struct {
	*conv
	row     *spec.Row
	compute func(*spec.DepthwiseArgs)
	w       []W // as spec.DepthwiseArgs has it, of joined positions
	joined  int // positions that are taken for one
	args    spec.DepthwiseArgs
	pad     []T    // a row in the padding, with its margins
	length  int    // of a row with its margins, in elements
	inside  [2]int // the positions of a row that the input fills: from, to
	copied  bool   // whether rows are read from copies
	span    [2]int // rows that the kernel covers in the first two dimensions
	most    int    // joined positions of one call of the kernel
	parts   int    // that a row is cut into, for the threads
	shares  []channelShare[T]
	// factors, if set, gives the scales of position x of a row of the output, and for how many positions from there on they hold.
	factors func(row, x int) (scale unsafe.Pointer, n int)
	body    func(lo, hi int)
	x       []T
	dst     []byte
	size    int // of an element of y, in bytes
}

// channelShare holds each share's own pointers and copies.
type channelShare[T operand] struct {
	in   []unsafe.Pointer
	rows []T
	has  []int // the row of the input of each copy, -1 for none
	args spec.DepthwiseArgs
}

// shareWork is the number of multiply-adds that are worth another thread.
const shareWork = 1 << 17

// newChannelwise prepares the convolution with weights w, which are constant, or with weights of 1 where w is nil; pad is what lies in the
// padding.
func newChannelwise[T, W operand](c *op.Call, v *conv, row *spec.Row, w *source[W], pad T) *channelwise[T, W] {
	taps := v.taps()
	c.Executes(row, v.m*taps*v.outC)
	f := &channelwise[T, W]{conv: v, row: row, compute: row.Func.(func(*spec.DepthwiseArgs)), size: row.Out.Bits() / 8, joined: 1}
	if v.stride[2] == 1 && row.KR > 1 {
		f.join()
	}
	if w != nil {
		f.w = op.PackedSlice(c, w.constant, w.kind+"/channelwise/"+row.Name+"/"+itoa(f.joined), f.packed(), func(dst []W) { f.pack(dst, w.load()) })
	} else {
		f.w = make([]W, f.packed())
		f.pack(f.w, func(int, int) W { return 1 })
	}
	begin := v.begin[2]
	needed := (v.out[2]-1)*v.stride[2] + (v.kernel[2]-1)*v.dilation[2] + 1 // positions of a row with its margins
	f.length = needed * v.outC
	f.inside = [2]int{max(0, begin), min(needed, v.in[2]+begin)}
	f.copied = f.inside[0] > 0 || f.inside[1] < needed || v.og > 1
	f.pad = filled(c, f.length, pad)
	for d := range f.span {
		f.span[d] = (v.kernel[d]-1)*v.dilation[d] + 1
	}
	f.most = max(1, 1<<20/max(1, f.joined*v.outC*taps))
	outer := v.m / max(1, v.out[2])
	want := max(1, min(4*c.Par.Threads(), v.m*taps*v.outC/shareWork))
	if c.Par.Threads() == 1 {
		want = 1
	}
	f.parts = max(1, min(ceil(want, max(1, outer)), v.out[2]))
	f.shares = make([]channelShare[T], max(1, min(want, outer*f.parts)))
	for i := range f.shares {
		s := &f.shares[i]
		s.in = make([]unsafe.Pointer, taps)
		if f.copied {
			s.has = make([]int, f.span[0]*f.span[1])
			s.rows = filled(c, len(s.has)*f.length, pad)
		}
	}
	f.body = func(from, to int) {
		for l := from; l < to; l++ {
			f.share(&f.shares[l], l*outer*f.parts/len(f.shares), (l+1)*outer*f.parts/len(f.shares))
		}
	}
	return f
}

// filled returns n elements of a value.
func filled[T any](c *op.Call, n int, v T) []T {
	s := op.Make[T](c, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// join chooses how many positions are taken for one: as many as need the fewest blocks of channels.
func (f *channelwise[T, W]) join() {
	n, blocks := f.out[2], func(channels int) int { return ceil(channels, f.row.NR) }
	least := n * blocks(f.outC)
	for j := 2; j <= n && j*f.outC <= 8*f.row.NR; j++ {
		if b := n/j*blocks(j*f.outC) + blocks(n%j*f.outC); b < least {
			f.joined, least = j, b
		}
	}
}

// places calls each with the places of what the kernel is given per channel, and the channel that stands there, -1 for none.
func (f *channelwise[T, W]) places(each func(block, p, ch int)) {
	for b := range ceil(f.joined*f.outC, f.row.NR) {
		for p := range f.row.NR {
			ch := p
			if f.row.KR > 1 {
				ch = f.row.Channel(p)
			}
			if ch += b * f.row.NR; ch >= f.joined*f.outC {
				each(b, p, -1)
			} else {
				each(b, p, ch%f.outC)
			}
		}
	}
}

// packed is the number of elements that pack fills.
func (f *channelwise[T, W]) packed() int {
	nr, kr := f.row.NR, f.row.KR
	if kr == 1 {
		return f.taps() * f.outC
	}
	return ceil(f.joined*f.outC, nr) * ceil(f.taps(), kr) * nr * kr
}

// pack brings [outC][taps] into the order of the kernel; dst begins as zeros.
func (f *channelwise[T, W]) pack(dst []W, at func(i, o int) W) {
	taps, nr, kr := f.taps(), f.row.NR, f.row.KR
	if kr == 1 {
		for ch := range f.outC {
			for t := range taps {
				dst[t*f.outC+ch] = at(ch*taps+t, ch)
			}
		}
		return
	}
	groups := ceil(taps, kr)
	f.places(func(b, p, ch int) {
		for t := range taps {
			if ch >= 0 {
				dst[((b*groups+t/kr)*nr+p)*kr+t%kr] = at(ch*taps+t, ch)
			}
		}
	})
}

// perChannel returns the function that brings one value per channel into the order of the kernel, and where it puts them.
func perChannel[T, W operand, C any](f *channelwise[T, W]) (dst []C, order func(src []C)) {
	if f.row.KR == 1 {
		dst = make([]C, f.outC)
		return dst, func(src []C) { copy(dst, src) }
	}
	var from []int
	f.places(func(_, _, ch int) { from = append(from, ch) })
	dst = make([]C, len(from))
	return dst, func(src []C) {
		for i, ch := range from {
			if ch >= 0 {
				dst[i] = src[ch]
			}
		}
	}
}

// run computes all positions. It checks the lengths of what the kernel gets by address; args.Bias and args.Scale hold what perChannel makes.
func (f *channelwise[T, W]) run(par op.Par, x []T, out []byte) {
	if len(x) < f.batch*f.inPos*f.channels || len(out) < f.m*f.outC*f.size {
		panic("BUG: input or output are short")
	}
	f.x, f.dst = x, out
	par.For(len(f.shares), 1, f.body)
}

// share computes parts from to to-1 of all rows.
func (f *channelwise[T, W]) share(s *channelShare[T], from, to int) {
	s.args = f.args
	for i := range s.has {
		s.has[i] = -1
	}
	a := &s.args
	var element T
	a.In, a.W, a.Taps = unsafe.Pointer(&s.in[0]), unsafe.Pointer(&f.w[0]), len(s.in)
	a.InStep, a.OutStep = f.joined*f.stride[2]*f.outC*int(unsafe.Sizeof(element)), f.joined*f.outC*f.size
	for u := from; u < to; u++ {
		row, part := u/f.parts, u%f.parts
		first, end := part*f.out[2]/f.parts, (part+1)*f.out[2]/f.parts
		for first < end {
			stop := end
			if f.factors != nil {
				scale, n := f.factors(row, first)
				a.Scale, stop = scale, min(end, first+n)
			}
			n, width := f.joined*min(f.most, (stop-first)/f.joined), f.joined
			if n == 0 { // fewer than are taken for one
				n, width = stop-first, stop-first
			}
			a.Width, a.Channels = n/width, width*f.outC
			f.positions(s, row, first)
			first += n
		}
	}
	runtime.KeepAlive(s)
}

// positions computes what the arguments describe, from position x on of an output row.
func (f *channelwise[T, W]) positions(s *channelShare[T], row, x int) {
	image, o0, o1 := row/(f.out[0]*f.out[1]), row/f.out[1]%f.out[0], row%f.out[1]
	in := s.in
	for k0 := range f.kernel[0] {
		i0 := o0*f.stride[0] - f.begin[0] + k0*f.dilation[0]
		for k1 := range f.kernel[1] {
			i1 := o1*f.stride[1] - f.begin[1] + k1*f.dilation[1]
			base := f.pad
			if i0 >= 0 && i0 < f.in[0] && i1 >= 0 && i1 < f.in[1] {
				base = f.line(s, image, i0, i1)
			}
			at, step := x*f.stride[2]*f.outC, f.dilation[2]*f.outC
			for k2 := range f.kernel[2] {
				in[k2] = unsafe.Pointer(&base[at])
				at += step
			}
			in = in[f.kernel[2]:]
		}
	}
	s.args.Out = unsafe.Pointer(&f.dst[(row*f.out[2]+x)*f.outC*f.size])
	f.compute(&s.args)
}

// line returns row (i0, i1) of the input, with its margins.
func (f *channelwise[T, W]) line(s *channelShare[T], image, i0, i1 int) []T {
	from, to := f.inside[0], f.inside[1]
	row := (image*f.in[0]+i0)*f.in[1] + i1
	src := f.x[(row*f.in[2]+from-f.begin[2])*f.channels:]
	if !f.copied {
		return src[:f.length]
	}
	slot := i0%f.span[0]*f.span[1] + i1%f.span[1]
	dst := s.rows[slot*f.length:][:f.length]
	if s.has[slot] == row {
		return dst
	}
	s.has[slot] = row
	if to <= from {
		return dst
	}
	inner := dst[from*f.outC : to*f.outC]
	if f.og == 1 {
		copy(inner, src)
		return dst
	}
	for i := range inner {
		inner[i] = src[i/f.og]
	}
	return dst
}
