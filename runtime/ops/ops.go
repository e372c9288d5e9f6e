// Package ops joins the operators of all families into one table.
//
// Importers: runtime and tools that list operators.
package ops

import (
	"maps"
	"slices"

	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
	"github.com/edgerun/edgerun/runtime/op/move"
	"github.com/edgerun/edgerun/runtime/op/nn"
	"github.com/edgerun/edgerun/runtime/op/nnx"
	"github.com/edgerun/edgerun/runtime/op/signal"
	"github.com/edgerun/edgerun/runtime/op/tree"
)

// table is the union of the families' tables, whose names are disjoint.
var table = join(map[string]op.Op{"Table": tableOp}, elem.Ops, move.Ops, nn.Ops, nnx.Ops, signal.Ops, tree.Ops)

func join(families ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, f := range families {
		for name, o := range f {
			if _, twice := all[name]; twice {
				panic("BUG: operator " + name + " stands in two tables")
			}
			all[name] = o
		}
	}
	return all
}

// Lookup finds an operator.
func Lookup(name string) (op.Op, bool) {
	o, ok := table[name]
	return o, ok
}

// Names lists all operators in sorted order; If, Loop and Scan, which hold graphs, are not among them.
func Names() []string { return slices.Sorted(maps.Keys(table)) }
