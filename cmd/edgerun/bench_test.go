package main

import (
	"path/filepath"
	"testing"
)

func TestBench(t *testing.T) {
	dir, model, image, _ := digits(t)
	stdout, _ := call(t, 0, "bench", model, "--seconds", "0.01", "--threads", "2")
	contains(t, stdout, "2 threads, plan_id ", "latency   median ", "million MAC", "arena", "to the first result")
	v := parse(t, "edgerun.bench/1", "bench", model, "--precision", "fp32", "--threads", "1", "--runs", "3", "--warmup", "1", "--shape", "image=1,1,8,8", "--json")
	for _, key := range []string{"median_ms", "min_ms", "executed_macs", "share_of_peak", "p50_ms", "p90_ms", "p99_ms", "load_ms", "macs", "arena_mib", "gmac_per_s"} {
		if x, ok := v[key].(float64); !ok || !(x > 0) {
			t.Errorf("%s: %v", key, v[key])
		}
	}
	if v["runs"] != 3.0 || v["threads"] != 1.0 || v["precision"] != "fp32" || v["model"] != model {
		t.Errorf("%v", v)
	}
	if _, ok := peakRSS(); ok && v["added_rss_mib"] == nil {
		t.Error("added_rss_mib is missing")
	}
	stdout, _ = call(t, 0, "bench", "--peak", "--threads", "1")
	contains(t, stdout, "fp32 peak", "int8 peak", "L1", "DRAM", "1 thread")
	if list := parse(t, "edgerun.peak/1", "bench", "--peak", "--threads", "2", "--json")["machines"].([]any); len(list) != 2 {
		t.Errorf("%v", list)
	}
	// The plan is the one of check.
	check := parse(t, "edgerun.check/1", "check", model, "--golden", goldens(t, dir, model, image), "--json", "--locate")
	if id := v["plan_id"]; id == "" || check["plan_id"] != id {
		t.Errorf("bench runs plan %v, check %v", id, check["plan_id"])
	}
	fail(t,
		failing{2, []string{"bench"}, "one MODEL"},
		failing{2, []string{"bench", model, "--peak"}, "no MODEL with --peak"},
		failing{1, []string{"bench", filepath.Join(dir, "missing.onnx")}, "missing.onnx"},
		failing{1, []string{"bench", dir}, "is a directory, not a model"},
		failing{1, []string{"bench", image}, "image.npy"},
		failing{1, []string{"bench", model, "--precision", "int8"}, "stored in fp32, not in int8"},
		failing{2, []string{"bench", model, "--precision", "fp12"}, "want fp32, fp32w, fp16, bf16, int8"},
		failing{2, []string{"bench", model, "--threads", "-1"}, "want 0 to 1024"},
		failing{2, []string{"bench", model, "--threads", "two"}, "want a whole number"},
		failing{2, []string{"bench", model, "--max-memory", "much"}, "512MiB"},
		failing{1, []string{"bench", model, "--max-memory", "1KiB"}, "memory"},
		failing{2, []string{"bench", model, "--skip-pass", "nonsense"}, "the passes are"},
		failing{2, []string{"bench", model, "--seconds", "0"}, "must be positive"},
		failing{2, []string{"bench", model, "--runs", "-1"}, "must not be negative"},
		failing{2, []string{"bench", model, "--shape", "image"}, "want NAME=1,3,224,224"},
		failing{2, []string{"bench", model, "--shape", "x=1"}, "it has \"image\""},
		failing{2, []string{"bench", model, "--shape", "image=1,x"}, "is no extent"},
		failing{1, []string{"bench", model, "--shape", "image=2,1,8,8"}, "the model takes f32[1,1,8,8]"})
}

// Inputs count where loading has taken more before, and not where running takes most.
func TestAddedMiB(t *testing.T) {
	const m = 1 << 20
	for _, c := range [][5]int64{{10, 30, 34, 4, 20}, {10, 30, 30, 4, 20}, {10, 30, 50, 4, 36}, {10, 10, 14, 4, 0}, {10, 0, 30, 0, 20}} {
		if got := addedMiB(c[0]*m, c[1]*m, c[2]*m, c[3]*m); got != float64(c[4]) {
			t.Errorf("base %d, before inputs %d, then %d with %d of inputs: %g, want %d", c[0], c[1], c[2], c[3], got, c[4])
		}
	}
}
