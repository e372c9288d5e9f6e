package plan

import (
	"slices"
	"strings"

	"github.com/edgerun/edgerun/runtime/op"
)

// StagesPass names what joinStages does, for those who want to leave it out.
const StagesPass = "join-stages"

// mostStages is the largest number of operators that become one step.
const mostStages = 3

// joinStages makes one step of operators that should run together. What they hand on to each other needs no memory of the plan then.
func (p *Plan) joinStages() {
	readers := make([]int, len(p.Slots))
	read := func(list []int) {
		for _, i := range list {
			if i >= 0 {
				readers[i]++
			}
		}
	}
	p.Walk(func(_ int, s *Step) {
		read(s.In)
		for _, b := range s.Bodies {
			read(b.Inputs)
			read(b.Outputs)
		}
	})
	read(p.Outputs)
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == Alias {
			readers[s.Of]++
		}
	}
	p.Steps = p.joined(p.Steps, readers)
}

func (p *Plan) joined(steps []Step, readers []int) []Step {
	maker := map[int]int{}
	for i := range steps {
		s := &steps[i]
		for _, b := range s.Bodies {
			b.Steps = p.joined(b.Steps, readers)
		}
		if s.Flow == None && s.Static && !s.View && len(s.Out) == 1 && s.Kernel.Together != nil {
			maker[s.Out[0]] = i
		}
	}
	gone := make([]bool, len(steps))
	for last := len(steps) - 1; last >= 0; last-- {
		if i, ok := maker[steps[last].firstOut()]; !ok || i != last || gone[last] {
			continue
		}
		chain := []int{last}
		for len(chain) < mostStages {
			slot := steps[chain[0]].In[0]
			before, ok := maker[slot]
			if !ok || gone[before] || readers[slot] != 1 || p.Slots[slot].Kind != Arena {
				break
			}
			chain = slices.Insert(chain, 0, before)
		}
		for ; len(chain) > 1; chain = chain[1:] {
			if g := p.group(steps, chain); g != nil {
				for _, i := range chain {
					gone[i] = true
				}
				steps[last], gone[last] = *g, false
				break
			}
		}
	}
	var kept []Step
	for i := range steps {
		if !gone[i] {
			kept = append(kept, steps[i])
		}
	}
	return kept
}

func (s *Step) firstOut() int {
	if len(s.Out) == 0 {
		return -1
	}
	return s.Out[0]
}

// group is the step that stands for some; nil where they should not run together.
func (p *Plan) group(steps []Step, chain []int) *Step {
	last := &steps[chain[len(chain)-1]]
	var calls []*op.Call
	for _, i := range chain {
		calls = append(calls, p.call(&steps[i]))
	}
	if !last.Kernel.Together(calls) {
		return nil
	}
	g := &Step{Kernel: op.Op{Prepare: last.Kernel.PrepareStages, Traits: last.Kernel.Traits}, Num: last.Num, Out: last.Out, Static: true}
	var names, kinds []string
	made := -1
	for _, i := range chain {
		s := steps[i]
		names, kinds = append(names, s.Name), append(kinds, s.Op)
		for _, in := range s.In {
			if in >= 0 && in != made && !slices.Contains(g.In, in) {
				g.In = append(g.In, in)
			}
		}
		g.MACs += s.MACs
		g.Stages = append(g.Stages, s)
		made = s.Out[0]
	}
	g.Name, g.Op = strings.Join(names, " + "), strings.Join(kinds, "+")
	return g
}
