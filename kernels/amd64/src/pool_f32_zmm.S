// Pools of FP32 with AVX-512: 64 or 16 channels of one position at once.
//
// rdi  arguments        rax  offset of the channels    zmm0-15   largest so far, or the lanes
// rdx  In               r13  offset of the position    zmm16-19  inputs of a tap
// rsi  its output       r9   Channels, in bytes        zmm20-21  bounds   zmm22 the divisor
// r8   input of a tap   r10  positions left            k1  channels that exist
// r15  tap              r11  Taps                      k2-3  NaN
	.altmacro

.macro begin
	mov	rdx, [rdi + PoolArgs_In]
	mov	rsi, [rdi + PoolArgs_Out]
	mov	r9, [rdi + PoolArgs_Channels]
	mov	r10, [rdi + PoolArgs_Width]
	mov	r11, [rdi + PoolArgs_Taps]
	vbroadcastss zmm20, dword ptr [rdi + PoolArgs_Lo]
	vbroadcastss zmm21, dword ptr [rdi + PoolArgs_Hi]
	shl	r9, 2
	xor	r13d, r13d
.endm
// mask sets k1 for rcx bytes that are left; r8 is scratch.
.macro mask
	mov	r8, -1
	shr	rcx, 2
	cmp	rcx, 16
	jge	99f
	bzhi	r8, r8, rcx
99:	kmovw	k1, r8d
.endm
.macro bounded acc
	vmaxps	zmm\acc, zmm20, zmm\acc
	vminps	zmm\acc, zmm21, zmm\acc
.endm
.macro advance
	add	rsi, [rdi + PoolArgs_OutStep]
	add	r13, [rdi + PoolArgs_InStep]
	dec	r10
.endm

// func maxpoolF32Zmm(a *spec.PoolArgs)
	.balign 64
maxpoolF32Zmm:
	begin
1:	test	r10, r10
	jle	9f
	xor	eax, eax
2:	mov	rcx, r9
	sub	rcx, rax
	jle	8f
	cmp	rcx, 256
	jl	5f
	mov	r8, [rdx]
	add	r8, r13
	vmovups	zmm0, [r8 + rax]
	vmovups	zmm1, [r8 + rax + 64]
	vmovups	zmm2, [r8 + rax + 128]
	vmovups	zmm3, [r8 + rax + 192]
	vcmpunordps k3, zmm0, zmm1
	vcmpunordps k2, zmm2, zmm3
	korw	k3, k3, k2
	mov	r15d, 1
	.balign 16
3:	cmp	r15, r11
	jge	4f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmovups	zmm16, [r8 + rax]
	vmovups	zmm17, [r8 + rax + 64]
	vmovups	zmm18, [r8 + rax + 128]
	vmovups	zmm19, [r8 + rax + 192]
	vcmpunordps k2, zmm16, zmm17
	korw	k3, k3, k2
	vcmpunordps k2, zmm18, zmm19
	korw	k3, k3, k2
	vmaxps	zmm0, zmm16, zmm0
	vmaxps	zmm1, zmm17, zmm1
	vmaxps	zmm2, zmm18, zmm2
	vmaxps	zmm3, zmm19, zmm3
	jmp	3b
4:	kortestw k3, k3
	jnz	5f			// one vector at a time, where NaN stays
	bounded	0
	bounded	1
	bounded	2
	bounded	3
	vmovups	[rsi + rax], zmm0
	vmovups	[rsi + rax + 64], zmm1
	vmovups	[rsi + rax + 128], zmm2
	vmovups	[rsi + rax + 192], zmm3
	add	rax, 256
	jmp	2b
5:	mask
	mov	r8, [rdx]
	add	r8, r13
	vmovups	zmm0{k1}{z}, [r8 + rax]
	mov	r15d, 1
6:	cmp	r15, r11
	jge	7f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmovups	zmm16{k1}{z}, [r8 + rax]
	vmaxps	zmm0, zmm16, zmm0
	vcmpunordps k2, zmm16, zmm16
	vmovaps	zmm0{k2}, zmm16
	jmp	6b
7:	bounded	0
	vmovups	[rsi + rax]{k1}, zmm0
	add	rax, 64
	jmp	2b
8:	advance
	jmp	1b
9:	vzeroupper
	ret

.macro zero lane
	vpxord	zmm\lane, zmm\lane, zmm\lane
.endm
.macro sum lane
	cmp	r15, r11
	jge	5f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmovups	zmm16{k1}{z}, [r8 + rax]
	vaddps	zmm\lane, zmm\lane, zmm16
.endm
.macro pair a, b
	vaddps	zmm\a, zmm\a, zmm\b
.endm
.macro pairs lane, half
	pair	\lane, %(\lane + \half)
.endm

// func meanpoolF32Zmm(a *spec.PoolArgs)
	.balign 64
meanpoolF32Zmm:
	begin
	mov	rcx, [rdi + PoolArgs_Scale]
	vbroadcastss zmm22, dword ptr [rcx]
2:	test	r10, r10
	jle	9f
	xor	eax, eax
3:	mov	rcx, r9
	sub	rcx, rax
	jle	8f
	mask
	.irp	lane, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	zero	\lane
	.endr
	xor	r15d, r15d
4:
	.irp	lane, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	sum	\lane
	.endr
	jmp	4b
5:
	.irp	half, 8, 4, 2, 1
	.irp	lane, 0, 1, 2, 3, 4, 5, 6, 7
	.if \lane < \half
	pairs	\lane, \half
	.endif
	.endr
	.endr
	vdivps	zmm0, zmm0, zmm22
	bounded	0
	vmovups	[rsi + rax]{k1}, zmm0
	add	rax, 64
	jmp	3b
8:	advance
	jmp	2b
9:	vzeroupper
	ret
