// FP32 depthwise convolution with AVX-512: 8 positions by 16 channels at once.
//
// rdi  arguments           rax  offset of the channels       zmm0-7   sums, one per position
// rdx  In                  r13  offset of the positions      zmm8     weights of a tap
// rsi  W                   r14  output of the first one      zmm9-10  bounds
// r8   input of a tap      r9-12  1, 3, 5 and 7 times InStep  k1      channels that exist
// r15  tap                 rbx  Channels                     rcx      scratch
// k3   positions left
	.altmacro

.macro fma acc, at
	vfmadd231ps zmm\acc{k1}, zmm8, [\at]
.endm

.macro copy to
	vmovaps	zmm\to, zmm0
.endm

.macro store acc
	vmaxps	zmm\acc, zmm9, zmm\acc
	vminps	zmm\acc, zmm10, zmm\acc
	vmovups	[rcx]{k1}, zmm\acc
.endm

.macro next action, acc
	add	rcx, [rdi + DepthwiseArgs_OutStep]
	\action	\acc
.endm

// positions computes n positions, all channels.
.macro positions n
	xor	eax, eax
	mov	ecx, 0xffff
	kmovw	k1, ecx
1:	mov	rcx, [rdi + DepthwiseArgs_Channels]
	shl	rcx, 2
	sub	rcx, rax
	jle	6f
	cmp	rcx, 64
	jge	2f
	shr	rcx, 2
	mov	r15, -1
	bzhi	r15, r15, rcx
	kmovw	k1, r15d
2:	mov	rcx, [rdi + DepthwiseArgs_Bias]
	vpxord	zmm0, zmm0, zmm0
	test	rcx, rcx
	jz	3f
	vmovups	zmm0{k1}{z}, [rcx + rax]
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
	vmovups	zmm8{k1}{z}, [rcx]
	lea	rcx, [rcx + 4*rbx]
	add	r8, r13
	add	r8, rax
	inc	r15
	fma	0, r8
	.if \n > 1
	fma	1, r8 + r9
	.endif
	.if \n > 2
	fma	2, r8 + 2*r9
	fma	3, r8 + r10
	.endif
	.if \n > 4
	fma	4, r8 + 4*r9
	fma	5, r8 + r11
	fma	6, r8 + 2*r10
	fma	7, r8 + r12
	.endif
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jb	4b
5:	lea	rcx, [r14 + rax]
	store	0
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	next	store, \acc
	.endif
	.endr
	add	rax, 64
	jmp	1b
6:	imul	r15, r9, \n
	add	r13, r15
	imul	r15, [rdi + DepthwiseArgs_OutStep], \n
	add	r14, r15
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

// func depthwiseF32Zmm8x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseF32Zmm8x16:
	mov	rdx, [rdi + DepthwiseArgs_In]
	mov	rsi, [rdi + DepthwiseArgs_W]
	mov	r14, [rdi + DepthwiseArgs_Out]
	mov	r9, [rdi + DepthwiseArgs_InStep]
	mov	rbx, [rdi + DepthwiseArgs_Channels]
	mov	r15, [rdi + DepthwiseArgs_Width]
	kmovq	k3, r15
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	vbroadcastss zmm9, dword ptr [rdi + DepthwiseArgs_Lo]
	vbroadcastss zmm10, dword ptr [rdi + DepthwiseArgs_Hi]
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
