package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// ErrInvalid is wrapped by every error of Verify.
var ErrInvalid = errors.New("invalid graph")

// Limits on a graph.
const (
	maxNodes   = 1 << 20
	maxDepth   = maxNesting
	maxPorts   = 1 << 16
	maxNameLen = 1 << 12
)

// Verify checks that g is well formed: single assignment, definition before use (subgraphs see what is defined around
// them before their node), node names that are unique and not empty, types and shapes that make sense, constants whose data
// fit their shape, quantisation parameters that map integers to finite reals, and bounded counts and depth.
func Verify(g *Graph) error {
	v := &verifier{defined: map[*Value]bool{}, names: map[string]bool{}, graphs: map[*Graph]bool{}}
	if err := v.graph(g, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

type verifier struct {
	defined map[*Value]bool
	names   map[string]bool
	graphs  map[*Graph]bool
	nodes   int
}

func (v *verifier) graph(g *Graph, depth int) error {
	if g == nil {
		return errors.New("a graph is nil")
	}
	if depth > maxDepth {
		return fmt.Errorf("graph %s: subgraphs are nested more than %d deep", g.Name, maxDepth)
	}
	if v.graphs[g] {
		return fmt.Errorf("graph %s is used in more than one place", g.Name)
	}
	v.graphs[g] = true
	var scope []*Value
	define := func(x *Value) error {
		if x.Const != nil {
			return fmt.Errorf("value %s is a constant and is defined too", x.Name)
		}
		if v.defined[x] {
			return fmt.Errorf("value %s is defined twice", x.Name)
		}
		v.defined[x] = true
		scope = append(scope, x)
		return v.value(x)
	}
	if len(g.Inputs) > maxPorts || len(g.Outputs) > maxPorts {
		return fmt.Errorf("graph %s: %d inputs and %d outputs are too many", g.Name, len(g.Inputs), len(g.Outputs))
	}
	inputs := map[string]bool{}
	for i, x := range g.Inputs {
		if x == nil {
			return fmt.Errorf("graph %s: input %d is nil", g.Name, i)
		}
		if inputs[x.Name] {
			return fmt.Errorf("graph %s: two inputs are called %q", g.Name, x.Name)
		}
		inputs[x.Name] = true
		if err := define(x); err != nil {
			return fmt.Errorf("graph %s: input %d: %w", g.Name, i, err)
		}
	}
	for i, n := range g.Nodes {
		if n == nil {
			return fmt.Errorf("graph %s: node %d is nil", g.Name, i)
		}
		if err := v.node(n, depth, define); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Name, n.Op, err)
		}
	}
	for i, x := range g.Outputs {
		if err := v.use(x); err != nil {
			return fmt.Errorf("graph %s: output %d: %w", g.Name, i, err)
		}
		if x == nil {
			return fmt.Errorf("graph %s: output %d is nil", g.Name, i)
		}
	}
	// What is defined inside is not seen outside.
	for _, x := range scope {
		if depth > 0 {
			delete(v.defined, x)
		}
	}
	return nil
}

func (v *verifier) node(n *Node, depth int, define func(*Value) error) error {
	if v.nodes++; v.nodes > maxNodes {
		return fmt.Errorf("more than %d nodes", maxNodes)
	}
	if n.Name == "" || n.Op == "" || len(n.Name) > maxNameLen || len(n.Op) > maxNameLen {
		return errors.New("the name or the operator is empty or too long")
	}
	if v.names[n.Name] {
		return errors.New("the name is used twice")
	}
	v.names[n.Name] = true
	if len(n.In) > maxPorts || len(n.Out) > maxPorts {
		return fmt.Errorf("%d inputs and %d outputs are too many", len(n.In), len(n.Out))
	}
	for i, x := range n.In {
		if err := v.use(x); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	for _, name := range n.Attrs.Names() {
		if !attr.Valid(n.Attrs[name]) {
			return fmt.Errorf("attribute %s has type %T", name, n.Attrs[name])
		}
		if t, ok := n.Attrs[name].(*Tensor); ok {
			if err := checkTensor(t, 0); err != nil {
				return fmt.Errorf("attribute %s: %w", name, err)
			}
		}
	}
	if err := arity(n); err != nil {
		return err
	}
	for _, name := range n.GraphNames() {
		if err := v.graph(n.Graphs[name], depth+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, x := range n.Out {
		if x == nil {
			continue
		}
		if err := define(x); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// arity checks that the subgraphs of a node that steers the flow take and give what its inputs and outputs need.
func arity(n *Node) error {
	need := map[string][]string{"If": {"else_branch", "then_branch"}, "Loop": {"body"}, "Scan": {"body"}}[n.Op]
	for _, name := range need {
		g := n.Graphs[name]
		if g == nil {
			return fmt.Errorf("subgraph %s is missing", name)
		}
		in, out, exact := 0, len(n.Out), true
		switch n.Op {
		case "Loop": // iteration, condition, carried values; condition, carried and scanned values
			if in, out, exact = len(n.In), max(len(n.Out)+1, len(n.In)-1), false; in < 2 {
				return fmt.Errorf("%d inputs, at least 2 are needed", in)
			}
		case "Scan": // states and slices; states and scanned values
			scanned, ok := n.Attrs["num_scan_inputs"].(int64)
			if in = len(n.In); !ok || scanned < 1 || int64(in) < scanned {
				return fmt.Errorf("num_scan_inputs %v of %d inputs", n.Attrs["num_scan_inputs"], in)
			}
			out, exact = max(out, in-int(scanned)), false
		}
		if len(g.Inputs) != in || len(g.Outputs) < out || exact && len(g.Outputs) != out {
			return fmt.Errorf("subgraph %s takes %d values and gives %d, want %d and %d", name, len(g.Inputs), len(g.Outputs), in, out)
		}
	}
	return nil
}

func (v *verifier) use(x *Value) error {
	if x == nil || v.defined[x] {
		return nil
	}
	if x.Const == nil {
		return fmt.Errorf("value %s is used before it is defined", x.Name)
	}
	if err := checkTensor(x.Const, 0); err != nil {
		return fmt.Errorf("constant %s: %w", x.Name, err)
	}
	if x.DType != x.Const.DType || !x.Shape.Equal(x.Const.Shape) {
		return fmt.Errorf("constant %s is %v, but declared as %v%v", x.Name, x.Const, x.DType, x.Shape)
	}
	return v.value(x)
}

func (v *verifier) value(x *Value) error {
	if x.DType != tensor.Invalid && !x.DType.Valid() {
		return fmt.Errorf("value %s has type %v", x.Name, x.DType)
	}
	if len(x.Shape) > tensor.MaxRank {
		return fmt.Errorf("value %s has rank %d, the limit is %d", x.Name, len(x.Shape), tensor.MaxRank)
	}
	for _, d := range x.Shape {
		if d < -1 {
			return fmt.Errorf("value %s has shape %v", x.Name, x.Shape)
		}
	}
	if x.Dims != nil && len(x.Dims) != len(x.Shape) {
		return fmt.Errorf("value %s has %d names for %d dimensions", x.Name, len(x.Dims), len(x.Shape))
	}
	if err := checkQuant(x.Quant, x.DType, x.Shape); err != nil {
		return fmt.Errorf("value %s: %w", x.Name, err)
	}
	return nil
}

func checkTensor(t *Tensor, depth int) error {
	if t == nil {
		return errors.New("the tensor is nil")
	}
	if len(t.Shape) > tensor.MaxRank {
		return fmt.Errorf("rank %d, the limit is %d", len(t.Shape), tensor.MaxRank)
	}
	if !t.DType.Valid() {
		return fmt.Errorf("type %v", t.DType)
	}
	if t.DType == tensor.Sequence {
		if depth > maxDepth {
			return fmt.Errorf("sequences are nested more than %d deep", maxDepth)
		}
		for i, e := range t.Elems {
			if err := checkTensor(e, depth+1); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	}
	n, err := t.Shape.Size()
	if err != nil {
		return err
	}
	if t.DType == tensor.String {
		if len(t.Str) != n {
			return fmt.Errorf("%d strings for shape %v", len(t.Str), t.Shape)
		}
		return nil
	}
	if want := tensor.ByteSize(t.DType, n); len(t.Data) != want {
		return fmt.Errorf("%d bytes for %v, want %d", len(t.Data), t, want)
	}
	return nil
}

func checkQuant(q *QParams, d DType, s Shape) error {
	if q == nil {
		return nil
	}
	if !d.IsInt() || d.Bits() > 32 && d != tensor.I64 {
		return fmt.Errorf("quantisation of type %v", d)
	}
	if len(q.Scale) == 0 || len(q.Zero) != 0 && len(q.Zero) != len(q.Scale) {
		return fmt.Errorf("%d scales and %d zero points", len(q.Scale), len(q.Zero))
	}
	for _, x := range q.Scale {
		if !(x > 0) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("scale %g", x)
		}
	}
	if d.Bits() <= 32 {
		lo, hi := d.IntRange()
		for _, z := range q.Zero {
			if int64(z) < lo || int64(z) > hi {
				return fmt.Errorf("zero point %d of type %v", z, d)
			}
		}
	}
	if len(q.Scale) > 1 {
		if q.Axis < 0 || s != nil && q.Axis >= len(s) {
			return fmt.Errorf("quantisation axis %d of shape %v", q.Axis, s)
		}
		if s != nil && s[q.Axis] >= 0 && s[q.Axis] != len(q.Scale) {
			return fmt.Errorf("%d scales for extent %d", len(q.Scale), s[q.Axis])
		}
	}
	return nil
}
