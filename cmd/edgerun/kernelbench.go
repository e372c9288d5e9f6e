package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/peak"
)

// parseProduct reads M,N,K.
func parseProduct(s string) (dims [3]int, err error) {
	parts := strings.Split(s, ",")
	for i, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < 1 || n > 1<<14 || len(parts) != 3 {
			return dims, usagef("--bench %q: want M,N,K, each from 1 to %d", s, 1<<14)
		}
		dims[i] = n
	}
	return dims, nil
}

// slower is how much slower than the fastest the chosen row may be.
const slower = 1.05

// benchKernels times the rows of products that can run with the given features.
func benchKernels(cmd *cobra.Command, table []spec.Row, have cpu.Features, dims [3]int, asJSON, assert bool) error {
	var rows []*spec.Row
	var chosen []bool
	for i := range table {
		if r := &table[i]; r.Op == spec.Gemm && have.Has(r.Needs) && r.Func != nil {
			rows, chosen = append(rows, r), append(chosen, kernels.Chosen(table, i, have, dims[2]))
		}
	}
	bar := newProgress(cmd, asJSON)
	defer bar.stop()
	bar.phase("measuring", 0, "")
	list, err := peak.Products(rows, dims[0], dims[1], dims[2], 5, 2*time.Second)
	bar.stop()
	if err != nil {
		return err
	}
	used := map[string]*peak.Product{}
	for i := range list {
		if chosen[i] {
			used[sort(rows[i])] = &list[i]
		}
	}
	var bad []string
	for i, p := range list {
		if u := used[sort(rows[i])]; p.GMACs > slower*u.GMACs {
			bad = append(bad, fmt.Sprintf("%s is faster than %s by %.0f %%", p.Row.Name, u.Row.Name, 100*(p.GMACs/u.GMACs-1)))
		}
	}
	if asJSON {
		out := []map[string]any{}
		for i, p := range list {
			out = append(out, map[string]any{"name": p.Row.Name, "in": p.Row.In.String(), "weights": p.Row.W.String(), "acc": p.Row.Acc.String(), "out": p.Row.Out.String(),
				"class": p.Row.Num.String(), "chosen": chosen[i], "ms": p.MS, "gop_per_s": 2 * p.GMACs, "share_of_peak": p.ShareOfPeak})
		}
		err = printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.kernelbench/1", "cpu": cpu.Name(), "features": have.String(), "shape": dims, "kernels": out})
	} else {
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "%s with %s, %d×%d by %d×%d, 1 thread\n\n", cpu.Name(), have, dims[0], dims[2], dims[2], dims[1])
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\tkernel\tin\tweights\tsum\tout\tresults\tms\tGOP/s\tof peak")
		for i, p := range list {
			r := p.Row
			mark := ""
			if chosen[i] {
				mark = "*"
			}
			fmt.Fprintf(t, "%s\t%s\t%v\t%v\t%v\t%v\t%v\t%.4f\t%.1f\t%.1f %%\n", mark, r.Name, r.In, r.W, r.Acc, r.Out, r.Num, p.MS, 2*p.GMACs, 100*p.ShareOfPeak)
		}
		err = t.Flush()
	}
	if err == nil && assert && len(bad) > 0 {
		return fmt.Errorf("%s", strings.Join(bad, "; "))
	}
	return err
}

// sort names the rows of which one is chosen.
func sort(r *spec.Row) string {
	return fmt.Sprint(r.Op, r.In, r.W, r.Acc, r.Out, r.Num == spec.Approx)
}
