// Package opt rewrites graphs before they are planned.
//
// Passes is the one ordered list of everything that happens to a graph; each pass keeps the graph's meaning and its
// numerics, and is tested on the text form, before and after. A pass sees what is known without input shapes; what
// depends on these is folded by package plan. Importers: runtime, and tools that show or quantise graphs.
package opt

import (
	"fmt"
	"iter"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/runtime/op"
)

// Pass is one rewriting of a graph. Run is called once for the graph and once for every subgraph, inner first.
type Pass struct {
	Name string
	Doc  string
	Run  func(c *Context, g *model.Graph) error
}

// Passes in the order in which they run. Types and shapes are inferred anew before each.
var Passes = []Pass{
	{"lift-quant", "QuantizeLinear and DequantizeLinear with constant parameters become Quantize and Dequantize on values that carry them", liftQuant},
	{"fold", "nodes with constant inputs become constants, but for dequantised ones", fold},
	{"simplify", "Identity, Dropout, no-op casts, reshapes and transposes disappear; chains of Transpose and Reshape become one", simplify},
	{"fold-affine", "BatchNormalization, and Mul and Add by a constant per channel, move into the weights and bias before them", foldAffine},
	{"fuse-patterns", "spelled-out GELU, SiLU, HardSwish and LayerNormalization become one node", fusePatterns},
	{"fuse-clamp", "Relu and Clip become bounds of the operator before them", fuseClamp},
	{"fold-pad", "Pad with zeros moves into the pads of the convolution behind it", foldPad},
	{"sink-quant", "Dequantize moves down through operators that move elements, to those with an integer form", sinkQuant},
	{"fuse-quant", "Dequantize, operator, Quantize becomes the operator on quantised values", fuseQuant},
	{"layout", "spatial operators work on NHWC; transposes move down until they cancel", layout},
	{"legalise-quant", "operators without an integer form get tables, or Dequantize and Quantize around them", legaliseQuant},
	{"fold-again", "what the passes above made constant is folded, and what is still dequantised", foldAll},
	{"simplify-again", "what the passes above made superfluous disappears", simplify},
	{"share", "nodes that compute the same become one", share},
}

// ShapedPasses follow when the shapes of inputs are known, once per plan.
var ShapedPasses = []Pass{
	{"fold-shaped", "what follows from the shapes alone becomes constant", foldAll},
	{"simplify-shaped", "what these shapes make superfluous disappears", simplify},
	{"pick-rows", "products with one-hot rows become a choice of rows, and elementwise operators move into what is chosen from", pickRows},
	{"sink-views", "reshapes move down behind elementwise operators, which then can follow a product", sinkViews},
	{"fuse-chain", "elementwise operators on FP32 become steps of the product before them, or of one loop", fuseChain},
	{"narrow", "values between operators of numerics bf16 are stored as BF16", narrow},
}

// AllPasses lists both.
func AllPasses() []Pass { return slices.Concat(Passes, ShapedPasses) }

// Context is what passes need beside the graph.
type Context struct {
	// Ops finds an operator.
	Ops func(name string) (op.Op, bool)
	// MaxConst bounds the bytes of a constant that folding makes.
	MaxConst int
	// MaxMemory bounds the bytes of all constants that passes make and the graph uses; 0 means no bound. A rewriting that
	// would pass it does not happen.
	MaxMemory int
	// New makes the tensors of constants that passes make; nil is tensor.New.
	New func(d tensor.DType, shape tensor.Shape) *tensor.Tensor
	// Skip names passes to leave out.
	Skip map[string]bool
	// After, if set, sees the graph after each pass.
	After func(pass string, g *model.Graph)

	top   *model.Graph // the graph that is not a subgraph
	names int
	at    *model.Node // the node that is looked at, for errors
	room  room
}

// Run applies all passes to g, which it changes.
func Run(c *Context, g *model.Graph) error {
	if c.MaxConst == 0 {
		c.MaxConst = 256 << 20
	}
	c.room = room{limit: c.MaxMemory}
	removeDead(c, g)
	return c.passes(g, Passes)
}

// RunShaped returns g for inputs of the given shapes, with all shaped passes applied; g stays as it is.
func RunShaped(c *Context, g *model.Graph, shapes []tensor.Shape) (*model.Graph, error) {
	g = g.Clone()
	for i, v := range g.Inputs {
		if v.DType != tensor.Sequence {
			setShape(v, shapes[i].Clone())
		}
	}
	c.room = room{limit: c.MaxMemory}
	return g, c.passes(g, ShapedPasses)
}

func (c *Context) passes(g *model.Graph, list []Pass) error {
	c.top = g
	for _, p := range list {
		if c.Skip[p.Name] {
			continue
		}
		if err := Infer(c, g); err != nil {
			return err
		}
		if err := c.pass(g, p); err != nil {
			return fmt.Errorf("pass %s: %w", p.Name, err)
		}
		if c.After != nil {
			c.After(p.Name, g)
		}
	}
	return Infer(c, g)
}

func (c *Context) pass(g *model.Graph, p Pass) (err error) {
	defer c.guard(&err)
	if err := c.each(g, p); err != nil {
		return err
	}
	removeDead(c, g)
	c.room.sweep(g)
	return nil
}

// visit iterates over nodes and remembers the current one, which an error names where the pass panics.
func (c *Context) visit(nodes []*model.Node) iter.Seq2[int, *model.Node] {
	return func(yield func(int, *model.Node) bool) {
		outer := c.at
		for i, n := range nodes {
			c.at = n
			if !yield(i, n) {
				return
			}
		}
		c.at = outer
	}
}

// guard turns a panic into an error that names the node: models come from outside. Defer it.
func (c *Context) guard(err *error) {
	if r := recover(); r != nil {
		*err = op.Recovered(r)
		if c.at != nil {
			*err = fmt.Errorf("%s (%s): %w", c.at.Name, c.at.Op, *err)
		}
	}
	c.at = nil
}

func (c *Context) each(g *model.Graph, p Pass) error {
	for _, n := range g.Nodes {
		for _, name := range n.GraphNames() {
			if err := c.each(n.Graphs[name], p); err != nil {
				return err
			}
		}
	}
	return p.Run(c, g)
}

// traits returns an operator's traits; none for control flow and unknown operators.
func (c *Context) traits(n *model.Node) op.Traits {
	o, ok := c.Ops(n.Op)
	if !ok || len(n.Graphs) > 0 {
		return 0
	}
	return o.Traits
}

// newTensor makes the tensor of a constant.
func (c *Context) newTensor(d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	if c.New == nil {
		return tensor.New(d, shape)
	}
	return c.New(d, shape)
}

// name makes a new name for a node or value that derives from another.
func (c *Context) name(from, what string) string {
	c.names++
	return fmt.Sprintf("%s.%s%d", from, what, c.names)
}
