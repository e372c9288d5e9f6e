package main

import (
	"os"
	"testing"

	"github.com/edgerun/edgerun/internal/knob"
)

// Tests leave the user's cache alone, and have one of their own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "edgerun")
	if err != nil {
		panic(err)
	}
	os.Setenv(knob.Cache.Name, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
