// Pools of FP32 with AVX2: 32 or 8 channels of one position at once.
//
// rdi  arguments        rax  offset of the channels    ymm0-7  largest so far and inputs of a tap, or the lanes
// rdx  In               r13  offset of the position    ymm8    NaN, or a lane      ymm9   scratch, or another lane
// rsi  its output       r9   Channels, in bytes        ymm10   input of a tap      ymm11-12  bounds
// r8   input of a tap   r10  positions left            ymm13   the divisor         ymm15  channels that exist
// r15  tap              r11  Taps
	.altmacro

.macro begin
	mov	rdx, [rdi + PoolArgs_In]
	mov	rsi, [rdi + PoolArgs_Out]
	mov	r9, [rdi + PoolArgs_Channels]
	mov	r10, [rdi + PoolArgs_Width]
	mov	r11, [rdi + PoolArgs_Taps]
	vbroadcastss ymm11, dword ptr [rdi + PoolArgs_Lo]
	vbroadcastss ymm12, dword ptr [rdi + PoolArgs_Hi]
	shl	r9, 2
	xor	r13d, r13d
.endm
// mask sets ymm15 for rcx bytes that are left, from eight times all bits, eight times none; rbx is scratch.
.macro mask masks
	mov	ebx, 32
	cmp	rcx, rbx
	cmovg	rcx, rbx
	lea	rbx, [rip + \masks + 32]
	sub	rbx, rcx
	vmovups	ymm15, [rbx]
.endm
.macro bounded acc
	vmaxps	ymm\acc, ymm11, ymm\acc
	vminps	ymm\acc, ymm12, ymm\acc
.endm
.macro advance
	add	rsi, [rdi + PoolArgs_OutStep]
	add	r13, [rdi + PoolArgs_InStep]
	dec	r10
.endm

// func maxpoolF32Ymm(a *spec.PoolArgs)
	.balign 64
maxpoolF32Ymm:
	begin
1:	test	r10, r10
	jle	9f
	xor	eax, eax
2:	mov	rcx, r9
	sub	rcx, rax
	jle	8f
	cmp	rcx, 128
	jl	5f
	mov	r8, [rdx]
	add	r8, r13
	vmovups	ymm0, [r8 + rax]
	vmovups	ymm1, [r8 + rax + 32]
	vmovups	ymm2, [r8 + rax + 64]
	vmovups	ymm3, [r8 + rax + 96]
	vcmpunordps ymm8, ymm0, ymm1
	vcmpunordps ymm9, ymm2, ymm3
	vorps	ymm8, ymm8, ymm9
	mov	r15d, 1
	.balign 16
3:	cmp	r15, r11
	jge	4f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmovups	ymm4, [r8 + rax]
	vmovups	ymm5, [r8 + rax + 32]
	vmovups	ymm6, [r8 + rax + 64]
	vmovups	ymm7, [r8 + rax + 96]
	vcmpunordps ymm9, ymm4, ymm5
	vorps	ymm8, ymm8, ymm9
	vcmpunordps ymm9, ymm6, ymm7
	vorps	ymm8, ymm8, ymm9
	vmaxps	ymm0, ymm4, ymm0
	vmaxps	ymm1, ymm5, ymm1
	vmaxps	ymm2, ymm6, ymm2
	vmaxps	ymm3, ymm7, ymm3
	jmp	3b
4:	vtestps	ymm8, ymm8
	jnz	5f			// one vector at a time, where NaN stays
	bounded	0
	bounded	1
	bounded	2
	bounded	3
	vmovups	[rsi + rax], ymm0
	vmovups	[rsi + rax + 32], ymm1
	vmovups	[rsi + rax + 64], ymm2
	vmovups	[rsi + rax + 96], ymm3
	add	rax, 128
	jmp	2b
5:	mask	maxpoolF32Ymm.data
	mov	r8, [rdx]
	add	r8, r13
	vmaskmovps ymm0, ymm15, [r8 + rax]
	mov	r15d, 1
6:	cmp	r15, r11
	jge	7f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	inc	r15
	vmaskmovps ymm4, ymm15, [r8 + rax]
	vmaxps	ymm0, ymm4, ymm0
	vcmpunordps ymm9, ymm4, ymm4
	vblendvps ymm0, ymm0, ymm4, ymm9
	jmp	6b
7:	bounded	0
	vmaskmovps [rsi + rax], ymm15, ymm0
	add	rax, 32
	jmp	2b
8:	advance
	jmp	1b
9:	vzeroupper
	ret
	.balign 4
maxpoolF32Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0

// lane adds the taps of one lane, from tap first on, to a register.
.macro lane acc, first
	vxorps	ymm\acc, ymm\acc, ymm\acc
	mov	r15d, \first
97:	cmp	r15, r11
	jge	98f
	mov	r8, [rdx + 8*r15]
	add	r8, r13
	add	r15, 16
	vmaskmovps ymm10, ymm15, [r8 + rax]
	vaddps	ymm\acc, ymm\acc, ymm10
	jmp	97b
98:
.endm
.macro two low
	lane	8, \low
	lane	9, %(\low + 8)
	vaddps	ymm\low, ymm8, ymm9
.endm
.macro pair a, b
	vaddps	ymm\a, ymm\a, ymm\b
.endm

// func meanpoolF32Ymm(a *spec.PoolArgs)
	.balign 64
meanpoolF32Ymm:
	begin
	mov	rcx, [rdi + PoolArgs_Scale]
	vbroadcastss ymm13, dword ptr [rcx]
3:	test	r10, r10
	jle	9f
	xor	eax, eax
4:	mov	rcx, r9
	sub	rcx, rax
	jle	8f
	mask	meanpoolF32Ymm.data
	.irp	low, 0, 1, 2, 3, 4, 5, 6, 7
	two	\low
	.endr
	pair	0, 4
	pair	1, 5
	pair	2, 6
	pair	3, 7
	pair	0, 2
	pair	1, 3
	pair	0, 1
	vdivps	ymm0, ymm0, ymm13
	bounded	0
	vmaskmovps [rsi + rax], ymm15, ymm0
	add	rax, 32
	jmp	4b
8:	advance
	jmp	3b
9:	vzeroupper
	ret
	.balign 4
meanpoolF32Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0
