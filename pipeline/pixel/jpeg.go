package pixel

import (
	"encoding/binary"

	"github.com/edgerun/edgerun/internal/jpeg"
)

// decodeJPEG reads a JPEG file as libjpeg does by default and turns it upright by its EXIF orientation.
func decodeJPEG(data []byte, lim Limits) (*Image, error) {
	src, err := jpeg.Decode(data, lim.Check)
	if err != nil {
		return nil, err
	}
	return Orient(fromJPEG(src), exifOrientation(data)), nil
}

func fromJPEG(src *jpeg.Image) *Image {
	p := src.Planes
	switch src.Space {
	case jpeg.YCC, jpeg.YCCK:
		sub, siting := subsampling{h: src.SubH, v: src.SubV}, Centre
		if sub.h == 2 && (src.W+1)/2 <= 2 {
			siting = Replicate // libjpeg does not interpolate such narrow planes
		}
		m := planes{
			w: src.W, h: src.H,
			y:           plane{p[0].Data, p[0].Stride, 1},
			cb:          plane{p[1].Data, p[1].Stride, 1},
			cr:          plane{p[2].Data, p[2].Stride, 1},
			subsampling: sub,
		}.rgb(&jfif, siting)
		if src.Space == jpeg.YCCK {
			m.darken(p[3])
		}
		return m
	}
	m := New(src.W, src.H)
	for y := range m.H {
		out := m.Pix[3*y*m.W : 3*(y+1)*m.W]
		for c := range 3 {
			from := p[min(c, len(p)-1)]
			if c > 0 && (src.SubH > 1 || src.SubV > 1) {
				for x := range m.W {
					out[3*x+c] = from.Data[y/src.SubV*from.Stride+x/src.SubH]
				}
				continue
			}
			for x, v := range from.Data[y*from.Stride : y*from.Stride+m.W] {
				out[3*x+c] = v
			}
		}
	}
	if src.Space == jpeg.CMYK {
		for i, v := range m.Pix {
			m.Pix[i] = 255 - v // ink
		}
		m.darken(p[3])
	}
	return m
}

// darken turns pixels that hold ink into light, black ink being 255 - k: light = k - k*ink/255, the quotient of x rounded as
// (x+128 + (x+128)>>8) >> 8.
func (m *Image) darken(black jpeg.Plane) {
	for y := range m.H {
		for x := range m.W {
			k := uint32(black.Data[y*black.Stride+x])
			for c := range 3 {
				i := 3*(y*m.W+x) + c
				t := uint32(m.Pix[i])*k + 128
				m.Pix[i] = byte(k - (t+t>>8)>>8)
			}
		}
	}
}

// exifOrientation finds tag 0x0112 in the first directory of a JPEG file's Exif segment; 1 where there is none.
func exifOrientation(data []byte) int {
	for p := 2; p+4 <= len(data) && data[p] == 0xff; {
		marker := data[p+1]
		if marker == 0xff { // fill byte
			p++
			continue
		}
		if marker == 0xda || marker == 0xd9 { // scan data, end
			break
		}
		n := int(binary.BigEndian.Uint16(data[p+2:]))
		if n < 2 || p+2+n > len(data) {
			break
		}
		seg := data[p+4 : p+2+n]
		if marker == 0xe1 && len(seg) >= 14 && string(seg[:6]) == "Exif\x00\x00" {
			return tiffOrientation(seg[6:])
		}
		p += 2 + n
	}
	return 1
}

func tiffOrientation(t []byte) int {
	var order binary.ByteOrder
	switch string(t[:2]) {
	case "II":
		order = binary.LittleEndian
	case "MM":
		order = binary.BigEndian
	default:
		return 1
	}
	dir := uint64(order.Uint32(t[4:]))
	if dir+2 > uint64(len(t)) {
		return 1
	}
	d := t[dir:]
	n := int(order.Uint16(d))
	for i := range n {
		if 2+12*(i+1) > len(d) {
			break
		}
		e := d[2+12*i:]
		if order.Uint16(e) == 0x0112 && order.Uint16(e[2:]) == 3 {
			return int(order.Uint16(e[8:]))
		}
	}
	return 1
}
