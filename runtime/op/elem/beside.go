package elem

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// beside runs an operator on lines that lie side by side, in tiles: vectors then hold elements of as many lines, however short these are. Lines
// along the last axis are turned into a tile and back.
type beside struct {
	l       lines
	cols    int // lines of a tile
	tiles   int // of each outer element; of all lines where these are turned
	shares  []tile
	work    func(t *tile, y, x []float32)
	in, out []float32 // of this run
	body    func(lo, hi int)
}

// tile is what one share of the work needs: n rows of cols elements, step apart, whose columns are lines.
type tile struct {
	n, cols, step int
	line          int       // the first line's number
	turned        []float32 // rows of lines that have been turned
	a, b, lanes   []float32 // two rows, and one for each of 16 lanes or as many as there are rows
	k             *tileKernels
	rows          spec.RowsArgs
	two           spec.BinaryArgs
	one           spec.MapArgs
}

// tileKernels are the rows of the kernel table that tiles need.
type tileKernels struct {
	turn, sum, max func(*spec.RowsArgs)
	tall           int // rows that turn takes
}

// besideLimit bounds the elements of lines that are worth turning: longer ones fill vectors by themselves.
const besideLimit = 512

// newBeside prepares work on tiles, in which y may be x. An element takes about ns nanoseconds.
func newBeside(c *op.Call, l lines, ns float64, work func(t *tile, y, x []float32)) *beside {
	b := &beside{l: l, work: work}
	f32 := func(o spec.Op) func(*spec.RowsArgs) {
		return c.Select(o, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32).Func.(func(*spec.RowsArgs))
	}
	k := &tileKernels{sum: f32(spec.SumRows), max: f32(spec.MaxRows)}
	all, beside := l.outer, l.inner // groups of lines, and how many of them lie side by side
	if l.inner == 1 {
		turn := c.Select(spec.Turn, tensor.U32, tensor.U32, tensor.U32, tensor.U32, num.FP32)
		k.turn, k.tall = turn.Func.(func(*spec.RowsArgs)), turn.MR
		all, beside = 1, l.outer
	}
	if l.count() == 0 || l.n == 0 {
		return b
	}
	shares := op.Shares(c.Par, 4*c.Par.Threads(), int(ns*float64(l.count()*l.n)))
	wanted := (min(shares, c.Par.Threads()) + all - 1) / all
	b.cols = min(padded((beside+wanted-1)/wanted), max(64, min(256, 1<<14/l.n&^15)))
	b.tiles = (beside + b.cols - 1) / b.cols
	items := all * b.tiles
	b.shares = make([]tile, max(1, min(shares, items)))
	for i := range b.shares {
		t := &b.shares[i]
		t.n, t.k = l.n, k
		t.a, t.b, t.lanes = op.Make[float32](c, b.cols), op.Make[float32](c, b.cols), op.Make[float32](c, min(16, l.n)*b.cols)
		if l.inner == 1 {
			t.turned = op.Make[float32](c, l.n*b.cols)
		}
	}
	b.body = func(lo, hi int) {
		for s := lo; s < hi; s++ {
			for k := s * items / len(b.shares); k < (s+1)*items/len(b.shares); k++ {
				b.tile(&b.shares[s], k)
			}
		}
	}
	return b
}

// tile computes tile k.
func (b *beside) tile(t *tile, k int) {
	group, col := k/b.tiles, k%b.tiles*b.cols
	if b.l.inner > 1 {
		t.cols, t.step, t.line = min(b.cols, b.l.inner-col), b.l.inner, group*b.l.inner+col
		from, n := group*t.n*t.step+col, (t.n-1)*t.step+t.cols
		b.work(t, b.out[from:from+n], b.in[from:from+n])
		return
	}
	t.cols, t.step, t.line = min(b.cols, b.l.outer-col), b.cols, col
	from, to := col*t.n, (col+t.cols)*t.n
	x, y, rows := b.in[from:to], b.out[from:to], t.turned[:(t.n-1)*t.step+t.cols]
	for i := 0; i < t.cols; i += t.k.tall {
		t.turn(rows[i:], x[i*t.n:], min(t.k.tall, t.cols-i), t.n, t.n, t.step)
	}
	b.work(t, rows, rows)
	for i := 0; i < t.n; i += t.k.tall {
		t.turn(y[i:], rows[i*t.step:], min(t.k.tall, t.n-i), t.cols, t.step, t.n)
	}
}

// run computes all lines of in.
func (b *beside) run(par op.Par, out, in []float32) {
	if b.body != nil {
		b.in, b.out = in, out
		par.For(len(b.shares), 1, b.body)
	}
}

// turn makes columns of rows.
func (t *tile) turn(y, x []float32, rows, cols, xstep, ystep int) {
	t.rows = spec.RowsArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&y[0]), Rows: rows, Cols: cols, XStride: 4 * xstep, YStride: 4 * ystep}
	t.k.turn(&t.rows)
}

// row is row i of x.
func (t *tile) row(x []float32, i int) []float32 { return x[i*t.step:][:t.cols] }

// reduce calls a row of the kernel table that reduces the rows of x to y.
func (t *tile) reduce(f func(*spec.RowsArgs), y, x []float32) {
	for i := 0; i < t.n; i += columnRows {
		t.rows = spec.RowsArgs{X: unsafe.Pointer(&x[i*t.step]), Y: unsafe.Pointer(&y[0]), Rows: min(columnRows, t.n-i), Cols: t.cols,
			XStride: 4 * t.step, YStride: len(t.a) * 4, First: i}
		f(&t.rows)
	}
}

// max is the largest element of each line; NaN where there is one. The result stays until the next one.
func (t *tile) max(x []float32) []float32 {
	m := t.a[:t.cols]
	copy(m, x)
	t.reduce(t.k.max, m, x)
	return m
}

// sum is the sum of each line, in 16 lanes and then pairwise. The result stays until the next one.
func (t *tile) sum(x []float32) []float32 {
	clear(t.lanes)
	t.reduce(t.k.sum, t.lanes, x)
	return t.pairwise()
}

// lane is the row of the lanes that row i falls into.
func (t *tile) lane(i int) []float32 { return t.lanes[(i&15)*len(t.a):][:t.cols] }

// pairwise adds the lanes. Those that no row falls into are 0 and change nothing.
func (t *tile) pairwise() []float32 {
	for half := 8; half > 0; half /= 2 {
		for k := range min(half, min(16, t.n)-half) {
			t.pair(addPairs, t.lane(k), t.lane(k), t.lane(k+half), 1)
		}
	}
	return t.lane(0)
}

// pair computes a row with a function of two.
func (t *tile) pair(f func(*spec.BinaryArgs), y, x, b []float32, step int) {
	t.two = spec.BinaryArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&y[0]), B: unsafe.Pointer(&b[0]), N: t.cols, Step: step}
	f(&t.two)
}

// apply computes a row with a function of one.
func (t *tile) apply(f func(*spec.MapArgs), y, x []float32) {
	t.one = spec.MapArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&y[0]), N: t.cols}
	f(&t.one)
}
