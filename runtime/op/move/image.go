package move

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
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
// decode tells size the extents before it needs memory in proportion, and returns the colours of pixels.
type format struct {
	magic  []string
	decode func(data []byte, size func(w, h int) error) (colours, error)
}

// colours gives the colour of the pixel in column x of row y.
type colours func(x, y int) (r, g, b uint8)

var formats = []format{
	{[]string{"\xff\xd8"}, decodeJPEG},
	{[]string{"\x89PNG\r\n\x1a\n"}, standard(png.DecodeConfig, png.Decode)},
	{[]string{"BM"}, standard(bmp.DecodeConfig, bmp.Decode)},
	{[]string{"RIFF????WEBP"}, standard(webp.DecodeConfig, webp.Decode)},
	{[]string{"II*\x00", "MM\x00*"}, standard(tiff.DecodeConfig, tiff.Decode)},
	{[]string{"P1", "P2", "P3", "P4", "P5", "P6"}, standard(pnmConfig, pnmDecode)},
}

// standard makes a format of decoders in the form of the standard library's.
func standard(config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error)) func([]byte, func(w, h int) error) (colours, error) {
	return func(data []byte, size func(w, h int) error) (colours, error) {
		c, err := config(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if err := size(c.Width, c.Height); err != nil {
			return nil, err
		}
		m, err := decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		b := m.Bounds()
		if b.Dx() != c.Width || b.Dy() != c.Height {
			return nil, fmt.Errorf("%d×%d pixels, said to be %d×%d", b.Dx(), b.Dy(), c.Width, c.Height)
		}
		switch p := m.(type) {
		case *image.YCbCr: // VP8
			return webpColours(p), nil
		case *image.NYCbCrA:
			return webpColours(&p.YCbCr), nil
		}
		return func(x, y int) (uint8, uint8, uint8) {
			c := color.NRGBAModel.Convert(m.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
			return c.R, c.G, c.B
		}, nil
	}
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
		// The memory limit counts before the picture is decoded.
		var y *tensor.Tensor
		var width, height int
		rgb, err := f.decode(data, func(w, h int) (err error) {
			if w < 1 || h < 1 || w > mostPixels/h {
				return fmt.Errorf("%d×%d pixels: %w", w, h, tensor.ErrTooLarge)
			}
			width, height = w, h
			y, err = c.Alloc(0, tensor.U8, tensor.Shape{h, w, n})
			return err
		})
		if err != nil {
			return c.Errorf("picture: %w", err)
		}
		writePixels(y.Data, width, height, n, reverse, rgb)
		return nil
	}, nil
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
