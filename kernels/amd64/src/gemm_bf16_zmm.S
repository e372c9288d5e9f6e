// BF16 matrix product with AVX-512 BF16: 8 rows by 48 columns. One dword holds two neighbouring k.
//
// out is 32 for results in FP32, 16 for BF16.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-23   sums: row i, vector v in zmm(3i+v)
// rsi  B                rcx  K in bytes, down to dwords   zmm24-26  dwords of B
// rdx  Index, or 0      rbx  taps left                    zmm27     a dword of A
// r8-15 rows of A       k1-3 columns that exist           zmm29-30  bounds
//                       k4   bytes of the last dword
	.altmacro
	.include "rows.inc"

// halves counts the columns of a tile in eights: full vectors, and a half one where it is odd.
.macro dot acc, b
	vdpbf16ps zmm\acc, zmm27, zmm\b
.endm
.macro dothalf acc, b
	vdpbf16ps ymm\acc, ymm27, ymm\b
.endm
.macro columns i, halves
	.if \halves == 1
	dothalf	%(3*\i), 24
	.else
	dot	%(3*\i), 24
	.endif
	.if \halves == 3
	dothalf	%(3*\i+1), 25
	.elseif \halves > 3
	dot	%(3*\i+1), 25
	.endif
	.if \halves == 5
	dothalf	%(3*\i+2), 26
	.elseif \halves > 5
	dot	%(3*\i+2), 26
	.endif
.endm
.macro row i, reg, halves, at
	.if \halves == 1
	vpbroadcastd ymm27, dword ptr [\reg + rax + \at]
	.else
	vpbroadcastd zmm27, dword ptr [\reg + rax + \at]
	.endif
	columns	\i, \halves
.endm
.macro tailrow i, reg, halves, at
	vmovdqu8 xmm27{k4}{z}, [\reg + rax]
	vpbroadcastd zmm27, xmm27
	columns	\i, \halves
.endm

// step adds the products of the dword that lies u steps on; what is row, or tailrow for the last one where half of it exists.
.macro step rows, halves, u, what=row
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
	\what	0, r8, \halves, 4*\u
	.if \rows > 1
	\what	1, r9, \halves, 4*\u
	.endif
	.if \rows > 2
	\what	2, r10, \halves, 4*\u
	\what	3, r11, \halves, 4*\u
	.endif
	.if \rows > 4
	\what	4, r12, \halves, 4*\u
	\what	5, r13, \halves, 4*\u
	\what	6, r14, \halves, 4*\u
	\what	7, r15, \halves, 4*\u
	.endif
.endm

// products adds all taps to the sums of a tile. Tiles of all rows take eight steps at a time, and fetch what comes next of each row.
.macro products rows, halves, end
	.balign 32
3:	rows_of_tap 8
	add	rcx, rcx
	and	rcx, -4
	.if \rows == 8
	sub	rcx, 32
	jl	7f
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
5:	ktestw	k4, k4
	jz	8f
	step	\rows, \halves, 0, tailrow
	add	rsi, 192
8:	dec	rbx
	jnz	3b
	jmp	\end
.endm
.macro ahead halves, u, reg
	prefetcht0 [\reg + rax + 64]
	step	8, \halves, \u
.endm

.macro tiles halves, end
	mov	rax, [rdi + GemmArgs_Rows]
	cmp	rax, 1
	je	11f
	cmp	rax, 2
	je	12f
	cmp	rax, 4
	jle	14f
	products 8, \halves, \end
11:	products 1, \halves, \end
12:	products 2, \halves, \end
14:	products 4, \halves, \end
.endm

.macro copy to, from
	vmovaps	zmm\to, zmm\from
.endm
.macro copies i
	copy	%(3*\i), 0
	copy	%(3*\i+1), 1
	copy	%(3*\i+2), 2
.endm

.macro bound out, acc, mask, at
	vmaxps	zmm\acc, zmm29, zmm\acc
	vminps	zmm\acc, zmm30, zmm\acc
	.if \out == 32
	vmovups	[rsi + 4*\at]{\mask}, zmm\acc
	.else
	vcvtneps2bf16 ymm\acc, zmm\acc
	vmovdqu16 [rsi + 2*\at]{\mask}, ymm\acc
	.endif
.endm
.macro store out, i, vecs, done
	bound	\out, %(3*\i), k1, 0
	.if \vecs > 1
	bound	\out, %(3*\i+1), k2, 16
	.endif
	.if \vecs > 2
	bound	\out, %(3*\i+2), k3, 32
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

.macro routine out, two, three, four, five, six, end, done
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
	add	rax, rax
	and	eax, 3
	bzhi	rax, rbx, rax
	kmovw	k4, eax
	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	vpxord	zmm2, zmm2, zmm2
	mov	rax, [rdi + GemmArgs_Bias]
	test	rax, rax
	jz	1f
	vmovups zmm0{k1}{z}, [rax]
	vmovups zmm1{k2}{z}, [rax + 64]
	vmovups zmm2{k3}{z}, [rax + 128]
1:
	.irp	i, 1, 2, 3, 4, 5, 6, 7
	copies	\i
	.endr
	mov	rbx, [rdi + GemmArgs_Taps]
	test	rbx, rbx
	jz	\end
	cmp	rcx, 40
	jg	\six
	cmp	rcx, 32
	jg	\five
	cmp	rcx, 24
	jg	\four
	cmp	rcx, 16
	jg	\three
	cmp	rcx, 8
	jg	\two
	tiles	1, \end
\two:	tiles	2, \end
\three:	tiles	3, \end
\four:	tiles	4, \end
\five:	tiles	5, \end
\six:	tiles	6, \end
\end:
	vbroadcastss zmm29, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss zmm30, dword ptr [rdi + GemmArgs_Hi]
	mov	rsi, [rdi + GemmArgs_C]
	mov	rcx, [rdi + GemmArgs_CStride]
	.if \out == 32
	shl	rcx, 2
	.else
	add	rcx, rcx
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

// func gemmBF16Zmm8x48(a *spec.GemmArgs)
	.balign 64
gemmBF16Zmm8x48:
	routine	32, .Ltwo0, .Lthree0, .Lfour0, .Lfive0, .Lsix0, .Lend0, .Ldone0

// func gemmBF16NZmm8x48(a *spec.GemmArgs)
	.balign 64
gemmBF16NZmm8x48:
	routine	16, .Ltwo1, .Lthree1, .Lfour1, .Lfive1, .Lsix1, .Lend1, .Ldone1
