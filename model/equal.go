package model

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
)

// ErrDifferent is wrapped by the errors of Equal.
var ErrDifferent = errors.New("graphs differ")

// Equal returns nil where a and b are the same graph: the same nodes in the same order, wired alike, with equal names,
// types, attributes, constants and metadata. Otherwise it says where they first differ. Both must pass Verify, apart
// from constants without data.
func Equal(a, b *Graph) error {
	c := &comparison{a: map[*Value]*Value{}, b: map[*Value]*Value{}}
	if err := c.graph(a, b); err != nil {
		return fmt.Errorf("%w: %w", ErrDifferent, err)
	}
	return nil
}

// comparison pairs the values of two graphs.
type comparison struct{ a, b map[*Value]*Value }

func (c *comparison) graph(a, b *Graph) error {
	if a == nil || b == nil {
		if a != b {
			return errors.New("one graph is nil")
		}
		return nil
	}
	if a.Name != b.Name {
		return fmt.Errorf("graph names %q and %q", a.Name, b.Name)
	}
	if !maps.Equal(a.Meta, b.Meta) {
		return fmt.Errorf("graph %s: metadata %q and %q", a.Name, a.Meta, b.Meta)
	}
	if err := c.values("input", a.Inputs, b.Inputs); err != nil {
		return fmt.Errorf("graph %s: %w", a.Name, err)
	}
	for i, n := range a.Nodes {
		if i == len(b.Nodes) {
			return fmt.Errorf("graph %s: %s (%s) and all after it stand in one graph only", a.Name, n.Name, n.Op)
		}
		if err := c.node(n, b.Nodes[i]); err != nil {
			return fmt.Errorf("%s (%s): %w", n.Name, n.Op, err)
		}
	}
	if n := len(a.Nodes); n < len(b.Nodes) {
		return fmt.Errorf("graph %s: %s (%s) and all after it stand in one graph only", a.Name, b.Nodes[n].Name, b.Nodes[n].Op)
	}
	if err := c.values("output", a.Outputs, b.Outputs); err != nil {
		return fmt.Errorf("graph %s: %w", a.Name, err)
	}
	return nil
}

func (c *comparison) node(a, b *Node) error {
	if a.Name != b.Name || a.Op != b.Op {
		return fmt.Errorf("the other graph has %s (%s) here", b.Name, b.Op)
	}
	if a.Num != b.Num {
		return fmt.Errorf("numerics %v and %v", a.Num, b.Num)
	}
	if err := c.values("input", a.In, b.In); err != nil {
		return err
	}
	if x, y := a.Attrs.Names(), b.Attrs.Names(); !slices.Equal(x, y) {
		return fmt.Errorf("attributes %v and %v", x, y)
	}
	for name, x := range a.Attrs {
		if !sameAttr(x, b.Attrs[name]) {
			return fmt.Errorf("attribute %s: %v and %v", name, x, b.Attrs[name])
		}
	}
	if x, y := a.GraphNames(), b.GraphNames(); !slices.Equal(x, y) {
		return fmt.Errorf("subgraphs %v and %v", x, y)
	}
	for _, name := range a.GraphNames() {
		if err := c.graph(a.Graphs[name], b.Graphs[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return c.values("output", a.Out, b.Out)
}

func (c *comparison) values(what string, a, b []*Value) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d %ss", len(a), len(b), what)
	}
	for i := range a {
		if err := c.value(a[i], b[i]); err != nil {
			return fmt.Errorf("%s %d: %w", what, i, err)
		}
	}
	return nil
}

func (c *comparison) value(a, b *Value) error {
	if a == nil || b == nil {
		if a != b {
			return errors.New("absent in one graph")
		}
		return nil
	}
	if x, ok := c.a[a]; ok && x != b {
		return fmt.Errorf("value %s is %s in the other graph, elsewhere %s", a.Name, b.Name, x.Name)
	} else if ok {
		return nil
	}
	if y, ok := c.b[b]; ok {
		return fmt.Errorf("value %s of the other graph is %s, elsewhere %s", b.Name, a.Name, y.Name)
	}
	c.a[a], c.b[b] = b, a
	switch {
	case a.Name != b.Name:
		return fmt.Errorf("values %s and %s", a.Name, b.Name)
	case a.DType != b.DType:
		return fmt.Errorf("value %s: types %v and %v", a.Name, a.DType, b.DType)
	case (a.Shape == nil) != (b.Shape == nil) && a.DType != tensor.Sequence, !a.Shape.Equal(b.Shape):
		return fmt.Errorf("value %s: shapes %v and %v", a.Name, a.Shape, b.Shape)
	case !slices.Equal(dims(a), dims(b)):
		return fmt.Errorf("value %s: dimensions %q and %q", a.Name, a.Dims, b.Dims)
	case !a.Quant.Equal(b.Quant):
		return fmt.Errorf("value %s: quantisation %v and %v", a.Name, a.Quant, b.Quant)
	case (a.Const == nil) != (b.Const == nil):
		return fmt.Errorf("value %s: a constant in one graph only", a.Name)
	case a.Const != nil && !sameTensor(a.Const, b.Const):
		return fmt.Errorf("constant %s: other elements", a.Name)
	}
	return nil
}

// dims is v.Dims, nil where no dimension has a name.
func dims(v *Value) []string {
	if slices.ContainsFunc(v.Dims, func(s string) bool { return s != "" }) {
		return v.Dims
	}
	return nil
}

func sameTensor(a, b *Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.DType == b.DType && a.Shape.Equal(b.Shape) && bytes.Equal(a.Data, b.Data) &&
		slices.Equal(a.Str, b.Str) && slices.EqualFunc(a.Elems, b.Elems, func(x, y *Tensor) bool {
		return sameTensor(x, y) && (x == nil || x.Quant.Equal(y.Quant))
	})
}

func sameAttr(a, b any) bool {
	float := func(x, y float32) bool { return x == y || x != x && y != y }
	switch x := a.(type) {
	case float32:
		y, ok := b.(float32)
		return ok && float(x, y)
	case []float32:
		y, ok := b.([]float32)
		return ok && slices.EqualFunc(x, y, float)
	case []int64:
		y, ok := b.([]int64)
		return ok && slices.Equal(x, y)
	case []string:
		y, ok := b.([]string)
		return ok && slices.Equal(x, y)
	case *Tensor:
		y, ok := b.(*Tensor)
		return ok && sameTensor(x, y) && (x == nil || x.Quant.Equal(y.Quant))
	}
	return a == b
}
