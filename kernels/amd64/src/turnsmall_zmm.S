// Transposition of elements of 1 and 2 bytes with AVX-512: lanes of 16 bytes from rows that lie a lane's rows apart are interleaved until each register
// holds a column.
//
// rdi  arguments    rsi  X             zmm0-15   rows, then between, then columns
// rdx  Y            rcx  columns left  zmm16-31  between
// r8   XStride      r9   YStride       k1  columns that exist, as elements   k2  rows that exist
// rbx  Rows - 1     r12  3 * XStride   rax, r10, r11  scratch
	.altmacro

// full loads row i of a lane; four addresses are made of each rax.
.macro full i, lane
	.if \i % 4 == 0
	source	\i, \lane, [rax]
	.elseif \i % 4 == 1
	source	\i, \lane, [rax + r8]
	.elseif \i % 4 == 2
	source	\i, \lane, [rax + 2*r8]
	.else
	source	\i, \lane, [rax + r12]
	lea	rax, [rax + 4*r8]
	.endif
.endm
.macro source i, lane, at:vararg
	.if \lane == 0
	vmovdqu	xmm\i, \at
	.else
	vinserti32x4 zmm\i, zmm\i, \at, \lane
	.endif
.endm

// part loads row i of a lane of n rows or, where there is none, the last row.
.macro part i, lane, n, size
	mov	r11d, \lane*\n + \i
	cmp	r11, rbx
	cmovg	r11, rbx
	imul	r11, r8
	.if \lane == 0
	vmovdqu\size xmm\i{k1}{z}, [rsi + r11]
	.else
	vmovdqu\size xmm31{k1}{z}, [rsi + r11]
	vinserti32x4 zmm\i, zmm\i, xmm31, \lane
	.endif
.endm

// weave makes registers to and to+1 of a and b.
.macro weave what, a, b, to
	.altmacro
	weave_	\what, \a, \b, \to, %\to+1
.endm
.macro weave_ what, a, b, lo, hi
	vpunpckl\what zmm\lo, zmm\a, zmm\b
	vpunpckh\what zmm\hi, zmm\a, zmm\b
.endm
// stage weaves half registers from one place on with as many behind them, to another place.
.macro stage what, half, from, to
	.set	.Lp, 0
	.rept	\half
	weave	\what, %\from+.Lp, %\from+.Lp+\half, %\to+2*.Lp
	.set	.Lp, .Lp+1
	.endr
.endm

.macro store i, size
	vmovdqu\size [rdx]{k2}, zmm\i
	add	rdx, r9
	dec	r10
	jz	4f
.endm

// turn makes a kernel for lanes of n rows and n columns of elements of some bits; letters name what is woven.
.macro turn name, n, size, what
	.balign 64
\name:
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Cols]
	mov	rbx, [rdi + RowsArgs_Rows]
	mov	r8, [rdi + RowsArgs_XStride]
	mov	r9, [rdi + RowsArgs_YStride]
	mov	rax, -1
	bzhi	r10, rax, rbx
	kmovq	k2, r10
	lea	r12, [r8 + 2*r8]
	dec	rbx
	js	5f
1:	test	rcx, rcx
	jle	5f
	cmp	rcx, \n
	jl	2f
	cmp	rbx, 4*\n - 1
	jne	2f
	mov	rax, rsi
	.irp	lane, 0, 1, 2, 3
	.set	.Lr, 0
	.rept	\n
	full	%.Lr, \lane
	.set	.Lr, .Lr+1
	.endr
	.endr
	jmp	3f
2:	mov	rax, -1
	bzhi	r10, rax, rcx
	cmp	rcx, 64
	cmovge	r10, rax
	kmovq	k1, r10
	.irp	lane, 0, 1, 2, 3
	.if \lane > 0
	cmp	rbx, \lane*\n
	jl	3f
	.endif
	.set	.Lr, 0
	.rept	\n
	part	%.Lr, \lane, \n, \size
	.set	.Lr, .Lr+1
	.endr
	.endr
3:	.if \n == 16
	stage	\what, 8, 0, 16
	stage	\what, 8, 16, 0
	stage	\what, 8, 0, 16
	stage	\what, 8, 16, 0
	.else
	stage	\what, 4, 0, 8
	stage	\what, 4, 8, 0
	stage	\what, 4, 0, 8
	.endif
	mov	r10, rcx
	mov	r11d, \n
	cmp	r10, r11
	cmovg	r10, r11
	.set	.Lr, 0
	.rept	\n
	.if \n == 16
	store	%.Lr, \size
	.else
	store	%.Lr+8, \size
	.endif
	.set	.Lr, .Lr+1
	.endr
4:	add	rsi, 16
	sub	rcx, \n
	jmp	1b
5:	vzeroupper
	ret
.endm

// func turn1x64Zmm(a *spec.RowsArgs)
	turn	turn1x64Zmm, 16, 8, bw
// func turn2x32Zmm(a *spec.RowsArgs)
	turn	turn2x32Zmm, 8, 16, wd
