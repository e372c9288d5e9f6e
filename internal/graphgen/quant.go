package graphgen

import (
	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// params are a scale and a zero point: one each, or one per channel along axis.
type params struct {
	d           tensor.DType
	scale, zero *model.Value // zero may be nil for 0
	channels    int          // 0: per tensor
	axis        int
}

func (g *gen) byteType() tensor.DType { return []tensor.DType{tensor.I8, tensor.U8}[g.rng.IntN(2)] }

// params draws parameters of one type.
func (g *gen) params(d tensor.DType) params {
	return g.channelParams(d, 0, 0, .02+.05*g.rng.Float64())
}

// channelParams draws parameters about a scale, one per channel unless channels is 0.
func (g *gen) channelParams(d tensor.DType, channels, axis int, scale float64) params {
	p := params{d: d, channels: channels, axis: axis}
	shape := tensor.Shape{}
	if channels > 0 {
		shape = tensor.Shape{channels}
	}
	s, z := tensor.New(tensor.F32, shape), tensor.New(d, shape)
	for i := range s.Len() {
		tensor.Of[float32](s)[i] = float32(scale * (.5 + g.rng.Float64()))
		z.Data[i] = byte(g.rng.IntN(20) - 10)
		if d == tensor.U8 {
			z.Data[i] = byte(100 + g.rng.IntN(60))
		}
	}
	p.scale = model.NewConst(g.name("s"), s)
	switch g.rng.IntN(3) {
	case 0: // a zero that is spelled out
		clear(z.Data)
		p.zero = model.NewConst(g.name("z"), z)
	case 1:
		p.zero = model.NewConst(g.name("z"), z)
	default:
		if d == tensor.U8 { // absent: 0, as an unsigned value is what QuantizeLinear makes then
			break
		}
		p.zero = model.NewConst(g.name("z"), z)
	}
	return p
}

// point is the zero point, spelled out.
func (g *gen) point(p params) *model.Value {
	if p.zero != nil {
		return p.zero
	}
	shape := tensor.Shape{}
	if p.channels > 0 {
		shape = tensor.Shape{p.channels}
	}
	return model.NewConst(g.name("z"), tensor.New(p.d, shape))
}

func (p params) attrs() attr.Attrs {
	a := attr.Attrs{}
	if p.channels > 0 {
		a.Set("axis", p.axis)
	}
	return a
}

// quantise rounds v to integers.
func (g *gen) quantise(v value, p params) *model.Value {
	in := []*model.Value{v.Value, p.scale}
	if p.zero != nil {
		in = append(in, p.zero)
	}
	return g.raw("QuantizeLinear", p.attrs(), 1, p.d, in...)[0]
}

// dequantise makes the numbers that v stands for, and puts them in scope.
func (g *gen) dequantise(v *model.Value, shape tensor.Shape, p params) value {
	in := []*model.Value{v, p.scale}
	if p.zero != nil {
		in = append(in, p.zero)
	}
	return g.node("DequantizeLinear", p.attrs(), shape, in...)
}

// weights are constant integers of a shape, per tensor or per channel along an axis.
func (g *gen) weights(shape tensor.Shape, axis int) (*model.Value, params) {
	d, channels := g.byteType(), 0
	if g.rng.IntN(2) == 0 {
		channels = shape[axis]
	}
	w := tensor.New(d, shape)
	for i := range w.Data {
		w.Data[i] = byte(g.rng.IntN(256))
	}
	return model.NewConst(g.name("w"), w), g.channelParams(d, channels, axis, .004)
}

// floatWeights are weights that were stored as integers, or are rounded to them in the graph.
func (g *gen) floatWeights(shape tensor.Shape, axis int) *model.Value {
	w, p := g.weights(shape, axis)
	if g.rng.IntN(4) == 0 {
		w = g.raw("QuantizeLinear", p.attrs(), 1, p.d, g.constant(shape, .3), p.scale, g.point(p))[0]
	}
	return g.raw("DequantizeLinear", p.attrs(), 1, tensor.F32, w, p.scale, g.point(p))[0]
}

// small picks a value of rank 4, or any, that is not too large; its Value is nil where there is none.
func (g *gen) small(rank4 bool) value {
	x := g.pick(rank4)
	if x.Value != nil && (x.shape.Len() > 1<<11 || x.shape.Len() == 0) {
		return value{}
	}
	return x
}

// quantised puts QuantizeLinear and DequantizeLinear around an operator.
func (g *gen) quantised() {
	x := g.small(true)
	if x.Value == nil {
		return
	}
	d := g.byteType()
	pair := func(v value) value {
		p := g.params(d)
		return g.dequantise(g.quantise(v, p), v.shape, p)
	}
	a := pair(x)
	n, c, h, w := x.shape[0], x.shape[1], x.shape[2], x.shape[3]
	switch g.rng.IntN(12) {
	case 0: // a convolution with weights per channel
		out, k, at := 1+g.rng.IntN(4), 1, attr.Attrs{}
		if h > 2 && w > 2 && g.rng.IntN(2) == 0 {
			k = 3
			at.Set("pads", ints(1, 0, 0, 1))
			h, w = h-1, w-1
		}
		in := []*model.Value{a.Value, g.floatWeights(tensor.Shape{out, c, k, k}, 0)}
		if g.rng.IntN(2) == 0 {
			in = append(in, g.constant(tensor.Shape{out}, 1))
		}
		y := g.node("Conv", at, tensor.Shape{n, out, h, w}, in...)
		if g.rng.IntN(2) == 0 {
			y = g.node("Relu", nil, y.shape, y.Value)
		}
		pair(y)
	case 1:
		b := pair(g.node("Neg", nil, x.shape, x.Value))
		pair(g.node([]string{"Add", "Mul", "Sub"}[g.rng.IntN(3)], nil, x.shape, a.Value, b.Value))
	case 2:
		pair(g.node([]string{"Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Relu", "Softmax"}[g.rng.IntN(6)], nil, x.shape, a.Value))
	case 3: // moved on as integers
		p := g.params(d)
		at := attr.Attrs{}
		at.Set("perm", []int{0, 2, 3, 1})
		t := g.raw("Transpose", at, 1, d, g.quantise(x, p))[0]
		g.dequantise(t, tensor.Shape{n, h, w, c}, p)
	case 4: // padded as integers, and read with other parameters
		p := g.params(d)
		t := g.raw("Pad", nil, 1, d, g.quantise(x, p), g.ints(0, 0, 1, 0, 0, 0, 0, 1))[0]
		shape := tensor.Shape{n, c, h + 1, w + 1}
		g.dequantise(t, shape, p)
		if g.rng.IntN(2) == 0 {
			g.dequantise(t, shape, g.params(d))
		}
	case 5: // computed on as integers
		p := g.params(d)
		m := g.raw([]string{"Max", "Min"}[g.rng.IntN(2)], nil, 1, d, g.quantise(x, p), g.point(p))[0]
		g.dequantise(m, x.shape, p)
	case 6:
		k := min(2, h, w)
		at := attr.Attrs{}
		at.Set("kernel_shape", ints(k, k))
		pair(g.node([]string{"MaxPool", "AveragePool"}[g.rng.IntN(2)], at, tensor.Shape{n, c, h - k + 1, w - k + 1}, a.Value))
	case 7:
		pair(g.node("GlobalAveragePool", nil, tensor.Shape{n, c, 1, 1}, a.Value))
	case 8: // matrices
		out := 1 + g.rng.IntN(4)
		pair(g.node("MatMul", nil, tensor.Shape{n, c, h, out}, a.Value, g.floatWeights(tensor.Shape{w, out}, 1)))
	case 9:
		out := 1 + g.rng.IntN(4)
		flat := g.node("Flatten", nil, tensor.Shape{n, c * h * w}, a.Value)
		if g.rng.IntN(2) == 0 {
			flat = pair(flat)
		}
		at, shape, axis := attr.Attrs{}, tensor.Shape{c * h * w, out}, 1
		if g.rng.IntN(2) == 0 {
			at.Set("transB", 1)
			shape, axis = tensor.Shape{out, c * h * w}, 0
		}
		pair(g.node("Gemm", at, tensor.Shape{n, out}, flat.Value, g.floatWeights(shape, axis), g.constant(tensor.Shape{out}, 1)))
	case 10: // moved between one rounding and the next
		at := attr.Attrs{}
		at.Set("axis", 1)
		y := g.node("Concat", at, tensor.Shape{n, 2 * c, h, w}, a.Value, pair(x).Value)
		pair(y)
	case 11:
		out := 1 + g.rng.IntN(3)
		pair(g.node("ConvTranspose", nil, tensor.Shape{n, out, h + 1, w + 1}, a.Value, g.floatWeights(tensor.Shape{c, out, 2, 2}, 1)))
	}
}
