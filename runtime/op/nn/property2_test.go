package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// batches draws two batch shapes that broadcast, and their result.
func batches(rng *rand.Rand) (a, b, y []int) {
	for range rng.IntN(3) {
		n := 1 + rng.IntN(3)
		y = append(y, n)
		a = append(a, [...]int{n, 1}[rng.IntN(2)])
		b = append(b, [...]int{n, 1}[rng.IntN(2)])
		if a[len(a)-1] != n {
			b[len(b)-1] = n
		}
	}
	// Leading ones may be left out.
	for len(b) > 0 && b[0] == 1 && rng.IntN(2) == 0 {
		b = b[1:]
	}
	return a, b, y
}

// MatMul in f32 is one chain of fused multiply-adds per element, whatever the batches; f16 and bf16 are widened and rounded once;
// f64 and integers are plain sums. In the numerics bf16 both operands are rounded first.
func TestMatMul(t *testing.T) {
	rng := draws(t)
	for range 2 * *count {
		ab, bb, yb := batches(rng)
		m, k, n := 1+rng.IntN(9), rng.IntN(20), 1+rng.IntN(13)
		d := []tensor.DType{tensor.F32, tensor.F32, tensor.F16, tensor.BF16, tensor.F64}[rng.IntN(5)]
		a := randomFloats(rng, d, append(append([]int{}, ab...), m, k)...)
		b := randomFloats(rng, d, append(append([]int{}, bb...), k, n)...)
		c := &op.Call{Name: "m", Op: "MatMul", Attrs: attr.Attrs{}, In: []*tensor.Tensor{a, b}, Out: []*tensor.Tensor{{}}}
		round := func(f float32) float32 { return f }
		if d == tensor.F32 && rng.IntN(3) == 0 {
			c.Num = num.BF16
			round = func(f float32) float32 { return half.FromBF16(half.BF16(f)) }
		}
		lo, hi := bounds(rng, c.Attrs)
		if err := sameOnThreads(Ops["MatMul"], c); err != nil {
			t.Fatalf("%v %v: %v", a, b, err)
		}
		y := c.Out[0]
		if want := append(append([]int{}, yb...), m, n); !y.Shape.Equal(want) || y.DType != d {
			t.Fatalf("%v %v: %v, want %v", a, b, y, want)
		}
		as, bs := broadcastStrides(a.Shape[:len(ab)], yb), broadcastStrides(b.Shape[:len(bb)], yb)
		for i := range y.Len() {
			batch, r, col := i/(m*n), i/n%m, i%n
			af, bf := offsetOf(batch, yb, as)*m*k, offsetOf(batch, yb, bs)*k*n
			chain, sum := float32(0), 0.0
			for p := range k {
				x, w := real(a, af+r*k+p), real(b, bf+p*n+col)
				chain = fmath.FMA(round(float32(x)), round(float32(w)), chain)
				sum += float64(x * w)
			}
			want := math.Max(lo, math.Min(hi, float64(chain)))
			switch d {
			case tensor.F16:
				want = float64(half.FromF16(half.F16(float32(want))))
			case tensor.BF16:
				want = float64(half.FromBF16(half.BF16(float32(want))))
			case tensor.F64:
				want = math.Max(lo, math.Min(hi, sum))
			}
			if got := real(y, i); got != want && !(c.Num == num.BF16 && math.Abs(got-want) < 1e-4) {
				t.Fatalf("%v %v: element %d is %g, want %g", a, b, i, got, want)
			}
		}
	}
}

// Gemm against float64.
func TestGemm(t *testing.T) {
	rng := draws(t)
	for range 2 * *count {
		m, k, n := 1+rng.IntN(9), 1+rng.IntN(20), 1+rng.IntN(13)
		tA, tB := rng.IntN(2), rng.IntN(2)
		aS, bS := []int{m, k}, []int{k, n}
		if tA == 1 {
			aS = []int{k, m}
		}
		if tB == 1 {
			bS = []int{n, k}
		}
		d := []tensor.DType{tensor.F32, tensor.F64}[rng.IntN(2)]
		c := &op.Call{Name: "g", Op: "Gemm", Attrs: attr.Attrs{"transA": int64(tA), "transB": int64(tB)}, In: []*tensor.Tensor{randomFloats(rng, d, aS...), randomFloats(rng, d, bS...), nil}, Out: []*tensor.Tensor{{}}}
		alpha, beta := float32(1), float32(1)
		if rng.IntN(2) == 0 {
			alpha, beta = .5, 3
			c.Attrs.Set("alpha", alpha)
			c.Attrs.Set("beta", beta)
		}
		var cS []int
		if rng.IntN(4) > 0 {
			cS = [][]int{{}, {1}, {n}, {1, n}, {m, 1}, {m, n}, {1, 1}}[rng.IntN(7)]
			c.In[2] = randomFloats(rng, d, cS...)
		}
		lo, hi := bounds(rng, c.Attrs)
		if err := sameOnThreads(Ops["Gemm"], c); err != nil {
			t.Fatalf("%v %v: %v", c.In, c.Attrs, err)
		}
		for i := range m * n {
			r, col := i/n, i%n
			sum := 0.0
			for p := range k {
				ai, bi := r*k+p, p*n+col
				if tA == 1 {
					ai = p*m + r
				}
				if tB == 1 {
					bi = col*k + p
				}
				sum += real(c.In[0], ai) * real(c.In[1], bi)
			}
			want := float64(alpha) * sum
			if c.In[2] != nil {
				want += float64(beta) * real(c.In[2], offsetOf(i, []int{m, n}, broadcastStrides(cS, []int{m, n})))
			}
			want = math.Max(lo, math.Min(hi, want))
			tolerance := 1e-5
			if d == tensor.F64 {
				tolerance = 1e-12
			}
			if got := real(c.Out[0], i); math.Abs(got-want) > tolerance*(1+math.Abs(want)) {
				t.Fatalf("%v %v: element %d is %g, want %g", c.In, c.Attrs, i, got, want)
			}
		}
	}
}

// Gemm on integers.
func TestGemmInts(t *testing.T) {
	c := &op.Call{Name: "g", Op: "Gemm", Attrs: attr.Attrs{"beta": float32(2)}, Out: []*tensor.Tensor{{}},
		In: []*tensor.Tensor{tensor.From([]int32{1, 2, 3, 4}, 2, 2), tensor.From([]int32{5, 6, 7, 8}, 2, 2), tensor.From([]int32{10, 20})}}
	for _, want := range [][]int32{{39, 62, 63, 90}, {29, 42, 53, 70}} {
		if err := op.Eval(Ops["Gemm"], c, 0); err != nil {
			t.Fatal(err)
		}
		if got := tensor.Of[int32](c.Out[0]); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", c.Attrs, got, want)
		}
		delete(c.Attrs, "beta")
	}
}

// Quantised products are those of the reals within one step.
func TestQuantisedMatMul(t *testing.T) {
	rng := draws(t)
	for range 3 * *count {
		dx, dw, dy, db, symmetric := quantCase(rng)
		m, k, n := 1+rng.IntN(9), 1+rng.IntN(40), 1+rng.IntN(13)
		gemm := rng.IntN(2) == 0
		tB := gemm && rng.IntN(2) == 0
		wShape, axis := []int{k, n}, 1
		if tB {
			wShape, axis = []int{n, k}, 0
		}
		scales := 1
		if rng.IntN(2) == 0 {
			scales = n
		}
		x := quantised(rng, randomInts(rng, dx, 0, m, k), 1, 0, symmetric)
		w := quantised(rng, randomInts(rng, dw, 0, wShape...), scales, axis, dw != tensor.U8)
		y := quantised(rng, &tensor.Tensor{DType: dy}, 1, 0, symmetric && dy == tensor.I16)
		y.Quant.Scale[0] = x.Quant.Scale[0] * w.Quant.Scale[0] * float32(k*int(1<<(dx.Bits()-dy.Bits()))) * 40
		c := &op.Call{Name: "q", Op: "MatMul", Attrs: attr.Attrs{}, In: []*tensor.Tensor{x, w}, Out: []*tensor.Tensor{y}}
		var bias *tensor.Tensor
		if gemm {
			c.Op = "Gemm"
			c.Attrs.Set("transB", tB)
			if rng.IntN(2) == 0 {
				bias = quantBias(rng, db, n)
				c.In = append(c.In, bias)
			}
		}
		lo, hi := bounds(rng, c.Attrs)
		if err := sameOnThreads(Ops[c.Op], c); err != nil {
			t.Fatalf("%v %v: %v", c.In, c.Attrs, err)
		}
		for i := range m * n {
			r, col := i/n, i%n
			sum := real(bias, col) * float64(x.Quant.Scale[0]) * float64(w.Quant.Scale[min(col, scales-1)])
			for p := range k {
				wi := p*n + col
				if tB {
					wi = col*k + p
				}
				sum += real(x, r*k+p) * real(w, wi)
			}
			if err := withinStep(y, i, math.Max(lo, math.Min(hi, sum))); err != nil {
				t.Fatalf("%v %v %v: %v", c.In, y, c.Attrs, err)
			}
		}
	}
}

// Hybrid products follow TFLite: each row is quantised by its largest magnitude, or its range.
func TestHybrid(t *testing.T) {
	rng := draws(t)
	for range *count {
		m, k, n := 1+rng.IntN(5), 1+rng.IntN(40), 1+rng.IntN(13)
		asymmetric := rng.IntN(2) == 0
		x := randomFloats(rng, tensor.F32, m, k)
		if rng.IntN(4) == 0 {
			clear(tensor.Of[float32](x)[:k]) // a row of zeros
		}
		w := quantised(rng, randomInts(rng, tensor.I8, 0, n, k), []int{1, n}[rng.IntN(2)], 0, true)
		b := randomFloats(rng, tensor.F32, n)
		c := &op.Call{Name: "h", Op: "Gemm", Attrs: attr.Attrs{"transB": int64(1), "dynamic_quantize": int64(1)}, In: []*tensor.Tensor{x, w, b}, Out: []*tensor.Tensor{{}}}
		c.Attrs.Set("asymmetric_quantize_inputs", asymmetric)
		if err := sameOnThreads(Ops["Gemm"], c); err != nil {
			t.Fatal(err)
		}
		for i := range m * n {
			r, col := i/n, i%n
			row := tensor.Of[float32](x)[r*k : (r+1)*k]
			lo, hi := float32(0), float32(0)
			for _, v := range row {
				lo, hi = min(lo, v), max(hi, v)
			}
			scale, zero, least := max(-lo, hi)/127, 0.0, -127.0
			if asymmetric {
				scale, least = (hi-lo)/255, -128
				zero = math.Max(-128, math.Min(127, math.RoundToEven(-128-float64(lo)/float64(scale))))
			}
			sum, bound := 0.0, 0.0
			for p, v := range row {
				if scale == 0 {
					break
				}
				q := math.Max(least, math.Min(127, math.Round(float64(v/scale)+zero))) - zero
				sum += q * real(w, col*k+p)
				bound += math.Abs(real(w, col*k+p)) * float64(scale) * .02 // a division against a product may round to the neighbour
			}
			want := sum*float64(scale) + real(b, col)
			if got := real(c.Out[0], i); math.Abs(got-want) > bound+1e-4*(1+math.Abs(want)) && math.Abs(got-want) > float64(scale)*1.01*maxWeight(w) {
				t.Fatalf("asymmetric %v: element %d is %g, want %g", asymmetric, i, got, want)
			}
		}
	}
}

func maxWeight(w *tensor.Tensor) float64 {
	m := 0.0
	for i := range w.Len() {
		m = math.Max(m, math.Abs(real(w, i)))
	}
	return m
}

// A hybrid convolution equals the product of the same numbers.
func TestHybridConvIsHybridProduct(t *testing.T) {
	rng := draws(t)
	const k, n = 20, 7
	x := randomFloats(rng, tensor.F32, 3, k)
	w := quantised(rng, randomInts(rng, tensor.I8, 0, n, k), n, 0, true)
	gemm := &op.Call{Name: "g", Op: "Gemm", Attrs: attr.Attrs{"transB": int64(1), "dynamic_quantize": int64(1)}, In: []*tensor.Tensor{x, w}, Out: []*tensor.Tensor{{}}}
	conv := &op.Call{Name: "c", Op: "Conv", Attrs: attr.Attrs{"layout": "NHWC", "dynamic_quantize": int64(1)},
		In: []*tensor.Tensor{x.View([]int{3, 1, 1, k}), w.View([]int{n, 1, 1, k})}, Out: []*tensor.Tensor{{}}}
	transposed := &op.Call{Name: "t", Op: "ConvTranspose", Attrs: attr.Attrs{"layout": "NHWC", "dynamic_quantize": int64(1)}, In: []*tensor.Tensor{conv.In[0], nil}, Out: []*tensor.Tensor{{}}}
	wt := tensor.New(tensor.I8, tensor.Shape{k, 1, 1, n})
	for i := range n * k {
		wt.Data[i%k*n+i/k] = w.Data[i]
	}
	wt.Quant = &tensor.QParams{Scale: w.Quant.Scale, Axis: 3}
	transposed.In[1] = wt
	for _, c := range []*op.Call{gemm, conv, transposed} {
		if err := op.Eval(Ops[c.Op], c, 0); err != nil {
			t.Fatal(err)
		}
		for i, v := range tensor.Of[float32](gemm.Out[0]) {
			if got := tensor.Of[float32](c.Out[0])[i]; got != v {
				t.Errorf("%s: element %d is %g, want %g", c.Op, i, got, v)
			}
		}
	}
}

// Hybrid convolutions are exact sums of each image's integers, whether weights fit bytes or, less their zero point, do not.
func TestHybridConv(t *testing.T) {
	rng := draws(t)
	for range *count {
		batch, h, w, group, cg, og := 1+rng.IntN(3), 1+rng.IntN(6), 1+rng.IntN(9), 1+rng.IntN(2), 1+rng.IntN(9), 1+rng.IntN(30)
		kh, kw := 1+rng.IntN(3), 1+rng.IntN(3)
		sh, sw, dh, dw := 1+rng.IntN(2), 1+rng.IntN(2), 1+rng.IntN(2), 1+rng.IntN(2)
		top, left := dh*(kh-1), dw*(kw-1) // what is added behind as well, so that all kernels fit
		outH, outW, n, k := (h-1)/sh+1, (w-1)/sw+1, group*og, kh*kw*cg
		x := randomFloats(rng, tensor.F32, batch, h, w, group*cg)
		xs := tensor.Of[float32](x)
		if rng.IntN(4) == 0 {
			clear(xs[:len(xs)/batch])
		}
		if rng.IntN(3) == 0 {
			for i := range xs {
				xs[i] = max(xs[i], 0)
			}
		}
		wt := quantised(rng, randomInts(rng, []tensor.DType{tensor.I8, tensor.U8}[rng.IntN(2)], 0, n, kh, kw, cg), []int{1, n}[rng.IntN(2)], 0, rng.IntN(2) == 0)
		attrs := attr.Attrs{"layout": "NHWC", "dynamic_quantize": int64(1), "group": int64(group), "strides": []int64{int64(sh), int64(sw)},
			"dilations": []int64{int64(dh), int64(dw)}, "pads": []int64{int64(top / 2), int64(left), int64(top - top/2), 0}}
		asymmetric := rng.IntN(2) == 0
		attrs.Set("asymmetric_quantize_inputs", asymmetric)
		c := &op.Call{Name: "c", Op: "Conv", Attrs: attrs, In: []*tensor.Tensor{x, wt, randomFloats(rng, tensor.F32, n)}, Out: []*tensor.Tensor{{}}}
		if rng.IntN(3) == 0 {
			c.In = c.In[:2]
		}
		if err := sameOnThreads(Ops["Conv"], c); err != nil {
			t.Fatal(err)
		}
		zero, read := qzero(wt.Quant), intReader(wt)
		for image := range batch {
			q := make([]int16, h*w*group*cg)
			d := newDynamic[int16](&op.Call{Attrs: attrs, Par: op.Serial{}}, 1, len(q))
			d.quantise(q, xs[image*len(q):][:len(q)])
			for i := range outH * outW * n {
				oy, ox, o := i/n/outW, i/n%outW, i%n
				sum := int32(0)
				for p := range k {
					iy, ix := oy*sh-top/2+p/cg/kw*dh, ox*sw-left+p/cg%kw*dw
					if iy >= 0 && iy < h && ix >= 0 && ix < w {
						sum += int32(q[((iy*w)+ix)*group*cg+o/og*cg+p%cg]) * (read(o*k+p) - zero(o))
					}
				}
				want := float32(float32(sum) * float32(d.scale[0]*wt.Quant.Scale[min(o, len(wt.Quant.Scale)-1)]))
				if len(c.In) > 2 {
					want += tensor.Of[float32](c.In[2])[o]
				}
				if got := tensor.Of[float32](c.Out[0])[image*outH*outW*n+i]; got != want {
					t.Fatalf("%v %v %v: element %d of image %d is %g, want %g", x, wt, attrs, i, image, got, want)
				}
			}
		}
	}
}

// Of a hybrid transposed convolution whose blocks do not overlap, each position of the kernel makes a hybrid convolution of single positions.
func TestHybridConvTransposeIsHybridConvs(t *testing.T) {
	rng := draws(t)
	for range *count / 5 {
		batch, h, w, kh, kw, k, n := 1+rng.IntN(2), 1+rng.IntN(5), 1+rng.IntN(12), 1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(20), 1+rng.IntN(60)
		x, bias := randomFloats(rng, tensor.F32, batch, h, w, k), randomFloats(rng, tensor.F32, n)
		wt := quantised(rng, randomInts(rng, tensor.I8, 0, k, kh, kw, n), n, 3, true)
		attrs := attr.Attrs{"layout": "NHWC", "dynamic_quantize": int64(1), "strides": []int64{int64(kh), int64(kw)}}
		c := &op.Call{Name: "t", Op: "ConvTranspose", Attrs: attrs, In: []*tensor.Tensor{x, wt, bias}, Out: []*tensor.Tensor{{}}}
		if err := sameOnThreads(Ops["ConvTranspose"], c); err != nil {
			t.Fatal(err)
		}
		for tap := range kh * kw {
			one := tensor.New(tensor.I8, tensor.Shape{n, 1, 1, k})
			for i := range n * k {
				one.Data[i] = wt.Data[(i%k*kh*kw+tap)*n+i/k]
			}
			one.Quant = &tensor.QParams{Scale: wt.Quant.Scale}
			conv := &op.Call{Name: "c", Op: "Conv", Attrs: attr.Attrs{"layout": "NHWC", "dynamic_quantize": int64(1)}, In: []*tensor.Tensor{x, one, bias}, Out: []*tensor.Tensor{{}}}
			if err := op.Eval(Ops["Conv"], conv, 0); err != nil {
				t.Fatal(err)
			}
			for i, v := range tensor.Of[float32](conv.Out[0]) {
				r, o := i/n, i%n
				at := ((r/w*kh+tap/kw)*w*kw+r%w*kw+tap%kw)*n + o
				if got := tensor.Of[float32](c.Out[0])[at]; got != v {
					t.Fatalf("%v %v: element %d is %g, want %g", x, wt, at, got, v)
				}
			}
		}
	}
}

// Pools against loops over NHWC.
func TestPools(t *testing.T) {
	rng := draws(t)
	for range 3 * *count {
		s := drawSpatial(rng, true)
		s.attrs.Set("kernel_shape", s.kernel)
		name := []string{"MaxPool", "AveragePool", "LpPool"}[rng.IntN(3)]
		ch, include := 1+rng.IntN(20), rng.IntN(2) == 0
		if name == "AveragePool" {
			s.attrs.Set("count_include_pad", include)
		}
		p := 1 + rng.IntN(3)
		if name == "LpPool" {
			s.attrs.Set("p", p)
		}
		shape := nhwc(2, s.in, ch)
		quant := name != "LpPool" && rng.IntN(3) == 0
		c := &op.Call{Name: "p", Op: name, Attrs: s.attrs, Out: []*tensor.Tensor{{}}}
		lo, hi := math.Inf(-1), math.Inf(1)
		if quant {
			d := []tensor.DType{tensor.I8, tensor.U8, tensor.I16, tensor.U16}[rng.IntN(4)]
			x := quantised(rng, randomInts(rng, d, 0, shape...), 1, 0, false)
			q := x.Quant
			if name == "AveragePool" {
				q = &tensor.QParams{Scale: []float32{q.Scale[0] * .7}, Zero: []int32{3}}
			}
			c.In, c.Out[0] = []*tensor.Tensor{x}, &tensor.Tensor{DType: d, Quant: q}
		} else {
			d := []tensor.DType{tensor.F32, tensor.F32, tensor.F16}[rng.IntN(3)]
			if rng.IntN(4) == 0 {
				d = tensor.F64
			}
			c.In = []*tensor.Tensor{randomFloats(rng, d, shape...)}
		}
		if name != "LpPool" {
			lo, hi = bounds(rng, s.attrs)
		}
		indices := name == "MaxPool" && rng.IntN(2) == 0
		if indices {
			c.Out = append(c.Out, &tensor.Tensor{})
		}
		if err := sameOnThreads(Ops[name], c); err != nil {
			t.Fatalf("%s %v %v: %v", name, c.In, s.attrs, err)
		}
		positions, inPos := product1(s.out), product1(s.in)
		for i := range c.Out[0].Len() {
			k, pos, n := i%ch, i/ch%positions, i/ch/positions
			sum, count, top, at := 0.0, 0, math.Inf(-1), -1
			for tap := range product1(s.kernel) {
				o := s.input(pos, tap)
				if o < 0 {
					count++
					continue
				}
				count++
				v := real(c.In[0], (n*inPos+o)*ch+k)
				if name == "LpPool" {
					sum += math.Pow(math.Abs(v), float64(p))
				} else {
					sum += v
				}
				if v > top {
					top, at = v, o
				}
			}
			inside := 0
			for tap := range product1(s.kernel) {
				if s.input(pos, tap) >= 0 {
					inside++
				}
			}
			if inside == 0 {
				continue // a window in the padding alone
			}
			want := top
			switch name {
			case "AveragePool":
				want = sum / float64(inside)
				if include {
					want = sum / float64(count)
				}
			case "LpPool":
				want = math.Pow(sum, 1/float64(p))
			}
			want = math.Max(lo, math.Min(hi, want))
			var err error
			if quant {
				err = withinStep(c.Out[0], i, want)
			} else if got := real(c.Out[0], i); math.Abs(got-want) > 2e-3*math.Abs(want)+1e-6 && c.In[0].DType == tensor.F16 || math.Abs(got-want) > 2e-6*(1+math.Abs(want)) && c.In[0].DType != tensor.F16 {
				err = fmt.Errorf("element %d is %g, want %g", i, got, want)
			}
			if err != nil {
				t.Fatalf("%s %v %v: %v", name, c.In, s.attrs, err)
			}
			if indices && real(c.In[0], (n*inPos+at)*ch+k) == top && lo < top && hi > top {
				if got, want := tensor.Of[int64](c.Out[1])[i], int64((n*ch+k)*inPos+at); got != want {
					t.Fatalf("%s %v %v: index %d is %d, want %d", name, c.In, s.attrs, i, got, want)
				}
			}
		}
	}
}

// The sum of a global average runs in 16 lanes.
func TestGlobalAverageLanes(t *testing.T) {
	rng := draws(t)
	for _, n := range []int{1, 7, 16, 17, 49, 64, 100} {
		x := randomFloats(rng, tensor.F32, 1, n, 1, 3)
		c := &op.Call{Name: "g", Op: "GlobalAveragePool", Attrs: attr.Attrs{"layout": "NHWC"}, In: []*tensor.Tensor{x}, Out: []*tensor.Tensor{{}}}
		if err := op.Eval(Ops[c.Op], c, 0); err != nil {
			t.Fatal(err)
		}
		for ch := range 3 {
			var lanes [16]float32
			for i := range n {
				lanes[i%16] += tensor.Of[float32](x)[i*3+ch]
			}
			want := pairwiseSum(&lanes) / float32(n)
			if got := tensor.Of[float32](c.Out[0])[ch]; got != want {
				t.Errorf("%d positions: %g, want %g", n, got, want)
			}
		}
	}
}

// Quantize rounds to the nearest and Dequantize gives back what the integers stand for.
func TestQuantizeDequantize(t *testing.T) {
	rng := draws(t)
	for range 2 * *count {
		d := []tensor.DType{tensor.I8, tensor.U8, tensor.I16, tensor.U16, tensor.I4, tensor.U4, tensor.I2, tensor.U2}[rng.IntN(8)]
		shape := []int{1 + rng.IntN(4), 1 + rng.IntN(5), 1 + rng.IntN(6)}
		axis, n := rng.IntN(3), 1
		if rng.IntN(2) == 0 {
			n = shape[axis]
		}
		x := randomFloats(rng, tensor.F32, shape...)
		y := quantised(rng, &tensor.Tensor{DType: d}, n, axis, false)
		q := &op.Call{Name: "q", Op: "Quantize", Attrs: attr.Attrs{}, In: []*tensor.Tensor{x}, Out: []*tensor.Tensor{y}}
		if err := sameOnThreads(Ops["Quantize"], q); err != nil {
			t.Fatal(err)
		}
		back := &op.Call{Name: "d", Op: "Dequantize", Attrs: attr.Attrs{}, In: []*tensor.Tensor{y}, Out: []*tensor.Tensor{{}}}
		if err := sameOnThreads(Ops["Dequantize"], back); err != nil {
			t.Fatal(err)
		}
		lo, hi := d.IntRange()
		ch := channelOf(y.Shape, y.Quant)
		for i := range x.Len() {
			s, z := float64(y.Quant.Scale[ch(i)]), float64(y.Quant.ZeroAt(ch(i)))
			v := math.Max((float64(lo)-z)*s, math.Min((float64(hi)-z)*s, real(x, i)))
			if got := real(y, i); math.Abs(got-v) > s*(.5+1e-4) {
				t.Fatalf("%v: element %d stands for %g, want %g within %g", y, i, got, v, s/2)
			}
			if got := real(back.Out[0], i); math.Abs(got-real(y, i)) > 1e-6*math.Abs(got) {
				t.Fatalf("%v: element %d widens to %g, want %g", y, i, got, real(y, i))
			}
		}
		// To other parameters.
		z := quantised(rng, &tensor.Tensor{DType: tensor.I8}, 1, 0, false)
		z.Quant.Scale[0] = y.Quant.Scale[0] * 1.7
		r := &op.Call{Name: "r", Op: "Quantize", Attrs: attr.Attrs{}, In: []*tensor.Tensor{y}, Out: []*tensor.Tensor{z}}
		if err := sameOnThreads(Ops["Quantize"], r); err != nil {
			t.Fatal(err)
		}
		for i := range z.Len() {
			if err := withinStep(z, i, real(y, i)); err != nil {
				t.Fatalf("%v to %v: %v", y, z, err)
			}
		}
	}
}

// Errors name the operator's node and what is wrong.
func TestErrors(t *testing.T) {
	f := func(shape ...int) *tensor.Tensor { return tensor.New(tensor.F32, shape) }
	for _, x := range []struct {
		op   string
		a    attr.Attrs
		in   []*tensor.Tensor
		want string
	}{
		{"Conv", attr.Attrs{"strides": []int64{0, 1}}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "strides"},
		{"Conv", attr.Attrs{"dilations": []int64{1}}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "dilations"},
		{"Conv", attr.Attrs{"auto_pad": "HALF"}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "auto_pad"},
		{"Conv", attr.Attrs{"group": int64(2)}, []*tensor.Tensor{f(1, 3, 3, 3), f(2, 1, 2, 2)}, "groups"},
		{"Conv", attr.Attrs{"kernel_shape": []int64{3, 3}}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "kernel_shape"},
		{"Conv", attr.Attrs{"layout": "CHWN"}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "layout"},
		{"Conv", attr.Attrs{}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 5, 5)}, "larger than the padded input"},
		{"Conv", attr.Attrs{}, []*tensor.Tensor{f(1, 1, 3, 3)}, "input 1 is missing"},
		{"ConvTranspose", attr.Attrs{"output_padding": []int64{-1, 0}}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "output_padding"},
		{"ConvTranspose", attr.Attrs{"output_shape": []int64{1, 2, 3}}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, "output_shape"},
		{"DeformConv", attr.Attrs{"offset_group": int64(3)}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2), f(1, 8, 2, 2)}, "offset_group"},
		{"DeformConv", attr.Attrs{}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2), f(1, 4, 2, 2)}, "offset"},
		{"MatMul", attr.Attrs{}, []*tensor.Tensor{f(2, 3), f(4, 2)}, "do not fit"},
		{"MatMul", attr.Attrs{}, []*tensor.Tensor{f(), f(4, 2)}, "scalars"},
		{"Gemm", attr.Attrs{}, []*tensor.Tensor{f(2, 3), f(3, 4), f(3)}, "broadcast"},
		{"MaxPool", attr.Attrs{"kernel_shape": []int64{2}}, []*tensor.Tensor{f(1, 1, 3, 3)}, "kernel"},
		{"MaxPool", attr.Attrs{}, []*tensor.Tensor{f(1, 1, 3, 3)}, "kernel"},
		{"Einsum", attr.Attrs{"equation": "ij,jk"}, []*tensor.Tensor{f(2, 3)}, "equation"},
		{"QuantizeLinear", attr.Attrs{"output_dtype": int64(7)}, []*tensor.Tensor{f(2, 3), f()}, "output_dtype"},
		{"QuantizeLinear", attr.Attrs{"axis": int64(2)}, []*tensor.Tensor{f(2, 3), f(3)}, "axis"},
		{"Quantize", attr.Attrs{}, []*tensor.Tensor{f(2)}, "quantisation"},
		{"com.microsoft.MatMulNBits", attr.Attrs{"K": int64(16), "N": int64(1), "bits": int64(3), "block_size": int64(16)}, []*tensor.Tensor{f(1, 16), tensor.New(tensor.U8, []int{1, 1, 8}), f(1)}, "bits 3"},
		{"com.microsoft.FusedConv", attr.Attrs{"activation": "Mish"}, []*tensor.Tensor{f(1, 1, 3, 3), f(1, 1, 2, 2)}, `"Mish"`},
	} {
		c := &op.Call{Name: "node_7", Op: x.op, Attrs: x.a, In: x.in, Out: []*tensor.Tensor{{}}}
		err := op.Eval(Ops[x.op], c, 0)
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.HasPrefix(err.Error(), "node_7 ("+x.op+"): ") {
			t.Errorf("%s %v: error %v, want one about %q", x.op, x.a, err, x.want)
		}
	}
}

// Weights that are packed as they are stored, of 16 bits, give the same bytes as those that are not known before.
func TestNarrowWeights(t *testing.T) {
	rng := draws(t)
	for _, n := range []num.Numerics{num.FP16, num.BF16} {
		d := tensor.F16
		if n == num.BF16 {
			d = tensor.BF16
		}
		for _, m := range []int{1, 3, 70, 700} {
			c := &op.Call{Name: "n", Op: "MatMul", Num: n, In: []*tensor.Tensor{randomFloats(rng, tensor.F32, m, 301), randomFloats(rng, d, 301, 299)}, Out: []*tensor.Tensor{{}}}
			if err := sameOnThreads(Ops["MatMul"], c); err != nil {
				t.Errorf("%v: MatMul of %d rows: %v", n, m, err)
			}
		}
		for _, k := range []int{1, 3} {
			for _, size := range []int{1, 11} {
				x, w := randomFloats(rng, tensor.F32, 1, size+k-1, size+k-1, 260), randomFloats(rng, d, 270, k, k, 260)
				c := &op.Call{Name: "n", Op: "Conv", Num: n, In: []*tensor.Tensor{x, w, randomFloats(rng, tensor.F32, 270)}, Out: []*tensor.Tensor{{}}, Attrs: attr.Attrs{}}
				c.Attrs.Set("layout", "NHWC")
				if err := sameOnThreads(Ops["Conv"], c); err != nil {
					t.Errorf("%v: Conv of %dx%d by %dx%d: %v", n, size, size, k, k, err)
				}
			}
		}
	}
}
