// Winograd's F(4x4, 3x3) in FP32 with AVX2 and FMA: the transforms of a tile, 8 channels at once. See winograd.inc.
	.altmacro

	.include "winograd.inc"

.macro load v, to, at, masked
	.if \masked
	vmaskmovps \v\to, \v\()9, [\at]
	.else
	vmovups	\v\to, [\at]
	.endif
.endm
.macro store v, at, from, masked
	.if \masked
	vmaskmovps [\at], \v\()9, \v\from
	.else
	vmovups	[\at], \v\from
	.endif
.endm
.macro mask name
	lea	rbx, [rip + \name\().data + 64]
	sub	rbx, rcx
	vmovups	ymm9, [rbx]
.endm

// func winogradinF32Ymm(a *spec.WinogradArgs)
	.balign 64
winogradinF32Ymm:
	winogradin ymm, 32, winogradinF32Ymm

// func winogradoutF32Ymm(a *spec.WinogradArgs)
	.balign 64
winogradoutF32Ymm:
	winogradout ymm, 32, winogradoutF32Ymm
