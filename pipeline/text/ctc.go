package text

import (
	"fmt"
	"strings"
)

// CTC decodes the output of a model trained with connectionist temporal classification.
type CTC struct {
	// Symbols of the classes; the blank's entry is not used.
	Symbols []string
	// Blank is the class that stands for no symbol.
	Blank int
}

// Greedy takes the largest class of each step (the first of equals; NaN never), drops repetitions, then blanks. scores
// holds steps rows. The confidence is the mean of the taken steps' scores, 0 where there are none.
func (c *CTC) Greedy(scores []float32, steps int) (string, float32, error) {
	n := len(c.Symbols)
	if n == 0 || steps*n != len(scores) {
		return "", 0, fmt.Errorf("ctc: %d scores for %d steps of %d symbols", len(scores), steps, n)
	}
	var b strings.Builder
	var sum float64
	taken, last := 0, -1
	for s := range steps {
		row := scores[s*n : (s+1)*n]
		best := 0
		for i, v := range row {
			if v > row[best] || row[best] != row[best] {
				best = i
			}
		}
		if best != last && best != c.Blank {
			b.WriteString(c.Symbols[best])
			sum += float64(row[best])
			taken++
		}
		last = best
	}
	if taken == 0 {
		return "", 0, nil
	}
	return b.String(), float32(sum / float64(taken)), nil
}
