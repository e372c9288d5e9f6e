package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime"
)

type ioReport struct {
	Name  string       `json:"name"`
	Type  string       `json:"type"` // element type and shape; free extents by name or as ?
	Scale []float32    `json:"scale,omitempty"`
	Zero  []int32      `json:"zero,omitempty"`
	Shape tensor.Shape `json:"shape"`
	DType string       `json:"dtype"`
}

type inspectReport struct {
	Schema      string            `json:"schema"`
	Model       string            `json:"model"`
	Format      string            `json:"format"`
	FileBytes   int64             `json:"file_bytes"`
	Precision   string            `json:"precision"`
	Inputs      []ioReport        `json:"inputs"`
	Outputs     []ioReport        `json:"outputs"`
	Operators   map[string]int    `json:"operators"`
	Weights     map[string]weight `json:"weights"`
	Nodes       int               `json:"nodes"`
	PlanID      string            `json:"plan_id"` // this and the next three are "" and 0 where NotPlanned says why
	Steps       int               `json:"steps"`
	MACs        int64             `json:"macs"`
	ArenaBytes  int               `json:"arena_bytes"`
	PlanShapes  []string          `json:"plan_shapes,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
	Name        string            `json:"name,omitempty"` // this and the next three of an .edge file
	Version     string            `json:"version,omitempty"`
	Pipeline    json.RawMessage   `json:"pipeline,omitempty"`
	Golden      int               `json:"golden_vectors,omitempty"`
	Signatures  []string          `json:"signatures,omitempty"`
	NotPlanned  string            `json:"not_planned,omitempty"`
	SourceSHA   string            `json:"source_sha256,omitempty"`
	LabelsCount int               `json:"labels,omitempty"`
}

type weight struct {
	Tensors  int `json:"tensors"`
	Elements int `json:"elements"`
	Bytes    int `json:"bytes"`
}

func inspectCommand() *cobra.Command {
	var m modelFlags
	var shapes []string
	var asJSON, graph, dot, optimised bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "show inputs, outputs, operators, weights, sizes and work of a model",
		Example: `  edgerun inspect model.onnx
  edgerun inspect model.onnx --shape x=1,3,480,480
  edgerun inspect model.tflite --graph | less
  edgerun inspect model.edge --dot --optimised | dot -Tsvg > graph.svg`,
		Args: exactArgs(1, "one MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case graph && dot || asJSON && (graph || dot):
				return usagef("give one of --json, --graph and --dot")
			case optimised && !graph && !dot:
				return usagef("--optimised needs --graph or --dot")
			}
			src, err := m.read(args[0])
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if graph || dot {
				g := src.Graph
				if optimised {
					l, err := m.prepare(src)
					if err != nil {
						return err
					}
					g = l.Model.Graph()
				}
				if dot {
					return model.WriteDOT(w, g)
				}
				return model.Print(w, g)
			}
			r := inspectReport{Schema: "edgerun.inspect/1", Model: args[0], Format: src.Format, Precision: src.Precision.String(),
				Operators: map[string]int{}, Weights: map[string]weight{}, Meta: src.Graph.Meta, Signatures: src.Signatures, SourceSHA: src.SourceSHA256}
			if st, err := os.Stat(args[0]); err == nil {
				r.FileBytes = st.Size()
			}
			if c := src.Contents; c != nil {
				r.Name, r.Version, r.Golden, r.LabelsCount = c.Name, c.Version, len(c.Golden), len(c.Labels)
				if c.Pipeline != nil {
					r.Pipeline = c.Pipeline.Data
				}
			}
			src.Graph.Walk(func(_ *model.Graph, n *model.Node) {
				r.Operators[n.Op]++
				r.Nodes++
			})
			for _, v := range src.Graph.Consts() {
				x := r.Weights[v.DType.String()]
				x.Tensors++
				x.Elements += v.Const.Len()
				x.Bytes += len(v.Const.Data)
				r.Weights[v.DType.String()] = x
			}
			l, err := m.prepare(src)
			if err != nil {
				return err
			}
			r.Inputs, r.Outputs = ioReports(l.Model.Inputs()), ioReports(l.Model.Outputs())
			if in, err := planInputs(cmd.Context(), l, shapes); err != nil {
				if len(shapes) > 0 {
					return err
				}
				r.NotPlanned = err.Error()
			} else if p, err := l.Model.Plan(in); err != nil {
				r.NotPlanned = err.Error()
			} else {
				r.PlanID, r.Steps, r.MACs, r.ArenaBytes = p.ID, len(p.Steps), p.MACs(), p.ArenaSize
				for i, s := range in {
					r.PlanShapes = append(r.PlanShapes, l.Model.Inputs()[i].DType.String()+s.String())
				}
			}
			if asJSON {
				return printJSON(w, r)
			}
			return r.print(w)
		},
	}
	m.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&shapes, "shape", nil, "`NAME=1,3,224,224`: the shape of an input with free extents (repeatable)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&graph, "graph", false, "print the graph as text")
	f.BoolVar(&dot, "dot", false, "print the graph for Graphviz")
	f.BoolVar(&optimised, "optimised", false, "with --graph or --dot: the graph after all passes")
	return cmd
}

func ioReports(list []runtime.Info) []ioReport {
	r := make([]ioReport, len(list))
	for i, f := range list {
		r[i] = ioReport{Name: f.Name, Type: f.Describe(), Shape: f.Shape, DType: f.DType.String()}
		if f.Quant != nil {
			r[i].Scale, r[i].Zero = f.Quant.Scale, f.Quant.Zero
		}
	}
	return r
}

func (r *inspectReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s, %s, %s\n", r.Model, r.Format, r.Precision, byteCount(r.FileBytes))
	for _, list := range []struct {
		name string
		io   []ioReport
	}{{"input", r.Inputs}, {"output", r.Outputs}} {
		for _, f := range list.io {
			fmt.Fprintf(w, "%-8s %s  %s", list.name, f.Name, f.Type)
			if len(f.Scale) == 1 {
				zero := int32(0)
				if len(f.Zero) > 0 {
					zero = f.Zero[0]
				}
				fmt.Fprintf(w, "  real = (q - %d) * %g", zero, f.Scale[0])
			}
			fmt.Fprintln(w)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nweights\ttensors\telements\tbytes\t")
	types := make([]string, 0, len(r.Weights))
	total := weight{}
	for d, x := range r.Weights {
		types = append(types, d)
		total = weight{total.Tensors + x.Tensors, total.Elements + x.Elements, total.Bytes + x.Bytes}
	}
	slices.SortFunc(types, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Weights[b].Bytes, r.Weights[a].Bytes), cmp.Compare(a, b))
	})
	for _, d := range types {
		x := r.Weights[d]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t\n", d, x.Tensors, x.Elements, x.Bytes)
	}
	fmt.Fprintf(t, "all\t%d\t%d\t%d\t\n", total.Tensors, total.Elements, total.Bytes)
	if err := t.Flush(); err != nil {
		return err
	}
	opNames := make([]string, 0, len(r.Operators))
	for o := range r.Operators {
		opNames = append(opNames, o)
	}
	slices.SortFunc(opNames, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Operators[b], r.Operators[a]), cmp.Compare(a, b))
	})
	column, _ := fmt.Fprintf(w, "\noperators (%d)", r.Nodes)
	for _, o := range opNames {
		item := fmt.Sprintf("  %s×%d", o, r.Operators[o])
		if column += len([]rune(item)); column > helpWidth {
			fmt.Fprintln(w)
			column = len([]rune(item))
		}
		fmt.Fprint(w, item)
	}
	fmt.Fprintln(w)
	if r.NotPlanned != "" {
		fmt.Fprintf(w, "\nnot planned: %s\n", r.NotPlanned)
	} else {
		fmt.Fprintf(w, "\nplan_id %s: %d steps, %.2f million MAC, arena %s\n", r.PlanID, r.Steps, float64(r.MACs)/1e6, byteCount(int64(r.ArenaBytes)))
		fmt.Fprintf(w, "for inputs %s\n", someOf(r.PlanShapes))
	}
	if r.Name != "" {
		fmt.Fprintf(w, "name %s", r.Name)
		if r.Version != "" {
			fmt.Fprintf(w, ", version %s", r.Version)
		}
		fmt.Fprintf(w, "; %d labels, %d golden vectors\n", r.LabelsCount, r.Golden)
	}
	if r.Pipeline != nil {
		fmt.Fprintf(w, "pipeline %s\n", brief(string(r.Pipeline)))
	}
	for _, s := range r.Signatures {
		fmt.Fprintf(w, "signed by %s\n", s)
	}
	keys := make([]string, 0, len(r.Meta))
	for k := range r.Meta {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(w, "meta %s = %s\n", k, brief(r.Meta[k]))
	}
	return nil
}

// brief quotes a text, the beginning of it where it is long.
func brief(s string) string {
	const most = 60
	r := []rune(s)
	if len(r) <= most {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(string(r[:most-3])), len(s))
}

// byteCount prints a size for people.
func byteCount(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
