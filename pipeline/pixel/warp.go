package pixel

import (
	"fmt"
	"math"
)

// Point is a place in a picture, in continuous coordinates: pixel i covers [i, i+1).
type Point struct{ X, Y float64 }

// Quad is a quadrilateral, clockwise from the corner that becomes the upper left.
type Quad [4]Point

// Size is the extent of the upright picture that q becomes: the longer of each pair of opposite sides, rounded
// half up, at least 1.
func (q Quad) Size() (w, h int) {
	d := func(a, b Point) float64 { return math.Hypot(b.X-a.X, b.Y-a.Y) }
	w = int(max(d(q[0], q[1]), d(q[3], q[2])) + 0.5)
	h = int(max(d(q[1], q[2]), d(q[0], q[3])) + 0.5)
	return max(w, 1), max(h, 1)
}

// Grow moves every side outwards by part of the shorter of the quadrilateral's two extents (see Size): each corner goes that
// far along both of its sides' directions.
func (q Quad) Grow(part float64) Quad {
	w, h := q.Size()
	d := float64(part * float64(min(w, h)))
	r := q
	for i := range q {
		for _, k := range []int{(i + 1) % 4, (i + 3) % 4} {
			dx, dy := q[i].X-q[k].X, q[i].Y-q[k].Y
			if n := math.Sqrt(float64(dx*dx) + float64(dy*dy)); n > 0 {
				r[i].X += float64(d*dx) / n
				r[i].Y += float64(d*dy) / n
			}
		}
	}
	return r
}

// Warp takes the quadrilateral q of m to an upright picture of w by h pixels by the perspective transform that maps
// (0,0), (w,0), (w,h), (0,h) to the corners of q. Each pixel centre is sampled bicubically (a = -0.5, 16 taps,
// float64, rounded half up); outside the picture the border pixels repeat.
func Warp(m *Image, q Quad, w, h int, lim Limits) (*Image, error) {
	if err := lim.Check(w, h); err != nil {
		return nil, fmt.Errorf("warp: %w", err)
	}
	t, err := homography(q)
	if err != nil {
		return nil, err
	}
	r := New(w, h)
	for y := range h {
		for x := range w {
			u, v := (float64(x)+0.5)/float64(w), (float64(y)+0.5)/float64(h)
			d := float64(t[6]*u) + float64(t[7]*v) + 1
			sx := (float64(t[0]*u) + float64(t[1]*v) + t[2]) / d
			sy := (float64(t[3]*u) + float64(t[4]*v) + t[5]) / d
			sampleCubic(r.Pix[3*(y*w+x):3*(y*w+x)+3], m, sx-0.5, sy-0.5)
		}
	}
	return r, nil
}

// homography returns the transform from the unit square to q, as in Heckbert's thesis: x = (t0 u + t1 v + t2) /
// (t6 u + t7 v + 1), y = (t3 u + t4 v + t5) / (the same).
func homography(q Quad) ([8]float64, error) {
	for _, p := range q {
		if math.IsNaN(p.X+p.Y) || math.IsInf(p.X+p.Y, 0) {
			return [8]float64{}, fmt.Errorf("warp: corner at %v", p)
		}
	}
	dx1, dx2, dx3 := q[1].X-q[2].X, q[3].X-q[2].X, q[0].X-q[1].X+q[2].X-q[3].X
	dy1, dy2, dy3 := q[1].Y-q[2].Y, q[3].Y-q[2].Y, q[0].Y-q[1].Y+q[2].Y-q[3].Y
	det := float64(dx1*dy2) - float64(dx2*dy1)
	if det == 0 {
		return [8]float64{}, fmt.Errorf("warp: quadrilateral %v has no area", q)
	}
	g := (float64(dx3*dy2) - float64(dx2*dy3)) / det
	k := (float64(dx1*dy3) - float64(dx3*dy1)) / det
	return [8]float64{
		q[1].X - q[0].X + float64(g*q[1].X), q[3].X - q[0].X + float64(k*q[3].X), q[0].X,
		q[1].Y - q[0].Y + float64(g*q[1].Y), q[3].Y - q[0].Y + float64(k*q[3].Y), q[0].Y,
		g, k,
	}, nil
}

func sampleCubic(dst []byte, m *Image, x, y float64) {
	x = min(max(x, -2), float64(m.W)+1)
	y = min(max(y, -2), float64(m.H)+1)
	fx, fy := math.Floor(x), math.Floor(y)
	var wx, wy [4]float64
	for k := range 4 {
		wx[k] = cubic(float64(k-1) - (x - fx))
		wy[k] = cubic(float64(k-1) - (y - fy))
	}
	var acc [3]float64
	for j := range 4 {
		sy := min(max(int(fy)+j-1, 0), m.H-1)
		var row [3]float64
		for i := range 4 {
			sx := min(max(int(fx)+i-1, 0), m.W-1)
			p := m.Pix[3*(sy*m.W+sx):]
			for c := range 3 {
				row[c] += float64(float64(p[c]) * wx[i])
			}
		}
		for c := range 3 {
			acc[c] += float64(row[c] * wy[j])
		}
	}
	for c := range 3 {
		dst[c] = byte(min(max(math.Floor(acc[c]+0.5), 0), 255))
	}
}

// Rotate turns m clockwise by 90, 180 or 270 degrees.
func Rotate(m *Image, degrees int) *Image {
	switch degrees {
	case 90:
		return Orient(m, 6)
	case 180:
		return Orient(m, 3)
	case 270:
		return Orient(m, 8)
	}
	return m
}
