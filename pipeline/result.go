package pipeline

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// ResultSchema is the schema of a Result.
const ResultSchema = "edgerun.result/1"

// Result is what a pipeline found. Kind says which field holds it: classes, boxes, mask, lines, text, embedding, values or
// frames. Places are pixels of the source picture, pixel i covering [i, i+1); times are seconds.
type Result struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	// Width and Height of the source picture, after orientation; 0 where there is none.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`

	Classes   []Class   `json:"classes,omitempty"`
	Boxes     []Box     `json:"boxes,omitempty"`
	Mask      *Mask     `json:"mask,omitempty"`
	Lines     []Line    `json:"lines,omitempty"`
	Text      *Reading  `json:"text,omitempty"`
	Embedding []float32 `json:"embedding,omitempty"`
	Values    []float32 `json:"values,omitempty"`
	Frames    []Frame   `json:"frames,omitempty"`
	Spans     []Span    `json:"spans,omitempty"`
}

// Class is one class with its score.
type Class struct {
	Index int     `json:"class"`
	Label string  `json:"label,omitempty"`
	Score float32 `json:"score"`
}

// Box is a detected object.
type Box struct {
	X0    float32 `json:"x0"`
	Y0    float32 `json:"y0"`
	X1    float32 `json:"x1"`
	Y1    float32 `json:"y1"`
	Score float32 `json:"score"`
	Class int     `json:"class"`
	Label string  `json:"label,omitempty"`
}

// Mask is a class per pixel of the model's output, rows from top to bottom; in JSON base64.
type Mask struct {
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Classes []byte `json:"classes"`
	// Shares are the classes' parts of the area, largest first.
	Shares []Class `json:"shares"`
}

// Line is a text box, corners clockwise from the upper left, and what stands in it where that was read.
type Line struct {
	Corners  [4][2]float64 `json:"corners"`
	BoxScore float32       `json:"box_score"`
	// Turned is how far, clockwise in degrees, the line was turned before reading.
	Turned int     `json:"turned,omitempty"`
	Text   string  `json:"text,omitempty"`
	Score  float32 `json:"score,omitempty"`
}

// Reading is a line that was read.
type Reading struct {
	Text  string  `json:"text"`
	Score float32 `json:"score"`
}

// Frame is what was found in one piece of sound.
type Frame struct {
	Start   float64   `json:"start_s"`
	End     float64   `json:"end_s"`
	Values  []float32 `json:"values,omitempty"`
	Classes []Class   `json:"classes,omitempty"`
	Text    *Reading  `json:"text,omitempty"`
}

// Span is a stretch of time.
type Span struct {
	Start float64 `json:"start_s"`
	End   float64 `json:"end_s"`
}

// shownValues bounds the values of one vector in the text form.
const shownValues = 16

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	switch r.Kind {
	case "classes":
		writeClasses(b, r.Classes, "")
	case "boxes":
		if len(r.Boxes) == 0 {
			fmt.Fprintln(b, "nothing found")
		}
		for _, x := range r.Boxes {
			fmt.Fprintf(b, "%5.1f %%  %s  (%.0f, %.0f) to (%.0f, %.0f)\n", 100*x.Score, name(x.Class, x.Label), x.X0, x.Y0, x.X1, x.Y1)
		}
	case "mask":
		fmt.Fprintf(b, "%d x %d pixels\n", r.Mask.Width, r.Mask.Height)
		writeClasses(b, r.Mask.Shares, "")
	case "lines":
		if len(r.Lines) == 0 {
			fmt.Fprintln(b, "no text found")
		}
		for _, l := range r.Lines {
			if l.Text != "" {
				fmt.Fprintln(b, l.Text)
				continue
			}
			fmt.Fprintf(b, "%5.1f %%  text at", 100*l.BoxScore)
			for _, c := range l.Corners {
				fmt.Fprintf(b, " (%.0f, %.0f)", c[0], c[1])
			}
			fmt.Fprintln(b)
		}
	case "text":
		fmt.Fprintf(b, "%s\n", r.Text.Text)
	case "embedding":
		fmt.Fprintf(b, "%d values:", len(r.Embedding))
		writeValues(b, r.Embedding)
	case "values":
		writeValues(b, r.Values)
	case "frames":
		for _, f := range r.Frames {
			fmt.Fprintf(b, "%8.3f s", f.Start)
			switch {
			case f.Text != nil:
				fmt.Fprintf(b, " %s\n", f.Text.Text)
			case f.Classes != nil:
				fmt.Fprintln(b)
				writeClasses(b, f.Classes, "    ")
			default:
				writeValues(b, f.Values)
			}
		}
		for _, s := range r.Spans {
			fmt.Fprintf(b, "from %.3f s to %.3f s\n", s.Start, s.End)
		}
	}
	return b.Flush()
}

func writeClasses(b *bufio.Writer, list []Class, indent string) {
	if len(list) == 0 {
		fmt.Fprintf(b, "%sno class\n", indent)
	}
	shares := !slices.ContainsFunc(list, func(c Class) bool { return !(c.Score >= 0 && c.Score <= 1) })
	for _, c := range list {
		if shares {
			fmt.Fprintf(b, "%s%5.1f %%  %s\n", indent, 100*c.Score, name(c.Index, c.Label))
		} else {
			fmt.Fprintf(b, "%s%8.4g  %s\n", indent, c.Score, name(c.Index, c.Label))
		}
	}
}

func writeValues(b *bufio.Writer, v []float32) {
	for i, x := range v {
		if i == shownValues {
			fmt.Fprintf(b, " … (%d in all)", len(v))
			break
		}
		fmt.Fprintf(b, " %.5g", x)
	}
	fmt.Fprintln(b)
}

func name(index int, label string) string {
	if label == "" {
		return "class " + strconv.Itoa(index)
	}
	return label
}
