package prof

import (
	"io"
	"strings"
	"unicode/utf8"
)

const (
	tableWidth = 110 // columns that lines keep to
	tableGap   = 2   // between columns
	leastCell  = 12  // no cell is shortened to less
)

// table aligns cells: the first columns, which are numbers, to the right and the others to the left.
type table struct {
	numbers int
	rows    [][]string // of one length; the first is the head
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// widths returns the number of characters in the widest cell of each column.
func (t *table) widths() []int {
	w := make([]int, len(t.rows[0]))
	for _, r := range t.rows {
		for i, c := range r {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

// fit shortens cells of the given columns, those of the widest one first, until lines keep to width, or until these
// columns are leastCell wide.
func (t *table) fit(width int, columns ...int) {
	w := t.widths()
	total := tableGap * (len(w) - 1)
	for _, n := range w {
		total += n
	}
	for total > width {
		at := columns[0]
		for _, c := range columns {
			if w[c] > w[at] {
				at = c
			}
		}
		if w[at] <= leastCell {
			break
		}
		w[at]--
		total--
	}
	for _, r := range t.rows {
		for _, c := range columns {
			r[c] = shorten(r[c], w[c])
		}
	}
}

// shorten leaves out the middle of a text of more than n characters, n at least 1.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

func (t *table) write(w io.Writer) error {
	var b strings.Builder
	widths := t.widths()
	for _, r := range t.rows {
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			switch {
			case i < t.numbers:
				b.WriteString(pad + c)
			case i < len(r)-1:
				b.WriteString(c + pad)
			default:
				b.WriteString(c)
			}
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", tableGap))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
