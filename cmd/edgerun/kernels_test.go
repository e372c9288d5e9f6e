package main

import (
	"runtime"
	"testing"
)

func TestKernels(t *testing.T) {
	stdout, _ := call(t, 0, "kernels", "--target", "arm64", "--cpu", "cortex-a76")
	contains(t, stdout, "arm64 with neon,fp16,dotprod", "gemm", "depthwise")
	v := parse(t, "edgerun.kernels/1", "kernels", "--json")
	chosen := 0
	for _, k := range v["kernels"].([]any) {
		if k.(map[string]any)["chosen"] == true {
			chosen++
		}
	}
	if v["arch"] != runtime.GOARCH || chosen == 0 {
		t.Errorf("%v", v)
	}
	stdout, _ = call(t, 0, "kernels", "--bench", "16,20,24")
	contains(t, stdout, "16×24 by 24×20", "* ", "gemmF32Ref2x4", "of peak")
	v = parse(t, "edgerun.kernelbench/1", "kernels", "--bench", "1,8,8", "--json")
	for _, k := range v["kernels"].([]any) {
		if !(k.(map[string]any)["gop_per_s"].(float64) > 0) {
			t.Errorf("%v", k)
		}
	}
	fail(t, failing{2, []string{"kernels", "--bench", "1,2"}, "want M,N,K"}, failing{2, []string{"kernels", "--bench", "1,2,0"}, "want M,N,K"},
		failing{2, []string{"kernels", "--assert"}, "needs --bench"}, failing{2, []string{"kernels", "--bench", "1,2,3", "--cpu", "haswell"}, "this machine"})
	fail(t, failing{2, []string{"kernels", "--cpu", "z80"}, "cortex-a76"}, failing{2, []string{"kernels", "--target", "pdp11"}, "amd64 or arm64"},
		failing{2, []string{"kernels", "--cpu", "haswell", "--target", "arm64"}, "haswell is amd64"}, failing{2, []string{"kernels", "x"}, "takes no arguments"})
	t.Setenv("EDGERUN_CPU", "-nonsense")
	fail(t, failing{2, []string{"kernels"}, "EDGERUN_CPU"}, failing{2, []string{"inspect", "x.onnx"}, "EDGERUN_CPU"})
}
