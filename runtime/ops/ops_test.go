package ops

import (
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	names := Names()
	if len(names) < 200 || !slices.IsSorted(names) {
		t.Errorf("%d operators, sorted %v", len(names), slices.IsSorted(names))
	}
	for _, n := range names {
		if o, ok := Lookup(n); !ok || o.Infer == nil || o.Prepare == nil {
			t.Errorf("%s lacks a shape rule or a preparation", n)
		}
	}
	if _, ok := Lookup("If"); ok {
		t.Error("If is no operator")
	}
}
