package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/ref"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var poolOps = map[string]op.Op{
	"MaxPool":           {Infer: inferPool, Prepare: anyLayout(prepareMaxPool, 0), Pitched: maxPoolRows, Traits: op.QuantMoves},
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
	kernel := c.Attrs.Ints("kernel_shape")
	for _, k := range kernel {
		if k < 1 {
			return nil, c.Errorf("kernel_shape %v", kernel)
		}
	}
	return readWindow(c, x, kernel, c.Attrs.Bool("ceil_mode", false))
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
		setIndices(c, nil)
		return nil
	}
	w, err := poolWindow(c)
	if err != nil {
		return err
	}
	s := shapeOf(w.batch, w.channels, w.outSpatial(), w.nhwc)
	c.Set(0, d, s)
	setIndices(c, s)
	return nil
}

func setIndices(c *op.Call, s tensor.Shape) {
	if c.Op == "MaxPool" {
		c.Set(1, tensor.I64, s)
	}
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

// shareCount is the number of shares that poolLoop makes.
func shareCount(c *op.Call, w *window) int {
	return max(1, min(4*c.Par.Threads(), w.batch*w.positions()))
}

// poolLoop calls each for every output position with the input positions under its window, -1 in the padding. Calls with one share
// never run at once.
func poolLoop(c *op.Call, w *window, each func(share, image, position int, offs []int32)) op.Run {
	m := w.batch * w.positions()
	shares := shareCount(c, w)
	offs := make([][]int32, shares)
	for i := range offs {
		offs[i] = make([]int32, w.taps())
	}
	pos := w.positions()
	body := func(from, to int) {
		for l := from; l < to; l++ {
			for p := l * m / shares; p < (l+1)*m/shares; p++ {
				w.offsets(p%pos, offs[l])
				each(l, p/pos, p%pos, offs[l])
			}
		}
	}
	return func() error {
		c.Par.For(shares, 1, body)
		return nil
	}
}

// maxPoolRows lets rows lie apart where a kernel reads and writes them.
func maxPoolRows(c *op.Call, i int) bool {
	w, err := poolWindow(c)
	if err != nil || !w.nhwc || w.whole() || i > 0 || c.Output(1) != nil {
		return false
	}
	d := c.In[0].DType
	return d == tensor.F32 || d == tensor.I8 || d == tensor.U8
}

func prepareMaxPool(c *op.Call) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	x := c.In[0]
	y := c.Scratch(0, x.DType, shapeOf(w.batch, w.channels, w.outSpatial(), true))
	lo, hi := activation(c)
	bounded := !math.IsInf(float64(lo), -1) || !math.IsInf(float64(hi), 1)
	if x.Quant != nil && !x.Quant.PerTensor() {
		return nil, c.Errorf("quantised pooling needs parameters per tensor")
	}
	if y.DType != x.DType {
		return nil, c.Errorf("input of type %v and output of type %v", x.DType, y.DType)
	}
	if x.DType.IsInt() && bounded {
		if y.Quant == nil {
			return nil, c.Errorf("act_min and act_max on integers of type %v", x.DType)
		}
		r := newRequant(c, y.Quant, nil, y.Quant, y.DType)
		lo, hi = float32(r.lo), float32(r.hi)
	}
	if c.Output(1) == nil {
		switch x.DType {
		case tensor.F32:
			return largestFloats(c, w, lo, hi), nil
		case tensor.I8:
			return largestBytes[int8](c, w, bounded, lo, hi), nil
		case tensor.U8:
			return largestBytes[uint8](c, w, bounded, lo, hi), nil
		}
	}
	switch x.DType {
	case tensor.F32:
		return boundedPool(maxPool[float32](c, w, x, y), y, bounded, lo, hi), nil
	case tensor.F64:
		return boundedPool(maxPool[float64](c, w, x, y), y, bounded, float64(lo), float64(hi)), nil
	case tensor.I8: // with indices
		return boundedPool(maxPool[int8](c, w, x, y), y, bounded, int8(lo), int8(hi)), nil
	case tensor.U8:
		return boundedPool(maxPool[uint8](c, w, x, y), y, bounded, uint8(lo), uint8(hi)), nil
	case tensor.I16:
		return boundedPool(maxPool[int16](c, w, x, y), y, bounded, int16(lo), int16(hi)), nil
	case tensor.U16:
		return boundedPool(maxPool[uint16](c, w, x, y), y, bounded, uint16(lo), uint16(hi)), nil
	case tensor.F16, tensor.BF16:
		fx, fy := newFloats(c, x), newFloats(c, y)
		a := &tensor.Tensor{DType: tensor.F32, Shape: x.Shape, Data: tensor.Bytes(fx.buf)}
		b := &tensor.Tensor{DType: tensor.F32, Shape: y.Shape, Data: tensor.Bytes(fy.buf)}
		run := boundedPool(maxPool[float32](c, w, a, b), b, bounded, lo, hi)
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

// boundedPool applies the fused activation.
func boundedPool[T float32 | float64 | int8 | uint8 | int16 | uint16](run op.Run, y *tensor.Tensor, bounded bool, lo, hi T) op.Run {
	if !bounded {
		return run
	}
	return func() error {
		if err := run(); err != nil {
			return err
		}
		v := tensor.Of[T](y)
		for i, x := range v {
			if x < lo {
				v[i] = lo
			} else if x > hi {
				v[i] = hi
			}
		}
		return nil
	}
}

func maxPool[T float32 | float64 | int8 | uint8 | int16 | uint16](c *op.Call, w *window, x, y *tensor.Tensor) op.Run {
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	index := c.Output(1)
	columnMajor := c.Attrs.Int("storage_order", 0) == 1
	return poolLoop(c, w, func(_, image, p int, offs []int32) {
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
		for i, top := range out {
			at[i] = -1 // of a window that lies in the padding alone
			for _, o := range offs {
				if o < 0 {
					continue
				}
				if v := in[(image*inPos+int(o))*ch+i]; v == top || v != v && top != top {
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

func lowest[T float32 | float64 | int8 | uint8 | int16 | uint16]() T {
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

// divisors returns the number of positions that an average divides by, as a function of the output position.
func divisors(c *op.Call, w *window, global bool) func(p int) int {
	lo, hi := [3]int{}, w.in
	if c.Attrs.Bool("count_include_pad", false) && !global {
		for d := range 3 {
			lo[d], hi[d] = -w.begin[d], w.in[d]+w.end[d]
		}
	}
	return func(p int) int {
		at := [3]int{p / (w.out[2] * w.out[1]), p / w.out[2] % w.out[1], p % w.out[2]}
		n := 1
		for d := range 3 {
			// The positions from + i*dilation, 0 <= i < kernel, that lie in [lo, hi).
			from := at[d]*w.stride[d] - w.begin[d]
			n *= min(w.kernel[d], below(hi[d]-from, w.dilation[d])) - min(w.kernel[d], below(lo[d]-from, w.dilation[d]))
		}
		return n
	}
}

// below is the number of multiples of step from 0 on that are less than x.
func below(x, step int) int {
	if x <= 0 {
		return 0
	}
	return (x-1)/step + 1
}

func prepareGlobalAverage(c *op.Call) (op.Run, error) { return prepareAverage(c, true) }

func prepareAveragePool(c *op.Call) (op.Run, error) { return prepareAverage(c, false) }

// prepareAverage sums the positions of a window in 16 lanes (position mod 16, counted over the window), then pairwise, and divides
// by their number.
func prepareAverage(c *op.Call, global bool) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	x, y := c.In[0], c.Out[0]
	div := divisors(c, w, global)
	switch {
	case x.Quant != nil && y.Quant != nil:
		return quantAverage(c, w, div)
	case x.Quant != nil || y.Quant != nil:
		return nil, c.Errorf("input %v and output %v: not both are quantised", x, y)
	case x.DType == tensor.F64:
		run := average(c, w, div, func() ([]float64, []float64) { return tensor.Of[float64](x), tensor.Of[float64](y) })
		return func() error {
			err := run()
			bound64(c, y)
			return err
		}, nil
	}
	if err := c.Want(0, anyFloat...); err != nil {
		return nil, err
	}
	fx, fy := newFloats(c, x), newFloats(c, y)
	lo, hi := activation(c)
	if w.whole() {
		sums, by := wholePool(c, w, false), float32(div(0))
		return func() error {
			out := fy.room()
			sums.Run(c.Par, out, fx.get())
			for i, v := range out {
				out[i] = v / by
			}
			clampAll(out, lo, hi)
			fy.put()
			return nil
		}, nil
	}
	f := newPooler[float32](c, w, spec.MeanPool, spec.PoolArgs{Lo: lo, Hi: hi}, 0, div)
	return func() error {
		f.run(c.Par, fy.room(), fx.get())
		fy.put()
		return nil
	}, nil
}

// largestFloats is MaxPool through kernels.
func largestFloats(c *op.Call, w *window, lo, hi float32) op.Run {
	x, y := c.In[0], c.Scratch(0, tensor.F32, shapeOf(w.batch, w.channels, w.outSpatial(), true))
	if w.whole() {
		f := wholePool(c, w, true)
		return func() error {
			out := tensor.Of[float32](y)
			f.Run(c.Par, out, tensor.Of[float32](x))
			clampAll(out, lo, hi)
			return nil
		}
	}
	f := newPooler(c, w, spec.MaxPool, spec.PoolArgs{Lo: lo, Hi: hi}, clamp(lowest[float32](), lo, hi), nil)
	return func() error {
		f.run(c.Par, tensor.Of[float32](y), tensor.Of[float32](x))
		return nil
	}
}

// largestBytes is the same on integers.
func largestBytes[T int8 | uint8](c *op.Call, w *window, bounded bool, lo, hi float32) op.Run {
	x, y := c.In[0], c.Scratch(0, c.In[0].DType, shapeOf(w.batch, w.channels, w.outSpatial(), true))
	least, most := y.DType.IntRange()
	args := spec.PoolArgs{QLo: int32(least), QHi: int32(most)}
	if bounded {
		args.QLo, args.QHi = int32(lo), int32(hi)
	}
	f := newPooler(c, w, spec.MaxPool, args, T(args.QLo), nil)
	return func() error {
		f.run(c.Par, tensor.Of[T](y), tensor.Of[T](x))
		return nil
	}
}

// average fills one lane of all channels per position of the window and adds them up.
func average[T float32 | float64](c *op.Call, w *window, div func(p int) int, data func() (in, out []T)) op.Run {
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	used := min(16, w.taps())
	lanes := make([][]T, shareCount(c, w))
	for i := range lanes {
		lanes[i] = op.Make[T](c, used*ch)
	}
	return poolLoop(c, w, func(share, image, p int, offs []int32) {
		in, out := data()
		sums := lanes[share]
		clear(sums)
		for t, o := range offs {
			if o < 0 {
				continue
			}
			lane := sums[(t&15)*ch:][:ch]
			for i, v := range in[(image*inPos+int(o))*ch:][:ch] {
				lane[i] += v
			}
		}
		// A lane that no position falls into is 0 and changes nothing.
		for half := 8; half > 0; half /= 2 {
			for k := half; k < min(used, 2*half); k++ {
				lane := sums[(k-half)*ch:][:ch]
				for i, v := range sums[k*ch:][:ch] {
					lane[i] += v
				}
			}
		}
		n := T(div(p))
		for i, v := range sums[:ch] {
			out[(image*pos+p)*ch+i] = v / n
		}
	})
}

// quantAverage rounds the mean of the reals, from exact sums, to the output.
func quantAverage(c *op.Call, w *window, div func(p int) int) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	if !x.Quant.PerTensor() || !y.Quant.PerTensor() {
		return nil, c.Errorf("quantised pooling needs parameters per tensor")
	}
	if err := wantInts(c, x, y); err != nil {
		return nil, err
	}
	if !narrowInt(y.DType) {
		return nil, c.Errorf("output of type %v", y.DType)
	}
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	zx := int64(x.Quant.ZeroAt(0))
	base := newRequant(c, x.Quant, nil, y.Quant, y.DType)
	ratio := float64(x.Quant.Scale[0]) / float64(y.Quant.Scale[0])
	if x.DType == y.DType && !wideSums(tensor.I8, tensor.I8, w.taps()) {
		switch x.DType {
		case tensor.I8:
			return averageKernel(c, w, div, ratio, int8(zx), &base), nil
		case tensor.U8:
			return averageKernel(c, w, div, ratio, uint8(zx), &base), nil
		}
	}
	ints := op.Make[int32](c, x.Len())
	sums := make([][]int64, shareCount(c, w))
	for i := range sums {
		sums[i] = op.Make[int64](c, ch)
	}
	run := poolLoop(c, w, func(share, image, p int, offs []int32) {
		sum := sums[share]
		clear(sum)
		for _, o := range offs {
			if o < 0 {
				continue
			}
			for i, v := range ints[(image*inPos+int(o))*ch:][:ch] {
				sum[i] += int64(v) - zx
			}
		}
		scale := float32(ratio / float64(max(1, div(p))))
		for i, v := range sum {
			storeInt(y, (image*pos+p)*ch+i, ref.Requantise(v, scale, base.zero, base.lo, base.hi))
		}
	})
	return func() error {
		widenInts(ints, x)
		return run()
	}, nil
}

// prepareLpPool computes the p-norm of a window in float64.
func prepareLpPool(c *op.Call) (op.Run, error) {
	w, err := nhwcPool(c)
	if err != nil {
		return nil, err
	}
	if err := c.Want(0, anyFloat...); err != nil {
		return nil, err
	}
	norm := float64(c.Attrs.Int("p", 2))
	if norm < 1 {
		return nil, c.Errorf("p %g, want at least 1", norm)
	}
	in := op.Make[float64](c, c.In[0].Len())
	read, err := numbersOf(c, c.In[0], in)
	if err != nil {
		return nil, err
	}
	y := c.Out[0]
	fy := newFloats(c, y)
	pos, inPos, ch := w.positions(), w.inPositions(), w.channels
	var out []float32
	run := poolLoop(c, w, func(_, image, p int, offs []int32) {
		for i := range ch {
			sum := 0.0
			for _, o := range offs {
				if o < 0 {
					continue
				}
				v := math.Abs(in[(image*inPos+int(o))*ch+i])
				switch norm {
				case 1:
					sum += v
				case 2:
					sum += float64(v * v)
				default:
					sum += math.Pow(v, norm)
				}
			}
			switch norm {
			case 1:
			case 2:
				sum = math.Sqrt(sum)
			default:
				sum = math.Pow(sum, 1/norm)
			}
			if y.DType == tensor.F64 {
				tensor.Of[float64](y)[(image*pos+p)*ch+i] = sum
			} else {
				out[(image*pos+p)*ch+i] = float32(sum)
			}
		}
	})
	return func() error {
		read()
		if y.DType == tensor.F64 {
			return run()
		}
		out = fy.room()
		if err := run(); err != nil {
			return err
		}
		fy.put()
		return nil
	}, nil
}
