package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// T is what a test body needs of a *testing.T.
type T interface {
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Failed() bool
}

// Options say how to test.
type Options struct {
	Seed uint64
	// Rounds is the number of pairwise sets of cases that each row must pass, at least one.
	Rounds int
	// Seconds, where above 0, goes on with further sets until it has passed.
	Seconds float64
}

// Run tests one row.
func Run(t T, row *spec.Row, o Options) {
	t.Logf("%v: seed %d", row, o.Seed)
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	var s space
	defer s.free()
	until := time.Now().Add(time.Duration(o.Seconds * float64(time.Second)))
	for round := 0; ; round++ {
		owed := round < max(1, o.Rounds)
		if !owed && !time.Now().Before(until) {
			return
		}
		levels, test := gemmLevels(row), gemmCase
		switch row.Op {
		case spec.Gemm, spec.Gemv:
		case spec.DepthwiseRow:
			levels, test = depthwiseRowLevels(row), depthwiseRowCase
		case spec.Peak, spec.Read:
			levels, test = readLevels(row), readCase
		case spec.QuantAdd, spec.QuantMul, spec.Quantize, spec.Dequantize, spec.QuantizeAway:
			levels, test = quantLevels(row), quantCase
		case spec.Add, spec.Sub, spec.SubFrom, spec.Mul, spec.Div, spec.DivInto, spec.PRelu, spec.Max, spec.Min:
			levels, test = binaryLevels(row), binaryCase
		case spec.Turn:
			levels, test = turnLevels(row), turnCase
		case spec.Softmax:
			levels, test = softmaxLevels(row), softmaxCase
		case spec.Mix:
			levels, test = mixLevels(row), mixCase
		case spec.SumRows, spec.MaxRows, spec.MinRows, spec.ArgMaxRows, spec.ArgMinRows:
			levels, test = reduceLevels(row), reduceCase
		case spec.MaxPool, spec.MeanPool:
			levels, test = poolLevels(row), poolCase
		case spec.WinogradIn:
			levels, test = winogradInLevels(row), winogradInCase
		case spec.WinogradOut:
			levels, test = winogradOutLevels(row), winogradOutCase
		case spec.ScaleSums:
			levels, test = scaleLevels(row), scaleCase
		case spec.Extent:
			levels, test = lanesLevels(row), extentCase
		case spec.SumLanes, spec.SquareLanes:
			levels, test = lanesLevels(row), lanesCase
		default:
			levels, test = mapLevels(row), mapCase
		}
		pairwise(rng, levels, func(c []int) bool {
			s.reset()
			test(t, row, &s, rng, c)
			if t.Failed() {
				t.Logf("%s: levels %v of %v", row.Name, c, levels)
			}
			return !t.Failed() && (owed || time.Now().Before(until))
		})
		if t.Failed() {
			return
		}
	}
}

// epilogue is how the sums of a case become results.
type epilogue struct {
	bias         *values // nil: 0
	scale        []float32
	lo, hi       float32
	zero         int32
	qlo, qhi     int32
	acc, out     tensor.DType
	offset       *values // nil: 0
	biasB, scalB *buffer
	offB         *buffer
}

const (
	biasLevels  = 2
	boundLevels = 4 // none, two ranges, a single value
)

func newEpilogue(row *spec.Row, s *space, rng *rand.Rand, n int, k kind, biasLevel, bound int, at place) *epilogue {
	e := &epilogue{acc: row.Acc, out: row.Out, biasB: &buffer{}, scalB: &buffer{}, offB: &buffer{}}
	e.lo, e.hi = float32(math.Inf(-1)), float32(math.Inf(1))
	if biasLevel > 0 {
		e.bias = draw(rng, row.Acc, n, k, nil)
		e.biasB = s.input(e.bias.bytes, row.Acc.Bits()/8, at)
	}
	if row.Out == row.Acc || row.Out.IsFloat() {
		if bound > 0 {
			e.lo, e.hi = [...]float32{0, -1, 0.25}[bound-1], [...]float32{6, 0.5, 0.25}[bound-1]
		}
		if row.Acc.IsInt() && row.Out.IsFloat() {
			scale := draw(rng, tensor.F32, n, k, nil)
			e.scale, e.scalB = scale.f, s.input(scale.bytes, 4, at)
			if rng.IntN(2) == 0 {
				e.offset = draw(rng, tensor.F32, n, k, nil)
				e.offB = s.input(e.offset.bytes, 4, at)
			}
		}
		return e
	}
	lo, hi := row.Out.IntRange()
	e.qlo, e.qhi = int32(lo), int32(hi)
	e.zero = int32(lo + rng.Int64N(hi-lo+1))
	if bound > 0 {
		e.qlo, e.qhi = int32(lo)+int32(bound), int32(hi)-20
	}
	if bound == boundLevels-1 {
		e.qhi = e.qlo
	}
	for range n {
		// Powers of two make products that lie midway between integers, one half most of them.
		if rng.IntN(3) == 0 {
			e.scale = append(e.scale, .5)
			continue
		}
		e.scale = append(e.scale, float32(math.Ldexp([...]float64{1, 1.3, rng.Float64() + .5}[rng.IntN(3)], -rng.IntN(24))))
	}
	e.scalB = s.input(tensor.Bytes(e.scale), 4, at)
	return e
}

// float is the epilogue of a float sum.
func (e *epilogue) float(acc float32) float32 {
	switch {
	case acc < e.lo:
		return e.lo
	case acc > e.hi:
		return e.hi
	}
	return acc
}

// scaled is that of an integer sum, which wraps, that becomes a float.
func (e *epilogue) scaled(acc int64, j int) float32 {
	f := float32(float32(int32(acc)) * e.scale[j])
	if e.offset != nil {
		f += e.offset.f[j]
	}
	return e.float(f)
}

// integer is that of an integer sum, which wraps.
func (e *epilogue) integer(acc int64, j int) int64 {
	if e.acc == tensor.I32 {
		acc = int64(int32(acc))
	}
	if e.out == e.acc {
		return acc
	}
	f := float32(acc)
	q := math.RoundToEven(float64(float32(f*e.scale[j]))) + float64(e.zero)
	return int64(math.Max(float64(e.qlo), math.Min(float64(e.qhi), q)))
}

// startFloat and startInt are the values that the chains of column j begin with.
func (e *epilogue) startFloat(j int) float32 {
	if e.bias == nil {
		return 0
	}
	return e.bias.f[j]
}

func (e *epilogue) startInt(j int) int64 {
	if e.bias == nil {
		return 0
	}
	return e.bias.i[j]
}

// margin is what the result of a row of class Approx may be off by.
type margin struct{ sizes, steps, lost float64 }

// add counts a summand.
func (m *margin) add(x, w float32) {
	p := math.Abs(float64(x) * float64(w))
	m.sizes += p
	m.steps += m.sizes
	if fmath.Subnormal(x) || fmath.Subnormal(w) {
		m.lost += p
	}
	m.lost += 0x1p-126 // where a sum is subnormal
}

// off reports whether got is further from want than it may be.
func (m *margin) off(row *spec.Row, got, want float32) bool {
	if got != got || want != want {
		return (got == got) != (want == want) && m.sizes < math.MaxFloat32
	}
	if math.Float32bits(got) == math.Float32bits(want) {
		return false
	}
	if row.Num != spec.Approx {
		return true
	}
	may := row.ULP*0x1p-24*m.steps + m.lost + 0x1p-126
	if row.Out == tensor.BF16 {
		may += 0x1p-7 * math.Abs(float64(want)) // a step, where rounding goes the other way
	}
	return !(math.Abs(float64(got)-float64(want)) <= may) && m.sizes < math.MaxFloat32
}

// compare checks what lies at out, which holds the row's Out type.
func compare(t T, row *spec.Row, out unsafe.Pointer, what string, wantF float32, wantI int64, m *margin) {
	switch row.Out {
	case tensor.F32, tensor.BF16, tensor.F16:
		var got float32
		switch row.Out {
		case tensor.F32:
			got = *(*float32)(out)
		case tensor.BF16:
			got, wantF = half.FromBF16(*(*uint16)(out)), half.FromBF16(half.BF16(wantF))
		case tensor.F16:
			got, wantF = half.FromF16(*(*uint16)(out)), half.FromF16(half.F16(wantF))
		}
		if m.off(row, got, wantF) {
			t.Errorf("%s: %s = %g (%08x), want %g (%08x)", row.Name, what, got, math.Float32bits(got), wantF, math.Float32bits(wantF))
		}
		return
	case tensor.I8:
		wantI -= int64(*(*int8)(out))
	case tensor.U8:
		wantI -= int64(*(*uint8)(out))
	case tensor.I16:
		wantI -= int64(*(*int16)(out))
	case tensor.U16:
		wantI -= int64(*(*uint16)(out))
	case tensor.I32:
		wantI -= int64(*(*int32)(out))
	case tensor.I64:
		wantI -= *(*int64)(out)
	default:
		panic("BUG: result of type " + row.Out.String())
	}
	if wantI != 0 {
		t.Errorf("%s: %s is off by %d", row.Name, what, -wantI)
	}
}

// lengths are the numbers of k of a row: all tails up to twice KR plus 1, and longer ones.
func lengths(row *spec.Row) []int {
	var list []int
	for k := range 2*row.KR + 2 {
		list = append(list, k)
	}
	return append(list, 2*row.KR+7, 64, 131)
}

// tapsOf are the numbers of taps of a matrix product; 0 stands for rows that follow each other, without an index.
var tapsOf = []int{0, 1, 2, 9}

// The factors of a matrix product: rows, columns, k, taps, stride of C, stride of A, elements of A and B, places of A, B, C and the rest, bias, bounds.
//
// Products of few rows have one tap and any number of columns.
func gemmLevels(row *spec.Row) []int {
	cols, taps := row.NR, len(tapsOf)
	if row.Op == spec.Gemv {
		cols, taps = 3*row.NR+1, 1
	}
	biases := biasLevels
	if row.Op == spec.Gemm && row.In == tensor.F32 && row.W == tensor.F32 {
		biases++ // one for each row
	}
	return []int{row.MR, cols, len(lengths(row)), taps, 3, 2, int(numKinds), int(numKinds), int(numPlaces), int(numPlaces), int(numPlaces), biases, boundLevels}
}

func gemmCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	rows, cols, k, taps := c[0]+1, c[1]+1, lengths(row)[c[2]], tapsOf[c[3]]
	stride := max(cols, [...]int{cols, row.NR, row.NR + 3}[c[4]])
	step := k + [...]int{0, 3}[c[5]]
	blocks := (k + row.KR - 1) / row.KR
	// The rows of A lie step elements apart; the last one ends with its last element.
	indexed, count := taps > 0, rows
	var index, from []int32 // from is where the row lies: index, or the one of zeros behind all others
	if taps = max(1, taps); indexed {
		count = rows + rng.IntN(taps*rows)
		for i := range taps * row.MR {
			x := int32(rng.IntN(count+1)) - 1
			if r := i % row.MR; r >= rows {
				x = index[i-r+rng.IntN(rows)]
			}
			index = append(index, x)
		}
		from = index
	} else {
		for i := range row.MR {
			from = append(from, int32(min(i, rows-1)))
		}
	}
	a := draw(rng, row.In, max(0, (count-1)*step+k), kind(c[6]), nil)
	z := draw(rng, row.In, k, kind(c[6]), nil)
	// Element (t, j, p) of B lies at panel j/NR, tap t, block p/KR, column j%NR, place p%KR.
	panels := (cols + row.NR - 1) / row.NR
	at := func(t, j, p int) int {
		return (((j/row.NR*taps+t)*blocks+p/row.KR)*row.NR+j%row.NR)*row.KR + p%row.KR
	}
	b := draw(rng, row.W, panels*taps*blocks*row.NR*row.KR, kind(c[7]), func(i int) bool {
		block := i / (row.NR * row.KR)
		p := block%max(1, blocks)*row.KR + i%row.KR
		return block/max(1, blocks)/taps*row.NR+i/row.KR%row.NR >= cols || p >= k
	})
	size, in := row.Out.Bits()/8, row.In.Bits()/8
	for i := range b.bytes {
		b.bytes[i] += byte(row.WShift)
	}
	ab := s.input(a.bytes, in, place(c[8]))
	zb := s.input(z.bytes, in, place(c[8]))
	ib := s.input(tensor.Bytes(index), 4, place(c[8]))
	bb := s.input(b.bytes, row.W.Bits()/8, place(c[9]))
	cb := s.output(((rows-1)*stride+cols)*size, size, place(c[10]))
	biases, biasStride := cols, 0
	if c[11] == biasLevels {
		biasStride = cols + rng.IntN(4)
		biases += (rows - 1) * biasStride
	}
	e := newEpilogue(row, s, rng, biases, kind(c[6]), min(c[11], 1), c[12], place(c[9]))
	args := spec.GemmArgs{BiasStride: biasStride, Ahead: rng.IntN(3) << 16, A: ab.pointer(), Zero: zb.pointer(), Index: ib.pointer(), B: bb.pointer(), C: cb.pointer(), Bias: e.biasB.pointer(), Scale: e.scalB.pointer(),
		AStride: step * in, Taps: taps, K: k, Rows: rows, Cols: cols, CStride: stride, Lo: e.lo, Hi: e.hi, OutZero: e.zero, QLo: e.qlo, QHi: e.qhi, Offset: e.offB.pointer()}
	was := args
	row.Func.(func(*spec.GemmArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	for i := range rows {
		for j := range cols {
			var f float32
			var n int64
			var m margin
			if row.In.IsFloat() {
				f = e.startFloat(i*biasStride + j)
				m.add(f, 1)
			} else {
				n = e.startInt(j)
			}
			for tap := range taps {
				for p := range k {
					src, q := a, int(from[tap*row.MR+i])*step+p
					if from[tap*row.MR+i] < 0 {
						src, q = z, p
					}
					if row.In.IsFloat() {
						f = fmath.FMA(src.f[q], b.f[at(tap, j, p)], f)
						m.add(src.f[q], b.f[at(tap, j, p)])
					} else {
						n += (src.i[q] + int64(row.Shift)) * b.i[at(tap, j, p)]
					}
				}
			}
			switch {
			case row.In.IsFloat():
				f = e.float(f)
			case row.Out.IsFloat():
				f = e.scaled(n, j)
			default:
				n = e.integer(n, j)
			}
			compare(t, row, unsafe.Pointer(&cb.data[(i*stride+j)*size]), fmt.Sprintf("C[%d][%d] of %dx%d, %d taps, k %d", i, j, rows, cols, taps, k), f, n, &m)
		}
	}
	cb.between(t, rows, cols*size, stride*size)
	ab.unchanged(t, "A")
	zb.unchanged(t, "Zero")
	ib.unchanged(t, "Index")
	bb.unchanged(t, "B")
	cb.outside(t)
	e.unchanged(t)
}

func (e *epilogue) unchanged(t T) {
	e.biasB.unchanged(t, "Bias")
	e.scalB.unchanged(t, "Scale")
	e.offB.unchanged(t, "Offset")
}
