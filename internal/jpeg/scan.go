package jpeg

import "fmt"

// huffman is a canonical code. fast holds, for the next 8 bits, length<<8 | value of codes of up to 8 bits, 0 for longer.
type huffman struct {
	fast   [256]uint16
	values []uint8
	// limit[n] is one more than the largest code of n bits, aligned to 16; first[n] its smallest, index[n] the value of that.
	limit, first, index [17]int32
}

func (d *decoder) huffmanTables(seg []byte) error {
	for len(seg) > 0 {
		if len(seg) < 17 {
			return fmt.Errorf("%w: Huffman table of %d bytes", ErrFormat, len(seg))
		}
		class, id := int(seg[0]>>4), int(seg[0]&15)
		total := 0
		for _, n := range seg[1:17] {
			total += int(n)
		}
		if class > 1 || id > 3 || total > 256 || len(seg) < 17+total {
			return fmt.Errorf("%w: Huffman table %d of class %d with %d codes", ErrFormat, id, class, total)
		}
		h := &huffman{values: append([]uint8(nil), seg[17:17+total]...)}
		code, k := int32(0), int32(0)
		for n := 1; n <= 16; n++ {
			count := int32(seg[n])
			h.first[n], h.index[n] = code, k
			if code+count > 1<<n {
				return fmt.Errorf("%w: Huffman table %d of class %d has too many codes of %d bits", ErrFormat, id, class, n)
			}
			for range count {
				if n <= 8 {
					for pad := range int32(1) << (8 - n) {
						h.fast[code<<(8-n)|pad] = uint16(n)<<8 | uint16(h.values[k])
					}
				}
				code++
				k++
			}
			h.limit[n] = code << (16 - n)
			code <<= 1
		}
		d.huff[class][id] = h
		seg = seg[17+total:]
	}
	return nil
}

// fill reads bytes until at least n bits (n <= 32) are there. At a marker, or at the end, zeros come; the caller sees
// by overrun whether it used them.
func (d *decoder) fill(n uint) {
	for d.nbits < n {
		var b byte
		if d.pos < len(d.data) {
			b = d.data[d.pos]
			if b != 0xff {
				d.pos++
			} else if d.pos+1 < len(d.data) && d.data[d.pos+1] == 0 {
				d.pos += 2
			} else {
				b = 0
				d.missing += 8
			}
		} else {
			d.missing += 8
		}
		d.bits = d.bits<<8 | uint64(b)
		d.nbits += 8
	}
}

// overrun reports whether bits that the file does not have were used.
func (d *decoder) overrun() bool { return d.missing > d.nbits }

func (d *decoder) take(n uint) int32 {
	if n == 0 {
		return 0
	}
	d.fill(n)
	d.nbits -= n
	return int32(d.bits>>d.nbits) & (1<<n - 1)
}

// extend reads a number of n bits whose first bit is its sign.
func (d *decoder) extend(n uint) int32 {
	v := d.take(n)
	if n > 0 && v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}

func (d *decoder) symbol(h *huffman) (int, error) {
	d.fill(16)
	next := int32(d.bits>>(d.nbits-16)) & 0xffff
	if f := h.fast[next>>8]; f != 0 {
		d.nbits -= uint(f >> 8)
		return int(f & 255), nil
	}
	for n := 1; n <= 16; n++ {
		if next < h.limit[n] {
			d.nbits -= uint(n)
			return int(h.values[h.index[n]+next>>(16-n)-h.first[n]]), nil
		}
	}
	return 0, fmt.Errorf("%w: no such Huffman code before byte %d", ErrFormat, d.pos)
}

// scanParams are the spectral band and the bits of one scan.
type scanParams struct{ ss, se, ah, al int }

func (d *decoder) scan(seg []byte) error {
	if d.comps == nil {
		return fmt.Errorf("%w: scan before frame", ErrFormat)
	}
	if d.scans++; d.scans > maxScans {
		return fmt.Errorf("%w: more than %d scans", ErrUnsupported, maxScans)
	}
	if len(seg) < 1 || len(seg) != 4+2*int(seg[0]) || seg[0] < 1 || int(seg[0]) > len(d.comps) {
		return fmt.Errorf("%w: scan header of %d bytes", ErrFormat, len(seg))
	}
	n := int(seg[0])
	tail := seg[1+2*n:]
	p := scanParams{int(tail[0]), int(tail[1]), int(tail[2] >> 4), int(tail[2] & 15)}
	if !d.progressive {
		p = scanParams{0, 63, 0, 0}
	}
	if p.ss > p.se || p.se > 63 || p.ss == 0 && p.se > 0 && d.progressive || p.ss > 0 && n > 1 || p.al > 13 || p.ah > 0 && p.ah != p.al+1 {
		return fmt.Errorf("%w: scan of coefficients %d to %d, bits %d and %d", ErrFormat, p.ss, p.se, p.ah, p.al)
	}
	list := make([]*component, n)
	blocks := 0
	for i := range list {
		id, tables := int(seg[1+2*i]), seg[2+2*i]
		for k := range d.comps {
			if d.comps[k].id == id {
				list[i] = &d.comps[k]
			}
		}
		c := list[i]
		if c == nil {
			return fmt.Errorf("%w: scan of unknown component %d", ErrFormat, id)
		}
		for _, other := range list[:i] {
			if other == c {
				return fmt.Errorf("%w: scan of component %d twice", ErrFormat, id)
			}
		}
		dc, ac := int(tables>>4), int(tables&15)
		if dc > 3 || ac > 3 {
			return fmt.Errorf("%w: scan with Huffman tables %d and %d", ErrFormat, dc, ac)
		}
		c.dcTable, c.acTable = d.huff[0][dc], d.huff[1][ac]
		needDC, needAC := p.ss == 0 && p.ah == 0, p.se > 0
		if needDC && c.dcTable == nil || needAC && c.acTable == nil {
			return fmt.Errorf("%w: scan with a Huffman table that is missing", ErrFormat)
		}
		if !c.quantised {
			if !d.haveQuant[c.quant] {
				return fmt.Errorf("%w: quantisation table %d is missing", ErrFormat, c.quant)
			}
			c.table, c.quantised = d.quant[c.quant], true
		}
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return fmt.Errorf("%w: %d blocks in one unit", ErrFormat, blocks)
	}
	d.decoded = true
	return d.units(list, p)
}

// units decodes the entropy-coded data of a scan. With several components a unit holds h*v blocks of each; with one it
// is one block, and blocks that only pad the picture are not there.
func (d *decoder) units(list []*component, p scanParams) error {
	c0 := list[0]
	across, down := c0.cols, c0.rows
	if len(list) > 1 {
		across, down = c0.across/c0.h, c0.down/c0.v
	}
	d.reset(list)
	next := 0 // number of the next restart marker
	for u := range across * down {
		if d.restart > 0 && u > 0 && u%d.restart == 0 {
			d.bits, d.nbits, d.missing = 0, 0, 0
			m, err := d.marker()
			if err != nil {
				return err
			}
			if m != 0xd0+next {
				return fmt.Errorf("%w: marker %#x where restart %d belongs", ErrFormat, m, next)
			}
			next = (next + 1) % 8
			d.reset(list)
		}
		ux, uy := u%across, u/across
		for _, c := range list {
			h, v := c.h, c.v
			if len(list) == 1 {
				h, v = 1, 1
			}
			for k := range h * v {
				if err := d.block(c, (uy*v+k/h)*c.across+ux*h+k%h, p); err != nil {
					return err
				}
			}
		}
		if d.overrun() {
			return fmt.Errorf("%w: scan %d is cut off at unit %d of %d", ErrFormat, d.scans, u, across*down)
		}
	}
	d.bits, d.nbits, d.missing = 0, 0, 0
	return nil
}

func (d *decoder) reset(list []*component) {
	d.bits, d.nbits, d.missing, d.eobrun = 0, 0, 0, 0
	for _, c := range list {
		c.dc = 0
	}
}

func (d *decoder) block(c *component, k int, p scanParams) error {
	if !d.progressive {
		var coef [blockSize]int16
		if err := d.sequential(c, &coef); err != nil {
			return err
		}
		c.write(k, &coef)
		return nil
	}
	coef := &c.coef[k]
	switch {
	case p.ss == 0 && p.ah == 0:
		diff, err := d.difference(c)
		if err != nil {
			return err
		}
		c.dc += diff
		coef[0] = int16(c.dc << p.al)
		return nil
	case p.ss == 0:
		if d.take(1) != 0 {
			coef[0] |= 1 << p.al
		}
		return nil
	case p.ah == 0:
		return d.first(c, coef, p)
	}
	return d.refine(c, coef, p)
}

// difference reads the change of the DC coefficient.
func (d *decoder) difference(c *component) (int32, error) {
	n, err := d.symbol(c.dcTable)
	if err != nil {
		return 0, err
	}
	if n > 15 {
		return 0, fmt.Errorf("%w: DC difference of %d bits", ErrFormat, n)
	}
	return d.extend(uint(n)), nil
}

func (d *decoder) sequential(c *component, coef *[blockSize]int16) error {
	diff, err := d.difference(c)
	if err != nil {
		return err
	}
	c.dc += diff
	coef[0] = int16(c.dc)
	for k := 1; k < blockSize; k++ {
		s, err := d.symbol(c.acTable)
		if err != nil {
			return err
		}
		run, size := s>>4, uint(s&15)
		if size == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		if k += run; k >= blockSize {
			return fmt.Errorf("%w: coefficient %d before byte %d", ErrFormat, k, d.pos)
		}
		coef[zigzag[k]] = int16(d.extend(size))
	}
	return nil
}

// first reads a band's coefficients but for the lowest al bits.
func (d *decoder) first(c *component, coef *[blockSize]int16, p scanParams) error {
	if d.eobrun > 0 {
		d.eobrun--
		return nil
	}
	for k := p.ss; k <= p.se; k++ {
		s, err := d.symbol(c.acTable)
		if err != nil {
			return err
		}
		run, size := s>>4, uint(s&15)
		if size == 0 {
			if run < 15 {
				d.eobrun = 1<<run - 1 + int(d.take(uint(run)))
				break
			}
			k += 15
			continue
		}
		if k += run; k > p.se {
			return fmt.Errorf("%w: coefficient %d before byte %d", ErrFormat, k, d.pos)
		}
		coef[zigzag[k]] = int16(d.extend(size) << p.al)
	}
	return nil
}

// refine adds one bit to a band's coefficients.
func (d *decoder) refine(c *component, coef *[blockSize]int16, p scanParams) error {
	bit := int16(1) << p.al
	k := p.ss
	for ; d.eobrun == 0 && k <= p.se; k++ {
		s, err := d.symbol(c.acTable)
		if err != nil {
			return err
		}
		run, size := s>>4, s&15
		var value int16
		switch {
		case size == 1:
			value = bit
			if d.take(1) == 0 {
				value = -bit
			}
		case size != 0:
			return fmt.Errorf("%w: refinement of %d bits before byte %d", ErrFormat, size, d.pos)
		case run < 15:
			d.eobrun = 1<<run + int(d.take(uint(run)))
		}
		if d.eobrun > 0 {
			break
		}
		k = d.correct(coef, k, p.se, run, bit)
		if value != 0 {
			if k > p.se {
				return fmt.Errorf("%w: coefficient %d before byte %d", ErrFormat, k, d.pos)
			}
			coef[zigzag[k]] = value
		}
	}
	if d.eobrun > 0 {
		d.eobrun--
		d.correct(coef, k, p.se, -1, bit)
	}
	return nil
}

// correct reads the correction bits of the nonzero coefficients from k on, until it stands on the zero after run zeros
// (run < 0: to the end).
func (d *decoder) correct(coef *[blockSize]int16, k, se, run int, bit int16) int {
	for ; k <= se; k++ {
		v := &coef[zigzag[k]]
		if *v == 0 {
			if run == 0 {
				break
			}
			run--
			continue
		}
		if d.take(1) != 0 && *v&bit == 0 {
			if *v > 0 {
				*v += bit
			} else {
				*v -= bit
			}
		}
	}
	return k
}
