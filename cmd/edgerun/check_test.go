package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

func TestCheck(t *testing.T) {
	dir, model, image, _ := digits(t)
	golden := goldens(t, dir, model, image)
	stdout, _ := call(t, 0, "check", model, "--golden", golden)
	contains(t, stdout, "plan_id", "100.00 %", "ok")
	stdout, _ = call(t, 0, "check", model, "--golden", golden, "--locate")
	contains(t, stdout, "evaluated once more in FP32", "none differs")
	v := parse(t, "edgerun.check/1", "check", model, "--golden", golden, "--json", "--locate")
	row := v["outputs"].([]any)[0].(map[string]any)
	if row["output"] != "logits" || row["max_abs"] != 0.0 || row["top1"] != true || v["failed"] != 0.0 || v["locate"].(map[string]any)["layers"].(float64) < 5 {
		t.Errorf("%v", v)
	}
	if x, err := npy.ReadFile(filepath.Join(golden, "0", "out.logits.npy")); err != nil || row["digest"] != tensor.Digest(x) {
		t.Errorf("%v, %v", row, err)
	}
	// BF16 weights: beyond a strict tolerance, within a loose one, by flags and by file; the first layer that differs is named.
	bf16 := []string{"check", model, "--golden", golden, "--precision", "bf16"}
	with := func(more ...string) []string { return append(bf16[:len(bf16):len(bf16)], more...) }
	stdout, stderr := call(t, 1, bf16...)
	contains(t, stdout, "FAIL: ")
	contains(t, stderr, "1 of 1 outputs are beyond the tolerance")
	stdout, _ = call(t, 0, with("--cosine", "0.99", "--top1", "--locate", "--threads", "1")...)
	contains(t, stdout, "first that differs: ", "(Conv)")
	for tolerance, code := range map[string]int{
		`{"rtol": 0.1, "atol": 1}`: 0, `{"rtol": 0, "atol": 1e-9}`: 1, `{"cosine": 0.99}`: 0, `{"cosine": 1}`: 1, `{"top1": true}`: 0, `{"equal": 0}`: 0, `{"equal": 1}`: 1,
	} {
		write(t, filepath.Join(golden, "tolerance.json"), []byte(tolerance))
		call(t, code, bf16...)
	}
	call(t, 0, with("--rtol", "0.1", "--atol", "1")...) // flags replace the file
	call(t, 1, with("--equal", "1")...)
	write(t, filepath.Join(golden, "tolerance.json"), []byte("{"))
	fail(t, failing{1, bf16, "tolerance.json"})
	if err := os.Remove(filepath.Join(golden, "tolerance.json")); err != nil {
		t.Fatal(err)
	}
	more := []string{"--golden", golden}
	at := func(path string, flags ...string) []string {
		return append(append([]string{"check", path}, more...), flags...)
	}
	fail(t,
		failing{2, []string{"check"}, "one MODEL"}, failing{2, []string{"check", model}, "check needs --golden DIR"},
		failing{1, at(filepath.Join(dir, "missing.onnx")), "missing.onnx"}, failing{1, at(dir), "is a directory"},
		failing{1, at(model, "--precision", "int8"), "stored in fp32, not in int8"}, failing{2, at(model, "--precision", "x"), "want fp32"},
		failing{2, at(model, "--cosine", "2"), "want 0 to 1"}, failing{2, at(model, "--equal", "-1"), "want 0 to 1"}, failing{2, at(model, "--atol", "-1"), "want 0 or more"},
		failing{2, at(model, "--rtol", "x"), "want a number"}, failing{2, at(model, "--threads", "x"), "want a whole number"},
		failing{1, []string{"check", model, "--golden", filepath.Join(dir, "missing")}, "missing"},
		failing{1, []string{"check", model, "--golden", filepath.Join(golden, "0")}, "no subfolder with out.*.npy files"})
	x := tensor.New(tensor.F32, tensor.Shape{1, 1, 9, 9})
	if err := npy.WriteFile(filepath.Join(golden, "0", "in.image.npy"), x); err != nil {
		t.Fatal(err)
	}
	fail(t, failing{1, at(model), "case 0: input image: got shape [1,1,9,9]"})
	if err := os.Remove(filepath.Join(golden, "0", "in.image.npy")); err != nil {
		t.Fatal(err)
	}
	fail(t, failing{1, at(model), "in.image.npy"})
}
