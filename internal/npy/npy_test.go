package npy

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

func seq[T int32 | float32 | float64](div T) []T {
	v := make([]T, 24)
	for i := range v {
		v[i] = T(i) / div
	}
	return v
}

func TestReadNumPy(t *testing.T) {
	for _, c := range []struct {
		file string
		want *tensor.Tensor
	}{
		{"i32_c", tensor.From(seq[int32](1), 2, 3, 4)},
		{"i32_fortran", tensor.From(seq[int32](1), 2, 3, 4)},
		{"f32_big", tensor.From(seq[float32](8), 2, 3, 4)},
		{"f64_big_fortran", tensor.From(seq[float64](8), 2, 3, 4)},
		{"i64_scalar", tensor.Scalar[int64](-5)},
		{"f16_v3", &tensor.Tensor{DType: tensor.F16, Shape: tensor.Shape{3}, Data: []byte{0, 0x3c, 0, 0xc1, 0xff, 0x7b}}},
		{"bool", tensor.From([]bool{true, false, false, true}, 2, 2)},
		{"text", tensor.FromStrings([]string{"", "abc", "Grüße", "日本"}, 2, 2)},
		{"text_big", tensor.FromStrings([]string{"x", "Ω"})},
		{"bytes", tensor.FromStrings([]string{"ab", "c"})},
		{"empty", tensor.New(tensor.F32, tensor.Shape{0, 3})},
	} {
		got, err := ReadFile(filepath.Join("testdata", c.file+".npy"))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		equal(t, c.file, got, c.want)
	}
}

func equal(t *testing.T, name string, got, want *tensor.Tensor) {
	t.Helper()
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) || !bytes.Equal(got.Data, want.Data) || !slices.Equal(got.Str, want.Str) {
		t.Errorf("%s: got %v % x %q, want %v % x %q", name, got, got.Data, got.Str, want, want.Data, want.Str)
	}
}

// NumPy writes the same bytes for the same array.
func TestWriteAsNumPy(t *testing.T) {
	for _, f := range []string{"i32_c", "i64_scalar", "bool", "empty"} {
		path := filepath.Join("testdata", f+".npy")
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(&b, a); err != nil {
			t.Fatal(err)
		}
		// NumPy pads the header by some more blanks, so that the first extent may grow in place.
		if h := b.Bytes(); len(h)%64 != len(want)%64 || !bytes.Equal(h[len(h)-len(a.Data):], want[len(want)-len(a.Data):]) || string(h[10:60]) != string(want[10:60]) {
			t.Errorf("%s: wrote %q, want %q", f, h, want)
		}
	}
}

func TestRoundTripAllTypes(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	for d := tensor.Invalid + 1; d.Valid(); d++ {
		if d == tensor.Sequence {
			continue
		}
		for _, shape := range []tensor.Shape{{}, {1}, {7}, {3, 5}, {2, 0}} {
			want := tensor.New(d, shape)
			for i := range want.Data {
				want.Data[i] = byte(rng.Uint32())
				if d == tensor.Bool {
					want.Data[i] &= 1
				}
			}
			if b := d.Bits(); b > 0 && b < 8 && want.Len()*b%8 != 0 {
				want.Data[len(want.Data)-1] &= 1<<(want.Len()*b%8) - 1
			}
			for i := range want.Str {
				want.Str[i] = strings.Repeat("é", rng.IntN(4))
			}
			path := filepath.Join(dir, "x.npy")
			if err := WriteFile(path, want); err != nil {
				t.Fatal(err)
			}
			got, err := ReadFile(path)
			if err != nil {
				t.Fatalf("%v %v: %v", d, shape, err)
			}
			equal(t, d.String(), got, want)
			_, err = os.Stat(filepath.Join(dir, "x.json"))
			if _, needed := storage(d); needed != (err == nil) {
				t.Errorf("%v: note: %v", d, err)
			}
		}
	}
}

func TestNote(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.npy")
	w := tensor.New(tensor.I4, tensor.Shape{3})
	w.Data[0], w.Data[1] = 0x8f, 0x07 // -1, -8, 7
	if err := WriteFile(path, w); err != nil {
		t.Fatal(err)
	}
	n, err := os.ReadFile(filepath.Join(dir, "x.json"))
	if err != nil || string(n) != `{"schema":"edgerun.npy/1","dtype":"i4"}`+"\n" {
		t.Errorf("note %q, %v", n, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, _ := f.Stat()
	plain, err := Read(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "without the note", plain, tensor.From([]int8{-1, -8, 7}))
	if err := WriteFile(path, tensor.From([]int8{9})); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path); err != nil || got.DType != tensor.I8 {
		t.Errorf("stale note: %v, %v", got, err)
	}
	for _, bad := range []string{"bf16", "sequence", "x"} {
		if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(`{"schema":"edgerun.npy/1","dtype":"`+bad+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); !errors.Is(err, ErrFormat) {
			t.Errorf("note %s: %v", bad, err)
		}
	}
	// 9 is no int4.
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(`{"schema":"edgerun.npy/1","dtype":"i4"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "element 0: 0x9 is no i4") {
		t.Errorf("out of range: %v", err)
	}
}

func file(dict string, data ...byte) []byte {
	h := append([]byte(magic), 1, 0, byte(len(dict)), byte(len(dict)>>8))
	return append(append(h, dict...), data...)
}

func TestBadFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "prefix"},
		{"magic", []byte("PK\x03\x04aaaaaaa"), "not an array"},
		{"version", append([]byte(magic), 9, 0, 0, 0), "version 9"},
		{"long header", append([]byte(magic), 2, 0, 255, 255, 255, 255), "header of 4294967295 bytes"},
		{"no dict", file("xyz"), "'{' expected"},
		{"missing key", file("{'descr': '<f4', 'shape': (1,)}", 0, 0, 0, 0), `"fortran_order" is missing`},
		{"twice", file("{'descr': '<f4', 'descr': '<f4'}"), "twice"},
		{"unknown key", file("{'x': 1}"), "unknown key"},
		{"negative", file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "an extent expected"},
		{"complex", file("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 0, 0, 0, 0, 0, 0, 0, 0), `"<c8" unsupported`},
		{"object", file("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 1), "unsupported"},
		{"width", file("{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}", 1, 2, 3), "f3 unsupported"},
		{"short", file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 0, 0, 0, 0), "needs 8 bytes, the file has 4"},
		{"long", file("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", 1, 2, 3), "needs 2 bytes, the file has 3"},
		{"huge", file("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"), "too large"},
		{"wrap", file("{'descr': '<f8', 'fortran_order': False, 'shape': (" + strconv.Itoa(math.MaxInt/16) + ",)}"), "needs"},
		{"blanks", file("{'descr': '<U0', 'fortran_order': False, 'shape': (100000000,)}"), "strings of no bytes"},
		{"rank", file("{'descr': '|u1', 'fortran_order': False, 'shape': (" + strings.Repeat("1,", 17) + ")}"), "more than 16"},
		{"rune", file("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", 0, 0xd8, 0, 0), "code point 0xd800"},
	} {
		_, err := Read(bytes.NewReader(c.b), int64(len(c.b)))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFileName(t *testing.T) {
	in := []string{"a/b:0", "a_b_0", "x", "x", "../../etc", "..", "", "x_1", "ü;1", "nul\x00", strings.Repeat("y", 300)}
	want := []string{"a_b_0_1", "a_b_0", "x", "x_2", ".._.._etc", "__", "_", "x_1", "ü;1", "nul_", strings.Repeat("y", 200)}
	if got := FileName(in); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.npy")
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		var w bytes.Buffer
		if err := Write(&w, a); err != nil {
			if a.DType == tensor.String {
				return // byte strings need not be UTF-8
			}
			t.Fatal(err)
		}
		again, err := Read(&w, int64(w.Len()))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "round trip", again, a)
	})
}
