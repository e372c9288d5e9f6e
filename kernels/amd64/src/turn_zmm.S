// Transposition of elements of 4 bytes with AVX-512, 16 by 16 at once.
//
// rdi  arguments    rsi  X           zmm0-15   rows, then columns
// rdx  Y            rcx  columns left zmm16-31 between
// r8   XStride      r9   YStride      k1  columns that exist   k2  rows that exist
// rbx  Rows         rax, r10, r11  scratch
	.altmacro

.macro unpack1 a, b, lo, hi
	vunpcklps zmm\lo, zmm\a, zmm\b
	vunpckhps zmm\hi, zmm\a, zmm\b
.endm
.macro unpack2 a, b, lo, hi
	vunpcklpd zmm\lo, zmm\a, zmm\b
	vunpckhpd zmm\hi, zmm\a, zmm\b
.endm
.macro lanes a, b, even, odd
	vshuff32x4 zmm\even, zmm\a, zmm\b, 0x88
	vshuff32x4 zmm\odd, zmm\a, zmm\b, 0xdd
.endm

.macro load i
	cmp	rbx, \i
	jle	3f
	vmovups	zmm\i{k1}{z}, [rax]
	add	rax, r8
.endm
.macro zero i
	vpxord	zmm\i, zmm\i, zmm\i
.endm
.macro store i
	vmovups	[rdx]{k2}, zmm\i
	add	rdx, r9
	dec	r10
	jz	4f
.endm

// func turn4x16Zmm(a *spec.RowsArgs)
	.balign 64
turn4x16Zmm:
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Cols]
	mov	rbx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_XStride]
	mov	r9, [rdi + RowsArgs_YStride]
	mov	rax, -1
	bzhi	r10, rax, rbx
	kmovw	k2, r10d
	mov	r10d, 0xffff
	kmovw	k1, r10d
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	5f
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
2:	mov	rax, rsi
	.irp	i, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	zero	\i
	.endr
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	load	\i
	.endr
3:	unpack1	0, 1, 16, 17
	unpack1	2, 3, 18, 19
	unpack1	4, 5, 20, 21
	unpack1	6, 7, 22, 23
	unpack1	8, 9, 24, 25
	unpack1	10, 11, 26, 27
	unpack1	12, 13, 28, 29
	unpack1	14, 15, 30, 31
	unpack2	16, 18, 0, 1
	unpack2	17, 19, 2, 3
	unpack2	20, 22, 4, 5
	unpack2	21, 23, 6, 7
	unpack2	24, 26, 8, 9
	unpack2	25, 27, 10, 11
	unpack2	28, 30, 12, 13
	unpack2	29, 31, 14, 15
	lanes	0, 4, 16, 17
	lanes	8, 12, 18, 19
	lanes	1, 5, 20, 21
	lanes	9, 13, 22, 23
	lanes	2, 6, 24, 25
	lanes	10, 14, 26, 27
	lanes	3, 7, 28, 29
	lanes	11, 15, 30, 31
	lanes	16, 18, 0, 8
	lanes	17, 19, 4, 12
	lanes	20, 22, 1, 9
	lanes	21, 23, 5, 13
	lanes	24, 26, 2, 10
	lanes	25, 27, 6, 14
	lanes	28, 30, 3, 11
	lanes	29, 31, 7, 15
	mov	r10, rcx
	mov	r11d, 16
	cmp	r10, r11
	cmovg	r10, r11
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	store	\i
	.endr
4:	add	rsi, 64
	sub	rcx, 16
	jmp	1b
5:	vzeroupper
	ret
