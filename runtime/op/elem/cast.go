package elem

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/runtime/op"
)

var castOps = map[string]op.Op{
	"Cast":     {Infer: inferCast, Prepare: prepareCast, Traits: op.PlainIntegers},
	"CastLike": {Infer: inferCast, Prepare: prepareCast, Traits: op.PlainIntegers},
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
		bits := t.DType.Bits()
		return func(i int) float64 { return float64(half.Bits(t.Data, bits, i)) }, nil
	case tensor.I4, tensor.I2:
		bits := t.DType.Bits()
		return func(i int) float64 { return float64(half.Signed(half.Bits(t.Data, bits, i), bits)) }, nil
	}
	if s := smallFloats[t.DType]; s != nil {
		if t.DType.Bits() == 4 {
			return func(i int) float64 { return float64(s.Widen(half.Bits(t.Data, 4, i))) }, nil
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
		return func(i int, v float64) { tensor.Of[uint16](t)[i] = half.F16(half.Odd(v)) }, nil
	case tensor.BF16:
		return func(i int, v float64) { tensor.Of[uint16](t)[i] = half.BF16(half.Odd(v)) }, nil
	case tensor.Bool:
		return func(i int, v float64) {
			t.Data[i] = truth(v != 0)
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
			return func(i int, v float64) { t.Data[i] = half.RoundE8M0(half.Odd(v), mode, saturate) }, nil
		case t.DType.Bits() == 4:
			return func(i int, v float64) { half.SetBits(t.Data, 4, i, s.Round(half.Odd(v), saturate)) }, nil
		}
		return func(i int, v float64) { t.Data[i] = s.Round(half.Odd(v), saturate) }, nil
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
	switch bits := t.DType.Bits(); bits {
	case 64:
		return func(i int, v int64) { tensor.Of[uint64](t)[i] = uint64(v) }
	case 32:
		return func(i int, v int64) { tensor.Of[uint32](t)[i] = uint32(v) }
	case 16:
		return func(i int, v int64) { tensor.Of[uint16](t)[i] = uint16(v) }
	case 8:
		return func(i int, v int64) { t.Data[i] = byte(v) }
	default:
		return func(i int, v int64) { half.SetBits(t.Data, bits, i, uint8(v)) }
	}
}

func prepareCast(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	switch {
	case x.DType == y.DType:
		return func() error {
			copy(y.Data, x.Data)
			copy(y.Str, x.Str)
			return nil
		}, nil
	case x.DType == tensor.String:
		return castFromString(c)
	case y.DType == tensor.String:
		return castToString(c)
	case x.DType == tensor.F32 && y.DType == tensor.F16:
		return castRuns(c, kernels.ToF16), nil
	case x.DType == tensor.F32 && y.DType == tensor.BF16:
		return castRuns(c, kernels.ToBF16), nil
	case x.DType == tensor.F16 && y.DType == tensor.F32:
		return castRuns(c, kernels.WidenF16), nil
	case x.DType == tensor.BF16 && y.DType == tensor.F32:
		return castRuns(c, kernels.WidenBF16), nil
	case y.DType == tensor.Bool:
		return castThrough(c)
	case x.DType == tensor.Bool && y.DType.Bits() >= 8 && !smallFloat(y.DType):
		return castFrom[uint8](c)
	case x.DType.Bits() >= 8 && y.DType.Bits() >= 8 && !smallFloat(x.DType) && !smallFloat(y.DType) && !(x.DType == tensor.F64 && y.DType.Bits() == 16 && y.DType.IsFloat()):
		return each{castFrom[float64], castFrom[float32], castFrom[int64], castFrom[int32], castFrom[int16], castFrom[int8],
			castFrom[uint64], castFrom[uint32], castFrom[uint16], castFrom[uint8]}.byInput(c)
	case x.DType.IsInt() && x.DType.Bits() >= 8 && y.DType.IsInt(): // to 4 or 2 bits
		return each{i64: castPacked[int64], i32: castPacked[int32], i16: castPacked[int16], i8: castPacked[int8],
			u64: castPacked[uint64], u32: castPacked[uint32], u16: castPacked[uint16], u8: castPacked[uint8]}.byInput(c)
	}
	return castThrough(c)
}

// castRuns converts the elements as they are stored.
func castRuns[S, D tensor.Elem](c *op.Call, f func(dst []D, src []S)) op.Run {
	var in []S
	var out []D
	body := func(lo, hi int) { f(out[lo:hi], in[lo:hi]) }
	return func() error {
		in, out = tensor.Of[S](c.In[0]), tensor.Of[D](c.Out[0])
		c.Par.For(len(in), grain, body)
		return nil
	}
}

func smallFloat(d tensor.DType) bool { return smallFloats[d] != nil }

func castFrom[S number](c *op.Call) (op.Run, error) {
	return each{castFromTo[S, float64], castFromTo[S, float32], castFromTo[S, int64], castFromTo[S, int32], castFromTo[S, int16],
		castFromTo[S, int8], castFromTo[S, uint64], castFromTo[S, uint32], castFromTo[S, uint16], castFromTo[S, uint8]}.prepare(c, c.Out[0].DType)
}

func castFromTo[S, D number](c *op.Call) (op.Run, error) {
	if isFloat[S]() && !isFloat[D]() {
		return mapRows(c, func(y []D, x []S) {
			y = y[:len(x)]
			for i, v := range x {
				if f := float64(v); f > -1<<31 && f < 1<<31 { // one conversion
					y[i] = D(int32(f))
				} else {
					y[i] = D(truncated(f))
				}
			}
		}), nil
	}
	return mapRows(c, func(y []D, x []S) {
		for i, v := range x {
			y[i] = D(v)
		}
	}), nil
}

func castPacked[S integer](c *op.Call) (op.Run, error) {
	bits := c.Out[0].DType.Bits()
	return func() error {
		for i, v := range tensor.Of[S](c.In[0]) {
			half.SetBits(c.Out[0].Data, bits, i, uint8(v))
		}
		return nil
	}, nil
}

// castThrough converts through float64, which all types but 64-bit integers fit.
func castThrough(c *op.Call) (op.Run, error) {
	get, err := reader(c, c.In[0])
	if err != nil {
		return nil, err
	}
	put, err := writer(c, c.Out[0])
	if err != nil {
		return nil, err
	}
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			put(i, get(i))
		}
	}
	n := c.In[0].Len()
	split := grain
	if c.Out[0].DType.Bits() < 8 {
		split = max(n, 1) // elements that share a byte must not be written by two threads
	}
	return func() error {
		c.Par.For(n, split, body)
		return nil
	}, nil
}

func castFromString(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	put, err := writer(c, y)
	if err != nil {
		return nil, err
	}
	bits := 64
	if y.DType.IsFloat() && y.DType != tensor.F64 {
		bits = 32 // narrower types round twice, as their numbers are parsed elsewhere too
	}
	return func() error {
		for i, s := range x.Str {
			s = strings.TrimSpace(s)
			if y.DType.IsInt() {
				if v, err := strconv.ParseInt(s, 10, 64); err == nil {
					intWriter(y)(i, v)
					continue
				}
				if v, err := strconv.ParseUint(s, 10, 64); err == nil {
					intWriter(y)(i, int64(v))
					continue
				}
			}
			v, err := strconv.ParseFloat(s, bits)
			if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinite
				return c.Errorf("element %d: %q is no number", i, x.Str[i])
			}
			put(i, v)
		}
		return nil
	}, nil
}

// castToString writes integers in decimal, truth values as True and False, and floats with the fewest digits that read
// back as the same number, as ONNX's reference does.
func castToString(c *op.Call) (op.Run, error) {
	x, y := c.In[0], c.Out[0]
	n := x.Len()
	var text func(i int) string
	switch x.DType {
	case tensor.I64:
		text = func(i int) string { return strconv.FormatInt(tensor.Of[int64](x)[i], 10) }
	case tensor.U64:
		text = func(i int) string { return strconv.FormatUint(tensor.Of[uint64](x)[i], 10) }
	case tensor.Bool:
		text = func(i int) string {
			if x.Data[i] != 0 {
				return "True"
			}
			return "False"
		}
	default:
		get, err := reader(c, x)
		if err != nil {
			return nil, err
		}
		bits := 32
		if x.DType == tensor.F64 {
			bits = 64
		}
		text = func(i int) string { return floatText(get(i), bits) }
		if x.DType.IsInt() {
			text = func(i int) string { return strconv.FormatInt(int64(get(i)), 10) }
		}
	}
	return func() error {
		for i := range n {
			y.Str[i] = text(i)
			c.Take(len(y.Str[i]))
		}
		return nil
	}, nil
}

// floatText has a decimal point or an exponent, the latter below 1e-4 and from 1e16 on.
func floatText(v float64, bits int) string {
	switch {
	case v != v:
		return "NaN"
	case math.IsInf(v, 1):
		return "INF"
	case math.IsInf(v, -1):
		return "-INF"
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, bits)
	}
	s := strconv.FormatFloat(v, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
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
