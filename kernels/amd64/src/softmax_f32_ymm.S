// Softmax of rows of FP32 with AVX2 and FMA.
//
// rdi  arguments       rcx  rows left                      ymm7  the largest element, of 8 lanes and of all
// rsi  row of X        r8   full vectors of a row          ymm8, ymm9  sums of 16 lanes; ymm8 of all
// rdx  row of Y        r9   elements behind them, bytes    ymm10 NaN where there was one   ymm11 -infinity
// rax  column, bytes   rbx  vectors left                   ymm15 elements that exist at the end   ymm0-6 scratch
	.altmacro
	.include "exp_ymm.inc"

.macro largest
	vcmpunordps ymm1, ymm0, ymm0
	vorps	ymm10, ymm10, ymm1
	vmaxps	ymm7, ymm0, ymm7
.endm

// power makes e**(ymm0 - ymm7) in ymm1.
.macro power
	vsubps	ymm0, ymm0, ymm7
	exp_ softmaxF32Ymm.data
.endm

// halves folds the upper half of a register's lanes onto the lower one until one is left, and spreads that.
.macro halves acc, function
	vextractf128 xmm0, ymm\acc, 1
	\function xmm\acc, xmm\acc, xmm0
	vmovhlps xmm0, xmm0, xmm\acc
	\function xmm\acc, xmm\acc, xmm0
	vmovshdup xmm0, xmm\acc
	\function xmm\acc, xmm\acc, xmm0
	vbroadcastss ymm\acc, xmm\acc
.endm

// func softmaxF32Ymm(a *spec.RowsArgs)
	.balign 64
softmaxF32Ymm:
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_Cols]
	mov	r9, r8
	shr	r8, 3
	and	r9d, 7
	shl	r9d, 2
	lea	rax, [rip + softmaxF32Ymm.data + 480]
	sub	rax, r9
	vmovups	ymm15, [rax]
	vmovups	ymm11, [rip + softmaxF32Ymm.data + 416]
1:	sub	rcx, 1
	jl	9f
	vmovaps	ymm7, ymm11
	vxorps	ymm10, ymm10, ymm10
	xor	eax, eax
	mov	rbx, r8
	.balign 16
2:	sub	rbx, 1
	jl	3f
	vmovups	ymm0, [rsi + rax]
	largest
	add	rax, 32
	jmp	2b
3:	test	r9, r9
	jz	4f
	vmaskmovps ymm0, ymm15, [rsi + rax]
	vblendvps ymm0, ymm11, ymm0, ymm15
	largest
4:	halves	7, vmaxps
	vtestps	ymm10, ymm10
	jz	5f
	vpcmpeqd ymm7, ymm7, ymm7	// not a number
5:	vxorps	ymm8, ymm8, ymm8
	vxorps	ymm9, ymm9, ymm9
	xor	eax, eax
	mov	rbx, r8
	.balign 16
6:	sub	rbx, 2
	jl	7f
	vmovups	ymm0, [rsi + rax]
	power
	vmovups	[rdx + rax], ymm1
	vaddps	ymm8, ymm8, ymm1
	vmovups	ymm0, [rsi + rax + 32]
	power
	vmovups	[rdx + rax + 32], ymm1
	vaddps	ymm9, ymm9, ymm1
	add	rax, 64
	jmp	6b
7:	test	ebx, 1			// -1 where a full vector is left, else -2
	jz	7f
	vmovups	ymm0, [rsi + rax]
	power
	vmovups	[rdx + rax], ymm1
	vaddps	ymm8, ymm8, ymm1
	add	rax, 32
7:	test	r9, r9
	jz	8f
	vmaskmovps ymm0, ymm15, [rsi + rax]
	power
	vmaskmovps [rdx + rax], ymm15, ymm1
	vandps	ymm1, ymm1, ymm15
	test	ebx, 1
	jnz	6f
	vaddps	ymm0, ymm8, ymm1
	vblendvps ymm8, ymm8, ymm0, ymm15
	jmp	8f
6:	vaddps	ymm0, ymm9, ymm1
	vblendvps ymm9, ymm9, ymm0, ymm15
8:	vaddps	ymm8, ymm8, ymm9
	halves	8, vaddps
	xor	eax, eax
	mov	rbx, r8
	.balign 16
2:	sub	rbx, 1
	jl	3f
	vmovups	ymm0, [rdx + rax]
	vdivps	ymm0, ymm0, ymm8
	vmovups	[rdx + rax], ymm0
	add	rax, 32
	jmp	2b
3:	test	r9, r9
	jz	4f
	vmaskmovps ymm0, ymm15, [rdx + rax]
	vdivps	ymm0, ymm0, ymm8
	vmaskmovps [rdx + rax], ymm15, ymm0
4:	add	rsi, [rdi + RowsArgs_XStride]
	add	rdx, [rdi + RowsArgs_YStride]
	jmp	1b
9:	vzeroupper
	ret
	.balign 4
softmaxF32Ymm.data:
	exponentials
	wideint	0xff800000
	.fill	8, 4, -1
	.fill	8, 4, 0
