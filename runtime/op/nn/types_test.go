package nn

import (
	"bytes"
	"math"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// eval evaluates an operator and returns its first output, with the type and parameters of like.
func eval(t *testing.T, name string, a attr.Attrs, n num.Numerics, like *tensor.Tensor, in ...*tensor.Tensor) *tensor.Tensor {
	t.Helper()
	out := &tensor.Tensor{}
	if like != nil {
		out.DType, out.Quant = like.DType, like.Quant
	}
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in, Out: []*tensor.Tensor{out}, Num: n}
	if err := op.Eval(Ops[name], c, 0); err != nil {
		t.Fatalf("%s %v %v: %v", name, in, a, err)
	}
	return out
}

// as converts f32 to another float type.
func as(t *tensor.Tensor, d tensor.DType) *tensor.Tensor {
	r := tensor.New(d, t.Shape)
	for i, f := range tensor.Of[float32](t) {
		switch d {
		case tensor.F32:
			tensor.Of[float32](r)[i] = f
		case tensor.F64:
			tensor.Of[float64](r)[i] = float64(f)
		case tensor.F16:
			tensor.Of[uint16](r)[i] = half.F16(f)
		case tensor.BF16:
			tensor.Of[uint16](r)[i] = half.BF16(f)
		}
	}
	return r
}

// widened reads any float tensor as f32.
func widened(t *tensor.Tensor) *tensor.Tensor {
	r := tensor.New(tensor.F32, t.Shape)
	copy(tensor.Of[float32](r), newFloats(&op.Call{}, t).get())
	return r
}

// nearBF16 reports whether numbers of some units differ no more than the order of sums explains, and beyond that by a share of themselves.
func nearBF16(got, want *tensor.Tensor, share float64) bool {
	if !got.Shape.Equal(want.Shape) {
		return false
	}
	for i := range want.Len() {
		if w := real(want, i); math.Abs(real(got, i)-w) > 1e-4+share*math.Abs(w) {
			return false
		}
	}
	return true
}

// Convolutions of f16 and bf16 are those of the widened numbers, rounded once; in f64 they are near those of f32 but finer; with the
// numerics fp16 the weights alone are narrow; with bf16 both operands are rounded first.
func TestConvTypes(t *testing.T) {
	rng := draws(t)
	differ := false
	for range *count / 3 {
		s := drawSpatial(rng, true)
		group, cg, og := groupsOf(rng)
		s.attrs.Set("group", group)
		x := randomFloats(rng, tensor.F32, nhwc(1, s.in, group*cg)...)
		w := randomFloats(rng, tensor.F32, append(append([]int{group * og}, s.kernel...), cg)...)
		b := randomFloats(rng, tensor.F32, group*og)
		for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
			nx, nw, nb := as(x, d), as(w, d), as(b, d)
			want := as(eval(t, "Conv", s.attrs, 0, nil, widened(nx), widened(nw), widened(nb)), d)
			if got := eval(t, "Conv", s.attrs, 0, nil, nx, nw, nb); got.DType != d || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("%v: result differs from the widened one's", d)
			}
		}
		w16 := as(w, tensor.F16)
		if got, want := eval(t, "Conv", s.attrs, num.FP16, nil, x, w16, b), eval(t, "Conv", s.attrs, 0, nil, x, widened(w16), b); !bytes.Equal(got.Data, want.Data) {
			t.Fatal("fp16: result differs from that of the widened weights")
		}
		rx, rw := widened(as(x, tensor.BF16)), widened(as(w, tensor.BF16))
		want := eval(t, "Conv", s.attrs, 0, nil, rx, rw, b)
		if got := eval(t, "Conv", s.attrs, num.BF16, nil, x, w, b); !nearBF16(got, want, 0) {
			t.Fatal("bf16: result differs from that of rounded operands")
		}
		// Stored as BF16, before and after.
		for _, result := range []string{"f32", "bf16"} {
			a := s.attrs.Clone()
			a.Set("result_type", result)
			got := eval(t, "Conv", a, num.BF16, nil, as(x, tensor.BF16), as(w, tensor.BF16), b)
			if got.DType.String() != result || !nearBF16(widened(got), want, map[string]float64{"bf16": 0x1p-8}[result]) {
				t.Fatalf("bf16: result of type %s differs", result)
			}
		}
		fine := eval(t, "Conv", s.attrs, 0, nil, as(x, tensor.F64), as(w, tensor.F64), as(b, tensor.F64))
		plain := eval(t, "Conv", s.attrs, 0, nil, x, w, b)
		for i := range plain.Len() {
			d := real(fine, i) - real(plain, i)
			differ = differ || d != 0
			if fine.DType != tensor.F64 || math.Abs(d) > 1e-4 {
				t.Fatalf("f64: element %d is %g, in f32 %g", i, real(fine, i), real(plain, i))
			}
		}
	}
	if !differ {
		t.Fatal("f64: never finer than f32")
	}
}

// The layouts agree: NCHW gives the transposed result of NHWC, for floats and quantised values.
func TestLayoutsAgree(t *testing.T) {
	rng := draws(t)
	first := func(x *tensor.Tensor) *tensor.Tensor {
		n := len(x.Shape)
		r := *tensor.New(x.DType, append(tensor.Shape{x.Shape[0], x.Shape[n-1]}, x.Shape[1:n-1]...))
		toChannelsFirst(&r, x)
		if x.Quant != nil {
			q := *x.Quant
			if q.Axis == n-1 {
				q.Axis = 1
			}
			r.Quant = &q
		}
		return &r
	}
	for i := range *count {
		s := drawSpatial(rng, true)
		nchw := s.attrs.Clone()
		nchw["layout"] = "NCHW"
		x, w := randomFloats(rng, tensor.F32, nhwc(2, s.in, 3)...), randomFloats(rng, tensor.F32, nhwc(5, s.kernel, 3)...)
		var y *tensor.Tensor
		if i%2 == 0 {
			x = quantised(rng, randomInts(rng, tensor.I8, 0, x.Shape...), 1, 0, false)
			w = quantised(rng, randomInts(rng, tensor.I8, 0, w.Shape...), 5, 0, true)
			y = quantised(rng, &tensor.Tensor{DType: tensor.I8}, 1, 0, false)
		}
		want := first(eval(t, "Conv", s.attrs, 0, y, x, w))
		if got := eval(t, "Conv", nchw, 0, y, first(x), first(w)); !bytes.Equal(got.Data, want.Data) || !got.Shape.Equal(want.Shape) {
			t.Fatalf("Conv %v %v %v: layouts differ", x, w, s.attrs)
		}
		wt := randomFloats(rng, tensor.F32, nhwc(3, s.kernel, 5)...)
		if y != nil {
			wt = quantised(rng, randomInts(rng, tensor.I8, 0, wt.Shape...), 5, len(wt.Shape)-1, true)
		}
		for _, a := range []attr.Attrs{s.attrs, nchw} {
			a.Set("pads", make([]int, 2*len(s.in)))
		}
		want = first(eval(t, "ConvTranspose", s.attrs, 0, y, x, wt))
		if got := eval(t, "ConvTranspose", nchw, 0, y, first(x), first(wt)); !bytes.Equal(got.Data, want.Data) || !got.Shape.Equal(want.Shape) {
			t.Fatalf("ConvTranspose %v %v %v: layouts differ", x, wt, s.attrs)
		}
		want = first(eval(t, "GlobalAveragePool", attr.Attrs{"layout": "NHWC"}, 0, y, x))
		if got := eval(t, "GlobalAveragePool", attr.Attrs{}, 0, y, first(x)); !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("GlobalAveragePool %v: layouts differ", x)
		}
	}
}

// Quantised weights of f32 operators are dequantised once.
func TestWeightOnly(t *testing.T) {
	rng := draws(t)
	for range *count / 3 {
		d := []tensor.DType{tensor.I8, tensor.I4, tensor.U4, tensor.I2, tensor.U8}[rng.IntN(5)]
		k, n := 1+rng.IntN(20), 1+rng.IntN(9)
		x := randomFloats(rng, tensor.F32, 3, k)
		w := quantised(rng, randomInts(rng, d, 0, k, n), []int{1, n}[rng.IntN(2)], 1, false)
		f := tensor.New(tensor.F32, w.Shape)
		for i := range f.Len() {
			tensor.Of[float32](f)[i] = float32(real(w, i))
		}
		got, want := eval(t, "MatMul", attr.Attrs{}, 0, nil, x, w), eval(t, "MatMul", attr.Attrs{}, 0, nil, x, f)
		if !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("%v: result differs from that of the dequantised weights", w)
		}
		v := quantised(rng, randomInts(rng, d, 0, n, 1, 1, k), n, 0, false)
		g := tensor.New(tensor.F32, v.Shape)
		for i := range g.Len() {
			tensor.Of[float32](g)[i] = float32(real(v, i))
		}
		a := attr.Attrs{"layout": "NHWC"}
		y := x.View(tensor.Shape{1, 3, 1, k})
		if got, want := eval(t, "Conv", a, 0, nil, y, v), eval(t, "Conv", a, 0, nil, y, g); !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("%v: result differs from that of the dequantised weights", v)
		}
	}
}

// A convolution with offset 0 and no mask is a plain one; a mask scales the samples.
func TestDeformConvAtRest(t *testing.T) {
	rng := draws(t)
	for range *count / 3 {
		group, cg, og := groupsOf(rng)
		a := attr.Attrs{"layout": "NHWC", "group": int64(group), "pads": []int64{1, 1, 1, 1}}
		x := randomFloats(rng, tensor.F32, 2, 6, 5, group*cg)
		w := randomFloats(rng, tensor.F32, group*og, 3, 3, cg)
		want := eval(t, "Conv", a, 0, nil, x, w)
		offset, mask := tensor.New(tensor.F32, tensor.Shape{2, 6, 5, 18}), tensor.New(tensor.F32, tensor.Shape{2, 6, 5, 9})
		if got := eval(t, "DeformConv", a, 0, nil, x, w, offset); !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("%v %v: result differs from Conv's", x, w)
		}
		for i := range mask.Len() {
			tensor.Of[float32](mask)[i] = 2
		}
		for i, v := range tensor.Of[float32](eval(t, "DeformConv", a, 0, nil, x, w, offset, nil, mask)) {
			if v != 2*tensor.Of[float32](want)[i] {
				t.Fatalf("element %d is %g, want %g", i, v, 2*tensor.Of[float32](want)[i])
			}
		}
		// A shift by a whole pixel is a convolution of the shifted input.
		for i := 0; i < offset.Len(); i += 2 {
			tensor.Of[float32](offset)[i] = 1
		}
		moved := tensor.New(tensor.F32, x.Shape)
		row := 5 * group * cg
		for n := range 2 {
			copy(tensor.Of[float32](moved)[n*6*row:(n*6+5)*row], tensor.Of[float32](x)[(n*6+1)*row:(n+1)*6*row])
		}
		shifted, conv := eval(t, "DeformConv", a, 0, nil, x, w, offset), eval(t, "Conv", a, 0, nil, moved, w)
		for i, v := range tensor.Of[float32](shifted) {
			// The first row sees what the shifted input lost.
			if y := i / (5 * group * og) % 6; y > 0 && v != tensor.Of[float32](conv)[i] {
				t.Fatalf("%v %v: element %d is %g, want %g", x, w, i, v, tensor.Of[float32](conv)[i])
			}
		}
	}
}

// Einsum against the sum over all letters.
func TestEinsum(t *testing.T) {
	rng := draws(t)
	dims := map[byte]int{'a': 2, 'b': 3, 'c': 4, 'd': 5, 'e': 2}
	for _, eq := range []string{"ab,bc->ac", "ab,bc->ca", "abc,abd->acd", "abc,bcd->ad", "abcd,abed->abce", "ab,ab->", "ab,cd->abcd", "ab,b->a", "aab,b->ab", "abc->cb",
		"a,b,c->abc", "ab,bc,cd->ad", "ab,b,ab->a", "abc,c,ba->ca", "ab,bc"} {
		left, right := eq, ""
		for i := range eq {
			if eq[i] == '-' {
				left, right = eq[:i], eq[i+2:]
			}
		}
		if left == eq {
			right = "ac"
		}
		var in []*tensor.Tensor
		var terms [][]byte
		for _, term := range bytes.Split([]byte(left), []byte(",")) {
			var shape []int
			for _, l := range term {
				shape = append(shape, dims[l])
			}
			in, terms = append(in, randomFloats(rng, tensor.F32, shape...)), append(terms, term)
		}
		got := eval(t, "Einsum", attr.Attrs{"equation": eq}, 0, nil, in...)
		want := make([]float64, got.Len())
		letters := "abcde"
		for flat := range 2 * 3 * 4 * 5 * 2 {
			at := map[byte]int{}
			for i, r := 4, flat; i >= 0; i-- {
				at[letters[i]], r = r%dims[letters[i]], r/dims[letters[i]]
			}
			used := true // each letter that no operand has counts once
			for _, l := range []byte(letters) {
				used = used && (bytes.IndexByte([]byte(left), l) >= 0 || at[l] == 0)
			}
			if !used {
				continue
			}
			v := 1.0
			for k, term := range terms {
				i := 0
				for _, l := range term {
					i = i*dims[l] + at[l]
				}
				v *= real(in[k], i)
			}
			o := 0
			for _, l := range []byte(right) {
				o = o*dims[l] + at[l]
			}
			want[o] += v
		}
		for i, v := range want {
			if g := real(got, i); math.Abs(g-v) > 1e-4*(1+math.Abs(v)) {
				t.Errorf("%s: element %d is %g, want %g", eq, i, g, v)
				break
			}
		}
	}
}
