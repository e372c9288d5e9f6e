// Float products of few rows with AVX-512: 4 rows by panels of 64 columns, which lie one after the other. Weights are read once, in order.
//
// type is 0 for FP32 rows and weights, 1 for FP32 rows and FP16 weights, 2 for BF16 rows and weights.
//
// rdi  arguments        rax  offset into the rows of A    zmm0-15   sums: row i, vector v in zmm(4i+v)
// rsi  B                rcx  K in bytes of A              zmm16-19  a row of B
// rdx  C                rbx  columns left                 zmm20     an element of A
// r8-11 rows of A       r12  Bias, or 0                   zmm21-22  bounds
// r13  stride of C      r14  rows                         k1-4      columns that exist
	.altmacro

// widen loads 16 weights as FP32.
.macro widen type, reg, v
	.if \type == 0
	vmovups	zmm\reg, [rsi + 64*\v]
	.elseif \type == 1
	vcvtph2ps zmm\reg, [rsi + 32*\v]
	.else
	vpmovzxwd zmm\reg, [rsi + 32*\v]
	vpslld	zmm\reg, zmm\reg, 16
	.endif
.endm
.macro fma acc, b
	vfmadd231ps zmm\acc, zmm20, zmm\b
.endm
.macro row i, reg, type, vecs
	.if \type == 2
	vpbroadcastw zmm20, word ptr [\reg + rax]
	vpslld	zmm20, zmm20, 16
	.else
	vbroadcastss zmm20, dword ptr [\reg + rax]
	.endif
	fma	%(4*\i), 16
	.if \vecs > 1
	fma	%(4*\i+1), 17
	.endif
	.if \vecs > 2
	fma	%(4*\i+2), 18
	fma	%(4*\i+3), 19
	.endif
.endm

// products adds all k of a panel to its sums; what comes later in B is fetched ahead.
.macro products type, rows, vecs, end
	xor	eax, eax
	test	rcx, rcx
	jz	\end
	.balign 32
4:	.if \type == 0
	prefetcht0 [rsi + 4096]
	.if \vecs > 1
	prefetcht0 [rsi + 4096 + 64]
	.endif
	.if \vecs > 2
	prefetcht0 [rsi + 4096 + 128]
	prefetcht0 [rsi + 4096 + 192]
	.endif
	.else
	prefetcht0 [rsi + 4096]
	.if \vecs > 2
	prefetcht0 [rsi + 4096 + 64]
	.endif
	.endif
	widen	\type, 16, 0
	.if \vecs > 1
	widen	\type, 17, 1
	.endif
	.if \vecs > 2
	widen	\type, 18, 2
	widen	\type, 19, 3
	.endif
	.if \type == 0
	add	rsi, 256
	.else
	add	rsi, 128
	.endif
	row	0, r8, \type, \vecs
	.if \rows > 1
	row	1, r9, \type, \vecs
	.endif
	.if \rows > 2
	row	2, r10, \type, \vecs
	row	3, r11, \type, \vecs
	.endif
	.if \type == 2
	add	rax, 2
	.else
	add	rax, 4
	.endif
	cmp	rax, rcx
	jb	4b
	jmp	\end
.endm

.macro copy to, from
	vmovaps	zmm\to, zmm\from
.endm
.macro copies i
	copy	%(4*\i), 0
	copy	%(4*\i+1), 1
	copy	%(4*\i+2), 2
	copy	%(4*\i+3), 3
.endm

.macro bound acc, mask, at
	vmaxps	zmm\acc, zmm21, zmm\acc
	vminps	zmm\acc, zmm22, zmm\acc
	vmovups	[rax + \at]{\mask}, zmm\acc
.endm
.macro store i, done
	bound	%(4*\i), k1, 0
	bound	%(4*\i+1), k2, 64
	bound	%(4*\i+2), k3, 128
	bound	%(4*\i+3), k4, 192
	cmp	r14, \i+1
	jle	\done
	add	rax, r13
.endm

// height picks the loop by the number of rows.
.macro height type, vecs, end
	cmp	r14, 2
	jl	11f
	je	12f
	products \type, 4, \vecs, \end
11:	products \type, 1, \vecs, \end
12:	products \type, 2, \vecs, \end
.endm

.macro routine type, panel, two, four, end, done
	mov	rsi, [rdi + GemmArgs_B]
	mov	rdx, [rdi + GemmArgs_C]
	mov	rbx, [rdi + GemmArgs_Cols]
	mov	r12, [rdi + GemmArgs_Bias]
	mov	r13, [rdi + GemmArgs_CStride]
	shl	r13, 2
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
	.if \type == 2
	add	rcx, rcx
	.else
	shl	rcx, 2
	.endif
	vbroadcastss zmm21, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss zmm22, dword ptr [rdi + GemmArgs_Hi]
\panel:	mov	eax, 64
	cmp	rbx, rax
	cmovl	rax, rbx
	mov	r15, -1
	bzhi	r15, r15, rax
	kmovw	k1, r15d
	shr	r15, 16
	kmovw	k2, r15d
	shr	r15, 16
	kmovw	k3, r15d
	shr	r15, 16
	kmovw	k4, r15d
	vpxord	zmm0, zmm0, zmm0
	vpxord	zmm1, zmm1, zmm1
	vpxord	zmm2, zmm2, zmm2
	vpxord	zmm3, zmm3, zmm3
	test	r12, r12
	jz	1f
	vmovups	zmm0{k1}{z}, [r12]
	vmovups	zmm1{k2}{z}, [r12 + 64]
	vmovups	zmm2{k3}{z}, [r12 + 128]
	vmovups	zmm3{k4}{z}, [r12 + 192]
	add	r12, 256
1:	copies	1
	copies	2
	copies	3
	cmp	rbx, 32
	jg	\four
	cmp	rbx, 16
	jg	\two
	height	\type, 1, \end
\two:	height	\type, 2, \end
\four:	height	\type, 4, \end
\end:	mov	rax, rdx
	store	0, \done
	store	1, \done
	store	2, \done
	store	3, \done
\done:	add	rdx, 256
	sub	rbx, 64
	jg	\panel
	vzeroupper
	ret
.endm

// func gemvF32Zmm4x64(a *spec.GemmArgs)
	.balign 64
gemvF32Zmm4x64:
	routine	0, .Lpanel0, .Ltwo0, .Lfour0, .Lend0, .Ldone0

// func gemvF16Zmm4x64(a *spec.GemmArgs)
	.balign 64
gemvF16Zmm4x64:
	routine	1, .Lpanel1, .Ltwo1, .Lfour1, .Lend1, .Ldone1

// func gemvBF16Zmm4x64(a *spec.GemmArgs)
	.balign 64
gemvBF16Zmm4x64:
	routine	2, .Lpanel2, .Ltwo2, .Lfour2, .Lend2, .Ldone2
