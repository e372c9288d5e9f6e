// Package spec holds the only words that kernels share with the rest: the row of the kernel table and the argument
// structs. It imports internal/tensor and internal/cpu alone.
//
// A kernel takes one pointer to its argument struct, fills one tile, allocates nothing and returns nothing. It reads and
// writes nothing beyond what its struct describes, and never its inputs. Pointers are aligned to their element, no
// more; outputs never overlap inputs. Structs are flat: pointers, counts and strides, so that assembly reads them by
// offset (go_asm.h).
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
	// Gemm: for i < Rows, j < Cols: acc = Bias[j]; for t < Taps, k < K: acc += (A[t][i][k] + Shift) * B[t][k][j];
	// C[i][j] = epilogue(acc, j). Shift is the row's.
	Gemm Op = iota
	// Gemv is Gemm of few rows with one tap, no index and any number of columns: the panels of B lie one after the other, and each is read once.
	Gemv
	// DepthwiseRow: for x < Width, c < Channels: acc = Bias[c]; for l < Lines, t < Across: acc += (In[l][Start+x*Stride+t*Dilation][c] + Shift) * W[l][t][c];
	// Out[x][c] = epilogue(acc, c). Columns outside of [0,Columns) are Pad in all channels; floats leave them out, and lines that are nil.
	DepthwiseRow
	// Functions of one element: for i < N: Y[i] = f(X[i]), with the steps of internal/fmath.
	Exp
	Sigmoid
	Tanh
	Erf
	Gelu
	GeluTanh
	Swish     // x * sigmoid(Lo*x)
	HardSwish // x * min(max(x+3, 0), 6) / 6
	Log
	Softplus
	Mish
	Elu         // Hi * x, or Hi * (Lo * (e**x - 1)) where x < 0
	LeakyRelu   // x, or Lo*x where x < 0
	HardSigmoid // clamp(Lo*x + Hi, 0, 1), the product rounded
	Clip        // clamp(x, Lo, Hi); NaN stays NaN
	Convert     // x, rounded to the nearest of another type of float, half to even
	// Peak and Read measure the machine. Peak: for i < N: MR·NR chains of KR multiply-adds each, on zeros, that stay in registers; it reads and
	// writes nothing. Read: Y[0] = X[0] ^ X[1] ^ … ^ X[N-1].
	Peak
	Read
	// Integers that stand for reals, one zero point and scale each: for i < N, with each step rounded to float32.
	QuantAdd   // Y[i] = quantise((A[i]-ZeroA)*ScaleA + (B[i]-ZeroB)*ScaleB)
	QuantMul   // Y[i] = quantise((A[i]-ZeroA)*(B[i]-ZeroB) * ScaleA), the product of the integers exact
	Quantize   // Y[i] = quantise(A[i] / ScaleA)
	Dequantize // Y[i] = (A[i]-ZeroA) * ScaleA
	// QuantizeAway: Y[i] = the integer nearest to A[i]*ScaleA, half away from zero, plus OutZero, clamped to [QLo, QHi]; QLo where that is not a number.
	// Bounds less OutZero are below 1<<22.
	QuantizeAway
	// ScaleSums: for i < Rows, j < Cols: C[i][j] = clamp(float32(A[i][j])*Scale[j] + Bias[j], Lo, Hi), with each step rounded to float32; NaN stays NaN.
	ScaleSums
	// Functions of two elements: for i < N: Y[i] = f(X[i], B[i*Step]).
	Add
	Sub     // x - b
	SubFrom // b - x
	Mul
	Div     // x / b
	DivInto // b / x
	PRelu   // x, or x*b where x < 0
	Max     // the larger one, NaN where either is; 0 is above -0
	Min     // the smaller one
	// Reductions into 16 lanes: for i < N: Y[i%16] = f(Y[i%16], X[i]).
	SumLanes    // y + x
	SquareLanes // y + x*x, the product rounded
	// Extent: for i < N: Y[0] = the smaller of Y[0] and X[i], Y[1] = the larger of Y[1] and X[i]; zeros are positive, and both are NaN where an element or
	// Y[0] is.
	Extent
	// Turn: for i < Rows, j < Cols: Y[j][i] = X[i][j], elements of the size of In.
	Turn
	// Reductions of rows: for i < Rows, j < Cols:
	SumRows // Y[(First+i)%16][j] += X[i][j]
	MaxRows // Y[0][j] = larger(Y[0][j], X[i][j])
	MinRows // the smaller one; NaN where either is
	// Where X[i][j] > Y[0][j], or is not a number and Y[0][j] is one: Y[0][j] = X[i][j], Y[1][j] = First+i, an int32.
	ArgMaxRows
	ArgMinRows // X[i][j] < Y[0][j]
	// Softmax: for i < Rows: Y[i][j] = e**(X[i][j]-m) / s, where m is the largest of row i, or not a number where one is none, and s the pairwise sum of 16
	// lanes: lane[j%16] += e**(X[i][j]-m), from 0 on.
	Softmax
	// Mix: for i < Rows, j < Cols: Y[i][j] = X[At[i][0]][j]*W[i][0] + X[At[i][1]][j]*W[i][1] + ..., over Taps, each product and each sum rounded.
	Mix
	// Pools: for x < Width, c < Channels, over t < Taps in order:
	MaxPool  // Out[x][c] = the largest of In[t][x][c] as larger tells it, within the bounds of an epilogue
	MeanPool // lane[t%16] += In[t][x][c], from 0 on; Out[x][c] = pairwise(lane) / Scale[0], within [Lo, Hi]
	// Winograd's F(4x4, 3x3): for c < Channels, the transforms of a tile, whose columns come before its rows; see WinogradArgs.
	WinogradIn  // Y[p] = (B'XB)[p]
	WinogradOut // Y[i][j] = clamp((A'XA)[i][j] + Bias[c], Lo, Hi)
	numOps
)

// Ops is the number of operations.
const Ops = int(numOps)

func (o Op) String() string {
	return [...]string{"gemm", "gemv", "depthwiserow", "exp", "sigmoid", "tanh", "erf", "gelu", "gelutanh", "swish", "hardswish", "log", "softplus", "mish", "elu", "leakyrelu", "hardsigmoid", "clip", "convert", "peak", "read",
		"quantadd", "quantmul", "quantize", "dequantize", "quantizeaway", "scalesums", "add", "sub", "subfrom", "mul", "div", "divinto", "prelu", "max", "min",
		"sumlanes", "squarelanes", "extent", "turn", "sumrows", "maxrows", "minrows", "argmaxrows", "argminrows", "softmax", "mix", "maxpool", "meanpool", "winogradin", "winogradout"}[o]
}

// Multiplies reports whether an operation sums products of its input and weights, which is what a step that drives it is measured by.
func (o Op) Multiplies() bool {
	return o == Gemm || o == Gemv || o == DepthwiseRow
}

// Class says how far a row's results may be from those of the reference.
type Class uint8

// The classes.
const (
	Exact      Class = iota // integers: equal
	Consistent              // floats: the same bytes on every ISA (any NaN stands for any other)
	Approx                  // within Row.ULP; see there
)

func (c Class) String() string { return [...]string{"exact", "consistent", "approx"}[c] }

// Row is one kernel.
type Row struct {
	Op Op
	// In and W are the types of the packed operands, Acc that of the sums and of the bias, Out that of the result.
	In, W, Acc, Out tensor.DType
	MR, NR, KR      int // tile; KR is the number of k that the packing of B keeps together
	Shift           int // what the kernel adds to elements of the input (integers only), to make them unsigned
	WShift          int // what packing adds to all elements of B (integers only, of Gemm), which wrap, to make them unsigned; the sums are those without
	Depth           int // k of a tap from which on this row is better than the next one in the table that gives the same
	Needs           cpu.Features
	Num             Class
	// ULP bounds the error of a row of class Approx, in units of 2^-24 of what the magnitudes of bias and products sum up to, summed
	// over all steps. Besides, subnormal operands and results may count as zero; nothing is promised where magnitudes overflow.
	ULP  float64
	Name string
	Code string // the routine, where it bears another name than the row
	// Func is a func(*GemmArgs), func(*DepthwiseRowArgs), func(*PoolArgs), func(*MapArgs), func(*BinaryArgs), func(*RowsArgs), func(*MixArgs), func(*QuantArgs), func(*ScaleArgs) or func(*WinogradArgs), by Op; nil where another architecture's row is only listed.
	Func any
}

func (r *Row) String() string {
	return fmt.Sprintf("%s %v*%v+%v->%v %dx%dx%d %s", r.Name, r.In, r.W, r.Acc, r.Out, r.MR, r.NR, r.KR, r.Num)
}

// Block is the first channel of block b of the weights of a depthwise row of integers. The last block begins early, so that all its channels exist
// where there are NR of them.
func (r *Row) Block(b, channels int) int { return max(0, min(b*r.NR, channels-r.NR)) }

// Epilogue turns a sum into an element of the result.
//
// Float sums: clamp(acc, Lo, Hi), rounded to Out; NaN stays NaN. Integer sums with Out = Acc: acc. Integer sums with another Out:
// the integer nearest to float32(acc)*Scale[j] (one float32 product; half to even), plus OutZero, clamped to [QLo, QHi],
// which lies within Out's range; of Out = F32: clamp(float32(acc)*Scale[j] + Offset[j], Lo, Hi), with each step rounded to float32.
//
// larger(y, x) is x where x > y or x is not a number, else y. pairwise adds lanes: 8 to 15 to 0 to 7, 4 to 7 to 0 to 3, and so on.
//
// Fused multiply-adds: a float acc += x*y rounds once, to float32. Integer sums wrap.

// GemmArgs describes one tile of at most MR rows and NR columns; see Epilogue above.
//
// A is not packed: row i of tap t is K elements from A + Index[t*MR+i]*AStride on, or from Zero on where the index is negative.
// Index has Taps*MR numbers; those of rows from Rows on repeat others. Where Index is nil there is one tap, and row i begins at A +
// i*AStride. B is packed as [Taps][ceil(K/KR)][NR][KR] elements of the row's W type; what lies beyond Cols and K is zero, or WShift. Rows of C are
// CStride elements apart.
//
// The sums of row i begin with the elements of Bias from i*BiasStride on. A stride other than 0, and with it a sum that goes on where C has it, is for
// Gemm of FP32 by FP32 alone.
//
// Ahead is for Gemm alone and changes no result. Where it is not 0, a kernel for all rows and columns may fetch into the second-level cache, for each k,
// the line of 64 bytes that lies Ahead bytes beyond the NR elements of B.
//
// For Gemv, Cols is any number above 0, and panel p of B begins at element p*ceil(K/KR)*NR*KR.
type GemmArgs struct {
	A, Index, Zero unsafe.Pointer
	B, C           unsafe.Pointer
	Bias           unsafe.Pointer // Cols elements of type Acc; nil is 0
	Scale          unsafe.Pointer // Cols elements of type float32
	AStride        int            // bytes
	Taps, K        int
	Rows, Cols     int
	CStride        int
	BiasStride     int
	Ahead          int
	Lo, Hi         float32
	OutZero        int32
	QLo, QHi       int32
	Offset         unsafe.Pointer // for integer sums that become FP32: Cols elements of type float32; nil is 0
}

// PoolArgs describes Width neighbouring output positions of a pool.
//
// In holds Taps pointers, to Channels elements of the input of the first position, whose neighbours follow InStep bytes apart. Outputs lie
// OutStep bytes apart. Taps is above 0 for MaxPool, whose bounds are Lo and Hi or, for integers, QLo and QHi.
type PoolArgs struct {
	In       unsafe.Pointer
	Out      unsafe.Pointer
	Scale    unsafe.Pointer // MeanPool: one float32
	Taps     int
	Width    int
	Channels int
	InStep   int
	OutStep  int
	Lo, Hi   float32
	QLo, QHi int32
}

// DepthwiseRowArgs describes Width neighbouring output positions of a depthwise convolution; see Epilogue above, with the channel for the
// column.
//
// In holds Lines pointers to rows of the input, of Columns columns InStep bytes apart, each of Channels elements; for integers, Lines rounded up to
// a multiple of KR, none nil. Outputs lie OutStep bytes apart, and none overlaps the input. Across and Stride are above 0. Of integers, Bias and Scale
// hold NR elements at least.
//
// W of floats is [Lines][Across][Channels]. W of integers is [ceil(Channels/NR)][ceil(Lines/KR)][Across][NR][KR], with channels from Row.Block on,
// and zero beyond Lines and Channels.
type DepthwiseRowArgs struct {
	In, W            unsafe.Pointer
	Out              unsafe.Pointer
	Bias             unsafe.Pointer // Channels elements of type Acc; nil is 0
	Scale            unsafe.Pointer // Channels elements of type float32
	Lines, Across    int
	Width, Channels  int
	Start, Columns   int
	Stride, Dilation int
	InStep, OutStep  int
	Lo, Hi           float32
	Pad              int32
	OutZero          int32 // within the range of Out
	QLo, QHi         int32
}

// MapArgs describes N elements of a function; Y may be X where the types are the same.
type MapArgs struct {
	X, Y   unsafe.Pointer
	N      int
	Lo, Hi float32 // of Clip, Swish, Elu, LeakyRelu and HardSigmoid
}

// BinaryArgs describes N elements of a function of two; Step is 0 or 1. Y may be X or, where Step is 1, B.
type BinaryArgs struct {
	X, B, Y unsafe.Pointer
	N, Step int
}

// ScaleArgs describes a tile of sums; rows of A are AStride bytes apart, rows of C CStride.
type ScaleArgs struct {
	A, C             unsafe.Pointer
	Scale, Bias      unsafe.Pointer // Cols elements; no Bias is 0
	Rows, Cols       int
	AStride, CStride int
	Lo, Hi           float32
}

// RowsArgs describes an operation on Rows rows, whose strides are in bytes. Turn takes at most MR rows. Where columns are reduced, Y is read and
// written; SumRows has 16 rows of it, ArgMaxRows and ArgMinRows have two. Y of Softmax may be X.
type RowsArgs struct {
	X, Y             unsafe.Pointer
	Rows, Cols       int
	XStride, YStride int
	First            int // SumRows, ArgMaxRows, ArgMinRows: not negative
}

// WinogradArgs describes a transform of a tile with the points 0, ±a, ±b and infinity, a = 3/4 and b = 3/2, where f(x, y, z) = x*y + z rounds once:
//
//	B'(d): v0 = f(aabb, d0, f(-(aa+bb), d2, d4)), v1, v2 = f(±a, f(-bb, d1, d3), f(-bb, d2, d4)),
//	       v5 = f(aabb, d1, f(-(aa+bb), d3, d5)), v3, v4 = f(±b, f(-aa, d1, d3), f(-aa, d2, d4))
//	A'(m): with s = m1 + m2, t = m3 + m4, u = m1 - m2, w = m3 - m4,
//	       y0 = (m0 + s) + t, y1 = f(b, w, a*u), y2 = f(bb, t, aa*s), y3 = f(bbb, w, f(aaa, u, m5))
//
// Element [i][j] of WinogradIn's 6x6 is Channels elements from X + Index[6i+j]*XStride on, or from Zero on where the index is negative; those of Y lie YStride
// bytes apart, row by row. WinogradOut's 6x6 lie XStride bytes apart; of its 4x4 the first Rows rows are written, LineStride bytes apart, and of these
// the first Cols elements, YStride bytes apart. Both are 1 to 4.
type WinogradArgs struct {
	X, Index, Zero unsafe.Pointer
	Y              unsafe.Pointer
	Bias           unsafe.Pointer // Channels elements; nil is 0
	Scratch        unsafe.Pointer // WinogradScratch bytes, which the kernel may use
	Channels       int
	XStride        int
	YStride        int
	LineStride     int
	Rows, Cols     int
	Lo, Hi         float32
}

// WinogradScratch is the room for 36 addresses and 36 vectors of 64 bytes.
const WinogradScratch = 36 * (8 + 64)

// MixArgs describes a mix of rows. At holds, for each row of Y, Taps numbers of type int64: where a row of X begins, in bytes from X. W holds as many
// weights. Taps is above 0.
type MixArgs struct {
	X, Y, At, W unsafe.Pointer
	Rows, Cols  int
	Taps        int
	YStride     int // bytes
}

// QuantArgs describes N elements of an operation on integers that stand for reals; Y may be A or B where the elements have one size.
//
// quantise(v) is the integer nearest to v, half to even, plus OutZero, clamped to [QLo, QHi], which lies within Y's range; QLo where v is
// not a number.
type QuantArgs struct {
	A, B, Y        unsafe.Pointer
	N              int
	OneB           int // not 0: B is one element
	ScaleA, ScaleB float32
	ZeroA, ZeroB   int32
	OutZero        int32
	QLo, QHi       int32
}
