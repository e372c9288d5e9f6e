// Package testdata finds the shared models, images and golden outputs that tests use. Only tests import it.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder of shared test data: $EDGERUN_TESTDATA, or shared/data beside the repository. Where it is
// absent the test is skipped, or fails when CI=true.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("EDGERUN_TESTDATA")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "models")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs the shared test data: %v", err)
		}
		t.Skipf("no shared test data (set EDGERUN_TESTDATA): %v", err)
	}
	return dir
}
