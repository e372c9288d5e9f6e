// Package graphgen makes random graphs that are well typed, for property tests of whatever rewrites, plans or runs
// graphs. Equal seeds give equal graphs. Only tests import it.
package graphgen

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Options say what a graph holds.
type Options struct {
	Nodes int
	// Flow adds If and Loop.
	Flow bool
	// Quant adds QuantizeLinear and DequantizeLinear around operators, and operators that compute on the integers.
	Quant bool
	// Dynamic leaves the extents of the inputs open.
	Dynamic bool
}

// Graph is a graph and inputs for it.
type Graph struct {
	*model.Graph
	In []*tensor.Tensor
}

// value is a value of known shape. All but those in a whole are f32.
type value struct {
	*model.Value
	shape tensor.Shape
}

type gen struct {
	rng   *rand.Rand
	o     Options
	names int
	cond  *model.Value
	scope []value // what the next node may read
	// wholes are integers that the next node may read.
	wholes []whole
	graph  *model.Graph
	depth  int
}

// New makes a graph.
func New(seed uint64, o Options) *Graph {
	g := &gen{rng: rand.New(rand.NewPCG(seed, 7)), o: o, graph: &model.Graph{Name: "random"}}
	r := &Graph{Graph: g.graph}
	for range 1 + g.rng.IntN(2) {
		shape := tensor.Shape{1 + g.rng.IntN(2), []int{2, 4, 6}[g.rng.IntN(3)], 3 + g.rng.IntN(4), 3 + g.rng.IntN(4)}
		v := &model.Value{Name: g.name("x"), DType: tensor.F32, Shape: shape.Clone()}
		if o.Dynamic {
			for i := range v.Shape {
				if i != 1 {
					v.Shape[i] = -1
				}
			}
		}
		g.graph.Inputs = append(g.graph.Inputs, v)
		g.scope = append(g.scope, value{v, shape})
		in := g.tensor(shape, 2)
		for i := range tensor.Of[float32](in) {
			if g.rng.IntN(12) == 0 { // both zeros
				tensor.Of[float32](in)[i] = float32(math.Copysign(0, g.rng.Float64()-.5))
			}
		}
		r.In = append(r.In, in)
	}
	if o.Flow {
		g.cond = &model.Value{Name: "cond", DType: tensor.Bool, Shape: tensor.Shape{}}
		g.graph.Inputs = append(g.graph.Inputs, g.cond)
		r.In = append(r.In, tensor.Scalar(g.rng.IntN(2) == 0))
	}
	g.fill(o.Nodes)
	for _, v := range g.scope {
		if g.rng.IntN(4) == 0 {
			g.graph.Outputs = append(g.graph.Outputs, v.Value)
		}
	}
	for _, w := range g.wholes {
		if g.rng.IntN(6) == 0 {
			g.graph.Outputs = append(g.graph.Outputs, w.Value)
		}
	}
	g.graph.Outputs = append(g.graph.Outputs, g.scope[len(g.scope)-1].Value)
	return r
}

func (g *gen) name(of string) string {
	g.names++
	return fmt.Sprintf("%s_%d", of, g.names)
}

// fill adds nodes to the current graph.
func (g *gen) fill(n int) {
	for len(g.graph.Nodes) < n {
		g.step()
	}
}

func (g *gen) tensor(shape tensor.Shape, scale float64) *tensor.Tensor {
	t := tensor.New(tensor.F32, shape)
	for i := range tensor.Of[float32](t) {
		tensor.Of[float32](t)[i] = float32(g.rng.NormFloat64() * scale)
	}
	return t
}

func (g *gen) constant(shape tensor.Shape, scale float64) *model.Value {
	return model.NewConst(g.name("w"), g.tensor(shape, scale))
}

func (g *gen) scalar(f float32) *model.Value { return model.NewConst(g.name("c"), tensor.Scalar(f)) }

func (g *gen) ints(v ...int64) *model.Value { return model.NewConst(g.name("i"), tensor.From(v)) }

// raw adds a node with outputs of the given type and returns them.
func (g *gen) raw(op string, a attr.Attrs, outs int, d tensor.DType, in ...*model.Value) []*model.Value {
	if a == nil {
		a = attr.Attrs{}
	}
	n := &model.Node{Name: g.name(op), Op: op, In: in, Attrs: a}
	for range outs {
		n.Out = append(n.Out, &model.Value{Name: g.name("v"), DType: d})
	}
	g.graph.Nodes = append(g.graph.Nodes, n)
	return n.Out
}

// node adds a node with one f32 output and puts it in scope.
func (g *gen) node(op string, a attr.Attrs, shape tensor.Shape, in ...*model.Value) value {
	return g.keep(g.raw(op, a, 1, tensor.F32, in...)[0], shape)
}

func (g *gen) keep(v *model.Value, shape tensor.Shape) value {
	r := value{v, shape.Clone()}
	g.scope = append(g.scope, r)
	return r
}

// pick draws a value in scope, late ones more often; one of rank 4 where asked for.
func (g *gen) pick(rank4 bool) value {
	for range 50 {
		i := len(g.scope) - 1 - min(g.rng.IntN(len(g.scope)), g.rng.IntN(len(g.scope)))
		if v := g.scope[i]; !rank4 || len(v.shape) == 4 {
			return v
		}
	}
	for _, v := range g.scope {
		if len(v.shape) == 4 {
			return v
		}
	}
	return value{}
}

func ints(v ...int) []int64 {
	r := make([]int64, len(v))
	for i, x := range v {
		r[i] = int64(x)
	}
	return r
}

// step adds one node, or some that belong together.
func (g *gen) step() {
	if g.o.Quant && g.rng.IntN(3) == 0 {
		g.integers()
		return
	}
	switch k := g.rng.IntN(20); {
	case k < 4:
		g.unary()
	case k < 7:
		g.binary()
	case k < 12:
		if v := g.pick(true); v.Value != nil {
			g.spatial(v)
		}
	case k < 15:
		g.move()
	case k == 15:
		g.pattern()
	case k == 16:
		g.reduce()
	case k == 17 && g.o.Quant:
		g.quantised()
	case k == 18 && g.o.Flow && g.depth < 2:
		g.branch()
	case k == 19 && g.o.Flow && g.depth < 2:
		g.loop()
	}
}

func (g *gen) unary() {
	x := g.pick(false)
	a := attr.Attrs{}
	in := []*model.Value{x.Value}
	op := []string{"Neg", "Abs", "Relu", "Sigmoid", "Tanh", "Clip", "Identity", "Dropout", "HardSwish", "LeakyRelu", "Erf", "Relu6", "Softmax"}[g.rng.IntN(13)]
	switch op {
	case "Clip":
		lo := g.rng.NormFloat64()
		in = append(in, g.scalar(float32(lo)), g.scalar(float32(lo+g.rng.NormFloat64())))
		if g.rng.IntN(3) == 0 {
			in[1] = nil
		}
	case "Softmax":
		if len(x.shape) == 0 {
			return
		}
		a.Set("axis", g.rng.IntN(2*len(x.shape))-len(x.shape))
	}
	g.node(op, a, x.shape, in...)
}

func (g *gen) binary() {
	x := g.pick(false)
	op := []string{"Add", "Sub", "Mul", "Max", "Min"}[g.rng.IntN(5)]
	if g.rng.IntN(2) == 0 {
		for range 8 { // a computed operand of the same shape
			if y := g.pick(false); y.shape.Equal(x.shape) {
				if op == "Mul" { // keep products small
					y = g.node("Tanh", nil, y.shape, y.Value)
				}
				g.node(op, nil, x.shape, x.Value, y.Value)
				return
			}
		}
	}
	shape := x.shape.Clone()
	switch g.rng.IntN(4) {
	case 0:
		shape = tensor.Shape{}
	case 1: // per channel
		for i := range shape {
			if i != 1 {
				shape[i] = 1
			}
		}
	default:
		for i := range shape {
			if g.rng.IntN(2) == 0 {
				shape[i] = 1
			}
		}
		shape = shape[g.rng.IntN(len(shape)+1):]
	}
	in := []*model.Value{x.Value, g.constant(shape, 1)}
	if g.rng.IntN(3) == 0 {
		in[0], in[1] = in[1], in[0]
	}
	g.node(op, nil, x.shape, in...)
}

// window is the extent of a convolution's or pool's output.
func window(n, k, stride, pad int) int { return (n+2*pad-k)/stride + 1 }

func (g *gen) spatial(x value) {
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	if n*c*h*w > 1<<12 || h < 1 || w < 1 {
		return
	}
	switch op := []string{"Conv", "Conv", "Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool", "DepthToSpace", "Resize", "Pad"}[g.rng.IntN(11)]; op {
	case "Conv":
		g.conv(x)
	case "ConvTranspose":
		group := 1
		if c%2 == 0 && g.rng.IntN(2) == 0 {
			group = 2
		}
		per, k, s := 1+g.rng.IntN(3), 1+g.rng.IntN(3), 1+g.rng.IntN(2)
		a := attr.Attrs{}
		a.Set("group", group)
		a.Set("kernel_shape", ints(k, k))
		a.Set("strides", ints(s, s))
		in := []*model.Value{x.Value, g.constant(tensor.Shape{c, per, k, k}, .4)}
		if g.rng.IntN(2) == 0 {
			in = append(in, g.constant(tensor.Shape{per * group}, 1))
		}
		y := g.node(op, a, tensor.Shape{n, per * group, (h-1)*s + k, (w-1)*s + k}, in...)
		g.affine(y)
	case "MaxPool", "AveragePool":
		k, s := 1+g.rng.IntN(min(3, h, w)), 1+g.rng.IntN(2)
		pad := g.rng.IntN(k/2 + 1)
		a := attr.Attrs{}
		a.Set("kernel_shape", ints(k, k))
		a.Set("strides", ints(s, s))
		a.Set("pads", ints(pad, pad, pad, pad))
		if op == "AveragePool" {
			a.Set("count_include_pad", g.rng.IntN(2))
		}
		g.node(op, a, tensor.Shape{n, c, window(h, k, s, pad), window(w, k, s, pad)}, x.Value)
	case "BatchNormalization":
		g.batchNorm(x)
	case "GlobalAveragePool":
		g.node(op, nil, tensor.Shape{n, c, 1, 1}, x.Value)
	case "DepthToSpace":
		if c%4 == 0 {
			a := attr.Attrs{"mode": []string{"DCR", "CRD"}[g.rng.IntN(2)]}
			a.Set("blocksize", 2)
			g.node(op, a, tensor.Shape{n, c / 4, 2 * h, 2 * w}, x.Value)
		}
	case "Resize":
		a := attr.Attrs{"mode": []string{"nearest", "linear"}[g.rng.IntN(2)]}
		scales := model.NewConst(g.name("s"), tensor.From([]float32{1, 1, 2, 1}))
		g.node(op, a, tensor.Shape{n, c, 2 * h, w}, x.Value, nil, scales)
	case "Pad":
		p := []int64{0, int64(g.rng.IntN(2)), 1, int64(g.rng.IntN(2)), 0, 0, int64(g.rng.IntN(2)), 1}
		y := tensor.Shape{n, c, h, w}
		for i := range y {
			y[i] += int(p[i] + p[i+4])
		}
		in := []*model.Value{x.Value, g.ints(p...)}
		if g.rng.IntN(2) == 0 {
			in = append(in, g.scalar(.5))
		}
		g.node(op, nil, y, in...)
	}
}

// conv adds a convolution, often with what passes fold into it.
func (g *gen) conv(x value) value {
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	group := []int{1, 1, c}[g.rng.IntN(3)]
	out := group * (1 + g.rng.IntN(2))
	if group == 1 {
		out = []int{1, 2, 4, 5}[g.rng.IntN(4)]
	}
	k := 1
	if h > 2 && w > 2 && g.rng.IntN(2) == 0 {
		k = 3
	}
	s, pad := 1+g.rng.IntN(2), g.rng.IntN(k/2+1)
	a := attr.Attrs{}
	a.Set("group", group)
	a.Set("kernel_shape", ints(k, k))
	a.Set("strides", ints(s, s))
	a.Set("pads", ints(pad, pad, pad, pad))
	in := []*model.Value{x.Value, g.constant(tensor.Shape{out, c / group, k, k}, .4)}
	if g.rng.IntN(2) == 0 {
		in = append(in, g.constant(tensor.Shape{out}, 1))
	}
	y := g.node("Conv", a, tensor.Shape{n, out, window(h, k, s, pad), window(w, k, s, pad)}, in...)
	return g.affine(y)
}

// affine adds some of the operators that follow convolutions.
func (g *gen) affine(y value) value {
	per := tensor.Shape{y.shape[1], 1, 1}
	for g.rng.IntN(3) > 0 {
		switch g.rng.IntN(5) {
		case 0:
			y = g.batchNorm(y)
		case 1:
			y = g.node("Mul", nil, y.shape, y.Value, g.constant(per, 1))
		case 2:
			y = g.node("Add", nil, y.shape, g.constant(per, 1), y.Value)
		case 3:
			y = g.node("Sub", nil, y.shape, y.Value, g.constant(tensor.Shape{1}, 1))
		case 4:
			y = g.node("Relu", nil, y.shape, y.Value)
		}
	}
	return y
}

func (g *gen) batchNorm(x value) value {
	c := tensor.Shape{x.shape[1]}
	variance := g.tensor(c, 1)
	for i, v := range tensor.Of[float32](variance) {
		tensor.Of[float32](variance)[i] = v*v + .25
	}
	return g.node("BatchNormalization", attr.Attrs{"epsilon": float32(1e-3)}, x.shape, x.Value, g.constant(c, 1), g.constant(c, 1), g.constant(c, 1),
		model.NewConst(g.name("var"), variance))
}

func (g *gen) move() {
	x := g.pick(false)
	rank := len(x.shape)
	if rank == 0 {
		return
	}
	axis := g.rng.IntN(rank)
	signed := axis - rank*g.rng.IntN(2)
	a := attr.Attrs{}
	a.Set("axis", signed)
	switch g.rng.IntN(6) {
	case 0:
		perm := g.rng.Perm(rank)
		shape := make(tensor.Shape, rank)
		for i, p := range perm {
			shape[i] = x.shape[p]
		}
		a = attr.Attrs{}
		a.Set("perm", perm)
		g.node("Transpose", a, shape, x.Value)
	case 1:
		if x.shape.Len() > 1<<11 {
			return
		}
		for range 8 {
			y := g.pick(false)
			if len(y.shape) != rank || y.shape.Len() > 1<<11 {
				continue
			}
			fits := true
			for i := range rank {
				fits = fits && (i == axis || x.shape[i] == y.shape[i])
			}
			if fits {
				shape := x.shape.Clone()
				shape[axis] += y.shape[axis] + 2
				third := x.shape.Clone()
				third[axis] = 2
				g.node("Concat", a, shape, x.Value, y.Value, g.constant(third, 1))
				return
			}
		}
	case 2:
		if n := x.shape[axis]; n > 1 {
			first := 1 + g.rng.IntN(n-1)
			outs := g.raw("Split", a, 2, tensor.F32, x.Value, g.ints(int64(first), int64(n-first)))
			for i, v := range outs {
				shape := x.shape.Clone()
				shape[axis] = []int{first, n - first}[i]
				g.keep(v, shape)
			}
		}
	case 3:
		if n := x.shape[axis]; n > 1 {
			shape := x.shape.Clone()
			shape[axis] = n - 1
			g.node("Slice", nil, shape, x.Value, g.ints(1), g.ints(int64(n)), g.ints(int64(signed)))
		}
	case 4:
		// Two of the dimensions become one, and another reshape may undo that.
		if rank > 1 && rank < 6 {
			i := g.rng.IntN(rank - 1)
			shape := append(append(x.shape[:i:i], x.shape[i]*x.shape[i+1]), x.shape[i+2:]...)
			y := g.node("Reshape", nil, shape, x.Value, g.ints(ints(shape...)...))
			if g.rng.IntN(2) == 0 {
				g.node("Reshape", nil, x.shape, y.Value, g.ints(ints(x.shape...)...))
			}
		}
	case 5:
		if rank < 5 {
			shape := append(append(x.shape[:axis:axis], 1), x.shape[axis:]...)
			y := g.node("Unsqueeze", nil, shape, x.Value, g.ints(int64(axis)))
			if g.rng.IntN(2) == 0 {
				g.node("Squeeze", nil, x.shape, y.Value, g.ints(int64(axis)))
			}
		}
	}
}

func (g *gen) reduce() {
	x := g.pick(false)
	rank := len(x.shape)
	if rank == 0 {
		return
	}
	keep := g.rng.IntN(2)
	var axes []int64
	shape := tensor.Shape{}
	for i, d := range x.shape {
		switch {
		case g.rng.IntN(2) == 0:
			shape = append(shape, d)
			continue
		case keep == 1:
			shape = append(shape, 1)
		}
		axes = append(axes, int64(i-rank*g.rng.IntN(2)))
	}
	if len(axes) == 0 {
		return
	}
	a := attr.Attrs{}
	a.Set("keepdims", keep)
	g.node([]string{"ReduceMean", "ReduceMax", "ReduceMin"}[g.rng.IntN(3)], a, shape, x.Value, g.ints(axes...))
}

// pattern spells an activation or a normalisation out as exporters do.
func (g *gen) pattern() {
	x := g.pick(false)
	s := x.shape
	mul := func(a, b *model.Value) value {
		if g.rng.IntN(2) == 0 {
			a, b = b, a
		}
		return g.node("Mul", nil, s, a, b)
	}
	switch g.rng.IntN(4) {
	case 0:
		mul(x.Value, g.node("Sigmoid", nil, s, x.Value).Value)
	case 1:
		sum := g.node("Add", nil, s, x.Value, g.scalar(3))
		clip := g.node("Clip", nil, s, sum.Value, g.scalar(0), g.scalar(6))
		g.node("Div", nil, s, mul(x.Value, clip.Value).Value, g.scalar(6))
	case 2:
		arg := g.node("Div", nil, s, x.Value, g.scalar(1.4142135))
		one := g.node("Add", nil, s, g.node("Erf", nil, s, arg.Value).Value, g.scalar(1))
		mul(mul(x.Value, one.Value).Value, g.scalar(.5))
	case 3:
		if len(s) == 0 {
			return
		}
		stat := s.Clone()
		stat[len(s)-1] = 1
		a := attr.Attrs{}
		a.Set("keepdims", 1)
		mean := g.node("ReduceMean", a, stat, x.Value, g.ints(-1))
		d := g.node("Sub", nil, s, x.Value, mean.Value)
		variance := g.node("ReduceMean", a.Clone(), stat, g.node("Pow", nil, s, d.Value, g.scalar(2)).Value, g.ints(-1))
		root := g.node("Sqrt", nil, stat, g.node("Add", nil, stat, variance.Value, g.scalar(1e-2)).Value)
		norm := g.node("Div", nil, s, d.Value, root.Value)
		last := tensor.Shape{s[len(s)-1]}
		g.node("Add", nil, s, mul(norm.Value, g.constant(last, 1)).Value, g.constant(last, 1))
	}
}
