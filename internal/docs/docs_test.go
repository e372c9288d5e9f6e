// Package docs holds the test that follows the pages in docs/ whose steps can be executed, so that they cannot rot.
//
// In such a page the info string of a code block says what it is:
//
//	go PATH     the whole text of a new file (asm likewise)
//	diff PATH   a change of an existing file: lines that begin with '-' go, those with '+' come, the others stand around
//	sh          commands of the go tool, one a line, run on the tree with all that stands before
//	text        what the commands of the block before print, among other things; runs of blanks count as one
//
// Blocks without any of these are not looked at. Files and changes go into an overlay; the tree stays as it is.
package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type block struct {
	line       int
	kind, path string
	text       string
}

// parse lists the blocks of a page.
func parse(page string) ([]block, error) {
	var list []block
	var open *block
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case open == nil && fence:
			b := block{line: i + 1}
			b.kind, b.path, _ = strings.Cut(info, " ")
			open = &b
		case open != nil && fence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block is not closed", open.line)
	}
	return list, nil
}

// change applies a diff block, whose old lines must occur once.
func change(file, diff string) (string, error) {
	var before, after strings.Builder
	for _, line := range strings.SplitAfter(strings.TrimSuffix(diff, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\n") + "\n"
		switch {
		case line[0] == '-':
			before.WriteString(line[1:])
		case line[0] == '+':
			after.WriteString(line[1:])
		default:
			line = strings.TrimPrefix(line, " ")
			before.WriteString(line)
			after.WriteString(line)
		}
	}
	n, old := 0, "\n"+before.String()
	for rest := "\n" + file; strings.Contains(rest, old); n++ {
		rest = rest[strings.Index(rest, old)+1:]
	}
	if n != 1 {
		return "", fmt.Errorf("the lines to change occur %d times:\n%s", n, before.String())
	}
	return strings.TrimPrefix(strings.Replace("\n"+file, old, "\n"+after.String(), 1), "\n"), nil
}

// overlay is the tree with the files of a page.
type overlay struct {
	root, dir string
	replace   map[string]string // path in the tree: path of its text
}

func (o *overlay) read(path string) (string, error) {
	p := filepath.Join(o.root, filepath.FromSlash(path))
	if r, ok := o.replace[p]; ok {
		p = r
	}
	b, err := os.ReadFile(p)
	return string(b), err
}

func (o *overlay) write(path, text string) error {
	if !filepath.IsLocal(path) {
		return fmt.Errorf("%q is no path in the tree", path)
	}
	to := filepath.Join(o.dir, fmt.Sprintf("%d-%s", len(o.replace), filepath.Base(path)))
	o.replace[filepath.Join(o.root, filepath.FromSlash(path))] = to
	return os.WriteFile(to, []byte(text), 0o666)
}

// command runs a line of a sh block and returns what it prints.
func (o *overlay) command(line string) (string, error) {
	words := strings.Fields(line)
	var env []string
	for len(words) > 0 && strings.Contains(words[0], "=") {
		env, words = append(env, words[0]), words[1:]
	}
	if len(words) < 3 || words[0] != "go" || !slices.Contains([]string{"build", "run", "test", "vet"}, words[1]) {
		return "", fmt.Errorf("%q is no command of the go tool that takes an overlay", line)
	}
	if words[2] == "./kernels/asmgen" {
		return o.asmgen(words[2:])
	}
	b, err := json.Marshal(map[string]any{"Replace": o.replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(o.dir, "overlay.json")
	if err := os.WriteFile(list, b, 0o666); err != nil {
		return "", err
	}
	args := append([]string{words[1], "-overlay", list}, words[2:]...)
	for i, a := range args {
		args[i] = strings.Trim(a, "'")
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = o.root
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}

// asmgen runs the generator, which reads files itself, on a copy of a table's folder, and puts what it writes into the overlay.
func (o *overlay) asmgen(args []string) (string, error) {
	arch := args[len(args)-1]
	table, dir := "kernels/"+arch, filepath.Join(o.dir, "kernels", arch)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(o.root, filepath.FromSlash(table)))); err != nil {
		return "", err
	}
	for path, text := range o.replace {
		if rel, err := filepath.Rel(filepath.Join(o.root, filepath.FromSlash(table)), path); err == nil && filepath.IsLocal(rel) {
			b, err := os.ReadFile(text)
			if err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(dir, rel), b, 0o666); err != nil {
				return "", err
			}
		}
	}
	cmd := exec.Command("go", append(append([]string{"run"}, args...), "-dir", dir)...)
	cmd.Dir = o.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go run %v: %w\n%s", args, err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		path := table + "/" + e.Name()
		if old, err := o.read(path); err != nil || old != string(b) {
			if err := o.write(path, string(b)); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

// follow does what a page says.
func follow(t *testing.T, page string) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	o := &overlay{root: root, dir: t.TempDir(), replace: map[string]string{}}
	printed, done := "", map[string]int{}
	for _, b := range blocks {
		at := fmt.Sprintf("%s:%d", page, b.line)
		done[b.kind]++
		switch {
		case (b.kind == "go" || b.kind == "asm") && b.path != "":
			if _, err := o.read(b.path); err == nil {
				t.Fatalf("%s: %s exists already", at, b.path)
			}
			if err := o.write(b.path, b.text); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
		case b.kind == "diff":
			old, err := o.read(b.path)
			if err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			changed, err := change(old, b.text)
			if err != nil {
				t.Fatalf("%s: %s: %v", at, b.path, err)
			}
			if err := o.write(b.path, changed); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
		case b.kind == "sh":
			printed = ""
			for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
				out, err := o.command(line)
				if err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				if strings.Contains(out, "no tests to run") {
					t.Fatalf("%s: %s: no tests to run", at, line)
				}
				printed += out
			}
		case b.kind == "text":
			for _, want := range strings.Split(strings.TrimSpace(b.text), "\n") {
				if !slices.ContainsFunc(strings.Split(printed, "\n"), func(line string) bool { return squeeze(line) == squeeze(want) }) {
					t.Errorf("%s: %q is not printed, but\n%s", at, want, printed)
				}
			}
		}
	}
	if done["go"]+done["asm"] == 0 || done["diff"] == 0 || done["sh"] == 0 {
		t.Errorf("%s has %v blocks: nothing to follow", page, done)
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestAddAnOperator(t *testing.T) { follow(t, "add-an-operator.md") }

func TestAddAKernel(t *testing.T) { follow(t, "add-a-kernel.md") }

func TestChange(t *testing.T) {
	got, err := change("a\nb\nc\n", " a\n-b\n+x\n+y\n")
	if err != nil || got != "a\nx\ny\nc\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, diff := range []string{"-d\n", " a\n c\n"} {
		if _, err := change("a\nb\nc\n", diff); err == nil {
			t.Errorf("%q is applied", diff)
		}
	}
	if _, err := change("b\nb\n", "-b\n"); err == nil {
		t.Error("an ambiguous change is applied")
	}
}

// Links between pages lead to files; code may look like a link.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "ARCHITECTURE.md"), filepath.Join(root, "RATIONALE.md")) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		prose := ""
		for i, part := range strings.Split("\n"+string(b), "\n```") {
			if i%2 == 0 {
				prose += part
			}
		}
		for _, part := range strings.Split(prose, "](")[1:] {
			link, _, _ := strings.Cut(part, ")")
			link, _, _ = strings.Cut(link, "#")
			if link == "" || strings.Contains(link, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
