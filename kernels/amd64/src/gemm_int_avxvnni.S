// Integer matrix products with AVX-VNNI: 6 rows by 16 columns. ymm15 is what makes elements of A unsigned.
.Ltaken = 4
	.include "gemm_int_ymm.inc"

.macro ready mode
	.if \mode == 1
	mov	eax, 0x80808080
	vmovd	xmm15, eax
	vpbroadcastd ymm15, xmm15
	.endif
.endm
.macro dot mode, acc, b
	.if \mode == 2
	{vex} vpdpwssd ymm\acc, ymm14, ymm\b
	.else
	{vex} vpdpbusd ymm\acc, ymm14, ymm\b
	.endif
.endm
.macro columns i, mode, vecs
	.if \mode == 1
	vpxor	ymm14, ymm14, ymm15
	.endif
	dot	\mode, %(2*\i), 12
	.if \vecs > 1
	dot	\mode, %(2*\i+1), 13
	.endif
.endm
.macro load mode, vecs
	vmovdqu	ymm12, [rsi]
	.if \vecs > 1
	vmovdqu	ymm13, [rsi + 32]
	.endif
	add	rsi, 64
.endm
.macro row i, reg, mode, vecs
	vpbroadcastd ymm14, dword ptr [\reg + rax]
	columns	\i, \mode, \vecs
.endm
.macro last i, reg, mode, vecs
	.if \mode == 2
	vpbroadcastw ymm14, word ptr [\reg + rax]
	.else
	lea	r15, [\reg + rax]
	add	r15, r14
	load_tail 14, r14d, 4, r15
	vpbroadcastd ymm14, xmm14
	.endif
	columns	\i, \mode, \vecs
.endm

// func gemmI8QAvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmI8QAvxVnni6x16:
	routine	1, 1, gemmI8QAvxVnni6x16.data, .Ltwo0, .Lend0, .Ldone0

// func gemmU8I8QAvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8QAvxVnni6x16:
	routine	0, 0, gemmU8I8QAvxVnni6x16.data, .Ltwo1, .Lend1, .Ldone1

// func gemmI16QI8AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmI16QI8AvxVnni6x16:
	routine	2, 1, gemmI16QI8AvxVnni6x16.data, .Ltwo2, .Lend2, .Ldone2

// func gemmI16QU8AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmI16QU8AvxVnni6x16:
	routine	2, 0, gemmI16QU8AvxVnni6x16.data, .Ltwo3, .Lend3, .Ldone3

// func gemmI8AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmI8AvxVnni6x16:
	routine	1, 32, gemmI8AvxVnni6x16.data, .Ltwo4, .Lend4, .Ldone4

// func gemmU8I8AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8AvxVnni6x16:
	routine	0, 32, gemmU8I8AvxVnni6x16.data, .Ltwo5, .Lend5, .Ldone5

// func gemmI16AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmI16AvxVnni6x16:
	routine	2, 32, gemmI16AvxVnni6x16.data, .Ltwo6, .Lend6, .Ldone6

// func gemmU8I8F32AvxVnni6x16(a *spec.GemmArgs)
	.balign 64
gemmU8I8F32AvxVnni6x16:
	routine	0, 4, gemmU8I8F32AvxVnni6x16.data, .Ltwo7, .Lend7, .Ldone7
