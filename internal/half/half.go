// Package half converts between float32 and the narrow floating-point formats.
//
// The slice forms are what kernels and importers use; the scalar forms define them. Narrowing rounds to nearest,
// ties to even.
package half

import (
	"math"

	"github.com/x448/float16"
)

// F16 rounds f to an IEEE 754 binary16.
func F16(f float32) uint16 { return float16.Fromfloat32(f).Bits() }

// FromF16 widens a binary16; exact.
func FromF16(h uint16) float32 { return float16.Frombits(h).Float32() }

// BF16 rounds f to a bfloat16. NaNs stay NaNs.
func BF16(f float32) uint16 {
	u := math.Float32bits(f)
	if u&0x7fffffff > 0x7f800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// FromBF16 widens a bfloat16; exact.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToF16 rounds src into dst, which must be as long.
func ToF16(dst []uint16, src []float32) {
	for i, f := range src {
		dst[i] = F16(f)
	}
}

// WidenF16 widens src into dst, which must be as long.
func WidenF16(dst []float32, src []uint16) {
	for i, h := range src {
		dst[i] = FromF16(h)
	}
}

// ToBF16 rounds src into dst, which must be as long.
func ToBF16(dst []uint16, src []float32) {
	for i, f := range src {
		dst[i] = BF16(f)
	}
}

// WidenBF16 widens src into dst, which must be as long.
func WidenBF16(dst []float32, src []uint16) {
	for i, b := range src {
		dst[i] = FromBF16(b)
	}
}
