// INT8 depthwise convolution with AVX-512 VNNI, requantised to bytes: 4 positions by 64 channels, four taps at once.
//
// The bytes of four taps of a position are interleaved, so that a dword holds one channel's, as those of W are. Interleaving works within 128-bit
// lanes, and W, Bias and Scale come in the order that it leaves: lane l of sum j has channels 16l+4j to 16l+4j+3. Packing dwords to bytes
// undoes it.
//
// rdi  arguments           rax  the block's first channel     zmm0-15   sums: position p, quarter j in zmm(4p+j)
// rdx  In                  r13  offset of the positions       zmm16-19  weights, then scales
// rsi  W of the block      r14  output of the first one       zmm20-27  scratch
// r8-11 inputs of 4 taps   rbx, r12  1 and 3 times InStep     zmm28     what makes inputs unsigned
// r15  tap                 rcx  W of four taps                zmm29-31  zero point, bounds
// k1   bytes of channels that exist   k3  positions left
	.altmacro

// interleave makes the four quarters, in zmm20-23, of four registers of bytes, in the same.
.macro interleave
	vpunpcklbw zmm24, zmm20, zmm21
	vpunpckhbw zmm25, zmm20, zmm21
	vpunpcklbw zmm26, zmm22, zmm23
	vpunpckhbw zmm27, zmm22, zmm23
	vpunpcklwd zmm20, zmm24, zmm26
	vpunpckhwd zmm21, zmm24, zmm26
	vpunpcklwd zmm22, zmm25, zmm27
	vpunpckhwd zmm23, zmm25, zmm27
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
	interleave
	dot	%(4*\p), 16, 20
	dot	%(4*\p+1), 17, 21
	dot	%(4*\p+2), 18, 22
	dot	%(4*\p+3), 19, 23
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

// quantise rounds a sum; NaN and what is too small become the least integer, what is too large 2^30.
.macro quantise acc, scale
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vminps	zmm\acc, zmm27, zmm\acc
	vcvtps2dq zmm\acc, zmm\acc
.endm
.macro words acc, other
	vpackssdw zmm\acc, zmm\acc, zmm\other
	vpaddsw	zmm\acc, zmm\acc, zmm29
.endm
.macro bytes signed, acc, other
	.if \signed
	vpacksswb zmm\acc, zmm\acc, zmm\other
	vpmaxsb	zmm\acc, zmm\acc, zmm30
	vpminsb	zmm\acc, zmm\acc, zmm31
	.else
	vpackuswb zmm\acc, zmm\acc, zmm\other
	vpmaxub	zmm\acc, zmm\acc, zmm30
	vpminub	zmm\acc, zmm\acc, zmm31
	.endif
	vmovdqu8 [r14]{k1}, zmm\acc
	add	r14, [rdi + DepthwiseArgs_OutStep]
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

// positions computes n positions of the block.
.macro positions n, signed
	mov	rcx, rsi
	vpxord	zmm0, zmm0, zmm0
	vmovdqa32 zmm1, zmm0
	vmovdqa32 zmm2, zmm0
	vmovdqa32 zmm3, zmm0
	mov	r8, [rdi + DepthwiseArgs_Bias]
	test	r8, r8
	jz	2f
	vmovdqu32 zmm0, [r8 + 4*rax]
	vmovdqu32 zmm1, [r8 + 4*rax + 64]
	vmovdqu32 zmm2, [r8 + 4*rax + 128]
	vmovdqu32 zmm3, [r8 + 4*rax + 192]
2:	.if \n > 1
	copies	1
	.endif
	.if \n > 2
	copies	2
	copies	3
	.endif
	xor	r15d, r15d
	.balign 32
4:	mov	r11, [rdi + DepthwiseArgs_Taps]
	sub	r11, r15
	jle	6f
	mov	r8, [rdx + 8*r15]
	mov	r9, r8		// behind the last tap, weights are 0 and inputs any
	mov	r10, r8
	cmp	r11, 2
	jl	7f
	mov	r9, [rdx + 8*r15 + 8]
	je	7f
	mov	r10, [rdx + 8*r15 + 16]
	cmp	r11, 4
	jl	7f
	mov	r11, [rdx + 8*r15 + 24]
	jmp	5f
7:	mov	r11, r8
5:	add	r8, r13
	add	r9, r13
	add	r10, r13
	add	r11, r13
	add	r15, 4
	vmovdqu8 zmm16, [rcx]
	vmovdqu8 zmm17, [rcx + 64]
	vmovdqu8 zmm18, [rcx + 128]
	vmovdqu8 zmm19, [rcx + 192]
	add	rcx, 256
	position 0, \signed, 0
	.if \n > 1
	position 1, \signed, rbx
	.endif
	.if \n > 2
	position 2, \signed, 2*rbx
	position 3, \signed, r12
	.endif
	jmp	4b
6:	mov	r8, [rdi + DepthwiseArgs_Scale]
	vmovups	zmm16, [r8 + 4*rax]
	vmovups	zmm17, [r8 + 4*rax + 64]
	vmovups	zmm18, [r8 + 4*rax + 128]
	vmovups	zmm19, [r8 + 4*rax + 192]
	mov	r8d, 0x4e800000
	vpbroadcastd zmm27, r8d
	store	0, \signed
	.if \n > 1
	store	1, \signed
	.endif
	.if \n > 2
	store	2, \signed
	store	3, \signed
	.endif
	imul	r15, rbx, \n
	add	r13, r15
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

.macro routine signed, block, four, two, one, next, done
	mov	rdx, [rdi + DepthwiseArgs_In]
	mov	rsi, [rdi + DepthwiseArgs_W]
	mov	rbx, [rdi + DepthwiseArgs_InStep]
	lea	r12, [rbx + 2*rbx]
	mov	r15, [rdi + DepthwiseArgs_Width]
	test	r15, r15
	jle	\done
	vpbroadcastw zmm29, word ptr [rdi + DepthwiseArgs_OutZero]
	vpbroadcastb zmm30, byte ptr [rdi + DepthwiseArgs_QLo]
	vpbroadcastb zmm31, byte ptr [rdi + DepthwiseArgs_QHi]
	.if \signed
	mov	eax, 0x80808080
	vpbroadcastd zmm28, eax
	.endif
	xor	eax, eax
\block:	mov	rcx, [rdi + DepthwiseArgs_Channels]
	sub	rcx, rax
	jle	\done
	mov	r15d, 64
	cmp	rcx, r15
	cmovg	rcx, r15
	mov	r15, -1
	bzhi	r15, r15, rcx
	kmovq	k1, r15
	mov	r13, rax
	mov	r14, [rdi + DepthwiseArgs_Out]
	add	r14, rax
	mov	r15, [rdi + DepthwiseArgs_Width]
	kmovq	k3, r15
\four:	cmp	r15, 4
	jl	\two
	positions 4, \signed
	jmp	\four
\two:	cmp	r15, 2
	jl	\one
	positions 2, \signed
\one:	cmp	r15, 1
	jl	\next
	positions 1, \signed
\next:	mov	rsi, rcx
	add	rax, 64
	jmp	\block
\done:	vzeroupper
	ret
.endm

// func depthwiseI8QVnni4x64(a *spec.DepthwiseArgs)
	.balign 64
depthwiseI8QVnni4x64:
	routine	1, .Lblock1, .Lfour1, .Ltwo1, .Lone1, .Lnext1, .Ldone1

// func depthwiseU8I8QVnni4x64(a *spec.DepthwiseArgs)
	.balign 64
depthwiseU8I8QVnni4x64:
	routine	0, .Lblock0, .Lfour0, .Ltwo0, .Lone0, .Lnext0, .Ldone0
