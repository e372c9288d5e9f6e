// Depthwise convolution of integers with AVX2, requantised to bytes.
	.include "depthwise_int_ymm.inc"

.macro dot acc, x, w
	vpmaddwd ymm\x, ymm\x, ymm\w
	vpaddd	ymm\acc, ymm\acc, ymm\x
.endm

// func depthwiserowI8QYmm4x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowI8QYmm4x16:
	routine	1, 1, .LI8Q

// func depthwiserowU8I8QYmm4x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowU8I8QYmm4x16:
	routine	0, 0, .LU8I8Q

// func depthwiserowI16QI8Ymm4x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowI16QI8Ymm4x16:
	routine	2, 1, .LI16QI8

// func depthwiserowI16QU8Ymm4x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowI16QU8Ymm4x16:
	routine	2, 0, .LI16QU8
