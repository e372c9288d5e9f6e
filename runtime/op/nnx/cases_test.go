package nnx

import (
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

var caseFiles = []string{"testdata/onnx.jsonl", "testdata/contrib.jsonl", "testdata/lite.jsonl", "testdata/litetable.jsonl"}

// TestCases runs what ONNX's backend tests and reference say.
func TestCases(t *testing.T) {
	for _, f := range caseFiles {
		t.Run(filepath.Base(f), func(t *testing.T) { optest.Run(t, Ops, f) })
	}
}

func allCases(t testing.TB) []*optest.Case {
	var list []*optest.Case
	for _, f := range caseFiles {
		l, err := optest.Read(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l...)
	}
	return list
}

func call(t testing.TB, x *optest.Case) *op.Call {
	c, err := x.Call()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
