package pipeline

import (
	"context"
	"fmt"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/audio"
	"github.com/edgerun/edgerun/pipeline/pixel"
)

// Options of a Pipeline. The zero value is good.
type Options struct {
	// Meta is the model's own metadata, for labels.
	Meta map[string]string
	// Labels are used where the Spec has none.
	Labels []string
	// Limits on what is decoded.
	Pixels  pixel.Limits
	Samples audio.Limits
}

// Source is one thing to run a model on: a file's bytes, a frame of a camera, or a decoded picture.
type Source struct {
	Data  []byte
	Frame *pixel.Frame
	Image *pixel.Image
}

// Pipeline joins a Spec and a Runner. It belongs to one goroutine at a time.
type Pipeline struct {
	spec    *Spec
	runner  Runner
	opts    Options
	labels  []string
	input   int
	outputs []int
	image   *imageInput
	fixed   []*tensor.Tensor // constants and first states by input; nil elsewhere
	states  [][2]int         // indices of input and output
	mask    int              // index of the attention mask, -1 where there is none
	types   int              // index of the token types, -1 where there are none
}

// New checks that spec and model fit. spec must not be changed afterwards.
func New(spec *Spec, r Runner, o Options) (*Pipeline, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	p := &Pipeline{spec: spec, runner: r, opts: o, mask: -1, types: -1}
	ins, outs := r.Inputs(), r.Outputs()
	p.fixed = make([]*tensor.Tensor, len(ins))
	taken, stateOut := map[string]bool{}, map[string]bool{}
	for _, k := range spec.Constants {
		i, err := find(ins, k.Name, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: constants: %w", ErrSpec, err)
		}
		if p.fixed[i], err = constant(ins[i], k.Value); err != nil {
			return nil, err
		}
		taken[k.Name] = true
	}
	for _, s := range spec.States {
		i, err := find(ins, s.In, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: states: %w", ErrSpec, err)
		}
		j, err := find(outs, s.Out, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: states: %w", ErrSpec, err)
		}
		if p.fixed[i], err = constant(ins[i], 0); err != nil {
			return nil, err
		}
		p.states = append(p.states, [2]int{i, j})
		taken[s.In], stateOut[s.Out] = true, true
	}
	if t := spec.Text; t != nil {
		p.mask = optional(ins, t.Mask, "attention_mask", taken)
		p.types = optional(ins, t.Types, "token_type_ids", taken)
	}
	var err error
	if p.input, err = find(ins, spec.Input, taken); err != nil {
		return nil, fmt.Errorf("%w: input: %w", ErrSpec, err)
	}
	for i, in := range ins {
		if i != p.input && i != p.mask && i != p.types && p.fixed[i] == nil {
			return nil, fmt.Errorf("%w: input %s: neither fed nor a constant nor a state", ErrSpec, in.Name)
		}
	}
	if spec.Image != nil {
		if p.image, err = newImageInput(spec.Image, ins[p.input]); err != nil {
			return nil, err
		}
	}
	for _, name := range spec.Outputs {
		i, err := find(outs, name, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: outputs: %w", ErrSpec, err)
		}
		p.outputs = append(p.outputs, i)
	}
	if len(spec.Outputs) == 0 {
		for i, out := range outs {
			if !stateOut[out.Name] {
				p.outputs = append(p.outputs, i)
			}
		}
	}
	want := 1
	if spec.Detect != nil {
		want = spec.Detect.Head.Outputs()
	}
	if len(p.outputs) < want {
		return nil, fmt.Errorf("%w: outputs: %d to read, %d needed", ErrSpec, len(p.outputs), want)
	}
	p.outputs = p.outputs[:want]
	return p, p.findLabels()
}

// optional is the index of an input that may be absent, -1 then.
func optional(ins []Info, name, usual string, taken map[string]bool) int {
	if name == "" {
		name = usual
	}
	for i, in := range ins {
		if in.Name == name {
			taken[name] = true
			return i
		}
	}
	return -1
}

// constant fills a tensor; free extents are 1.
func constant(in Info, v float64) (*tensor.Tensor, error) {
	shape := in.Shape.Clone()
	for i, d := range shape {
		if d < 0 {
			shape[i] = 1
		}
	}
	n, err := shape.Size()
	if err != nil || n > 1<<28 {
		return nil, fmt.Errorf("%w: input %s: shape %v is too large", ErrSpec, in.Name, in.Shape)
	}
	t := tensor.New(in.DType, shape)
	t.Quant = in.Quant
	if v == 0 && in.Quant == nil {
		return t, nil
	}
	switch in.DType {
	case tensor.I64:
		for i := range tensor.Of[int64](t) {
			tensor.Of[int64](t)[i] = int64(v)
		}
		return t, nil
	case tensor.Bool:
		for i := range t.Data {
			t.Data[i] = 1
		}
		return t, nil
	}
	vals := make([]float32, n)
	for i := range vals {
		vals[i] = float32(v)
	}
	return fromFloats(in, t.Shape, vals)
}

func (p *Pipeline) findLabels() error {
	p.labels = p.spec.Labels
	if key := p.spec.LabelsMeta; len(p.labels) == 0 && key != "" && p.opts.Meta[key] != "" {
		var err error
		if p.labels, err = ParseLabels(p.opts.Meta[key]); err != nil {
			return fmt.Errorf("%w: labels_meta: %w", ErrSpec, err)
		}
	}
	if len(p.labels) == 0 {
		p.labels = p.opts.Labels
	}
	if p.spec.CTC != nil && len(p.labels) == 0 {
		return fmt.Errorf("%w: labels: ctc needs symbols, in labels or in the model's metadata (labels_meta %q)", ErrSpec, p.spec.LabelsMeta)
	}
	return nil
}

// Spec is what the pipeline does. It must not be changed.
func (p *Pipeline) Spec() *Spec { return p.spec }

// Labels are the labels in use, nil where there are none.
func (p *Pipeline) Labels() []string { return p.labels }

// Prepared is a source as the model sees it.
type Prepared struct {
	// Inputs are the tensors of the first run, in the model's order.
	Inputs []*tensor.Tensor

	width, height int // of the source picture
	canvas        placed
	frames        []float32 // all frames, one after another; nil for a single run
	n             int       // number of runs
	mask          []int32   // of the tokens
}

// Prepare makes the input tensors of a source.
func (p *Pipeline) Prepare(src Source) (*Prepared, error) {
	in := p.runner.Inputs()[p.input]
	r := &Prepared{Inputs: append([]*tensor.Tensor(nil), p.fixed...), n: 1}
	var t *tensor.Tensor
	var err error
	switch {
	case p.spec.Image != nil:
		t, err = p.prepareImage(src, r, in)
	case p.spec.Audio != nil:
		t, err = p.prepareAudio(src, r, in)
	case p.spec.Bytes != nil:
		tokens := p.spec.Bytes.tokens(src.Data)
		t, err = p.tokens(in, tokens)
	default:
		t, err = p.prepareText(src, r, in)
	}
	if err != nil {
		return nil, err
	}
	r.Inputs[p.input] = t
	return r, nil
}

func (p *Pipeline) prepareImage(src Source, r *Prepared, in Info) (*tensor.Tensor, error) {
	img, err := src.picture(p.opts.Pixels)
	if err != nil {
		return nil, err
	}
	r.width, r.height = img.W, img.H
	if r.canvas, err = p.spec.Image.place(img, p.image.w, p.image.h, p.opts.Pixels); err != nil {
		return nil, err
	}
	shape := p.image.shape(r.canvas)
	if in.Shape != nil && p.image.layout == "flat" && in.Shape[1] >= 0 && in.Shape[1] != shape[1] {
		return nil, fmt.Errorf("%w: input %s takes %v, the picture gives %v", ErrSpec, in.Name, in.Shape, shape)
	}
	t := tensor.New(in.DType, shape)
	t.Quant = in.Quant
	p.image.write(t, r.canvas)
	return t, nil
}

func (s *Source) picture(lim pixel.Limits) (*pixel.Image, error) {
	switch {
	case s.Image != nil:
		return s.Image, lim.Check(s.Image.W, s.Image.H)
	case s.Frame != nil:
		return s.Frame.RGB(lim)
	}
	return pixel.Decode(s.Data, lim)
}

func (p *Pipeline) prepareAudio(src Source, r *Prepared, in Info) (*tensor.Tensor, error) {
	values, n, width, rows, err := p.spec.Audio.prepare(src.Data, p.opts.Samples)
	if err != nil {
		return nil, err
	}
	natural := tensor.Shape{1, width}
	if rows > 0 {
		natural = tensor.Shape{1, rows, width / rows}
	}
	shape, err := resolve(in, natural)
	if err != nil {
		return nil, err
	}
	if p.spec.Audio.Frame > 0 {
		r.frames, r.n = values, n
	}
	return fromFloats(in, shape, values[:width])
}

func (p *Pipeline) tokens(in Info, v []int32) (*tensor.Tensor, error) {
	shape, err := resolve(in, tensor.Shape{1, len(v)})
	if err != nil {
		return nil, err
	}
	return fromInts(in, shape, v)
}

func (p *Pipeline) prepareText(src Source, r *Prepared, in Info) (*tensor.Tensor, error) {
	t := p.spec.Text
	limit := t.MaxLength
	if limit == 0 {
		limit = 512
	}
	fill := 0
	if t.Fixed {
		fill = limit
	}
	if n := len(in.Shape); n > 0 && in.Shape[n-1] > 0 {
		limit = min(limit, in.Shape[n-1])
		fill = in.Shape[n-1]
	}
	ids := t.Tokenizer.Encode(string(src.Data), limit)
	if len(ids) == 0 && fill == 0 {
		return nil, fmt.Errorf("the text has no tokens")
	}
	for range ids {
		r.mask = append(r.mask, 1)
	}
	for len(ids) < fill {
		ids, r.mask = append(ids, t.Tokenizer.PadID()), append(r.mask, 0)
	}
	var err error
	if p.mask >= 0 {
		if r.Inputs[p.mask], err = p.tokens(p.runner.Inputs()[p.mask], r.mask); err != nil {
			return nil, err
		}
	}
	if p.types >= 0 {
		if r.Inputs[p.types], err = p.tokens(p.runner.Inputs()[p.types], make([]int32, len(ids))); err != nil {
			return nil, err
		}
	}
	return p.tokens(in, ids)
}

// Run prepares src, runs the model, once or once per frame, and reads its outputs.
func (p *Pipeline) Run(ctx context.Context, src Source) (*Result, error) {
	in, err := p.Prepare(src)
	if err != nil {
		return nil, err
	}
	outs, err := p.runner.Run(ctx, in.Inputs)
	if err != nil {
		return nil, err
	}
	if in.frames == nil {
		return p.Finish(in, outs)
	}
	return p.runFrames(ctx, in, outs)
}

// runFrames runs the frames after the first, carrying the states.
func (p *Pipeline) runFrames(ctx context.Context, in *Prepared, outs []*tensor.Tensor) (*Result, error) {
	info := p.runner.Inputs()[p.input]
	width := len(in.frames) / in.n
	list := append([]*tensor.Tensor(nil), in.Inputs...)
	res := &Result{Schema: ResultSchema, Kind: "frames"}
	for i := range in.n {
		if i > 0 {
			for _, s := range p.states {
				// The outputs are the runner's until the next call; the states must outlive it.
				list[s[0]] = outs[s[1]].Clone()
			}
			var err error
			if list[p.input], err = fromFloats(info, list[p.input].Shape, in.frames[i*width:(i+1)*width]); err != nil {
				return nil, err
			}
			if outs, err = p.runner.Run(ctx, list); err != nil {
				return nil, err
			}
		}
		one, err := p.Finish(in, outs)
		if err != nil {
			return nil, err
		}
		start, end := p.spec.Audio.span(i)
		res.Frames = append(res.Frames, Frame{Start: start, End: end, Values: one.Values, Classes: one.Classes, Text: one.Text})
	}
	if v := p.spec.Values; v != nil && v.Threshold > 0 {
		res.Spans = v.spans(res.Frames)
	}
	return res, nil
}

// span is the time of frame i in seconds, its context not counted.
func (a *Audio) span(i int) (start, end float64) {
	hop := a.Hop
	if hop == 0 {
		hop = a.Frame
	}
	return float64(i*hop) / float64(a.Rate), float64(i*hop+a.Frame) / float64(a.Rate)
}
