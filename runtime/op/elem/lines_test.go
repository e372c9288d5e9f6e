package elem

import (
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Reductions of lines of any length, short ones side by side, give the bytes of their definitions, with ties, zeros of both signs, infinities and NaN.
func TestReduceLines(t *testing.T) {
	rng := draws()
	odd := []float32{0, float32(math.Copysign(0, -1)), 3, 3, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
	for _, n := range []int{2, 5, 16, 17, 49, 95, 96, 100, 512, 1023, 2600} {
		for _, count := range []int{1, 5, 70, 300} {
			x := tensor.New(tensor.F32, tensor.Shape{count, n})
			v := tensor.Of[float32](x)
			strange := rng.IntN(3) == 0
			for i := range v {
				if v[i] = float32(rng.NormFloat64()); rng.IntN(4) == 0 {
					v[i] = odd[rng.IntN(4)]
				}
				if strange && rng.IntN(n) == 0 {
					v[i] = odd[rng.IntN(len(odd))]
				}
			}
			for _, name := range []string{"ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceMax", "ReduceMin", "ReduceLogSumExp", "ArgMax", "ArgMin"} {
				in := []*tensor.Tensor{x}
				if name[0] == 'R' {
					axes := tensor.New(tensor.I64, tensor.Shape{1})
					tensor.Of[int64](axes)[0] = 1
					in = append(in, axes)
				}
				y := evaluate(t, name, attr.Attrs{"axis": int64(1), "keepdims": int64(0)}, in, 1)[0]
				for r := range count {
					f, at := reducedLine(name, v[r*n:(r+1)*n])
					if name[0] == 'A' {
						if got := tensor.Of[int64](y)[r]; got != int64(at) {
							t.Errorf("%s of line %d of %dx%d is %d, want %d", name, r, count, n, got, at)
						}
					} else if got := tensor.Of[float32](y)[r]; math.Float32bits(got) != math.Float32bits(f) && (got == got || f == f) {
						t.Errorf("%s of line %d of %dx%d is %g, want %g", name, r, count, n, got, f)
					}
				}
				if name[0] != 'A' || t.Failed() {
					continue
				}
				// The same lines side by side.
				turned := tensor.New(tensor.F32, tensor.Shape{n, count})
				for i, e := range v {
					tensor.Of[float32](turned)[i%n*count+i/n] = e
				}
				z := evaluate(t, name, attr.Attrs{"axis": int64(0), "keepdims": int64(0)}, []*tensor.Tensor{turned}, 1)[0]
				for r, want := range tensor.Of[int64](y) {
					if got := tensor.Of[int64](z)[r]; got != want {
						t.Errorf("%s of column %d of %dx%d is %d, want %d", name, r, n, count, got, want)
					}
				}
			}
			if t.Failed() {
				return
			}
		}
	}
}

// reducedLine defines the reductions of a line; at is for ArgMax and ArgMin.
func reducedLine(name string, x []float32) (y float32, at int) {
	m, least := x[0], x[0]
	first, firstLeast := 0, 0
	for i, v := range x {
		if v > m || v != v && m == m {
			m, first = v, i
		}
		if v < least || v != v && least == least {
			least, firstLeast = v, i
		}
	}
	var lanes [16]float32
	for i, v := range x {
		switch name {
		case "ReduceSumSquare":
			v = float32(v * v)
		case "ReduceLogSumExp":
			v = fmath.Exp(v - m)
		}
		lanes[i%16] += v
	}
	sum := pairwise(&lanes)
	switch name {
	case "ReduceMax":
		return m, 0
	case "ReduceMin":
		return least, 0
	case "ArgMax":
		return 0, first
	case "ArgMin":
		return 0, firstLeast
	case "ReduceMean":
		return sum / float32(len(x)), 0
	case "ReduceLogSumExp":
		if math.IsInf(float64(m), 0) {
			return m, 0
		}
		return m + fmath.Log(sum), 0
	}
	return sum, 0
}
