package conform

import (
	"bytes"
	"fmt"
	"math"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

// A float y meets the reference r when |y - r| <= AbsTol + RelTol*|r|, in float64.
const (
	RelTol = 1e-3
	AbsTol = 1e-4
)

// Compare checks an output against what is due: type and shape are equal; floats are as near as RelTol and AbsTol say,
// NaN where NaN is due and infinite where and as it is due; everything else is equal.
func Compare(got, want *tensor.Tensor) error {
	if got == nil || want == nil {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if got.DType != want.DType {
		return fmt.Errorf("got type %v, want %v", got.DType, want.DType)
	}
	if want.DType == tensor.Sequence {
		if len(got.Elems) != len(want.Elems) {
			return fmt.Errorf("got a sequence of %d, want %d", len(got.Elems), len(want.Elems))
		}
		for i := range want.Elems {
			if err := Compare(got.Elems[i], want.Elems[i]); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	}
	if !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("got shape %v, want %v", got.Shape, want.Shape)
	}
	switch {
	case want.DType == tensor.String:
		if i := firstDifference(len(want.Str), func(i int) bool { return i < len(got.Str) && got.Str[i] == want.Str[i] }); i >= 0 {
			return fmt.Errorf("element %d differs: want %q", i, want.Str[i])
		}
	case want.DType.IsFloat():
		return compareFloats(floats(got), floats(want))
	case !bytes.Equal(got.Elements(), want.Elements()):
		return fmt.Errorf("elements differ: got %s, want %s", head(got), head(want))
	}
	return nil
}

func firstDifference(n int, same func(i int) bool) int {
	for i := range n {
		if !same(i) {
			return i
		}
	}
	return -1
}

func compareFloats(got, want []float64) error {
	bad, first, worst := 0, -1, 0.0
	for i, r := range want {
		y := math.NaN()
		if i < len(got) {
			y = got[i]
		}
		if y == r || math.IsNaN(y) && math.IsNaN(r) {
			continue
		}
		d := math.Abs(y - r)
		if d <= AbsTol+RelTol*math.Abs(r) && !math.IsInf(r, 0) {
			continue
		}
		if first < 0 {
			first = i
		}
		bad++
		worst = max(worst, d)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d elements differ, by up to %.3g; the first is %d: got %.6g, want %.6g",
			bad, len(want), worst, first, got[first], want[first])
	}
	return nil
}

// head prints the first elements.
func head(t *tensor.Tensor) string {
	const most = 8
	if v, err := t.Ints(); err == nil {
		if len(v) > most {
			return fmt.Sprint(v[:most]) + "..."
		}
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%x", t.Data[:min(most, len(t.Data))])
}

// floats widens a tensor of any float type.
func floats(t *tensor.Tensor) []float64 {
	n := t.Len()
	r := make([]float64, n)
	for i := range r {
		switch t.DType {
		case tensor.F64:
			r[i] = tensor.Of[float64](t)[i]
		case tensor.F32:
			r[i] = float64(tensor.Of[float32](t)[i])
		case tensor.F16:
			r[i] = float64(half.FromF16(tensor.Of[uint16](t)[i]))
		case tensor.BF16:
			r[i] = float64(half.FromBF16(tensor.Of[uint16](t)[i]))
		case tensor.F4E2M1:
			r[i] = small{man: 1, bias: 1}.value(t.Data[i/2]>>(i%2*4)&15, 3)
		default:
			f := smalls[t.DType]
			r[i] = f.value(t.Data[i], 7)
		}
	}
	return r
}

// small describes a float of at most eight bits.
type small struct {
	man, bias int
	unsigned  bool // no sign and no mantissa
	inf       bool // the largest exponent is infinity and NaN
	nan       byte // a NaN, sign left out; 0: none
	negZero   bool // the bits of -0 are the only NaN
}

var smalls = map[tensor.DType]small{
	tensor.F8E4M3FN:   {man: 3, bias: 7, nan: 0x7f},
	tensor.F8E4M3FNUZ: {man: 3, bias: 8, negZero: true},
	tensor.F8E5M2:     {man: 2, bias: 15, inf: true},
	tensor.F8E5M2FNUZ: {man: 2, bias: 16, negZero: true},
	tensor.F8E8M0:     {bias: 127, unsigned: true},
}

// value reads b, whose sign is the given bit: (-1)^s * 2^(e-bias) * (1 + m/2^man), and 2^(1-bias) * m/2^man where e is 0.
func (f small) value(b byte, sign int) float64 {
	if f.unsigned {
		if b == 0xff {
			return math.NaN()
		}
		return math.Ldexp(1, int(b)-f.bias)
	}
	s, mag := 1.0, b&(1<<sign-1)
	if b>>sign != 0 {
		s = -1
		if f.negZero && mag == 0 {
			return math.NaN()
		}
	}
	if f.nan != 0 && mag == f.nan {
		return math.NaN()
	}
	e, m := int(mag>>f.man), float64(mag&(1<<f.man-1))/float64(int(1)<<f.man)
	switch {
	case f.inf && e == 1<<(sign-f.man)-1 && m == 0:
		return s * math.Inf(1)
	case f.inf && e == 1<<(sign-f.man)-1:
		return math.NaN()
	case e == 0:
		return s * math.Ldexp(m, 1-f.bias)
	}
	return s * math.Ldexp(1+m, e-f.bias)
}
