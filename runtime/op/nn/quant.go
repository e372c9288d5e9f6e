package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var quantOps = map[string]op.Op{
	"Quantize":              {Infer: inferQuantize, Prepare: prepareQuantize, Traits: op.QuantKernel},
	"Dequantize":            {Infer: inferDequantize, Prepare: prepareDequantize, Traits: op.QuantKernel},
	"QuantizeLinear":        {Infer: inferQuantizeLinear, Prepare: prepareQuantizeLinear},
	"DequantizeLinear":      {Infer: inferDequantizeLinear, Prepare: prepareDequantizeLinear, Traits: op.PlainIntegers},
	"DynamicQuantizeLinear": {Infer: inferDynamicQuantizeLinear, Prepare: prepareDynamicQuantizeLinear},
}

func inferQuantize(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	y := c.Output(0)
	if y == nil || y.Quant == nil {
		return c.Errorf("the output has no quantisation")
	}
	c.Set(0, y.DType, c.In[0].Shape)
	return nil
}

// channelOf returns the function from flat index to channel along an axis.
func channelOf(shape tensor.Shape, q *tensor.QParams) func(i int) int {
	n := len(q.Scale)
	if n == 1 {
		return func(int) int { return 0 }
	}
	inner := tensor.Shape(shape[q.Axis+1:]).Len()
	return func(i int) int { return i / inner % n }
}

// prepareQuantize rounds reals, or quantised values with other parameters, to the output's.
func prepareQuantize(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if !narrowInt(y.DType) {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	q := y.Quant
	if err := fitQuant(c, y.Shape, q); err != nil {
		return nil, err
	}
	if x.Quant != nil {
		return prepareRequantize(c)
	}
	if err := c.Want(0, anyFloat...); err != nil {
		return nil, err
	}
	f := newFloats(c, x)
	var in []float32
	round := rounder(c, y)
	body := func(from, to int) { round(in, from, to, q.Scale[0], q.ZeroAt(0)) }
	if !q.PerTensor() {
		ch := channelOf(y.Shape, q)
		lo, hi := y.DType.IntRange()
		body = func(from, to int) {
			for i := from; i < to; i++ {
				k := ch(i)
				storeInt(y, i, nearest(float64(in[i]/q.Scale[k]), q.ZeroAt(k), lo, hi))
			}
		}
	}
	return func() error {
		in = f.get()
		forElements(c, y, body)
		return nil
	}, nil
}

// prepareRequantize goes from one set of parameters to another.
func prepareRequantize(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if !narrowInt(x.DType) {
		return nil, c.Errorf("input of type %v", x.DType)
	}
	if err := fitQuant(c, x.Shape, x.Quant); err != nil {
		return nil, err
	}
	read := intReader(x)
	lo, hi := y.DType.IntRange()
	one := func(v int32, from, to int) int32 {
		m := float32(float64(x.Quant.Scale[from]) / float64(y.Quant.Scale[to]))
		return nearest(float64(float32(v-x.Quant.ZeroAt(from))*m), y.Quant.ZeroAt(to), lo, hi)
	}
	xc, yc := channelOf(x.Shape, x.Quant), channelOf(y.Shape, y.Quant)
	body := func(from, to int) {
		for i := from; i < to; i++ {
			storeInt(y, i, one(read(i), xc(i), yc(i)))
		}
	}
	if x.Quant.PerTensor() && y.Quant.PerTensor() && x.DType.Bits() == 8 && x.DType == y.DType && y.Quant.ZeroAt(0) == byteValue(y.DType, int(uint8(y.Quant.ZeroAt(0)))) {
		// A sum with nothing.
		row := c.Select(spec.QuantAdd, x.DType, x.DType, tensor.F32, y.DType, c.Num)
		args := quantArgs(y.DType, y.Quant.ZeroAt(0))
		args.OneB, args.ZeroA, args.ScaleA = 1, x.Quant.ZeroAt(0), float32(float64(x.Quant.Scale[0])/float64(y.Quant.Scale[0]))
		nothing := []byte{0}
		body = func(from, to int) { kernels.Quant(row, &args, y.Data[from:to], x.Data[from:to], nothing) }
	} else if x.Quant.PerTensor() && y.Quant.PerTensor() && x.DType.Bits() == 8 && y.DType.Bits() == 8 {
		var table [256]byte
		for i := range table {
			table[i] = byte(one(byteValue(x.DType, i), 0, 0))
		}
		body = func(from, to int) {
			for i, v := range x.Data[from:to] {
				y.Data[from+i] = table[v]
			}
		}
	}
	return func() error {
		forElements(c, y, body)
		return nil
	}, nil
}

// fitQuant fails unless the parameters fit the shape.
func fitQuant(c *op.Call, shape tensor.Shape, q *tensor.QParams) error {
	if n := len(q.Scale); n != 1 && (q.Axis < 0 || q.Axis >= len(shape) || n != shape[q.Axis]) {
		return c.Errorf("%d scales along axis %d of %v", n, q.Axis, shape)
	}
	return nil
}

// forElements runs body over the elements of y. Shares of packed types begin at a byte.
func forElements(c *op.Call, y *tensor.Tensor, body func(from, to int)) {
	if y.DType.Bits() < 8 {
		if n := y.Len(); n > 0 {
			body(0, n)
		}
		return
	}
	c.Par.For(y.Len(), 1<<14, body)
}

// nearest is the integer nearest to f, half to even, plus zero, within the bounds; lo for NaN.
func nearest(f float64, zero int32, lo, hi int64) int32 {
	v := math.RoundToEven(f) + float64(zero)
	if !(v > float64(lo)) {
		return int32(lo)
	}
	return int32(int64(min(v, float64(hi))))
}

// byteValue is what a stored byte stands for in an 8-bit integer type.
func byteValue(d tensor.DType, i int) int32 {
	if d == tensor.I8 {
		return int32(int8(i))
	}
	return int32(uint8(i))
}

// quantArgs are the parameters of a kernel that rounds to a type.
func quantArgs(d tensor.DType, zero int32) spec.QuantArgs {
	lo, hi := d.IntRange()
	return spec.QuantArgs{OutZero: zero, QLo: int32(lo), QHi: int32(hi)}
}

// rounder returns the function that writes nearest(in/scale) + zero, saturated, to elements from to to-1 of y.
func rounder(c *op.Call, y *tensor.Tensor) func(in []float32, from, to int, scale float32, zero int32) {
	lo, hi := y.DType.IntRange()
	slow := func(in []float32, from, to int, scale float32, zero int32) {
		for i := from; i < to; i++ {
			storeInt(y, i, nearest(float64(in[i]/scale), zero, lo, hi))
		}
	}
	if bits := y.DType.Bits(); bits < 8 || bits > 16 {
		return slow
	}
	row, size := c.Select(spec.Quantize, tensor.F32, tensor.F32, tensor.F32, y.DType, c.Num), y.DType.Bits()/8
	return func(in []float32, from, to int, scale float32, zero int32) {
		if int64(zero) < lo || int64(zero) > hi {
			slow(in, from, to, scale, zero)
			return
		}
		args := quantArgs(y.DType, zero)
		args.ScaleA = scale
		kernels.Quant(row, &args, y.Data[from*size:to*size], tensor.Bytes(in[from:to]), nil)
	}
}

func inferDequantize(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if c.In[0].Quant == nil {
		return c.Errorf("the input has no quantisation")
	}
	c.Set(0, tensor.F32, c.In[0].Shape)
	return nil
}

func prepareDequantize(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if !narrowInt(x.DType) && x.DType != tensor.I64 {
		return nil, c.Errorf("input of type %v", x.DType)
	}
	if y.DType != tensor.F32 || y.Quant != nil {
		return nil, c.Errorf("output %v, want f32", y)
	}
	q := x.Quant
	if err := fitQuant(c, x.Shape, q); err != nil {
		return nil, err
	}
	var body func(from, to int)
	if x.DType == tensor.I64 { // biases beside 16-bit activations
		ch := channelOf(x.Shape, q)
		body = func(from, to int) {
			in, out := tensor.Of[int64](x), tensor.Of[float32](y)
			for i := from; i < to; i++ {
				k := ch(i)
				out[i] = float32(in[i]-int64(q.ZeroAt(k))) * q.Scale[k]
			}
		}
	} else if q.PerTensor() && x.DType.Bits() == 8 {
		widen := widener(c, x, y)
		body = func(from, to int) { widen(from, to, q.Scale[0], q.ZeroAt(0)) }
	} else {
		read, ch := intReader(x), channelOf(x.Shape, q)
		body = func(from, to int) {
			out := tensor.Of[float32](y)
			for i := from; i < to; i++ {
				k := ch(i)
				out[i] = float32(read(i)-q.ZeroAt(k)) * q.Scale[k]
			}
		}
	}
	return func() error {
		forElements(c, y, body)
		return nil
	}, nil
}

// widener returns the function that writes (x - zero) * scale to elements from to to-1 of y; x has 8 bits per element.
func widener(c *op.Call, x, y *tensor.Tensor) func(from, to int, scale float32, zero int32) {
	row := c.Select(spec.Dequantize, x.DType, tensor.F32, tensor.F32, tensor.F32, c.Num)
	return func(from, to int, scale float32, zero int32) {
		args := spec.QuantArgs{ZeroA: zero, ScaleA: scale}
		kernels.Quant(row, &args, y.Data[4*from:4*to], x.Data[from:to], nil)
	}
}

// blockOf returns the function from flat index to the index of the scale: per tensor, per axis or blocked.
func blockOf(c *op.Call, x, scale tensor.Shape) (func(i int) int, error) {
	if scale.Len() == 1 && len(scale) <= 1 {
		return func(int) int { return 0 }, nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 1), len(x))
	if err != nil {
		return nil, err
	}
	inner := tensor.Shape(x[axis+1:]).Len()
	if len(scale) == 1 {
		n := scale[0]
		if n != x[axis] {
			return nil, c.Errorf("%d scales for extent %d", n, x[axis])
		}
		return func(i int) int { return i / inner % n }, nil
	}
	block := c.Attrs.Int("block_size", 0)
	if block <= 0 && len(scale) == len(x) && scale[axis] > 0 {
		block = (x[axis] + scale[axis] - 1) / scale[axis]
	}
	if len(scale) != len(x) || block <= 0 || scale[axis] != (x[axis]+block-1)/block {
		return nil, c.Errorf("scales %v do not fit input %v in blocks of %d", scale, x, block)
	}
	for i := range x {
		if i != axis && x[i] != scale[i] {
			return nil, c.Errorf("scales %v do not fit input %v", scale, x)
		}
	}
	n := x[axis]
	return func(i int) int {
		o, a, k := i/inner/n, i/inner%n, i%inner
		return (o*scale[axis]+a/block)*inner + k
	}, nil
}

// onnxTypes maps the numbers of ONNX's element types that quantisation can yield.
var onnxTypes = map[int]tensor.DType{1: tensor.F32, 2: tensor.U8, 3: tensor.I8, 4: tensor.U16, 5: tensor.I16, 6: tensor.I32, 10: tensor.F16,
	11: tensor.F64, 16: tensor.BF16, 17: tensor.F8E4M3FN, 18: tensor.F8E4M3FNUZ, 19: tensor.F8E5M2, 20: tensor.F8E5M2FNUZ, 21: tensor.U4,
	22: tensor.I4, 23: tensor.F4E2M1, 24: tensor.F8E8M0, 25: tensor.U2, 26: tensor.I2}

func inferQuantizeLinear(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	d := tensor.U8
	if t := c.Attrs.Int("output_dtype", 0); t != 0 {
		d = onnxTypes[t]
	}
	if z := c.Input(2); z != nil {
		d = z.DType
	}
	if d == tensor.Invalid {
		return c.Errorf("output_dtype %d unsupported", c.Attrs.Int("output_dtype", 0))
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

func prepareQuantizeLinear(c *op.Call) (op.Run, error) {
	x, s, y := c.In[0], c.In[1], c.Out[0]
	if err := c.Want(1, scaleTypes...); err != nil {
		return nil, err
	}
	if z := c.Input(2); z != nil && z.Len() != s.Len() {
		return nil, c.Errorf("%d zero points for %d scales", z.Len(), s.Len())
	}
	precision := s.DType
	if p := c.Attrs.Int("precision", 0); p != 0 {
		precision = onnxTypes[p]
	}
	if x.DType == tensor.F32 && s.DType == tensor.F32 && precision == tensor.F32 && s.Len() == 1 && narrowInt(y.DType) {
		if err := wantZeros(c, c.Input(2)); err != nil {
			return nil, err
		}
		zero := zeroAt(c.Input(2))
		round := rounder(c, y)
		body := func(from, to int) { round(tensor.Of[float32](x), from, to, tensor.Of[float32](s)[0], zero(0)) }
		return func() error {
			forElements(c, y, body)
			return nil
		}, nil
	}
	at, err := blockOf(c, x.Shape, s.Shape)
	if err != nil {
		return nil, err
	}
	scale := scaleAt(s)
	n := x.Len()
	in := op.Make[float64](c, n)
	read, err := numbersOf(c, x, in)
	if err != nil {
		return nil, err
	}
	divide, ok := division(precision)
	if !ok {
		return nil, c.Errorf("precision %v unsupported", precision)
	}
	if narrow := narrowFloat(y.DType, c.Attrs.Bool("saturate", true)); narrow != nil {
		return func() error {
			read()
			for i, v := range in {
				narrow(y, i, float32(divide(v, float64(scale(at(i))))))
			}
			return nil
		}, nil
	}
	if !narrowInt(y.DType) {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	if err := wantZeros(c, c.Input(2)); err != nil {
		return nil, err
	}
	zero := zeroAt(c.Input(2))
	lo, hi := y.DType.IntRange()
	return func() error {
		read()
		for i, v := range in {
			k := at(i)
			q := math.RoundToEven(divide(v, float64(scale(k)))) + float64(zero(k))
			if !(q > float64(lo)) {
				q = float64(lo)
			}
			storeInt(y, i, int32(int64(min(q, float64(hi)))))
		}
		return nil
	}, nil
}

// division is that of a float type: operands and quotient are rounded to it.
func division(d tensor.DType) (f func(a, b float64) float64, ok bool) {
	switch d {
	case tensor.F64:
		return func(a, b float64) float64 { return a / b }, true
	case tensor.F32, tensor.I32, tensor.F8E8M0: // scales of the latter two are used as f32
		return func(a, b float64) float64 { return float64(float32(a) / float32(b)) }, true
	case tensor.F16:
		round := func(f float64) float32 { return half.FromF16(half.F16(float32(f))) }
		return func(a, b float64) float64 { return float64(round(float64(round(a) / round(b)))) }, true
	case tensor.BF16:
		round := func(f float64) float32 { return half.FromBF16(half.BF16(float32(f))) }
		return func(a, b float64) float64 { return float64(round(float64(round(a) / round(b)))) }, true
	}
	return nil, false
}

// numbersOf returns the function that reads x as float64.
func numbersOf(c *op.Call, x *tensor.Tensor, dst []float64) (func(), error) {
	switch x.DType {
	case tensor.F32, tensor.F16, tensor.BF16:
		f := newFloats(c, x)
		return func() {
			for i, v := range f.get() {
				dst[i] = float64(v)
			}
		}, nil
	case tensor.F64:
		return func() { copy(dst, tensor.Of[float64](x)) }, nil
	case tensor.I32, tensor.I16, tensor.U16, tensor.I8, tensor.U8, tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		ints := op.Make[int32](c, x.Len())
		return func() {
			widenInts(ints, x)
			for i, v := range ints {
				dst[i] = float64(v)
			}
		}, nil
	}
	if f := widenFloat(x.DType); f != nil {
		return func() {
			for i := range dst {
				dst[i] = float64(f(x, i))
			}
		}, nil
	}
	return nil, c.Errorf("input of type %v", x.DType)
}

func inferDequantizeLinear(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	d := c.In[1].DType
	if t := c.Attrs.Int("output_dtype", 0); t != 0 {
		d = onnxTypes[t]
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

func prepareDequantizeLinear(c *op.Call) (op.Run, error) {
	x, s, y := c.In[0], c.In[1], c.Out[0]
	if err := c.Want(1, scaleTypes...); err != nil {
		return nil, err
	}
	if z := c.Input(2); z != nil && z.Len() != s.Len() {
		return nil, c.Errorf("%d zero points for %d scales", z.Len(), s.Len())
	}
	if x.DType.IsInt() && x.DType.Bits() == 8 && s.DType == tensor.F32 && s.Len() == 1 && y.DType == tensor.F32 {
		if err := wantZeros(c, c.Input(2)); err != nil {
			return nil, err
		}
		zero := zeroAt(c.Input(2))
		widen := widener(c, x, y)
		body := func(from, to int) { widen(from, to, tensor.Of[float32](s)[0], zero(0)) }
		return func() error {
			forElements(c, y, body)
			return nil
		}, nil
	}
	at, err := blockOf(c, x.Shape, s.Shape)
	if err != nil {
		return nil, err
	}
	scale := scaleAt(s)
	in := op.Make[float64](c, x.Len())
	read, err := numbersOf(c, x, in)
	if err != nil {
		return nil, err
	}
	zero := func(int) float64 { return 0 }
	if z := c.Input(2); z != nil && z.DType.IsInt() {
		if err := wantZeros(c, z); err != nil {
			return nil, err
		}
		f := zeroAt(z)
		zero = func(k int) float64 { return float64(f(k)) }
	}
	out := newFloats(c, y)
	return func() error {
		read()
		v := out.room()
		for i := range v {
			k := at(i)
			v[i] = float32(in[i]-zero(k)) * scale(k)
		}
		out.put()
		return nil
	}, nil
}

func inferDynamicQuantizeLinear(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	c.Set(0, tensor.U8, c.In[0].Shape)
	c.Set(1, tensor.F32, tensor.Shape{})
	c.Set(2, tensor.U8, tensor.Shape{})
	return nil
}

func prepareDynamicQuantizeLinear(c *op.Call) (op.Run, error) {
	if err := c.Want(0, tensor.F32); err != nil {
		return nil, err
	}
	extent := newRange(c, c.In[0].Len())
	var scale float32
	var zero int32
	var round func(from, to int)
	if y := c.Output(0); y != nil {
		f := rounder(c, y)
		round = func(from, to int) { f(tensor.Of[float32](c.In[0]), from, to, scale, zero) }
	}
	return func() error {
		lo, hi := extent(tensor.Of[float32](c.In[0]))
		scale, zero = (hi-lo)/255, 0
		if scale > 0 {
			zero = nearest(float64(-lo/scale), 0, 0, 255)
		} else {
			scale = 1
		}
		if round != nil {
			forElements(c, c.Out[0], round)
		}
		if s := c.Output(1); s != nil {
			tensor.Of[float32](s)[0] = scale
		}
		if z := c.Output(2); z != nil {
			z.Data[0] = uint8(zero)
		}
		return nil
	}, nil
}
