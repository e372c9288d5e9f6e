// Products of few rows of bytes with AVX2, widened to words; ymm13 takes products.
.Ltaken = 2
	.include "gemv_int_ymm.inc"

.macro ready mode
.endm
.macro load
	vpmovsxbw ymm8, [rsi]
	vpmovsxbw ymm9, [rsi + 16]
	vpmovsxbw ymm10, [rsi + 32]
	vpmovsxbw ymm11, [rsi + 48]
	add	rsi, 64
.endm
.macro dot acc, b
	vpmaddwd ymm13, ymm12, ymm\b
	vpaddd	ymm\acc, ymm\acc, ymm13
.endm
.macro columns i, mode
	.if \mode == 0
	vpmovzxbw ymm12, xmm12
	.else
	vpmovsxbw ymm12, xmm12
	.endif
	dot	%(4*\i), 8
	dot	%(4*\i+1), 9
	dot	%(4*\i+2), 10
	dot	%(4*\i+3), 11
.endm
.macro row i, reg, mode
	vpbroadcastw xmm12, word ptr [\reg + rax]
	columns	\i, \mode
.endm
.macro last i, reg, mode
	vpbroadcastb xmm12, byte ptr [\reg + rax]
	columns	\i, \mode
.endm

// func gemvI8QYmm2x32(a *spec.GemmArgs)
	.balign 64
gemvI8QYmm2x32:
	routine	1, 1, gemvI8QYmm2x32.data, .Lpanel0, .Lend0, .Ldone0

// func gemvU8I8QYmm2x32(a *spec.GemmArgs)
	.balign 64
gemvU8I8QYmm2x32:
	routine	0, 0, gemvU8I8QYmm2x32.data, .Lpanel1, .Lend1, .Ldone1

// func gemvI8Ymm2x32(a *spec.GemmArgs)
	.balign 64
gemvI8Ymm2x32:
	routine	1, 32, gemvI8Ymm2x32.data, .Lpanel2, .Lend2, .Ldone2

// func gemvU8I8Ymm2x32(a *spec.GemmArgs)
	.balign 64
gemvU8I8Ymm2x32:
	routine	0, 32, gemvU8I8Ymm2x32.data, .Lpanel3, .Lend3, .Ldone3
