// Package fmath holds float32 functions whose bits are the same on every machine.
//
// Go has no float32 fused multiply-add and may fuse x*y+z on some architectures, so everything here spells its
// rounding out. Vector kernels follow the same steps, which makes these functions their reference.
package fmath

import "math"

// FMA returns x*y+z rounded once to float32.
func FMA(x, y, z float32) float32 {
	p := float64(x) * float64(y) // exact: 24+24 bits
	s := p + float64(z)
	u := math.Float64bits(s)
	// Rounding s once more is right unless s lies midway between two float32s, or in their subnormal range, where
	// midway looks different.
	if u&0x1fffffff != 0x10000000 && u&^(1<<63) >= 0x3810000000000000 || s == 0 {
		return float32(s)
	}
	return AddRounded(p, float64(z))
}

// AddRounded returns p+z rounded once to float32. It rounds the sum to odd in float64, which float32's rounding then
// cannot mistake for a tie.
func AddRounded(p, z float64) float32 {
	s := p + z
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return float32(s)
	}
	t := s - p // TwoSum: e is what rounding s lost
	e := (p - (s - t)) + (z - t)
	if e != 0 {
		u := math.Float64bits(s)
		if u&1 == 0 {
			if (e > 0) == (s > 0) {
				u++
			} else {
				u--
			}
			s = math.Float64frombits(u)
		}
	}
	return float32(s)
}
