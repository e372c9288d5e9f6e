// Package arm64 is the table of kernels in assembly for arm64. It has no rows yet.
package arm64

import "github.com/edgerun/edgerun/kernels/spec"

// Table lists the rows, best first.
var Table []spec.Row
