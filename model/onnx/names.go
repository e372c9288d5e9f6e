package onnx

import (
	"slices"
)

// Rewritten lists, for each operator that the importer rewrites, the opsets before which it does so, in rising order; 0 stands for
// every opset: the operator becomes others.
func Rewritten() map[string][]int64 {
	all := map[string][]int64{"Constant": {0}}
	for name, changes := range upgrades {
		var list []int64
		for _, c := range changes {
			if c.before == always {
				list = append(list, 0)
			} else {
				list = append(list, c.before)
			}
		}
		slices.Sort(list)
		all[name] = slices.Compact(list)
	}
	return all
}
