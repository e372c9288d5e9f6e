package nn

import (
	"maps"

	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = join(convOps, deformOps, matmulOps, nbitsOps, poolOps, quantOps, einsumOps, contribOps, integerOps, qlinearOps)

func join(tables ...map[string]op.Op) map[string]op.Op {
	all := map[string]op.Op{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}
