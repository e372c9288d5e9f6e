package nn

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// whole reports whether a window's only position covers the whole input and nothing else.
func (w *window) whole() bool {
	return w.positions() == 1 && w.kernel == w.in && w.dilation == [3]int{1, 1, 1} && w.begin == [3]int{} && w.end == [3]int{}
}

// wholePool reduces all positions of each image: to the largest elements, or to sums in lanes.
func wholePool(c *op.Call, w *window, largest bool) *elem.Columns {
	return elem.NewColumns(c, tensor.Shape{w.batch, w.inPositions(), w.channels}, []int{1}, largest)
}

// pooler drives a row of spec.MaxPool or spec.MeanPool: neighbouring output positions whose windows lie within the input in one call, the others one
// by one.
type pooler[T float32 | int8 | uint8] struct {
	w        *window
	kernel   func(*spec.PoolArgs)
	args     spec.PoolArgs // what all calls have in common
	shares   []poolShare
	rowShare int // shares of positions, for each of the channels
	// inStep and outStep are from one position to the next, in elements.
	inStep, outStep int
	// div, where it is set, is the divisor of an output position, and taps keep their places: those in the padding read zeros.
	div   func(p int) int
	zeros []T
	// lowest is the result of a window that lies in the padding alone.
	lowest  T
	in, out []T // of this run
	body    func(lo, hi int)
}

// poolShare is what one share needs.
type poolShare struct {
	args spec.PoolArgs
	taps []unsafe.Pointer
	offs []int32
	by   [1]float32
}

func newPooler[T float32 | int8 | uint8](c *op.Call, w *window, o spec.Op, args spec.PoolArgs, lowest T, div func(p int) int) *pooler[T] {
	d := tensor.DTypeOf[T]()
	row := c.Select(o, d, d, d, d, c.Num)
	f := &pooler[T]{w: w, kernel: row.Func.(func(*spec.PoolArgs)), args: args, lowest: lowest, div: div, inStep: c.In[0].RowStep(), outStep: c.Out[0].RowStep()}
	if div != nil {
		f.zeros = op.Make[T](c, w.channels)
	}
	m := w.batch * w.positions()
	rate := 16 // elements in a nanosecond
	if row.Needs == 0 {
		rate = 1
	}
	shares := op.Shares(c.Par, 4*c.Par.Threads(), m*w.taps()*w.channels*int(unsafe.Sizeof(lowest))/(4*rate))
	f.rowShare = max(1, min(shares, m))
	chanShare := max(1, min(shares/f.rowShare, w.channels/64))
	f.shares = make([]poolShare, f.rowShare*chanShare)
	for i := range f.shares {
		f.shares[i].taps, f.shares[i].offs = op.Make[unsafe.Pointer](c, w.taps()), op.Make[int32](c, w.taps())
	}
	f.body = func(lo, hi int) {
		for s := lo; s < hi; s++ {
			r, b := s%f.rowShare, s/f.rowShare
			// Channels are divided in whole vectors.
			c0, c1 := b*(w.channels/64)/chanShare*64, (b+1)*(w.channels/64)/chanShare*64
			if b == chanShare-1 {
				c1 = w.channels
			}
			f.share(&f.shares[s], r*m/f.rowShare, (r+1)*m/f.rowShare, c0, c1)
		}
	}
	return f
}

// run pools in to out.
func (f *pooler[T]) run(par op.Par, out, in []T) {
	w := f.w
	if len(in) < (w.batch*w.inPositions()-1)*f.inStep+w.channels || len(out) < (w.batch*w.positions()-1)*f.outStep+w.channels {
		panic("BUG: the input or the output of a pool is short")
	}
	if len(out) == 0 {
		return
	}
	f.in, f.out = in, out
	par.For(len(f.shares), 1, f.body)
}

// poolWork bounds the elements that one call reads, which cannot be interrupted.
const poolWork = 1 << 18

// share computes channels c0 to c1-1 of output positions p to end-1, counted over all images.
func (f *pooler[T]) share(s *poolShare, p, end, c0, c1 int) {
	w := f.w
	size := int(unsafe.Sizeof(f.lowest))
	a := &s.args
	*a = f.args
	a.In, a.Scale = unsafe.Pointer(&s.taps[0]), unsafe.Pointer(&s.by)
	a.Channels, a.InStep, a.OutStep = c1-c0, w.stride[2]*f.inStep*size, f.outStep*size
	most := max(1, poolWork/(w.taps()*(c1-c0)))
	pos := w.positions()
	for p < end {
		image, at := p/pos, p%pos
		w.offsets(at, s.offs)
		a.Taps = 0
		inside := true
		for _, o := range s.offs {
			inside = inside && o >= 0
			switch {
			case o >= 0:
				s.taps[a.Taps] = unsafe.Pointer(&f.in[(image*w.inPositions()+int(o))*f.inStep+c0])
				a.Taps++
			case f.div != nil:
				s.taps[a.Taps] = unsafe.Pointer(&f.zeros[c0])
				a.Taps++
			}
		}
		out := f.out[p*f.outStep+c0:]
		a.Width = 1
		if inside {
			a.Width = min(f.inner(at), most, end-p)
		}
		if f.div != nil { // the same for all windows within the input
			s.by[0] = float32(f.div(at))
		}
		p += a.Width
		_ = out[(a.Width-1)*f.outStep+c1-c0-1]
		if a.Taps == 0 {
			for i := range out[:c1-c0] {
				out[i] = f.lowest
			}
			continue
		}
		a.Out = unsafe.Pointer(&out[0])
		f.kernel(a)
	}
}

// inner is the number of positions from p on in its line whose windows lie within the input along the line, as p's does.
func (f *pooler[T]) inner(p int) int {
	w := f.w
	x := p % w.out[2]
	last := (w.in[2] + w.begin[2] - (w.kernel[2]-1)*w.dilation[2] - 1) / w.stride[2] // the last such position
	return max(1, min(last, w.out[2]-1)-x+1)
}
