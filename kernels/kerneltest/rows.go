package kerneltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// larger is x where it is above y or not a number.
func larger(y, x float32) float32 {
	if x > y || x != x {
		return x
	}
	return y
}

// smaller is x where it is below y or not a number.
func smaller(y, x float32) float32 {
	if x < y || x != x {
		return x
	}
	return y
}

// The factors of a transposition: rows, columns, what lies between rows of X and of Y, places of both.
func turnLevels(row *spec.Row) []int {
	return []int{row.MR, 2*row.NR + 5, 2, 2, int(numPlaces), int(numPlaces)}
}

func turnCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	rows, cols, size := c[0]+1, c[1], row.In.Bits()/8
	if cols > 2*row.NR+1 {
		cols += 40
	}
	across, down := cols+3*c[2], rows+3*c[3]
	x := make([]byte, size*max(0, (rows-1)*across+cols))
	for i := range x {
		x[i] = byte(rng.Uint32())
	}
	xb, yb := s.input(x, size, place(c[4])), s.output(size*max(0, (cols-1)*down+rows), size, place(c[5]))
	if cols == 0 {
		yb = s.output(0, size, place(c[5]))
	}
	args := spec.RowsArgs{X: xb.pointer(), Y: yb.pointer(), Rows: rows, Cols: cols, XStride: size * across, YStride: size * down}
	was := args
	row.Func.(func(*spec.RowsArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for j := range cols {
		for i := range down {
			for k := range size {
				at, want := size*(j*down+i)+k, byte(sentinel)
				if at >= len(yb.data) {
					continue
				}
				if i < rows {
					want = x[size*(i*across+j)+k]
				}
				if yb.data[at] != want {
					t.Errorf("%s: byte %d of Y[%d][%d] of %dx%d is %d, want %d", row.Name, k, j, i, rows, cols, yb.data[at], want)
					return
				}
			}
		}
	}
	xb.unchanged(t, "X")
	yb.outside(t)
}

// The factors of a reduction of rows: columns, rows, elements, what Y holds, what lies between rows of X and of Y, places of both.
func reduceLevels(row *spec.Row) []int {
	return []int{2*row.NR + 70, 19, int(numKinds), int(numKinds), 2, 2, int(numPlaces), int(numPlaces)}
}

func reduceCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	cols, rows := c[0], c[1]
	if rows > 17 {
		rows = 40 + rng.IntN(3)
	}
	across, down, lanes := cols+3*c[4], cols+3*c[5], 1
	arg := row.Op == spec.ArgMaxRows || row.Op == spec.ArgMinRows
	switch {
	case row.Op == spec.SumRows:
		lanes = 16
	case arg:
		lanes = 2
	}
	x, y := draw(rng, row.In, max(0, (rows-1)*across+cols), kind(c[2]), nil), draw(rng, row.Out, (lanes-1)*down+cols, kind(c[3]), nil)
	xb, yb := s.input(x.bytes, 4, place(c[6])), s.output(len(y.bytes), 4, place(c[7]))
	copy(yb.data, y.bytes)
	args := spec.RowsArgs{X: xb.pointer(), Y: yb.pointer(), Rows: rows, Cols: cols, XStride: 4 * across, YStride: 4 * down, First: rng.IntN(40)}
	was := args
	row.Func.(func(*spec.RowsArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range rows {
		for j := range cols {
			switch v := x.f[i*across+j]; row.Op {
			case spec.SumRows:
				y.f[(args.First+i)%16*down+j] += v
			case spec.MaxRows:
				y.f[j] = larger(y.f[j], v)
			case spec.MinRows:
				y.f[j] = smaller(y.f[j], v)
			default:
				m := y.f[j]
				if row.Op == spec.ArgMaxRows && v > m || row.Op == spec.ArgMinRows && v < m || v != v && m == m {
					y.f[j] = v
					binary.NativeEndian.PutUint32(y.bytes[4*(down+j):], uint32(args.First+i))
				}
			}
		}
	}
	for i, want := range y.f {
		if arg && i >= down {
			if !bytes.Equal(yb.data[4*i:4*i+4], y.bytes[4*i:4*i+4]) {
				t.Errorf("%s: the number in column %d of %dx%d is %d, want %d", row.Name, i-down, rows, cols, yb.data[4*i:4*i+4], y.bytes[4*i:4*i+4])
				return
			}
			continue
		}
		compare(t, row, unsafe.Pointer(&yb.data[4*i]), fmt.Sprintf("Y[%d][%d] of %dx%d", i/max(1, down), i%max(1, down), rows, cols), want, 0, &margin{})
		if t.Failed() {
			return
		}
	}
	xb.unchanged(t, "X")
	yb.outside(t)
}

// The factors of a softmax of rows: columns, rows, elements, distances of rows, whether Y is X, places.
func softmaxLevels(row *spec.Row) []int {
	return []int{2*row.NR + 70, 4, int(numKinds), 2, 2, 2, int(numPlaces), int(numPlaces)}
}

func softmaxCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	cols, rows, inPlace := c[0], c[1], c[5] > 0
	across, down := cols+3*c[3], cols+3*c[4]
	if inPlace {
		down = across
	}
	x := draw(rng, row.In, max(0, (rows-1)*across+cols), kind(c[2]), nil)
	yb := s.output(4*max(0, (rows-1)*down+cols), 4, place(c[7]))
	xb := yb
	if inPlace {
		copy(yb.data, x.bytes)
	} else {
		xb = s.input(x.bytes, 4, place(c[6]))
	}
	args := spec.RowsArgs{X: xb.pointer(), Y: yb.pointer(), Rows: rows, Cols: cols, XStride: 4 * across, YStride: 4 * down}
	was := args
	row.Func.(func(*spec.RowsArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range rows {
		line := x.f[i*across:][:cols]
		m := float32(math.Inf(-1))
		for _, v := range line {
			m = larger(m, v)
		}
		var lane [16]float32
		for j, v := range line {
			lane[j%16] += fmath.Exp(v - m)
		}
		for half := 8; half > 0; half /= 2 {
			for k := range half {
				lane[k] += lane[k+half]
			}
		}
		for j, v := range line {
			compare(t, row, unsafe.Pointer(&yb.data[4*(i*down+j)]), fmt.Sprintf("Y[%d][%d] of %dx%d", i, j, rows, cols), fmath.Exp(v-m)/lane[0], 0, &margin{})
			if t.Failed() {
				return
			}
		}
	}
	if !inPlace {
		yb.between(t, rows, 4*cols, 4*down)
		xb.unchanged(t, "X")
	}
	yb.outside(t)
}

// The factors of a mix of rows: columns, rows, taps, distance of outputs, elements, places of inputs and output.
func mixLevels(row *spec.Row) []int {
	return []int{6*row.NR + 3, 4, 4, 2, int(numKinds), int(numKinds), int(numPlaces), int(numPlaces)}
}

func mixCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	cols, rows, taps := c[0], c[1], [...]int{1, 2, 3, 7}[c[2]]
	gap := cols + 3*c[3]
	n := cols + rng.IntN(9) // of X, whose rows overlap
	x, w := draw(rng, row.In, n, kind(c[4]), nil), draw(rng, row.W, rows*taps, kind(c[5]), nil)
	at := make([]int64, rows*taps)
	for i := range at {
		at[i] = int64(4 * rng.IntN(n-cols+1))
	}
	xb, wb, ab := s.input(x.bytes, 4, place(c[6])), s.input(w.bytes, 4, place(c[6])), s.input(tensor.Bytes(at), 8, place(c[6]))
	yb := s.output(max(0, (rows-1)*gap+cols)*4, 4, place(c[7]))
	args := spec.MixArgs{X: xb.pointer(), Y: yb.pointer(), At: ab.pointer(), W: wb.pointer(), Rows: rows, Cols: cols, Taps: taps, YStride: 4 * gap}
	was := args
	row.Func.(func(*spec.MixArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range rows {
		for j := range cols {
			var want float32
			for k := range taps {
				p := float32(x.f[int(at[i*taps+k])/4+j] * w.f[i*taps+k])
				if want += p; k == 0 {
					want = p
				}
			}
			compare(t, row, unsafe.Pointer(&yb.data[4*(i*gap+j)]), fmt.Sprintf("Y[%d][%d] of %dx%d, %d taps", i, j, rows, cols, taps), want, 0, &margin{})
			if t.Failed() {
				return
			}
		}
	}
	yb.between(t, rows, 4*cols, 4*gap)
	xb.unchanged(t, "X")
	wb.unchanged(t, "W")
	ab.unchanged(t, "At")
	yb.outside(t)
}

// poolTaps are the numbers of taps of a pool.
var poolTaps = []int{0, 1, 2, 3, 9, 16, 25, 35}

// The factors of a pool: channels, positions, taps, distances of inputs and of outputs, elements, places of inputs and output, bounds.
func poolLevels(row *spec.Row) []int {
	return []int{2*row.NR + 4, 4, len(poolTaps), 3, 2, int(numKinds), int(numPlaces), int(numPlaces), boundLevels}
}

func poolCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	channels, width := c[0], c[1]
	if channels > 2*row.NR+1 {
		channels = 5*row.NR + c[0]
	}
	taps := poolTaps[c[2]]
	if row.Op == spec.MaxPool {
		taps = max(1, taps)
	}
	step := [...]int{channels, 2 * channels, channels + 3}[c[3]]
	gap := channels + [...]int{0, 5}[c[4]]
	length := max(0, (width-1)*step+channels) // of what one tap reads
	if width == 0 || channels == 0 {
		length = 0
	}
	x := draw(rng, row.In, taps*length, kind(c[5]), nil)
	size := row.In.Bits() / 8
	xb, ob := s.input(x.bytes, size, place(c[6])), s.output(max(0, (width-1)*gap+channels)*size, size, place(c[7]))
	e := newEpilogue(row, s, rng, channels, kind(c[5]), 0, c[8], place(c[6]))
	if !row.In.IsFloat() {
		lo, hi := row.In.IntRange()
		e.qlo, e.qhi = int32(lo)+9*int32(c[8]), int32(hi)-20*int32(c[8])
	}
	ins := make([]unsafe.Pointer, taps)
	for i := range ins {
		if length > 0 {
			ins[i] = unsafe.Pointer(&xb.data[i*length*size])
		}
	}
	by := [1]float32{float32(1 + rng.IntN(50))}
	wasIns := slices.Clone(ins)
	args := spec.PoolArgs{Out: ob.pointer(), Scale: unsafe.Pointer(&by), Taps: taps, Width: width, Channels: channels,
		InStep: step * size, OutStep: gap * size, Lo: e.lo, Hi: e.hi, QLo: e.qlo, QHi: e.qhi}
	if taps > 0 {
		args.In = unsafe.Pointer(&ins[0])
	}
	was := args
	row.Func.(func(*spec.PoolArgs))(&args)
	if args != was || !slices.Equal(ins, wasIns) {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for p := range width {
		for ch := range channels {
			f, n := float32(math.NaN()), int64(math.MinInt64)
			var lanes [16]float32
			for i := range taps {
				at := i*length + p*step + ch
				switch {
				case !row.In.IsFloat():
					n = max(n, x.i[at])
				case row.Op == spec.MeanPool:
					lanes[i%16] += x.f[at]
				case i == 0:
					f = x.f[at]
				default:
					f = larger(f, x.f[at])
				}
			}
			if row.Op == spec.MeanPool {
				for half := 8; half > 0; half /= 2 {
					for k := range half {
						lanes[k] += lanes[k+half]
					}
				}
				f = lanes[0] / by[0]
			}
			f, n = e.float(f), min(max(n, int64(e.qlo)), int64(e.qhi))
			compare(t, row, unsafe.Pointer(&ob.data[(p*gap+ch)*size]), fmt.Sprintf("Out[%d][%d] of %dx%d, %d taps", p, ch, width, channels, taps), f, n, &margin{})
			if t.Failed() {
				return
			}
		}
	}
	ob.between(t, width, channels*size, gap*size)
	xb.unchanged(t, "In")
	ob.outside(t)
}
