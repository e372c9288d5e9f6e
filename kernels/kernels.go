// Package kernels is the table of all kernels, and the choice among them.
//
// A kernel is one row (spec.Row): operation, types, tile, CPU features, class of numerics, name. Names read as op, type,
// ISA and MR×NR: gemmI8Dot8x12 is an INT8 matrix product with the dot-product instructions, 8 rows by 12 columns per
// tile. The table of an instruction set is listed best first; the first row whose needs the CPU meets wins, and ref ends
// every chain. The same table drives dispatch, the differential test (kerneltest), the benchmark and
// `edgerun kernels`, on every host.
//
// kernels never imports model or runtime.
package kernels

import (
	"fmt"
	"runtime"

	"github.com/edgerun/edgerun/internal/cpu"
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

// Select returns the best row for an operation and its types. That there is none is a bug: ref covers what operators
// ask for.
func (s *Set) Select(o spec.Op, in, w, acc, out tensor.DType) *spec.Row {
	for i := range s.rows {
		if r := &s.rows[i]; r.Op == o && r.In == in && r.W == w && r.Acc == acc && r.Out == out {
			return r
		}
	}
	panic(fmt.Sprintf("BUG: no kernel for %v %v*%v+%v->%v", o, in, w, acc, out))
}

// Chosen reports whether row i of a table is the one that features f select for its operation and types.
func Chosen(table []spec.Row, i int, f cpu.Features) bool {
	r := &table[i]
	if !f.Has(r.Needs) {
		return false
	}
	for j := range i {
		if q := &table[j]; q.Op == r.Op && q.In == r.In && q.W == r.W && q.Acc == r.Acc && q.Out == r.Out && f.Has(q.Needs) {
			return false
		}
	}
	return true
}
