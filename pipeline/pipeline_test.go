package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"

	"image"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// function is a model written in Go.
type function struct {
	ins, outs []Info
	f         func(in []*tensor.Tensor) []*tensor.Tensor
}

func (f *function) Inputs() []Info  { return f.ins }
func (f *function) Outputs() []Info { return f.outs }
func (f *function) Run(ctx context.Context, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.f(in), nil
}

func f32(name string, shape ...int) Info {
	return Info{Name: name, DType: tensor.F32, Shape: shape}
}

// constantModel takes a small picture and always answers the same.
func constantModel(outs ...*tensor.Tensor) *function {
	f := &function{ins: []Info{f32("image", 1, 3, 4, 4)}, f: func([]*tensor.Tensor) []*tensor.Tensor { return outs }}
	for i, o := range outs {
		f.outs = append(f.outs, Info{Name: string(rune('a' + i)), DType: o.DType, Shape: o.Shape, Quant: o.Quant})
	}
	return f
}

func run(t *testing.T, s *Spec, r Runner, o Options, src Source) *Result {
	t.Helper()
	s.Schema = SpecSchema
	p, err := New(s, r, o)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Run(context.Background(), src)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func textOf(t *testing.T, r *Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestClassify(t *testing.T) {
	src := Source{Image: numbered(8, 8)}
	logits := tensor.From([]float32{1, 3, 3, -1}, 1, 4)
	quant := tensor.From([]uint8{10, 200, 90, 30}, 1, 4)
	quant.Quant = &tensor.QParams{Scale: []float32{0.004}, Zero: []int32{10}}
	for _, c := range []struct {
		name   string
		out    *tensor.Tensor
		spec   Classify
		labels []string
		want   string
	}{
		{"plain", logits, Classify{Top: 2}, []string{"a", "b", "c", "d"}, "       3  b\n       3  c\n"},
		{"softmax", logits, Classify{Activation: "softmax", Top: 3}, nil, " 46.4 %  class 1\n 46.4 %  class 2\n  6.3 %  class 0\n"},
		{"sigmoid", logits, Classify{Activation: "sigmoid", Threshold: 0.5}, []string{"a"}, " 95.3 %  class 1\n 95.3 %  class 2\n 73.1 %  a\n"},
		{"quantised", quant, Classify{Top: 1}, nil, " 76.0 %  class 1\n"},
		{"background", quant, Classify{Top: 1, Skip: 1}, []string{"none", "b", "c", "d"}, " 76.0 %  b\n"},
		{"background without label", quant, Classify{Top: 1, Skip: 1}, []string{"b", "c", "d"}, " 76.0 %  b\n"},
		{"none", quant, Classify{Threshold: 0.9}, nil, "no class\n"},
		{"trailing ones", tensor.From([]float32{0.25, 0.5}, 1, 2, 1, 1), Classify{}, nil, " 50.0 %  class 1\n 25.0 %  class 0\n"},
		{"NaN", tensor.From([]float32{float32(math.NaN()), 0.5}, 1, 2), Classify{}, nil, " 50.0 %  class 1\n"},
	} {
		res := run(t, &Spec{Image: &Image{}, Classify: &c.spec, Labels: c.labels}, constantModel(c.out), Options{}, src)
		if got := textOf(t, res); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLabelSources(t *testing.T) {
	out := tensor.From([]float32{0, 1}, 1, 2)
	src := Source{Image: numbered(4, 4)}
	meta := map[string]string{"names": "{0: 'a', 1: 'b'}"}
	for want, c := range map[string]struct {
		spec Spec
		opts Options
	}{
		"spec": {Spec{Labels: []string{"x", "spec"}, LabelsMeta: "names"}, Options{Meta: meta, Labels: []string{"x", "options"}}},
		"b":    {Spec{LabelsMeta: "names"}, Options{Meta: meta, Labels: []string{"x", "options"}}},
		"opt":  {Spec{LabelsMeta: "other"}, Options{Meta: meta, Labels: []string{"x", "opt"}}},
		"":     {Spec{}, Options{Meta: meta}},
	} {
		c.spec.Image, c.spec.Classify = &Image{}, &Classify{Top: 1}
		if res := run(t, &c.spec, constantModel(out), c.opts, src); res.Classes[0].Label != want {
			t.Errorf("label %q, want %q", res.Classes[0].Label, want)
		}
	}
}

func TestDetectMapsToThePicture(t *testing.T) {
	// A letterboxed 8x4 picture: 4x2 in the middle of 4x4, so the model's (0,1)-(4,3) is all of it.
	out := tensor.From([]float32{0, 1, 4, 3, .9, 1, 2, 2, 4, 4, .8, 0, 0, 1, 4, 3, .7, 1}, 1, 3, 6)
	spec := &Spec{Image: &Image{Resize: "fit"}, Detect: &Detect{Head: detect.Head{Kind: "final", Threshold: 0.5}, IoU: 0.5}, Labels: []string{"cat", "dog"}}
	res := run(t, spec, constantModel(out), Options{}, Source{Image: numbered(8, 4)})
	want := []Box{{0, 0, 8, 4, .9, 1, "dog"}, {4, 2, 8, 4, .8, 0, "cat"}}
	if !slices.Equal(res.Boxes, want) {
		t.Errorf("boxes %v, want %v", res.Boxes, want)
	}
	if got := textOf(t, res); got != " 90.0 %  dog  (0, 0) to (8, 4)\n 80.0 %  cat  (4, 2) to (8, 4)\n" {
		t.Errorf("text %q", got)
	}
}

func TestSegment(t *testing.T) {
	chw := tensor.From([]float32{1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 2, 0}, 1, 3, 2, 2)
	hwc := tensor.From([]float32{1, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0}, 1, 2, 2, 3)
	one := tensor.From([]float32{.1, .9, .4, .6}, 1, 1, 2, 2)
	for _, c := range []struct {
		name   string
		out    *tensor.Tensor
		in     Info
		spec   Segment
		want   []byte
		labels string
	}{
		{"chw", chw, f32("image", 1, 3, 4, 4), Segment{}, []byte{0, 1, 2, 0}, "2 x 2 pixels\n 50.0 %  sky\n 25.0 %  class 1\n 25.0 %  class 2\n"},
		{"hwc", hwc, f32("image", 1, 4, 4, 3), Segment{}, []byte{0, 1, 2, 0}, "2 x 2 pixels\n 50.0 %  sky\n 25.0 %  class 1\n 25.0 %  class 2\n"},
		{"one", one, f32("image", 1, 3, 4, 4), Segment{Threshold: 0.5}, []byte{0, 1, 0, 1}, "2 x 2 pixels\n 50.0 %  sky\n 50.0 %  class 1\n"},
	} {
		r := constantModel(c.out)
		r.ins[0] = c.in
		res := run(t, &Spec{Image: &Image{}, Segment: &c.spec, Labels: []string{"sky"}}, r, Options{}, Source{Image: numbered(4, 4)})
		if !bytes.Equal(res.Mask.Classes, c.want) || textOf(t, res) != c.labels {
			t.Errorf("%s: %v, %q", c.name, res.Mask.Classes, textOf(t, res))
		}
	}
}

func TestCTCAndTextMap(t *testing.T) {
	rows := tensor.From([]float32{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0}, 1, 4, 4)
	spec := &Spec{Image: &Image{}, CTC: &CTC{Space: true}, LabelsMeta: "character"}
	r := constantModel(rows)
	res := run(t, spec, r, Options{Meta: map[string]string{"character": "a\nb\n"}}, Source{Image: numbered(4, 4)})
	if res.Text.Text != "a b" || res.Text.Score != 1 || textOf(t, res) != "a b\n" {
		t.Errorf("read %+v", res.Text)
	}
	if _, err := New(spec, r, Options{}); !errors.Is(err, ErrSpec) {
		t.Errorf("ctc without symbols: %v", err)
	}
	p, err := New(spec, r, Options{Labels: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), Source{Image: numbered(4, 4)}); err == nil || !strings.Contains(err.Error(), "3 symbols with blank and space, output a has 4 classes") {
		t.Errorf("too few symbols: %v", err)
	}
	m := make([]float32, 32*32)
	for y := 8; y < 17; y++ {
		for x := 4; x < 29; x++ {
			m[y*32+x] = 1
		}
	}
	r = constantModel(tensor.From(m, 1, 1, 32, 32))
	r.ins[0] = f32("x", 1, 3, -1, -1)
	spec = &Spec{Image: &Image{Resize: "stretch", Width: 32, Height: 32}, TextMap: &detect.TextMap{Threshold: .3, Box: .5}}
	res = run(t, spec, r, Options{}, Source{Image: numbered(64, 96)})
	want := [4][2]float64{{9, 25.5}, {57, 25.5}, {57, 49.5}, {9, 49.5}}
	if len(res.Lines) != 1 || res.Lines[0].Corners != want {
		t.Errorf("lines %v, want %v", res.Lines, want)
	}
}

func TestEmbed(t *testing.T) {
	tokens := tensor.From([]float32{3, 0, 5, 8, 100, 100}, 1, 3, 2)
	ids := Info{Name: "input_ids", DType: tensor.I64, Shape: tensor.Shape{-1, 3}}
	mask := Info{Name: "attention_mask", DType: tensor.I64, Shape: tensor.Shape{-1, 3}}
	types := Info{Name: "token_type_ids", DType: tensor.I32, Shape: tensor.Shape{-1, -1}}
	var fed [][]int64
	r := constantModel(tokens)
	r.ins = []Info{mask, ids, types}
	r.f = func(in []*tensor.Tensor) []*tensor.Tensor {
		fed = nil
		for _, x := range in {
			v, _ := x.Ints()
			fed = append(fed, v)
		}
		return []*tensor.Tensor{tokens}
	}
	for _, c := range []struct {
		e    Embed
		want []float32
	}{
		{Embed{Pool: "mean"}, []float32{4, 4}},
		{Embed{Pool: "first", Normalise: true}, []float32{1, 0}},
		{Embed{}, []float32{3, 0, 5, 8, 100, 100}},
	} {
		spec := &Spec{Text: &Text{Tokenizer: tinyTokenizer}, Embed: &c.e}
		res := run(t, spec, r, Options{}, Source{Data: []byte("")})
		if !slices.Equal(res.Embedding, c.want) {
			t.Errorf("%+v: %v, want %v", c.e, res.Embedding, c.want)
		}
	}
	// [CLS] [SEP] and one to fill up; the mask leaves that out.
	if !slices.Equal(fed[0], []int64{1, 1, 0}) || !slices.Equal(fed[1], []int64{2, 3, 0}) || !slices.Equal(fed[2], []int64{0, 0, 0}) {
		t.Errorf("fed %v", fed)
	}
	run(t, &Spec{Text: &Text{Tokenizer: tinyTokenizer}, Embed: &Embed{}}, r, Options{}, Source{Data: []byte("going up up")})
	if !slices.Equal(fed[1], []int64{2, 4, 3}) {
		t.Errorf("cut off to %v", fed[1])
	}
}

// wavFile is mono, 16 bit, 8 kHz.
func wavFile(samples ...int16) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data")
	b = binary.LittleEndian.AppendUint32(b, uint32(2*len(samples)))
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

// The model sums its frame and adds the state, which is the sum so far.
func TestFramesCarryState(t *testing.T) {
	state := tensor.New(tensor.F32, tensor.Shape{1, 1})
	r := &function{
		ins:  []Info{f32("state", -1, 1), {Name: "rate", DType: tensor.I64, Shape: tensor.Shape{}}, f32("input", -1, -1)},
		outs: []Info{f32("next", 1, 1), f32("sum", 1, 1)},
		f: func(in []*tensor.Tensor) []*tensor.Tensor {
			sum := tensor.Of[float32](in[0])[0]
			for _, v := range tensor.Of[float32](in[2]) {
				sum += v
			}
			if tensor.Of[int64](in[1])[0] != 8000 || in[2].Shape.String() != "[1,3]" {
				sum = -1
			}
			// The same memory in every call, as a session's arena.
			tensor.Of[float32](state)[0] = sum
			return []*tensor.Tensor{state, tensor.From([]float32{sum}, 1, 1)}
		},
	}
	spec := &Spec{Audio: &Audio{Rate: 8000, Frame: 2, Context: 1}, Constants: []Constant{{"rate", 8000}}, States: []State{{"state", "next"}},
		Values: &Values{Threshold: 2, MinGap: 0.0001}}
	res := run(t, spec, r, Options{}, Source{Data: wavFile(8192, 8192, 16384, 16384, -16384, 0, 8192)})
	var got []float32
	for _, f := range res.Frames {
		got = append(got, f.Values...)
	}
	// Frames (0) .25 .25; (.25) .5 .5; (.5) -.5 0, summed up.
	if !slices.Equal(got, []float32{.5, 1.75, 1.75}) {
		t.Errorf("values %v", got)
	}
	if res.Frames[2].Start != 4.0/8000 || res.Frames[2].End != 6.0/8000 || len(res.Spans) != 0 {
		t.Errorf("frames %v, spans %v", res.Frames, res.Spans)
	}
	spec.Values.Threshold = 1
	res = run(t, spec, r, Options{}, Source{Data: wavFile(8192, 8192, 16384, 16384, -16384, 0, 8192)})
	if !slices.Equal(res.Spans, []Span{{2.0 / 8000, 6.0 / 8000}}) {
		t.Errorf("spans %v", res.Spans)
	}
	if got := textOf(t, res); got != "   0.000 s 0.5\n   0.000 s 1.75\n   0.001 s 1.75\nfrom 0.000 s to 0.001 s\n" {
		t.Errorf("text %q", got)
	}
}

func TestSpans(t *testing.T) {
	v := Values{Threshold: 0.5, MinGap: 1, MinSpan: 2}
	var frames []Frame
	for i, p := range []float32{0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0.5, 0.5} {
		frames = append(frames, Frame{Start: float64(i), End: float64(i + 1), Values: []float32{p}})
	}
	if got := v.spans(frames); !slices.Equal(got, []Span{{1, 4}, {10, 12}}) {
		t.Errorf("spans %v", got)
	}
}

func TestWholeSound(t *testing.T) {
	var fed *tensor.Tensor
	model := func(in Info) *function {
		return &function{ins: []Info{in}, outs: []Info{f32("y", 1)}, f: func(x []*tensor.Tensor) []*tensor.Tensor {
			fed = x[0]
			return []*tensor.Tensor{tensor.From([]float32{1}, 1)}
		}}
	}
	src := Source{Data: wavFile(8192, 16384, -8192)}
	run(t, &Spec{Audio: &Audio{Rate: 8000}, Values: &Values{}}, model(f32("x", 1, -1)), Options{}, src)
	if !slices.Equal(tensor.Of[float32](fed), []float32{.25, .5, -.25}) || !fed.Shape.Equal(tensor.Shape{1, 3}) {
		t.Errorf("fed %v", fed)
	}
	run(t, &Spec{Audio: &Audio{Rate: 8000, Samples: 4, Peak: true, Scale: 2, Mean: 1, Std: 0.5}, Values: &Values{}}, model(f32("x", 1, 1, 4)), Options{}, src)
	if !slices.Equal(tensor.Of[float32](fed), []float32{0, 2, -4, -2}) || !fed.Shape.Equal(tensor.Shape{1, 1, 4}) {
		t.Errorf("fed %v %v", fed, tensor.Of[float32](fed))
	}
	q := Info{Name: "x", DType: tensor.I8, Shape: tensor.Shape{1, 3}, Quant: &tensor.QParams{Scale: []float32{0.25}, Zero: []int32{-1}}}
	run(t, &Spec{Audio: &Audio{Rate: 8000}, Values: &Values{}}, model(q), Options{}, src)
	if !slices.Equal(tensor.Of[int8](fed), []int8{0, 1, -2}) {
		t.Errorf("fed %v", tensor.Of[int8](fed))
	}
	p, err := New(&Spec{Schema: SpecSchema, Audio: &Audio{Rate: 8000}, Values: &Values{}}, model(f32("x", 1, 5)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), src); err == nil || !strings.Contains(err.Error(), "takes [1,5], got 3 values") {
		t.Errorf("wrong length: %v", err)
	}
	// Keyword features: 49 windows of 10 in the shape of the model.
	kws := presetOf(t, "mlperf-kws")
	run(t, kws, model(f32("x", 1, 49, 10, 1)), Options{}, Source{Data: wavFile(make([]int16, 8000)...)})
	if !fed.Shape.Equal(tensor.Shape{1, 49, 10, 1}) {
		t.Errorf("fed %v", fed)
	}
}

func TestBytes(t *testing.T) {
	b := Bytes{Begin: 4, Middle: 3, End: 4, Block: 6, Strip: true, Pad: 256}
	for in, want := range map[string][]int32{
		"":                 {256, 256, 256, 256, 256, 256, 256, 256, 256, 256, 256},
		" ab ":             {'a', 'b', ' ', 256, ' ', 'a', 'b', 256, ' ', 'a', 'b'},
		"abcdefghijkl":     {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'i', 'j', 'k', 'l'},
		"      xyz      ":  {256, 256, 256, 256, 'x', 'y', 'z', 256, 256, 256, 256},
		"\n\n abc d  \t\r": {'a', 'b', 'c', 256, 'b', 'c', ' ', 256, 256, ' ', 'd'},
	} {
		if got := b.tokens([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	image := func() *Spec { return &Spec{Schema: SpecSchema, Image: &Image{}, Values: &Values{}} }
	out := tensor.From([]float32{1}, 1)
	two := constantModel(out)
	two.ins = append(two.ins, f32("more", 1))
	for want, c := range map[string]struct {
		change func(s *Spec)
		r      Runner
	}{
		"schema":                   {func(s *Spec) { s.Schema = "" }, constantModel(out)},
		`input: the model has no`:  {func(s *Spec) { s.Input = "y" }, constantModel(out)},
		`outputs: the model has`:   {func(s *Spec) { s.Outputs = []string{"z"} }, constantModel(out)},
		`constants: the model has`: {func(s *Spec) { s.Constants = []Constant{{"z", 1}} }, constantModel(out)},
		"input more: neither fed":  {func(s *Spec) {}, two},
		"outputs: 1 to read, 2":    {func(s *Spec) { s.Values, s.Detect = nil, &Detect{Head: detect.Head{Kind: "boxes"}} }, constantModel(out)},
	} {
		s := image()
		c.change(s)
		if _, err := New(s, c.r, Options{}); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	p, err := New(image(), constantModel(out), Options{Pixels: pixel.Limits{Pixels: 10}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background(), Source{Image: numbered(4, 4)}); !errors.Is(err, pixel.ErrTooLarge) {
		t.Errorf("16 pixels with limit 10: %v", err)
	}
	p, _ = New(image(), constantModel(out), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Run(ctx, Source{Image: numbered(4, 4)}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := p.Run(context.Background(), Source{Data: []byte("no picture")}); err == nil {
		t.Error("text was taken for a picture")
	}
}

func TestSources(t *testing.T) {
	var sum float32
	r := constantModel(tensor.From([]float32{1}, 1))
	out := r.f
	r.f = func(in []*tensor.Tensor) []*tensor.Tensor {
		sum = 0
		for _, v := range tensor.Of[float32](in[0]) {
			sum += v
		}
		return out(in)
	}
	img := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	white := bytes.Repeat([]byte{235}, 16)
	for name, src := range map[string]Source{
		"file":  {Data: file.Bytes()},
		"frame": {Frame: &pixel.Frame{Format: "nv12", W: 4, H: 4, Data: append(white, bytes.Repeat([]byte{128}, 8)...)}},
	} {
		run(t, &Spec{Image: &Image{}, Values: &Values{}}, r, Options{}, src)
		if sum != 48*255 {
			t.Errorf("%s: the pixels sum to %v, want %v", name, sum, 48*255)
		}
	}
}

func TestResultJSON(t *testing.T) {
	res := run(t, &Spec{Image: &Image{}, Classify: &Classify{Top: 1}, Labels: []string{"cat"}}, constantModel(tensor.From([]float32{.5}, 1, 1)), Options{},
		Source{Image: numbered(6, 5)})
	data, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"edgerun.result/1","kind":"classes","width":6,"height":5,"classes":[{"class":0,"label":"cat","score":0.5}]}`
	if string(data) != want {
		t.Errorf("%s, want %s", data, want)
	}
}

// A page of two lines, one of them vertical; the recogniser reports the width and height that it saw.
func TestOCRComposition(t *testing.T) {
	m := make([]float32, 64*64)
	fill := func(x0, y0, x1, y1 int) {
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				m[y*64+x] = 1
			}
		}
	}
	fill(4, 4, 45, 13)   // 40 x 8 between centres
	fill(10, 30, 19, 61) // 8 x 30
	det := constantModel(tensor.From(m, 1, 1, 64, 64))
	det.ins[0] = f32("x", 1, 3, 64, 64)
	var seen []tensor.Shape
	rec := constantModel()
	rec.ins[0] = f32("x", 1, 3, 48, -1)
	rec.outs = []Info{f32("y", 1, -1, 3)}
	rec.f = func(in []*tensor.Tensor) []*tensor.Tensor {
		seen = append(seen, in[0].Shape)
		return []*tensor.Tensor{tensor.From([]float32{0, 1, 0, 0, 0, 1}, 1, 2, 3)}
	}
	cls := constantModel(tensor.From([]float32{0.01, 0.99}, 1, 2))
	cls.ins[0] = f32("x", 1, 3, 48, 192)
	build := func(s *Spec, r Runner) *Pipeline {
		s.Schema = SpecSchema
		p, err := New(s, r, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	o := OCR{
		Det:    build(&Spec{Image: &Image{}, TextMap: &detect.TextMap{Threshold: .3, Box: .5}}, det),
		Cls:    build(presetOf(t, "ppocr-cls"), cls),
		Rec:    build(&Spec{Image: &Image{Resize: "height", Size: 48}, CTC: &CTC{}, Labels: []string{"o", "k"}}, rec),
		Margin: -1,
	}
	res, err := o.Read(context.Background(), Source{Image: numbered(64, 64)})
	if err != nil {
		t.Fatal(err)
	}
	if textOf(t, res) != "ok\nok\n" || len(seen) != 2 {
		t.Fatalf("read %q from %v", textOf(t, res), seen)
	}
	if !seen[0].Equal(tensor.Shape{1, 3, 48, 240}) || !seen[1].Equal(tensor.Shape{1, 3, 48, 180}) {
		t.Errorf("the recogniser saw %v", seen)
	}
	if res.Lines[0].Turned != 180 || res.Lines[1].Turned != 90 {
		t.Errorf("turned by %d and %d, want 180 and 90", res.Lines[0].Turned, res.Lines[1].Turned)
	}
	o.MinScore = 2
	if res, _ := o.Read(context.Background(), Source{Image: numbered(64, 64)}); len(res.Lines) != 0 {
		t.Errorf("lines %v", res.Lines)
	}
	if _, err := (&OCR{Det: o.Rec, Rec: o.Det}).Read(context.Background(), Source{Image: numbered(64, 64)}); !errors.Is(err, ErrSpec) {
		t.Errorf("swapped models: %v", err)
	}
}

// Scores are percentages only where all of them are shares.
func TestClassesText(t *testing.T) {
	for want, list := range map[string][]Class{
		" 90.0 %  a\n 10.0 %  class 1\n":   {{0, "a", 0.9}, {1, "", 0.1}},
		"       2  a\n     0.5  class 1\n": {{0, "a", 2}, {1, "", 0.5}},
	} {
		var b strings.Builder
		if err := (&Result{Kind: "classes", Classes: list}).WriteText(&b); err != nil || b.String() != want {
			t.Errorf("%q, want %q, %v", b.String(), want, err)
		}
	}
}
