// func addTest(a *spec.GemmArgs)
.balign 64
addTest:
	mov	rax, [rdi + GemmArgs_K]
	vmovups	zmm30, [rip + addTest.data]
	.balign 32
.Lloop:
	vaddps	zmm0, zmm0, zmm30
	dec	rax
	jnz	.Lloop
	mov	rsi, [rdi + GemmArgs_C]
	vmovups	[rsi], zmm0
	vzeroupper
	ret
	.balign 64
addTest.data:
	.rept 16
	.float 1.5
	.endr
