package container_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/model/onnx"
)

// What a file may take at most: a share of its source or, where zstd19 (the size that `zstd -19` gives the source) is
// set, that plus 2 % plus 4 KiB.
var sizes = []struct {
	file   string
	num    num.Numerics
	share  float64
	zstd19 int
}{
	{"efficientnet_lite0.onnx", num.FP32, 0.86, 0},
	{"efficientnet_lite0.onnx", num.FP16, 0.45, 0},
	{"efficientnet_lite0.int8.onnx", num.FP32, 0, 4439277},
	{"silero_vad_16k.onnx", num.FP32, 0, 974095},
	{"magika.onnx", num.FP32, 0, 2916884},
	{"face_rfb320.onnx", num.FP32, 0, 1060574},
	{"ppocr_v2_cls.onnx", num.FP32, 0, 505797},
	{"ppocr_v4_det.onnx", num.FP32, 0, 4378357},
	{"ppocr_v4_rec.onnx", num.FP32, 0, 9972708},
}

func load(t *testing.T, path string) *model.Graph {
	t.Helper()
	g, err := onnx.Open(path, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSizes(t *testing.T) {
	dir := filepath.Join(testdata.Dir(t), "models")
	for _, c := range sizes {
		if testing.Short() && c.file != "ppocr_v2_cls.onnx" {
			continue // compressing takes long, and longest under the race detector
		}
		path := filepath.Join(dir, c.file)
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		g, err := container.ConvertWeights(load(t, path), c.num)
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		var b bytes.Buffer
		if err := container.Write(&b, &container.Model{Name: c.file, Graph: g}); err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		limit := int(float64(st.Size()) * c.share)
		if c.zstd19 != 0 {
			limit = c.zstd19 + c.zstd19/50 + 4<<10
		}
		t.Logf("%-30s %-5v %9d of %9d (%.1f %%), limit %9d", c.file, c.num, b.Len(), st.Size(), 100*float64(b.Len())/float64(st.Size()), limit)
		if b.Len() > limit {
			t.Errorf("%s as %v: %d bytes, at most %d are allowed", c.file, c.num, b.Len(), limit)
		}
		f, err := container.OpenReader(bytes.NewReader(b.Bytes()), int64(b.Len()), container.Policy{AllowUnsigned: true})
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		again, err := f.Load()
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		var w bytes.Buffer
		if err := container.Write(&w, again); err != nil || !bytes.Equal(w.Bytes(), b.Bytes()) {
			t.Errorf("%s: read and written again, the file differs (%v)", c.file, err)
		}
	}
}
