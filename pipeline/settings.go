package pipeline

import (
	"math"
	"strconv"
	"strings"
)

// Settings writes a Spec about pictures as ParseFlags reads it, as far as it has keys for the fields: labels, and what only
// presets set, are left out.
func (s *Spec) Settings() string {
	var list []string
	add := func(key, value string) { list = append(list, key+"="+value) }
	number := func(key string, v int) {
		if v != 0 {
			add(key, strconv.Itoa(v))
		}
	}
	size := func(key string, w, h int) {
		if w == h {
			number(key, w)
		} else {
			add(key, strconv.Itoa(w)+"x"+strconv.Itoa(h))
		}
	}
	word := func(key, v string) {
		if v != "" {
			add(key, v)
		}
	}
	flag := func(key string, set bool) {
		if set {
			list = append(list, key)
		}
	}
	word("input", s.Input)
	word("outputs", strings.Join(s.Outputs, ":"))
	if m := s.Image; m != nil {
		mode := m.Resize
		if mode == "" {
			mode = "stretch"
		}
		add("resize", mode)
		if mode == "short" || mode == "height" {
			number("size", m.Size)
		} else if m.Width > 0 || m.Height > 0 {
			add("size", strconv.Itoa(m.Width)+"x"+strconv.Itoa(m.Height))
		}
		number("min", m.MinSide)
		number("max", m.MaxSide)
		number("multiple", m.Multiple)
		word("filter", string(m.Filter))
		size("crop", m.CropWidth, m.CropHeight)
		if m.CropFraction != 0 {
			add("fraction", strconv.FormatFloat(m.CropFraction, 'g', -1, 64))
		}
		word("pad", floatList(m.Pad))
		word("anchor", m.Anchor)
		word("order", m.Order)
		if m.Scale != 0 {
			add("scale", floatText(m.Scale))
		}
		word("mean", floatList(m.Mean))
		word("std", floatList(m.Std))
		flag("raw", m.Raw)
		word("layout", m.Layout)
	}
	if k := s.Classify; k != nil {
		if k.Activation == "" || k.Activation == "none" {
			list = append(list, "classify")
		} else {
			list = append(list, k.Activation)
		}
		number("top", k.Top)
		number("skip", k.Skip)
		if k.Threshold != 0 {
			add("threshold", floatText(k.Threshold))
		}
	}
	if d := s.Detect; d != nil {
		add("detect", d.Head.Kind)
		format := d.Head.Format
		if d.Head.Relative {
			format += "+relative"
		}
		word("boxes", format)
		number("classes", d.Head.Classes)
		flag("best", d.Head.Best)
		add("threshold", floatText(d.Head.Threshold))
		if d.IoU != 0 {
			add("iou", floatText(d.IoU))
		}
		number("limit", d.Limit)
	}
	if g := s.Segment; g != nil {
		list = append(list, "segment")
		if g.Threshold != 0 {
			add("threshold", floatText(g.Threshold))
		}
	}
	word("labels-meta", s.LabelsMeta)
	return strings.Join(list, ",")
}

func floatList(v []float32) string {
	list := make([]string, len(v))
	for i, x := range v {
		list[i] = floatText(x)
	}
	return strings.Join(list, ":")
}

// floatText writes a number so that fraction reads the same bits; 1/255 and the like stay readable.
func floatText(v float32) string {
	if n := math.Round(1 / float64(v)); n > 1 && n < 1<<16 && 1/float32(n) == v && len(strconv.FormatFloat(float64(v), 'g', -1, 32)) > 6 {
		return "1/" + strconv.Itoa(int(n))
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 32)
}
