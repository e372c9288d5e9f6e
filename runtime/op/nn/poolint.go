package nn

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// poolConv is a pool as a convolution of each channel by itself.
func poolConv(c *op.Call, w *window) *conv {
	return &conv{window: w, c: c, group: w.channels, cg: 1, og: 1, outC: w.channels, x: c.In[0], y: c.Out[0],
		m: w.batch * w.positions(), pos: w.positions(), inPos: w.inPositions()}
}

// averageKernel is the mean of bytes with zero point zx as a depthwise convolution with weights of 1, whose scale depends on the number of positions that
// are averaged.
func averageKernel[T int8 | uint8](c *op.Call, w *window, div func(p int) int, ratio float64, zx T, r *requant) op.Run {
	d := tensor.DTypeOf[T]()
	row := c.Select(spec.DepthwiseRow, d, tensor.I8, tensor.I32, d, c.Num)
	f := newFilters[T, int8](c, poolConv(c, w), row, nil, zx)
	n := max(w.channels, row.NR)
	first := make([]int32, n)
	for i := range first {
		first[i] = -int32(w.taps()) * (int32(zx) + int32(row.Shift))
	}
	scales := map[int][]float32{}
	used := make([][]float32, w.positions()) // by output position
	for p := range used {
		count := max(1, div(p))
		if scales[count] == nil {
			scales[count] = op.Make[float32](c, n)
			for i := range scales[count] {
				scales[count][i] = float32(ratio / float64(count))
			}
		}
		used[p] = scales[count]
	}
	f.args.Bias, f.args.OutZero, f.args.QLo, f.args.QHi = pointer(first), r.zero, r.lo, r.hi
	f.factors = func(line, x int) (unsafe.Pointer, int) {
		at := used[line%(w.out[0]*w.out[1])*w.out[2]:][:w.out[2]]
		end := x + 1
		for end < w.out[2] && &at[end][0] == &at[x][0] {
			end++
		}
		return pointer(at[x]), end - x
	}
	return func() error {
		if len(c.Out[0].Data) > 0 {
			f.run(c.Par, tensor.Of[T](c.In[0]), c.Out[0].Data)
		}
		return nil
	}
}
