// FP32 matrix product with AVX-512: 8 rows by 48 columns.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K in bytes                   zmm24-26  a row of B
// rdx  Index, or 0      rbx  taps left                    zmm27     an element of A
// r8-15 rows of A       k1-3 columns that exist           zmm29-30  bounds
	.altmacro

	.include "rows.inc"

.macro fma acc, b
	vfmadd231ps zmm\acc, zmm27, zmm\b
.endm
.macro row i, reg, vecs
	vbroadcastss zmm27, dword ptr [\reg + rax]
	fma	%(3*\i), 24
	.if \vecs > 1
	fma	%(3*\i+1), 25
	.endif
	.if \vecs > 2
	fma	%(3*\i+2), 26
	.endif
.endm

// products adds all taps to the sums of a tile.
.macro products rows, vecs
	.balign 32
3:	rows_of_tap 8
	shl	rcx, 2
	test	rcx, rcx
	jz	5f
	.balign 32
4:	vmovups	zmm24, [rsi]
	.if \vecs > 1
	vmovups	zmm25, [rsi + 64]
	.endif
	.if \vecs > 2
	vmovups	zmm26, [rsi + 128]
	.endif
	add	rsi, 192
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
	row	6, r14, \vecs
	row	7, r15, \vecs
	.endif
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	dec	rbx
	jnz	3b
	jmp	.Lstore
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
.macro store i
	bound	%(3*\i), k1, 0
	bound	%(3*\i+1), k2, 64
	bound	%(3*\i+2), k3, 128
	cmp	rax, \i+1
	jle	.Ldone
	add	rsi, rcx
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
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	.Lstore
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rcx, 32
	jg	.Lthree
	cmp	rcx, 16
	jg	.Ltwo
	cmp	rax, 1
	je	.L1x1
	cmp	rax, 2
	je	.L2x1
	cmp	rax, 4
	jle	.L4x1
	products 8, 1
.L1x1:	products 1, 1
.L2x1:	products 2, 1
.L4x1:	products 4, 1
.Ltwo:	cmp	rax, 1
	je	.L1x2
	cmp	rax, 2
	je	.L2x2
	cmp	rax, 4
	jle	.L4x2
	products 8, 2
.L1x2:	products 1, 2
.L2x2:	products 2, 2
.L4x2:	products 4, 2
.Lthree: cmp	rax, 1
	je	.L1x3
	cmp	rax, 2
	je	.L2x3
	cmp	rax, 4
	jle	.L4x3
	products 8, 3
.L1x3:	products 1, 3
.L2x3:	products 2, 3
.L4x3:	products 4, 3

.Lstore:
	vbroadcastss zmm29, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss zmm30, dword ptr [rdi + GemmArgs_Hi]
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	shl	rcx, 2
	mov	rax, [rdi + GemmArgs_Rows]
	store	0
	store	1
	store	2
	store	3
	store	4
	store	5
	store	6
	bound	21, k1, 0
	bound	22, k2, 64
	bound	23, k3, 128
.Ldone:
	vzeroupper
	ret
