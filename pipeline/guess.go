package pipeline

import (
	"fmt"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Guess proposes a Spec for a model that comes without one, from the shapes of its inputs and outputs and from its metadata, and
// says in a few words what it took the model for. It is a convenience for trying models out: normalisation cannot be seen
// from outside, so the proposal may be wrong, and it should be recorded only after a look at the results. Where nothing
// is likely the error says what to give.
func Guess(inputs, outputs []Info, meta map[string]string) (*Spec, string, error) {
	none := func(why string) (*Spec, string, error) {
		return nil, "", fmt.Errorf("%w: cannot be guessed: %s; give a preset or settings", ErrSpec, why)
	}
	for _, in := range inputs {
		if in.Name == "input_ids" {
			return none("a language model needs its vocabulary (preset=sentence,vocab=FILE or tokenizer=FILE)")
		}
	}
	if len(inputs) != 1 || len(outputs) == 0 {
		return none(fmt.Sprintf("%d inputs and %d outputs", len(inputs), len(outputs)))
	}
	in := inputs[0]
	gray := false
	if _, err := guessLayout(in, 3); err != nil || len(in.Shape) != 4 {
		if _, err := guessLayout(in, 1); err != nil || len(in.Shape) != 4 {
			return none(fmt.Sprintf("input %s%v is no picture", in.Name, in.Shape))
		}
		gray = true
	}
	name, why := guessOutput(outputs, meta)
	if name == "" {
		return guessScores(in, outputs, gray)
	}
	s, err := Preset(name)
	if err == nil && gray && s.Image != nil {
		s.Image.Order = "gray"
	}
	return s, why, err
}

// guessOutput knows the outputs of the usual detectors and readers; it names a preset.
func guessOutput(outs []Info, meta map[string]string) (name, why string) {
	s := outs[0].Shape
	last := func(k int) int {
		if k <= len(s) {
			return s[len(s)-k]
		}
		return 0
	}
	switch {
	case meta["character"] != "" && len(s) == 3:
		return "ppocr-rec", "a text recogniser: the metadata holds symbols"
	case len(outs) == 4 && last(1) == 4:
		return "ssd", "a detector with TFLite_Detection_PostProcess: four outputs"
	case len(outs) == 2 && slices.ContainsFunc(outs, endsWith(4)) && slices.ContainsFunc(outs, endsWith(2)):
		return "ultraface", "a face detector: boxes and two classes"
	case len(outs) == 1 && len(s) == 3 && last(1) == 6 && last(2) >= 10:
		return "yolov10", "a detector: rows of box, score and class"
	case len(outs) == 1 && len(s) == 3 && last(2) > 4 && last(1) > 8*last(2):
		return "yolov8", "a YOLO detector: columns of box and classes"
	case len(outs) == 1 && len(s) == 3 && last(1) > 5 && last(2) > 8*last(1):
		return "yolov5", "a YOLO detector: rows of box, objectness and classes"
	case len(outs) == 1 && len(s) == 4 && s[1] == 1 && last(1) < 0:
		return "ppocr-det", "a text detector: a probability per pixel of a picture of any size"
	}
	return "", ""
}

func endsWith(n int) func(Info) bool {
	return func(o Info) bool { return len(o.Shape) == 3 && o.Shape[2] == n }
}

// guessScores takes the rest for classifiers and segmenters.
func guessScores(in Info, outs []Info, gray bool) (*Spec, string, error) {
	s := outs[0].Shape
	layout, _ := guessLayout(in, 3)
	if gray {
		layout, _ = guessLayout(in, 1)
	}
	h, w := in.Shape[2], in.Shape[3]
	if layout == "nhwc" {
		h, w = in.Shape[1], in.Shape[2]
	}
	spec := &Spec{Schema: SpecSchema, Image: &Image{Layout: layout, Filter: "triangle"}}
	classes := 1
	for _, d := range s {
		if d > 0 {
			classes = max(classes, d)
		}
	}
	m := spec.Image
	why := "a classifier"
	switch {
	case len(s) == 4 && s[2] != 1 && s[1] != 1:
		spec.Segment = &Segment{Threshold: 0.5}
		why = "a segmenter: classes per pixel"
	case len(s) >= 1 && len(s) <= 4 && classes > 1:
		spec.Classify = &Classify{Activation: "auto", Top: 5}
		if classes == 1001 {
			spec.Classify.Skip = 1
			why = "a classifier with a background class"
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
		return nil, "", fmt.Errorf("%w: cannot be guessed: output %s%v is of no usual kind; give a preset or settings", ErrSpec, outs[0].Name, s)
	}
	switch {
	case gray:
		m.Order, m.Scale = "gray", 1.0/255
		why += ", gray, values 0 to 1"
	case in.Quant != nil && in.DType.IsInt() || in.DType == tensor.U8:
		m.Raw = true
		why += ", plain pixels"
	case layout == "nhwc":
		m.Mean, m.Std = []float32{127.5}, []float32{127.5}
		why += ", values -1 to 1"
	default:
		m.Scale, m.Mean, m.Std = 1.0/255, []float32{.485, .456, .406}, []float32{.229, .224, .225}
		why += ", ImageNet mean and deviation"
	}
	return spec, why, spec.Validate()
}
