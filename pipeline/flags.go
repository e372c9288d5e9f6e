package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/pipeline/audio"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/pixel"
	"github.com/edgerun/edgerun/pipeline/text"
)

// maxFlags bounds the text that ParseFlags reads.
const maxFlags = 1 << 16

// ParseFlags reads a Spec from a compact text: settings separated by commas, each "key=value" or "key"; lists have colons.
//
//	resize=short,size=256,filter=triangle,crop=224,mean=127,std=128,layout=nchw,softmax,top=5,labels=FILE
//	preset=yolov8,threshold=0.4,labels=FILE
//	spec=FILE
//
// preset and spec come first; what follows changes them. open reads the files that labels, vocab, tokenizer and spec
// name. FlagHelp lists the keys. The result is valid; errors name the key.
func ParseFlags(s string, open func(name string) ([]byte, error)) (*Spec, error) {
	return ParseFlagsFrom(nil, s, open)
}

// ParseFlagsFrom is ParseFlags with one key more that can come first: "model" begins with what model returns, the
// pipeline that is recorded with a model or guessed from it, say.
func ParseFlagsFrom(model func() (*Spec, error), s string, open func(name string) ([]byte, error)) (*Spec, error) {
	if len(s) > maxFlags {
		return nil, fmt.Errorf("%w: %d bytes of flags, limit %d", ErrSpec, len(s), maxFlags)
	}
	b := &builder{spec: &Spec{Schema: SpecSchema}, open: open, model: model}
	for i, item := range strings.Split(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		key, value, given := strings.Cut(item, "=")
		k := slices.IndexFunc(flags, func(f flag) bool { return f.key == key })
		if k < 0 {
			return nil, fmt.Errorf("%w: unknown key %q", ErrSpec, key)
		}
		if (key == "preset" || key == "spec" || key == "model") && i > 0 {
			return nil, fmt.Errorf("%w: %s must come first", ErrSpec, key)
		}
		f := flags[k]
		if given == (f.value == "") {
			if given {
				return nil, fmt.Errorf("%w: %s takes no value", ErrSpec, key)
			}
			return nil, fmt.Errorf("%w: %s needs %s", ErrSpec, key, f.value)
		}
		if err := f.set(b, value); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSpec, item, err)
		}
	}
	in, out := b.spec.parts()
	if model != nil && in+out < 2 {
		return nil, fmt.Errorf("%w: what goes in or what comes out is missing: begin with model, preset=NAME or spec=FILE to change single settings", ErrSpec)
	}
	if err := b.spec.Validate(); err != nil {
		return nil, err
	}
	return b.spec, nil
}

// FlagHelp lists the keys of ParseFlags, one per line.
func FlagHelp() string {
	var b strings.Builder
	for _, f := range flags {
		key := f.key
		if f.value != "" {
			key += "=" + f.value
		}
		fmt.Fprintf(&b, "%-24s %s\n", key, f.help)
	}
	return b.String()
}

type builder struct {
	spec  *Spec
	open  func(string) ([]byte, error)
	model func() (*Spec, error)
}

type flag struct {
	key, value, help string
	set              func(b *builder, v string) error
}

// flags in the order of the help. A flag that is about pictures, say, makes the Spec one about pictures.
var flags = []flag{
	{"preset", "NAME", "begin with a preset", func(b *builder, v string) (err error) {
		b.spec, err = Preset(v)
		return err
	}},
	{"spec", "FILE", "begin with a JSON file", func(b *builder, v string) error {
		data, err := b.open(v)
		if err == nil {
			b.spec, err = Parse(data)
		}
		return err
	}},
	{"model", "", "begin with the pipeline that the model's file holds, or that is guessed", func(b *builder, v string) (err error) {
		if b.model == nil {
			return fmt.Errorf("no model is given here")
		}
		b.spec, err = b.model()
		return err
	}},
	{"input", "NAME", "the tensor to feed", func(b *builder, v string) error { b.spec.Input = v; return nil }},
	{"outputs", "NAME[:NAME…]", "the tensors to read", func(b *builder, v string) error { b.spec.Outputs = strings.Split(v, ":"); return nil }},
	{"constant", "NAME:VALUE", "an input with a fixed value", func(b *builder, v string) error {
		name, num, ok := cutLast(v)
		x, err := strconv.ParseFloat(num, 64)
		if !ok || err != nil {
			return fmt.Errorf("want NAME:VALUE")
		}
		b.spec.Constants = append(b.spec.Constants, Constant{name, x})
		return nil
	}},
	{"state", "IN:OUT", "an output that becomes an input of the next frame", func(b *builder, v string) error {
		in, out, ok := strings.Cut(v, ":")
		if !ok {
			return fmt.Errorf("want IN:OUT")
		}
		b.spec.States = append(b.spec.States, State{in, out})
		return nil
	}},

	{"resize", "MODE|N|WxH", "none, stretch, short, fit, limit, height; N is the short side, WxH stretches", func(b *builder, v string) error {
		m := b.image()
		w, h, err := sides(v)
		switch {
		case err != nil:
			m.Resize = v // a mode; Validate knows them
		case strings.Contains(v, "x"):
			m.Resize, m.Width, m.Height = "stretch", w, h
		default:
			m.Resize, m.Size = "short", w
		}
		return nil
	}},
	{"size", "N", "short side, height, or width and height", func(b *builder, v string) error {
		w, h, err := sides(v)
		m := b.image()
		m.Size, m.Width, m.Height = w, w, h
		return err
	}},
	{"min", "N", "least side (limit) or width (height)", imageInt(func(m *Image) *int { return &m.MinSide })},
	{"max", "N", "largest side (limit) or width (height)", imageInt(func(m *Image) *int { return &m.MaxSide })},
	{"multiple", "N", "sides become multiples of this (limit)", imageInt(func(m *Image) *int { return &m.Multiple })},
	{"filter", "FILTER", "nearest, bilinear, triangle, bicubic, lanczos, area", func(b *builder, v string) error {
		b.image().Filter = pixel.Filter(v)
		return nil
	}},
	{"crop", "N[xM]", "cut the centre out after resizing", func(b *builder, v string) error {
		w, h, err := sides(v)
		m := b.image()
		m.CropWidth, m.CropHeight = w, h
		return err
	}},
	{"fraction", "F", "first take this part of the centre", func(b *builder, v string) (err error) {
		b.image().CropFraction, err = strconv.ParseFloat(v, 64)
		return err
	}},
	{"pad", "P[:P:P]", "pixel value around the picture", imageFloats(func(m *Image) *[]float32 { return &m.Pad })},
	{"anchor", "PLACE", "centre or corner", func(b *builder, v string) error { b.image().Anchor = v; return nil }},
	{"order", "ORDER", "rgb, bgr or gray", func(b *builder, v string) error { b.image().Order = v; return nil }},
	{"scale", "S", "values become (v*S - mean) / std; 1/255 may be written so", func(b *builder, v string) error {
		x, err := fraction(v)
		if b.spec.Audio != nil {
			b.spec.Audio.Scale = x
		} else {
			b.image().Scale = x
		}
		return err
	}},
	{"mean", "M[:M:M]", "see scale", func(b *builder, v string) error { return b.norm(v, true) }},
	{"std", "S[:S:S]", "see scale", func(b *builder, v string) error { return b.norm(v, false) }},
	{"raw", "", "feed 8-bit inputs the plain pixels", func(b *builder, v string) error { b.image().Raw = true; return nil }},
	{"layout", "LAYOUT", strings.Join(Layouts, ", "), func(b *builder, v string) error { b.image().Layout = v; return nil }},

	{"rate", "HZ", "samples per second", audioInt(func(a *Audio) *int { return &a.Rate })},
	{"channel", "CHANNEL", "left, right or mix", func(b *builder, v string) error { b.audio().Channel = audio.Channel(v); return nil }},
	{"frame", "N", "samples per run", audioInt(func(a *Audio) *int { return &a.Frame })},
	{"hop", "N", "samples from frame to frame", audioInt(func(a *Audio) *int { return &a.Hop })},
	{"context", "N", "samples before each frame", audioInt(func(a *Audio) *int { return &a.Context })},
	{"samples", "N", "cut or fill the sound to this length", audioInt(func(a *Audio) *int { return &a.Samples })},

	{"bytes", "B[:M:E]", "bytes from begin, middle and end of the file", func(b *builder, v string) error {
		n, err := ints(v)
		if err != nil || len(n) != 1 && len(n) != 3 {
			return fmt.Errorf("want one or three numbers")
		}
		y := b.bytes()
		y.Begin = n[0]
		if len(n) == 3 {
			y.Middle, y.End = n[1], n[2]
		}
		return nil
	}},
	{"fill", "N", "the element for missing bytes", func(b *builder, v string) (err error) {
		b.bytes().Pad, err = strconv.Atoi(v)
		return err
	}},
	{"vocab", "FILE", "vocab.txt of a BERT model, lower case", func(b *builder, v string) error {
		return b.tokenizer(v, func(data []byte) (*text.Tokenizer, error) { return text.FromVocab(data, true) })
	}},
	{"vocab-cased", "FILE", "vocab.txt of a BERT model, upper and lower case", func(b *builder, v string) error {
		return b.tokenizer(v, func(data []byte) (*text.Tokenizer, error) { return text.FromVocab(data, false) })
	}},
	{"tokenizer", "FILE", "tokenizer.json", func(b *builder, v string) error { return b.tokenizer(v, text.FromJSON) }},
	{"length", "N", "most tokens", func(b *builder, v string) (err error) {
		if b.spec.Text == nil {
			return fmt.Errorf("needs vocab or tokenizer before it")
		}
		b.spec.Text.MaxLength, err = strconv.Atoi(v)
		return err
	}},

	{"classify", "", "read classes", func(b *builder, v string) error { b.classify(); return nil }},
	{"softmax", "", "read classes, by softmax", func(b *builder, v string) error { b.classify().Activation = "softmax"; return nil }},
	{"auto", "", "read classes, by softmax unless they are probabilities", func(b *builder, v string) error { b.classify().Activation = "auto"; return nil }},
	{"sigmoid", "", "read classes, each by itself", func(b *builder, v string) error { b.classify().Activation = "sigmoid"; return nil }},
	{"top", "N", "how many classes", func(b *builder, v string) (err error) {
		b.classify().Top, err = strconv.Atoi(v)
		return err
	}},
	{"skip", "N", "leave out the first classes", func(b *builder, v string) (err error) {
		b.classify().Skip, err = strconv.Atoi(v)
		return err
	}},
	{"detect", "HEAD", strings.Join(detect.HeadKinds, ", "), func(b *builder, v string) error {
		d := b.detect()
		d.Head.Kind = v
		return nil
	}},
	{"boxes", "FORMAT", "xyxy, cxcywh, yxyx or xywh, with +relative", func(b *builder, v string) error {
		d := b.detect()
		d.Head.Format, d.Head.Relative = strings.CutSuffix(v, "+relative")
		return nil
	}},
	{"classes", "N", "how many classes a row of a detector has; what follows is not looked at", func(b *builder, v string) (err error) {
		b.detect().Head.Classes, err = strconv.Atoi(v)
		return err
	}},
	{"best", "", "only the best class of a box", func(b *builder, v string) error { b.detect().Head.Best = true; return nil }},
	{"iou", "F", "boxes that overlap more are one", func(b *builder, v string) (err error) {
		b.detect().IoU, err = float(v)
		return err
	}},
	{"limit", "N", "most boxes", func(b *builder, v string) (err error) {
		b.detect().Limit, err = strconv.Atoi(v)
		return err
	}},
	{"threshold", "F", "least score", func(b *builder, v string) error {
		x, err := float(v)
		switch {
		case b.spec.Detect != nil:
			b.spec.Detect.Head.Threshold = x
		case b.spec.TextMap != nil:
			b.spec.TextMap.Threshold = x
		case b.spec.Segment != nil:
			b.spec.Segment.Threshold = x
		case b.spec.Values != nil:
			b.spec.Values.Threshold = x
		default:
			b.classify().Threshold = x
		}
		return err
	}},
	{"segment", "", "read a class per pixel", func(b *builder, v string) error { b.out(); b.spec.Segment = &Segment{}; return nil }},
	{"text-map", "", "read text boxes", func(b *builder, v string) error {
		b.out()
		b.spec.TextMap = &detect.TextMap{Threshold: 0.3, Box: 0.5, Unclip: 1.6}
		return nil
	}},
	{"ctc", "BLANK", "read a line of text; the class that is no symbol", func(b *builder, v string) (err error) {
		b.out()
		b.spec.CTC = &CTC{}
		b.spec.CTC.Blank, err = strconv.Atoi(v)
		return err
	}},
	{"embed", "POOL", "read a vector: none, mean or first, with +normalise", func(b *builder, v string) error {
		b.out()
		b.spec.Embed = &Embed{}
		b.spec.Embed.Pool, b.spec.Embed.Normalise = strings.CutSuffix(v, "+normalise")
		return nil
	}},
	{"values", "", "read plain numbers", func(b *builder, v string) error { b.out(); b.spec.Values = &Values{}; return nil }},
	{"labels", "FILE", "names of the classes, or symbols", func(b *builder, v string) error {
		data, err := b.open(v)
		if err == nil {
			b.spec.Labels, err = ParseLabels(string(data))
		}
		return err
	}},
	{"labels-meta", "KEY", "the same, from the model's metadata", func(b *builder, v string) error {
		b.spec.Labels, b.spec.LabelsMeta = nil, v
		return nil
	}},
}

func (b *builder) in() { b.spec.Image, b.spec.Audio, b.spec.Bytes, b.spec.Text = nil, nil, nil, nil }

func (b *builder) out() {
	s := b.spec
	s.Classify, s.Detect, s.Segment, s.TextMap, s.CTC, s.Embed, s.Values = nil, nil, nil, nil, nil, nil, nil
}

func (b *builder) image() *Image {
	if b.spec.Image == nil {
		b.in()
		b.spec.Image = &Image{}
	}
	return b.spec.Image
}

func (b *builder) audio() *Audio {
	if b.spec.Audio == nil {
		b.in()
		b.spec.Audio = &Audio{Rate: 16000}
	}
	return b.spec.Audio
}

func (b *builder) bytes() *Bytes {
	if b.spec.Bytes == nil {
		b.in()
		b.spec.Bytes = &Bytes{}
	}
	return b.spec.Bytes
}

func (b *builder) classify() *Classify {
	if b.spec.Classify == nil {
		b.out()
		b.spec.Classify = &Classify{}
	}
	return b.spec.Classify
}

func (b *builder) detect() *Detect {
	if b.spec.Detect == nil {
		b.out()
		b.spec.Detect = &Detect{Head: detect.Head{Threshold: 0.25}}
	}
	return b.spec.Detect
}

func (b *builder) tokenizer(file string, parse func([]byte) (*text.Tokenizer, error)) error {
	data, err := b.open(file)
	if err != nil {
		return err
	}
	t, err := parse(data)
	if err != nil {
		return err
	}
	if b.spec.Text == nil {
		b.in()
		b.spec.Text = &Text{}
	}
	b.spec.Text.Tokenizer = t
	return nil
}

func (b *builder) norm(v string, mean bool) error {
	var list []float32
	for _, s := range strings.Split(v, ":") {
		x, err := fraction(s)
		if err != nil {
			return err
		}
		list = append(list, x)
	}
	switch {
	case b.spec.Audio != nil && len(list) != 1:
		return fmt.Errorf("want one number for sound")
	case b.spec.Audio != nil && mean:
		b.spec.Audio.Mean = list[0]
	case b.spec.Audio != nil:
		b.spec.Audio.Std = list[0]
	case mean:
		b.image().Mean = list
	default:
		b.image().Std = list
	}
	return nil
}

func imageInt(field func(*Image) *int) func(*builder, string) error {
	return func(b *builder, v string) (err error) {
		*field(b.image()), err = strconv.Atoi(v)
		return err
	}
}

func audioInt(field func(*Audio) *int) func(*builder, string) error {
	return func(b *builder, v string) (err error) {
		*field(b.audio()), err = strconv.Atoi(v)
		return err
	}
}

func imageFloats(field func(*Image) *[]float32) func(*builder, string) error {
	return func(b *builder, v string) error {
		var list []float32
		for _, s := range strings.Split(v, ":") {
			x, err := float(s)
			if err != nil {
				return err
			}
			list = append(list, x)
		}
		*field(b.image()) = list
		return nil
	}
}

// sides reads "N" or "WxH".
func sides(v string) (w, h int, err error) {
	a, b, two := strings.Cut(v, "x")
	if w, err = strconv.Atoi(a); err != nil {
		return 0, 0, err
	}
	if !two {
		return w, w, nil
	}
	h, err = strconv.Atoi(b)
	return w, h, err
}

func ints(v string) ([]int, error) {
	var list []int
	for _, s := range strings.Split(v, ":") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func float(v string) (float32, error) {
	x, err := strconv.ParseFloat(v, 32)
	return float32(x), err
}

// fraction reads "0.5" or "1/255".
func fraction(v string) (float32, error) {
	a, b, ok := strings.Cut(v, "/")
	x, err := float(a)
	if err != nil || !ok {
		return x, err
	}
	d, err := float(b)
	if err == nil && d == 0 {
		err = fmt.Errorf("division by 0")
	}
	return x / d, err
}

func cutLast(v string) (before, after string, ok bool) {
	i := strings.LastIndexByte(v, ':')
	if i < 0 {
		return v, "", false
	}
	return v[:i], v[i+1:], true
}
