package nnx

import "github.com/edgerun/edgerun/runtime/op"

var liteOps = map[string]op.Op{}
