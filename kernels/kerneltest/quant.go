package kerneltest

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// The factors of an operation on integers that stand for reals: length, elements, places of A, B and Y, in place of A, whether B is one element, bounds.
func quantLevels(row *spec.Row) []int {
	return []int{2*row.NR + 4, int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), 2, 2, boundLevels}
}

func quantCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n := c[0]
	if n > 2*row.NR+1 {
		n = 256*row.NR + c[0]
	}
	inA, inB, size := row.In.Bits()/8, row.W.Bits()/8, row.Out.Bits()/8
	a := draw(rng, row.In, n, kind(c[1]), nil)
	nb := n
	if c[6] == 1 {
		nb = min(1, n)
	}
	b := draw(rng, row.W, nb, kind(c[1]), nil)
	// Powers of two make values that lie midway between integers.
	scale := func() float32 {
		return float32(math.Ldexp([...]float64{1, 1.3, rng.Float64() + .5}[rng.IntN(3)], 2-rng.IntN(24)))
	}
	args := spec.QuantArgs{N: n, OneB: c[6], ScaleA: scale(), ScaleB: scale()}
	within := func(lo, hi int64) int32 { return int32(lo + rng.Int64N(hi-lo+1)) }
	if row.In.IsInt() {
		args.ZeroA = within(row.In.IntRange())
	}
	if row.W.IsInt() {
		args.ZeroB = within(row.W.IntRange())
	}
	if row.Op == spec.QuantizeAway {
		lo, hi := row.Out.IntRange()
		args.OutZero, args.QLo, args.QHi = within(lo, hi), within(lo, (lo+hi)/2), within((lo+hi)/2, hi)
	} else if row.Out.IsInt() {
		lo, hi := row.Out.IntRange()
		args.OutZero, args.QLo, args.QHi = within(lo, hi), int32(lo), int32(hi)
		if c[7] > 0 {
			args.QLo, args.QHi = int32(lo)+int32(c[7]), int32(hi)-20
		}
		if c[7] == boundLevels-1 {
			args.QHi = args.QLo
		}
	}
	ab, bb := s.input(a.bytes, inA, place(c[2])), s.input(b.bytes, inB, place(c[3]))
	out := ab
	if c[5] == 0 || row.In != row.Out {
		out = s.output(size*n, size, place(c[4]))
	}
	args.A, args.B, args.Y = ab.pointer(), bb.pointer(), out.pointer()
	was := args
	row.Func.(func(*spec.QuantArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range n {
		var f float32
		switch row.Op {
		case spec.QuantAdd:
			x, y := float32(a.i[i]-int64(args.ZeroA)), float32(b.i[min(i, nb-1)]-int64(args.ZeroB))
			f = float32(x*args.ScaleA) + float32(y*args.ScaleB)
		case spec.QuantMul:
			f = float32((a.i[i]-int64(args.ZeroA))*(b.i[min(i, nb-1)]-int64(args.ZeroB))) * args.ScaleA
		case spec.Quantize:
			f = a.f[i] / args.ScaleA
		case spec.QuantizeAway:
			f = float32(a.f[i] * args.ScaleA)
			if r := math.Round(float64(f)); math.Abs(r) < 1<<20 {
				f = float32(r) // what follows finds a tie no more
			}
		case spec.Dequantize:
			f = float32(a.i[i]-int64(args.ZeroA)) * args.ScaleA
		}
		var want int64
		if row.Out.IsInt() {
			want = roundedWithin(f, args.OutZero, args.QLo, args.QHi)
		}
		compare(t, row, unsafe.Pointer(&out.data[size*i]), fmt.Sprintf("Y[%d] of %d", i, n), f, want, &margin{})
		if t.Failed() {
			return
		}
	}
	if out != ab {
		ab.unchanged(t, "A")
		out.outside(t)
	}
	bb.unchanged(t, "B")
}

// roundedWithin is quantise of spec.QuantArgs.
func roundedWithin(f float32, zero, lo, hi int32) int64 {
	if f != f {
		return int64(lo)
	}
	if math.Abs(float64(f)) > 1<<30 {
		f = float32(math.Copysign(1<<30, float64(f)))
	}
	n, _ := big.NewFloat(math.RoundToEven(float64(f))).Int64()
	return max(int64(lo), min(int64(hi), n+int64(zero)))
}
