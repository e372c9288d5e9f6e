package nn

import (
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// Operators of numerics bf16 multiply BF16 and sum in FP32. A value between two of them may be stored as BF16: the pass narrow says so by
// the attribute result_type of the one that makes it.

// resultType is what attribute result_type says, else d.
func resultType(c *op.Call, d tensor.DType) (tensor.DType, error) {
	switch s := c.Attrs.Str("result_type", ""); s {
	case "":
		return d, nil
	case "bf16":
		return tensor.BF16, nil
	case "f32":
		return tensor.F32, nil
	default:
		return d, c.Errorf("result_type %q unknown", s)
	}
}

// narrow reads t as BF16.
func narrow(c *op.Call, t *tensor.Tensor) func() []uint16 {
	if t.DType == tensor.BF16 {
		return func() []uint16 { return tensor.Of[uint16](t) }
	}
	from, buf := newFloats(c, t), op.Make[uint16](c, t.Len())
	return func() []uint16 {
		kernels.ToBF16(buf, from.get())
		return buf
	}
}

// rounding reads t as FP32 that are BF16.
func rounding(c *op.Call, t *tensor.Tensor) func() []float32 {
	from, buf := narrow(c, t), op.Make[float32](c, t.Len())
	return func() []float32 {
		kernels.WidenBF16(buf, from())
		return buf
	}
}

// rounded is a source's elements as BF16.
func rounded(s *source[float32]) *source[uint16] {
	r := through(s, "bf16", half.BF16)
	r.widen = kernels.WidenBF16
	return r
}

// roundedWide is a source's elements, rounded to BF16, as FP32.
func roundedWide(s *source[float32]) *source[float32] {
	return through(s, "bf16wide", func(x float32) float32 { return half.FromBF16(half.BF16(x)) })
}

// through is a source of f of another one's elements.
func through[B operand](s *source[float32], kind string, f func(float32) B) *source[B] {
	var from func(i, o int) float32
	at := func(i, o int) B { return f(from(i, o)) }
	return &source[B]{constant: s.constant, kind: s.kind + "/" + kind, load: func() func(i, o int) B {
		if s.constant != nil {
			g := s.load()
			return func(i, o int) B { return f(g(i, o)) }
		}
		from = s.load()
		return at
	}}
}

// bf16Row is the row for products of m rows of BF16 into out, or, where no kernel multiplies these, into FP32; follow tells whether the rows follow each
// other. It is nil where rows of FP32 are at least as fast, with A and panels of B widened: they give what the reference gives.
func bf16Row(c *op.Call, m int, follow bool, out tensor.DType) *spec.Row {
	if kernels.Here().Select(spec.Gemm, tensor.BF16, tensor.BF16, tensor.F32, out, num.BF16).Needs != 0 {
		return c.Select(spec.Gemm, tensor.BF16, tensor.BF16, tensor.F32, out, num.BF16)
	}
	tiles := kernels.Here().Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.BF16)
	if follow && fewRows(m, tensor.BF16, tensor.BF16, tensor.F32, tensor.F32, tiles) {
		return c.Select(spec.Gemv, tensor.BF16, tensor.BF16, tensor.F32, tensor.F32, num.BF16)
	}
	return nil
}

// prepareBF16Conv prepares y = clamp(conv(x, w) + b).
func prepareBF16Conv(c *op.Call, v *conv, w *source[float32], after func(y []float32)) (op.Run, error) {
	lo, hi := activation(c)
	chain, err := elem.NewChain(c, v.y.Shape)
	if err != nil {
		return nil, err
	}
	bias := newBias(c, c.Input(2))
	var bs []float32
	out := tensor.F32
	if v.y.DType == tensor.BF16 && after == nil && chain == nil {
		out = tensor.BF16
	}
	deep := v.cg == 1 && v.group > 1
	var row *spec.Row
	switch {
	case !deep:
		row = bf16Row(c, v.m, v.pointwise(), out)
	case kernels.Here().Select(spec.DepthwiseRow, tensor.BF16, tensor.F32, tensor.F32, out, num.BF16).Needs != 0:
		row = c.Select(spec.DepthwiseRow, tensor.BF16, tensor.F32, tensor.F32, out, c.Num)
	}
	// A chain rounds itself.
	direct := v.y.DType == tensor.BF16 && after == nil && (chain != nil || row != nil && row.Out == tensor.BF16)
	var y *floats
	var ys []float32
	dst := func() []byte { return v.y.Data }
	if !direct {
		y = newFloats(c, v.y)
		dst = func() []byte { return tensor.Bytes(ys) }
	}
	var run func()
	switch {
	case deep && row == nil:
		v.stage = nil
		x := rounding(c, v.x)
		f := newFilters[float32](c, v, c.Select(spec.DepthwiseRow, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num), roundedWide(w), 0)
		f.args.Lo, f.args.Hi = lo, hi
		f.follow(chain, direct)
		run = func() {
			f.setBias(bs)
			f.run(c.Par, x(), dst())
		}
	case deep:
		x := narrow(c, v.x)
		f := newFilters[uint16](c, v, row, roundedWide(w), 0)
		f.args.Lo, f.args.Hi = lo, hi
		f.follow(chain, direct)
		v.stage.set(f, v.og == 1 && f.pack == nil && !f.narrow)
		run = func() {
			f.setBias(bs)
			f.run(c.Par, x(), dst())
		}
	case row != nil:
		x := narrow(c, v.x)
		var xs []uint16
		products := convProducts(c, v, row, rounded(w), func() []uint16 { return xs }, always[uint16](0), nil, floatEpilogue[uint16, uint16](v, chain, &bs, dst, lo, hi))
		run = func() {
			xs = x()
			products()
		}
	default:
		v.stage = nil
		x := rounding(c, v.x)
		var xs []float32
		row := c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
		products := convProducts(c, v, row, rounded(w), func() []float32 { return xs }, always[float32](0), nil, floatEpilogue[float32, uint16](v, chain, &bs, dst, lo, hi))
		run = func() {
			xs = x()
			products()
		}
	}
	return func() error {
		bs = bias.get()
		chain.Bind()
		if direct {
			run()
			return nil
		}
		ys = y.room()
		run()
		if after != nil {
			after(ys)
		}
		y.put()
		return nil
	}, nil
}

// bf16 is floats for numerics bf16.
func (x *matrices) bf16(c *op.Call, w *source[float32], bias *tensor.Tensor, chain *elem.Chain) op.Run {
	a, y := c.In[0], c.Out[0]
	lo, hi := activation(c)
	fb := newBias(c, bias)
	var bs []float32
	out := tensor.F32
	if y.DType == tensor.BF16 && chain == nil {
		out = tensor.BF16
	}
	row := bf16Row(c, x.m, true, out)
	var fy *floats
	var ys []float32
	dst := func() []byte { return y.Data }
	if y.DType != tensor.BF16 || chain == nil && (row == nil || row.Out != tensor.BF16) {
		fy = newFloats(c, y)
		dst = func() []byte { return tensor.Bytes(ys) }
	}
	var run func()
	if row != nil {
		from := narrow(c, a)
		var as []uint16
		products := matProducts(c, x, row, rounded(w), func() []uint16 { return as }, matEpilogue[uint16, uint16](x, y, chain, dst, &bs, lo, hi))
		run = func() {
			as = from()
			products()
		}
	} else {
		from := rounding(c, a)
		var as []float32
		row := c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, c.Num)
		products := matProducts(c, x, row, rounded(w), func() []float32 { return as }, matEpilogue[float32, uint16](x, y, chain, dst, &bs, lo, hi))
		run = func() {
			as = from()
			products()
		}
	}
	return func() error {
		if len(y.Data) == 0 {
			return nil
		}
		bs = fb.get()
		chain.Bind()
		if fy == nil {
			run()
			return nil
		}
		ys = fy.room()
		run()
		fy.put()
		return nil
	}
}
