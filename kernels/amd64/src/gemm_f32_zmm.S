// FP32 matrix product with AVX-512: 8 rows by 48 columns.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K in bytes                   zmm24-26  a row of B
// rdx  Index, or 0      rbx  taps left                    zmm27     an element of A
// r8-15 rows of A       k1-3 columns that exist           zmm29-30  bounds
	.altmacro

	.include "rows.inc"

// halves counts the columns of a tile in eights: full vectors, and a half one where it is odd.
.macro fma acc, b
	vfmadd231ps zmm\acc, zmm27, zmm\b
.endm
.macro fmahalf acc, b
	vfmadd231ps ymm\acc, ymm27, ymm\b
.endm
.macro row i, reg, halves, at
	.if \halves == 1
	vbroadcastss ymm27, dword ptr [\reg + rax + \at]
	fmahalf	%(3*\i), 24
	.else
	vbroadcastss zmm27, dword ptr [\reg + rax + \at]
	fma	%(3*\i), 24
	.endif
	.if \halves == 3
	fmahalf	%(3*\i+1), 25
	.elseif \halves > 3
	fma	%(3*\i+1), 25
	.endif
	.if \halves == 5
	fmahalf	%(3*\i+2), 26
	.elseif \halves > 5
	fma	%(3*\i+2), 26
	.endif
.endm

// step adds the products of the k that lies u steps on.
.macro step rows, halves, u
	.if \halves == 1
	vmovups	ymm24, [rsi + 192*\u]
	.else
	vmovups	zmm24, [rsi + 192*\u]
	.endif
	.if \halves == 3
	vmovups	ymm25, [rsi + 192*\u + 64]
	.elseif \halves > 3
	vmovups	zmm25, [rsi + 192*\u + 64]
	.endif
	.if \halves == 5
	vmovups	ymm26, [rsi + 192*\u + 128]
	.elseif \halves > 5
	vmovups	zmm26, [rsi + 192*\u + 128]
	.endif
	row	0, r8, \halves, 4*\u
	.if \rows > 1
	row	1, r9, \halves, 4*\u
	.endif
	.if \rows > 2
	row	2, r10, \halves, 4*\u
	row	3, r11, \halves, 4*\u
	.endif
	.if \rows > 4
	row	4, r12, \halves, 4*\u
	row	5, r13, \halves, 4*\u
	row	6, r14, \halves, 4*\u
	row	7, r15, \halves, 4*\u
	.endif
.endm

// products adds all taps to the sums of a tile. Tiles of all rows take eight steps at a time, and fetch what comes next of each row and, where all
// columns exist, lines of B by GemmArgs.Ahead: what comes next may lie behind the caches, and be too short for the processor to see it coming.
.macro products rows, halves
	.balign 32
3:	rows_of_tap 8
	shl	rcx, 2
	.if \rows == 8
	sub	rcx, 32
	jl	7f
	.if \halves == 6
	vmovq	xmm31, rdx
	mov	rdx, [rdi + GemmArgs_Ahead]
	.endif
	.balign 32
6:
	ahead	\halves, 0, r8
	ahead	\halves, 1, r9
	ahead	\halves, 2, r10
	ahead	\halves, 3, r11
	ahead	\halves, 4, r12
	ahead	\halves, 5, r13
	ahead	\halves, 6, r14
	ahead	\halves, 7, r15
	add	rsi, 8*192
	add	rax, 32
	cmp	rax, rcx
	jle	6b
	.if \halves == 6
	vmovq	rdx, xmm31
	.endif
7:	add	rcx, 32
	.endif
	cmp	rax, rcx
	jae	5f
	.balign 32
4:	step	\rows, \halves, 0
	add	rsi, 192
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	dec	rbx
	jnz	3b
	jmp	.Lstore
.endm
.macro ahead halves, u, reg
	prefetcht0 [\reg + rax + 64]
	.if \halves == 6
	prefetcht1 [rsi + rdx + 192*\u]
	.endif
	step	8, \halves, \u
.endm

.macro tiles halves
	cmp	rax, 1
	je	11f
	cmp	rax, 2
	je	12f
	cmp	rax, 4
	jle	14f
	products 8, \halves
11:	products 1, \halves
12:	products 2, \halves
14:	products 4, \halves
.endm

.macro copy to, from
	vmovaps	zmm\to, zmm\from
.endm
.macro copies i
	copy	%(3*\i), 0
	copy	%(3*\i+1), 1
	copy	%(3*\i+2), 2
.endm

.macro bound acc, mask, at
	vmaxps	zmm\acc, zmm29, zmm\acc
	vminps	zmm\acc, zmm30, zmm\acc
	vmovups	[rsi + \at]{\mask}, zmm\acc
.endm
.macro store i, vecs
	bound	%(3*\i), k1, 0
	.if \vecs > 1
	bound	%(3*\i+1), k2, 64
	.endif
	.if \vecs > 2
	bound	%(3*\i+2), k3, 128
	.endif
	cmp	rax, \i+1
	jle	.Ldone
	add	rsi, rcx
.endm
.macro stores vecs
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	store	\i, \vecs
	.endr
.endm

// begin has the sums of row i begin with that row of Bias; rax is the row before, rbx the step, r8 the number of rows.
.macro begin i
	cmp	r8, \i
	jle	3f
	add	rax, rbx
	load	%(3*\i), k1, 0
	load	%(3*\i+1), k2, 64
	load	%(3*\i+2), k3, 128
.endm
.macro load acc, mask, at
	vmovups	zmm\acc{\mask}{z}, [rax + \at]
.endm

// func gemmF32Zmm8x48(a *spec.GemmArgs)
	.balign 64
gemmF32Zmm8x48:
	mov	rsi, [rdi + GemmArgs_B]
	mov	rdx, [rdi + GemmArgs_Index]
	mov	rcx, [rdi + GemmArgs_Cols]
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
	shr	rax, 16
	kmovw	k2, eax
	shr	rax, 16
	kmovw	k3, eax
	mov	rax, [rdi + GemmArgs_Bias]
	test	rax, rax
	jz	1f
	vmovups	zmm0{k1}{z}, [rax]
	vmovups	zmm1{k2}{z}, [rax + 64]
	vmovups	zmm2{k3}{z}, [rax + 128]
	jmp	2f
1:	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	vpxord	zmm2, zmm2, zmm2
2:	copies	1
	copies	2
	copies	3
	copies	4
	copies	5
	copies	6
	copies	7
	mov	rbx, [rdi + GemmArgs_BiasStride]
	test	rbx, rbx
	jz	3f
	shl	rbx, 2
	mov	r8, [rdi + GemmArgs_Rows]
	.irp	i, 1, 2, 3, 4, 5, 6, 7
	begin	\i
	.endr
3:	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	.Lstore
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rcx, 40
	jg	.Lsix
	cmp	rcx, 32
	jg	.Lfive
	cmp	rcx, 24
	jg	.Lfour
	cmp	rcx, 16
	jg	.Lthree
	cmp	rcx, 8
	jg	.Ltwo
	tiles	1
.Ltwo:	tiles	2
.Lthree: tiles	3
.Lfour:	tiles	4
.Lfive:	tiles	5
.Lsix:	tiles	6

.Lstore:
	vbroadcastss zmm29, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss zmm30, dword ptr [rdi + GemmArgs_Hi]
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	shl	rcx, 2
	mov	rax, [rdi + GemmArgs_Rows]
	kortestw k3, k3
	jnz	.Lstore3
	kortestw k2, k2
	jnz	.Lstore2
	stores	1
.Lstore2: stores 2
.Lstore3: stores 3
.Ldone:
	vzeroupper
	ret
