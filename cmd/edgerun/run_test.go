package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
)

func TestRunOnTensors(t *testing.T) {
	dir, model, image, label := digits(t)
	out := filepath.Join(dir, "deep", "out")
	stdout, _ := call(t, 0, "run", model, "--in", "image="+image, "--out", out, "--threads", "2")
	contains(t, stdout, "out.logits.npy  logits  f32[1,10]")
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
	v := parse(t, "edgerun.run/1", "run", model, "--in", "image="+image, "--out", out, "--precision", "fp16", "--json")
	file := v["outputs"].([]any)[0].(map[string]any)
	if v["precision"] != "fp16" || file["name"] != "logits" || file["file"] != filepath.Join(out, "out.logits.npy") || !(v["latency_ms"].(float64) > 0) {
		t.Errorf("%v", v)
	}
	small, ints := filepath.Join(dir, "small.npy"), filepath.Join(dir, "ints.npy")
	if err := npy.WriteFile(small, tensor.New(tensor.F32, tensor.Shape{1, 1, 7, 7})); err != nil {
		t.Fatal(err)
	}
	if err := npy.WriteFile(ints, tensor.New(tensor.I32, tensor.Shape{1, 1, 8, 8})); err != nil {
		t.Fatal(err)
	}
	on := func(in string, more ...string) []string {
		return append([]string{"run", model, "--in", in, "--out", out}, more...)
	}
	fail(t,
		failing{2, []string{"run"}, "run needs a MODEL"}, failing{2, []string{"run", model}, "nothing to run on"},
		failing{2, []string{"run", model, "--in", "image=" + image}, "--in needs --out DIR"},
		failing{2, []string{"run", model, "--out", out}, "give --in image=FILE.npy"},
		failing{2, []string{"run", model, image, "--out", out}, "either files or --in and --out"},
		failing{2, on("nothing=" + image), "NAME is one of \"image\""}, failing{2, on("image="), "no file is named"},
		failing{2, on("image="+image, "--in", "image="+image), "given twice"},
		failing{1, on("image=" + filepath.Join(dir, "missing.npy")), "missing.npy"}, failing{1, on("image=" + model), "not an array file"},
		failing{1, on("image=" + small), "got shape [1,1,7,7], the model takes f32[1,1,8,8]"},
		failing{1, on("image=" + ints), "got i32[1,1,8,8]"},
		failing{1, on("image="+image, "--precision", "int8"), "stored in fp32, not in int8"},
		failing{2, on("image="+image, "--precision", "x"), "want fp32"}, failing{2, on("image="+image, "--threads", "2000"), "want 0 to 1024"},
		failing{1, []string{"run", model, "--in", "image=" + image, "--out", model}, "not a directory"},
		failing{1, []string{"run", filepath.Join(dir, "missing.onnx"), image}, "missing.onnx"}, failing{1, []string{"run", dir, image}, "is a directory, not a model"})
}

func TestRunOnFiles(t *testing.T) {
	dir, model, image, _ := digits(t)
	file := picture(t, dir)
	// Nothing is said: the pipeline is guessed, and the guess can be given.
	stdout, stderr := call(t, 0, "run", model, file)
	contains(t, stdout, "100.0 %  4\n")
	contains(t, stderr, "guessed: a classifier with 10 classes; gray", "--pipeline resize=stretch,size=8x8", "order=gray", "auto,top=5")
	_, settings, _ := strings.Cut(stderr, "--pipeline ")
	settings, _, _ = strings.Cut(settings, "\n")
	again, stderr := call(t, 0, "run", model, file, "--pipeline", settings)
	if again != stdout || stderr != "" {
		t.Errorf("%s: %q %q, want %q", settings, again, stderr, stdout)
	}
	// Single settings change it; labels alone too.
	stdout, stderr = call(t, 0, "run", model, file, "--pipeline", "model,top=1")
	contains(t, stderr, "guessed")
	if strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
	labels := filepath.Join(dir, "labels.txt")
	write(t, labels, []byte("zero\none\ntwo\nthree\nfour\n"))
	stdout, _ = call(t, 0, "run", model, file, "--labels", labels)
	contains(t, stdout, "  four\n")
	stdout, stderr = call(t, 0, "run", model, file, file, "--preset", "mnist", "--json")
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var v struct {
			Schema, File, Kind string
			Classes            []struct{ Label string }
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Schema != "edgerun.result/1" || v.File != file || v.Kind != "classes" || v.Classes[0].Label != "4" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if strings.Count(stdout, "\n") != 2 || stderr != "" {
		t.Errorf("%q %q", stdout, stderr)
	}
	// The pipeline of an .edge file is used and can be changed.
	edge := filepath.Join(dir, "digits.edge")
	call(t, 0, "import", model, "-o", edge, "--preset", "mnist")
	stdout, stderr = call(t, 0, "run", edge, file, "--allow-unsigned")
	if !strings.Contains(stdout, "  4\n") || stderr != "" {
		t.Errorf("%q %q", stdout, stderr)
	}
	stdout, _ = call(t, 0, "run", edge, file, "--allow-unsigned", "--pipeline", "model,top=1")
	if strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
	stdout, _ = call(t, 0, "run", "--pipeline", "help")
	contains(t, stdout, "mean=M[:M:M]", "layout=LAYOUT")
	fail(t,
		failing{1, []string{"run", model, filepath.Join(dir, "missing.jpg")}, "missing.jpg"}, failing{1, []string{"run", model, dir}, "is a directory, not a file"},
		failing{1, []string{"run", model, image, "--preset", "mnist"}, "not a picture in a known format"},
		failing{2, []string{"run", model, file, "--preset", "nonsense"}, "known are cifar"},
		failing{2, []string{"run", model, file, "--pipeline", "nonsense=1"}, "unknown key"},
		failing{2, []string{"run", model, file, "--pipeline", "top=1"}, "begin with model"},
		failing{1, []string{"run", model, file, "--labels", filepath.Join(dir, "missing.txt")}, "missing.txt"},
		failing{1, []string{"run", model, file, "--preset", "yolov8"}, "takes no picture of 3 channels"},
		failing{2, []string{"run", model, file, "--preset", "mnist", "--orient", model}, "--orient needs --recognise"},
		failing{1, []string{"run", model, file, "--preset", "mnist", "--recognise", filepath.Join(dir, "missing.onnx")}, "missing.onnx"})
	if err := os.Remove(edge); err != nil {
		t.Fatal(err)
	}
}
