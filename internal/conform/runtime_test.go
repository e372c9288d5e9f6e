package conform_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/conform"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/runtime"
)

// run is the runtime as this package's Exec.
func run(ctx context.Context, c *conform.Case, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	g, err := onnx.Import(c.Model, onnx.Options{})
	if err != nil {
		return nil, err
	}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := m.NewSession(runtime.SessionOptions{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := make([]*tensor.Tensor, len(m.Outputs()))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out, s.Run(ctx, in, out)
}

var update = flag.Bool("update", false, "rewrite the list of expected failures; new ones get the error as their reason")

const listPath = "testdata/expected-failures.txt"

// leastPassed is what the list of expected failures must leave.
const leastPassed = 1500

// TestConformance runs every backend case and every whole architecture. EDGERUN_CONFORM chooses cases by a part of their
// name, for debugging; then the list of expected failures is not looked at.
func TestConformance(t *testing.T) {
	s, err := conform.Open(filepath.Join(testdata.Dir(t), "onnx-backend.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := os.ReadFile(listPath)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := conform.ReadExpected(bytes.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	o := conform.Options{Workers: 2, Timeout: 2 * time.Minute}
	part := os.Getenv("EDGERUN_CONFORM")
	if part != "" {
		o.Want = func(name string) bool { return strings.Contains(name, part) }
	}
	r, err := conform.Run(context.Background(), s, run, o)
	if err != nil {
		t.Fatal(err)
	}
	passed, total := r.Count()
	light, lights := r.CountLight()
	t.Logf("whole architectures: passed %d of %d; passed %d of %d", light, lights, passed, total)
	if part != "" {
		for _, c := range r.Results {
			t.Logf("%s: %v", c.Name, c.Err)
		}
		return
	}
	if *update {
		if err := os.WriteFile(listPath, r.List(expected), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, line := range r.Check(expected) {
		t.Error(line)
	}
	if total != 1998 || passed < leastPassed {
		t.Errorf("passed %d of %d, want at least %d of 1998", passed, total, leastPassed)
	}
}
