// Mixes of rows of FP32 with AVX2.
//
// rdi  arguments   r8   At of the row   r11  Cols               ymm0-3  sums
// rsi  X           r9   W of the row    rbx  columns left       ymm4    a weight
// rdx  row of Y    r10  Taps            rax  column, in bytes   ymm5-8  products
// rcx  rows left   r13  tap             r12  row of X           ymm15  columns that exist at the end
	.altmacro

.macro multiply i
	vmulps	ymm\i, ymm4, [r12 + 32*\i]
.endm
.macro accumulate i, p
	vmulps	ymm\p, ymm4, [r12 + 32*\i]
	vaddps	ymm\i, ymm\i, ymm\p
.endm

// tap finds the row of X and the weight of tap r13.
.macro tap
	mov	r12, [r8 + 8*r13]
	add	r12, rsi
	add	r12, rax
	vbroadcastss ymm4, dword ptr [r9 + 4*r13]
.endm

// taps computes first for the first tap, and then next for each other.
.macro taps first, next
	xor	r13d, r13d
	tap
	\first
1:	inc	r13
	cmp	r13, r10
	jge	2f
	tap
	\next
	jmp	1b
2:
.endm
.macro four
	.irp	i, 0, 1, 2, 3
	multiply \i
	.endr
.endm
.macro fourmore
	accumulate 0, 5
	accumulate 1, 6
	accumulate 2, 7
	accumulate 3, 8
.endm
.macro one
	vmulps	ymm0, ymm4, [r12]
.endm
.macro onemore
	accumulate 0, 5
.endm
.macro some
	vmaskmovps ymm0, ymm15, [r12]
	vmulps	ymm0, ymm4, ymm0
.endm
.macro somemore
	vmaskmovps ymm5, ymm15, [r12]
	vmulps	ymm5, ymm4, ymm5
	vaddps	ymm0, ymm0, ymm5
.endm

// func mixF32Ymm(a *spec.MixArgs)
	.balign 64
mixF32Ymm:
	mov	rsi, [rdi + MixArgs_X]
	mov	rdx, [rdi + MixArgs_Y]
	mov	rcx, [rdi + MixArgs_Rows]
	mov	r8, [rdi + MixArgs_At]
	mov	r9, [rdi + MixArgs_W]
	mov	r10, [rdi + MixArgs_Taps]
	mov	r11, [rdi + MixArgs_Cols]
	mov	rbx, r11
	and	ebx, 7
	shl	ebx, 2
	lea	rax, [rip + mixF32Ymm.data + 32]
	sub	rax, rbx
	vmovups	ymm15, [rax]
3:	dec	rcx
	jl	9f
	mov	rbx, r11
	xor	eax, eax
4:	sub	rbx, 32
	jl	5f
	taps	four, fourmore
	vmovups	[rdx + rax], ymm0
	vmovups	[rdx + rax + 32], ymm1
	vmovups	[rdx + rax + 64], ymm2
	vmovups	[rdx + rax + 96], ymm3
	add	rax, 128
	jmp	4b
5:	add	rbx, 32
6:	sub	rbx, 8
	jl	7f
	taps	one, onemore
	vmovups	[rdx + rax], ymm0
	add	rax, 32
	jmp	6b
7:	add	rbx, 8
	jz	8f
	taps	some, somemore
	vmaskmovps [rdx + rax], ymm15, ymm0
8:	add	rdx, [rdi + MixArgs_YStride]
	lea	r8, [r8 + 8*r10]
	lea	r9, [r9 + 4*r10]
	jmp	3b
9:	vzeroupper
	ret
	.balign 4
mixF32Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
