package move

import (
	"image"

	"github.com/edgerun/edgerun/internal/jpeg"
)

// writePixels writes a picture in n channels.
func writePixels(out []byte, w, h, n int, reverse bool, rgb colours) {
	at := 0
	for y := range h {
		for x := range w {
			r, g, b := rgb(x, y)
			switch {
			case n == 1:
				out[at] = uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16) // Rec. 601
			case reverse:
				out[at], out[at+1], out[at+2] = b, g, r
			default:
				out[at], out[at+1], out[at+2] = r, g, b
			}
			at += n
		}
	}
}

// decodeJPEG gives the colours as libjpeg does by default. Ink becomes light.
func decodeJPEG(data []byte, size func(w, h int) error) (colours, error) {
	m, err := jpeg.Decode(data, size)
	if err != nil {
		return nil, err
	}
	plane := func(k int) func(x, y int) uint8 {
		p := m.Planes[k]
		return func(x, y int) uint8 { return p.Data[y*p.Stride+x] }
	}
	if m.Space == jpeg.Gray {
		grey := plane(0)
		return func(x, y int) (uint8, uint8, uint8) {
			v := grey(x, y)
			return v, v, v
		}, nil
	}
	fancy := m.Space == jpeg.YCC || m.Space == jpeg.YCCK
	a, b, c := plane(0), chroma(m, 1, fancy), chroma(m, 2, fancy)
	rgb := func(x, y int) (uint8, uint8, uint8) { return a(x, y), b(x, y), c(x, y) }
	if fancy {
		rgb = func(x, y int) (uint8, uint8, uint8) { return jfif(a(x, y), b(x, y), c(x, y)) }
	}
	if len(m.Planes) == 3 {
		return rgb, nil
	}
	black := plane(3)
	// light = k - k*ink/255, the quotient of x rounded as (x+128 + (x+128)>>8) >> 8
	dark := func(ink uint8, k uint32) uint8 {
		t := uint32(ink)*k + 128
		return uint8(k - (t+t>>8)>>8)
	}
	return func(x, y int) (uint8, uint8, uint8) {
		r, g, b := rgb(x, y)
		if m.Space == jpeg.CMYK {
			r, g, b = 255-r, 255-g, 255-b
		}
		k := uint32(black(x, y))
		return dark(r, k), dark(g, k), dark(b, k)
	}, nil
}

// chroma returns plane k at full resolution. A plane of half the width, half the height or both is interpolated, but very narrow
// ones, and others are repeated: a pixel takes three parts of its own sample and one of the nearest other. Halves are
// rounded up and down in turn.
func chroma(m *jpeg.Image, k int, fancy bool) func(x, y int) uint8 {
	p := m.Planes[k]
	cw, ch := (m.W+m.SubH-1)/m.SubH, (m.H+m.SubV-1)/m.SubV
	if !fancy || m.SubH > 2 || m.SubV > 2 || m.SubH*m.SubV == 1 || m.SubH == 2 && cw <= 2 {
		return func(x, y int) uint8 { return p.Data[y/m.SubV*p.Stride+x/m.SubH] }
	}
	// column is three parts of the row of pixel row y and one of the other, or the sample alone where rows are whole.
	column := func(i, y int) int {
		if m.SubV == 1 {
			return int(p.Data[y*p.Stride+i])
		}
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), ch-1)
		return 3*int(p.Data[near*p.Stride+i]) + int(p.Data[far*p.Stride+i])
	}
	if m.SubH == 1 {
		return func(x, y int) uint8 { return uint8((column(x, y) + 1 + y&1) >> 2) }
	}
	return func(x, y int) uint8 {
		i := x / 2
		other := min(max(i-1+2*(x&1), 0), cw-1)
		sum := 3*column(i, y) + column(other, y)
		if m.SubV == 1 {
			return uint8((sum + 1 + x&1) >> 2)
		}
		return uint8((sum + 8 - x&1) >> 4)
	}
}

// jfif is JFIF's conversion in 16 fractional bits, as libjpeg rounds it.
func jfif(y, cb, cr uint8) (r, g, b uint8) {
	const half = 1 << 15
	u, v := int(cb)-128, int(cr)-128
	return clip8(int(y) + (91881*v+half)>>16), clip8(int(y) + (-22554*u-46802*v+half)>>16), clip8(int(y) + (116130*u+half)>>16)
}

func clip8(v int) uint8 { return uint8(min(max(v, 0), 255)) }

// webpColours converts VP8's 4:2:0 planes of studio range, as libwebp rounds it. Chroma is interpolated: of the four nearest
// samples the nearest, a, counts 9 parts, its neighbours b and c 3 each, and d 1.
//
//	sample = (a + (a + 3b + 3c + d + 8) >> 3) >> 1
func webpColours(p *image.YCbCr) colours {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	cw, ch := (w+1)/2, (h+1)/2
	near := func(s []uint8, x, y int) int {
		i, j := x/2, y/2
		row := s[j*p.CStride:]
		other := s[min(max(j-1+2*(y&1), 0), ch-1)*p.CStride:]
		k := i - 1 + 2*(x&1)
		if k < 0 || k >= cw {
			return (3*int(row[i]) + int(other[i]) + 2) >> 2
		}
		a := int(row[i])
		return (a + (a+3*int(row[k])+3*int(other[i])+int(other[k])+8)>>3) >> 1
	}
	return func(x, y int) (uint8, uint8, uint8) {
		l := 19077 * int(p.Y[y*p.YStride+x]) >> 8
		u, v := near(p.Cb, x, y), near(p.Cr, x, y)
		return clip8((l + 26149*v>>8 - 14234) >> 6), clip8((l - 6419*u>>8 - 13320*v>>8 + 8708) >> 6), clip8((l + 33050*u>>8 - 17685) >> 6)
	}
}
