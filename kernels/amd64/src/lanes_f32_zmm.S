// Reductions of FP32 into 16 lanes with AVX-512.
//
// rdi  arguments   rsi X   rdx the lanes   rcx elements left   zmm0 x   zmm1 lanes   k1 elements that exist
	.altmacro

.macro sum
	vaddps	zmm1{k1}, zmm1, zmm0
.endm
.macro sumsquares
	vmulps	zmm0, zmm0, zmm0
	vaddps	zmm1{k1}, zmm1, zmm0
.endm
.macro lanes function
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vmovups	zmm1, [rdx]
	mov	eax, 0xffff
	kmovw	k1, eax
	.balign 16
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	3f
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
2:	vmovups	zmm0{k1}{z}, [rsi]
	\function
	add	rsi, 64
	sub	rcx, 16
	jmp	1b
3:	vmovups	[rdx], zmm1
	vzeroupper
	ret
.endm

// func sumlanesF32Zmm(a *spec.MapArgs)
	.balign 64
sumlanesF32Zmm:
	lanes	sum

// func squarelanesF32Zmm(a *spec.MapArgs)
	.balign 64
squarelanesF32Zmm:
	lanes	sumsquares

// extent takes up a vector; what k1 leaves out is 0 in it.
.macro extent x, least, most
	vminps	zmm\least{k1}, zmm\least, zmm\x
	vmaxps	zmm\most{k1}, zmm\most, zmm\x
.endm
.macro fold_extent least, most, other_least, other_most
	vminps	\least, \least, \other_least
	vmaxps	\most, \most, \other_most
.endm

// func extentF32Zmm(a *spec.MapArgs)
//
// zmm0-3 x   zmm4-7 the least   zmm8-11 the most   k2-3 scratch   k4 not 0 where something is not a number
	.balign 64
extentF32Zmm:
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vbroadcastss zmm4, dword ptr [rdx]
	vbroadcastss zmm8, dword ptr [rdx + 4]
	.irp	i, 5, 6, 7
	vmovaps	zmm\i, zmm4
	.endr
	.irp	i, 9, 10, 11
	vmovaps	zmm\i, zmm8
	.endr
	vcmpunordps k4, zmm4, zmm8
	mov	eax, 0xffff
	kmovw	k1, eax
	sub	rcx, 64
	jl	2f
	.balign 32
1:	vmovups	zmm0, [rsi]
	vmovups	zmm1, [rsi + 64]
	vmovups	zmm2, [rsi + 128]
	vmovups	zmm3, [rsi + 192]
	vcmpunordps k2, zmm0, zmm1
	vcmpunordps k3, zmm2, zmm3
	korw	k4, k4, k2
	korw	k4, k4, k3
	extent	0, 4, 8
	extent	1, 5, 9
	extent	2, 6, 10
	extent	3, 7, 11
	add	rsi, 256
	sub	rcx, 64
	jge	1b
2:	add	rcx, 64
	jz	4f
3:	cmp	rcx, 16
	jge	5f
	mov	eax, -1
	bzhi	eax, eax, ecx
	kmovw	k1, eax
5:	vmovups	zmm0{k1}{z}, [rsi]
	vcmpunordps k2, zmm0, zmm0
	korw	k4, k4, k2
	extent	0, 4, 8
	add	rsi, 64
	sub	rcx, 16
	jg	3b
4:	fold_extent zmm4, zmm8, zmm5, zmm9
	fold_extent zmm6, zmm10, zmm7, zmm11
	fold_extent zmm4, zmm8, zmm6, zmm10
	vextractf64x4 ymm5, zmm4, 1
	vextractf64x4 ymm9, zmm8, 1
	fold_extent ymm4, ymm8, ymm5, ymm9
	vextractf128 xmm5, ymm4, 1
	vextractf128 xmm9, ymm8, 1
	fold_extent xmm4, xmm8, xmm5, xmm9
	vpermilps xmm5, xmm4, 0x4e
	vpermilps xmm9, xmm8, 0x4e
	fold_extent xmm4, xmm8, xmm5, xmm9
	vpermilps xmm5, xmm4, 0xb1
	vpermilps xmm9, xmm8, 0xb1
	fold_extent xmm4, xmm8, xmm5, xmm9
	vxorps	xmm0, xmm0, xmm0
	kortestw k4, k4
	jz	6f
	vpcmpeqd xmm0, xmm0, xmm0
6:	vaddss	xmm4, xmm4, xmm0	// makes zeros positive
	vaddss	xmm8, xmm8, xmm0
	vmovss	dword ptr [rdx], xmm4
	vmovss	dword ptr [rdx + 4], xmm8
	vzeroupper
	ret
