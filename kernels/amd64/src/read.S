// The exclusive or of words of 64 bits: memory read as fast as it comes.
//
// rdi  arguments   rsi X   rcx words left   rax sum of the tail   zmm or ymm 0-7: the sums

// blocks reads all whole blocks of 8 registers of size bytes.
.macro blocks reg, xor, size
	mov	rsi, [rdi + MapArgs_X]
	mov	rcx, [rdi + MapArgs_N]
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7
	vpxor	ymm\i, ymm\i, ymm\i
	.endr
	sub	rcx, \size
	jl	2f
	.balign	32
1:	\xor	\reg\()0, \reg\()0, [rsi]
	\xor	\reg\()1, \reg\()1, [rsi + \size]
	\xor	\reg\()2, \reg\()2, [rsi + 2*\size]
	\xor	\reg\()3, \reg\()3, [rsi + 3*\size]
	\xor	\reg\()4, \reg\()4, [rsi + 4*\size]
	\xor	\reg\()5, \reg\()5, [rsi + 5*\size]
	\xor	\reg\()6, \reg\()6, [rsi + 6*\size]
	\xor	\reg\()7, \reg\()7, [rsi + 7*\size]
	add	rsi, 8*\size
	sub	rcx, \size
	jge	1b
2:	add	rcx, \size
	.irp	i, 1, 2, 3, 4, 5, 6, 7
	\xor	\reg\()0, \reg\()0, \reg\i
	.endr
.endm

// last adds the words behind the blocks to those in ymm0, and stores the sum.
.macro last
	vextracti128 xmm1, ymm0, 1
	vpxor	xmm0, xmm0, xmm1
	vpsrldq	xmm1, xmm0, 8
	vpxor	xmm0, xmm0, xmm1
	vmovq	rax, xmm0
	test	rcx, rcx
	jle	4f
3:	xor	rax, [rsi]
	add	rsi, 8
	dec	rcx
	jnz	3b
4:	mov	rdx, [rdi + MapArgs_Y]
	mov	[rdx], rax
	vzeroupper
	ret
.endm

// func readU64Zmm(a *spec.MapArgs)
	.balign 64
readU64Zmm:
	blocks	zmm, vpxorq, 64
	vextracti64x4 ymm1, zmm0, 1
	vpxor	ymm0, ymm0, ymm1
	last

// func readU64Ymm(a *spec.MapArgs)
	.balign 64
readU64Ymm:
	blocks	ymm, vpxor, 32
	last
