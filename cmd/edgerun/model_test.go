package main

import "testing"

func TestModelIsDirectory(t *testing.T) {
	dir := t.TempDir()
	_, stderr := call(t, 1, "inspect", dir)
	contains(t, stderr, dir+" is a directory, not a model")
}
