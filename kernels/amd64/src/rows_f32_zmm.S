// Reductions of rows of FP32 with AVX-512.
//
// rdi  arguments   rdx  Y              r9   Cols, in bytes    zmm0-3  sums, or the largest so far
// rsi  X           rcx  rows left      rax  column, in bytes  zmm4-7  elements of a row
// r8   row of Y    rbx  columns left   r10  row of Y's number  k1  columns that exist at the end   k2-3  NaN
// r11  XStride     r15  row of X

.macro begin
	mov	rsi, [rdi + RowsArgs_X]
	mov	rdx, [rdi + RowsArgs_Y]
	mov	rcx, [rdi + RowsArgs_Rows]
	mov	r9, [rdi + RowsArgs_Cols]
	mov	r11, [rdi + RowsArgs_XStride]
	mov	rbx, r9
	and	ebx, 15
	mov	rax, -1
	bzhi	rax, rax, rbx
	kmovw	k1, eax
	shl	r9, 2
.endm

// func sumrowsF32Zmm(a *spec.RowsArgs)
	.balign 64
sumrowsF32Zmm:
	begin
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
2:	sub	rbx, 256
	jl	3f
	vmovups	zmm0, [r8 + rax]
	vmovups	zmm1, [r8 + rax + 64]
	vmovups	zmm2, [r8 + rax + 128]
	vmovups	zmm3, [r8 + rax + 192]
	vaddps	zmm0, zmm0, [rsi + rax]
	vaddps	zmm1, zmm1, [rsi + rax + 64]
	vaddps	zmm2, zmm2, [rsi + rax + 128]
	vaddps	zmm3, zmm3, [rsi + rax + 192]
	vmovups	[r8 + rax], zmm0
	vmovups	[r8 + rax + 64], zmm1
	vmovups	[r8 + rax + 128], zmm2
	vmovups	[r8 + rax + 192], zmm3
	add	rax, 256
	jmp	2b
3:	add	rbx, 256
4:	sub	rbx, 64
	jl	5f
	vmovups	zmm0, [r8 + rax]
	vaddps	zmm0, zmm0, [rsi + rax]
	vmovups	[r8 + rax], zmm0
	add	rax, 64
	jmp	4b
5:	add	rbx, 64
	jz	7f
	vmovups	zmm0{k1}{z}, [r8 + rax]
	vaddps	zmm0{k1}, zmm0, [rsi + rax]
	vmovups	[r8 + rax]{k1}, zmm0
7:	add	rsi, r11
	inc	r10
	dec	rcx
	jmp	1b
6:	vzeroupper
	ret

// extreme makes a kernel that keeps what an instruction takes of two.
.macro extreme name, what
	.balign 64
\name:
	begin
	mov	r10, rcx
	xor	eax, eax
1:	mov	rbx, r9
	sub	rbx, rax
	jle	9f
	cmp	rbx, 256
	jl	5f
	vmovups	zmm0, [rdx + rax]
	vmovups	zmm1, [rdx + rax + 64]
	vmovups	zmm2, [rdx + rax + 128]
	vmovups	zmm3, [rdx + rax + 192]
	vcmpunordps k3, zmm0, zmm1
	vcmpunordps k2, zmm2, zmm3
	korw	k3, k3, k2
	lea	r15, [rsi + rax]
	mov	rcx, r10
	test	rcx, rcx
	jle	4f
	.balign 16
3:	vmovups	zmm4, [r15]
	vmovups	zmm5, [r15 + 64]
	vmovups	zmm6, [r15 + 128]
	vmovups	zmm7, [r15 + 192]
	add	r15, r11
	vcmpunordps k2, zmm4, zmm5
	korw	k3, k3, k2
	vcmpunordps k2, zmm6, zmm7
	korw	k3, k3, k2
	\what	zmm0, zmm4, zmm0
	\what	zmm1, zmm5, zmm1
	\what	zmm2, zmm6, zmm2
	\what	zmm3, zmm7, zmm3
	dec	rcx
	jnz	3b
4:	kortestw k3, k3
	jnz	5f			// one vector at a time, where NaN stays
	vmovups	[rdx + rax], zmm0
	vmovups	[rdx + rax + 64], zmm1
	vmovups	[rdx + rax + 128], zmm2
	vmovups	[rdx + rax + 192], zmm3
	add	rax, 256
	jmp	1b
5:	mov	r8, -1
	kmovw	k3, r8d
	cmp	rbx, 64
	jge	6f
	kmovw	k3, k1
6:	vmovups	zmm0{k3}{z}, [rdx + rax]
	lea	r15, [rsi + rax]
	mov	rcx, r10
7:	test	rcx, rcx
	jle	8f
	vmovups	zmm4{k3}{z}, [r15]
	add	r15, r11
	\what	zmm0, zmm4, zmm0
	vcmpunordps k2, zmm4, zmm4
	vmovaps	zmm0{k2}, zmm4
	dec	rcx
	jmp	7b
8:	vmovups	[rdx + rax]{k3}, zmm0
	add	rax, 64
	jmp	1b
9:	vzeroupper
	ret
.endm

// arg makes a kernel that keeps the first extreme elements and their numbers; a comparison tells that one is not beyond the best, or no number.
//
// zmm0 best   zmm1 its number   zmm2 number of the row   zmm3 one   zmm4 elements   k2 better   k3 columns that exist   k4 where the best is a number
.macro arg name, compare
	.balign 64
\name:
	begin
	mov	r10, rcx
	mov	r8, [rdi + RowsArgs_YStride]
	add	r8, rdx
	mov	eax, 1
	vpbroadcastd zmm3, eax
	xor	eax, eax
	mov	ebx, 0xffff
	kmovw	k3, ebx
1:	mov	rbx, r9
	sub	rbx, rax
	jle	9f
	cmp	rbx, 64
	jge	2f
	kmovw	k3, k1
2:	vmovups	zmm0{k3}{z}, [rdx + rax]
	vmovdqu32 zmm1{k3}{z}, [r8 + rax]
	vpbroadcastd zmm2, dword ptr [rdi + RowsArgs_First]
	lea	r15, [rsi + rax]
	mov	rcx, r10
	.balign 16
3:	dec	rcx
	js	4f
	vmovups	zmm4{k3}{z}, [r15]
	add	r15, r11
	vcmpps	k4, zmm0, zmm0, 7
	vcmpps	k2{k4}, zmm4, zmm0, \compare
	vmovaps	zmm0{k2}, zmm4
	vmovdqa32 zmm1{k2}, zmm2
	vpaddd	zmm2, zmm2, zmm3
	jmp	3b
4:	vmovups	[rdx + rax]{k3}, zmm0
	vmovdqu32 [r8 + rax]{k3}, zmm1
	add	rax, 64
	jmp	1b
9:	vzeroupper
	ret
.endm

// func maxrowsF32Zmm(a *spec.RowsArgs)
	extreme	maxrowsF32Zmm, vmaxps
// func minrowsF32Zmm(a *spec.RowsArgs)
	extreme	minrowsF32Zmm, vminps
// func argmaxrowsF32Zmm(a *spec.RowsArgs)
	arg	argmaxrowsF32Zmm, 22
// func argminrowsF32Zmm(a *spec.RowsArgs)
	arg	argminrowsF32Zmm, 25
