package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/npy"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/runtime"
)

func runCommand() *cobra.Command {
	var m modelFlags
	var pf planFlags
	var p pipelineFlags
	var in []string
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "run MODEL [FILE …]",
		Short: "run a model on tensors, or on images, sounds and other files",
		Long: `With --in NAME=FILE.npy for every input, runs the model once and writes DIR/out.NAME.npy for
every output ('/' and ':' in names as '_').

With files, runs the model's pipeline on each: decodes, resizes and normalises it, runs the
model and prints what it found (top classes, boxes, text, …). The pipeline is the one that
--preset or --pipeline give, or the one recorded in an .edge file. Where there is none it is
guessed, and the guess is told on standard error as settings for --pipeline.

--pipeline with settings for what goes in and for what comes out stands for itself; with fewer
it changes the recorded or guessed pipeline.`,
		Example: `  edgerun run model.onnx --in input=x.npy --out results
  edgerun run model.onnx photo.jpg --preset efficientnet-lite --labels labels.txt
  edgerun run model.onnx photo.jpg --pipeline mean=127,std=128,top=3
  edgerun run model.edge photo.jpg`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.spec == "help" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), pipeline.FlagHelp())
				return err
			}
			if len(args) == 0 {
				return usagef("run needs a MODEL")
			}
			if len(args) > 1 && (len(in) > 0 || out != "") {
				return usagef("give either files or --in and --out")
			}
			if len(args) == 1 && len(in) == 0 && out == "" {
				return usagef("nothing to run on: give files, or --in NAME=FILE.npy and --out DIR")
			}
			if len(in) > 0 && out == "" {
				return usagef("--in needs --out DIR")
			}
			for _, path := range args[1:] {
				if info, err := os.Stat(path); err != nil {
					return err
				} else if info.IsDir() {
					return fmt.Errorf("%s is a directory, not a file", path)
				}
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			l, err := m.open(args[0])
			if err != nil {
				return err
			}
			if err := pf.use(l.Model); err != nil {
				return err
			}
			s, err := l.Model.NewSession(runtime.SessionOptions{Threads: m.threads})
			if err != nil {
				return err
			}
			defer s.Close()
			if len(args) > 1 {
				if err := pf.fixed(cmd.Context(), l.Model, s, bar); err != nil {
					return err
				}
				return runPipeline(cmd, &m, &p, l, s, args[1:], asJSON, bar)
			}
			inputs, err := readInputs(l.Model, in)
			if err != nil {
				return err
			}
			if err := pf.tune(cmd.Context(), s, inputs, bar); err != nil {
				return err
			}
			if err := pf.save(l.Model, shapesOf(inputs)); err != nil {
				return err
			}
			bar.phase("running", 0, "")
			outputs := newOutputs(l.Model)
			start := time.Now()
			if err := s.Run(cmd.Context(), inputs, outputs); err != nil {
				return err
			}
			took := time.Since(start)
			if err := os.MkdirAll(out, 0o777); err != nil {
				return err
			}
			type written struct {
				Name string `json:"name"`
				Type string `json:"type"`
				File string `json:"file"`
			}
			var files []written
			for i, name := range npy.FileName(names(l.Model.Outputs())) {
				path := filepath.Join(out, "out."+name+".npy")
				if err := npy.WriteFile(path, outputs[i]); err != nil {
					return err
				}
				files = append(files, written{l.Model.Outputs()[i].Name, outputs[i].String(), path})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.run/1", "model": args[0], "precision": l.Precision.String(),
					"latency_ms": ms(took), "outputs": files})
			}
			for _, f := range files {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", f.File, f.Name, f.Type)
			}
			return nil
		},
	}
	m.register(cmd)
	pf.register(cmd)
	p.register(cmd)
	p.registerReaders(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&in, "in", nil, "`NAME=FILE.npy`: the value of an input (repeatable)")
	f.StringVar(&out, "out", "", "folder `DIR` for the outputs, made where it is missing")
	f.BoolVar(&asJSON, "json", false, "print JSON, one object per file")
	return cmd
}

// readInputs reads one tensor per input of the model.
func readInputs(m *runtime.Model, flags []string) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(m.Inputs()))
	files := npy.FileName(names(m.Inputs()))
	for _, f := range flags {
		// Names may hold '=': take the longest that is an input, in its own or its file's spelling.
		at, best := -1, 0
		for i, in := range m.Inputs() {
			for _, name := range []string{in.Name, files[i]} {
				if strings.HasPrefix(f, name+"=") && (at < 0 || len(name) > best) {
					at, best = i, len(name)
				}
			}
		}
		if at < 0 {
			return nil, usagef("--in %q: want NAME=FILE.npy, where NAME is one of %s", f, inputNames(m))
		}
		if list[at] != nil {
			return nil, usagef("--in %q: the input is given twice", f)
		}
		if f[best+1:] == "" {
			return nil, usagef("--in %q: no file is named", f)
		}
		t, err := npy.ReadFile(f[best+1:])
		if err != nil {
			return nil, err
		}
		list[at] = t
	}
	if i := slices.Index(list, nil); i >= 0 {
		return nil, usagef("input %q (%s) is missing: give --in %s=FILE.npy", m.Inputs()[i].Name, m.Inputs()[i].Describe(), m.Inputs()[i].Name)
	}
	return list, nil
}
