package nn

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// Weights of 16 bits stay as they are when they are packed, where that saves memory. Few rows take kernels that widen them as they are read. For many
// rows that would be the same work over and over: there a panel of B is widened once for each block of rows, and kernels of FP32 multiply it.

// storedHalf is the source of constant weights that are kept in FP16, as they are, and the row for a product of m rows with them; follow tells whether
// the rows follow each other. Both are nil where the product takes FP32.
func storedHalf(c *op.Call, w *source[float32], m int, follow bool) (*spec.Row, *source[uint16]) {
	if w.constant == nil || w.constant.DType != tensor.F16 || w.kind != "f32" {
		return nil, nil
	}
	plain := func() []uint16 { return tensor.Of[uint16](w.constant) }
	s := &source[uint16]{constant: w.constant, kind: "f16", plain: plain, widen: kernels.WidenF16, load: func() func(i, o int) uint16 {
		f := plain()
		return func(i, _ int) uint16 { return f[i] }
	}}
	tiles := kernels.Here().Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
	switch {
	case follow && fewRows(m, tensor.F32, tensor.F16, tensor.F32, tensor.F32, tiles):
		return c.Select(spec.Gemv, tensor.F32, tensor.F16, tensor.F32, tensor.F32, c.Num), s
	case 4*w.constant.Len() >= blockSize: // which leaves the second-level cache as FP32
		return c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num), s
	}
	return nil, nil
}
