package jpeg

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func files(t testing.TB) map[string][]byte {
	t.Helper()
	list, err := filepath.Glob("../../pipeline/pixel/testdata/*.jpg")
	if err != nil || len(list) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	m := map[string][]byte{}
	for _, f := range list {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m[filepath.Base(f)] = data
	}
	return m
}

func anySize(w, h int) error { return nil }

// Package pixel compares the pictures with libjpeg; here only what the files say about themselves is checked.
func TestDecodeKinds(t *testing.T) {
	data := files(t)
	for name, want := range map[string]Image{
		"444.jpg":  {W: 50, H: 38, Space: YCC, SubH: 1, SubV: 1},
		"422.jpg":  {W: 50, H: 38, Space: YCC, SubH: 2, SubV: 1},
		"420.jpg":  {W: 50, H: 38, Space: YCC, SubH: 2, SubV: 2},
		"440.jpg":  {W: 50, H: 38, Space: YCC, SubH: 1, SubV: 2},
		"411.jpg":  {W: 50, H: 38, Space: YCC, SubH: 4, SubV: 1},
		"gray.jpg": {W: 50, H: 38, Space: Gray, SubH: 1, SubV: 1},
		"cmyk.jpg": {W: 50, H: 38, Space: CMYK, SubH: 1, SubV: 1},
		"rgb.jpg":  {W: 50, H: 38, Space: RGB, SubH: 1, SubV: 1},
	} {
		m, err := Decode(data[name], anySize)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.W != want.W || m.H != want.H || m.Space != want.Space || m.SubH != want.SubH || m.SubV != want.SubV {
			t.Errorf("%s: %dx%d, space %d, subsampled %dx%d", name, m.W, m.H, m.Space, m.SubH, m.SubV)
		}
	}
}

func TestBadFiles(t *testing.T) {
	good := files(t)["420.jpg"]
	for n := range len(good) - 2 {
		if _, err := Decode(good[:n], anySize); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut off at %d of %d: %v", n, len(good), err)
		}
	}
	tooLarge := errors.New("too large")
	if _, err := Decode(good, func(w, h int) error { return tooLarge }); !errors.Is(err, tooLarge) {
		t.Errorf("limit: %v", err)
	}
	frame := bytes.Index(good, []byte{0xff, 0xc0})
	scan := bytes.Index(good, []byte{0xff, 0xda})
	for name, c := range map[string]struct {
		at   int
		to   byte
		want error
	}{
		"lossless":        {frame + 1, 0xc3, ErrUnsupported},
		"arithmetic":      {frame + 1, 0xc9, ErrUnsupported},
		"12 bits":         {frame + 4, 12, ErrUnsupported},
		"no height":       {frame + 6, 0, ErrUnsupported},
		"2 components":    {frame + 9, 2, ErrFormat},
		"sampling":        {frame + 11, 0x05, ErrFormat},
		"odd sampling":    {frame + 14, 0x41, ErrUnsupported},
		"quantisation":    {frame + 12, 3, ErrFormat},
		"same component":  {frame + 13, 1, ErrFormat},
		"scan components": {scan + 4, 4, ErrFormat},
		"unknown":         {scan + 5, 77, ErrFormat},
		"huffman":         {scan + 6, 0x33, ErrFormat},
	} {
		bad := bytes.Clone(good)
		bad[c.at] = c.to
		if _, err := Decode(bad, anySize); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// The integer transform is within 1 of the definition (and almost always equal to its rounding).
func TestIDCT(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ones [blockSize]uint16
	for i := range ones {
		ones[i] = 1
	}
	off := 0
	for range 500 {
		var coef [blockSize]int16
		for range 1 + rng.IntN(20) {
			coef[rng.IntN(blockSize)] = int16(rng.IntN(401) - 200)
		}
		var got [blockSize]byte
		idct(got[:], 8, &coef, &ones)
		for y := range 8 {
			for x := range 8 {
				var sum float64
				for v := range 8 {
					for u := range 8 {
						c := 0.25 * float64(coef[8*v+u])
						if u == 0 {
							c *= math.Sqrt2 / 2
						}
						if v == 0 {
							c *= math.Sqrt2 / 2
						}
						sum += c * math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) * math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
					}
				}
				want := min(max(math.Round(sum+128), 0), 255)
				d := math.Abs(float64(got[8*y+x]) - want)
				if d > 1 {
					t.Fatalf("(%d, %d): %d, want %v", x, y, got[8*y+x], want)
				}
				if d > 0 {
					off++
				}
			}
		}
	}
	if off > 500*blockSize/50 {
		t.Errorf("%d of %d values are off by one", off, 500*blockSize)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range files(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data, func(w, h int) error {
			if w*h > 1<<16 {
				return errors.New("too large")
			}
			return nil
		})
		if err != nil {
			return
		}
		for i, p := range m.Planes {
			w, h := m.W, m.H
			if i == 1 || i == 2 {
				w, h = ceil(w, m.SubH), ceil(h, m.SubV)
			}
			if p.Stride < w || len(p.Data) < p.Stride*h {
				t.Fatalf("plane %d: stride %d, %d bytes for %dx%d", i, p.Stride, len(p.Data), w, h)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"420.jpg", "progressive.jpg"} {
		b.Run(name, func(b *testing.B) {
			data := files(b)[name]
			b.SetBytes(50 * 38)
			for b.Loop() {
				if _, err := Decode(data, anySize); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
