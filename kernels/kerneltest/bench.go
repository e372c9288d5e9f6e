package kerneltest

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Bench measures one row on full tiles that stay in the first-level cache, in multiply-adds per second.
func Bench(b *testing.B, row *spec.Row) {
	rng := rand.New(rand.NewPCG(1, 2))
	const k = 256
	macs := row.MR * row.NR * k
	var call func()
	if row.Op == spec.Depthwise {
		const taps, channels = 9, 128
		macs = taps * channels
		x := draw(rng, row.In, macs, plain, nil)
		w := draw(rng, row.W, macs, plain, nil)
		out := tensor.New(row.Out, tensor.Shape{channels})
		scale := make([]float32, channels)
		var in [taps]unsafe.Pointer
		for i := range in {
			in[i] = unsafe.Pointer(&x.bytes[i*channels*row.In.Bits()/8])
		}
		args := &spec.DepthwiseArgs{In: unsafe.Pointer(&in[0]), W: unsafe.Pointer(&w.bytes[0]), Out: unsafe.Pointer(&out.Data[0]), Scale: unsafe.Pointer(&scale[0]),
			Taps: taps, Channels: channels, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		f := row.Func.(func(*spec.DepthwiseArgs))
		call = func() { f(args); runtime.KeepAlive(x); runtime.KeepAlive(w) }
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
