// Elements of 8-bit integers that stand for reals, with AVX-512: 16 at once.
//
// rdi  arguments   rsi A   rdx B   r8 Y   rcx elements left   k1 those of this turn   zmm0-1 elements
// zmm16-17 zero points   zmm18-19 scales   zmm20-22 bounds less the output's zero point, that zero point   zmm23 what B adds or multiplies with, where it is
// one element
	.altmacro

.macro widen signed, reg, base
	.if \signed
	vpmovsxbd zmm\reg{k1}{z}, [\base]
	.else
	vpmovzxbd zmm\reg{k1}{z}, [\base]
	.endif
.endm
// store rounds zmm0 to bytes.
.macro store
	vmaxps	zmm0, zmm0, zmm20
	vminps	zmm0, zmm0, zmm21
	vcvtps2dq zmm0, zmm0
	vpaddd	zmm0, zmm0, zmm22
	vpmovdb	[r8]{k1}, zmm0
.endm

// first is what A brings, other what B brings: terms of a sum, or factors.
.macro first mul, signed
	widen	\signed, 0, rsi
	vpsubd	zmm0, zmm0, zmm16
	vcvtdq2ps zmm0, zmm0
	.if \mul == 0
	vmulps	zmm0, zmm0, zmm18
	.endif
.endm
.macro other mul
	vpsubd	zmm1, zmm1, zmm17
	vcvtdq2ps zmm1, zmm1
	.if \mul == 0
	vmulps	zmm1, zmm1, zmm19
	.endif
.endm
.macro both mul, term
	.if \mul
	vmulps	zmm0, zmm0, zmm\term
	vmulps	zmm0, zmm0, zmm18
	.else
	vaddps	zmm0, zmm0, zmm\term
	.endif
	store
.endm
.macro pair mul, signed
	first	\mul, \signed
	widen	\signed, 1, rdx
	other	\mul
	both	\mul, 1
	add	rdx, 16
.endm
.macro single mul, signed
	first	\mul, \signed
	both	\mul, 23
.endm
.macro quantize x, y
	vmovups	zmm0{k1}{z}, [rsi]
	vdivps	zmm0, zmm0, zmm18
	store
.endm
// away rounds half away from zero: what is added is the largest number below a half, which makes a half of that and no less one.
.macro away bytes, y
	vmovups	zmm0{k1}{z}, [rsi]
	vmulps	zmm0, zmm0, zmm18
	vmaxps	zmm0, zmm0, zmm20
	vminps	zmm0, zmm0, zmm21
	vmovaps	zmm1, zmm0
	vpternlogd zmm1, zmm24, zmm25, 0xea	// (x & sign) | below a half
	vaddps	zmm0, zmm0, zmm1
	vcvttps2dq zmm0, zmm0
	vpaddd	zmm0, zmm0, zmm22
	.if \bytes == 1
	vpmovdb	[r8]{k1}, zmm0
	.else
	vpmovdw	[r8]{k1}, zmm0
	.endif
.endm
.macro dequantize signed, y
	widen	\signed, 0, rsi
	vpsubd	zmm0, zmm0, zmm16
	vcvtdq2ps zmm0, zmm0
	vmulps	zmm0, zmm0, zmm18
	vmovups	[r8]{k1}, zmm0
.endm

// loop does all elements, of in and out bytes.
.macro loop in, out, action, x, y
	mov	eax, 0xffff
	kmovw	k1, eax
	sub	rcx, 16
	jl	2f
	.balign 32
1:	\action \x, \y
	add	rsi, 16*\in
	add	r8, 16*\out
	sub	rcx, 16
	jge	1b
2:	add	rcx, 16
	jz	3f
	mov	eax, -1
	bzhi	eax, eax, ecx
	kmovw	k1, eax
	\action \x, \y
3:	vzeroupper
	ret
.endm

.macro start
	mov	rsi, [rdi + QuantArgs_A]
	mov	rdx, [rdi + QuantArgs_B]
	mov	r8, [rdi + QuantArgs_Y]
	mov	rcx, [rdi + QuantArgs_N]
	vpbroadcastd zmm16, dword ptr [rdi + QuantArgs_ZeroA]
	vpbroadcastd zmm17, dword ptr [rdi + QuantArgs_ZeroB]
	vbroadcastss zmm18, dword ptr [rdi + QuantArgs_ScaleA]
	vbroadcastss zmm19, dword ptr [rdi + QuantArgs_ScaleB]
	vpbroadcastd zmm22, dword ptr [rdi + QuantArgs_OutZero]
	vpbroadcastd zmm20, dword ptr [rdi + QuantArgs_QLo]
	vpbroadcastd zmm21, dword ptr [rdi + QuantArgs_QHi]
	vpsubd	zmm20, zmm20, zmm22
	vpsubd	zmm21, zmm21, zmm22
	vcvtdq2ps zmm20, zmm20
	vcvtdq2ps zmm21, zmm21
.endm
.macro binary mul, signed, one
	start
	cmp	qword ptr [rdi + QuantArgs_OneB], 0
	jne	\one
	loop	1, 1, pair, \mul, \signed
\one:	test	rcx, rcx
	jz	3b
	.if \signed
	movsx	eax, byte ptr [rdx]
	.else
	movzx	eax, byte ptr [rdx]
	.endif
	vpbroadcastd zmm1, eax
	other	\mul
	vmovaps	zmm23, zmm1
	loop	1, 1, single, \mul, \signed
.endm

// func quantaddI8Zmm(a *spec.QuantArgs)
	.balign 64
quantaddI8Zmm:
	binary	0, 1, .Lone1

// func quantaddU8Zmm(a *spec.QuantArgs)
	.balign 64
quantaddU8Zmm:
	binary	0, 0, .Lone2

// func quantmulI8Zmm(a *spec.QuantArgs)
	.balign 64
quantmulI8Zmm:
	binary	1, 1, .Lone3

// func quantmulU8Zmm(a *spec.QuantArgs)
	.balign 64
quantmulU8Zmm:
	binary	1, 0, .Lone4

// func quantize8Zmm(a *spec.QuantArgs)
	.balign 64
quantize8Zmm:
	start
	loop	4, 1, quantize

// func dequantizeI8Zmm(a *spec.QuantArgs)
	.balign 64
dequantizeI8Zmm:
	start
	loop	1, 4, dequantize, 1

// func dequantizeU8Zmm(a *spec.QuantArgs)
	.balign 64
dequantizeU8Zmm:
	start
	loop	1, 4, dequantize, 0

.macro quantizeaway bytes
	start
	mov	eax, 0x80000000
	vpbroadcastd zmm24, eax		// sign
	mov	eax, 0x3effffff
	vpbroadcastd zmm25, eax		// below a half
	loop	4, \bytes, away, \bytes
.endm

// func quantizeawayI16Zmm(a *spec.QuantArgs)
	.balign 64
quantizeawayI16Zmm:
	quantizeaway 2

// func quantizeawayU8Zmm(a *spec.QuantArgs)
	.balign 64
quantizeawayU8Zmm:
	quantizeaway 1
