package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/knob"
)

// mostThreads is the largest number of threads under which results are compared.
const mostThreads = 8

// outcome is what a run of all cases gave: digests by case, and how many met what was recorded.
type outcome struct {
	digests       map[string]string
	passed, total int
}

// sameBytes runs cases under every mask of CPU features and on 1 to 8 threads; all must pass, or the least number of them, and all runs must give the same
// bytes.
func sameBytes(least int, run func(ctx context.Context, e *env, mask string, threads int) (*outcome, error)) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		var first *outcome
		var bad []string
		masks := cpu.Masks(runtime.GOARCH, cpu.Detect())
		for _, mask := range masks {
			for threads := 1; threads <= mostThreads; threads++ {
				o, err := run(ctx, e, mask, threads)
				if err != nil {
					return "", false, fmt.Errorf("mask %q, %d threads: %w", mask, threads, err)
				}
				if first == nil {
					first = o
				}
				if o.passed < least || o.passed != first.passed || least == 0 && o.passed != o.total {
					bad = append(bad, fmt.Sprintf("mask %q, %d threads: %d of %d pass", mask, threads, o.passed, o.total))
				}
				if len(o.digests) != len(first.digests) {
					return "", false, fmt.Errorf("mask %q, %d threads: %d digests, want %d", mask, threads, len(o.digests), len(first.digests))
				}
				for _, name := range slices.Sorted(maps.Keys(o.digests)) {
					if o.digests[name] != first.digests[name] {
						bad = append(bad, fmt.Sprintf("mask %q, %d threads: other bytes in %s", mask, threads, name))
					}
				}
			}
		}
		seen := fmt.Sprintf("%d of %d pass, with the same bytes of %d under %d masks and on 1 to %d threads", first.passed, first.total, len(first.digests), len(masks), mostThreads)
		if len(bad) > 0 {
			seen = fmt.Sprintf("%d masks, 1 to %d threads; %d deviations, the first: %s", len(masks), mostThreads, len(bad), bad[0])
		}
		return seen, len(bad) == 0 && len(first.digests) > 0, nil
	}
}

// masked calls the binary under a mask.
func (e *env) masked(ctx context.Context, mask string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, e.bin, args...)
	cmd.Env = append(os.Environ(), knob.CPU.Name+"="+mask)
	return output(cmd)
}

// maskedGoldens checks all goldens.
func maskedGoldens(ctx context.Context, e *env, mask string, threads int) (*outcome, error) {
	names, err := e.goldenNames()
	if err != nil {
		return nil, err
	}
	o := &outcome{digests: map[string]string{}}
	for _, n := range names {
		path, err := e.modelFile(n)
		if err != nil {
			return nil, err
		}
		out, failed := e.masked(ctx, mask, "check", path, "--golden", filepath.Join(e.data, "golden", n), "--threads", strconv.Itoa(threads), "--json")
		var r struct {
			Outputs []struct{ Case, Output, Digest, Fail string }
		}
		if err := json.Unmarshal(out, &r); err != nil {
			return nil, fmt.Errorf("%s: %w, %w", n, failed, err)
		}
		for _, x := range r.Outputs {
			o.digests[n+"/"+x.Case+"/"+x.Output] = x.Digest
			o.total++
			if x.Fail == "" {
				o.passed++
			}
		}
	}
	return o, nil
}

// maskedConformance runs the ONNX backend cases but whole architectures. What is drawn at random without a seed has no bytes to compare.
func maskedConformance(ctx context.Context, e *env, mask string, threads int) (*outcome, error) {
	out, err := e.masked(ctx, mask, "conformance", filepath.Join(e.data, "onnx-backend.tar.zst"), "--run", "^(node|simple|pytorch)", "--threads", strconv.Itoa(threads), "--json")
	if err != nil {
		return nil, err
	}
	var r struct {
		Passed, Total int
		Digests       map[string]string
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, err
	}
	maps.DeleteFunc(r.Digests, func(name, _ string) bool {
		return strings.Contains(name, "bernoulli") && !strings.Contains(name, "seed")
	})
	return &outcome{r.Digests, r.Passed, r.Total}, nil
}
