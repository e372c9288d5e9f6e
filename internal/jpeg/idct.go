package jpeg

// Constants of the Loeffler-Ligtenberg-Moschytz transform, times 2^13, rounded.
const (
	constBits = 13
	passBits  = 2

	f0298 = 2446  // 0.298631336
	f0390 = 3196  // 0.390180644
	f0541 = 4433  // 0.541196100
	f0765 = 6270  // 0.765366865
	f0899 = 7373  // 0.899976223
	f1175 = 9633  // 1.175875602
	f1501 = 12299 // 1.501321110
	f1847 = 15137 // 1.847759065
	f1961 = 16069 // 1.961570560
	f2053 = 16819 // 2.053119869
	f2562 = 20995 // 2.562915447
	f3072 = 25172 // 3.072711026
)

// idct dequantises a block, transforms it, adds 128 and writes 8 rows of 8 samples. Columns come first and keep two bits
// of fraction; each pass rounds halves up.
func idct(dst []byte, stride int, coef *[blockSize]int16, table *[blockSize]uint16) {
	var ws [blockSize]int32
	for x := range 8 {
		var in [8]int32
		flat := true
		for y := range 8 {
			in[y] = int32(coef[8*y+x]) * int32(table[8*y+x])
			flat = flat && (y == 0 || in[y] == 0)
		}
		if flat {
			for y := range 8 {
				ws[8*y+x] = in[0] << passBits
			}
			continue
		}
		out := pass(&in, constBits-passBits)
		for y := range 8 {
			ws[8*y+x] = out[y]
		}
	}
	for y := range 8 {
		out := pass((*[8]int32)(ws[8*y:]), constBits+passBits+3)
		row := dst[y*stride : y*stride+8]
		for x, v := range out {
			row[x] = byte(min(max(v+128, 0), 255))
		}
	}
}

// pass is the one-dimensional transform, its result shifted down with rounding.
func pass(in *[8]int32, shift uint) (out [8]int32) {
	// Even part.
	z1 := (in[2] + in[6]) * f0541
	t2, t3 := z1-in[6]*f1847, z1+in[2]*f0765
	t0, t1 := (in[0]+in[4])<<constBits, (in[0]-in[4])<<constBits
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
	// Odd part.
	z1, z2, z3, z4 := in[7]+in[1], in[5]+in[3], in[7]+in[3], in[5]+in[1]
	z5 := (z3 + z4) * f1175
	z1, z2, z3, z4 = -z1*f0899, -z2*f2562, z5-z3*f1961, z5-z4*f0390
	o0, o1, o2, o3 := in[7]*f0298+z1+z3, in[5]*f2053+z2+z4, in[3]*f3072+z2+z3, in[1]*f1501+z1+z4
	r := int32(1) << (shift - 1)
	return [8]int32{
		(e0 + o3 + r) >> shift, (e1 + o2 + r) >> shift, (e2 + o1 + r) >> shift, (e3 + o0 + r) >> shift,
		(e3 - o0 + r) >> shift, (e2 - o1 + r) >> shift, (e1 - o2 + r) >> shift, (e0 - o3 + r) >> shift,
	}
}
