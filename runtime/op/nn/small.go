package nn

import (
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

var smallFloats = map[tensor.DType]*half.Small{
	tensor.F8E4M3FN: half.E4M3FN, tensor.F8E4M3FNUZ: half.E4M3FNUZ, tensor.F8E5M2: half.E5M2, tensor.F8E5M2FNUZ: half.E5M2FNUZ,
	tensor.F8E8M0: half.E8M0, tensor.F4E2M1: half.E2M1,
}

// narrowFloat returns the function that stores a float as element i of an 8- or 4-bit float tensor; nil for others.
func narrowFloat(d tensor.DType, saturate bool) func(t *tensor.Tensor, i int, f float32) {
	s := smallFloats[d]
	if s == nil {
		return nil
	}
	if d.Bits() == 4 {
		return func(t *tensor.Tensor, i int, f float32) { setPacked(t, i, int32(s.Round(f, saturate))) }
	}
	return func(t *tensor.Tensor, i int, f float32) { t.Data[i] = s.Round(f, saturate) }
}

// widenFloat is the inverse.
func widenFloat(d tensor.DType) func(t *tensor.Tensor, i int) float32 {
	s := smallFloats[d]
	if s == nil {
		return nil
	}
	if d.Bits() == 4 {
		return func(t *tensor.Tensor, i int) float32 { return s.Widen(uint8(packed(t, i)) & 15) }
	}
	return func(t *tensor.Tensor, i int) float32 { return s.Widen(t.Data[i]) }
}
