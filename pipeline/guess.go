package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/detect"
)

// Guessed says what Guess took a model for.
type Guessed struct {
	// Kind says it in a few words, and where the normalisation is from.
	Kind string
	// Settings gives the Spec as ParseFlags reads it.
	Settings string
}

// Guess proposes a Spec for a model that comes without one, from the shapes of its inputs and outputs and from its
// metadata (those of TFLite and of Ultralytics' exports, symbols of text recognisers). It is a convenience for trying
// models out: normalisation that the metadata do not tell cannot be seen from outside, so the proposal may be wrong, and
// it should be recorded only after a look at the results. Where nothing is likely the error says what to give.
func Guess(inputs, outputs []Info, meta map[string]string) (*Spec, Guessed, error) {
	s, kind, preset, err := guess(inputs, outputs, meta)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return nil, Guessed{}, err
	}
	g := Guessed{kind, s.Settings()}
	if preset != "" {
		g.Settings = "preset=" + preset
		if s.Image != nil && s.Image.Order == "gray" {
			g.Settings += ",order=gray"
		}
	}
	return s, g, nil
}

func guess(inputs, outputs []Info, meta map[string]string) (s *Spec, kind, preset string, err error) {
	none := func(format string, args ...any) (*Spec, string, string, error) {
		return nil, "", "", fmt.Errorf("%w: none can be guessed: %s", ErrSpec, fmt.Sprintf(format, args...))
	}
	for _, in := range inputs {
		if in.Name == "input_ids" {
			return none("a language model needs its vocabulary (--pipeline preset=sentence,vocab=FILE or tokenizer=FILE)")
		}
	}
	if hasNames(inputs, "input", "state", "sr") && hasNames(outputs, "output", "stateN") {
		s, err = Preset("silero-vad")
		return s, "voice activity: sound, its rate and a state", "silero-vad", err
	}
	if len(inputs) != 1 || len(outputs) == 0 {
		return none("it has %d inputs and %d outputs", len(inputs), len(outputs))
	}
	in := inputs[0]
	gray := false
	if _, err := guessLayout(in, 3); err != nil || len(in.Shape) != 4 {
		if _, err := guessLayout(in, 1); err != nil || len(in.Shape) != 4 {
			return none("input %q with shape %v is no picture", in.Name, in.Shape)
		}
		gray = true
	}
	if s, kind, ok, err := guessTask(in, outputs, meta); ok || err != nil {
		return s, kind, "", err
	}
	if name, kind := guessOutput(in, outputs, meta); name != "" {
		s, err := Preset(name)
		if err == nil && gray && s.Image != nil {
			s.Image.Order = "gray"
		}
		return s, kind, name, err
	}
	if len(outputs) == 2 && slices.ContainsFunc(outputs, endsWith(4)) {
		return none("outputs %q and %q hold boxes and scores: --preset detr is one way to read them, detect=boxes with boxes=FORMAT another", outputs[0].Name, outputs[1].Name)
	}
	if s, kind := guessLists(in, outputs); s != nil {
		return s, kind, "", nil
	}
	s, kind, err = guessScores(in, outputs, gray, meta)
	return s, kind, "", err
}

func hasNames(list []Info, names ...string) bool {
	for _, n := range names {
		if !slices.ContainsFunc(list, func(i Info) bool { return i.Name == n }) {
			return false
		}
	}
	return len(list) == len(names)
}

// pictureSize is the input's width and height; -1 where they are free.
func pictureSize(in Info) (w, h int) {
	layout, err := guessLayout(in, 3)
	if err != nil {
		layout, _ = guessLayout(in, 1)
	}
	if layout == "nhwc" {
		return in.Shape[2], in.Shape[1]
	}
	return in.Shape[3], in.Shape[2]
}

// guessTask reads the metadata of Ultralytics' exports: task, names and imgsz (height, width).
func guessTask(in Info, outs []Info, meta map[string]string) (s *Spec, kind string, ok bool, err error) {
	task := meta["task"]
	names, err := ParseLabels(meta["names"])
	if !slices.Contains([]string{"classify", "detect", "segment", "pose", "obb"}, task) || meta["names"] == "" || err != nil {
		return nil, "", false, nil
	}
	w, h := pictureSize(in)
	var size []int
	if json.Unmarshal([]byte(meta["imgsz"]), &size) == nil && len(size) == 2 {
		if h < 0 {
			h = size[0]
		}
		if w < 0 {
			w = size[1]
		}
	}
	w, h = max(w, 0), max(h, 0)
	s = &Spec{Schema: SpecSchema, LabelsMeta: "names"}
	if task == "classify" {
		if w == 0 || h == 0 {
			w, h = 224, 224
		}
		s.Image = &Image{Resize: "short", Size: min(w, h), Filter: "triangle", CropWidth: w, CropHeight: h, Scale: 1.0 / 255}
		s.Classify = &Classify{Activation: "auto", Top: 5}
		return s, "a YOLO classifier, by its metadata", true, nil
	}
	if task == "obb" {
		return nil, "", true, fmt.Errorf("%w: none can be guessed: turned boxes (task obb) cannot be read", ErrSpec)
	}
	s.Image = &Image{Resize: "fit", Width: w, Height: h, Filter: "bilinear", Pad: []float32{114}, Scale: 1.0 / 255}
	s.Detect = &Detect{Head: detect.Head{Kind: "yolov8", Threshold: 0.25, Best: true, Classes: len(names)}, IoU: 0.45, Limit: 300}
	kind = "a YOLO detector, by its metadata"
	if task != "detect" {
		kind = fmt.Sprintf("a YOLO model for task %s, by its metadata; only boxes are read", task)
	}
	o := outs[0].Shape
	switch {
	case strings.Contains(meta["head"], "RTDETR") && len(o) == 3 && o[2] == 6 && len(names) != 2:
		return nil, "", true, fmt.Errorf("%w: none can be guessed: rows of 6 from an RT-DETR detector: say by detect=final and boxes=FORMAT how they are meant", ErrSpec)
	case strings.Contains(meta["head"], "RTDETR"):
		s.Image.Resize, s.Image.Pad = "stretch", nil
		s.Detect.Head.Relative, s.Detect.IoU = true, 0
		kind = "an RT-DETR detector, by its metadata"
	case len(o) == 3 && o[2] == 6 && len(names)+4 != 6 || meta["end2end"] == "True" && task == "detect":
		s.Detect.Head.Kind, s.Detect.Head.Classes, s.Detect.Head.Best, s.Detect.IoU = "final", 0, false, 0
	case len(o) == 3 && o[2] == len(names)+5 && o[1] != len(names)+4:
		s.Detect.Head.Kind = "yolov5"
	}
	return s, kind, true, nil
}

// guessOutput knows the outputs of the usual detectors and readers; it names a preset.
func guessOutput(in Info, outs []Info, meta map[string]string) (name, kind string) {
	s := outs[0].Shape
	last := func(k int) int {
		if k <= len(s) {
			return s[len(s)-k]
		}
		return 0
	}
	w, h := pictureSize(in)
	cells := 0 // of grids with steps of 8, 16 and 32 pixels
	if w > 0 && h > 0 {
		for _, step := range []int{8, 16, 32} {
			cells += ((w + step - 1) / step) * ((h + step - 1) / step)
		}
	}
	one := len(outs) == 1 && len(s) == 3
	switch {
	case meta["character"] != "" && len(s) == 3:
		return "ppocr-rec", "a text recogniser: the metadata hold symbols"
	case len(outs) == 4 && last(1) == 4:
		return "ssd", "a detector with TFLite_Detection_PostProcess: four outputs"
	case len(outs) == 2 && slices.ContainsFunc(outs, endsWith(4)) && slices.ContainsFunc(outs, endsWith(2)):
		return "ultraface", "a face detector: boxes and two classes"
	case len(outs) == 2 && slices.ContainsFunc(outs, endsWith(4)) && slices.ContainsFunc(outs, endsWith(92)):
		return "detr", "a DETR detector: boxes and 92 classes, the last of them nothing"
	case one && last(1) == 6 && last(2) >= 10:
		return "yolov10", "a detector: rows of box, score and class"
	case one && last(2) > 4 && (last(1) > 8*last(2) || last(1) == cells):
		return "yolov8", "a YOLO detector: columns of box and classes"
	case one && last(1) > 5 && (last(2) > 8*last(1) || last(2) == cells || last(2) == 3*cells && cells > 0):
		return "yolov5", "a YOLO detector: rows of box, objectness and classes"
	case len(outs) == 1 && len(s) == 4 && s[1] == 1 && last(1) < 0:
		return "ppocr-det", "a text detector: a probability per pixel of a picture of any size"
	}
	return "", ""
}

func endsWith(n int) func(Info) bool {
	return func(o Info) bool { return len(o.Shape) == 3 && o.Shape[2] == n }
}

// guessLists knows the detectors of torchvision, which resize and normalise themselves: boxes [N,4], labels [N] as
// integers, scores [N] as floats, in any order.
func guessLists(in Info, outs []Info) (*Spec, string) {
	var boxes, labels, scores string
	for _, o := range outs {
		switch {
		case len(o.Shape) == 2 && o.Shape[0] < 0 && o.Shape[1] == 4:
			boxes = o.Name
		case len(o.Shape) == 1 && o.DType.IsInt():
			labels = o.Name
		case len(o.Shape) == 1:
			scores = o.Name
		}
	}
	if boxes == "" || labels == "" || scores == "" {
		return nil, ""
	}
	s := &Spec{Schema: SpecSchema, Image: &Image{Resize: "none", Scale: 1.0 / 255}, Outputs: []string{boxes, labels, scores},
		Detect: &Detect{Head: detect.Head{Kind: "lists", Threshold: 0.5}}}
	if w, h := pictureSize(in); w > 0 && h > 0 {
		s.Image.Resize, s.Image.Filter = "stretch", "bilinear"
	}
	return s, "a detector with lists of boxes, classes and scores (torchvision), values 0 to 1"
}

// guessScores takes the rest for classifiers and segmenters.
func guessScores(in Info, outs []Info, gray bool, meta map[string]string) (*Spec, string, error) {
	s := outs[0].Shape
	n := 3
	if gray {
		n = 1
	}
	layout, err := guessLayout(in, n)
	if err != nil {
		return nil, "", err
	}
	w, h := pictureSize(in)
	spec := &Spec{Schema: SpecSchema, Image: &Image{Layout: layout, Filter: "triangle"}}
	classes, wide := 1, 0 // the largest extent, and the number of extents after the first that are not 1
	for i, d := range s {
		classes = max(classes, d)
		if i > 0 && d != 1 {
			wide++
		}
	}
	m := spec.Image
	var kind string
	switch {
	case len(s) == 4 && wide >= 2:
		spec.Segment = &Segment{Threshold: 0.5}
		kind = "a segmenter: classes per pixel"
		m.Resize = "stretch"
		if h < 0 || w < 0 {
			m.Resize, m.MaxSide, m.Multiple = "limit", 512, 32
		}
	case len(s) >= 1 && len(s) <= 4 && classes > 1 && wide <= 1 && (len(s) > 1 || len(outs) == 1):
		spec.Classify = &Classify{Activation: "auto", Top: 5}
		kind = fmt.Sprintf("a classifier with %d classes", classes)
		if classes == 1001 {
			spec.Classify.Skip = 1
			kind = "a classifier with 1000 classes after one for the background"
		}
		if h < 0 || w < 0 {
			h, w = 224, 224
		}
		if min(h, w) >= 96 && h == w {
			m.Resize, m.Size = "short", h*256/224
			m.CropWidth, m.CropHeight = w, h
		} else {
			m.Resize, m.Width, m.Height = "stretch", w, h
		}
	default:
		return nil, "", fmt.Errorf("%w: none can be guessed: output %q with shape %v is of no usual kind", ErrSpec, outs[0].Name, s)
	}
	mean, std := numbers(meta["tflite.mean"], n), numbers(meta["tflite.std"], n)
	switch {
	case in.DType == tensor.U8:
		m.Raw = true
		kind += "; pixels as they are, by the input's type"
	case mean != nil && std != nil && !slices.Contains(std, 0):
		m.Mean, m.Std = mean, std
		kind += "; mean and deviation by the metadata"
	case in.Quant != nil && in.DType.IsInt():
		m.Raw = true
		kind += "; pixels as they are, by the input's type"
	case gray:
		m.Scale = 1.0 / 255
		kind += "; gray, values 0 to 1, by convention"
	case layout == "nhwc":
		m.Mean, m.Std = []float32{127.5}, []float32{127.5}
		kind += "; values -1 to 1, by convention"
	default:
		m.Scale, m.Mean, m.Std = 1.0/255, []float32{.485, .456, .406}, []float32{.229, .224, .225}
		kind += "; ImageNet's mean and deviation, by convention"
	}
	if gray {
		m.Order = "gray"
	}
	if meta["labels"] != "" {
		spec.LabelsMeta = "labels"
	}
	return spec, kind, nil
}

// numbers reads one number or one per channel, between colons; nil where they are none.
func numbers(text string, channels int) []float32 {
	if text == "" {
		return nil
	}
	var list []float32
	for _, s := range strings.Split(text, ":") {
		x, err := float(s)
		if err != nil || math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil
		}
		list = append(list, x)
	}
	if len(list) != 1 && len(list) != channels {
		return nil
	}
	return list
}
