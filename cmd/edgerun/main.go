// Command edgerun imports, inspects, checks, measures, signs and runs neural networks.
//
// Results go to standard output, everything else to standard error. The exit status is 0, 1 (failed) or 2 (wrong
// usage). Each subcommand stands in a file of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/mem"
)

// version is set by the linker; without it the build information tells.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	done := make(chan int, 1)
	stdout, stderr, screen := terminals(os.Stdout, os.Stderr)
	go func() { done <- run(ctx, os.Args[1:], stdout, stderr) }()
	var code int
	select {
	case code = <-done:
	case <-ctx.Done():
		stop() // a second signal ends the process at once
		screen.close()
		select {
		case code = <-done:
		case <-time.After(grace):
			fmt.Fprintln(stderr, "edgerun: interrupted")
			code = 1
		}
	}
	os.Exit(code)
}

// grace is how long a command may take to clean up once it was interrupted.
const grace = time.Second

// usageError marks errors in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := execute(ctx, root)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "edgerun: interrupted")
		return 1
	}
	fmt.Fprintf(stderr, "edgerun: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		fmt.Fprintf(stderr, "see '%s --help'\n", cmd.CommandPath())
		return 2
	}
	return 1
}

// execute runs the command; commands read models' constants, which may lie in mapped files.
func execute(ctx context.Context, root *cobra.Command) (_ *cobra.Command, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	return root.ExecuteContextC(ctx)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "edgerun",
		Short: "run neural networks on small boards, exactly and fast",
		Long: `edgerun runs neural networks on ARM boards and x86 machines, in mixed precision.

A MODEL is an .edge, .onnx or .tflite file. 'edgerun import' turns the latter two into one
signed .edge file; every other command takes all three. Try 'edgerun demo' first.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(printUsage)
	root.SetHelpCommand(helpCommand())
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run and look:"}, &cobra.Group{ID: "check", Title: "Check and measure:"},
		&cobra.Group{ID: "file", Title: "Files and keys:"}, &cobra.Group{ID: "about", Title: "About this program:"})
	root.SetHelpCommandGroupID("about")
	root.SetCompletionCommandGroupID("about")
	for group, list := range map[string][]*cobra.Command{
		"run":   {runCommand(), inspectCommand(), demoCommand()},
		"check": {checkCommand(), benchCommand(), profileCommand(), conformanceCommand(), kernelsCommand()},
		"file":  {importCommand(), keysCommand(), signCommand(), verifyCommand()},
		"about": {knobsCommand(), versionCommand()},
	} {
		for _, c := range list {
			c.GroupID = group
			if strings.Contains(c.Use, "MODEL") && c.ValidArgsFunction == nil {
				c.ValidArgsFunction = completeModels
			}
			root.AddCommand(c)
		}
	}
	return root
}

// exactArgs is cobra.ExactArgs with our exit status.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s, %d given", cmd.Name(), what, len(args))
		}
		return nil
	}
}

// minArgs is cobra.MinimumNArgs with our exit status.
func minArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s needs %s", cmd.Name(), what)
		}
		return nil
	}
}

// finite is a number that is null in JSON where it is infinite or none.
type finite float64

func (f finite) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// printJSON writes v on one line.
func printJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}
