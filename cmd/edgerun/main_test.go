package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/demo"
	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

// call runs one command line.
func call(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if code := run(context.Background(), args, &out, &err); code != want {
		t.Fatalf("edgerun %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), err.String())
	}
	return out.String(), err.String()
}

// contains fails unless the text holds all parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

// digits writes the demo's model and one image, and returns their paths and the right answer.
func digits(t *testing.T) (dir, model, image string, label int) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("EDGERUN_KEYS", filepath.Join(dir, "trusted"))
	model, image = filepath.Join(dir, "digits.onnx"), filepath.Join(dir, "image.npy")
	if err := os.WriteFile(model, demo.Model, 0o666); err != nil {
		t.Fatal(err)
	}
	m := demo.Images()[0]
	x := tensor.New(tensor.F32, tensor.Shape{1, 1, 8, 8})
	m.Fill(x)
	if err := npy.WriteFile(image, x); err != nil {
		t.Fatal(err)
	}
	return dir, model, image, m.Label
}

func TestUsageErrors(t *testing.T) {
	_, model, _, _ := digits(t)
	for _, args := range [][]string{
		{"nonsense"}, {"run"}, {"run", model}, {"bench", model, "--nonsense"}, {"bench", model, "--shape", "image"}, {"bench", model, "--shape", "x=1"},
		{"check", model}, {"inspect"}, {"run", model, "--in", "nothing=x.npy", "--out", "x"}, {"sign", model}, {"kernels", "--cpu", "z80"},
		{"inspect", model, "--max-memory", "much"},
	} {
		_, stderr := call(t, 2, args...)
		contains(t, stderr, "edgerun: ", "--help")
	}
}

func TestFailures(t *testing.T) {
	dir, model, image, _ := digits(t)
	_, stderr := call(t, 1, "inspect", filepath.Join(dir, "missing.onnx"))
	contains(t, stderr, "missing.onnx")
	_, stderr = call(t, 1, "bench", model, "--precision", "int8")
	contains(t, stderr, "stored in fp32, not in int8")
	_, stderr = call(t, 1, "inspect", image)
	contains(t, stderr, "image.npy")
}

func TestHelp(t *testing.T) {
	stdout, _ := call(t, 0, "--help")
	for _, c := range newRoot().Commands() {
		if c.Hidden {
			continue
		}
		if c.Name() != "help" && c.Name() != "completion" {
			contains(t, stdout, c.Name())
			if c.Short == "" {
				t.Errorf("%s has no description", c.Name())
			}
		}
	}
}

func TestVersionAndKnobs(t *testing.T) {
	stdout, _ := call(t, 0, "version")
	contains(t, stdout, "edgerun ")
	stdout, _ = call(t, 0, "knobs")
	contains(t, stdout, "EDGERUN_CPU", "EDGERUN_KEYS")
	stdout, _ = call(t, 0, "kernels", "--target", "arm64", "--cpu", "cortex-a76")
	contains(t, stdout, "arm64 with neon,fp16,dotprod", "gemm", "depthwise")
}

func TestDemo(t *testing.T) {
	stdout, _ := call(t, 0, "demo")
	contains(t, stdout, "digits.fp16.edge", "signed and verified", "98.1 %", "read as")
}

func TestRunOnTensors(t *testing.T) {
	dir, model, image, label := digits(t)
	out := filepath.Join(dir, "out")
	call(t, 0, "run", model, "--in", "image="+image, "--out", out, "--threads", "2")
	y, err := npy.ReadFile(filepath.Join(out, "out.logits.npy"))
	if err != nil {
		t.Fatal(err)
	}
	best := 0
	for i, v := range tensor.Of[float32](y) {
		if v > tensor.Of[float32](y)[best] {
			best = i
		}
	}
	if best != label {
		t.Errorf("read as %d, is %d", best, label)
	}
}

func TestInspectBenchProfile(t *testing.T) {
	_, model, _, _ := digits(t)
	stdout, _ := call(t, 0, "inspect", model)
	contains(t, stdout, "image  f32[1,1,8,8]", "logits", "Conv×3", "million MAC")
	stdout, _ = call(t, 0, "inspect", model, "--graph")
	contains(t, stdout, "BatchNormalization", "Gemm")
	stdout, _ = call(t, 0, "inspect", model, "--graph", "--optimised")
	if strings.Contains(stdout, "BatchNormalization") {
		t.Error("BatchNormalization is not folded")
	}
	stdout, _ = call(t, 0, "inspect", model, "--dot")
	contains(t, stdout, "digraph")
	stdout, _ = call(t, 0, "bench", model, "--runs", "3", "--warmup", "1", "--threads", "1", "--json", "--precision", "fp32")
	var r benchResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || r.Runs != 3 || !(r.MedianMS > 0) || r.PlanID == "" || !(r.LoadMS > 0) {
		t.Errorf("bench: %v %+v", err, r)
	}
	stdout, _ = call(t, 0, "profile", model, "--runs", "2", "--trace", filepath.Join(t.TempDir(), "trace.json"))
	contains(t, stdout, "Conv", "GMAC/s")
}

func TestImportSignVerifyCheck(t *testing.T) {
	dir, model, image, _ := digits(t)
	key, edge := filepath.Join(dir, "key.pem"), filepath.Join(dir, "digits.edge")
	call(t, 0, "keys", "new", key)
	call(t, 1, "keys", "new", key) // nothing is overwritten
	// Goldens from the ONNX file, then checked on the .edge file.
	goldens := filepath.Join(dir, "golden")
	call(t, 0, "run", model, "--in", "image="+image, "--out", filepath.Join(goldens, "0"))
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(goldens, "0", "in.image.npy"), b, 0o666); err != nil {
		t.Fatal(err)
	}
	call(t, 0, "import", model, "-o", edge, "--golden", goldens, "--precision", "fp16")
	call(t, 1, "import", model, "-o", edge) // exists
	_, stderr := call(t, 1, "inspect", edge)
	contains(t, stderr, "--allow-unsigned")
	call(t, 0, "sign", edge, "--key", key)
	_, stderr = call(t, 1, "verify", edge)
	contains(t, stderr, "digits.edge")
	pub := filepath.Join(dir, "key.pub.pem")
	call(t, 0, "verify", edge, "--key", pub)
	call(t, 0, "keys", "trust", pub)
	stdout, _ := call(t, 0, "inspect", edge)
	contains(t, stdout, "edge, fp16", "signed by")
	_, stderr = call(t, 1, "bench", edge, "--precision", "fp32")
	contains(t, stderr, "stored in fp16")
	stdout, _ = call(t, 0, "check", edge, "--golden", goldens, "--cosine", "0.9999", "--top1", "--locate")
	contains(t, stdout, "plan_id", "none differs")
	_, stderr = call(t, 1, "check", edge, "--golden", goldens) // FP16 is not equal byte by byte
	contains(t, stderr, "beyond the tolerance")
	stdout, _ = call(t, 0, "check", model, "--golden", goldens)
	contains(t, stdout, "100.00 %", "ok")
	// A changed byte is refused.
	b, err = os.ReadFile(edge)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(edge, b, 0o666); err != nil {
		t.Fatal(err)
	}
	call(t, 1, "verify", edge)
}
