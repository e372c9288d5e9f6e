package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
)

// rowKernels are lines and taps across of kernels.
var rowKernels = [][2]int{{3, 3}, {5, 5}, {7, 7}, {1, 3}, {0, 3}, {1, 1}, {2, 4}, {9, 3}, {1, 9}, {4, 5}}

// Where the columns that the taps read lie.
const (
	inside  = iota // all exist
	margins        // some are missing on both sides
	partly         // half of them are
	outside        // none exists
	numColumns
)

// The factors of a row of a depthwise convolution: channels, positions, kernel, stride, dilation, columns, which lines exist, distances of inputs and
// of outputs, elements, places of inputs, weights, output, bias, bounds.
func depthwiseRowLevels(row *spec.Row) []int {
	return []int{2*row.NR + 2, 2*row.MR + 6, len(rowKernels), 3, 2, numColumns, 3, 2, 2, int(numKinds), int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), biasLevels, boundLevels}
}

func depthwiseRowCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	channels, width, lines, across, stride, dilation := c[0], c[1], rowKernels[c[2]][0], rowKernels[c[2]][1], c[3]+1, c[4]+1
	read := max(0, (width-1)*stride+(across-1)*dilation+1)
	start, columns := 0, read
	switch c[5] {
	case inside:
		start = rng.IntN(3)
		columns += start + rng.IntN(3)
	case margins:
		start = -min(read, 1+rng.IntN(across+1))
		columns = max(0, read+start-1-rng.IntN(across+1))
	case partly:
		start, columns = -rng.IntN(read+1), read/2
	case outside:
		start = columns
	}
	step := channels + [...]int{0, 3}[c[7]]
	gap := channels + [...]int{0, 5}[c[8]]
	length := columns * step
	x := draw(rng, row.In, max(0, lines*length), kind(c[9]), nil)
	w := draw(rng, row.W, lines*across*channels, kind(c[10]), nil)
	size, in := row.Out.Bits()/8, row.In.Bits()/8
	xb := s.input(x.bytes, in, place(c[11]))
	wb := s.input(packDepthwise(row, w, lines, across, channels), row.W.Bits()/8, place(c[12]))
	ob := s.output(max(0, (width-1)*gap+channels)*size, size, place(c[13]))
	per := channels
	if !row.In.IsFloat() {
		per = max(channels, row.NR)
	}
	e := newEpilogue(row, s, rng, per, kind(c[9]), c[14], c[15], place(c[12]))
	floats := row.In.IsFloat()
	ins := make([]unsafe.Pointer, lines)
	if !floats {
		ins = make([]unsafe.Pointer, (lines+row.KR-1)/row.KR*row.KR)
	}
	for i := range ins {
		if !floats || c[6] == 0 || c[6] == 1 && rng.IntN(2) == 0 {
			ins[i] = unsafe.Pointer(&sentinels[0]) // of a row without elements
			if length > 0 {
				ins[i] = unsafe.Pointer(&xb.data[min(i, lines-1)*length*in])
			}
		}
	}
	wasIns := slices.Clone(ins)
	pad := int32(0)
	if !floats {
		lo, hi := row.In.IntRange()
		pad = int32(lo + rng.Int64N(hi-lo+1))
	}
	args := spec.DepthwiseRowArgs{W: wb.pointer(), Out: ob.pointer(), Bias: e.biasB.pointer(), Scale: e.scalB.pointer(), Lines: lines, Across: across, Width: width, Channels: channels,
		Start: start, Columns: columns, Stride: stride, Dilation: dilation, InStep: step * in, OutStep: gap * size, Lo: e.lo, Hi: e.hi, Pad: pad, OutZero: e.zero, QLo: e.qlo, QHi: e.qhi}
	if lines > 0 {
		args.In = unsafe.Pointer(&ins[0])
	}
	was := args
	row.Func.(func(*spec.DepthwiseRowArgs))(&args)
	if args != was || !slices.Equal(ins, wasIns) {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for p := range width {
		for ch := range channels {
			f, n := float32(0), int64(0)
			var m margin
			if floats {
				f = e.startFloat(ch)
				m.add(f, 1)
			} else {
				n = e.startInt(ch)
			}
			for l, line := range ins[:lines] {
				for k := range across {
					column, weight := start+p*stride+k*dilation, (l*across+k)*channels+ch
					there := line != nil && column >= 0 && column < columns
					switch {
					case !floats && there:
						n += (x.i[l*length+column*step+ch] + int64(row.Shift)) * w.i[weight]
					case !floats:
						n += (int64(pad) + int64(row.Shift)) * w.i[weight]
					case there:
						a, b := x.f[l*length+column*step+ch], w.f[weight]
						f = fmath.FMA(a, b, f)
						m.add(a, b)
					}
				}
			}
			wantF, wantI := float32(0), int64(0)
			if floats {
				wantF = e.float(f)
			} else {
				wantI = e.integer(n, ch)
			}
			what := fmt.Sprintf("Out[%d][%d] of %dx%d, %dx%d taps, stride %d, dilation %d, from column %d of %d", p, ch, width, channels, lines, across, stride, dilation, start, columns)
			compare(t, row, unsafe.Pointer(&ob.data[(p*gap+ch)*size]), what, wantF, wantI, &m)
		}
	}
	ob.between(t, width, channels*size, gap*size)
	xb.unchanged(t, "In")
	ob.outside(t)
	wb.unchanged(t, "W")
	e.unchanged(t)
}

var sentinels [1]float32

// packDepthwise brings weights [lines][across][channels] into the order of the row.
func packDepthwise(row *spec.Row, w *values, lines, across, channels int) []byte {
	if row.In.IsFloat() {
		return w.bytes
	}
	size, groups := row.W.Bits()/8, (lines+row.KR-1)/row.KR
	var packed []byte
	for b := range (channels + row.NR - 1) / row.NR {
		for l := range groups * row.KR * across * row.NR { // by group, tap, channel, line
			r, ch, t, g := l%row.KR, row.Block(b, channels)+l/row.KR%row.NR, l/(row.KR*row.NR)%across, l/(row.KR*row.NR*across)
			if line := g*row.KR + r; line < lines && ch < channels {
				packed = append(packed, w.bytes[((line*across+t)*channels+ch)*size:][:size]...)
			} else {
				packed = append(packed, make([]byte, size)...)
			}
		}
	}
	return packed
}
