package runtime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/runtime"
)

// BenchmarkModels measures one inference of every shared model, on the first recorded input, with one and two threads.
func BenchmarkModels(b *testing.B) {
	dir := filepath.Join(testdata.Dir(b), "golden")
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		b.Run(e.Name(), func(b *testing.B) {
			m := sharedModel(b, e.Name())
			cases, err := golden.Cases(filepath.Join(dir, e.Name()))
			if err != nil {
				b.Fatal(err)
			}
			in, err := golden.Load(cases[0], "in", infoNames(m.Inputs()))
			if err != nil {
				b.Fatal(err)
			}
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
					s, err := m.NewSession(runtime.SessionOptions{Threads: threads})
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					out := make([]*tensor.Tensor, len(m.Outputs()))
					for i := range out {
						out[i] = &tensor.Tensor{}
					}
					for range 3 { // plans, packs, and fills the caches
						if err := s.Run(context.Background(), in, out); err != nil {
							b.Fatal(err)
						}
					}
					for b.Loop() {
						if err := s.Run(context.Background(), in, out); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
