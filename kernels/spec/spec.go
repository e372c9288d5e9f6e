// Package spec holds the only words that kernels share with the rest: the row of the kernel table and the argument
// structs. It imports internal/tensor and internal/cpu alone.
//
// A kernel takes one pointer to its argument struct, fills one tile, allocates nothing and returns nothing. Structs are
// flat: pointers, counts and strides, so that assembly reads them by offset.
package spec

import (
	"fmt"
	"unsafe"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Op is what a kernel computes.
type Op uint8

// The kernels' operations. The comment is the loop that defines it.
const (
	// Gemm: for i < Rows, j < Cols: acc = Bias[j]; for k < K: acc += A[k][i] * B[k][j]; C[i][j] = epilogue(acc).
	Gemm Op = iota
	// Depthwise: for c < Channels: acc = Bias[c]; for t < Taps, In[t] != nil: acc += In[t][c] * W[t][c]; Out[c] = epilogue(acc).
	Depthwise
)

func (o Op) String() string { return [...]string{"gemm", "depthwise"}[o] }

// Class says how far a row's results may be from those of the reference.
type Class uint8

// The classes.
const (
	Exact      Class = iota // integers: equal
	Consistent              // floats: the same bytes on every ISA
	Approx                  // within Row.ULP and Row.Abs
)

func (c Class) String() string { return [...]string{"exact", "consistent", "approx"}[c] }

// Row is one kernel.
type Row struct {
	Op              Op
	In, W, Acc, Out tensor.DType
	MR, NR, KR      int // tile; KR is the number of k that the packing keeps together
	Needs           cpu.Features
	Num             Class
	ULP, Abs        float64 // Approx only
	Name            string
	// Func takes *GemmArgs or *DepthwiseArgs, by Op.
	Func any
}

func (r *Row) String() string {
	return fmt.Sprintf("%s %v*%v+%v->%v %dx%dx%d %s", r.Name, r.In, r.W, r.Acc, r.Out, r.MR, r.NR, r.KR, r.Num)
}

// GemmArgs describes one tile of at most MR rows and NR columns.
//
// A is packed as [ceil(K/KR)][MR][KR] and B as [ceil(K/KR)][NR][KR] elements of the row's In and W types; what lies
// beyond Rows, Cols and K is zero. Rows of C are CStride elements apart.
//
// Floats: C = clamp(acc, Lo, Hi). Integers with Out = Acc: C = acc. Integers with another Out: C = saturate(round(
// float32(acc) * Scale[j]) + Zero) clamped to [QLo, QHi], rounding half to even. Bias is of the Acc type; nil is 0.
type GemmArgs struct {
	A, B       unsafe.Pointer
	C          unsafe.Pointer
	Bias       unsafe.Pointer
	Scale      unsafe.Pointer // float32 per column
	K          int
	Rows, Cols int
	CStride    int
	Lo, Hi     float32
	Zero       int32
	QLo, QHi   int32
}

// DepthwiseArgs describes one output position of a depthwise convolution.
//
// In holds Taps pointers to Channels elements each, nil for a tap in the padding; W is [Taps][Channels]. The epilogue is that of
// GemmArgs, with the channel for the column.
type DepthwiseArgs struct {
	In       unsafe.Pointer
	W        unsafe.Pointer
	Out      unsafe.Pointer
	Bias     unsafe.Pointer
	Scale    unsafe.Pointer
	Taps     int
	Channels int
	Lo, Hi   float32
	Zero     int32
	QLo, QHi int32
}
