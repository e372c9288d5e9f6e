// Depthwise convolution of FP32 with AVX2 and FMA: 8 or 4 positions by 8 channels at once. A column of the input is loaded once for all taps of a
// line that read it.
//
// rdi  arguments               rax  offset of the channels         ymm0-7   sums, one per position
// rdx  In                      rcx  offset of the tile's channels  ymm8     a column
// rsi  weights                 r14  output of the tile             ymm9-13  weights of a line; with ymm4 and ymm5 where it has 7
// r8   input of a line         r9-12  1, 3, 5 and 7 times InStep   ymm14    channels that exist
// r15  line                    rbx  Channels                       xmm15    the tile's first column; positions left
// r13  bit i tells whether column i of the tile exists
//
// The routine for any kernel has instead: r9 Stride in bytes, r10 from the last position of a tap to the first one of the next, r11 Stride,
// r12 column, r13 column of the first position, xmm13 taps left.
	.altmacro

.macro fma acc, tap
	vfmadd231ps ymm\acc, ymm8, ymm\tap
.endm

// load reads channels of which the last, incomplete vector's are masked.
.macro load masked, to, at
	.if \masked
	vmaskmovps ymm\to, ymm14, [\at]
	.else
	vmovups	ymm\to, [\at]
	.endif
.endm

.macro weight masked, tap
	load	\masked, \tap, rsi
	lea	rsi, [rsi + 4*rbx]
.endm

// column adds column i to the sums of the positions that read it.
.macro column masked, i, taps, stride, n
	bt	r13d, \i
	jnc	9f
	.if \i % 8 == 0
	load	\masked, 8, r8
	.elseif \i % 8 == 1
	load	\masked, 8, r8 + r9
	.elseif \i % 8 == 2
	load	\masked, 8, r8 + 2*r9
	.elseif \i % 8 == 3
	load	\masked, 8, r8 + r10
	.elseif \i % 8 == 4
	load	\masked, 8, r8 + 4*r9
	.elseif \i % 8 == 5
	load	\masked, 8, r8 + r11
	.elseif \i % 8 == 6
	load	\masked, 8, r8 + 2*r10
	.else
	load	\masked, 8, r8 + r12
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
.macro line masked, taps, stride, n
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	.if \tap < 5
	weight	\masked, %(9 + \tap)
	.else
	weight	\masked, %(\tap - 1)
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
	column	\masked, \i, \taps, \stride, \n
	.endif
	.endr
.endm

// anyline is line for any kernel.
.macro anyline masked
	vmovq	r13, xmm15
	mov	r12, [rdi + DepthwiseRowArgs_Across]
8:	vmovq	xmm13, r12
	weight	\masked, 9
	mov	r12, r13
	.irp	acc, 0, 1, 2, 3, 4, 5, 6, 7
	cmp	r12, [rdi + DepthwiseRowArgs_Columns]
	jae	9f
	load	\masked, 8, r8
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

.macro store masked, acc
	vmaxps	ymm\acc, ymm9, ymm\acc
	vminps	ymm\acc, ymm10, ymm\acc
	.if \masked
	vmaskmovps [rcx], ymm14, ymm\acc
	.else
	vmovups	[rcx], ymm\acc
	.endif
.endm

// mask sets r13 for the tile.
.macro mask
	mov	r8d, 63
	vmovq	r15, xmm15
	xor	ecx, ecx
	neg	r15			// columns of the tile before the row
	cmovg	rcx, r15
	cmp	rcx, r8
	cmovg	rcx, r8
	mov	r13, -1
	shl	r13, cl
	xor	ecx, ecx
	add	r15, [rdi + DepthwiseRowArgs_Columns] // and before its end
	cmovg	rcx, r15
	cmp	rcx, r8
	cmovg	rcx, r8
	mov	r8d, 1
	shl	r8, cl
	dec	r8
	and	r13, r8
.endm

// vector computes n positions of one vector of channels. taps is 0 for any kernel.
.macro vector masked, taps, stride, n
	vxorps	xmm0, xmm0, xmm0
	mov	rcx, [rdi + DepthwiseRowArgs_Bias]
	test	rcx, rcx
	jz	3f
	load	\masked, 0, rcx + rax
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
	add	rcx, rax
	mov	rsi, [rdi + DepthwiseRowArgs_W]
	add	rsi, rax
	.balign 32
4:	mov	r8, [rdx + 8*r15]
	inc	r15
	test	r8, r8
	jz	7f
	add	r8, rcx
	.if \taps
	line	\masked, \taps, \stride, \n
	.else
	anyline	\masked
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
5:	lea	rcx, [r14 + rax]
	vpextrq	r15, xmm15, 1
	vbroadcastss ymm9, dword ptr [rdi + DepthwiseRowArgs_Lo]
	vbroadcastss ymm10, dword ptr [rdi + DepthwiseRowArgs_Hi]
	store	\masked, 0
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	cmp	r15, \acc
	jle	8f
	add	rcx, [rdi + DepthwiseRowArgs_OutStep]
	store	\masked, \acc
	.endif
	.endr
8:	add	rax, 32
.endm

// tile computes n positions, all channels.
.macro tile taps, stride, n
	.if \taps
	mask
	.endif
	xor	eax, eax
1:	lea	rcx, [4*rbx]
	sub	rcx, rax
	jle	6f
	cmp	rcx, 32
	jl	2f
	vector	0, \taps, \stride, \n
	jmp	1b
2:	vector	1, \taps, \stride, \n
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
.macro positions taps, stride, next, eight
	.if \taps
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
	tile	\taps, \stride, 8
	cmp	r15, 0
	jg	\next\().eight
	vzeroupper
	ret
	.endif
	.if \taps
\next\().four:
	tile	\taps, \stride, 4
	cmp	r15, 0
	jg	\next\().four
	vzeroupper
	ret
	.endif
\next:
.endm

// func depthwiserowF32Ymm8x8(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowF32Ymm8x8:
	mov	r15, [rdi + DepthwiseRowArgs_Width]
	test	r15, r15
	jle	.Ldone
	mov	r8, [rdi + DepthwiseRowArgs_Start]
	vmovq	xmm15, r8
	vpinsrq	xmm15, xmm15, r15, 1
	mov	r9, [rdi + DepthwiseRowArgs_InStep]
	mov	rdx, [rdi + DepthwiseRowArgs_In]
	mov	r14, [rdi + DepthwiseRowArgs_Out]
	mov	rbx, [rdi + DepthwiseRowArgs_Channels]
	mov	rcx, rbx
	and	ecx, 7
	neg	rcx
	lea	rax, [rip + depthwiserowF32Ymm8x8.data + 32]
	vmovups	ymm14, [rax + 4*rcx]
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	positions 3, 1, .L31, 1
	positions 3, 2, .L32, 1
	positions 5, 1, .L51, 1
	positions 5, 2, .L52, 1
	positions 7, 1, .L71, 0
	positions 7, 2, .L72, 0
	mov	r11, [rdi + DepthwiseRowArgs_Stride]
	mov	r10, [rdi + DepthwiseRowArgs_Dilation]
	lea	r8, [8*r11]
	sub	r10, r8
	imul	r10, r9
	imul	r9, r11
	positions 0, 0, .Lany, 1
.Ldone:	vzeroupper
	ret
	.balign 32
depthwiserowF32Ymm8x8.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
