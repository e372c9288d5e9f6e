package ref

import (
	"unsafe"

	"github.com/edgerun/edgerun/kernels/spec"
)

// panel is the tile of spec.Gemv at the columns from j on. w, acc and out are the sizes of a weight, a sum and a result.
func panel(a *spec.GemmArgs, j, w, acc, out int) spec.GemmArgs {
	t := *a
	t.Cols = min(4, a.Cols-j)
	t.B = unsafe.Add(a.B, j*a.K*w)
	t.C = unsafe.Add(a.C, j*out)
	if a.Bias != nil {
		t.Bias = unsafe.Add(a.Bias, j*acc)
	}
	if a.Scale != nil {
		t.Scale = unsafe.Add(a.Scale, j*4)
	}
	return t
}

func gemvF32(a *spec.GemmArgs) {
	for j := 0; j < a.Cols; j += 4 {
		t := panel(a, j, 4, 4, 4)
		gemmF32(&t)
	}
}

func gemvF16(a *spec.GemmArgs) {
	for j := 0; j < a.Cols; j += 4 {
		t := panel(a, j, 2, 4, 4)
		gemmF16(&t)
	}
}

func gemvBF16(a *spec.GemmArgs) {
	for j := 0; j < a.Cols; j += 4 {
		t := panel(a, j, 2, 4, 4)
		gemmBF16(&t)
	}
}

// gemvInt has the sums as its result.
func gemvInt[A int8 | uint8](a *spec.GemmArgs) {
	for j := 0; j < a.Cols; j += 4 {
		t := panel(a, j, 1, 4, 4)
		gemmInt[A, int8, int32](&t)
	}
}

func gemvQuant[A int8 | uint8, O int8 | uint8](a *spec.GemmArgs) {
	for j := 0; j < a.Cols; j += 4 {
		t := panel(a, j, 1, 4, 1)
		gemmQuant[A, int8, int32, O](&t)
	}
}
