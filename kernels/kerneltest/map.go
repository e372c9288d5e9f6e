package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
)

// functions define the rows of one operand.
var functions = map[spec.Op]func(float32) float32{
	spec.Exp: fmath.Exp, spec.Sigmoid: fmath.Sigmoid, spec.Tanh: fmath.Tanh, spec.Erf: fmath.Erf, spec.Gelu: fmath.Gelu, spec.GeluTanh: fmath.GeluTanh,
	spec.HardSwish: func(x float32) float32 { return float32(x*min(max(x+3, 0), 6)) / 6 },
	spec.Log:       fmath.Log, spec.Softplus: fmath.Softplus, spec.Mish: fmath.Mish,
	spec.Convert: func(x float32) float32 { return x },
}

// parametric defines those that depend on two parameters, and what these are drawn from.
var parametric = map[spec.Op]struct {
	f      func(x, lo, hi float32) float32
	lo, hi []float32
}{
	spec.Clip: {func(x, lo, hi float32) float32 {
		switch {
		case x < lo:
			return lo
		case x > hi:
			return hi
		}
		return x
	}, []float32{0, -1, float32(math.Inf(-1))}, []float32{6, 0.5, float32(math.Inf(1))}},
	spec.Swish:       {func(x, lo, _ float32) float32 { return fmath.Swish(x, lo) }, []float32{1, 1.702, -0.5}, []float32{0}},
	spec.Elu:         {fmath.Elu, []float32{1, 1.6732632, -0.5}, []float32{1, 1.050701}},
	spec.LeakyRelu:   {func(x, lo, _ float32) float32 { return pairs[spec.PRelu](x, lo) }, []float32{0.1, 0, -2}, []float32{0}},
	spec.HardSigmoid: {fmath.HardSigmoid, []float32{0.2, 1. / 6, -3}, []float32{0.5, 0}},
}

// pairs define the rows of two operands.
var pairs = map[spec.Op]func(x, b float32) float32{
	spec.Add: func(x, b float32) float32 { return x + b }, spec.Mul: func(x, b float32) float32 { return x * b },
	spec.Sub: func(x, b float32) float32 { return x - b }, spec.SubFrom: func(x, b float32) float32 { return b - x },
	spec.Div: func(x, b float32) float32 { return x / b }, spec.DivInto: func(x, b float32) float32 { return b / x },
	spec.Max: func(x, b float32) float32 { return max(x, b) }, spec.Min: func(x, b float32) float32 { return min(x, b) },
	spec.PRelu: func(x, slope float32) float32 {
		if x < 0 {
			return x * slope
		}
		return x
	},
}

// The factors of a function of two: length, elements of both, places of both and of the output, step, what the output is written over.
func binaryLevels(row *spec.Row) []int {
	return []int{2*row.NR + 4, int(numKinds), int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), 2, 3}
}

func binaryCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n, step := c[0], c[6]
	if n > 2*row.NR+1 {
		n = 256*row.NR + c[0]
	}
	x := draw(rng, row.In, n, kind(c[1]), nil)
	b := draw(rng, row.W, 1+step*max(0, n-1), kind(c[2]), nil)
	xb, bb := s.input(x.bytes, 4, place(c[3])), s.input(b.bytes, 4, place(c[4]))
	out := xb
	switch {
	case c[7] == 1 && step == 1 && n > 0:
		out = bb
	case c[7] == 2:
		out = s.output(4*n, 4, place(c[5]))
	}
	args := spec.BinaryArgs{X: xb.pointer(), B: bb.pointer(), Y: out.pointer(), N: n, Step: step}
	was := args
	row.Func.(func(*spec.BinaryArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i, v := range x.f {
		w := b.f[i*step]
		compare(t, row, unsafe.Pointer(&out.data[4*i]), fmt.Sprintf("Y[%d] of %d, X = %g, B = %g,", i, n, v, w), pairs[row.Op](v, w), 0, &margin{})
		if t.Failed() {
			return
		}
	}
	if out != xb {
		xb.unchanged(t, "X")
	}
	if out != bb {
		bb.unchanged(t, "B")
	}
	if out != xb && out != bb {
		out.outside(t)
	}
}

// The factors of a function: length, elements, places of input and output, in place.
func mapLevels(row *spec.Row) []int {
	return []int{2*row.NR + 4, int(numKinds), int(numPlaces), int(numPlaces), 2}
}

func mapCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n := c[0]
	if n > 2*row.NR+1 {
		n = 256*row.NR + c[0]
	}
	x := draw(rng, row.In, n, kind(c[1]), nil)
	if kind(c[1]) == plain { // where functions bend, and where they have ended
		for i := range x.f {
			x.set(i, x.f[i]*[...]float32{1, 3, 30, 0.2}[i%4])
		}
	}
	size := row.Out.Bits() / 8
	xb, out := s.input(x.bytes, row.In.Bits()/8, place(c[2])), (*buffer)(nil)
	if c[4] == 0 || row.In != row.Out {
		out = s.output(size*n, size, place(c[3]))
	} else {
		out = xb
	}
	args := spec.MapArgs{X: xb.pointer(), Y: out.pointer(), N: n}
	f := functions[row.Op]
	if p := parametric[row.Op]; p.f != nil {
		args.Lo, args.Hi = p.lo[rng.IntN(len(p.lo))], p.hi[rng.IntN(len(p.hi))]
		f = func(x float32) float32 { return p.f(x, args.Lo, args.Hi) }
	}
	was := args
	row.Func.(func(*spec.MapArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i, v := range x.f {
		compare(t, row, unsafe.Pointer(&out.data[size*i]), fmt.Sprintf("Y[%d] of %d, X = %g,", i, n, v), f(v), 0, &margin{})
		if t.Failed() {
			return
		}
	}
	if out != xb {
		xb.unchanged(t, "X")
		out.outside(t)
	}
}

// reductions define the rows that reduce into lanes.
var reductions = map[spec.Op]func(y, x float32) float32{
	spec.SumLanes: func(y, x float32) float32 { return y + x }, spec.SquareLanes: func(y, x float32) float32 { return y + float32(x*x) },
}

// The factors of a reduction: length, elements, what the lanes hold, places of both.
func lanesLevels(*spec.Row) []int {
	return []int{70, int(numKinds), int(numKinds), int(numPlaces), int(numPlaces)}
}

func lanesCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n := c[0]
	if n > 65 {
		n = 16*c[0] + rng.IntN(16)
	}
	x, y := draw(rng, row.In, n, kind(c[1]), nil), draw(rng, row.Acc, 16, kind(c[2]), nil)
	xb, yb := s.input(x.bytes, 4, place(c[3])), s.output(64, 4, place(c[4]))
	copy(yb.data, y.bytes)
	args := spec.MapArgs{X: xb.pointer(), Y: yb.pointer(), N: n}
	was := args
	row.Func.(func(*spec.MapArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i, v := range x.f {
		y.f[i%16] = reductions[row.Op](y.f[i%16], v)
	}
	for i, want := range y.f {
		compare(t, row, unsafe.Pointer(&yb.data[4*i]), fmt.Sprintf("lane %d of %d elements", i, n), want, 0, &margin{})
	}
	xb.unchanged(t, "X")
	yb.outside(t)
}

// extentCase has two numbers in place of the lanes.
func extentCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n := c[0]
	if n > 65 {
		n = 16*c[0] + rng.IntN(16)
	}
	x, y := draw(rng, row.In, n, kind(c[1]), nil), draw(rng, row.Acc, 2, kind(c[2]), nil)
	xb, yb := s.input(x.bytes, 4, place(c[3])), s.output(8, 4, place(c[4]))
	copy(yb.data, y.bytes)
	args := spec.MapArgs{X: xb.pointer(), Y: yb.pointer(), N: n}
	was := args
	row.Func.(func(*spec.MapArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	want, none := [2]float32{y.f[0], y.f[1]}, false
	for _, v := range append([]float32{y.f[0], y.f[1]}, x.f...) {
		none = none || v != v
	}
	for _, v := range x.f {
		want[0], want[1] = -larger(-want[0], -v), larger(want[1], v)
	}
	for i, v := range want {
		switch {
		case none:
			v = float32(math.NaN())
		case v == 0:
			v = 0
		}
		compare(t, row, unsafe.Pointer(&yb.data[4*i]), fmt.Sprintf("number %d of %d elements", i, n), v, 0, &margin{})
	}
	xb.unchanged(t, "X")
	yb.outside(t)
}
