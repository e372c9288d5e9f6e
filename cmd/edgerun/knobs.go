package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edgerun/edgerun/internal/knob"
)

func knobsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "knobs",
		Short: "list the settings that are read from the environment",
		Args:  exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				list := []map[string]any{}
				for _, k := range knob.All {
					_, set := k.Get()
					list = append(list, map[string]any{"name": k.Name, "value": k.Value(), "set": set, "default": k.Default, "doc": k.Doc})
				}
				return printJSON(cmd.OutOrStdout(), map[string]any{"schema": "edgerun.knobs/1", "knobs": list})
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "variable\tvalue\tdefault\tmeaning")
			for _, k := range knob.All {
				value := "not set"
				if v, set := k.Get(); set {
					value = fmt.Sprintf("%q", v)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.Name, value, k.Default, k.Doc)
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
