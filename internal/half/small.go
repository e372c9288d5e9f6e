package half

import "math"

// Small is a floating-point format of 8 or fewer bits.
type Small struct {
	decode []float32
	mbits  int
	bias   int
	last   uint8 // code of the largest finite value
	sign   uint8 // bit of the sign; 0 where there is none
	nan    uint8 // what NaN becomes
	over   uint8 // what lies beyond the largest value, unless it saturates
	negZ   bool  // -0 exists
}

// The formats, as ONNX names them.
var (
	E4M3FN   = newSmall(Small{mbits: 3, bias: 7, last: 0x7e, sign: 0x80, nan: 0x7f, over: 0x7f, negZ: true})
	E4M3FNUZ = newSmall(Small{mbits: 3, bias: 8, last: 0x7f, sign: 0x80, nan: 0x80, over: 0x80})
	E5M2     = newSmall(Small{mbits: 2, bias: 15, last: 0x7b, sign: 0x80, nan: 0x7f, over: 0x7c, negZ: true})
	E5M2FNUZ = newSmall(Small{mbits: 2, bias: 16, last: 0x7f, sign: 0x80, nan: 0x80, over: 0x80})
	// E2M1 has neither infinity nor NaN: it always saturates, and NaN becomes -0.
	E2M1 = newSmall(Small{mbits: 1, bias: 1, last: 7, sign: 8, nan: 8, over: 7, negZ: true})
	// E8M0 is a power of two without sign, 2**(code-127). Round saturates at both ends.
	E8M0 = newE8M0()
)

func newSmall(s Small) *Small {
	s.decode = make([]float32, 2*int(s.sign))
	for code := range s.decode {
		mag := code &^ int(s.sign)
		e, m := mag>>s.mbits, mag&(1<<s.mbits-1)
		v := math.Ldexp(float64(m)+float64(int(1)<<s.mbits), e-s.bias-s.mbits)
		if e == 0 {
			v = math.Ldexp(float64(m), 1-s.bias-s.mbits)
		}
		switch {
		case mag > int(s.last) && mag == int(s.over) && s.over != s.nan:
			v = math.Inf(1)
		case mag > int(s.last), !s.negZ && code == int(s.sign):
			v = math.NaN()
		}
		if code != mag {
			v = math.Copysign(v, -1)
		}
		s.decode[code] = float32(v)
	}
	return &s
}

func newE8M0() *Small {
	s := &Small{decode: make([]float32, 256), nan: 0xff}
	for code := range 255 {
		s.decode[code] = float32(math.Ldexp(1, code-127))
	}
	s.decode[255] = float32(math.NaN())
	return s
}

// Widen returns the value of a code; of the high bits that the format lacks, none may be set.
func (s *Small) Widen(code uint8) float32 { return s.decode[code] }

// Max is the largest finite value.
func (s *Small) Max() float32 {
	if s.sign == 0 {
		return s.decode[0xfe]
	}
	return s.decode[s.last]
}

// Round returns the code nearest to f, ties to even. Beyond the largest value it saturates, or yields infinity or NaN,
// whichever the format has, where saturate is false.
func (s *Small) Round(f float32, saturate bool) uint8 {
	if s.sign == 0 {
		return RoundE8M0(f, "nearest", true)
	}
	u := math.Float32bits(f)
	sign := uint8(0)
	if u>>31 != 0 {
		sign = s.sign
	}
	u &= 0x7fffffff
	shift := 23 - s.mbits
	var code uint32
	switch {
	case u > 0x7f800000:
		if s.nan == s.sign {
			return s.nan
		}
		return s.nan | sign
	case u == 0x7f800000:
		code = 0xff
	case u >= uint32(128-s.bias)<<23:
		code = (u+1<<(shift-1)-1+u>>shift&1)>>shift - uint32(127-s.bias)<<s.mbits
	default: // a power of two whose last place is the format's smallest number makes the sum round to a multiple of that
		magic := uint32(128-s.bias+shift) << 23
		code = math.Float32bits(math.Float32frombits(u)+math.Float32frombits(magic)) - magic
	}
	c := s.last
	if code <= uint32(s.last) {
		c = uint8(code)
	} else if !saturate {
		if c = s.over; c == s.sign {
			return c
		}
	}
	if c == 0 && !s.negZ {
		return 0
	}
	return c | sign
}

// RoundE8M0 rounds f to a power of two: mode "up", "down" or "nearest" (ties up). What lies beyond the format's range,
// zero among it, saturates, or yields NaN where saturate is false. Negative numbers and NaN yield NaN.
func RoundE8M0(f float32, mode string, saturate bool) uint8 {
	const nan = 0xff
	if f != f || f < 0 {
		return nan
	}
	low, high := uint8(nan), uint8(nan)
	if saturate {
		low, high = 0, 0xfe
	}
	switch {
	case f == 0:
		return low
	case f > math.MaxFloat32:
		return high
	}
	frac, exp := math.Frexp(float64(f)) // f = frac * 2**exp with frac in [.5, 1)
	e := exp - 1
	if mode == "up" && frac > .5 || mode == "nearest" && frac >= .75 {
		e++
	}
	switch {
	case e < -127:
		return low
	case e > 127:
		return high
	}
	return uint8(e + 127)
}
