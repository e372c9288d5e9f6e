package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// The factors of scaling sums: rows, columns, gaps of both, elements, places of sums, scales and results, bias, bounds.
func scaleLevels(row *spec.Row) []int {
	return []int{5, 3*row.NR + 4, 2, 2, int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), biasLevels, boundLevels}
}

func scaleCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	rows, cols := c[0], c[1]
	stride, gap := cols+[...]int{0, 3}[c[2]], cols+[...]int{0, 5}[c[3]]
	x := draw(rng, row.In, max(0, (rows-1)*stride+cols), kind(c[4]), nil)
	scale := draw(rng, row.W, cols, kind(c[4]), nil)
	xb, sb := s.input(x.bytes, 4, place(c[5])), s.input(scale.bytes, 4, place(c[6]))
	ob := s.output(4*max(0, (rows-1)*gap+cols), 4, place(c[7]))
	e := newEpilogue(row, s, rng, cols, kind(c[4]), c[8], c[9], place(c[6]))
	args := spec.ScaleArgs{A: xb.pointer(), C: ob.pointer(), Scale: sb.pointer(), Bias: e.biasB.pointer(), Rows: rows, Cols: cols, AStride: 4 * stride, CStride: 4 * gap, Lo: e.lo, Hi: e.hi}
	was := args
	row.Func.(func(*spec.ScaleArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range rows {
		for j := range cols {
			f := float32(float32(int32(x.i[i*stride+j])) * scale.f[j])
			if e.bias != nil {
				f += e.bias.f[j]
			}
			compare(t, row, unsafe.Pointer(&ob.data[4*(i*gap+j)]), fmt.Sprintf("C[%d][%d] of %dx%d", i, j, rows, cols), e.float(f), 0, &margin{})
		}
	}
	ob.between(t, rows, 4*cols, 4*gap)
	xb.unchanged(t, "A")
	sb.unchanged(t, "Scale")
	ob.outside(t)
	e.unchanged(t)
}
