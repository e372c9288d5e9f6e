package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// productRow selects the row for a product of k factors whose m rows follow each other: one for few rows, where these are no more than it takes and where it
// does not do without features of the CPU that the best row of tiles has.
func productRow(c *op.Call, m, k int, in, w, acc, out tensor.DType) *spec.Row {
	tiles := kernels.Here().Select(spec.Gemm, in, w, acc, out, c.Num)
	if fewRows(m, in, w, acc, out, tiles) {
		return c.Select(spec.Gemv, in, w, acc, out, c.Num)
	}
	return c.SelectDeep(spec.Gemm, k, in, w, acc, out, c.Num)
}

// fewRows reports whether the table has a row for m rows and these types that is worth more than tiles.
func fewRows(m int, in, w, acc, out tensor.DType, tiles *spec.Row) bool {
	list := kernels.Here().Rows()
	for i := range list {
		if r := &list[i]; r.Op == spec.Gemv && r.In == in && r.W == w && r.Acc == acc && r.Out == out {
			return m <= r.MR && r.Needs.Has(tiles.Needs)
		}
	}
	return false
}
