package move

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var imageOps = map[string]op.Op{
	"ImageDecoder": {Infer: inferImage, Prepare: prepareImage},
}

// mostPixels bounds pictures.
const mostPixels = 1 << 27

// format is a kind of picture that begins with one of the magic strings, where '?' stands for any byte.
type format struct {
	magic  []string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var formats = []format{
	{[]string{"\xff\xd8"}, jpeg.DecodeConfig, jpeg.Decode},
	{[]string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, png.Decode},
	{[]string{"BM"}, bmp.DecodeConfig, bmp.Decode},
	{[]string{"RIFF????WEBP"}, webp.DecodeConfig, webp.Decode},
	{[]string{"II*\x00", "MM\x00*"}, tiff.DecodeConfig, tiff.Decode},
	{[]string{"P1", "P2", "P3", "P4", "P5", "P6"}, pnmConfig, pnmDecode},
}

func (f *format) fits(data []byte) bool {
	for _, m := range f.magic {
		fits := len(data) >= len(m)
		for i := 0; fits && i < len(m); i++ {
			fits = m[i] == '?' || m[i] == data[i]
		}
		if fits {
			return true
		}
	}
	return false
}

func channels(c *op.Call) (int, error) {
	switch f := c.Attrs.Str("pixel_format", "RGB"); f {
	case "RGB", "BGR":
		return 3, nil
	case "Grayscale":
		return 1, nil
	default:
		return 0, c.Errorf("pixel_format %q unknown", f)
	}
}

func inferImage(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := c.Want(0, tensor.U8); err != nil {
		return err
	}
	n, err := channels(c)
	if err != nil {
		return err
	}
	c.Set(0, tensor.U8, tensor.Shape{-1, -1, n})
	return nil
}

// prepareImage decodes JPEG, PNG, BMP, WebP, TIFF and PNM. What cannot be decoded is an error. Transparency is ignored.
func prepareImage(c *op.Call) (op.Run, error) {
	n, err := channels(c)
	if err != nil {
		return nil, err
	}
	reverse := c.Attrs.Str("pixel_format", "RGB") == "BGR"
	return func() error {
		data := c.In[0].Data
		var f *format
		for i := range formats {
			if formats[i].fits(data) {
				f = &formats[i]
				break
			}
		}
		if f == nil {
			return c.Errorf("the picture's format is unknown")
		}
		size, err := f.config(bytes.NewReader(data))
		if err != nil {
			return c.Errorf("picture: %w", err)
		}
		if size.Width < 1 || size.Height < 1 || size.Width > mostPixels/size.Height {
			return c.Errorf("picture of %d×%d: %w", size.Width, size.Height, tensor.ErrTooLarge)
		}
		// The memory limit counts before the picture is decoded.
		y, err := c.Alloc(0, tensor.U8, tensor.Shape{size.Height, size.Width, n})
		if err != nil {
			return err
		}
		m, err := f.decode(bytes.NewReader(data))
		if err != nil {
			return c.Errorf("picture: %w", err)
		}
		if b := m.Bounds(); b.Dx() != size.Width || b.Dy() != size.Height {
			return c.Errorf("picture of %d×%d is said to be of %d×%d", b.Dx(), b.Dy(), size.Width, size.Height)
		}
		pixels(y.Data, m, n, reverse)
		return nil
	}, nil
}

// pixels writes a picture in n channels.
func pixels(out []byte, m image.Image, n int, reverse bool) {
	b := m.Bounds()
	at := 0
	rgb := chroma(m)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl := rgb(x, y)
			switch {
			case n == 1:
				out[at] = uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(bl) + 1<<15) >> 16) // Rec. 601
			case reverse:
				out[at], out[at+1], out[at+2] = bl, g, r
			default:
				out[at], out[at+1], out[at+2] = r, g, bl
			}
			at += n
		}
	}
}

// chroma returns the colours of pixels. Chroma that is stored at half width, or half width and height, is interpolated
// as libjpeg does, but in very narrow pictures: a pixel takes three parts of its own sample and one of the nearest other.
func chroma(m image.Image) func(x, y int) (r, g, b uint8) {
	p, ok := m.(*image.YCbCr)
	if !ok || p.Rect.Dx() < 5 || p.Rect.Min != (image.Point{}) || p.SubsampleRatio != image.YCbCrSubsampleRatio422 && p.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return func(x, y int) (uint8, uint8, uint8) {
			if q, ok := m.(*image.YCbCr); ok {
				i := q.COffset(x, y)
				return convert(q.Y[q.YOffset(x, y)], q.Cb[i], q.Cr[i])
			}
			c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			return c.R, c.G, c.B
		}
	}
	tall := p.SubsampleRatio == image.YCbCrSubsampleRatio420
	w, h := (p.Rect.Dx()+1)/2, (p.Rect.Dy()+1)/2
	sample := func(s []uint8, x, y int) uint8 {
		near, far, bias := x/2, x/2+1, 2
		if x%2 == 0 {
			far, bias = near-1, 1
		}
		edge := far < 0 || far >= w
		if !tall {
			if edge {
				return s[y*p.CStride+near]
			}
			return uint8((3*int(s[y*p.CStride+near]) + int(s[y*p.CStride+far]) + bias) >> 2)
		}
		row, other := y/2, y/2+1
		if y%2 == 0 {
			other = row - 1
		}
		other = min(max(other, 0), h-1)
		down := func(x int) int { return 3*int(s[row*p.CStride+x]) + int(s[other*p.CStride+x]) }
		bias = 9 - bias // 8 to the left, 7 to the right
		if edge {
			return uint8((4*down(near) + bias) >> 4)
		}
		return uint8((3*down(near) + down(far) + bias) >> 4)
	}
	return func(x, y int) (uint8, uint8, uint8) {
		return convert(p.Y[p.YOffset(x, y)], sample(p.Cb, x, y), sample(p.Cr, x, y))
	}
}

// convert is JFIF's conversion in 16 fractional bits, as libjpeg rounds it.
func convert(y, cb, cr uint8) (r, g, b uint8) {
	const half = 1 << 15
	u, v := int(cb)-128, int(cr)-128
	clip := func(v int) uint8 { return uint8(min(max(v, 0), 255)) }
	return clip(int(y) + (91881*v+half)>>16), clip(int(y) + (-22554*u-46802*v+half)>>16), clip(int(y) + (116130*u+half)>>16)
}

// pnm is the header of a portable anymap.
type pnm struct {
	kind          byte
	width, height int
	top           int
}

func readPNM(r *bufio.Reader) (h pnm, err error) {
	magic := make([]byte, 2)
	if _, err := io.ReadFull(r, magic); err != nil {
		return h, err
	}
	h.kind, h.top = magic[1], 1
	if h.width, err = pnmNumber(r); err != nil {
		return h, err
	}
	if h.height, err = pnmNumber(r); err != nil {
		return h, err
	}
	if h.kind != '1' && h.kind != '4' {
		h.top, err = pnmNumber(r)
	}
	if err == nil && (h.top < 1 || h.top > 65535) {
		err = fmt.Errorf("pnm: largest value %d", h.top)
	}
	return h, err
}

// pnmNumber reads a decimal number and the byte behind it; a comment goes to the end of its line.
func pnmNumber(r *bufio.Reader) (int, error) {
	n, digits := 0, 0
	for {
		b, err := r.ReadByte()
		switch {
		case err == io.EOF && digits > 0:
			return n, nil
		case err != nil:
			return 0, fmt.Errorf("pnm: %w", io.ErrUnexpectedEOF)
		case b >= '0' && b <= '9':
			if n, digits = n*10+int(b-'0'), digits+1; digits > 9 {
				return 0, fmt.Errorf("pnm: number is too long")
			}
		case b == '#':
			for err == nil && b != '\n' {
				b, err = r.ReadByte()
			}
		case b != ' ' && (b < '\t' || b > '\r'):
			return 0, fmt.Errorf("pnm: byte %q in the header", b)
		}
		if digits > 0 && (b < '0' || b > '9') {
			return n, nil
		}
	}
}

func pnmConfig(r io.Reader) (image.Config, error) {
	h, err := readPNM(bufio.NewReader(r))
	return image.Config{Width: h.width, Height: h.height}, err
}

// pnmDecode reads plain and raw bitmaps, grey maps and pixel maps.
func pnmDecode(src io.Reader) (image.Image, error) {
	r := bufio.NewReader(src)
	h, err := readPNM(r)
	if err != nil {
		return nil, err
	}
	m := image.NewNRGBA(image.Rect(0, 0, h.width, h.height))
	wide := h.top > 255
	value := func() (int, error) {
		switch h.kind {
		case '1': // digits need no space between them
			for {
				b, err := r.ReadByte()
				if err != nil {
					return 0, err
				}
				if b == '0' || b == '1' {
					return int('1' - b), nil
				}
			}
		case '2', '3':
			return pnmNumber(r)
		}
		b, err := r.ReadByte()
		if !wide || err != nil {
			return int(b), err
		}
		low, err := r.ReadByte()
		return int(b)<<8 | int(low), err
	}
	for y := range h.height {
		var bits byte
		for x := range h.width {
			var v [3]int
			switch h.kind {
			case '4':
				if x%8 == 0 {
					if bits, err = r.ReadByte(); err != nil {
						return nil, fmt.Errorf("pnm: row %d: %w", y, io.ErrUnexpectedEOF)
					}
				}
				v[0] = int(^bits >> (7 - x%8) & 1)
			default:
				for k := range v {
					if k > 0 && h.kind != '3' && h.kind != '6' {
						break
					}
					if v[k], err = value(); err != nil {
						return nil, fmt.Errorf("pnm: row %d: %w", y, io.ErrUnexpectedEOF)
					}
				}
			}
			if h.kind != '3' && h.kind != '6' {
				v[1], v[2] = v[0], v[0]
			}
			scale := func(v int) uint8 { return uint8((min(v, h.top)*255 + h.top/2) / h.top) }
			m.SetNRGBA(x, y, color.NRGBA{scale(v[0]), scale(v[1]), scale(v[2]), 255})
		}
	}
	return m, nil
}
