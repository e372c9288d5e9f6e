// Package tensor holds the element types, shapes and raw buffers that every other package shares.
//
// It knows nothing of graphs, operators or files. Package model re-exports its names.
package tensor
