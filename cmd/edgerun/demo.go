package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/demo"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/runtime"
)

func demoCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "import, sign, verify and run an embedded model on embedded data",
		Long: `Imports a small network for handwritten digits, stores it as FP32 and FP16 .edge files, signs
and verifies them, runs each on 359 images that it was not trained on, and prints what came out.
It takes seconds and needs neither the internet nor any other file.

The images are from "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI,
CC BY 4.0).`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				tmp, err := os.MkdirTemp("", "edgerun-demo-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(tmp)
				dir = tmp
			} else if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			return runDemo(cmd, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "keep", "", "leave the files in folder `DIR`")
	return cmd
}

// demoRow is a line of the demo's table.
type demoRow struct {
	name      string
	size      int64
	right, of int
	median    float64
	answers   []int
}

func runDemo(cmd *cobra.Command, dir string) error {
	w := cmd.OutOrStdout()
	bar := newProgress(cmd, false)
	defer bar.stop()
	g, err := onnx.Import(demo.Model, onnx.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "imported  digits.onnx: %d operators, %d bytes\n", len(g.Nodes), len(demo.Model))
	key, err := container.GenerateKey(container.Ed25519)
	if err != nil {
		return err
	}
	pub, err := container.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	hash := sha256.Sum256(demo.Model)
	images := demo.Images()
	if err := keepSources(dir, pub, &images[0]); err != nil {
		return err
	}
	rows := []demoRow{{name: "digits.onnx", size: int64(len(demo.Model))}}
	m, err := runtime.New(g, runtime.Options{})
	if err != nil {
		return err
	}
	bar.phase("running", 3*len(images), "images")
	if err := rows[0].run(cmd.Context(), m, images, bar); err != nil {
		return err
	}
	for _, p := range []num.Numerics{num.FP32, num.FP16} {
		stored, err := container.ConvertWeights(g, p)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("digits.%v.edge", p)
		path := filepath.Join(dir, name)
		c := &container.Model{Name: "digits", Version: "1", Graph: stored, Provenance: &container.Provenance{SourceFormat: "onnx",
			SourceName: "digits.onnx", Source: hash[:], Tool: "edgerun " + versionString(), Options: map[string]string{"precision": p.String()}}}
		if err := container.WriteFile(path, c); err != nil {
			return err
		}
		if err := container.Sign(path, key); err != nil {
			return err
		}
		ids, err := container.Verify(path, container.Policy{Trusted: []container.PublicKey{pub}})
		if err != nil {
			return err
		}
		f, err := container.Open(path, container.Policy{Trusted: []container.PublicKey{pub}})
		if err != nil {
			return err
		}
		back, err := f.Graph()
		f.Close()
		if err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "wrote     %s: %d bytes, signed and verified, key %s\n", name, st.Size(), ids[0])
		m, err := runtime.New(back, runtime.Options{})
		if err != nil {
			return err
		}
		r := demoRow{name: name, size: st.Size()}
		if err := r.run(cmd.Context(), m, images, bar); err != nil {
			return err
		}
		rows = append(rows, r)
	}
	bar.stop()
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "file\tbytes\tright of 359\taccuracy\tmedian latency\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f %%\t%.3f ms\t\n", r.name, r.size, r.right, 100*float64(r.right)/float64(r.of), r.median)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	// Show three that are right, and one that is wrong, if there is one.
	var show []demo.Image
	var captions []string
	last := rows[len(rows)-1]
	for i, m := range images {
		if ok := last.answers[i] == m.Label; ok && len(show) < 3 || !ok && len(show) == 3 {
			show = append(show, m)
			captions = append(captions, map[bool]string{true: fmt.Sprintf("read as %d", last.answers[i]), false: fmt.Sprintf("%d read as %d", m.Label, last.answers[i])}[ok])
		}
		if len(show) == 4 {
			break
		}
	}
	if err := demo.Print(w, show, captions); err != nil {
		return err
	}
	_, err = fmt.Fprint(w, `
Next:
  edgerun inspect MODEL                 what is in an ONNX, TFLite or .edge model of yours
  edgerun run MODEL photo.jpg           run it on a picture
  edgerun import MODEL -o model.edge    make one compressed file of it, with --precision fp16 half as large
  edgerun bench MODEL                   how fast it is here
`)
	return err
}

// keepSources writes what the demo begins with: the network, the key to trust and a picture.
func keepSources(dir string, key container.PublicKey, first *demo.Image) error {
	pub, err := key.PEM()
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, first.Gray()); err != nil {
		return err
	}
	for name, data := range map[string][]byte{"digits.onnx": demo.Model, "demo.pub.pem": pub, "digit.png": picture.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// run classifies all images.
func (r *demoRow) run(ctx context.Context, m *runtime.Model, images []demo.Image, bar *progress) error {
	s, err := m.NewSession(runtime.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	in := []*tensor.Tensor{tensor.New(tensor.F32, m.Inputs()[0].Shape)}
	out := newOutputs(m)
	var times []time.Duration
	for _, image := range images {
		image.Fill(in[0])
		start := time.Now()
		if err := s.Run(ctx, in, out); err != nil {
			return err
		}
		times = append(times, time.Since(start))
		bar.add(1)
		logits := tensor.Of[float32](out[0])
		best := 0
		for k, v := range logits {
			if v > logits[best] {
				best = k
			}
		}
		r.answers = append(r.answers, best)
		r.of++
		if best == image.Label {
			r.right++
		}
	}
	r.median = median(times)
	return nil
}
