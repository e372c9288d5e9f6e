// Functions of FP32 elements with AVX2 and FMA, 8 at once; the steps are those of internal/fmath.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   ymm0 x   ymm1-7 scratch   ymm15 elements that exist
	.altmacro

// exponential makes e**ymm1 in ymm1, for ymm1 that is a number; ymm2-6 are scratch.
.macro exponential name
	vmaxps	ymm1, ymm1, [rip + \name]
	vminps	ymm1, ymm1, [rip + \name + 32]
	vmulps	ymm2, ymm1, [rip + \name + 64]
	vroundps ymm2, ymm2, 8			// n
	vfnmadd231ps ymm1, ymm2, [rip + \name + 96]	// high
	vmovaps	ymm3, ymm1
	vfnmadd231ps ymm3, ymm2, [rip + \name + 128]	// r
	vsubps	ymm1, ymm1, ymm3
	vfnmadd231ps ymm1, ymm2, [rip + \name + 128]	// low
	vmovups	ymm4, [rip + \name + 160]
	vfmadd213ps ymm4, ymm3, [rip + \name + 192]
	vfmadd213ps ymm4, ymm3, [rip + \name + 224]
	vfmadd213ps ymm4, ymm3, [rip + \name + 256]
	vfmadd213ps ymm4, ymm3, [rip + \name + 288]
	vfmadd213ps ymm4, ymm3, [rip + \name + 320]	// P(r)
	vmulps	ymm5, ymm3, ymm3
	vfmadd213ps ymm4, ymm5, ymm1		// q
	vmovups	ymm6, [rip + \name + 352]
	vaddps	ymm5, ymm6, ymm3		// one
	vsubps	ymm6, ymm5, ymm6
	vsubps	ymm6, ymm3, ymm6		// lost
	vaddps	ymm6, ymm6, ymm4
	vaddps	ymm1, ymm5, ymm6
	vcvtps2dq ymm2, ymm2
	vpsrad	ymm3, ymm2, 1
	vpsubd	ymm2, ymm2, ymm3
	vpaddd	ymm3, ymm3, [rip + \name + 384]
	vpaddd	ymm2, ymm2, [rip + \name + 384]
	vpslld	ymm3, ymm3, 23
	vpslld	ymm2, ymm2, 23
	vmulps	ymm1, ymm1, ymm3
	vmulps	ymm1, ymm1, ymm2
.endm

// wide is a vector of one constant, exponentials those of exponential: bounds, log2(e), ln 2 in two parts, the polynomial, one, the exponent's bias.
.macro wide value
	.rept	8
	.float	\value
	.endr
.endm
.macro wideint value
	.rept	8
	.long	\value
	.endr
.endm
.macro exponentials
	wide	-104
	wide	89
	wide	1.44269504
	wide	0.693359375
	wide	-2.12194440e-4
	wide	1.9761725e-4
	wide	1.39323215e-3
	wide	8.33354611e-3
	wide	4.16664928e-2
	wide	1.66666657e-1
	wide	0.5
	wide	1
	wideint	127
.endm
// masks follow the constants: eight times all bits, eight times none.
.macro masks
	.fill	8, 4, -1
	.fill	8, 4, 0
.endm

// nan puts x where it is none.
.macro nan
	vcmpunordps ymm2, ymm0, ymm0
	vblendvps ymm1, ymm1, ymm0, ymm2
.endm

.macro exp_ name
	vmovaps	ymm1, ymm0
	exponential \name
	nan
.endm

// Constant 13 is the sign bit.
.macro sigmoid name
	vorps	ymm1, ymm0, [rip + \name + 416]
	exponential \name
	nan
	vmovups	ymm6, [rip + \name + 352]
	vaddps	ymm2, ymm6, ymm1		// d
	vsubps	ymm3, ymm2, ymm6
	vsubps	ymm3, ymm1, ymm3		// lost
	vxorps	ymm4, ymm4, ymm4
	vcmpltps ymm5, ymm0, ymm4		// x < 0
	vblendvps ymm4, ymm6, ymm1, ymm5
	vdivps	ymm1, ymm4, ymm2
	vmovaps	ymm4, ymm1
	vfnmadd231ps ymm1, ymm4, ymm3
.endm

// Constants: 13 the sign bit, 14 what parts the two forms, 15 two, 16 to 20 the polynomial.
.macro tanh name
	vmovups	ymm6, [rip + \name + 416]
	vandnps	ymm7, ymm6, ymm0		// a
	vaddps	ymm1, ymm7, ymm7
	exponential \name
	vmovups	ymm6, [rip + \name + 352]
	vaddps	ymm1, ymm1, ymm6
	vmovups	ymm2, [rip + \name + 480]
	vdivps	ymm1, ymm2, ymm1
	vsubps	ymm1, ymm6, ymm1
	vmulps	ymm2, ymm7, ymm7		// s
	vmovups	ymm3, [rip + \name + 512]
	vfmadd213ps ymm3, ymm2, [rip + \name + 544]
	vfmadd213ps ymm3, ymm2, [rip + \name + 576]
	vfmadd213ps ymm3, ymm2, [rip + \name + 608]
	vfmadd213ps ymm3, ymm2, [rip + \name + 640]
	vmulps	ymm3, ymm3, ymm2
	vfmadd213ps ymm3, ymm7, ymm7
	vcmpltps ymm4, ymm7, [rip + \name + 448]	// a < 0.625
	vblendvps ymm1, ymm1, ymm3, ymm4
	vandps	ymm2, ymm0, [rip + \name + 416]
	vorps	ymm1, ymm1, ymm2
	nan
.endm

// Constants: 0 three, 1 six.
.macro hardswish name
	vaddps	ymm1, ymm0, [rip + \name]
	vxorps	ymm2, ymm2, ymm2
	vmaxps	ymm1, ymm2, ymm1
	vmovups	ymm3, [rip + \name + 32]
	vminps	ymm1, ymm3, ymm1
	vmulps	ymm1, ymm0, ymm1
	vdivps	ymm1, ymm1, ymm3
.endm

// loop applies a function to all elements; mask is the place of the masks in its data.
.macro loop function, name, mask
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
1:	cmp	rcx, 8
	jl	2f
	vmovups	ymm0, [rsi]
	\function \name
	vmovups	[rdx], ymm1
	add	rsi, 32
	add	rdx, 32
	sub	rcx, 8
	jmp	1b
2:	test	rcx, rcx
	jle	3f
	shl	rcx, 2
	lea	rax, [rip + \name + \mask + 32]
	sub	rax, rcx
	vmovups	ymm15, [rax]
	vmaskmovps ymm0, ymm15, [rsi]
	\function \name
	vmaskmovps [rdx], ymm15, ymm1
3:	vzeroupper
	ret
.endm

// func expF32Ymm(a *spec.MapArgs)
	.balign 64
expF32Ymm:
	loop	exp_, expF32Ymm.data, 416
	.balign 4
expF32Ymm.data:
	exponentials
	masks

// func sigmoidF32Ymm(a *spec.MapArgs)
	.balign 64
sigmoidF32Ymm:
	loop	sigmoid, sigmoidF32Ymm.data, 448
	.balign 4
sigmoidF32Ymm.data:
	exponentials
	wideint	0x80000000
	masks

// func tanhF32Ymm(a *spec.MapArgs)
	.balign 64
tanhF32Ymm:
	loop	tanh, tanhF32Ymm.data, 672
	.balign 4
tanhF32Ymm.data:
	exponentials
	wideint	0x80000000
	wide	0.625
	wide	2
	wide	-5.69721917e-3
	wide	2.06316467e-2
	wide	-5.37372567e-2
	wide	0.133314103
	wide	-0.333332807
	masks

// func hardswishF32Ymm(a *spec.MapArgs)
	.balign 64
hardswishF32Ymm:
	loop	hardswish, hardswishF32Ymm.data, 64
	.balign 4
hardswishF32Ymm.data:
	wide	3
	wide	6
	masks
