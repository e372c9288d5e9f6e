// Package model holds the graph of a neural network: what every importer writes, every pass rewrites and the
// runtime lowers.
//
// A Graph is in single-assignment form: a Value is a graph input, a constant or the output of exactly one node, and
// nodes stand in an order in which every value is defined before it is used. Subgraphs (If, Loop, Scan) may use the
// values of the graphs around them. Operators bear the ONNX names, with the meaning of the newest opset that package
// model/onnx knows; importers translate everything else to them.
//
// A Value with Quant set stands for real numbers: an operator on it is defined on the reals, and its output is
// rounded to the output's own parameters.
//
// Spatial operators (Conv, pools and so on) carry the attribute layout, "NCHW" (the default) or "NHWC". In NHWC the
// weights of Conv are [out, kernel..., in/group] and of ConvTranspose [in, kernel..., out/group]; in NCHW they are
// [out, in/group, kernel...] and [in, out/group, kernel...].
//
// Verify checks a graph, Print, PrintFull and Parse write and read it as text (the form is described at Print), Equal says
// where two graphs differ.
//
// model imports nothing of kernels or runtime.
package model
