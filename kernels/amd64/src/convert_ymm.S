// Conversion between FP32 and narrower floats with AVX2 and F16C, 8 elements at once, and one by one at the end.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   ymm0 x   ymm1-3 scratch   ymm4-6 constants
	.altmacro
	.include "bf16.inc"

.macro rounded
	round_bf16 0, 1, 2, 3, ymm4, ymm5, ymm6
.endm
.macro to_bf16 n
	.if \n == 8
	vmovups	ymm0, [rsi]
	rounded
	pack_words 1, 2
	vmovdqu	[rdx], xmm1
	.else
	vmovss	xmm0, dword ptr [rsi]
	rounded
	vpextrw	[rdx], xmm1, 0
	.endif
.endm
.macro from_bf16 n
	.if \n == 8
	vpmovzxwd ymm0, [rsi]
	vpslld	ymm0, ymm0, 16
	vmovdqu	[rdx], ymm0
	.else
	movzx	eax, word ptr [rsi]
	shl	eax, 16
	mov	[rdx], eax
	.endif
.endm
.macro to_f16 n
	.if \n == 8
	vmovups	ymm0, [rsi]
	vcvtps2ph [rdx], ymm0, 0
	.else
	vmovss	xmm0, dword ptr [rsi]
	vcvtps2ph xmm0, xmm0, 0
	vpextrw	[rdx], xmm0, 0
	.endif
.endm
.macro from_f16 n
	.if \n == 8
	vcvtph2ps ymm0, [rsi]
	vmovups	[rdx], ymm0
	.else
	movzx	eax, word ptr [rsi]
	vmovd	xmm0, eax
	vcvtph2ps xmm0, xmm0
	vmovss	dword ptr [rdx], xmm0
	.endif
.endm

// loop converts all elements, of in and out bytes.
.macro loop function, in, out
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
1:	cmp	rcx, 8
	jl	2f
	\function 8
	add	rsi, 8*\in
	add	rdx, 8*\out
	sub	rcx, 8
	jmp	1b
2:	test	rcx, rcx
	jle	3f
	\function 1
	add	rsi, \in
	add	rdx, \out
	dec	rcx
	jmp	2b
3:	vzeroupper
	ret
.endm

// func convertF32BF16Ymm(a *spec.MapArgs)
	.balign 64
convertF32BF16Ymm:
	mov	eax, 1
	vmovd	xmm4, eax
	vpbroadcastd ymm4, xmm4
	mov	eax, 0x7fff
	vmovd	xmm5, eax
	vpbroadcastd ymm5, xmm5
	mov	eax, 0x40
	vmovd	xmm6, eax
	vpbroadcastd ymm6, xmm6
	loop	to_bf16, 4, 2

// func convertBF16F32Ymm(a *spec.MapArgs)
	.balign 64
convertBF16F32Ymm:
	loop	from_bf16, 2, 4

// func convertF32F16Ymm(a *spec.MapArgs)
	.balign 64
convertF32F16Ymm:
	loop	to_f16, 4, 2

// func convertF16F32Ymm(a *spec.MapArgs)
	.balign 64
convertF16F32Ymm:
	loop	from_f16, 2, 4
