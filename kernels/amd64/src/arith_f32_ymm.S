// Arithmetic on FP32 elements with AVX2, 8 at once, and one by one at the end.
//
// rdi  arguments   rsi X   rdx Y   r8 B   rcx elements left   ymm0 x   ymm1 b   ymm2-3 bounds, or scratch
	.altmacro

.macro add_ n
	.if \n == 8
	vaddps	ymm0, ymm0, ymm1
	.else
	vaddss	xmm0, xmm0, xmm1
	.endif
.endm
.macro sub_ n
	.if \n == 8
	vsubps	ymm0, ymm0, ymm1
	.else
	vsubss	xmm0, xmm0, xmm1
	.endif
.endm
.macro subfrom n
	.if \n == 8
	vsubps	ymm0, ymm1, ymm0
	.else
	vsubss	xmm0, xmm1, xmm0
	.endif
.endm
.macro mul_ n
	.if \n == 8
	vmulps	ymm0, ymm0, ymm1
	.else
	vmulss	xmm0, xmm0, xmm1
	.endif
.endm
.macro div_ n
	.if \n == 8
	vdivps	ymm0, ymm0, ymm1
	.else
	vdivss	xmm0, xmm0, xmm1
	.endif
.endm
.macro divinto n
	.if \n == 8
	vdivps	ymm0, ymm1, ymm0
	.else
	vdivss	xmm0, xmm1, xmm0
	.endif
.endm

.macro prelu n
	vxorps	ymm2, ymm2, ymm2
	vcmpltps ymm2, ymm0, ymm2
	vmulps	ymm3, ymm0, ymm1
	vblendvps ymm0, ymm0, ymm3, ymm2
.endm
// Of equal ones both are taken, so that the signs of zeros meet; where either is no number, their sum.
.macro max_ n
	vmaxps	ymm2, ymm0, ymm1
	vmaxps	ymm3, ymm1, ymm0
	vandps	ymm2, ymm2, ymm3
	number
.endm
.macro min_ n
	vminps	ymm2, ymm0, ymm1
	vminps	ymm3, ymm1, ymm0
	vorps	ymm2, ymm2, ymm3
	number
.endm
.macro number
	vcmpunordps ymm3, ymm0, ymm1
	vaddps	ymm0, ymm0, ymm1
	vblendvps ymm0, ymm2, ymm0, ymm3
.endm

.macro binary function
	mov	rsi, [rdi + BinaryArgs_X]
	mov	r8, [rdi + BinaryArgs_B]
	mov	rdx, [rdi + BinaryArgs_Y]
	mov	rcx, [rdi + BinaryArgs_N]
	test	rcx, rcx
	jle	9f
	cmp	qword ptr [rdi + BinaryArgs_Step], 0
	jne	4f
	vbroadcastss ymm1, dword ptr [r8]
1:	cmp	rcx, 8
	jl	2f
	vmovups	ymm0, [rsi]
	\function 8
	vmovups	[rdx], ymm0
	add	rsi, 32
	add	rdx, 32
	sub	rcx, 8
	jmp	1b
2:	test	rcx, rcx
	jle	9f
	vmovss	xmm0, dword ptr [rsi]
	\function 1
	vmovss	dword ptr [rdx], xmm0
	add	rsi, 4
	add	rdx, 4
	dec	rcx
	jmp	2b
4:	cmp	rcx, 8
	jl	5f
	vmovups	ymm0, [rsi]
	vmovups	ymm1, [r8]
	\function 8
	vmovups	[rdx], ymm0
	add	rsi, 32
	add	rdx, 32
	add	r8, 32
	sub	rcx, 8
	jmp	4b
5:	test	rcx, rcx
	jle	9f
	vmovss	xmm0, dword ptr [rsi]
	vmovss	xmm1, dword ptr [r8]
	\function 1
	vmovss	dword ptr [rdx], xmm0
	add	rsi, 4
	add	rdx, 4
	add	r8, 4
	dec	rcx
	jmp	5b
9:	vzeroupper
	ret
.endm

// func addF32Ymm(a *spec.BinaryArgs)
	.balign 64
addF32Ymm:
	binary	add_

// func subF32Ymm(a *spec.BinaryArgs)
	.balign 64
subF32Ymm:
	binary	sub_

// func subfromF32Ymm(a *spec.BinaryArgs)
	.balign 64
subfromF32Ymm:
	binary	subfrom

// func mulF32Ymm(a *spec.BinaryArgs)
	.balign 64
mulF32Ymm:
	binary	mul_

// func divF32Ymm(a *spec.BinaryArgs)
	.balign 64
divF32Ymm:
	binary	div_

// func divintoF32Ymm(a *spec.BinaryArgs)
	.balign 64
divintoF32Ymm:
	binary	divinto

// func preluF32Ymm(a *spec.BinaryArgs)
	.balign 64
preluF32Ymm:
	binary	prelu

// func maxF32Ymm(a *spec.BinaryArgs)
	.balign 64
maxF32Ymm:
	binary	max_

// func minF32Ymm(a *spec.BinaryArgs)
	.balign 64
minF32Ymm:
	binary	min_

// func clipF32Ymm(a *spec.MapArgs)
	.balign 64
clipF32Ymm:
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vbroadcastss ymm2, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss ymm3, dword ptr [rdi + MapArgs_Hi]
1:	cmp	rcx, 8
	jl	2f
	vmovups	ymm0, [rsi]
	vmaxps	ymm0, ymm2, ymm0
	vminps	ymm0, ymm3, ymm0
	vmovups	[rdx], ymm0
	add	rsi, 32
	add	rdx, 32
	sub	rcx, 8
	jmp	1b
2:	test	rcx, rcx
	jle	9f
	vmovss	xmm0, dword ptr [rsi]
	vmaxss	xmm0, xmm2, xmm0
	vminss	xmm0, xmm3, xmm0
	vmovss	dword ptr [rdx], xmm0
	add	rsi, 4
	add	rdx, 4
	dec	rcx
	jmp	2b
9:	vzeroupper
	ret
