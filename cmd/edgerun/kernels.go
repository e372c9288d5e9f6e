package main

import (
	"fmt"
	"maps"
	"math"
	gort "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/knob"
	"github.com/edgerun/edgerun/kernels"
)

func kernelsCommand() *cobra.Command {
	var target, core, shape string
	var asJSON, assert bool
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "list the kernels and mark those that this machine uses",
		Long: `Lists the kernels of a machine, best first, and marks with * those that it uses.

With --bench it times all kernels of matrix products that this machine can run, in turn, on one
thread, on an M×K matrix by a K×N one, and prints rates (a multiply-add counts as two
operations) and shares of this machine's peak. --assert then fails where another kernel of the
same operation, types and results is faster by 5 % than the one that is used.`,
		Example: `  edgerun kernels
  edgerun kernels --bench 512,512,512 --assert
  EDGERUN_CPU=-avx512 edgerun kernels
  edgerun kernels --target arm64 --cpu cortex-a76`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var dims [3]int
			if shape != "" {
				var err error
				if dims, err = parseProduct(shape); err != nil {
					return err
				}
				if core != "" || target != "" && target != gort.GOARCH {
					return usagef("--bench measures this machine, not another one")
				}
			} else if assert {
				return usagef("--assert needs --bench M,N,K")
			}
			arch, have := gort.GOARCH, cpu.Detect()
			if core != "" {
				c, ok := cpu.Cores[core]
				if !ok {
					return usagef("--cpu %q: known are %s", core, strings.Join(slices.Sorted(maps.Keys(cpu.Cores)), ", "))
				}
				if target != "" && target != c.Arch {
					return usagef("--cpu %s is %s, not %s", core, c.Arch, target)
				}
				arch, have = c.Arch, c.Features
			} else if target != "" && target != arch {
				if target != "amd64" && target != "arm64" {
					return usagef("--target %q: want amd64 or arm64", target)
				}
				arch, have = target, cpu.All(target)
			}
			have, err := have.Mask(knob.CPU.Value())
			if err != nil {
				return usagef("EDGERUN_CPU: %w", err)
			}
			table := kernels.Table(arch)
			if shape != "" {
				return benchKernels(cmd, table, have, dims, asJSON, assert)
			}
			// Some rows are for many k alone, and others then for few.
			chosen := func(i int) bool {
				return kernels.Chosen(table, i, have, 1) || kernels.Chosen(table, i, have, math.MaxInt)
			}
			if asJSON {
				list := []map[string]any{}
				for i, r := range table {
					list = append(list, map[string]any{"name": r.Name, "op": r.Op.String(), "in": r.In.String(), "weights": r.W.String(), "acc": r.Acc.String(), "out": r.Out.String(),
						"tile": []int{r.MR, r.NR, r.KR}, "needs": r.Needs.String(), "class": r.Num.String(), "depth": r.Depth, "chosen": chosen(i)})
				}
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.kernels/1", "arch": arch, "features": have.String(), "kernels": list})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s with %s\n\n", arch, have)
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "\tkernel\toperation\tin\tweights\tsum\tout\ttile\tneeds\tresults")
			for i, r := range table {
				mark := ""
				if chosen(i) {
					mark = "*"
				}
				fmt.Fprintf(t, "%s\t%s\t%v\t%v\t%v\t%v\t%v\t%dx%dx%d\t%v\t%v\n", mark, r.Name, r.Op, r.In, r.W, r.Acc, r.Out, r.MR, r.NR, r.KR, r.Needs, r.Num)
			}
			return t.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVar(&target, "target", "", "`ARCH`: amd64 or arm64 (default: this machine's)")
	f.StringVar(&core, "cpu", "", "list what this `CPU` would choose: "+strings.Join(slices.Sorted(maps.Keys(cpu.Cores)), ", "))
	f.StringVar(&shape, "bench", "", "time the matrix products on the shape `M,N,K`")
	f.BoolVar(&assert, "assert", false, "with --bench: fail where a kernel that is not used is faster by 5 %")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	completeFlag(cmd, "target", "amd64", "arm64")
	completeFlag(cmd, "cpu", slices.Sorted(maps.Keys(cpu.Cores))...)
	return cmd
}
