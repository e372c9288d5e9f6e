// Package move holds operators that give tensors other shapes and select, join and place their elements: shape, indexing,
// joining, padding, resizing, sampling, selection, text, sequences and pictures.
//
// Those that only move elements do so by element size, whatever the type. Indices out of range are errors that name the
// node and the position. Package runtime/ops imports it; number, below it, serves the other families too.
package move
