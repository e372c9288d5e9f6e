package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The commands of README.md work, one after the other, in an empty folder, and print what stands in the text blocks.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(page))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "edgerun")
	build := exec.Command("go", "build", "-o", binary, "./cmd/edgerun")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	printed, commands := "", 0
	for _, b := range blocks {
		switch b.kind {
		case "sh":
			printed = ""
			for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
				words := strings.Fields(line)
				if words[0] != "edgerun" {
					t.Fatalf("README.md:%d: %q is no command of edgerun", b.line, line)
				}
				cmd := exec.Command(binary, words[1:]...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "EDGERUN_KEYS="+filepath.Join(dir, "trusted"))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("README.md:%d: %s: %v\n%s", b.line, line, err, out)
				}
				printed += string(out)
				commands++
			}
		case "text":
			for _, want := range strings.Split(strings.TrimSpace(b.text), "\n") {
				if !slices.ContainsFunc(strings.Split(printed, "\n"), func(line string) bool { return squeeze(line) == squeeze(want) }) {
					t.Errorf("README.md:%d: %q is not printed, but\n%s", b.line, want, printed)
				}
			}
		}
	}
	if commands < 5 {
		t.Errorf("README.md has %d commands to follow", commands)
	}
}
