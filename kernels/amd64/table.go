// Package amd64 is the table of the kernels in assembly for amd64.
//
// It builds on every architecture, so that the table can be listed anywhere: rows carry no build tag, only the bindings
// of their functions do. A row whose function is not built in is listed but never selected, since kernels.For asks for
// the rows of the architecture it runs on. The table has no rows yet.
package amd64

import "github.com/edgerun/edgerun/kernels/spec"

// Table lists the rows, best first.
var Table []spec.Row
