// Command benchdiff compares the benchmarks of two revisions of this project: it builds the test binaries of both, runs them in turn,
// so that what else the machine does meets both alike, and prints benchstat's table. The newer one is the working tree.
//
//	go run ./internal/benchdiff -base main -bench 'Models/magika|Rows/gemmF32'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// packages hold the benchmarks: inferences of whole models, and single kernels.
var packages = []string{"./runtime", "./kernels/kerneltest"}

func main() {
	base := flag.String("base", "HEAD", "`revision` to compare the working tree with")
	bench := flag.String("bench", "Models", "regular expression of the benchmarks, as go test -bench takes it")
	count := flag.Int("count", 6, "`runs` of each revision")
	benchtime := flag.String("benchtime", "0.2s", "time of each benchmark in each run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *base, *bench, *benchtime, *count); err != nil {
		fmt.Fprintln(os.Stderr, "benchdiff:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, base, bench, benchtime string, count int) (err error) {
	if count < 1 {
		return errors.New("-count must be positive")
	}
	tmp, err := os.MkdirTemp("", "edgerun-benchdiff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tree := filepath.Join(tmp, "tree")
	if err := command(ctx, "", "git", "worktree", "add", "--detach", "--quiet", tree, base); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, command(context.WithoutCancel(ctx), "", "git", "worktree", "remove", "--force", tree))
	}()
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	sides := []struct{ name, dir string }{{"base", tree}, {"head", here}}
	for _, s := range sides {
		for i, p := range packages {
			if err := command(ctx, s.dir, "go", "test", "-c", "-o", filepath.Join(tmp, fmt.Sprint(s.name, i)), p); err != nil {
				return err
			}
		}
	}
	for n := range count {
		fmt.Fprintf(os.Stderr, "run %d of %d\n", n+1, count)
		for _, s := range sides {
			if err := measure(ctx, tmp, s.name, s.dir, bench, benchtime); err != nil {
				return err
			}
		}
	}
	return command(ctx, "", "go", "tool", "benchstat", "base="+filepath.Join(tmp, "base.txt"), "head="+filepath.Join(tmp, "head.txt"))
}

// measure appends one run of all packages to a side's results.
func measure(ctx context.Context, tmp, name, dir, bench, benchtime string) error {
	out, err := os.OpenFile(filepath.Join(tmp, name+".txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	for i, p := range packages {
		cmd := exec.CommandContext(ctx, filepath.Join(tmp, fmt.Sprint(name, i)), "-test.run", "^$", "-test.bench", bench, "-test.benchtime", benchtime)
		cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join(dir, p), out, os.Stderr
		if err := cmd.Run(); err != nil {
			out.Close()
			return fmt.Errorf("%s of %s: %w", p, name, err)
		}
	}
	return out.Close()
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
