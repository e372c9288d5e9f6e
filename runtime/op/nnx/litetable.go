package nnx

import (
	"math"
	"math/bits"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Functions of 16-bit values as TFLite computes them: from short tables between whose entries it interpolates, which is
// coarser than rounding the function's value. Quantised inputs and outputs are I16 with zero point 0; on float32 the operators are the
// functions themselves.
var liteTableOps = map[string]op.Op{
	"tflite.Exp":     {Traits: op.QuantKernel, Infer: inferLiteTable, Prepare: prepareLiteTable(fmath.Exp)},
	"tflite.Log":     {Traits: op.QuantKernel, Infer: inferLiteTable, Prepare: prepareLiteTable(logOrLow)},
	"tflite.Rsqrt":   {Traits: op.QuantKernel, Infer: inferLiteTable, Prepare: prepareLiteTable(rsqrtOrHigh)},
	"tflite.Tanh":    {Traits: op.QuantKernel, Infer: inferLiteTable, Prepare: prepareLiteTable(fmath.Tanh)},
	"tflite.Softmax": {Traits: op.QuantKernel, Infer: inferLiteTable, Prepare: prepareLiteSoftmax},
}

// logOrLow and rsqrtOrHigh are infinite where the functions are not defined.
func logOrLow(x float32) float32 {
	if !(x > 0) {
		return float32(math.Inf(-1))
	}
	return fmath.Log(x)
}

func rsqrtOrHigh(x float32) float32 {
	if !(x > 0) {
		return float32(math.Inf(1))
	}
	return float32(1 / math.Sqrt(float64(x)))
}

func inferLiteTable(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if err := c.Want(0, tensor.F32, tensor.I16); err != nil {
		return err
	}
	if x.DType == tensor.I16 && x.Quant == nil {
		return c.Errorf("input of type %v without quantisation parameters", x.DType)
	}
	c.Set(0, x.DType, x.Shape)
	return nil
}

// liteScales are the scales of a 16-bit input and output; quantised is false where both are float32.
func liteScales(c *op.Call) (sx, sy float32, quantised bool, err error) {
	x, y := c.In[0], c.Out[0]
	if x.Quant == nil && y.Quant == nil {
		if x.DType != tensor.F32 || y.DType != tensor.F32 {
			err = c.Errorf("input %v and output %v, want float32", x, y)
		}
		return 0, 0, false, err
	}
	for _, t := range []*tensor.Tensor{x, y} {
		if t.DType != tensor.I16 || t.Quant == nil || !t.Quant.PerTensor() || t.Quant.ZeroAt(0) != 0 {
			return 0, 0, false, c.Errorf("input %v and output %v, want 16 bits with one scale and zero point 0", x, y)
		}
	}
	return x.Quant.Scale[0], y.Quant.Scale[0], true, nil
}

func prepareLiteTable(f func(float32) float32) func(c *op.Call) (op.Run, error) {
	return func(c *op.Call) (op.Run, error) {
		sx, sy, quantised, err := liteScales(c)
		if err != nil {
			return nil, err
		}
		n := c.In[0].Len()
		body := func(lo, hi int) {
			x, y := tensor.Of[float32](c.In[0])[lo:hi], tensor.Of[float32](c.Out[0])[lo:hi]
			for i, v := range x {
				y[i] = f(v)
			}
		}
		if quantised {
			var one func(v int16) int16
			if c.Op == "tflite.Tanh" {
				if sy != 1.0/32768 {
					return nil, c.Errorf("output scale %g, want 2^-15", sy)
				}
				one = newScaledTanh16(sx).at
			} else {
				one = sample16(float64(sx*math.MinInt16), float64(sx*math.MaxInt16), float64(sy)*(65535.0/65536), f).at
			}
			body = func(lo, hi int) {
				x, y := tensor.Of[int16](c.In[0])[lo:hi], tensor.Of[int16](c.Out[0])[lo:hi]
				for i, v := range x {
					y[i] = one(v)
				}
			}
		}
		return func() error {
			c.Par.For(n, 1<<12, body)
			return nil
		}, nil
	}
}

// sampled16 samples a function at 512 equal steps and at the end of its range.
type sampled16 [513]int16

// sample16 samples f from lo to hi in units of scale. Each sample is shifted by half of what a straight line to the next one
// misses the function by in the middle.
func sample16(lo, hi, scale float64, f func(float32) float32) *sampled16 {
	step := (hi - lo) / 512
	value := func(at float64) float64 {
		v := float64(f(float32(at))) / scale
		switch {
		case math.IsInf(v, -1):
			return math.MinInt16
		case math.IsInf(v, 1):
			return math.MaxInt16
		}
		return v
	}
	clamp := func(v float64) int16 { return int16(min(max(v, math.MinInt16), math.MaxInt16)) }
	t := &sampled16{}
	for i := range 512 {
		at := lo + float64(float64(i)*step)
		sample, next := math.Round(value(at)), value(lo+float64(float64(i+1)*step))
		middle := math.Round(value(at + step/2))
		t[i] = clamp(sample - math.Round((math.Round((next+sample)/2)-middle)/2))
	}
	t[512] = clamp(math.Round(value(hi)))
	return t
}

func (t *sampled16) at(v int16) int16 {
	i := 256 + int(v)>>7
	base := int32(t[i])
	return int16(base + ((int32(t[i+1])-base)*int32(v&127)+64)>>7)
}

// scaledTanh16 is 2*sigmoid(2x)-1 from a table of the sigmoid at multiples of 1/24. x in units of 1/(24*256) is v*mul/2^shift.
type scaledTanh16 struct {
	mul, round int64
	shift      uint
	sigmoid    [256]int64 // in units of 2^-16
}

func newScaledTanh16(scale float32) *scaledTanh16 {
	t := &scaledTanh16{}
	m := float64(scale) * 3 * 4096
	for m <= math.MaxInt16/2.0 && t.shift <= 30 {
		m, t.shift = 2*m, t.shift+1
	}
	t.mul = int64(min(m, math.MaxInt16))
	if t.shift > 0 {
		t.round = 1 << (t.shift - 1)
	}
	for i := range t.sigmoid {
		t.sigmoid[i] = min(int64(math.Round(float64(65536*fmath.Sigmoid(float32(i)/24)))), 65535)
	}
	return t
}

func (t *scaledTanh16) at(v int16) int16 {
	x := (int64(v)*t.mul + t.round) >> t.shift
	a := max(x, -x)
	r := int64(0xffff << 8)
	if i := a >> 8; i < 255 {
		r = t.sigmoid[i]<<8 + (a&255)*(t.sigmoid[i+1]-t.sigmoid[i])
	}
	const one, half = 1 << 23, 1 << 7
	if r -= one; x < 0 {
		r = -r - 1
	}
	return int16((r + half) >> 8)
}

// prepareLiteSoftmax is exp(beta*(x-max)) / Σ along the last dimension. On 16 bits exp comes from a table over [-10,0], the
// reciprocal of the sum from one of 1/(1+x) over [0,1], both with 15 fractional bits.
func prepareLiteSoftmax(c *op.Call) (op.Run, error) {
	sx, sy, quantised, err := liteScales(c)
	if err != nil {
		return nil, err
	}
	s := c.In[0].Shape
	if len(s) == 0 {
		return nil, c.Errorf("a scalar has no last dimension")
	}
	n := s[len(s)-1]
	beta := c.Attrs.Float("beta", 1)
	rows := c.In[0].Len() / max(1, n)
	body := func(lo, hi int) {
		x, y := tensor.Of[float32](c.In[0]), tensor.Of[float32](c.Out[0])
		for r := lo; r < hi; r++ {
			softmaxLine(y[r*n:][:n], x[r*n:][:n], beta)
		}
	}
	run := func() error {
		c.Par.For(rows, 1+4096/max(1, n), body)
		return nil
	}
	if !quantised {
		return run, nil
	}
	if sy != 1.0/32768 || n > 1<<15 {
		return nil, c.Errorf("output scale %g and %d elements, want 2^-15 and at most 2^15", sy, n)
	}
	exp := sample16(-10, 0, 1.0/32768, fmath.Exp)
	inverse := sample16(0, 1, 1.0/32768, func(x float32) float32 { return 1 / (1 + x) })
	m := float64(sx) * float64(beta) / (10.0 / 65535)
	body = func(lo, hi int) {
		x, y := tensor.Of[int16](c.In[0]), tensor.Of[int16](c.Out[0])
		for r := lo; r < hi; r++ {
			softmaxLine16(y[r*n:][:n], x[r*n:][:n], m, exp, inverse)
		}
	}
	return run, nil
}

func softmaxLine(y, x []float32, beta float32) {
	most, sum := float32(math.Inf(-1)), float32(0)
	for _, v := range x {
		most = max(most, v)
	}
	for i, v := range x {
		y[i] = fmath.Exp((v - most) * beta)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
}

// softmaxLine16 is softmax with m table steps, 10/65535 each, per step of the input.
func softmaxLine16(y, x []int16, m float64, exp, inverse *sampled16) {
	most, sum := int16(math.MinInt16), int32(0)
	for _, v := range x {
		most = max(most, v)
	}
	for i, v := range x {
		d := math.Round(float64(int32(v)-int32(most))*m) + math.MaxInt16
		y[i] = exp.at(int16(max(d, math.MinInt16)))
		sum += int32(y[i])
	}
	// The sum is 2^(31-zeros) times a number from 1 to 2, of which the table has the reciprocal.
	zeros := bits.LeadingZeros32(uint32(sum))
	mantissa := (int64(sum)<<(zeros-1)+1<<13)>>14 - (1<<15 + 1<<16)
	r := int64(inverse.at(int16(min(max(mantissa, math.MinInt16), math.MaxInt16))))
	shift := uint(31 - zeros)
	for i, e := range y {
		y[i] = int16(min(max((int64(e)*r+1<<(shift-1))>>shift, 0), math.MaxInt16))
	}
}
