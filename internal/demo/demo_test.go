package demo

import (
	"strings"
	"testing"
)

func TestImages(t *testing.T) {
	list := Images()
	if len(list) != 359 {
		t.Fatalf("%d images, want 359", len(list))
	}
	for i, m := range list {
		if m.Label > 9 || len(m.Pixels) != 64 {
			t.Fatalf("image %d: label %d, %d pixels", i, m.Label, len(m.Pixels))
		}
		for _, p := range m.Pixels {
			if p > 16 {
				t.Fatalf("image %d has a pixel of %d", i, p)
			}
		}
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, Images()[:2], []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 10 || len(lines[0]) != 34 || !strings.Contains(b.String(), "@") {
		t.Errorf("picture:\n%s", b.String())
	}
}

func TestGray(t *testing.T) {
	m := Images()[0]
	g := m.Gray()
	for i, p := range m.Pixels {
		if want := float64(p) / 16 * 255; float64(g.Pix[i]) < want-0.51 || float64(g.Pix[i]) > want+0.51 {
			t.Fatalf("pixel %d: %d of 16 is %d of 255", i, p, g.Pix[i])
		}
	}
}
