// Depthwise convolution of BF16 by FP32 with AVX-512: 8 positions by 16 channels at once.
//
// out is 4 for results in FP32, 2 for BF16.
//
// rdi  arguments           rax  channel                      zmm0-7   sums, one per position
// rdx  In                  r13  offset of the positions      zmm8     weights of a tap
// rsi  W                   r14  output of the first one      zmm9-10  bounds
// r8   input of a tap      r9-12  1, 3, 5 and 7 times InStep  k1      channels that exist
// r15  tap                 rbx  Channels                     rcx      scratch
// k3   positions left                                        zmm11    inputs
// zmm12-15 1, 0x7fff, scratch and 0x40, for rounding
	.altmacro

.macro fma acc, at
	vpmovzxwd zmm11{k1}{z}, [\at]
	vpslld	zmm11, zmm11, 16
	vfmadd231ps zmm\acc{k1}, zmm8, zmm11
.endm

.macro copy to
	vmovaps	zmm\to, zmm0
.endm

.macro store acc, out
	vmaxps	zmm\acc, zmm9, zmm\acc
	vminps	zmm\acc, zmm10, zmm\acc
	.if \out == 4
	vmovups	[rcx]{k1}, zmm\acc
	.else
	vcmpunordps k2, zmm\acc, zmm\acc
	vpsrld	zmm11, zmm\acc, 16
	vpord	zmm14, zmm11, zmm15
	vpandd	zmm11, zmm11, zmm12
	vpaddd	zmm11, zmm11, zmm13
	vpaddd	zmm11, zmm11, zmm\acc
	vpsrld	zmm11, zmm11, 16
	vmovdqa32 zmm11{k2}, zmm14
	vpmovdw	[rcx]{k1}, zmm11
	.endif
.endm

.macro next acc, out
	add	rcx, [rdi + DepthwiseArgs_OutStep]
	store	\acc, \out
.endm

// positions computes n positions, all channels.
.macro positions n, out
	xor	eax, eax
	mov	ecx, 0xffff
	kmovw	k1, ecx
1:	mov	rcx, rbx
	sub	rcx, rax
	jle	6f
	cmp	rcx, 16
	jge	2f
	mov	r15, -1
	bzhi	r15, r15, rcx
	kmovw	k1, r15d
2:	mov	rcx, [rdi + DepthwiseArgs_Bias]
	vpxord	zmm0, zmm0, zmm0
	test	rcx, rcx
	jz	3f
	vmovups	zmm0{k1}{z}, [rcx + 4*rax]
3:
	.irp	to, 1, 2, 3, 4, 5, 6, 7
	.if \to < \n
	copy	\to
	.endif
	.endr
	xor	r15d, r15d
	cmp	r15, [rdi + DepthwiseArgs_Taps]
	jge	5f
	lea	rcx, [rsi + 4*rax]
	.balign 32
4:	mov	r8, [rdx + 8*r15]
	vmovups	zmm8{k1}{z}, [rcx]
	lea	rcx, [rcx + 4*rbx]
	add	r8, r13
	lea	r8, [r8 + 2*rax]
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
5:	lea	rcx, [r14 + \out*rax]
	store	0, \out
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	next	\acc, \out
	.endif
	.endr
	add	rax, 16
	jmp	1b
6:	imul	r15, r9, \n
	add	r13, r15
	imul	r15, [rdi + DepthwiseArgs_OutStep], \n
	add	r14, r15
	kmovq	r15, k3
	sub	r15, \n
	kmovq	k3, r15
.endm

.macro routine out, eight, four, two, one, done
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
	.if \out == 2
	mov	eax, 1
	vpbroadcastd zmm12, eax
	mov	eax, 0x7fff
	vpbroadcastd zmm13, eax
	mov	eax, 0x40
	vpbroadcastd zmm15, eax
	.endif
	xor	r13d, r13d
\eight:
	kmovq	r15, k3
	cmp	r15, 8
	jl	\four
	positions 8, \out
	jmp	\eight
\four:	cmp	r15, 4
	jl	\two
	positions 4, \out
\two:	cmp	r15, 2
	jl	\one
	positions 2, \out
\one:	cmp	r15, 1
	jl	\done
	positions 1, \out
\done:	vzeroupper
	ret
.endm

// func depthwiseBF16Zmm8x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseBF16Zmm8x16:
	routine	4, .Leight0, .Lfour0, .Ltwo0, .Lone0, .Ldone0

// func depthwiseBF16NZmm8x16(a *spec.DepthwiseArgs)
	.balign 64
depthwiseBF16NZmm8x16:
	routine	2, .Leight1, .Lfour1, .Ltwo1, .Lone1, .Ldone1
