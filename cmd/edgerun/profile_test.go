package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestProfile(t *testing.T) {
	dir, model, image, _ := digits(t)
	trace := filepath.Join(dir, "trace.json")
	stdout, stderr := call(t, 0, "profile", model, "--runs", "2", "--trace", trace, "--sort", "--top", "2")
	contains(t, stdout, "Conv", "GOP/s", "of peak", "of bound", "gemm", "plan_id", "median of 2 runs")
	contains(t, stderr, "wrote "+trace)
	b, err := os.ReadFile(trace)
	if err != nil || !json.Valid(b) {
		t.Errorf("trace: %v, %.100s", err, b)
	}
	v := parse(t, "edgerun.profile/1", "profile", model, "--runs", "1", "--threads", "1", "--json")
	if steps := v["steps"].([]any); len(steps) < 5 || v["runs"] != 1.0 || v["threads"] != 1.0 || v["plan_id"] == "" {
		t.Errorf("%v", v)
	}
	for _, x := range v["steps"].([]any) {
		if s := x.(map[string]any); s["op"] == "Conv" && (len(s["kernels"].([]any)) == 0 || !(s["share_of_peak"].(float64) > 0) || s["bound"] == nil) {
			t.Errorf("%v", s)
		}
	}
	fail(t,
		failing{2, []string{"profile"}, "one MODEL"},
		failing{1, []string{"profile", filepath.Join(dir, "missing.onnx")}, "missing.onnx"},
		failing{1, []string{"profile", dir}, "is a directory, not a model"},
		failing{1, []string{"profile", image}, "image.npy"},
		failing{1, []string{"profile", model, "--precision", "int8"}, "stored in fp32, not in int8"},
		failing{2, []string{"profile", model, "--precision", "fp12"}, "want fp32, fp32w, fp16, bf16, int8"},
		failing{2, []string{"profile", model, "--threads", "-1"}, "want 0 to 1024"},
		failing{2, []string{"profile", model, "--threads", "two"}, "want a whole number"},
		failing{2, []string{"profile", model, "--max-memory", "much"}, "512MiB"},
		failing{1, []string{"profile", model, "--max-memory", "1KiB"}, "memory"},
		failing{2, []string{"profile", model, "--skip-pass", "nonsense"}, "the passes are"},
		failing{2, []string{"profile", model, "--runs", "0"}, "--runs must be positive"},
		failing{2, []string{"profile", model, "--top", "-1"}, "--top must not be negative"},
		failing{2, []string{"profile", model, "--shape", "x=1"}, "it has \"image\""},
		failing{1, []string{"profile", model, "--trace", filepath.Join(dir, "no", "t.json")}, "no such file"})
}
