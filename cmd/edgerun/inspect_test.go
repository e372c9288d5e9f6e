package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	dir, model, image, _ := digits(t)
	stdout, _ := call(t, 0, "inspect", model)
	contains(t, stdout, "image  f32[1,1,8,8]", "logits", "Conv×3", "million MAC", "arena", "plan_id", "weights  tensors")
	v := parse(t, "edgerun.inspect/1", "inspect", model, "--json")
	in := v["inputs"].([]any)[0].(map[string]any)
	if in["name"] != "image" || in["dtype"] != "f32" || v["operators"].(map[string]any)["Conv"] != 3.0 || v["macs"].(float64) < 1000 || v["arena_bytes"].(float64) < 100 ||
		v["weights"].(map[string]any)["f32"] == nil || v["file_bytes"].(float64) < 50000 || v["plan_id"] == "" {
		t.Errorf("%v", v)
	}
	stdout, _ = call(t, 0, "inspect", model, "--graph")
	contains(t, stdout, "BatchNormalization", "Gemm")
	stdout, _ = call(t, 0, "inspect", model, "--graph", "--optimised")
	if strings.Contains(stdout, "BatchNormalization") {
		t.Error("BatchNormalization is not folded")
	}
	stdout, _ = call(t, 0, "inspect", model, "--dot")
	contains(t, stdout, "digraph")
	stdout, _ = call(t, 0, "inspect", model, "--precision", "bf16")
	contains(t, stdout, "onnx, bf16")
	fail(t,
		failing{2, []string{"inspect"}, "one MODEL"},
		failing{1, []string{"inspect", filepath.Join(dir, "missing.onnx")}, "missing.onnx"},
		failing{1, []string{"inspect", dir}, "is a directory, not a model"},
		failing{1, []string{"inspect", image}, "image.npy"},
		failing{1, []string{"inspect", model, "--precision", "int8"}, "stored in fp32, not in int8"},
		failing{2, []string{"inspect", model, "--precision", "fp12"}, "want fp32, fp32w, fp16, bf16, int8"},
		failing{2, []string{"inspect", model, "--threads", "-1"}, "want 0 to 1024"},
		failing{2, []string{"inspect", model, "--threads", "two"}, "want a whole number"},
		failing{2, []string{"inspect", model, "--max-memory", "much"}, "512MiB"},
		failing{1, []string{"inspect", model, "--max-memory", "1KiB"}, "memory"},
		failing{2, []string{"inspect", model, "--skip-pass", "nonsense"}, "the passes are"},
		failing{2, []string{"inspect", model, "--graph", "--dot"}, "one of --json, --graph and --dot"},
		failing{2, []string{"inspect", model, "--graph", "--json"}, "one of --json, --graph and --dot"},
		failing{2, []string{"inspect", model, "--optimised"}, "--optimised needs"},
		failing{2, []string{"inspect", model, "--shape", "x=1"}, "it has \"image\""},
		failing{1, []string{"inspect", model, "--shape", "image=1,2"}, "the model takes f32[1,1,8,8]"})
}

// What an .edge file holds beside the network is shown.
func TestInspectEdge(t *testing.T) {
	dir, model, image, _ := digits(t)
	edge, labels := filepath.Join(dir, "digits.edge"), filepath.Join(dir, "labels.txt")
	write(t, labels, []byte("zero\none\n"))
	call(t, 0, "import", model, "-o", edge, "--preset", "mnist", "--labels", labels, "--golden", goldens(t, dir, model, image), "--name", "digits", "--release", "7")
	fail(t, failing{1, []string{"inspect", edge}, "--allow-unsigned"})
	stdout, _ := call(t, 0, "inspect", edge, "--allow-unsigned")
	contains(t, stdout, "edge, fp32", "name digits, version 7; 2 labels, 1 golden vectors", "pipeline ")
	v := parse(t, "edgerun.inspect/1", "inspect", edge, "--allow-unsigned", "--json")
	if v["version"] != "7" || v["labels"] != 2.0 || v["golden_vectors"] != 1.0 || v["pipeline"].(map[string]any)["schema"] != "edgerun.pipeline/1" {
		t.Errorf("%v", v)
	}
}
