package prof

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAligned(t *testing.T) {
	x := table{numbers: 2}
	x.add("ms", "share", "layer", "output")
	x.add("12.5", "", "größer", "f32[1]")
	x.add("7", "100.0 %", "b", "")
	var b strings.Builder
	if err := x.write(&b); err != nil {
		t.Fatal(err)
	}
	want := `  ms    share  layer   output
12.5           größer  f32[1]
   7  100.0 %  b       
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// The widest columns give way first, and only as far as is needed.
func TestFit(t *testing.T) {
	long, other := strings.Repeat("a", 50)+"<"+strings.Repeat("z", 50), strings.Repeat("b", 40)
	make := func() *table {
		x := &table{}
		x.add("n", "op", "layer", "output")
		x.add("1234", "Conv", long, other)
		return x
	}
	for _, c := range []struct {
		width       int
		layer, want int // the widths of the last two
	}{{200, 101, 40}, {154, 100, 40}, {110, 56, 40}, {70, 28, 28}, {10, 12, 12}} {
		x := make()
		x.fit(c.width, 1, 2, 3)
		r := x.rows[1]
		if a, b := utf8.RuneCountInString(r[2]), utf8.RuneCountInString(r[3]); a != c.layer || b != c.want || r[1] != "Conv" || r[0] != "1234" {
			t.Errorf("%d columns: %d and %d of %q", c.width, a, b, r)
		}
		if c.layer < 101 && (!strings.HasPrefix(r[2], "aaaaa") || !strings.HasSuffix(r[2], "zzzzz") || strings.Count(r[2], "…") != 1) {
			t.Errorf("%q", r[2])
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 5, "ab…ef"}, {"abcdef", 4, "a…ef"}, {"äöüß€x", 3, "ä…x"}, {"abc", 1, "…"}, {"", 1, ""}} {
		if got := shorten(c.s, c.n); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.s, c.n, got, c.want)
		}
	}
}
