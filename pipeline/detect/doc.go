// Package detect turns the numbers that detectors give into boxes: decoding of the usual heads, non-maximum suppression, and
// the text boxes of a probability map (differentiable binarisation).
//
// Everything is exactly defined, ties included; docs/pipeline.md states it. Only package pipeline and its callers import
// it; it knows nothing of models, pictures or files.
package detect
