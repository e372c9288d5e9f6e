package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/edgerun/edgerun/pipeline/audio"
	"github.com/edgerun/edgerun/pipeline/detect"
	"github.com/edgerun/edgerun/pipeline/pixel"
	"github.com/edgerun/edgerun/pipeline/text"
)

// SpecSchema is the schema of a Spec.
const SpecSchema = "edgerun.pipeline/1"

// Limits of a Spec.
const (
	maxSpecBytes = 64 << 20
	maxSide      = 1 << 15
	maxLabels    = 1 << 20
)

// ErrSpec is wrapped by all errors about what a Spec says.
var ErrSpec = errors.New("pipeline")

// Spec says what happens before and after a model. Exactly one of Image, Audio, Bytes and Text says what goes in, exactly
// one of Classify, Detect, Segment, TextMap, CTC, Embed and Values says what comes out. Fields of which a reader
// does not know the name refuse the Spec; what may be ignored is in Extra.
type Spec struct {
	Schema string `json:"schema"`

	Image *Image `json:"image,omitempty"`
	Audio *Audio `json:"audio,omitempty"`
	Bytes *Bytes `json:"bytes,omitempty"`
	Text  *Text  `json:"text,omitempty"`

	// Input names the tensor that is fed; "" is the first that is neither a constant nor a state.
	Input string `json:"input,omitempty"`
	// Constants are inputs with one fixed value.
	Constants []Constant `json:"constants,omitempty"`
	// States are outputs that become inputs of the next frame; zeros at first.
	States []State `json:"states,omitempty"`

	// Outputs names the tensors that are read; empty takes the first ones that are not states.
	Outputs []string `json:"outputs,omitempty"`

	Classify *Classify       `json:"classify,omitempty"`
	Detect   *Detect         `json:"detect,omitempty"`
	Segment  *Segment        `json:"segment,omitempty"`
	TextMap  *detect.TextMap `json:"text_map,omitempty"`
	CTC      *CTC            `json:"ctc,omitempty"`
	Embed    *Embed          `json:"embed,omitempty"`
	Values   *Values         `json:"values,omitempty"`

	// Labels name the classes, or the symbols of CTC.
	Labels []string `json:"labels,omitempty"`
	// LabelsMeta is the key of the model's metadata that holds the labels where Labels is empty: one per line, a JSON
	// list, or a dictionary from number to name.
	LabelsMeta string `json:"labels_meta,omitempty"`

	// Extra is kept and not looked at.
	Extra map[string]any `json:"extra,omitempty"`
}

// Constant is an input with a fixed value, in all its elements.
type Constant struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// State is an output that is fed back.
type State struct {
	In  string `json:"in"`
	Out string `json:"out"`
}

// Image says how a picture becomes the input.
type Image struct {
	// CropFraction first takes the centred square of this fraction of the shorter side.
	CropFraction float64 `json:"crop_fraction,omitempty"`
	// Resize is one of ResizeModes; "" is stretch.
	Resize string       `json:"resize,omitempty"`
	Filter pixel.Filter `json:"filter,omitempty"` // "" is bilinear
	// Width and Height of stretch and fit; 0 is the model's input.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// Size is the shorter side (short) or the height (height).
	Size int `json:"size,omitempty"`
	// MinSide, MaxSide and Multiple bound the sides (limit); MinSide and MaxSide bound the width (height).
	MinSide  int `json:"min_side,omitempty"`
	MaxSide  int `json:"max_side,omitempty"`
	Multiple int `json:"multiple,omitempty"`
	// Anchor says where padding leaves the picture: centre (default) or corner (upper left).
	Anchor string `json:"anchor,omitempty"`
	// Pad is the pixel value around the picture, one or one per channel; empty is 0.
	Pad []float32 `json:"pad,omitempty"`
	// CropWidth and CropHeight cut the centre out after resizing; 0 leaves the picture as it is.
	CropWidth  int `json:"crop_width,omitempty"`
	CropHeight int `json:"crop_height,omitempty"`
	// Order is rgb (default), bgr or gray.
	Order string `json:"order,omitempty"`
	// A pixel value p becomes (p*Scale - Mean) / Std, per channel in the order of Order. Scale 0 is 1; empty Mean is 0, empty
	// Std is 1; one value serves all channels.
	Scale float32   `json:"scale,omitempty"`
	Mean  []float32 `json:"mean,omitempty"`
	Std   []float32 `json:"std,omitempty"`
	// Raw feeds u8 inputs the pixel value and i8 inputs the pixel value minus 128, whatever the rest says.
	Raw bool `json:"raw,omitempty"`
	// Layout is one of Layouts; "" is found from the model's input.
	Layout string `json:"layout,omitempty"`
}

// ResizeModes lists the ways to reach the model's size. With w and h the picture's sides and round to nearest, halves up:
//
//   - none: as it is
//   - stretch: to Width x Height
//   - short: the shorter side becomes Size, the other floor(Size*long/short)
//   - fit: scale by min(Width/w, Height/h), sides rounded; padded to Width x Height
//   - limit: scale by r, 1 or what brings the shorter side up to MinSide, or the longer down to MaxSide; then each side
//     becomes max(round(side*r/Multiple), 1) * Multiple
//   - height: height Size, width ceil(Size*w/h), at most MaxSide; padded on the right to MinSide
var ResizeModes = []string{"none", "stretch", "short", "fit", "limit", "height"}

// Layouts lists the orders of the dimensions; flat is [1, H*W*C].
var Layouts = []string{"nchw", "nhwc", "chw", "hwc", "nhw", "hw", "flat"}

// Audio says how sound becomes the input.
type Audio struct {
	Rate    int           `json:"rate"`              // samples per second that the model wants
	Channel audio.Channel `json:"channel,omitempty"` // "" is mix
	// Peak divides the samples by the largest of them where that is above 0.
	Peak bool `json:"peak,omitempty"`
	// Frame cuts the sound into pieces, one run each, Hop apart (0: Frame), each after Context earlier samples. 0 feeds
	// the whole sound at once.
	Frame   int `json:"frame,omitempty"`
	Hop     int `json:"hop,omitempty"`
	Context int `json:"context,omitempty"`
	// PadTail fills the last frame with zeros; else what fills no frame is left out.
	PadTail bool `json:"pad_tail,omitempty"`
	// Samples cuts the whole sound to this length, or fills it up with zeros. 0 leaves it.
	Samples int `json:"samples,omitempty"`
	// Mel makes features of the sound; Transpose puts bands before windows.
	Mel       *audio.Mel `json:"mel,omitempty"`
	Transpose bool       `json:"transpose,omitempty"`
	// A value v becomes (v*Scale - Mean) / Std; Scale and Std 0 are 1.
	Scale float32 `json:"scale,omitempty"`
	Mean  float32 `json:"mean,omitempty"`
	Std   float32 `json:"std,omitempty"`
}

// Bytes says how the bytes of a file become the input: Begin bytes of its first Block bytes, then Middle bytes around its
// middle, then End bytes of its last Block bytes; each byte one element. Missing ones are Pad: after the
// begin's, around the middle's, before the end's bytes.
type Bytes struct {
	Begin  int `json:"begin,omitempty"`
	Middle int `json:"middle,omitempty"`
	End    int `json:"end,omitempty"`
	// Block bounds what is read at either end; 0 is the whole file.
	Block int `json:"block,omitempty"`
	// Strip leaves out white space (tab to carriage return, space) before the begin's and after the end's bytes.
	Strip bool `json:"strip,omitempty"`
	Pad   int  `json:"pad,omitempty"`
}

// Text says how text becomes the input.
type Text struct {
	Tokenizer *text.Tokenizer `json:"tokenizer"`
	// MaxLength is the most tokens; 0 is 512. Fixed fills up to it; a fixed input of the model does so anyway.
	MaxLength int  `json:"max_length,omitempty"`
	Fixed     bool `json:"fixed,omitempty"`
	// Mask and Types name the inputs for the attention mask (1 where a token is) and the token types (0); "" is
	// attention_mask and token_type_ids, where the model has them.
	Mask  string `json:"mask,omitempty"`
	Types string `json:"types,omitempty"`
}

// Classify reads class scores.
type Classify struct {
	// Activation is none (default), softmax, sigmoid, or auto: softmax unless the scores are in [0, 1] and sum to 1
	// within 0.1.
	Activation string `json:"activation,omitempty"`
	// Top is the most classes to return; 0 returns all. Equal scores keep the order of the classes.
	Top int `json:"top,omitempty"`
	// Threshold is the least score that is returned.
	Threshold float32 `json:"threshold,omitempty"`
	// Skip leaves out the first classes (a background class, say); the next one becomes number 0.
	Skip int `json:"skip,omitempty"`
}

// Detect reads boxes.
type Detect struct {
	Head detect.Head `json:"head"`
	// IoU above which the lesser of two boxes goes; 0 suppresses nothing.
	IoU float32 `json:"iou,omitempty"`
	// Agnostic suppresses across classes.
	Agnostic bool `json:"agnostic,omitempty"`
	// Candidates and Limit bound the boxes before and after suppression; 0 is 8192 and no bound.
	Candidates int `json:"candidates,omitempty"`
	Limit      int `json:"limit,omitempty"`
}

// Segment reads a class per pixel: the largest of the scores (the first of equals), or one score against Threshold.
type Segment struct {
	Threshold float32 `json:"threshold,omitempty"`
}

// CTC reads a line of text.
type CTC struct {
	// Blank is the class for no symbol; the labels are the other classes, in order.
	Blank int `json:"blank"`
	// Space adds a space as the last symbol.
	Space bool `json:"space,omitempty"`
}

// Embed reads a vector.
type Embed struct {
	// Pool makes one vector of one per token: none (default), mean (over the tokens of the mask) or first.
	Pool string `json:"pool,omitempty"`
	// Normalise divides by the Euclidean length.
	Normalise bool `json:"normalise,omitempty"`
}

// Values reads plain numbers, or one probability per frame.
type Values struct {
	// Threshold makes spans of the frames at or above it: gaps shorter than MinGap are closed, then spans shorter than
	// MinSpan left out (seconds). 0 makes none.
	Threshold float32 `json:"threshold,omitempty"`
	MinGap    float64 `json:"min_gap_s,omitempty"`
	MinSpan   float64 `json:"min_span_s,omitempty"`
}

// Parse reads a Spec from JSON and validates it.
func Parse(data []byte) (*Spec, error) {
	if len(data) > maxSpecBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSpec, len(data), maxSpecBytes)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var s Spec
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: data after the end", ErrSpec)
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// checker collects the first error; field names the place.
type checker struct{ err error }

func (c *checker) fail(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", ErrSpec, field, fmt.Sprintf(format, args...))
	}
}

func (c *checker) oneOf(field, v string, list ...string) {
	if v != "" && !slices.Contains(list, v) {
		c.fail(field, "unknown %q, known: %q", v, list)
	}
}

func (c *checker) between(field string, v, lo, hi int) {
	if v < lo || v > hi {
		c.fail(field, "%d, want %d to %d", v, lo, hi)
	}
}

func (c *checker) finite(field string, v ...float32) {
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			c.fail(field, "%v is no number", x)
		}
	}
}

func (c *checker) sub(field string, err error) {
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%w: %s.%w", ErrSpec, field, err)
	}
}

// Validate checks the whole Spec; the error names the field.
func (s *Spec) Validate() error {
	c := &checker{}
	if s.Schema != SpecSchema {
		c.fail("schema", "%q, this version reads %q", s.Schema, SpecSchema)
	}
	in, out := s.parts()
	if in != 1 {
		c.fail("image, audio, bytes, text", "%d of them given, want one", in)
	}
	if out != 1 {
		c.fail("classify, detect, segment, text_map, ctc, embed, values", "%d of them given, want one", out)
	}
	if s.Image == nil && (s.Detect != nil || s.TextMap != nil) {
		c.fail("detect, text_map", "boxes need a picture")
	}
	if len(s.Labels) > maxLabels {
		c.fail("labels", "%d, limit %d", len(s.Labels), maxLabels)
	}
	if len(s.Constants)+len(s.States)+len(s.Outputs) > 1024 {
		c.fail("constants, states, outputs", "too many")
	}
	if len(s.States) > 0 && (s.Audio == nil || s.Audio.Frame == 0) {
		c.fail("states", "need audio frames")
	}
	for _, k := range s.Constants {
		if math.IsNaN(k.Value) || math.IsInf(k.Value, 0) {
			c.fail("constants", "%s: %v is no number", k.Name, k.Value)
		}
	}
	s.Image.validate(c)
	s.Audio.validate(c)
	if b := s.Bytes; b != nil {
		c.between("bytes.begin", b.Begin, 0, 1<<24)
		c.between("bytes.middle", b.Middle, 0, 1<<24)
		c.between("bytes.end", b.End, 0, 1<<24)
		c.between("bytes.block", b.Block, 0, 1<<30)
		c.between("bytes.begin+middle+end", b.Begin+b.Middle+b.End, 1, 1<<24)
		c.between("bytes.pad", b.Pad, math.MinInt32, math.MaxInt32)
	}
	if t := s.Text; t != nil {
		c.between("text.max_length", t.MaxLength, 0, 1<<20)
		if t.Tokenizer == nil {
			c.fail("text.tokenizer", "missing")
		} else {
			c.sub("text.tokenizer", t.Tokenizer.Validate())
		}
	}
	s.validateOut(c)
	return c.err
}

func (m *Image) validate(c *checker) {
	if m == nil {
		return
	}
	if !(m.CropFraction >= 0 && m.CropFraction <= 1) {
		c.fail("image.crop_fraction", "%v, want 0 to 1", m.CropFraction)
	}
	c.oneOf("image.resize", m.Resize, ResizeModes...)
	if m.Filter != "" && !slices.Contains(pixel.Filters, m.Filter) {
		c.fail("image.filter", "unknown %q, known: %q", m.Filter, pixel.Filters)
	}
	for _, f := range []struct {
		name string
		v    int
	}{
		{"width", m.Width}, {"height", m.Height}, {"size", m.Size}, {"min_side", m.MinSide}, {"max_side", m.MaxSide},
		{"multiple", m.Multiple}, {"crop_width", m.CropWidth}, {"crop_height", m.CropHeight},
	} {
		c.between("image."+f.name, f.v, 0, maxSide)
	}
	if (m.Resize == "short" || m.Resize == "height") && m.Size == 0 {
		c.fail("image.size", "missing, resize %s needs it", m.Resize)
	}
	if m.MaxSide > 0 && m.MinSide > m.MaxSide {
		c.fail("image.min_side", "%d is above max_side %d", m.MinSide, m.MaxSide)
	}
	if (m.CropWidth == 0) != (m.CropHeight == 0) {
		c.fail("image.crop_width, crop_height", "one without the other")
	}
	c.oneOf("image.anchor", m.Anchor, "centre", "corner")
	c.oneOf("image.order", m.Order, "rgb", "bgr", "gray")
	c.oneOf("image.layout", m.Layout, Layouts...)
	if (m.Layout == "nhw" || m.Layout == "hw") && m.Order != "gray" {
		c.fail("image.layout", "%s needs order gray", m.Layout)
	}
	for _, f := range []struct {
		name string
		v    []float32
	}{{"mean", m.Mean}, {"std", m.Std}, {"pad", m.Pad}} {
		if n := len(f.v); n > 1 && n != m.channels() {
			c.fail("image."+f.name, "%d values, want 1 or %d", n, m.channels())
		}
		c.finite("image."+f.name, f.v...)
	}
	c.finite("image.scale", m.Scale)
	if slices.Contains(m.Std, 0) {
		c.fail("image.std", "0 divides")
	}
}

func (m *Image) channels() int {
	if m.Order == "gray" {
		return 1
	}
	return 3
}

func (a *Audio) validate(c *checker) {
	if a == nil {
		return
	}
	c.between("audio.rate", a.Rate, 1, 768000)
	c.oneOf("audio.channel", string(a.Channel), string(audio.Left), string(audio.Right), string(audio.Mix))
	c.between("audio.frame", a.Frame, 0, 1<<24)
	c.between("audio.hop", a.Hop, 0, 1<<24)
	c.between("audio.context", a.Context, 0, 1<<24)
	c.between("audio.samples", a.Samples, 0, 1<<28)
	c.finite("audio.scale, mean, std", a.Scale, a.Mean, a.Std)
	if a.Frame == 0 && (a.Hop > 0 || a.Context > 0 || a.PadTail) {
		c.fail("audio.frame", "missing, hop, context and pad_tail need it")
	}
	if a.Mel != nil {
		if a.Frame > 0 {
			c.fail("audio.mel", "not together with frame")
		}
		c.sub("audio.mel", a.Mel.Validate())
	}
	if a.Transpose && a.Mel == nil {
		c.fail("audio.transpose", "needs mel")
	}
}

func (s *Spec) validateOut(c *checker) {
	if k := s.Classify; k != nil {
		c.oneOf("classify.activation", k.Activation, "none", "softmax", "sigmoid", "auto")
		c.between("classify.top", k.Top, 0, 1<<20)
		c.between("classify.skip", k.Skip, 0, 1<<20)
		c.finite("classify.threshold", k.Threshold)
	}
	if d := s.Detect; d != nil {
		c.sub("detect.head", d.Head.Validate())
		if !(d.IoU >= 0 && d.IoU <= 1) {
			c.fail("detect.iou", "%v, want 0 to 1", d.IoU)
		}
		c.between("detect.candidates", d.Candidates, 0, 1<<20)
		c.between("detect.limit", d.Limit, 0, 1<<20)
	}
	if g := s.Segment; g != nil {
		c.finite("segment.threshold", g.Threshold)
	}
	if s.TextMap != nil {
		c.sub("text_map", s.TextMap.Validate())
	}
	if t := s.CTC; t != nil {
		c.between("ctc.blank", t.Blank, 0, maxLabels)
	}
	if e := s.Embed; e != nil {
		c.oneOf("embed.pool", e.Pool, "none", "mean", "first")
	}
	if v := s.Values; v != nil {
		c.finite("values", v.Threshold, float32(v.MinGap), float32(v.MinSpan))
	}
}

// parts counts what is said of inputs and of outputs.
func (s *Spec) parts() (in, out int) {
	return count(s.Image != nil, s.Audio != nil, s.Bytes != nil, s.Text != nil),
		count(s.Classify != nil, s.Detect != nil, s.Segment != nil, s.TextMap != nil, s.CTC != nil, s.Embed != nil, s.Values != nil)
}

func count(given ...bool) int {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}
