package signal

import (
	"bytes"
	"math"
	"math/cmplx"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

func TestCases(t *testing.T) { optest.Run(t, Ops, "testdata/cases.jsonl") }

func TestTurn(t *testing.T) {
	for n := 1; n < 400; n++ {
		for k := range n {
			c, s := turn(k, n)
			a := 2 * math.Pi * float64(k) / float64(n)
			if math.Abs(c-math.Cos(a)) > 2e-15 || math.Abs(s-math.Sin(a)) > 2e-15 {
				t.Fatalf("turn(%d, %d) = %g, %g; want %g, %g", k, n, c, s, math.Cos(a), math.Sin(a))
			}
		}
	}
	for _, c := range []struct {
		k        int
		cos, sin float64
	}{{0, 1, 0}, {1, 0, 1}, {2, -1, 0}, {3, 0, -1}} {
		if x, y := turn(c.k, 4); x != c.cos || y != c.sin {
			t.Errorf("%d quarters: %g, %g", c.k, x, y)
		}
	}
	// Large numbers do not overflow.
	if c, s := turn(1<<30-1, 1<<30); math.Abs(c*c+s*s-1) > 1e-15 || s > 0 || s < -1e-8 {
		t.Errorf("the last of 2³⁰: %g, %g", c, s)
	}
}

// The sum that defines it, for every length, and back.
func TestTransformMatchesItsDefinition(t *testing.T) {
	for n := 1; n <= 70; n++ {
		f := newFFT(n)
		x := f.work()
		in := make([]complex128, n)
		for i := range in {
			in[i] = complex(math.Sin(float64(3*i*i+n)), math.Cos(float64(7*i)))
			x.re[i], x.im[i] = real(in[i]), imag(in[i])
		}
		f.run(x, false)
		for k := range n {
			var want complex128
			for j, v := range in {
				want += v * cmplx.Rect(1, -2*math.Pi*float64(j*k%n)/float64(n))
			}
			if cmplx.Abs(complex(x.re[k], x.im[k])-want) > 1e-12*float64(n) {
				t.Fatalf("length %d, bin %d: %g%+gi, want %g", n, k, x.re[k], x.im[k], want)
			}
		}
		f.run(x, true)
		for i, v := range in {
			if cmplx.Abs(complex(x.re[i], x.im[i])/complex(float64(n), 0)-v) > 1e-13*float64(n) {
				t.Fatalf("length %d: element %d does not come back", n, i)
			}
		}
	}
}

// A signal [batch,length] is one of [batch,length,1].
func TestFlatSignal(t *testing.T) {
	x := tensor.New(tensor.F32, tensor.Shape{2, 40})
	for i := range tensor.Of[float32](x) {
		tensor.Of[float32](x)[i] = float32(i*i%17) - 8
	}
	deep := *x
	deep.Shape = tensor.Shape{2, 40, 1}
	window := tensor.From([]float32{.1, .5, .8, 1, 1, .8, .5, .1})
	for _, onesided := range []int64{0, 1} {
		var y [2]*tensor.Tensor
		for i, v := range []*tensor.Tensor{x, &deep} {
			c := &op.Call{Name: "n", Op: "STFT", Attrs: attr.Attrs{"onesided": onesided}, In: []*tensor.Tensor{v, tensor.Scalar(int64(3)), window},
				Out: []*tensor.Tensor{{}}}
			if err := op.Eval(Ops["STFT"], c, 1<<20); err != nil {
				t.Fatal(err)
			}
			y[i] = c.Out[0]
		}
		if !y[0].Shape.Equal(y[1].Shape) || !bytes.Equal(y[0].Data, y[1].Data) {
			t.Errorf("onesided=%d: %v differs from %v", onesided, y[0], y[1])
		}
	}
}

func TestBadInput(t *testing.T) {
	i64 := func(v int64) *tensor.Tensor { return tensor.Scalar(v) }
	x := tensor.New(tensor.F32, tensor.Shape{2, 8, 1})
	z := tensor.New(tensor.F32, tensor.Shape{2, 8, 2})
	one := attr.Attrs{"onesided": int64(1)}
	for _, c := range []struct {
		op    string
		attrs attr.Attrs
		in    []*tensor.Tensor
		want  string
	}{
		{"DFT", nil, []*tensor.Tensor{tensor.New(tensor.I32, tensor.Shape{2, 1})}, "type i32"},
		{"DFT", nil, []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{2, 8, 3})}, "neither real nor complex"},
		{"DFT", nil, []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{2})}, "rank 1"},
		{"DFT", one, []*tensor.Tensor{z}, "onesided"},
		{"DFT", attr.Attrs{"onesided": int64(1), "inverse": int64(1)}, []*tensor.Tensor{x}, "onesided"},
		{"DFT", nil, []*tensor.Tensor{x, i64(0)}, "dft_length 0"},
		{"DFT", nil, []*tensor.Tensor{x, i64(1 << 40)}, "out of range"},
		{"DFT", nil, []*tensor.Tensor{x, nil, i64(2)}, "parts of complex numbers"},
		{"DFT", nil, []*tensor.Tensor{x, nil, i64(5)}, "axis 5"},
		{"DFT", nil, []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{2, 0, 1})}, "length 0"},
		{"DFT", nil, nil, "missing"},
		{"STFT", nil, []*tensor.Tensor{x, i64(0)}, "frame_step 0"},
		{"STFT", nil, []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{8}), i64(2)}, "rank 1"},
		{"STFT", one, []*tensor.Tensor{z, i64(2), nil, i64(4)}, "onesided"},
		{"STFT", nil, []*tensor.Tensor{x, i64(2), nil, i64(9)}, "frames of 9"},
		{"STFT", nil, []*tensor.Tensor{x, i64(2), tensor.New(tensor.F32, tensor.Shape{3}), i64(4)}, "window [3]"},
		{"STFT", nil, []*tensor.Tensor{x, i64(2), tensor.New(tensor.F64, tensor.Shape{3})}, "f64"},
		{"HannWindow", nil, []*tensor.Tensor{i64(-1)}, "size -1"},
		{"HannWindow", attr.Attrs{"output_datatype": int64(8)}, []*tensor.Tensor{i64(4)}, "output_datatype 8"},
		{"HannWindow", nil, []*tensor.Tensor{tensor.From([]int64{1, 2})}, "one integer"},
		{"MelWeightMatrix", nil, []*tensor.Tensor{i64(4), i64(16), i64(8000), tensor.Scalar(float32(0)), tensor.Scalar(float32(1e6))}, "beyond"},
		{"MelWeightMatrix", nil, []*tensor.Tensor{i64(4), i64(16), i64(8000), tensor.Scalar(float32(-800)), tensor.Scalar(float32(1))}, "edge"},
	} {
		call := &op.Call{Name: "n", Op: c.op, Attrs: c.attrs, In: c.in, Out: []*tensor.Tensor{{}}}
		err := op.Eval(Ops[c.op], call, 1<<20)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "n ("+c.op+")") {
			t.Errorf("%s: error %v, want one about %q", c.op, err, c.want)
		}
	}
}

func BenchmarkSTFT(b *testing.B) {
	c := &op.Call{Name: "n", Op: "STFT", Par: op.Serial{}, In: []*tensor.Tensor{tensor.New(tensor.F32, tensor.Shape{1, 16000, 1}),
		tensor.Scalar(int64(160)), nil, tensor.Scalar(int64(512))}, Out: []*tensor.Tensor{{}}}
	if err := inferSTFT(c); err != nil {
		b.Fatal(err)
	}
	c.Out[0] = tensor.New(tensor.F32, c.Out[0].Shape)
	run, err := prepareSTFT(c)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run()
	}
}
