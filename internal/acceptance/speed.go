package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/edgerun/edgerun/internal/cases"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	edgerun "github.com/edgerun/edgerun/runtime"
	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/prof"
)

// kernel is a row of what kernels --bench prints.
type kernel struct {
	Name, In, Weights, Acc, Out string
	Chosen                      bool
	GOPs                        float64 `json:"gop_per_s"`
	Share                       float64 `json:"share_of_peak"`
}

// product measures the chosen kernel for a product of 512×512×512 elements of the types in and weights.
func product(in, weights string, least float64) func(context.Context, *env) (string, bool, error) {
	return func(ctx context.Context, e *env) (string, bool, error) {
		if e.kernels == nil { // all kernels are measured together
			out, err := e.edgerun(ctx, "kernels", "--bench", "512,512,512", "--json")
			if err != nil {
				return "", false, err
			}
			var r struct{ Kernels []kernel }
			if err := json.Unmarshal(out, &r); err != nil {
				return "", false, err
			}
			e.kernels = r.Kernels
		}
		for _, k := range e.kernels {
			if k.Chosen && k.In == in && k.Weights == weights && k.Out == k.Acc {
				return fmt.Sprintf("%.1f %% of the peak, %.0f GOP/s by %s", 100*k.Share, k.GOPs, k.Name), k.Share >= least, nil
			}
		}
		return "", false, fmt.Errorf("no kernel for %s by %s", in, weights)
	}
}

// theCase finds a compared model by name, and its file, which compare.py makes where it is not a shared one.
func (e *env) theCase(ctx context.Context, name string) (*cases.Case, string, error) {
	list, err := cases.Read(e.peers)
	if err != nil {
		return nil, "", err
	}
	i := slices.IndexFunc(list, func(c cases.Case) bool { return c.Name == name })
	if i < 0 {
		return nil, "", fmt.Errorf("no case %s", name)
	}
	file, err := e.caseFile(ctx, &list[i])
	return &list[i], file, err
}

func (e *env) caseFile(ctx context.Context, c *cases.Case) (string, error) {
	file, err := c.File(e.peers)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	// Without edgerun it measures the peers, for as short a time as can be; before that it makes the model.
	_, err = output(exec.CommandContext(ctx, e.python, filepath.Join(e.peers, "compare.py"), "--cases", c.Name, "--threads", "1", "--rounds", "1", "--seconds", "0.01"))
	return file, err
}

// bench returns the median latency in ms.
func (e *env) bench(ctx context.Context, file string, threads int, seconds float64, flags ...string) (float64, error) {
	out, err := e.edgerun(ctx, append([]string{"bench", file, "--threads", strconv.Itoa(threads), "--seconds", fmt.Sprint(seconds), "--json"}, flags...)...)
	if err != nil {
		return 0, err
	}
	var r struct {
		Median float64 `json:"median_ms"`
	}
	err = json.Unmarshal(out, &r)
	return r.Median, err
}

// convolutions measures the share of the peak of all convolutions of ResNet-50 together, on one thread, in the best of some profiles.
func convolutions(ctx context.Context, e *env) (string, bool, error) {
	c, file, err := e.theCase(ctx, "resnet50")
	if err != nil {
		return "", false, err
	}
	share, took, count := 0.0, 0.0, 0
	for range 3 {
		out, err := e.edgerun(ctx, append([]string{"profile", file, "--threads", "1", "--runs", "20", "--json"}, c.Flags()...)...)
		if err != nil {
			return "", false, err
		}
		var r struct {
			Machine *peak.Machine
			Steps   []prof.Step
		}
		if err := json.Unmarshal(out, &r); err != nil {
			return "", false, err
		}
		n, macs, ms := 0, 0.0, 0.0
		for _, s := range r.Steps {
			if strings.HasSuffix(s.Op, "Conv") && s.MACs > 0 {
				n, macs, ms = n+1, macs+float64(s.MACs), ms+s.MedianMS
			}
		}
		if x := macs / ms / 1e6 / r.Machine.Rate(num.FP32); x > share {
			share, took, count = x, ms, n
		}
	}
	return fmt.Sprintf("%.1f %% in %d convolutions, %.1f ms", 100*share, count, took), count >= 53 && share >= .7, nil
}

// twoThreads compares the latency on one and two threads of each compared model that takes 5 ms or more on one.
func twoThreads(ctx context.Context, e *env) (string, bool, error) {
	const long, least, rounds, seconds = 5, 1.8, 3, .5
	list, err := cases.Read(e.peers)
	if err != nil {
		return "", false, err
	}
	var seen []string
	ok := true
	for _, c := range list {
		file, err := e.caseFile(ctx, &c)
		if err != nil {
			return "", false, err
		}
		var best [2]float64
		for round := range rounds {
			for i := range best {
				ms, err := e.bench(ctx, file, i+1, seconds, c.Flags()...)
				if err != nil {
					return "", false, err
				}
				if round == 0 || ms < best[i] {
					best[i] = ms
				}
				if best[0] < long {
					break
				}
			}
			if best[0] < long {
				break
			}
		}
		if best[0] < long {
			continue
		}
		x := best[0] / best[1]
		seen = append(seen, fmt.Sprintf("%s %.2f (%.4g to %.4g ms)", c.Name, x, best[0], best[1]))
		ok = ok && x >= least
	}
	return strings.Join(seen, ", "), ok && len(seen) > 0, nil
}

// halfWeights compares a fully connected layer of one row with weights in FP16 and in FP32, which both exceed the last-level cache, on one thread.
func halfWeights(ctx context.Context, _ *env) (string, bool, error) {
	const k = 8192
	cache := max(cpuid.CPU.Cache.L3, cpuid.CPU.Cache.L2, 8<<20)
	n := cache / 4 * 5 / 2 / k // a quarter more, of 2 bytes each
	w := tensor.New(tensor.F32, tensor.Shape{k, n})
	rng := rand.New(rand.NewPCG(1, 2))
	period := make([]float32, 1<<16+1)
	for i := range period {
		period[i] = rng.Float32() - .5
	}
	for v := tensor.Of[float32](w); len(v) > 0; v = v[copy(v, period):] {
	}
	x := &model.Value{Name: "x", DType: tensor.F32, Shape: tensor.Shape{1, k}}
	y := &model.Value{Name: "y", DType: tensor.F32, Shape: tensor.Shape{1, n}}
	g := &model.Graph{Name: "fc", Inputs: []*model.Value{x}, Outputs: []*model.Value{y},
		Nodes: []*model.Node{{Name: "fc", Op: "MatMul", In: []*model.Value{x, model.NewConst("w", w)}, Out: []*model.Value{y}}}}
	sessions := map[num.Numerics]func() error{}
	for _, p := range []num.Numerics{num.FP32, num.FP16} {
		g, err := container.ConvertWeights(g, p)
		if err != nil {
			return "", false, err
		}
		m, err := edgerun.New(g, edgerun.Options{})
		if err != nil {
			return "", false, err
		}
		s, err := m.NewSession(edgerun.SessionOptions{Threads: 1})
		if err != nil {
			return "", false, err
		}
		defer s.Close()
		in, out := []*tensor.Tensor{tensor.From(period[:k], 1, k)}, []*tensor.Tensor{{}}
		sessions[p] = func() error { return s.Run(ctx, in, out) }
	}
	best := map[num.Numerics]time.Duration{}
	for range 20 {
		for p, run := range sessions {
			start := time.Now()
			if err := run(); err != nil {
				return "", false, err
			}
			if took := time.Since(start); best[p] == 0 || took < best[p] {
				best[p] = took
			}
		}
	}
	ratio := float64(best[num.FP32]) / float64(best[num.FP16])
	return fmt.Sprintf("%.2f: %.1f ms in FP32, %.1f ms in FP16, whose %d MiB of weights face %d MiB of cache", ratio, best[num.FP32].Seconds()*1e3, best[num.FP16].Seconds()*1e3,
		2*k*n>>20, cache>>20), ratio >= 1.6, nil
}
