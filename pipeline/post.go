package pipeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/text"
)

// Finish reads the outputs of one run of the model on in, in the model's order.
func (p *Pipeline) Finish(in *Prepared, outs []*tensor.Tensor) (*Result, error) {
	infos := p.runner.Outputs()
	if len(outs) != len(infos) {
		return nil, fmt.Errorf("%d outputs given, the model has %d", len(outs), len(infos))
	}
	list := make([]detect.Output, len(p.outputs))
	for k, i := range p.outputs {
		v, err := floats(outs[i], infos[i])
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", infos[i].Name, err)
		}
		list[k] = detect.Output{Name: infos[i].Name, Shape: outs[i].Shape, Data: v}
	}
	r := &Result{Schema: ResultSchema, Width: in.width, Height: in.height}
	var err error
	s := p.spec
	switch {
	case s.Classify != nil:
		r.Kind = "classes"
		r.Classes, err = p.classify(list[0])
	case s.Detect != nil:
		r.Kind = "boxes"
		r.Boxes, err = p.detect(in, list)
	case s.Segment != nil:
		r.Kind = "mask"
		r.Mask, err = p.segment(list[0])
	case s.TextMap != nil:
		r.Kind = "lines"
		r.Lines, err = p.textMap(in, list[0])
	case s.CTC != nil:
		r.Kind = "text"
		r.Text, err = p.ctc(list[0])
	case s.Embed != nil:
		r.Kind = "embedding"
		r.Embedding, err = p.embed(in, list[0])
	default:
		r.Kind, r.Values = "values", list[0].Data
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// floats reads a tensor as float32: integers with parameters as float32(q - zero)*scale, others as they are. Float32 is
// not copied.
func floats(t *tensor.Tensor, info Info) ([]float32, error) {
	if t == nil || !t.HasData() {
		return nil, fmt.Errorf("no data")
	}
	v := make([]float32, 0)
	switch t.DType {
	case tensor.F32:
		return tensor.Of[float32](t), nil
	case tensor.F64:
		for _, x := range tensor.Of[float64](t) {
			v = append(v, float32(x))
		}
		return v, nil
	case tensor.F16, tensor.BF16:
		v = make([]float32, t.Len())
		if t.DType == tensor.F16 {
			half.WidenF16(v, tensor.Of[uint16](t))
		} else {
			half.WidenBF16(v, tensor.Of[uint16](t))
		}
		return v, nil
	}
	ints, err := t.Ints()
	if err != nil {
		return nil, err
	}
	q := t.Quant
	if q == nil {
		q = info.Quant
	}
	v = make([]float32, len(ints))
	if q == nil || len(q.Scale) == 0 {
		for i, x := range ints {
			v[i] = float32(x)
		}
		return v, nil
	}
	inner, n := 1, 1
	if !q.PerTensor() {
		if q.Axis < 0 || q.Axis >= len(t.Shape) || t.Shape[q.Axis] != len(q.Scale) {
			return nil, fmt.Errorf("%d scales for shape %v", len(q.Scale), t.Shape)
		}
		n = len(q.Scale)
		inner = t.Shape[q.Axis+1:].Len()
	}
	for i, x := range ints {
		c := i / inner % n
		v[i] = float32(x-int64(q.ZeroAt(c))) * q.Scale[c]
	}
	return v, nil
}

// activate applies an activation, computed in float64 and rounded to float32, to a copy.
func activate(name string, v []float32) []float32 {
	if name == "auto" && !distribution(v) {
		name = "softmax"
	}
	switch name {
	case "softmax":
		out := make([]float32, len(v))
		top := math.Inf(-1)
		for _, x := range v {
			top = max(top, float64(x))
		}
		var sum float64
		for _, x := range v {
			sum += math.Exp(float64(x) - top)
		}
		for i, x := range v {
			out[i] = float32(math.Exp(float64(x)-top) / sum)
		}
		return out
	case "sigmoid":
		out := make([]float32, len(v))
		for i, x := range v {
			out[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
		return out
	}
	return v
}

// distribution reports whether the values are in [0, 1] and sum to 1 within 0.1: quantised probabilities sum loosely.
func distribution(v []float32) bool {
	var sum float64
	for _, x := range v {
		if !(x >= 0 && x <= 1) {
			return false
		}
		sum += float64(x)
	}
	return math.Abs(sum-1) <= 0.1
}

func (p *Pipeline) classify(o detect.Output) ([]Class, error) {
	k := p.spec.Classify
	if len(o.Shape) > 1 && o.Shape[0] != 1 {
		return nil, fmt.Errorf("output %s: shape %v is not one picture's classes", o.Name, o.Shape)
	}
	v := activate(k.Activation, o.Data)
	if k.Skip > len(v) {
		return nil, fmt.Errorf("%w: classify.skip: %d of %d classes", ErrSpec, k.Skip, len(v))
	}
	v = v[k.Skip:]
	labels := p.labels
	if k.Skip > 0 && len(labels) == len(v)+k.Skip {
		labels = labels[k.Skip:] // a label per class of the model, the skipped ones included
	}
	idx := make([]int, 0, len(v))
	for i, x := range v {
		if x >= k.Threshold || k.Threshold == 0 && x == x {
			idx = append(idx, i)
		}
	}
	slices.SortStableFunc(idx, func(a, b int) int { return cmp.Compare(v[b], v[a]) })
	if k.Top > 0 && len(idx) > k.Top {
		idx = idx[:k.Top]
	}
	list := make([]Class, len(idx))
	for i, c := range idx {
		list[i] = Class{Index: c, Label: label(labels, c), Score: v[c]}
	}
	return list, nil
}

// maxCandidates bounds the boxes before suppression, whose cost grows with the square, where the Spec does not.
const maxCandidates = 8192

func (p *Pipeline) detect(in *Prepared, outs []detect.Output) ([]Box, error) {
	d := p.spec.Detect
	found, err := d.Head.Decode(outs, in.canvas.w, in.canvas.h)
	if err != nil {
		return nil, err
	}
	candidates, iou := d.Candidates, d.IoU
	if candidates == 0 {
		candidates = maxCandidates
	}
	if iou == 0 {
		iou = 1 // no IoU is greater
	}
	found = detect.NMS(found, iou, d.Agnostic, candidates, d.Limit)
	list := make([]Box, len(found))
	clip := func(v float64, hi int) float32 { return float32(min(max(v, 0), float64(hi))) }
	for i, b := range found {
		x0, y0 := in.canvas.toSource.Apply(float64(b.X0), float64(b.Y0))
		x1, y1 := in.canvas.toSource.Apply(float64(b.X1), float64(b.Y1))
		list[i] = Box{
			X0: clip(x0, in.width), Y0: clip(y0, in.height), X1: clip(x1, in.width), Y1: clip(y1, in.height),
			Score: b.Score, Class: b.Class, Label: label(p.labels, b.Class),
		}
	}
	return list, nil
}

// maxMaskClasses is what a mask's bytes can number.
const maxMaskClasses = 256

func (p *Pipeline) segment(o detect.Output) (*Mask, error) {
	s := o.Shape
	for len(s) > 3 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) == 2 {
		s = []int{1, s[0], s[1]}
	}
	if len(s) != 3 || s[0]*s[1]*s[2] != len(o.Data) {
		return nil, fmt.Errorf("output %s: shape %v, want [1,C,H,W], [1,H,W,C] or [1,H,W]", o.Name, o.Shape)
	}
	c, h, w := s[0], s[1], s[2]
	cs, ps := h*w, 1
	// The classes come last where the input's channels do.
	last := len(o.Shape) > 3 && p.image != nil && (p.image.layout == "nhwc" || p.image.layout == "hwc")
	if last {
		h, w, c = s[0], s[1], s[2]
		cs, ps = 1, c
	}
	if c > maxMaskClasses {
		return nil, fmt.Errorf("output %s: %d classes, limit %d", o.Name, c, maxMaskClasses)
	}
	m := &Mask{Width: w, Height: h, Classes: make([]byte, w*h)}
	n := max(c, 2)
	counts := make([]int, n)
	for i := range m.Classes {
		best := 0
		if c == 1 {
			if o.Data[i*ps] >= p.spec.Segment.Threshold {
				best = 1
			}
		} else {
			for k := range c {
				if o.Data[k*cs+i*ps] > o.Data[best*cs+i*ps] {
					best = k
				}
			}
		}
		m.Classes[i] = byte(best)
		counts[best]++
	}
	for k, v := range counts {
		if v > 0 {
			m.Shares = append(m.Shares, Class{Index: k, Label: label(p.labels, k), Score: float32(float64(v) / float64(w*h))})
		}
	}
	slices.SortStableFunc(m.Shares, func(a, b Class) int { return cmp.Compare(b.Score, a.Score) })
	return m, nil
}

func (p *Pipeline) textMap(in *Prepared, o detect.Output) ([]Line, error) {
	w, h := in.canvas.w, in.canvas.h
	mw, mh := w, h
	if n := len(o.Shape); n >= 2 {
		mh, mw = o.Shape[n-2], o.Shape[n-1]
	}
	boxes, err := p.spec.TextMap.Boxes(o.Data, mw, mh)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", o.Name, err)
	}
	list := make([]Line, len(boxes))
	for i, b := range boxes {
		list[i].BoxScore = b.Score
		for k, c := range b.Corners {
			x, y := in.canvas.toSource.Apply(c.X*float64(w)/float64(mw), c.Y*float64(h)/float64(mh))
			list[i].Corners[k] = [2]float64{min(max(x, 0), float64(in.width)), min(max(y, 0), float64(in.height))}
		}
	}
	return list, nil
}

func (p *Pipeline) ctc(o detect.Output) (*Reading, error) {
	s := o.Shape
	for len(s) > 2 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) != 2 || s[0]*s[1] != len(o.Data) {
		return nil, fmt.Errorf("output %s: shape %v, want [1,T,classes]", o.Name, o.Shape)
	}
	k := p.spec.CTC
	symbols := slices.Clone(p.labels)
	if k.Space {
		symbols = append(symbols, " ")
	}
	if k.Blank > len(symbols) {
		return nil, fmt.Errorf("%w: ctc.blank: %d with %d symbols", ErrSpec, k.Blank, len(symbols))
	}
	symbols = slices.Insert(symbols, k.Blank, "")
	if len(symbols) != s[1] {
		return nil, fmt.Errorf("%w: labels: %d symbols with blank and space, output %s has %d classes", ErrSpec, len(symbols), o.Name, s[1])
	}
	line, score, err := (&text.CTC{Symbols: symbols, Blank: k.Blank}).Greedy(o.Data, s[0])
	if err != nil {
		return nil, err
	}
	return &Reading{Text: line, Score: score}, nil
}

func (p *Pipeline) embed(in *Prepared, o detect.Output) ([]float32, error) {
	e := p.spec.Embed
	v := slices.Clone(o.Data)
	if e.Pool == "mean" || e.Pool == "first" {
		s := o.Shape
		for len(s) > 2 && s[0] == 1 {
			s = s[1:]
		}
		if len(s) != 2 || s[0]*s[1] != len(v) || s[0] == 0 {
			return nil, fmt.Errorf("output %s: shape %v, want [1,tokens,width] to pool", o.Name, o.Shape)
		}
		width := s[1]
		if e.Pool == "mean" {
			sum := make([]float64, width)
			n := 0
			for t := range s[0] {
				if in.mask != nil && (t >= len(in.mask) || in.mask[t] == 0) {
					continue
				}
				n++
				for i := range sum {
					sum[i] += float64(v[t*width+i])
				}
			}
			for i := range sum {
				v[i] = float32(sum[i] / float64(max(n, 1)))
			}
		}
		v = v[:width]
	}
	if e.Normalise {
		var sum float64
		for _, x := range v {
			sum += float64(float64(x) * float64(x))
		}
		if n := math.Sqrt(sum); n > 0 {
			for i, x := range v {
				v[i] = float32(float64(x) / n)
			}
		}
	}
	return v, nil
}

// spans joins the frames whose first value is at least the threshold.
func (v *Values) spans(frames []Frame) []Span {
	var list []Span
	for _, f := range frames {
		if len(f.Values) == 0 || !(f.Values[0] >= v.Threshold) {
			continue
		}
		if n := len(list); n > 0 && f.Start-list[n-1].End <= max(v.MinGap, 1e-9) {
			list[n-1].End = f.End
		} else {
			list = append(list, Span{f.Start, f.End})
		}
	}
	return slices.DeleteFunc(list, func(s Span) bool { return s.End-s.Start < v.MinSpan })
}
