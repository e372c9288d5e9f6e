// INT8 depthwise convolution with AVX-512 VNNI, requantised to bytes: 4 positions by 64 channels, four taps at once.
//
// The bytes of four taps are interleaved, so that a dword holds one channel's, first those of the weights, then those of each
// position. Interleaving works within 128-bit lanes: lane l of sum j has channels 16l+4j to 16l+4j+3. Bias and scales are brought into
// this order; packing dwords to bytes undoes it.
//
// rdi  arguments           rax  offset of the channels       zmm0-15   sums: position p, quarter j in zmm(4p+j)
// rdx  In                  r13  offset of the positions      zmm16-19  interleaved weights, then scales
// rsi  W                   r14  output of the first one      zmm20-27  scratch
// r8-11 inputs of 4 taps   rbx, r12  1 and 3 times InStep    zmm28     what makes inputs unsigned
// r15  tap                 rcx  scratch                      zmm29-31  bounds less the zero point, the zero point
// k1   bytes of channels that exist; k4-7 the same by 16     k3        positions left
	.altmacro

// interleave makes the four quarters of four registers of bytes.
.macro interleave q0, q1, q2, q3, b0, b1, b2, b3
	vpunpcklbw zmm24, zmm\b0, zmm\b1
	vpunpckhbw zmm25, zmm\b0, zmm\b1
	vpunpcklbw zmm26, zmm\b2, zmm\b3
	vpunpckhbw zmm27, zmm\b2, zmm\b3
	vpunpcklwd zmm\q0, zmm24, zmm26
	vpunpckhwd zmm\q1, zmm24, zmm26
	vpunpcklwd zmm\q2, zmm25, zmm27
	vpunpckhwd zmm\q3, zmm25, zmm27
.endm

// lanes brings 64 dwords, of which those exist that k4-7 tell, into the order of the sums.
.macro lanes base, q0, q1, q2, q3
	vmovdqu32 zmm20{k4}{z}, [\base]
	vmovdqu32 zmm21{k5}{z}, [\base + 64]
	vmovdqu32 zmm22{k6}{z}, [\base + 128]
	vmovdqu32 zmm23{k7}{z}, [\base + 192]
	vshufi32x4 zmm24, zmm20, zmm21, 0x44
	vshufi32x4 zmm25, zmm20, zmm21, 0xee
	vshufi32x4 zmm26, zmm22, zmm23, 0x44
	vshufi32x4 zmm27, zmm22, zmm23, 0xee
	vshufi32x4 zmm\q0, zmm24, zmm26, 0x88
	vshufi32x4 zmm\q1, zmm24, zmm26, 0xdd
	vshufi32x4 zmm\q2, zmm25, zmm27, 0x88
	vshufi32x4 zmm\q3, zmm25, zmm27, 0xdd
.endm

.macro dot acc, w, x
	vpdpbusd zmm\acc, zmm\x, zmm\w
.endm
// position adds four taps to the sums of position p.
.macro position p, signed, at
	vmovdqu8 zmm20{k1}{z}, [r8 + \at]
	vmovdqu8 zmm21{k1}{z}, [r9 + \at]
	vmovdqu8 zmm22{k1}{z}, [r10 + \at]
	vmovdqu8 zmm23{k1}{z}, [r11 + \at]
	.if \signed
	vpxord	zmm20, zmm20, zmm28
	vpxord	zmm21, zmm21, zmm28
	vpxord	zmm22, zmm22, zmm28
	vpxord	zmm23, zmm23, zmm28
	.endif
	interleave 20, 21, 22, 23, 20, 21, 22, 23
	dot	%(4*\p), 16, 20
	dot	%(4*\p+1), 17, 21
	dot	%(4*\p+2), 18, 22
	dot	%(4*\p+3), 19, 23
.endm

.macro input reg
	mov	\reg, [rdx + 8*r15]
	add	\reg, r13
	add	\reg, rax
.endm
// tap loads weights and the place of inputs; behind the last tap, weights are 0 and inputs any.
.macro tap w, reg
	vpxord	zmm\w, zmm\w, zmm\w
	mov	\reg, r8
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	9f
	vmovdqu8 zmm\w{k1}{z}, [rcx]
	add	rcx, [rdi + DepthwiseArgs_Channels]
	input	\reg
9:	inc	r15
.endm

.macro copy to, from
	vmovdqa32 zmm\to, zmm\from
.endm
.macro copies p
	copy	%(4*\p), 0
	copy	%(4*\p+1), 1
	copy	%(4*\p+2), 2
	copy	%(4*\p+3), 3
.endm

.macro quantise acc, scale
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vmaxps	zmm\acc, zmm\acc, zmm29
	vminps	zmm\acc, zmm\acc, zmm30
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm31
.endm
.macro words acc, other
	vpackssdw zmm\acc, zmm\acc, zmm\other
.endm
.macro bytes signed, acc, other
	.if \signed
	vpacksswb zmm\acc, zmm\acc, zmm\other
	.else
	vpackuswb zmm\acc, zmm\acc, zmm\other
	.endif
	vmovdqu8 [rcx]{k1}, zmm\acc
	add	rcx, [rdi + DepthwiseArgs_OutStep]
.endm
.macro store p, signed
	quantise %(4*\p), 16
	quantise %(4*\p+1), 17
	quantise %(4*\p+2), 18
	quantise %(4*\p+3), 19
	words	%(4*\p), %(4*\p+1)
	words	%(4*\p+2), %(4*\p+3)
	bytes	\signed, %(4*\p), %(4*\p+2)
.endm

.macro each n, action, signed
	\action	0, \signed
	.if \n > 1
	\action	1, \signed
	.endif
	.if \n > 2
	\action	2, \signed
	\action	3, \signed
	.endif
.endm

// positions computes n positions, all channels.
.macro positions n, signed
	xor	eax, eax
1:	mov	rcx, [rdi + DepthwiseArgs_Channels]
	sub	rcx, rax
	jle	6f
	mov	r15d, 64
	cmp	rcx, r15
	cmovg	rcx, r15
	mov	r15, -1
	bzhi	r15, r15, rcx
	kmovq	k1, r15
	kmovq	k4, r15
	kshiftrq k5, k1, 16
	kshiftrq k6, k1, 32
	kshiftrq k7, k1, 48
	vpxord	zmm0, zmm0, zmm0
	vmovdqa32 zmm1, zmm0
	vmovdqa32 zmm2, zmm0
	vmovdqa32 zmm3, zmm0
	mov	rcx, [rdi + DepthwiseArgs_Bias]
	test	rcx, rcx
	jz	2f
	lea	rcx, [rcx + 4*rax]
	lanes	rcx, 0, 1, 2, 3
2:	.if \n > 1
	copies	1
	.endif
	.if \n > 2
	copies	2
	copies	3
	.endif
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	5f
	lea	rcx, [rsi + rax]
	.balign 32
4:	input	r8
	tap	20, r8
	tap	21, r9
	tap	22, r10
	tap	23, r11
	interleave 16, 17, 18, 19, 20, 21, 22, 23
	position 0, \signed, 0
	.if \n > 1
	position 1, \signed, rbx
	.endif
	.if \n > 2
	position 2, \signed, 2*rbx
	position 3, \signed, r12
	.endif
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jb	4b
5:	mov	rcx, [rdi + DepthwiseArgs_Scale]
	lea	rcx, [rcx + 4*rax]
	lanes	rcx, 16, 17, 18, 19
	lea	rcx, [r14 + rax]
	each	\n, store, \signed
	add	rax, 64
	jmp	1b
6:	imul	r15, rbx, \n
	add	r13, r15
	imul	r15, [rdi + DepthwiseArgs_OutStep], \n
	add	r14, r15
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

.macro routine signed, four, two, one, done
	mov	rdx, [rdi + DepthwiseArgs_In]
	mov	rsi, [rdi + DepthwiseArgs_W]
	mov	r14, [rdi + DepthwiseArgs_Out]
	mov	rbx, [rdi + DepthwiseArgs_InStep]
	mov	r15, [rdi + DepthwiseArgs_Width]
	kmovq	k3, r15
	lea	r12, [rbx + 2*rbx]
	vpbroadcastd zmm31, dword ptr [rdi + DepthwiseArgs_OutZero]
	vpbroadcastd zmm29, dword ptr [rdi + DepthwiseArgs_QLo]
	vpbroadcastd zmm30, dword ptr [rdi + DepthwiseArgs_QHi]
	vpsubd	zmm29, zmm29, zmm31
	vpsubd	zmm30, zmm30, zmm31
	vcvtdq2ps zmm29, zmm29
	vcvtdq2ps zmm30, zmm30
	.if \signed
	mov	eax, 0x80808080
	vpbroadcastd zmm28, eax
	.endif
	xor	r13d, r13d
\four:	kmovq	r15, k3
	cmp	r15, 4
	jl	\two
	positions 4, \signed
	jmp	\four
\two:	cmp	r15, 2
	jl	\one
	positions 2, \signed
\one:	cmp	r15, 1
	jl	\done
	positions 1, \signed
\done:	vzeroupper
	ret
.endm

// func depthwiseI8QVnni4x64(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI8QVnni4x64:
	routine	1, .Lfour1, .Ltwo1, .Lone1, .Ldone1

// func depthwiseU8I8QVnni4x64(a *spec.DepthwiseArgs)
	.balign 64
depthwiseU8I8QVnni4x64:
	routine	0, .Lfour0, .Ltwo0, .Lone0, .Ldone0
