package nn

import (
	"math"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// turned is a product of FP32 with few columns, which would leave most of a tile empty. It exchanges the roles: the columns of the weights are the rows
// of A, and the rows of the input, turned, a panel of B. Sums are turned back on their way to the output. Each is the same chain of additions as in a
// product.
type turned struct {
	row, turn      *spec.Row
	m, k, n        int
	step           int // elements from a row of the input to the next one
	src, out, bias func() []float32
	lo, hi         float32
	// groups of n/groups columns each follow each other in the output: group g of row r begins at element place(r) + g*apart. The rows of each line
	// of so many lie ldc elements apart.
	groups, apart, ldc, line int
	place                    func(r int) int
	chain                    *elem.Chain // on the results, which have rows of n elements then

	room       *room[[]float32]
	w          []float32 // [n][1+k]: the bias comes first, times one
	start      []float32 // what sums begin with: adding to -0 changes nothing
	lanes      []turnedLane
	xNow, yNow []float32
}

type turnedLane struct {
	elem.ChainLane
	sums []float32 // [n][NR]
	gemm spec.GemmArgs
	rows spec.RowsArgs
}

// mostTurned is the largest number of columns for which turning the input costs less than columns that do not exist. Panels are of at most
// mostTurnedDepth rows, so that they stay in cache, and there are leastTurned rows at least to fill some.
const (
	mostTurned      = 4
	mostTurnedDepth = 1 << 11
	leastTurned     = 1 << 8
)

// turns reports whether a convolution of single positions pays as a turned product: where tiles are wide, and a block that is turned is full.
func (v *conv) turns(c *op.Call) bool {
	wide := kernels.Here().Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num).NR >= 8*mostTurned
	return wide && v.pointwise() && v.group == 1 && v.outC <= mostTurned && v.m >= leastTurned && v.cg >= 16 && v.cg <= mostTurnedDepth && v.y.DType == tensor.F32
}

// ready returns the work of one run, but for the chain's binding. index(k, j) is the flat index of a weight.
func (p *turned) ready(c *op.Call, w *source[float32], index func(k, j int) int) func() {
	p.row = c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	p.turn = c.Select(spec.Turn, tensor.U32, tensor.U32, tensor.U32, tensor.U32, num.FP32)
	c.Executes(p.row, p.m*p.k*p.n)
	nr := p.row.NR
	p.room = roomForPanels(c, (1+p.k)*nr)
	p.w, p.start = op.Make[float32](c, p.n*(1+p.k)), filled(c, nr, float32(math.Copysign(0, -1)))
	panels := ceil(p.m, nr)
	p.lanes = make([]turnedLane, op.Shares(c.Par, panels, p.m*p.k/16))
	for i := range p.lanes {
		p.lanes[i].sums = op.Make[float32](c, p.n*nr)
	}
	fill := func() {
		at := w.load()
		for j := range p.n {
			for k := range p.k {
				p.w[j*(1+p.k)+1+k] = at(index(k, j), 0)
			}
		}
	}
	if w.constant != nil {
		fill()
	}
	body := func(lo, hi int) {
		for s := lo; s < hi; s++ {
			p.share(&p.lanes[s], s*panels/len(p.lanes), (s+1)*panels/len(p.lanes))
		}
	}
	return func() {
		if w.constant == nil {
			fill()
		}
		b := p.bias()
		for j := range p.n {
			p.w[j*(1+p.k)] = 0
			if len(b) > 0 {
				p.w[j*(1+p.k)] = b[j%len(b)]
			}
		}
		p.xNow, p.yNow = p.src(), p.out()
		c.Par.For(len(p.lanes), 1, body)
	}
}

// share computes panels p0 to p1-1.
func (p *turned) share(l *turnedLane, p0, p1 int) {
	slot := p.room.borrow()
	defer slot.giveBack()
	gemm, turn := p.row.Func.(func(*spec.GemmArgs)), p.turn.Func.(func(*spec.RowsArgs))
	nr, mr, depth, cols := p.row.NR, p.row.MR, 1+p.k, p.n/p.groups
	panel := slot.of[:depth*nr]
	for i := range nr {
		panel[i] = 1
	}
	g, t := &l.gemm, &l.rows
	for r0 := p0 * nr; r0 < min(p.m, p1*nr); r0 += nr {
		rows := min(nr, p.m-r0)
		if rows < nr {
			clear(panel[nr:])
		}
		for i := 0; i < rows; i += p.turn.MR {
			x := p.xNow[(r0+i)*p.step:]
			*t = spec.RowsArgs{X: pointer(x), Y: unsafe.Pointer(&panel[nr+i]), Rows: min(p.turn.MR, rows-i), Cols: p.k, XStride: 4 * p.step, YStride: 4 * nr}
			_ = x[(t.Rows-1)*p.step+p.k-1]
			turn(t)
		}
		for j := 0; j < p.n; j += mr {
			*g = spec.GemmArgs{A: unsafe.Pointer(&p.w[j*depth]), AStride: 4 * depth, B: unsafe.Pointer(&panel[0]), C: unsafe.Pointer(&l.sums[j*nr]), CStride: nr,
				Bias: unsafe.Pointer(&p.start[0]), Taps: 1, K: depth, Rows: min(mr, p.n-j), Cols: rows, Lo: p.lo, Hi: p.hi}
			gemm(g)
		}
		for i, size := 0, 0; i < rows; i += size {
			size = min(rows-i, p.line-(r0+i)%p.line) // of a line
			for b := range p.groups {
				y := p.yNow[p.place(r0+i)+b*p.apart:][:(size-1)*p.ldc+cols]
				for j := 0; j < cols; j += p.turn.MR {
					*t = spec.RowsArgs{X: unsafe.Pointer(&l.sums[(b*cols+j)*nr+i]), Y: unsafe.Pointer(&y[j]), Rows: min(p.turn.MR, cols-j), Cols: size, XStride: 4 * nr, YStride: 4 * p.ldc}
					turn(t)
				}
			}
			if p.chain == nil {
				continue
			}
			lines, length := size, p.n
			if p.ldc == p.n { // they follow each other
				lines, length = 1, size*p.n
			}
			at := p.place(r0 + i)
			for r := range lines {
				y := p.yNow[at+r*p.ldc:][:length]
				p.chain.Apply(&l.ChainLane, y, y, (r0+i+r)*p.n)
			}
		}
	}
}
