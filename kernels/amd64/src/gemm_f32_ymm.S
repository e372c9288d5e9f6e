// FP32 matrix product with AVX2 and FMA: 6 rows by 16 columns.
//
// rdi  arguments        rax  offset into the rows of A    ymm0-11   sums: row i, vector v in ymm(2i+v)
// rsi  B                rcx  K in bytes                   ymm12-13  a row of B, then bounds
// rdx  Index, or 0      rbx  taps left                    ymm14     an element of A
// r8-13 rows of A                                         ymm14-15  at the end: columns that exist
	.altmacro
	.include "rows.inc"

.macro fma acc, b
	vfmadd231ps ymm\acc, ymm14, ymm\b
.endm
.macro row i, reg, vecs
	vbroadcastss ymm14, dword ptr [\reg + rax]
	fma	%(2*\i), 12
	.if \vecs > 1
	fma	%(2*\i+1), 13
	.endif
.endm

// products adds all taps to the sums of a tile.
.macro products rows, vecs
	.balign 32
3:	rows_of_tap 6
	shl	rcx, 2
	jz	5f
	.balign 32
4:	vmovups	ymm12, [rsi]
	.if \vecs > 1
	vmovups	ymm13, [rsi + 32]
	.endif
	add	rsi, 64
	row	0, r8, \vecs
	.if \rows > 1
	row	1, r9, \vecs
	.endif
	.if \rows > 2
	row	2, r10, \vecs
	row	3, r11, \vecs
	.endif
	.if \rows > 4
	row	4, r12, \vecs
	row	5, r13, \vecs
	.endif
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	dec	rbx
	jnz	3b
	jmp	.Lstore
.endm

.macro copy to, from
	vmovaps	ymm\to, ymm\from
.endm
.macro copies i
	copy	%(2*\i), 0
	copy	%(2*\i+1), 1
.endm

.macro bound acc, mask, at
	vmaxps	ymm\acc, ymm12, ymm\acc
	vminps	ymm\acc, ymm13, ymm\acc
	vmaskmovps [rsi + \at], ymm\mask, ymm\acc
.endm
.macro store i
	bound	%(2*\i), 14, 0
	bound	%(2*\i+1), 15, 32
	cmp	rax, \i+1
	jle	.Ldone
	add	rsi, rcx
.endm

// masks sets ymm14-15 by the number of columns in rcx; it uses rax, rbx and rdx.
.macro masks
	lea	rax, [rip + gemmF32Ymm6x16.data + 32]
	mov	ebx, 8
	mov	rdx, rcx
	cmp	rdx, rbx
	cmovg	rdx, rbx
	neg	rdx
	vmovups	ymm14, [rax + 4*rdx]
	mov	rdx, rcx
	sub	rdx, rbx
	mov	ebx, 0
	cmovl	rdx, rbx
	neg	rdx
	vmovups	ymm15, [rax + 4*rdx]
.endm

// begin has the sums of row i begin with that row of Bias; r8 is the row before, r9 the step, r10 the number of rows.
.macro begin i
	cmp	r10, \i
	jle	3f
	add	r8, r9
	load	%(2*\i), 14, 0
	load	%(2*\i+1), 15, 32
.endm
.macro load acc, mask, at
	vmaskmovps ymm\acc, ymm\mask, [r8 + \at]
.endm

// func gemmF32Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmF32Ymm6x16:
	mov	rsi, [rdi + GemmArgs_B]
	mov	rcx, [rdi + GemmArgs_Cols]
	vxorps	xmm0, xmm0, xmm0
	vxorps	xmm1, xmm1, xmm1
	mov	r8, [rdi + GemmArgs_Bias]
	test	r8, r8
	jz	1f
	masks
	vmaskmovps ymm0, ymm14, [r8]
	vmaskmovps ymm1, ymm15, [r8 + 32]
1:	copies	1
	copies	2
	copies	3
	copies	4
	copies	5
	mov	r9, [rdi + GemmArgs_BiasStride]
	test	r9, r9
	jz	3f
	shl	r9, 2
	mov	r10, [rdi + GemmArgs_Rows]
	.irp	i, 1, 2, 3, 4, 5
	begin	\i
	.endr
3:	mov	rdx, [rdi + GemmArgs_Index]
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	.Lstore
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rcx, 8
	jg	.Ltwo
	cmp	rax, 1
	je	.L1x1
	cmp	rax, 2
	je	.L2x1
	cmp	rax, 4
	jle	.L4x1
	products 6, 1
.L1x1:	products 1, 1
.L2x1:	products 2, 1
.L4x1:	products 4, 1
.Ltwo:	cmp	rax, 1
	je	.L1x2
	cmp	rax, 2
	je	.L2x2
	cmp	rax, 4
	jle	.L4x2
	products 6, 2
.L1x2:	products 1, 2
.L2x2:	products 2, 2
.L4x2:	products 4, 2

.Lstore:
	mov	rcx, [rdi + GemmArgs_Cols]
	masks
	vbroadcastss ymm12, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss ymm13, dword ptr [rdi + GemmArgs_Hi]
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	shl	rcx, 2
	mov	rax, [rdi + GemmArgs_Rows]
	store	0
	store	1
	store	2
	store	3
	store	4
	bound	10, 14, 0
	bound	11, 15, 32
.Ldone:
	vzeroupper
	ret
	.balign 32
gemmF32Ymm6x16.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
