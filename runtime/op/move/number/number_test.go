package number

import (
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

var all = []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16, tensor.I64, tensor.I32, tensor.I16, tensor.I8, tensor.U64, tensor.U32,
	tensor.U16, tensor.U8, tensor.Bool, tensor.I4, tensor.U4, tensor.I2, tensor.U2, tensor.F8E4M3FN, tensor.F8E4M3FNUZ, tensor.F8E5M2,
	tensor.F8E5M2FNUZ, tensor.F8E8M0, tensor.F4E2M1}

// What every type can hold comes back, at every place of a packed byte, and the neighbours stay.
func TestEveryTypeHoldsOne(t *testing.T) {
	for _, d := range all {
		x := tensor.New(d, tensor.Shape{9})
		get, set := Getter(d), Setter(d)
		zero := get(x, 0) // E8M0 has no zero
		for i := range 9 {
			clear(x.Data)
			set(x, i, 1)
			for k := range 9 {
				want := zero
				if k == i {
					want = 1
				}
				if v := get(x, k); v != want {
					t.Errorf("%v: element %d is %g after element %d became 1", d, k, v, i)
				}
			}
		}
		list := make([]float64, 9)
		Read(list, x)
		y := tensor.New(d, tensor.Shape{9})
		Write(y, list)
		for i := range list {
			if get(y, i) != get(x, i) {
				t.Errorf("%v: Write does not undo Read", d)
			}
		}
	}
	if Getter(tensor.String) != nil || Setter(tensor.Sequence) != nil {
		t.Error("strings are no numbers")
	}
}

func TestIntegersSaturate(t *testing.T) {
	inf := math.Inf(1)
	for _, d := range all {
		if !d.IsInt() || d.Bits() > 32 {
			continue
		}
		lo, hi := d.IntRange()
		x := tensor.New(d, tensor.Shape{1})
		for _, c := range [][2]float64{{inf, float64(hi)}, {-inf, float64(lo)}, {float64(hi) + 1, float64(hi)}, {float64(lo) - 1, float64(lo)}, {1.99, min(1, float64(hi))}, {math.NaN(), 0}} {
			Setter(d)(x, 0, c[0])
			if v := Getter(d)(x, 0); v != c[1] {
				t.Errorf("%v: %g became %g, want %g", d, c[0], v, c[1])
			}
		}
	}
	x := tensor.New(tensor.I64, tensor.Shape{1})
	Setter(tensor.I64)(x, 0, 1e300)
	if v := tensor.Of[int64](x)[0]; v != math.MaxInt64 {
		t.Errorf("1e300 became %d", v)
	}
	if n, ok := Int(x); !ok || n != math.MaxInt {
		t.Errorf("Int is %d", n)
	}
}

// Half-way in float32 but not in float64: rounding twice would go the wrong way.
func TestOneRounding(t *testing.T) {
	x := tensor.New(tensor.F16, tensor.Shape{1})
	for _, v := range []float64{1 + 0x1p-11 + 0x1p-40, -1 - 0x1p-11 - 0x1p-40} {
		Setter(tensor.F16)(x, 0, v)
		if got := Getter(tensor.F16)(x, 0); math.Abs(got) != 1+0x1p-10 {
			t.Errorf("%b became %b", v, got)
		}
	}
	for _, v := range []float64{1 + 0x1p-11 - 0x1p-40, 1 + 0x1p-11} {
		Setter(tensor.F16)(x, 0, v)
		if got := Getter(tensor.F16)(x, 0); got != 1 {
			t.Errorf("%b became %b", v, got)
		}
	}
	for i := range 1 << 16 {
		if f := half.FromF16(uint16(i)); f == f && half.F16(Odd(float64(f))) != uint16(i) {
			t.Fatalf("%04x changes", i)
		}
	}
}

func TestONNXNumbers(t *testing.T) {
	for n, d := range map[int]tensor.DType{1: tensor.F32, 16: tensor.BF16, 26: tensor.I2, 0: tensor.Invalid, 14: tensor.Invalid, 99: tensor.Invalid, -1: tensor.Invalid} {
		if ONNX(n) != d {
			t.Errorf("ONNX(%d) = %v", n, ONNX(n))
		}
	}
}
