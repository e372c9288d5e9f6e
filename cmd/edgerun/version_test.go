package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	stdout, _ := call(t, 0, "version")
	if !strings.HasPrefix(stdout, "edgerun ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
	contains(t, stdout, runtime.GOARCH)
	v := parse(t, "edgerun.version/1", "version", "--json")
	if v["arch"] != runtime.GOARCH || v["os"] != runtime.GOOS || v["version"] == "" {
		t.Errorf("%v", v)
	}
	fail(t, failing{2, []string{"version", "x"}, "version takes no arguments"})
}
