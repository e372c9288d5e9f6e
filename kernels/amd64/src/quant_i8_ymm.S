// Elements of 8-bit integers that stand for reals, with AVX2: 8 at once, one by one at the end.
//
// rdi  arguments   rsi A   rdx B   r8 Y   rcx elements left   ymm0-1 elements   ymm2 scratch
// ymm4-5 zero points   ymm6-7 scales   ymm8-10 bounds less the output's zero point, that zero point   ymm11 what B adds or multiplies with, where it is one
// element
	.altmacro

.macro one signed, to, base
	.if \signed
	movsx	eax, byte ptr [\base]
	.else
	movzx	eax, byte ptr [\base]
	.endif
	vmovd	xmm\to, eax
.endm
.macro widen n, signed, reg, base
	.if \n == 1
	one	\signed, \reg, \base
	.else
	.if \signed
	vpmovsxbd ymm\reg, [\base]
	.else
	vpmovzxbd ymm\reg, [\base]
	.endif
	.endif
.endm
// store rounds ymm0 to bytes.
.macro store n
	vmaxps	ymm0, ymm0, ymm8
	vminps	ymm0, ymm0, ymm9
	vcvtps2dq ymm0, ymm0
	vpaddd	ymm0, ymm0, ymm10
	narrow	\n
.endm
// narrow stores dwords, which are within the range of a byte.
.macro narrow n
	.if \n == 1
	vpextrb	[r8], xmm0, 0
	.else
	vpand	ymm0, ymm0, ymm12
	vextracti128 xmm2, ymm0, 1
	vpackusdw xmm0, xmm0, xmm2
	vpackuswb xmm0, xmm0, xmm0
	vmovq	[r8], xmm0
	.endif
.endm
.macro first n, mul, signed
	widen	\n, \signed, 0, rsi
	vpsubd	ymm0, ymm0, ymm4
	vcvtdq2ps ymm0, ymm0
	.if \mul == 0
	vmulps	ymm0, ymm0, ymm6
	.endif
.endm
.macro other mul
	vpsubd	ymm1, ymm1, ymm5
	vcvtdq2ps ymm1, ymm1
	.if \mul == 0
	vmulps	ymm1, ymm1, ymm7
	.endif
.endm
.macro both n, mul, term
	.if \mul
	vmulps	ymm0, ymm0, ymm\term
	vmulps	ymm0, ymm0, ymm6
	.else
	vaddps	ymm0, ymm0, ymm\term
	.endif
	store	\n
.endm
.macro pair n, mul, signed
	first	\n, \mul, \signed
	widen	\n, \signed, 1, rdx
	other	\mul
	both	\n, \mul, 1
	add	rdx, \n
.endm
.macro single n, mul, signed
	first	\n, \mul, \signed
	both	\n, \mul, 11
.endm
.macro quantize n, x, y
	.if \n == 1
	vmovss	xmm0, dword ptr [rsi]
	.else
	vmovups	ymm0, [rsi]
	.endif
	vdivps	ymm0, ymm0, ymm6
	store	\n
.endm
// away rounds half away from zero: what is added is the largest number below a half, ymm14, which makes a half of that and no less one. ymm13 is the
// sign's bit.
.macro away n, bytes, y
	.if \n == 1
	vmovss	xmm0, dword ptr [rsi]
	.else
	vmovups	ymm0, [rsi]
	.endif
	vmulps	ymm0, ymm0, ymm6
	vmaxps	ymm0, ymm0, ymm8
	vminps	ymm0, ymm0, ymm9
	vandps	ymm1, ymm0, ymm13
	vorps	ymm1, ymm1, ymm14
	vaddps	ymm0, ymm0, ymm1
	vcvttps2dq ymm0, ymm0
	vpaddd	ymm0, ymm0, ymm10
	.if \bytes == 1
	narrow	\n
	.elseif \n == 1
	vpextrw	[r8], xmm0, 0
	.else
	vextracti128 xmm2, ymm0, 1
	vpackssdw xmm0, xmm0, xmm2
	vmovdqu	[r8], xmm0
	.endif
.endm
.macro dequantize n, signed, y
	widen	\n, \signed, 0, rsi
	vpsubd	ymm0, ymm0, ymm4
	vcvtdq2ps ymm0, ymm0
	vmulps	ymm0, ymm0, ymm6
	.if \n == 1
	vmovss	dword ptr [r8], xmm0
	.else
	vmovups	[r8], ymm0
	.endif
.endm

// loop does all elements, of in and out bytes.
.macro loop in, out, action, x, y
	sub	rcx, 8
	jl	2f
	.balign 32
1:	\action 8, \x, \y
	add	rsi, 8*\in
	add	r8, 8*\out
	sub	rcx, 8
	jge	1b
2:	add	rcx, 8
	jz	3f
4:	\action 1, \x, \y
	add	rsi, \in
	add	r8, \out
	dec	rcx
	jnz	4b
3:	vzeroupper
	ret
.endm

.macro start
	mov	rsi, [rdi + QuantArgs_A]
	mov	rdx, [rdi + QuantArgs_B]
	mov	r8, [rdi + QuantArgs_Y]
	mov	rcx, [rdi + QuantArgs_N]
	vpbroadcastd ymm4, dword ptr [rdi + QuantArgs_ZeroA]
	vpbroadcastd ymm5, dword ptr [rdi + QuantArgs_ZeroB]
	vbroadcastss ymm6, dword ptr [rdi + QuantArgs_ScaleA]
	vbroadcastss ymm7, dword ptr [rdi + QuantArgs_ScaleB]
	vpbroadcastd ymm10, dword ptr [rdi + QuantArgs_OutZero]
	vpbroadcastd ymm8, dword ptr [rdi + QuantArgs_QLo]
	vpbroadcastd ymm9, dword ptr [rdi + QuantArgs_QHi]
	vpsubd	ymm8, ymm8, ymm10
	vpsubd	ymm9, ymm9, ymm10
	vcvtdq2ps ymm8, ymm8
	vcvtdq2ps ymm9, ymm9
	vpcmpeqd ymm12, ymm12, ymm12
	vpsrld	ymm12, ymm12, 24
.endm
.macro binary mul, signed, lone
	start
	cmp	qword ptr [rdi + QuantArgs_OneB], 0
	jne	\lone
	loop	1, 1, pair, \mul, \signed
\lone:	test	rcx, rcx
	jz	3b
	one	\signed, 1, rdx
	vpbroadcastd ymm1, xmm1
	other	\mul
	vmovaps	ymm11, ymm1
	loop	1, 1, single, \mul, \signed
.endm

// func quantaddI8Ymm(a *spec.QuantArgs)
	.balign 64
quantaddI8Ymm:
	binary	0, 1, .Lone1

// func quantaddU8Ymm(a *spec.QuantArgs)
	.balign 64
quantaddU8Ymm:
	binary	0, 0, .Lone2

// func quantmulI8Ymm(a *spec.QuantArgs)
	.balign 64
quantmulI8Ymm:
	binary	1, 1, .Lone3

// func quantmulU8Ymm(a *spec.QuantArgs)
	.balign 64
quantmulU8Ymm:
	binary	1, 0, .Lone4

// func quantize8Ymm(a *spec.QuantArgs)
	.balign 64
quantize8Ymm:
	start
	loop	4, 1, quantize

.macro all to, bits
	mov	eax, \bits
	vmovd	xmm\to, eax
	vpbroadcastd ymm\to, xmm\to
.endm

.macro quantizeaway bytes
	start
	all	13, 0x80000000
	all	14, 0x3effffff
	loop	4, \bytes, away, \bytes
.endm

// func quantizeawayI16Ymm(a *spec.QuantArgs)
	.balign 64
quantizeawayI16Ymm:
	quantizeaway 2

// func quantizeawayU8Ymm(a *spec.QuantArgs)
	.balign 64
quantizeawayU8Ymm:
	quantizeaway 1

// func dequantizeI8Ymm(a *spec.QuantArgs)
	.balign 64
dequantizeI8Ymm:
	start
	loop	1, 4, dequantize, 1

// func dequantizeU8Ymm(a *spec.QuantArgs)
	.balign 64
dequantizeU8Ymm:
	start
	loop	1, 4, dequantize, 0
