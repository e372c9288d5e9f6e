//go:build unix

package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// external makes an initializer whose data is in a file.
func external(location, offset, length string, dims ...int) pb {
	entry := func(k, v string) pb {
		if v == "" {
			return nil
		}
		return bytesField(tensorExternal, cat(text(1, k), text(2, v)))
	}
	return bytesField(5, cat(typed(tensor.F32, nil, dims...), text(tensorName, "w"), integerField(tensorLocation, 1),
		entry("location", location), entry("offset", offset), entry("length", length)))
}

func TestExternalData(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "model")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	data := tensor.Bytes([]float32{1, 2, 3, 4})
	for _, name := range []string{filepath.Join(dir, "w.bin"), filepath.Join(dir, "sub", "w.bin"), filepath.Join(outside, "secret.bin")} {
		must(os.WriteFile(name, data, 0o644))
	}
	must(os.Symlink("../secret.bin", filepath.Join(dir, "out.bin")))
	must(os.Symlink("w.bin", filepath.Join(dir, "in.bin")))
	must(os.Symlink(filepath.Join(outside, "secret.bin"), filepath.Join(dir, "absolute.bin")))
	must(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	path := filepath.Join(dir, "m.onnx")
	read := func(init pb) (*model.Graph, error) {
		must(os.WriteFile(path, modelOf(17, graphOf(init, untyped("w"))), 0o644))
		return Open(path, Options{MaxTensorBytes: 1 << 20})
	}
	for _, c := range []struct {
		name string
		init pb
		want []float32
	}{
		{"whole file", external("w.bin", "", "", 4), []float32{1, 2, 3, 4}},
		{"part", external("w.bin", "4", "8", 2), []float32{2, 3}},
		{"rest", external("w.bin", "8", "", 2), []float32{3, 4}},
		{"folder", external("sub/w.bin", "0", "16", 2, 2), []float32{1, 2, 3, 4}},
		{"link inside", external("in.bin", "12", "4", 1), []float32{4}},
		{"empty", external("w.bin", "16", "0", 0), nil},
	} {
		g, err := read(c.init)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := tensor.Of[float32](g.Outputs[0].Const); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name string
		init pb
		want string
	}{
		{"up", external("../secret.bin", "", "", 4), "not a path inside the model's folder"},
		{"down and up", external("sub/../w.bin", "", "", 4), "not a path inside"},
		{"absolute", external(filepath.Join(outside, "secret.bin"), "", "", 4), "not a path inside"},
		{"no name", external("", "", "", 4), "not a path inside"},
		{"backslash", external(`..\secret.bin`, "", "", 4), "not a path inside"},
		{"link outside", external("out.bin", "", "", 4), "escapes"},
		{"absolute link", external("absolute.bin", "", "", 4), "escapes"},
		{"missing", external("none.bin", "", "", 4), "no such file"},
		{"a folder", external("sub", "", "", 4), "no regular file"},
		{"a pipe", external("pipe", "", "", 4), "no regular file"},
		{"behind the end", external("w.bin", "8", "16", 4), "bytes 8 to 24, but the file has 16"},
		{"offset behind the end", external("w.bin", "17", "", 4), "offset 17, but the file has 16"},
		{"negative offset", external("w.bin", "-4", "", 4), `offset is "-4"`},
		{"no number", external("w.bin", "4x", "", 4), `offset is "4x"`},
		{"wrong length", external("w.bin", "", "8", 4), "length 8, but the tensor has 16 bytes"},
		{"short", external("w.bin", "4", "", 4), "length 12, but the tensor has 16 bytes"},
		{"overflow", external("w.bin", "9223372036854775807", "16", 4), "offset 9223372036854775807"},
		{"bomb", external("w.bin", "", "", 1<<20), "permitted memory"},
	} {
		_, err := read(c.init)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "initializer: tensor w: ") || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none.onnx"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing model: %v", err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a folder: %v", err)
	}
}
