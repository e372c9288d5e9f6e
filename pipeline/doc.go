// Package pipeline turns files into tensors and tensors into answers: what a model needs before and after it.
//
// A Spec says what is to be done; it is data, recorded in an .edge file's manifest (schema "edgerun.pipeline/1"), given by
// flags for other files (ParseFlags), or taken from a preset. A Pipeline joins a Spec and a Runner:
//
//	p, err := pipeline.New(spec, runner, pipeline.Options{Meta: meta})
//	res, err := p.Run(ctx, pipeline.Source{Data: file})
//	err = res.WriteText(os.Stdout)
//
// Everything is exactly defined, so that a model sees the same numbers on every machine and from every implementation.
// docs/pipeline.md is the definition; the sub-packages state it again beside the code: pixel (decoding, camera frames,
// resizing), audio (WAV, resampling, framing, log-mel), detect (box decoding, suppression, text boxes), text (CTC,
// tokenizers). The order for pictures is: decode, orient, crop_fraction, resize, crop or pad, channel order, normalise,
// quantise, layout.
//
// The runtime is injected as a Runner; nothing here knows how a model is computed. quant, train, serve, agent and the
// commands import this package. A Pipeline belongs to one goroutine at a time, as its Runner does.
package pipeline
