// Reductions of FP32 into 16 lanes with AVX2.
//
// rdi  arguments   rsi X   rdx the lanes   rcx elements left   ymm0 x   ymm1-2 lanes
	.altmacro

.macro sum acc
	vaddps	ymm\acc, ymm\acc, ymm0
.endm
.macro sumsquares acc
	vmulps	ymm0, ymm0, ymm0
	vaddps	ymm\acc, ymm\acc, ymm0
.endm
.macro sum1
	vmovss	xmm1, dword ptr [rdx]
	vaddss	xmm1, xmm1, xmm0
	vmovss	dword ptr [rdx], xmm1
.endm
.macro sumsquares1
	vmulss	xmm0, xmm0, xmm0
	sum1
.endm
.macro lanes function
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vmovups	ymm1, [rdx]
	vmovups	ymm2, [rdx + 32]
	.balign 16
1:	cmp	rcx, 16
	jl	2f
	vmovups	ymm0, [rsi]
	\function 1
	vmovups	ymm0, [rsi + 32]
	\function 2
	add	rsi, 64
	sub	rcx, 16
	jmp	1b
2:	vmovups	[rdx], ymm1
	vmovups	[rdx + 32], ymm2
3:	test	rcx, rcx
	jle	4f
	vmovss	xmm0, dword ptr [rsi]
	\function\()1
	add	rsi, 4
	add	rdx, 4
	dec	rcx
	jmp	3b
4:	vzeroupper
	ret
.endm

// func sumlanesF32Ymm(a *spec.MapArgs)
	.balign 64
sumlanesF32Ymm:
	lanes	sum

// func squarelanesF32Ymm(a *spec.MapArgs)
	.balign 64
squarelanesF32Ymm:
	lanes	sumsquares

// extent takes up two vectors.
.macro extent x, y
	vcmpunordps ymm5, ymm\x, ymm\y
	vorps	ymm10, ymm10, ymm5
	vminps	ymm6, ymm6, ymm\x
	vmaxps	ymm8, ymm8, ymm\x
	vminps	ymm7, ymm7, ymm\y
	vmaxps	ymm9, ymm9, ymm\y
.endm
.macro fold_extent least, most, other_least, other_most
	vminps	\least, \least, \other_least
	vmaxps	\most, \most, \other_most
.endm

// func extentF32Ymm(a *spec.MapArgs)
//
// ymm0-1 x   ymm6-7 the least   ymm8-9 the most   ymm10 not 0 where something is not a number
	.balign 64
extentF32Ymm:
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vbroadcastss ymm6, dword ptr [rdx]
	vbroadcastss ymm8, dword ptr [rdx + 4]
	vmovaps	ymm7, ymm6
	vmovaps	ymm9, ymm8
	vcmpunordps ymm10, ymm6, ymm8
	sub	rcx, 16
	jl	2f
	.balign 32
1:	vmovups	ymm0, [rsi]
	vmovups	ymm1, [rsi + 32]
	extent	0, 1
	add	rsi, 64
	sub	rcx, 16
	jge	1b
2:	add	rcx, 16
	jz	4f
3:	vbroadcastss ymm0, dword ptr [rsi]
	extent	0, 0
	add	rsi, 4
	dec	rcx
	jnz	3b
4:	fold_extent ymm6, ymm8, ymm7, ymm9
	vextractf128 xmm7, ymm6, 1
	vextractf128 xmm9, ymm8, 1
	fold_extent xmm6, xmm8, xmm7, xmm9
	vpermilps xmm7, xmm6, 0x4e
	vpermilps xmm9, xmm8, 0x4e
	fold_extent xmm6, xmm8, xmm7, xmm9
	vpermilps xmm7, xmm6, 0xb1
	vpermilps xmm9, xmm8, 0xb1
	fold_extent xmm6, xmm8, xmm7, xmm9
	vxorps	xmm0, xmm0, xmm0
	vptest	ymm10, ymm10
	jz	6f
	vpcmpeqd xmm0, xmm0, xmm0
6:	vaddss	xmm6, xmm6, xmm0	// makes zeros positive
	vaddss	xmm8, xmm8, xmm0
	vmovss	dword ptr [rdx], xmm6
	vmovss	dword ptr [rdx + 4], xmm8
	vzeroupper
	ret
