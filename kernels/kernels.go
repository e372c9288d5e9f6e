package kernels

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/amd64"
	"github.com/edgerun/edgerun/kernels/arm64"
	"github.com/edgerun/edgerun/kernels/ref"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Table lists the rows for an architecture, best first: those in assembly, then those in Go.
func Table(arch string) []spec.Row {
	var rows []spec.Row
	switch arch {
	case "amd64":
		rows = append(rows, amd64.Table...)
	case "arm64":
		rows = append(rows, arm64.Table...)
	}
	return append(rows, ref.Table...)
}

// Set is the rows that one machine can run.
type Set struct {
	Features cpu.Features
	rows     []spec.Row
}

// For returns the rows of this architecture that run with the given features.
func For(f cpu.Features) *Set {
	s := &Set{Features: f}
	for _, r := range Table(runtime.GOARCH) {
		if f.Has(r.Needs) {
			s.rows = append(s.rows, r)
		}
	}
	return s
}

// Here is the set of rows that this process uses: what the CPU has, less what EDGERUN_CPU masks. A mask that does not parse is
// reported by the commands; here it masks nothing.
var Here = sync.OnceValue(func() *Set {
	have := cpu.Detect()
	if f, err := have.Mask(knob.CPU.Value()); err == nil {
		have = f
	}
	return For(have)
})

// Rows lists the rows, best first.
func (s *Set) Rows() []spec.Row { return s.rows }

// Select returns the best row for an operation, its types and its numerics. Rows of class Approx serve fp32w, fp16 and
// bf16 alone, so that in all other numerics every machine gives the same bytes. That there is no row is a bug: ref covers
// what operators ask for.
func (s *Set) Select(o spec.Op, in, w, acc, out tensor.DType, n num.Numerics) *spec.Row {
	for i := range s.rows {
		r := &s.rows[i]
		if r.Op == o && r.In == in && r.W == w && r.Acc == acc && r.Out == out && (r.Num != spec.Approx || approximate(n)) {
			return r
		}
	}
	panic(fmt.Sprintf("BUG: no kernel for %v %v*%v+%v->%v", o, in, w, acc, out))
}

// Alternatives lists the rows that give the same results as the one that Select returns, which comes first. A row of class Approx stands alone.
func (s *Set) Alternatives(o spec.Op, in, w, acc, out tensor.DType, n num.Numerics) []*spec.Row {
	list := []*spec.Row{s.Select(o, in, w, acc, out, n)}
	if list[0].Num == spec.Approx {
		return list
	}
	for i := range s.rows {
		r := &s.rows[i]
		if r.Op == o && r.In == in && r.W == w && r.Acc == acc && r.Out == out && r.Num == list[0].Num && r != list[0] {
			list = append(list, r)
		}
	}
	return list
}

func approximate(n num.Numerics) bool { return n == num.FP32W || n == num.FP16 || n == num.BF16 }

// Chosen reports whether row i of a table is the one that features f select for its operation, types and class and, of a product, for k factors of a tap.
func Chosen(table []spec.Row, i int, f cpu.Features, k int) bool {
	r := &table[i]
	if !f.Has(r.Needs) || r.Depth > k {
		return false
	}
	for j := range i {
		q := &table[j]
		if q.Op == r.Op && q.In == r.In && q.W == r.W && q.Acc == r.Acc && q.Out == r.Out &&
			(q.Num == spec.Approx) == (r.Num == spec.Approx) && f.Has(q.Needs) && q.Depth <= k {
			return false
		}
	}
	return true
}
