package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const (
	progressDelay = 2 * time.Second
	progressTick  = 200 * time.Millisecond
	progressBar   = 24 // columns
)

// screen is a terminal whose last line may show how far a command has come. The line is gone before anything else is
// written through the screen's writers, and the cursor is at its beginning, so that what passes by them replaces it.
type screen struct {
	mu     sync.Mutex
	w      io.Writer
	delay  time.Duration // of the first line; what is done sooner shows nothing
	tick   time.Duration // between lines
	width  func() int    // columns of the terminal
	shown  int           // columns of the line that is drawn
	mid    bool          // the last text did not end its line: nothing may be drawn over it
	closed bool
}

// screenWriter writes to a terminal through its screen.
type screenWriter struct {
	*screen
	w io.Writer
}

// terminals returns writers for the process's output. Where standard error is a terminal, progress can be shown on it.
func terminals(stdout, stderr *os.File) (_, _ io.Writer, s *screen) {
	if columns(stderr) <= 0 {
		return stdout, stderr, nil
	}
	s = &screen{w: stderr, delay: progressDelay, tick: progressTick, width: func() int { return columns(stderr) }}
	if columns(stdout) <= 0 {
		return stdout, &screenWriter{s, stderr}, s
	}
	return &screenWriter{s, stdout}, &screenWriter{s, stderr}, s
}

func (w *screenWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.erase()
	if len(b) > 0 {
		w.mid = b[len(b)-1] != '\n'
	}
	return w.w.Write(b)
}

// erase removes the line, with the ^C that a terminal may have shown in it. mu is held.
func (s *screen) erase() {
	if s.shown > 0 {
		fmt.Fprintf(s.w, "\r%s\r", strings.Repeat(" ", s.shown))
		s.shown = 0
	}
}

// draw shows a line in place of the one before, cut to the terminal's width.
func (s *screen) draw(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.mid {
		return
	}
	r := []rune(line)
	if most := max(s.width()-1, 0); len(r) > most {
		r = r[:most]
	}
	pad := max(s.shown-len(r), 0)
	fmt.Fprintf(s.w, "\r%s%s\r", string(r), strings.Repeat(" ", pad))
	s.shown = len(r)
}

// clear removes the line.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// close removes the line for good. s may be nil.
func (s *screen) close() {
	if s == nil {
		return
	}
	s.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// progress shows on standard error how far a command has come, once it takes longer than the screen's delay. A nil progress
// shows nothing.
type progress struct {
	screen     *screen
	quit, gone chan struct{}

	mu          sync.Mutex
	label, unit string
	total, done int
	inner       int           // inferences, where one unit may take many
	limit       time.Duration // of the phase, where time is what is counted
	began       time.Time     // of the phase
}

// newProgress begins to show progress, where standard error is a terminal and a person reads the results.
func newProgress(cmd *cobra.Command, asJSON bool) *progress {
	w, ok := cmd.ErrOrStderr().(*screenWriter)
	if !ok || asJSON {
		return nil
	}
	p := &progress{screen: w.screen, quit: make(chan struct{}), gone: make(chan struct{})}
	p.phase("loading", 0, "")
	go p.show()
	return p
}

func (p *progress) show() {
	defer close(p.gone)
	timer := time.NewTimer(p.screen.delay)
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			p.screen.clear()
			return
		case <-timer.C:
			p.screen.draw(p.line(time.Now()))
			timer.Reset(p.screen.tick)
		}
	}
}

// stop removes the line. It may be called more than once, by one goroutine.
func (p *progress) stop() {
	if p == nil {
		return
	}
	select {
	case <-p.quit:
	default:
		close(p.quit)
	}
	<-p.gone
}

// phase begins a part of the work: total units, or 0 where that is unknown.
func (p *progress) phase(label string, total int, unit string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.unit, p.total, p.done, p.inner, p.limit, p.began = label, unit, total, 0, 0, 0, time.Now()
}

// timed begins a part of the work that ends after some time.
func (p *progress) timed(label string, limit time.Duration) {
	if p == nil {
		return
	}
	p.phase(label, 0, "")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
}

// add counts units that are done.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
}

// grow counts units that are found to be part of the work.
func (p *progress) grow(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += n
}

// infer counts an inference within a unit.
func (p *progress) infer() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inner++
}

// line describes the phase.
func (p *progress) line(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := now.Sub(p.began)
	var b strings.Builder
	b.WriteString(p.label)
	share := 0.0
	switch {
	case p.limit > 0:
		share = float64(took) / float64(p.limit)
	case p.total > 1:
		share = float64(p.done) / float64(p.total)
	}
	if p.limit > 0 || p.total > 1 {
		full := int(progressBar * min(share, 1))
		fmt.Fprintf(&b, "  [%s%s]", strings.Repeat("#", full), strings.Repeat(".", progressBar-full))
	}
	if p.total > 1 {
		fmt.Fprintf(&b, "  %d of %d %s", p.done, p.total, p.unit)
	}
	if p.inner > 0 {
		fmt.Fprintf(&b, "  %d inferences", p.inner)
	}
	b.WriteString("  " + elapsed(took))
	if p.limit > 0 {
		b.WriteString(" of " + elapsed(p.limit))
	} else if share > 0 && share < 1 && took >= time.Second {
		b.WriteString(", about " + elapsed(time.Duration(float64(took)*(1/share-1))) + " left")
	}
	return b.String()
}

// elapsed prints a time for people.
func elapsed(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s >= 3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	return fmt.Sprintf("%d s", s)
}
