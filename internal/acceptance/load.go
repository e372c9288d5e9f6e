package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
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

// addedMemory reads, from the comparison that was made last, in how many of the rows that count this project adds most to the resident size.
func addedMemory(_ context.Context, _ *env) (string, bool, error) {
	b, err := os.ReadFile("docs/performance.md")
	if err != nil {
		return "", false, err
	}
	rows, within, worst, where := 0, 0, 0.0, ""
	for line := range strings.Lines(string(b)) {
		// | case | threads | edgerun | best peer | ratio | others | share of peak | memory | least of the peers |
		f := strings.Split(line, "|")
		if len(f) != 11 {
			continue
		}
		peer := strings.Fields(f[4])
		mine, err1 := strconv.ParseFloat(strings.TrimSpace(f[8]), 64)
		least, err2 := strconv.ParseFloat(strings.TrimSpace(f[9]), 64)
		if len(peer) != 2 || err1 != nil || err2 != nil {
			continue
		}
		if ms, err := strconv.ParseFloat(peer[1], 64); err != nil || ms < .1 {
			continue
		}
		rows++
		if mine <= least {
			within++
		}
		if r := mine / math.Max(least, .1); r > worst {
			worst, where = r, strings.TrimSpace(f[1])
		}
	}
	return fmt.Sprintf("%d of %d rows of docs/performance.md, furthest %.2f of the least (%s)", within, rows, worst, where), rows > 0 && within == rows, nil
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
