// FP32 depthwise convolution with AVX2 and FMA: 8 positions by 8 channels at once.
//
// rdi  arguments           rax  offset of the channels       ymm0-7   sums, one per position
// rdx  In                  r13  offset of the positions      ymm8     weights of a tap
// rsi  W                   r14  output of the first one      ymm9-10  bounds
// r8   input of a tap      r9-12  1, 3, 5 and 7 times InStep  ymm11   channels that exist
// r15  tap                 rbx  positions left               ymm12    inputs of a position
// rcx  weights of a tap, scratch
	.altmacro

// fma reads memory through the mask in the last, incomplete vector of channels only.
.macro fma masked, acc, at
	.if \masked
	vmaskmovps ymm12, ymm11, [\at]
	vfmadd231ps ymm\acc, ymm8, ymm12
	.else
	vfmadd231ps ymm\acc, ymm8, [\at]
	.endif
.endm
.macro copy to
	vmovaps	ymm\to, ymm0
.endm
.macro store masked, acc
	vmaxps	ymm\acc, ymm9, ymm\acc
	vminps	ymm\acc, ymm10, ymm\acc
	.if \masked
	vmaskmovps [rcx], ymm11, ymm\acc
	.else
	vmovups	[rcx], ymm\acc
	.endif
	add	rcx, [rdi + DepthwiseArgs_OutStep]
.endm

// vector computes n positions of one vector of channels.
.macro vector n, masked
	vxorps	xmm0, xmm0, xmm0
	mov	rcx, [rdi + DepthwiseArgs_Bias]
	test	rcx, rcx
	jz	3f
	.if \masked
	vmaskmovps ymm0, ymm11, [rcx + rax]
	.else
	vmovups	ymm0, [rcx + rax]
	.endif
3:
	.irp	to, 1, 2, 3, 4, 5, 6, 7
	.if \to < \n
	copy	\to
	.endif
	.endr
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	5f
	lea	rcx, [rsi + rax]
	.balign 32
4:	mov	r8, [rdx + 8*r15]
	.if \masked
	vmaskmovps ymm8, ymm11, [rcx]
	.else
	vmovups	ymm8, [rcx]
	.endif
	add	r8, r13
	add	r8, rax
	inc	r15
	fma	\masked, 0, r8
	.if \n > 1
	fma	\masked, 1, r8 + r9
	.endif
	.if \n > 2
	fma	\masked, 2, r8 + 2*r9
	fma	\masked, 3, r8 + r10
	.endif
	.if \n > 4
	fma	\masked, 4, r8 + 4*r9
	fma	\masked, 5, r8 + r11
	fma	\masked, 6, r8 + 2*r10
	fma	\masked, 7, r8 + r12
	.endif
	mov	r8, [rdi + DepthwiseArgs_Channels]
	lea	rcx, [rcx + 4*r8]
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jb	4b
5:	lea	rcx, [r14 + rax]
	store	\masked, 0
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	store	\masked, \acc
	.endif
	.endr
	add	rax, 32
.endm

// positions computes n positions, all channels.
.macro positions n
	xor	eax, eax
1:	mov	rcx, [rdi + DepthwiseArgs_Channels]
	shl	rcx, 2
	sub	rcx, rax
	jle	8f
	cmp	rcx, 32
	jl	7f
	vector	\n, 0
	jmp	1b
7:	vector	\n, 1
8:	imul	r15, r9, \n
	add	r13, r15
	imul	r15, [rdi + DepthwiseArgs_OutStep], \n
	add	r14, r15
	sub	rbx, \n
.endm

// func depthwiseF32Ymm8x8(a *spec.DepthwiseArgs)
	.balign 64
depthwiseF32Ymm8x8:
	mov	rcx, [rdi + DepthwiseArgs_Channels]
	and	ecx, 7
	neg	rcx
	lea	rax, [rip + depthwiseF32Ymm8x8.data + 32]
	vmovups	ymm11, [rax + 4*rcx]
	mov	rdx, [rdi + DepthwiseArgs_In]
	mov	rsi, [rdi + DepthwiseArgs_W]
	mov	r14, [rdi + DepthwiseArgs_Out]
	mov	r9, [rdi + DepthwiseArgs_InStep]
	mov	rbx, [rdi + DepthwiseArgs_Width]
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	vbroadcastss ymm9, dword ptr [rdi + DepthwiseArgs_Lo]
	vbroadcastss ymm10, dword ptr [rdi + DepthwiseArgs_Hi]
	xor	r13d, r13d
.Leight:
	cmp	rbx, 8
	jl	.Lfour
	positions 8
	jmp	.Leight
.Lfour:	cmp	rbx, 4
	jl	.Ltwo
	positions 4
.Ltwo:	cmp	rbx, 2
	jl	.Lone
	positions 2
.Lone:	cmp	rbx, 1
	jl	.Ldone
	positions 1
.Ldone:	vzeroupper
	ret
	.balign 32
depthwiseF32Ymm8x8.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
