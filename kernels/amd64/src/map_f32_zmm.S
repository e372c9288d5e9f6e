// Functions of FP32 elements with AVX-512, 16 at once; the steps are those of internal/fmath.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   zmm0 x   zmm1-10 scratch   zmm16-31 constants   k1 elements that exist   k2-3 conditions
	.altmacro
	.include "exp_zmm.inc"

// Constants: zmm29 the sign bit.
.macro sigmoid
	vpord	zmm1, zmm0, zmm29
	exponential
	nan
	vaddps	zmm2, zmm27, zmm1		// d
	vsubps	zmm3, zmm2, zmm27
	vsubps	zmm3, zmm1, zmm3		// lost
	vpxord	zmm4, zmm4, zmm4
	vcmpps	k2, zmm0, zmm4, 1		// x < 0
	vmovaps	zmm4, zmm27
	vmovaps	zmm4{k2}, zmm1
	vdivps	zmm1, zmm4, zmm2
	vmovaps	zmm4, zmm1
	vfnmadd231ps zmm1, zmm4, zmm3
.endm

// Constants: zmm29 the sign bit, 30 what parts the two forms, 31 two; the polynomial is read where it is used.
.macro tanh name
	vpandnd	zmm7, zmm29, zmm0		// a
	vaddps	zmm1, zmm7, zmm7
	exponential
	vaddps	zmm1, zmm1, zmm27
	vdivps	zmm1, zmm31, zmm1
	vsubps	zmm1, zmm27, zmm1
	vmulps	zmm2, zmm7, zmm7		// s
	vbroadcastss zmm3, dword ptr [rip + \name + 64]
	vfmadd213ps zmm3, zmm2, dword ptr [rip + \name + 68]{1to16}
	vfmadd213ps zmm3, zmm2, dword ptr [rip + \name + 72]{1to16}
	vfmadd213ps zmm3, zmm2, dword ptr [rip + \name + 76]{1to16}
	vfmadd213ps zmm3, zmm2, dword ptr [rip + \name + 80]{1to16}
	vmulps	zmm3, zmm3, zmm2
	vfmadd213ps zmm3, zmm7, zmm7
	vcmpps	k2, zmm7, zmm30, 1		// a < 0.625
	vmovaps	zmm1{k2}, zmm3
	vpandd	zmm2, zmm0, zmm29
	vpord	zmm1, zmm1, zmm2
	nan
.endm

// Constants: zmm29 the sign bit, 30 the bound; the polynomial and 1.125 are read where they are used.
.macro erf name
	vpandnd	zmm7, zmm29, zmm0
	vminps	zmm7, zmm7, zmm30		// a
	vbroadcastss zmm6, dword ptr [rip + \name + 64]
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 68]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 72]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 76]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 80]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 84]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 88]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 92]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 96]{1to16}
	vfmadd213ps zmm6, zmm7, dword ptr [rip + \name + 100]{1to16}
	vmulps	zmm6, zmm7, zmm6
	vfmadd231ps zmm6, zmm7, dword ptr [rip + \name + 104]{1to16}	// t
	vpxord	zmm1, zmm6, zmm29
	parts
	vcvtps2dq zmm2, zmm2
	vpaddd	zmm2, zmm2, zmm28
	vpslld	zmm2, zmm2, 23			// 2**n
	vaddps	zmm1, zmm3, zmm4
	vsubps	zmm3, zmm2, zmm27
	vfmadd213ps zmm1, zmm2, zmm3		// e**-t - 1, not above 0
	vpandnd	zmm1, zmm29, zmm1
	vpandd	zmm2, zmm0, zmm29
	vpord	zmm1, zmm1, zmm2
	nan
.endm
.macro erfs
	exponentials
	.long	0x80000000
	.float	4, 0
	.float	1.43967372e-6, -2.36976321e-5, 1.76447662e-4, -7.58502632e-4, 1.81913981e-3, -2.65368086e-4, -1.91136338e-2, 1.02770656e-1, 6.36619866e-1, 3.37916659e-3
	.float	1.125, 0.70710677, 0.5
.endm
.macro gelu name
	vmovaps	zmm8, zmm0
	vmulps	zmm0, zmm0, dword ptr [rip + \name + 108]{1to16}
	erf	\name
	vaddps	zmm1, zmm27, zmm1
	vmulps	zmm2, zmm8, dword ptr [rip + \name + 112]{1to16}
	vmulps	zmm1, zmm2, zmm1
.endm
.macro gelutanh name
	vmovaps	zmm8, zmm0
	vmulps	zmm1, zmm0, dword ptr [rip + \name + 84]{1to16}
	vmulps	zmm2, zmm0, zmm0
	vmulps	zmm1, zmm1, zmm2
	vaddps	zmm0, zmm0, zmm1
	vmulps	zmm0, zmm0, dword ptr [rip + \name + 88]{1to16}
	tanh	\name
	vaddps	zmm1, zmm27, zmm1
	vmulps	zmm2, zmm8, dword ptr [rip + \name + 92]{1to16}
	vmulps	zmm1, zmm2, zmm1
.endm
// zmm9 is the factor.
.macro swish
	vmovaps	zmm8, zmm0
	vmulps	zmm0, zmm0, zmm9
	sigmoid
	vmulps	zmm1, zmm8, zmm1
.endm

// Constants: zmm16 three, 17 six, 18 zero.
.macro hardswish
	vaddps	zmm1, zmm0, zmm16
	vmaxps	zmm1, zmm18, zmm1
	vminps	zmm1, zmm17, zmm1
	vmulps	zmm1, zmm0, zmm1
	vdivps	zmm1, zmm1, zmm17
.endm

// logarithm makes log(1+f) + e*ln 2 in zmm1 of f in zmm1 and e in zmm7; zmm2-4 are scratch. The polynomial is read from a place in the data.
.macro logarithm name, at
	vmulps	zmm2, zmm1, zmm1		// s
	vbroadcastss zmm3, dword ptr [rip + \name + \at]
	.irp	i, 4, 8, 12, 16, 20, 24, 28, 32
	vfmadd213ps zmm3, zmm1, dword ptr [rip + \name + \at + \i]{1to16}
	.endr
	vmulps	zmm4, zmm1, zmm2
	vmulps	zmm3, zmm4, zmm3
	vfmadd231ps zmm3, zmm7, zmm20
	vfnmadd231ps zmm3, zmm2, zmm26
	vaddps	zmm1, zmm1, zmm3
	vfmadd231ps zmm1, zmm7, zmm19
.endm
.macro logarithms
	.float	6.75060302e-2, -1.16713785e-1, 1.18836753e-1, -1.24060579e-1, 1.42203212e-1, -1.66679949e-1, 2.0002073e-1, -2.50000089e-1, 3.33333135e-1
.endm

// Constants: zmm29 the smallest normal number, 30 the bits of sqrt(1/2), 31 those of a significand; the others are read where they are used.
.macro log name
	vcmpps	k2, zmm0, zmm29, 1		// subnormal, or not positive
	vmovaps	zmm1, zmm0
	vmulps	zmm1{k2}, zmm0, dword ptr [rip + \name + 64]{1to16}
	vpbroadcastd zmm7{k2}{z}, dword ptr [rip + \name + 68]
	vpsubd	zmm2, zmm1, zmm30
	vpsrad	zmm3, zmm2, 23
	vpaddd	zmm7, zmm7, zmm3
	vcvtdq2ps zmm7, zmm7			// e
	vpandd	zmm2, zmm2, zmm31
	vpaddd	zmm2, zmm2, zmm30
	vsubps	zmm1, zmm2, zmm27		// f
	logarithm \name, 84
	vpxord	zmm4, zmm4, zmm4
	vcmpps	k2, zmm0, zmm4, 1
	vbroadcastss zmm1{k2}, dword ptr [rip + \name + 72]
	vcmpps	k2, zmm0, zmm4, 0
	vbroadcastss zmm1{k2}, dword ptr [rip + \name + 76]
	vcmpps	k2, zmm0, dword ptr [rip + \name + 80]{1to16}, 0
	vmovaps	zmm1{k2}, zmm0
	nan
.endm

// Constants: zmm29 the sign bit, 30 sqrt(2) - 1.
.macro softplus name
	vpord	zmm1, zmm0, zmm29
	exponential				// f
	vcmpps	k2, zmm1, zmm30, 14
	vmulps	zmm2, zmm1, zmm26
	vsubps	zmm1{k2}, zmm2, zmm26
	vmovaps	zmm7{k2}{z}, zmm27		// e
	logarithm \name, 64
	vpxord	zmm4, zmm4, zmm4
	vmaxps	zmm4, zmm0, zmm4
	vaddps	zmm1, zmm4, zmm1
	nan
.endm

// Constants: zmm29 twenty, 30 two.
.macro mish
	vmovaps	zmm1, zmm0
	exponential				// e
	vaddps	zmm2, zmm1, zmm1
	vfmadd231ps zmm2, zmm1, zmm1		// n
	vmulps	zmm1, zmm0, zmm2
	vaddps	zmm2, zmm2, zmm30
	vdivps	zmm1, zmm1, zmm2
	vcmpps	k2, zmm0, zmm29, 14
	vmovaps	zmm1{k2}, zmm0
	nan
.endm

// Constants: zmm29 the bound; zmm9 and zmm10 are the factors.
.macro elu
	vmaxps	zmm1, zmm0, zmm29
	parts
	vcvtps2dq zmm2, zmm2
	vpaddd	zmm2, zmm2, zmm28
	vpslld	zmm2, zmm2, 23			// 2**n
	vaddps	zmm1, zmm3, zmm4
	vsubps	zmm3, zmm2, zmm27
	vfmadd213ps zmm1, zmm2, zmm3		// e**x - 1
	vpxord	zmm4, zmm4, zmm4
	vcmpps	k2, zmm1, zmm4, 0
	vmovaps	zmm1{k2}, zmm0
	vmulps	zmm1, zmm1, zmm9
	vcmpps	k2, zmm0, zmm4, 5		// not x < 0
	vmovaps	zmm1{k2}, zmm0
	vmulps	zmm1, zmm1, zmm10
.endm

// zmm9 is the factor.
.macro leakyrelu
	vpxord	zmm2, zmm2, zmm2
	vcmpps	k2, zmm0, zmm2, 1
	vmovaps	zmm1, zmm0
	vmulps	zmm1{k2}, zmm0, zmm9
.endm

// Constants: zmm16 one; zmm9 and zmm10 are the factor and what is added.
.macro hardsigmoid
	vmulps	zmm1, zmm0, zmm9
	vaddps	zmm1, zmm1, zmm10
	vpxord	zmm2, zmm2, zmm2
	vmaxps	zmm1, zmm2, zmm1
	vminps	zmm1, zmm16, zmm1
.endm

.macro loop function:vararg
	mov	rsi, [rdi + MapArgs_X]
	mov	rdx, [rdi + MapArgs_Y]
	mov	rcx, [rdi + MapArgs_N]
	mov	eax, 0xffff
	kmovw	k1, eax
1:	cmp	rcx, 16
	jge	2f
	test	rcx, rcx
	jle	3f
	mov	rax, -1
	bzhi	rax, rax, rcx
	kmovw	k1, eax
2:	vmovups	zmm0{k1}{z}, [rsi]
	\function
	vmovups	[rdx]{k1}, zmm1
	add	rsi, 64
	add	rdx, 64
	sub	rcx, 16
	jmp	1b
3:	vzeroupper
	ret
.endm

// func expF32Zmm(a *spec.MapArgs)
	.balign 64
expF32Zmm:
	constants expF32Zmm.data
	loop	exp_
	.balign 4
expF32Zmm.data:
	exponentials
	.fill	3, 4, 0

// func sigmoidF32Zmm(a *spec.MapArgs)
	.balign 64
sigmoidF32Zmm:
	constants sigmoidF32Zmm.data
	loop	sigmoid
	.balign 4
sigmoidF32Zmm.data:
	exponentials
	.long	0x80000000
	.fill	2, 4, 0

// func tanhF32Zmm(a *spec.MapArgs)
	.balign 64
tanhF32Zmm:
	constants tanhF32Zmm.data
	loop	tanh tanhF32Zmm.data
	.balign 4
tanhF32Zmm.data:
	exponentials
	.long	0x80000000
	.float	0.625, 2
	.float	-5.69721917e-3, 2.06316467e-2, -5.37372567e-2, 0.133314103, -0.333332807

// func erfF32Zmm(a *spec.MapArgs)
	.balign 64
erfF32Zmm:
	constants erfF32Zmm.data
	loop	erf erfF32Zmm.data
	.balign 4
erfF32Zmm.data:
	erfs

// func geluF32Zmm(a *spec.MapArgs)
	.balign 64
geluF32Zmm:
	constants geluF32Zmm.data
	loop	gelu geluF32Zmm.data
	.balign 4
geluF32Zmm.data:
	erfs

// func gelutanhF32Zmm(a *spec.MapArgs)
	.balign 64
gelutanhF32Zmm:
	constants gelutanhF32Zmm.data
	loop	gelutanh gelutanhF32Zmm.data
	.balign 4
gelutanhF32Zmm.data:
	exponentials
	.long	0x80000000
	.float	0.625, 2
	.float	-5.69721917e-3, 2.06316467e-2, -5.37372567e-2, 0.133314103, -0.333332807
	.float	0.044715, 0.7978846, 0.5

// func swishF32Zmm(a *spec.MapArgs)
	.balign 64
swishF32Zmm:
	vbroadcastss zmm9, dword ptr [rdi + MapArgs_Lo]
	constants swishF32Zmm.data
	loop	swish
	.balign 4
swishF32Zmm.data:
	exponentials
	.long	0x80000000
	.fill	2, 4, 0

// func hardswishF32Zmm(a *spec.MapArgs)
	.balign 64
hardswishF32Zmm:
	vbroadcastss zmm16, dword ptr [rip + hardswishF32Zmm.data]
	vbroadcastss zmm17, dword ptr [rip + hardswishF32Zmm.data + 4]
	vpxord	zmm18, zmm18, zmm18
	loop	hardswish
	.balign 4
hardswishF32Zmm.data:
	.float	3, 6

// func logF32Zmm(a *spec.MapArgs)
	.balign 64
logF32Zmm:
	constants logF32Zmm.data
	loop	log logF32Zmm.data
	.balign 4
logF32Zmm.data:
	exponentials
	.long	0x00800000, 0x3f3504f3, 0x7fffff
	.long	0x4b000000, -23, 0x7fc00000, 0xff800000, 0x7f800000
	logarithms

// func softplusF32Zmm(a *spec.MapArgs)
	.balign 64
softplusF32Zmm:
	constants softplusF32Zmm.data
	loop	softplus softplusF32Zmm.data
	.balign 4
softplusF32Zmm.data:
	exponentials
	.long	0x80000000
	.float	0.41421356, 0
	logarithms

// func mishF32Zmm(a *spec.MapArgs)
	.balign 64
mishF32Zmm:
	constants mishF32Zmm.data
	loop	mish
	.balign 4
mishF32Zmm.data:
	exponentials
	.float	20, 2, 0

// func eluF32Zmm(a *spec.MapArgs)
	.balign 64
eluF32Zmm:
	vbroadcastss zmm9, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss zmm10, dword ptr [rdi + MapArgs_Hi]
	constants eluF32Zmm.data
	loop	elu
	.balign 4
eluF32Zmm.data:
	exponentials
	.float	-26, 0, 0

// func leakyreluF32Zmm(a *spec.MapArgs)
	.balign 64
leakyreluF32Zmm:
	vbroadcastss zmm9, dword ptr [rdi + MapArgs_Lo]
	loop	leakyrelu

// func hardsigmoidF32Zmm(a *spec.MapArgs)
	.balign 64
hardsigmoidF32Zmm:
	vbroadcastss zmm9, dword ptr [rdi + MapArgs_Lo]
	vbroadcastss zmm10, dword ptr [rdi + MapArgs_Hi]
	vbroadcastss zmm16, dword ptr [rip + hardsigmoidF32Zmm.data]
	loop	hardsigmoid
	.balign 4
hardsigmoidF32Zmm.data:
	.float	1
