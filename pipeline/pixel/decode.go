package pixel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"
)

type format struct {
	name   string
	magic  string // '?' stands for any byte
	decode func(data []byte, lim Limits) (*Image, error)
}

var formats = []format{
	{"jpeg", "\xff\xd8", decodeJPEG},
	{"png", "\x89PNG\r\n\x1a\n", standard(png.DecodeConfig, png.Decode)},
	{"bmp", "BM????\x00\x00\x00\x00", standard(bmp.DecodeConfig, bmp.Decode)},
	{"gif", "GIF8", standard(gif.DecodeConfig, gif.Decode)},
	{"webp", "RIFF????WEBPVP8", standard(webp.DecodeConfig, webp.Decode)},
}

// standard decodes by functions of the standard library's kind, after a look at the size.
func standard(config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error)) func([]byte, Limits) (*Image, error) {
	return func(data []byte, lim Limits) (*Image, error) {
		cfg, err := config(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if err := lim.Check(cfg.Width, cfg.Height); err != nil {
			return nil, err
		}
		src, err := decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		// A decoder may disagree with the header that it announced.
		if err := lim.Check(src.Bounds().Dx(), src.Bounds().Dy()); err != nil {
			return nil, err
		}
		return FromImage(src), nil
	}
}

// Sniff names the picture format that data begins with, "" where it is none that Decode reads.
func Sniff(data []byte) string {
	if f := sniff(data); f != nil {
		return f.name
	}
	return ""
}

func sniff(data []byte) *format {
next:
	for i := range formats {
		f := &formats[i]
		if len(data) < len(f.magic) {
			continue
		}
		for k := range len(f.magic) {
			if f.magic[k] != '?' && f.magic[k] != data[k] {
				continue next
			}
		}
		return f
	}
	return nil
}

// Decode reads a JPEG, PNG, BMP, GIF (first frame) or WebP file. The size in the header is checked against lim before
// anything of that size is allocated. EXIF orientation of JPEG files is applied.
func Decode(data []byte, lim Limits) (*Image, error) {
	f := sniff(data)
	if f == nil {
		return nil, fmt.Errorf("not a picture in a known format (jpeg, png, bmp, gif, webp)")
	}
	m, err := f.decode(data, lim)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return m, nil
}

// FromImage converts a picture of the standard library. YCbCr is converted as JFIF says, with centred chroma;
// 16-bit channels become (v*255 + 32767) / 65535; straight alpha a lays the colour c over black as (c*a + 127) / 255,
// after that reduction.
func FromImage(src image.Image) *Image {
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	switch s := src.(type) {
	case *image.YCbCr:
		return fromYCbCr(s)
	case *image.NYCbCrA:
		m := fromYCbCr(&s.YCbCr)
		for y := range h {
			for x := range w {
				overBlack(m.Pix[3*(y*w+x):], s.A[y*s.AStride+x])
			}
		}
		return m
	}
	m := New(w, h)
	switch s := src.(type) {
	case *image.Gray:
		for y := range h {
			row := s.Pix[y*s.Stride:]
			for x := range w {
				m.set(x, y, row[x], row[x], row[x])
			}
		}
	case *image.Gray16:
		for y := range h {
			for x := range w {
				v := narrow(binary.BigEndian.Uint16(s.Pix[y*s.Stride+2*x:]))
				m.set(x, y, v, v, v)
			}
		}
	case *image.RGBA: // made by decoders for opaque pictures; premultiplied means laid over black
		for y := range h {
			for x := range w {
				copy(m.Pix[3*(y*w+x):3*(y*w+x)+3], s.Pix[y*s.Stride+4*x:])
			}
		}
	case *image.NRGBA:
		for y := range h {
			for x := range w {
				p := s.Pix[y*s.Stride+4*x:]
				m.set(x, y, p[0], p[1], p[2])
				overBlack(m.Pix[3*(y*w+x):], p[3])
			}
		}
	case *image.Paletted:
		pal := make([][3]byte, 256)
		for i, c := range s.Palette {
			pal[i] = rgbOf(c)
		}
		for y := range h {
			for x := range w {
				c := pal[s.Pix[y*s.Stride+x]]
				m.set(x, y, c[0], c[1], c[2])
			}
		}
	default:
		for y := range h {
			for x := range w {
				c := rgbOf(src.At(b.Min.X+x, b.Min.Y+y))
				m.set(x, y, c[0], c[1], c[2])
			}
		}
	}
	return m
}

func (m *Image) set(x, y int, r, g, b byte) {
	p := m.Pix[3*(y*m.W+x):]
	p[0], p[1], p[2] = r, g, b
}

func narrow(v uint16) byte { return byte((uint32(v)*255 + 32767) / 65535) }

func overBlack(p []byte, a byte) {
	if a != 255 {
		for c := range 3 {
			p[c] = byte((uint32(p[c])*uint32(a) + 127) / 255)
		}
	}
}

func rgbOf(c color.Color) [3]byte {
	switch c := c.(type) {
	case color.NRGBA:
		p := [3]byte{c.R, c.G, c.B}
		overBlack(p[:], c.A)
		return p
	case color.RGBA:
		return [3]byte{c.R, c.G, c.B}
	case color.CMYK:
		r, g, b := color.CMYKToRGB(c.C, c.M, c.Y, c.K)
		return [3]byte{r, g, b}
	case color.NRGBA64:
		p := [3]byte{narrow(c.R), narrow(c.G), narrow(c.B)}
		overBlack(p[:], narrow(c.A))
		return p
	}
	r, g, b, _ := c.RGBA()
	return [3]byte{narrow(uint16(r)), narrow(uint16(g)), narrow(uint16(b))}
}

func fromYCbCr(s *image.YCbCr) *Image {
	w, h := s.Rect.Dx(), s.Rect.Dy()
	sub := subsampling{h: 1, v: 1}
	switch s.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		sub = subsampling{h: 2, v: 1}
	case image.YCbCrSubsampleRatio420:
		sub = subsampling{h: 2, v: 2}
	case image.YCbCrSubsampleRatio440:
		sub = subsampling{h: 1, v: 2}
	case image.YCbCrSubsampleRatio411:
		sub = subsampling{h: 4, v: 1}
	case image.YCbCrSubsampleRatio410:
		sub = subsampling{h: 4, v: 2}
	}
	yo, co := s.YOffset(s.Rect.Min.X, s.Rect.Min.Y), s.COffset(s.Rect.Min.X, s.Rect.Min.Y)
	return planes{
		w: w, h: h,
		y:           plane{s.Y[yo:], s.YStride, 1},
		cb:          plane{s.Cb[co:], s.CStride, 1},
		cr:          plane{s.Cr[co:], s.CStride, 1},
		subsampling: sub,
	}.rgb(&jfif, Centre)
}
