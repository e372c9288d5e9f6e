package elem

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// beside runs an operator on lines that lie side by side, in tiles: vectors then hold elements of as many lines, however short these are. Lines
// along the last axis are turned into a tile and back.
type beside struct {
	l       lines
	reduces bool // the work makes results of lines, not y, and may change lines that are turned
	cols    int  // lines of a tile
	tiles   int  // of each outer element; of all lines where these are turned
	shares  []Tile
	work    func(t *Tile, y, x []float32)
	in, out []float32 // of this run
	body    func(lo, hi int)
}

// Tile computes on lines that lie side by side: the columns of N rows of Cols elements, Step apart. It belongs to one share of work.
type Tile struct {
	N, Cols, Step int
	line          int       // the first line's number
	turned        []float32 // rows of lines that have been turned
	a, b, lanes   []float32 // two rows, and one for each of 16 lanes or as many as there are rows, but at least two
	rows          spec.RowsArgs
	two           spec.BinaryArgs
	one           spec.MapArgs
	sums          [16]float32
	scalar        [1]float32
}

// NewTile makes the buffers for at most n rows and cols columns.
func NewTile(c *op.Call, n, cols int) Tile {
	cols = padded(cols)
	return Tile{a: op.Make[float32](c, cols), b: op.Make[float32](c, cols), lanes: op.Make[float32](c, max(2, min(16, n))*cols)}
}

// besideLimit bounds the elements of lines that are worth turning: longer ones fill vectors by themselves.
const besideLimit = 512

// newBeside prepares work on tiles, in which y may be x. An element takes about ns nanoseconds.
func newBeside(c *op.Call, l lines, ns float64, work func(t *Tile, y, x []float32)) *beside {
	b := &beside{l: l, work: work}
	all, beside := l.outer, l.inner // groups of lines, and how many of them lie side by side
	if l.inner == 1 {
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
	b.shares = make([]Tile, max(1, min(shares, items)))
	for i := range b.shares {
		t := &b.shares[i]
		*t = NewTile(c, l.n, b.cols)
		t.N = l.n
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
func (b *beside) tile(t *Tile, k int) {
	group, col := k/b.tiles, k%b.tiles*b.cols
	if b.l.inner > 1 {
		t.Cols, t.Step, t.line = min(b.cols, b.l.inner-col), b.l.inner, group*b.l.inner+col
		from, n := group*t.N*t.Step+col, (t.N-1)*t.Step+t.Cols
		if b.reduces {
			b.work(t, nil, b.in[from:from+n])
		} else {
			b.work(t, b.out[from:from+n], b.in[from:from+n])
		}
		return
	}
	t.Cols, t.Step, t.line = min(b.cols, b.l.outer-col), b.cols, col
	from, to := col*t.N, (col+t.Cols)*t.N
	rows := t.turned[:(t.N-1)*t.Step+t.Cols]
	Turn(rows, b.in[from:to], t.Cols, t.N, t.N, t.Step)
	if b.reduces {
		b.work(t, nil, rows)
		return
	}
	b.work(t, rows, rows)
	Turn(b.out[from:to], rows, t.N, t.Cols, t.Step, t.N)
}

// run computes all lines of in; out is nil where the work reduces.
func (b *beside) run(par op.Par, out, in []float32) {
	if b.body != nil {
		b.in, b.out = in, out
		par.For(len(b.shares), 1, b.body)
	}
}

// Turn makes columns of rows, whose steps are in elements.
func Turn(y, x []float32, rows, cols, xstep, ystep int) {
	kernels.Turn(tensor.Bytes(y), tensor.Bytes(x), rows, cols, xstep, ystep, 4)
}

// Row is row i of x.
func (t *Tile) Row(x []float32, i int) []float32 { return x[i*t.Step:][:t.Cols] }

// reduce calls a row of the kernel table that reduces the rows of x to y.
func (t *Tile) reduce(f func(*spec.RowsArgs), y, x []float32) {
	for i := 0; i < t.N; i += columnRows {
		t.rows = spec.RowsArgs{X: unsafe.Pointer(&x[i*t.Step]), Y: unsafe.Pointer(&y[0]), Rows: min(columnRows, t.N-i), Cols: t.Cols,
			XStride: 4 * t.Step, YStride: len(t.a) * 4, First: i}
		f(&t.rows)
	}
}

// Max is the largest element of each line, Min the smallest; NaN where there is one. The result stays until the next one.
func (t *Tile) Max(x []float32) []float32 { return t.extreme(maxRowsKernel, x) }
func (t *Tile) Min(x []float32) []float32 { return t.extreme(minRowsKernel, x) }

func (t *Tile) extreme(f func(*spec.RowsArgs), x []float32) []float32 {
	m := t.a[:t.Cols]
	copy(m, x)
	t.reduce(f, m, x)
	return m
}

// Arg is the number of the first extreme element of each line, as a row of the kernel table tells it. The result stays until the next one.
func (t *Tile) Arg(f func(*spec.RowsArgs), x []float32) []int32 {
	index := unsafe.Slice((*int32)(unsafe.Pointer(&t.lane(1)[0])), t.Cols)
	copy(t.lane(0), x)
	clear(index)
	t.reduce(f, t.lane(0), x)
	return index
}

// Sum is the sum of each line, in 16 lanes and then pairwise. The result stays until the next one.
func (t *Tile) Sum(x []float32) []float32 {
	clear(t.lanes)
	t.reduce(sumRowsKernel, t.lanes, x)
	return t.pairwise()
}

// lane is the row of the lanes that row i falls into.
func (t *Tile) lane(i int) []float32 { return t.lanes[(i&15)*len(t.a):][:t.Cols] }

// pairwise adds the lanes. Those that no row falls into are 0 and change nothing.
func (t *Tile) pairwise() []float32 {
	for half := 8; half > 0; half /= 2 {
		for k := range min(half, min(16, t.N)-half) {
			t.Add(t.lane(k), t.lane(k), t.lane(k+half), 1)
		}
	}
	return t.lane(0)
}

// Add computes a row of y from one of x, and one of b or, where step is 0, an element. Sub, Mul and Div do the same.
func (t *Tile) Add(y, x, b []float32, step int) { t.pair(addPairs, y, x, b, step) }
func (t *Tile) Sub(y, x, b []float32, step int) { t.pair(subPairs, y, x, b, step) }
func (t *Tile) Mul(y, x, b []float32, step int) { t.pair(mulPairs, y, x, b, step) }
func (t *Tile) Div(y, x, b []float32, step int) { t.pair(divPairs, y, x, b, step) }

func (t *Tile) pair(f func(*spec.BinaryArgs), y, x, b []float32, step int) {
	for i := 0; i < t.Cols; i += kernelBlock {
		t.two = spec.BinaryArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&y[i]), B: unsafe.Pointer(&b[i*step]), N: min(kernelBlock, t.Cols-i), Step: step}
		f(&t.two)
	}
}

// number is v as the one element of a step of 0.
func (t *Tile) number(v float32) []float32 {
	t.scalar[0] = v
	return t.scalar[:]
}

// Exp computes a row of y from one of x, as Log and Tanh do.
func (t *Tile) Exp(y, x []float32)  { t.apply(expKernel, y, x) }
func (t *Tile) Log(y, x []float32)  { t.apply(logKernel, y, x) }
func (t *Tile) Tanh(y, x []float32) { t.apply(tanhKernel, y, x) }

// SumLanes adds x in 16 lanes and then pairwise; SquareLanes does it with squares.
func (t *Tile) SumLanes(x []float32) float32    { return t.fold(sumKernel, x) }
func (t *Tile) SquareLanes(x []float32) float32 { return t.fold(squareKernel, x) }

func (t *Tile) fold(f func(*spec.MapArgs), x []float32) float32 {
	t.sums = [16]float32{}
	for i := 0; i < len(x); i += kernelBlock {
		t.one = spec.MapArgs{X: unsafe.Pointer(&x[i]), Y: unsafe.Pointer(&t.sums), N: min(kernelBlock, len(x)-i)}
		f(&t.one)
	}
	return pairwise(&t.sums)
}

func (t *Tile) apply(f func(*spec.MapArgs), y, x []float32) {
	t.one = spec.MapArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&y[0]), N: t.Cols}
	f(&t.one)
}
