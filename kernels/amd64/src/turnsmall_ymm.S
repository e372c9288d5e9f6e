// Transposition of elements of 1 and 2 bytes with AVX2, 16 rows at once: lanes of 16 bytes from the first 8 rows and the last 8 are interleaved. Where
// rows or columns are no multiple, those at the end are done again.
//
// rdi  arguments    rsi  X            ymm0-15  rows, then between, then columns
// rdx  Y            rcx  columns left
// r8   XStride      r9   YStride      r10  what lies between the first rows and the last 8 in X    r11  the same in Y
// rbx  Rows         r12  3 * XStride  rax, r13  scratch
	.altmacro

.macro load i
	.if \i % 4 == 0
	load_	\i, rax
	.elseif \i % 4 == 1
	load_	\i, rax + r8
	.elseif \i % 4 == 2
	load_	\i, rax + 2*r8
	.else
	load_	\i, rax + r12
	.endif
.endm
.macro load_ i, at:vararg
	vmovdqu	xmm\i, [\at]
.endm
.macro insert i
	.if \i % 4 == 0
	vinserti128 ymm\i, ymm\i, [rax], 1
	.elseif \i % 4 == 1
	vinserti128 ymm\i, ymm\i, [rax + r8], 1
	.elseif \i % 4 == 2
	vinserti128 ymm\i, ymm\i, [rax + 2*r8], 1
	.else
	vinserti128 ymm\i, ymm\i, [rax + r12], 1
	.endif
	.if \i == 3
	lea	rax, [rax + 4*r8]
	.endif
.endm

.macro weave what, a, b, lo, hi
	vpunpckl\what ymm\lo, ymm\a, ymm\b
	vpunpckh\what ymm\hi, ymm\a, ymm\b
.endm
.macro stage what, from, to
	.set	.Lp, 0
	.rept	4
	weave	\what, %\from+.Lp, %\from+.Lp+4, %\to+2*.Lp, %\to+2*.Lp+1
	.set	.Lp, .Lp+1
	.endr
.endm

// store1 writes two columns of bytes, store2 a column of words.
.macro store1 i
	vextracti128 xmm0, ymm\i, 1
	vmovq	[rdx], xmm\i
	vmovq	[rdx + r11], xmm0
	add	rdx, r9
	vmovhps	[rdx], xmm\i
	vmovhps	[rdx + r11], xmm0
	add	rdx, r9
.endm
.macro store2 i
	vmovdqu	[rdx], xmm\i
	vextracti128 [rdx + r11], ymm\i, 1
	add	rdx, r9
.endm

// turn makes a kernel of n columns at once, of elements of some bytes.
.macro turn name, n, bytes, what, reg
	.balign 64
\name:
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Cols]
	mov	rbx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_XStride]
	mov	r9, [rdi + RowsArgs_YStride]
	lea	r12, [r8 + 2*r8]
	cmp	rcx, \n
	jl	5f
	cmp	rbx, 8
	jl	5f
	lea	r11, [rbx - 8]
	mov	r10, r11
	imul	r10, r8
	.if \bytes == 2
	add	r11, r11
	.endif
1:	mov	rax, rsi
	.irp	i, 0, 1, 2, 3
	load	\i
	.endr
	lea	rax, [rax + 4*r8]
	.irp	i, 4, 5, 6, 7
	load	\i
	.endr
	lea	rax, [rsi + r10]
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	insert	\i
	.endr
	stage	\what, 0, 8
	stage	\what, 8, 0
	stage	\what, 0, 8
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	store\bytes \i
	.endr
	sub	rcx, \n
	jle	4f
	add	rsi, 16
	cmp	rcx, \n
	jge	1b
	// The last columns begin early.
	mov	rax, rcx
	sub	rax, \n
	mov	rcx, \n
	.if \bytes == 2
	lea	rsi, [rsi + 2*rax]
	.else
	add	rsi, rax
	.endif
	imul	rax, r9
	add	rdx, rax
	jmp	1b
	// Few rows or columns go element by element.
5:	dec	rcx
	js	4f
	mov	rax, rsi
	mov	r10, rdx
	mov	r11, rbx
6:	dec	r11
	js	7f
	.if \bytes == 2
	movzx	r13d, word ptr [rax]
	.else
	movzx	r13d, byte ptr [rax]
	.endif
	mov	[r10], \reg
	add	rax, r8
	add	r10, \bytes
	jmp	6b
7:	add	rsi, \bytes
	add	rdx, r9
	jmp	5b
4:	vzeroupper
	ret
.endm

// func turn1x16Ymm(a *spec.RowsArgs)
	turn	turn1x16Ymm, 16, 1, bw, r13b
// func turn2x16Ymm(a *spec.RowsArgs)
	turn	turn2x16Ymm, 8, 2, wd, r13w
