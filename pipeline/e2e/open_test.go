package e2e

import (
	"testing"

	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/runtime"
)

// openModel loads a model into a session that lives as long as the test.
func openModel(t *testing.T, path string) (pipeline.Runner, map[string]string) {
	t.Helper()
	src, err := runtime.Read(path, runtime.ReadOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.New(src.Graph, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession(runtime.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return pipeline.FromSession(s, infos(m.Inputs()), infos(m.Outputs())), m.Meta()
}

func infos(list []runtime.Info) []pipeline.Info {
	r := make([]pipeline.Info, len(list))
	for i, f := range list {
		r[i] = pipeline.Info{Name: f.Name, DType: f.DType, Shape: f.Shape, Quant: f.Quant}
	}
	return r
}
