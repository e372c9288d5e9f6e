package nn

import (
	"runtime"
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

// operand is an element type of packed operands, accum one of accumulators.
type (
	operand interface {
		float32 | uint16 | int16 | int32
	}
	accum interface{ float32 | int32 | int64 }
)

// engine multiplies rows that are gathered tile by tile with a packed matrix B of K×N.
type engine[A operand, C accum] struct {
	row    *spec.Row
	kernel func(*spec.GemmArgs)
	k, n   int
	b      []A
	lanes  []lane[A, C]
}

// lane is the scratch of one share of the work.
type lane[A operand, C accum] struct {
	a    []A
	c    []C
	args spec.GemmArgs
}

// newEngine makes an engine for M×K times K×N. It splits the work into more lanes than threads, so that the result does
// not depend on who does what and the shares even out.
func newEngine[A operand, C accum](par op.Par, row *spec.Row, m, k, n int) *engine[A, C] {
	e := &engine[A, C]{row: row, kernel: row.Func.(func(*spec.GemmArgs)), k: k, n: n}
	tiles := (m + row.MR - 1) / row.MR
	e.lanes = make([]lane[A, C], max(1, min(4*par.Threads(), tiles)))
	for i := range e.lanes {
		e.lanes[i].a = make([]A, k*row.MR)
		e.lanes[i].c = make([]C, row.MR*row.NR)
	}
	return e
}

// panels is the number of elements of a packed B.
func (e *engine[A, C]) panels() int { return (e.n + e.row.NR - 1) / e.row.NR * e.row.NR * e.k }

// packB packs B from at(k, j) into dst.
func (e *engine[A, C]) packB(dst []A, at func(k, j int) A) {
	nr := e.row.NR
	for j0 := 0; j0 < e.n; j0 += nr {
		panel := dst[j0*e.k : (j0+nr)*e.k]
		cols := min(nr, e.n-j0)
		for k := range e.k {
			p := panel[k*nr : k*nr+nr]
			for j := range p {
				if j < cols {
					p[j] = at(k, j0+j)
				} else {
					p[j] = 0
				}
			}
		}
	}
}

// product computes rows [0,m) of A·B. gather fills dst[k*MR+i] with A[r0+i][k] for i < rows and zero for the others. Where
// epilogue is nil the kernel writes to out, whose rows are ldc elements apart, with bias and bounds; otherwise epilogue
// gets each tile of sums, whose rows are stride elements apart.
type product[A operand, C accum] struct {
	*engine[A, C]
	m        int
	gather   func(dst []A, r0, rows int)
	epilogue func(sums []C, stride, r0, rows, j0, cols int)
	out      func() unsafe.Pointer
	ldc      int
	bias     func() unsafe.Pointer
	lo, hi   float32
	body     func(lo, hi int)
}

// ready makes the loop body; call it once all fields are set.
func (p *product[A, C]) ready() *product[A, C] {
	p.body = func(lo, hi int) {
		tiles := (p.m + p.row.MR - 1) / p.row.MR
		for l := lo; l < hi; l++ {
			for t := l * tiles / len(p.lanes); t < (l+1)*tiles/len(p.lanes); t++ {
				p.tile(&p.lanes[l], t*p.row.MR)
			}
		}
	}
	return p
}

func (p *product[A, C]) run(par op.Par) { par.For(len(p.lanes), 1, p.body) }

func (p *product[A, C]) tile(l *lane[A, C], r0 int) {
	var z C
	size := int(unsafe.Sizeof(z))
	mr, nr := p.row.MR, p.row.NR
	n := min(mr, p.m-r0)
	p.gather(l.a, r0, n)
	a := &l.args
	*a = spec.GemmArgs{K: p.k, Rows: n, Lo: p.lo, Hi: p.hi}
	if p.k > 0 {
		a.A = unsafe.Pointer(&l.a[0])
	}
	var bias, out unsafe.Pointer
	if p.bias != nil {
		bias = p.bias()
	}
	if p.out != nil {
		out = p.out()
	}
	for j0 := 0; j0 < p.n; j0 += nr {
		a.Cols = min(nr, p.n-j0)
		if p.k > 0 {
			a.B = unsafe.Pointer(&p.b[j0*p.k])
		}
		if bias != nil {
			a.Bias = unsafe.Add(bias, size*j0)
		}
		if p.epilogue == nil {
			a.C, a.CStride = unsafe.Add(out, size*(r0*p.ldc+j0)), p.ldc
			p.kernel(a)
			continue
		}
		a.C, a.CStride = unsafe.Pointer(&l.c[0]), nr
		p.kernel(a)
		p.epilogue(l.c, nr, r0, n, j0, a.Cols)
	}
	runtime.KeepAlive(l)
}

// pointer returns the address of a tensor's data as it is now; nil for none.
func pointer(t *tensor.Tensor) unsafe.Pointer {
	if t == nil || len(t.Data) == 0 {
		return nil
	}
	return unsafe.Pointer(&t.Data[0])
}
