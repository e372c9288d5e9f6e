// Reductions of FP32 into 16 lanes with AVX2.
//
// rdi  arguments   rsi X   rdx the lanes   rcx elements left   ymm0 x   ymm1-2 lanes   ymm3-4 NaN where there was one   ymm5 scratch
	.altmacro

.macro sum acc, nan
	vaddps	ymm\acc, ymm\acc, ymm0
.endm
.macro sumsquares acc, nan
	vmulps	ymm0, ymm0, ymm0
	vaddps	ymm\acc, ymm\acc, ymm0
.endm
.macro largest acc, nan
	vcmpunordps ymm5, ymm0, ymm0
	vblendvps ymm\nan, ymm\nan, ymm0, ymm5
	vmaxps	ymm\acc, ymm0, ymm\acc
.endm
.macro smallest acc, nan
	vcmpunordps ymm5, ymm0, ymm0
	vblendvps ymm\nan, ymm\nan, ymm0, ymm5
	vminps	ymm\acc, ymm0, ymm\acc
.endm
.macro smallest1
	vmovss	xmm1, dword ptr [rdx]
	vminss	xmm5, xmm0, xmm1
	vcmpunordss xmm3, xmm0, xmm0
	vblendvps xmm5, xmm5, xmm0, xmm3
	vmovss	dword ptr [rdx], xmm5
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
.macro largest1
	vmovss	xmm1, dword ptr [rdx]
	vmaxss	xmm5, xmm0, xmm1
	vcmpunordss xmm3, xmm0, xmm0
	vblendvps xmm5, xmm5, xmm0, xmm3
	vmovss	dword ptr [rdx], xmm5
.endm

.macro lanes function, nans
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vmovups	ymm1, [rdx]
	vmovups	ymm2, [rdx + 32]
	vmovaps	ymm3, ymm1
	vmovaps	ymm4, ymm2
	.balign 16
1:	cmp	rcx, 16
	jl	2f
	vmovups	ymm0, [rsi]
	\function 1, 3
	vmovups	ymm0, [rsi + 32]
	\function 2, 4
	add	rsi, 64
	sub	rcx, 16
	jmp	1b
2:	.if \nans
	vcmpunordps ymm5, ymm3, ymm3
	vblendvps ymm1, ymm1, ymm3, ymm5
	vcmpunordps ymm5, ymm4, ymm4
	vblendvps ymm2, ymm2, ymm4, ymm5
	.endif
	vmovups	[rdx], ymm1
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
	lanes	sum, 0

// func squarelanesF32Ymm(a *spec.MapArgs)
	.balign 64
squarelanesF32Ymm:
	lanes	sumsquares, 0

// func maxlanesF32Ymm(a *spec.MapArgs)
	.balign 64
maxlanesF32Ymm:
	lanes	largest, 1

// func minlanesF32Ymm(a *spec.MapArgs)
	.balign 64
minlanesF32Ymm:
	lanes	smallest, 1
