package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/pipeline/audio"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/text"
)

func presetOf(t testing.TB, name string) *Spec {
	t.Helper()
	s, err := Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var tinyTokenizer = &text.Tokenizer{Kind: "wordpiece", Vocab: []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "go", "##ing", "up"}, Lower: true,
	First: "[CLS]", Last: "[SEP]", Unknown: "[UNK]", Pad: "[PAD]"}

func TestPresets(t *testing.T) {
	if len(PresetNames()) < 20 {
		t.Fatalf("presets %v", PresetNames())
	}
	for _, name := range PresetNames() {
		s := presetOf(t, name)
		if PresetAbout(name) == "" {
			t.Errorf("%s: nothing said about it", name)
		}
		// Presets hold only known fields.
		d := json.NewDecoder(strings.NewReader(string(presets()[name].Spec)))
		d.DisallowUnknownFields()
		if err := d.Decode(&Spec{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Text != nil {
			s.Text.Tokenizer = tinyTokenizer
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data2, _ := json.Marshal(again)
		if string(data) != string(data2) {
			t.Errorf("%s: %s\nbecame %s", name, data, data2)
		}
	}
	if _, err := Preset("nothing"); !errors.Is(err, ErrSpec) {
		t.Errorf("unknown preset: %v", err)
	}
	// Nobody can change what the next caller gets.
	presetOf(t, "cifar").Labels[0] = "ship"
	if presetOf(t, "cifar").Labels[0] != "airplane" {
		t.Error("a preset was changed by a caller")
	}
}

func TestParse(t *testing.T) {
	good := `{"schema":"edgerun.pipeline/1","image":{},"values":{},"extra":{"maker":"x"}}`
	s, err := Parse([]byte(good))
	if err != nil || s.Extra["maker"] != "x" {
		t.Fatalf("%v, %v", s, err)
	}
	for name, bad := range map[string]string{
		"empty":            ``,
		"schema":           `{"image":{},"values":{}}`,
		"version":          `{"schema":"edgerun.pipeline/2","image":{},"values":{}}`,
		"unknown field":    `{"schema":"edgerun.pipeline/1","image":{},"values":{},"sharpen":1}`,
		"unknown in image": `{"schema":"edgerun.pipeline/1","image":{"sharpen":1},"values":{}}`,
		"two inputs":       `{"schema":"edgerun.pipeline/1","image":{},"audio":{"rate":8000},"values":{}}`,
		"no input":         `{"schema":"edgerun.pipeline/1","values":{}}`,
		"no output":        `{"schema":"edgerun.pipeline/1","image":{}}`,
		"more":             good + `{}`,
		"type":             `{"schema":"edgerun.pipeline/1","image":{"size":"big"},"values":{}}`,
	} {
		if _, err := Parse([]byte(bad)); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every error names its field.
func TestValidate(t *testing.T) {
	for field, change := range map[string]func(s *Spec){
		"schema":                 func(s *Spec) { s.Schema = "" },
		"image.crop_fraction":    func(s *Spec) { s.Image.CropFraction = 2 },
		"image.resize":           func(s *Spec) { s.Image.Resize = "shrink" },
		"image.filter":           func(s *Spec) { s.Image.Filter = "sharp" },
		"image.width":            func(s *Spec) { s.Image.Width = -1 },
		"image.size":             func(s *Spec) { s.Image.Resize = "short" },
		"image.max_side":         func(s *Spec) { s.Image.MaxSide = 1 << 20 },
		"image.min_side":         func(s *Spec) { s.Image.MinSide, s.Image.MaxSide = 5, 4 },
		"image.crop_width":       func(s *Spec) { s.Image.CropWidth = 5 },
		"image.anchor":           func(s *Spec) { s.Image.Anchor = "left" },
		"image.order":            func(s *Spec) { s.Image.Order = "rgba" },
		"image.layout":           func(s *Spec) { s.Image.Layout = "cnhw" },
		"image.layout: hw":       func(s *Spec) { s.Image.Layout = "hw" },
		"image.mean":             func(s *Spec) { s.Image.Mean = []float32{1, 2} },
		"image.std":              func(s *Spec) { s.Image.Std = []float32{0} },
		"audio.rate":             func(s *Spec) { s.Image, s.Audio = nil, &Audio{} },
		"audio.channel":          func(s *Spec) { s.Image, s.Audio = nil, &Audio{Rate: 1, Channel: "both"} },
		"audio.frame":            func(s *Spec) { s.Image, s.Audio = nil, &Audio{Rate: 1, Context: 4} },
		"audio.mel":              func(s *Spec) { s.Image, s.Audio = nil, &Audio{Rate: 1, Frame: 4, Mel: &audio.Mel{}} },
		"audio.mel.window":       func(s *Spec) { s.Image, s.Audio = nil, &Audio{Rate: 1, Mel: &audio.Mel{}} },
		"audio.transpose":        func(s *Spec) { s.Image, s.Audio = nil, &Audio{Rate: 1, Transpose: true} },
		"bytes.begin+middle+end": func(s *Spec) { s.Image, s.Bytes = nil, &Bytes{} },
		"text.tokenizer":         func(s *Spec) { s.Image, s.Text = nil, &Text{} },
		"text.tokenizer.kind":    func(s *Spec) { s.Image, s.Text = nil, &Text{Tokenizer: &text.Tokenizer{}} },
		"states":                 func(s *Spec) { s.States = []State{{"a", "b"}} },
		"classify.activation":    func(s *Spec) { s.Values, s.Classify = nil, &Classify{Activation: "relu"} },
		"classify.top":           func(s *Spec) { s.Values, s.Classify = nil, &Classify{Top: -1} },
		"detect.head.kind":       func(s *Spec) { s.Values, s.Detect = nil, &Detect{} },
		"detect.iou":             func(s *Spec) { s.Values, s.Detect = nil, &Detect{Head: detect.Head{Kind: "final"}, IoU: 2} },
		"detect, text_map":       func(s *Spec) { s.Image, s.Bytes, s.Values, s.TextMap = nil, &Bytes{Begin: 1}, nil, &detect.TextMap{} },
		"text_map.threshold":     func(s *Spec) { s.Values, s.TextMap = nil, &detect.TextMap{Threshold: 2} },
		"ctc.blank":              func(s *Spec) { s.Values, s.CTC = nil, &CTC{Blank: -1} },
		"embed.pool":             func(s *Spec) { s.Values, s.Embed = nil, &Embed{Pool: "max"} },
	} {
		s := &Spec{Schema: SpecSchema, Image: &Image{}, Values: &Values{}}
		change(s)
		if err := s.Validate(); !errors.Is(err, ErrSpec) || !strings.HasPrefix(err.Error(), "pipeline: "+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func openNothing(name string) ([]byte, error) { return nil, os.ErrNotExist }

func TestParseFlags(t *testing.T) {
	files := map[string]string{"l.txt": "cat\ndog\n", "v.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\nup\n",
		"s.json": `{"schema":"edgerun.pipeline/1","image":{"size":9},"values":{}}`}
	open := func(name string) ([]byte, error) {
		if s, ok := files[name]; ok {
			return []byte(s), nil
		}
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	lite := presetOf(t, "efficientnet-lite")
	lite.Classify.Top = 3
	vocab, _ := text.FromVocab([]byte(files["v.txt"]), true)
	silero := presetOf(t, "silero-vad")
	for in, want := range map[string]*Spec{
		"resize=256,filter=triangle,crop=224,mean=127,std=128,layout=nchw,softmax,top=5,labels=l.txt": {
			Image:    &Image{Resize: "short", Size: 256, Filter: "triangle", CropWidth: 224, CropHeight: 224, Mean: []float32{127}, Std: []float32{128}, Layout: "nchw"},
			Classify: &Classify{Activation: "softmax", Top: 5}, Labels: []string{"cat", "dog"}},
		"preset=efficientnet-lite,top=3": lite,
		"spec=s.json, size=7x8":          {Image: &Image{Size: 7, Width: 7, Height: 8}, Values: &Values{}},
		"resize=320x240,scale=1/255,mean=0.5:0.4:0.3,detect=yolov5,boxes=cxcywh+relative,threshold=0.5,iou=.4,limit=9": {
			Image:  &Image{Resize: "stretch", Width: 320, Height: 240, Scale: 1.0 / 255, Mean: []float32{.5, .4, .3}},
			Detect: &Detect{Head: detect.Head{Kind: "yolov5", Format: "cxcywh", Relative: true, Threshold: 0.5}, IoU: .4, Limit: 9}},
		"rate=16000,frame=512,context=64,channel=left,constant=sr:16000,state=state:stateN,input=input,outputs=output,values": {
			Audio: silero.Audio, Input: "input", Constants: silero.Constants, States: silero.States, Outputs: silero.Outputs, Values: &Values{}},
		"bytes=4:0:6,fill=256,classify":              {Bytes: &Bytes{Begin: 4, End: 6, Pad: 256}, Classify: &Classify{}},
		"vocab=v.txt,length=64,embed=mean+normalise": {Text: &Text{Tokenizer: vocab, MaxLength: 64}, Embed: &Embed{Pool: "mean", Normalise: true}},
		"resize=fit,pad=114,raw,segment":             {Image: &Image{Resize: "fit", Pad: []float32{114}, Raw: true}, Segment: &Segment{}},
		"resize=height,size=48,ctc=0,labels-meta=k":  {Image: &Image{Resize: "height", Size: 48, Width: 48, Height: 48}, CTC: &CTC{}, LabelsMeta: "k"},
	} {
		want.Schema = SpecSchema
		got, err := ParseFlags(in, open)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s:\n%s, want\n%s", in, a, b)
		}
	}
	for in, want := range map[string]string{
		"":                            "want one",
		"sharpen":                     `unknown key "sharpen"`,
		"top":                         "top needs N",
		"softmax=1":                   "softmax takes no value",
		"top=x":                       "top=x",
		"top=3,preset=imagenet":       "preset must come first",
		"preset=none":                 "unknown preset",
		"resize=wild,softmax":         "image.resize",
		"labels=none.txt":             "labels=none.txt",
		"scale=1/0":                   "division by 0",
		"length=4":                    "needs vocab",
		"bytes=1:2":                   "one or three",
		"constant=x":                  "NAME:VALUE",
		strings.Repeat("top=1,", 1e5): "bytes of flags",
	} {
		if _, err := ParseFlags(in, open); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want an error with %q", in, err, want)
		}
	}
	for _, f := range flags {
		if !strings.Contains(FlagHelp(), "\n"+f.key) && !strings.HasPrefix(FlagHelp(), f.key) {
			t.Errorf("%s is not in the help", f.key)
		}
	}
}

func FuzzSpec(f *testing.F) {
	for _, name := range PresetNames() {
		s := presetOf(f, name)
		s.Labels = nil
		data, _ := json.Marshal(s)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add("preset=imagenet,top=3,mean=1:2:3")
	f.Add("resize=256x20,detect=ssd,boxes=xyxy+relative,threshold=.5")
	f.Add("rate=16000,frame=3,values")
	f.Fuzz(func(t *testing.T, s string) {
		if spec, err := ParseFlags(s, openNothing); err == nil {
			if err := spec.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestParseLabels(t *testing.T) {
	for in, want := range map[string][]string{
		"a\nb\n":                    {"a", "b"},
		"a\r\nb c\r\n":              {"a", "b c"},
		"'\n疗\n \n":                 {"'", "疗", " "},
		`["a", "b"]`:                {"a", "b"},
		`{0: 'person', 1: "it's"}`:  {"person", "it's"},
		`{"1": "b", "0": "a"}`:      {"a", "b"},
		`{0: 'a\'b'}`:               {"a'b"},
		"0 zero\n1 one\n":           {"zero", "one"},
		"0: zero\n1:  one two":      {"zero", "one two"},
		"1 one\n2 two":              {"1 one", "2 two"},
		"{0: 'a', 2: 'c'}\nnothing": {"{0: 'a', 2: 'c'}", "nothing"},
	} {
		got, err := ParseLabels(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q (%v)", in, got, want, err)
		}
	}
	if _, err := ParseLabels(strings.Repeat("\n", maxLabels+5)); err == nil {
		t.Error("too many labels were accepted")
	}
}

// The Spec is a tree of plain data: any encoder that knows struct tags can write it.
func TestSpecIsPlainData(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(path string, ty reflect.Type)
	walk = func(path string, ty reflect.Type) {
		if seen[ty] {
			return
		}
		seen[ty] = true
		switch ty.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(path, ty.Elem())
		case reflect.Struct:
			for i := range ty.NumField() {
				if f := ty.Field(i); f.IsExported() {
					if f.Tag.Get("json") == "" {
						t.Errorf("%s.%s has no name", path, f.Name)
					}
					walk(path+"."+f.Name, f.Type)
				}
			}
		case reflect.Func, reflect.Chan, reflect.Uintptr, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
			t.Errorf("%s is a %v", path, ty)
		}
	}
	walk("Spec", reflect.TypeFor[Spec]())
}
