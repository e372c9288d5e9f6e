package detect

import (
	"fmt"
	"math"
	"slices"
)

// Head says how a detector's outputs are to be read.
type Head struct {
	// Kind is one of HeadKinds.
	Kind string `json:"kind"`
	// Format of the boxes: xyxy, cxcywh, yxyx or xywh (corner and size); "" takes the kind's usual one.
	Format string `json:"format,omitempty"`
	// Relative boxes are fractions of the input's width and height, else pixels of the input.
	Relative bool `json:"relative,omitempty"`
	// Activation on class scores: none (default), sigmoid or softmax.
	Activation string `json:"activation,omitempty"`
	// Background is the class that means nothing is there: none (default), first or last. It is left out and the
	// classes after it count from 0.
	Background string `json:"background,omitempty"`
	// Threshold is the least score that is kept.
	Threshold float32 `json:"threshold"`
	// Best keeps only the best class of each box; else every class over the threshold makes a box.
	Best bool `json:"best,omitempty"`
	// Classes is the number of classes in a row of a yolo head; values after them (key points, masks, angles) are not looked
	// at. 0 takes all.
	Classes int `json:"classes,omitempty"`
	// Variances of an ssd head: for centre x, y, width, height. Empty means 0.1, 0.1, 0.2, 0.2.
	Variances []float32 `json:"variances,omitempty"`
	// Priors of an ssd head: cx, cy, w, h each, in the unit that Relative says.
	Priors []float32 `json:"priors,omitempty"`
	// PriorGrid makes the priors instead.
	PriorGrid *PriorGrid `json:"prior_grid,omitempty"`
	// Strides of a yolox head; empty means 8, 16, 32.
	Strides []int `json:"strides,omitempty"`
}

// HeadKinds lists the kinds:
//
//   - boxes: boxes [1,N,4] and class scores [1,N,C] in two outputs, boxes ready (Ultraface, DETR)
//   - ssd: the same, boxes as offsets from priors
//   - yolov5: one output [1,N,5+C]: cx, cy, w, h, objectness, class scores; score = objectness * class score
//   - yolov8: one output [1,4+C,N]: cx, cy, w, h, class scores; [1,N,4+C] too
//   - yolox: as yolov5, boxes relative to a grid cell: ((tx+gx)*s, (ty+gy)*s, exp(tw)*s, exp(th)*s)
//   - final: one output [1,N,6]: x0, y0, x1, y1, score, class (after suppression inside the model)
//   - lists: three outputs: boxes [N,4], classes [N], scores [N] (torchvision)
//   - tflite: four outputs: boxes [1,N,4] as yxyx, classes [1,N], scores [1,N], count [1] (TFLite_Detection_PostProcess)
var HeadKinds = []string{"boxes", "ssd", "yolov5", "yolov8", "yolox", "final", "lists", "tflite"}

// PriorGrid makes priors: for each level k, each cell (row by row) and each size, one square prior in the middle of the
// cell, with relative sizes and positions. This is how the SSD heads of small face detectors count their boxes.
type PriorGrid struct {
	Strides []int       `json:"strides"`
	Sizes   [][]float32 `json:"sizes"` // pixels, one list per stride
}

// maxPriors bounds the boxes of one picture.
const maxPriors = 1 << 20

// Outputs is the number of outputs that the head reads.
func (h *Head) Outputs() int {
	switch h.Kind {
	case "boxes", "ssd":
		return 2
	case "lists":
		return 3
	case "tflite":
		return 4
	}
	return 1
}

// Validate checks the fields; errors name them.
func (h *Head) Validate() error {
	for _, c := range []struct {
		field, v string
		list     []string
	}{
		{"kind", h.Kind, HeadKinds},
		{"format", h.Format, []string{"", "xyxy", "cxcywh", "yxyx", "xywh"}},
		{"activation", h.Activation, []string{"", "none", "sigmoid", "softmax"}},
		{"background", h.Background, []string{"", "none", "first", "last"}},
	} {
		if !slices.Contains(c.list, c.v) {
			return fmt.Errorf("%s: unknown %q, known: %q", c.field, c.v, c.list)
		}
	}
	if !(h.Threshold >= 0) {
		return fmt.Errorf("threshold: %v is not possible", h.Threshold)
	}
	if h.Classes < 0 || h.Classes > maxPriors {
		return fmt.Errorf("classes: %d is not possible", h.Classes)
	}
	if n := len(h.Variances); n != 0 && n != 4 {
		return fmt.Errorf("variances: %d values, want 4", n)
	}
	if len(h.Priors)%4 != 0 || len(h.Priors) > 4*maxPriors {
		return fmt.Errorf("priors: %d values", len(h.Priors))
	}
	if h.Kind == "ssd" && len(h.Priors) == 0 && h.PriorGrid == nil {
		return fmt.Errorf("priors: an ssd head needs priors or prior_grid")
	}
	if g := h.PriorGrid; g != nil {
		if len(g.Strides) != len(g.Sizes) || len(g.Strides) == 0 || len(g.Strides) > 64 {
			return fmt.Errorf("prior_grid: %d strides and %d lists of sizes", len(g.Strides), len(g.Sizes))
		}
		for i, s := range g.Strides {
			if s < 1 || len(g.Sizes[i]) == 0 || len(g.Sizes[i]) > 64 {
				return fmt.Errorf("prior_grid: stride %d with %d sizes", s, len(g.Sizes[i]))
			}
		}
	}
	for _, s := range h.Strides {
		if s < 1 {
			return fmt.Errorf("strides: %d is not possible", s)
		}
	}
	return nil
}

// Output is one output of the model as floats.
type Output struct {
	Name  string
	Shape []int
	Data  []float32
}

// Decode reads the boxes of one picture whose model input was w by h pixels, in pixels of that input, in the order of the
// model's rows and then classes. NaN scores are no boxes.
func (h *Head) Decode(outs []Output, w, hgt int) ([]Box, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	if len(outs) != h.Outputs() {
		return nil, fmt.Errorf("%s head: %d outputs, want %d", h.Kind, len(outs), h.Outputs())
	}
	switch h.Kind {
	case "boxes", "ssd":
		return h.decodePair(outs[0], outs[1], w, hgt)
	case "lists":
		return h.decodeLists(outs, w, hgt)
	case "tflite":
		return h.decodeTFLite(outs, w, hgt)
	}
	n, width, at, err := rows(outs[0], h.Kind == "yolov8")
	if err != nil {
		return nil, err
	}
	d := outs[0].Data
	var boxes []Box
	switch h.Kind {
	case "final":
		if width != 6 {
			return nil, fmt.Errorf("output %s: rows of %d, a final head has 6", outs[0].Name, width)
		}
		for i := range n {
			score := d[at(i, 4)]
			if score >= h.Threshold {
				b := h.box(d[at(i, 0)], d[at(i, 1)], d[at(i, 2)], d[at(i, 3)], "xyxy", w, hgt)
				b.Score, b.Class = score, classIndex(d[at(i, 5)])
				boxes = append(boxes, b)
			}
		}
		return boxes, nil
	case "yolov5", "yolov8", "yolox":
		first := 5
		if h.Kind == "yolov8" {
			first = 4
		}
		if width <= first {
			return nil, fmt.Errorf("output %s: rows of %d, a %s head has %d and the classes", outs[0].Name, width, h.Kind, first)
		}
		var cells []cell
		if h.Kind == "yolox" {
			if cells, err = h.cells(w, hgt, n); err != nil {
				return nil, err
			}
		}
		if h.Classes > width-first {
			return nil, fmt.Errorf("output %s: rows of %d have no %d classes", outs[0].Name, width, h.Classes)
		}
		scores := make([]float32, width-first)
		if h.Classes > 0 {
			scores = scores[:h.Classes]
		}
		for i := range n {
			obj := float32(1)
			if first == 5 {
				if obj = h.sigmoid(d[at(i, 4)]); obj < h.Threshold {
					continue
				}
			}
			for c := range scores {
				scores[c] = d[at(i, first+c)]
			}
			v := [4]float32{d[at(i, 0)], d[at(i, 1)], d[at(i, 2)], d[at(i, 3)]}
			if cells != nil {
				s := cells[i].stride
				v = [4]float32{(v[0] + cells[i].x) * s, (v[1] + cells[i].y) * s, exp(v[2]) * s, exp(v[3]) * s}
			}
			boxes = h.classes(boxes, h.box(v[0], v[1], v[2], v[3], "cxcywh", w, hgt), scores, obj)
		}
	}
	return boxes, nil
}

// rows describes an output as n rows of width values. A leading 1 is dropped; where columns is set the row index
// is the last dimension, unless that is shorter than the one before it.
func rows(o Output, columns bool) (n, width int, at func(i, j int) int, err error) {
	s := o.Shape
	for len(s) > 2 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) != 2 || s[0]*s[1] != len(o.Data) {
		return 0, 0, nil, fmt.Errorf("output %s: shape %v, want [1,N,values] for one picture", o.Name, o.Shape)
	}
	if columns && s[0] < s[1] {
		return s[1], s[0], func(i, j int) int { return j*s[1] + i }, nil
	}
	return s[0], s[1], func(i, j int) int { return i*s[1] + j }, nil
}

func (h *Head) decodePair(boxes, scores Output, w, hgt int) ([]Box, error) {
	// Either order is accepted where the shapes tell which is which.
	if last(boxes.Shape) != 4 && last(scores.Shape) == 4 {
		boxes, scores = scores, boxes
	}
	n, four, at, err := rows(boxes, false)
	if err != nil {
		return nil, err
	}
	m, classes, _, err := rows(scores, false)
	if err != nil {
		return nil, err
	}
	if four != 4 || m != n {
		return nil, fmt.Errorf("outputs %s%v and %s%v: want [1,N,4] and [1,N,classes]", boxes.Name, boxes.Shape, scores.Name, scores.Shape)
	}
	var priors []float32
	if h.Kind == "ssd" {
		if priors = h.priors(w, hgt); len(priors) != 4*n {
			return nil, fmt.Errorf("output %s: %d boxes, the priors are %d", boxes.Name, n, len(priors)/4)
		}
	}
	v := h.Variances
	if len(v) == 0 {
		v = []float32{0.1, 0.1, 0.2, 0.2}
	}
	var list []Box
	row := make([]float32, classes)
	d := boxes.Data
	for i := range n {
		copy(row, scores.Data[i*classes:])
		a := [4]float32{d[at(i, 0)], d[at(i, 1)], d[at(i, 2)], d[at(i, 3)]}
		format := "xyxy"
		if priors != nil {
			p := priors[4*i : 4*i+4]
			if h.Format == "yxyx" { // offsets as y, x, h, w (TensorFlow)
				a = [4]float32{a[1], a[0], a[3], a[2]}
			}
			a = [4]float32{
				p[0] + float32(float32(a[0]*v[0])*p[2]), p[1] + float32(float32(a[1]*v[1])*p[3]),
				p[2] * exp(a[2]*v[2]), p[3] * exp(a[3]*v[3]),
			}
			list = h.classes(list, toPixels(a, "cxcywh", h.Relative || h.PriorGrid != nil, w, hgt), row, 1)
			continue
		}
		list = h.classes(list, h.box(a[0], a[1], a[2], a[3], format, w, hgt), row, 1)
	}
	return list, nil
}

// decodeLists reads boxes, classes and scores of any number of objects.
func (h *Head) decodeLists(outs []Output, w, hgt int) ([]Box, error) {
	boxes, classes, scores := outs[0], outs[1], outs[2]
	n := len(scores.Data)
	if len(boxes.Data) != 4*n || len(classes.Data) != n {
		return nil, fmt.Errorf("outputs %s%v, %s%v and %s%v: want [N,4], [N] and [N]", boxes.Name, boxes.Shape, classes.Name, classes.Shape, scores.Name, scores.Shape)
	}
	var list []Box
	for i, s := range scores.Data {
		if s >= h.Threshold {
			d := boxes.Data[4*i:]
			b := h.box(d[0], d[1], d[2], d[3], "xyxy", w, hgt)
			b.Score, b.Class = s, classIndex(classes.Data[i])
			list = append(list, b)
		}
	}
	return list, nil
}

func (h *Head) decodeTFLite(outs []Output, w, hgt int) ([]Box, error) {
	boxes, classes, scores, count := outs[0], outs[1], outs[2], outs[3]
	n := len(scores.Data)
	if len(boxes.Data) != 4*n || len(classes.Data) != n || len(count.Data) != 1 {
		return nil, fmt.Errorf("outputs %s%v, %s%v, %s%v, %s%v: want boxes [1,N,4], classes [1,N], scores [1,N], count [1]", boxes.Name,
			boxes.Shape, classes.Name, classes.Shape, scores.Name, scores.Shape, count.Name, count.Shape)
	}
	if c := count.Data[0]; c >= 0 && c < float32(n) {
		n = int(c)
	}
	var list []Box
	for i := range n {
		if s := scores.Data[i]; s >= h.Threshold {
			p := boxes.Data[4*i:]
			f := h.Format
			if f == "" {
				f = "yxyx"
			}
			b := toPixels([4]float32{p[0], p[1], p[2], p[3]}, f, true, w, hgt)
			b.Score, b.Class = s, classIndex(classes.Data[i])
			list = append(list, b)
		}
	}
	return list, nil
}

// classes appends b once per class whose score is at least the threshold (once in all where Best is set: the first of the
// largest). scores is overwritten.
func (h *Head) classes(list []Box, b Box, scores []float32, obj float32) []Box {
	switch h.Activation {
	case "sigmoid":
		for i, s := range scores {
			scores[i] = h.sigmoid(s)
		}
	case "softmax":
		softmax(scores)
	}
	switch h.Background {
	case "first":
		scores = scores[1:]
	case "last":
		scores = scores[:len(scores)-1]
	}
	best := 0
	for c, s := range scores {
		s = float32(s * obj)
		scores[c] = s
		if s > scores[best] || scores[best] != scores[best] {
			best = c
		}
		if !h.Best && s >= h.Threshold {
			b.Score, b.Class = s, c
			list = append(list, b)
		}
	}
	if h.Best && len(scores) > 0 && scores[best] >= h.Threshold {
		b.Score, b.Class = scores[best], best
		list = append(list, b)
	}
	return list
}

func (h *Head) sigmoid(v float32) float32 {
	if h.Activation == "sigmoid" {
		return float32(1 / (1 + math.Exp(-float64(v))))
	}
	return v
}

func softmax(v []float32) {
	top := float32(math.Inf(-1))
	for _, x := range v {
		top = max(top, x)
	}
	var sum float64
	for _, x := range v {
		sum += math.Exp(float64(x) - float64(top))
	}
	for i, x := range v {
		v[i] = float32(math.Exp(float64(x)-float64(top)) / sum)
	}
}

func exp(v float32) float32 { return float32(math.Exp(float64(v))) }

func (h *Head) box(a, b, c, d float32, format string, w, hgt int) Box {
	if h.Format != "" {
		format = h.Format
	}
	return toPixels([4]float32{a, b, c, d}, format, h.Relative, w, hgt)
}

func toPixels(v [4]float32, format string, relative bool, w, h int) Box {
	var b Box
	switch format {
	case "cxcywh":
		hw, hh := v[2]/2, v[3]/2
		b = Box{X0: v[0] - hw, Y0: v[1] - hh, X1: v[0] + hw, Y1: v[1] + hh}
	case "xywh":
		b = Box{X0: v[0], Y0: v[1], X1: v[0] + v[2], Y1: v[1] + v[3]}
	case "yxyx":
		b = Box{X0: v[1], Y0: v[0], X1: v[3], Y1: v[2]}
	default:
		b = Box{X0: v[0], Y0: v[1], X1: v[2], Y1: v[3]}
	}
	if relative {
		b.X0, b.X1 = b.X0*float32(w), b.X1*float32(w)
		b.Y0, b.Y1 = b.Y0*float32(h), b.Y1*float32(h)
	}
	return b
}

type cell struct{ x, y, stride float32 }

// cells lists the grid cells of a yolox head, stride by stride, row by row.
func (h *Head) cells(w, hgt, n int) ([]cell, error) {
	strides := h.Strides
	if len(strides) == 0 {
		strides = []int{8, 16, 32}
	}
	list := make([]cell, 0, min(n, maxPriors))
	for _, s := range strides {
		if (w/s)*(hgt/s)+len(list) > n {
			return nil, fmt.Errorf("yolox head: %d rows are too few for strides %v on %dx%d", n, strides, w, hgt)
		}
		for y := range hgt / s {
			for x := range w / s {
				list = append(list, cell{float32(x), float32(y), float32(s)})
			}
		}
	}
	if len(list) != n {
		return nil, fmt.Errorf("yolox head: %d rows, strides %v on %dx%d give %d", n, strides, w, hgt, len(list))
	}
	return list, nil
}

func (h *Head) priors(w, hgt int) []float32 {
	g := h.PriorGrid
	if g == nil {
		return h.Priors
	}
	var list []float32
	for k, s := range g.Strides {
		nx, ny := (w+s-1)/s, (hgt+s-1)/s
		if nx*ny*len(g.Sizes[k]) > maxPriors {
			return nil
		}
		for y := range ny {
			for x := range nx {
				for _, size := range g.Sizes[k] {
					list = append(list, (float32(x)+0.5)/(float32(w)/float32(s)), (float32(y)+0.5)/(float32(hgt)/float32(s)),
						size/float32(w), size/float32(hgt))
				}
			}
		}
	}
	return list
}

func classIndex(v float32) int {
	if !(v >= 0 && v < 1<<24) {
		return -1
	}
	return int(v)
}

func last(s []int) int {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}
