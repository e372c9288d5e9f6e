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
		"-avx512":         full &^ (AVX512 | AVX512VNNI | AVX512VBMI | AVX512BF16),
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

// The masks give the features of every known core, and begin with none.
func TestMasks(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		have := map[Features]bool{}
		for i, m := range Masks(arch, All(arch)) {
			f, err := All(arch).Mask(m)
			if err != nil || have[f] || (f == 0) != (i == 0) {
				t.Errorf("%s: mask %q leaves %v, %v", arch, m, f, err)
			}
			have[f] = true
		}
		if !have[All(arch)] {
			t.Errorf("%s: no mask leaves all features", arch)
		}
		for name, c := range Cores {
			if c.Arch == arch && !have[c.Features] {
				t.Errorf("no mask leaves what %s has", name)
			}
		}
	}
	if m := Masks("amd64", AVX2|FMA); len(m) != 2 || m[0] != "-all" || m[1] != "" {
		t.Errorf("masks of an old machine: %q", m)
	}
	if m := Masks("riscv64", 0); len(m) != 1 {
		t.Errorf("masks of nothing: %q", m)
	}
}
