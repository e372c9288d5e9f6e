package elem

import (
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Normalisations in kernels give the bytes of one run at a time in plain Go, for short and long runs and each way that scales are spread.
func TestNormalise32(t *testing.T) {
	rng := draws()
	check := func(op string, a attr.Attrs, in []*tensor.Tensor, size int, rms bool, scale func(i int) (a, b float32)) {
		t.Helper()
		x := tensor.Of[float32](in[0])
		want := make([]float32, len(x))
		for r := 0; r < len(x); r += size {
			y, x := want[r:r+size], x[r:r+size]
			if rms {
				var l [16]float32
				squareRun(&l, 0, x, size, 1)
				n := norm32{eps: 1e-5}
				mulScalar(y, x, n.inverse(pairwise(&l)/float32(size)))
			} else {
				standardise(y, x, 1e-5)
			}
			for i, v := range y {
				f, g := scale(r + i)
				y[i] = float32(v*f) + g
			}
		}
		got := evaluate(t, op, a, in, 1)
		sameBits(t, []any{op, in[0].Shape, in[1].Shape, a}, tensor.Of[float32](got[0]), want)
	}
	for _, s := range []tensor.Shape{{3, 4, 1}, {2, 6, 5}, {300, 4, 12}, {5, 8, 7, 7}, {2, 4, 13, 11}, {1, 2, 200, 200}} {
		x, channels := drawFloats(rng, s), s[1]
		of := func(i int) int { return i / s[2:].Len() % channels }
		a, b := drawFloats(rng, tensor.Shape{channels}), drawFloats(rng, tensor.Shape{channels})
		scale := func(i int) (float32, float32) { return tensor.Of[float32](a)[of(i)], tensor.Of[float32](b)[of(i)] }
		check("InstanceNormalization", attr.Attrs{}, []*tensor.Tensor{x, a, b}, s[2:].Len(), false, scale)
		check("GroupNormalization", attr.Attrs{"num_groups": int64(2)}, []*tensor.Tensor{x, a, b}, s[1:].Len()/2, false, scale)
	}
	for _, s := range []tensor.Shape{{700, 1}, {2, 300, 5}, {3, 32}, {270, 95}, {4, 96}, {2, 3, 130}, {1, 70000}} {
		x, last := drawFloats(rng, s), s[len(s)-1]
		row := s.Clone()[:len(s)-1]
		for _, p := range []tensor.Shape{{last}, {1}, s, append(row, 1)} {
			a, b := drawFloats(rng, p), drawFloats(rng, p)
			of := func(i int) int {
				switch p.Len() {
				case s.Len() / last:
					return i / last
				case last:
					return i % last
				}
				return i % p.Len()
			}
			if p.Equal(s) {
				of = func(i int) int { return i }
			} else if len(p) == 1 {
				of = func(i int) int { return i % p[0] }
			}
			scale := func(i int) (float32, float32) { return tensor.Of[float32](a)[of(i)], tensor.Of[float32](b)[of(i)] }
			check("LayerNormalization", attr.Attrs{}, []*tensor.Tensor{x, a, b}, last, false, scale)
			check("RMSNormalization", attr.Attrs{}, []*tensor.Tensor{x, a}, last, true, func(i int) (float32, float32) {
				f, _ := scale(i)
				return f, float32(math.Copysign(0, -1))
			})
		}
	}
}
