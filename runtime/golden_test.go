package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/model/tflite"
	"github.com/edgerun/edgerun/runtime"
)

// sharedModel reads a model of the shared test data.
func sharedModel(t testing.TB, name string) *runtime.Model {
	t.Helper()
	path := filepath.Join(testdata.Dir(t), "models", name)
	var g *model.Graph
	var err error
	if _, e := os.Stat(path + ".onnx"); e == nil {
		g, err = onnx.Open(path+".onnx", onnx.Options{})
	} else {
		g, err = tflite.Open(path+".tflite", tflite.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func infoNames(list []runtime.Info) []string {
	var n []string
	for _, f := range list {
		n = append(n, f.Name)
	}
	return n
}

// large reports whether a shared model takes the race detector too long.
func large(t *testing.T, name string) bool {
	if !runtime.Racing {
		return false
	}
	files, err := filepath.Glob(filepath.Join(testdata.Dir(t), "models", name+".*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %d files", name, err, len(files))
	}
	f, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return f.Size() > 1_300_000
}

// TestGolden compares every shared model with its recorded outputs; one case per model with -short, and no large models
// under the race detector.
func TestGolden(t *testing.T) {
	dir := filepath.Join(testdata.Dir(t), "golden")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if large(t, e.Name()) {
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			dir := filepath.Join(dir, e.Name())
			tol, err := golden.ReadTolerance(dir)
			if err != nil {
				t.Fatal(err)
			}
			cases, err := golden.Cases(dir)
			if err != nil {
				t.Fatal(err)
			}
			if testing.Short() || runtime.Racing {
				cases = cases[:1]
			}
			m := sharedModel(t, e.Name())
			s, err := m.NewSession(runtime.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, c := range cases {
				in, err := golden.Load(c, "in", infoNames(m.Inputs()))
				if err != nil {
					t.Fatal(err)
				}
				want, err := golden.Load(c, "out", infoNames(m.Outputs()))
				if err != nil {
					t.Fatal(err)
				}
				out := make([]*tensor.Tensor, len(want))
				for i := range out {
					out[i] = &tensor.Tensor{}
				}
				if err := s.Run(context.Background(), in, out); err != nil {
					t.Fatalf("case %s: %v", filepath.Base(c), err)
				}
				for i, o := range m.Outputs() {
					d, err := golden.Compare(out[i], want[i], o.Quant, tol)
					if err != nil {
						t.Errorf("case %s, output %s: %v", filepath.Base(c), o.Name, err)
					} else if fail := d.Check(tol); fail != "" {
						t.Errorf("case %s, output %s: %s (%+v)", filepath.Base(c), o.Name, fail, d)
					} else if testing.Verbose() {
						t.Log(strings.TrimSpace(o.Name), d)
					}
				}
			}
		})
	}
}
