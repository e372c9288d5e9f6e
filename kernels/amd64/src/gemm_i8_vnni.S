// Integer matrix products with AVX-512 VNNI: 8 rows by 48 columns. One dword holds neighbouring k: four bytes or two words.
//
// mode is 0 for unsigned bytes, 1 for signed bytes, 2 for words of A; out is 8 for requantised bytes, 32 for sums.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K in bytes, down to dwords   zmm24-26  dwords of B, then scales
// rdx  Index, or 0      rbx  taps left                    zmm27     a dword of A
// r8-15 rows of A       k1-3 columns that exist           zmm28     what makes elements of A unsigned
//                       k4   bytes of the last dword      zmm29-31  bounds less the zero point, the zero point
	.altmacro
	.include "rows.inc"

.macro dot mode, acc, b
	.if \mode == 2
	vpdpwssd zmm\acc, zmm27, zmm\b
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

.macro requantise out, acc, scale, mask, at
	.if \out == 32
	vmovdqu32 [rsi + 4*\at]{\mask}, zmm\acc
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
	requantise \out, %(3*\i), 24, k1, 0
	.if \vecs > 1
	requantise \out, %(3*\i+1), 25, k2, 16
	.endif
	.if \vecs > 2
	requantise \out, %(3*\i+2), 26, k3, 32
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
\end:	.if \out == 8
	mov	rax, [rdi + GemmArgs_Scale]
	vmovups	zmm24{k1}{z}, [rax]
	vmovups	zmm25{k2}{z}, [rax + 64]
	vmovups	zmm26{k3}{z}, [rax + 128]
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
	.if \out == 32
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

// func gemmI16Vnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI16Vnni8x48:
	routine	2, 32, .Ltwo5, .Lthree5, .Lend5, .Ldone5
