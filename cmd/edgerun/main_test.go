package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

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

// failing is a command line that must not succeed.
type failing struct {
	code int
	args []string
	want string // on standard error
}

// fail runs command lines that must print what is wanted on standard error and nothing on standard output.
func fail(t *testing.T, list ...failing) {
	t.Helper()
	for _, f := range list {
		stdout, stderr := call(t, f.code, f.args...)
		contains(t, stderr, "edgerun: ", f.want)
		if stdout != "" {
			t.Errorf("edgerun %s: on standard output: %s", strings.Join(f.args, " "), stdout)
		}
		if help := strings.Contains(stderr, "--help"); help != (f.code == 2) {
			t.Errorf("edgerun %s: exit status %d with %q", strings.Join(f.args, " "), f.code, stderr)
		}
	}
}

// parse reads the one JSON object that a command line prints.
func parse(t *testing.T, schema string, args ...string) map[string]any {
	t.Helper()
	stdout, _ := call(t, 0, args...)
	var v map[string]any
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v["schema"] != schema || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("edgerun %s: %v: %s", strings.Join(args, " "), err, stdout)
	}
	return v
}

// picture writes the demo's first image as a PNG file.
func picture(t *testing.T, dir string) string {
	t.Helper()
	x := tensor.New(tensor.F32, tensor.Shape{1, 1, 8, 8})
	demo.Images()[0].Fill(x)
	m := image.NewGray(image.Rect(0, 0, 8, 8))
	for i, v := range tensor.Of[float32](x) {
		m.Pix[i] = uint8(255 * v)
	}
	path := filepath.Join(dir, "four.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	return path
}

// goldens records what the model makes of the image, as one case.
func goldens(t *testing.T, dir, model, image string) string {
	t.Helper()
	golden := filepath.Join(dir, "golden")
	call(t, 0, "run", model, "--in", "image="+image, "--out", filepath.Join(golden, "0"))
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(golden, "0", "in.image.npy"), b)
	return golden
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestCommandLine(t *testing.T) {
	fail(t, failing{2, []string{"nonsense"}, `unknown command "nonsense"`}, failing{2, []string{"help", "nonsense"}, "no command"},
		failing{2, []string{"version", "--nonsense"}, "unknown flag: --nonsense"})
	stdout, _ := call(t, 0)
	contains(t, stdout, "Usage:", "Run and look:")
	stdout, _ = call(t, 0, "completion", "bash")
	contains(t, stdout, "complete")
	stdout, _ = call(t, 0, "__complete", "bench", "--precision", "")
	contains(t, stdout, "fp16")
}

// Help texts keep to one width, say what a command is for and show how it is called.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		if c.Name() == "completion" {
			return
		}
		stdout, _ := call(t, 0, append(path, "--help")...)
		for _, line := range strings.Split(stdout, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%v --help: %q", path, line)
			}
		}
		contains(t, stdout, "Usage:\n  edgerun")
		for _, word := range []string{"stringArray", "strings ", "float ", "string ", "int "} {
			if strings.Contains(stdout, " "+word) && strings.Contains(stdout, "-"+word) {
				t.Errorf("%v --help has %q", path, word)
			}
		}
		for _, s := range c.Commands() {
			if s.Short == "" {
				t.Errorf("%s has no description", s.Name())
			}
			walk(s, append(path[:len(path):len(path)], s.Name()))
		}
	}
	walk(newRoot(), nil)
}

func TestInterrupted(t *testing.T) {
	_, model, _, _ := digits(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"bench", model, "--seconds", "1000"}, &stdout, &stderr); code != 1 || stderr.String() != "edgerun: interrupted\n" || stdout.Len() > 0 {
		t.Errorf("exit status %d, %q, %q", code, stdout.String(), stderr.String())
	}
}

func TestFinite(t *testing.T) {
	b, err := json.Marshal([]finite{1.5, finite(math.Inf(1)), finite(math.NaN())})
	if err != nil || string(b) != "[1.5,null,null]" {
		t.Errorf("%s, %v", b, err)
	}
}
