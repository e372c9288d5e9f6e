package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// The factors of the transform of an input tile: channels, distances of inputs and of outputs, elements, places of inputs and output.
func winogradInLevels(row *spec.Row) []int {
	return []int{3*row.NR + 2, 2, 2, int(numKinds), int(numPlaces), int(numPlaces)}
}

func winogradInCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	channels := c[0]
	step, gap := channels+3*c[1], channels+5*c[2]
	positions := 1 + rng.IntN(40)
	index := make([]int32, 36)
	for i := range index {
		index[i] = int32(rng.IntN(positions+1)) - 1
	}
	x := draw(rng, row.In, (positions-1)*step+channels, kind(c[3]), nil)
	z := draw(rng, row.In, channels, kind(c[3]), nil)
	xb, zb, ib := s.input(x.bytes, 4, place(c[4])), s.input(z.bytes, 4, place(c[4])), s.input(tensor.Bytes(index), 4, place(c[4]))
	yb := s.output(4*(35*gap+channels), 4, place(c[5]))
	args := spec.WinogradArgs{X: xb.pointer(), Index: ib.pointer(), Zero: zb.pointer(), Y: yb.pointer(), Scratch: s.make(spec.WinogradScratch, 8, atEnd).pointer(),
		Channels: channels, XStride: 4 * step, YStride: 4 * gap}
	was := args
	row.Func.(func(*spec.WinogradArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	const a, b = .75, 1.5
	f := fmath.FMA
	forward := func(d [6]float32) [6]float32 {
		return [6]float32{f(a*a*b*b, d[0], f(-a*a-b*b, d[2], d[4])),
			f(a, f(-b*b, d[1], d[3]), f(-b*b, d[2], d[4])), f(-a, f(-b*b, d[1], d[3]), f(-b*b, d[2], d[4])),
			f(b, f(-a*a, d[1], d[3]), f(-a*a, d[2], d[4])), f(-b, f(-a*a, d[1], d[3]), f(-a*a, d[2], d[4])),
			f(a*a*b*b, d[1], f(-a*a-b*b, d[3], d[5]))}
	}
	for ch := range channels {
		var want [6][6]float32
		for i, at := range index {
			if want[i/6][i%6] = z.f[ch]; at >= 0 {
				want[i/6][i%6] = x.f[int(at)*step+ch]
			}
		}
		for range 2 {
			var turned [6][6]float32
			for j := range 6 {
				turned[j] = forward([6]float32{want[0][j], want[1][j], want[2][j], want[3][j], want[4][j], want[5][j]})
			}
			want = turned // its rows are the columns now
		}
		for i := range 36 {
			compare(t, row, unsafe.Pointer(&yb.data[4*(i*gap+ch)]), fmt.Sprintf("Y[%d][%d], channel %d of %d", i/6, i%6, ch, channels), want[i/6][i%6], 0, &margin{})
		}
	}
	yb.between(t, 36, 4*channels, 4*gap)
	xb.unchanged(t, "X")
	zb.unchanged(t, "Zero")
	ib.unchanged(t, "Index")
	yb.outside(t)
}

// The factors of the transform to an output tile: channels, rows, columns, distances of inputs, of columns and of rows, elements, places of inputs, bias and
// output, bias, bounds.
func winogradOutLevels(row *spec.Row) []int {
	return []int{3*row.NR + 2, 4, 4, 2, 2, 2, int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), biasLevels, boundLevels}
}

func winogradOutCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	channels, rows, cols := c[0], c[1]+1, c[2]+1
	step, gap := channels+3*c[3], channels+5*c[4]
	line := (cols-1)*gap + channels + 7*c[5]
	x := draw(rng, row.In, 35*step+channels, kind(c[6]), nil)
	xb, yb := s.input(x.bytes, 4, place(c[7])), s.output(4*((rows-1)*line+(cols-1)*gap+channels), 4, place(c[9]))
	e := newEpilogue(row, s, rng, channels, kind(c[6]), c[10], c[11], place(c[8]))
	args := spec.WinogradArgs{X: xb.pointer(), Y: yb.pointer(), Bias: e.biasB.pointer(), Scratch: s.make(spec.WinogradScratch, 8, atEnd).pointer(),
		Channels: channels, XStride: 4 * step, YStride: 4 * gap, LineStride: 4 * line, Rows: rows, Cols: cols, Lo: e.lo, Hi: e.hi}
	was := args
	row.Func.(func(*spec.WinogradArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	const a, b = .75, 1.5
	f := fmath.FMA
	inverse := func(m [6]float32) [4]float32 {
		s, t, u, w := m[1]+m[2], m[3]+m[4], m[1]-m[2], m[3]-m[4]
		return [4]float32{m[0] + s + t, f(b, w, float32(a*u)), f(b*b, t, float32(a*a*s)), f(b*b*b, w, f(a*a*a, u, m[5]))}
	}
	for ch := range channels {
		var half [6][4]float32
		for j := range half {
			var m [6]float32
			for i := range m {
				m[i] = x.f[(6*i+j)*step+ch]
			}
			half[j] = inverse(m)
		}
		for i := range rows {
			y := inverse([6]float32{half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]})
			for j := range cols {
				want := e.float(y[j] + e.startFloat(ch))
				compare(t, row, unsafe.Pointer(&yb.data[4*(i*line+j*gap+ch)]), fmt.Sprintf("Y[%d][%d], channel %d of %d", i, j, ch, channels), want, 0, &margin{})
			}
		}
	}
	for i := range rows {
		within := &buffer{data: yb.data[4*i*line:]}
		within.between(t, cols, 4*channels, 4*gap)
	}
	if rows > 1 {
		yb.between(t, rows, 4*((cols-1)*gap+channels), 4*line)
	}
	xb.unchanged(t, "X")
	e.unchanged(t)
	yb.outside(t)
}
