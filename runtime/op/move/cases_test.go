package move

import (
	"testing"

	"github.com/edgerun/edgerun/runtime/op/optest"
)

func TestCases(t *testing.T) { optest.Run(t, Ops, "testdata/cases.jsonl") }

// TestLiteCases runs what LiteRT's kernels say.
func TestLiteCases(t *testing.T) { optest.Run(t, Ops, "testdata/lite.jsonl") }
