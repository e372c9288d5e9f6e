// Transposition of elements of 4 bytes with AVX2, 8 by 8 at once.
//
// rdi  arguments    rsi  X             ymm0-7   rows; then ymm0 rows that exist
// rdx  Y            rcx  columns left  ymm8-15  columns; before, ymm15 columns that exist
// r8   XStride      r9   YStride       rbx  Rows   rax, r10-13  scratch
	.altmacro
	.include "ymm.inc"

.macro unpack1 a, b, lo, hi
	vunpcklps ymm\lo, ymm\a, ymm\b
	vunpckhps ymm\hi, ymm\a, ymm\b
.endm
.macro unpack2 a, b, lo, hi
	vunpcklpd ymm\lo, ymm\a, ymm\b
	vunpckhpd ymm\hi, ymm\a, ymm\b
.endm
.macro halves a, b, lo, hi
	vperm2f128 ymm\lo, ymm\a, ymm\b, 0x20
	vperm2f128 ymm\hi, ymm\a, ymm\b, 0x31
.endm

.macro load i
	cmp	rbx, \i
	jle	3f
	vmaskmovps ymm\i, ymm15, [rax]
	add	rax, r8
.endm
.macro zero i
	vxorps	xmm\i, xmm\i, xmm\i
.endm
.macro store part, i
	.if \part
	vmaskmovps [rdx], ymm0, ymm\i
	.else
	vmovups	[rdx], ymm\i
	.endif
	add	rdx, r9
	dec	r10
	jz	5f
.endm
.macro stores part
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	store	\part, \i
	.endr
.endm

// func turn4x8Ymm(a *spec.RowsArgs)
	.balign 64
turn4x8Ymm:
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Cols]
	mov	rbx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_XStride]
	mov	r9, [rdi + RowsArgs_YStride]
	lea	r11, [rip + turn4x8Ymm.data + 32]
1:	test	rcx, rcx
	jle	6f
	mask	15, rcx, 0, r11, r12, r13
	mov	rax, rsi
	.irp	i, 1, 2, 3, 4, 5, 6, 7
	zero	\i
	.endr
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	load	\i
	.endr
3:	unpack1	0, 1, 8, 9
	unpack1	2, 3, 10, 11
	unpack1	4, 5, 12, 13
	unpack1	6, 7, 14, 15
	unpack2	8, 10, 0, 1
	unpack2	9, 11, 2, 3
	unpack2	12, 14, 4, 5
	unpack2	13, 15, 6, 7
	halves	0, 4, 8, 12
	halves	1, 5, 9, 13
	halves	2, 6, 10, 14
	halves	3, 7, 11, 15
	mov	r10, rcx
	mov	r12d, 8
	cmp	r10, r12
	cmovg	r10, r12
	cmp	rbx, 8
	jl	4f
	stores	0
4:	mask	0, rbx, 0, r11, r12, r13
	stores	1
5:	add	rsi, 32
	sub	rcx, 8
	jmp	1b
6:	vzeroupper
	ret
	.balign 32
turn4x8Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
