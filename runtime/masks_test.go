package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	gort "runtime"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/graphgen"
	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/runtime"
)

// digestsVar makes the test binary print digests instead, as a process has one mask.
const digestsVar = "EDGERUN_TEST_DIGESTS"

// TestSameBytesUnderMasks runs small models and random graphs with the kernels of every known kind of machine, each on several numbers of threads, and
// wants the same bytes of all. `make acceptance` does so with every golden and every conformance case.
func TestSameBytesUnderMasks(t *testing.T) {
	if os.Getenv(digestsVar) != "" {
		printDigests(t)
		return
	}
	if runtime.Racing {
		t.Skip("plain Go takes the race detector too long")
	}
	if _, ok := knob.CPU.Get(); ok {
		t.Skip("this test sets the masks itself")
	}
	testdata.Dir(t)
	var want []string
	for _, mask := range cpu.Masks(gort.GOARCH, cpu.Detect()) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSameBytesUnderMasks$")
		cmd.Env = append(os.Environ(), digestsVar+"=1", knob.CPU.Name+"="+mask)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("mask %q: %v\n%s", mask, err, out)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "digest ") {
				got = append(got, line)
			}
		}
		if want == nil {
			want = got
		}
		if len(got) < 20 || len(got) != len(want) {
			t.Fatalf("mask %q: %d digests, want %d", mask, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("mask %q gives %swithout kernels in assembly it is %s", mask, got[i], want[i])
			}
		}
	}
}

// printDigests prints a line per graph, and fails where the number of threads changes its bytes.
func printDigests(t *testing.T) {
	var b bytes.Buffer
	add := func(name string, m *runtime.Model, in []*tensor.Tensor) {
		first := ""
		for _, threads := range []int{1, 2, 3, 8} {
			out := outputs(m)
			if err := session(t, m, threads).Run(context.Background(), in, out); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch d := tensor.Digest(out...); {
			case first == "":
				first = d
			case d != first:
				t.Errorf("%s: %d threads give other bytes than one", name, threads)
			}
		}
		fmt.Fprintf(&b, "digest %s %s\n", name, first)
	}
	dir := testdata.Dir(t)
	for _, name := range []string{
		"mlperf_tiny_ad_fp32", "mlperf_tiny_ic_fp32", "mlperf_tiny_kws_fp32", "mlperf_tiny_vww_fp32", "mlperf_tiny_ad_int8", "mlperf_tiny_ic_int8",
		"mlperf_tiny_kws_int8", "mlperf_tiny_vww_int8", "mlperf_tiny_sww_int8", "lstm_mnist_ptq", "silero_vad_16k",
	} {
		m := sharedModel(t, name)
		in, err := golden.Load(filepath.Join(dir, "golden", name, "0"), "in", infoNames(m.Inputs()))
		if err != nil {
			t.Fatal(err)
		}
		add(name, m, in)
		if name == "mlperf_tiny_ic_fp32" { // some of its convolutions are computed by tiles
			m, err := runtime.Open(filepath.Join(dir, "models", name+".tflite"), runtime.ReadOptions{Precision: "fp32w"}, runtime.Options{})
			if err != nil {
				t.Fatal(err)
			}
			add(name+" fp32w", m, in)
		}
	}
	for seed := range 30 {
		g := graphgen.New(uint64(seed), graphgen.Options{Nodes: 25, Flow: seed%5 == 0, Quant: seed%2 == 0, Dynamic: seed%4 == 0})
		m, err := runtime.New(g.Graph, runtime.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		add(fmt.Sprint("seed ", seed), m, g.In)
	}
	os.Stdout.Write(b.Bytes())
}
