package move

import (
	"bytes"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Images of few channels are turned in pieces, for elements of each size.
func TestTurnFew(t *testing.T) {
	for _, d := range []tensor.DType{tensor.U8, tensor.F16, tensor.F32, tensor.I64} {
		size := d.Bits() / 8
		for k := 1; k <= mostFew+1; k++ {
			for _, long := range []int{1, 7, 1<<12 - 1, 1<<12 + 5, 3 << 12} {
				planes, pixels := tensor.New(d, tensor.Shape{2, k, long}), tensor.New(d, tensor.Shape{2, long, k})
				for i := range planes.Data {
					planes.Data[i] = byte(i*7 + i>>8)
				}
				for b := range 2 {
					for c := range k {
						for i := range long {
							copy(pixels.Data[((b*long+i)*k+c)*size:][:size], planes.Data[((b*k+c)*long+i)*size:])
						}
					}
				}
				perm := attr.Attrs{"perm": []int64{0, 2, 1}}
				if got := evaluate(t, "Transpose", perm, []*tensor.Tensor{planes}, 1)[0]; !bytes.Equal(got.Data, pixels.Data) {
					t.Errorf("%v: %d planes of %d are put together wrongly", d, k, long)
				}
				if got := evaluate(t, "Transpose", perm, []*tensor.Tensor{pixels}, 1)[0]; !bytes.Equal(got.Data, planes.Data) {
					t.Errorf("%v: %d pixels of %d are taken apart wrongly", d, long, k)
				}
			}
		}
	}
}
