// Package elem holds the operators that work element by element, and reductions, normalisations, activations, casts,
// losses, random numbers and optimizers.
//
// Ops is the package's one table. An operator takes every element type that ONNX allows it. F16 and BF16 are widened to
// float32, computed and rounded once. Integers wrap, their division truncates, and division by zero gives 0.
//
// Add, Sub, Mul and Div bound their result by the attributes act_min and act_max. Add, Sub and Mul also work on quantised
// values. Softmax, LogSoftmax and Hardmax take the attribute flatten=1, the meaning that ONNX gave them before opset 13:
// the input is a matrix whose columns are the axes from axis on. BatchNormalization and LRN take the attribute axis for
// the channels, 1 by default.
//
// Float32 results have the same bits on every machine, with these exceptions, which go through package math: Tan, Asin,
// Acos, Atan, Atan2, Sinh, Cosh, Asinh, Acosh, Atanh and Pow (but for the exponents 0.5 and 2), LRN (but for beta 0.5,
// 0.75 and 1), reductions and losses of float64, random numbers and optimizers. Sums over float32 run in 16 lanes
// (element i of a group in lane i mod 16), which are then added pairwise.
//
// Importers: runtime/ops.
package elem
