package jpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is wrapped by errors about files that are broken.
var ErrFormat = errors.New("invalid file")

// ErrUnsupported is wrapped by errors about files of a kind that is not read.
var ErrUnsupported = errors.New("unsupported kind")

// Space says what the components are.
type Space int

// The spaces. CMYK holds ink as Adobe stores it: 255 is none; of YCCK the first three stand for 255 minus that.
const (
	Gray Space = iota
	YCC
	RGB
	CMYK
	YCCK
)

// Plane is one component at its own resolution; rows are Stride bytes apart and padded to whole blocks.
type Plane struct {
	Data   []byte
	Stride int
}

// Image is a decoded file. The second and third component have W/SubH by H/SubV samples, rounded up, the others W by H.
type Image struct {
	W, H       int
	Space      Space
	SubH, SubV int
	Planes     []Plane
}

const blockSize = 64

// zigzag maps the order in the file to the row-major place.
var zigzag = [blockSize]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

type component struct {
	id, h, v, quant int
	// across and down are the blocks of the plane; cols and rows those that the picture needs.
	across, down, cols, rows int
	plane                    Plane
	coef                     [][blockSize]int16 // progressive only
	dc                       int32              // prediction
	dcTable, acTable         *huffman
	table                    [blockSize]uint16 // the quantisation table in force, row-major
	quantised                bool              // table is set
}

type decoder struct {
	data        []byte
	pos         int
	limit       func(w, h int) error
	w, h        int
	progressive bool
	comps       []component
	hmax, vmax  int
	quant       [4][blockSize]uint16
	haveQuant   [4]bool
	huff        [2][4]*huffman // class 0 is DC
	restart     int
	jfif        bool
	adobe       int // transform of the Adobe segment, -1 where there is none
	scans       int

	bits    uint64 // the next nbits bits, right-aligned
	nbits   uint
	missing uint // bits at the end of bits that the file does not have
	eobrun  int
	decoded bool
}

// maxScans bounds the scans of a file: each costs time without needing many bytes.
const maxScans = 100

// Decode reads a file. limit is asked before anything of the picture's size is allocated.
func Decode(data []byte, limit func(w, h int) error) (*Image, error) {
	d := &decoder{data: data, limit: limit, adobe: -1}
	if len(data) < 4 || data[0] != 0xff || data[1] != 0xd8 {
		return nil, fmt.Errorf("%w: no start marker", ErrFormat)
	}
	d.pos = 2
	for {
		marker, err := d.marker()
		if err != nil {
			return nil, err
		}
		switch {
		case marker == 0xd9: // end of image
			return d.finish()
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7: // no content
			continue
		}
		seg, err := d.segment(marker)
		if err != nil {
			return nil, err
		}
		if err := d.read(marker, seg); err != nil {
			return nil, err
		}
	}
}

// marker finds the next marker; bytes before it are skipped.
func (d *decoder) marker() (int, error) {
	for d.pos+1 < len(d.data) {
		if d.data[d.pos] == 0xff && d.data[d.pos+1] != 0 && d.data[d.pos+1] != 0xff {
			d.pos += 2
			return int(d.data[d.pos-1]), nil
		}
		d.pos++
	}
	return 0, fmt.Errorf("%w: ends without an end marker", ErrFormat)
}

func (d *decoder) segment(marker int) ([]byte, error) {
	if d.pos+2 > len(d.data) {
		return nil, fmt.Errorf("%w: segment %#x is cut off", ErrFormat, marker)
	}
	n := int(binary.BigEndian.Uint16(d.data[d.pos:]))
	if n < 2 || d.pos+n > len(d.data) {
		return nil, fmt.Errorf("%w: segment %#x of %d bytes at %d", ErrFormat, marker, n, d.pos)
	}
	seg := d.data[d.pos+2 : d.pos+n]
	d.pos += n
	return seg, nil
}

func (d *decoder) read(marker int, seg []byte) error {
	switch marker {
	case 0xc0, 0xc1, 0xc2:
		d.progressive = marker == 0xc2
		return d.frame(seg)
	case 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf:
		return fmt.Errorf("%w: lossless, hierarchical or arithmetic coding (frame %#x)", ErrUnsupported, marker)
	case 0xc4:
		return d.huffmanTables(seg)
	case 0xdb:
		return d.quantTables(seg)
	case 0xdd:
		if len(seg) != 2 {
			return fmt.Errorf("%w: restart interval of %d bytes", ErrFormat, len(seg))
		}
		d.restart = int(binary.BigEndian.Uint16(seg))
	case 0xda:
		return d.scan(seg)
	case 0xe0:
		d.jfif = d.jfif || len(seg) >= 5 && string(seg[:5]) == "JFIF\x00"
	case 0xee:
		if len(seg) >= 12 && string(seg[:5]) == "Adobe" {
			d.adobe = int(seg[11])
		}
	}
	return nil
}

func (d *decoder) quantTables(seg []byte) error {
	for len(seg) > 0 {
		wide, id := int(seg[0]>>4), int(seg[0]&15)
		n := blockSize * (wide + 1)
		if wide > 1 || id > 3 || len(seg) < 1+n {
			return fmt.Errorf("%w: quantisation table %d of %d bytes", ErrFormat, id, len(seg)-1)
		}
		for i, z := range zigzag {
			if wide == 1 {
				d.quant[id][z] = binary.BigEndian.Uint16(seg[1+2*i:])
			} else {
				d.quant[id][z] = uint16(seg[1+i])
			}
		}
		d.haveQuant[id] = true
		seg = seg[1+n:]
	}
	return nil
}

func (d *decoder) frame(seg []byte) error {
	if d.comps != nil {
		return fmt.Errorf("%w: two frames", ErrFormat)
	}
	if len(seg) < 6 || len(seg) != 6+3*int(seg[5]) {
		return fmt.Errorf("%w: frame header of %d bytes", ErrFormat, len(seg))
	}
	if seg[0] != 8 {
		return fmt.Errorf("%w: %d bits per sample", ErrUnsupported, seg[0])
	}
	d.h, d.w = int(binary.BigEndian.Uint16(seg[1:])), int(binary.BigEndian.Uint16(seg[3:]))
	if d.h == 0 {
		return fmt.Errorf("%w: height given after the first scan", ErrUnsupported)
	}
	n := int(seg[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("%w: %d components", ErrUnsupported, n)
	}
	if err := d.limit(d.w, d.h); err != nil {
		return err
	}
	comps := make([]component, n)
	for i := range comps {
		c := &comps[i]
		b := seg[6+3*i:]
		c.id, c.h, c.v, c.quant = int(b[0]), int(b[1]>>4), int(b[1]&15), int(b[2])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("%w: component %d with sampling %dx%d, table %d", ErrFormat, c.id, c.h, c.v, c.quant)
		}
		for _, other := range comps[:i] {
			if other.id == c.id {
				return fmt.Errorf("%w: two components %d", ErrFormat, c.id)
			}
		}
		d.hmax, d.vmax = max(d.hmax, c.h), max(d.vmax, c.v)
	}
	if n == 1 { // sampling factors of a single component mean nothing
		comps[0].h, comps[0].v, d.hmax, d.vmax = 1, 1, 1, 1
	}
	for i := range comps {
		c := &comps[i]
		full := c.h == d.hmax && c.v == d.vmax
		chroma := n >= 3 && (i == 1 || i == 2)
		if !chroma && !full || chroma && (c.h != comps[1].h || c.v != comps[1].v || d.hmax%c.h != 0 || d.vmax%c.v != 0) {
			return fmt.Errorf("%w: component %d sampled %dx%d where the largest is %dx%d", ErrUnsupported, c.id, c.h, c.v, d.hmax, d.vmax)
		}
		mcusX, mcusY := ceil(d.w, 8*d.hmax), ceil(d.h, 8*d.vmax)
		c.across, c.down = mcusX*c.h, mcusY*c.v
		c.cols, c.rows = ceil(ceil(d.w*c.h, d.hmax), 8), ceil(ceil(d.h*c.v, d.vmax), 8)
		c.plane = Plane{Data: make([]byte, blockSize*c.across*c.down), Stride: 8 * c.across}
		if d.progressive {
			c.coef = make([][blockSize]int16, c.across*c.down)
		}
	}
	d.comps = comps
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// finish transforms what progressive scans have gathered.
func (d *decoder) finish() (*Image, error) {
	if !d.decoded {
		return nil, fmt.Errorf("%w: no picture", ErrFormat)
	}
	m := &Image{W: d.w, H: d.h, SubH: 1, SubV: 1}
	for i := range d.comps {
		c := &d.comps[i]
		if !c.quantised {
			return nil, fmt.Errorf("%w: component %d has no scan", ErrFormat, c.id)
		}
		for k := range c.coef {
			c.write(k, &c.coef[k])
		}
		m.Planes = append(m.Planes, c.plane)
	}
	switch len(d.comps) {
	case 3:
		m.Space = YCC
		ids := [3]int{d.comps[0].id, d.comps[1].id, d.comps[2].id}
		if !d.jfif && (d.adobe == 0 || d.adobe < 0 && ids == [3]int{'R', 'G', 'B'}) {
			m.Space = RGB
		}
	case 4:
		m.Space = CMYK
		if d.adobe == 2 {
			m.Space = YCCK
		}
	}
	if len(d.comps) > 1 {
		m.SubH, m.SubV = d.hmax/d.comps[1].h, d.vmax/d.comps[1].v
	}
	return m, nil
}

// write transforms block k into the plane.
func (c *component) write(k int, coef *[blockSize]int16) {
	off := k/c.across*8*c.plane.Stride + k%c.across*8
	idct(c.plane.Data[off:], c.plane.Stride, coef, &c.table)
}
