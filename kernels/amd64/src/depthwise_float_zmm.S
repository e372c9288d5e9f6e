// Depthwise convolution of FP32 and BF16 by FP32 with AVX-512: 8 or 4 positions by 16 channels at once. A column of the input is loaded once for all
// taps of a line that read it.
//
// in and out are the sizes of an input and of a result: 4 for FP32, 2 for BF16.
//
// rdi  arguments               rax  channel                        zmm0-7    sums, one per position
// rdx  In                      rcx  offset of the tile's channels  zmm8      a column
// rsi  weights                 r14  output of the tile             zmm9-10   bounds
// r8   input of a line         r9-12  1, 3, 5 and 7 times InStep   zmm11-15  for rounding
// r15  line                    rbx  Channels                       zmm16-22  weights of a line
// r13  bit i tells whether column i of the tile exists
// k1   channels that exist     k3   positions left                 k4, k5    the tile's first column, in bytes and as a number
//
// The routine for any kernel has instead: r9 Stride in bytes, r10 from the last position of a tap to the first one of the next, r11 Stride,
// r12 column, r13 column of the first position, k6 taps left.
	.altmacro
	.include "depthwise.inc"

.macro fma acc, tap
	vfmadd231ps zmm\acc, zmm8, zmm\tap
.endm

.macro weight tap
	vmovups	zmm\tap{k1}{z}, [rsi]
	lea	rsi, [rsi + 4*rbx]
.endm

.macro input in, at
	.if \in == 4
	vmovups	zmm8{k1}{z}, [\at]
	.else
	vpmovzxwd zmm8{k1}{z}, [\at]
	vpslld	zmm8, zmm8, 16
	.endif
.endm

// column adds column i to the sums of the positions that read it.
.macro column i, in, taps, stride, n
	bt	r13d, \i
	jnc	9f
	.if \i % 8 == 0
	input	\in, r8
	.elseif \i % 8 == 1
	input	\in, r8 + r9
	.elseif \i % 8 == 2
	input	\in, r8 + 2*r9
	.elseif \i % 8 == 3
	input	\in, r8 + r10
	.elseif \i % 8 == 4
	input	\in, r8 + 4*r9
	.elseif \i % 8 == 5
	input	\in, r8 + r11
	.elseif \i % 8 == 6
	input	\in, r8 + 2*r10
	.else
	input	\in, r8 + r12
	.endif
	.irp	tap, 0, 1, 2, 3, 4, 5, 6
	.if \tap < \taps
	.if \i >= \tap
	.if (\i - \tap) % \stride == 0
	.if (\i - \tap) / \stride < \n
	fma	%((\i - \tap) / \stride), %(16 + \tap)
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
	weight	%(16 + \tap)
	.endif
	.endr
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
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
.macro anyline in
	kmovq	r13, k5
	mov	r12, [rdi + DepthwiseRowArgs_Across]
8:	kmovq	k6, r12
	weight	16
	mov	r12, r13
	.irp	acc, 0, 1, 2, 3, 4, 5, 6, 7
	cmp	r12, [rdi + DepthwiseRowArgs_Columns]
	jae	9f
	input	\in, r8
	fma	\acc, 16
9:	add	r12, r11
	add	r8, r9
	.endr
	add	r8, r10
	add	r13, [rdi + DepthwiseRowArgs_Dilation]
	kmovq	r12, k6
	dec	r12
	jnz	8b
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

// tile computes n positions, all channels. taps is 0 for any kernel.
.macro tile in, out, taps, stride, n
	.if \taps
	kmovq	r15, k5
	exist
	.endif
	xor	eax, eax
	mov	ecx, 0xffff
	kmovw	k1, ecx
1:	mov	rcx, rbx
	sub	rcx, rax
	jle	6f
	cmp	rcx, 16
	jge	2f
	mov	r8d, 1
	shl	r8d, cl
	dec	r8d
	kmovw	k1, r8d
2:	mov	rcx, [rdi + DepthwiseRowArgs_Bias]
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
	cmp	r15, [rdi + DepthwiseRowArgs_Lines]
	jge	5f
	kmovq	rcx, k4
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
	anyline	\in
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
	kmovq	r15, k3
	store	0, \out
	.irp	acc, 1, 2, 3, 4, 5, 6, 7
	.if \acc < \n
	cmp	r15, \acc
	jle	8f
	add	rcx, [rdi + DepthwiseRowArgs_OutStep]
	store	\acc, \out
	.endif
	.endr
8:	add	rax, 16
	jmp	1b
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
.macro positions in, out, taps, stride, next
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
	tile	\in, \out, \taps, \stride, 8
	cmp	r15, 0
	jg	\next\().eight
	vzeroupper
	ret
	.if \taps
\next\().four:
	tile	\in, \out, \taps, \stride, 4
	vzeroupper
	ret
	.endif
\next:
.endm

.macro routine in, out, label
	mov	r15, [rdi + DepthwiseRowArgs_Width]
	kmovq	k3, r15
	test	r15, r15
	jle	\label
	mov	r8, [rdi + DepthwiseRowArgs_Start]
	kmovq	k5, r8
	mov	r9, [rdi + DepthwiseRowArgs_InStep]
	imul	r8, r9
	kmovq	k4, r8
	mov	rdx, [rdi + DepthwiseRowArgs_In]
	mov	r14, [rdi + DepthwiseRowArgs_Out]
	mov	rbx, [rdi + DepthwiseRowArgs_Channels]
	lea	r10, [r9 + 2*r9]
	lea	r11, [r9 + 4*r9]
	lea	r12, [r10 + 4*r9]
	vbroadcastss zmm9, dword ptr [rdi + DepthwiseRowArgs_Lo]
	vbroadcastss zmm10, dword ptr [rdi + DepthwiseRowArgs_Hi]
	.if \out == 2
	mov	eax, 1
	vpbroadcastd zmm12, eax
	mov	eax, 0x7fff
	vpbroadcastd zmm13, eax
	mov	eax, 0x40
	vpbroadcastd zmm15, eax
	.endif
	positions \in, \out, 3, 1, \label\()31
	positions \in, \out, 3, 2, \label\()32
	positions \in, \out, 5, 1, \label\()51
	positions \in, \out, 5, 2, \label\()52
	positions \in, \out, 7, 1, \label\()71
	positions \in, \out, 7, 2, \label\()72
	mov	r11, [rdi + DepthwiseRowArgs_Stride]
	mov	r10, [rdi + DepthwiseRowArgs_Dilation]
	lea	r8, [8*r11]
	sub	r10, r8
	imul	r10, r9
	imul	r9, r11
	positions \in, \out, 0, 0, \label\()any
\label:	vzeroupper
	ret
.endm

// func depthwiserowF32Zmm8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowF32Zmm8x16:
	routine	4, 4, .Lf

// func depthwiserowBF16Zmm8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowBF16Zmm8x16:
	routine	2, 4, .Lb

// func depthwiserowBF16NZmm8x16(a *spec.DepthwiseRowArgs)
	.balign 64
depthwiserowBF16NZmm8x16:
	routine	2, 2, .Ln
