package conform

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model/onnx"
)

// A tiny protobuf writer.

type pb = []byte

func bytesField(num protowire.Number, parts ...pb) pb {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
}

func text(num protowire.Number, s string) pb { return bytesField(num, pb(s)) }

func number(num protowire.Number, v int) pb {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), uint64(v))
}

func value(t *tensor.Tensor) pb {
	var b pb
	for _, d := range t.Shape {
		b = append(b, number(1, d)...)
	}
	return bytes.Join([]pb{b, number(2, int(onnx.ElemNumber(t.DType))), bytesField(9, t.Data)}, nil)
}

// tensorType makes a TypeProto of floats.
func tensorType(dims ...int) pb {
	var shape pb
	for _, d := range dims {
		shape = append(shape, bytesField(1, number(1, d))...)
	}
	return bytesField(1, number(1, 1), bytesField(2, shape))
}

// identity makes a model y = Identity(x) with the type typ.
func identity(typ pb) pb {
	node := bytesField(1, text(1, "x"), text(2, "y"), text(4, "Identity"))
	graph := bytesField(7, node, bytesField(11, text(1, "x"), bytesField(2, typ)), bytesField(12, text(1, "y"), bytesField(2, typ)))
	return bytes.Join([]pb{number(1, 8), bytesField(8, number(2, 17)), graph}, nil)
}

// files holds the cases of the tests below: a good one with two data sets, one whose output is another, an optional
// input stored as its element and one stored as such, and a whole architecture.
func files() map[string][]byte {
	a, b := tensor.From([]float32{1, 2}), tensor.From([]float32{3, 4})
	optional := bytesField(9, bytesField(1, tensorType(2)))
	return map[string][]byte{
		"node/test_good/model.onnx":                        identity(tensorType(2)),
		"node/test_good/test_data_set_0/input_0.pb":        value(a),
		"node/test_good/test_data_set_0/output_0.pb":       value(a),
		"node/test_good/test_data_set_1/input_0.pb":        value(b),
		"node/test_good/test_data_set_1/output_0.pb":       value(b),
		"node/test_bad/model.onnx":                         identity(tensorType(2)),
		"node/test_bad/test_data_set_0/input_0.pb":         value(a),
		"node/test_bad/test_data_set_0/output_0.pb":        value(b),
		"simple/test_optional/model.onnx":                  identity(optional),
		"simple/test_optional/test_data_set_0/input_0.pb":  value(a),
		"simple/test_optional/test_data_set_0/output_0.pb": bytesField(3, value(a)),
		"simple/test_none/model.onnx":                      identity(optional),
		"simple/test_none/test_data_set_0/input_0.pb":      {},
		"simple/test_none/test_data_set_0/output_0.pb":     {},
		"simple/test_lost/model.onnx":                      identity(tensorType(2)),
		"light/light_net.onnx":                             identity(tensorType(1, 4)),
		"light/light_net_output_0.pb":                      value(tensor.From([]float32{0, .25, .5, .75}, 1, 4)),
	}
}

func writeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files() {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// archive compresses a tar archive of the headers with their data.
func archive(t *testing.T, add func(w *tar.Writer)) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	add(w)
	name := filepath.Join(t.TempDir(), "cases.tar.zst")
	if err := errors.Join(w.Close(), z.Close(), os.WriteFile(name, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return name
}

func addFile(t *testing.T, w *tar.Writer, name string, data []byte) {
	t.Helper()
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
}

// same hands the inputs on.
func same(_ context.Context, _ *Case, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return in, nil }

func open(t *testing.T, name string) *Source {
	t.Helper()
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRun(t *testing.T) {
	packed := archive(t, func(w *tar.Writer) {
		for name, data := range files() {
			addFile(t, w, "./"+name, data)
		}
	})
	for _, name := range []string{writeDir(t), packed} {
		s := open(t, name)
		if s.Len() != 5 {
			t.Errorf("%d cases, want 5", s.Len())
		}
		seen := 0
		r, err := Run(context.Background(), s, same, Options{Workers: 3, Done: func(Result) { seen++ }})
		if err != nil || seen != 6 {
			t.Fatalf("%d cases seen: %v", seen, err)
		}
		var b strings.Builder
		if err := r.Print(&b); err != nil {
			t.Fatal(err)
		}
		want := `FAIL node/test_bad: output y: 2 of 2 elements differ, by up to 2; the first is 0: got 1, want 3
FAIL simple/test_lost: bad source of test cases: no test_data_set_0
whole architectures: passed 1 of 1
passed 3 of 5
`
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
		for _, c := range r.Results {
			if c.Name == "node/test_good" && c.Digest != tensor.Digest(tensor.From([]float32{1, 2}), tensor.From([]float32{3, 4})) {
				t.Errorf("%s: digest %s", c.Name, c.Digest)
			}
		}
	}
}

func TestRunChosenCases(t *testing.T) {
	s := open(t, filepath.Join(writeDir(t), "node"))
	r, err := Run(context.Background(), s, same, Options{Want: func(name string) bool { return name == "test_good" }})
	if err != nil || len(r.Results) != 1 || r.Results[0].Err != nil {
		t.Errorf("%v, %v", r, err)
	}
	s = open(t, filepath.Join(writeDir(t), "node", "test_good"))
	if r, err = Run(context.Background(), s, same, Options{}); err != nil || len(r.Results) != 1 || r.Results[0].Err != nil {
		t.Errorf("one case alone: %v, %v", r, err)
	}
}

func TestRuntimeTrouble(t *testing.T) {
	s := open(t, writeDir(t))
	want := func(name string) bool { return name == "node/test_good" }
	for _, c := range []struct {
		name string
		exec Exec
		want string
	}{
		{"error", func(context.Context, *Case, []*tensor.Tensor) ([]*tensor.Tensor, error) {
			return nil, errors.New("no such\noperator")
		}, "no such operator"},
		{"panic", func(context.Context, *Case, []*tensor.Tensor) ([]*tensor.Tensor, error) { panic("ouch") }, "panic: ouch at "},
		{"count", func(context.Context, *Case, []*tensor.Tensor) ([]*tensor.Tensor, error) { return nil, nil }, "data set 0: got 0 outputs, want 1"},
		{"nothing", func(context.Context, *Case, []*tensor.Tensor) ([]*tensor.Tensor, error) {
			return []*tensor.Tensor{nil}, nil
		}, "output y: got none"},
	} {
		r, err := Run(context.Background(), s, c.exec, Options{Want: want})
		if err != nil || r.Results[0].Err == nil || !strings.Contains(oneLine(r.Results[0].Err), c.want) {
			t.Errorf("%s: got %v, %v", c.name, r.Results, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, s, same, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHostileArchives(t *testing.T) {
	for _, c := range []struct {
		name string
		head tar.Header
	}{
		{"up", tar.Header{Name: "../model.onnx", Typeflag: tar.TypeReg}},
		{"down and up", tar.Header{Name: "a/../../model.onnx", Typeflag: tar.TypeReg}},
		{"absolute", tar.Header{Name: "/etc/model.onnx", Typeflag: tar.TypeReg}},
		{"link", tar.Header{Name: "a/model.onnx", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}},
		{"hard link", tar.Header{Name: "a/model.onnx", Linkname: "b", Typeflag: tar.TypeLink}},
		{"device", tar.Header{Name: "a/model.onnx", Typeflag: tar.TypeChar}},
		{"backslash", tar.Header{Name: `a\model.onnx`, Typeflag: tar.TypeReg}},
	} {
		name := archive(t, func(w *tar.Writer) {
			if err := w.WriteHeader(&c.head); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := Open(name); !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), "entry") {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	empty := archive(t, func(*tar.Writer) {})
	if _, err := Open(empty); !errors.Is(err, ErrSource) {
		t.Errorf("empty: %v", err)
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("no zstd at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(junk); !errors.Is(err, ErrSource) {
		t.Errorf("junk: %v", err)
	}
}

// TestBomb gives an archive that unpacks to more than the limit: one file of zeros, whose header tells the truth.
func TestBomb(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		z, err := zstd.NewWriter(w)
		if err == nil {
			tw := tar.NewWriter(z)
			err = tw.WriteHeader(&tar.Header{Name: "a/model.onnx", Size: maxBytes + 1, Typeflag: tar.TypeReg})
			err = errors.Join(err, z.Flush())
		}
		w.CloseWithError(err)
	}()
	s := &Source{files: map[string]bool{}}
	if err := s.readArchive(r); !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func TestCompare(t *testing.T) {
	f32 := func(v ...float32) *tensor.Tensor { return tensor.From(v) }
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	raw := func(d tensor.DType, n int, b ...byte) *tensor.Tensor {
		return &tensor.Tensor{DType: d, Shape: tensor.Shape{n}, Data: b}
	}
	seq := func(e ...*tensor.Tensor) *tensor.Tensor { return &tensor.Tensor{DType: tensor.Sequence, Elems: e} }
	f16 := func(f float32) *tensor.Tensor { return raw(tensor.F16, 1, tensor.Bytes([]uint16{half.F16(f)})...) }
	for _, c := range []struct {
		name      string
		got, want *tensor.Tensor
		err       string
	}{
		{"equal", f32(1, 2), f32(1, 2), ""},
		{"within rtol", f32(1001), f32(1000.5), ""},
		{"within atol", f32(0.00009), f32(0), ""},
		{"beyond", f32(1, 1.002), f32(1, 1), "1 of 2 elements differ, by up to 0.002; the first is 1: got 1.002, want 1"},
		{"nan", f32(nan), f32(nan), ""},
		{"nan for a number", f32(nan), f32(1), "got NaN, want 1"},
		{"number for nan", f32(1), f32(nan), "got 1, want NaN"},
		{"infinite", f32(inf, -inf), f32(inf, -inf), ""},
		{"large for infinite", f32(math.MaxFloat32), f32(inf), "want +Inf"},
		{"infinite for large", f32(inf), f32(math.MaxFloat32), "got +Inf"},
		{"other sign", f32(-inf), f32(inf), "got -Inf, want +Inf"},
		{"shape", tensor.From([]float32{1}, 1, 1), f32(1), "got shape [1,1], want [1]"},
		{"scalar", tensor.Scalar(float32(1)), f32(1), "got shape [], want [1]"},
		{"type", tensor.From([]float64{1}), f32(1), "got type f64, want f32"},
		{"absent", nil, f32(1), "got none"},
		{"integers", tensor.From([]int64{1, 3}), tensor.From([]int64{1, 2}), "elements differ: got [1 3], want [1 2]"},
		{"equal integers", tensor.From([]int64{1, 3}), tensor.From([]int64{1, 3}), ""},
		{"bools", tensor.From([]bool{true}), tensor.From([]bool{false}), "elements differ"},
		{"strings", tensor.FromStrings([]string{"a", "b"}), tensor.FromStrings([]string{"a", "c"}), `element 1 differs: want "c"`},
		{"equal strings", tensor.FromStrings([]string{"a"}), tensor.FromStrings([]string{"a"}), ""},
		{"spare bits", raw(tensor.I4, 3, 0x21, 0xf3), raw(tensor.I4, 3, 0x21, 0x03), ""},
		{"nibbles", raw(tensor.I4, 3, 0x21, 0xf3), raw(tensor.I4, 3, 0x21, 0x04), "elements differ: got 21f3, want 2104"},
		{"halves", f16(1), f16(1.001), ""},
		{"other halves", f16(1), f16(1.01), "got 1, want 1.00"},
		{"float8", raw(tensor.F8E4M3FN, 2, 0x38, 0x7f), raw(tensor.F8E4M3FN, 2, 0x38, 0xff), ""},
		{"other float8", raw(tensor.F8E4M3FN, 1, 0x38), raw(tensor.F8E4M3FN, 1, 0x39), "got 1, want 1.125"},
		{"float4", raw(tensor.F4E2M1, 2, 0x21), raw(tensor.F4E2M1, 2, 0x31), "the first is 1: got 1, want 1.5"},
		{"sequences", seq(f32(1), f32(2)), seq(f32(1), f32(2)), ""},
		{"short sequence", seq(f32(1)), seq(f32(1), f32(2)), "got a sequence of 1, want 2"},
		{"other sequence", seq(f32(1)), seq(f32(2)), "element 0: 1 of 1 elements differ"},
	} {
		err := Compare(c.got, c.want)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.err)
		}
	}
}

func TestSmallFloats(t *testing.T) {
	for _, c := range []struct {
		d    tensor.DType
		bits byte
		want float64
	}{
		{tensor.F8E4M3FN, 0x7e, 448}, {tensor.F8E4M3FN, 0x01, 0x1p-9}, {tensor.F8E4M3FN, 0x80, 0}, {tensor.F8E4M3FN, 0xff, math.NaN()}, {tensor.F8E4M3FN, 0xb8, -1},
		{tensor.F8E4M3FNUZ, 0x7f, 240}, {tensor.F8E4M3FNUZ, 0x80, math.NaN()}, {tensor.F8E4M3FNUZ, 0x40, 1},
		{tensor.F8E5M2, 0x7b, 57344}, {tensor.F8E5M2, 0x7c, math.Inf(1)}, {tensor.F8E5M2, 0xfc, math.Inf(-1)}, {tensor.F8E5M2, 0x7d, math.NaN()}, {tensor.F8E5M2, 0x01, 0x1p-16},
		{tensor.F8E5M2FNUZ, 0x7f, 57344}, {tensor.F8E5M2FNUZ, 0x80, math.NaN()}, {tensor.F8E5M2FNUZ, 0x40, 1},
		{tensor.F8E8M0, 127, 1}, {tensor.F8E8M0, 0, 0x1p-127}, {tensor.F8E8M0, 255, math.NaN()},
		{tensor.F4E2M1, 0x07, 6}, {tensor.F4E2M1, 0x01, .5}, {tensor.F4E2M1, 0x0f, -6},
	} {
		got := floats(&tensor.Tensor{DType: c.d, Shape: tensor.Shape{1}, Data: []byte{c.bits}})[0]
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v %#x is %v, want %v", c.d, c.bits, got, c.want)
		}
	}
}

func TestExpectedFailures(t *testing.T) {
	list, err := ReadExpected(strings.NewReader("# comment\n\na\tno operator\nb\tpasses by now\ngone\twas removed\n"))
	if err != nil || len(list) != 3 || list["a"] != "no operator" {
		t.Fatalf("%v, %v", list, err)
	}
	r := &Report{Results: []Result{{Name: "a", Err: errors.New("x")}, {Name: "b"}, {Name: "c", Err: errors.New("y\nz")}, {Name: "d"}}}
	want := []string{"b passes: take it off the list of expected failures", "c fails: y z", "gone is listed, but there is no such case"}
	if got := r.Check(list); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
	text := r.List(list)
	if again, err := ReadExpected(bytes.NewReader(text)); err != nil || fmt.Sprint(again) != "map[a:no operator c:y z]" {
		t.Errorf("list %s: %v, %v", text, again, err)
	}
	for _, bad := range []string{"a\n", "a\t\n", "a\tx\na\ty\n"} {
		if _, err := ReadExpected(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
