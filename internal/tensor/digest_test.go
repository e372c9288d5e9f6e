package tensor

import (
	"math"
	"testing"
)

func TestDigest(t *testing.T) {
	nan := func(bits uint32) *Tensor { return From([]float32{1, math.Float32frombits(bits), 2}) }
	packed := func(last byte) *Tensor { return &Tensor{DType: I4, Shape: Shape{3}, Data: []byte{0x21, last}} }
	same := map[string][2]*Tensor{
		"NaNs":            {nan(0x7fc00000), nan(0xff800001)},
		"half NaNs":       {{DType: F16, Shape: Shape{1}, Data: []byte{0, 0x7e}}, {DType: F16, Shape: Shape{1}, Data: []byte{1, 0xfc}}},
		"bfloat NaNs":     {{DType: BF16, Shape: Shape{1}, Data: []byte{0xc0, 0x7f}}, {DType: BF16, Shape: Shape{1}, Data: []byte{0x81, 0xff}}},
		"double NaNs":     {From([]float64{math.NaN()}), From([]float64{math.Float64frombits(0xfff0000000000001)})},
		"unused bits":     {packed(0x03), packed(0xf3)},
		"nothing":         {nil, nil},
		"strings, copied": {FromStrings([]string{"a", "b"}), FromStrings([]string{"a", "b"})},
	}
	for name, p := range same {
		if Digest(p[0]) != Digest(p[1]) {
			t.Errorf("%s differ", name)
		}
	}
	seen := map[string]int{}
	for i, list := range [][]*Tensor{
		{}, {nil}, {nan(0x7fc00000)}, {nan(0x7f800000)}, {nan(0xff800000)}, {From([]float32{0})}, {From([]float32{float32(math.Copysign(0, -1))})}, {From([]int32{0})},
		{From([]float32{0}, 1, 1)}, {From([]float32{0, 0})}, {From([]float32{0}), From([]float32{0})}, {packed(3)}, {packed(4)},
		{FromStrings([]string{"ab", ""})}, {FromStrings([]string{"a", "b"})}, {{DType: Sequence, Elems: []*Tensor{Scalar[int8](1)}}}, {{DType: Sequence}},
	} {
		d := Digest(list...)
		if j, ok := seen[d]; ok || len(d) != 32 {
			t.Errorf("lists %d and %d: both %s", i, j, d)
		}
		seen[d] = i
	}
	x := nan(0xff800001)
	Digest(x)
	if math.Float32bits(Of[float32](x)[1]) != 0xff800001 {
		t.Error("the tensor was changed")
	}
}
