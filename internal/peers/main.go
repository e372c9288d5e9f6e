// Command peers runs the comparison with other runtimes (compare.py of the shared data) on a binary of this project and writes its table, the
// machine's peaks and, for each model, the layers that are furthest from their bound, into a Markdown file.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	"github.com/edgerun/edgerun/internal/cases"
)

type options struct {
	python, edgerun, peers, cases, out string
	rounds                             int
	seconds                            float64
}

func main() {
	var o options
	flag.StringVar(&o.python, "python", ".venv/bin/python", "Python with the peers' packages")
	flag.StringVar(&o.edgerun, "edgerun", "bin/edgerun", "binary to measure")
	flag.StringVar(&o.peers, "peers", "../shared/peers", "folder of compare.py and cases.json")
	flag.StringVar(&o.cases, "cases", "*", "pattern of the cases to measure; the file is written for all of them only")
	flag.StringVar(&o.out, "out", "docs/performance.md", "file to write")
	flag.IntVar(&o.rounds, "rounds", 2, "rounds, of which the best counts")
	flag.Float64Var(&o.seconds, "seconds", 0.4, "time of each measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	tmp, err := os.MkdirTemp("", "edgerun-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var r report
	table := filepath.Join(tmp, "rows.json")
	cmd := exec.CommandContext(ctx, o.python, filepath.Join(o.peers, "compare.py"), "--edgerun", o.edgerun, "--cases", o.cases,
		"--rounds", fmt.Sprint(o.rounds), "--seconds", fmt.Sprint(o.seconds), "--json", table)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compare.py: %w", err)
	}
	if err := readJSON(table, &r.rows); err != nil {
		return err
	}
	if err := call(ctx, &r.peak, o.edgerun, "bench", "--peak", "--json"); err != nil {
		return err
	}
	if err := call(ctx, &r.version, o.edgerun, "version", "--json"); err != nil {
		return err
	}
	list, err := cases.Read(o.peers)
	if err != nil {
		return err
	}
	whole := true
	for _, c := range list {
		if ok, err := path.Match(o.cases, c.Name); err != nil {
			return err
		} else if !ok {
			whole = false
			continue
		}
		file, err := c.File(o.peers)
		if err != nil {
			return err
		}
		args := append([]string{"profile", file, "--threads", "1", "--runs", "20", "--json"}, c.Flags()...)
		p := profile{Case: c.Name}
		if err := call(ctx, &p, o.edgerun, args...); err != nil {
			return err
		}
		r.profiles = append(r.profiles, p)
	}
	text := r.markdown()
	if !whole {
		_, err := os.Stdout.Write(text)
		return err
	}
	if err := os.WriteFile(o.out, text, 0o666); err != nil {
		return err
	}
	fmt.Println("wrote", o.out)
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// call runs a command that prints one JSON object.
func call(ctx context.Context, v any, name string, args ...string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, v)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return nil
}
