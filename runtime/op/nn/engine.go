package nn

import (
	"math"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// operand is an element type of packed operands, accum one of sums.
type (
	operand interface {
		float32 | uint16 | int8 | uint8 | int16 | int32
	}
	accum interface{ float32 | int32 | int64 }
)

// engine multiplies rows of A with a packed matrix B of taps·K×N. The work is split into shares, more than threads, by rows and, where
// these are few, by columns too.
type engine[A, B operand, C accum] struct {
	row                *spec.Row
	kernel             func(*spec.GemmArgs)
	m, taps, k, n      int // k is that of one tap
	b                  []B
	lanes              []lane[A, C]
	rowShare, colShare int
	byColumns          bool // neighbouring shares have the same columns, not the same rows
	// widen, if set, makes a panel of FP32, which the row takes, of one of B; each block of rows does that anew.
	widen func(dst []float32, src []B)
}

// lane is the scratch of one share.
type lane[A operand, C accum] struct {
	a    []A       // where rows are gathered
	c    []C       // where sums await an epilogue
	wide []float32 // where results await a chain and rounding
	elem.ChainLane
	args  spec.GemmArgs
	panel []float32 // room for one of B, if that is widened
}

func newEngine[A, B operand, C accum](par op.Par, row *spec.Row, m, taps, k, n int) *engine[A, B, C] {
	e := &engine[A, B, C]{row: row, kernel: row.Func.(func(*spec.GemmArgs)), m: m, taps: taps, k: k, n: n}
	e.split(par)
	e.lanes = make([]lane[A, C], e.rowShare*e.colShare)
	return e
}

// split chooses the shares. Each share of rows reads all of B, and each of columns all of A. Rows can be cut more evenly, so columns are cut only
// where rows are few and B is the larger one.
func (e *engine[A, B, C]) split(par op.Par) {
	e.rowShare, e.colShare = 1, 1
	shares := op.Shares(par, 4*par.Threads(), int(min(e.work(), 1e9)))
	if shares == 1 {
		return
	}
	tiles, panels := max(1, ceil(e.m, e.row.MR)), max(1, ceil(e.n, e.row.NR))
	var a A
	var b B
	e.byColumns = tiles < 2*shares && float64(e.n)*float64(e.taps)*float64(unsafe.Sizeof(b)) > float64(e.m)*float64(unsafe.Sizeof(a))
	if !e.byColumns {
		e.rowShare = min(shares, tiles)
		e.colShare = min(ceil(shares, e.rowShare), panels)
		return
	}
	e.colShare = min(shares, panels)
	if panels <= 4*shares { // one each is as even as columns can be cut; rows do the rest
		e.colShare, shares = panels, max(shares, 2*panels)
	}
	e.rowShare = min(ceil(shares, e.colShare), tiles)
}

// work is about the time, in nanoseconds, that the product takes one thread. Products of few rows wait for their weights; tiles take as long where they are
// not full.
func (e *engine[A, B, C]) work() float64 {
	bytes := float64(e.panels()) * float64(e.row.W.Bits()/8)
	if e.row.Needs == 0 { // plain Go
		return bytes * float64(e.m) / 4
	}
	if e.row.Op == spec.Gemv {
		return bytes / 48
	}
	steps := e.panels() / (e.row.NR * e.row.KR) // of k, of all panels; a row of A takes two thirds of a nanosecond for each
	return float64(steps) * float64(e.m) * 2 / 3
}

func ceil(a, b int) int { return (a + b - 1) / b }

// depth is the number of elements of a panel per column.
func (e *engine[A, B, C]) depth() int { return e.taps * ceil(e.k, e.row.KR) * e.row.KR }

// panels is the number of elements of a packed B.
func (e *engine[A, B, C]) panels() int { return ceil(e.n, e.row.NR) * e.row.NR * e.depth() }

// packB packs B into dst; at(k, j) is its element, with the k of all taps in a row.
func (e *engine[A, B, C]) packB(dst []B, at func(k, j int) B) {
	e.packPanels(dst, at, 0, ceil(e.n, e.row.NR))
}

// packPanels packs panels p0 to p1-1.
func (e *engine[A, B, C]) packPanels(dst []B, at func(k, j int) B, p0, p1 int) {
	nr, kr, shift := e.row.NR, e.row.KR, B(e.row.WShift)
	i := p0 * nr * e.depth()
	for j0 := p0 * nr; j0 < p1*nr; j0 += nr {
		for t := range e.taps {
			for k0 := 0; k0 < e.k; k0 += kr {
				for j := j0; j < j0+nr; j++ {
					for k := k0; k < k0+kr; k++ {
						dst[i] = 0
						if j < e.n && k < e.k {
							dst[i] = at(t*e.k+k, j)
						}
						if shift != 0 { // -0 + 0 would be 0
							dst[i] += shift
						}
						i++
					}
				}
			}
		}
	}
}

// packRows is packPanels into a dst of zeros, for rows of e.n elements of src and a KR of 1.
func (e *engine[A, B, C]) packRows(dst, src []B, p0, p1 int) {
	nr := e.row.NR
	for p := p0; p < p1; p++ {
		cols := min(nr, e.n-p*nr)
		for k := range e.k {
			copy(dst[(p*e.k+k)*nr:][:cols], src[k*e.n+p*nr:])
		}
	}
}

// packPlain is packPanels into a dst of zeros, for rows that take the elements as they are, and for elements of src at index(k, j), which grows by the same steps with each j, and with each k of a tap.
func (e *engine[A, B, C]) packPlain(dst, src []B, index func(k, j int) int, p0, p1 int) {
	nr, kr := e.row.NR, e.row.KR
	if e.k == 0 {
		return
	}
	for p := p0; p < p1; p++ {
		cols := min(nr, e.n-p*nr)
		for t := range e.taps {
			to := dst[(p*e.taps+t)*ceil(e.k, kr)*kr*nr:]
			base := index(t*e.k, p*nr)
			down, across := index((t+1)*e.k-1, p*nr)-base, index(t*e.k, p*nr+cols-1)-base // to the last ones
			from := src[base:][:down+across+1]
			down, across = down/max(1, e.k-1), across/max(1, cols-1)
			switch {
			case kr == 1 && across == 1:
				for k := range e.k {
					copy(to[k*nr:][:cols], from[k*down:])
				}
			case kr == 1 && down == 1:
				kernels.Turn(bytesOf(to), bytesOf(from), cols, e.k, across, nr, int(unsafe.Sizeof(from[0])))
			default:
				const most = 64 // of k that are turned at once
				for k0 := 0; k0 < e.k; k0 += most {
					for j := range cols {
						for k := k0; k < min(k0+most, e.k); k++ {
							to[(k/kr*nr+j)*kr+k%kr] = from[j*across+k*down]
						}
					}
				}
			}
		}
	}
}

// product computes A·B. Row r of A begins at element off + r*step of src; with an index (see indexOf), tap by tap at element off + index*step, or is
// pad where that is negative. Where gather is set it writes rows r0 to r0+rows-1 instead, one after the other, as one tap.
//
// Where epilogue is nil the kernel writes to out, whose rows are ldc elements apart, with the bias and the row's own epilogue;
// otherwise epilogue gets each tile of sums, whose rows are stride elements apart.
type product[A, B operand, C accum] struct {
	*engine[A, B, C]
	src       func() []A
	off, step int
	index     []int32
	pad       []A
	gather    func(dst []A, r0, rows int)
	epilogue  func(sums []C, stride, r0, rows, j0, cols int)
	out       func() []byte
	ldc       int
	bias      func() []C // one element per column; nil: none
	scale     []float32
	offset    func() []float32 // of integer sums that become floats: one element per column; nil: none
	lo, hi    float32
	zero      int32
	qlo, qhi  int32
	// place, if set, is the element of out where row r begins; the rows of each line of so many follow ldc elements apart.
	place func(r int) int
	line  int
	// chain, if set, follows on the results, which are FP32; first is where row 0 begins in the whole result, which has rows of width elements. Where
	// narrow is set, they are then rounded to BF16.
	chain      *elem.Chain
	first      int
	width      int
	narrow     bool
	body       func(lo, hi int)
	most       int // tiles of a block
	parts      []part
	room       *room[[]float32]
	need       int // elements of src from off on
	outElement int // bytes
	aNow       []A // of this run
	biasNow    []C
	offsetNow  []float32
	outNow     []byte
}

// Tiles of rows are multiplied with one panel of B before the next one is taken up: at least minTiles, and as many as blockSize bytes of A hold, so
// that they stay in the second-level cache.
const (
	minTiles  = 6
	blockSize = 256 << 10
)

// part is some k of all taps, or of one, that the tiles of a block are multiplied with before the next ones are taken up.
type part struct{ tap, taps, k0, k int }

// partSize bounds the bytes of a part of a panel: two of them, what is multiplied with and what is fetched meanwhile, and a block of A stay in the
// second-level cache. Tests change it.
var partSize = 256 << 10

// The kernel fetches the part that comes next in memory line by line, while it multiplies the first tiles with this one; in the very first one, which
// nobody has fetched, it fetches coldAhead bytes ahead of itself.
const (
	lineSize  = 64
	coldAhead = 2048
)

// partsOf cuts the panels of B. Sums of FP32 are kept where they belong meanwhile.
func (p *product[A, B, C]) partsOf() []part {
	size := p.row.NR * p.k * p.row.W.Bits() / 8 // of a tap
	if p.row.Op != spec.Gemm || p.row.In != tensor.F32 || p.row.W != tensor.F32 || !p.direct() || size*p.taps <= partSize {
		return []part{{taps: p.taps, k: p.k}}
	}
	var parts []part
	if size <= partSize {
		n := ceil(size*p.taps, partSize)
		for i := range n {
			t := i * p.taps / n
			parts = append(parts, part{tap: t, taps: (i+1)*p.taps/n - t, k: p.k})
		}
		return parts
	}
	n := ceil(size, partSize)
	for t := range p.taps {
		for i := range n {
			k := i * p.k / n
			parts = append(parts, part{tap: t, taps: 1, k0: k, k: (i+1)*p.k/n - k})
		}
	}
	return parts
}

// direct tells whether the kernel writes results where they belong.
func (p *product[A, B, C]) direct() bool { return p.epilogue == nil && p.place == nil && !p.narrow }

// mostTiles is the largest number of tiles of a block.
func (p *product[A, B, C]) mostTiles() int {
	var element A
	elements := p.k // of A that a row adds
	if p.index != nil {
		elements = p.step
	}
	bytes := elements * int(unsafe.Sizeof(element))
	if p.narrow {
		bytes += 4 * p.n
	}
	return min(max(minTiles, blockSize/max(1, p.row.MR*bytes)), ceil(ceil(p.m, p.row.MR), p.rowShare))
}

// indexOf makes the index of m rows and taps for tiles of mr rows: [tile][taps][mr]. at(r, t) is the row of src that row r reads at tap t, or
// negative for the padding. Places behind the last row repeat it.
func indexOf(c *op.Call, m, taps, mr int, at func(r int, dst []int32)) []int32 {
	index := op.Make[int32](c, ceil(m, mr)*taps*mr)
	row := op.Make[int32](c, taps)
	for r := range ceil(m, mr) * mr {
		if r < m {
			at(r, row)
		}
		tile := index[r/mr*taps*mr:]
		for t, x := range row {
			tile[t*mr+r%mr] = x
		}
	}
	return index
}

// ready makes the loop body; call it once all fields are set.
func (p *product[A, B, C]) ready(c *op.Call) *product[A, B, C] {
	p.outElement = p.row.Out.Bits() / 8
	if p.narrow {
		p.outElement = 2
	}
	if p.chain != nil && (p.row.Out != tensor.F32 || p.epilogue != nil) {
		panic("BUG: a chain after integers or sums")
	}
	switch {
	case p.gather != nil:
		if p.taps != 1 {
			panic("BUG: taps of gathered rows")
		}
	case p.index != nil:
		last := int32(-1)
		for _, x := range p.index {
			last = max(last, x)
		}
		if p.need = 0; last >= 0 {
			p.need = int(last)*p.step + p.k
		}
		if len(p.index) < ceil(p.m, p.row.MR)*p.taps*p.row.MR || len(p.pad) < p.k {
			panic("BUG: the index or the padding is short")
		}
	default:
		if p.need = (p.m-1)*p.step + p.k; p.taps != 1 {
			panic("BUG: taps without an index")
		}
	}
	if p.widen != nil {
		p.room = roomForPanels(c, p.row.NR*p.depth())
	}
	p.most, p.parts = p.mostTiles(), p.partsOf()
	blockRows := min(p.m, p.most*p.row.MR)
	for i := range p.lanes {
		l := &p.lanes[i]
		if p.gather != nil {
			l.a = op.Make[A](c, blockRows*p.k)
		}
		if p.epilogue != nil || p.place != nil {
			l.c = op.Make[C](c, p.row.MR*p.row.NR)
		}
		if p.narrow {
			l.wide = op.Make[float32](c, blockRows*p.n)
		}
	}
	p.body = func(lo, hi int) {
		for l := lo; l < hi; l++ {
			if p.byColumns {
				p.share(&p.lanes[l], l%p.rowShare, l/p.rowShare)
			} else {
				p.share(&p.lanes[l], l/p.colShare, l%p.colShare)
			}
		}
	}
	return p
}

// run checks the lengths of what the kernel gets by address.
func (p *product[A, B, C]) run(par op.Par) {
	if p.m <= 0 || p.n <= 0 {
		return
	}
	p.aNow, p.outNow = nil, nil
	p.bind()
	if p.gather == nil {
		if p.aNow = rest(p.src(), p.off); len(p.aNow) < p.need {
			panic("BUG: the input is short")
		}
	}
	if p.epilogue == nil {
		last := (p.m - 1) * p.ldc
		if p.place != nil {
			last = p.place(p.m - 1)
		}
		if p.outNow = p.out(); len(p.outNow) < (last+p.n)*p.outElement {
			panic("BUG: the output is short")
		}
	}
	par.For(len(p.lanes), 1, p.body)
}

// bind reads what all rows share, in this run.
func (p *product[A, B, C]) bind() {
	if len(p.b) < p.panels() || p.scale != nil && len(p.scale) < p.n {
		panic("BUG: weights or scales are short")
	}
	p.biasNow = nil
	if p.bias != nil {
		if p.biasNow = p.bias(); p.biasNow != nil && len(p.biasNow) < p.n {
			panic("BUG: the bias is short")
		}
	}
	if p.offset != nil {
		if p.offsetNow = p.offset(); p.offsetNow != nil && len(p.offsetNow) < p.n {
			panic("BUG: the offset is short")
		}
	}
}

func (p *product[A, B, C]) share(l *lane[A, C], r, c int) {
	mr, nr := p.row.MR, p.row.NR
	tiles, panels := ceil(p.m, mr), ceil(p.n, nr)
	from, to := c*panels/p.colShare, (c+1)*panels/p.colShare
	var element A
	size := int(unsafe.Sizeof(element))
	a := &l.args
	*a = spec.GemmArgs{AStride: p.step * size, OutZero: p.zero, QLo: p.qlo, QHi: p.qhi}
	if p.room != nil {
		slot := p.room.borrow()
		defer slot.giveBack()
		l.panel = slot.of
	}
	base := pointer(p.aNow)
	if p.gather != nil {
		base, a.AStride = pointer(l.a), p.k*size
	}
	t0, end := r*tiles/p.rowShare, (r+1)*tiles/p.rowShare
	for block := ceil(end-t0, max(1, ceil(end-t0, p.most))); t0 < end; t0 += block {
		t1 := min(t0+block, end)
		if p.gather != nil {
			p.gather(l.a, t0*mr, min(p.m, t1*mr)-t0*mr)
		}
		panels := 1 // of one call
		if p.row.Op == spec.Gemv && p.direct() {
			panels = max(1, callSize/max(1, nr*p.depth()))
		}
		for j := from; j < to; j += panels {
			p.column(l, j*nr, min(panels, to-j))
			// The operands of a tile begin a fixed step behind those of the tile before.
			at := operands{a: base, b: a.B, bias: a.Bias, step: mr * a.AStride}
			switch {
			case p.index != nil:
				at.index, at.indexStep, at.step, a.Zero = pointer(p.index[t0*p.taps*mr:]), 4*p.taps*mr, 0, pointer(p.pad)
			case base == nil:
				at.step = 0
			case p.gather == nil:
				at.a = unsafe.Add(base, t0*at.step)
			}
			for i := range p.parts {
				p.multiply(l, &at, i, j, t0, t1, j == from, j+panels >= to)
			}
		}
		if p.chain != nil {
			p.follow(l, p.outNow, 0, t0*mr, min(p.m, t1*mr), from*nr, min(p.n, to*nr))
		}
	}
	runtime.KeepAlive(l)
}

// operands are those of the first tile of a block, and the steps to the next ones.
type operands struct {
	a, index, b, bias unsafe.Pointer
	step, indexStep   int
}

// multiply multiplies tiles t0 to t1-1 with part i of panel j, which is the first and the last one of the share or not.
func (p *product[A, B, C]) multiply(l *lane[A, C], at *operands, i, j, t0, t1 int, first, last bool) {
	mr, nr, part, wsize := p.row.MR, p.row.NR, p.parts[i], p.row.W.Bits()/8
	var element A
	skip := part.k0 * int(unsafe.Sizeof(element))
	direct, whole := p.direct(), i == len(p.parts)-1
	a := &l.args
	a.Taps, a.K, a.Bias, a.BiasStride, a.Lo, a.Hi = part.taps, part.k, at.bias, 0, p.lo, p.hi
	if !whole {
		a.Lo, a.Hi = float32(math.Inf(-1)), float32(math.Inf(1))
	}
	if at.b != nil {
		a.B = unsafe.Add(at.b, (part.tap*p.k+part.k0)*nr*wsize)
	}
	if direct {
		a.CStride = p.ldc
	}
	lines := nr * p.row.KR * wsize / lineSize // of B that the kernel reads with each k, while it fetches one
	next, cold := 0, 0                        // bytes to the part that follows in memory; tiles whose own part nobody has fetched
	if p.widen == nil && !(whole && last) {
		next = part.taps * part.k * nr * wsize
	}
	if p.widen == nil && first && i == 0 {
		cold = 1
	}
	for t := t0; t < t1; t++ {
		a.A = unsafe.Add(at.a, (t-t0)*at.step+skip)
		if at.index != nil {
			a.Index = unsafe.Add(at.index, (t-t0)*at.indexStep+part.tap*4*mr)
		}
		switch d := t - t0 - cold; {
		case d < 0:
			a.Ahead = coldAhead
		case d < lines && next > 0:
			a.Ahead = next + d*lineSize
		default:
			a.Ahead = 0
		}
		if !direct {
			p.tile(l, t*mr, j*nr, t0*mr)
			continue
		}
		a.C, a.Rows = unsafe.Pointer(&p.outNow[p.outElement*(t*mr*p.ldc+j*nr)]), min(mr, p.m-t*mr)
		if i > 0 {
			a.Bias, a.BiasStride = a.C, a.CStride
		}
		p.kernel(a)
	}
}

// follow applies the chain to columns from to to-1 of rows r0 to r1-1; out begins with row first.
func (p *product[A, B, C]) follow(l *lane[A, C], out []byte, first, r0, r1, from, to int) {
	cols := to - from
	if cols == p.ldc && cols == p.width { // the rows follow each other
		cols *= r1 - r0
		r1 = r0 + 1
	}
	for r := r0; r < r1 && cols > 0; r++ {
		at, whole := (r-first)*p.ldc+from, p.first+r*p.width+from
		if !p.narrow {
			y := floatsAt(out, at, cols)
			p.chain.Apply(&l.ChainLane, y, y, whole)
			continue
		}
		y := l.wide[(r-r0)*p.n+from:][:cols]
		p.chain.Apply(&l.ChainLane, y, y, whole)
		kernels.ToBF16(unsafe.Slice((*uint16)(unsafe.Pointer(&out[2*at])), cols), y)
	}
}

// floatsAt returns n elements of b from element i on.
func floatsAt(b []byte, i, n int) []float32 {
	b = b[4*i : 4*(i+n)]
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n)
}

// callSize bounds the weights that one call of a kernel for few rows, which cannot be interrupted, reads.
const callSize = 1 << 19

// column sets what belongs to the columns of some panels, from column j0 on.
func (p *product[A, B, C]) column(l *lane[A, C], j0, panels int) {
	a := &l.args
	a.Cols = min(panels*p.row.NR, p.n-j0)
	switch n := p.row.NR * p.depth(); {
	case len(p.b) == 0:
	case p.widen != nil:
		p.widen(l.panel[:n], p.b[j0*p.depth():][:n])
		a.B = unsafe.Pointer(&l.panel[0])
	default:
		a.B = unsafe.Pointer(&p.b[j0*p.depth()])
	}
	if a.Bias = nil; p.biasNow != nil {
		a.Bias = unsafe.Pointer(&p.biasNow[j0])
	}
	if p.scale != nil {
		a.Scale = unsafe.Pointer(&p.scale[j0])
	}
	if p.offsetNow != nil {
		a.Offset = unsafe.Pointer(&p.offsetNow[j0])
	}
}

// tile computes the tile at row r0 and column j0 that the kernel cannot write to where it belongs; block is the first row of its block.
func (p *product[A, B, C]) tile(l *lane[A, C], r0, j0, block int) {
	a := &l.args
	a.Rows = min(p.row.MR, p.m-r0)
	if p.narrow {
		a.C, a.CStride = unsafe.Pointer(&l.wide[(r0-block)*p.n+j0]), p.n
		p.kernel(a)
		return
	}
	switch {
	case p.epilogue != nil:
	case r0%p.line+a.Rows <= p.line:
		a.C, a.CStride = unsafe.Pointer(&p.outNow[p.outElement*(p.place(r0)+j0)]), p.ldc
		p.kernel(a)
		return
	default: // rows of two lines
		a.C, a.CStride = unsafe.Pointer(&l.c[0]), p.row.NR
		p.kernel(a)
		for i := range a.Rows {
			sums := unsafe.Slice((*byte)(unsafe.Add(a.C, p.outElement*i*p.row.NR)), p.outElement*a.Cols)
			copy(p.outNow[p.outElement*(p.place(r0+i)+j0):], sums)
		}
		return
	}
	a.C, a.CStride = unsafe.Pointer(&l.c[0]), p.row.NR
	p.kernel(a)
	p.epilogue(l.c, p.row.NR, r0, a.Rows, j0, a.Cols)
}

// source is where packing finds the elements of B.
type source[B operand] struct {
	// constant is the tensor that they come from, if that is known; then they are packed once.
	constant *tensor.Tensor
	// kind names the way from the tensor to the elements.
	kind string
	// load reads the tensor and returns the element with flat index i, which belongs to output channel o.
	load func() func(i, o int) B
	// plain, where it is set, reads a constant tensor whose elements do not depend on the channel, in order.
	plain func() []B
	// widen makes FP32 of elements, for rows that take these.
	widen func(dst []float32, src []B)
}

// take has panels widened where the row takes FP32 and the source is narrower.
func (e *engine[A, B, C]) take(s *source[B]) {
	if e.row.W == tensor.F32 {
		e.widen = s.widen
	}
}

// attach gives the engine its packed B: at once where the source is constant, else whenever the returned function is
// called. index(k, j) is the flat index of an element, as packPlain wants it, channel(j) its output channel; kind tells this B from others of
// the same tensor.
func attach[A, B operand, C accum](c *op.Call, e *engine[A, B, C], s *source[B], kind string, index func(k, j int) int, channel func(j int) int) func() {
	e.take(s)
	var element func(i, o int) B
	at := func(k, j int) B { return element(index(k, j), channel(j)) }
	if s.constant == nil {
		e.b = op.Make[B](c, e.panels())
		return func() {
			element = s.load()
			e.packB(e.b, at)
		}
	}
	e.b = op.PackedWeights(c, s.constant, s.kind+"/"+e.row.Name+"/"+kind+"/"+itoa(e.taps)+"x"+itoa(e.k), e.panels(), func(b []B) {
		if s.plain != nil {
			src := s.plain()
			c.Par.For(ceil(e.n, e.row.NR), 1, func(lo, hi int) { e.packPlain(b, src, index, lo, hi) })
			return
		}
		element = s.load()
		c.Par.For(ceil(e.n, e.row.NR), 1, func(lo, hi int) { e.packPanels(b, at, lo, hi) })
		element = nil
	})
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }

// pointer returns the address of a slice's first element; nil where there is none.
func pointer[T any](s []T) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Pointer(&s[0])
}

// rest is s from element i on; nil where there is none.
func rest[T any](s []T, i int) []T {
	if i >= len(s) {
		return nil
	}
	return s[i:]
}
