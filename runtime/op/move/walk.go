package move

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

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
		per := 8 / c.t.DType.Bits()
		if to%per == 0 && from%per == 0 {
			whole := n / per
			copy(d.t.Data[to/per:to/per+whole], c.t.Data[from/per:])
			to, from, n = to+whole*per, from+whole*per, n-whole*per
		}
		for i := range n {
			number.SetBits(d.t, to+i, number.Bits(c.t, from+i))
		}
	}
}

// fill writes the first element of v to n places of c.
func (c cells) fill(v cells, to, n int) {
	if c.size == 0 {
		for i := range n {
			v.copyTo(c, to+i, 0, 1)
		}
		return
	}
	if n == 0 {
		return
	}
	dst := c.t.Data[to*c.size : (to+n)*c.size]
	for done := copy(dst, v.t.Data[:c.size]); done < len(dst); {
		done += copy(dst[done:], dst[:done])
	}
}

// split is a grain for loops whose steps move n elements. Packed elements share bytes, so that their loops are not divided.
func (c cells) split(steps, n int) int {
	if c.size == 0 {
		return max(1, steps)
	}
	return 1 + (1<<14)/max(1, n)
}

// copyAll copies a whole tensor.
func copyAll(y, x *tensor.Tensor) {
	copy(y.Data, x.Data)
	copy(y.Str, x.Str)
	y.Elems = x.Elems
}

// word is an element of any type of its size.
type word interface {
	uint8 | uint16 | uint32 | uint64
}

// words views the data of a tensor whose elements have the size of T.
func words[T word](t *tensor.Tensor) []T {
	h := tensor.Tensor{DType: tensor.DTypeOf[T](), Data: t.Data}
	return tensor.Of[T](&h)
}

// walker copies a strided view of one tensor to another: the general form of Transpose, Slice, Expand, Tile and their
// relatives. No element of the destination is written twice.
type walker struct {
	dims     []int // outermost first; the destination's steps fall
	src, dst []int // steps
	srcAt    int
	dstAt    int
	n        int
}

// maxDims bounds the dimensions of a walk; Tile has two per axis.
const maxDims = 2 * tensor.MaxRank

// newWalker orders the dimensions for the destination, joins those that both sides walk alike and drops those of extent 1.
func newWalker(dims, src, dst []int, srcAt, dstAt int) *walker {
	w := &walker{srcAt: srcAt, dstAt: dstAt, n: 1}
	var order []int
	for i, d := range dims {
		w.n *= d
		if d != 1 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(dst[b], dst[a]) })
	for _, i := range order {
		d := dims[i]
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

// walkRun is the Run of an operator that is one walk.
func walkRun(c *op.Call, w *walker) op.Run {
	f := w.prepare(c, c.In[0], c.Out[0])
	return func() error {
		f()
		return nil
	}
}

// prepare returns the work, which uses the session's threads where it is much.
func (w *walker) prepare(c *op.Call, x, y *tensor.Tensor) func() {
	if w.n == 0 {
		return func() {}
	}
	switch cellsOf(x).size {
	case 1:
		return walk[uint8](w, c, x, y)
	case 2:
		return walk[uint16](w, c, x, y)
	case 4:
		return walk[uint32](w, c, x, y)
	case 8:
		return walk[uint64](w, c, x, y)
	}
	cx, cy := cellsOf(x), cellsOf(y)
	last := len(w.dims) - 1
	return func() {
		p := w.place(0, last)
		for range w.n / w.dims[last] {
			if w.src[last] == 1 && w.dst[last] == 1 {
				cx.copyTo(cy, p.to, p.from, w.dims[last])
			} else {
				for i := range w.dims[last] {
					cx.copyTo(cy, p.to+i*w.dst[last], p.from+i*w.src[last], 1)
				}
			}
			p.next(w, last)
		}
	}
}

// place is where a walk over the first dimensions stands.
type place struct {
	from, to int
	at       [maxDims]int
}

// place is the r-th of the first n dimensions.
func (w *walker) place(r, n int) place {
	p := place{from: w.srcAt, to: w.dstAt}
	for d := n - 1; d >= 0; d-- {
		i := r % w.dims[d]
		r /= w.dims[d]
		p.at[d] = i
		p.from += i * w.src[d]
		p.to += i * w.dst[d]
	}
	return p
}

func (p *place) next(w *walker, n int) {
	for d := n - 1; d >= 0; d-- {
		p.at[d]++
		p.from += w.src[d]
		p.to += w.dst[d]
		if p.at[d] < w.dims[d] {
			return
		}
		p.at[d] = 0
		p.from -= w.dims[d] * w.src[d]
		p.to -= w.dims[d] * w.dst[d]
	}
}

func walk[T word](w *walker, c *op.Call, x, y *tensor.Tensor) func() {
	last := len(w.dims) - 1
	if w.dst[last] == 1 && w.src[last] != 1 {
		if d := slices.Index(w.src[:last], 1); d >= 0 {
			if f := turnFew[T](w, c, x, y, d); f != nil {
				return f
			}
			if tensor.DTypeOf[T]() != tensor.U64 && w.src[last] > 0 && w.dst[d] > 0 {
				return turnTiles[T](w, c, x, y, d)
			}
			return turn[T](w, c, x, y, d)
		}
	}
	row, ss, ds := w.dims[last], w.src[last], w.dst[last]
	// Rows that follow each other along the dimension before the last are copied together.
	outer, group, nextFrom, nextTo := max(0, last-1), 1, 0, 0
	if last > 0 {
		group, nextFrom, nextTo = w.dims[outer], w.src[outer], w.dst[outer]
	}
	dense := ss == 1 && ds == 1
	body := func(lo, hi int) {
		in, out := words[T](x), words[T](y)
		p, at := w.place(lo/group, outer), lo%group
		for lo < hi {
			n := min(hi-lo, group-at)
			from, to := p.from+at*nextFrom, p.to+at*nextTo
			lo, at = lo+n, 0
			p.next(w, outer)
			switch {
			case dense && row == 1:
				for range n {
					out[to] = in[from]
					from, to = from+nextFrom, to+nextTo
				}
			case dense && row == 2:
				for range n {
					a, b := in[from], in[from+1]
					out[to], out[to+1] = a, b
					from, to = from+nextFrom, to+nextTo
				}
			case dense:
				for range n {
					copy(out[to:to+row], in[from:])
					from, to = from+nextFrom, to+nextTo
				}
			default:
				for range n {
					f, t := from, to
					for range row {
						out[t] = in[f]
						f, t = f+ss, t+ds
					}
					from, to = from+nextFrom, to+nextTo
				}
			}
		}
	}
	rows, grain := w.n/row, 1+(1<<14)/row
	return func() { c.Par.For(rows, grain, body) }
}

// turn is a walk along dimension d in the source and the last in the destination, in blocks of d that stay in cache.
func turn[T word](w *walker, c *op.Call, x, y *tensor.Tensor, d int) func() {
	const block = 16
	last := len(w.dims) - 1
	rows, cols := w.dims[d], w.dims[last]
	down, right := w.dst[d], w.src[last]
	outer := w.without(d)
	n := len(outer.dims)
	blocks := (rows + block - 1) / block
	body := func(lo, hi int) {
		in, out := words[T](x), words[T](y)
		for k := lo; k < hi; k++ {
			p := outer.place(k/blocks, n)
			first := k % blocks * block
			size := min(block, rows-first)
			from, to := p.from+first, p.to+first*down
			for j := range cols {
				at := to + j
				for _, v := range in[from : from+size] {
					out[at] = v
					at += down
				}
				from += right
			}
		}
	}
	total, grain := w.n/(rows*cols)*blocks, 1+(1<<14)/(block*cols)
	return func() { c.Par.For(total, grain, body) }
}

// without is the walk over all dimensions but d and the last.
func (w *walker) without(d int) *walker {
	outer := &walker{srcAt: w.srcAt, dstAt: w.dstAt}
	for i := range len(w.dims) - 1 {
		if i != d {
			outer.dims, outer.src, outer.dst = append(outer.dims, w.dims[i]), append(outer.src, w.src[i]), append(outer.dst, w.dst[i])
		}
	}
	return outer
}

// turnTiles is turn for elements of at most 4 bytes and steps that rise, in tiles of the kernel table.
func turnTiles[T word](w *walker, c *op.Call, x, y *tensor.Tensor, d int) func() {
	const most = 1024 // elements of a line of a tile
	last := len(w.dims) - 1
	lines, length := w.dims[last], w.dims[d] // of the source, whose elements follow each other along d
	kind := tensor.DTypeOf[T]()
	row, size := c.Select(spec.Turn, kind, kind, kind, kind, num.FP32), kind.Bits()/8
	outer, tall := w.without(d), row.MR
	n := len(outer.dims)
	groups, pieces := (lines+tall-1)/tall, (length+most-1)/most
	total := w.n / (lines * length) * groups * pieces
	f := row.Func.(func(*spec.RowsArgs))
	shares := max(1, min(4*c.Par.Threads(), total, w.n>>13))
	args := make([]spec.RowsArgs, shares)
	body := func(lo, hi int) {
		in, out := words[T](x), words[T](y)
		for s := lo; s < hi; s++ {
			a := &args[s]
			a.XStride, a.YStride = size*w.src[last], size*w.dst[d]
			for k := s * total / shares; k < (s+1)*total/shares; k++ {
				p := outer.place(k/(groups*pieces), n)
				line, at := k/pieces%groups*tall, k%pieces*most
				a.Rows, a.Cols = min(tall, lines-line), min(most, length-at)
				from, to := p.from+line*w.src[last]+at, p.to+line+at*w.dst[d]
				// The last elements that the kernel reads and writes.
				_ = in[from+(a.Rows-1)*w.src[last]+a.Cols-1]
				_ = out[to+(a.Cols-1)*w.dst[d]+a.Rows-1]
				a.X, a.Y = unsafe.Pointer(&in[from]), unsafe.Pointer(&out[to])
				f(a)
			}
		}
	}
	return func() { c.Par.For(shares, 1, body) }
}
