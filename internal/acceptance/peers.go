package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/edgerun/edgerun/internal/cases"
)

// comparison is the page that make bench-peers writes.
const comparison = "docs/performance.md"

var measuredOn = regexp.MustCompile("(?s)Measured by `make bench-peers` on (.*?), version (\\S+), on\\s+(.*?),")

// compared judges the comparison with other runtimes that was made last.
func compared(judge func(*cases.Summary) (string, bool)) func(context.Context, *env) (string, bool, error) {
	return func(context.Context, *env) (string, bool, error) {
		b, err := os.ReadFile(comparison)
		if err != nil {
			return "", false, err
		}
		m := measuredOn.FindSubmatch(b)
		if m == nil {
			return "", false, fmt.Errorf("%s does not tell when and where it was measured", comparison)
		}
		s := cases.Summarise(cases.Parse(string(b)))
		if s.Rows == 0 || s.Small == 0 {
			return "", false, fmt.Errorf("%s has %d rows that count and %d that do not", comparison, s.Rows, s.Small)
		}
		seen, ok := judge(&s)
		return fmt.Sprintf("%s, on %s, %s, version %s", seen, m[3], m[1], m[2]), ok, nil
	}
}

// layersPerCase is the number of layers that the page explains for each case.
const layersPerCase = 3

// explained looks, for every compared model, for the layers that are furthest from their bound, each with a reason.
func explained(_ context.Context, e *env) (string, bool, error) {
	b, err := os.ReadFile(comparison)
	if err != nil {
		return "", false, err
	}
	list, err := cases.Read(e.peers)
	if err != nil {
		return "", false, err
	}
	layers, name := map[string]int{}, ""
	for line := range strings.Lines(string(b)) {
		// | **case** (numerics) | layers | | ms | bound | of bound | | or | | layer | kernel | ms | bound | of bound | why |
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 9 {
			continue
		}
		if rest, ok := strings.CutPrefix(f[1], " **"); ok {
			name, _, _ = strings.Cut(rest, "**")
		} else if strings.TrimSpace(f[1]) == "" && strings.TrimSpace(f[7]) != "" {
			layers[name]++
		}
	}
	var bad []string
	for _, c := range list {
		if layers[c.Name] < layersPerCase {
			bad = append(bad, fmt.Sprintf("%s has %d", c.Name, layers[c.Name]))
		}
	}
	seen := fmt.Sprintf("%d of %d cases", len(list)-len(bad), len(list))
	if len(bad) > 0 {
		seen += "; " + strings.Join(bad, ", ")
	}
	return seen, len(bad) == 0, nil
}
