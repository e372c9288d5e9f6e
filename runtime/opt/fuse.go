package opt

import (
	"math"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// foldAffine moves per-channel scales and shifts into the weights and bias before them.
func foldAffine(c *Context, g *model.Graph) error {
	x := newIndex(g)
	dead := map[*model.Node]bool{}
	for _, n := range c.visit(g.Nodes) {
		for foldsInto := true; foldsInto && (n.Op == "Conv" || n.Op == "ConvTranspose"); {
			next, out := x.only(n.Out[0]), n.Out[0]
			squeeze := squeezed(n, next)
			if squeeze != nil && !dead[squeeze] {
				next, out = x.only(squeeze.Out[0]), squeeze.Out[0]
			}
			if next == nil || dead[next] {
				break
			}
			scale, shift := affine(n, next, out)
			if scale == nil && shift == nil || !c.scaleConv(n, scale, shift) {
				break
			}
			if dead[next] = true; squeeze != nil {
				squeeze.Out[0] = next.Out[0]
			} else {
				n.Out[0] = next.Out[0]
			}
		}
		if n.Op == "MatMul" && len(n.In) == 2 && n.In[0] != nil && n.In[1] != nil && len(n.In[0].Shape) == 2 && isConst(n.In[1]) != nil && len(n.In[1].Shape) == 2 && n.In[0].DType == tensor.F32 && !clamped(n) {
			// MatMul of matrices, then Add of a constant row: a Gemm.
			next := x.only(n.Out[0])
			if next == nil || next.Op != "Add" || len(next.Out) != 1 || clamped(next) {
				continue
			}
			bias := next.In[1]
			if bias == n.Out[0] {
				bias = next.In[0]
			}
			if t := isConst(bias); t != nil && t.DType == tensor.F32 && t.Quant == nil && t.Len() == n.In[1].Shape[1] &&
				len(t.Shape) >= 1 && len(t.Shape) <= 2 && t.Shape[len(t.Shape)-1] == t.Len() {
				n.Op = "Gemm"
				n.In = append(n.In, model.NewConst(c.name(bias.Name, "row"), t.View(tensor.Shape{t.Len()})))
				n.Out[0] = next.Out[0]
				dead[next] = true
			}
		}
	}
	remove(g, dead)
	return nil
}

// squeezed is n if it drops extents of 1 of conv's output in NCHW, not that of the channels, and leaves channels second.
func squeezed(conv, n *model.Node) *model.Node {
	if n == nil || n.Op != "Squeeze" || conv.Attrs.Str("layout", "NCHW") != "NCHW" || len(n.Out) != 1 || n.Out[0].Quant != nil {
		return nil
	}
	axes, rank := constAxes(n.Input(1), len(conv.Out[0].Shape)), len(conv.Out[0].Shape)
	if len(axes) == 0 || len(n.Out[0].Shape) != rank-len(axes) {
		return nil
	}
	for _, a := range axes {
		if a < 2 {
			return nil
		}
	}
	return n
}

// constAxes reads axes of a value of some rank, counted from the front; nil where they are not constant or out of range.
func constAxes(v *model.Value, rank int) []int {
	t := isConst(v)
	if t == nil {
		return nil
	}
	list, err := t.Ints()
	if err != nil {
		return nil
	}
	var axes []int
	for _, a := range list {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || a >= int64(rank) {
			return nil
		}
		axes = append(axes, int(a))
	}
	return axes
}

// affine reads node next as y = x*scale + shift per channel of conv's output, which it knows as out. Either may be nil for 1 or 0.
func affine(conv, next *model.Node, out *model.Value) (scale, shift []float32) {
	w := isConst(conv.Input(1))
	if w == nil || len(w.Shape) < 3 || len(next.Out) != 1 {
		return nil, nil
	}
	rank := len(w.Shape)
	channels := w.Shape[0]
	chanAxis := 1
	if conv.Attrs.Str("layout", "NCHW") == "NHWC" {
		chanAxis = rank - 1
	}
	if conv.Op == "ConvTranspose" {
		channels = w.Shape[1] * conv.Attrs.Int("group", 1)
		if chanAxis != 1 {
			channels = w.Shape[rank-1] * conv.Attrs.Int("group", 1)
		}
	}
	if out != conv.Out[0] {
		rank = len(out.Shape)
	}
	switch next.Op {
	case "BatchNormalization":
		if next.Attrs.Bool("training_mode", false) || next.Attrs.Int("axis", 1) != chanAxis || len(next.In) < 5 {
			return nil, nil
		}
		var p [4][]float32
		for i := range p {
			f, ok := constFloats(next.In[i+1])
			if !ok || len(f) != channels {
				return nil, nil
			}
			p[i] = f
		}
		eps := next.Attrs.Float("epsilon", 1e-5)
		scale, shift = make([]float32, channels), make([]float32, channels)
		for i := range channels {
			s := float64(p[0][i]) / math.Sqrt(float64(p[3][i])+float64(eps))
			scale[i] = float32(s)
			shift[i] = float32(float64(p[1][i]) - float64(p[2][i])*s)
		}
		return scale, shift
	case "Mul", "Add", "Sub":
		other := next.In[1]
		if other == out {
			if other = next.In[0]; next.Op == "Sub" {
				return nil, nil
			}
		}
		if clamped(next) {
			return nil, nil
		}
		f, ok := constFloats(other)
		if !ok || len(other.Shape) > rank || next.In[0] == next.In[1] {
			return nil, nil
		}
		// All extents are 1 but the channel's.
		for i, d := range other.Shape {
			if d != 1 && i+rank-len(other.Shape) != chanAxis {
				return nil, nil
			}
		}
		if len(f) != 1 && len(f) != channels {
			return nil, nil
		}
		v := make([]float32, channels)
		for i := range v {
			v[i] = f[min(i, len(f)-1)]
			if next.Op == "Sub" {
				v[i] = -v[i]
			}
		}
		if next.Op == "Mul" {
			return v, nil
		}
		return nil, v
	}
	return nil, nil
}

// scaleConv changes weights and bias of a convolution to yield y*scale + shift.
func (c *Context) scaleConv(n *model.Node, scale, shift []float32) bool {
	w, ok := constFloats(n.Input(1))
	if !ok || clamped(n) {
		return false
	}
	var bias []float32
	if b := n.Input(2); b != nil {
		if bias, ok = constFloats(b); !ok {
			return false
		}
	}
	shape := n.In[1].Shape
	channels := max(len(scale), len(shift))
	if bias != nil && len(bias) != channels || 4*channels > c.room.left() {
		return false
	}
	if scale != nil {
		if 4*(len(w)+channels) > c.room.left() {
			return false
		}
		t := c.newTensor(tensor.F32, shape)
		c.room.made(t)
		dst := tensor.Of[float32](t)
		channel := func(i int) int { return i / (len(w) / channels) }
		if n.Op == "ConvTranspose" {
			group := n.Attrs.Int("group", 1)
			in, per := shape[0]/group, channels/group
			inner := len(w) / shape[0]
			if n.Attrs.Str("layout", "NCHW") == "NHWC" {
				channel = func(i int) int { return i/inner/in*per + i%per }
			} else {
				channel = func(i int) int { return i/inner/in*per + i%inner/(inner/per) }
			}
		}
		for i := range w {
			dst[i] = w[i] * scale[channel(i)]
		}
		mem.Drop(n.In[1].Const.Data)
		mem.Drop(t.Data)
		n.In[1] = model.NewConst(c.name(n.In[1].Name, "scaled"), t)
	}
	b := make([]float32, channels)
	for i := range b {
		v := float64(0)
		if bias != nil {
			v = float64(bias[i])
		}
		if scale != nil {
			v *= float64(scale[i])
		}
		if shift != nil {
			v += float64(shift[i])
		}
		b[i] = float32(v)
	}
	value := model.NewConst(c.name(n.Name, "bias"), tensor.From(b))
	c.room.made(value.Const)
	if len(n.In) > 2 {
		n.In[2] = value
	} else {
		n.In = append(n.In, value)
	}
	return true
}

// clamps are the operators whose epilogue takes act_min and act_max.
var clamps = map[string]bool{
	"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true, "Add": true, "Sub": true, "Mul": true, "Div": true,
	"AveragePool": true, "MaxPool": true,
}

// fuseClamp moves Relu, Relu6 and Clip into the operator before them.
func fuseClamp(c *Context, g *model.Graph) error {
	x := newIndex(g)
	dead := map[*model.Node]bool{}
	for _, n := range c.visit(g.Nodes) {
		if dead[n] || !clamps[n.Op] || len(n.Out) != 1 {
			continue
		}
		for {
			next := x.only(n.Out[0])
			if next == nil || dead[next] || next.In[0] != n.Out[0] || len(next.Out) != 1 {
				break
			}
			a, b := n.Out[0], next.Out[0]
			if a.Quant != nil && !(a.DType == b.DType && a.Quant.Equal(b.Quant)) || a.Quant == nil && (a.DType != tensor.F32 || b.Quant != nil) {
				break
			}
			lo, hi, ok := bounds(next)
			if !ok {
				break
			}
			// A later bound applies to what the earlier ones left.
			bound := func(v float32) float32 { // as the operators do, 0 and -0 included
				if v < lo {
					return lo
				} else if v > hi {
					return hi
				}
				return v
			}
			oldLo, oldHi := n.Attrs.Float("act_min", float32(math.Inf(-1))), n.Attrs.Float("act_max", float32(math.Inf(1)))
			if oldHi < lo || oldLo > hi {
				break // all becomes one value, 0 perhaps; a bound would leave the other zero as it is
			}
			lo, hi = bound(oldLo), bound(oldHi)
			if !math.IsInf(float64(lo), -1) {
				n.Attrs["act_min"] = lo
			}
			if !math.IsInf(float64(hi), 1) {
				n.Attrs["act_max"] = hi
			}
			n.Out[0] = b
			dead[next] = true
		}
	}
	remove(g, dead)
	return nil
}

// bounds reads a node as a clamp.
func bounds(n *model.Node) (lo, hi float32, ok bool) {
	lo, hi = float32(math.Inf(-1)), float32(math.Inf(1))
	switch n.Op {
	case "Relu":
		return 0, hi, true
	case "Relu6":
		return 0, 6, true
	case "Clip":
		for i, p := range []*float32{1: &lo, 2: &hi} {
			if i == 0 || n.Input(i) == nil {
				continue
			}
			f, ok := constScalar(n.In[i])
			if !ok || f != f {
				return 0, 0, false
			}
			*p = f
		}
		return lo, hi, lo <= hi
	}
	return 0, 0, false
}

// fusePatterns finds activations and normalisations that exporters spell out.
func fusePatterns(c *Context, g *model.Graph) error {
	for _, f := range []func(*Context, *index, *model.Node) *model.Node{swish, hardSwish, gelu, geluTanh, layerNorm} {
		x := newIndex(g)
		for i, n := range c.visit(g.Nodes) {
			// Constants of one element may still raise the rank.
			if r := f(c, x, n); r != nil && r.In[0].Shape != nil && len(r.In[0].Shape) == len(n.Out[0].Shape) {
				r.Name, r.Out = n.Name, n.Out
				g.Nodes[i] = r
			}
		}
		removeDead(c, g)
	}
	return nil
}

func node(op string, a attr.Attrs, in ...*model.Value) *model.Node {
	return &model.Node{Op: op, In: in, Attrs: a}
}

// operands returns n's inputs in both orders.
func operands(n *model.Node) [2][2]*model.Value {
	return [2][2]*model.Value{{n.In[0], n.In[1]}, {n.In[1], n.In[0]}}
}

// clamped reports whether a Relu or the like was moved into the node.
func clamped(n *model.Node) bool { return n.Attrs.Has("act_min") || n.Attrs.Has("act_max") }

func floatNode(n *model.Node, op string) bool {
	return n.Op == op && n.Out[0] != nil && n.Out[0].DType == tensor.F32 && !clamped(n)
}

// plain returns the node that makes v if it is one of the given operators, on floats and without a clamp.
func plain(x *index, v *model.Value, ops ...string) *model.Node {
	if n := x.made(v, ops...); n != nil && floatNode(n, n.Op) {
		return n
	}
	return nil
}

// swish is x * sigmoid(x).
func swish(c *Context, x *index, n *model.Node) *model.Node {
	if !floatNode(n, "Mul") {
		return nil
	}
	for _, o := range operands(n) {
		if s := plain(x, o[1], "Sigmoid"); s != nil && s.In[0] == o[0] && x.only(o[1]) == n {
			return node("Swish", attr.Attrs{"alpha": float32(1)}, o[0])
		}
	}
	return nil
}

// hardSwish is x * hardsigmoid(x), or x * clip(x+3, 0, 6) / 6.
func hardSwish(c *Context, x *index, n *model.Node) *model.Node {
	if floatNode(n, "Mul") {
		for _, o := range operands(n) {
			if s := plain(x, o[1], "HardSigmoid"); s != nil && s.In[0] == o[0] && x.only(o[1]) == n &&
				s.Attrs.Float("beta", .5) == .5 && math.Abs(float64(s.Attrs.Float("alpha", .2))-1./6) < 1e-6 {
				return node("HardSwish", attr.Attrs{}, o[0])
			}
		}
	}
	// The factor 1/6 comes last: Div by 6, or Mul by a sixth.
	var inner *model.Value
	if floatNode(n, "Div") {
		if f, ok := constScalar(n.In[1]); ok && f == 6 && rankLE(n.In[1], n.In[0]) {
			inner = n.In[0]
		}
	} else if floatNode(n, "Mul") {
		for _, o := range operands(n) {
			if f, ok := constScalar(o[1]); ok && math.Abs(float64(f)-1./6) < 1e-7 && rankLE(o[1], o[0]) {
				inner = o[0]
			}
		}
	}
	m := plain(x, inner, "Mul")
	if m == nil || x.only(inner) != n {
		return nil
	}
	for _, o := range operands(m) {
		clip := plain(x, o[1], "Clip", "Relu6")
		if clip == nil || x.only(o[1]) != m {
			continue
		}
		if lo, hi, ok := bounds(clip); !ok || lo != 0 || hi != 6 {
			continue
		}
		add := plain(x, clip.In[0], "Add")
		if add == nil || x.only(clip.In[0]) != clip {
			continue
		}
		for _, p := range operands(add) {
			if f, ok := constScalar(p[1]); ok && f == 3 && p[0] == o[0] && rankLE(p[1], p[0]) {
				return node("HardSwish", attr.Attrs{}, o[0])
			}
		}
	}
	return nil
}

// rankLE reports whether broadcasting a against b keeps b's shape (a has one element).
func rankLE(a, b *model.Value) bool { return b.Shape != nil && len(a.Shape) <= len(b.Shape) }

// product lists the factors of a product, the constant ones multiplied.
func product(x *index, v *model.Value) (factors []*model.Value, scale float32) {
	scale = 1
	var visit func(v *model.Value, root bool)
	visit = func(v *model.Value, root bool) {
		m := plain(x, v, "Mul")
		if m == nil || !root && (x.only(v) == nil || len(factors) > 4) {
			if f, ok := constScalar(v); ok {
				scale *= f
			} else {
				factors = append(factors, v)
			}
			return
		}
		visit(m.In[0], false)
		visit(m.In[1], false)
	}
	visit(v, true)
	return factors, scale
}

// gelu is x * (erf(x/sqrt(2)) + 1) * 0.5, with its factors in any order.
func gelu(c *Context, x *index, n *model.Node) *model.Node {
	if !floatNode(n, "Mul") {
		return nil
	}
	factors, scale := product(x, n.Out[0])
	if len(factors) != 2 || scale != .5 {
		return nil
	}
	for k, v := range factors {
		other := factors[1-k]
		add := plain(x, v, "Add")
		if add == nil || x.only(v) == nil {
			continue
		}
		for _, o := range operands(add) {
			one, ok := constScalar(o[1])
			erf := plain(x, o[0], "Erf")
			if !ok || one != 1 || erf == nil || x.only(o[0]) != add {
				continue
			}
			arg := erf.In[0]
			if d := plain(x, arg, "Div"); d != nil && d.In[0] == other {
				if f, ok := constScalar(d.In[1]); ok && math.Abs(float64(f)-math.Sqrt2) < 1e-5 && rankLE(d.In[1], other) {
					return node("Gelu", attr.Attrs{"approximate": "none"}, other)
				}
			}
			if m := plain(x, arg, "Mul"); m != nil {
				for _, p := range operands(m) {
					if f, ok := constScalar(p[1]); ok && p[0] == other && math.Abs(float64(f)-math.Sqrt2/2) < 1e-5 && rankLE(p[1], other) {
						return node("Gelu", attr.Attrs{"approximate": "none"}, other)
					}
				}
			}
		}
	}
	return nil
}

// geluTanh is x * (tanh(sqrt(2/pi) * (x + 0.044715*x**3)) + 1) * 0.5, with factors in any order and x drawn out of the sum or not.
func geluTanh(c *Context, x *index, n *model.Node) *model.Node {
	if !floatNode(n, "Mul") {
		return nil
	}
	factors, scale := product(x, n.Out[0])
	if len(factors) != 2 || scale != .5 {
		return nil
	}
	near := func(v, want float64) bool { return math.Abs(v-want) < 1e-5*want }
	// sum reads v as a sum with two operands, in both orders, which nobody else reads.
	sum := func(v *model.Value) [][2]*model.Value {
		if add := plain(x, v, "Add"); add != nil && x.only(v) != nil {
			o := operands(add)
			return o[:]
		}
		return nil
	}
	for k, v := range factors {
		in := factors[1-k]
		// power reads v as f * in**p, p above 1.
		power := func(v *model.Value) (f float64, p int) {
			if m := plain(x, v, "Mul"); m == nil {
				return 0, 0
			}
			list, f32 := product(x, v)
			for _, w := range list {
				if q := plain(x, w, "Pow"); q != nil && q.In[0] == in {
					if e, ok := constScalar(q.In[1]); ok && (e == 2 || e == 3) {
						p += int(e)
						continue
					}
				}
				if w != in {
					return 0, 0
				}
				p++
			}
			return float64(f32), p
		}
		for _, o := range sum(v) {
			one, ok := constScalar(o[1])
			tanh := plain(x, o[0], "Tanh")
			if !ok || one != 1 || tanh == nil || x.only(o[0]) == nil || plain(x, tanh.In[0], "Mul") == nil {
				continue
			}
			inner, root := product(x, tanh.In[0])
			if !near(float64(root), math.Sqrt(2/math.Pi)) {
				continue
			}
			for i, w := range inner {
				for _, q := range sum(w) {
					f, p := power(q[1])
					first, isOne := constScalar(q[0])
					drawn := len(inner) == 2 && inner[1-i] == in && isOne && first == 1 && p == 2
					if near(f, 0.044715) && (drawn || len(inner) == 1 && q[0] == in && p == 3) {
						return node("Gelu", attr.Attrs{"approximate": "tanh"}, in)
					}
				}
			}
		}
	}
	return nil
}

// layerNorm is (x-mean)/sqrt(mean((x-mean)^2)+eps)*gamma+beta over the last axis.
func layerNorm(c *Context, x *index, n *model.Node) *model.Node {
	if !floatNode(n, "Add") {
		return nil
	}
	for _, o := range operands(n) {
		beta, scaled := o[1], plain(x, o[0], "Mul")
		if isConst(beta) == nil || scaled == nil || x.only(o[0]) != n {
			continue
		}
		for _, p := range operands(scaled) {
			gamma, normed := p[1], plain(x, p[0], "Div")
			if isConst(gamma) == nil || normed == nil || x.only(p[0]) != scaled || len(gamma.Shape) != 1 || !gamma.Shape.Equal(beta.Shape) {
				continue
			}
			centred, root := plain(x, normed.In[0], "Sub"), plain(x, normed.In[1], "Sqrt")
			if centred == nil || root == nil {
				continue
			}
			mean := plain(x, centred.In[1], "ReduceMean")
			add := plain(x, root.In[0], "Add")
			if mean == nil || add == nil || mean.In[0] != centred.In[0] || !lastAxis(mean) {
				continue
			}
			for _, q := range operands(add) {
				eps, ok := constScalar(q[1])
				variance := plain(x, q[0], "ReduceMean")
				if !ok || variance == nil || !lastAxis(variance) || !squares(x, variance.In[0], normed.In[0]) {
					continue
				}
				in := centred.In[0]
				if len(in.Shape) == 0 || in.Shape[len(in.Shape)-1] != gamma.Shape[0] {
					continue
				}
				a := attr.Attrs{"epsilon": eps, "axis": int64(-1)}
				return node("LayerNormalization", a, in, gamma, beta)
			}
		}
	}
	return nil
}

// lastAxis reports whether a reduction is over the last axis alone and keeps it.
func lastAxis(n *model.Node) bool {
	t := isConst(n.Input(1))
	if t == nil || !n.Attrs.Bool("keepdims", true) || n.In[0].Shape == nil {
		return false
	}
	axes, err := t.Ints()
	return err == nil && len(axes) == 1 && (axes[0] == -1 || axes[0] == int64(len(n.In[0].Shape)-1))
}

// squares reports whether v is d squared.
func squares(x *index, v, d *model.Value) bool {
	if p := plain(x, v, "Pow"); p != nil && p.In[0] == d {
		f, ok := constScalar(p.In[1])
		return ok && f == 2
	}
	m := plain(x, v, "Mul")
	return m != nil && m.In[0] == d && m.In[1] == d
}
