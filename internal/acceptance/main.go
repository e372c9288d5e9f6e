// Command acceptance measures every figure that the project promises and writes them, with date and machine, into a
// Markdown file. It builds the binary, calls it as other programs do, and says of each figure what is wanted, what was
// seen and whether that is enough. It needs the shared test data (EDGERUN_TESTDATA) and the tools of make tools.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/edgerun/edgerun/internal/knob"
)

// item is one promised figure.
type item struct {
	section, name, want string
	// measure returns what was seen and whether it is enough.
	measure func(ctx context.Context, e *env) (seen string, ok bool, err error)
}

// env is what the items share.
type env struct {
	data    string            // shared test data
	peers   string            // folder of compare.py
	python  string            // with the packages of the peers
	tmp     string            // scratch
	bin     string            // the binary for this machine
	cross   map[string]string // binaries by os/arch
	kernels []kernel          // what product has measured
	fuzz    time.Duration
	fuzzers int
}

type result struct {
	item
	seen string
	ok   bool
	took time.Duration
}

func main() {
	out := flag.String("out", "docs/acceptance.md", "file to write")
	only := flag.String("only", "", "regular expression of the items to measure; the file is not written")
	skip := flag.String("skip", "", "regular expression of items to leave out; the report lists them as not measured")
	fuzz := flag.Duration("fuzz", 10*time.Minute, "time per fuzz target")
	fuzzers := flag.Int("fuzzers", runtime.NumCPU(), "fuzz targets at the same time")
	from := flag.String("from", "", "output of an earlier run: figures that it has are taken from there, with its revision")
	peers := flag.String("peers", "../shared/peers", "folder of compare.py and cases.json")
	python := flag.String("python", ".venv/bin/python", "Python with the peers' packages, for models that compare.py makes")
	hostileDir := flag.String("hostile", "", "only write the hostile files into this folder")
	flag.Parse()
	if *hostileDir != "" {
		if err := writeHostile(*hostileDir); err != nil {
			fmt.Fprintln(os.Stderr, "acceptance:", err)
			os.Exit(1)
		}
		return
	}
	e := &env{peers: *peers, python: *python, cross: map[string]string{}, fuzz: *fuzz, fuzzers: *fuzzers}
	if err := run(e, *out, *only, *skip, *from); err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		os.Exit(1)
	}
}

func run(e *env, out, only, skip, from string) error {
	filter, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var omit *regexp.Regexp
	if skip != "" {
		if omit, err = regexp.Compile(skip); err != nil {
			return err
		}
	}
	if e.tmp, err = os.MkdirTemp("", "edgerun-acceptance-"); err != nil {
		return err
	}
	defer os.RemoveAll(e.tmp)
	// What this measures depends on nothing that another process left.
	if err := os.Setenv(knob.Cache.Name, filepath.Join(e.tmp, "cache")); err != nil {
		return err
	}
	if e.data, err = filepath.Abs(knob.Data.Value()); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(e.data, "models")); err != nil {
		return fmt.Errorf("the shared test data are needed: %w", err)
	}
	earlier, err := readLog(from)
	if err != nil {
		return err
	}
	fmt.Printf("revision %s\n", revision())
	ctx := context.Background()
	if e.bin, err = e.build(ctx, runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	var results []result
	failed := 0
	for _, it := range items() {
		if !filter.MatchString(it.name) {
			continue
		}
		if omit != nil && omit.MatchString(it.name) {
			results = append(results, result{it, "not measured in this run", false, 0})
			failed++
			continue
		}
		if r, ok := earlier[it.name]; ok {
			r.item = it
			results = append(results, r)
			if !r.ok {
				failed++
			}
			continue
		}
		start := time.Now()
		seen, ok, err := it.measure(ctx, e)
		if err != nil {
			ok = false
			if seen != "" {
				seen += "; "
			}
			seen += "error: " + firstLine(err.Error())
		}
		r := result{it, seen, ok, time.Since(start)}
		results = append(results, r)
		verdict := "ok  "
		if !ok {
			verdict = "FAIL"
			failed++
		}
		fmt.Printf("%s  %s: %s (%.0f s)\n", verdict, it.name, seen, r.took.Seconds())
	}
	if only == "" {
		if err := os.WriteFile(out, report(results), 0o666); err != nil {
			return err
		}
		fmt.Println("wrote", out)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d figures fall short", failed, len(results))
	}
	return nil
}

var logLine = regexp.MustCompile(`^(ok  |FAIL)  (.*?): (.*) \((\d+) s\)$`)

// readLog reads what an earlier run printed.
func readLog(path string) (map[string]result, error) {
	list := map[string]result{}
	if path == "" {
		return list, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rev := ""
	for _, line := range strings.Split(string(b), "\n") {
		if r, ok := strings.CutPrefix(line, "revision "); ok {
			rev = r
		}
		if m := logLine.FindStringSubmatch(line); m != nil {
			s, err := strconv.Atoi(m[4])
			if err != nil {
				return nil, err
			}
			list[m[2]] = result{seen: m[3] + ", at " + rev, ok: m[1] == "ok  ", took: time.Duration(s) * time.Second}
		}
	}
	if rev == "" {
		return nil, fmt.Errorf("%s: no line tells the revision", path)
	}
	return list, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

func report(results []result) []byte {
	var b bytes.Buffer
	met := 0
	for _, r := range results {
		if r.ok {
			met++
		}
	}
	fmt.Fprintf(&b, "# Acceptance\n\nMeasured by `make acceptance` on %s, at revision %s.\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), revision())
	fmt.Fprintf(&b, "Machine: %s, %d cores, %s/%s, %s. ARM figures are from qemu-user, not from a board.\n\n%d of %d figures are met.\n",
		strings.TrimSpace(cpuid.CPU.BrandName), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), met, len(results))
	section := ""
	for _, r := range results {
		if r.section != section {
			section = r.section
			fmt.Fprintf(&b, "\n## %s\n\n| figure | wanted | seen | met | s |\n|---|---|---|---|---|\n", section)
		}
		met := "yes"
		if !r.ok {
			met = "**no**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.0f |\n", r.name, r.want, strings.ReplaceAll(r.seen, "|", "\\|"), met, r.took.Seconds())
	}
	return b.Bytes()
}

func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// build makes the stripped, static binary for a system.
func (e *env) build(ctx context.Context, goos, goarch string) (string, error) {
	key := goos + "/" + goarch
	if path := e.cross[key]; path != "" {
		return path, nil
	}
	path := filepath.Join(e.tmp, "edgerun-"+goos+"-"+goarch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/edgerun")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOARM=7")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s: %w: %s", key, err, out)
	}
	e.cross[key] = path
	return path, nil
}

// edgerun calls the binary and returns its standard output.
func (e *env) edgerun(ctx context.Context, args ...string) ([]byte, error) {
	return output(exec.CommandContext(ctx, e.bin, args...))
}

// output runs a command; its error tells what it wrote to standard error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLine(stderr.String()))
	}
	return out, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
