// Products of few rows of bytes with AVX-VNNI; ymm13 is what makes elements of A unsigned.
.Ltaken = 4
	.include "gemv_int_ymm.inc"

.macro ready mode
	.if \mode == 1
	mov	eax, 0x80808080
	vmovd	xmm13, eax
	vpbroadcastd ymm13, xmm13
	.endif
.endm
.macro load
	vmovdqu	ymm8, [rsi]
	vmovdqu	ymm9, [rsi + 32]
	vmovdqu	ymm10, [rsi + 64]
	vmovdqu	ymm11, [rsi + 96]
	add	rsi, 128
.endm
.macro dot acc, b
	{vex} vpdpbusd ymm\acc, ymm12, ymm\b
.endm
.macro columns i, mode
	.if \mode == 1
	vpxor	ymm12, ymm12, ymm13
	.endif
	dot	%(4*\i), 8
	dot	%(4*\i+1), 9
	dot	%(4*\i+2), 10
	dot	%(4*\i+3), 11
.endm
.macro row i, reg, mode
	vpbroadcastd ymm12, dword ptr [\reg + rax]
	columns	\i, \mode
.endm
.macro last i, reg, mode
	lea	r10, [\reg + rax]
	add	r10, r11
	load_tail 12, r11d, 4, r10
	vpbroadcastd ymm12, xmm12
	columns	\i, \mode
.endm

// func gemvI8QAvxVnni2x32(a *spec.GemmArgs)
	.balign 64
gemvI8QAvxVnni2x32:
	routine	1, 1, gemvI8QAvxVnni2x32.data, .Lpanel0, .Lend0, .Ldone0

// func gemvU8I8QAvxVnni2x32(a *spec.GemmArgs)
	.balign 64
gemvU8I8QAvxVnni2x32:
	routine	0, 0, gemvU8I8QAvxVnni2x32.data, .Lpanel1, .Lend1, .Ldone1

// func gemvI8AvxVnni2x32(a *spec.GemmArgs)
	.balign 64
gemvI8AvxVnni2x32:
	routine	1, 32, gemvI8AvxVnni2x32.data, .Lpanel2, .Lend2, .Ldone2

// func gemvU8I8AvxVnni2x32(a *spec.GemmArgs)
	.balign 64
gemvU8I8AvxVnni2x32:
	routine	0, 32, gemvU8I8AvxVnni2x32.data, .Lpanel3, .Lend3, .Ldone3
