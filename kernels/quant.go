package kernels

import (
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// quantBlock is the number of elements of one call of a kernel.
const quantBlock = 1 << 15

// Quant applies a row with a spec.QuantArgs to all elements of y, with the parameters of p. b is nil where the operation has one operand.
func Quant(row *spec.Row, p *spec.QuantArgs, y, a, b []byte) {
	f := row.Func.(func(*spec.QuantArgs))
	sizeY, sizeA, sizeB := row.Out.Bits()/8, row.In.Bits()/8, row.W.Bits()/8
	n := len(y) / sizeY
	if n == 0 {
		return
	}
	needB := 0
	switch {
	case b == nil && (row.Op == spec.Quantize || row.Op == spec.Dequantize):
	case p.OneB != 0:
		needB = sizeB
	default:
		needB = n * sizeB
	}
	if len(a) < n*sizeA || len(b) < needB {
		panic("BUG: operands are short")
	}
	room := Borrow()
	args := &room.Quant
	*args = *p
	for i := 0; i < n; i += quantBlock {
		args.N = min(quantBlock, n-i)
		args.Y, args.A = unsafe.Pointer(&y[i*sizeY]), unsafe.Pointer(&a[i*sizeA])
		switch {
		case needB == 0:
		case p.OneB != 0:
			args.B = unsafe.Pointer(&b[0])
		default:
			args.B = unsafe.Pointer(&b[i*sizeB])
		}
		f(args)
	}
	room.Return()
}
