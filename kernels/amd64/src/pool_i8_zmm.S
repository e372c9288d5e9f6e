// Largest elements of pools of bytes with AVX-512: 64 channels of one position at once.
//
// rdi  arguments        rax  offset of the channels   zmm0    largest so far
// rdx  In               r13  offset of the position   zmm1    input of a tap
// rsi  its output       r9   Channels                 zmm2-3  bounds
// r8   input of a tap   r10  positions left           k1      channels that exist
// r15  tap              r11  Taps

.macro maxpool larger, smaller
	mov	rdx, [rdi + PoolArgs_In]
	mov	rsi, [rdi + PoolArgs_Out]
	mov	r9, [rdi + PoolArgs_Channels]
	mov	r10, [rdi + PoolArgs_Width]
	mov	r11, [rdi + PoolArgs_Taps]
	vpbroadcastb zmm2, byte ptr [rdi + PoolArgs_QLo]
	vpbroadcastb zmm3, byte ptr [rdi + PoolArgs_QHi]
	xor	r13d, r13d
1:	test	r10, r10
	jle	7f
	xor	eax, eax
2:	mov	rcx, r9
	sub	rcx, rax
	jle	6f
	mov	r8, -1
	cmp	rcx, 64
	jge	3f
	bzhi	r8, r8, rcx
3:	kmovq	k1, r8
	mov	r8, [rdx]
	add	r8, r13
	vmovdqu8 zmm0{k1}{z}, [r8 + rax]
	mov	r15d, 1
4:	cmp	r15, r11
	jge	5f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmovdqu8 zmm1{k1}{z}, [r8 + rax]
	\larger	zmm0, zmm0, zmm1
	jmp	4b
5:	\larger	zmm0, zmm0, zmm2
	\smaller zmm0, zmm0, zmm3
	vmovdqu8 [rsi + rax]{k1}, zmm0
	add	rax, 64
	jmp	2b
6:	add	rsi, [rdi + PoolArgs_OutStep]
	add	r13, [rdi + PoolArgs_InStep]
	dec	r10
	jmp	1b
7:	vzeroupper
	ret
.endm

// func maxpoolI8Zmm(a *spec.PoolArgs)
	.balign 64
maxpoolI8Zmm:
	maxpool	vpmaxsb, vpminsb

// func maxpoolU8Zmm(a *spec.PoolArgs)
	.balign 64
maxpoolU8Zmm:
	maxpool	vpmaxub, vpminub
