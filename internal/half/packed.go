package half

// Elements of 4 and 2 bits lie in bytes from the low bits up; bits is 4 or 2 throughout.

// Bits reads element i of packed data.
func Bits(data []byte, bits, i int) uint8 {
	return data[i*bits>>3] >> (i * bits & 7) & (1<<bits - 1)
}

// SetBits stores the low bits of v as element i.
func SetBits(data []byte, bits, i int, v uint8) {
	shift := i * bits & 7
	mask := byte(1<<bits-1) << shift
	p := &data[i*bits>>3]
	*p = *p&^mask | v<<shift&mask
}

// Signed reads the low bits of v as a two's complement number.
func Signed(v uint8, bits int) int8 { return int8(v<<(8-bits)) >> (8 - bits) }

// Unpack widens the first len(dst) elements of src; signed ones extend their sign.
func Unpack[T int8 | uint8](dst []T, src []byte, bits int, signed bool) {
	for i := range dst {
		v := Bits(src, bits, i)
		if signed {
			v = uint8(Signed(v, bits))
		}
		dst[i] = T(v)
	}
}

// Pack stores the low bits of every element of src in dst and zeroes the rest of the last byte.
func Pack[T int8 | uint8](dst []byte, src []T, bits int) {
	if n := len(src) * bits; n&7 != 0 {
		dst[n>>3] = 0
	}
	for i, v := range src {
		SetBits(dst, bits, i, uint8(v))
	}
}
