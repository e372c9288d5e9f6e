package nn

import (
	"runtime"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// filters is the work of a depthwise convolution, a row of positions at a time. Where a channel has several filters, each gets a copy
// of the channel.
type filters[T, W operand] struct {
	*conv
	kernel func(*spec.DepthwiseRowArgs)
	w      []W // as spec.DepthwiseRowArgs has it
	pack   func()
	// args holds what all positions share; its pointers are set by each run.
	args          spec.DepthwiseRowArgs
	input, output strip // of this run
	wide          []T   // the input with each channel repeated, where that is needed
	pad           []T   // a row of padding, of integers
	size          int   // of an element of y, in bytes
	parts         int   // that a row is cut into, for the threads
	// inStep and outStep are from one position to the next, in elements.
	inStep, outStep int
	pointers        int // to lines of the input that the kernel takes
	// chain, if set, follows on the results, which are FP32; where narrow is set, they are then rounded to BF16.
	chain  *elem.Chain
	narrow bool
	// factors, if set, gives the scales of position x of a row of the output, and for how many positions from there on they hold.
	factors func(row, x int) (scale unsafe.Pointer, n int)
	lanes   []filterShare // of the shares
	body    func(lo, hi int)
}

// filterShare holds each share's own pointers.
type filterShare struct {
	in   []unsafe.Pointer
	args spec.DepthwiseRowArgs
	wide []float32 // part of a row that awaits the chain and rounding
	elem.ChainLane
}

// newFilters prepares the convolution with weights w, or with weights of 1 where w is nil; pad is what lies in the padding. The bounds, the bias and
// what requantises are the caller's to add to the arguments.
func newFilters[T, W operand](c *op.Call, v *conv, row *spec.Row, w *source[W], pad T) *filters[T, W] {
	taps := v.taps()
	c.Executes(row, v.m*taps*v.outC)
	f := &filters[T, W]{conv: v, kernel: row.Func.(func(*spec.DepthwiseRowArgs)), size: row.Out.Bits() / 8}
	f.inStep, f.outStep = v.x.RowStep(), v.y.RowStep()
	if v.og > 1 {
		f.wide = op.Make[T](c, v.batch*v.inPos*v.outC)
		f.inStep = v.outC
	}
	across, lines := v.kernel[2], v.kernel[0]*v.kernel[1]
	size, order := taps*v.outC, orderFilters[W]
	if !row.In.IsFloat() {
		size, order = ceil(v.outC, row.NR)*ceil(lines, row.KR)*across*row.NR*row.KR, orderIntFilters[W]
		f.pad = filled(c, v.in[2]*f.inStep, pad)
	}
	pack := func(dst []W, at func(i, o int) W) { order(dst, row, lines, across, v.outC, at) }
	switch {
	case w == nil:
		f.w = make([]W, size)
		pack(f.w, func(int, int) W { return 1 })
	case w.constant != nil:
		f.w = op.PackedWeights(c, w.constant, w.kind+"/"+row.Name, size, func(dst []W) { pack(dst, w.load()) })
	default:
		f.w = op.Make[W](c, size)
		f.pack = func() { pack(f.w, w.load()) }
	}
	rows := v.m / max(1, v.out[2])
	// About the time, in nanoseconds: MR registers are multiplied in three, and 64 more go by for a row.
	work := v.m*taps*ceil(v.outC, row.NR)*3/row.MR + 64*rows
	want := op.Shares(c.Par, max(1, v.m), work)
	f.parts = max(1, min(ceil(want, max(1, rows)), v.out[2]))
	f.pointers = ceil(lines, row.KR) * row.KR
	f.makeLanes(max(1, min(want, rows*f.parts)))
	var element T
	f.args = spec.DepthwiseRowArgs{Across: across, Lines: lines, Channels: v.outC, Columns: v.in[2], Stride: v.stride[2], Dilation: v.dilation[2],
		InStep: f.inStep * int(unsafe.Sizeof(element)), OutStep: f.outStep * f.size, Pad: int32(pad)}
	f.body = func(from, to int) {
		for l := from; l < to; l++ {
			f.share(&f.lanes[l], l*rows*f.parts/len(f.lanes), (l+1)*rows*f.parts/len(f.lanes))
		}
	}
	return f
}

// filled returns n elements of a value.
func filled[T any](c *op.Call, n int, v T) []T {
	s := op.Make[T](c, n)
	fill(s, v)
	return s
}

// fill sets all elements of s to v.
func fill[T any](s []T, v T) {
	if len(s) == 0 {
		return
	}
	s[0] = v
	for n := 1; n < len(s); n *= 2 {
		copy(s[n:], s[:n])
	}
}

// always returns v.
func always[T any](v T) func() T { return func() T { return v } }

// orderFilters brings [channels][lines·across] into the order of rows of floats.
func orderFilters[W operand](dst []W, _ *spec.Row, lines, across, channels int, at func(i, o int) W) {
	taps := lines * across
	for ch := range channels {
		for t := range taps {
			dst[t*channels+ch] = at(ch*taps+t, ch)
		}
	}
}

// orderIntFilters does so for rows of integers; dst begins as zeros.
func orderIntFilters[W operand](dst []W, row *spec.Row, lines, across, channels int, at func(i, o int) W) {
	nr, kr := row.NR, row.KR
	groups := ceil(lines, kr)
	for b := range ceil(channels, nr) {
		for p := range min(nr, channels) {
			ch := row.Block(b, channels) + p
			for l := range lines {
				for t := range across {
					dst[(((b*groups+l/kr)*across+t)*nr+p)*kr+l%kr] = at((ch*lines+l)*across+t, ch)
				}
			}
		}
	}
}

// follow lets a chain follow on the results; narrow rounds them to BF16 then.
func (f *filters[T, W]) follow(chain *elem.Chain, narrow bool) {
	f.chain, f.narrow = chain, narrow && chain != nil
	if f.narrow {
		f.size, f.args.OutStep = 2, 4*f.outC
		for i := range f.lanes {
			f.lanes[i].wide = op.Make[float32](f.c, ceil(f.out[2], f.parts)*f.outC)
		}
	}
}

// setBias sets what sums of floats begin with, in this run.
func (f *filters[T, W]) setBias(bias []float32) {
	if len(bias) > 0 && len(bias) < f.outC {
		panic("BUG: the bias is short")
	}
	f.args.Bias = pointer(bias)
}

// run computes all positions, or leaves that to the loop that drives the stage. It checks the lengths of what the kernel gets by address; args.Bias and
// args.Scale hold outC elements.
func (f *filters[T, W]) run(par op.Par, x []T, out []byte) {
	if f.stage != nil {
		f.stage.source = bytesOf(x)
		return
	}
	if len(x) < f.x.Span() || len(out) < f.y.Span()*f.size {
		panic("BUG: input or output are short")
	}
	f.input, f.output = strip{data: bytesOf(x)}, strip{data: out}
	if f.wide != nil {
		for i, v := range x {
			for k := range f.og {
				f.wide[i*f.og+k] = v
			}
		}
		f.input.data = bytesOf(f.wide)
	}
	if f.pack != nil {
		f.pack()
	}
	par.For(len(f.lanes), 1, f.body)
}

// share computes parts from to to-1 of all rows.
func (f *filters[T, W]) share(s *filterShare, from, to int) {
	for u := from; u < to; u++ {
		row, part := u/f.parts, u%f.parts
		f.piece(s, f.input, f.output, row, part*f.out[2]/f.parts, (part+1)*f.out[2]/f.parts)
	}
	runtime.KeepAlive(s)
}

// piece computes positions first to end-1 of an output row.
func (f *filters[T, W]) piece(s *filterShare, x, y strip, row, first, end int) {
	s.args = f.args
	a := &s.args
	a.In, a.W = unsafe.Pointer(unsafe.SliceData(s.in)), unsafe.Pointer(unsafe.SliceData(f.w))
	f.lines(s.in, x, row)
	for first < end {
		stop := end
		if f.factors != nil {
			scale, n := f.factors(row, first)
			a.Scale, stop = scale, min(end, first+n)
		}
		f.positions(s, y, row, first, stop)
		first = stop
	}
}

// positions computes positions first to end-1 of an output row, whose lines are set.
func (f *filters[T, W]) positions(s *filterShare, y strip, row, first, end int) {
	a, at := &s.args, row*f.out[2]+first
	out := y.from(at, f.outStep*f.size)
	out = out[:((end-first-1)*f.outStep+f.outC)*f.size]
	if f.narrow {
		a.Out = unsafe.Pointer(&s.wide[0])
	} else {
		a.Out = unsafe.Pointer(&out[0])
	}
	a.Start, a.Width = first*f.stride[2]-f.begin[2], end-first
	f.kernel(a)
	if f.chain == nil {
		return
	}
	at *= f.outC
	count := (end - first) * f.outC
	if f.narrow {
		f.chain.Apply(&s.ChainLane, s.wide[:count], s.wide[:count], at)
		kernels.ToBF16(unsafe.Slice((*uint16)(unsafe.Pointer(&out[0])), count), s.wide[:count])
		return
	}
	// The whole part where positions follow each other, else one by one.
	length := count
	if f.outStep != f.outC {
		length = f.outC
	}
	for i := 0; i < count; i += length {
		y := floatsAt(out, i/f.outC*f.outStep, length)
		f.chain.Apply(&s.ChainLane, y, y, at+i)
	}
}

// lines points in to the rows of x that an output row reads. Padding is nil for floats and a row of it for integers; behind the last line are
// more of these.
func (f *filters[T, W]) lines(in []unsafe.Pointer, x strip, row int) {
	var element T
	size := f.inStep * int(unsafe.Sizeof(element)) // of a position
	padding := unsafe.Pointer(unsafe.SliceData(f.pad))
	image, o0, o1 := row/(f.out[0]*f.out[1]), row/f.out[1]%f.out[0], row%f.out[1]
	for k0 := range f.window.kernel[0] {
		i0 := o0*f.stride[0] - f.begin[0] + k0*f.dilation[0]
		for k1 := range f.window.kernel[1] {
			i1 := o1*f.stride[1] - f.begin[1] + k1*f.dilation[1]
			in[0] = padding
			if i0 >= 0 && i0 < f.in[0] && i1 >= 0 && i1 < f.in[1] && f.in[2] > 0 {
				line := x.from(image*f.inPos+(i0*f.in[1]+i1)*f.in[2], size)
				in[0] = unsafe.Pointer(&line[:(f.in[2]-1)*size+1][0])
			}
			in = in[1:]
		}
	}
	for i := range in {
		in[i] = padding
	}
}

// depthwise runs one filter per channel on floats.
func (v *conv) depthwise(c *op.Call, w *source[float32], chain *elem.Chain, xs, ys, bs *[]float32, lo, hi float32) func() {
	row := c.Select(spec.DepthwiseRow, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	f := newFilters[float32](c, v, row, w, 0)
	f.args.Lo, f.args.Hi = lo, hi
	f.follow(chain, false)
	v.stage.set(f, v.og == 1 && f.pack == nil)
	return func() {
		f.setBias(*bs)
		f.run(c.Par, *xs, tensor.Bytes(*ys))
	}
}
