// Package move holds operators that give tensors other shapes and select, join and place their elements. Most move
// elements by size, whatever their type.
package move

import (
	"maps"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = join(shapeOps, indexOps, scatterOps, resizeOps, selectOps, textOps, sequenceOps, visionOps, liteOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// ints reads an input of integers; nil where it is absent or not known yet.
func ints(c *op.Call, i int) ([]int, error) {
	t := c.Input(i)
	if t == nil || !t.HasData() {
		return nil, nil
	}
	v, err := t.Ints()
	if err != nil {
		return nil, c.Errorf("input %d: %w", i, err)
	}
	r := make([]int, len(v))
	for k, x := range v {
		r[k] = tensor.Int(x)
	}
	return r, nil
}

// given reports whether input i is present.
func given(c *op.Call, i int) bool { return c.Input(i) != nil }

// known reports whether input i is absent or its value is known.
func known(c *op.Call, i int) bool { return c.Input(i) == nil || c.Input(i).HasData() }

// unknown is a shape of known rank.
func unknown(rank int) tensor.Shape {
	s := make(tensor.Shape, rank)
	for i := range s {
		s[i] = -1
	}
	return s
}

// cells gives access to elements of any type: whole bytes, packed bits or strings.
type cells struct {
	t    *tensor.Tensor
	size int // bytes; 0 for strings and packed elements
}

func cellsOf(t *tensor.Tensor) cells { return cells{t, t.DType.Bits() / 8} }

// copyTo copies n elements from position from of c to position to of d.
func (c cells) copyTo(d cells, to, from, n int) {
	switch {
	case c.size > 0:
		copy(d.t.Data[to*c.size:(to+n)*c.size], c.t.Data[from*c.size:])
	case c.t.DType == tensor.String:
		copy(d.t.Str[to:to+n], c.t.Str[from:])
	default:
		for i := range n {
			setBits(d.t, to+i, bitsAt(c.t, from+i))
		}
	}
}

func bitsAt(t *tensor.Tensor, i int) uint8 {
	b := t.DType.Bits()
	per := 8 / b
	return t.Data[i/per] >> (i % per * b) & (1<<b - 1)
}

func setBits(t *tensor.Tensor, i int, v uint8) {
	b := t.DType.Bits()
	per := 8 / b
	shift := i % per * b
	mask := byte(1<<b-1) << shift
	t.Data[i/per] = t.Data[i/per]&^mask | v<<shift&mask
}

// copyAll copies a whole tensor.
func copyAll(y, x *tensor.Tensor) {
	copy(y.Data, x.Data)
	copy(y.Str, x.Str)
	y.Elems = x.Elems
}

// walker copies a strided view of one tensor to another, row by row: the general form of Transpose, Slice, Expand, Tile
// and their relatives.
type walker struct {
	dims     []int // outermost first
	src, dst []int // steps
	srcAt    int
	dstAt    int
	n        int
}

// newWalker joins dimensions that both sides walk alike, and drops those of extent 1.
func newWalker(dims, src, dst []int, srcAt, dstAt int) *walker {
	w := &walker{srcAt: srcAt, dstAt: dstAt, n: 1}
	for i, d := range dims {
		w.n *= d
		if d == 1 {
			continue
		}
		if k := len(w.dims); k > 0 && w.src[k-1] == src[i]*d && w.dst[k-1] == dst[i]*d {
			w.dims[k-1] *= d
			w.src[k-1], w.dst[k-1] = src[i], dst[i]
			continue
		}
		w.dims, w.src, w.dst = append(w.dims, d), append(w.src, src[i]), append(w.dst, dst[i])
	}
	if len(w.dims) == 0 {
		w.dims, w.src, w.dst = []int{1}, []int{1}, []int{1}
	}
	return w
}

// run copies everything, on the session's threads where it is much.
func (w *walker) prepare(c *op.Call, x, y *tensor.Tensor) func() {
	last := len(w.dims) - 1
	row := w.dims[last]
	if w.n == 0 {
		return func() {}
	}
	rows := w.n / row
	ss, ds := w.src[last], w.dst[last]
	starts := func(r int) (from, to int) {
		from, to = w.srcAt, w.dstAt
		for d := last - 1; d >= 0; d-- {
			p := r % w.dims[d]
			from += p * w.src[d]
			to += p * w.dst[d]
			r /= w.dims[d]
		}
		return
	}
	cx, cy := cellsOf(x), cellsOf(y)
	var body func(lo, hi int)
	switch {
	case ss == 1 && ds == 1:
		body = func(lo, hi int) {
			for r := lo; r < hi; r++ {
				from, to := starts(r)
				cx.copyTo(cy, to, from, row)
			}
		}
	case cx.size == 4:
		body = func(lo, hi int) {
			strided(tensor.Of[uint32](&tensor.Tensor{DType: tensor.U32, Data: x.Data}), tensor.Of[uint32](&tensor.Tensor{DType: tensor.U32, Data: y.Data}), lo, hi, row, ss, ds, starts)
		}
	case cx.size == 1:
		body = func(lo, hi int) { strided(x.Data, y.Data, lo, hi, row, ss, ds, starts) }
	case cx.size == 2:
		body = func(lo, hi int) {
			strided(tensor.Of[uint16](&tensor.Tensor{DType: tensor.U16, Data: x.Data}), tensor.Of[uint16](&tensor.Tensor{DType: tensor.U16, Data: y.Data}), lo, hi, row, ss, ds, starts)
		}
	case cx.size == 8:
		body = func(lo, hi int) {
			strided(tensor.Of[uint64](&tensor.Tensor{DType: tensor.U64, Data: x.Data}), tensor.Of[uint64](&tensor.Tensor{DType: tensor.U64, Data: y.Data}), lo, hi, row, ss, ds, starts)
		}
	default:
		body = func(lo, hi int) {
			for r := lo; r < hi; r++ {
				from, to := starts(r)
				for i := range row {
					cx.copyTo(cy, to+i*ds, from+i*ss, 1)
				}
			}
		}
	}
	split := 1 + (1<<14)/row
	if cx.size == 0 {
		split = rows // packed elements share bytes
	}
	return func() { c.Par.For(rows, split, body) }
}

func strided[T any](x, y []T, lo, hi, row, ss, ds int, starts func(int) (int, int)) {
	for r := lo; r < hi; r++ {
		from, to := starts(r)
		for range row {
			y[to] = x[from]
			from += ss
			to += ds
		}
	}
}

// walkRun is the Run of an operator that is one walk.
func walkRun(c *op.Call, w *walker) op.Run {
	f := w.prepare(c, c.In[0], c.Out[0])
	return func() error {
		f()
		return nil
	}
}
