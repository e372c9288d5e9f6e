package e2e

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/testdata"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// open joins a preset and a model of the shared data.
func open(t *testing.T, model, preset string, labels ...string) *pipeline.Pipeline {
	t.Helper()
	r, meta := openModel(t, filepath.Join(testdata.Dir(t), "models", model))
	s, err := pipeline.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.New(s, r, pipeline.Options{Meta: meta, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{testdata.Dir(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is 1 of every n cases: all of them where EDGERUN_ACCEPTANCE is set.
func sample(n int) int {
	if os.Getenv("EDGERUN_ACCEPTANCE") != "" {
		return 1
	}
	return n
}

func TestImageNet(t *testing.T) {
	for _, c := range []struct {
		model, preset string
		want          int // of all 500, ±3
	}{
		{"efficientnet_lite0.onnx", "efficientnet-lite", 437},
		{"efficientnet_lite0.int8.onnx", "efficientnet-lite", 435},
		{"mobilenet_v2_ptq.tflite", "mobilenet-tflite", 430},
		{"mobilenet_v2_uint8.tflite", "mobilenet-tflite", 438},
	} {
		t.Run(c.model, func(t *testing.T) {
			rows, err := csv.NewReader(strings.NewReader(string(read(t, "images", "imagenet", "labels.csv")))).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, c.model, c.preset)
			step := sample(25)
			right, n := 0, 0
			for i := 1; i < len(rows); i += step {
				res, err := p.Run(context.Background(), pipeline.Source{Data: read(t, "images", "imagenet", rows[i][0])})
				if err != nil {
					t.Fatal(err)
				}
				n++
				if class, _ := strconv.Atoi(rows[i][1]); res.Classes[0].Index == class {
					right++
				}
			}
			t.Logf("%d of %d right", right, n)
			if step == 1 && (right < c.want-3 || right > c.want+3) {
				t.Errorf("%d of %d right, want %d ± 3", right, n, c.want)
			}
			if right*4 < n*3 {
				t.Errorf("only %d of %d right", right, n)
			}
		})
	}
}

func TestCIFAR(t *testing.T) {
	const record = 1 + 3*32*32
	data := read(t, "images", "cifar10_test_5k.bin")
	for _, c := range []struct {
		model string
		want  int
	}{{"mlperf_tiny_ic_int8.tflite", 3794}, {"mlperf_tiny_ic_fp32.tflite", 3822}} {
		t.Run(c.model, func(t *testing.T) {
			p := open(t, c.model, "cifar")
			step := sample(50)
			right, n := 0, 0
			for i := 0; i < len(data)/record; i += step {
				rec := data[i*record : (i+1)*record]
				img := pixel.New(32, 32)
				for k := range 32 * 32 {
					img.Pix[3*k], img.Pix[3*k+1], img.Pix[3*k+2] = rec[1+k], rec[1+1024+k], rec[1+2048+k]
				}
				res, err := p.Run(context.Background(), pipeline.Source{Image: img})
				if err != nil {
					t.Fatal(err)
				}
				n++
				if res.Classes[0].Index == int(rec[0]) {
					right++
				}
			}
			t.Logf("%d of %d right", right, n)
			if step == 1 && (right < c.want-10 || right > c.want+10) {
				t.Errorf("%d of %d right, want %d ± 10", right, n, c.want)
			}
			if right*10 < n*6 {
				t.Errorf("only %d of %d right", right, n)
			}
		})
	}
}

type truth struct {
	Box  [4]float32
	Text string
}

func TestOCR(t *testing.T) {
	var want []truth
	if err := json.Unmarshal(read(t, "images", "ocr", "truth.json"), &want); err != nil {
		t.Fatal(err)
	}
	o := pipeline.OCR{
		Det: open(t, "ppocr_v4_det.onnx", "ppocr-det"),
		Cls: open(t, "ppocr_v2_cls.onnx", "ppocr-cls"),
		Rec: open(t, "ppocr_v4_rec.onnx", "ppocr-rec"),
	}
	res, err := o.Read(context.Background(), pipeline.Source{Data: read(t, "images", "ocr", "page.png")})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Lines) != len(want) {
		t.Errorf("%d lines, want %d", len(res.Lines), len(want))
	}
	for i, l := range res.Lines {
		t.Logf("%q %.3f %.3f %v", l.Text, l.Score, l.BoxScore, l.Corners)
		if i >= len(want) {
			continue
		}
		if got := strings.Join(strings.Fields(l.Text), " "); got != strings.Join(strings.Fields(want[i].Text), " ") {
			t.Errorf("line %d: read %q, want %q", i, got, want[i].Text)
		}
		b := want[i].Box
		found := detect.Box{X0: float32(l.Corners[0][0]), Y0: float32(l.Corners[0][1]), X1: float32(l.Corners[2][0]), Y1: float32(l.Corners[2][1])}
		if iou := detect.IoU(&found, &detect.Box{X0: b[0], Y0: b[1], X1: b[2], Y1: b[3]}); iou < 0.7 {
			t.Errorf("line %d: box %v has an IoU of %.2f with %v", i, l.Corners, iou, b)
		}
	}
}

func TestOCRLines(t *testing.T) {
	var want []truth
	if err := json.Unmarshal(read(t, "images", "ocr", "truth.json"), &want); err != nil {
		t.Fatal(err)
	}
	rec := open(t, "ppocr_v4_rec.onnx", "ppocr-rec")
	for i, w := range want {
		res, err := rec.Run(context.Background(), pipeline.Source{Data: read(t, "images", "ocr", "line"+strconv.Itoa(i)+".png")})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(res.Text.Text), " "); got != strings.Join(strings.Fields(w.Text), " ") {
			t.Errorf("line %d: read %q, want %q", i, got, w.Text)
		}
	}
}

func TestVoiceActivity(t *testing.T) {
	var want []float64
	if err := json.Unmarshal(read(t, "audio", "short_wav_easy10s.silero_vad.json"), &want); err != nil {
		t.Fatal(err)
	}
	p := open(t, "silero_vad_16k.onnx", "silero-vad")
	res, err := p.Run(context.Background(), pipeline.Source{Data: read(t, "audio", "short_wav_easy10s.wav")})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Frames) != 312 || len(want) != 312 {
		t.Fatalf("%d frames, %d expected, want 312", len(res.Frames), len(want))
	}
	worst := 0.0
	for i, f := range res.Frames {
		worst = max(worst, math.Abs(float64(f.Values[0])-want[i]))
	}
	t.Logf("largest difference %.6f, spans %v", worst, res.Spans)
	if worst > 1e-3 {
		t.Errorf("largest difference %v, want at most 0.001", worst)
	}
	if len(res.Spans) == 0 {
		t.Error("no speech found")
	}
}

func TestMagika(t *testing.T) {
	p := open(t, "magika.onnx", "magika")
	for _, c := range []struct{ name, data, want string }{
		{"go", "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfor i := range 10 {\n\t\tfmt.Println(\"hello\", i)\n\t}\n}\n", "go"},
		{"python", "import sys\n\ndef main():\n    for line in sys.stdin:\n        print(line.strip().split(','))\n\nif __name__ == '__main__':\n    main()\n", "python"},
		{"png", string(read(t, "images", "ocr", "page.png")), "png"},
		{"wav", string(read(t, "audio", "short_wav_easy10s.wav")), "wav"},
		{"jpeg", string(read(t, "images", "imagenet", "n01440764_tench.jpg")), "jpeg"},
		{"json", string(read(t, "images", "ocr", "truth.json")), "json"},
	} {
		res, err := p.Run(context.Background(), pipeline.Source{Data: []byte(c.data)})
		if err != nil {
			t.Fatal(err)
		}
		if res.Classes[0].Label != c.want {
			t.Errorf("%s: found %v", c.name, res.Classes)
		}
	}
}

func TestFaces(t *testing.T) {
	p := open(t, "face_rfb320.onnx", "ultraface")
	for file, want := range map[string][]detect.Box{
		"n03372029_flute.jpg":            {{X0: 24, Y0: 43, X1: 118, Y1: 153}, {X0: 125, Y0: 100, X1: 226, Y1: 229}},
		"n04591157_Windsor_tie.jpg":      {{X0: 114, Y0: 27, X1: 165, Y1: 96}},
		"n03763968_military_uniform.jpg": {{X0: 60, Y0: 59, X1: 168, Y1: 205}},
		"n07714571_head_cabbage.jpg":     {{X0: 141, Y0: 73, X1: 208, Y1: 171}},
	} {
		res, err := p.Run(context.Background(), pipeline.Source{Data: read(t, "images", "imagenet", file)})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Boxes) != len(want) {
			t.Errorf("%s: faces %v, want %v", file, res.Boxes, want)
			continue
		}
		for i, b := range res.Boxes {
			if iou := detect.IoU(&want[i], &detect.Box{X0: b.X0, Y0: b.Y0, X1: b.X1, Y1: b.Y1}); iou < 0.95 || b.Label != "face" {
				t.Errorf("%s: %v has an IoU of %.2f with %v", file, b, iou, want[i])
			}
		}
	}
}

// The model that the metadata's symbols belong to, classifiers and the voice detector are recognised.
func TestGuessModels(t *testing.T) {
	for model, want := range map[string]string{
		"efficientnet_lite0.onnx":    "a classifier with 1000 classes; ImageNet's mean and deviation, by convention",
		"mobilenet_v2_uint8.tflite":  "a classifier with 1000 classes after one for the background; pixels as they are, by the input's type",
		"mlperf_tiny_ic_int8.tflite": "a classifier with 10 classes; pixels as they are, by the input's type",
		"ppocr_v4_rec.onnx":          "a text recogniser: the metadata hold symbols",
		"ppocr_v4_det.onnx":          "a text detector: a probability per pixel of a picture of any size",
		"face_rfb320.onnx":           "a face detector: boxes and two classes",
		"silero_vad_16k.onnx":        "voice activity: sound, its rate and a state",
		"mlperf_tiny_ad_fp32.tflite": "",
	} {
		r, meta := openModel(t, filepath.Join(testdata.Dir(t), "models", model))
		s, guess, err := pipeline.Guess(r.Inputs(), r.Outputs(), meta)
		if guess.Kind != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", model, guess.Kind, err, want)
		}
		if err == nil {
			if _, err := pipeline.New(s, r, pipeline.Options{Meta: meta}); err != nil {
				t.Errorf("%s: %v", model, err)
			}
		}
	}
	b := read(t, "models", "mobilenet_v2_uint8.tflite")
	labels, err := pipeline.TFLiteLabels(b)
	if err != nil || len(labels) != 1001 || labels[0] != "background" || !strings.HasPrefix(labels[1], "tench") {
		t.Errorf("labels of the model file: %d %.3q, %v", len(labels), labels, err)
	}
}
