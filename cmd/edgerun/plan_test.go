package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlan(t *testing.T) {
	dir, model, image, _ := digits(t)
	file := filepath.Join(dir, "plan.json")
	static := parse(t, "edgerun.bench/1", "bench", model, "--threads", "1", "--runs", "2", "--plan", "static", "--json")
	tuned := parse(t, "edgerun.bench/1", "bench", model, "--threads", "1", "--runs", "2", "--plan", "tune", "--tune-seconds", "5", "--write-plan", file, "--json")
	stored := parse(t, "edgerun.profile/1", "profile", model, "--threads", "1", "--runs", "2", "--plan", file, "--json")
	if tuned["plan_id"] != stored["plan_id"] {
		t.Errorf("tuned %v, stored %v", tuned["plan_id"], stored["plan_id"])
	}
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), `"schema": "edgerun.plan/1"`) || !strings.Contains(string(b), `"static_id": "`+static["plan_id"].(string)) {
		t.Errorf("%s: %v", b, err)
	}
	// Run on tensors and by a pipeline.
	for _, plan := range []string{"tune", file} {
		out := filepath.Join(dir, "out")
		call(t, 0, "run", model, "--in", "image="+image, "--out", out, "--plan", plan, "--tune-seconds", "1")
	}
	bad := filepath.Join(dir, "bad.json")
	for text, want := range map[string]string{
		"":                "no plan file",
		"{}":              `its schema is ""`,
		`{"x": 1}`:        "unknown field",
		`{"schema": "y"}`: `its schema is "y"`,
		strings.Replace(string(b), `"model": "`, `"model": "0`, 1): "is for model 0",
	} {
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fail(t, failing{1, []string{"bench", model, "--plan", bad}, want})
	}
	fail(t,
		failing{1, []string{"bench", model, "--plan", filepath.Join(dir, "missing")}, "missing"},
		failing{1, []string{"profile", model, "--plan", dir}, "no plan file"},
		failing{2, []string{"bench", model, "--plan", ""}, "static, tune or a FILE"},
		failing{2, []string{"bench", model, "--plan", "tune", "--tune-seconds", "0"}, "must be positive"},
		failing{1, []string{"bench", model, "--runs", "1", "--write-plan", filepath.Join(dir, "none", "p.json")}, "p.json"})
}
