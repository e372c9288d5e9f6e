package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNMS(t *testing.T) {
	a := Box{0, 0, 10, 10, 0.9, 0}
	b := Box{1, 1, 11, 11, 0.8, 0} // IoU with a: 81/119
	c := Box{1, 1, 11, 11, 0.8, 1}
	d := Box{20, 20, 30, 30, 0.95, 0}
	e := Box{0, 0, 10, 10, 0.9, 2}
	for _, x := range []struct {
		name              string
		in                []Box
		iou               float32
		agnostic          bool
		candidates, limit int
		want              []Box
	}{
		{"same class", []Box{b, a, d}, 0.5, false, 0, 0, []Box{d, a}},
		{"loose", []Box{b, a, d}, 0.7, false, 0, 0, []Box{d, a, b}},
		{"exactly the threshold stays", []Box{a, b}, 81.0 / 119, false, 0, 0, []Box{a, b}},
		{"other class", []Box{c, a}, 0.5, false, 0, 0, []Box{a, c}},
		{"agnostic", []Box{c, a}, 0.5, true, 0, 0, []Box{a}},
		{"ties keep their order", []Box{e, a}, 0.5, true, 0, 0, []Box{e}},
		{"candidates", []Box{b, a, d}, 0.9, false, 2, 0, []Box{d, a}},
		{"limit", []Box{b, a, d}, 0.9, false, 0, 1, []Box{d}},
		{"none", nil, 0.5, false, 0, 0, nil},
	} {
		if got := NMS(x.in, x.iou, x.agnostic, x.candidates, x.limit); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
	if got := IoU(&a, &d); got != 0 {
		t.Errorf("IoU of distant boxes: %v", got)
	}
	empty := Box{5, 5, 5, 5, 1, 0}
	if got := IoU(&empty, &empty); got != 0 {
		t.Errorf("IoU of empty boxes: %v", got)
	}
}

func near(a, b []Box) bool {
	return slices.EqualFunc(a, b, func(x, y Box) bool {
		d := func(p, q float32) bool { return math.Abs(float64(p-q)) < 1e-3 }
		return d(x.X0, y.X0) && d(x.Y0, y.Y0) && d(x.X1, y.X1) && d(x.Y1, y.Y1) && d(x.Score, y.Score) && x.Class == y.Class
	})
}

func out(name string, data []float32, shape ...int) Output { return Output{name, shape, data} }

func TestHeads(t *testing.T) {
	lg := func(p float64) float32 { return float32(math.Log(p / (1 - p))) }
	for _, c := range []struct {
		name string
		head Head
		outs []Output
		want []Box
	}{
		{"ultraface", Head{Kind: "boxes", Relative: true, Background: "first", Threshold: 0.5},
			[]Output{out("scores", []float32{.9, .1, .2, .8}, 1, 2, 2), out("boxes", []float32{0, 0, 1, 1, .25, .5, .75, 1}, 1, 2, 4)},
			[]Box{{50, 50, 150, 100, .8, 0}}},
		{"detr", Head{Kind: "boxes", Format: "cxcywh", Relative: true, Background: "last", Activation: "softmax", Threshold: 0.5, Best: true},
			[]Output{out("logits", []float32{0, 9, 0, 0, 0, 9}, 1, 2, 3), out("boxes", []float32{.5, .5, .5, .5, .1, .1, .1, .1}, 1, 2, 4)},
			[]Box{{50, 25, 150, 75, .99975, 1}}},
		{"two classes of one box", Head{Kind: "boxes", Threshold: 0.3, Activation: "sigmoid"},
			[]Output{out("boxes", []float32{1, 2, 3, 4}, 1, 1, 4), out("scores", []float32{lg(.6), lg(.1), lg(.4)}, 1, 1, 3)},
			[]Box{{1, 2, 3, 4, .6, 0}, {1, 2, 3, 4, .4, 2}}},
		{"ssd", Head{Kind: "ssd", Relative: true, Threshold: 0.5, Background: "first", Priors: []float32{.5, .5, .2, .4, 0, 0, 1, 1}},
			[]Output{out("loc", []float32{1, -1, 0, 5 * float32(math.Log(2)), 0, 0, 0, 0}, 1, 2, 4), out("conf", []float32{.1, .9, .8, .2}, 1, 2, 2)},
			[]Box{{84, 6, 124, 86, .9, 0}}},
		{"yolov5", Head{Kind: "yolov5", Threshold: 0.3, Best: true},
			[]Output{out("o", []float32{10, 20, 4, 6, .5, .2, .8, 10, 20, 4, 6, .9, .2, .8}, 1, 2, 7)},
			[]Box{{8, 17, 12, 23, .4, 1}, {8, 17, 12, 23, .72, 1}}},
		{"yolov8", Head{Kind: "yolov8", Threshold: 0.3, Best: true}, // columns
			[]Output{out("o", []float32{
				10, 1, 1, 1, 1, 1, 1,
				20, 1, 1, 1, 1, 1, 1,
				4, 1, 1, 1, 1, 1, 1,
				6, 1, 1, 1, 1, 1, 1,
				.1, 0, 0, 0, 0, 0, 0,
				.7, 0, 0, 0, 0, 0, .2}, 1, 6, 7)},
			[]Box{{8, 17, 12, 23, .7, 1}}},
		{"yolox", Head{Kind: "yolox", Threshold: 0.5, Best: true, Strides: []int{100}},
			[]Output{out("o", []float32{0, 0, 0, 0, 0, 0, .5, .5, 0, float32(math.Log(.5)), 1, .9}, 1, 2, 6)},
			[]Box{{100, 25, 200, 75, .9, 0}}},
		{"final", Head{Kind: "final", Threshold: 0.5},
			[]Output{out("o", []float32{1, 2, 3, 4, .9, 7, 1, 2, 3, 4, .1, 7, 0, 0, 1, 1, .5, float32(math.NaN())}, 1, 3, 6)},
			[]Box{{1, 2, 3, 4, .9, 7}, {0, 0, 1, 1, .5, -1}}},
		{"tflite", Head{Kind: "tflite", Threshold: 0.5},
			[]Output{out("b", []float32{.1, .2, .3, .4, 0, 0, 1, 1, 0, 0, 1, 1}, 1, 3, 4), out("c", []float32{3, 4, 5}, 1, 3),
				out("s", []float32{.9, .4, .8}, 1, 3), out("n", []float32{2}, 1)},
			[]Box{{40, 10, 80, 30, .9, 3}}},
	} {
		got, err := c.head.Decode(c.outs, 200, 100)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !near(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHeadErrors(t *testing.T) {
	for want, c := range map[string]struct {
		head Head
		outs []Output
	}{
		"kind":       {Head{Kind: "yolo"}, nil},
		"format":     {Head{Kind: "boxes", Format: "xy"}, nil},
		"activation": {Head{Kind: "boxes", Activation: "relu"}, nil},
		"threshold":  {Head{Kind: "boxes", Threshold: float32(math.NaN())}, nil},
		"priors":     {Head{Kind: "ssd"}, nil},
		"prior_grid": {Head{Kind: "ssd", PriorGrid: &PriorGrid{Strides: []int{8}}}, nil},
		"variances":  {Head{Kind: "boxes", Variances: []float32{1}}, nil},
		"1 outputs":  {Head{Kind: "boxes"}, []Output{out("a", nil)}},
		"shape":      {Head{Kind: "yolov5"}, []Output{out("a", make([]float32, 24), 2, 2, 6)}},
		"rows of 5":  {Head{Kind: "final"}, []Output{out("a", make([]float32, 10), 1, 2, 5)}},
		"1 rows":     {Head{Kind: "yolox"}, []Output{out("a", make([]float32, 6), 1, 1, 6)}},
		"are 1":      {Head{Kind: "ssd", Priors: make([]float32, 4)}, []Output{out("b", make([]float32, 8), 1, 2, 4), out("s", make([]float32, 2), 1, 2, 1)}},
	} {
		if _, err := c.head.Decode(c.outs, 64, 64); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

// The RFB-320 face detector has 4420 priors at 320 x 240.
func TestPriorGrid(t *testing.T) {
	h := Head{PriorGrid: &PriorGrid{Strides: []int{8, 16, 32, 64}, Sizes: [][]float32{{10, 16, 24}, {32, 48}, {64, 96}, {128, 192, 256}}}}
	p := h.priors(320, 240)
	if len(p) != 4*4420 {
		t.Fatalf("%d priors, want 4420", len(p)/4)
	}
	if !slices.Equal(p[:4], []float32{0.5 / 40, 0.5 / 30, 10.0 / 320, 10.0 / 240}) {
		t.Errorf("first prior %v", p[:4])
	}
}

// paint sets the pixels whose centres lie within a rotated rectangle.
func paint(m []float32, w, h int, cx, cy, rw, rh, angle float64) {
	s, c := math.Sincos(angle)
	for y := range h {
		for x := range w {
			dx, dy := float64(x)+0.5-cx, float64(y)+0.5-cy
			if math.Abs(dx*c+dy*s) <= rw/2 && math.Abs(dy*c-dx*s) <= rh/2 {
				m[y*w+x] = 1
			}
		}
	}
}

func TestTextBoxes(t *testing.T) {
	const w, h = 200, 160
	m := TextMap{Threshold: 0.3, Box: 0.5}
	for _, angle := range []float64{0, 0.1, -0.2, 0.7, 1.2} {
		prob := make([]float32, w*h)
		paint(prob, w, h, 100, 80, 90, 20, angle)
		got, err := m.Boxes(prob, w, h)
		if err != nil || len(got) != 1 {
			t.Fatalf("angle %v: %v, %v", angle, got, err)
		}
		c := got[0].Corners
		mx, my := (c[0].X+c[1].X+c[2].X+c[3].X)/4, (c[0].Y+c[1].Y+c[2].Y+c[3].Y)/4
		a, b := math.Hypot(c[1].X-c[0].X, c[1].Y-c[0].Y), math.Hypot(c[2].X-c[1].X, c[2].Y-c[1].Y)
		if math.Abs(mx-100) > 1 || math.Abs(my-80) > 1 || math.Abs(max(a, b)-89) > 2 || math.Abs(min(a, b)-19) > 2 {
			t.Errorf("angle %v: centre (%.1f, %.1f), sides %.1f and %.1f", angle, mx, my, a, b)
		}
		// Clockwise from the upper left.
		if cross := (c[1].X-c[0].X)*(c[2].Y-c[1].Y) - (c[1].Y-c[0].Y)*(c[2].X-c[1].X); cross <= 0 {
			t.Errorf("angle %v: corners %v are not clockwise", angle, c)
		}
		if got[0].Score < 0.95 {
			t.Errorf("angle %v: score %v", angle, got[0].Score)
		}
	}
}

func TestTextBoxRules(t *testing.T) {
	const w, h = 100, 60
	prob := make([]float32, w*h)
	fill := func(x0, y0, x1, y1 int, v float32) {
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				prob[y*w+x] = v
			}
		}
	}
	fill(50, 10, 91, 21, 0.9) // the second on the first line
	fill(5, 12, 46, 23, 0.8)
	fill(5, 40, 46, 51, 0.45)  // mean below Box
	fill(60, 40, 63, 55, 0.9)  // too thin: 2 between centres
	fill(80, 45, 96, 56, 0.31) // weak
	m := TextMap{Threshold: 0.3, Box: 0.5, Unclip: 1.5}
	got, err := m.Boxes(prob, w, h)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Corners[0].X > 6 || got[1].Corners[0].X < 40 {
		t.Fatalf("boxes %v", got)
	}
	// Sides 40 and 10 between centres grow by 400*1.5/100 = 6 each way; clipped at the left edge.
	want := [4]Point{{0, 6.5}, {51.5, 6.5}, {51.5, 28.5}, {0, 28.5}}
	for i, p := range got[0].Corners {
		if math.Abs(p.X-want[i].X) > 1e-9 || math.Abs(p.Y-want[i].Y) > 1e-9 {
			t.Errorf("corner %d at %v, want %v", i, p, want[i])
		}
	}
	if math.Abs(float64(got[0].Score)-0.8) > 1e-6 {
		t.Errorf("score %v, want 0.8", got[0].Score)
	}
	m.Limit = 1
	if got, _ := m.Boxes(prob, w, h); len(got) != 1 {
		t.Errorf("%d boxes with one candidate", len(got))
	}
	if _, err := m.Boxes(prob, w, h+1); err == nil {
		t.Error("a map of the wrong size was accepted")
	}
	for field, bad := range map[string]TextMap{"threshold": {Threshold: 2}, "box": {Box: -1}, "unclip": {Unclip: math.NaN()}, "min_size": {MinSize: -1}, "candidates": {Limit: -1}} {
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestDilateJoins(t *testing.T) {
	const w, h = 60, 20
	prob := make([]float32, w*h)
	for y := 5; y < 15; y++ {
		for x := 5; x < 55; x++ {
			if x != 30 {
				prob[y*w+x] = 1
			}
		}
	}
	for dilate, want := range map[bool]int{false: 2, true: 1} {
		m := TextMap{Threshold: 0.3, Box: 0.5, Unclip: 1, Dilate: dilate}
		if got, _ := m.Boxes(prob, w, h); len(got) != want {
			t.Errorf("dilate %v: %d boxes, want %d", dilate, len(got), want)
		}
	}
}

// The rectangle of least area holds all points and is no larger than any that a turn of 0.5 degrees finds.
func TestMinRect(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		pts := make([]Point, 3+rng.IntN(40))
		for i := range pts {
			pts[i] = Point{float64(rng.IntN(60)), float64(rng.IntN(30))}
		}
		r, ok := minRect(hull(slices.Clone(pts)))
		if !ok {
			t.Fatal("no rectangle")
		}
		for _, p := range pts {
			dx, dy := p.X-r.o.X, p.Y-r.o.Y
			s, u := dx*r.ux+dy*r.uy, dy*r.ux-dx*r.uy
			if s < -1e-9 || s > r.w+1e-9 || u < -1e-9 || u > r.h+1e-9 {
				t.Fatalf("point %v lies outside %v", p, r)
			}
		}
		for a := 0.0; a < 180; a += 0.5 {
			s, c := math.Sincos(a * math.Pi / 180)
			x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
			for _, p := range pts {
				u, v := p.X*c+p.Y*s, p.Y*c-p.X*s
				x0, x1, y0, y1 = min(x0, u), max(x1, u), min(y0, v), max(y1, v)
			}
			if (x1-x0)*(y1-y0) < r.w*r.h-1e-6 {
				t.Fatalf("area %v at %v degrees, the least should be %v", (x1-x0)*(y1-y0), a, r.w*r.h)
			}
		}
	}
}

func TestDecodeLists(t *testing.T) {
	h := Head{Kind: "lists", Threshold: 0.5}
	boxes := Output{Name: "b", Shape: []int{2, 4}, Data: []float32{1, 2, 3, 4, 5, 6, 7, 8}}
	got, err := h.Decode([]Output{boxes, {Name: "l", Shape: []int{2}, Data: []float32{17, 3}}, {Name: "s", Shape: []int{2}, Data: []float32{0.4, 0.9}}}, 100, 100)
	if err != nil || len(got) != 1 || got[0].Class != 3 || got[0].X0 != 5 || got[0].Score != 0.9 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := h.Decode([]Output{boxes, {Name: "l", Shape: []int{1}, Data: []float32{1}}, {Name: "s", Shape: []int{2}, Data: []float32{1, 1}}}, 100, 100); err == nil {
		t.Error("lists of different lengths are read")
	}
}

// Values after the classes of a row are not scores.
func TestDecodeClasses(t *testing.T) {
	o := Output{Name: "o", Shape: []int{1, 7, 8}, Data: make([]float32, 56)}
	o.Data[4*8+2], o.Data[6*8+2] = 0.5, 90 // one of two classes, and a key point
	got, err := (&Head{Kind: "yolov8", Threshold: 0.25, Best: true, Classes: 2}).Decode([]Output{o}, 100, 100)
	if err != nil || len(got) != 1 || got[0].Class != 0 || got[0].Score != 0.5 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (&Head{Kind: "yolov8", Classes: 4}).Decode([]Output{o}, 100, 100); err == nil {
		t.Error("more classes than a row has")
	}
}
