package elem

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	numbers "github.com/edgerun/edgerun/runtime/op/move/number"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the drawn cases")
	count = flag.Int("count", 150, "cases per property")
)

func draws() *rand.Rand { return rand.New(rand.NewPCG(*seed, 3)) }

func drawShape(rng *rand.Rand, rank int) tensor.Shape {
	s := tensor.Shape{}
	for range rank {
		s = append(s, 1+rng.IntN(5))
	}
	return s
}

// drawNumbers makes a tensor of small numbers; floats have fractions.
func drawNumbers(rng *rand.Rand, d tensor.DType, s tensor.Shape) *tensor.Tensor {
	t := tensor.New(d, s)
	v := make([]float64, t.Len())
	for i := range v {
		v[i] = float64(rng.IntN(41) - 20)
		if d.IsFloat() {
			v[i] += float64(rng.IntN(8)) / 8
		} else if !d.IsSigned() {
			v[i] = math.Abs(v[i])
		}
	}
	numbers.Write(t, v)
	return t
}

func readNumbers(t *tensor.Tensor) []float64 {
	v := make([]float64, t.Len())
	numbers.Read(v, t)
	return v
}

func evaluate(t *testing.T, name string, a attr.Attrs, in []*tensor.Tensor, outs int) []*tensor.Tensor {
	t.Helper()
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in}
	for range outs {
		c.Out = append(c.Out, &tensor.Tensor{})
	}
	if err := op.Eval(Ops[name], c, 0); err != nil {
		t.Fatal(err)
	}
	return c.Out
}

// expect compares with numbers that stand for a tensor of the given type and shape.
func expect(t *testing.T, what any, got *tensor.Tensor, d tensor.DType, s tensor.Shape, want []float64) {
	t.Helper()
	w := tensor.New(d, s)
	numbers.Write(w, want)
	if err := optest.Compare(got, w); err != nil {
		t.Fatalf("%v: %v", what, err)
	}
}

// position is the index of flat element i of a shape.
func position(s tensor.Shape, i int) []int {
	p := make([]int, len(s))
	for d := len(s) - 1; d >= 0; d-- {
		p[d], i = i%s[d], i/s[d]
	}
	return p
}

// flat is the inverse; of extents of one every index is 0, and leading indices that s lacks are left out.
func flat(s tensor.Shape, p []int) int {
	at := 0
	p = p[len(p)-len(s):]
	for d, n := range s {
		k := p[d]
		if n == 1 {
			k = 0
		}
		at = at*n + k
	}
	return at
}

func TestBroadcasting(t *testing.T) {
	rng := draws()
	f := map[string]func(a, b float64) float64{
		"Add": func(a, b float64) float64 { return a + b }, "Sub": func(a, b float64) float64 { return a - b },
		"Mul": func(a, b float64) float64 { return a * b }, "Max": math.Max, "Min": math.Min,
		"SquaredDifference": func(a, b float64) float64 { return (a - b) * (a - b) },
		"Div":               func(a, b float64) float64 { return a / b },
		"PRelu": func(a, b float64) float64 {
			if a < 0 {
				return a * b
			}
			return a
		},
	}
	names := []string{"Add", "Sub", "Mul", "Max", "Min", "SquaredDifference", "Div", "PRelu"}
	for range 2 * *count {
		name := names[rng.IntN(len(names))]
		d := []tensor.DType{tensor.F32, tensor.F64, tensor.I32, tensor.I64}[rng.IntN(4)]
		if name == "Div" {
			d = []tensor.DType{tensor.F32, tensor.F64}[rng.IntN(2)]
		}
		full := drawShape(rng, rng.IntN(5))
		part := func() tensor.Shape {
			s := full.Clone()
			for i := range s {
				if rng.IntN(3) == 0 {
					s[i] = 1
				}
			}
			return s[rng.IntN(len(s)+1):]
		}
		a, b := drawNumbers(rng, d, part()), drawNumbers(rng, d, part())
		out := make(tensor.Shape, max(len(a.Shape), len(b.Shape)))
		for i := range out {
			out[i] = 1
		}
		for _, s := range []tensor.Shape{a.Shape, b.Shape} {
			for i, n := range s {
				out[len(out)-len(s)+i] = max(out[len(out)-len(s)+i], n)
			}
		}
		x, y := readNumbers(a), readNumbers(b)
		want := make([]float64, out.Len())
		for i := range want {
			p := position(out, i)
			want[i] = f[name](x[flat(a.Shape, p)], y[flat(b.Shape, p)])
		}
		expect(t, []any{name, a, b}, evaluate(t, name, nil, []*tensor.Tensor{a, b}, 1)[0], d, out, want)
	}
}

func TestReductions(t *testing.T) {
	rng := draws()
	type fold struct {
		start  float64
		add    func(acc, x float64) float64
		finish func(acc float64, n int) float64
	}
	same := func(acc float64, _ int) float64 { return acc }
	sum := func(acc, x float64) float64 { return acc + x }
	folds := map[string]fold{
		"ReduceSum": {0, sum, same}, "ReduceMean": {0, sum, func(a float64, n int) float64 { return a / float64(n) }},
		"ReduceMax": {math.Inf(-1), math.Max, same}, "ReduceMin": {math.Inf(1), math.Min, same},
		"ReduceProd":      {1, func(a, x float64) float64 { return a * x }, same},
		"ReduceL1":        {0, func(a, x float64) float64 { return a + math.Abs(x) }, same},
		"ReduceL2":        {0, func(a, x float64) float64 { return a + x*x }, func(a float64, _ int) float64 { return math.Sqrt(a) }},
		"ReduceSumSquare": {0, func(a, x float64) float64 { return a + x*x }, same},
		"ReduceLogSumExp": {0, func(a, x float64) float64 { return a + math.Exp(x) }, func(a float64, _ int) float64 { return math.Log(a) }},
	}
	names := []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"}
	for range 2 * *count {
		name := names[rng.IntN(len(names))]
		f := folds[name]
		d := []tensor.DType{tensor.F32, tensor.F64}[rng.IntN(2)]
		x := drawNumbers(rng, d, drawShape(rng, rng.IntN(5)))
		keep, noop := rng.IntN(2) == 0, rng.IntN(2) == 0
		a := attr.Attrs{}
		a.Set("keepdims", keep)
		a.Set("noop_with_empty_axes", noop)
		in := []*tensor.Tensor{x}
		reduced := make([]bool, len(x.Shape))
		if len(reduced) > 0 && rng.IntN(4) > 0 {
			var axes []int64
			for i := range reduced {
				if reduced[i] = rng.IntN(2) == 0; reduced[i] {
					axes = append(axes, int64(i-rng.IntN(2)*len(reduced)))
				}
			}
			rng.Shuffle(len(axes), func(i, j int) { axes[i], axes[j] = axes[j], axes[i] })
			in = append(in, tensor.From(axes))
		}
		if !slices.Contains(reduced, true) { // no axes: all, or none
			if noop {
				continue // the operator's own map applies to single elements; recorded cases cover it
			}
			for i := range reduced {
				reduced[i] = true
			}
		}
		kept, out := x.Shape.Clone(), tensor.Shape{}
		for i, r := range reduced {
			if r {
				kept[i] = 1
			}
			if !r || keep {
				out = append(out, kept[i])
			}
		}
		acc, n := make([]float64, kept.Len()), make([]int, kept.Len())
		for i := range acc {
			acc[i] = f.start
		}
		for i, v := range readNumbers(x) {
			k := flat(kept, position(x.Shape, i))
			acc[k], n[k] = f.add(acc[k], v), n[k]+1
		}
		for k := range acc {
			acc[k] = f.finish(acc[k], n[k])
		}
		if name == "ReduceProd" && d == tensor.F32 && slices.ContainsFunc(acc, func(v float64) bool { return math.Abs(v) > 1e37 }) {
			continue
		}
		expect(t, []any{name, x, in[1:], a}, evaluate(t, name, a, in, 1)[0], d, out, acc)
	}
}

// Along one axis: softmax and its kin, sums, positions of extremes.
func TestAlongAxis(t *testing.T) {
	rng := draws()
	for range 2 * *count {
		x := drawNumbers(rng, tensor.F32, drawShape(rng, 1+rng.IntN(4)))
		axis := rng.IntN(len(x.Shape))
		n, v := x.Shape[axis], readNumbers(x)
		line := x.Shape.Clone()
		line[axis] = 1
		exclusive, reverse, keep, last := rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
		soft, logs, hard, sums := make([]float64, len(v)), make([]float64, len(v)), make([]float64, len(v)), make([]float64, len(v))
		best := make([]float64, line.Len())
		for l := range best {
			at := func(k int) int {
				p := position(line, l)
				p[axis] = k
				return flat(x.Shape, p)
			}
			total, first := 0.0, 0
			for k := range n {
				total += math.Exp(v[at(k)])
				if v[at(k)] > v[at(first)] {
					first = k
				}
				if v[at(k)] > v[at(int(best[l]))] || last && v[at(k)] == v[at(int(best[l]))] {
					best[l] = float64(k)
				}
			}
			hard[at(first)] = 1
			acc := 0.0
			for k := range n {
				soft[at(k)] = math.Exp(v[at(k)]) / total
				logs[at(k)] = v[at(k)] - math.Log(total)
				i := at(k)
				if reverse {
					i = at(n - 1 - k)
				}
				if sums[i] = acc; !exclusive {
					sums[i] += v[i]
				}
				acc += v[i]
			}
		}
		a := attr.Attrs{"axis": int64(axis - rng.IntN(2)*len(x.Shape))}
		for name, want := range map[string][]float64{"Softmax": soft, "LogSoftmax": logs, "Hardmax": hard} {
			expect(t, []any{name, x, a}, evaluate(t, name, a, []*tensor.Tensor{x}, 1)[0], tensor.F32, x.Shape, want)
		}
		b := attr.Attrs{}
		b.Set("exclusive", exclusive)
		b.Set("reverse", reverse)
		expect(t, []any{"CumSum", x, b}, evaluate(t, "CumSum", b, []*tensor.Tensor{x, tensor.From([]int64{int64(axis)})}, 1)[0], tensor.F32, x.Shape, sums)
		a.Set("keepdims", keep)
		a.Set("select_last_index", last)
		out := line
		if !keep {
			out = slices.Delete(line.Clone(), axis, axis+1)
		}
		expect(t, []any{"ArgMax", x, a}, evaluate(t, "ArgMax", a, []*tensor.Tensor{x}, 1)[0], tensor.I64, out, best)
	}
}

func TestLayerNorms(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawNumbers(rng, tensor.F32, drawShape(rng, 1+rng.IntN(4)))
		axis := rng.IntN(len(x.Shape))
		size := x.Shape[axis:].Len()
		scale, bias := drawNumbers(rng, tensor.F32, x.Shape[axis:]), drawNumbers(rng, tensor.F32, x.Shape[axis:])
		v, s, b := readNumbers(x), readNumbers(scale), readNumbers(bias)
		layer, rms := make([]float64, len(v)), make([]float64, len(v))
		for r := 0; r < len(v); r += size {
			mean, variance, square := 0.0, 0.0, 0.0
			for _, y := range v[r : r+size] {
				mean += y / float64(size)
				square += y * y / float64(size)
			}
			for _, y := range v[r : r+size] {
				variance += (y - mean) * (y - mean) / float64(size)
			}
			for k, y := range v[r : r+size] {
				layer[r+k] = (y-mean)/math.Sqrt(variance+0.1)*s[k] + b[k]
				rms[r+k] = y / math.Sqrt(square+0.1) * s[k]
			}
		}
		a := attr.Attrs{"axis": int64(axis), "epsilon": float32(0.1)}
		expect(t, []any{"LayerNormalization", x, a}, evaluate(t, "LayerNormalization", a, []*tensor.Tensor{x, scale, bias}, 1)[0], tensor.F32, x.Shape, layer)
		expect(t, []any{"RMSNormalization", x, a}, evaluate(t, "RMSNormalization", a, []*tensor.Tensor{x, scale}, 1)[0], tensor.F32, x.Shape, rms)
	}
}

// The floats of 8 and 4 bits are few: the code that a number rounds to is the nearest of all, of two the even one; beyond
// the largest it saturates where that is asked for.
func TestCastToSmallFloats(t *testing.T) {
	rng := draws()
	for number8, d := range map[int]tensor.DType{17: tensor.F8E4M3FN, 18: tensor.F8E4M3FNUZ, 19: tensor.F8E5M2, 20: tensor.F8E5M2FNUZ, 23: tensor.F4E2M1} {
		wide := smallFloats[d]
		codes := 1 << d.Bits()
		largest := 0.0
		for k := range codes {
			if f := float64(wide.Widen(uint8(k))); f > largest && !math.IsInf(f, 0) {
				largest = f
			}
		}
		var values []float32
		for range 400 {
			values = append(values, float32(rng.NormFloat64()*math.Exp2(float64(rng.IntN(24)-14))))
		}
		values = append(values, 0, float32(largest), float32(2*largest), float32(-2*largest), float32(math.Inf(1)), float32(math.NaN()))
		for k := range codes - 1 { // ties
			a, b := wide.Widen(uint8(k)), wide.Widen(uint8(k+1))
			if m := (a + b) / 2; m == m && !math.IsInf(float64(m), 0) {
				values = append(values, m)
			}
		}
		y := evaluate(t, "Cast", attr.Attrs{"to": int64(number8)}, []*tensor.Tensor{tensor.From(values)}, 1)[0]
		back := evaluate(t, "Cast", attr.Attrs{"to": int64(1)}, []*tensor.Tensor{y}, 1)[0]
		for i, got := range tensor.Of[float32](back) {
			x := float64(values[i])
			if x != x {
				if d != tensor.F4E2M1 && got == got {
					t.Errorf("%v: NaN became %g", d, got)
				}
				continue
			}
			want, far := 0.0, math.Inf(1)
			clipped := min(max(x, -largest), largest)
			for k := range codes {
				f := float64(wide.Widen(uint8(k)))
				if e := math.Abs(f - clipped); f == f && !math.IsInf(f, 0) && (e < far || e == far && k&1 == 0) {
					want, far = f, e
				}
			}
			if float64(got) != want {
				t.Errorf("%v: %g became %g, want %g", d, x, got, want)
			}
		}
	}
}

// Integers wrap; floats lose their fraction.
func TestCastToIntegers(t *testing.T) {
	x := tensor.From([]float32{0, 1.9, -1.9, 127, 128, 255.5, 256, -129, 300})
	for to, want := range map[int]*tensor.Tensor{
		3:  tensor.From([]int8{0, 1, -1, 127, -128, -1, 0, 127, 44}),
		2:  tensor.From([]uint8{0, 1, 255, 127, 128, 255, 0, 127, 44}),
		5:  tensor.From([]int16{0, 1, -1, 127, 128, 255, 256, -129, 300}),
		9:  tensor.From([]bool{false, true, true, true, true, true, true, true, true}),
		11: tensor.From([]float64{0, float64(float32(1.9)), -float64(float32(1.9)), 127, 128, 255.5, 256, -129, 300}),
	} {
		got := evaluate(t, "Cast", attr.Attrs{"to": int64(to)}, []*tensor.Tensor{x}, 1)[0]
		if !optest.Same(got, want) {
			t.Errorf("type %d: %v, want %v", to, got.Data, want.Data)
		}
	}
}

// Casts of many elements are those of each: rounded to 16 bits, widened from there, or truncated and wrapped.
func TestCastRuns(t *testing.T) {
	rng := draws()
	x, narrow := make([]float32, 3*grain+7), make([]uint16, 1<<16)
	for i := range x {
		if x[i] = math.Float32frombits(rng.Uint32()); i%2 == 0 {
			x[i] = float32(rng.NormFloat64() * math.Ldexp(1, rng.IntN(70)))
		}
	}
	for i := range narrow {
		narrow[i] = uint16(i)
	}
	cast := func(from tensor.DType, to int, x *tensor.Tensor) *tensor.Tensor {
		x.DType = from
		return evaluate(t, "Cast", attr.Attrs{"to": int64(to)}, []*tensor.Tensor{x}, 1)[0]
	}
	f16, bf16 := tensor.Of[uint16](cast(tensor.F32, 10, tensor.From(x))), tensor.Of[uint16](cast(tensor.F32, 16, tensor.From(x)))
	i8, u8 := cast(tensor.F32, 3, tensor.From(x)).Data, cast(tensor.F32, 2, tensor.From(x)).Data
	i64, u32 := tensor.Of[int64](cast(tensor.F32, 7, tensor.From(x))), tensor.Of[uint32](cast(tensor.F32, 12, tensor.From(x)))
	for i, v := range x {
		want := truncated(float64(v))
		if v == v && (f16[i] != half.F16(v) || bf16[i] != half.BF16(v)) || i8[i] != byte(want) || u8[i] != byte(want) || i64[i] != want || u32[i] != uint32(want) {
			t.Fatalf("%g becomes %#x, %#x, %d, %d, %d, %d", v, f16[i], bf16[i], i8[i], u8[i], i64[i], u32[i])
		}
	}
	for d, f := range map[tensor.DType]func(uint16) float32{tensor.F16: half.FromF16, tensor.BF16: half.FromBF16} {
		for i, v := range tensor.Of[float32](cast(d, 1, tensor.From(narrow))) {
			if want := f(uint16(i)); v != want && want == want || (v == v) != (want == want) {
				t.Fatalf("%v %#x becomes %g, want %g", d, i, v, want)
			}
		}
	}
}

// Bounds leave NaN and both zeros as they are; where they cross, the upper one wins.
func TestBounds(t *testing.T) {
	zero := float32(math.Copysign(0, -1))
	x := tensor.From([]float32{0, zero, -1, 1, 7, float32(math.NaN())})
	scalar := func(f float32) *tensor.Tensor { return tensor.Scalar(f) }
	for _, c := range []struct {
		op   string
		in   []*tensor.Tensor
		want [5]float32
	}{
		{"Relu", nil, [5]float32{0, zero, 0, 1, 7}},
		{"Relu6", nil, [5]float32{0, zero, 0, 1, 6}},
		{"Clip", []*tensor.Tensor{scalar(zero), scalar(5)}, [5]float32{0, zero, zero, 1, 5}},
		{"Clip", []*tensor.Tensor{scalar(-2), scalar(zero)}, [5]float32{0, zero, -1, zero, zero}},
		{"Clip", []*tensor.Tensor{scalar(3), scalar(2)}, [5]float32{2, 2, 2, 2, 2}},
	} {
		y := tensor.Of[float32](evaluate(t, c.op, nil, append([]*tensor.Tensor{x}, c.in...), 1)[0])
		for i, want := range c.want {
			if math.Float32bits(y[i]) != math.Float32bits(want) {
				t.Errorf("%s %v of %g is %g, want %g", c.op, c.in, tensor.Of[float32](x)[i], y[i], want)
			}
		}
		if y[5] == y[5] {
			t.Errorf("%s of NaN is %g", c.op, y[5])
		}
	}
}
