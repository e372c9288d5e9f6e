package container

import (
	"errors"
	"testing"

	"github.com/edgerun/edgerun/internal/hostile"
)

// What a manifest unfolds to is in proportion to the file and a constant.
func TestHostileFiles(t *testing.T) {
	for _, f := range hostile.Edge() {
		took, err := f.Allocated(func(b []byte) error { return use(b, unsigned) })
		t.Logf("%s: %d bytes took %d (%.150v)", f.Name, len(f.Data), took, err)
		if took > f.Limit() {
			t.Errorf("%s: %d bytes took %d, more than %d", f.Name, len(f.Data), took, f.Limit())
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
