package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var poolOps = map[string]op.Op{
	"MaxPool":           {Infer: inferPool, Prepare: anyLayout(prepareMaxPool, 0), Traits: op.QuantMoves},
	"AveragePool":       {Infer: inferPool, Prepare: anyLayout(prepareAveragePool, 0), Traits: op.QuantKernel},
	"LpPool":            {Infer: inferPool, Prepare: anyLayout(prepareLpPool, 0)},
	"GlobalAveragePool": {Infer: inferPool, Prepare: anyLayout(prepareGlobalAverage, 0), Traits: op.QuantKernel},
	"GlobalMaxPool":     {Infer: inferPool, Prepare: anyLayout(prepareMaxPool, 0), Traits: op.QuantMoves},
	"GlobalLpPool":      {Infer: inferPool, Prepare: anyLayout(prepareLpPool, 0)},
}

func poolWindow(c *op.Call) (*window, error) {
	x := c.In[0].Shape
	if c.Op[:4] == "Glob" {
		if len(x) < 3 || len(x) > 5 {
			return nil, c.Errorf("input of rank %d, want 3 to 5", len(x))
		}
		_, _, sp := spatialOf(x, c.Attrs.Str("layout", "NCHW") == "NHWC")
		for i := range sp {
			if sp[i] < 0 {
				// The extent does not matter: one window spans it.
				sp = append([]int(nil), sp...)
				sp[i] = 1
			}
		}
		y := x.Clone()
		copySpatial(y, sp, c.Attrs.Str("layout", "NCHW") == "NHWC")
		return readWindow(c, y, sp, false)
	}
	return readWindow(c, x, c.Attrs.Ints("kernel_shape"), c.Attrs.Bool("ceil_mode", false))
}

func copySpatial(s tensor.Shape, sp []int, nhwc bool) {
	if nhwc {
		copy(s[1:], sp)
	} else {
		copy(s[2:], sp)
	}
}

func inferPool(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	d := x.DType
	if x.Quant != nil && c.Op != "MaxPool" && c.Op != "GlobalMaxPool" {
		d = tensor.F32
	}
	if x.Shape == nil {
		c.Set(0, d, nil)
		c.Set(1, tensor.I64, nil)
		return nil
	}
	w, err := poolWindow(c)
	if err != nil {
		return err
	}
	s := shapeOf(w.batch, w.channels, w.outSpatial(), w.nhwc)
	c.Set(0, d, s)
	c.Set(1, tensor.I64, s)
	return nil
}

func nhwcPool(c *op.Call) (*window, error) {
	w, err := poolWindow(c)
	if err != nil {
		return nil, err
	}
	if !w.nhwc {
		return nil, c.Errorf("BUG: layout NCHW reached the kernel")
	}
	return w, nil
}

// poolLoop calls each for every output position with the input positions under its window, -1 in the padding.
func poolLoop(c *op.Call, w *window, each func(image, position int, offs []int32)) op.Run {
	table := w.table()
	m := w.batch * w.positions()
	shares := max(1, min(4*c.Par.Threads(), m))
	offs := make([][]int32, shares)
	for i := range offs {
		offs[i] = make([]int32, w.taps())
	}
	pos := w.positions()
	body := func(from, to int) {
		for l := from; l < to; l++ {
			for p := l * m / shares; p < (l+1)*m/shares; p++ {
				w.offsets(&table, p%pos, offs[l])
				each(p/pos, p%pos, offs[l])
			}
		}
	}
	return func() error {
		c.Par.For(shares, 1, body)
		return nil
	}
}

func prepareMaxPool(c *op.Call) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	lo, hi := activation(c)
	switch x.DType {
	case tensor.F32:
		run := maxPool[float32](c, w, x, y)
		if math.IsInf(float64(lo), -1) && math.IsInf(float64(hi), 1) {
			return run, nil
		}
		return func() error {
			if err := run(); err != nil {
				return err
			}
			v := tensor.Of[float32](y)
			for i := range v {
				v[i] = clamp(v[i], lo, hi)
			}
			return nil
		}, nil
	case tensor.F64:
		return maxPool[float64](c, w, x, y), nil
	case tensor.I8:
		run := maxPool[int8](c, w, x, y)
		if y.Quant == nil || math.IsInf(float64(lo), -1) && math.IsInf(float64(hi), 1) {
			return run, nil
		}
		r := newRequant(c, y.Quant, nil, y.Quant, y.DType)
		return func() error {
			if err := run(); err != nil {
				return err
			}
			v := tensor.Of[int8](y)
			for i := range v {
				v[i] = int8(min(max(int32(v[i]), r.lo), r.hi))
			}
			return nil
		}, nil
	case tensor.U8:
		run := maxPool[uint8](c, w, x, y)
		if y.Quant == nil || math.IsInf(float64(lo), -1) && math.IsInf(float64(hi), 1) {
			return run, nil
		}
		r := newRequant(c, y.Quant, nil, y.Quant, y.DType)
		return func() error {
			if err := run(); err != nil {
				return err
			}
			for i, v := range y.Data {
				y.Data[i] = uint8(min(max(int32(v), r.lo), r.hi))
			}
			return nil
		}, nil
	case tensor.I16:
		return maxPool[int16](c, w, x, y), nil
	case tensor.F16, tensor.BF16:
		fx, fy := newFloats(x), newFloats(y)
		a := &tensor.Tensor{DType: tensor.F32, Shape: x.Shape, Data: tensor.Bytes(fx.buf)}
		b := &tensor.Tensor{DType: tensor.F32, Shape: y.Shape, Data: tensor.Bytes(fy.buf)}
		run := maxPool[float32](c, w, a, b)
		return func() error {
			fx.get()
			if err := run(); err != nil {
				return err
			}
			fy.put()
			return nil
		}, nil
	}
	return nil, c.Errorf("input of type %v", x.DType)
}

func maxPool[T float32 | float64 | int8 | uint8 | int16](c *op.Call, w *window, x, y *tensor.Tensor) op.Run {
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	index := c.Output(1)
	columnMajor := c.Attrs.Int("storage_order", 0) == 1
	return poolLoop(c, w, func(image, p int, offs []int32) {
		in, out := tensor.Of[T](x), tensor.Of[T](y)[(image*pos+p)*ch:][:ch]
		first := true
		for _, o := range offs {
			if o < 0 {
				continue
			}
			src := in[(image*inPos+int(o))*ch:][:ch]
			if first {
				copy(out, src)
			} else {
				for i, v := range src {
					if v > out[i] || v != v {
						out[i] = v
					}
				}
			}
			first = false
		}
		if first { // a window that lies in the padding alone
			for i := range out {
				out[i] = lowest[T]()
			}
		}
		if index == nil {
			return
		}
		at := tensor.Of[int64](index)[(image*pos+p)*ch:][:ch]
		for i := range at {
			for _, o := range offs {
				if o >= 0 && in[(image*inPos+int(o))*ch+i] == out[i] {
					flat := int64(o)
					if columnMajor {
						i2 := int(o) % w.in[2]
						i1 := int(o) / w.in[2] % w.in[1]
						i0 := int(o) / (w.in[2] * w.in[1])
						flat = int64((i2*w.in[1]+i1)*w.in[0] + i0)
					}
					at[i] = int64((image*ch+i)*inPos) + flat
					break
				}
			}
		}
	})
}

func lowest[T float32 | float64 | int8 | uint8 | int16]() T {
	var z T
	switch p := any(&z).(type) {
	case *float32:
		*p = float32(math.Inf(-1))
	case *float64:
		*p = math.Inf(-1)
	case *int8:
		*p = math.MinInt8
	case *int16:
		*p = math.MinInt16
	}
	return z
}

// divisors is the number of positions that an average divides by, per output position.
func divisors(c *op.Call, w *window, global bool) []int {
	n := make([]int, w.positions())
	include := c.Attrs.Bool("count_include_pad", false) && !global
	for p := range n {
		at := [3]int{p / (w.out[2] * w.out[1]), p / w.out[2] % w.out[1], p % w.out[2]}
		n[p] = 1
		for d := range 3 {
			k := 0
			for i := range w.kernel[d] {
				pos := at[d]*w.stride[d] - w.begin[d] + i*w.dilation[d]
				if include && pos < w.in[d]+w.end[d] || pos >= 0 && pos < w.in[d] {
					k++
				}
			}
			n[p] *= k
		}
	}
	return n
}

func prepareGlobalAverage(c *op.Call) (op.Run, error) { return prepareAverage(c, true) }

func prepareAveragePool(c *op.Call) (op.Run, error) { return prepareAverage(c, false) }

// prepareAverage sums the positions of a window in 16 lanes (position mod 16, counted over the window), then pairwise.
func prepareAverage(c *op.Call, global bool) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	div := divisors(c, w, global)
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	if x.Quant != nil && y.Quant != nil {
		if !x.Quant.PerTensor() || !y.Quant.PerTensor() {
			return nil, c.Errorf("quantised pooling needs parameters per tensor")
		}
		zx := x.Quant.ZeroAt(0)
		base := newRequant(c, x.Quant, nil, y.Quant, y.DType)
		scales := make([]requant, len(div))
		for i, n := range div {
			r := base
			r.scale = []float32{float32(float64(x.Quant.Scale[0]) / float64(y.Quant.Scale[0]) / float64(max(1, n)))}
			scales[i] = r
		}
		ints := make([]int32, x.Len())
		run := poolLoop(c, w, func(image, p int, offs []int32) {
			for i := range ch {
				sum := int64(0)
				for _, o := range offs {
					if o >= 0 {
						sum += int64(ints[(image*inPos+int(o))*ch+i] - zx)
					}
				}
				storeInt(y, (image*pos+p)*ch+i, scales[p].of(sum, 0))
			}
		})
		return func() error {
			widenInts(ints, x)
			return run()
		}, nil
	}
	fx, fy := newFloats(x), newFloats(y)
	lo, hi := activation(c)
	var in, out []float32
	run := poolLoop(c, w, func(image, p int, offs []int32) {
		dst := out[(image*pos+p)*ch:][:ch]
		n := float32(div[p])
		for i := range dst {
			var lanes [16]float32
			for t, o := range offs {
				if o >= 0 {
					lanes[t&15] += in[(image*inPos+int(o))*ch+i]
				}
			}
			for half := 8; half > 0; half /= 2 {
				for k := range half {
					lanes[k] += lanes[k+half]
				}
			}
			dst[i] = clamp(lanes[0]/n, lo, hi)
		}
	})
	return func() error {
		in, out = fx.get(), fy.room()
		if err := run(); err != nil {
			return err
		}
		fy.put()
		return nil
	}, nil
}

func prepareLpPool(c *op.Call) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	x, y := newFloats(c.In[0]), newFloats(c.Out[0])
	norm := float64(c.Attrs.Int("p", 2))
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	var in, out []float32
	run := poolLoop(c, w, func(image, p int, offs []int32) {
		for i := range ch {
			sum := 0.0
			for _, o := range offs {
				if o >= 0 {
					v := math.Abs(float64(in[(image*inPos+int(o))*ch+i]))
					if norm == 2 {
						sum += float64(v * v)
					} else {
						sum += math.Pow(v, norm)
					}
				}
			}
			if norm == 2 {
				sum = math.Sqrt(sum)
			} else {
				sum = math.Pow(sum, 1/norm)
			}
			out[(image*pos+p)*ch+i] = float32(sum)
		}
	})
	return func() error {
		in, out = x.get(), y.room()
		if err := run(); err != nil {
			return err
		}
		y.put()
		return nil
	}, nil
}
