// Functions of FP32 elements with AVX2 and FMA, 8 at once; the steps are those of internal/fmath.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   ymm0 x   ymm1-9 scratch   ymm15 elements that exist
	.altmacro
	.include "exp_ymm.inc"

// masks follow the constants: eight times all bits, eight times none.
.macro masks
	.fill	8, 4, -1
	.fill	8, 4, 0
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

// Constants: 13 the sign bit, 14 the bound, 15 to 24 the polynomial, 25 1.125, 26 and 27 those of gelu.
.macro erf name
	vmovups	ymm6, [rip + \name + 416]
	vandnps	ymm7, ymm6, ymm0
	vminps	ymm7, ymm7, [rip + \name + 448]	// a
	vmovups	ymm6, [rip + \name + 480]
	.irp	at, 512, 544, 576, 608, 640, 672, 704, 736, 768
	vfmadd213ps ymm6, ymm7, [rip + \name + \at]
	.endr
	vmulps	ymm6, ymm7, ymm6
	vfmadd231ps ymm6, ymm7, [rip + \name + 800]	// t
	vxorps	ymm1, ymm6, [rip + \name + 416]
	parts	\name
	vcvtps2dq ymm2, ymm2
	vpaddd	ymm2, ymm2, [rip + \name + 384]
	vpslld	ymm2, ymm2, 23			// 2**n
	vaddps	ymm1, ymm3, ymm4
	vsubps	ymm3, ymm2, [rip + \name + 352]
	vfmadd213ps ymm1, ymm2, ymm3		// e**-t - 1, not above 0
	vmovups	ymm6, [rip + \name + 416]
	vandnps	ymm1, ymm6, ymm1
	vandps	ymm2, ymm0, ymm6
	vorps	ymm1, ymm1, ymm2
	nan
.endm
.macro erfs
	exponentials
	wideint	0x80000000
	.irp	value, 4, 1.43967372e-6, -2.36976321e-5, 1.76447662e-4, -7.58502632e-4, 1.81913981e-3, -2.65368086e-4, -1.91136338e-2, 1.02770656e-1, 6.36619866e-1, 3.37916659e-3, 1.125, 0.70710677, 0.5
	wide	\value
	.endr
	masks
.endm
.macro gelu name
	vmovaps	ymm8, ymm0
	vmulps	ymm0, ymm0, [rip + \name + 832]
	erf	\name
	vaddps	ymm1, ymm1, [rip + \name + 352]
	vmulps	ymm2, ymm8, [rip + \name + 864]
	vmulps	ymm1, ymm2, ymm1
.endm
// Constants: those of tanh, 21 to 23 the factors.
.macro gelutanh name
	vmovaps	ymm8, ymm0
	vmulps	ymm1, ymm0, [rip + \name + 672]
	vmulps	ymm2, ymm0, ymm0
	vmulps	ymm1, ymm1, ymm2
	vaddps	ymm0, ymm0, ymm1
	vmulps	ymm0, ymm0, [rip + \name + 704]
	tanh	\name
	vaddps	ymm1, ymm1, [rip + \name + 352]
	vmulps	ymm2, ymm8, [rip + \name + 736]
	vmulps	ymm1, ymm2, ymm1
.endm
// ymm9 is the factor.
.macro swish name
	vmovaps	ymm8, ymm0
	vmulps	ymm0, ymm0, ymm9
	sigmoid	\name
	vmulps	ymm1, ymm8, ymm1
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

// logarithm makes log(1+f) + e*ln 2 in ymm1 of f in ymm1 and e in ymm7; ymm2-4 are scratch. The polynomial lies at a place in the data.
.macro logarithm name, at
	vmulps	ymm2, ymm1, ymm1		// s
	vmovups	ymm3, [rip + \name + \at]
	.irp	i, 32, 64, 96, 128, 160, 192, 224, 256
	vfmadd213ps ymm3, ymm1, [rip + \name + \at + \i]
	.endr
	vmulps	ymm4, ymm1, ymm2
	vmulps	ymm3, ymm4, ymm3
	vfmadd231ps ymm3, ymm7, [rip + \name + 128]
	vfnmadd231ps ymm3, ymm2, [rip + \name + 320]
	vaddps	ymm1, ymm1, ymm3
	vfmadd231ps ymm1, ymm7, [rip + \name + 96]
.endm
.macro logarithms
	.irp	value, 6.75060302e-2, -1.16713785e-1, 1.18836753e-1, -1.24060579e-1, 1.42203212e-1, -1.66679949e-1, 2.0002073e-1, -2.50000089e-1, 3.33333135e-1
	wide	\value
	.endr
.endm

// Constants: 13 the smallest normal number, 14 2**23, 15 its exponent less, 16 the bits of sqrt(1/2), 17 those of a significand, 18 NaN, 19 and 20
// infinities, then the polynomial.
.macro log name
	vcmpltps ymm5, ymm0, [rip + \name + 416]	// subnormal, or not positive
	vmulps	ymm2, ymm0, [rip + \name + 448]
	vblendvps ymm1, ymm0, ymm2, ymm5
	vandps	ymm7, ymm5, [rip + \name + 480]
	vmovdqu	ymm6, [rip + \name + 512]
	vpsubd	ymm2, ymm1, ymm6
	vpsrad	ymm3, ymm2, 23
	vpaddd	ymm7, ymm7, ymm3
	vcvtdq2ps ymm7, ymm7			// e
	vpand	ymm2, ymm2, [rip + \name + 544]
	vpaddd	ymm2, ymm2, ymm6
	vsubps	ymm1, ymm2, [rip + \name + 352]	// f
	logarithm \name, 672
	vxorps	ymm4, ymm4, ymm4
	vcmpltps ymm2, ymm0, ymm4
	vblendvps ymm1, ymm1, [rip + \name + 576], ymm2
	vcmpeqps ymm2, ymm0, ymm4
	vblendvps ymm1, ymm1, [rip + \name + 608], ymm2
	vcmpeqps ymm2, ymm0, [rip + \name + 640]
	vblendvps ymm1, ymm1, ymm0, ymm2
	nan
.endm

// Constants: 13 the sign bit, 14 sqrt(2) - 1, then the polynomial.
.macro softplus name
	vorps	ymm1, ymm0, [rip + \name + 416]
	exponential \name			// f
	vcmpgtps ymm5, ymm1, [rip + \name + 448]
	vmovups	ymm6, [rip + \name + 320]
	vmulps	ymm2, ymm1, ymm6
	vsubps	ymm2, ymm2, ymm6
	vblendvps ymm1, ymm1, ymm2, ymm5
	vandps	ymm7, ymm5, [rip + \name + 352]	// e
	logarithm \name, 480
	vxorps	ymm4, ymm4, ymm4
	vmaxps	ymm4, ymm0, ymm4
	vaddps	ymm1, ymm4, ymm1
	nan
.endm

// Constants: 13 twenty, 14 two.
.macro mish name
	vmovaps	ymm1, ymm0
	exponential \name			// e
	vaddps	ymm2, ymm1, ymm1
	vfmadd231ps ymm2, ymm1, ymm1		// n
	vmulps	ymm1, ymm0, ymm2
	vaddps	ymm2, ymm2, [rip + \name + 448]
	vdivps	ymm1, ymm1, ymm2
	vcmpgtps ymm2, ymm0, [rip + \name + 416]
	vblendvps ymm1, ymm1, ymm0, ymm2
	nan
.endm

// Constants: 13 the bound; ymm8 and ymm9 are the factors.
.macro elu name
	vmaxps	ymm1, ymm0, [rip + \name + 416]
	parts	\name
	vcvtps2dq ymm2, ymm2
	vpaddd	ymm2, ymm2, [rip + \name + 384]
	vpslld	ymm2, ymm2, 23			// 2**n
	vaddps	ymm1, ymm3, ymm4
	vsubps	ymm3, ymm2, [rip + \name + 352]
	vfmadd213ps ymm1, ymm2, ymm3		// e**x - 1
	vxorps	ymm4, ymm4, ymm4
	vcmpeqps ymm2, ymm1, ymm4
	vblendvps ymm1, ymm1, ymm0, ymm2
	vmulps	ymm1, ymm1, ymm8
	vcmpltps ymm2, ymm0, ymm4
	vblendvps ymm1, ymm0, ymm1, ymm2
	vmulps	ymm1, ymm1, ymm9
.endm

// ymm9 is the factor.
.macro leakyrelu name
	vxorps	ymm2, ymm2, ymm2
	vcmpltps ymm2, ymm0, ymm2
	vmulps	ymm1, ymm0, ymm9
	vblendvps ymm1, ymm0, ymm1, ymm2
.endm

// Constant 0 is one; ymm8 and ymm9 are the factor and what is added.
.macro hardsigmoid name
	vmulps	ymm1, ymm0, ymm8
	vaddps	ymm1, ymm1, ymm9
	vxorps	ymm2, ymm2, ymm2
	vmaxps	ymm1, ymm2, ymm1
	vmovups	ymm2, [rip + \name]
	vminps	ymm1, ymm2, ymm1
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

// func erfF32Ymm(a *spec.MapArgs)
	.balign 64
erfF32Ymm:
	loop	erf, erfF32Ymm.data, 896
	.balign 4
erfF32Ymm.data:
	erfs

// func geluF32Ymm(a *spec.MapArgs)
	.balign 64
geluF32Ymm:
	loop	gelu, geluF32Ymm.data, 896
	.balign 4
geluF32Ymm.data:
	erfs

// func gelutanhF32Ymm(a *spec.MapArgs)
	.balign 64
gelutanhF32Ymm:
	loop	gelutanh, gelutanhF32Ymm.data, 768
	.balign 4
gelutanhF32Ymm.data:
	exponentials
	wideint	0x80000000
	.irp	value, 0.625, 2, -5.69721917e-3, 2.06316467e-2, -5.37372567e-2, 0.133314103, -0.333332807, 0.044715, 0.7978846, 0.5
	wide	\value
	.endr
	masks

// func swishF32Ymm(a *spec.MapArgs)
	.balign 64
swishF32Ymm:
	vbroadcastss ymm9, dword ptr [rdi + MapArgs_Lo]
	loop	swish, swishF32Ymm.data, 448
	.balign 4
swishF32Ymm.data:
	exponentials
	wideint	0x80000000
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

// func logF32Ymm(a *spec.MapArgs)
	.balign 64
logF32Ymm:
	loop	log, logF32Ymm.data, 960
	.balign 4
logF32Ymm.data:
	exponentials
	.irp	value, 0x00800000, 0x4b000000, -23, 0x3f3504f3, 0x7fffff, 0x7fc00000, 0xff800000, 0x7f800000
	wideint	\value
	.endr
	logarithms
	masks

// func softplusF32Ymm(a *spec.MapArgs)
	.balign 64
softplusF32Ymm:
	loop	softplus, softplusF32Ymm.data, 768
	.balign 4
softplusF32Ymm.data:
	exponentials
	wideint	0x80000000
	wide	0.41421356
	logarithms
	masks

// func mishF32Ymm(a *spec.MapArgs)
	.balign 64
mishF32Ymm:
	loop	mish, mishF32Ymm.data, 480
	.balign 4
mishF32Ymm.data:
	exponentials
	wide	20
	wide	2
	masks

// func eluF32Ymm(a *spec.MapArgs)
	.balign 64
eluF32Ymm:
	vbroadcastss ymm8, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss ymm9, dword ptr [rdi + MapArgs_Hi]
	loop	elu, eluF32Ymm.data, 448
	.balign 4
eluF32Ymm.data:
	exponentials
	wide	-26
	masks

// func leakyreluF32Ymm(a *spec.MapArgs)
	.balign 64
leakyreluF32Ymm:
	vbroadcastss ymm9, dword ptr [rdi + MapArgs_Lo]
	loop	leakyrelu, leakyreluF32Ymm.data, 0
	.balign 4
leakyreluF32Ymm.data:
	masks

// func hardsigmoidF32Ymm(a *spec.MapArgs)
	.balign 64
hardsigmoidF32Ymm:
	vbroadcastss ymm8, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss ymm9, dword ptr [rdi + MapArgs_Hi]
	loop	hardsigmoid, hardsigmoidF32Ymm.data, 32
	.balign 4
hardsigmoidF32Ymm.data:
	wide	1
	masks
