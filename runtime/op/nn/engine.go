package nn

import (
	"runtime"
	"strconv"
	"unsafe"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// rows is the set of kernels that this process uses: what the CPU has, less what EDGERUN_CPU masks. A mask that does not
// parse is reported by the commands; here it masks nothing.
var rows = func() *kernels.Set {
	have := cpu.Detect()
	if f, err := have.Mask(knob.CPU.Value()); err == nil {
		have = f
	}
	return kernels.For(have)
}()

// operand is an element type of packed operands, accum one of sums.
type (
	operand interface {
		float32 | uint16 | int8 | uint8 | int16 | int32
	}
	accum interface{ float32 | int32 | int64 }
)

// engine multiplies rows that are gathered tile by tile with a packed matrix B of K×N. The work is split into shares, more
// than threads, by rows and, where these are few, by columns too.
type engine[A, B operand, C accum] struct {
	row                *spec.Row
	kernel             func(*spec.GemmArgs)
	m, k, n            int
	b                  []B
	lanes              []lane[A, C]
	rowShare, colShare int
}

// lane is the scratch of one share.
type lane[A operand, C accum] struct {
	a    []A
	c    []C
	tile panel[A]
	args spec.GemmArgs
}

func newEngine[A, B operand, C accum](par op.Par, row *spec.Row, m, k, n int) *engine[A, B, C] {
	e := &engine[A, B, C]{row: row, kernel: row.Func.(func(*spec.GemmArgs)), m: m, k: k, n: n}
	shares := 4 * par.Threads()
	e.rowShare = max(1, min(shares, ceil(m, row.MR)))
	e.colShare = max(1, min(ceil(shares, e.rowShare), ceil(n, row.NR)))
	if par.Threads() == 1 {
		e.rowShare, e.colShare = 1, 1
	}
	e.lanes = make([]lane[A, C], e.rowShare*e.colShare)
	for i := range e.lanes {
		e.lanes[i].a = make([]A, ceil(k, row.KR)*row.KR*row.MR)
		e.lanes[i].c = make([]C, row.MR*row.NR)
	}
	return e
}

func ceil(a, b int) int { return (a + b - 1) / b }

// depth is the number of elements of a panel per row or column.
func (e *engine[A, B, C]) depth() int { return ceil(e.k, e.row.KR) * e.row.KR }

// panels is the number of elements of a packed B.
func (e *engine[A, B, C]) panels() int { return ceil(e.n, e.row.NR) * e.row.NR * e.depth() }

// packB packs B into dst; at(k, j) is its element.
func (e *engine[A, B, C]) packB(dst []B, at func(k, j int) B) {
	nr, kr := e.row.NR, e.row.KR
	i := 0
	for j0 := 0; j0 < e.n; j0 += nr {
		for k0 := 0; k0 < e.k; k0 += kr {
			for j := j0; j < j0+nr; j++ {
				for k := k0; k < k0+kr; k++ {
					dst[i] = 0
					if j < e.n && k < e.k {
						dst[i] = at(k, j)
					}
					i++
				}
			}
		}
	}
}

// panel writes rows of A into a packed tile.
type panel[A operand] struct {
	dst    []A
	mr, kr int
	offs   []int32 // room for product.taps numbers
}

// put writes src as the elements k, k+1, ... of row i.
func (p *panel[A]) put(i, k int, src []A) {
	if p.kr == 1 {
		at := k*p.mr + i
		for _, v := range src {
			p.dst[at] = v
			at += p.mr
		}
		return
	}
	for _, v := range src {
		p.dst[(k/p.kr*p.mr+i)*p.kr+k%p.kr] = v
		k++
	}
}

// fill writes n times v.
func (p *panel[A]) fill(i, k, n int, v A) {
	for ; n > 0; n-- {
		p.dst[(k/p.kr*p.mr+i)*p.kr+k%p.kr] = v
		k++
	}
}

// strided is put of n elements that lie step apart.
func (p *panel[A]) strided(i, n int, src []A, step int) {
	for k := range n {
		p.dst[(k/p.kr*p.mr+i)*p.kr+k%p.kr] = src[k*step]
	}
}

// product computes A·B. gather writes rows r0 to r0+rows-1 of A. Where epilogue is nil the kernel writes to out, whose rows
// are ldc elements apart, with the bias and the row's own epilogue; otherwise epilogue gets each tile of sums, whose rows are stride
// elements apart.
type product[A, B operand, C accum] struct {
	*engine[A, B, C]
	gather     func(p *panel[A], r0, rows int)
	epilogue   func(sums []C, stride, r0, rows, j0, cols int)
	out        func() []byte
	ldc        int
	bias       func() []C // one element per column; nil: none
	scale      []float32
	lo, hi     float32
	zero       int32
	qlo, qhi   int32
	taps       int // that gather wants room for
	body       func(lo, hi int)
	outElement int // bytes
	biasNow    []C // of this run
	outNow     []byte
}

// ready makes the loop body; call it once all fields are set.
func (p *product[A, B, C]) ready() *product[A, B, C] {
	p.outElement = p.row.Out.Bits() / 8
	for i := range p.lanes {
		l := &p.lanes[i]
		l.tile = panel[A]{l.a, p.row.MR, p.row.KR, make([]int32, p.taps)}
	}
	p.body = func(lo, hi int) {
		for l := lo; l < hi; l++ {
			p.share(&p.lanes[l], l/p.colShare, l%p.colShare)
		}
	}
	return p
}

// run checks the lengths of what the kernel gets by address.
func (p *product[A, B, C]) run(par op.Par) {
	if p.m <= 0 || p.n <= 0 {
		return
	}
	if len(p.b) < p.panels() || p.scale != nil && len(p.scale) < p.n {
		panic("BUG: weights or scales are short")
	}
	p.biasNow, p.outNow = nil, nil
	if p.bias != nil {
		if p.biasNow = p.bias(); p.biasNow != nil && len(p.biasNow) < p.n {
			panic("BUG: the bias is short")
		}
	}
	if p.epilogue == nil {
		if p.outNow = p.out(); len(p.outNow) < ((p.m-1)*p.ldc+p.n)*p.outElement {
			panic("BUG: the output is short")
		}
	}
	par.For(len(p.lanes), 1, p.body)
}

func (p *product[A, B, C]) share(l *lane[A, C], r, c int) {
	tiles, panels := ceil(p.m, p.row.MR), ceil(p.n, p.row.NR)
	for t := r * tiles / p.rowShare; t < (r+1)*tiles/p.rowShare; t++ {
		p.tile(l, t*p.row.MR, c*panels/p.colShare, (c+1)*panels/p.colShare)
	}
}

func (p *product[A, B, C]) tile(l *lane[A, C], r0, from, to int) {
	mr, nr := p.row.MR, p.row.NR
	n := min(mr, p.m-r0)
	p.gather(&l.tile, r0, n)
	for i := n; i < mr; i++ {
		l.tile.fill(i, 0, p.k, 0)
	}
	a := &l.args
	*a = spec.GemmArgs{K: p.k, Rows: n, Lo: p.lo, Hi: p.hi, Zero: p.zero, QLo: p.qlo, QHi: p.qhi}
	if p.k > 0 {
		a.A = unsafe.Pointer(&l.a[0])
	}
	bias, out := pointer(p.biasNow), pointer(p.outNow)
	depth := p.depth()
	for j0 := from * nr; j0 < min(p.n, to*nr); j0 += nr {
		a.Cols = min(nr, p.n-j0)
		if p.k > 0 {
			a.B = unsafe.Pointer(&p.b[j0*depth])
		}
		if bias != nil {
			a.Bias = unsafe.Add(bias, int(unsafe.Sizeof(l.c[0]))*j0)
		}
		if p.scale != nil {
			a.Scale = unsafe.Pointer(&p.scale[j0])
		}
		if p.epilogue == nil {
			a.C, a.CStride = unsafe.Add(out, p.outElement*(r0*p.ldc+j0)), p.ldc
			p.kernel(a)
			continue
		}
		a.C, a.CStride = unsafe.Pointer(&l.c[0]), nr
		p.kernel(a)
		p.epilogue(l.c, nr, r0, n, j0, a.Cols)
	}
	runtime.KeepAlive(l)
}

// source is where packing finds the elements of B.
type source[B operand] struct {
	// constant is the tensor that they come from, if that is known; then they are packed once.
	constant *tensor.Tensor
	// kind names the way from the tensor to the elements.
	kind string
	// load reads the tensor and returns the element with flat index i, which belongs to output channel o.
	load func() func(i, o int) B
}

// attach gives the engine its packed B: at once where the source is constant, else whenever the returned function is
// called. index(k, j) is the flat index of an element, channel(j) its output channel; kind tells this B from others of
// the same tensor.
func attach[A, B operand, C accum](c *op.Call, e *engine[A, B, C], s *source[B], kind string, index func(k, j int) int, channel func(j int) int) func() {
	var element func(i, o int) B
	at := func(k, j int) B { return element(index(k, j), channel(j)) }
	if s.constant == nil {
		e.b = make([]B, e.panels())
		return func() {
			element = s.load()
			e.packB(e.b, at)
		}
	}
	e.b = op.Packed(c, s.constant, s.kind+"/"+e.row.Name+"/"+kind, func() []B {
		b := make([]B, e.panels())
		element = s.load()
		e.packB(b, at)
		element = nil
		return b
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
