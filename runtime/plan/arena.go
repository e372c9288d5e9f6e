package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// layout shares buffers where the operators allow it and gives each arena slot its range.
func (p *Plan) layout(parts, inPlace bool) error {
	if parts {
		p.shareParts()
	}
	p.lifetimes()
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == Arena && s.first < 0 {
			s.Size = 0 // no step is left that touches it
		}
	}
	if inPlace {
		p.shareInPlace(p.Steps)
	}
	return p.place()
}

// root follows aliases to the slot that holds the data.
func (p *Plan) root(i int) int {
	for p.Slots[i].Kind == Alias {
		i = p.Slots[i].Of
	}
	return i
}

// lifetimes numbers the steps in the order of the walk and notes, for the holder of each slot's data, the first and the last
// step that needs it. A value from outside a loop's body must outlive the loop, since each iteration reads it again.
func (p *Plan) lifetimes() {
	for i := range p.Slots {
		p.Slots[i].first, p.Slots[i].last = -1, -1
	}
	pos := 0
	touch := func(slot, at int) {
		if slot < 0 {
			return
		}
		s := &p.Slots[p.root(slot)]
		if s.first < 0 {
			s.first = at
		}
		s.last = max(s.last, at)
	}
	var visit func(steps []Step)
	visit = func(steps []Step) {
		for i := range steps {
			s := &steps[i]
			begin := pos
			pos++
			for _, in := range s.In {
				touch(in, begin)
			}
			for _, b := range s.Bodies {
				for _, in := range b.Inputs {
					touch(in, begin)
				}
				visit(b.Steps)
				for _, out := range b.Outputs {
					touch(out, pos)
				}
				pos++
			}
			for _, out := range s.Out {
				touch(out, begin)
			}
			if s.Flow != None {
				end := pos
				// Whatever a body reads from outside stays until the whole step is done.
				for _, b := range s.Bodies {
					walk(b.Steps, 0, func(_ int, inner *Step) {
						for _, in := range inner.In {
							if in >= 0 && p.Slots[p.root(in)].first <= begin {
								touch(in, end)
							}
						}
					})
					for _, out := range b.Outputs {
						touch(out, end)
					}
					for _, in := range b.Inputs {
						touch(in, end)
					}
				}
				for _, in := range s.In {
					touch(in, end)
				}
				for _, out := range s.Out {
					touch(out, end)
				}
				pos++
			}
		}
	}
	for _, in := range p.Inputs {
		touch(in, 0)
	}
	visit(p.Steps)
	for _, out := range p.Outputs {
		touch(out, pos)
	}
}

// shareInPlace lets a step write over its first input where that is the input's last use.
func (p *Plan) shareInPlace(steps []Step) {
	for i := range steps {
		s := &steps[i]
		for _, b := range s.Bodies {
			p.shareInPlace(b.Steps)
		}
		if !s.Static || s.View || s.Kernel.Traits&op.InPlace == 0 || s.Flow != None || len(s.Out) != 1 || s.Out[0] < 0 || s.In[0] < 0 {
			continue
		}
		out, in := &p.Slots[s.Out[0]], &p.Slots[s.In[0]]
		r := p.root(s.In[0])
		holder := &p.Slots[r]
		if out.Kind != Arena || holder.Kind != Arena || out.Size != holder.Size || in.DType != out.DType ||
			!in.Shape.Equal(out.Shape) || holder.last != out.first {
			continue
		}
		if slices.ContainsFunc(s.In[1:], func(j int) bool { return j >= 0 && p.root(j) == r }) {
			continue
		}
		holder.last = out.last
		out.Kind, out.Of = Alias, s.In[0]
	}
}

// place gives every arena slot an offset: the largest first, each in the tightest gap between the slots already placed
// that live at the same time.
func (p *Plan) place() error {
	var order []int
	for i := range p.Slots {
		if s := &p.Slots[i]; s.Kind == Arena && s.first >= 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(p.Slots[b].Size, p.Slots[a].Size), cmp.Compare(p.Slots[a].first, p.Slots[b].first))
	})
	var placed []int // by offset
	for _, i := range order {
		s := &p.Slots[i]
		size := alignUp(s.Size)
		best, bestGap, end := -1, -1, 0
		for _, j := range placed {
			t := &p.Slots[j]
			if t.last < s.first || t.first > s.last {
				continue
			}
			if gap := t.Offset - end; gap >= size && (best < 0 || gap < bestGap) {
				best, bestGap = end, gap
			}
			end = max(end, t.Offset+alignUp(t.Size))
		}
		if best < 0 {
			best = end
		}
		if size > math.MaxInt-tensor.Align-best {
			return fmt.Errorf("arena: slot %s of %d bytes after %d others: %w", s.Name, size, best, tensor.ErrTooLarge)
		}
		s.Offset = best
		p.ArenaSize = max(p.ArenaSize, best+size)
		at, _ := slices.BinarySearchFunc(placed, best, func(j, off int) int { return cmp.Compare(p.Slots[j].Offset, off) })
		placed = slices.Insert(placed, at, i)
	}
	return nil
}

func alignUp(n int) int { return (n + tensor.Align - 1) &^ (tensor.Align - 1) }
