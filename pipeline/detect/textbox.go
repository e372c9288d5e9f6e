package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Point is a place in a picture; pixel i covers [i, i+1).
type Point struct{ X, Y float64 }

// TextBox is a rectangle of any direction that holds text: corners clockwise from the upper left.
type TextBox struct {
	Corners [4]Point
	Score   float32
}

// TextMap says how the probability map of a text detector becomes boxes (DB: differentiable binarisation).
type TextMap struct {
	Threshold float32 `json:"threshold"`            // pixels above it are text (0.3)
	Box       float32 `json:"box_threshold"`        // least mean probability inside a box (0.5)
	Unclip    float64 `json:"unclip"`               // how far boxes grow: area*unclip/perimeter (1.6)
	MinSize   float64 `json:"min_size,omitempty"`   // least shorter side before growing, pixels; 0 means 3
	Dilate    bool    `json:"dilate,omitempty"`     // each text pixel also sets its left, upper and upper-left neighbours
	Limit     int     `json:"candidates,omitempty"` // components looked at; 0 means 1000
}

// Validate checks the fields; errors name them.
func (m *TextMap) Validate() error {
	switch {
	case !(m.Threshold >= 0 && m.Threshold <= 1):
		return fmt.Errorf("threshold: %v, want 0 to 1", m.Threshold)
	case !(m.Box >= 0 && m.Box <= 1):
		return fmt.Errorf("box_threshold: %v, want 0 to 1", m.Box)
	case !(m.Unclip >= 0 && m.Unclip <= 10):
		return fmt.Errorf("unclip: %v, want 0 to 10", m.Unclip)
	case !(m.MinSize >= 0 && m.MinSize <= 1e6):
		return fmt.Errorf("min_size: %v is not possible", m.MinSize)
	case m.Limit < 0:
		return fmt.Errorf("candidates: %d is not possible", m.Limit)
	}
	return nil
}

// Boxes finds the text boxes of prob, h rows of w probabilities, in reading order (see SortLines), in pixels of the map:
//
//  1. text = prob > Threshold, dilated where asked for;
//  2. components of text pixels, 8-connected, in the order of their first pixel;
//  3. of each, the rectangle of least area around its pixel centres (ties: the first edge of the hull that gives it);
//  4. left out where the shorter side is below MinSize or the mean of prob over the pixels whose centres lie in the
//     rectangle is below Box;
//  5. every side moves out by area*Unclip/perimeter; left out where the shorter side is then below MinSize+2;
//  6. plus half a pixel, because centres become places; clipped to the map.
func (m *TextMap) Boxes(prob []float32, w, h int) ([]TextBox, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if w <= 0 || h <= 0 || len(prob) != w*h {
		return nil, fmt.Errorf("text map: %d values for %dx%d", len(prob), w, h)
	}
	minSize, limit := m.MinSize, m.Limit
	if minSize == 0 {
		minSize = 3
	}
	if limit == 0 {
		limit = 1000
	}
	text := make([]uint8, w*h)
	for y := range h {
		for x := range w {
			if prob[y*w+x] > m.Threshold {
				text[y*w+x] = isText
				if m.Dilate {
					x1, y1 := max(x-1, 0), max(y-1, 0)
					text[y*w+x1], text[y1*w+x], text[y1*w+x1] = isText, isText, isText
				}
			}
		}
	}
	var list []TextBox
	for _, edge := range components(text, w, h, limit) {
		r, ok := minRect(hull(edge))
		if !ok || min(r.w, r.h) < minSize {
			continue
		}
		score := r.mean(prob, w, h)
		if score < m.Box {
			continue
		}
		r = r.grow(r.w * r.h * m.Unclip / (2 * (r.w + r.h)))
		if min(r.w, r.h) < minSize+2 {
			continue
		}
		b := TextBox{Corners: upright(r.corners()), Score: score}
		for i, p := range b.Corners {
			b.Corners[i] = Point{min(max(p.X+0.5, 0), float64(w)), min(max(p.Y+0.5, 0), float64(h))}
		}
		list = append(list, b)
	}
	SortLines(list)
	return list, nil
}

// States of a pixel in components.
const (
	isText = 1
	isSeen = 2 // text, and part of a component already
)

// components returns, for up to limit components, the pixels at the ends of their runs: enough for the hull.
func components(text []uint8, w, h, limit int) [][]Point {
	var list [][]Point
	var stack []int
	for start := range text {
		if text[start] != isText {
			continue
		}
		if len(list) == limit {
			break
		}
		var edge []Point
		stack = append(stack[:0], start)
		text[start] = isSeen
		for len(stack) > 0 {
			p := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := p%w, p/w
			if x == 0 || x == w-1 || text[p-1] == 0 || text[p+1] == 0 {
				edge = append(edge, Point{float64(x), float64(y)})
			}
			for ny := max(y-1, 0); ny <= min(y+1, h-1); ny++ {
				for nx := max(x-1, 0); nx <= min(x+1, w-1); nx++ {
					if q := ny*w + nx; text[q] == isText {
						text[q] = isSeen
						stack = append(stack, q)
					}
				}
			}
		}
		list = append(list, edge)
	}
	return list
}

// hull is the convex hull, by Andrew's monotone chain, in the order of increasing angle of its edges, from the leftmost
// (then uppermost) point.
func hull(pts []Point) []Point {
	slices.SortFunc(pts, func(a, b Point) int {
		if c := cmp.Compare(a.X, b.X); c != 0 {
			return c
		}
		return cmp.Compare(a.Y, b.Y)
	})
	cross := func(o, a, b Point) float64 {
		return float64((a.X-o.X)*(b.Y-o.Y)) - float64((a.Y-o.Y)*(b.X-o.X))
	}
	if len(pts) < 3 {
		return pts
	}
	chain := func(next func(i int) Point) []Point {
		var c []Point
		for i := range pts {
			p := next(i)
			for len(c) >= 2 && cross(c[len(c)-2], c[len(c)-1], p) <= 0 {
				c = c[:len(c)-1]
			}
			c = append(c, p)
		}
		return c[:len(c)-1]
	}
	lower := chain(func(i int) Point { return pts[i] })
	upper := chain(func(i int) Point { return pts[len(pts)-1-i] })
	return append(lower, upper...)
}

// rect is a rectangle with corner o, unit direction (ux, uy) along its width w, and height h along (-uy, ux).
type rect struct {
	o            Point
	ux, uy, w, h float64
}

// minRect is the rectangle of least area around a convex hull; one of its sides lies on an edge of the hull.
func minRect(hull []Point) (rect, bool) {
	var best rect
	found := false
	for i := range hull {
		a, b := hull[i], hull[(i+1)%len(hull)]
		d := math.Sqrt(float64((b.X-a.X)*(b.X-a.X)) + float64((b.Y-a.Y)*(b.Y-a.Y)))
		if d == 0 {
			continue
		}
		ux, uy := (b.X-a.X)/d, (b.Y-a.Y)/d
		lo, hi, top := math.Inf(1), math.Inf(-1), 0.0
		for _, p := range hull {
			s := float64((p.X-a.X)*ux) + float64((p.Y-a.Y)*uy)
			t := float64((p.Y-a.Y)*ux) - float64((p.X-a.X)*uy)
			lo, hi, top = min(lo, s), max(hi, s), max(top, t)
		}
		r := rect{Point{a.X + float64(lo*ux), a.Y + float64(lo*uy)}, ux, uy, hi - lo, top}
		if !found || r.w*r.h < best.w*best.h {
			best, found = r, true
		}
	}
	return best, found
}

func (r rect) grow(d float64) rect {
	r.o.X += float64(d * (r.uy - r.ux))
	r.o.Y -= float64(d * (r.ux + r.uy))
	r.w, r.h = r.w+2*d, r.h+2*d
	return r
}

func (r rect) corners() [4]Point {
	at := func(s, t float64) Point {
		return Point{r.o.X + float64(s*r.ux) - float64(t*r.uy), r.o.Y + float64(s*r.uy) + float64(t*r.ux)}
	}
	return [4]Point{at(0, 0), at(r.w, 0), at(r.w, r.h), at(0, r.h)}
}

// mean is the mean of prob over the pixels whose centres lie in r, edges included.
func (r rect) mean(prob []float32, w, h int) float32 {
	c := r.corners()
	x0, y0, x1, y1 := c[0].X, c[0].Y, c[0].X, c[0].Y
	for _, p := range c {
		x0, y0, x1, y1 = min(x0, p.X), min(y0, p.Y), max(x1, p.X), max(y1, p.Y)
	}
	const eps = 1e-6
	var sum float64
	n := 0
	for y := max(int(y0), 0); y <= min(int(math.Ceil(y1)), h-1); y++ {
		for x := max(int(x0), 0); x <= min(int(math.Ceil(x1)), w-1); x++ {
			dx, dy := float64(x)-r.o.X, float64(y)-r.o.Y
			s, t := float64(dx*r.ux)+float64(dy*r.uy), float64(dy*r.ux)-float64(dx*r.uy)
			if s >= -eps && s <= r.w+eps && t >= -eps && t <= r.h+eps {
				sum += float64(prob[y*w+x])
				n++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return float32(sum / float64(n))
}

// upright turns the list of corners, clockwise on the screen, so that it begins at the upper left: of the two leftmost
// corners the upper one.
func upright(c [4]Point) [4]Point {
	idx := []int{0, 1, 2, 3}
	slices.SortStableFunc(idx, func(a, b int) int { return cmp.Compare(c[a].X, c[b].X) })
	first := idx[0]
	if c[idx[1]].Y < c[first].Y {
		first = idx[1]
	}
	return [4]Point{c[first], c[(first+1)%4], c[(first+2)%4], c[(first+3)%4]}
}

// SortLines puts boxes into reading order: by the upper edge; boxes whose upper left corner lies less than half the lower
// box's height below that of the line's first box are one line, from left to right.
func SortLines(list []TextBox) {
	slices.SortStableFunc(list, func(a, b TextBox) int { return cmp.Compare(a.Corners[0].Y, b.Corners[0].Y) })
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Corners[0].Y-list[i].Corners[0].Y < list[j].height()/2 {
			j++
		}
		slices.SortStableFunc(list[i:j], func(a, b TextBox) int { return cmp.Compare(a.Corners[0].X, b.Corners[0].X) })
		i = j
	}
}

func (b *TextBox) height() float64 {
	return math.Hypot(b.Corners[3].X-b.Corners[0].X, b.Corners[3].Y-b.Corners[0].Y)
}
