package pixel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecodeLimits(t *testing.T) {
	data, err := os.ReadFile("testdata/small.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data, Limits{Pixels: 62}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("63 pixels with limit 62: %v", err)
	}
	if _, err := Decode(data, Limits{Pixels: 63}); err != nil {
		t.Errorf("63 pixels with limit 63: %v", err)
	}
	// A header that promises 12000 x 12000 pixels is refused before anything is allocated.
	bomb := bytes.Clone(data)
	binary.BigEndian.PutUint32(bomb[16:], 12000)
	binary.BigEndian.PutUint32(bomb[20:], 12000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	if _, err := Decode(bomb, Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("bomb: %v", err)
	}
	for _, bad := range []string{"", "RIFF", "\xff\xd8", "\x89PNG\r\n\x1a\n", "BM", "hello, world", string(data[:40])} {
		if _, err := Decode([]byte(bad), Limits{}); err == nil {
			t.Errorf("%q was decoded", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.*")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && len(data) < 4096 && !strings.HasSuffix(name, ".py") {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data, Limits{Pixels: 1 << 16})
		if err == nil && len(m.Pix) != 3*m.W*m.H {
			t.Fatalf("%d bytes for %dx%d", len(m.Pix), m.W, m.H)
		}
	})
}

func TestMatrices(t *testing.T) {
	for m, kr := range []float64{0.299, 0.2126} {
		kb := []float64{0.114, 0.0722}[m]
		for r := range 2 {
			ys, cs, y0 := 1.0, 1.0, int32(0)
			if Range(r) == Limited {
				ys, cs, y0 = 255.0/219, 255.0/224, 16
			}
			fix := func(v float64) int32 { return int32(math.Round(v * 65536)) }
			kg := 1 - kr - kb
			want := coef{y0, fix(ys), fix(cs * 2 * (1 - kr)), fix(cs * 2 * (1 - kb) * kb / kg), fix(cs * 2 * (1 - kr) * kr / kg), fix(cs * 2 * (1 - kb))}
			if matrices[m][r] != want {
				t.Errorf("matrix %d, range %d: %v, want %v", m, r, matrices[m][r], want)
			}
		}
	}
}

// frames holds the same 4x2 picture in all formats, for known luma and chroma.
func TestFrameFormats(t *testing.T) {
	y := []byte{16, 60, 120, 235, 80, 90, 100, 110}
	u, v := []byte{100, 160}, []byte{200, 90}
	want := New(4, 2)
	for i := range 8 {
		k := i % 4 / 2
		l := 1.164383561643836 * (float64(y[i]) - 16)
		du, dv := float64(u[k])-128, float64(v[k])-128
		rgb := [3]float64{l + 1.596026785714286*dv, l - 0.391762290094914*du - 0.812967647237771*dv, l + 2.017232142857143*du}
		for c := range 3 {
			want.Pix[3*i+c] = byte(min(max(math.Round(rgb[c]), 0), 255))
		}
	}
	cat := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	yuyv := []byte{16, 100, 60, 200, 120, 160, 235, 90, 80, 100, 90, 200, 100, 160, 110, 90}
	uyvy := make([]byte, 16)
	for i := 0; i < 16; i += 2 {
		uyvy[i], uyvy[i+1] = yuyv[i+1], yuyv[i]
	}
	for _, c := range []struct {
		format string
		data   []byte
	}{
		{"nv12", cat(y, []byte{100, 200, 160, 90})},
		{"nv21", cat(y, []byte{200, 100, 90, 160})},
		{"i420", cat(y, u, v)},
		{"yuyv", yuyv},
		{"uyvy", uyvy},
	} {
		f := Frame{Format: c.format, W: 4, H: 2, Data: c.data}
		got, err := f.RGB(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if worst, _ := differences(t, got, want); worst > 1 {
			t.Errorf("%s: %v, want %v", c.format, got.Pix, want.Pix)
		}
		f.Data = c.data[:len(c.data)-1]
		if _, err := f.RGB(Limits{}); err == nil {
			t.Errorf("%s: a frame that is one byte short was accepted", c.format)
		}
	}
	for _, bad := range []Frame{
		{Format: "nv16", W: 4, H: 2, Data: make([]byte, 99)},
		{Format: "nv12", W: 0, H: 2, Data: make([]byte, 99)},
		{Format: "nv12", W: 4, H: 2, Stride: 3, Data: make([]byte, 99)},
		{Format: "nv12", W: 1 << 20, H: 1 << 20, Data: make([]byte, 99)},
		{Format: "nv12", W: 4, H: 2, Data: make([]byte, 99), Matrix: 7},
	} {
		if _, err := bad.RGB(Limits{}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// Padding bytes between the rows and odd sizes must not matter.
func TestFrameStride(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, format := range FrameFormats {
		for _, siting := range []Siting{Replicate, Centre, Left} {
			const w, h = 7, 5
			tight := Frame{Format: format, W: w, H: h, Siting: siting, Data: make([]byte, 400)}
			row, crow, chroma := w, 8, 3
			switch format {
			case "rgb", "bgr":
				row, chroma = 3*w, 0
			case "gray":
				chroma = 0
			case "yuyv", "uyvy":
				row, chroma = 16, 0
			case "nv12", "nv21":
				row = 8
			case "i420":
				row, crow = 8, 4
				chroma = 6
				tight.Stride = 8
			}
			for i := range tight.Data {
				tight.Data[i] = byte(rng.IntN(256))
			}
			wide := tight
			wide.Stride = row + 6
			wide.Data = make([]byte, 800)
			cs := wide.Stride
			if format == "i420" {
				cs = (wide.Stride + 1) / 2
			}
			for y := range h {
				copy(wide.Data[y*wide.Stride:], tight.Data[y*row:(y+1)*row])
			}
			for y := range chroma {
				copy(wide.Data[h*wide.Stride+y*cs:], tight.Data[h*row+y*crow:h*row+(y+1)*crow])
			}
			a, err := tight.RGB(Limits{})
			if err != nil {
				t.Fatal(format, err)
			}
			b, err := wide.RGB(Limits{})
			if err != nil {
				t.Fatal(format, err)
			}
			if worst, _ := differences(t, a, b); worst != 0 {
				t.Errorf("%s, siting %d: the stride changes values by up to %d", format, siting, worst)
			}
		}
	}
}

// The interpolated chroma against the formula, in exact arithmetic.
func TestChromaSiting(t *testing.T) {
	const w, h = 9, 6
	rng := rand.New(rand.NewPCG(3, 4))
	plane420 := make([]byte, 5*3)
	for i := range plane420 {
		plane420[i] = byte(rng.IntN(256))
	}
	at := func(x, y int) float64 { return float64(plane420[min(max(y, 0), 2)*5+min(max(x, 0), 4)]) }
	p := planes{w: w, h: h, subsampling: subsampling{2, 2}}
	row, tmp := make([]byte, w), make([]int32, 5)
	for _, siting := range []Siting{Replicate, Centre, Left} {
		for y := range h {
			p.chromaRow(row, tmp, plane{plane420, 5, 1}, y, siting)
			for x := range w {
				cx, cy := x/2, y/2
				ny := cy - 1 + 2*(y&1)
				col := func(cx int) float64 { return (3*at(cx, cy) + at(cx, ny)) / 4 }
				var want float64
				switch {
				case siting == Replicate:
					want = at(cx, cy)
				case siting == Centre:
					want = (3*col(cx) + col(cx-1+2*(x&1))) / 4
				case x&1 == 0:
					want = col(cx)
				default:
					want = (col(cx) + col(cx+1)) / 2
				}
				if math.Abs(float64(row[x])-want) > 0.51 {
					t.Fatalf("siting %d at (%d, %d): %d, want %v", siting, x, y, row[x], want)
				}
			}
		}
	}
}

func TestFromImageYCbCr(t *testing.T) {
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410} {
		s := image.NewYCbCr(image.Rect(0, 0, 13, 7), ratio)
		for i := range s.Y {
			s.Y[i] = byte(17 * i)
		}
		for i := range s.Cb {
			s.Cb[i], s.Cr[i] = 90, 170
		}
		m := FromImage(s)
		for y := range 7 {
			for x := range 13 {
				r, g, b := color.YCbCrToRGB(s.Y[s.YOffset(x, y)], 90, 170)
				p := m.Pix[3*(y*13+x):]
				for c, v := range []byte{r, g, b} {
					if d := int(p[c]) - int(v); d < -1 || d > 1 {
						t.Fatalf("%v at (%d, %d): %v, want %d %d %d", ratio, x, y, p[:3], r, g, b)
					}
				}
			}
		}
	}
}

func TestCropAndMap(t *testing.T) {
	base := load(t, "base.png")
	pad := [3]byte{1, 2, 3}
	c := Crop(base, -2, 40, 10, 12, pad)
	for y := range 12 {
		for x := range 10 {
			got := [3]byte(c.Pix[3*(y*10+x):])
			want := pad
			if sx, sy := x-2, y+40; sx >= 0 && sy < base.H {
				want = [3]byte(base.Pix[3*(sy*base.W+sx):])
			}
			if got != want {
				t.Fatalf("(%d, %d): %v, want %v", x, y, got, want)
			}
		}
	}
	if r := Crop(base, 100, 100, 4, 4, pad); [3]byte(r.Pix[:]) != pad {
		t.Error("a crop outside is not padding")
	}
	// 640x480 -> 320x240 -> 224x224 out of (48, 8): place (10, 20) is (116, 56) before.
	m := Identity().Resized(640, 480, 320, 240).Cropped(48, 8)
	if x, y := m.Apply(10, 20); x != 116 || y != 56 {
		t.Errorf("mapped to (%v, %v), want (116, 56)", x, y)
	}
}

func TestWarp(t *testing.T) {
	base := load(t, "base.png")
	rect := func(x0, y0, x1, y1 float64) Quad { return Quad{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}} }
	// An axis-parallel quadrilateral at the same size is a crop.
	q := rect(5, 7, 45, 27)
	if w, h := q.Size(); w != 40 || h != 20 {
		t.Fatalf("size %dx%d", w, h)
	}
	got, err := Warp(base, q, 40, 20, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if worst, _ := differences(t, got, Crop(base, 5, 7, 40, 20, [3]byte{})); worst != 0 {
		t.Errorf("a crop by warping differs by %d", worst)
	}
	// Starting at another corner turns the picture.
	turned, err := Warp(base, Quad{q[3], q[0], q[1], q[2]}, 20, 40, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if worst, _ := differences(t, turned, Rotate(got, 90)); worst != 0 {
		t.Errorf("turned by warping differs by %d", worst)
	}
	if _, err := Warp(base, Quad{{1, 1}, {5, 1}, {9, 1}, {3, 1}}, 4, 4, Limits{}); err == nil {
		t.Error("a quadrilateral without area was accepted")
	}
	if _, err := Warp(base, Quad{{math.NaN(), 1}}, 4, 4, Limits{}); err == nil {
		t.Error("a NaN corner was accepted")
	}
	if _, err := Warp(base, q, 1<<20, 1<<20, Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("huge result: %v", err)
	}
	g := q.Grow(0.1)
	if want := rect(3, 5, 47, 29); g != want {
		t.Errorf("grown to %v, want %v", g, want)
	}
}

// The corners of a trapezium land on the corners of the unit square.
func TestHomography(t *testing.T) {
	q := Quad{{10, 10}, {50, 14}, {44, 40}, {13, 30}}
	h, err := homography(q)
	if err != nil {
		t.Fatal(err)
	}
	for i, uv := range [][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
		d := h[6]*uv[0] + h[7]*uv[1] + 1
		x, y := (h[0]*uv[0]+h[1]*uv[1]+h[2])/d, (h[3]*uv[0]+h[4]*uv[1]+h[5])/d
		if math.Abs(x-q[i].X) > 1e-9 || math.Abs(y-q[i].Y) > 1e-9 {
			t.Errorf("corner %d at (%v, %v), want %v", i, x, y, q[i])
		}
	}
}

func TestGray(t *testing.T) {
	for _, c := range []struct{ r, g, b, want byte }{{0, 0, 0, 0}, {255, 255, 255, 255}, {255, 0, 0, 76}, {0, 255, 0, 150}, {0, 0, 255, 29}} {
		if got := Gray(c.r, c.g, c.b); got != c.want {
			t.Errorf("Gray(%d, %d, %d) = %d, want %d", c.r, c.g, c.b, got, c.want)
		}
	}
}

func BenchmarkResize(b *testing.B) {
	m := New(640, 480)
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
	}
	for _, f := range Filters {
		b.Run(string(f), func(b *testing.B) {
			for b.Loop() {
				if _, err := Resize(m, 341, 256, f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNV12(b *testing.B) {
	f := Frame{Format: "nv12", W: 640, H: 480, Data: make([]byte, 640*480*3/2), Siting: Centre}
	for b.Loop() {
		if _, err := f.RGB(Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
