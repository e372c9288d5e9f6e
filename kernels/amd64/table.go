// Package amd64 is the table of kernels in assembly for amd64. It has no rows yet.
package amd64

import "github.com/edgerun/edgerun/kernels/spec"

// Table lists the rows, best first.
var Table []spec.Row
