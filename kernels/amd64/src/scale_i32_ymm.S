// Sums of integers to FP32 with AVX2: 8 columns at once.
//
// rdi  arguments   rsi row of A   r8 row of C   rdx Scale   r9 Bias, or 0   rcx rows left   r10 column   r11 Cols   rax, rbx, r12 scratch
// ymm0 elements   ymm1 scratch   ymm13 columns that exist   ymm14-15 bounds
	.include "ymm.inc"

// columns computes 8 columns, or those that are left.
.macro columns part
	.if \part
	vpmaskmovd ymm0, ymm13, [rsi + 4*r10]
	vcvtdq2ps ymm0, ymm0
	vmaskmovps ymm1, ymm13, [rdx + 4*r10]
	vmulps	ymm0, ymm0, ymm1
	.else
	vcvtdq2ps ymm0, [rsi + 4*r10]
	vmulps	ymm0, ymm0, [rdx + 4*r10]
	.endif
	test	r9, r9
	jz	4f
	.if \part
	vmaskmovps ymm1, ymm13, [r9 + 4*r10]
	vaddps	ymm0, ymm0, ymm1
	.else
	vaddps	ymm0, ymm0, [r9 + 4*r10]
	.endif
4:	vmaxps	ymm0, ymm14, ymm0
	vminps	ymm0, ymm15, ymm0
	.if \part
	vmaskmovps [r8 + 4*r10], ymm13, ymm0
	.else
	vmovups	[r8 + 4*r10], ymm0
	.endif
.endm

// func scalesumsI32Ymm(a *spec.ScaleArgs)
	.balign 64
scalesumsI32Ymm:
	mov	rsi, [rdi + ScaleArgs_A]
	mov	r8, [rdi + ScaleArgs_C]
	mov	rdx, [rdi + ScaleArgs_Scale]
	mov	r9, [rdi + ScaleArgs_Bias]
	mov	r11, [rdi + ScaleArgs_Cols]
	mov	rcx, [rdi + ScaleArgs_Rows]
	test	r11, r11
	jle	6f
	test	rcx, rcx
	jle	6f
	vbroadcastss ymm14, dword ptr [rdi + ScaleArgs_Lo]
	vbroadcastss ymm15, dword ptr [rdi + ScaleArgs_Hi]
	mov	r10, r11
	and	r10, 7
	lea	rax, [rip + scalesumsI32Ymm.data + 32]
	mask	13, r10, 0, rax, rbx, r12
1:	xor	r10d, r10d
	cmp	r11, 8
	jl	3f
2:	columns	0
	add	r10, 8
	lea	rax, [r10 + 8]
	cmp	rax, r11
	jle	2b
3:	cmp	r10, r11
	jge	5f
	columns	1
5:	add	rsi, [rdi + ScaleArgs_AStride]
	add	r8, [rdi + ScaleArgs_CStride]
	dec	rcx
	jnz	1b
6:	vzeroupper
	ret
	.balign 32
scalesumsI32Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
