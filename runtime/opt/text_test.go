package opt_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/opt"
)

var update = flag.Bool("update", false, "write testdata/PASS/*.after.txt anew")

// Each pass alone, on the text form: testdata/PASS/NAME.txt becomes NAME.after.txt.
func TestPassesOnText(t *testing.T) {
	for _, p := range opt.AllPasses() {
		files, err := filepath.Glob(filepath.Join("testdata", p.Name, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		cases := 0
		for _, file := range files {
			if strings.HasSuffix(file, ".after.txt") {
				continue
			}
			cases++
			t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".txt"), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				g := parse(t, string(text))
				after, err := optimise(g, p.Name)
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				if err := model.PrintFull(&b, after); err != nil {
					t.Fatal(err)
				}
				name := strings.TrimSuffix(file, ".txt") + ".after.txt"
				if *update {
					if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if b.String() != strings.ReplaceAll(string(want), "\r\n", "\n") {
					t.Errorf("got\n%s\nwant\n%s", &b, want)
				}
				// What the file shows must keep the meaning too.
				checkPasses(t, g, sample(g, false), 1e-2)
			})
		}
		if cases == 0 {
			t.Errorf("pass %s has no case", p.Name)
		}
	}
}
