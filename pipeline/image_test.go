package pipeline

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// numbered is a picture whose pixel i has the colours 3i, 3i+1, 3i+2.
func numbered(w, h int) *pixel.Image {
	m := pixel.New(w, h)
	for i := range m.Pix {
		m.Pix[i] = byte(i)
	}
	return m
}

func write(t *testing.T, m *Image, in Info, src *pixel.Image) (*tensor.Tensor, placed) {
	t.Helper()
	x, err := newImageInput(m, in)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.place(src, x.w, x.h, pixel.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out := tensor.New(in.DType, x.shape(p))
	x.write(out, p)
	return out, p
}

func TestLayouts(t *testing.T) {
	src := numbered(2, 1) // pixels 0 1 2, 3 4 5
	gray := []float32{float32(pixel.Gray(0, 1, 2)), float32(pixel.Gray(3, 4, 5))}
	for _, c := range []struct {
		layout, order string
		shape         tensor.Shape
		want          []float32
	}{
		{"nchw", "rgb", tensor.Shape{1, 3, 1, 2}, []float32{0, 3, 1, 4, 2, 5}},
		{"nchw", "bgr", tensor.Shape{1, 3, 1, 2}, []float32{2, 5, 1, 4, 0, 3}},
		{"nhwc", "rgb", tensor.Shape{1, 1, 2, 3}, []float32{0, 1, 2, 3, 4, 5}},
		{"nhwc", "bgr", tensor.Shape{1, 1, 2, 3}, []float32{2, 1, 0, 5, 4, 3}},
		{"chw", "", tensor.Shape{3, 1, 2}, []float32{0, 3, 1, 4, 2, 5}},
		{"hwc", "", tensor.Shape{1, 2, 3}, []float32{0, 1, 2, 3, 4, 5}},
		{"flat", "", tensor.Shape{1, 6}, []float32{0, 1, 2, 3, 4, 5}},
		{"nchw", "gray", tensor.Shape{1, 1, 1, 2}, gray},
		{"nhwc", "gray", tensor.Shape{1, 1, 2, 1}, gray},
		{"nhw", "gray", tensor.Shape{1, 1, 2}, gray},
		{"hw", "gray", tensor.Shape{1, 2}, gray},
	} {
		m := &Image{Resize: "none", Layout: c.layout, Order: c.order}
		got, _ := write(t, m, Info{Name: "x", DType: tensor.F32, Shape: c.shape}, src)
		if !got.Shape.Equal(c.shape) || !slices.Equal(tensor.Of[float32](got), c.want) {
			t.Errorf("%s %s: %v %v, want %v %v", c.layout, c.order, got.Shape, tensor.Of[float32](got), c.shape, c.want)
		}
	}
}

func TestGuessLayout(t *testing.T) {
	for _, c := range []struct {
		shape    tensor.Shape
		channels int
		want     string
	}{
		{tensor.Shape{1, 3, 224, 224}, 3, "nchw"},
		{tensor.Shape{1, 224, 224, 3}, 3, "nhwc"},
		{tensor.Shape{-1, 3, -1, -1}, 3, "nchw"},
		{tensor.Shape{-1, -1, -1, 3}, 3, "nhwc"},
		{tensor.Shape{1, -1, 224, 224}, 3, "nchw"},
		{tensor.Shape{1, 1, 28, 28}, 1, "nchw"},
		{tensor.Shape{1, 28, 28, 1}, 1, "nhwc"},
		{tensor.Shape{1, 28, 28}, 1, "nhw"},
		{tensor.Shape{28, 28, 1}, 1, "hwc"},
		{tensor.Shape{3, 28, 28}, 3, "chw"},
		{tensor.Shape{28, 28, 3}, 3, "hwc"},
		{tensor.Shape{1, 784}, 1, "flat"},
		{tensor.Shape{1, 3, 224, 3}, 3, ""},
		{tensor.Shape{-1, -1, -1, -1}, 3, ""},
		{tensor.Shape{1, 4, 8, 8}, 3, ""},
		{nil, 3, ""},
	} {
		got, err := guessLayout(Info{Name: "x", Shape: c.shape}, c.channels)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v; want %q", c.shape, got, err, c.want)
		}
	}
}

func TestNormalise(t *testing.T) {
	src := pixel.New(1, 1)
	copy(src.Pix, []byte{0, 128, 255})
	scale := float32(1) / 255
	m := &Image{Resize: "none", Layout: "nchw", Scale: scale, Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}}
	got, _ := write(t, m, Info{DType: tensor.F32}, src)
	for c, p := range []float32{0, 128, 255} {
		if want := (float32(p*scale) - m.Mean[c]) / m.Std[c]; tensor.Of[float32](got)[c] != want {
			t.Errorf("channel %d: %v, want %v", c, tensor.Of[float32](got)[c], want)
		}
	}
	h, _ := write(t, m, Info{DType: tensor.F16}, src)
	b, _ := write(t, m, Info{DType: tensor.BF16}, src)
	for c, v := range tensor.Of[float32](got) {
		if tensor.Of[uint16](h)[c] != half.F16(v) || tensor.Of[uint16](b)[c] != half.BF16(v) {
			t.Errorf("channel %d: halves differ", c)
		}
	}
}

func TestQuantisedInputs(t *testing.T) {
	src := pixel.New(2, 1)
	copy(src.Pix, []byte{0, 1, 2, 127, 128, 255})
	q := func(scale float32, zero int32) *tensor.QParams {
		return &tensor.QParams{Scale: []float32{scale}, Zero: []int32{zero}}
	}
	ints := func(t *tensor.Tensor) []int64 { v, _ := t.Ints(); return v }
	for _, c := range []struct {
		name string
		m    Image
		in   Info
		want []int64
	}{
		{"i8 of plain pixels", Image{}, Info{DType: tensor.I8, Quant: q(1, -128)}, []int64{-128, -127, -126, -1, 0, 127}},
		{"i8 of 1/255", Image{Scale: 1.0 / 255}, Info{DType: tensor.I8, Quant: q(0.003921568859368563, -128)}, []int64{-128, -127, -126, -1, 0, 127}},
		{"u8 half to even", Image{}, Info{DType: tensor.U8, Quant: q(2, 10)}, []int64{10, 10, 11, 74, 74, 138}},
		{"u8 saturates", Image{Mean: []float32{2}}, Info{DType: tensor.U8}, []int64{0, 0, 0, 125, 126, 253}},
		{"i8 saturates", Image{}, Info{DType: tensor.I8}, []int64{0, 1, 2, 127, 127, 127}},
		{"i16", Image{Scale: 2}, Info{DType: tensor.I16, Quant: q(0.5, 0)}, []int64{0, 4, 8, 508, 512, 1020}},
		{"i32", Image{}, Info{DType: tensor.I32}, []int64{0, 1, 2, 127, 128, 255}},
		{"i64", Image{Mean: []float32{0.5}}, Info{DType: tensor.I64}, []int64{0, 0, 2, 126, 128, 254}},
		{"raw u8", Image{Raw: true, Mean: []float32{127.5}, Std: []float32{127.5}}, Info{DType: tensor.U8, Quant: q(0.0078, 127)}, []int64{0, 1, 2, 127, 128, 255}},
		{"raw i8", Image{Raw: true}, Info{DType: tensor.I8, Quant: q(0.0078, 0)}, []int64{-128, -127, -126, -1, 0, 127}},
	} {
		c.m.Resize, c.m.Layout = "none", "nhwc"
		got, _ := write(t, &c.m, c.in, src)
		if !slices.Equal(ints(got), c.want) {
			t.Errorf("%s: %v, want %v", c.name, ints(got), c.want)
		}
	}
	for name, in := range map[string]Info{
		"string":      {Name: "x", DType: tensor.String, Shape: tensor.Shape{1, 3, 2, 2}},
		"per channel": {Name: "x", DType: tensor.I8, Shape: tensor.Shape{1, 3, 2, 2}, Quant: &tensor.QParams{Scale: []float32{1, 2, 3}}},
		"channels":    {Name: "x", DType: tensor.F32, Shape: tensor.Shape{1, 4, 2, 2}},
	} {
		if _, err := newImageInput(&Image{Layout: "nchw"}, in); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name         string
		m            Image
		w, h         int // of the picture
		inW, inH     int // of the model
		imgW, imgH   int
		canvas       [4]int // w, h, x, y
		point, wants [2]float64
	}{
		{"stretch to the model", Image{}, 100, 50, 20, 10, 20, 10, [4]int{20, 10, 0, 0}, [2]float64{10, 10}, [2]float64{50, 50}},
		{"stretch to a size", Image{Resize: "stretch", Width: 50, Height: 100}, 100, 50, -1, -1, 50, 100, [4]int{50, 100, 0, 0}, [2]float64{10, 10}, [2]float64{20, 5}},
		{"none", Image{Resize: "none"}, 7, 5, -1, -1, 7, 5, [4]int{7, 5, 0, 0}, [2]float64{1, 2}, [2]float64{1, 2}},
		{"short, landscape", Image{Resize: "short", Size: 50, CropWidth: 40, CropHeight: 40}, 301, 100, 40, 40, 150, 50, [4]int{40, 40, -55, -5}, [2]float64{0, 0}, [2]float64{55 * 301.0 / 150, 10}},
		{"short, portrait", Image{Resize: "short", Size: 50, CropWidth: 60, CropHeight: 60}, 100, 200, 60, 60, 50, 100, [4]int{60, 60, 5, -20}, [2]float64{5, 0}, [2]float64{0, 40}},
		{"fit", Image{Resize: "fit"}, 200, 100, 64, 64, 64, 32, [4]int{64, 64, 0, 16}, [2]float64{32, 32}, [2]float64{100, 50}},
		{"fit in the corner", Image{Resize: "fit", Anchor: "corner"}, 100, 200, 64, 64, 32, 64, [4]int{64, 64, 0, 0}, [2]float64{32, 32}, [2]float64{100, 100}},
		{"limit, grows", Image{Resize: "limit", MinSide: 64, Multiple: 32}, 50, 32, -1, -1, 96, 64, [4]int{96, 64, 0, 0}, [2]float64{96, 64}, [2]float64{50, 32}},
		{"limit, shrinks", Image{Resize: "limit", MaxSide: 100, Multiple: 32}, 1000, 30, -1, -1, 96, 32, [4]int{96, 32, 0, 0}, [2]float64{96, 32}, [2]float64{1000, 30}},
		{"limit, leaves", Image{Resize: "limit", MinSide: 10, MaxSide: 1000}, 101, 57, -1, -1, 101, 57, [4]int{101, 57, 0, 0}, [2]float64{1, 1}, [2]float64{1, 1}},
		{"height", Image{Resize: "height", Size: 48, MinSide: 320}, 100, 31, -1, -1, 155, 48, [4]int{320, 48, 0, 0}, [2]float64{155, 48}, [2]float64{100, 31}},
		{"height, long", Image{Resize: "height", Size: 48, MaxSide: 192}, 1000, 31, -1, -1, 192, 48, [4]int{192, 48, 0, 0}, [2]float64{192, 48}, [2]float64{1000, 31}},
		{"fraction", Image{CropFraction: 0.5, Resize: "stretch", Width: 10, Height: 10}, 60, 40, -1, -1, 10, 10, [4]int{10, 10, 0, 0}, [2]float64{5, 5}, [2]float64{30, 20}},
	} {
		p, err := c.m.place(numbered(c.w, c.h), c.inW, c.inH, pixel.Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p.img.W != c.imgW || p.img.H != c.imgH || [4]int{p.w, p.h, p.x, p.y} != c.canvas {
			t.Errorf("%s: picture %dx%d, canvas %dx%d at (%d, %d)", c.name, p.img.W, p.img.H, p.w, p.h, p.x, p.y)
		}
		if x, y := p.toSource.Apply(c.point[0], c.point[1]); math.Abs(x-c.wants[0]) > 1e-9 || math.Abs(y-c.wants[1]) > 1e-9 {
			t.Errorf("%s: %v comes from (%v, %v), want %v", c.name, c.point, x, y, c.wants)
		}
	}
	for name, c := range map[string]struct {
		m        Image
		w, h     int
		inW, inH int
		want     string
	}{
		"no size":      {Image{}, 10, 10, -1, -1, "image.width, height"},
		"wrong size":   {Image{Resize: "none"}, 10, 10, 20, -1, "becomes 10x10, the model takes 20x?"},
		"extreme":      {Image{Resize: "short", Size: 4096}, 1, 30000, -1, -1, "too large"},
		"extreme crop": {Image{Resize: "none", CropWidth: 1 << 15, CropHeight: 1 << 15}, 1, 1, -1, -1, "too large"},
	} {
		if _, err := c.m.place(numbered(c.w, c.h), c.inW, c.inH, pixel.Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Padding and cropping as the writer sees them, against a crop by package pixel.
func TestPadding(t *testing.T) {
	src := numbered(4, 3)
	for _, layout := range []string{"nchw", "nhwc"} {
		for _, size := range [][2]int{{2, 2}, {8, 2}, {3, 7}, {9, 9}} {
			m := &Image{Resize: "none", CropWidth: size[0], CropHeight: size[1], Layout: layout, Pad: []float32{100, 101, 102}}
			got, p := write(t, m, Info{DType: tensor.F32}, src)
			want := pixel.Crop(src, -p.x, -p.y, p.w, p.h, [3]byte{100, 101, 102})
			flat, _ := write(t, &Image{Resize: "none", Layout: layout}, Info{DType: tensor.F32}, want)
			if !slices.Equal(tensor.Of[float32](got), tensor.Of[float32](flat)) {
				t.Errorf("%s %v: %v, want %v", layout, size, tensor.Of[float32](got), tensor.Of[float32](flat))
			}
		}
	}
}

func BenchmarkImageNet(b *testing.B) {
	s := presetOf(b, "imagenet")
	in := Info{Name: "x", DType: tensor.F32, Shape: tensor.Shape{1, 3, 224, 224}}
	x, err := newImageInput(s.Image, in)
	if err != nil {
		b.Fatal(err)
	}
	src := numbered(640, 480)
	out := tensor.New(tensor.F32, in.Shape)
	for b.Loop() {
		p, err := s.Image.place(src, 224, 224, pixel.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		x.write(out, p)
	}
}
