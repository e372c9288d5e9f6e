package elem

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// drawFloats makes numbers among which some lines hold what is none, or infinite.
func drawFloats(rng *rand.Rand, s tensor.Shape) *tensor.Tensor {
	x := tensor.New(tensor.F32, s)
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), 0, 1e30}
	for i := range tensor.Of[float32](x) {
		tensor.Of[float32](x)[i] = float32(rng.NormFloat64() * 4)
		if rng.IntN(150) == 0 {
			tensor.Of[float32](x)[i] = odd[rng.IntN(len(odd))]
		}
	}
	return x
}

// sameBits fails where two results differ; any NaN stands for any other.
func sameBits(t *testing.T, what any, got, want []float32) {
	t.Helper()
	for i, v := range want {
		if math.Float32bits(got[i]) != math.Float32bits(v) && (got[i] == got[i] || v == v) {
			t.Fatalf("%v: element %d is %g (%08x), want %g (%08x)", what, i, got[i], math.Float32bits(got[i]), v, math.Float32bits(v))
		}
	}
}

// Lines that are computed side by side give the bytes of one line at a time, along any axis.
func TestBeside(t *testing.T) {
	rng := draws()
	for _, s := range []tensor.Shape{{300, 1}, {300, 2}, {17, 3, 1}, {33, 10}, {1, 16}, {65, 17}, {9, 49}, {70, 130}, {3, besideLimit - 1}, {2, besideLimit + 3},
		{2, 5, 1, 7}, {3, 21, 40}, {2, 16, 300}, {1, 1200, 20}, {4, 2, 2}} {
		for axis := range s {
			x := drawFloats(rng, s)
			l := linesOf(s, axis, false)
			for name, line := range map[string]func(y, x []float32, step int){"Softmax": softmax[float32], "LogSoftmax": logSoftmax[float32]} {
				want := make([]float32, x.Len())
				for k := range l.count() {
					at := l.start(k)
					line(want[at:at+(l.n-1)*l.inner+1], tensor.Of[float32](x)[at:at+(l.n-1)*l.inner+1], l.inner)
				}
				got := evaluate(t, name, attr.Attrs{"axis": int64(axis)}, []*tensor.Tensor{x}, 1)
				sameBits(t, []any{name, s, axis}, tensor.Of[float32](got[0]), want)
			}
		}
	}
}
