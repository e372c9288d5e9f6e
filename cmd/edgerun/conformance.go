package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	gort "runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/conform"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/runtime"
)

func conformanceCommand() *cobra.Command {
	var filter, expect string
	var workers, threads int
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "conformance DIR|TAR.zst",
		Short: "run the ONNX backend test cases",
		Long: `Runs the test cases of the onnx package (folders with model.onnx and test_data_set_N) and
compares the outputs with rtol 1e-3 and atol 1e-4; what is not a float must be equal. Prints a
line per failure; the last line is "passed N of M", and the exit status is 0. With --json there
is a digest of each case's outputs, which is the same on every machine.

With --expect FILE the failures must be those that the file lists (name, tab, reason), no more
and no fewer; else the exit status is 1.`,
		Example: `  edgerun conformance onnx-backend.tar.zst
  edgerun conformance onnx/backend/test/data --run '/test_conv'`,
		Args: exactArgs(1, "one DIR or TAR.zst"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if workers < 1 {
				return usagef("--workers must be positive")
			}
			if threads < 0 || threads > runtime.MaxThreads {
				return usagef("--threads %d: want 0 to %d", threads, runtime.MaxThreads)
			}
			re, err := regexp.Compile(filter)
			if err != nil {
				return usagef("--run: %w", err)
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			src, err := conform.Open(args[0])
			if err != nil {
				return err
			}
			defer src.Close()
			bar.phase("running", 0, "cases")
			want := func(name string) bool {
				match := re.MatchString(name)
				if match {
					bar.grow(1)
				}
				return match
			}
			r, err := conform.Run(cmd.Context(), src, caseRunner(threads), conform.Options{Want: want, Workers: workers, Timeout: time.Minute,
				Done: func(conform.Result) { bar.add(1) }})
			bar.stop()
			if err != nil {
				return err
			}
			passed, total := r.Count()
			if total == 0 {
				return fmt.Errorf("%s: no case matches --run %q", args[0], filter)
			}
			if asJSON {
				type failure struct {
					Name  string `json:"name"`
					Error string `json:"error"`
				}
				failures := []failure{}
				digests := map[string]string{}
				for _, c := range r.Results {
					digests[c.Name] = c.Digest
					if c.Err != nil {
						failures = append(failures, failure{c.Name, c.Err.Error()})
					}
				}
				if err := printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.conformance/1", "passed": passed, "total": total, "failures": failures, "digests": digests}); err != nil {
					return err
				}
			} else if quiet {
				fmt.Fprintf(cmd.OutOrStdout(), "passed %d of %d\n", passed, total)
			} else if err := r.Print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if expect == "" {
				return nil
			}
			f, err := os.Open(expect)
			if err != nil {
				return err
			}
			defer f.Close()
			list, err := conform.ReadExpected(f)
			if err != nil {
				return fmt.Errorf("%s: %w", expect, err)
			}
			if bad := r.Check(list); len(bad) > 0 {
				for _, line := range bad {
					fmt.Fprintln(cmd.ErrOrStderr(), line)
				}
				return fmt.Errorf("%d results differ from %s", len(bad), expect)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&filter, "run", "", "run only the cases whose name this `REGEXP` matches")
	f.StringVar(&expect, "expect", "", "`FILE` that lists the failures that must occur")
	f.IntVar(&threads, "threads", 1, "`N` threads for each case; 0 is what this machine can use")
	f.IntVar(&workers, "workers", gort.GOMAXPROCS(0), "run `N` cases at the same time")
	f.BoolVar(&quiet, "quiet", false, "print the last line only")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// caseRunner runs conformance cases as any model is run.
func caseRunner(threads int) conform.Exec {
	return func(ctx context.Context, c *conform.Case, inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		var o onnx.Options
		if c.Dir != "" {
			root, err := os.OpenRoot(c.Dir)
			if err != nil {
				return nil, err
			}
			defer root.Close()
			o.Root = root
		}
		g, err := onnx.Import(c.Model, o)
		if err != nil {
			return nil, err
		}
		m, err := runtime.New(g, runtime.Options{})
		if err != nil {
			return nil, err
		}
		s, err := m.NewSession(runtime.SessionOptions{Threads: threads})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		out := newOutputs(m)
		if err := s.Run(ctx, inputs, out); err != nil {
			return nil, err
		}
		return out, nil
	}
}
