package conform_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/conform"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/onnx"
)

// TestEveryModelImports reads all models of the backend cases. The graphs also serve to try the text form: what is
// printed of each one parses to an equal graph.
func TestEveryModelImports(t *testing.T) {
	s, err := conform.Open(filepath.Join(testdata.Dir(t), "onnx-backend.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Len() != 1998 {
		t.Errorf("%d cases, want 1998", s.Len())
	}
	models := 0
	_, err = conform.Run(context.Background(), s, func(_ context.Context, c *conform.Case, _ []*tensor.Tensor) ([]*tensor.Tensor, error) {
		g, err := onnx.Import(c.Model, onnx.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			return nil, err
		}
		models++
		var text bytes.Buffer
		if err := model.PrintFull(&text, g); err != nil {
			t.Errorf("%s: print: %v", c.Name, err)
			return nil, err
		}
		parsed, err := model.Parse(text.Bytes())
		if err == nil {
			err = model.Equal(g, parsed)
		}
		if err != nil {
			t.Errorf("%s: %v\n%.2000s", c.Name, err, text.String())
		}
		return nil, err
	}, conform.Options{})
	if err != nil || models != 2007 {
		t.Errorf("%d models read, want 2007: %v", models, err)
	}
}
