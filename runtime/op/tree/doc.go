// Package tree holds the operators of the domain ai.onnx.ml: tree ensembles, linear models, support vector machines,
// encoders and scalers. Their names bear the domain as prefix.
//
// ZipMap and DictVectorizer, which are about maps, are not among them: edgerun has no map type. Package runtime/ops
// imports it.
package tree
