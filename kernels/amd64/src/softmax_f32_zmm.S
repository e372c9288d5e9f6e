// Softmax of rows of FP32 with AVX-512.
//
// rdi  arguments       rcx  rows left                   zmm7  the largest element, of 16 lanes and of all
// rsi  row of X        r8   full vectors of a row       zmm8  sums of 16 lanes and of all
// rdx  row of Y        r9   elements behind them        zmm16-28 constants   zmm29 -infinity
// rax  column, bytes   rbx  vectors left                k1  elements that exist at the end   k2  scratch   k3  NaN
	.altmacro
	.include "exp_zmm.inc"

.macro largest
	vcmpunordps k2, zmm0, zmm0
	korw	k3, k3, k2
	vmaxps	zmm7, zmm0, zmm7
.endm

// power makes e**(zmm0 - zmm7) in zmm1.
.macro power
	vsubps	zmm0, zmm0, zmm7
	exp_
.endm

// halves folds the upper half of a register's lanes onto the lower one until one is left, and spreads that.
.macro halves acc, function
	vextractf64x4 ymm0, zmm\acc, 1
	\function ymm\acc, ymm\acc, ymm0
	vextractf128 xmm0, ymm\acc, 1
	\function xmm\acc, xmm\acc, xmm0
	vmovhlps xmm0, xmm0, xmm\acc
	\function xmm\acc, xmm\acc, xmm0
	vmovshdup xmm0, xmm\acc
	\function xmm\acc, xmm\acc, xmm0
	vbroadcastss zmm\acc, xmm\acc
.endm

// func softmaxF32Zmm(a *spec.RowsArgs)
	.balign 64
softmaxF32Zmm:
	constants softmaxF32Zmm.data
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_Cols]
	mov	r9, r8
	shr	r8, 4
	and	r9d, 15
	mov	rax, -1
	bzhi	rax, rax, r9
	kmovw	k1, eax
1:	sub	rcx, 1
	jl	9f
	vmovaps	zmm7, zmm29
	kxorw	k3, k3, k3
	xor	eax, eax
	mov	rbx, r8
	.balign 16
2:	sub	rbx, 1
	jl	3f
	vmovups	zmm0, [rsi + rax]
	largest
	add	rax, 64
	jmp	2b
3:	test	r9, r9
	jz	4f
	vmovaps	zmm0, zmm29
	vmovups	zmm0{k1}, [rsi + rax]
	largest
4:	halves	7, vmaxps
	kortestw k3, k3
	jz	5f
	vpternlogd zmm7, zmm7, zmm7, 255	// not a number
5:	vpxord	zmm8, zmm8, zmm8
	xor	eax, eax
	mov	rbx, r8
	.balign 16
6:	sub	rbx, 1
	jl	7f
	vmovups	zmm0, [rsi + rax]
	power
	vmovups	[rdx + rax], zmm1
	vaddps	zmm8, zmm8, zmm1
	add	rax, 64
	jmp	6b
7:	test	r9, r9
	jz	8f
	vmovups	zmm0{k1}{z}, [rsi + rax]
	power
	vmovups	[rdx + rax]{k1}, zmm1
	vaddps	zmm8{k1}, zmm8, zmm1
8:	halves	8, vaddps
	xor	eax, eax
	mov	rbx, r8
	.balign 16
2:	sub	rbx, 1
	jl	3f
	vmovups	zmm0, [rdx + rax]
	vdivps	zmm0, zmm0, zmm8
	vmovups	[rdx + rax], zmm0
	add	rax, 64
	jmp	2b
3:	test	r9, r9
	jz	4f
	vmovups	zmm0{k1}{z}, [rdx + rax]
	vdivps	zmm0, zmm0, zmm8
	vmovups	[rdx + rax]{k1}, zmm0
4:	add	rsi, [rdi + RowsArgs_XStride]
	add	rdx, [rdi + RowsArgs_YStride]
	jmp	1b
9:	vzeroupper
	ret
	.balign 4
softmaxF32Zmm.data:
	exponentials
	.long	0xff800000
	.fill	2, 4, 0
