package main

import (
	"testing"

	"github.com/edgerun/edgerun/internal/knob"
)

func TestKnobs(t *testing.T) {
	t.Setenv("EDGERUN_KEYS", "/some/where")
	stdout, _ := call(t, 0, "knobs")
	for _, k := range knob.All {
		contains(t, stdout, k.Name, k.Doc)
	}
	contains(t, stdout, `"/some/where"`)
	v := parse(t, "edgerun.knobs/1", "knobs", "--json")
	if list := v["knobs"].([]any); len(list) != len(knob.All) {
		t.Errorf("%v", list)
	}
	fail(t, failing{2, []string{"knobs", "x"}, "knobs takes no arguments"})
}
