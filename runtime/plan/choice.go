package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/edgerun/edgerun/runtime/op"
)

// ErrChoice is wrapped by errors about choices that a plan cannot make.
var ErrChoice = errors.New("not a plan for this model on this machine")

// With is p with choices for some steps, by their number in the order of Walk. It has an id of its own unless nothing is chosen.
func (p *Plan) With(choices map[int]op.Choice) *Plan {
	q := *p
	n := 0
	var copied func(steps []Step) []Step
	copied = func(steps []Step) []Step {
		list := slices.Clone(steps)
		for i := range list {
			list[i].Choice = choices[n]
			n++
			for k, b := range list[i].Bodies {
				if k == 0 {
					list[i].Bodies = slices.Clone(list[i].Bodies)
				}
				c := *b
				c.Steps = copied(b.Steps)
				list[i].Bodies[k] = &c
			}
		}
		return list
	}
	q.Steps = copied(p.Steps)
	h := sha256.New()
	fmt.Fprintln(h, p.ID)
	some := false
	for _, i := range slices.Sorted(maps.Keys(choices)) {
		if c := choices[i]; !c.IsZero() {
			fmt.Fprintf(h, "%d %q %v %v\n", i, c.Rows, c.Ways, c.Alone)
			some = true
		}
	}
	if some {
		q.ID = hex.EncodeToString(h.Sum(nil)[:6])
	}
	return &q
}
