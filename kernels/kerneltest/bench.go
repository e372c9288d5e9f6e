package kerneltest

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Bench measures one row on full tiles that stay in the first-level cache, in multiply-adds (or elements) per second.
func Bench(b *testing.B, row *spec.Row) {
	rng := rand.New(rand.NewPCG(1, 2))
	const k = 256
	macs := row.MR * row.NR * k
	var call func()
	if row.Op == spec.DepthwiseRow {
		const lines, across, width, channels = 3, 3, 16, 64
		macs = lines * across * width * channels
		in := row.In.Bits() / 8
		x := draw(rng, row.In, lines*width*channels, plain, nil)
		w := packDepthwise(row, draw(rng, row.W, lines*across*channels, plain, nil), lines, across, channels)
		out := tensor.New(row.Out, tensor.Shape{width, channels})
		scale := make([]float32, channels)
		var ins [lines + 1]unsafe.Pointer // no row has KR above 4
		for i := range ins {
			ins[i] = unsafe.Pointer(&x.bytes[min(i, lines-1)*width*channels*in])
		}
		args := &spec.DepthwiseRowArgs{In: unsafe.Pointer(&ins[0]), W: unsafe.Pointer(&w[0]), Out: unsafe.Pointer(&out.Data[0]), Scale: unsafe.Pointer(&scale[0]), Lines: lines, Across: across, Width: width,
			Channels: channels, Start: -1, Columns: width, Stride: 1, Dilation: 1, InStep: channels * in, OutStep: channels * row.Out.Bits() / 8, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		f := row.Func.(func(*spec.DepthwiseRowArgs))
		call = func() { f(args); runtime.KeepAlive(x); runtime.KeepAlive(w) }
	} else if row.Op == spec.Peak {
		macs = row.MR * row.NR * row.KR * k
		args := &spec.MapArgs{N: k}
		f := row.Func.(func(*spec.MapArgs))
		call = func() { f(args) }
	} else if row.Op == spec.Read {
		macs = 2048
		x, sum := make([]uint64, macs), uint64(0)
		args := &spec.MapArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&sum), N: macs}
		f := row.Func.(func(*spec.MapArgs))
		call = func() { f(args); runtime.KeepAlive(x) }
	} else if f, ok := row.Func.(func(*spec.QuantArgs)); ok {
		macs = 4096
		x, y := draw(rng, row.In, macs, plain, nil), draw(rng, row.W, macs, plain, nil)
		out := tensor.New(row.Out, tensor.Shape{macs})
		args := &spec.QuantArgs{A: unsafe.Pointer(&x.bytes[0]), B: unsafe.Pointer(&y.bytes[0]), Y: unsafe.Pointer(&out.Data[0]), N: macs, ScaleA: .3, ScaleB: .4, QHi: 100}
		call = func() { f(args); runtime.KeepAlive(x); runtime.KeepAlive(y) }
	} else if row.Op != spec.Gemm && row.Op != spec.Gemv {
		macs = 4096
		x := draw(rng, row.In, macs, plain, nil)
		out := tensor.New(row.Out, tensor.Shape{macs})
		args := &spec.MapArgs{X: unsafe.Pointer(&x.bytes[0]), Y: unsafe.Pointer(&out.Data[0]), N: macs}
		f := row.Func.(func(*spec.MapArgs))
		call = func() { f(args); runtime.KeepAlive(x) }
	} else {
		x := draw(rng, row.In, row.MR*k, plain, nil)
		w := draw(rng, row.W, row.NR*k, plain, nil)
		out := tensor.New(row.Out, tensor.Shape{row.MR, row.NR})
		scale := make([]float32, row.NR)
		args := &spec.GemmArgs{A: unsafe.Pointer(&x.bytes[0]), B: unsafe.Pointer(&w.bytes[0]), C: unsafe.Pointer(&out.Data[0]), Scale: unsafe.Pointer(&scale[0]),
			AStride: k * row.In.Bits() / 8, Taps: 1, K: k, Rows: row.MR, Cols: row.NR, CStride: row.NR, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		f := row.Func.(func(*spec.GemmArgs))
		call = func() { f(args); runtime.KeepAlive(x); runtime.KeepAlive(w) }
	}
	for range b.N {
		call()
	}
	b.ReportMetric(float64(b.N)*float64(macs)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}
