// Float products of few rows with AVX2 and FMA, FP16 weights with F16C: 2 rows by panels of 32 columns, which lie one after the other. Weights are
// read once, in order.
//
// type is 0 for FP32 rows and weights, 1 for FP32 rows and FP16 weights, 2 for BF16 rows and weights.
//
// rdi  arguments        rax  offset into the rows of A    ymm0-7    sums: row i, vector v in ymm(4i+v)
// rsi  B                rcx  K in bytes of A              ymm8-11   a row of B, then columns that exist
// rdx  C                rbx  columns left                 ymm12     an element of A
// r8-9 rows of A        r12  Bias, or 0                   ymm13-14  bounds
// r13  stride of C      r14  rows                         r10-11    scratch
	.altmacro
	.include "ymm.inc"

// widen loads 8 weights as FP32.
.macro widen type, reg, v
	.if \type == 0
	vmovups	ymm\reg, [rsi + 32*\v]
	.elseif \type == 1
	vcvtph2ps ymm\reg, [rsi + 16*\v]
	.else
	vpmovzxwd ymm\reg, [rsi + 16*\v]
	vpslld	ymm\reg, ymm\reg, 16
	.endif
.endm
.macro fma acc, b
	vfmadd231ps ymm\acc, ymm12, ymm\b
.endm
.macro row i, reg, type
	.if \type == 2
	vpbroadcastw ymm12, word ptr [\reg + rax]
	vpslld	ymm12, ymm12, 16
	.else
	vbroadcastss ymm12, dword ptr [\reg + rax]
	.endif
	fma	%(4*\i), 8
	fma	%(4*\i+1), 9
	fma	%(4*\i+2), 10
	fma	%(4*\i+3), 11
.endm

// products adds all k of a panel to its sums; what comes later in B is fetched ahead.
.macro products type, rows, end
	xor	eax, eax
	test	rcx, rcx
	jz	\end
	.balign 32
4:	prefetcht0 [rsi + 4096]
	widen	\type, 8, 0
	widen	\type, 9, 1
	widen	\type, 10, 2
	widen	\type, 11, 3
	.if \type == 0
	prefetcht0 [rsi + 4096 + 64]
	add	rsi, 128
	.else
	add	rsi, 64
	.endif
	row	0, r8, \type
	.if \rows > 1
	row	1, r9, \type
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
	vmovaps	ymm\to, ymm\from
.endm
.macro bound acc, mask, at
	vmaxps	ymm\acc, ymm13, ymm\acc
	vminps	ymm\acc, ymm14, ymm\acc
	vmaskmovps [rax + \at], ymm\mask, ymm\acc
.endm
.macro store i
	bound	%(4*\i), 8, 0
	bound	%(4*\i+1), 9, 32
	bound	%(4*\i+2), 10, 64
	bound	%(4*\i+3), 11, 96
.endm

.macro routine type, data, panel, end, done
	mov	rsi, [rdi + GemmArgs_B]
	mov	rdx, [rdi + GemmArgs_C]
	mov	rbx, [rdi + GemmArgs_Cols]
	mov	r12, [rdi + GemmArgs_Bias]
	mov	r13, [rdi + GemmArgs_CStride]
	mov	r14, [rdi + GemmArgs_Rows]
	mov	r8, [rdi + GemmArgs_A]
	mov	r9, r8
	add	r9, [rdi + GemmArgs_AStride]
	mov	rcx, [rdi + GemmArgs_K]
	.if \type == 2
	shl	rcx, 1
	.else
	shl	rcx, 2
	.endif
	lea	r10, [rip + \data + 32]
	vbroadcastss ymm13, dword ptr [rdi + GemmArgs_Lo]
	vbroadcastss ymm14, dword ptr [rdi + GemmArgs_Hi]
\panel:	vxorps	xmm0, xmm0, xmm0
	vxorps	xmm1, xmm1, xmm1
	vxorps	xmm2, xmm2, xmm2
	vxorps	xmm3, xmm3, xmm3
	test	r12, r12
	jz	1f
	mask	8, rbx, 0, r10, r11, rax
	mask	9, rbx, 8, r10, r11, rax
	mask	10, rbx, 16, r10, r11, rax
	mask	11, rbx, 24, r10, r11, rax
	vmaskmovps ymm0, ymm8, [r12]
	vmaskmovps ymm1, ymm9, [r12 + 32]
	vmaskmovps ymm2, ymm10, [r12 + 64]
	vmaskmovps ymm3, ymm11, [r12 + 96]
	add	r12, 128
1:	copy	4, 0
	copy	5, 1
	copy	6, 2
	copy	7, 3
	cmp	r14, 1
	jg	2f
	products \type, 1, \end
2:	products \type, 2, \end
\end:	mask	8, rbx, 0, r10, r11, rax
	mask	9, rbx, 8, r10, r11, rax
	mask	10, rbx, 16, r10, r11, rax
	mask	11, rbx, 24, r10, r11, rax
	mov	rax, rdx
	store	0
	cmp	r14, 1
	jle	\done
	lea	rax, [rdx + 4*r13]
	store	1
\done:	add	rdx, 128
	sub	rbx, 32
	jg	\panel
	vzeroupper
	ret
.endm

// func gemvF32Ymm2x32(a *spec.GemmArgs)
	.balign 64
gemvF32Ymm2x32:
	routine	0, gemvF32Ymm2x32.data, .Lpanel0, .Lend0, .Ldone0
	.balign 32
gemvF32Ymm2x32.data:
	.fill	8, 4, -1
	.fill	8, 4, 0

// func gemvF16Ymm2x32(a *spec.GemmArgs)
	.balign 64
gemvF16Ymm2x32:
	routine	1, gemvF16Ymm2x32.data, .Lpanel1, .Lend1, .Ldone1
	.balign 32
gemvF16Ymm2x32.data:
	.fill	8, 4, -1
	.fill	8, 4, 0

// func gemvBF16Ymm2x32(a *spec.GemmArgs)
	.balign 64
gemvBF16Ymm2x32:
	routine	2, gemvBF16Ymm2x32.data, .Lpanel2, .Lend2, .Ldone2
	.balign 32
gemvBF16Ymm2x32.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
