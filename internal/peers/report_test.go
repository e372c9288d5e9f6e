package main

import (
	"strings"
	"testing"

	"github.com/edgerun/edgerun/runtime/peak"
	"github.com/edgerun/edgerun/runtime/prof"
)

func TestReport(t *testing.T) {
	var r report
	r.peak.CPU = "Some CPU"
	r.peak.Machines = []peak.Machine{{Threads: 1, Arithmetic: []peak.Arithmetic{{Numerics: "fp32", Needs: "avx2", GOPs: 100}}, Memory: []peak.Memory{{Level: "L1", GBs: 200}}}}
	r.rows = []row{
		{Case: "a", Threads: 1, Results: map[string]measured{"edgerun": {Median: 1, AddedRSS: 5}, "x": {Median: 2, AddedRSS: 4}, "y": {Median: 3, AddedRSS: 9}}},
		{Case: "b", Threads: 1, Results: map[string]measured{"edgerun": {Median: 2}, "x": {Median: 1}, "z": {Error: "no\nway"}}},
		{Case: "c", Threads: 1, Results: map[string]measured{"edgerun": {Median: .02}, "x": {Median: .01}}},
		{Case: "d", Threads: 1, Results: map[string]measured{"edgerun": {Error: "it | fails"}, "x": {Median: .01}}},
	}
	r.profiles = []profile{{Case: "a", Precision: "fp32", Steps: []prof.Step{
		{Name: "fast", Op: "Conv", Kernels: []string{"gemmF32Ref2x4"}, Output: "f32[1,4,4,8]", MACs: 128 * 9, MedianMS: 1, BoundMS: .9, ShareOfBound: .9, LostMS: .1, Bound: "compute"},
		{Name: "slow", Op: "Resize", Output: "f32[1,4,4,8]", MedianMS: 4, BoundMS: 1, LostMS: 3, Bound: "memory", Level: "L2", GBs: 1.5},
		{Name: "row", Op: "Gemm", Kernels: []string{"gemvF32Ref2x4"}, Output: "f32[1,8]", MACs: 64, MedianMS: 1, BoundMS: .5, LostMS: .5, Bound: "memory", Level: "L2", GBs: 2.5},
		{Name: "flow", Op: "Loop", MedianMS: 4},
	}}}
	text := string(r.markdown())
	for _, want := range []string{
		"Some CPU", "| fp32, avx2 | 100 GOP/s |", "| reading from L1 | 200 GB/s |",
		"| a | 1 | 1 | x 2 | **2.00** | y 3 | 0 % | 5.0 | 4.0 |", "z fails", "| d | 1 | fails | x 0.01 |  | edgerun: it / fails |",
		"mean of the ratio: **1.000** over the 2 rows", "ahead in 1 of them, worst 0.50", "in 1. Below that: behind in 2 of 2 rows",
		"| **a** (fp32) | 4 layers | | 6 | 2.4 | 40 % | |", "| | slow (Resize) |  | 4 | 1 (L2) | 0 % | elements are moved or mapped, 1.5 GB/s |", "no kernel in assembly for f32×f32 here", "weights are read from L2 once, 2.5 GB/s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Index(text, "slow (Resize)") > strings.Index(text, "fast (Conv)") {
		t.Error("the furthest layer does not come first")
	}
}

func TestOutputOf(t *testing.T) {
	for s, want := range map[string]string{"f32[1,2]": "[1,2]", "i8[]": "[]", "f32[?]": "[]", "": "[]"} {
		if _, shape := outputOf(s); shape.String() != want && !(len(shape) == 0 && want == "[]") {
			t.Errorf("%q gives %v", s, shape)
		}
	}
}
