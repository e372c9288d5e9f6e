package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
)

// fakeTerminal keeps what a terminal of one width shows: lines, and what stands in the last one.
type fakeTerminal struct {
	lines  []string
	row    []rune
	at     int
	drawn  []string // what the last line held at each return of the cursor
	widest int
}

func (f *fakeTerminal) Write(b []byte) (int, error) {
	for _, r := range string(b) {
		switch r {
		case '\r':
			f.drawn = append(f.drawn, strings.TrimRight(string(f.row), " "))
			f.at = 0
		case '\n':
			f.lines = append(f.lines, strings.TrimRight(string(f.row), " "))
			f.row, f.at = nil, 0
		default:
			if f.at == len(f.row) {
				f.row = append(f.row, 0)
			}
			f.row[f.at] = r
			f.at++
			f.widest = max(f.widest, f.at)
		}
	}
	return len(b), nil
}

func (f *fakeTerminal) last() string { return strings.TrimRight(string(f.row), " ") }

// onTerminal makes a command whose output goes to a fake terminal of some columns.
func onTerminal(width int) (*fakeTerminal, *screen, *cobra.Command) {
	f := &fakeTerminal{}
	s := &screen{w: f, delay: progressDelay, tick: progressTick, width: func() int { return width }}
	cmd := &cobra.Command{}
	cmd.SetOut(&screenWriter{s, f})
	cmd.SetErr(&screenWriter{s, f})
	return f, s, cmd
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, cmd := onTerminal(80)
		p := newProgress(cmd, false)
		time.Sleep(progressDelay - time.Millisecond)
		synctest.Wait()
		if len(f.drawn) > 0 {
			t.Errorf("shown before two seconds have passed: %q", f.drawn)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if f.last() != "loading  2 s" || f.at != 0 {
			t.Errorf("%q, the cursor in column %d", f.last(), f.at)
		}
		p.phase("checking", 4, "cases")
		p.add(1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := "checking  [######..................]  1 of 4 cases  10 s, about 30 s left"; f.last() != want {
			t.Errorf("%q, want %q", f.last(), want)
		}
		// What is written stands on a line of its own, with the progress under it later on.
		io.WriteString(cmd.OutOrStdout(), "a result\n")
		if f.last() != "" || f.lines[0] != "a result" {
			t.Errorf("%q after %q", f.last(), f.lines)
		}
		// Nothing is drawn over a line that is not complete.
		io.WriteString(cmd.OutOrStdout(), "half ")
		time.Sleep(time.Second)
		synctest.Wait()
		if f.last() != "half" {
			t.Errorf("%q", f.last())
		}
		io.WriteString(cmd.OutOrStdout(), "a line\n")
		p.timed("measuring", 40*time.Second)
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if want := "measuring  [############............]  21 s of 40 s"; f.last() != want {
			t.Errorf("%q, want %q", f.last(), want)
		}
		p.phase("running", 1, "files")
		p.infer()
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if want := "running  1 inferences  1 min 10 s"; f.last() != want {
			t.Errorf("%q, want %q", f.last(), want)
		}
		p.stop()
		p.stop()
		if f.last() != "" || f.at != 0 || len(f.lines) != 2 || f.lines[1] != "half a line" {
			t.Errorf("at last %q under %q", f.last(), f.lines)
		}
	})
}

// A line that does not fit is cut, and never wraps.
func TestProgressNarrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, cmd := onTerminal(20)
		p := newProgress(cmd, false)
		p.phase("checking", 4, "cases")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.stop()
		if f.widest != 19 || f.drawn[1] != "checking  [........" || f.last() != "" {
			t.Errorf("%d columns, %q, %q", f.widest, f.drawn, f.last())
		}
	})
}

// Once the screen is closed, as by an interrupt, nothing is drawn any more.
func TestProgressInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s, cmd := onTerminal(80)
		p := newProgress(cmd, false)
		defer p.stop()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		io.WriteString(f, "^C") // as a terminal shows it
		s.close()
		if f.last() != "" {
			t.Errorf("left: %q", f.last())
		}
		drawn := len(f.drawn)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(f.drawn) != drawn {
			t.Errorf("drawn after the end: %q", f.drawn[drawn:])
		}
	})
}

// Under --json and where standard error is no terminal nothing is shown, and all methods do nothing.
func TestNoProgress(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	stdout, stderr, s := terminals(w, w)
	if stdout != io.Writer(w) || stderr != io.Writer(w) || s != nil {
		t.Errorf("a pipe is taken for a terminal")
	}
	s.close()
	cmd := &cobra.Command{}
	cmd.SetErr(stderr)
	_, _, terminal := onTerminal(80)
	for _, p := range []*progress{newProgress(cmd, false), newProgress(terminal, true)} {
		if p != nil {
			t.Fatal("progress is shown")
		}
		p.phase("", 1, "")
		p.timed("", time.Second)
		p.grow(1)
		p.add(1)
		p.infer()
		p.stop()
	}
}

// Commands print the same beside their progress as without it, and leave nothing of it.
func TestProgressOfCommands(t *testing.T) {
	dir, model, image, _ := digits(t)
	golden := goldens(t, dir, model, image)
	cases := conformanceCases(t, model, image, golden)
	four := picture(t, dir)
	for _, args := range [][]string{
		{"bench", model, "--seconds", "0.1"}, {"bench", model, "--runs", "20"}, {"profile", model, "--runs", "20"}, {"demo"},
		{"check", model, "--golden", golden}, {"import", model, "-o", filepath.Join(dir, "x.edge"), "--golden", golden, "--force"},
		{"run", model, "--preset", "mnist", four, four, four}, {"conformance", cases},
	} {
		stdout, stderr := call(t, 0, args...)
		f, s, cmd := onTerminal(80)
		s.delay, s.tick = 0, time.Nanosecond
		code := run(context.Background(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if code != 0 || f.last() != "" || f.at != 0 || len(f.lines) != strings.Count(stdout+stderr, "\n") {
			t.Errorf("%v: exit status %d, %q under\n%s\nwant\n%s%s", args, code, f.last(), strings.Join(f.lines, "\n"), stdout, stderr)
		}
		for _, line := range f.lines {
			if strings.Contains(line, "....]") || strings.HasPrefix(line, "loading") {
				t.Errorf("%v: progress stays in the line %q", args, line)
			}
		}
	}
}
