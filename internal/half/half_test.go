package half

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/x448/float16"
)

func TestF16RoundTrips(t *testing.T) {
	for h := range 1 << 16 {
		f := FromF16(uint16(h))
		if want := float16.Frombits(uint16(h)).Float32(); math.Float32bits(f)|1<<22 != math.Float32bits(want)|1<<22 && f == f || (f != f) != (want != want) {
			t.Fatalf("%04x widens to %g, want %g", h, f, want)
		}
		got := F16(f)
		if f != f {
			if g := FromF16(got); g == g {
				t.Fatalf("%04x: NaN became %g", h, g)
			}
			continue
		}
		if got != uint16(h) {
			t.Fatalf("%04x widens to %g and rounds to %04x", h, f, got)
		}
	}
}

// Every midpoint of two halves, its neighbours and a sweep over all of float32 round as package float16 does.
func TestF16Rounds(t *testing.T) {
	check := func(f float32) {
		if got, want := F16(f), float16.Fromfloat32(f).Bits(); got != want && f == f {
			t.Fatalf("F16(%g = %08x) = %04x, want %04x", f, math.Float32bits(f), got, want)
		}
		if g := FromF16(F16(f)); f != f && g == g {
			t.Fatalf("NaN %08x became %g", math.Float32bits(f), g)
		}
	}
	for h := range 0x7c00 {
		a, b := FromF16(uint16(h)), FromF16(uint16(h+1))
		if b > math.MaxFloat32 {
			b = 65536
		}
		mid := (a + b) / 2
		for _, f := range []float32{mid, math.Nextafter32(mid, 0), math.Nextafter32(mid, 1e9)} {
			check(f)
			check(-f)
		}
	}
	for u := uint64(0); u < 1<<32; u += 1021 {
		check(math.Float32frombits(uint32(u)))
	}
}

// The nearest bfloat16 is one of the two that truncation and its successor give.
func TestBF16(t *testing.T) {
	for u := uint64(0); u < 1<<32; u += 509 {
		f := math.Float32frombits(uint32(u))
		got := BF16(f)
		if f != f {
			if g := FromBF16(got); g == g {
				t.Fatalf("NaN %08x became %g", u, g)
			}
			continue
		}
		lo := uint16(u >> 16)
		tail := u & 0xffff
		want := lo
		if tail > 0x8000 || tail == 0x8000 && lo&1 == 1 {
			want++
		}
		if got != want {
			t.Fatalf("BF16(%08x) = %04x, want %04x", u, got, want)
		}
	}
	for b := range 1 << 16 {
		if f := FromBF16(uint16(b)); f == f && BF16(f) != uint16(b) {
			t.Fatalf("%04x widens to %g and rounds to %04x", b, f, BF16(f))
		}
	}
}

// Rounding to odd first makes rounding a float64 to float32 and then to half right.
func TestOdd(t *testing.T) {
	for _, c := range []struct {
		f    float64
		want uint16
	}{{1 + 0x1p-11, 0x3c00}, {1 + 0x1p-11 + 0x1p-40, 0x3c01}, {1 + 3*0x1p-11 - 0x1p-40, 0x3c01}, {-1 - 0x1p-11 - 0x1p-50, 0xbc01}, {65519.99999999, 0x7bff}, {65520, 0x7c00}, {1e300, 0x7c00}, {0x1p-25, 0}, {0x1p-25 + 0x1p-70, 1}} {
		if got := F16(Odd(c.f)); got != c.want {
			t.Errorf("F16(Odd(%v)) = %04x, want %04x", c.f, got, c.want)
		}
	}
	if y := Odd(math.NaN()); y == y {
		t.Error("NaN became a number")
	}
	if y := Odd(math.Inf(-1)); !math.IsInf(float64(y), -1) {
		t.Errorf("Odd(-inf) = %g", y)
	}
}

var smalls = map[string]*Small{"e4m3fn": E4M3FN, "e4m3fnuz": E4M3FNUZ, "e5m2": E5M2, "e5m2fnuz": E5M2FNUZ, "e2m1": E2M1}

// nearest finds the code by looking at all of them: the definition.
func nearest(s *Small, f float32, saturate bool) uint8 {
	var best uint8
	gap := math.Inf(1)
	half := math.Inf(1) // half a step beyond the largest value
	for code := range s.decode {
		if v := s.decode[code]; v == s.Max() {
			half = (float64(v) - float64(s.decode[code-1])) / 2
		}
	}
	if a := math.Abs(float64(f)); !saturate && s != E2M1 && (a > float64(s.Max())+half || a == float64(s.Max())+half && s.last&1 == 1) {
		if s.over == s.sign {
			return s.over
		}
		if f < 0 {
			return s.over | s.sign
		}
		return s.over
	}
	for code, v := range s.decode {
		d := math.Abs(float64(v) - min(max(float64(f), -1e6), 1e6))
		if v == v && math.Abs(float64(v)) <= float64(s.Max()) && math.Signbit(float64(v)) == math.Signbit(float64(f)) && (d < gap || d == gap && code&1 == 0) {
			best, gap = uint8(code), d
		}
	}
	if best == s.sign && !s.negZ {
		return 0
	}
	return best
}

func TestSmallFormatsRoundToTheNearest(t *testing.T) {
	for name, s := range smalls {
		check := func(f float32) {
			for _, saturate := range []bool{true, false} {
				want := nearest(s, f, saturate)
				if math.Signbit(float64(f)) && f >= -s.decode[1]/2 && !s.negZ {
					want = 0
				}
				if got := s.Round(f, saturate); got != want {
					t.Fatalf("%s: Round(%g, %v) = %02x = %g, want %02x = %g", name, f, saturate, got, s.Widen(got), want, s.Widen(want))
				}
			}
		}
		for code, v := range s.decode {
			if v != v {
				if w := s.Widen(s.Round(v, false)); w == w && s != E2M1 {
					t.Errorf("%s: NaN %02x rounds to %g", name, code, w)
				}
				continue
			}
			if got := s.Round(v, false); int(got) != code {
				t.Errorf("%s: %02x = %g rounds to %02x", name, code, v, got)
			}
			for _, w := range s.decode { // midpoints, ties among them
				mid := (v + w) / 2
				if mid-mid == 0 {
					check(mid)
					check(math.Nextafter32(mid, 1e9))
					check(math.Nextafter32(mid, -1e9))
				}
			}
		}
		for u := uint64(0); u < 1<<32; u += 1 << 17 {
			for _, low := range []uint64{0, 1, 0xffff} {
				if f := math.Float32frombits(uint32(u + low)); f-f == 0 {
					check(f)
				}
			}
		}
	}
}

func TestSmallFormatsAtTheEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		s        *Small
		f        float32
		saturate bool
		want     uint8
	}{
		{E4M3FN, 1e6, true, 0x7e}, {E4M3FN, 1e6, false, 0x7f}, {E4M3FN, -448, true, 0xfe}, {E4M3FN, -inf, false, 0xff}, {E4M3FN, inf, true, 0x7e},
		{E4M3FN, 464, false, 0x7e}, {E4M3FN, 465, false, 0x7f}, {E4M3FN, nan, true, 0x7f},
		{E5M2, 1e9, true, 0x7b}, {E5M2, 1e9, false, 0x7c}, {E5M2, -inf, false, 0xfc}, {E5M2, 61439, false, 0x7b}, {E5M2, 61440, false, 0x7c},
		{E5M2FNUZ, 1e9, false, 0x80}, {E5M2FNUZ, -inf, false, 0x80}, {E5M2FNUZ, nan, true, 0x80}, {E4M3FNUZ, -0x1p-30, true, 0}, {E4M3FNUZ, -inf, true, 0xff},
		{E2M1, 100, false, 7}, {E2M1, -inf, false, 15}, {E2M1, 2.5, true, 4}, {E2M1, nan, true, 8}, {E2M1, -0.2, true, 8},
		{E8M0, 1, true, 127}, {E8M0, inf, true, 254},
	} {
		if got := c.s.Round(c.f, c.saturate); got != c.want {
			t.Errorf("Round(%g, %v) = %02x, want %02x", c.f, c.saturate, got, c.want)
		}
	}
	for _, c := range []struct {
		f        float32
		mode     string
		saturate bool
		want     uint8
	}{
		{3, "up", true, 129}, {3, "down", true, 128}, {2.9, "nearest", true, 128}, {3, "nearest", true, 129}, {4, "up", true, 129}, {4, "down", false, 129},
		{0, "up", true, 0}, {0, "nearest", false, 0xff}, {0x1p-130, "up", true, 0}, {0x1p-130, "down", false, 0xff}, {0x1.8p-128, "nearest", false, 0},
		{math.MaxFloat32, "up", true, 254}, {math.MaxFloat32, "up", false, 0xff}, {math.MaxFloat32, "down", false, 254}, {inf, "up", false, 0xff}, {nan, "up", true, 0xff}, {-1, "up", true, 0xff},
	} {
		if got := RoundE8M0(c.f, c.mode, c.saturate); got != c.want {
			t.Errorf("RoundE8M0(%g, %s, %v) = %02x, want %02x", c.f, c.mode, c.saturate, got, c.want)
		}
	}
	for code := range 255 {
		if got := RoundE8M0(E8M0.Widen(uint8(code)), "nearest", false); int(got) != code {
			t.Errorf("%02x becomes %02x", code, got)
		}
	}
}

func TestPacked(t *testing.T) {
	for _, bits := range []int{4, 2} {
		for n := range 20 {
			src := make([]int8, n)
			raw := make([]uint8, n)
			for i := range src {
				src[i] = Signed(uint8(i*7+3), bits)
				raw[i] = uint8(src[i]) & (1<<bits - 1)
			}
			data := bytes.Repeat([]byte{0xa5}, (n*bits+7)/8)
			Pack(data, src, bits)
			got, unsigned := make([]int8, n), make([]uint8, n)
			Unpack(got, data, bits, true)
			Unpack(unsigned, data, bits, false)
			if !slices.Equal(got, src) || !slices.Equal(unsigned, raw) {
				t.Fatalf("%d elements of %d bits: got %v and %v, want %v and %v", n, bits, got, unsigned, src, raw)
			}
			if used := n * bits & 7; used != 0 && data[len(data)-1]>>used != 0 {
				t.Fatalf("%d elements of %d bits: unused bits of %02x are set", n, bits, data[len(data)-1])
			}
		}
	}
	data := []byte{0x21, 0xf8}
	if Bits(data, 4, 0) != 1 || Bits(data, 4, 1) != 2 || Bits(data, 4, 3) != 15 || Signed(Bits(data, 4, 2), 4) != -8 || Bits(data, 2, 2) != 2 {
		t.Errorf("elements of %x are in the wrong order", data)
	}
}

func BenchmarkF16(b *testing.B) {
	src, h := make([]float32, 1<<12), make([]uint16, 1<<12)
	for i := range src {
		src[i] = float32(i) / 100
	}
	b.Run("narrow", func(b *testing.B) {
		b.SetBytes(4 << 12)
		for range b.N {
			ToF16(h, src)
		}
	})
	b.Run("widen", func(b *testing.B) {
		b.SetBytes(4 << 12)
		for range b.N {
			WidenF16(src, h)
		}
	})
}
