// Package half converts between float32 and the narrow formats: binary16, bfloat16, floats of 8 and 4 bits, and packed
// integers of 4 and 2 bits.
//
// The slice forms are what kernels and importers use; the scalar forms define them. Narrowing rounds once to nearest,
// ties to even; widening is exact.
//
// Importers: anyone above internal/tensor.
package half

import "math"

// F16 rounds f to an IEEE 754 binary16. NaNs stay quiet NaNs.
func F16(f float32) uint16 {
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	switch {
	case u >= 0x47800000: // 65536 and more
		if u > 0x7f800000 {
			return sign | 0x7e00 | uint16(u>>13&0x1ff)
		}
		return sign | 0x7c00
	case u < 0x38800000: // below the smallest normal number: adding 0.5 rounds to a multiple of 2**-24
		return sign | uint16(math.Float32bits(math.Float32frombits(u)+0.5)-0x3f000000)
	}
	const bias = uint32(127-15) << 23
	return sign | uint16((u-bias+0xfff+u>>13&1)>>13)
}

// FromF16 widens a binary16.
func FromF16(h uint16) float32 {
	u := uint32(h&0x7fff) << 13
	if u >= 0x7c00<<13 {
		u |= 0x7f800000
	} else {
		u = math.Float32bits(math.Float32frombits(u) * 0x1p112) // exact; makes subnormal numbers normal
	}
	return math.Float32frombits(u | uint32(h&0x8000)<<16)
}

// BF16 rounds f to a bfloat16. NaNs stay quiet NaNs.
func BF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// FromBF16 widens a bfloat16.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// Odd rounds f to float32 so that a further rounding to a format of at most 22 significant bits gives what rounding f to
// that format at once would give: inexact results get an odd last bit.
func Odd(f float64) float32 {
	y := float32(f)
	if float64(y) == f || f != f {
		return y
	}
	u := math.Float32bits(y)
	if u&1 == 1 {
		return y
	}
	if (float64(y) > f) == (f > 0) { // y lies beyond f: one step back to zero
		return math.Float32frombits(u - 1)
	}
	return math.Float32frombits(u + 1)
}

// ToF16 rounds src into dst, which must be as long.
func ToF16(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, f := range src {
		dst[i] = F16(f)
	}
}

// WidenF16 widens src into dst, which must be as long.
func WidenF16(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = FromF16(h)
	}
}

// ToBF16 rounds src into dst, which must be as long.
func ToBF16(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, f := range src {
		dst[i] = BF16(f)
	}
}

// WidenBF16 widens src into dst, which must be as long.
func WidenBF16(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, b := range src {
		dst[i] = FromBF16(b)
	}
}
