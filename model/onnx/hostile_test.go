package onnx

import (
	"errors"
	"testing"

	"github.com/edgerun/edgerun/internal/hostile"
)

func TestHostileFiles(t *testing.T) {
	const tensors = 1 << 20
	for _, f := range hostile.ONNX() {
		took, err := f.Allocated(func(b []byte) error { _, err := Import(b, Options{MaxTensorBytes: tensors}); return err })
		t.Logf("%s: %d bytes took %d (%.150v)", f.Name, len(f.Data), took, err)
		if took > f.Limit()+tensors {
			t.Errorf("%s: %d bytes took %d, more than %d", f.Name, len(f.Data), took, f.Limit()+tensors)
		}
		if err != nil && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
