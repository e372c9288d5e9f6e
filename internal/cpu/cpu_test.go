package cpu

import (
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
