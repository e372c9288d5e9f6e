package pipeline

import (
	"reflect"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// What Guess says as settings gives the Spec that it guessed.
func TestGuessedSettings(t *testing.T) {
	ultra := func(task, names, imgsz string, more ...string) map[string]string {
		m := map[string]string{"task": task, "names": names, "imgsz": imgsz}
		for i := 0; i+1 < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	three := "{0: 'a', 1: 'b', 2: 'c'}"
	small := f32("images", 1, 3, 128, 128)
	free := f32("images", -1, 3, -1, -1)
	u8 := Info{Name: "i", DType: tensor.U8, Shape: tensor.Shape{1, 224, 224, 3}}
	for name, c := range map[string]struct {
		in   Info
		outs []Info
		meta map[string]string
		want func(s *Spec) bool
	}{
		"classifier":   {f32("x", 1, 3, 224, 224), []Info{f32("o", 1, 1000)}, nil, func(s *Spec) bool { return s.Image.Size == 256 && s.Image.Std[1] == 0.224 }},
		"rectangle":    {f32("x", 1, 3, 96, 64), []Info{f32("o", 1, 7)}, nil, func(s *Spec) bool { return s.Image.Width == 64 && s.Image.Height == 96 }},
		"any size":     {free, []Info{f32("o", -1, 9)}, nil, func(s *Spec) bool { return s.Image.CropWidth == 224 }},
		"background":   {u8, []Info{f32("o", 1, 1001)}, nil, func(s *Spec) bool { return s.Classify.Skip == 1 && s.Image.Raw }},
		"labels":       {u8, []Info{f32("o", 1, 10)}, map[string]string{"labels": "a\nb"}, func(s *Spec) bool { return s.LabelsMeta == "labels" }},
		"gray":         {f32("x", 1, 1, 28, 28), []Info{f32("o", 1, 10)}, nil, func(s *Spec) bool { return s.Image.Order == "gray" && s.Image.Scale == 1.0/255 }},
		"segmenter":    {small, []Info{f32("o", 1, 21, 128, 128)}, nil, func(s *Spec) bool { return s.Segment != nil }},
		"any segments": {free, []Info{f32("o", -1, 21, -1, -1)}, nil, func(s *Spec) bool { return s.Image.Resize == "limit" && s.Image.MaxSide == 512 }},
		"metadata": {f32("x", 1, 224, 224, 3), []Info{f32("o", 1, 10)}, map[string]string{"tflite.mean": "1:2:3", "tflite.std": "4"},
			func(s *Spec) bool { return reflect.DeepEqual(s.Image.Mean, []float32{1, 2, 3}) && s.Image.Std[0] == 4 }},
		"bad metadata": {f32("x", 1, 224, 224, 3), []Info{f32("o", 1, 10)}, map[string]string{"tflite.mean": "1:2", "tflite.std": "0"},
			func(s *Spec) bool { return s.Image.Mean[0] == 127.5 }},
		"few anchors": {small, []Info{f32("o", 1, 84, 336)}, nil, func(s *Spec) bool { return s.Detect.Head.Kind == "yolov8" }},
		"few rows":    {small, []Info{f32("o", 1, 1008, 85)}, nil, func(s *Spec) bool { return s.Detect.Head.Kind == "yolov5" }},
		"yolo":        {small, []Info{f32("o", 1, 7, 336)}, ultra("detect", three, "[128, 128]"), func(s *Spec) bool { return s.Detect.Head.Classes == 3 }},
		"yolo free":   {free, []Info{f32("o", -1, -1, -1)}, ultra("detect", three, "[96, 128]"), func(s *Spec) bool { return s.Image.Width == 128 && s.Image.Height == 96 }},
		"yolo nms":    {small, []Info{f32("o", 1, 300, 6)}, ultra("detect", three, ""), func(s *Spec) bool { return s.Detect.Head.Kind == "final" && s.Detect.IoU == 0 }},
		"yolo rows":   {small, []Info{f32("o", 1, 1008, 8)}, ultra("detect", three, ""), func(s *Spec) bool { return s.Detect.Head.Kind == "yolov5" }},
		"yolo pose":   {small, []Info{f32("o", 1, 58, 336)}, ultra("pose", three, ""), func(s *Spec) bool { return s.Detect.Head.Classes == 3 }},
		"yolo class":  {small, []Info{f32("o", 1, 3)}, ultra("classify", three, ""), func(s *Spec) bool { return s.Image.CropWidth == 128 && s.LabelsMeta == "names" }},
		"rt-detr":     {small, []Info{f32("o", 1, 300, 7)}, ultra("detect", three, "", "head", "RTDETRDecoder"), func(s *Spec) bool { return s.Detect.Head.Relative }},
		"torchvision": {free, []Info{f32("b", -1, 4), f32("s", -1), {Name: "l", DType: tensor.I64, Shape: tensor.Shape{-1}}}, nil,
			func(s *Spec) bool { return reflect.DeepEqual(s.Outputs, []string{"b", "l", "s"}) }},
	} {
		s, g, err := Guess([]Info{c.in}, c.outs, c.meta)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !c.want(s) {
			t.Errorf("%s: guessed %s: %s", name, g.Kind, g.Settings)
		}
		back, err := ParseFlags(g.Settings, nil)
		if err != nil {
			t.Errorf("%s: %s: %v", name, g.Settings, err)
			continue
		}
		if back.Settings() != s.Settings() {
			t.Errorf("%s: %s became %s", name, s.Settings(), back.Settings())
		}
		if !reflect.DeepEqual(back.Detect, s.Detect) || !reflect.DeepEqual(back.Classify, s.Classify) || !reflect.DeepEqual(back.Segment, s.Segment) {
			t.Errorf("%s: %+v became %+v", name, s, back)
		}
	}
	for name, c := range map[string]struct {
		outs []Info
		meta map[string]string
	}{
		"turned boxes":     {[]Info{f32("o", 1, 8, 336)}, ultra("obb", three, "")},
		"rows of RT-DETR":  {[]Info{f32("o", 1, 300, 6)}, ultra("detect", three, "", "head", "RTDETRDecoder")},
		"boxes and scores": {[]Info{f32("l", 1, 10, 3), f32("b", 1, 10, 4)}, nil},
	} {
		if _, g, err := Guess([]Info{small}, c.outs, c.meta); err == nil {
			t.Errorf("%s: guessed %+v", name, g)
		}
	}
	s, g, err := Guess([]Info{f32("input", -1, -1), f32("state", 2, -1, 128), {Name: "sr", DType: tensor.I64, Shape: tensor.Shape{}}},
		[]Info{f32("output", -1, 1), f32("stateN", -1, -1, -1)}, nil)
	if err != nil || s.Audio == nil || g.Settings != "preset=silero-vad" {
		t.Errorf("voice: %v %v", g, err)
	}
}

func TestSettingsFromModel(t *testing.T) {
	base := func() (*Spec, error) {
		return &Spec{Schema: SpecSchema, Image: &Image{Mean: []float32{1}}, Classify: &Classify{Top: 5}}, nil
	}
	s, err := ParseFlagsFrom(base, "model,top=2", nil)
	if err != nil || s.Classify.Top != 2 || s.Image.Mean[0] != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"top=2", "mean=1", "top=2,model"} {
		if s, err := ParseFlagsFrom(base, bad, nil); err == nil {
			t.Errorf("%s: %+v", bad, s)
		}
	}
	if s, err := ParseFlags("model", nil); err == nil {
		t.Errorf("without a model: %+v", s)
	}
}
