package main

import (
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/golden"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/pipeline"
	"github.com/edgerun/edgerun/runtime"
)

func importCommand() *cobra.Command {
	var m modelFlags
	var p pipelineFlags
	var out, key, name, release, goldens string
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "import MODEL",
		Short: "turn an ONNX or TFLite model into one .edge file",
		Long: `Reads an ONNX or TFLite model and writes an .edge file: compressed, with its pipeline, labels,
golden vectors and provenance, signed if --sign is given. --precision fp16 or bf16 stores the
weights of an FP32 model in half the bytes; with fp32w convolutions of 3x3 may be computed by tiles.`,
		Example: `  edgerun import model.onnx -o model.edge --preset efficientnet-lite --labels labels.txt
  edgerun import model.onnx -o model.edge --precision fp16 --golden goldens/model --sign key.pem`,
		Args: exactArgs(1, "one MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				base := filepath.Base(args[0])
				out = strings.TrimSuffix(base, filepath.Ext(base)) + ".edge"
			}
			if _, err := os.Stat(out); err == nil && !force {
				return fmt.Errorf("%s exists; --force replaces it", out)
			}
			bar := newProgress(cmd, asJSON)
			defer bar.stop()
			src, err := m.read(args[0])
			if err != nil {
				return err
			}
			l, err := m.prepare(src) // everything that would be wrong on the device is wrong here
			if err != nil {
				return err
			}
			var sign crypto.Signer
			if key != "" {
				if sign, err = container.LoadPrivate(key); err != nil {
					return err
				}
			}
			c := &container.Model{Name: name, Version: release, Graph: src.Graph, Labels: labelsOf(l)}
			if p.labels != "" {
				if c.Labels, err = p.readLabels(); err != nil {
					return err
				}
			}
			if c.Name == "" {
				c.Name = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			}
			if p.spec != "" || p.preset != "" {
				spec, err := p.choose(cmd, l)
				if err != nil {
					return err
				}
				b, err := json.Marshal(spec)
				if err != nil {
					return err
				}
				if _, err := pipeline.New(spec, pipeline.FromSession(nil, infos(l.Model.Inputs()), infos(l.Model.Outputs())), pipeline.Options{Meta: l.Model.Meta(), Labels: c.Labels}); err != nil {
					return err
				}
				c.Pipeline = &container.Document{Schema: spec.Schema, Data: b}
			} else if l.Contents != nil {
				c.Pipeline = l.Contents.Pipeline
			}
			hash, err := hex.DecodeString(src.SourceSHA256)
			if err != nil {
				return err
			}
			c.Provenance = &container.Provenance{SourceFormat: src.Format, SourceName: filepath.Base(args[0]), Source: hash,
				Tool: "edgerun " + versionString(), Options: map[string]string{"precision": src.Precision.String()}}
			if goldens != "" {
				if c.Golden, err = readGoldens(l, goldens); err != nil {
					return err
				}
				bar.phase("running golden vectors", len(c.Golden), "cases")
				if err := fitGoldens(cmd.Context(), l, m.threads, c.Golden, bar); err != nil {
					return fmt.Errorf("%s: %w", goldens, err)
				}
			}
			bar.phase("compressing and writing", 0, "")
			if err := container.WriteFile(out, c); err != nil {
				var path *fs.PathError
				if errors.As(err, &path) { // the file that is renamed at last has another name
					err = path.Err
				}
				return fmt.Errorf("cannot write %s: %w", out, err)
			}
			if sign != nil {
				if err := container.Sign(out, sign); err != nil {
					return err
				}
			}
			bar.stop()
			st, err := os.Stat(out)
			if err != nil {
				return err
			}
			from, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.import/1", "file": out, "bytes": st.Size(), "source_bytes": from.Size(),
					"precision": src.Precision.String(), "golden_vectors": len(c.Golden), "signed": key != ""})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s (%.1f %% of %s), %d golden vectors%s\n", out, src.Precision, byteCount(st.Size()),
				100*float64(st.Size())/float64(from.Size()), filepath.Base(args[0]), len(c.Golden), map[bool]string{true: ", signed"}[key != ""])
			return err
		},
	}
	m.register(cmd)
	p.register(cmd)
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "write `FILE` (default: the model's name with .edge)")
	f.StringVar(&key, "sign", "", "sign with the private key in `FILE.pem`")
	f.StringVar(&name, "name", "", "`NAME` of the model (default: the file's)")
	f.StringVar(&release, "release", "", "`VERSION` of the model")
	f.StringVar(&goldens, "golden", "", "put the recorded inputs and outputs in folder `DIR` into the file")
	f.BoolVar(&force, "force", false, "replace a file that exists")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// fitGoldens runs the model on golden inputs: the goldens must have the types and shapes of its inputs and outputs.
func fitGoldens(ctx context.Context, l *loaded, threads int, list []container.Golden, bar *progress) error {
	s, err := l.Model.NewSession(runtime.SessionOptions{Threads: threads})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, g := range list {
		in := make([]*tensor.Tensor, len(g.Inputs))
		for i, n := range g.Inputs {
			in[i] = n.Tensor
		}
		out := newOutputs(l.Model)
		if err := s.Run(ctx, in, out); err != nil {
			return fmt.Errorf("case %s: %w", g.Name, err)
		}
		for i, n := range g.Outputs {
			if n.Tensor.DType != out[i].DType || !n.Tensor.Shape.Equal(out[i].Shape) {
				return fmt.Errorf("case %s: output %s is %v, the golden is %v", g.Name, n.Name, out[i], n.Tensor)
			}
		}
		bar.add(1)
	}
	return nil
}

// readGoldens reads a folder as `check --golden` does.
func readGoldens(l *loaded, dir string) ([]container.Golden, error) {
	tol, err := golden.ReadTolerance(dir)
	if err != nil {
		return nil, err
	}
	var t container.Tolerance
	for dst, src := range map[*float64]*float64{&t.RTol: tol.RTol, &t.ATol: tol.ATol, &t.Cosine: tol.Cosine, &t.Equal: tol.Equal} {
		if src != nil {
			*dst = *src
		}
	}
	t.Top1 = tol.Top1 != nil && *tol.Top1
	if tol.Strict() {
		t.Equal = 1
	}
	cases, err := golden.Cases(dir)
	if err != nil {
		return nil, err
	}
	var list []container.Golden
	for _, c := range cases {
		g := container.Golden{Name: filepath.Base(c), Tolerance: t}
		for prefix, part := range map[string]struct {
			infos []runtime.Info
			dst   *[]container.Named
		}{"in": {l.Model.Inputs(), &g.Inputs}, "out": {l.Model.Outputs(), &g.Outputs}} {
			tensors, err := golden.Load(c, prefix, names(part.infos))
			if err != nil {
				return nil, err
			}
			for i, f := range part.infos {
				*part.dst = append(*part.dst, container.Named{Name: f.Name, Tensor: tensors[i]})
			}
		}
		list = append(list, g)
	}
	return list, nil
}
