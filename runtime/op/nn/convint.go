package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// prepareHybridConv quantises the input of each image on the fly, multiplies integers and scales back: TFLite's hybrid
// kernels. The scale is the largest magnitude over 127; with asymmetric_quantize_inputs it spans the range in 255 steps.
func prepareHybridConv(c *op.Call, v *conv) (op.Run, error) {
	if v.x.DType != tensor.F32 || v.y.DType != tensor.F32 || !v.w.HasData() || !v.w.Quant.PerTensor() && v.w.Quant.Axis != 0 {
		return nil, c.Errorf("dynamic quantisation needs f32 input and output and constant weights per tensor or output channel")
	}
	lo, hi := activation(c)
	q := newDynamic(v.batch, v.inPos*v.channels, c.Attrs.Bool("asymmetric_quantize_inputs", false))
	bias := newFloats(c.Input(2))
	var bs, ys []float32
	sw := v.w.Quant.Scale
	tile := func(g int) tileFuncs {
		return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			for i := range rowCount {
				sx := q.scale[(r0+i)/v.pos]
				for j := range cols {
					o := g*v.og + j0 + j
					f := float32(sums[i*stride+j]) * float32(sx*sw[min(o, len(sw)-1)])
					if len(bs) > 0 {
						f = float32(f) + bs[o]
					}
					ys[(r0+i)*v.outC+o] = clamp(f, lo, hi)
				}
			}
		}}
	}
	if wideSums(tensor.I8, v.w.DType, v.taps()*v.cg) {
		return nil, c.Errorf("dynamic quantisation of %d products per sum", v.taps()*v.cg)
	}
	run := v.intSums(c, func(d16 []int16, _ []int32) { q.quantise(d16, tensor.Of[float32](v.x)) },
		func() func(o, i int) int32 { return constInts(v.w) }, true, false, tile)
	return func() error {
		bs, ys = bias.get(), tensor.Of[float32](v.y)
		run()
		return nil
	}, nil
}

// dynamic quantises rows of floats on the fly.
type dynamic struct {
	rows, size int
	asymmetric bool
	scale      []float32
}

func newDynamic(rows, size int, asymmetric bool) *dynamic {
	return &dynamic{rows, size, asymmetric, make([]float32, rows)}
}

// quantise fills dst with each row's integers, less the zero point, and notes the row's scale.
func (d *dynamic) quantise(dst []int16, x []float32) {
	for r := range d.rows {
		row, out := x[r*d.size:(r+1)*d.size], dst[r*d.size:(r+1)*d.size]
		lo, hi := float32(0), float32(0)
		for _, v := range row {
			lo, hi = min(lo, v), max(hi, v)
		}
		var zero, most, least float64
		var scale float32
		if d.asymmetric {
			scale = (hi - lo) / 255
			if scale > 0 {
				zero = math.RoundToEven(-128 - float64(lo)/float64(scale))
				zero = min(max(zero, -128), 127)
			}
			least, most = -128-zero, 127-zero
		} else {
			scale = max(-lo, hi) / 127
			least, most = -127, 127
		}
		d.scale[r] = scale
		if !(scale > 0) || math.IsInf(float64(scale), 0) {
			d.scale[r] = 0
			clear(out)
			continue
		}
		inv := 1 / scale
		for i, v := range row {
			q := math.Round(float64(v * inv)) // half away from zero, as TFLite
			out[i] = int16(min(max(q, least), most))
		}
	}
}

func inferConvInteger(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := wantBytes(c, 0, 1); err != nil {
		return err
	}
	return inferConvAs(c, 0, 1, -1, tensor.I32)
}

func wantBytes(c *op.Call, inputs ...int) error {
	for _, i := range inputs {
		if err := c.Want(i, tensor.I8, tensor.U8); err != nil {
			return err
		}
	}
	return nil
}

// zeroAt reads a zero point, per tensor or per channel, at run time; 0 where it is absent.
func zeroAt(t *tensor.Tensor) func(o int) int32 {
	if t == nil {
		return func(int) int32 { return 0 }
	}
	return func(o int) int32 {
		i := min(o, t.Len()-1)
		switch t.DType {
		case tensor.I8:
			return int32(int8(t.Data[i]))
		case tensor.U8:
			return int32(t.Data[i])
		case tensor.I16:
			return int32(tensor.Of[int16](t)[i])
		case tensor.U16:
			return int32(tensor.Of[uint16](t)[i])
		case tensor.I32:
			return tensor.Of[int32](t)[i]
		}
		return packed(t, i)
	}
}

// runtimeInts reads weights less their zero points at run time.
func runtimeInts(w *tensor.Tensor, zero func(o int) int32) func() func(o, i int) int32 {
	v := make([]int32, w.Len())
	return func() func(o, i int) int32 {
		widenInts(v, w)
		return func(o, i int) int32 { return v[i] - zero(o) }
	}
}

func prepareConvInteger(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	zx := zeroAt(c.Input(2))
	zw := zeroAt(c.Input(3))
	tile := func(g int) tileFuncs {
		return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			y := tensor.Of[int32](v.y)
			for i := range rowCount {
				copy(y[(r0+i)*v.outC+g*v.og+j0:], sums[i*stride:i*stride+cols])
			}
		}}
	}
	run := v.intSums(c, intFill(v.x, func() int32 { return zx(0) }), runtimeInts(v.w, zw), false, false, tile)
	return func() error { run(); return nil }, nil
}

func inferQLinearConv(c *op.Call) error {
	if err := c.Need(8); err != nil {
		return err
	}
	if err := wantBytes(c, 0, 3, 7); err != nil {
		return err
	}
	return inferConvAs(c, 0, 3, 8, c.In[7].DType)
}

// scaleAt reads a scale, per tensor or per channel, at run time.
func scaleAt(t *tensor.Tensor) func(o int) float32 {
	return func(o int) float32 {
		i := min(o, t.Len()-1)
		switch t.DType {
		case tensor.F16:
			return half.FromF16(tensor.Of[uint16](t)[i])
		case tensor.BF16:
			return half.FromBF16(tensor.Of[uint16](t)[i])
		}
		return tensor.Of[float32](t)[i]
	}
}

func prepareQLinearConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 3)
	if err != nil {
		return nil, err
	}
	sx, sw, sy := scaleAt(c.In[1]), scaleAt(c.In[4]), scaleAt(c.In[6])
	zx, zw, zy := zeroAt(c.In[2]), zeroAt(c.In[5]), zeroAt(c.In[7])
	b := c.Input(8)
	lo, hi := v.y.DType.IntRange()
	tile := func(g int) tileFuncs {
		return tileFuncs{e32: func(sums []int32, stride, r0, rowCount, j0, cols int) {
			r := requant{scale: make([]float32, 0, 1), zero: zy(0), lo: int32(lo), hi: int32(hi)}
			for j := range cols {
				o := g*v.og + j0 + j
				r.scale = append(r.scale[:0], float32(float64(sx(0))*float64(sw(o))/float64(sy(0))))
				for i := range rowCount {
					acc := int64(sums[i*stride+j])
					if b != nil {
						acc += int64(tensor.Of[int32](b)[o])
					}
					storeInt(v.y, (r0+i)*v.outC+o, r.of(acc, 0))
				}
			}
		}}
	}
	run := v.intSums(c, intFill(v.x, func() int32 { return zx(0) }), runtimeInts(v.w, zw), false, false, tile)
	return func() error { run(); return nil }, nil
}

// prepareFusedConv is Conv with a residual input Z and an activation by name (com.microsoft.FusedConv).
func prepareFusedConv(c *op.Call) (op.Run, error) {
	v, err := newConv(c, 0, 1)
	if err != nil {
		return nil, err
	}
	act, err := namedActivation(c)
	if err != nil {
		return nil, err
	}
	z := c.Input(3)
	return prepareFloatConv(c, v, func(y []float32) {
		if z != nil {
			for i, r := range tensor.Of[float32](z) {
				y[i] += r
			}
		}
		for i, x := range y {
			y[i] = act(x)
		}
	})
}

// namedActivation reads the attributes activation and activation_params of com.microsoft operators.
func namedActivation(c *op.Call) (func(float32) float32, error) {
	p := c.Attrs.Floats("activation_params")
	at := func(i int, def float32) float32 {
		if i < len(p) {
			return p[i]
		}
		return def
	}
	switch name := c.Attrs.Str("activation", ""); name {
	case "":
		return func(x float32) float32 { return x }, nil
	case "Relu":
		return func(x float32) float32 { return max(x, 0) }, nil
	case "LeakyRelu":
		a := at(0, c.Attrs.Float("activation_alpha", .01))
		return func(x float32) float32 {
			if x < 0 {
				return a * x
			}
			return x
		}, nil
	case "Clip":
		lo, hi := at(0, float32(math.Inf(-1))), at(1, float32(math.Inf(1)))
		return func(x float32) float32 { return clamp(x, lo, hi) }, nil
	case "Sigmoid":
		return func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }, nil
	case "Tanh":
		return func(x float32) float32 { return float32(math.Tanh(float64(x))) }, nil
	case "HardSigmoid":
		a, b := at(0, .2), at(1, .5)
		return func(x float32) float32 { return clamp(float32(a*x)+b, 0, 1) }, nil
	default:
		return nil, c.Errorf("activation %q unsupported", name)
	}
}
