// Package nn holds convolution, matrix products, pooling and quantisation: ONNX's operators, those of com.microsoft, and our own
// Quantize and Dequantize.
//
// Heavy loops drive rows of package kernels, tile by tile: an engine packs the weights (once, where they are constant), a product
// gathers rows of the input into the tile and calls the kernel, which writes bias, bounds and requantisation itself. Convolution
// gathers through tables of input positions, so that no im2col matrix exists; a transposed convolution is one convolution per phase
// of its strides. Work is split into shares by rows, and by columns where these are few; each output is computed by one call in
// one order, so that results do not depend on the number of threads.
//
// # Results
//
// A sum over f32 is one chain of fused multiply-adds that starts from the bias, or 0; its order is kernel position (row-major), then
// input channel. Positions in the padding are skipped (or multiplied as zeros, which is the same for finite weights). f16 and bf16 are
// widened and the result is rounded once; f64 is computed in f64. Where a node's numerics are bf16, both operands of Conv, Gemm and
// MatMul are rounded to bf16 first.
//
// Quantised operators are defined on the reals. Sums of integers are exact (32 bits, 64 for operands above 8), then requantised by one
// float32 product per channel, half to even (ref.Requantise). With the attribute dynamic_quantize=1 an f32 input is quantised per
// image or row while it runs; other quantised weights of f32 operators are dequantised when they are packed.
//
// # Layout
//
// Spatial operators are written for NHWC. For NCHW (the default of the attribute layout) Prepare transposes around them, which is
// for nodes whose rank shows too late for a pass to do it once.
//
// Importers: runtime/ops.
package nn
