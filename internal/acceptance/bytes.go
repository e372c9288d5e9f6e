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
	"sync"

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

// sameBytes runs cases under every mask of CPU features and on 1 to 8 threads; at least so many must pass, or all where least is 0, and all runs must
// give the same bytes.
func sameBytes(least int, run func(ctx context.Context, e *env, mask string, threads int) (*outcome, error)) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		masks := cpu.Masks(runtime.GOARCH, cpu.Detect())
		type part struct {
			name string
			*outcome
			err error
		}
		parts := make([]part, len(masks)*mostThreads)
		var group sync.WaitGroup
		slots := make(chan struct{}, runtime.NumCPU())
		for i := range parts {
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				mask, threads := masks[i/mostThreads], 1+i%mostThreads
				o, err := run(ctx, e, mask, threads)
				parts[i] = part{fmt.Sprintf("mask %q, %d threads", mask, threads), o, err}
			})
		}
		group.Wait()
		var bad []string
		for _, p := range parts {
			if p.err != nil {
				return "", false, fmt.Errorf("%s: %w", p.name, p.err)
			}
			first := parts[0]
			if p.passed < least || p.passed != first.passed || least == 0 && p.passed != p.total {
				bad = append(bad, fmt.Sprintf("%s: %d of %d pass", p.name, p.passed, p.total))
			}
			if len(p.digests) == 0 || len(p.digests) != len(first.digests) {
				return "", false, fmt.Errorf("%s: %d digests, want %d", p.name, len(p.digests), len(first.digests))
			}
			for _, name := range slices.Sorted(maps.Keys(p.digests)) {
				if p.digests[name] != first.digests[name] {
					bad = append(bad, fmt.Sprintf("%s: other bytes in %s", p.name, name))
				}
			}
		}
		if len(bad) > 0 {
			return fmt.Sprintf("%d masks, 1 to %d threads; %d deviations, the first: %s", len(masks), mostThreads, len(bad), bad[0]), false, nil
		}
		return fmt.Sprintf("%d of %d pass, with the same bytes of %d outputs or cases under %d masks and on 1 to %d threads", parts[0].passed, parts[0].total,
			len(parts[0].digests), len(masks), mostThreads), true, nil
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

// maskedConformance runs the ONNX backend cases but whole architectures, and leaves out what is drawn at random without a seed, which passes by chance.
func maskedConformance(ctx context.Context, e *env, mask string, threads int) (*outcome, error) {
	out, err := e.masked(ctx, mask, "conformance", filepath.Join(e.data, "onnx-backend.tar.zst"), "--run", "^(node|simple|pytorch)", "--threads", strconv.Itoa(threads), "--json")
	if err != nil {
		return nil, err
	}
	var r struct {
		Failures []struct{ Name string }
		Digests  map[string]string
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, err
	}
	maps.DeleteFunc(r.Digests, func(name, _ string) bool {
		return strings.Contains(name, "bernoulli") && !strings.Contains(name, "seed")
	})
	o := &outcome{r.Digests, len(r.Digests), len(r.Digests)}
	for _, f := range r.Failures {
		if _, ok := r.Digests[f.Name]; ok {
			o.passed--
		}
	}
	return o, nil
}
