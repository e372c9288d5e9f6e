package op

import (
	"slices"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Use is a row of the kernel table that a node drives, with the multiply-adds that one run makes through it, as far as the operator
// counts them. Rounding of sizes up to whole tiles is not counted.
type Use struct {
	Row  *spec.Row
	MACs int64
}

// Select returns the row of the kernel table for an operation, its types and numerics: that of c.Rows, where it serves them and gives the
// same results, else the best one. Prepare calls it; c.Uses then lists the row.
func (c *Call) Select(o spec.Op, in, w, acc, out tensor.DType, n num.Numerics) *spec.Row {
	rows := kernels.Here().Alternatives(o, in, w, acc, out, n)
	row := rows[0]
	for _, r := range rows {
		if slices.Contains(c.Rows, r.Name) {
			row = r
			break
		}
	}
	c.use(row)
	return row
}

// Executes counts multiply-adds that each run makes through a selected row.
func (c *Call) Executes(row *spec.Row, macs int) { c.use(row).MACs += int64(macs) }

func (c *Call) use(row *spec.Row) *Use {
	i := slices.IndexFunc(c.Uses, func(u Use) bool { return u.Row.Name == row.Name })
	if i < 0 {
		i = len(c.Uses)
		c.Uses = append(c.Uses, Use{Row: row})
	}
	return &c.Uses[i]
}
