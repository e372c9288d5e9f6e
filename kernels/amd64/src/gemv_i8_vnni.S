// Products of few rows of bytes with AVX-512 VNNI: 4 rows by panels of 64 columns, which lie one after the other. One dword holds four
// neighbouring k. Weights are read once, in order.
//
// mode is 0 for unsigned bytes, 1 for signed bytes of A; out is 8 for requantised bytes, 32 for sums.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-15   sums: row i, vector v in zmm(4i+v)
// rsi  B                rcx  K, down to dwords            zmm16-19  dwords of B, then scales
// rdx  C                rbx  columns left                 zmm20     a dword of A
// r8-11 rows of A       r12  Bias, or 0                   zmm21     what makes elements of A unsigned
// r13  stride of C      r14  rows                         zmm22-24  bounds less the zero point, the zero point
// r15  Scale                                              k1-4      columns that exist; k5 bytes of the last dword
	.altmacro

.macro dot acc, b
	vpdpbusd zmm\acc, zmm20, zmm\b
.endm
.macro columns i, mode, vecs
	.if \mode == 1
	vpxord	zmm20, zmm20, zmm21
	.endif
	dot	%(4*\i), 16
	.if \vecs > 1
	dot	%(4*\i+1), 17
	.endif
	.if \vecs > 2
	dot	%(4*\i+2), 18
	dot	%(4*\i+3), 19
	.endif
.endm
.macro row i, reg, mode, vecs
	vpbroadcastd zmm20, dword ptr [\reg + rax]
	columns	\i, \mode, \vecs
.endm
.macro tailrow i, reg, mode, vecs
	vmovdqu8 xmm20{k5}{z}, [\reg + rax]
	vpbroadcastd zmm20, xmm20
	columns	\i, \mode, \vecs
.endm
.macro rows what, n, mode, vecs
	vmovdqu8 zmm16, [rsi]
	.if \vecs > 1
	vmovdqu8 zmm17, [rsi + 64]
	.endif
	.if \vecs > 2
	vmovdqu8 zmm18, [rsi + 128]
	vmovdqu8 zmm19, [rsi + 192]
	.endif
	add	rsi, 256
	\what	0, r8, \mode, \vecs
	.if \n > 1
	\what	1, r9, \mode, \vecs
	.endif
	.if \n > 2
	\what	2, r10, \mode, \vecs
	\what	3, r11, \mode, \vecs
	.endif
.endm

// products adds all k of a panel to its sums; what comes later in B is fetched ahead.
.macro products n, mode, vecs, end
	xor	eax, eax
	test	rcx, rcx
	jz	5f
	.balign 32
4:	prefetcht0 [rsi + 4096]
	.if \vecs > 1
	prefetcht0 [rsi + 4096 + 64]
	.endif
	.if \vecs > 2
	prefetcht0 [rsi + 4096 + 128]
	prefetcht0 [rsi + 4096 + 192]
	.endif
	rows	row, \n, \mode, \vecs
	add	rax, 4
	cmp	rax, rcx
	jb	4b
5:	ktestw	k5, k5
	jz	\end
	rows	tailrow, \n, \mode, \vecs
	jmp	\end
.endm

.macro copy to, from
	vmovdqa32 zmm\to, zmm\from
.endm
.macro copies i
	copy	%(4*\i), 0
	copy	%(4*\i+1), 1
	copy	%(4*\i+2), 2
	copy	%(4*\i+3), 3
.endm

.macro requantise out, acc, scale, mask, at
	.if \out == 32
	vmovdqu32 [rax + 4*\at]{\mask}, zmm\acc
	.else
	vcvtdq2ps zmm\acc, zmm\acc
	vmulps	zmm\acc, zmm\acc, zmm\scale
	vmaxps	zmm\acc, zmm\acc, zmm22
	vminps	zmm\acc, zmm\acc, zmm23
	vcvtps2dq zmm\acc, zmm\acc
	vpaddd	zmm\acc, zmm\acc, zmm24
	vpmovdb	[rax + \at]{\mask}, zmm\acc
	.endif
.endm
.macro store out, i, done
	requantise \out, %(4*\i), 16, k1, 0
	requantise \out, %(4*\i+1), 17, k2, 16
	requantise \out, %(4*\i+2), 18, k3, 32
	requantise \out, %(4*\i+3), 19, k4, 48
	cmp	r14, \i+1
	jle	\done
	add	rax, r13
.endm

// height picks the loop by the number of rows.
.macro height mode, vecs, end
	cmp	r14, 2
	jl	11f
	je	12f
	products 4, \mode, \vecs, \end
11:	products 1, \mode, \vecs, \end
12:	products 2, \mode, \vecs, \end
.endm

.macro routine mode, out, panel, two, four, end, done
	mov	rsi, [rdi + GemmArgs_B]
	mov	rdx, [rdi + GemmArgs_C]
	mov	rbx, [rdi + GemmArgs_Cols]
	mov	r12, [rdi + GemmArgs_Bias]
	mov	r13, [rdi + GemmArgs_CStride]
	.if \out == 32
	shl	r13, 2
	.else
	mov	r15, [rdi + GemmArgs_Scale]
	.endif
	mov	r14, [rdi + GemmArgs_Rows]
	mov	rcx, [rdi + GemmArgs_AStride]
	mov	r8, [rdi + GemmArgs_A]
	lea	r9, [r8 + rcx]
	cmp	r14, 2
	cmovl	r9, r8
	lea	r10, [r9 + rcx]
	cmp	r14, 3
	cmovl	r10, r9
	lea	r11, [r10 + rcx]
	cmp	r14, 4
	cmovl	r11, r10
	mov	rcx, [rdi + GemmArgs_K]
	mov	eax, ecx
	and	eax, 3
	mov	ebx, -1
	bzhi	eax, ebx, eax
	kmovw	k5, eax
	and	rcx, -4
	mov	rbx, [rdi + GemmArgs_Cols]
	.if \mode == 1
	mov	eax, 0x80808080
	vpbroadcastd zmm21, eax
	.endif
	.if \out == 8
	vpbroadcastd zmm24, dword ptr [rdi + GemmArgs_OutZero]
	vpbroadcastd zmm22, dword ptr [rdi + GemmArgs_QLo]
	vpbroadcastd zmm23, dword ptr [rdi + GemmArgs_QHi]
	vpsubd	zmm22, zmm22, zmm24
	vpsubd	zmm23, zmm23, zmm24
	vcvtdq2ps zmm22, zmm22
	vcvtdq2ps zmm23, zmm23
	.endif
\panel:	mov	eax, 64
	cmp	rbx, rax
	cmovl	rax, rbx
	mov	rdi, -1
	bzhi	rdi, rdi, rax
	kmovw	k1, edi
	shr	rdi, 16
	kmovw	k2, edi
	shr	rdi, 16
	kmovw	k3, edi
	shr	rdi, 16
	kmovw	k4, edi
	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	vpxord	zmm2, zmm2, zmm2
	vpxord	zmm3, zmm3, zmm3
	test	r12, r12
	jz	1f
	vmovdqu32 zmm0{k1}{z}, [r12]
	vmovdqu32 zmm1{k2}{z}, [r12 + 64]
	vmovdqu32 zmm2{k3}{z}, [r12 + 128]
	vmovdqu32 zmm3{k4}{z}, [r12 + 192]
	add	r12, 256
1:	copies	1
	copies	2
	copies	3
	cmp	rbx, 32
	jg	\four
	cmp	rbx, 16
	jg	\two
	height	\mode, 1, \end
\two:	height	\mode, 2, \end
\four:	height	\mode, 4, \end
\end:	.if \out == 8
	vmovups	zmm16{k1}{z}, [r15]
	vmovups	zmm17{k2}{z}, [r15 + 64]
	vmovups	zmm18{k3}{z}, [r15 + 128]
	vmovups	zmm19{k4}{z}, [r15 + 192]
	add	r15, 256
	.endif
	mov	rax, rdx
	store	\out, 0, \done
	store	\out, 1, \done
	store	\out, 2, \done
	store	\out, 3, \done
\done:	.if \out == 8
	add	rdx, 64
	.else
	add	rdx, 256
	.endif
	sub	rbx, 64
	jg	\panel
	vzeroupper
	ret
.endm

// func gemvI8QVnni4x64(a *spec.GemmArgs)
	.balign 64
gemvI8QVnni4x64:
	routine	1, 8, .Lpanel1, .Ltwo1, .Lfour1, .Lend1, .Ldone1

// func gemvU8I8QVnni4x64(a *spec.GemmArgs)
	.balign 64
gemvU8I8QVnni4x64:
	routine	0, 8, .Lpanel0, .Ltwo0, .Lfour0, .Lend0, .Ldone0

// func gemvI8Vnni4x64(a *spec.GemmArgs)
	.balign 64
gemvI8Vnni4x64:
	routine	1, 32, .Lpanel3, .Ltwo3, .Lfour3, .Lend3, .Ldone3

// func gemvU8I8Vnni4x64(a *spec.GemmArgs)
	.balign 64
gemvU8I8Vnni4x64:
	routine	0, 32, .Lpanel4, .Ltwo4, .Lfour4, .Lend4, .Ldone4
