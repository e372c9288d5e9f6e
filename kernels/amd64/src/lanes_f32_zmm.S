// Reductions of FP32 into 16 lanes with AVX-512.
//
// rdi  arguments   rsi X   rdx the lanes   rcx elements left   zmm0 x   zmm1 lanes   zmm2 NaN where there was one   k1 elements that exist
	.altmacro

.macro sum
	vaddps	zmm1{k1}, zmm1, zmm0
.endm
.macro sumsquares
	vmulps	zmm0, zmm0, zmm0
	vaddps	zmm1{k1}, zmm1, zmm0
.endm
.macro largest
	vcmpunordps k2{k1}, zmm0, zmm0
	vmovaps	zmm2{k2}, zmm0
	vmaxps	zmm1{k1}, zmm0, zmm1
.endm

.macro smallest
	vcmpunordps k2{k1}, zmm0, zmm0
	vmovaps	zmm2{k2}, zmm0
	vminps	zmm1{k1}, zmm0, zmm1
.endm

.macro lanes function
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	vmovups	zmm1, [rdx]
	vmovaps	zmm2, zmm1
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
3:
.endm

// func sumlanesF32Zmm(a *spec.MapArgs)
	.balign 64
sumlanesF32Zmm:
	lanes	sum
	vmovups	[rdx], zmm1
	vzeroupper
	ret

// func squarelanesF32Zmm(a *spec.MapArgs)
	.balign 64
squarelanesF32Zmm:
	lanes	sumsquares
	vmovups	[rdx], zmm1
	vzeroupper
	ret

// func maxlanesF32Zmm(a *spec.MapArgs)
	.balign 64
maxlanesF32Zmm:
	lanes	largest
	vcmpunordps k2, zmm2, zmm2
	vmovaps	zmm1{k2}, zmm2
	vmovups	[rdx], zmm1
	vzeroupper
	ret

// func minlanesF32Zmm(a *spec.MapArgs)
	.balign 64
minlanesF32Zmm:
	lanes	smallest
	vcmpunordps k2, zmm2, zmm2
	vmovaps	zmm1{k2}, zmm2
	vmovups	[rdx], zmm1
	vzeroupper
	ret
