package graphgen

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// whole is a value of integers, and what they stand for.
type whole struct {
	value
	params
}

func (g *gen) keepWhole(v *model.Value, shape tensor.Shape, p params) whole {
	r := whole{value{v, shape.Clone()}, p}
	g.wholes = append(g.wholes, r)
	return r
}

// whole picks integers that are there, or makes some; of rank 4 where asked for. The Value is nil where there are none.
func (g *gen) whole(rank4 bool) whole {
	if len(g.wholes) > 0 && g.rng.IntN(2) == 0 {
		if w := g.wholes[g.rng.IntN(len(g.wholes))]; (!rank4 || len(w.shape) == 4) && w.shape.Len() < 1<<11 {
			return w
		}
	}
	x := g.small(rank4)
	if x.Value == nil {
		return whole{}
	}
	p := g.params(g.byteType())
	return g.keepWhole(g.quantise(x, p), x.shape, p)
}

// like picks integers of the same type and shape, w where there are no others.
func (g *gen) like(w whole) whole {
	for range 8 {
		if v := g.wholes[g.rng.IntN(len(g.wholes))]; v.d == w.d && v.shape.Equal(w.shape) {
			return v
		}
	}
	return w
}

// integers adds an operator that reads or makes integers, and often reads the result back.
func (g *gen) integers() {
	if g.rng.IntN(3) == 0 {
		g.quantised()
		return
	}
	var y whole
	switch k := g.rng.IntN(16); {
	case k < 4:
		y = g.qlinearSpatial()
	case k < 7:
		y = g.integerMatrices()
	case k < 10:
		y = g.qlinearPointwise()
	case k < 12:
		g.dynamicQuantised()
	case k < 14:
		y = g.moveIntegers()
	default:
		g.readIntegers()
	}
	if y.Value == nil || g.rng.IntN(4) == 0 {
		return
	}
	p := y.params
	if g.rng.IntN(6) == 0 { // as if they stood for something else
		p = g.params(y.d)
	}
	g.dequantise(y.Value, y.shape, p)
}

// scaled reads sums of products as floats.
func (g *gen) scaled(sums *model.Value, shape tensor.Shape, scale *model.Value) {
	at := attr.Attrs{}
	at.Set("to", 1)
	f := g.raw("Cast", at, 1, tensor.F32, sums)[0]
	g.node("Mul", nil, shape, f, scale)
}

// qlinearSpatial is a convolution or a pool on integers.
func (g *gen) qlinearSpatial() whole {
	x := g.whole(true)
	if x.Value == nil {
		return whole{}
	}
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	if h < 1 || w < 1 {
		return whole{}
	}
	k, s := 1+g.rng.IntN(min(3, h, w)), 1+g.rng.IntN(2)
	pad := g.rng.IntN(k/2 + 1)
	at := attr.Attrs{}
	at.Set("kernel_shape", ints(k, k))
	at.Set("strides", ints(s, s))
	at.Set("pads", ints(pad, pad, pad, pad))
	oh, ow := window(h, k, s, pad), window(w, k, s, pad)
	group := []int{1, 1, c}[g.rng.IntN(3)]
	out := group * (1 + g.rng.IntN(2))
	y := g.params(x.d)
	switch g.rng.IntN(5) {
	case 0, 1:
		at.Set("group", group)
		wt, p := g.weights(tensor.Shape{out, c / group, k, k}, 0)
		in := []*model.Value{x.Value, x.scale, g.point(x.params), wt, p.scale, g.point(p), y.scale, g.point(y)}
		if g.rng.IntN(2) == 0 {
			b := tensor.New(tensor.I32, tensor.Shape{out})
			for i := range tensor.Of[int32](b) {
				tensor.Of[int32](b)[i] = int32(g.rng.IntN(2000) - 1000)
			}
			in = append(in, model.NewConst(g.name("b"), b))
		}
		return g.keepWhole(g.raw("QLinearConv", at, 1, x.d, in...)[0], tensor.Shape{n, out, oh, ow}, y)
	case 2:
		at.Set("group", group)
		wt, p := g.weights(tensor.Shape{out, c / group, k, k}, 0)
		in := []*model.Value{x.Value, wt, g.point(x.params)}
		if p.channels == 0 {
			in = append(in, g.point(p))
		}
		sums := g.raw("ConvInteger", at, 1, tensor.I32, in...)[0]
		g.scaled(sums, tensor.Shape{n, out, oh, ow}, g.scalar(2e-4))
	case 3:
		at.Set("count_include_pad", g.rng.IntN(2))
		in := []*model.Value{x.Value, x.scale, x.zero, y.scale, y.zero}
		return g.keepWhole(g.raw("com.microsoft.QLinearAveragePool", at, 1, x.d, in...)[0], tensor.Shape{n, c, oh, ow}, y)
	case 4:
		at, shape := attr.Attrs{}, tensor.Shape{n, c, 1, 1}
		if g.rng.IntN(3) == 0 {
			at.Set("channels_last", 1)
			shape = tensor.Shape{n, 1, 1, w}
		}
		in := []*model.Value{x.Value, x.scale, x.zero, y.scale, y.zero}
		return g.keepWhole(g.raw("com.microsoft.QLinearGlobalAveragePool", at, 1, x.d, in...)[0], shape, y)
	}
	return whole{}
}

// integerMatrices is a product of integers and constant weights.
func (g *gen) integerMatrices() whole {
	a := g.whole(false)
	if a.Value == nil || len(a.shape) < 2 {
		return whole{}
	}
	rank := len(a.shape)
	k, out := a.shape[rank-1], 1+g.rng.IntN(5)
	shape := append(a.shape[:rank-1:rank-1], out)
	b, p := g.weights(tensor.Shape{k, out}, 1)
	y := g.params(a.d)
	bias := g.constant(tensor.Shape{out}, 1)
	switch g.rng.IntN(4) {
	case 0:
		in := []*model.Value{a.Value, a.scale, g.point(a.params), b, p.scale, g.point(p), y.scale, g.point(y)}
		return g.keepWhole(g.raw("QLinearMatMul", nil, 1, a.d, in...)[0], shape, y)
	case 1:
		in := []*model.Value{a.Value, b, g.point(a.params), g.point(p)}
		g.scaled(g.raw("MatMulInteger", nil, 1, tensor.I32, in...)[0], shape, g.scalar(2e-4))
	case 2:
		in := []*model.Value{a.Value, b, a.scale, p.scale, g.point(a.params), g.point(p)}
		if g.rng.IntN(2) == 0 {
			in = append(in, bias)
		}
		g.node("com.microsoft.MatMulIntegerToFloat", nil, shape, in...)
	case 3:
		rows := a.shape.Len() / max(1, k)
		if rows*k == 0 {
			return whole{}
		}
		flat := g.raw("Reshape", nil, 1, a.d, a.Value, g.ints(int64(rows), int64(k)))[0]
		in := []*model.Value{flat, a.scale, g.point(a.params), b, p.scale, g.point(p), nil, y.scale, g.point(y)}
		return g.keepWhole(g.raw("com.microsoft.QGemm", nil, 1, a.d, in...)[0], tensor.Shape{rows, out}, y)
	}
	return whole{}
}

// qlinearPointwise is an operator of com.microsoft, element by element or along an axis.
func (g *gen) qlinearPointwise() whole {
	a := g.whole(false)
	if a.Value == nil || len(a.shape) == 0 {
		return whole{}
	}
	y, b := g.params(a.d), g.like(a)
	at := attr.Attrs{}
	op := []string{"QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearConcat", "QLinearSoftmax"}[g.rng.IntN(6)]
	in, shape := []*model.Value{a.Value, a.scale, a.zero}, a.shape.Clone()
	switch op {
	case "QLinearAdd", "QLinearMul":
		in = append(in, b.Value, b.scale, b.zero)
	case "QLinearConcat":
		axis := g.rng.IntN(len(shape))
		shape[axis] += b.shape[axis]
		at.Set("axis", axis)
		in = append([]*model.Value{y.scale, g.point(y)}, a.Value, a.scale, g.point(a.params), b.Value, b.scale, g.point(b.params))
	case "QLinearSoftmax":
		at.Set("axis", g.rng.IntN(len(shape)))
		at.Set("opset", 13)
	}
	if op != "QLinearConcat" {
		in = append(in, y.scale, y.zero)
	}
	return g.keepWhole(g.raw("com.microsoft."+op, at, 1, a.d, in...)[0], shape, y)
}

// dynamicQuantised rounds to parameters that are computed.
func (g *gen) dynamicQuantised() {
	x := g.small(false)
	if x.Value == nil || len(x.shape) < 2 {
		return
	}
	last := len(x.shape) - 1
	out := 1 + g.rng.IntN(4)
	shape := append(x.shape[:last:last], out)
	w, p := g.weights(tensor.Shape{x.shape[last], out}, 1)
	if g.rng.IntN(3) == 0 {
		in := []*model.Value{x.Value, w, p.scale, g.point(p)}
		if g.rng.IntN(2) == 0 {
			in = append(in, g.constant(tensor.Shape{out}, 1))
		}
		g.node("com.microsoft.DynamicQuantizeMatMul", nil, shape, in...)
		return
	}
	n := &model.Node{Name: g.name("n"), Op: "DynamicQuantizeLinear", In: []*model.Value{x.Value}, Attrs: attr.Attrs{}}
	for _, d := range []tensor.DType{tensor.U8, tensor.F32, tensor.U8} {
		n.Out = append(n.Out, &model.Value{Name: g.name("v"), DType: d})
	}
	g.graph.Nodes = append(g.graph.Nodes, n)
	q, scale, zero := n.Out[0], n.Out[1], n.Out[2]
	switch {
	case g.rng.IntN(2) == 0:
		g.node("DequantizeLinear", nil, x.shape, q, scale, zero)
	case len(x.shape) == 4 && x.shape[1] > 0 && g.rng.IntN(2) == 0:
		w, _ := g.weights(tensor.Shape{out, x.shape[1], 1, 1}, 0)
		sums := g.raw("ConvInteger", nil, 1, tensor.I32, q, w, zero)[0]
		g.scaled(sums, tensor.Shape{x.shape[0], out, x.shape[2], x.shape[3]}, g.raw("Mul", nil, 1, tensor.F32, scale, g.scalar(.01))[0])
	default:
		sums := g.raw("MatMulInteger", nil, 1, tensor.I32, q, w, zero, g.point(p))[0]
		g.scaled(sums, shape, g.raw("Mul", nil, 1, tensor.F32, scale, g.scalar(.01))[0])
	}
}

// moveIntegers moves integers, which then stand for what they stood for.
func (g *gen) moveIntegers() whole {
	x := g.whole(true)
	if x.Value == nil {
		return whole{}
	}
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	at := attr.Attrs{}
	switch g.rng.IntN(6) {
	case 0:
		perm := g.rng.Perm(4)
		at.Set("perm", perm)
		return g.keepWhole(g.raw("Transpose", at, 1, x.d, x.Value)[0], tensor.Shape{x.shape[perm[0]], x.shape[perm[1]], x.shape[perm[2]], x.shape[perm[3]]}, x.params)
	case 1:
		shape := tensor.Shape{n, c, h * w}
		return g.keepWhole(g.raw("Reshape", nil, 1, x.d, x.Value, g.ints(ints(shape...)...))[0], shape, x.params)
	case 2:
		b := g.like(x)
		at.Set("axis", 1)
		return g.keepWhole(g.raw("Concat", at, 1, x.d, x.Value, b.Value)[0], tensor.Shape{n, c + b.shape[1], h, w}, x.params)
	case 3:
		if h > 1 {
			return g.keepWhole(g.raw("Slice", nil, 1, x.d, x.Value, g.ints(1), g.ints(int64(h)), g.ints(2))[0], tensor.Shape{n, c, h - 1, w}, x.params)
		}
	case 4:
		in := []*model.Value{x.Value, g.ints(0, 0, 1, 0, 0, 0, 0, 1)}
		if g.rng.IntN(2) == 0 {
			in = append(in, g.point(x.params))
		}
		return g.keepWhole(g.raw("Pad", nil, 1, x.d, in...)[0], tensor.Shape{n, c, h + 1, w + 1}, x.params)
	case 5:
		k := min(2, h, w)
		if k > 0 {
			at.Set("kernel_shape", ints(k, k))
			return g.keepWhole(g.raw("MaxPool", at, 1, x.d, x.Value)[0], tensor.Shape{n, c, h - k + 1, w - k + 1}, x.params)
		}
	}
	return whole{}
}

// readIntegers takes integers as numbers, or as what they stand for, per channel perhaps.
func (g *gen) readIntegers() {
	switch g.rng.IntN(4) {
	case 0:
		if x := g.whole(false); x.Value != nil {
			at := attr.Attrs{}
			at.Set("to", 1)
			g.node("Cast", at, x.shape, x.Value)
		}
	case 1: // parameters per channel on both sides
		if x := g.small(true); x.Value != nil && x.shape[1] > 0 {
			p := g.channelParams(g.byteType(), x.shape[1], 1, .05)
			g.dequantise(g.quantise(x, p), x.shape, p)
		}
	case 2: // on one side
		if x := g.whole(true); x.Value != nil && x.shape[1] > 0 {
			g.dequantise(x.Value, x.shape, g.channelParams(x.d, x.shape[1], 1, .05))
		}
	case 3: // rounded again
		if x := g.whole(false); x.Value != nil {
			p := g.params(x.d)
			g.keepWhole(g.quantise(g.dequantise(x.Value, x.shape, x.params), p), x.shape, p)
		}
	}
}
