package onnx

import (
	"container/heap"
	"fmt"
	"strings"
)

// freeNames lists the names that g and its subgraphs use without defining them, each once.
func (im *importer) freeNames(g *graphProto) ([]string, error) {
	if g.free != nil {
		return g.free, nil
	}
	defined := map[string]bool{}
	for _, t := range g.inits {
		defined[t.name] = true
	}
	for _, v := range g.inputs {
		defined[v.name] = true
	}
	for _, n := range g.nodes {
		for _, name := range n.out {
			defined[name] = true
		}
	}
	free := []string{}
	add := func(name string) {
		if name != "" && !defined[name] {
			defined[name] = true
			free = append(free, name)
		}
	}
	for _, n := range g.nodes {
		uses, err := im.uses(n)
		if err != nil {
			return nil, err
		}
		for _, name := range uses {
			add(name)
		}
	}
	for _, v := range g.outputs {
		add(v.name)
	}
	g.free = free
	return free, im.dec.charge(32 * len(free))
}

// uses lists the names that n reads, those of its subgraphs included.
func (im *importer) uses(n *nodeProto) ([]string, error) {
	uses := n.in[:len(n.in):len(n.in)]
	for _, a := range n.attrs {
		if sub, ok := a.value.(*graphProto); ok {
			free, err := im.freeNames(sub)
			if err != nil {
				return nil, err
			}
			uses = append(uses, free...)
		}
	}
	return uses, nil
}

// order sorts the nodes of g so that each stands behind those whose outputs it reads, and otherwise as in the file.
func (im *importer) order(g *graphProto) error {
	if g.ordered {
		return nil
	}
	g.ordered = true
	maker := map[string]int{}
	for i, n := range g.nodes {
		for _, name := range n.out {
			if name == "" {
				continue
			}
			if j, twice := maker[name]; twice {
				return fmt.Errorf("node %s: %w: output %q is also one of node %s", n.label(), ErrFormat, name, g.nodes[j].label())
			}
			maker[name] = i
		}
	}
	needs := make([]int, len(g.nodes)) // inputs that are not there yet
	readers := make([][]int, len(g.nodes))
	sorted := true
	for i, n := range g.nodes {
		uses, err := im.uses(n)
		if err != nil {
			return err
		}
		for _, name := range uses {
			if j, ok := maker[name]; ok {
				needs[i]++
				readers[j] = append(readers[j], i)
				sorted = sorted && j < i
			}
		}
	}
	if sorted {
		return nil
	}
	var ready intHeap
	for i := range g.nodes {
		if needs[i] == 0 {
			ready = append(ready, i)
		}
	}
	heap.Init(&ready)
	nodes := make([]*nodeProto, 0, len(g.nodes))
	for len(ready) > 0 {
		i := heap.Pop(&ready).(int)
		nodes = append(nodes, g.nodes[i])
		for _, r := range readers[i] {
			if needs[r]--; needs[r] == 0 {
				heap.Push(&ready, r)
			}
		}
	}
	if len(nodes) < len(g.nodes) {
		return fmt.Errorf("%w: nodes depend on their own outputs: %s", ErrFormat, cycle(g.nodes, readers, needs))
	}
	g.nodes = nodes
	return nil
}

// cycle names the nodes of one cycle among those that still need something.
func cycle(nodes []*nodeProto, readers [][]int, needs []int) string {
	from := make([]int, len(nodes)) // a node that is needed and still missing
	at := -1
	for j, list := range readers {
		for _, r := range list {
			if needs[j] > 0 && needs[r] > 0 {
				from[r], at = j, r
			}
		}
	}
	seen := make([]bool, len(nodes))
	for ; !seen[at]; at = from[at] {
		seen[at] = true
	}
	names := []string{nodes[at].label()}
	for i := from[at]; i != at && len(names) < 8; i = from[i] {
		names = append(names, nodes[i].label())
	}
	return strings.Join(names, ", ")
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
