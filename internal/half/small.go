package half

import (
	"math"
	"sort"
)

// Small is a floating-point format of 8 or fewer bits.
type Small struct {
	decode []float32
	// finite lists the non-negative finite values in rising order; the code of finite[i] is codes[i].
	finite []float32
	codes  []uint8
	sign   uint8 // bit of the sign; 0 where there is none
	nan    int   // code, -1 where there is none
	inf    int   // code of +Inf, -1 where there is none
	negZ   bool  // -0 exists
}

// The formats, as ONNX names them.
var (
	E4M3FN   = newSmall(8, 4, 7, 0x7f, -1, true)
	E4M3FNUZ = newSmall(8, 4, 8, 0x80, -1, false)
	E5M2     = newSmall(8, 5, 15, 0x7f, 0x7c, true)
	E5M2FNUZ = newSmall(8, 5, 16, 0x80, -1, false)
	E2M1     = newSmall(4, 2, 1, -1, -1, true)
	E8M0     = newE8M0()
)

func newSmall(bits, ebits, bias, nan, inf int, negZ bool) *Small {
	s := &Small{decode: make([]float32, 1<<bits), sign: 1 << (bits - 1), nan: nan, inf: inf, negZ: negZ}
	mbits := bits - 1 - ebits
	for code := range s.decode {
		e, m := code>>mbits&(1<<ebits-1), code&(1<<mbits-1)
		v := math.Ldexp(float64(m)+float64(int(1)<<mbits), e-bias-mbits)
		if e == 0 {
			v = math.Ldexp(float64(m), 1-bias-mbits)
		}
		if code&int(s.sign) != 0 {
			v = -v
			if m == 0 && e == 0 {
				v = math.Copysign(0, -1)
			}
		}
		mag := code &^ int(s.sign)
		switch {
		case nan >= 0 && (code == nan || nan < int(s.sign) && mag >= nan), inf >= 0 && mag > inf:
			v = math.NaN()
		case inf >= 0 && mag == inf:
			v = math.Copysign(math.Inf(1), v)
		case code < int(s.sign):
			s.finite, s.codes = append(s.finite, float32(v)), append(s.codes, uint8(code))
		}
		s.decode[code] = float32(v)
	}
	return s
}

// newE8M0 is a power of two without sign: 2^(code-127).
func newE8M0() *Small {
	s := &Small{decode: make([]float32, 256), nan: 0xff, inf: -1}
	for code := range 255 {
		v := float32(math.Ldexp(1, code-127))
		s.decode[code] = v
		s.finite, s.codes = append(s.finite, v), append(s.codes, uint8(code))
	}
	s.decode[255] = float32(math.NaN())
	return s
}

// Widen returns the value of a code; exact.
func (s *Small) Widen(code uint8) float32 { return s.decode[code] }

// Max is the largest finite value.
func (s *Small) Max() float32 { return s.finite[len(s.finite)-1] }

// Round returns the code nearest to f, ties to even. Beyond the largest value it saturates, or yields infinity or NaN,
// whichever the format has, where saturate is false. A format without NaN maps NaN to 0 with the sign bit set.
func (s *Small) Round(f float32, saturate bool) uint8 {
	if f != f {
		if s.nan < 0 {
			return s.sign
		}
		return uint8(s.nan)
	}
	neg := math.Signbit(float64(f))
	mag := f
	if neg {
		mag = -f
	}
	if s.sign == 0 && neg {
		mag = 0
	}
	code := s.magnitude(mag, saturate)
	if !neg || s.sign == 0 || int(code) == s.nan && s.nan == int(s.sign) || code == 0 && !s.negZ {
		return code
	}
	return code | s.sign
}

func (s *Small) magnitude(mag float32, saturate bool) uint8 {
	last := len(s.finite) - 1
	top := s.finite[last]
	over := math.IsInf(float64(mag), 0)
	if !over && mag > top {
		// Half a step beyond the largest value rounds away from it.
		step := float64(top)
		if last > 0 {
			step = float64(top) - float64(s.finite[last-1])
		}
		over = float64(mag)-float64(top) > step/2 || float64(mag)-float64(top) == step/2 && s.codes[last]&1 == 1
		if !over {
			return s.codes[last]
		}
	}
	if over {
		switch {
		case saturate || s.nan < 0 && s.inf < 0:
			return s.codes[last]
		case s.inf >= 0:
			return uint8(s.inf)
		}
		return uint8(s.nan)
	}
	i := sort.Search(len(s.finite), func(i int) bool { return s.finite[i] >= mag })
	if i == 0 || s.finite[i] == mag {
		return s.codes[i]
	}
	lo, hi := float64(mag)-float64(s.finite[i-1]), float64(s.finite[i])-float64(mag)
	if lo < hi || lo == hi && s.codes[i-1]&1 == 0 {
		return s.codes[i-1]
	}
	return s.codes[i]
}

// RoundE8M0 rounds f to a power of two: mode "up", "down" or "nearest" (ties up).
func RoundE8M0(f float32, mode string, saturate bool) uint8 {
	if f != f || f < 0 {
		return 0xff
	}
	if f == 0 {
		return 0
	}
	if math.IsInf(float64(f), 1) {
		if saturate {
			return 0xfe
		}
		return 0xff
	}
	frac, exp := math.Frexp(float64(f)) // f = frac * 2^exp, frac in [.5, 1)
	e := exp - 1
	switch {
	case frac == .5:
	case mode == "up", mode == "nearest" && frac >= .75:
		e++
	}
	if e < -127 {
		return 0
	}
	if e > 127 {
		if saturate {
			return 0xfe
		}
		return 0xff
	}
	return uint8(e + 127)
}
