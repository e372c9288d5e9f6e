package cpu

import (
	"runtime"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	full := All("amd64")
	for list, want := range map[string]Features{
		"":                full,
		"-vnni":           full &^ AVX512VNNI,
		"-avx512":         full &^ (AVX512 | AVX512VNNI | AVX512BF16),
		"-avx2":           FMA,
		"-all":            0,
		"-vnni, -avxvnni": full &^ (AVX512VNNI | AVXVNNI),
	} {
		got, err := full.Mask(list)
		if err != nil || got != want {
			t.Errorf("Mask(%q) = %v, %v; want %v", list, got, err, want)
		}
	}
	if _, err := full.Mask("-sse9"); err == nil || !strings.Contains(err.Error(), "avx512bf16") {
		t.Errorf("an unknown feature gives %v", err)
	}
	if _, err := full.Mask("avx2"); err == nil {
		t.Error("adding a feature is accepted")
	}
	if s := (AVX2 | FMA).String(); s != "avx2,fma" {
		t.Errorf("String = %q", s)
	}
}

func TestDetectIsClosed(t *testing.T) {
	if f := Detect(); f != f.closed() {
		t.Errorf("Detect() = %v", f)
	}
}

// The features of a listed core belong to its architecture, and no mask is needed to run what it can.
func TestCores(t *testing.T) {
	for name, c := range Cores {
		if !All(c.Arch).Has(c.Features) || c.Features != c.Features.closed() || c.Features == 0 {
			t.Errorf("%s: %v", name, c.Features)
		}
	}
	if All("amd64")&All("arm64") != 0 || All("riscv64") != 0 {
		t.Error("architectures share features")
	}
	if f := Detect(); !All(runtime.GOARCH).Has(f) {
		t.Errorf("Detect() = %v on %s", f, runtime.GOARCH)
	}
}

// Every name that is printed can be masked.
func TestNamesParse(t *testing.T) {
	for _, name := range strings.Split((All("amd64") | All("arm64")).String(), ",") {
		f, err := parse(name)
		if err != nil || f.String() != name {
			t.Errorf("%q parses as %v, %v", name, f, err)
		}
	}
	if s := Features(0).String(); s != "none" {
		t.Errorf("the empty set is %q", s)
	}
}
