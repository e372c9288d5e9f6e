package nnx

import (
	"strconv"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// matrix is n rows of k weights, of which each makes one output: the chain init[j] + Σ x[i]*w[j][i], in the order of i. FP32 runs in a row of
// the kernel table, for which the weights are packed, once where they are constant.
type matrix[T float] struct {
	arith[T]
	c            *op.Call
	k, n         int
	src          *source[T]
	first        int // the first weight among the elements of src
	plain        []T // the weights in this run
	row          *spec.Row
	kernel       func(*spec.GemmArgs)
	packed       []float32
	fixed        bool
	byInput      bool // the weights are k rows of n, one for each input; FP32 only
	lanes        []lane
	body         func(lo, hi int)
	byRows       bool
	out, init, x []T
	rows         int
}

// lane is what one share of a product needs; the kernel's arguments must not be made in a run.
type lane struct{ args spec.GemmArgs }

// callSize bounds the weights that one call of a kernel, which cannot be interrupted, reads.
const callSize = 1 << 18

// newMatrix takes n rows of k elements from src, beginning at element first. Products of all (see mulAll) have the given number of rows.
func newMatrix[T float](c *op.Call, src *source[T], first, n, k, rows int) *matrix[T] {
	m := &matrix[T]{arith: arithOf[T](), c: c, k: k, n: n, src: src, first: first}
	m.prepare(rows)
	return m
}

// newTurned takes k rows of n elements from src.
func newTurned(c *op.Call, src *source[float32], n, k, rows int) *matrix[float32] {
	m := &matrix[float32]{arith: arithOf[float32](), c: c, k: k, n: n, src: src, byInput: true}
	m.prepare(rows)
	return m
}

func (m *matrix[T]) prepare(rows int) {
	c, src, first, n, k := m.c, m.src, m.first, m.n, m.k
	mr, nr := 1, 4
	if tensor.DTypeOf[T]() == tensor.F32 {
		m.row = c.Select(spec.Gemv, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
		m.kernel = m.row.Func.(func(*spec.GemmArgs))
		mr, nr = m.row.MR, m.row.NR
		if m.fixed = src.constant(); m.fixed {
			pack := func(b []float32) { m.pack(b, src.get()) }
			if src.own {
				m.packed = make([]float32, m.size())
				pack(m.packed)
			} else {
				kind := "nnx.gemv/"
				if m.byInput {
					kind = "nnx.gemv.turned/"
				}
				m.packed = op.PackedWeights(c, src.t, kind+m.row.Name+"/"+strconv.Itoa(first)+"+"+strconv.Itoa(n)+"x"+strconv.Itoa(k), m.size(), pack)
			}
		} else {
			m.packed = op.Make[float32](c, m.size())
		}
	}
	m.byRows = rows >= 2*mr
	most := (n + nr - 1) / nr
	if m.byRows {
		most = (rows + mr - 1) / mr
	}
	shares := op.Shares(c.Par, most, n*k*((rows+mr-1)/mr*mr)/gemvRate)
	m.lanes = make([]lane, shares)
	m.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if m.byRows {
				r0, r1 := i*most/shares*mr, min((i+1)*most/shares*mr, m.rows)
				m.mul(&m.lanes[i], m.out[r0*n:], m.init, m.x[r0*k:], r1-r0)
			} else {
				m.columns(&m.lanes[i], m.out, m.init, m.x, m.rows, i*most/shares*nr, min((i+1)*most/shares*nr, n))
			}
		}
	}
}

// gemvRate is the number of multiply-adds that a thread makes in about a nanosecond where weights come from the second-level cache.
const gemvRate = 16

func (m *matrix[T]) size() int { return (m.n + m.row.NR - 1) / m.row.NR * m.row.NR * m.k }

// pack turns rows of weights into panels of NR columns.
func (m *matrix[T]) pack(dst []float32, w []T) {
	w = w[m.first : m.first+m.n*m.k]
	nr := m.row.NR
	if m.byInput {
		for i := range m.k {
			for j := 0; j < m.n; j += nr {
				to := dst[j*m.k+i*nr:]
				for l, v := range w[i*m.n+j : i*m.n+min(j+nr, m.n)] {
					to[l] = float32(v)
				}
			}
		}
		return
	}
	for j := range m.n {
		to := dst[j/nr*nr*m.k+j%nr:]
		for i, v := range w[j*m.k : (j+1)*m.k] {
			to[i*nr] = float32(v)
		}
	}
}

// ready reads weights that are not constant; call it once per run.
func (m *matrix[T]) ready() {
	switch {
	case m.row == nil:
		m.plain = m.src.get()[m.first : m.first+m.n*m.k]
	case !m.fixed:
		m.pack(m.packed, m.src.get())
	}
}

// mulAll is mul on all threads. It is not for use by several threads.
func (m *matrix[T]) mulAll(out, init, x []T, rows int) {
	m.out, m.init, m.x, m.rows = out, init, x, rows
	m.c.Par.For(len(m.lanes), 1, m.body)
}

// mul computes rows of n outputs from as many rows of k inputs. A nil init stands for zeros. Outputs must not overlap what is read.
func (m *matrix[T]) mul(l *lane, out, init, x []T, rows int) {
	m.columns(l, out, init, x, rows, 0, m.n)
}

// columns is mul of the outputs from j0 to j1.
func (m *matrix[T]) columns(l *lane, out, init, x []T, rows, j0, j1 int) {
	if rows <= 0 || j0 >= j1 {
		return
	}
	if len(out) < rows*m.n || len(x) < rows*m.k || init != nil && len(init) < m.n {
		panic("BUG: a product's operands are short")
	}
	if m.row == nil {
		for r := range rows {
			o := out[r*m.n:][:m.n]
			clear(o)
			copy(o, init)
			m.products(o[j0:j1], o[j0:j1], x[r*m.k:(r+1)*m.k], m.plain[j0*m.k:], m.k)
		}
		return
	}
	if len(m.packed) < m.size() {
		panic("BUG: packed weights are short")
	}
	const size = 4 // bytes of an element
	a, nr := &l.args, m.row.NR
	*a = spec.GemmArgs{AStride: m.k * size, Taps: 1, K: m.k, CStride: m.n, Lo: -inf[float32](), Hi: inf[float32]()}
	step := max(1, callSize/max(1, nr*m.k)) * nr
	for j := j0; j < j1; j += step {
		a.Cols = min(step, j1-j)
		if m.k > 0 {
			a.B = unsafe.Pointer(&m.packed[j*m.k])
		}
		if init != nil {
			a.Bias = unsafe.Pointer(&init[j])
		}
		for r := 0; r < rows; r += m.row.MR {
			a.Rows = min(m.row.MR, rows-r)
			a.C = unsafe.Pointer(&out[r*m.n+j])
			if m.k > 0 {
				a.A = unsafe.Pointer(&x[r*m.k])
			}
			m.kernel(a)
		}
	}
}

// function is an activation, applied in place.
type function[T float] struct {
	scalar func(T) T
	kernel func(*spec.MapArgs) // nil: there is none
}

// kernelOf is a function that the kernel table has, for FP32.
func kernelOf[T float](scalar func(T) T, o spec.Op) function[T] {
	f := function[T]{scalar: scalar}
	if tensor.DTypeOf[T]() == tensor.F32 {
		f.kernel = kernels.Here().Select(o, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32).Func.(func(*spec.MapArgs))
	}
	return f
}

func (f *function[T]) apply(a *spec.MapArgs, v []T) {
	if f.kernel == nil || len(v) == 0 {
		for i, x := range v {
			v[i] = f.scalar(x)
		}
		return
	}
	a.X, a.Y, a.N = unsafe.Pointer(&v[0]), unsafe.Pointer(&v[0]), len(v)
	f.kernel(a)
}
