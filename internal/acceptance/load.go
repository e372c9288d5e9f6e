package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loadTimes measures the time from the start of the process to the first result of a compressed .edge file, without what an earlier process left, and with
// it: the time that a process takes before it begins to load, and what bench says of the rest.
func loadTimes(cached bool, most float64) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		file, _, err := e.importModel(ctx, filepath.Join(e.data, "models", "efficientnet_lite0.onnx"))
		if err != nil {
			return "", false, err
		}
		var times []float64
		for i := range 7 {
			cache := filepath.Join(e.tmp, "load-"+strconv.FormatBool(cached)+"-"+strconv.Itoa(i))
			if cached {
				cache = filepath.Join(e.tmp, "load")
			}
			start := time.Now()
			if _, err := e.edgerun(ctx, "version"); err != nil {
				return "", false, err
			}
			begin := time.Since(start)
			cmd := exec.CommandContext(ctx, e.bin, "bench", file, "--allow-unsigned", "--plan", "static", "--runs", "1", "--warmup", "0", "--json")
			cmd.Env = append(os.Environ(), "EDGERUN_CACHE="+cache)
			out, err := output(cmd)
			if err != nil {
				return "", false, err
			}
			var r struct {
				LoadMS float64 `json:"load_ms"`
			}
			if err := json.Unmarshal(out, &r); err != nil {
				return "", false, err
			}
			if i > 0 { // the first one warms the page cache, and fills that of the project
				times = append(times, float64(begin)/1e6+r.LoadMS)
			}
			if !cached {
				os.RemoveAll(cache)
			}
		}
		slices.Sort(times)
		median := (times[2] + times[3]) / 2
		return fmt.Sprintf("median %.0f ms", median), median < most, nil
	}
}

// idle runs the test of an idle process, and tells what it used.
func idle(ctx context.Context, _ *env) (string, bool, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestIdle$", "-v", "./runtime/pool").CombinedOutput()
	seen := "no figure"
	if m := regexp.MustCompile(`an idle second takes (\S+)`).FindSubmatch(out); m != nil {
		seen = string(m[1]) + " of processor time in an idle second"
	}
	return seen, err == nil && strings.Contains(string(out), "--- PASS: TestIdle"), err
}
