package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// binutils skips where the assembler is missing, which CI installs.
func binutils(t *testing.T, arch string) *target {
	t.Helper()
	target, err := targetFor(arch)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{target.as[0], target.objdump[0]} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is missing; make tools installs it", tool)
		}
	}
	return target
}

// The committed files are what the sources give.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	binutils(t, "amd64")
	if err := run("amd64", "../amd64", true); err != nil {
		t.Error(err)
	}
}

func TestRoutine(t *testing.T) {
	x := binutils(t, "amd64")
	list, err := x.assemble(`// func twice(a *spec.GemmArgs)
	.balign 64
twice: // comments go
	mov	rax, [rdi + GemmArgs_C]
	vmovups	ymm0, [rip + twice.data]
	vaddps	ymm0, ymm0, ymm0
	vmovups	[rax], ymm0
	vzeroupper
	ret
	.balign 32
twice.data:
	.fill	8, 4, 0x3f800000
`, ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].name != "twice" || list[0].args != "GemmArgs" {
		t.Fatalf("%+v", list)
	}
	text := string(x.print("twice.S", list))
	for _, want := range []string{"TEXT ·twice(SB), NOSPLIT, $0-8\n", "MOVQ a+0(FP), DI\n", "PCALIGN $64\n", "// vaddps ymm0,ymm0,ymm0\n", "\tRET\n", "QUAD $0x3f8000003f800000\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if data := bytes.Count([]byte(text), []byte("QUAD $0x3f8000003f800000\n")); data != 4 {
		t.Errorf("%d words of data, want 4:\n%s", data, text)
	}
}

func TestRefusals(t *testing.T) {
	x := binutils(t, "amd64")
	const head = "// func f(a *spec.GemmArgs)\n\t.balign 64\nf:\n"
	for _, c := range [][2]string{
		{head + "\tcall f\n\tret\n", "refused"},
		{head + "\tpush rax\n\tpop rax\n\tret\n", "refused"},
		{head + "\tmov rbp, rax\n\tret\n", "refused"},
		{head + "\tmov rax, [rsp]\n\tret\n", "refused"},
		{head + "\tnop\n", "does not end with ret"},
		{head + "\tvmovups ymm0, [rdi]\n\tret\n", "vzeroupper"},
		{head + "\tmov rax, [rip + elsewhere]\n\tret\n", "relocations"},
		{head + "\tret\n\t.data\n\t.long 1\n", "only .text"},
		{head + "\tmov rax, [rdi + GemmArgs_Nothing]\n\tret\n", "no such field"},
		{head + "\tjmp g\n\tret\n// func g(a *spec.GemmArgs)\n\t.balign 64\ng:\n\tret\n", "leaves the routine"},
		{head + "\tfrobnicate rax\n\tret\n", "frobnicate"},
		{"// func f(a *spec.Nothing)\nf:\n\tret\n", "no argument struct"},
		{"// func f(a *spec.GemmArgs)\n\tnop\nf:\n\tret\n", "aligned"},
		{"// func f(a *spec.GemmArgs)\ng:\n\tret\n", "no label f"},
		{"f:\n\tret\n", "no line"},
		{"// func f(x int)\nf:\n\tret\n", "line 1"},
	} {
		if _, err := x.assemble(c[0], "."); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q: error %v, want one with %q", c[0], err, c[1])
		}
	}
	if _, err := targetFor("mips"); err == nil {
		t.Error("architecture mips is known")
	}
}
