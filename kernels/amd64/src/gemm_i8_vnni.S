// Integer matrix products with AVX-512 VNNI: 8 rows by 48 columns. One dword holds neighbouring k: four bytes or two words.
//
// mode is 0 for unsigned bytes, 1 and 3 for signed bytes, 2 for words of A; out is 8 for requantised bytes, 4 for floats, 32 for sums. One
// factor of bytes has to be unsigned. Mode 1 adds 128 to elements of A as it reads them. In mode 3 B holds weights plus 128, and 128 times the sum of each row of A is taken away at
// the end, which costs less where there are many k.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K in bytes, down to dwords   zmm24-26  dwords of B, then scales
// rdx  Index, or 0      rbx  taps left                    zmm27     a dword of A
// r8-15 rows of A       k1-3 columns that exist           zmm28     what makes elements of A unsigned
//                       k4   bytes of the last dword      zmm29-31  bounds less the zero point, the zero point
// Of floats, zmm27, zmm28 and zmm31 are the offsets at the end.
	.altmacro
	.include "rows.inc"

.macro dot mode, acc, b
	.if \mode == 2
	vpdpwssd zmm\acc, zmm27, zmm\b
	.elseif \mode == 3
	vpdpbusd zmm\acc, zmm\b, zmm27
	.else
	vpdpbusd zmm\acc, zmm27, zmm\b
	.endif
.endm
.macro columns i, mode, vecs
	.if \mode == 1
	vpxord	zmm27, zmm27, zmm28
	.endif
	dot	\mode, %(3*\i), 24
	.if \vecs > 1
	dot	\mode, %(3*\i+1), 25
	.endif
	.if \vecs > 2
	dot	\mode, %(3*\i+2), 26
	.endif
.endm
.macro row i, reg, mode, vecs
	vpbroadcastd zmm27, dword ptr [\reg + rax]
	columns	\i, \mode, \vecs
.endm
.macro tailrow i, reg, mode, vecs
	vmovdqu8 xmm27{k4}{z}, [\reg + rax]
	vpbroadcastd zmm27, xmm27
	columns	\i, \mode, \vecs
.endm
.macro rows what, n, mode, vecs
	vmovdqu8 zmm24, [rsi]
	.if \vecs > 1
	vmovdqu8 zmm25, [rsi + 64]
	.endif
	.if \vecs > 2
	vmovdqu8 zmm26, [rsi + 128]
	.endif
	add	rsi, 192
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
	\what	6, r14, \mode, \vecs
	\what	7, r15, \mode, \vecs
	.endif
.endm

// products adds all taps to the sums of a tile.
.macro products n, mode, vecs, end
	.balign 32
3:	rows_of_tap 8
	.if \mode == 2
	add	rcx, rcx
	.endif
	and	rcx, -4
	jz	5f
	.balign 32
4:	rows	row, \n, \mode, \vecs
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	ktestw	k4, k4
	jz	6f
	rows	tailrow, \n, \mode, \vecs
6:	dec	rbx
	jnz	3b
	jmp	\end
.endm

.macro copy to, from
	vmovdqa32 zmm\to, zmm\from
.endm
.macro copies i
	copy	%(3*\i), 0
	copy	%(3*\i+1), 1
	copy	%(3*\i+2), 2
.endm

// add2 adds the bytes of two rows to their sums, one in each half of acc, and addtail2 those that k5 tells.
.macro add2 acc, even, odd
	vmovdqu8 ymm29, [\even + rax]
	vinserti64x4 zmm29, zmm29, [\odd + rax], 1
	vpdpbusd zmm\acc, zmm24, zmm29
.endm
.macro addtail2 acc, even, odd
	vmovdqu8 ymm29{k5}{z}, [\even + rax]
	vmovdqu8 ymm30{k5}{z}, [\odd + rax]
	vinserti64x4 zmm29, zmm29, ymm30, 1
	vpdpbusd zmm\acc, zmm24, zmm29
.endm

// fold adds pairs of what two registers hold and leaves them side by side in the first.
.macro fold what, a, b
	vpunpckl\what zmm29, zmm\a, zmm\b
	vpunpckh\what zmm30, zmm\a, zmm\b
	vpaddd	zmm\a, zmm29, zmm30
.endm

.macro less i, reg
	vpsubd	zmm\i, zmm\i, zmm\reg
.endm
.macro lessrow i, reg
	less	%(3*\i), \reg
	less	%(3*\i+1), \reg
	less	%(3*\i+2), \reg
.endm
.macro lessrows pair
	vpshufd	zmm29, zmm25, 0x55*\pair
	vshufi64x2 zmm30, zmm29, zmm29, 0
	vshufi64x2 zmm29, zmm29, zmm29, 0xaa
	lessrow	%(2*\pair), 30
	lessrow	%(2*\pair+1), 29
.endm

// takeaway takes 128 times the sum of each row of A from the sums of that row; zmm24-30 are scratch.
.macro takeaway
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	7f
	mov	eax, 0x01010101
	vpbroadcastd zmm24, eax
	vpxord	zmm25, zmm25, zmm25
	vpxord	zmm26, zmm26, zmm26
	vpxord	zmm27, zmm27, zmm27
	vpxord	zmm28, zmm28, zmm28
	mov	rcx, [rdi + GemmArgs_K]
	xor	eax, eax
	cmp	rbx, 1			// whose rows are known
	je	4f
	mov	rdx, [rdi + GemmArgs_Index]
3:	rows_of_tap 8
4:	sub	rcx, 32
	jl	5f
	add2	25, r8, r9
	add2	26, r10, r11
	add2	27, r12, r13
	add2	28, r14, r15
	add	rax, 32
	jmp	4b
5:	add	rcx, 32
	jz	6f
	mov	rsi, -1
	bzhi	rsi, rsi, rcx
	kmovd	k5, esi
	addtail2 25, r8, r9
	addtail2 26, r10, r11
	addtail2 27, r12, r13
	addtail2 28, r14, r15
6:	dec	rbx
	jnz	3b
	fold	dq, 25, 26
	fold	dq, 27, 28
	fold	qdq, 25, 27
	vshufi64x2 zmm29, zmm25, zmm25, 0xb1
	vpaddd	zmm25, zmm25, zmm29
	vpslld	zmm25, zmm25, 7		// rows 0, 2, 4, 6 in the lower half, twice, and the others in the upper one
	lessrows 0
	lessrows 1
	lessrows 2
	lessrows 3
7:
.endm

.macro requantise out, acc, scale, offset, mask, at
	.if \out == 32
	vmovdqu32 [rsi + 4*\at]{\mask}, zmm\acc
	.elseif \out == 4
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vaddps	zmm\acc, zmm\acc, zmm\offset
	vmaxps	zmm\acc, zmm29, zmm\acc
	vminps	zmm\acc, zmm30, zmm\acc
	vmovups	[rsi + 4*\at]{\mask}, zmm\acc
	.else
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vmaxps	zmm\acc, zmm\acc, zmm29
	vminps	zmm\acc, zmm\acc, zmm30
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm31
	vpmovdb	[rsi + \at]{\mask}, zmm\acc
	.endif
.endm
.macro store out, i, vecs, done
	requantise \out, %(3*\i), 24, 27, k1, 0
	.if \vecs > 1
	requantise \out, %(3*\i+1), 25, 28, k2, 16
	.endif
	.if \vecs > 2
	requantise \out, %(3*\i+2), 26, 31, k3, 32
	.endif
	cmp	rax, \i+1
	jle	\done
	add	rsi, rcx
.endm
.macro stores out, vecs, done
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	store	\out, \i, \vecs, \done
	.endr
.endm

.macro tiles mode, vecs, end
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rax, 1
	je	11f
	cmp	rax, 2
	je	12f
	cmp	rax, 4
	jle	14f
	products 8, \mode, \vecs, \end
11:	products 1, \mode, \vecs, \end
12:	products 2, \mode, \vecs, \end
14:	products 4, \mode, \vecs, \end
.endm

.macro routine mode, out, two, three, end, done
	mov	rsi, [rdi + GemmArgs_B]
	mov	rdx, [rdi + GemmArgs_Index]
	mov	rcx, [rdi + GemmArgs_Cols]
	mov	rbx, -1
	bzhi	rax, rbx, rcx
	kmovw	k1, eax
	shr	rax, 16
	kmovw	k2, eax
	shr	rax, 16
	kmovw	k3, eax
	mov	rax, [rdi + GemmArgs_K]
	.if \mode == 2
	add	rax, rax
	.endif
	and	eax, 3
	bzhi	rax, rbx, rax
	kmovw	k4, eax
	.if \mode == 1
	mov	eax, 0x80808080
	vpbroadcastd zmm28, eax
	.endif
	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	vpxord	zmm2, zmm2, zmm2
	mov	rax, [rdi + GemmArgs_Bias]
	test	rax, rax
	jz	1f
	vmovdqu32 zmm0{k1}{z}, [rax]
	vmovdqu32 zmm1{k2}{z}, [rax + 64]
	vmovdqu32 zmm2{k3}{z}, [rax + 128]
1:
	.irp	i, 1, 2, 3, 4, 5, 6, 7
	copies	\i
	.endr
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	\end
	cmp	rcx, 32
	jg	\three
	cmp	rcx, 16
	jg	\two
	tiles	\mode, 1, \end
\two:	tiles	\mode, 2, \end
\three:	tiles	\mode, 3, \end
\end:	.if \mode == 3
	takeaway
	.endif
	.if \out != 32
	mov	rax, [rdi + GemmArgs_Scale]
	vmovups	zmm24{k1}{z}, [rax]
	vmovups	zmm25{k2}{z}, [rax + 64]
	vmovups	zmm26{k3}{z}, [rax + 128]
	.endif
	.if \out == 4
	vbroadcastss zmm29, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss zmm30, dword ptr [rdi + GemmArgs_Hi]
	mov	eax, 0x80000000		// -0, which changes nothing
	vpbroadcastd zmm27, eax
	vmovaps	zmm28, zmm27
	vmovaps	zmm31, zmm27
	mov	rax, [rdi + GemmArgs_Offset]
	test	rax, rax
	jz	7f
	vmovups	zmm27{k1}, [rax]
	vmovups	zmm28{k2}, [rax + 64]
	vmovups	zmm31{k3}, [rax + 128]
7:
	.endif
	.if \out == 8
	vpbroadcastd zmm31, dword ptr [rdi + GemmArgs_OutZero]
	vpbroadcastd zmm29, dword ptr [rdi + GemmArgs_QLo]
	vpbroadcastd zmm30, dword ptr [rdi + GemmArgs_QHi]
	vpsubd	zmm29, zmm29, zmm31
	vpsubd	zmm30, zmm30, zmm31
	vcvtdq2ps zmm29, zmm29
	vcvtdq2ps zmm30, zmm30
	.endif
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	.if \out != 8
	shl	rcx, 2
	.endif
	mov	rax, [rdi + GemmArgs_Rows]
	kortestw k3, k3
	jnz	33f
	kortestw k2, k2
	jnz	32f
	stores	\out, 1, \done
32:	stores	\out, 2, \done
33:	stores	\out, 3, \done
\done:	vzeroupper
	ret
.endm

// func gemmI8QVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI8QVnni8x48:
	routine	1, 8, .Ltwo1, .Lthree1, .Lend1, .Ldone1

// func gemmU8I8QVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmU8I8QVnni8x48:
	routine	0, 8, .Ltwo0, .Lthree0, .Lend0, .Ldone0

// func gemmI16QVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI16QVnni8x48:
	routine	2, 8, .Ltwo2, .Lthree2, .Lend2, .Ldone2

// func gemmI8Vnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI8Vnni8x48:
	routine	1, 32, .Ltwo3, .Lthree3, .Lend3, .Ldone3

// func gemmU8I8Vnni8x48(a *spec.GemmArgs)
	.balign 64
gemmU8I8Vnni8x48:
	routine	0, 32, .Ltwo4, .Lthree4, .Lend4, .Ldone4

// func gemmI8QDeepVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI8QDeepVnni8x48:
	routine	3, 8, .Ltwo6, .Lthree6, .Lend6, .Ldone6

// func gemmI8DeepVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI8DeepVnni8x48:
	routine	3, 32, .Ltwo7, .Lthree7, .Lend7, .Ldone7

// func gemmI16Vnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI16Vnni8x48:
	routine	2, 32, .Ltwo5, .Lthree5, .Lend5, .Ldone5

// func gemmU8I8F32Vnni8x48(a *spec.GemmArgs)
	.balign 64
gemmU8I8F32Vnni8x48:
	routine	0, 4, .Ltwo8, .Lthree8, .Lend8, .Ldone8
