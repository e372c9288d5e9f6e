// Conversion between FP32 and narrower floats with AVX-512, 16 elements at once.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   zmm0 x   zmm1-2 scratch   zmm16-18 constants   k1 elements that exist   k2 NaN
	.altmacro

.macro to_bf16
	vmovups	zmm0{k1}{z}, [rsi]
	vcmpunordps k2, zmm0, zmm0
	vpsrld	zmm1, zmm0, 16
	vpord	zmm2, zmm1, zmm18
	vpandd	zmm1, zmm1, zmm16
	vpaddd	zmm1, zmm1, zmm17
	vpaddd	zmm1, zmm1, zmm0
	vpsrld	zmm1, zmm1, 16
	vmovdqa32 zmm1{k2}, zmm2
	vpmovdw	[rdx]{k1}, zmm1
.endm
.macro from_bf16
	vpmovzxwd zmm0{k1}{z}, [rsi]
	vpslld	zmm0, zmm0, 16
	vmovups	[rdx]{k1}, zmm0
.endm
.macro to_f16
	vmovups	zmm0{k1}{z}, [rsi]
	vcvtps2ph [rdx]{k1}, zmm0, 0
.endm
.macro from_f16
	vmovdqu16 ymm0{k1}{z}, [rsi]
	vcvtph2ps zmm0, ymm0
	vmovups	[rdx]{k1}, zmm0
.endm

// loop converts all elements, of in and out bytes.
.macro loop function, in, out
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	mov	eax, 0xffff
	kmovw	k1, eax
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	3f
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
2:	\function
	add	rsi, 16*\in
	add	rdx, 16*\out
	sub	rcx, 16
	jmp	1b
3:	vzeroupper
	ret
.endm

// func convertF32BF16Zmm(a *spec.MapArgs)
	.balign 64
convertF32BF16Zmm:
	mov	eax, 1
	vpbroadcastd zmm16, eax
	mov	eax, 0x7fff
	vpbroadcastd zmm17, eax
	mov	eax, 0x40
	vpbroadcastd zmm18, eax
	loop	to_bf16, 4, 2

// func convertBF16F32Zmm(a *spec.MapArgs)
	.balign 64
convertBF16F32Zmm:
	loop	from_bf16, 2, 4

// func convertF32F16Zmm(a *spec.MapArgs)
	.balign 64
convertF32F16Zmm:
	loop	to_f16, 4, 2

// func convertF16F32Zmm(a *spec.MapArgs)
	.balign 64
convertF16F32Zmm:
	loop	from_f16, 2, 4
