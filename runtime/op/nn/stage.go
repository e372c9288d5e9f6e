package nn

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// Convolutions that follow each other may run by bands: a depthwise one computes some positions, and a pointwise one takes these up while they are in
// cache; where a pointwise one comes before, it makes the lines that a band reads, of which a ring keeps those that the next band reads too.

// strip is a run of positions of a value, counted over all images. It begins with position first, or holds position p in place p%ring where
// ring is above 0; the positions asked for at once then lie before its end.
type strip struct {
	data        []byte
	first, ring int
}

// from is the strip from position p on; positions have so many bytes.
func (s strip) from(p, size int) []byte {
	p -= s.first
	if s.ring > 0 {
		p %= s.ring
	}
	return s.data[p*size:]
}

// bytesOf views operands as bytes.
func bytesOf[T operand](s []T) []byte {
	var element T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(element)))
}

// worker computes positions of a convolution.
type worker interface {
	// makeLanes makes what n shares need.
	makeLanes(n int)
	// some writes positions p0 to p1-1 of the output to y, from what x holds of the input.
	some(share int, x, y strip, p0, p1 int)
}

// stage is a convolution whose positions another loop asks for.
type stage struct {
	*conv
	worker        // nil where it cannot
	bind   op.Run // what a run begins with
	source []byte // then, what it reads where it is the first
}

// set gives a stage its worker, if it can have one; s may be nil.
func (s *stage) set(w worker, can bool) {
	if s != nil && can {
		s.worker = w
	}
}

func (p *product[A, B, C]) makeLanes(n int) { p.lanes = make([]lane[A, C], n) }

func (p *product[A, B, C]) some(share int, x, y strip, p0, p1 int) {
	var element A
	l := &p.lanes[share]
	size := int(unsafe.Sizeof(element))
	a := &l.args
	*a = spec.GemmArgs{AStride: p.step * size, CStride: p.ldc, Taps: 1, K: p.k, Lo: p.lo, Hi: p.hi, OutZero: p.zero, QLo: p.qlo, QHi: p.qhi}
	if p.room != nil {
		slot := p.room.borrow()
		defer slot.giveBack()
		l.panel = slot.of
	}
	mr, nr, outStep := p.row.MR, p.row.NR, p.ldc*p.outElement
	src, dst := x.from(p0, a.AStride), y.from(p0, outStep)
	src, dst = src[:(p1-p0-1)*a.AStride+p.k*size], dst[:(p1-p0-1)*outStep+p.n*p.outElement]
	for j := 0; j < p.n; j += nr {
		p.column(l, j, 1)
		for r := 0; r < p1-p0; r += mr {
			a.A, a.C, a.Rows = unsafe.Pointer(&src[r*a.AStride]), unsafe.Pointer(&dst[r*outStep+j*p.outElement]), min(mr, p1-p0-r)
			p.kernel(a)
		}
	}
	if p.chain != nil {
		p.follow(l, dst, p0, p0, p1, 0, p.n)
	}
}

func (f *filters[T, W]) makeLanes(n int) {
	f.lanes = make([]filterShare, n)
	for i := range f.lanes {
		f.lanes[i].in = make([]unsafe.Pointer, f.pointers)
	}
}

func (f *filters[T, W]) some(share int, x, y strip, p0, p1 int) {
	for p0 < p1 {
		row, column := p0/f.out[2], p0%f.out[2]
		n := min(p1-p0, f.out[2]-column)
		f.piece(&f.lanes[share], x, y, row, column, column+n)
		p0 += n
	}
}

// bandBytes is about what a band keeps of what is between two convolutions, ringBytes what a ring does.
const (
	bandBytes = 32 << 10
	ringBytes = 256 << 10
	// cacheBytes is about what stays in a core's cache from one loop to the next.
	cacheBytes = 3 << 19
)

// bands drives two or three stages.
type bands struct {
	expand     *stage // may be nil
	deep, last *stage
	x, y       strip  // of this run
	size       [2]int // of a position of what expand and deep make, in bytes
	band       int    // positions of the last stage that are made at once
	ring       int    // positions
	parts      *room[bandPart]
	pays       bool // whether all threads have work
}

// bandPart is what a share keeps.
type bandPart struct{ ring, band []byte }

// prepareStages prepares operator Stages: convolutions that follow each other, each the only reader of the one before.
func prepareStages(c *op.Call) (op.Run, error) {
	b, run, err := newBands(c)
	if err != nil {
		return nil, err
	}
	if b != nil && c.Choose("bands", b.pays) {
		return run, nil
	}
	return inTurn(c)
}

// inTurn runs the stages one after the other.
func inTurn(c *op.Call) (op.Run, error) {
	var runs []op.Run
	for i, inner := range c.Stages {
		inner.Choice, inner.Uses = c.Choice, nil
		if i < len(c.Stages)-1 {
			t := inner.Out[0]
			buf := op.Make[byte](c, tensor.ByteSize(t.DType, t.Len())+tensor.Align)
			buf = buf[-uintptr(unsafe.Pointer(&buf[0]))&(tensor.Align-1):]
			runs = append(runs, func() error {
				t.Data = buf[:tensor.ByteSize(t.DType, t.Len())]
				return nil
			})
		}
		run, err := prepareConv(inner)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
		c.Adopt(inner)
	}
	return func() error {
		for _, run := range runs {
			if err := run(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// newBands prepares the stages by bands; nil where kernels cannot.
func newBands(c *op.Call) (*bands, op.Run, error) {
	var list []*stage
	for _, inner := range c.Stages {
		s := &stage{}
		inner.Choice, inner.Uses = c.Choice, nil
		var err error
		if s.bind, err = prepareConvAs(inner, s); err != nil {
			return nil, nil, err
		}
		if s.worker == nil || len(list) > 0 && !readsPlain(inner) || !writesPlain(inner) {
			return nil, nil, nil
		}
		list = append(list, s)
	}
	n := len(list)
	b := &bands{deep: list[n-2], last: list[n-1]}
	if n == 3 {
		b.expand = list[0]
	}
	bytes := func(s *stage) int { return s.outC * s.y.DType.Bits() / 8 }
	b.size[1] = bytes(b.deep)
	macs := 0
	for _, s := range list {
		macs += s.macs
	}
	ns := macs * list[0].x.DType.Bits() / 8 / 160
	width, lines := b.deep.out[2], b.deep.m/b.deep.out[2]
	const tile = 8 // positions that products compute at once
	var shares, unit int
	if b.expand == nil {
		unit = tile
		b.band = max(1, bandBytes/(tile*b.size[1])) * tile
		shares = op.Shares(c.Par, ceil(b.last.m, tile), ns)
	} else {
		unit = width
		b.size[0] = bytes(b.expand)
		line := b.deep.window.in[2] * b.size[0]
		stride, span := b.deep.stride[1], (b.deep.kernel[1]-1)*b.deep.dilation[1]+1
		count := max(1, min((ringBytes/line-span)/stride+1, bandBytes*4/(width*b.size[1])))
		count = min(count, b.deep.out[1])
		b.band = count * width
		b.ring = ((count-1)*stride + span) * b.deep.window.in[2]
		// Each share makes span-stride lines that its neighbour makes too: few of its own.
		shares = op.Shares(c.Par, min(2*c.Par.Threads(), lines*stride/(8*max(1, span-stride))), ns)
	}
	b.pays = shares >= min(c.Par.Threads(), op.Shares(c.Par, lines, ns))
	for _, s := range list {
		s.makeLanes(shares)
		c.Adopt(s.c)
	}
	b.parts = roomFor(c, "bands", func(p *bandPart) {
		atLeast(c, &p.ring, b.ring*b.size[0])
		atLeast(c, &p.band, b.band*b.size[1])
	})
	units := ceil(b.last.m, unit)
	body := func(lo, hi int) {
		for s := lo; s < hi; s++ {
			b.share(s, s*units/shares*unit, min(b.last.m, (s+1)*units/shares*unit))
		}
	}
	return b, func() error {
		for _, s := range list {
			if err := s.bind(); err != nil {
				return err
			}
		}
		b.x.data, b.y.data = list[0].source, b.last.y.Data
		c.Par.For(shares, 1, body)
		return nil
	}, nil
}

// readsPlain and writesPlain report whether a stage takes its input and output as they are.
func readsPlain(c *op.Call) bool {
	x := c.In[0]
	return x.Quant != nil || c.Num != num.BF16 && x.DType == tensor.F32 || c.Num == num.BF16 && x.DType == tensor.BF16
}

func writesPlain(c *op.Call) bool {
	y := c.Out[0]
	return y.Quant != nil || y.DType == tensor.F32 || c.Num == num.BF16 && y.DType == tensor.BF16
}

// share computes positions p to end-1.
func (b *bands) share(s, p, end int) {
	slot := b.parts.borrow()
	defer slot.giveBack()
	part := &slot.of
	done := 0 // lines of what expand makes
	for p < end {
		n := min(b.band, end-p)
		x := b.x
		if b.expand != nil {
			// Bands end with images.
			n = min(n, b.deep.pos-p%b.deep.pos)
			done = b.fill(s, part.ring, p, n, done)
			x = strip{data: part.ring, ring: b.ring}
		}
		between := strip{data: part.band, first: p}
		b.deep.some(s, x, between, p, p+n)
		b.last.some(s, between, b.y, p, p+n)
		p += n
	}
}

// fill makes the lines that positions p to p+n-1, which are whole lines, read and that are not yet done. It returns how many are done then, counted over all images.
func (b *bands) fill(s int, ring []byte, p, n, done int) int {
	d := b.deep
	width := d.window.in[2]
	image, o := p/d.pos, p%d.pos/d.out[2]
	at := func(o, k int) int {
		return min(max(o*d.stride[1]-d.begin[1]+k*d.dilation[1], 0), d.window.in[1]) + image*d.window.in[1]
	}
	from, to := max(done, at(o, 0)), at(o+n/d.out[2]-1, d.kernel[1]-1)+1
	to = min(to, (image+1)*d.window.in[1])
	lines := b.ring / width
	for from < to {
		slot := from % lines
		count := min(to-from, lines-slot)
		b.expand.some(s, b.x, strip{data: ring, first: (from - slot) * width}, from*width, (from+count)*width)
		from += count
	}
	return max(done, to)
}

// together reports whether convolutions that follow each other are such that bands pay.
func together(stages []*op.Call) bool {
	for i, c := range stages {
		x, w := c.In[0], c.Input(1)
		if c.Op != "Conv" || w == nil || !w.HasData() || c.Attrs.Bool("dynamic_quantize", false) || x.Pitch > 0 || c.Num != stages[0].Num {
			return false
		}
		win, err := convWindow(c, x.Shape, w.Shape)
		if err != nil || !win.nhwc || win.in[0] != 1 || win.out[0] != 1 || win.out[1]*win.out[2] == 0 {
			return false
		}
		deep := i == len(stages)-2
		group := c.Attrs.Int("group", 1)
		if deep && (group != win.channels || w.Shape[0] != group || group == 1) || !deep && (group != 1 || !win.pointwise()) {
			return false
		}
	}
	between := stages[0].Out[0]
	return tensor.ByteSize(between.DType, between.Len()) > cacheBytes && (len(stages) < 3 || stages[0].In[0].Len() < between.Len())
}
