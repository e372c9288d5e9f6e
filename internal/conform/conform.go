package conform

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Exec runs a case's model on one set of inputs and returns its outputs, both in the model's order.
type Exec func(ctx context.Context, c *Case, inputs []*tensor.Tensor) ([]*tensor.Tensor, error)

// Options say what to run. The zero value runs every case, one after the other.
type Options struct {
	// Want chooses cases by name; nil takes all.
	Want func(name string) bool
	// Workers is the number of cases that run at once; 0 means 1.
	Workers int
	// Timeout bounds one case; 0 means none. It needs an Exec that minds its context.
	Timeout time.Duration
	// Done is called after each case, never twice at once; may be nil.
	Done func(Result)
}

// Result tells how one case went.
type Result struct {
	Name  string
	Light bool
	Err   error // nil: passed
	// Digest tells the outputs of all data sets apart from others (see tensor.Digest), up to the first set that fails.
	Digest string
	Took   time.Duration
}

// Report holds the results, sorted by name.
type Report struct {
	Results []Result
}

// Count tells how many cases passed and how many ran, light ones not counted.
func (r *Report) Count() (passed, total int) { return r.count(false) }

// CountLight is Count for the light cases.
func (r *Report) CountLight() (passed, total int) { return r.count(true) }

func (r *Report) count(light bool) (passed, total int) {
	for i := range r.Results {
		if r.Results[i].Light == light {
			total++
			if r.Results[i].Err == nil {
				passed++
			}
		}
	}
	return passed, total
}

// Print writes one line per failure, and the counts on the last lines.
func (r *Report) Print(w io.Writer) error {
	for _, c := range r.Results {
		if c.Err != nil {
			if _, err := fmt.Fprintf(w, "FAIL %s: %s\n", c.Name, oneLine(c.Err)); err != nil {
				return err
			}
		}
	}
	if passed, total := r.CountLight(); total > 0 {
		if _, err := fmt.Fprintf(w, "whole architectures: passed %d of %d\n", passed, total); err != nil {
			return err
		}
	}
	passed, total := r.Count()
	_, err := fmt.Fprintf(w, "passed %d of %d\n", passed, total)
	return err
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Run runs the cases of s. It fails only when ctx ends.
func Run(ctx context.Context, s *Source, exec Exec, o Options) (*Report, error) {
	var wanted []*caseFiles
	for i := range s.cases {
		if o.Want == nil || o.Want(s.cases[i].name) {
			wanted = append(wanted, &s.cases[i])
		}
	}
	r := &Report{Results: make([]Result, len(wanted))}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(1, o.Workers) {
		wg.Go(func() {
			for i := range next {
				begin := time.Now()
				all, err := s.runCase(ctx, wanted[i], exec, o.Timeout)
				r.Results[i] = Result{Name: wanted[i].name, Light: wanted[i].light, Err: err, Digest: tensor.Digest(all...), Took: time.Since(begin)}
				if o.Done != nil {
					mu.Lock()
					o.Done(r.Results[i])
					mu.Unlock()
				}
			}
		})
	}
	for i := range wanted {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return r, ctx.Err()
}

// runCase returns the outputs of all data sets, up to the first that fails, and why a case fails. A panic of the runtime is a failure too, so
// that the others still run.
func (s *Source) runCase(ctx context.Context, f *caseFiles, exec Exec, timeout time.Duration) (all []*tensor.Tensor, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v at %s", p, place(debug.Stack()))
		}
	}()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := s.load(f)
	if err != nil {
		return all, err
	}
	for k, set := range c.Sets {
		got, err := exec(ctx, c, set.Inputs)
		if err != nil {
			return all, err
		}
		all = append(all, got...)
		if len(got) != len(set.Outputs) {
			return all, fmt.Errorf("data set %d: got %d outputs, want %d", k, len(got), len(set.Outputs))
		}
		for i, want := range set.Outputs {
			if err := Compare(got[i], want); err != nil {
				return all, fmt.Errorf("output %s: %w", c.Outputs[i].Name, err)
			}
		}
	}
	return all, nil
}

// place finds the line that panicked in a stack trace.
func place(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") && i+3 < len(lines) {
			return strings.Fields(lines[i+3])[0]
		}
	}
	return "?"
}

// ReadExpected reads a list of expected failures: one case a line, its name, a tab and the reason. Empty lines and those
// that begin with # do not count.
func ReadExpected(r io.Reader) (map[string]string, error) {
	list := map[string]string{}
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, "\t")
		if reason = strings.TrimSpace(reason); !ok || reason == "" {
			return nil, fmt.Errorf("line %d: want the name of a case, a tab and a reason", n)
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("line %d: %s is listed twice", n, name)
		}
		list[name] = reason
	}
	return list, sc.Err()
}

// List makes the text of a list of expected failures. Failures that the old list holds keep their reasons, others get
// their errors.
func (r *Report) List(old map[string]string) []byte {
	var b strings.Builder
	b.WriteString("# Backend cases that fail, with the reason. A case that is not listed must pass, one that is must fail.\n")
	for _, c := range r.Results {
		if c.Err == nil {
			continue
		}
		reason, ok := old[c.Name]
		if !ok {
			reason = oneLine(c.Err)
		}
		fmt.Fprintf(&b, "%s\t%s\n", c.Name, reason)
	}
	return []byte(b.String())
}

// Check compares a report with the list of expected failures. It returns one line per difference: a failure that is
// not listed, a listed case that passed, and a listed case that there is none of.
func (r *Report) Check(expected map[string]string) []string {
	var bad []string
	left := maps.Clone(expected)
	for _, c := range r.Results {
		_, listed := expected[c.Name]
		delete(left, c.Name)
		switch {
		case c.Err != nil && !listed:
			bad = append(bad, fmt.Sprintf("%s fails: %s", c.Name, oneLine(c.Err)))
		case c.Err == nil && listed:
			bad = append(bad, c.Name+" passes: take it off the list of expected failures")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		bad = append(bad, name+" is listed, but there is no such case")
	}
	return bad
}
