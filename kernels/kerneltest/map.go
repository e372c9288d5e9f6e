package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
)

// functions define the rows of one operand.
var functions = map[spec.Op]func(float32) float32{
	spec.Exp: fmath.Exp, spec.Sigmoid: fmath.Sigmoid, spec.Tanh: fmath.Tanh,
	spec.HardSwish: func(x float32) float32 { return float32(x*min(max(x+3, 0), 6)) / 6 },
	spec.Convert:   func(x float32) float32 { return x },
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
	was := args
	row.Func.(func(*spec.MapArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i, v := range x.f {
		compare(t, row, unsafe.Pointer(&out.data[size*i]), fmt.Sprintf("Y[%d] of %d, X = %g,", i, n, v), functions[row.Op](v), 0, &margin{})
		if t.Failed() {
			return
		}
	}
	if out != xb {
		xb.unchanged(t, "X")
		out.outside(t)
	}
}
