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

// Matrices are turned in tiles, for elements of each size.
func TestTurnTiles(t *testing.T) {
	for _, d := range []tensor.DType{tensor.I8, tensor.BF16, tensor.F32, tensor.F64} {
		size := d.Bits() / 8
		for _, rows := range []int{5, 8, 23, 64, 131} {
			for _, cols := range []int{5, 16, 33, 64, 1040} {
				x, want := tensor.New(d, tensor.Shape{2, rows, 3, cols}), tensor.New(d, tensor.Shape{2, cols, 3, rows})
				for i := range x.Data {
					x.Data[i] = byte(i*7 + i>>8)
				}
				for at := range 2 * rows * 3 * cols {
					b, r, k, c := at/(rows*3*cols), at/(3*cols)%rows, at/cols%3, at%cols
					copy(want.Data[(((b*cols+c)*3+k)*rows+r)*size:][:size], x.Data[at*size:])
				}
				if got := evaluate(t, "Transpose", attr.Attrs{"perm": []int64{0, 3, 2, 1}}, []*tensor.Tensor{x}, 1)[0]; !bytes.Equal(got.Data, want.Data) {
					t.Errorf("%v: %dx%d is turned wrongly", d, rows, cols)
				}
			}
		}
	}
}
