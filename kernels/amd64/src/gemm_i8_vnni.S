// INT8 matrix product with AVX-512 VNNI: 8 rows by 48 columns, requantised to bytes. KR is 4: one dword holds four neighbouring k.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K, then K rounded down       zmm24-26  four rows of B, then scales
// rdx  Index, or 0      rbx  taps left                    zmm27     four elements of A
// r8-15 rows of A       k1-3 columns that exist           zmm28     what makes elements of A unsigned
//                       k4   elements of the last four k  zmm29-31  bounds less the zero point, the zero point
	.altmacro
	.include "rows8.inc"

.macro dot acc, b
	vpdpbusd zmm\acc, zmm27, zmm\b
.endm
.macro columns i, signed, vecs
	.if \signed
	vpxord	zmm27, zmm27, zmm28
	.endif
	dot	%(3*\i), 24
	.if \vecs > 1
	dot	%(3*\i+1), 25
	.endif
	.if \vecs > 2
	dot	%(3*\i+2), 26
	.endif
.endm
.macro row i, reg, signed, vecs
	vpbroadcastd zmm27, dword ptr [\reg + rax]
	columns	\i, \signed, \vecs
.endm
.macro tailrow i, reg, signed, vecs
	vmovdqu8 xmm27{k4}{z}, [\reg + rax]
	vpbroadcastd zmm27, xmm27
	columns	\i, \signed, \vecs
.endm
.macro rows what, n, signed, vecs
	vmovdqu8 zmm24, [rsi]
	.if \vecs > 1
	vmovdqu8 zmm25, [rsi + 64]
	.endif
	.if \vecs > 2
	vmovdqu8 zmm26, [rsi + 128]
	.endif
	add	rsi, 192
	\what	0, r8, \signed, \vecs
	.if \n > 1
	\what	1, r9, \signed, \vecs
	.endif
	.if \n > 2
	\what	2, r10, \signed, \vecs
	\what	3, r11, \signed, \vecs
	.endif
	.if \n > 4
	\what	4, r12, \signed, \vecs
	\what	5, r13, \signed, \vecs
	\what	6, r14, \signed, \vecs
	\what	7, r15, \signed, \vecs
	.endif
.endm

// products adds all taps to the sums of a tile.
.macro products n, signed, vecs, end
	.balign 32
3:	rows_of_tap
	and	rcx, -4
	jz	5f
	.balign 32
4:	rows	row, \n, \signed, \vecs
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	cmp	rcx, [rdi + GemmArgs_K]
	je	6f
	rows	tailrow, \n, \signed, \vecs
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

.macro requantise acc, scale, mask, at
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vmaxps	zmm\acc, zmm\acc, zmm29
	vminps	zmm\acc, zmm\acc, zmm30
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm31
	vpmovdb	[rsi + \at]{\mask}, zmm\acc
.endm
.macro store i, done
	requantise %(3*\i), 24, k1, 0
	requantise %(3*\i+1), 25, k2, 16
	requantise %(3*\i+2), 26, k3, 32
	cmp	rax, \i+1
	jle	\done
	add	rsi, rcx
.endm

.macro tiles signed, vecs, end
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rax, 1
	je	11f
	cmp	rax, 2
	je	12f
	cmp	rax, 4
	jle	14f
	products 8, \signed, \vecs, \end
11:	products 1, \signed, \vecs, \end
12:	products 2, \signed, \vecs, \end
14:	products 4, \signed, \vecs, \end
.endm

.macro routine signed, two, three, end, done
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
	and	eax, 3
	bzhi	rax, rbx, rax
	kmovw	k4, eax
	.if \signed
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
	tiles	\signed, 1, \end
\two:	tiles	\signed, 2, \end
\three:	tiles	\signed, 3, \end
\end:	mov	rax, [rdi + GemmArgs_Scale]
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
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	mov	rax, [rdi + GemmArgs_Rows]
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	store	\i, \done
	.endr
\done:	vzeroupper
	ret
.endm

// func gemmI8QVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmI8QVnni8x48:
	routine	1, .Ltwo1, .Lthree1, .Lend1, .Ldone1

// func gemmU8I8QVnni8x48(a *spec.GemmArgs)
	.balign 64
gemmU8I8QVnni8x48:
	routine	0, .Ltwo0, .Lthree0, .Lend0, .Ldone0
