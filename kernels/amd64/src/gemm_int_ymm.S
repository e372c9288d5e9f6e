// Integer matrix products with AVX2: 6 rows by 16 columns. Bytes are widened to words; ymm15 takes products.
.Ltaken = 2
	.include "gemm_int_ymm.inc"

.macro ready mode
.endm
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
.macro load mode, vecs
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
.macro last i, reg, mode, vecs
	.if \mode == 2
	vpbroadcastw ymm14, word ptr [\reg + rax]
	.else
	vpbroadcastb xmm14, byte ptr [\reg + rax]
	widen	\mode
	.endif
	columns	\i, \vecs
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

// func gemmU8I8F32Ymm6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8F32Ymm6x16:
	routine	0, 4, gemmU8I8F32Ymm6x16.data, .Ltwo7, .Lend7, .Ldone7
