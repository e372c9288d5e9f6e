// Integer matrix products with AVX2: 6 rows by 16 columns. Bytes are widened to words; one dword holds two neighbouring k.
//
// mode is 0 for unsigned bytes, 1 for signed bytes, 2 for words of A (and of B); out is 0 for requantised unsigned bytes, 1 for signed
// ones, 32 for sums.
//
// rdi  arguments        rax  offset into the rows of A    ymm0-11   sums: row i, vector v in ymm(2i+v)
// rsi  B                rcx  K in bytes, down to pairs    ymm12-13  pairs of B, then scales
// rdx  Index, or 0      rbx  taps left                    ymm14-15  a pair of A; at the end, columns that exist
// r8-13 rows of A       r14-15  scratch
	.altmacro
	.include "rows.inc"

.macro dot acc, b
	vpmaddwd ymm15, ymm14, ymm\b
	vpaddd	ymm\acc, ymm\acc, ymm15
.endm
.macro columns i, vecs
	dot	%(2*\i), 12
	.if \vecs > 1
	dot	%(2*\i+1), 13
	.endif
.endm
.macro widen mode
	.if \mode == 0
	vpmovzxbw ymm14, xmm14
	.else
	vpmovsxbw ymm14, xmm14
	.endif
.endm
.macro row i, reg, mode, vecs
	.if \mode == 2
	vpbroadcastd ymm14, dword ptr [\reg + rax]
	.else
	vpbroadcastw xmm14, word ptr [\reg + rax]
	widen	\mode
	.endif
	columns	\i, \vecs
.endm
// last takes the one element that is left of an odd K; what B holds beside it is 0.
.macro last i, reg, mode, vecs
	.if \mode == 2
	vpbroadcastw ymm14, word ptr [\reg + rax]
	.else
	vpbroadcastb xmm14, byte ptr [\reg + rax]
	widen	\mode
	.endif
	columns	\i, \vecs
.endm
.macro rows what, n, mode, vecs
	.if \mode == 2
	vmovdqu	ymm12, [rsi]
	.if \vecs > 1
	vmovdqu	ymm13, [rsi + 32]
	.endif
	add	rsi, 64
	.else
	vpmovsxbw ymm12, [rsi]
	.if \vecs > 1
	vpmovsxbw ymm13, [rsi + 16]
	.endif
	add	rsi, 32
	.endif
	\what	0, r8, \mode, \vecs
	.if \n > 1
	\what	1, r9, \mode, \vecs
	.endif
	.if \n > 2
	\what	2, r10, \mode, \vecs
	\what	3, r11, \mode, \vecs
	.endif
	.if \n > 4
	\what	4, r12, \mode, \vecs
	\what	5, r13, \mode, \vecs
	.endif
.endm

// products adds all taps to the sums of a tile.
.macro products n, mode, vecs, end
	.balign 32
3:	rows_of_tap 6
	and	rcx, -2
	.if \mode == 2
	add	rcx, rcx
	.else
	test	rcx, rcx
	.endif
	jz	5f
	.balign 32
4:	rows	row, \n, \mode, \vecs
	.if \mode == 2
	add	rax, 4
	.else
	add	rax, 2
	.endif
	cmp	rax, rcx
	jb	4b
5:	test	byte ptr [rdi + GemmArgs_K], 1
	jz	6f
	rows	last, \n, \mode, \vecs
6:	dec	rbx
	jnz	3b
	jmp	\end
.endm

.macro copy to, from
	vmovdqa	ymm\to, ymm\from
.endm
.macro copies i
	copy	%(2*\i), 0
	copy	%(2*\i+1), 1
.endm

// masks sets ymm14-15 by the number of columns in rcx; it uses rax, rbx and rdx.
.macro masks data
	lea	rax, [rip + \data + 32]
	mov	ebx, 8
	mov	rdx, rcx
	cmp	rdx, rbx
	cmovg	rdx, rbx
	neg	rdx
	vmovdqu	ymm14, [rax + 4*rdx]
	mov	rdx, rcx
	sub	rdx, rbx
	mov	ebx, 0
	cmovl	rdx, rbx
	neg	rdx
	vmovdqu	ymm15, [rax + 4*rdx]
.endm

// quantise takes ymm14-15 for the bounds less the zero point, and adds the latter from ymm12 after the scales were used.
.macro scaled acc, scale
	vcvtdq2ps ymm\acc, ymm\acc
	vmulps	ymm\acc, ymm\acc, ymm\scale
	vmaxps	ymm\acc, ymm\acc, ymm14
	vminps	ymm\acc, ymm\acc, ymm15
	vcvtps2dq ymm\acc, ymm\acc
.endm
.macro scale i
	scaled	%(2*\i), 12
	scaled	%(2*\i+1), 13
.endm
// narrow leaves the 16 bytes of a row in its first register.
.macro narrowed out, a, b
	vpaddd	ymm\a, ymm\a, ymm12
	vpaddd	ymm\b, ymm\b, ymm12
	vpackssdw ymm\a, ymm\a, ymm\b
	vpermq	ymm\a, ymm\a, 0xd8
	vextracti128 xmm\b, ymm\a, 1
	.if \out == 0
	vpackuswb xmm\a, xmm\a, xmm\b
	.else
	vpacksswb xmm\a, xmm\a, xmm\b
	.endif
	test	r14d, 16
	jz	1f
	vmovdqu	[rsi], xmm\a
	jmp	5f
1:	mov	r15, rsi
	test	r14d, 8
	jz	2f
	vmovq	[r15], xmm\a
	vpsrldq	xmm\a, xmm\a, 8
	add	r15, 8
2:	test	r14d, 4
	jz	3f
	vmovd	[r15], xmm\a
	vpsrldq	xmm\a, xmm\a, 4
	add	r15, 4
3:	test	r14d, 2
	jz	4f
	vpextrw	[r15], xmm\a, 0
	vpsrldq	xmm\a, xmm\a, 2
	add	r15, 2
4:	test	r14d, 1
	jz	5f
	vpextrb	[r15], xmm\a, 0
5:
.endm
.macro summed a, b
	vpmaskmovd [rsi], ymm14, ymm\a
	vpmaskmovd [rsi + 32], ymm15, ymm\b
.endm
.macro store out, i, done
	.if \out == 32
	summed	%(2*\i), %(2*\i+1)
	.else
	narrowed \out, %(2*\i), %(2*\i+1)
	.endif
	cmp	rax, \i+1
	jle	\done
	add	rsi, rcx
.endm

.macro tiles mode, vecs, end
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rax, 1
	je	11f
	cmp	rax, 2
	je	12f
	cmp	rax, 4
	jle	14f
	products 6, \mode, \vecs, \end
11:	products 1, \mode, \vecs, \end
12:	products 2, \mode, \vecs, \end
14:	products 4, \mode, \vecs, \end
.endm

.macro routine mode, out, data, two, end, done
	mov	rsi, [rdi + GemmArgs_B]
	mov	rcx, [rdi + GemmArgs_Cols]
	vpxor	xmm0, xmm0, xmm0
	vpxor	xmm1, xmm1, xmm1
	mov	r8, [rdi + GemmArgs_Bias]
	test	r8, r8
	jz	1f
	masks	\data
	vpmaskmovd ymm0, ymm14, [r8]
	vpmaskmovd ymm1, ymm15, [r8 + 32]
1:
	.irp	i, 1, 2, 3, 4, 5
	copies	\i
	.endr
	mov	rdx, [rdi + GemmArgs_Index]
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	\end
	cmp	rcx, 8
	jg	\two
	tiles	\mode, 1, \end
\two:	tiles	\mode, 2, \end
\end:	mov	rcx, [rdi + GemmArgs_Cols]
	masks	\data
	.if \out != 32
	mov	r14, rcx
	mov	r8, [rdi + GemmArgs_Scale]
	vmaskmovps ymm12, ymm14, [r8]
	vmaskmovps ymm13, ymm15, [r8 + 32]
	mov	eax, [rdi + GemmArgs_QLo]
	sub	eax, [rdi + GemmArgs_OutZero]
	vmovd	xmm14, eax
	mov	eax, [rdi + GemmArgs_QHi]
	sub	eax, [rdi + GemmArgs_OutZero]
	vmovd	xmm15, eax
	vcvtdq2ps xmm14, xmm14
	vcvtdq2ps xmm15, xmm15
	vbroadcastss ymm14, xmm14
	vbroadcastss ymm15, xmm15
	.irp	i, 0, 1, 2, 3, 4, 5
	scale	\i
	.endr
	vpbroadcastd ymm12, dword ptr [rdi + GemmArgs_OutZero]
	.endif
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	.if \out == 32
	shl	rcx, 2
	.endif
	mov	rax, [rdi + GemmArgs_Rows]
	.irp	i, 0, 1, 2, 3, 4, 5
	store	\out, \i, \done
	.endr
\done:	vzeroupper
	ret
	.balign 32
\data:	.fill	8, 4, -1
	.fill	8, 4, 0
.endm

// func gemmI8QYmm6x16(a *spec.GemmArgs)
	.balign 64
gemmI8QYmm6x16:
	routine	1, 1, gemmI8QYmm6x16.data, .Ltwo0, .Lend0, .Ldone0

// func gemmU8I8QYmm6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8QYmm6x16:
	routine	0, 0, gemmU8I8QYmm6x16.data, .Ltwo1, .Lend1, .Ldone1

// func gemmI16QI8Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmI16QI8Ymm6x16:
	routine	2, 1, gemmI16QI8Ymm6x16.data, .Ltwo2, .Lend2, .Ldone2

// func gemmI16QU8Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmI16QU8Ymm6x16:
	routine	2, 0, gemmI16QU8Ymm6x16.data, .Ltwo3, .Lend3, .Ldone3

// func gemmI8Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmI8Ymm6x16:
	routine	1, 32, gemmI8Ymm6x16.data, .Ltwo4, .Lend4, .Ldone4

// func gemmU8I8Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8Ymm6x16:
	routine	0, 32, gemmU8I8Ymm6x16.data, .Ltwo5, .Lend5, .Ldone5

// func gemmI16Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmI16Ymm6x16:
	routine	2, 32, gemmI16Ymm6x16.data, .Ltwo6, .Lend6, .Ldone6
