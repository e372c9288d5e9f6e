package nn

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
	"github.com/edgerun/edgerun/runtime/pool"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the drawn cases; 0 takes one from the clock")
	count = flag.Int("count", 150, "cases per property")
)

// draws prints the seed and returns the generator.
func draws(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 1))
}

// randomFloats makes a tensor of some float type.
func randomFloats(rng *rand.Rand, d tensor.DType, shape ...int) *tensor.Tensor {
	t := tensor.New(d, shape)
	for i := range t.Len() {
		f := float32(rng.NormFloat64())
		switch d {
		case tensor.F32:
			tensor.Of[float32](t)[i] = f
		case tensor.F64:
			tensor.Of[float64](t)[i] = rng.NormFloat64()
		case tensor.F16:
			tensor.Of[uint16](t)[i] = half.F16(f)
		case tensor.BF16:
			tensor.Of[uint16](t)[i] = half.BF16(f)
		}
	}
	return t
}

// randomInts makes a tensor of integers over the type's whole range, or small ones.
func randomInts(rng *rand.Rand, d tensor.DType, limit int64, shape ...int) *tensor.Tensor {
	t := tensor.New(d, shape)
	lo, hi := d.IntRange()
	if limit > 0 {
		lo, hi = max(lo, -limit), min(hi, limit)
	}
	for i := range t.Len() {
		storeInt(t, i, int32(lo+rng.Int64N(hi-lo+1)))
	}
	return t
}

// quantised sets parameters: n scales along an axis, a zero point within the type's range unless symmetric.
func quantised(rng *rand.Rand, t *tensor.Tensor, n, axis int, symmetric bool) *tensor.Tensor {
	q := &tensor.QParams{Axis: axis}
	lo, hi := t.DType.IntRange()
	for range n {
		q.Scale = append(q.Scale, float32(math.Exp(rng.NormFloat64()-4)))
		z := int32(0)
		if !symmetric {
			z = int32(lo + rng.Int64N(hi-lo+1))
		}
		q.Zero = append(q.Zero, z)
	}
	t.Quant = q
	return t
}

// real is element i of a quantised or plain tensor, in float64.
func real(t *tensor.Tensor, i int) float64 {
	switch {
	case t == nil:
		return 0
	case t.DType == tensor.F32:
		return float64(tensor.Of[float32](t)[i])
	case t.DType == tensor.F64:
		return tensor.Of[float64](t)[i]
	case t.DType == tensor.F16:
		return float64(half.FromF16(tensor.Of[uint16](t)[i]))
	case t.DType == tensor.BF16:
		return float64(half.FromBF16(tensor.Of[uint16](t)[i]))
	case t.DType == tensor.I64:
		return float64(tensor.Of[int64](t)[i])
	}
	q := float64(intReader(t)(i))
	if t.Quant == nil {
		return q
	}
	ch := channelOf(t.Shape, t.Quant)(i)
	return (q - float64(t.Quant.ZeroAt(ch))) * float64(t.Quant.Scale[ch])
}

// withinStep fails unless got, quantised, is the real number want within one step, or saturated.
func withinStep(got *tensor.Tensor, i int, want float64) error {
	lo, hi := got.DType.IntRange()
	q := want/float64(got.Quant.Scale[0]) + float64(got.Quant.ZeroAt(0))
	q = math.Max(float64(lo), math.Min(float64(hi), q))
	if g := float64(intReader(got)(i)); math.Abs(g-q) > 0.5+1e-3+math.Abs(q)*1e-6 {
		return fmt.Errorf("element %d is %g, want %g", i, g, q)
	}
	return nil
}

// sameOnThreads evaluates c with inputs known, with inputs that come later, and on four threads, and fails unless all give the same
// bytes. c's outputs hold the result.
func sameOnThreads(o op.Op, c *op.Call) error {
	again := func(known bool, par op.Par) ([]*tensor.Tensor, error) {
		d := *c
		d.Par = par
		d.In, d.Out = nil, nil
		for _, t := range c.In {
			if t == nil {
				d.In = append(d.In, nil)
				continue
			}
			u := *t
			d.In = append(d.In, &u)
		}
		for _, t := range c.Out {
			d.Out = append(d.Out, &tensor.Tensor{DType: t.DType, Quant: t.Quant})
		}
		if known {
			return d.Out, op.Eval(o, &d, 0)
		}
		ran, err := optest.Later(o, &d)
		if err == nil && !ran {
			err = errors.New("shapes depend on the data")
		}
		return d.Out, err
	}
	mustKnow := len(c.In) > 1 && c.In[1] != nil && c.In[1].Quant != nil && (c.In[0].Quant == nil || strings.HasPrefix(c.Op, "Conv"))
	four := pool.New(4)
	defer four.Close()
	var first []*tensor.Tensor
	for i, way := range []struct {
		known bool
		par   op.Par
	}{{true, op.Serial{}}, {true, four}, {false, op.Serial{}}} {
		if !way.known && mustKnow {
			continue
		}
		out, err := again(way.known, way.par)
		if err != nil {
			return err
		}
		if i == 0 {
			first = out
			continue
		}
		for k := range out {
			if !optest.Same(out[k], first[k]) {
				return fmt.Errorf("inputs known %v, %d threads: output %d differs", way.known, way.par.Threads(), k)
			}
		}
	}
	for i := range first {
		*c.Out[i] = *first[i]
	}
	return nil
}

// spatial draws a convolution's or pool's geometry for an input of the given batch and channels: extents, kernel and the attributes.
type spatial struct {
	in, kernel, stride, dilation, begin, end, out []int
	attrs                                         attr.Attrs
}

func drawSpatial(rng *rand.Rand, limitPad bool) *spatial {
	for {
		n := 1 + rng.IntN(3)
		s := &spatial{attrs: attr.Attrs{"layout": "NHWC"}}
		good := true
		pads := make([]int, 2*n)
		for d := range n {
			s.in = append(s.in, 1+rng.IntN(8))
			s.kernel = append(s.kernel, 1+rng.IntN(3))
			s.stride = append(s.stride, 1+rng.IntN(3))
			s.dilation = append(s.dilation, 1+rng.IntN(2))
			span := (s.kernel[d]-1)*s.dilation[d] + 1
			limit := 3
			if limitPad {
				limit = s.kernel[d]
			}
			pads[d], pads[n+d] = rng.IntN(limit), rng.IntN(limit)
			s.begin, s.end = append(s.begin, pads[d]), append(s.end, pads[n+d])
			room := s.in[d] + pads[d] + pads[n+d] - span
			good = good && room >= 0
			if room >= 0 {
				s.out = append(s.out, room/s.stride[d]+1)
			}
		}
		if !good {
			continue
		}
		s.attrs.Set("strides", s.stride)
		s.attrs.Set("dilations", s.dilation)
		s.attrs.Set("pads", pads)
		return s
	}
}

// unflatten splits a flat index by extents.
func unflatten(i int, dims []int) []int {
	at := make([]int, len(dims))
	for d := len(dims) - 1; d >= 0; d-- {
		at[d] = i % dims[d]
		i /= dims[d]
	}
	return at
}

func product1(dims []int) int { return tensor.Shape(dims).Len() }

// input returns the flat input position under tap k of output position p, or -1.
func (s *spatial) input(p, k int) int {
	at, tap := unflatten(p, s.out), unflatten(k, s.kernel)
	flat := 0
	for d := range at {
		i := at[d]*s.stride[d] - s.begin[d] + tap[d]*s.dilation[d]
		if i < 0 || i >= s.in[d] {
			return -1
		}
		flat = flat*s.in[d] + i
	}
	return flat
}

func nhwc(batch int, dims []int, ch int) []int {
	return append(append([]int{batch}, dims...), ch)
}

func bounds(rng *rand.Rand, a attr.Attrs) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if rng.IntN(3) == 0 {
		lo = 0
		a.Set("act_min", float32(0))
		if rng.IntN(2) == 0 {
			hi = 1.5
			a.Set("act_max", float32(1.5))
		}
	}
	return lo, hi
}

func groupsOf(rng *rand.Rand) (group, cg, og int) {
	group = 1
	if rng.IntN(2) == 0 {
		group = 1 + rng.IntN(9)
	}
	if rng.IntN(3) == 0 {
		return group, 1, 1 + rng.IntN(3)/2
	}
	return group, 1 + rng.IntN(5), 1 + rng.IntN(9)
}

// A convolution in f32 is the chain of fused multiply-adds that starts from the bias and runs over kernel positions, then
// channels, skipping the padding: bit for bit.
func TestConvIsItsChain(t *testing.T) {
	rng := draws(t)
	for range *count {
		s := drawSpatial(rng, false)
		group, cg, og := groupsOf(rng)
		batch, in, outC := 1+rng.IntN(2), group*cg, group*og
		s.attrs.Set("group", group)
		lo, hi := bounds(rng, s.attrs)
		x := randomFloats(rng, tensor.F32, nhwc(batch, s.in, in)...)
		w := randomFloats(rng, tensor.F32, append(append([]int{outC}, s.kernel...), cg)...)
		c := &op.Call{Name: "c", Op: "Conv", Attrs: s.attrs, In: []*tensor.Tensor{x, w}, Out: []*tensor.Tensor{{}}}
		var bias []float32
		if rng.IntN(2) == 0 {
			b := randomFloats(rng, tensor.F32, outC)
			bias = tensor.Of[float32](b)
			c.In = append(c.In, b)
		}
		if err := sameOnThreads(Ops["Conv"], c); err != nil {
			t.Fatalf("%v %v %v: %v", x, w, s.attrs, err)
		}
		got := tensor.Of[float32](c.Out[0])
		xs, ws := tensor.Of[float32](x), tensor.Of[float32](w)
		positions, taps, inPos := product1(s.out), product1(s.kernel), product1(s.in)
		for i := range got {
			o, p, n := i%outC, i/outC%positions, i/outC/positions
			sum := float32(0)
			if bias != nil {
				sum = bias[o]
			}
			for k := range taps {
				at := s.input(p, k)
				if at < 0 {
					continue
				}
				for ch := range cg {
					sum = fmath.FMA(xs[(n*inPos+at)*in+o/og*cg+ch], ws[(o*taps+k)*cg+ch], sum)
				}
			}
			if want := float32(math.Max(lo, math.Min(hi, float64(sum)))); got[i] != want {
				t.Fatalf("%v %v %v: element %d is %g, want %g", x, w, s.attrs, i, got[i], want)
			}
		}
	}
}

// quantCase draws the element types of a quantised operator: activations, weights, bias.
func quantCase(rng *rand.Rand) (x, w, y, b tensor.DType, symmetric bool) {
	x = []tensor.DType{tensor.I8, tensor.U8, tensor.I16}[rng.IntN(3)]
	w = []tensor.DType{tensor.I8, tensor.I8, tensor.U8, tensor.I4}[rng.IntN(4)]
	y, b = x, tensor.I32
	if rng.IntN(5) == 0 {
		y = tensor.I8
	}
	if x == tensor.I16 {
		b, symmetric = tensor.I64, true
	}
	return x, w, y, b, symmetric
}

// quantBias makes a bias of n integers whose scale is implied.
func quantBias(rng *rand.Rand, d tensor.DType, n int) *tensor.Tensor {
	t := tensor.New(d, tensor.Shape{n})
	for i := range n {
		v := rng.Int64N(20001) - 10000
		if d == tensor.I64 {
			tensor.Of[int64](t)[i] = v
		} else {
			tensor.Of[int32](t)[i] = int32(v)
		}
	}
	return t
}

// A quantised convolution is that of the reals, rounded to the output, within one step.
func TestQuantisedConv(t *testing.T) {
	rng := draws(t)
	for range 2 * *count {
		s := drawSpatial(rng, false)
		group, cg, og := groupsOf(rng)
		in, outC := group*cg, group*og
		s.attrs.Set("group", group)
		dx, dw, dy, db, symmetric := quantCase(rng)
		x := quantised(rng, randomInts(rng, dx, 0, nhwc(1, s.in, in)...), 1, 0, symmetric)
		n := 1
		if rng.IntN(2) == 0 {
			n = outC
		}
		w := quantised(rng, randomInts(rng, dw, 0, append(append([]int{outC}, s.kernel...), cg)...), n, 0, dw != tensor.U8)
		y := quantised(rng, &tensor.Tensor{DType: dy}, 1, 0, symmetric && dy == tensor.I16)
		taps := product1(s.kernel)
		y.Quant.Scale[0] = x.Quant.Scale[0] * w.Quant.Scale[0] * float32(taps*cg*int(1<<(dx.Bits()-dy.Bits()))) * 40
		lo, hi := bounds(rng, s.attrs)
		c := &op.Call{Name: "c", Op: "Conv", Attrs: s.attrs, In: []*tensor.Tensor{x, w, nil}, Out: []*tensor.Tensor{y}}
		if rng.IntN(2) == 0 {
			c.In[2] = quantBias(rng, db, outC)
		}
		if err := sameOnThreads(Ops["Conv"], c); err != nil {
			t.Fatalf("%v %v %v %v: %v", x, w, y, s.attrs, err)
		}
		positions := product1(s.out)
		for i := range y.Len() {
			o, p := i%outC, i/outC%positions
			sum := real(c.In[2], o) * float64(x.Quant.Scale[0]) * float64(w.Quant.Scale[min(o, n-1)])
			for k := range taps {
				if at := s.input(p, k); at >= 0 {
					for ch := range cg {
						sum += real(x, at*in+o/og*cg+ch) * real(w, (o*taps+k)*cg+ch)
					}
				}
			}
			sum = math.Max(lo, math.Min(hi, sum))
			if err := withinStep(y, i, sum); err != nil {
				t.Fatalf("%v %v %v %v %v %v: %v", x, w, y, x.Quant, y.Quant, s.attrs, err)
			}
		}
	}
}

// A transposed convolution scatters each input times the kernel; in f32, bit for bit, the chain over kernel positions and channels.
func TestConvTransposeIsItsScatter(t *testing.T) {
	rng := draws(t)
	for i := range 2 * *count {
		s := drawSpatial(rng, true) // from the output (in) to the input (out)
		quant := i%2 == 1
		group, cg, og := groupsOf(rng)
		if quant {
			group = 1
		}
		inC, outC := group*cg, group*og
		s.attrs.Set("group", group)
		extra := make([]int, len(s.in))
		for d := range extra {
			extra[d] = s.in[d] + s.begin[d] + s.end[d] - ((s.kernel[d]-1)*s.dilation[d] + 1) - (s.out[d]-1)*s.stride[d]
		}
		s.attrs.Set("output_padding", extra)
		lo, hi := bounds(rng, s.attrs)
		taps, positions, inPos := product1(s.kernel), product1(s.in), product1(s.out)
		wShape := append(append([]int{inC}, s.kernel...), og)
		var x, w, y *tensor.Tensor
		bias := (*tensor.Tensor)(nil)
		if quant {
			dx, dw, dy, db, symmetric := quantCase(rng)
			x = quantised(rng, randomInts(rng, dx, 0, nhwc(1, s.out, inC)...), 1, 0, symmetric)
			n := []int{1, og}[rng.IntN(2)]
			w = quantised(rng, randomInts(rng, dw, 0, wShape...), n, len(wShape)-1, dw != tensor.U8)
			y = quantised(rng, &tensor.Tensor{DType: dy}, 1, 0, false)
			y.Quant.Scale[0] = x.Quant.Scale[0] * w.Quant.Scale[0] * float32(taps*cg*int(1<<(dx.Bits()-dy.Bits()))) * 40
			if rng.IntN(2) == 0 {
				bias = quantBias(rng, db, outC)
			}
		} else {
			x, w, y = randomFloats(rng, tensor.F32, nhwc(1, s.out, inC)...), randomFloats(rng, tensor.F32, wShape...), &tensor.Tensor{}
			if rng.IntN(2) == 0 {
				bias = randomFloats(rng, tensor.F32, outC)
			}
		}
		c := &op.Call{Name: "c", Op: "ConvTranspose", Attrs: s.attrs, In: []*tensor.Tensor{x, w, bias}, Out: []*tensor.Tensor{y}}
		if err := sameOnThreads(Ops["ConvTranspose"], c); err != nil {
			t.Fatalf("%v %v %v: %v", x, w, s.attrs, err)
		}
		if want := nhwc(1, s.in, outC); !y.Shape.Equal(want) {
			t.Fatalf("%v %v %v: result %v, want %v", x, w, s.attrs, y.Shape, want)
		}
		sums, chains := make([]float64, positions*outC), make([]float32, positions*outC)
		for i := range sums {
			o := i % outC
			sums[i] = real(bias, o)
			if quant {
				sums[i] *= float64(x.Quant.Scale[0]) * float64(w.Quant.Scale[min(o, len(w.Quant.Scale)-1)])
			}
			chains[i] = float32(sums[i])
		}
		for k := range taps {
			for p := range inPos {
				at := s.input(p, k)
				if at < 0 {
					continue
				}
				for ch := range inC {
					for o := range og {
						to := at*outC + ch/cg*og + o
						a, b := real(x, p*inC+ch), real(w, (ch*taps+k)*og+o)
						sums[to] += a * b
						if !quant {
							chains[to] = fmath.FMA(float32(a), float32(b), chains[to])
						}
					}
				}
			}
		}
		for i := range sums {
			if quant {
				if err := withinStep(y, i, math.Max(lo, math.Min(hi, sums[i]))); err != nil {
					t.Fatalf("%v %v %v %v: %v", x, w, y, s.attrs, err)
				}
			} else if got, want := tensor.Of[float32](y)[i], float32(math.Max(lo, math.Min(hi, float64(chains[i])))); got != want {
				t.Fatalf("%v %v %v: element %d is %g, want %g", x, w, s.attrs, i, got, want)
			}
		}
	}
}
