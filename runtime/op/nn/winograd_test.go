package nn

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/pool"
)

// winogradCase draws a convolution that numerics fp32w may compute by tiles.
func winogradCase(rng *rand.Rand) (c *op.Call, s *spatial) {
	s = &spatial{kernel: []int{3, 3}, stride: []int{1, 1}, dilation: []int{1, 1}, attrs: attr.Attrs{"layout": "NHWC"}}
	uneven := rng.IntN(5) == 0 // 49 tiles make shares that differ
	for range 2 {
		in, begin, end := 12+rng.IntN(20), rng.IntN(4)-1, rng.IntN(4)-1
		if uneven {
			in, begin, end = 28, 1, 1
		}
		s.in, s.begin, s.end = append(s.in, in), append(s.begin, begin), append(s.end, end)
		s.out = append(s.out, in+begin+end-2)
	}
	s.attrs.Set("pads", append(append([]int{}, s.begin...), s.end...))
	group, cg, og := 1, 1+rng.IntN(80), 1+rng.IntN(80)
	if rng.IntN(3) == 0 {
		group, cg, og = 2+rng.IntN(2), 1+rng.IntN(40), 1+rng.IntN(40)
	} else if rng.IntN(3) == 0 {
		cg = 100 + rng.IntN(150) // few tiles at once
	}
	bounds(rng, s.attrs)
	batch := 1 + rng.IntN(2)
	if uneven {
		group, cg, batch = 1, 128, 1
	}
	s.attrs.Set("group", group)
	c = &op.Call{Name: "c", Op: "Conv", Attrs: s.attrs, Num: num.FP32W, Out: []*tensor.Tensor{{}}, In: []*tensor.Tensor{
		randomFloats(rng, tensor.F32, nhwc(batch, s.in, group*cg)...), randomFloats(rng, tensor.F32, group*og, 3, 3, cg), nil, nil}}
	if rng.IntN(2) == 0 {
		c.In[2] = randomFloats(rng, tensor.F32, group*og)
	}
	if rng.IntN(3) == 0 {
		c.In[3] = randomFloats(rng, tensor.F32, nhwc(batch, s.out, group*og)...)
		s.attrs.Set("chain", []string{"Add in=3"})
	}
	return c, s
}

// evalOn evaluates c on some threads.
func evalOn(t *testing.T, c *op.Call, par op.Par) []float32 {
	t.Helper()
	d := *c
	d.Par, d.Out = par, []*tensor.Tensor{{}}
	if err := op.Eval(Ops["Conv"], &d, 0); err != nil {
		t.Fatalf("%v: %v", c.In, err)
	}
	*c.Out[0] = *d.Out[0]
	return tensor.Of[float32](d.Out[0])
}

// What numerics fp32w compute by tiles is, bit for bit, the inverse transform of chains of fused multiply-adds over the channels, in any number of threads. It is
// as close to the true convolution as the magnitudes that it sums allow.
func TestWinogradIsItsDefinition(t *testing.T) {
	rng := draws(t)
	var pools []op.Par
	for n := range 3 {
		p := pool.New(2 + n)
		defer p.Close()
		pools = append(pools, p)
	}
	tiled := 0
	for range max(1, *count/8) {
		c, s := winogradCase(rng)
		got := evalOn(t, c, op.Serial{})
		for _, par := range pools {
			for i, x := range evalOn(t, c, par) {
				if math.Float32bits(x) != math.Float32bits(got[i]) {
					t.Fatalf("%v %v: element %d is %g on one thread, %g on %d", c.In, s.attrs, i, got[i], x, par.Threads())
				}
			}
		}
		v, err := newConv(c, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !v.winograd(c) {
			continue
		}
		tiled++
		w := &byTiles{v: v, c: c, x: tensor.Of[float32](c.In[0]), weights: tensor.Of[float32](c.In[1])}
		for range 20 {
			o, p, n := rng.IntN(v.outC), rng.IntN(v.pos), rng.IntN(v.batch)
			if rng.IntN(2) == 0 {
				p = v.pos - 1 - rng.IntN(min(v.pos, v.out[2]+2)) // near the end, where tiles are cut
			}
			want, exact, most := w.element(n, p, o)
			at := (n*v.pos+p)*v.outC + o
			if got[at] != want {
				t.Fatalf("%v %v: element %d is %g, want %g", c.In, s.attrs, at, got[at], want)
			}
			if off := math.Abs(float64(got[at]) - exact); !(off <= most) {
				t.Fatalf("%v %v: element %d is off by %g, may be by %g", c.In, s.attrs, at, off, most)
			}
		}
	}
	if tiled < *count/24 {
		t.Errorf("only %d convolutions were computed by tiles", tiled)
	}
}

// byTiles computes single elements.
type byTiles struct {
	v          *conv
	c          *op.Call
	x, weights []float32
}

// element is output channel o at position p of an image, as fp32w defines it, the true value, and how far the two may be from each other.
func (w *byTiles) element(image, p, o int) (want float32, exact, most float64) {
	v := w.v
	y, x := p/v.out[2], p%v.out[2]
	group := o / v.og
	var sums [planes]float32
	var sizes [planes]float64 // sums of magnitudes
	for k := range v.cg {
		var d, back [planes]float32
		var g [9]float64
		index, zero, scratch := [planes]int32{}, float32(0), [spec.WinogradScratch]byte{}
		for i := range d {
			iy, ix := y/4*4-v.begin[1]+i/6, x/4*4-v.begin[2]+i%6
			if index[i] = int32(i); iy < 0 || iy >= v.in[1] || ix < 0 || ix >= v.in[2] {
				index[i] = -1
				continue
			}
			d[i] = w.x[((image*v.in[1]+iy)*v.in[2]+ix)*v.channels+group*v.cg+k]
		}
		for i := range g {
			g[i] = float64(w.weights[(o*9+i)*v.cg+k])
			exact += g[i] * float64(d[(y%4+i/3)*6+x%4+i%3])
		}
		a := &spec.WinogradArgs{X: unsafe.Pointer(&d), Index: unsafe.Pointer(&index), Zero: unsafe.Pointer(&zero), Y: unsafe.Pointer(&back), Scratch: unsafe.Pointer(&scratch),
			Channels: 1, XStride: 4, YStride: 4}
		plainGo(spec.WinogradIn)(a)
		u := transformed(&g)
		magnitudes := sandwich(absB, d[:], 6)
		weights := make([]float32, 9)
		for i := range weights {
			weights[i] = float32(math.Abs(g[i]))
		}
		big := sandwich(absG, weights, 3)
		for i := range sums {
			sums[i] = fmath.FMA(back[i], u[i], sums[i])
			sizes[i] += magnitudes[i] * big[i]
		}
	}
	var out [16]float32
	a := &spec.WinogradArgs{X: unsafe.Pointer(&sums), Y: unsafe.Pointer(&out), Channels: 1, XStride: 4, YStride: 4, LineStride: 16, Rows: 4, Cols: 4,
		Lo: w.c.Attrs.Float("act_min", float32(math.Inf(-1))), Hi: w.c.Attrs.Float("act_max", float32(math.Inf(1)))}
	if b := w.c.In[2]; b != nil {
		a.Bias = unsafe.Pointer(&tensor.Of[float32](b)[o])
		exact += float64(*(*float32)(a.Bias))
	}
	plainGo(spec.WinogradOut)(a)
	want, exact = out[y%4*4+x%4], math.Max(float64(a.Lo), math.Min(float64(a.Hi), exact))
	for i, size := range sizes {
		most += math.Abs(winogradA[y%4][i/6]*winogradA[x%4][i%6]) * size
	}
	most = most*0x1p-24*float64(v.cg+20) + 0x1p-23*math.Abs(exact)
	if e := w.c.In[3]; e != nil {
		by := tensor.Of[float32](e)[(image*v.pos+p)*v.outC+o]
		want, exact = want+by, exact+float64(by)
		most += 0x1p-23 * (math.Abs(exact) + math.Abs(float64(by)))
	}
	return want, exact, most
}

// plainGo is the row of the reference.
func plainGo(o spec.Op) func(*spec.WinogradArgs) {
	const f = tensor.F32
	return kernels.For(0).Select(o, f, f, f, f, num.FP32W).Func.(func(*spec.WinogradArgs))
}

// The matrices of the transforms: A', and the magnitudes of B' and G.
var (
	winogradA = [4][6]float64{{1, 1, 1, 1, 1, 0}, {0, .75, -.75, 1.5, -1.5, 0}, {0, .5625, .5625, 2.25, 2.25, 0}, {0, .421875, -.421875, 3.375, -3.375, 1}}
	absB      = [6][]float64{{1.265625, 0, 2.8125, 0, 1, 0}, {0, 1.6875, 2.25, .75, 1, 0}, {0, 1.6875, 2.25, .75, 1, 0}, {0, .84375, .5625, 1.5, 1, 0},
		{0, .84375, .5625, 1.5, 1, 0}, {0, 1.265625, 0, 2.8125, 0, 1}}
	absG = func() (g [6][]float64) {
		for i, line := range winogradG {
			for _, x := range line {
				g[i] = append(g[i], math.Abs(x))
			}
		}
		return g
	}()
)

// sandwich is m·|d|·m' for an n×n matrix d.
func sandwich(m [6][]float64, d []float32, n int) (r [planes]float64) {
	for i := range r {
		for a := range n {
			for b := range n {
				r[i] += m[i/6][a] * m[i%6][b] * math.Abs(float64(d[a*n+b]))
			}
		}
	}
	return r
}

// The transforms undo each other: the weights' matrix belongs to those of the kernels.
func TestWinogradTransforms(t *testing.T) {
	for tap := range 3 {
		for out := range 4 {
			for in := range 6 {
				sum := 0.0
				for p := range 6 {
					sum += winogradA[out][p] * winogradG[p][tap] * signedB[p][in]
				}
				want := 0.0
				if in == out+tap {
					want = 1
				}
				if math.Abs(sum-want) > 1e-12 {
					t.Errorf("output %d, tap %d, input %d: factor %g, want %g", out, tap, in, sum, want)
				}
			}
		}
	}
}

var signedB = [6][6]float64{{1.265625, 0, -2.8125, 0, 1, 0}, {0, -1.6875, -2.25, .75, 1, 0}, {0, 1.6875, -2.25, -.75, 1, 0}, {0, -.84375, -.5625, 1.5, 1, 0},
	{0, .84375, -.5625, -1.5, 1, 0}, {0, 1.265625, 0, -2.8125, 0, 1}}
