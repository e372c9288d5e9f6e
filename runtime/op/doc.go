// Package op says what an operator is: a shape rule, a preparation and the work of one inference.
//
// The operators themselves live in the folders below, by family, each of which exports one table:
//
//	elem  elementwise, comparison, cast, reduction, normalisation, activation, random
//	move  shape, indexing, joining, padding, resizing, selection, strings, sequences
//	nn    convolution, matrix products, pooling, recurrent layers, attention, quantisation
//
// Package runtime/ops joins them. Operators see tensors and attributes, never the graph; If, Loop and Scan, which
// hold graphs, belong to runtime/exec. Heavy operators drive the rows of package kernels; the others are their own
// reference, written in Go.
package op
