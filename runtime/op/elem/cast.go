package elem

import (
	"math"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var castOps = map[string]op.Op{
	"Cast":     {Infer: inferCast, Prepare: prepareCast},
	"CastLike": {Infer: inferCast, Prepare: prepareCast},
	"BitCast":  {Infer: inferBitCast, Prepare: prepareBitCast},
}

// onnxTypes maps the numbers of ONNX's element types.
var onnxTypes = map[int]tensor.DType{1: tensor.F32, 2: tensor.U8, 3: tensor.I8, 4: tensor.U16, 5: tensor.I16, 6: tensor.I32, 7: tensor.I64,
	8: tensor.String, 9: tensor.Bool, 10: tensor.F16, 11: tensor.F64, 12: tensor.U32, 13: tensor.U64, 16: tensor.BF16,
	17: tensor.F8E4M3FN, 18: tensor.F8E4M3FNUZ, 19: tensor.F8E5M2, 20: tensor.F8E5M2FNUZ, 21: tensor.U4, 22: tensor.I4,
	23: tensor.F4E2M1, 24: tensor.F8E8M0, 25: tensor.U2, 26: tensor.I2}

func target(c *op.Call) (tensor.DType, error) {
	if c.Op == "CastLike" {
		if err := c.Need(2); err != nil {
			return 0, err
		}
		return c.In[1].DType, nil
	}
	d, ok := onnxTypes[c.Attrs.Int("to", 0)]
	if !ok {
		return 0, c.Errorf("type %d unsupported", c.Attrs.Int("to", 0))
	}
	return d, nil
}

func inferCast(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d, err := target(c)
	if err != nil {
		return err
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

var smallFloats = map[tensor.DType]*half.Small{
	tensor.F8E4M3FN: half.E4M3FN, tensor.F8E4M3FNUZ: half.E4M3FNUZ, tensor.F8E5M2: half.E5M2, tensor.F8E5M2FNUZ: half.E5M2FNUZ,
	tensor.F8E8M0: half.E8M0, tensor.F4E2M1: half.E2M1,
}

// bitsAt reads element i of a tensor of 4- or 2-bit elements.
func bitsAt(t *tensor.Tensor, i int) uint8 {
	b := t.DType.Bits()
	per := 8 / b
	return t.Data[i/per] >> (i % per * b) & (1<<b - 1)
}

func setBits(t *tensor.Tensor, i int, v uint8) {
	b := t.DType.Bits()
	per := 8 / b
	shift := i % per * b
	mask := byte(1<<b-1) << shift
	t.Data[i/per] = t.Data[i/per]&^mask | v<<shift&mask
}

// reader returns a function that reads element i of t as float64, as the data are when it is called.
func reader(c *op.Call, t *tensor.Tensor) (func(i int) float64, error) {
	switch t.DType {
	case tensor.F64:
		return func(i int) float64 { return tensor.Of[float64](t)[i] }, nil
	case tensor.F32:
		return func(i int) float64 { return float64(tensor.Of[float32](t)[i]) }, nil
	case tensor.F16:
		return func(i int) float64 { return float64(half.FromF16(tensor.Of[uint16](t)[i])) }, nil
	case tensor.BF16:
		return func(i int) float64 { return float64(half.FromBF16(tensor.Of[uint16](t)[i])) }, nil
	case tensor.I64:
		return func(i int) float64 { return float64(tensor.Of[int64](t)[i]) }, nil
	case tensor.I32:
		return func(i int) float64 { return float64(tensor.Of[int32](t)[i]) }, nil
	case tensor.I16:
		return func(i int) float64 { return float64(tensor.Of[int16](t)[i]) }, nil
	case tensor.I8:
		return func(i int) float64 { return float64(int8(t.Data[i])) }, nil
	case tensor.U64:
		return func(i int) float64 { return float64(tensor.Of[uint64](t)[i]) }, nil
	case tensor.U32:
		return func(i int) float64 { return float64(tensor.Of[uint32](t)[i]) }, nil
	case tensor.U16:
		return func(i int) float64 { return float64(tensor.Of[uint16](t)[i]) }, nil
	case tensor.U8, tensor.Bool:
		return func(i int) float64 { return float64(t.Data[i]) }, nil
	case tensor.U4, tensor.U2:
		return func(i int) float64 { return float64(bitsAt(t, i)) }, nil
	case tensor.I4:
		return func(i int) float64 { return float64(int8(bitsAt(t, i)<<4) >> 4) }, nil
	case tensor.I2:
		return func(i int) float64 { return float64(int8(bitsAt(t, i)<<6) >> 6) }, nil
	}
	if s := smallFloats[t.DType]; s != nil {
		if t.DType.Bits() == 4 {
			return func(i int) float64 { return float64(s.Widen(bitsAt(t, i))) }, nil
		}
		return func(i int) float64 { return float64(s.Widen(t.Data[i])) }, nil
	}
	return nil, c.Errorf("elements of type %v unsupported", t.DType)
}

// writer returns a function that stores a float64 as element i of t. Integers truncate towards zero and wrap.
func writer(c *op.Call, t *tensor.Tensor) (func(i int, v float64), error) {
	switch t.DType {
	case tensor.F64:
		return func(i int, v float64) { tensor.Of[float64](t)[i] = v }, nil
	case tensor.F32:
		return func(i int, v float64) { tensor.Of[float32](t)[i] = float32(v) }, nil
	case tensor.F16:
		return func(i int, v float64) { tensor.Of[uint16](t)[i] = half.F16(float32(v)) }, nil
	case tensor.BF16:
		return func(i int, v float64) { tensor.Of[uint16](t)[i] = half.BF16(float32(v)) }, nil
	case tensor.Bool:
		return func(i int, v float64) {
			t.Data[i] = 0
			if v != 0 {
				t.Data[i] = 1
			}
		}, nil
	}
	if t.DType.IsInt() {
		put := intWriter(t)
		return func(i int, v float64) { put(i, truncated(v)) }, nil
	}
	if s := smallFloats[t.DType]; s != nil {
		saturate := c.Attrs.Bool("saturate", true)
		mode := c.Attrs.Str("round_mode", "up")
		switch {
		case t.DType == tensor.F8E8M0:
			return func(i int, v float64) { t.Data[i] = half.RoundE8M0(float32(v), mode, saturate) }, nil
		case t.DType.Bits() == 4:
			return func(i int, v float64) { setBits(t, i, s.Round(float32(v), saturate)) }, nil
		}
		return func(i int, v float64) { t.Data[i] = s.Round(float32(v), saturate) }, nil
	}
	return nil, c.Errorf("elements of type %v unsupported", t.DType)
}

// truncated converts to an integer the way all machines agree on: NaN is 0, and what is out of range saturates at 64
// bits.
func truncated(v float64) int64 {
	switch {
	case v != v:
		return 0
	case v >= 1<<63:
		if v < 1<<64 {
			return int64(uint64(v))
		}
		return math.MaxInt64
	case v <= -1<<63:
		return math.MinInt64
	}
	return int64(v)
}

// intWriter returns a function that stores the low bits of an integer as element i of t.
func intWriter(t *tensor.Tensor) func(i int, v int64) {
	switch t.DType.Bits() {
	case 64:
		return func(i int, v int64) { tensor.Of[int64](&tensor.Tensor{DType: tensor.I64, Data: t.Data})[i] = v }
	case 32:
		return func(i int, v int64) { tensor.Of[int32](&tensor.Tensor{DType: tensor.I32, Data: t.Data})[i] = int32(v) }
	case 16:
		return func(i int, v int64) { tensor.Of[int16](&tensor.Tensor{DType: tensor.I16, Data: t.Data})[i] = int16(v) }
	case 8:
		return func(i int, v int64) { t.Data[i] = byte(v) }
	}
	return func(i int, v int64) { setBits(t, i, uint8(v)) }
}

func prepareCast(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	n := x.Len()
	switch {
	case x.DType == y.DType:
		return func() error {
			copy(y.Data, x.Data)
			copy(y.Str, x.Str)
			return nil
		}, nil
	case x.DType == tensor.String:
		return castFromString(c, n)
	case y.DType == tensor.String:
		return castToString(c, n)
	case x.DType == tensor.I64 && y.DType == tensor.F32:
		return func() error {
			out := tensor.Of[float32](y)
			for i, v := range tensor.Of[int64](x) {
				out[i] = float32(v)
			}
			return nil
		}, nil
	}
	if x.DType.IsInt() && x.DType.Bits() >= 8 && y.DType.IsInt() {
		// Integers keep all their bits, which float64 would not.
		put := intWriter(y)
		return byType{
			i64: func() op.Run { return castInts[int64](x, put) }, i32: func() op.Run { return castInts[int32](x, put) },
			i16: func() op.Run { return castInts[int16](x, put) }, i8: func() op.Run { return castInts[int8](x, put) },
			u64: func() op.Run { return castInts[uint64](x, put) }, u32: func() op.Run { return castInts[uint32](x, put) },
			u16: func() op.Run { return castInts[uint16](x, put) }, u8: func() op.Run { return castInts[uint8](x, put) },
		}.pick(c, x.DType)
	}
	get, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	put, err := writer(c, y)
	if err != nil {
		return nil, err
	}
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			put(i, get(i))
		}
	}
	// Elements that share a byte must not be written by two threads.
	split := grain
	if y.DType.Bits() < 8 {
		split = n
	}
	return func() error {
		c.Par.For(n, split, body)
		return nil
	}, nil
}

func castInts[T number](x *tensor.Tensor, put func(i int, v int64)) op.Run {
	return func() error {
		for i, v := range tensor.Of[T](x) {
			put(i, int64(v))
		}
		return nil
	}
}

func castFromString(c *op.Call, n int) (op.Run, error) {
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	ints := c.Out[0].DType.IsInt()
	return func() error {
		for i := range n {
			s := strings.TrimSpace(c.In[0].Str[i])
			if ints {
				if v, err := strconv.ParseInt(s, 10, 64); err == nil {
					intWriter(c.Out[0])(i, v)
					continue
				}
			}
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return c.Errorf("element %d: %q is no number", i, c.In[0].Str[i])
			}
			put(i, v)
		}
		return nil
	}, nil
}

func castToString(c *op.Call, n int) (op.Run, error) {
	x := c.In[0]
	if x.DType == tensor.I64 {
		return func() error {
			for i, v := range tensor.Of[int64](x) {
				c.Out[0].Str[i] = strconv.FormatInt(v, 10)
			}
			return nil
		}, nil
	}
	get, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	bits := 64
	if x.DType.IsFloat() && x.DType != tensor.F64 {
		bits = 32
	}
	return func() error {
		for i := range n {
			v := get(i)
			switch {
			case v != v:
				c.Out[0].Str[i] = "NaN"
			case math.IsInf(v, 1):
				c.Out[0].Str[i] = "INF"
			case math.IsInf(v, -1):
				c.Out[0].Str[i] = "-INF"
			default:
				c.Out[0].Str[i] = strconv.FormatFloat(v, 'g', -1, bits)
			}
		}
		return nil
	}, nil
}

func inferBitCast(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	d, err := target(c)
	if err != nil {
		return err
	}
	if a, b := c.In[0].DType.Bits(), d.Bits(); a != b || a == 0 {
		return c.Errorf("cannot view %v as %v", c.In[0].DType, d)
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

func prepareBitCast(c *op.Call) (op.Run, error) {
	return func() error {
		copy(c.Out[0].Data, c.In[0].Data)
		return nil
	}, nil
}
