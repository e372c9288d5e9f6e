package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/runtime"
)

// pipelineFlags say what happens before and after the network.
type pipelineFlags struct {
	spec, preset, labels string
	recognise, classify  string
}

func (p *pipelineFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.preset, "preset", "", "pipeline by `NAME`: "+strings.Join(pipeline.PresetNames(), ", "))
	f.StringVar(&p.spec, "pipeline", "", "pipeline as `KEY=VALUE,…`; 'edgerun run --pipeline help' lists the keys")
	completeFlag(cmd, "preset", pipeline.PresetNames()...)
	f.StringVar(&p.labels, "labels", "", "`FILE` of labels, one per line")
}

// registerReaders adds the flags of reading text with more than one model.
func (p *pipelineFlags) registerReaders(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.recognise, "recognise", "", "`MODEL` that reads the text in the boxes which the first model finds")
	f.StringVar(&p.classify, "orient", "", "`MODEL` that tells which boxes stand upside down, with --recognise")
}

func infos(list []runtime.Info) []pipeline.Info {
	r := make([]pipeline.Info, len(list))
	for i, f := range list {
		r[i] = pipeline.Info{Name: f.Name, DType: f.DType, Shape: f.Shape, Quant: f.Quant}
	}
	return r
}

// choose finds the pipeline of a model: by flags, from the file, or by a guess that is told on standard error.
func (p *pipelineFlags) choose(cmd *cobra.Command, l *loaded) (*pipeline.Spec, error) {
	recorded := func() (*pipeline.Spec, error) {
		if l.Contents != nil && l.Contents.Pipeline != nil {
			return pipeline.Parse(l.Contents.Pipeline.Data)
		}
		spec, guess, err := pipeline.Guess(infos(l.Model.Inputs()), infos(l.Model.Outputs()), l.Model.Meta())
		if err != nil {
			return nil, fmt.Errorf("%s has no pipeline, and %s: give --preset or --pipeline, or tensors by --in and --out",
				l.Path, strings.TrimPrefix(err.Error(), pipeline.ErrSpec.Error()+": "))
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "edgerun: %s has no pipeline; guessed: %s\n  --pipeline %s\nIf results are wrong change it by --pipeline or --preset; --pipeline model,KEY=VALUE changes single settings.\n",
			l.Path, guess.Kind, guess.Settings)
		return spec, nil
	}
	settings := p.spec
	if p.preset != "" {
		if !slices.Contains(pipeline.PresetNames(), p.preset) {
			return nil, usagef("--preset %q: known are %s", p.preset, strings.Join(pipeline.PresetNames(), ", "))
		}
		settings = joinSettings("preset="+p.preset, settings)
	}
	if p.labels != "" {
		if settings == "" {
			settings = "model"
		}
		settings = joinSettings(settings, "labels="+p.labels)
	}
	if settings == "" {
		return recorded()
	}
	spec, err := pipeline.ParseFlagsFrom(recorded, settings, os.ReadFile)
	var file *fs.PathError
	if err != nil && errors.Is(err, pipeline.ErrSpec) && !errors.As(err, &file) {
		return nil, usageError{err}
	}
	return spec, err
}

func joinSettings(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "," + b
}

// readLabels reads the file of --labels.
func (p *pipelineFlags) readLabels() ([]string, error) {
	b, err := os.ReadFile(p.labels)
	if err != nil {
		return nil, err
	}
	list, err := pipeline.ParseLabels(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.labels, err)
	}
	return list, nil
}

// labelsOf returns the labels that come with a model, beside those of its pipeline.
func labelsOf(l *loaded) []string {
	if l.Contents != nil && len(l.Contents.Labels) > 0 {
		return l.Contents.Labels
	}
	if l.Format == "tflite" {
		if b, err := os.ReadFile(l.Path); err == nil {
			if names, err := pipeline.TFLiteLabels(b); err == nil {
				return names
			}
		}
	}
	return nil
}

func (p *pipelineFlags) build(cmd *cobra.Command, l *loaded, s pipeline.Session) (*pipeline.Pipeline, error) {
	spec, err := p.choose(cmd, l)
	if err != nil {
		return nil, err
	}
	return pipeline.New(spec, pipeline.FromSession(s, infos(l.Model.Inputs()), infos(l.Model.Outputs())),
		pipeline.Options{Meta: l.Model.Meta(), Labels: labelsOf(l)})
}

// further loads another model of a pipeline of several.
func further(cmd *cobra.Command, m *modelFlags, path, preset string, bar *progress) (*pipeline.Pipeline, func(), error) {
	other := *m
	other.precision = ""
	l, err := other.open(path)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.Model.NewSession(runtime.SessionOptions{Threads: m.threads})
	if err != nil {
		return nil, nil, err
	}
	p := pipelineFlags{}
	if l.Contents == nil || l.Contents.Pipeline == nil {
		p.preset = preset
	}
	pipe, err := p.build(cmd, l, counted{s, bar})
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return pipe, s.Close, nil
}

// counted is a session whose inferences are counted.
type counted struct {
	pipeline.Session
	bar *progress
}

func (c counted) Run(ctx context.Context, in, out []*tensor.Tensor) error {
	defer c.bar.infer()
	return c.Session.Run(ctx, in, out)
}

// runPipeline runs the model's pipeline on files and prints what it finds in each.
func runPipeline(cmd *cobra.Command, m *modelFlags, p *pipelineFlags, l *loaded, s *runtime.Session, files []string, asJSON bool, bar *progress) error {
	pipe, err := p.build(cmd, l, counted{s, bar})
	if err != nil {
		return err
	}
	read := func(ctx context.Context, src pipeline.Source) (*pipeline.Result, error) { return pipe.Run(ctx, src) }
	if p.recognise != "" {
		ocr := &pipeline.OCR{Det: pipe}
		rec, done, err := further(cmd, m, p.recognise, "ppocr-rec", bar)
		if err != nil {
			return err
		}
		defer done()
		ocr.Rec = rec
		if p.classify != "" {
			cls, done, err := further(cmd, m, p.classify, "ppocr-cls", bar)
			if err != nil {
				return err
			}
			defer done()
			ocr.Cls = cls
		}
		read = ocr.Read
	} else if p.classify != "" {
		return usagef("--orient needs --recognise")
	}
	bar.phase("running", len(files), "files")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sources := []pipeline.Source{{Data: data}}
		if frames := pipeline.CIFAR(data); strings.HasSuffix(path, ".bin") && frames != nil {
			sources = frames
			bar.grow(len(frames) - 1)
		}
		for _, src := range sources {
			r, err := read(cmd.Context(), src)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			bar.add(1)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), struct {
					File string `json:"file"`
					*pipeline.Result
				}{path, r}); err != nil {
					return err
				}
				continue
			}
			if len(files)*len(sources) > 1 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", path)
			}
			if err := r.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
		}
	}
	return nil
}
