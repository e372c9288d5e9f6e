package pixel

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t testing.TB, name string) *Image {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(data, Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// differences returns the largest difference and the share of values that differ.
func differences(t testing.TB, got, want *Image) (worst int, share float64) {
	t.Helper()
	if got.W != want.W || got.H != want.H || len(got.Pix) != len(want.Pix) {
		t.Fatalf("size %dx%d, want %dx%d", got.W, got.H, want.W, want.H)
	}
	n := 0
	for i, v := range got.Pix {
		if d := int(v) - int(want.Pix[i]); d != 0 {
			worst = max(worst, max(d, -d))
			n++
		}
	}
	return worst, float64(n) / float64(len(got.Pix))
}

// The filters with antialias give the same bytes as Pillow 13; bilinear and area are within 1 of OpenCV 5, whose fixed point is
// coarser.
func TestResizeAgainstPillowAndOpenCV(t *testing.T) {
	base, sheet := load(t, "base.png"), load(t, "resized.png")
	data, err := os.ReadFile("testdata/resized.json")
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]int
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	for key, at := range index {
		name, size, _ := strings.Cut(key, "-")
		var w, h int
		if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		got, err := Resize(base, w, h, Filter(name))
		if err != nil {
			t.Fatal(err)
		}
		worst, share := differences(t, got, Crop(sheet, 0, at, w, h, [3]byte{}))
		limit := 0
		if name == "bilinear" || name == "area" {
			limit = 1
		}
		if worst > limit {
			t.Errorf("%s: values differ by up to %d (%.2f %% of them), want at most %d", key, worst, 100*share, limit)
		}
	}
}

func TestResizeProperties(t *testing.T) {
	flat := New(17, 9)
	for i := range flat.Pix {
		flat.Pix[i] = byte(40 + 70*(i%3))
	}
	base := load(t, "base.png")
	for _, f := range Filters {
		for _, s := range [][2]int{{1, 1}, {5, 30}, {40, 2}, {17, 3}, {200, 9}} {
			r, err := Resize(flat, s[0], s[1], f)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range r.Pix {
				if want := byte(40 + 70*(i%3)); v != want {
					t.Fatalf("%s to %v: a flat picture became %d at %d, want %d", f, s, v, i, want)
				}
			}
		}
		// Mirrored input, mirrored output. (Nearest and the crops of the centre pixel may fall on a boundary.)
		if f != Nearest {
			a, _ := Resize(Orient(base, 3), 31, 22, f)
			b, _ := Resize(base, 31, 22, f)
			if worst, _ := differences(t, a, Orient(b, 3)); worst > 1 {
				t.Errorf("%s: the mirrored picture differs by %d", f, worst)
			}
		}
		if same, _ := Resize(base, base.W, base.H, f); same != base {
			t.Errorf("%s: resizing to the same size copied", f)
		}
	}
	if _, err := Resize(base, 0, 5, Triangle); err == nil {
		t.Error("size 0 was accepted")
	}
	if _, err := Resize(base, 5, 5, "sharp"); err == nil {
		t.Error("an unknown filter was accepted")
	}
}

func TestAreaOfWholeBlocks(t *testing.T) {
	m := New(4, 2)
	for i := range m.Pix {
		m.Pix[i] = byte(10 * (i / 3))
	}
	r, err := Resize(m, 2, 1, Area)
	if err != nil {
		t.Fatal(err)
	}
	// (0+10+40+50)/4 and (20+30+60+70)/4
	if r.Pix[0] != 25 || r.Pix[3] != 45 {
		t.Errorf("got %d and %d, want 25 and 45", r.Pix[0], r.Pix[3])
	}
}

// Every kind of JPEG file gives the same bytes as libjpeg, orientation applied.
func TestDecodeJPEGAgainstPillow(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if worst, share := differences(t, load(t, name), load(t, name+".png")); worst > 0 {
			t.Errorf("%s: values differ by up to %d, %.1f %% of them", name, worst, 100*share)
		}
	}
}

func TestOrient(t *testing.T) {
	// a b
	// c d
	// e f
	m := New(2, 3)
	for i, c := range "abcdef" {
		m.Pix[3*i] = byte(c)
	}
	for o, want := range map[int]string{1: "abcdef", 2: "badcfe", 3: "fedcba", 4: "efcdab", 5: "acebdf", 6: "ecafdb", 7: "fdbeca", 8: "bdface", 0: "abcdef", 9: "abcdef"} {
		r := Orient(m, o)
		var got strings.Builder
		for i := 0; i < len(r.Pix); i += 3 {
			got.WriteByte(r.Pix[i])
		}
		if got.String() != want {
			t.Errorf("orientation %d: %s, want %s", o, got.String(), want)
		}
		if o >= 5 && o <= 8 && (r.W != 3 || r.H != 2) {
			t.Errorf("orientation %d: %dx%d", o, r.W, r.H)
		}
	}
}

func TestDecodeFormats(t *testing.T) {
	small := load(t, "small.png")
	for _, name := range []string{"small.bmp", "small.webp"} {
		if worst, _ := differences(t, load(t, name), small); worst != 0 {
			t.Errorf("%s differs by %d", name, worst)
		}
	}
	palette := load(t, "palette.rgb.png")
	for _, name := range []string{"palette.png", "palette.gif"} {
		if worst, _ := differences(t, load(t, name), palette); worst != 0 {
			t.Errorf("%s differs by %d", name, worst)
		}
	}
	alpha := load(t, "alpha.png")
	for i := range 63 {
		a := 4 * i
		for c := range 3 {
			if got, want := int(alpha.Pix[3*i+c]), (int(small.Pix[3*i+c])*a+127)/255; got != want {
				t.Fatalf("alpha %d: %d, want %d", a, got, want)
			}
		}
	}
	gray, rgb := load(t, "gray16.png"), load(t, "rgb16.png")
	for i := range 63 {
		want := byte((i*1040*255 + 32767) / 65535)
		if got := gray.Pix[3*i]; got != want || gray.Pix[3*i+2] != want {
			t.Fatalf("gray16 pixel %d: %d, want %d", i, got, want)
		}
		if got := rgb.Pix[3*i+2]; got != want { // OpenCV writes BGR
			t.Fatalf("rgb16 pixel %d: %d, want %d", i, got, want)
		}
	}
}
