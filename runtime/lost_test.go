package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/runtime"
)

func bytesField(num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
}

func numberField(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

// weights is what the tests' ONNX model multiplies by, 256 rows of 512, and adds.
func weights(first float32) []byte {
	w := make([]float32, 257*512)
	for i := range w {
		w[i] = first + float32(i%13)
	}
	return tensor.Bytes(w)
}

// writeONNX writes y = x·w + b for x f32[40,256], with the weights in the file, or where location is set, in one beside it.
func writeONNX(t *testing.T, path, location string, data []byte) {
	t.Helper()
	text := func(num protowire.Number, s string) []byte { return bytesField(num, []byte(s)) }
	entry := func(key, value string) []byte { return bytesField(13, text(1, key), text(2, value)) }
	info := func(num protowire.Number, name string, dims ...uint64) []byte {
		var shape []byte
		for _, d := range dims {
			shape = append(shape, bytesField(1, numberField(1, d))...)
		}
		return bytesField(num, text(1, name), bytesField(2, bytesField(1, numberField(1, 1), bytesField(2, shape))))
	}
	constant := func(name, offset, length string, raw []byte, dims ...uint64) []byte {
		parts := [][]byte{numberField(2, 1), text(8, name)}
		for _, d := range dims {
			parts = append(parts, numberField(1, d))
		}
		if location == "" {
			return bytesField(5, append(parts, bytesField(9, raw))...)
		}
		return bytesField(5, append(parts, numberField(14, 1), entry("location", location), entry("offset", offset), entry("length", length))...)
	}
	file := bytes.Join([][]byte{
		numberField(1, 8),
		bytesField(8, numberField(2, 17)),
		bytesField(7,
			bytesField(1, text(1, "x"), text(1, "w"), text(2, "p"), text(4, "MatMul")),
			bytesField(1, text(1, "p"), text(1, "b"), text(2, "y"), text(4, "Add")),
			text(2, "g"),
			constant("w", "0", "524288", data[:256*512*4], 256, 512),
			constant("b", "524288", "2048", data[256*512*4:], 512),
			info(11, "x", 40, 256),
			info(12, "y", 40, 512)),
	}, nil)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if location != "" {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), location), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that is cut short after it was loaded ends in an error that names it, wherever it is read then, and the process lives on.
func TestTruncatedFilesAreErrors(t *testing.T) {
	testdata.NeedFaults(t)
	edge := func(t *testing.T, dir string) string { return writeModel(t, cachedModel) }
	onnx := func(location string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "m.onnx")
			writeONNX(t, path, location, weights(0.5))
			return path
		}
	}
	for _, c := range []struct {
		name  string
		write func(t *testing.T, dir string) string
		cache bool
		cut   string // what is cut: files in the model's folder, or in the cache's
		fails bool   // else nothing is read of it any more
	}{
		{"onnx", onnx(""), false, "*.onnx", true},
		{"onnx in the cache", onnx(""), true, "*.onnx", false},
		{"packed onnx", onnx(""), true, "packed-*", true},
		{"graph of the cache", edge, true, "graph-*", true},
		{"packed", edge, true, "packed-*", true},
		{"edge", edge, false, "*.edge", false},
		{"onnx with external data", onnx("w.bin"), false, "*.onnx", false},
		{"external data", onnx("w.bin"), false, "w.bin", false},
	} {
		for _, late := range []bool{false, true} { // cut before or after the session is made
			for _, threads := range []int{1, 3} {
				dir, o := t.TempDir(), runtime.Options{}
				path := c.write(t, dir)
				run := func(cut bool) error {
					_, m, err := runtime.Load(path, anyone, o)
					if err != nil {
						return err
					}
					trim := func() {
						for _, name := range append(files(t, filepath.Dir(path), c.cut), files(t, dir, "cache/"+c.cut)...) {
							if err := os.Truncate(name, 0); err != nil {
								t.Fatal(err)
							}
						}
					}
					if cut && !late {
						trim()
					}
					s, err := m.NewSession(runtime.SessionOptions{Threads: threads})
					if err != nil {
						return err
					}
					defer s.Close()
					if cut && late {
						trim()
					}
					in := inputs(m)
					for _, x := range in {
						if x.DType == tensor.I64 { // indices
							clear(x.Data)
						}
					}
					return s.Run(context.Background(), in, outputs(m))
				}
				if c.cache {
					o.Cache = filepath.Join(dir, "cache")
					if err := run(false); err != nil {
						t.Fatal(err)
					}
				}
				err := run(true)
				// What has been packed is in memory once the session stands.
				if fails := c.fails && !(late && c.name == "onnx"); fails != (err != nil) {
					t.Errorf("%s, late %v, %d threads: %v", c.name, late, threads, err)
				} else if fails && (!errors.Is(err, mem.ErrLost) || !strings.Contains(err.Error(), strings.Trim(c.cut, "*"))) {
					t.Errorf("%s, late %v, %d threads: the error is %v", c.name, late, threads, err)
				}
			}
		}
	}
}
