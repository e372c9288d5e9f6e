// Largest elements of pools of bytes with AVX2: 32 channels of one position at once, then one by one.
//
// rdi  arguments        rax  offset of the channels   ymm0    largest so far
// rdx  In               r13  offset of the position   ymm1    input of a tap
// rsi  its output       r9   Channels                 ymm2-3  bounds
// r8   input of a tap   r10  positions left           rbx     largest so far of one channel
// r15  tap              r11  Taps                     rcx     scratch

.macro maxpool larger, smaller, widen
	mov	rdx, [rdi + PoolArgs_In]
	mov	rsi, [rdi + PoolArgs_Out]
	mov	r9, [rdi + PoolArgs_Channels]
	mov	r10, [rdi + PoolArgs_Width]
	mov	r11, [rdi + PoolArgs_Taps]
	vpbroadcastb ymm2, byte ptr [rdi + PoolArgs_QLo]
	vpbroadcastb ymm3, byte ptr [rdi + PoolArgs_QHi]
	xor	r13d, r13d
1:	test	r10, r10
	jle	9f
	xor	eax, eax
2:	mov	rcx, r9
	sub	rcx, rax
	jle	8f
	mov	r8, [rdx]
	add	r8, r13
	mov	r15d, 1
	cmp	rcx, 32
	jl	5f
	vmovdqu	ymm0, [r8 + rax]
3:	cmp	r15, r11
	jge	4f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	\larger	ymm0, ymm0, [r8 + rax]
	jmp	3b
4:	\larger	ymm0, ymm0, ymm2
	\smaller ymm0, ymm0, ymm3
	vmovdqu	[rsi + rax], ymm0
	add	rax, 32
	jmp	2b
5:	\widen	ebx, byte ptr [r8 + rax]
6:	cmp	r15, r11
	jge	7f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	\widen	ecx, byte ptr [r8 + rax]
	cmp	ebx, ecx
	cmovl	ebx, ecx
	jmp	6b
7:	mov	ecx, [rdi + PoolArgs_QLo]
	cmp	ebx, ecx
	cmovl	ebx, ecx
	mov	ecx, [rdi + PoolArgs_QHi]
	cmp	ebx, ecx
	cmovg	ebx, ecx
	mov	[rsi + rax], bl
	inc	rax
	jmp	2b
8:	add	rsi, [rdi + PoolArgs_OutStep]
	add	r13, [rdi + PoolArgs_InStep]
	dec	r10
	jmp	1b
9:	vzeroupper
	ret
.endm

// func maxpoolI8Ymm(a *spec.PoolArgs)
	.balign 64
maxpoolI8Ymm:
	maxpool	vpmaxsb, vpminsb, movsx

// func maxpoolU8Ymm(a *spec.PoolArgs)
	.balign 64
maxpoolU8Ymm:
	maxpool	vpmaxub, vpminub, movzx
