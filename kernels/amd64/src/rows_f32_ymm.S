// Reductions of rows of FP32 with AVX2.
//
// rdi  arguments   rdx  Y              r9   Cols, in bytes    ymm0-3  sums, or the largest so far   ymm8  NaN
// rsi  X           rcx  rows left      rax  column, in bytes  ymm4-7  elements of a row             ymm9  scratch
// r8   row of Y    rbx  columns left   r10  row of Y's number  ymm15  columns that exist
// r11  XStride     r15  row of X

// begin leaves in ymm15 the columns that exist at the end; masks are eight times all bits, eight times none.
.macro begin masks
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Rows]
	mov	r9, [rdi + RowsArgs_Cols]
	mov	r11, [rdi + RowsArgs_XStride]
	shl	r9, 2
	mov	rbx, r9
	and	ebx, 31
	lea	rax, [rip + \masks + 32]
	sub	rax, rbx
	vmovups	ymm15, [rax]
.endm

// func sumrowsF32Ymm(a *spec.RowsArgs)
	.balign 64
sumrowsF32Ymm:
	begin	sumrowsF32Ymm.data
	mov	r10, [rdi + RowsArgs_First]
1:	test	rcx, rcx
	jle	6f
	mov	r8, r10
	and	r8d, 15
	imul	r8, [rdi + RowsArgs_YStride]
	add	r8, rdx
	xor	eax, eax
	mov	rbx, r9
	.balign 16
2:	sub	rbx, 128
	jl	3f
	vmovups	ymm0, [r8 + rax]
	vmovups	ymm1, [r8 + rax + 32]
	vmovups	ymm2, [r8 + rax + 64]
	vmovups	ymm3, [r8 + rax + 96]
	vaddps	ymm0, ymm0, [rsi + rax]
	vaddps	ymm1, ymm1, [rsi + rax + 32]
	vaddps	ymm2, ymm2, [rsi + rax + 64]
	vaddps	ymm3, ymm3, [rsi + rax + 96]
	vmovups	[r8 + rax], ymm0
	vmovups	[r8 + rax + 32], ymm1
	vmovups	[r8 + rax + 64], ymm2
	vmovups	[r8 + rax + 96], ymm3
	add	rax, 128
	jmp	2b
3:	add	rbx, 128
4:	sub	rbx, 32
	jl	5f
	vmovups	ymm0, [r8 + rax]
	vaddps	ymm0, ymm0, [rsi + rax]
	vmovups	[r8 + rax], ymm0
	add	rax, 32
	jmp	4b
5:	add	rbx, 32
	jz	7f
	vmaskmovps ymm0, ymm15, [r8 + rax]
	vmaskmovps ymm4, ymm15, [rsi + rax]
	vaddps	ymm0, ymm0, ymm4
	vmaskmovps [r8 + rax], ymm15, ymm0
7:	add	rsi, r11
	inc	r10
	dec	rcx
	jmp	1b
6:	vzeroupper
	ret
	.balign 4
sumrowsF32Ymm.data:
	.fill	8, 4, -1
	.fill	8, 4, 0

// extreme makes a kernel that keeps what an instruction takes of two.
.macro extreme name, what
	.balign 64
\name:
	begin	\name\().data
	mov	r10, rcx
	xor	eax, eax
1:	mov	rbx, r9
	sub	rbx, rax
	jle	9f
	cmp	rbx, 128
	jl	5f
	vmovups	ymm0, [rdx + rax]
	vmovups	ymm1, [rdx + rax + 32]
	vmovups	ymm2, [rdx + rax + 64]
	vmovups	ymm3, [rdx + rax + 96]
	vcmpunordps ymm8, ymm0, ymm1
	vcmpunordps ymm9, ymm2, ymm3
	vorps	ymm8, ymm8, ymm9
	lea	r15, [rsi + rax]
	mov	rcx, r10
	test	rcx, rcx
	jle	4f
	.balign 16
3:	vmovups	ymm4, [r15]
	vmovups	ymm5, [r15 + 32]
	vmovups	ymm6, [r15 + 64]
	vmovups	ymm7, [r15 + 96]
	add	r15, r11
	vcmpunordps ymm9, ymm4, ymm5
	vorps	ymm8, ymm8, ymm9
	vcmpunordps ymm9, ymm6, ymm7
	vorps	ymm8, ymm8, ymm9
	\what	ymm0, ymm4, ymm0
	\what	ymm1, ymm5, ymm1
	\what	ymm2, ymm6, ymm2
	\what	ymm3, ymm7, ymm3
	dec	rcx
	jnz	3b
4:	vtestps	ymm8, ymm8
	jnz	5f			// one vector at a time, where NaN stays
	vmovups	[rdx + rax], ymm0
	vmovups	[rdx + rax + 32], ymm1
	vmovups	[rdx + rax + 64], ymm2
	vmovups	[rdx + rax + 96], ymm3
	add	rax, 128
	jmp	1b
5:	vpcmpeqd ymm8, ymm8, ymm8
	cmp	rbx, 32
	jge	6f
	vmovaps	ymm8, ymm15
6:	vmaskmovps ymm0, ymm8, [rdx + rax]
	lea	r15, [rsi + rax]
	mov	rcx, r10
7:	test	rcx, rcx
	jle	8f
	vmaskmovps ymm4, ymm8, [r15]
	add	r15, r11
	\what	ymm0, ymm4, ymm0
	vcmpunordps ymm9, ymm4, ymm4
	vblendvps ymm0, ymm0, ymm4, ymm9
	dec	rcx
	jmp	7b
8:	vmaskmovps [rdx + rax], ymm8, ymm0
	add	rax, 32
	jmp	1b
9:	vzeroupper
	ret
	.balign 4
\name\().data:
	.fill	8, 4, -1
	.fill	8, 4, 0
.endm

// arg makes a kernel that keeps the first extreme elements and their numbers; a comparison tells that one is not beyond the best, or no number.
//
// ymm0 best   ymm1 its number   ymm2 number of the row   ymm3 one   ymm4 elements   ymm5 better   ymm8 columns that exist   ymm9 where the best is a number
.macro arg name, compare
	.balign 64
\name:
	begin	\name\().data
	mov	r10, rcx
	mov	r8, [rdi + RowsArgs_YStride]
	add	r8, rdx
	vpcmpeqd ymm8, ymm8, ymm8
	vpsrld	ymm3, ymm8, 31
	xor	eax, eax
1:	mov	rbx, r9
	sub	rbx, rax
	jle	9f
	cmp	rbx, 32
	jge	2f
	vmovaps	ymm8, ymm15
2:	vmaskmovps ymm0, ymm8, [rdx + rax]
	vpmaskmovd ymm1, ymm8, [r8 + rax]
	vpbroadcastd ymm2, dword ptr [rdi + RowsArgs_First]
	lea	r15, [rsi + rax]
	mov	rcx, r10
	.balign 16
3:	dec	rcx
	js	4f
	vmaskmovps ymm4, ymm8, [r15]
	add	r15, r11
	vcmpordps ymm9, ymm0, ymm0
	vcmpps	ymm5, ymm4, ymm0, \compare
	vandps	ymm5, ymm5, ymm9
	vblendvps ymm0, ymm0, ymm4, ymm5
	vblendvps ymm1, ymm1, ymm2, ymm5
	vpaddd	ymm2, ymm2, ymm3
	jmp	3b
4:	vmaskmovps [rdx + rax], ymm8, ymm0
	vpmaskmovd [r8 + rax], ymm8, ymm1
	add	rax, 32
	jmp	1b
9:	vzeroupper
	ret
	.balign 4
\name\().data:
	.fill	8, 4, -1
	.fill	8, 4, 0
.endm

// func maxrowsF32Ymm(a *spec.RowsArgs)
	extreme	maxrowsF32Ymm, vmaxps
// func minrowsF32Ymm(a *spec.RowsArgs)
	extreme	minrowsF32Ymm, vminps
// func argmaxrowsF32Ymm(a *spec.RowsArgs)
	arg	argmaxrowsF32Ymm, 22
// func argminrowsF32Ymm(a *spec.RowsArgs)
	arg	argminrowsF32Ymm, 25
