// Mixes of rows of FP32 with AVX-512.
//
// rdi  arguments   r8   At of the row   r11  Cols               zmm0-3  sums
// rsi  X           r9   W of the row    rbx  columns left       zmm4    a weight
// rdx  row of Y    r10  Taps            rax  column, in bytes   zmm5-8  products
// rcx  rows left   r13  tap             r12  row of X           k1  columns that exist at the end   k2  those of this vector
	.altmacro

.macro multiply i
	vmulps	zmm\i, zmm4, [r12 + 64*\i]
.endm
.macro accumulate i, p
	vmulps	zmm\p, zmm4, [r12 + 64*\i]
	vaddps	zmm\i, zmm\i, zmm\p
.endm

// tap finds the row of X and the weight of tap r13.
.macro tap
	mov	r12, [r8 + 8*r13]
	add	r12, rsi
	add	r12, rax
	vbroadcastss zmm4, dword ptr [r9 + 4*r13]
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
	vmulps	zmm0{k2}{z}, zmm4, [r12]
.endm
.macro onemore
	vmulps	zmm5{k2}{z}, zmm4, [r12]
	vaddps	zmm0, zmm0, zmm5
.endm

// func mixF32Zmm(a *spec.MixArgs)
	.balign 64
mixF32Zmm:
	mov	rsi, [rdi + MixArgs_X]
	mov	rdx, [rdi + MixArgs_Y]
	mov	rcx, [rdi + MixArgs_Rows]
	mov	r8, [rdi + MixArgs_At]
	mov	r9, [rdi + MixArgs_W]
	mov	r10, [rdi + MixArgs_Taps]
	mov	r11, [rdi + MixArgs_Cols]
	mov	rbx, r11
	and	ebx, 15
	mov	rax, -1
	bzhi	rax, rax, rbx
	kmovw	k1, eax
3:	dec	rcx
	jl	9f
	mov	rbx, r11
	xor	eax, eax
4:	sub	rbx, 64
	jl	5f
	taps	four, fourmore
	vmovups	[rdx + rax], zmm0
	vmovups	[rdx + rax + 64], zmm1
	vmovups	[rdx + rax + 128], zmm2
	vmovups	[rdx + rax + 192], zmm3
	add	rax, 256
	jmp	4b
5:	add	rbx, 64
	mov	r13d, 0xffff
	kmovw	k2, r13d
6:	test	rbx, rbx
	jle	8f
	cmp	rbx, 16
	jge	7f
	kmovw	k2, k1
7:	taps	one, onemore
	vmovups	[rdx + rax]{k2}, zmm0
	add	rax, 64
	sub	rbx, 16
	jmp	6b
8:	add	rdx, [rdi + MixArgs_YStride]
	lea	r8, [r8 + 8*r10]
	lea	r9, [r9 + 4*r10]
	jmp	3b
9:	vzeroupper
	ret
