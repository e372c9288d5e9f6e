package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Bench measures one row on full tiles that stay in the first-level cache, in multiply-adds (or elements) per second.
func Bench(b *testing.B, row *spec.Row) {
	call, macs := work(row)
	for range b.N {
		call()
	}
	b.ReportMetric(float64(b.N)*float64(macs)/b.Elapsed().Seconds()/1e9, "GMAC/s")
}

// work makes a call of one row, and tells its multiply-adds or elements.
func work(row *spec.Row) (call func(), macs int) {
	rng := rand.New(rand.NewPCG(1, 2))
	const k, many = 256, 4096
	size, sizeOut := row.In.Bits()/8, row.Out.Bits()/8
	input := func(d tensor.DType, n int) unsafe.Pointer {
		return unsafe.Pointer(&draw(rng, d, n, plain, nil).bytes[0])
	}
	room := func(d tensor.DType, n int) unsafe.Pointer {
		return unsafe.Pointer(&tensor.New(d, tensor.Shape{n}).Data[0])
	}
	switch f := row.Func.(type) {
	case func(*spec.DepthwiseRowArgs):
		const lines, across, width, channels = 3, 3, 16, 64
		x := input(row.In, lines*width*channels)
		w := packDepthwise(row, draw(rng, row.W, lines*across*channels, plain, nil), lines, across, channels)
		var ins [lines + 1]unsafe.Pointer // no row has KR above 4
		for i := range ins {
			ins[i] = unsafe.Add(x, min(i, lines-1)*width*channels*size)
		}
		args := &spec.DepthwiseRowArgs{In: unsafe.Pointer(&ins[0]), W: unsafe.Pointer(&w[0]), Out: room(row.Out, width*channels), Scale: room(tensor.F32, channels), Lines: lines, Across: across, Width: width,
			Channels: channels, Start: -1, Columns: width, Stride: 1, Dilation: 1, InStep: channels * size, OutStep: channels * sizeOut, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		return func() { f(args) }, lines * across * width * channels
	case func(*spec.GemmArgs):
		args := &spec.GemmArgs{A: input(row.In, row.MR*k), B: input(row.W, row.NR*k), C: room(row.Out, row.MR*row.NR), Scale: room(tensor.F32, row.NR),
			AStride: k * size, Taps: 1, K: k, Rows: row.MR, Cols: row.NR, CStride: row.NR, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		return func() { f(args) }, row.MR * row.NR * k
	case func(*spec.PoolArgs):
		const taps, width, channels = 9, 4, 64
		var ins [taps]unsafe.Pointer
		for i := range ins {
			ins[i] = input(row.In, width*channels)
		}
		args := &spec.PoolArgs{In: unsafe.Pointer(&ins[0]), Out: room(row.Out, width*channels), Scale: input(tensor.F32, 1), Taps: taps, Width: width, Channels: channels,
			InStep: channels * size, OutStep: channels * sizeOut, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
		return func() { f(args) }, taps * width * channels
	case func(*spec.QuantArgs):
		args := &spec.QuantArgs{A: input(row.In, many), B: input(row.W, many), Y: room(row.Out, many), N: many, ScaleA: .3, ScaleB: .4, QHi: 100}
		return func() { f(args) }, many
	case func(*spec.BinaryArgs):
		args := &spec.BinaryArgs{X: input(row.In, many), B: input(row.W, many), Y: room(row.Out, many), N: many, Step: 1}
		return func() { f(args) }, many
	case func(*spec.ScaleArgs):
		args := &spec.ScaleArgs{A: input(row.In, many), C: room(row.Out, many), Scale: input(tensor.F32, k), Bias: input(tensor.F32, k), Rows: many / k, Cols: k,
			AStride: k * size, CStride: k * sizeOut, Lo: -1e30, Hi: 1e30}
		return func() { f(args) }, many
	case func(*spec.MixArgs):
		args := &spec.MixArgs{X: input(row.In, 2*k), Y: room(row.Out, k), At: unsafe.Pointer(&[2]int64{0, int64(k * size)}), W: input(row.W, 2), Rows: 1, Cols: k, Taps: 2, YStride: k * sizeOut}
		return func() { f(args) }, 2 * k
	case func(*spec.WinogradArgs):
		const channels = 16
		x := input(row.In, 36*channels)
		var index [36]int32
		for i := range index {
			index[i] = int32(i)
		}
		args := &spec.WinogradArgs{X: x, Index: unsafe.Pointer(&index), Zero: x, Y: room(row.Out, 36*channels), Scratch: room(tensor.U8, spec.WinogradScratch), Channels: channels,
			XStride: channels * size, YStride: channels * sizeOut, LineStride: 4 * channels * sizeOut, Rows: 4, Cols: 4, Lo: -1e30, Hi: 1e30}
		return func() { f(args) }, 36 * channels
	case func(*spec.RowsArgs):
		if row.Op == spec.Turn {
			args := &spec.RowsArgs{X: room(row.In, many), Y: room(row.Out, many), Rows: row.MR, Cols: many / row.MR, XStride: many / row.MR * size, YStride: row.MR * size}
			return func() { f(args) }, many
		}
		args := &spec.RowsArgs{X: input(row.In, many), Y: room(row.Out, many), Rows: many / k, Cols: k, XStride: k * size, YStride: k * sizeOut}
		return func() { f(args) }, many
	case func(*spec.MapArgs):
		switch row.Op {
		case spec.Peak:
			args := &spec.MapArgs{N: k}
			return func() { f(args) }, row.MR * row.NR * row.KR * k
		case spec.Read:
			args := &spec.MapArgs{X: room(tensor.U64, many), Y: room(tensor.U64, 1), N: many}
			return func() { f(args) }, many
		}
		args := &spec.MapArgs{X: input(row.In, many), Y: room(row.Out, many), N: many}
		return func() { f(args) }, many
	}
	panic(fmt.Sprintf("BUG: %v is bound to a %T", row, row.Func))
}
