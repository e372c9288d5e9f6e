package op

import (
	"math"
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

// Choice is what a plan chooses for a node in place of the cost model. The zero value leaves all to that. No choice changes a result.
type Choice struct {
	// Rows names rows of the kernel table; those that serve the node and give the same results as the best one are taken.
	Rows []string
	// Ways names ways to compute, as Choose asks for them, and whether to go them.
	Ways map[string]bool
	// Alone leaves the node to the caller's thread.
	Alone bool
}

// IsZero reports whether nothing is chosen.
func (c Choice) IsZero() bool { return len(c.Rows) == 0 && len(c.Ways) == 0 && !c.Alone }

// Way is a way to compute that a node can go or not, with the same result, and whether it does.
type Way struct {
	Name string
	On   bool
}

// Choose reports whether to go a way: what the plan chooses, else pays, which is the cost model's answer. Prepare calls it where both are possible.
func (c *Call) Choose(way string, pays bool) bool {
	on, ok := c.Choice.Ways[way]
	if !ok {
		on = pays
	}
	if !slices.ContainsFunc(c.Ways, func(w Way) bool { return w.Name == way }) {
		c.Ways = append(c.Ways, Way{way, on})
	}
	return on
}

// Select returns the row of the kernel table for an operation, its types and numerics: that of c.Choice, where it serves them and gives the
// same results, else the best one. Prepare calls it; c.Uses then lists the row.
func (c *Call) Select(o spec.Op, in, w, acc, out tensor.DType, n num.Numerics) *spec.Row {
	return c.SelectDeep(o, math.MaxInt, in, w, acc, out, n)
}

// SelectDeep is Select for a product that has k of a tap.
func (c *Call) SelectDeep(o spec.Op, k int, in, w, acc, out tensor.DType, n num.Numerics) *spec.Row {
	rows := kernels.Here().Alternatives(o, in, w, acc, out, n)
	row := rows[max(0, slices.IndexFunc(rows, func(r *spec.Row) bool { return r.Depth <= k }))]
	for _, r := range rows {
		if slices.Contains(c.Choice.Rows, r.Name) {
			row = r
			break
		}
	}
	c.use(row)
	return row
}

// Executes counts multiply-adds that each run makes through a selected row.
func (c *Call) Executes(row *spec.Row, macs int) { c.use(row).MACs += int64(macs) }

// Adopt counts what a stage of the node selects and executes as the node's own.
func (c *Call) Adopt(stage *Call) {
	for _, u := range stage.Uses {
		c.use(u.Row).MACs += u.MACs
	}
}

func (c *Call) use(row *spec.Row) *Use {
	i := slices.IndexFunc(c.Uses, func(u Use) bool { return u.Row.Name == row.Name })
	if i < 0 {
		i = len(c.Uses)
		c.Uses = append(c.Uses, Use{Row: row})
	}
	return &c.Uses[i]
}
