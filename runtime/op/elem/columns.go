package elem

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// Columns reduces groups of rows, column by column, in rows of the kernel table: to the largest elements, or to sums in 16 lanes that are then
// added pairwise.
type Columns struct {
	g       *groups
	largest bool
	kernel  func(*spec.RowsArgs)
	used    int // lanes that a row falls into; 1 for the largest
	tile    int // columns that are reduced at once
	tiles   int // of a group
	shares  []columnShare
	in, out []float32 // of this run
	body    func(lo, hi int)
}

// columnShare is what one share needs.
type columnShare struct {
	args spec.RowsArgs
	acc  []float32
}

// columnTile bounds the columns that are reduced at once; their lanes stay in the first level of cache.
const columnTile = 256

// NewColumns prepares a reduction of x of the given shape over some axes, the last one not among them.
func NewColumns(c *op.Call, shape tensor.Shape, axes []int, largest bool) *Columns {
	return newColumns(c, newGroups(shape, axes), largest)
}

func newColumns(c *op.Call, g *groups, largest bool) *Columns {
	f := &Columns{g: g, largest: largest, used: min(16, g.size)}
	o := spec.SumRows
	if largest {
		o, f.used = spec.MaxRows, 1
	}
	row := c.Select(o, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
	f.kernel = row.Func.(func(*spec.RowsArgs))
	if g.outputs == 0 || g.size == 0 {
		return f
	}
	// A tile has whole vectors, and as many columns as each thread finds work.
	all := g.outputs / g.cols
	shares := op.Shares(c.Par, 4*c.Par.Threads(), g.outputs*g.size/16)
	wanted := (min(shares, c.Par.Threads()) + all - 1) / all
	f.tile = min(columnTile, padded((g.cols+wanted-1)/wanted))
	f.tiles = (g.cols + f.tile - 1) / f.tile
	items := all * f.tiles
	shares = max(1, min(shares, items))
	f.shares = make([]columnShare, shares)
	for i := range f.shares {
		f.shares[i].acc = op.Make[float32](c, f.used*f.tile)
	}
	f.body = func(lo, hi int) {
		for s := lo; s < hi; s++ {
			for k := s * items / shares; k < (s+1)*items/shares; k++ {
				f.reduce(&f.shares[s], k)
			}
		}
	}
	return f
}

// padded is the distance of lanes of n columns, such that no store of a vector reaches into the lane behind it.
func padded(n int) int { return (n + 15) &^ 15 }

// reduce computes tile k.
func (f *Columns) reduce(s *columnShare, k int) {
	g := f.g
	group, col := k/f.tiles, k%f.tiles*f.tile
	from, to, cols := offset(group, g.kept, g.keptSteps)+col, group*g.cols+col, min(f.tile, g.cols-col)
	wide := padded(cols)
	acc := s.acc[:f.used*wide]
	a := &s.args
	*a = spec.RowsArgs{Y: unsafe.Pointer(&acc[0]), Cols: cols, XStride: 4 * g.step, YStride: 4 * wide}
	if clear(acc); f.largest {
		copy(acc, f.in[from:from+cols])
	}
	for r := range g.runs {
		for at := 0; at < g.n; at += columnRows {
			a.First, a.Rows = r*g.n+at, min(columnRows, g.n-at)
			first := from + g.run(r) + at*g.step
			x := f.in[first : first+(a.Rows-1)*g.step+cols]
			a.X = unsafe.Pointer(&x[0])
			f.kernel(a)
		}
	}
	// Lanes that no row falls into are 0 and change nothing.
	for half := 8; half > 0; half /= 2 {
		if n := min(half, f.used-half) * wide; n > 0 {
			add32(acc[:n], acc[:n], acc[half*wide:half*wide+n], 1)
		}
	}
	copy(f.out[to:to+cols], acc)
}

// columnRows bounds the rows of one call, which cannot be interrupted.
const columnRows = 1024

// Run reduces in to out, one element per column of each group.
func (f *Columns) Run(par op.Par, out, in []float32) {
	if f.body == nil {
		v := start[float32](foldSum)
		if f.largest {
			v = start[float32](foldMax)
		}
		for i := range out {
			out[i] = v
		}
		return
	}
	f.in, f.out = in, out
	par.For(len(f.shares), 1, f.body)
}
