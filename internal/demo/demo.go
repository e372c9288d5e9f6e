// Package demo holds the demo's network, its data and what is printed about them. train.py made both.
package demo

import (
	_ "embed"
	"fmt"
	"image"
	"io"
	"strings"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Model is the network as ONNX.
//
//go:embed digits.onnx
var Model []byte

//go:embed digits.bin
var images []byte

// side is the extent of an image; pixels go from 0 to 16.
const side = 8

// Image is one held-out digit.
type Image struct {
	Label  int
	Pixels []byte // 8×8, 0 to 16
}

// Images lists the held-out digits.
func Images() []Image {
	const size = 1 + side*side
	list := make([]Image, 0, len(images)/size)
	for b := images; len(b) >= size; b = b[size:] {
		list = append(list, Image{int(b[0]), b[1:size]})
	}
	return list
}

// Fill writes the image into the network's input.
func (m Image) Fill(t *tensor.Tensor) {
	v := tensor.Of[float32](t)
	for i, p := range m.Pixels {
		v[i] = float32(p) / 16
	}
}

// Gray is the image as a picture, ink white.
func (m Image) Gray() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, side, side))
	for i, p := range m.Pixels {
		g.Pix[i] = uint8((int(p)*255 + 8) / 16)
	}
	return g
}

// shades go from paper to ink; each stands for a pixel, twice, as characters are higher than wide.
const shades = " .:-=+*#%@"

// Print writes images side by side with a caption each.
func Print(w io.Writer, list []Image, captions []string) error {
	for y := range side {
		for k, m := range list {
			if k > 0 {
				fmt.Fprint(w, "  ")
			}
			for _, p := range m.Pixels[y*side : (y+1)*side] {
				c := shades[int(p)*(len(shades)-1)/16]
				fmt.Fprintf(w, "%c%c", c, c)
			}
		}
		fmt.Fprintln(w)
	}
	for k, c := range captions {
		if k > 0 {
			fmt.Fprint(w, "  ")
		}
		fmt.Fprint(w, c+strings.Repeat(" ", max(0, 2*side-len(c))))
	}
	_, err := fmt.Fprintln(w)
	return err
}
