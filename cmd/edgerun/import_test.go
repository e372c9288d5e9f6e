package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

func TestImport(t *testing.T) {
	dir, model, image, _ := digits(t)
	edge, key := filepath.Join(dir, "digits.edge"), filepath.Join(dir, "key.pem")
	golden := goldens(t, dir, model, image)
	call(t, 0, "keys", "new", key)
	v := parse(t, "edgerun.import/1", "import", model, "-o", edge, "--golden", golden, "--precision", "fp16", "--sign", key, "--preset", "mnist", "--json")
	if v["file"] != edge || v["precision"] != "fp16" || v["golden_vectors"] != 1.0 || v["signed"] != true || !(v["bytes"].(float64) < v["source_bytes"].(float64)/2) {
		t.Errorf("%v", v)
	}
	call(t, 0, "keys", "trust", filepath.Join(dir, "key.pub.pem"))
	stdout, _ := call(t, 0, "inspect", edge)
	contains(t, stdout, "edge, fp16", "signed by")
	fail(t, failing{1, []string{"bench", edge, "--precision", "fp32"}, "stored in fp16"})
	stdout, _ = call(t, 0, "check", edge, "--golden", golden, "--cosine", "0.9999", "--top1", "--locate")
	contains(t, stdout, "plan_id", "none differs")
	fail(t, failing{1, []string{"import", model, "-o", edge}, "--force replaces it"})
	stdout, _ = call(t, 0, "import", model, "-o", edge, "--force")
	contains(t, stdout, "digits.edge: fp32, ", "% of digits.onnx), 0 golden vectors")
	// The name is the model's where none is given.
	t.Chdir(t.TempDir())
	call(t, 0, "import", model)
	if _, err := os.Stat("digits.edge"); err != nil {
		t.Error(err)
	}
}

// Nothing is written where something is wrong.
func TestImportFails(t *testing.T) {
	dir, model, image, _ := digits(t)
	out := filepath.Join(dir, "never.edge")
	golden := goldens(t, dir, model, image)
	if err := npy.WriteFile(filepath.Join(golden, "0", "out.logits.npy"), tensor.New(tensor.F32, tensor.Shape{1, 11})); err != nil {
		t.Fatal(err)
	}
	fail(t,
		failing{2, []string{"import"}, "one MODEL"},
		failing{1, []string{"import", filepath.Join(dir, "missing.onnx"), "-o", out}, "missing.onnx"},
		failing{1, []string{"import", dir, "-o", out}, "is a directory, not a model"},
		failing{1, []string{"import", image, "-o", out}, "image.npy"},
		failing{1, []string{"import", model, "-o", out, "--precision", "int8"}, "stored in fp32, not in int8"},
		failing{2, []string{"import", model, "-o", out, "--precision", "fp12"}, "want fp32, fp32w, fp16, bf16, int8"},
		failing{2, []string{"import", model, "-o", out, "--threads", "-1"}, "want 0 to 1024"},
		failing{2, []string{"import", model, "-o", out, "--threads", "two"}, "want a whole number"},
		failing{2, []string{"import", model, "-o", out, "--max-memory", "much"}, "512MiB"},
		failing{1, []string{"import", model, "-o", out, "--max-memory", "1KiB"}, "memory"},
		failing{2, []string{"import", model, "-o", out, "--skip-pass", "nonsense"}, "the passes are"},
		failing{1, []string{"import", model, "-o", out, "--sign", filepath.Join(dir, "missing.pem")}, "missing.pem"},
		failing{1, []string{"import", model, "-o", out, "--labels", filepath.Join(dir, "missing.txt")}, "missing.txt"},
		failing{2, []string{"import", model, "-o", out, "--preset", "nonsense"}, "known are"},
		failing{2, []string{"import", model, "-o", out, "--pipeline", "nonsense=1"}, "unknown key"},
		failing{1, []string{"import", model, "-o", out, "--golden", golden}, "output logits is f32[1,10], the golden is f32[1,11]"},
		failing{1, []string{"import", model, "-o", out, "--golden", dir + "/missing"}, "missing"},
		failing{1, []string{"import", model, "-o", filepath.Join(dir, "no", "x.edge")}, "cannot write"})
	if _, err := os.Stat(out); err == nil {
		t.Error("a file is written")
	}
}
