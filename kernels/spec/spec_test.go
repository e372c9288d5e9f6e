package spec

import "testing"

// Each operation has a name of its own, and those that multiply are those that take weights.
func TestOps(t *testing.T) {
	names := map[string]Op{}
	multiply := 0
	for o := range Op(Ops) {
		if other, ok := names[o.String()]; ok || o.String() == "" {
			t.Errorf("operations %d and %d are both called %q", other, o, o)
		}
		names[o.String()] = o
		if o.Multiplies() {
			multiply++
		}
	}
	if multiply != 3 || !names["gemv"].Multiplies() || names["meanpool"].Multiplies() {
		t.Errorf("%d operations multiply", multiply)
	}
}
