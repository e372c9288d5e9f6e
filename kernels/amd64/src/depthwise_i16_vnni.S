// Depthwise convolution of words with AVX-512 VNNI, requantised to bytes: 8 positions by 32 channels, two taps at once.
//
// The words of two taps are interleaved, so that a dword holds one channel's, first those of the weights, then those of each
// position. Interleaving works within 128-bit lanes: lane l of sum j has channels 8l+4j to 8l+4j+3. Bias and scales are brought into
// this order; packing dwords to words undoes it.
//
// rdi  arguments           rax  channel                      zmm0-15   sums: position p, half j in zmm(2p+j)
// rdx  In                  r13  offset of the positions      zmm16-17  interleaved weights, then scales
// rsi  W                   r14  output of the first one      zmm18-21  scratch
// r8, rbx inputs of 2 taps r9-12  1, 3, 5 and 7 times InStep  zmm29-31  bounds less the zero point, the zero point
// r15  tap                 rcx  weights of a tap, scratch
// k1   channels that exist; k4-5 the same by 16              k3        positions left
	.altmacro

// lanes brings 32 dwords, of which those exist that k4-5 tell, into the order of the sums.
.macro lanes base, q0, q1
	vmovdqu32 zmm18{k4}{z}, [\base]
	vmovdqu32 zmm19{k5}{z}, [\base + 64]
	vshufi32x4 zmm\q0, zmm18, zmm19, 0x88
	vshufi32x4 zmm\q1, zmm18, zmm19, 0xdd
.endm

.macro dot acc, w, x
	vpdpwssd zmm\acc, zmm\x, zmm\w
.endm
// position adds two taps to the sums of position p.
.macro position p, a, b
	vmovdqu16 zmm18{k1}{z}, [\a]
	vmovdqu16 zmm19{k1}{z}, [\b]
	vpunpcklwd zmm20, zmm18, zmm19
	vpunpckhwd zmm21, zmm18, zmm19
	dot	%(2*\p), 16, 20
	dot	%(2*\p+1), 17, 21
.endm

.macro input reg
	mov	\reg, [rdx + 8*r15]
	add	\reg, r13
	lea	\reg, [\reg + 2*rax]
.endm

.macro copy to, from
	vmovdqa32 zmm\to, zmm\from
.endm
.macro copies p
	copy	%(2*\p), 0
	copy	%(2*\p+1), 1
.endm

.macro quantise acc, scale
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vmaxps	zmm\acc, zmm\acc, zmm29
	vminps	zmm\acc, zmm\acc, zmm30
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm31
.endm
.macro bytes acc, other
	vpackssdw zmm\acc, zmm\acc, zmm\other
	vpmovwb	[rcx]{k1}, zmm\acc
	add	rcx, [rdi + DepthwiseArgs_OutStep]
.endm
.macro store p
	quantise %(2*\p), 16
	quantise %(2*\p+1), 17
	bytes	%(2*\p), %(2*\p+1)
.endm

// positions computes n positions, all channels.
.macro positions n
	xor	eax, eax
1:	mov	rcx, [rdi + DepthwiseArgs_Channels]
	sub	rcx, rax
	jle	8f
	mov	r15, -1
	cmp	rcx, 32
	jge	2f
	bzhi	r15, r15, rcx
2:	kmovd	k1, r15d
	kmovd	k4, r15d
	kshiftrd k5, k1, 16
	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	mov	rcx, [rdi + DepthwiseArgs_Bias]
	test	rcx, rcx
	jz	3f
	lea	rcx, [rcx + 4*rax]
	lanes	rcx, 0, 1
3:
	.irp	p, 1, 2, 3, 4, 5, 6, 7
	.if \p < \n
	copies	\p
	.endif
	.endr
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	7f
	lea	rcx, [rsi + 2*rax]
	.balign 32
4:	input	r8
	vmovdqu16 zmm18{k1}{z}, [rcx]
	mov	rbx, [rdi + DepthwiseArgs_Channels]
	lea	rcx, [rcx + 2*rbx]
	inc	r15
	vpxord	zmm19, zmm19, zmm19
	mov	rbx, r8
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	5f
	vmovdqu16 zmm19{k1}{z}, [rcx]
	mov	rbx, [rdi + DepthwiseArgs_Channels]
	lea	rcx, [rcx + 2*rbx]
	input	rbx
5:	inc	r15
	vpunpcklwd zmm16, zmm18, zmm19
	vpunpckhwd zmm17, zmm18, zmm19
	position 0, r8, rbx
	.if \n > 1
	position 1, r8 + r9, rbx + r9
	.endif
	.if \n > 2
	position 2, r8 + 2*r9, rbx + 2*r9
	position 3, r8 + r10, rbx + r10
	.endif
	.if \n > 4
	position 4, r8 + 4*r9, rbx + 4*r9
	position 5, r8 + r11, rbx + r11
	position 6, r8 + 2*r10, rbx + 2*r10
	position 7, r8 + r12, rbx + r12
	.endif
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jb	4b
7:	mov	rcx, [rdi + DepthwiseArgs_Scale]
	lea	rcx, [rcx + 4*rax]
	lanes	rcx, 16, 17
	lea	rcx, [r14 + rax]
	.irp	p, 0, 1, 2, 3, 4, 5, 6, 7
	.if \p < \n
	store	\p
	.endif
	.endr
	add	rax, 32
	jmp	1b
8:	imul	r15, r9, \n
	add	r13, r15
	imul	r15, [rdi + DepthwiseArgs_OutStep], \n
	add	r14, r15
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

// func depthwiseI16QVnni8x32(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI16QVnni8x32:
	mov	rdx, [rdi + DepthwiseArgs_In]
	mov	rsi, [rdi + DepthwiseArgs_W]
	mov	r14, [rdi + DepthwiseArgs_Out]
	mov	r9, [rdi + DepthwiseArgs_InStep]
	mov	r15, [rdi + DepthwiseArgs_Width]
	kmovq	k3, r15
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	vpbroadcastd zmm31, dword ptr [rdi + DepthwiseArgs_OutZero]
	vpbroadcastd zmm29, dword ptr [rdi + DepthwiseArgs_QLo]
	vpbroadcastd zmm30, dword ptr [rdi + DepthwiseArgs_QHi]
	vpsubd	zmm29, zmm29, zmm31
	vpsubd	zmm30, zmm30, zmm31
	vcvtdq2ps zmm29, zmm29
	vcvtdq2ps zmm30, zmm30
	xor	r13d, r13d
.Leight:
	kmovq	r15, k3
	cmp	r15, 8
	jl	.Lfour
	positions 8
	jmp	.Leight
.Lfour:	cmp	r15, 4
	jl	.Ltwo
	positions 4
.Ltwo:	cmp	r15, 2
	jl	.Lone
	positions 2
.Lone:	cmp	r15, 1
	jl	.Ldone
	positions 1
.Ldone:	vzeroupper
	ret
