// Package arch holds the test that keeps imports going one way.
package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/edgerun/edgerun"

// layers, lowest first. A package may import packages of lower layers, and of its own where its line says so.
// A package belongs to the first line with the longest prefix that fits.
var layers = []struct {
	prefix string
	level  int
	peers  bool // may import packages with the same prefix
}{
	{"internal/tensor", 0, false},
	{"internal/num", 0, false},
	{"internal/fmath", 0, false},
	{"internal/half", 1, false},
	{"internal/attr", 1, false},
	{"internal/jpeg", 1, false},
	{"internal/cpu", 1, false},
	{"internal/mem", 0, false},
	{"internal/npy", 2, false},
	{"internal/knob", 2, false},
	{"internal/testdata", 1, false},
	{"internal/hostile", 1, false},
	{"internal/graphgen", 6, false},
	{"internal/arch", 1, false},
	{"stats", 2, false},
	{"kernels/spec", 2, false},
	{"kernels/ref", 3, false},
	{"kernels/amd64", 3, false},
	{"kernels/arm64", 3, false},
	{"kernels/vulkan", 3, false},
	{"kernels/asmgen", 3, false},
	{"kernels/kerneltest", 5, false},
	{"kernels", 4, false},
	{"model", 5, false},
	{"model/onnx", 6, false},
	{"model/tflite", 6, false},
	{"model/container", 6, false},
	{"runtime/pool", 6, false},
	{"runtime/op", 6, false},
	{"runtime/op/", 7, true},
	{"runtime/ops", 8, false},
	{"runtime/peak", 7, false},
	{"runtime/cache", 7, false},
	{"runtime/plan", 8, false},
	{"runtime/exec", 9, false},
	{"runtime/opt", 9, false},
	{"runtime/prof", 10, false},
	{"runtime", 11, false},
	{"internal/conform", 7, false},
	{"pipeline", 13, true},
	{"pipeline/", 12, true},
	{"quant", 14, true},
	{"train", 14, true},
	{"serve", 14, true},
	{"agent", 15, true},
	{"fleet", 16, true},
	{"boards", 16, true},
	{"internal/golden", 12, false},
	{"internal/cases", 12, false},
	{"internal/demo", 16, false},
	{"internal/acceptance", 17, false},
	{"internal/docs", 17, false},
	{"internal/peers", 17, false},
	{"internal/benchdiff", 17, false},
	{"cmd", 18, true},
}

// never lists imports that the levels alone would allow.
var never = [][2]string{
	{"kernels", "model"},
	{"model", "kernels"},
	{"stats", "internal"},
	{"agent", "quant"},
}

func layerOf(pkg string) (level int, prefix string, peers bool) {
	best := -1
	for _, l := range layers {
		p := strings.TrimSuffix(l.prefix, "/")
		fits := pkg == p && !strings.HasSuffix(l.prefix, "/") || strings.HasPrefix(pkg, p+"/")
		if fits && len(l.prefix) > best {
			best = len(l.prefix)
			level, prefix, peers = l.level, l.prefix, l.peers
		}
	}
	if best < 0 {
		return -1, "", false
	}
	return level, prefix, peers
}

func under(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportsGoOneWay(t *testing.T) {
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module+"/")
		level, prefix, peers := layerOf(pkg)
		if level < 0 {
			t.Errorf("%s belongs to no layer: add it to the list above and to ARCHITECTURE.md", pkg)
			continue
		}
		for _, imp := range words[1:] {
			if !strings.HasPrefix(imp, module+"/") {
				continue
			}
			imp = strings.TrimPrefix(imp, module+"/")
			l, p, _ := layerOf(imp)
			if !(l < level || l == level && peers && p == prefix) {
				t.Errorf("%s (layer %d) imports %s (layer %d)", pkg, level, imp, l)
			}
			for _, n := range never {
				if under(pkg, n[0]) && under(imp, n[1]) && !under(imp, n[0]) {
					t.Errorf("%s imports %s, which %s never does", pkg, imp, n[0])
				}
			}
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	eachGoFile(t, func(path string, text string) {
		if strings.Contains(text, "\nfunc init()") {
			t.Errorf("%s: registration in init() is not the way here", path)
		}
	})
}

func TestFilesAreShort(t *testing.T) {
	eachGoFile(t, func(path string, text string) {
		if n := strings.Count(text, "\n"); n > 800 && !strings.Contains(text, "// Code generated") {
			t.Errorf("%s has %d lines, more than 800", path, n)
		}
	})
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, line := range goList(t, "-f", "{{.ImportPath}}\t{{.Doc}}\t{{len .GoFiles}}", "./...") {
		if f := strings.Split(line, "\t"); f[1] == "" && f[2] != "0" {
			t.Errorf("%s has no package comment", f[0])
		}
	}
}

func eachGoFile(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".venv", "bin", "dist"}, d.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f(path, string(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
