package nnx

import "github.com/edgerun/edgerun/runtime/op"

var contribOps = map[string]op.Op{}
