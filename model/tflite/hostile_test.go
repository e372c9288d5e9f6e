package tflite

import (
	"errors"
	"testing"

	"github.com/edgerun/edgerun/internal/hostile"
)

// Files that refer to one place many times take little memory beyond the permitted tensors, or are refused.
func TestHostileFiles(t *testing.T) {
	const tensors = 16 << 20
	for _, f := range hostile.TFLite() {
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

func TestStatesCountAsTensors(t *testing.T) {
	m := testModel{tensors: []testTensor{{name: "x", shape: []int32{2}}, {name: "s", shape: []int32{1 << 20}, isState: true}, {name: "y", shape: []int32{2}}},
		ops: []testOp{{code: 0, in: []int32{0, 1}, out: []int32{2}, options: []any{int8(0)}}}, in: []int32{0}, out: []int32{2}}
	if _, err := Import(m.build(), Options{MaxTensorBytes: 4 << 20}); err != nil {
		t.Error(err)
	}
	if _, err := Import(m.build(), Options{MaxTensorBytes: 4<<20 - 1}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}
