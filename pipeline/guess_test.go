package pipeline

import (
	"errors"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

func TestGuess(t *testing.T) {
	rgb := f32("images", 1, 3, 640, 640)
	for want, c := range map[string]struct {
		in   Info
		outs []Info
	}{
		"yolov8":   {rgb, []Info{f32("o", 1, 84, 8400)}},
		"yolov5":   {rgb, []Info{f32("o", 1, 25200, 85)}},
		"yolov10":  {rgb, []Info{f32("o", 1, 300, 6)}},
		"ssd":      {Info{Name: "i", DType: tensor.U8, Shape: tensor.Shape{1, 300, 300, 3}}, []Info{f32("b", 1, 10, 4), f32("c", 1, 10), f32("s", 1, 10), f32("n", 1)}},
		"classify": {f32("x", -1, 3, 224, 224), []Info{f32("o", -1, 1000)}},
		"gray":     {f32("x", 1, 1, 28, 28), []Info{f32("o", 1, 10)}},
		"segment":  {f32("x", 1, 3, 512, 512), []Info{f32("o", 1, 21, 512, 512)}},
	} {
		s, _, err := Guess([]Info{c.in}, c.outs, nil)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		got := ""
		switch {
		case s.Detect != nil:
			got = s.Detect.Head.Kind
			if got == "final" {
				got = "yolov10"
			} else if got == "tflite" {
				got = "ssd"
			}
		case s.Segment != nil:
			got = "segment"
		case s.Image.Order == "gray":
			got = "gray"
		case s.Classify != nil && s.Image.CropWidth == 224 && s.Image.Size == 256:
			got = "classify"
		}
		if got != want {
			t.Errorf("%s: got %q, %+v", want, got, s)
		}
	}
	for name, c := range map[string]struct{ ins, outs []Info }{
		"text":  {[]Info{f32("input_ids", 1, 8)}, []Info{f32("o", 1, 8, 384)}},
		"sound": {[]Info{f32("x", 1, 16000)}, []Info{f32("o", 1, 2)}},
		"two":   {[]Info{rgb, rgb}, []Info{f32("o", 1, 2)}},
		"none":  {[]Info{rgb}, nil},
		"odd":   {[]Info{rgb}, []Info{f32("o", 1, 2, 3, 4, 5)}},
	} {
		if _, _, err := Guess(c.ins, c.outs, nil); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAutoActivation(t *testing.T) {
	for _, c := range []struct {
		in   []float32
		want float32
	}{{[]float32{0.3, 0.65}, 0.65}, {[]float32{0, 2}, 0.880797}, {[]float32{0.9, 0.9}, 0.5}} {
		res := run(t, &Spec{Image: &Image{}, Classify: &Classify{Activation: "auto", Top: 1}}, constantModel(tensor.From(c.in, 1, 2)), Options{},
			Source{Image: numbered(4, 4)})
		if d := res.Classes[0].Score - c.want; d < -1e-6 || d > 1e-6 {
			t.Errorf("%v: %v, want %v", c.in, res.Classes[0].Score, c.want)
		}
	}
}
