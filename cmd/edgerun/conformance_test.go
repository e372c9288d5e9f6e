package main

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

// tensorProto encodes floats as ONNX does: dims, data_type 1 and raw_data.
func tensorProto(x *tensor.Tensor) []byte {
	var b []byte
	for _, d := range x.Shape {
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(d))
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	return protowire.AppendBytes(protowire.AppendTag(b, 9, protowire.BytesType), x.Data)
}

// conformanceCases makes a folder of one case that passes, from the model's goldens.
func conformanceCases(t *testing.T, model, image, golden string) string {
	t.Helper()
	dir := t.TempDir()
	addCase(t, filepath.Join(dir, "node", "test_digits"), model, image, filepath.Join(golden, "0", "out.logits.npy"))
	return dir
}

func addCase(t *testing.T, dir, model, in, out string) {
	t.Helper()
	set := filepath.Join(dir, "test_data_set_0")
	if err := os.MkdirAll(set, 0o777); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "model.onnx"), b)
	for name, path := range map[string]string{"input_0.pb": in, "output_0.pb": out} {
		x, err := npy.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(set, name), tensorProto(x))
	}
}

// The digests tell outputs apart, and depend neither on threads nor on workers.
func TestConformanceDigests(t *testing.T) {
	dir, model, image, _ := digits(t)
	golden := goldens(t, dir, model, image)
	cases := conformanceCases(t, model, image, golden)
	x, err := npy.ReadFile(filepath.Join(golden, "0", "out.logits.npy"))
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{}, {"--threads", "3"}, {"--threads", "0", "--workers", "1"}} {
		v := parse(t, "edgerun.conformance/1", append([]string{"conformance", cases, "--json"}, flags...)...)
		if d := v["digests"].(map[string]any); len(d) != 1 || d["node/test_digits"] != tensor.Digest(x) || v["passed"] != 1.0 {
			t.Errorf("%v: %v", flags, v)
		}
	}
	fail(t, failing{2, []string{"conformance", cases, "--threads", "-1"}, "--threads -1: want 0 to"}, failing{2, []string{"conformance", cases, "--workers", "0"}, "--workers"})
}
