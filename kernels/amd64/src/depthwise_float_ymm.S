// Depthwise convolution of FP32 and BF16 by FP32 with AVX2 and FMA: 8 or 4 positions by 8 channels at once. A column of the input is loaded once for
// all taps of a line that read it. The last vector of channels begins where 8 are left, and repeats some; the routine for any kernel does fewer than 8.
//
// in and out are the sizes of an input and of a result: 4 for FP32, 2 for BF16.
//
// rdi  arguments               rax  channel                        ymm0-7   sums, one per position
// rdx  In                      rcx  offset of the tile's channels  ymm8     a column
// rsi  weights                 r14  output of the tile             ymm9-13  weights of a line; with ymm4 and ymm5 where it has 7
// r8   input of a line         r9-12  1, 3, 5 and 7 times InStep   ymm14    channels that exist
// r15  line                    rbx  Channels                       xmm15    the tile's first column; positions left
// r13  bit i tells whether column i of the tile exists
//
// The routine for any kernel has instead: r9 Stride in bytes, r10 from the last position of a tap to the first one of the next, r11 Stride,
// r12 column, r13 column of the first position, xmm13 taps left.
	.altmacro
	.include "ymm.inc"
	.include "depthwise.inc"
	.include "bf16.inc"

.macro fma acc, tap
	vfmadd231ps ymm\acc, ymm8, ymm\tap
.endm

// load reads FP32 of channels, of which those of fewer than 8 are masked.
.macro load masked, to, at
	.if \masked
	vmaskmovps ymm\to, ymm14, [\at]
	.else
	vmovups	ymm\to, [\at]
	.endif
.endm

// words reads fewer than 8 words.
.macro words at
	vpxor	xmm8, xmm8, xmm8
	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 4
	jz	25f
	vmovq	xmm8, qword ptr [\at]
	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 2
	jz	24f
	vpinsrd	xmm8, xmm8, dword ptr [\at + 8], 2
	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 1
	jz	27f
	vpinsrw	xmm8, xmm8, word ptr [\at + 12], 6
	jmp	27f
24:	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 1
	jz	27f
	vpinsrw	xmm8, xmm8, word ptr [\at + 8], 4
	jmp	27f
25:	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 2
	jz	26f
	vmovd	xmm8, dword ptr [\at]
	test	byte ptr [rdi + DepthwiseRowArgs_Channels], 1
	jz	27f
	vpinsrw	xmm8, xmm8, word ptr [\at + 4], 2
	jmp	27f
26:	vpinsrw	xmm8, xmm8, word ptr [\at], 0
27:
.endm

// input reads a column.
.macro input in, masked, at
	.if \in == 4
	load	\masked, 8, \at
	.else
	.if \masked
	words	\at
	vpmovzxwd ymm8, xmm8
	.else
	vpmovzxwd ymm8, [\at]
	.endif
	vpslld	ymm8, ymm8, 16
	.endif
.endm

.macro weight masked, tap
	load	\masked, \tap, rsi
	lea	rsi, [rsi + 4*rbx]
.endm

// column adds column i to the sums of the positions that read it.
.macro column i, in, taps, stride, n
	bt	r13d, \i
	jnc	9f
	.if \i % 8 == 0
	input	\in, 0, r8
	.elseif \i % 8 == 1
	input	\in, 0, r8 + r9
	.elseif \i % 8 == 2
	input	\in, 0, r8 + 2*r9
	.elseif \i % 8 == 3
	input	\in, 0, r8 + r10
	.elseif \i % 8 == 4
	input	\in, 0, r8 + 4*r9
	.elseif \i % 8 == 5
	input	\in, 0, r8 + r11
	.elseif \i % 8 == 6
	input	\in, 0, r8 + 2*r10
	.else
	input	\in, 0, r8 + r12
	.endif
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	.if \i >= \tap
	.if (\i - \tap) % \stride == 0
	.if (\i - \tap) / \stride < \n
	.if \tap < 5
	fma	%((\i - \tap) / \stride), %(9 + \tap)
	.else
	fma	%((\i - \tap) / \stride), %(\tap - 1)
	.endif
	.endif
	.endif
	.endif
	.endif
	.endr
9:
.endm

// line adds a line of taps.
.macro line in, taps, stride, n
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	.if \tap < 5
	weight	0, %(9 + \tap)
	.else
	weight	0, %(\tap - 1)
	.endif
	.endif
	.endr
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
	.if \i < (\n - 1) * \stride + \taps
	.if \i > 0
	.if \i % 8 == 0
	lea	r8, [r8 + 8*r9]
	.endif
	.endif
	column	\i, \in, \taps, \stride, \n
	.endif
	.endr
.endm

// anyline is line for any kernel.
.macro anyline in, masked
	vmovq	r13, xmm15
	mov	r12, [rdi + DepthwiseRowArgs_Across]
8:	vmovq	xmm13, r12
	weight	\masked, 9
	mov	r12, r13
	.irp	acc, 0, 1, 2, 3, 4, 5, 6, 7
	cmp	r12, [rdi + DepthwiseRowArgs_Columns]
	jae	9f
	input	\in, \masked, r8
	fma	\acc, 9
9:	add	r12, r11
	add	r8, r9
	.endr
	add	r8, r10
	add	r13, [rdi + DepthwiseRowArgs_Dilation]
	vmovq	r12, xmm13
	dec	r12
	jnz	8b
.endm

.macro copy to
	vmovaps	ymm\to, ymm0
.endm

.macro store masked, acc, out, data
	vmaxps	ymm\acc, ymm9, ymm\acc
	vminps	ymm\acc, ymm10, ymm\acc
	.if \out == 4
	.if \masked
	vmaskmovps [rcx], ymm14, ymm\acc
	.else
	vmovups	[rcx], ymm\acc
	.endif
	.else
	round_bf16 \acc, 8, 11, 12, [rip + \data + 64], [rip + \data + 96], [rip + \data + 128]
	pack_words 8, 11
	.if \masked
	lea	r13, [rbx + rbx]
	mov	r8, rcx
	store_tail 8, r13d, r8
	.else
	vmovdqu	[rcx], xmm8
	.endif
	.endif
.endm

// vector computes n positions of one vector of channels. taps is 0 for any kernel.
.macro vector in, out, data, masked, taps, stride, n
	vxorps	xmm0, xmm0, xmm0
	mov	rcx, [rdi + DepthwiseRowArgs_Bias]
	test	rcx, rcx
	jz	3f
	load	\masked, 0, rcx + 4*rax
3:
	.irp	to, 1, 2, 3, 4, 5, 6, 7
	.if \to < \n
	copy	\to
	.endif
	.endr
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jge	5f
	vmovq	rcx, xmm15
	imul	rcx, [rdi + DepthwiseRowArgs_InStep]
	lea	rcx, [rcx + \in*rax]
	mov	rsi, [rdi + DepthwiseRowArgs_W]
	lea	rsi, [rsi + 4*rax]
	.balign 32
4:	mov	r8, [rdx + 8*r15]
	inc	r15
	test	r8, r8
	jz	7f
	add	r8, rcx
	.if \taps
	line	\in, \taps, \stride, \n
	.else
	anyline	\in, \masked
	.endif
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jb	4b
	jmp	5f
7:	.if \taps
	imul	r8, rbx, 4*\taps
	.else
	mov	r8, [rdi + DepthwiseRowArgs_Across]
	imul	r8, rbx
	shl	r8, 2
	.endif
	add	rsi, r8
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jb	4b
5:	lea	rcx, [r14 + \out*rax]
	vpextrq	r15, xmm15, 1
	vbroadcastss ymm9, dword ptr [rdi + DepthwiseRowArgs_Lo]
	vbroadcastss ymm10, dword ptr [rdi + DepthwiseRowArgs_Hi]
	store	\masked, 0, \out, \data
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	cmp	r15, \acc
	jle	8f
	add	rcx, [rdi + DepthwiseRowArgs_OutStep]
	store	\masked, \acc, \out, \data
	.endif
	.endr
8:
.endm

// tile computes n positions, all channels.
.macro tile in, out, data, taps, stride, n
	.if \taps
	vmovq	r15, xmm15
	exist
	.else
	cmp	rbx, 8
	jl	2f
	.endif
	xor	eax, eax
1:	vector	\in, \out, \data, 0, \taps, \stride, \n
	add	rax, 8
	lea	rcx, [rbx - 8]
	cmp	rax, rbx
	jge	6f
	cmp	rax, rcx
	cmovg	rax, rcx
	jmp	1b
	.if \taps == 0
2:	xor	eax, eax
	vector	\in, \out, \data, 1, \taps, \stride, \n
	.endif
6:	imul	rcx, [rdi + DepthwiseRowArgs_OutStep], \n
	add	r14, rcx
	imul	rcx, [rdi + DepthwiseRowArgs_Stride], \n
	vmovq	r8, xmm15
	add	r8, rcx
	vpextrq	r15, xmm15, 1
	sub	r15, \n
	vmovq	xmm15, r8
	vpinsrq	xmm15, xmm15, r15, 1
.endm

// positions computes all positions, eight at once where they are.
.macro positions in, out, data, taps, stride, next, eight
	.if \taps
	cmp	rbx, 8
	jl	\next
	cmp	qword ptr [rdi + DepthwiseRowArgs_Across], \taps
	jne	\next
	cmp	qword ptr [rdi + DepthwiseRowArgs_Stride], \stride
	jne	\next
	cmp	qword ptr [rdi + DepthwiseRowArgs_Dilation], 1
	jne	\next
	.endif
	.if \eight
\next\().eight:
	.if \taps
	cmp	r15, 4
	jle	\next\().four
	.endif
	tile	\in, \out, \data, \taps, \stride, 8
	cmp	r15, 0
	jg	\next\().eight
	vzeroupper
	ret
	.endif
	.if \taps
\next\().four:
	tile	\in, \out, \data, \taps, \stride, 4
	cmp	r15, 0
	jg	\next\().four
	vzeroupper
	ret
	.endif
\next:
.endm

.macro routine in, out, data, label
	mov	r15, [rdi + DepthwiseRowArgs_Width]
	mov	rbx, [rdi + DepthwiseRowArgs_Channels]
	test	r15, r15
	jle	\label
	test	rbx, rbx
	jle	\label
	mov	r8, [rdi + DepthwiseRowArgs_Start]
	vmovq	xmm15, r8
	vpinsrq	xmm15, xmm15, r15, 1
	mov	r9, [rdi + DepthwiseRowArgs_InStep]
	mov	rdx, [rdi + DepthwiseRowArgs_In]
	mov	r14, [rdi + DepthwiseRowArgs_Out]
	lea	rax, [rip + \data + 32]
	mask	14, rbx, 0, rax, r10, r11
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	positions \in, \out, \data, 3, 1, \label\()31, 1
	positions \in, \out, \data, 3, 2, \label\()32, 1
	positions \in, \out, \data, 5, 1, \label\()51, 1
	positions \in, \out, \data, 5, 2, \label\()52, 1
	positions \in, \out, \data, 7, 1, \label\()71, 0
	positions \in, \out, \data, 7, 2, \label\()72, 0
	mov	r11, [rdi + DepthwiseRowArgs_Stride]
	mov	r10, [rdi + DepthwiseRowArgs_Dilation]
	lea	r8, [8*r11]
	sub	r10, r8
	imul	r10, r9
	imul	r9, r11
	positions \in, \out, \data, 0, 0, \label\()any, 1
\label:	vzeroupper
	ret
	.balign 32
\data:	.fill	8, 4, -1
	.fill	8, 4, 0
	.if \out == 2
	.fill	8, 4, 1
	.fill	8, 4, 0x7fff
	.fill	8, 4, 0x40
	.endif
.endm

// func depthwiserowF32Ymm8x8(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowF32Ymm8x8:
	routine	4, 4, depthwiserowF32Ymm8x8.data, .Lf

// func depthwiserowBF16Ymm8x8(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowBF16Ymm8x8:
	routine	2, 4, depthwiserowBF16Ymm8x8.data, .Lb

// func depthwiserowBF16NYmm8x8(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowBF16NYmm8x8:
	routine	2, 2, depthwiserowBF16NYmm8x8.data, .Ln
