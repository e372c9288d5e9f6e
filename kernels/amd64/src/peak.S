// Chains of multiply-adds in registers: what the arithmetic units can do at most.
//
// rdi  arguments   rcx rounds left   zmm or ymm 0 and up: the chains   the highest two: the factors, which are zero

.macro zmmchains op
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23
	\op	zmm\i, zmm24, zmm25
	.endr
.endm
.macro ymmchains op
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	\op	ymm\i, ymm14, ymm15
	.endr
.endm
.macro clear
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vpxor	ymm\i, ymm\i, ymm\i
	.endr
.endm

.macro zmmpeak op
	clear
	.irp	i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25
	vpxord	zmm\i, zmm\i, zmm\i
	.endr
	mov	rcx, [rdi + MapArgs_N]
	test	rcx, rcx
	jle	2f
	.balign	32
1:	zmmchains \op
	dec	rcx
	jnz	1b
2:	vzeroupper
	ret
.endm
.macro ymmpeak op
	clear
	mov	rcx, [rdi + MapArgs_N]
	test	rcx, rcx
	jle	2f
	.balign	32
1:	ymmchains \op
	dec	rcx
	jnz	1b
2:	vzeroupper
	ret
.endm

// func peakF32Zmm24x16(a *spec.MapArgs)
	.balign 64
peakF32Zmm24x16:
	zmmpeak	vfmadd231ps

// func peakBF16Zmm24x16(a *spec.MapArgs)
	.balign 64
peakBF16Zmm24x16:
	zmmpeak	vdpbf16ps

// func peakI8Vnni24x16(a *spec.MapArgs)
	.balign 64
peakI8Vnni24x16:
	zmmpeak	vpdpbusd

// func peakF32Ymm12x8(a *spec.MapArgs)
	.balign 64
peakF32Ymm12x8:
	ymmpeak	vfmadd231ps

.macro dots reg, x, y
	{vex} vpdpbusd \reg, \x, \y
.endm

// func peakI8AvxVnni12x8(a *spec.MapArgs)
	.balign 64
peakI8AvxVnni12x8:
	ymmpeak	dots

// Without an instruction for bytes two words are multiplied and summed, and then added.
.macro words reg, x, y
	vpmaddwd ymm13, \x, \y
	vpaddd	\reg, \reg, ymm13
.endm

// func peakI8Ymm12x8(a *spec.MapArgs)
	.balign 64
peakI8Ymm12x8:
	ymmpeak	words
