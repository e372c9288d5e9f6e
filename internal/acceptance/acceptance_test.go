package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/cases"
)

// The page of the comparison can be read.
func TestComparison(t *testing.T) {
	t.Chdir("../..")
	seen, _, err := compared(func(s *cases.Summary) (string, bool) { return fmt.Sprint(s.Rows+s.Small, " rows"), true })(t.Context(), nil)
	if err != nil || !strings.Contains(seen, " rows, on ") || !strings.Contains(seen, ", version ") {
		t.Errorf("%q, %v", seen, err)
	}
}

// A run that gives other bytes, or passes fewer cases, is found.
func TestSameBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(mask string, threads int) *outcome
		want string
	}{
		{"same", func(string, int) *outcome { return &outcome{map[string]string{"a": "1"}, 2, 2} }, "2 of 2 pass, with the same bytes of 1 outputs or cases under"},
		{"a mask", func(mask string, _ int) *outcome { return &outcome{map[string]string{"a": mask}, 2, 2} }, "the first: mask \"\", 1 threads: other bytes in a"},
		{"threads", func(_ string, n int) *outcome { return &outcome{map[string]string{"a": fmt.Sprint(n / 8)}, 2, 2} }, "8 threads: other bytes in a"},
		{"a failure", func(string, int) *outcome { return &outcome{map[string]string{"a": "1"}, 1, 2} }, "1 threads: 1 of 2 pass"},
	} {
		seen, ok, err := sameBytes(0, func(_ context.Context, _ *env, mask string, threads int) (*outcome, error) {
			if mask != "" { // masks depend on the machine
				mask = "-"
			}
			return c.run(mask, threads), nil
		})(t.Context(), nil)
		if err != nil || ok != (c.name == "same") || !strings.Contains(seen, c.want) {
			t.Errorf("%s: %v, %q, %v", c.name, ok, seen, err)
		}
	}
}
