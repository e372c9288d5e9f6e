// Sums of integers to FP32 with AVX-512: 16 columns at once.
//
// rdi  arguments   rsi row of A   r8 row of C   rdx Scale   r9 Bias, or 0   rcx rows left   rbx scratch   r10 column in bytes   r11 bytes of a row
// k1   columns that exist   zmm0 elements   zmm29-30 bounds

// func scalesumsI32Zmm(a *spec.ScaleArgs)
	.balign 64
scalesumsI32Zmm:
	mov	rsi, [rdi + ScaleArgs_A]
	mov	r8, [rdi + ScaleArgs_C]
	mov	rdx, [rdi + ScaleArgs_Scale]
	mov	r9, [rdi + ScaleArgs_Bias]
	mov	r11, [rdi + ScaleArgs_Cols]
	mov	rcx, [rdi + ScaleArgs_Rows]
	shl	r11, 2
	jz	6f
	vbroadcastss zmm29, dword ptr [rdi + ScaleArgs_Lo]
	vbroadcastss zmm30, dword ptr [rdi + ScaleArgs_Hi]
	test	rcx, rcx
	jle	6f
1:	xor	r10d, r10d
	mov	eax, 0xffff
	kmovw	k1, eax
2:	mov	rax, r11
	sub	rax, r10
	jle	5f
	cmp	rax, 64
	jge	3f
	shr	rax, 2
	mov	rbx, -1
	bzhi	rbx, rbx, rax
	kmovw	k1, ebx
3:	vmovdqu32 zmm0{k1}{z}, [rsi + r10]
	vcvtdq2ps zmm0, zmm0
	vmulps	zmm0{k1}{z}, zmm0, [rdx + r10]
	test	r9, r9
	jz	4f
	vaddps	zmm0{k1}{z}, zmm0, [r9 + r10]
4:	vmaxps	zmm0, zmm29, zmm0
	vminps	zmm0, zmm30, zmm0
	vmovups	[r8 + r10]{k1}, zmm0
	add	r10, 64
	jmp	2b
5:	add	rsi, [rdi + ScaleArgs_AStride]
	add	r8, [rdi + ScaleArgs_CStride]
	dec	rcx
	jnz	1b
6:	vzeroupper
	ret
