package knob

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValue(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/c")
	t.Setenv("EDGERUN_CACHE", "")
	if v := Cache.Value(); v != "" {
		t.Errorf("a cache that is turned off is %q", v)
	}
	os.Unsetenv("EDGERUN_CACHE")
	if v := Cache.Value(); v != filepath.Join("/c", "edgerun") {
		t.Errorf("default cache = %q", v)
	}
	t.Setenv("EDGERUN_CPU", "-avx512")
	if v := CPU.Value(); v != "-avx512" {
		t.Errorf("CPU = %q", v)
	}
}

// The environment is read in one place.
func TestNobodyElseReadsTheEnvironment(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if strings.Contains(path, "internal/knob/") || strings.Contains(path, "internal/testdata/") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err == nil && (strings.Contains(string(b), "os.Getenv(") || strings.Contains(string(b), "os.LookupEnv(")) {
			t.Errorf("%s reads the environment itself; add a Knob", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
