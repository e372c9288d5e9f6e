package kernels

import (
	"sync"
	"unsafe"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// turns are the rows that transpose elements of 1, 2 and 4 bytes.
var turns = sync.OnceValue(func() map[int]*spec.Row {
	m := map[int]*spec.Row{}
	for _, d := range []tensor.DType{tensor.U8, tensor.U16, tensor.U32} {
		m[d.Bits()/8] = Here().Select(spec.Turn, d, d, d, d, num.FP32)
	}
	return m
})

// Turn makes columns of rows, whose steps are in elements of size bytes.
func Turn(y, x []byte, rows, cols, xstep, ystep, size int) {
	if rows == 0 || cols == 0 {
		return
	}
	x, y = x[:((rows-1)*xstep+cols)*size], y[:((cols-1)*ystep+rows)*size]
	row := turns()[size]
	if row == nil {
		for i := range rows {
			for j := range cols {
				copy(y[(j*ystep+i)*size:][:size], x[(i*xstep+j)*size:])
			}
		}
		return
	}
	args, kernel := Borrow(), row.Func.(func(*spec.RowsArgs))
	for i := 0; i < rows; i += row.MR {
		args.Rows = spec.RowsArgs{X: unsafe.Pointer(&x[i*xstep*size]), Y: unsafe.Pointer(&y[i*size]), Rows: min(row.MR, rows-i), Cols: cols, XStride: xstep * size, YStride: ystep * size}
		kernel(&args.Rows)
	}
	args.Return()
}
