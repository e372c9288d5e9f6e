// Arithmetic on FP32 elements with AVX-512, 16 at once.
//
// Of what follows, lines are fetched some way ahead: chains of operators take it block by block, too short for the processor to see far.
//
// rdi  arguments   rsi X   rdx Y   r8 B   rcx elements left   zmm0 x   zmm1 b   zmm2-3 bounds, or scratch   k1 elements that exist
	.altmacro

.macro add_
	vaddps	zmm0, zmm0, zmm1
.endm
.macro sub_
	vsubps	zmm0, zmm0, zmm1
.endm
.macro subfrom
	vsubps	zmm0, zmm1, zmm0
.endm
.macro mul_
	vmulps	zmm0, zmm0, zmm1
.endm
.macro div_
	vdivps	zmm0, zmm0, zmm1
.endm
.macro divinto
	vdivps	zmm0, zmm1, zmm0
.endm

.macro prelu
	vpxord	zmm2, zmm2, zmm2
	vcmpltps k2, zmm0, zmm2
	vmulps	zmm0{k2}, zmm0, zmm1
.endm
// extreme takes the larger (5) or smaller (4) one, and a sum where either is no number.
.macro extreme which
	vcmpunordps k2, zmm0, zmm1
	vaddps	zmm2, zmm0, zmm1
	vrangeps zmm0, zmm0, zmm1, \which
	vmovaps	zmm0{k2}, zmm2
.endm

// masked sets k1 for the last elements.
.macro masked
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
.endm

.macro binary function:vararg
	mov	rsi, [rdi + BinaryArgs_X]
	mov	r8, [rdi + BinaryArgs_B]
	mov	rdx, [rdi + BinaryArgs_Y]
	mov	rcx, [rdi + BinaryArgs_N]
	test	rcx, rcx
	jle	9f
	mov	eax, 0xffff
	kmovw	k1, eax
	cmp	qword ptr [rdi + BinaryArgs_Step], 0
	jne	4f
	vbroadcastss zmm1, dword ptr [r8]
	.balign 16
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	9f
	masked
2:	prefetcht0 [rsi + 1024]
	vmovups	zmm0{k1}{z}, [rsi]
	\function
	prefetchw [rdx + 1024]
	vmovups	[rdx]{k1}, zmm0
	add	rsi, 64
	add	rdx, 64
	sub	rcx, 16
	jmp	1b
	.balign 16
4:	cmp	rcx, 16
	jge	5f
	test	rcx, rcx
	jle	9f
	masked
5:	prefetcht0 [rsi + 1024]
	prefetcht0 [r8 + 1024]
	vmovups	zmm0{k1}{z}, [rsi]
	vmovups	zmm1{k1}{z}, [r8]
	\function
	prefetchw [rdx + 1024]
	vmovups	[rdx]{k1}, zmm0
	add	rsi, 64
	add	rdx, 64
	add	r8, 64
	sub	rcx, 16
	jmp	4b
9:	vzeroupper
	ret
.endm

// func addF32Zmm(a *spec.BinaryArgs)
	.balign 64
addF32Zmm:
	binary	add_

// func subF32Zmm(a *spec.BinaryArgs)
	.balign 64
subF32Zmm:
	binary	sub_

// func subfromF32Zmm(a *spec.BinaryArgs)
	.balign 64
subfromF32Zmm:
	binary	subfrom

// func mulF32Zmm(a *spec.BinaryArgs)
	.balign 64
mulF32Zmm:
	binary	mul_

// func divF32Zmm(a *spec.BinaryArgs)
	.balign 64
divF32Zmm:
	binary	div_

// func divintoF32Zmm(a *spec.BinaryArgs)
	.balign 64
divintoF32Zmm:
	binary	divinto

// func preluF32Zmm(a *spec.BinaryArgs)
	.balign 64
preluF32Zmm:
	binary	prelu

// func maxF32Zmm(a *spec.BinaryArgs)
	.balign 64
maxF32Zmm:
	binary	extreme 5

// func minF32Zmm(a *spec.BinaryArgs)
	.balign 64
minF32Zmm:
	binary	extreme 4

// func clipF32Zmm(a *spec.MapArgs)
	.balign 64
clipF32Zmm:
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vbroadcastss zmm2, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss zmm3, dword ptr [rdi + MapArgs_Hi]
	mov	eax, 0xffff
	kmovw	k1, eax
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	9f
	masked
2:	vmovups	zmm0{k1}{z}, [rsi]
	vmaxps	zmm0, zmm2, zmm0
	vminps	zmm0, zmm3, zmm0
	prefetchw [rdx + 1024]
	vmovups	[rdx]{k1}, zmm0
	add	rsi, 64
	add	rdx, 64
	sub	rcx, 16
	jmp	1b
9:	vzeroupper
	ret
