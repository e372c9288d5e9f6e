// Functions of FP32 elements with AVX-512, 16 at once; the steps are those of internal/fmath.
//
// rdi  arguments   rsi X   rdx Y   rcx elements left   zmm0 x   zmm1-10 scratch   zmm16-31 constants   k1 elements that exist   k2-3 conditions
	.altmacro
	.include "exp_zmm.inc"

// nan puts x where it is none.
.macro nan
	vcmpps	k2, zmm0, zmm0, 3
	vmovaps	zmm1{k2}, zmm0
.endm

.macro exp_
	vmovaps	zmm1, zmm0
	exponential
	nan
.endm

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
