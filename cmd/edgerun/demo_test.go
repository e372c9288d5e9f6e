package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	stdout, _ := call(t, 0, "demo", "--keep", dir)
	contains(t, stdout, "digits.fp16.edge", "signed and verified", "98.1 %", "read as", "edgerun inspect MODEL")
	if _, err := os.Stat(filepath.Join(dir, "digits.fp32.edge")); err != nil {
		t.Error(err)
	}
	// What is kept can be used.
	stdout, _ = call(t, 0, "run", filepath.Join(dir, "digits.fp16.edge"), filepath.Join(dir, "digit.png"), "--key", filepath.Join(dir, "demo.pub.pem"), "--preset", "mnist")
	contains(t, stdout, "%  4\n")
	file := filepath.Join(dir, "digits.fp32.edge")
	fail(t, failing{1, []string{"demo", "--keep", file}, "not a directory"}, failing{2, []string{"demo", "x"}, "takes no arguments"})
}
