package main

import (
	"fmt"
	"io"

	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/runtime"
)

// locateRelMax is how far a float layer may be from the FP32 reference, as a share of its largest element.
const locateRelMax = 1e-3

type locator struct {
	golden.Locator
	session *runtime.Session
	err     error
}

func newLocator(m *modelFlags, src *runtime.Source) (*locator, error) {
	l, err := m.prepare(src)
	if err != nil {
		return nil, err
	}
	s, err := l.Model.NewSession(runtime.SessionOptions{Threads: m.threads})
	if err != nil {
		return nil, err
	}
	loc := &locator{Locator: golden.Locator{RelMax: locateRelMax}, session: s}
	s.Observe(loc.Observe)
	return loc, nil
}

// layerReport is a layer in JSON.
type layerReport struct {
	Name   string `json:"name"`
	Op     string `json:"op"`
	Output int    `json:"output"`
	MaxAbs finite `json:"max_abs"`
	Steps  finite `json:"steps"`
	RelMax finite `json:"rel_max"`
}

func newLayerReport(r *golden.Layer) *layerReport {
	if r == nil {
		return nil
	}
	return &layerReport{r.Name, r.Op, r.Output, finite(r.MaxAbs), finite(r.Steps), finite(r.RelMax)}
}

func (l *locator) report() map[string]any {
	l.err = l.Err
	return map[string]any{"layers": l.Layers, "first": newLayerReport(l.First), "worst": newLayerReport(l.Worst)}
}

func (l *locator) print(w io.Writer) {
	l.err = l.Err
	describe := func(r *golden.Layer) string {
		if r.Steps > 0 {
			return fmt.Sprintf("%s (%s), output %d: %.3g off, %.2f steps", r.Name, r.Op, r.Output, r.MaxAbs, r.Steps)
		}
		return fmt.Sprintf("%s (%s), output %d: %.3g off, %.3g of its largest element", r.Name, r.Op, r.Output, r.MaxAbs, r.RelMax)
	}
	fmt.Fprintf(w, "\n%d layers evaluated once more in FP32, on the same inputs\n", l.Layers)
	if l.First == nil {
		fmt.Fprintf(w, "none differs by more than one step or %g of its largest element\n", locateRelMax)
		if l.Worst != nil {
			fmt.Fprintf(w, "the furthest: %s\n", describe(l.Worst))
		}
		return
	}
	fmt.Fprintf(w, "first that differs: %s\n", describe(l.First))
	if l.Worst != l.First {
		fmt.Fprintf(w, "the furthest:       %s\n", describe(l.Worst))
	}
}
