// Package onnx reads ONNX models into a model.Graph.
//
// Whatever opset a model was written for, the graph has the meaning of the newest opset that this package knows
// (NewestOpset): the table in upgrade.go lists, per operator, what changed and how it is carried over. Operators of
// the default domain keep their names; those of other domains bear the domain as a prefix, as in
// "com.microsoft.FusedConv". Unknown operators pass through: the runtime reports them.
//
// What the format has and the graph has not is lowered here:
//
//   - Constant nodes and initializers (sparse ones too) become constants. An initializer that is also listed as an
//     input is a constant.
//   - Model-local functions are inlined.
//   - An optional value is a sequence of at most one element: Optional, OptionalGetElement and OptionalHasElement
//     become operators on sequences, or Identity and constants where the value is no optional.
//   - SequenceMap becomes Loop, Scan of opset 8 two nested Scans.
//   - Operators of com.microsoft that a few standard ones can say become these (microsoft.go).
//   - ZipMap becomes Identity: its output is the matrix of scores, and the metadata hold the classes of the columns as
//     JSON under "onnx.classes." and the output's name.
//   - Nodes are sorted where the file does not do it.
//
// Attributes that name element types ("to", "dtype", ...) keep ONNX's numbers; ElemType translates them.
//
// The bytes given to Import are referenced by the graph and must not be changed afterwards. Besides them, parsing takes
// at most their size plus 64 MiB, and the tensors at most Options.MaxTensorBytes. Every error wraps ErrFormat, ErrLimit
// or ErrUnsupported, or comes from reading a file.
//
// Importers: runtime, internal/conform, tools and tests.
package onnx
