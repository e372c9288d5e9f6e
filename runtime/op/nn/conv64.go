package nn

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// prepareConv64 is the convolution in float64, whose products are rounded one by one.
func prepareConv64(c *op.Call, v *conv) (op.Run, error) {
	lo, hi := bounds64(c)
	taps := v.taps()
	shares := max(1, min(4*c.Par.Threads(), v.m))
	offs := make([][]int32, shares)
	for i := range offs {
		offs[i] = make([]int32, taps)
	}
	bias := c.Input(2)
	body := func(from, to int) {
		x, w, y := tensor.Of[float64](v.x), tensor.Of[float64](v.w), tensor.Of[float64](v.y)
		for l := from; l < to; l++ {
			for r := l * v.m / shares; r < (l+1)*v.m/shares; r++ {
				v.offsets(r%v.pos, offs[l])
				base := r / v.pos * v.inPos
				for o := range v.outC {
					sum := 0.0
					if bias != nil {
						sum = tensor.Of[float64](bias)[o]
					}
					for t, off := range offs[l] {
						if off < 0 {
							continue
						}
						row := x[(base+int(off))*v.channels+o/v.og*v.cg:][:v.cg]
						for i, f := range w[(o*taps+t)*v.cg:][:v.cg] {
							sum += float64(row[i] * f)
						}
					}
					y[r*v.outC+o] = math.Max(lo, math.Min(hi, sum))
				}
			}
		}
	}
	if bias != nil && bias.DType != tensor.F64 {
		return nil, c.Errorf("bias of type %v", bias.DType)
	}
	return func() error {
		c.Par.For(shares, 1, body)
		return nil
	}, nil
}

// bounds64 is activation in float64.
func bounds64(c *op.Call) (lo, hi float64) {
	l, h := activation(c)
	return float64(l), float64(h)
}
