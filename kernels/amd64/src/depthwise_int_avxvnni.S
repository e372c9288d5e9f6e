// Depthwise convolution of integers with AVX-VNNI, requantised to bytes.
	.include "depthwise_int_ymm.inc"

.macro dot acc, x, w
	{vex} vpdpwssd ymm\acc, ymm\x, ymm\w
.endm

// func depthwiseI8QAvxVnni4x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI8QAvxVnni4x16:
	routine	1, 1, .LI8Q

// func depthwiseU8I8QAvxVnni4x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseU8I8QAvxVnni4x16:
	routine	0, 0, .LU8I8Q

// func depthwiseI16QI8AvxVnni4x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI16QI8AvxVnni4x16:
	routine	2, 1, .LI16QI8

// func depthwiseI16QU8AvxVnni4x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI16QU8AvxVnni4x16:
	routine	2, 0, .LI16QU8
