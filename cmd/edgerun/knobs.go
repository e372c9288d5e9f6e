package main

import (
	"fmt"

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
			for _, k := range knob.All {
				value := "not set: " + k.Default
				if v := k.Value(); v != "" {
					value = fmt.Sprintf("not set: %s, %s", k.Default, v)
				}
				if v, set := k.Get(); set {
					value = fmt.Sprintf("%q", v)
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n  %s\n", k.Name, k.Doc, value); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
