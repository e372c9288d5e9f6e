package half

import (
	"math"
	"testing"
)

func TestF16RoundTrips(t *testing.T) {
	for h := range 1 << 16 {
		f := FromF16(uint16(h))
		if f != f {
			if g := FromF16(F16(f)); g == g {
				t.Fatalf("%04x: NaN became %g", h, g)
			}
			continue
		}
		if got := F16(f); got != uint16(h) {
			t.Fatalf("%04x widens to %g and rounds to %04x", h, f, got)
		}
	}
}

func TestBF16(t *testing.T) {
	for _, c := range []struct {
		f    float32
		want uint16
	}{{1, 0x3f80}, {-2, 0xc000}, {1 + 0x1p-8, 0x3f80}, {1 + 0x1p-8 + 0x1p-20, 0x3f81}, {1 + 3*0x1p-8, 0x3f82}, {math.MaxFloat32, 0x7f80}} {
		if got := BF16(c.f); got != c.want {
			t.Errorf("BF16(%g) = %04x, want %04x", c.f, got, c.want)
		}
	}
	if f := FromBF16(BF16(float32(math.NaN()))); f == f {
		t.Error("NaN became a number")
	}
}

// Every code widens and rounds back to itself, and the rounding of any number is a nearest value.
func TestSmallFormats(t *testing.T) {
	for name, s := range map[string]*Small{"e4m3fn": E4M3FN, "e4m3fnuz": E4M3FNUZ, "e5m2": E5M2, "e5m2fnuz": E5M2FNUZ, "e2m1": E2M1, "e8m0": E8M0} {
		for code := range s.decode {
			v := s.Widen(uint8(code))
			got := s.Round(v, false)
			if v != v {
				if w := s.Widen(got); w == w {
					t.Errorf("%s: NaN %02x rounds to %02x", name, code, got)
				}
			} else if int(got) != code && s.Widen(got) != v {
				t.Errorf("%s: %02x = %g rounds to %02x", name, code, v, got)
			}
		}
		for i := range 20000 {
			f := float32(math.Ldexp(float64(i%997)/499, i%17-9))
			got := s.Widen(s.Round(f, true))
			for _, v := range s.finite {
				if math.Abs(float64(v-f)) < math.Abs(float64(got-f)) {
					t.Fatalf("%s: %g rounds to %g, %g is nearer", name, f, got, v)
				}
			}
		}
	}
	for _, c := range []struct {
		s        *Small
		f        float32
		saturate bool
		want     uint8
	}{
		{E4M3FN, 1e6, true, 0x7e}, {E4M3FN, 1e6, false, 0x7f}, {E4M3FN, -448, true, 0xfe},
		{E5M2, 1e9, true, 0x7b}, {E5M2, 1e9, false, 0x7c}, {E5M2FNUZ, 1e9, false, 0x80}, {E4M3FNUZ, -0x1p-30, true, 0},
		{E2M1, 100, false, 7}, {E2M1, 2.5, true, 4},
	} {
		if got := c.s.Round(c.f, c.saturate); got != c.want {
			t.Errorf("Round(%g, %v) = %02x, want %02x", c.f, c.saturate, got, c.want)
		}
	}
	if RoundE8M0(3, "up", true) != 129 || RoundE8M0(3, "down", true) != 128 || RoundE8M0(2.9, "nearest", true) != 128 {
		t.Error("RoundE8M0")
	}
}
