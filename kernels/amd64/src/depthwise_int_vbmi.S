// Depthwise convolution of bytes and of words with AVX-512 VNNI and VBMI, requantised to bytes: 8 or 4 positions by 16 channels at once. A column of
// four lines of bytes, or of two of words, is loaded and interleaved once for all taps that read it, so that a dword holds one channel's.
//
// in is the size of an input, 1 or 2; full is the number of lines that a register holds, 4 or 2.
//
// rdi  arguments               rax  channel                        zmm0-7    sums, one per position
// rdx  In                      rcx  offset of the column           zmm8      a column
// rsi  weights                 r12  InStep                         zmm9      the order of its bytes
// r8-11 lines                  rbx  Channels                       zmm10     a column of padding
// r13  bit i tells whether column i of the tile exists             zmm11     what makes inputs unsigned
// r14  output of the tile      r15  line, scratch                  zmm12-13  bounds less the zero point
// k1   channels that exist     k3   positions left                 zmm14-15  zero point, scales
// k4, k5  the tile's first column, in bytes and as a number        zmm16-22  weights
//
// The routine for any kernel has instead: r12 InStep times Stride, r13 column, r15 taps left; k2 from behind the last position
// of a tap to the first of the next, k6 line, k7 the first position's column.
	.altmacro
	.include "depthwise.inc"

// part loads a line of a column whose channels do not fill it, to place i of zmm8.
.macro part in, i, at
	.if \in == 2
	.if \i == 0
	vmovdqu16 ymm8{k1}{z}, [\at + rcx]
	.else
	vmovdqu16 ymm23{k1}{z}, [\at + rcx]
	vinserti64x4 zmm8, zmm8, ymm23, 1
	.endif
	.elseif \i == 0
	vmovdqu8 xmm8{k1}{z}, [\at + rcx]
	.else
	vmovdqu8 xmm23{k1}{z}, [\at + rcx]
	vinserti32x4 zmm8, zmm8, xmm23, \i
	.endif
.endm

// whole does so for a line that is full.
.macro whole in, i, at
	.if \in == 2
	.if \i == 0
	vmovdqu ymm8, [\at + rcx]
	.else
	vinserti64x4 zmm8, zmm8, [\at + rcx], 1
	.endif
	.elseif \i == 0
	vmovdqu	xmm8, [\at + rcx]
	.elseif \i == 1
	vinserti128 ymm8, ymm8, [\at + rcx], 1
	.else
	vinserti32x4 zmm8, zmm8, [\at + rcx], \i
	.endif
.endm

.macro one in, i, at, narrow
	.if \narrow
	part	\in, \i, \at
	.else
	whole	\in, \i, \at
	.endif
.endm

// input makes zmm8 the column of so many lines.
.macro input in, signed, lines, narrow
	one	\in, 0, r8, \narrow
	.if \lines > 1
	one	\in, 1, r9, \narrow
	.endif
	.if \lines > 2
	one	\in, 2, r10, \narrow
	.endif
	.if \lines > 3
	one	\in, 3, r11, \narrow
	.endif
	vpermb	zmm8, zmm9, zmm8
	.if \signed
	vpxord	zmm8, zmm8, zmm11
	.endif
.endm

.macro dot in, acc, tap
	.if \in == 2
	vpdpwssd zmm\acc, zmm8, zmm\tap
	.else
	vpdpbusd zmm\acc, zmm8, zmm\tap
	.endif
.endm

// column adds column i to the sums of the positions that read it.
.macro column i, in, signed, taps, stride, n, lines, narrow
	vmovdqa64 zmm8, zmm10
	bt	r13d, \i
	jnc	9f
	input	\in, \signed, \lines, \narrow
9:	add	rcx, r12
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	.if \i >= \tap
	.if (\i - \tap) % \stride == 0
	.if (\i - \tap) / \stride < \n
	dot	\in, %((\i - \tap) / \stride), %(16 + \tap)
	.endif
	.endif
	.endif
	.endif
	.endr
.endm

.macro weight tap
	vmovdqu64 zmm\tap, [rsi]
	add	rsi, 64
.endm

// group adds the taps of so many lines.
.macro group in, signed, taps, stride, n, lines, narrow
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	weight	%(16 + \tap)
	.endif
	.endr
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
	.if \i < (\n - 1) * \stride + \taps
	column	\i, \in, \signed, \taps, \stride, \n, \lines, \narrow
	.endif
	.endr
.endm

// anygroup is group for any kernel.
.macro anygroup in, signed, lines, narrow
	kmovq	k6, r15
	kmovq	r13, k5
	mov	r15, [rdi + DepthwiseRowArgs_Across]
8:	kmovq	k7, r13
	weight	16
	.irp	acc, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa64 zmm8, zmm10
	cmp	r13, [rdi + DepthwiseRowArgs_Columns]
	jae	9f
	input	\in, \signed, \lines, \narrow
9:	dot	\in, \acc, 16
	add	rcx, r12
	add	r13, [rdi + DepthwiseRowArgs_Stride]
	.endr
	kmovq	r13, k2
	add	rcx, r13
	kmovq	r13, k7
	add	r13, [rdi + DepthwiseRowArgs_Dilation]
	dec	r15
	jnz	8b
	kmovq	r15, k6
.endm

// lines adds the taps of the group that begins at line r15, of which it may be known that it has rest lines.
.macro lines in, signed, taps, stride, n, rest, narrow
	.if \taps == 0
	anygroup \in, \signed, %(4 / \in), \narrow
	.else
	mov	r8, [rdi + DepthwiseRowArgs_Lines]
	sub	r8, r15
	cmp	r8, \rest
	mov	r8, [rdx + 8*r15]
	je	7f
	group	\in, \signed, \taps, \stride, \n, %(4 / \in), \narrow
	jmp	8f
7:	group	\in, \signed, \taps, \stride, \n, \rest, \narrow
8:
	.endif
.endm

.macro copy to
	vmovdqa64 zmm\to, zmm0
.endm

// store rounds sums; NaN becomes the least integer.
.macro store acc, narrow
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm15
	vmaxps	zmm\acc, zmm\acc, zmm12
	vminps	zmm\acc, zmm\acc, zmm13
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm14
	.if \narrow
	vpmovdb	[rcx]{k1}, zmm\acc
	.else
	vpmovdb	[rcx], zmm\acc
	.endif
.endm

// tile computes n positions, all channels. taps is 0 for any kernel.
.macro tile in, signed, taps, stride, n, rest, narrow
	.if \taps
	kmovq	r15, k5
	exist
	.endif
	xor	eax, eax
	mov	rsi, [rdi + DepthwiseRowArgs_W]
1:	mov	rcx, [rdi + DepthwiseRowArgs_Bias]
	vpxord	zmm0, zmm0, zmm0
	test	rcx, rcx
	jz	3f
	vmovdqu32 zmm0, [rcx + 4*rax]
3:
	.irp	to, 1, 2, 3, 4, 5, 6, 7
	.if \to < \n
	copy	\to
	.endif
	.endr
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jge	5f
	.balign 32
4:	mov	r9, [rdx + 8*r15 + 8]
	.if \in == 1
	mov	r10, [rdx + 8*r15 + 16]
	mov	r11, [rdx + 8*r15 + 24]
	.endif
	kmovq	rcx, k4
	lea	rcx, [rcx + \in*rax]
	.if \taps == 0
	mov	r8, [rdx + 8*r15]
	.endif
	lines	\in, \signed, \taps, \stride, \n, \rest, \narrow
	add	r15, 6 - 2*\in		// 4 or 2
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jl	4b
5:	mov	rcx, [rdi + DepthwiseRowArgs_Scale]
	vmovups	zmm15, [rcx + 4*rax]
	lea	rcx, [r14 + rax]
	kmovq	r15, k3
	store	0, \narrow
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	cmp	r15, \acc
	jle	8f
	add	rcx, [rdi + DepthwiseRowArgs_OutStep]
	store	\acc, \narrow
	.endif
	.endr
8:
	.if \narrow == 0
	lea	rcx, [rbx - 16]		// the last block begins there
	cmp	rax, rcx
	je	6f
	add	rax, 16
	cmp	rax, rcx
	cmovg	rax, rcx
	jmp	1b
	.endif
6:	imul	rcx, [rdi + DepthwiseRowArgs_OutStep], \n
	add	r14, rcx
	kmovq	r8, k5
	imul	rcx, [rdi + DepthwiseRowArgs_Stride], \n
	add	r8, rcx
	kmovq	k5, r8
	imul	r8, [rdi + DepthwiseRowArgs_InStep]
	kmovq	k4, r8
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

// positions computes all positions.
.macro positions in, signed, taps, stride, rest, narrow, next
	.if \taps
	cmp	qword ptr [rdi + DepthwiseRowArgs_Across], \taps
	jne	\next
	cmp	qword ptr [rdi + DepthwiseRowArgs_Stride], \stride
	jne	\next
	cmp	qword ptr [rdi + DepthwiseRowArgs_Dilation], 1
	jne	\next
	.endif
\next\().eight:
	.if \taps
	cmp	r15, 4
	jle	\next\().four
	.endif
	tile	\in, \signed, \taps, \stride, 8, \rest, \narrow
	cmp	r15, 0
	jg	\next\().eight
	vzeroupper
	ret
	.if \taps
\next\().four:
	tile	\in, \signed, \taps, \stride, 4, \rest, \narrow
	vzeroupper
	ret
	.endif
\next:
.endm

// any computes all positions of any kernel.
.macro any in, signed, narrow, label
	mov	r8, [rdi + DepthwiseRowArgs_Stride]
	mov	r9, [rdi + DepthwiseRowArgs_Dilation]
	shl	r8, 3
	sub	r9, r8
	imul	r9, r12
	kmovq	k2, r9
	imul	r12, [rdi + DepthwiseRowArgs_Stride]
	positions \in, \signed, 0, 0, 0, \narrow, \label
.endm

// routine: three and five are the lines that are left of 3 or 7, and of 5.
.macro routine in, signed, three, five, label
	mov	r15, [rdi + DepthwiseRowArgs_Width]
	kmovq	k3, r15
	mov	rbx, [rdi + DepthwiseRowArgs_Channels]
	test	r15, r15
	jle	\label
	test	rbx, rbx
	jle	\label
	mov	r8, [rdi + DepthwiseRowArgs_Start]
	kmovq	k5, r8
	mov	r12, [rdi + DepthwiseRowArgs_InStep]
	imul	r8, r12
	kmovq	k4, r8
	mov	rdx, [rdi + DepthwiseRowArgs_In]
	mov	r14, [rdi + DepthwiseRowArgs_Out]
	mov	r8, 0x0706050403020100
	vmovq	xmm0, r8
	mov	r8, 0x0f0e0d0c0b0a0908
	vpinsrq	xmm0, xmm0, r8, 1
	vpmovzxbd zmm9, xmm0
	.if \in == 1
	mov	r8d, 0x01010101
	mov	r9d, 0x30201000
	.else
	mov	r8d, 0x02020202
	mov	r9d, 0x21200100
	.endif
	vpbroadcastd zmm0, r8d
	vpmulld	zmm9, zmm9, zmm0
	vpbroadcastd zmm0, r9d
	vpaddd	zmm9, zmm9, zmm0
	.if \in == 1
	vpbroadcastb zmm10, byte ptr [rdi + DepthwiseRowArgs_Pad]
	.else
	vpbroadcastw zmm10, word ptr [rdi + DepthwiseRowArgs_Pad]
	.endif
	.if \signed
	mov	r8d, 0x80808080
	vpbroadcastd zmm11, r8d
	vpxord	zmm10, zmm10, zmm11
	.endif
	vpbroadcastd zmm14, dword ptr [rdi + DepthwiseRowArgs_OutZero]
	vpbroadcastd zmm12, dword ptr [rdi + DepthwiseRowArgs_QLo]
	vpsubd	zmm12, zmm12, zmm14
	vcvtdq2ps zmm12, zmm12
	vpbroadcastd zmm13, dword ptr [rdi + DepthwiseRowArgs_QHi]
	vpsubd	zmm13, zmm13, zmm14
	vcvtdq2ps zmm13, zmm13
	cmp	rbx, 16
	jl	\label\().narrow
	positions \in, \signed, 3, 1, \three, 0, \label\().31
	positions \in, \signed, 3, 2, \three, 0, \label\().32
	positions \in, \signed, 5, 1, \five, 0, \label\().51
	positions \in, \signed, 5, 2, \five, 0, \label\().52
	positions \in, \signed, 7, 1, \three, 0, \label\().71
	positions \in, \signed, 7, 2, \three, 0, \label\().72
	any	\in, \signed, 0, \label\().any
\label\().narrow:
	mov	ecx, ebx
	mov	r8d, 1
	shl	r8d, cl
	dec	r8d
	kmovd	k1, r8d
	positions \in, \signed, 3, 1, \three, 1, \label\().n31
	positions \in, \signed, 3, 2, \three, 1, \label\().n32
	any	\in, \signed, 1, \label\().nany
\label:	vzeroupper
	ret
.endm

// func depthwiserowI8QVbmi8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowI8QVbmi8x16:
	routine	1, 1, 3, 1, .Li

// func depthwiserowU8I8QVbmi8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowU8I8QVbmi8x16:
	routine	1, 0, 3, 1, .Lu

// func depthwiserowI16QVbmi8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowI16QVbmi8x16:
	routine	2, 0, 1, 1, .Lw
