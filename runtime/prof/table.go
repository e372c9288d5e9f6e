package prof

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	tableWidth = 150 // columns that lines keep to
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

// Table writes the steps, the slowest first where sorted, and sums by operator. top bounds the steps shown; 0 shows all. Long names are
// shortened in the middle, so that lines keep to 150 columns; Steps has them in full.
func (p *Profile) Table(w io.Writer, sorted bool, top int) error {
	steps := p.Steps()
	byOp := map[string]float64{}
	count := map[string]int{}
	for _, s := range steps {
		byOp[s.Op] += s.Share
		count[s.Op]++
	}
	if sorted {
		slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(b.Share, a.Share) })
	}
	if top > 0 && top < len(steps) {
		steps = steps[:top]
	}
	percent := func(x float64) string {
		if x == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f %%", 100*x)
	}
	t := table{numbers: 7}
	t.add("ms", "share", "GOP/s", "of peak", "GB/s", "bytes", "of bound", "bound", "kernel", "operator", "layer", "output")
	for _, s := range steps {
		rate, bound := "", s.Bound
		if s.MACs > 0 {
			rate = fmt.Sprintf("%.2f", s.GOPs)
		}
		if bound == "memory" {
			bound = s.Level
		}
		t.add(fmt.Sprintf("%.4f", s.MedianMS), fmt.Sprintf("%.1f %%", 100*s.Share), rate, percent(s.ShareOfPeak), fmt.Sprintf("%.2f", s.GBs), fmt.Sprint(s.Bytes),
			percent(s.ShareOfBound), bound, strings.Join(s.Kernels, " "), s.Op, s.Name, s.Output)
	}
	t.fit(tableWidth, 8, 9, 10, 11)
	if err := t.write(w); err != nil {
		return err
	}
	ops := make([]string, 0, len(byOp))
	for op := range byOp {
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b string) int { return cmp.Or(cmp.Compare(byOp[b], byOp[a]), cmp.Compare(a, b)) })
	t = table{numbers: 2}
	t.add("share", "layers", "operator")
	for _, op := range ops {
		t.add(fmt.Sprintf("%.1f %%", 100*byOp[op]), fmt.Sprint(count[op]), op)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w)
}
