// Package pixel holds the picture arithmetic of a pipeline: decoding, camera frames, resizing, cropping and warping.
//
// Everything works on Image: 8 bits per channel, RGB, no padding. Every function is exactly defined: all
// arithmetic that reaches a pixel is integer arithmetic, or float64 arithmetic without fused operations, so the bytes
// are the same on every machine. docs/pipeline.md states the definitions; the comments here state them
// again where the code needs them.
//
// Only package pipeline and its callers import it; it knows nothing of models.
package pixel
