// Winograd's F(4x4, 3x3) in FP32 with AVX-512: the transforms of a tile, 16 channels at once. See winograd.inc.
	.altmacro

	.include "winograd.inc"

.macro load v, to, at, masked
	.if \masked
	vmovups	\v\to{k1}{z}, [\at]
	.else
	vmovups	\v\to, [\at]
	.endif
.endm
.macro store v, at, from, masked
	.if \masked
	vmovups	[\at]{k1}, \v\from
	.else
	vmovups	[\at], \v\from
	.endif
.endm
.macro mask name
	mov	ebx, ecx
	shr	ebx, 2
	mov	r8, -1
	bzhi	r8, r8, rbx
	kmovw	k1, r8d
.endm

// func winogradinF32Zmm(a *spec.WinogradArgs)
	.balign 64
winogradinF32Zmm:
	winogradin zmm, 64, winogradinF32Zmm

// func winogradoutF32Zmm(a *spec.WinogradArgs)
	.balign 64
winogradoutF32Zmm:
	winogradout zmm, 64, winogradoutF32Zmm
