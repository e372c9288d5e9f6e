package peak

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
	"unsafe"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// Product is the rate of one row of the kernel table in a matrix product, on one thread.
type Product struct {
	Row         *spec.Row
	MS          float64 // the best of all rounds
	GMACs       float64 // per second
	ShareOfPeak float64 // of the numerics that the row's types belong to
}

// NumericsOf is the numerics whose peak a row is measured by: fp32, bf16 or int8.
func NumericsOf(row *spec.Row) num.Numerics {
	switch {
	case row.In == tensor.BF16:
		return num.BF16
	case !row.In.IsFloat():
		return num.Int8
	}
	return num.FP32
}

// Products times rows of the operation Gemm on a product of M×K by K×N, in turn, for a number of rounds at least and as long as asked for. In each
// round a row runs back to back for a window at least, so that its operands are where its own last product left them. Packing is not timed.
func Products(rows []*spec.Row, m, n, k, rounds int, atLeast time.Duration) ([]Product, error) {
	work := make([]func(), len(rows))
	list := make([]Product, len(rows))
	rates := map[num.Numerics]float64{}
	for i, r := range rows {
		if r.Op != spec.Gemm || r.Func == nil || m < 1 || n < 1 || k < 1 {
			return nil, fmt.Errorf("%s cannot multiply %dx%d by %dx%d", r.Name, m, k, k, n)
		}
		work[i] = product(r, m, n, k)
		list[i].Row = r
		if c := NumericsOf(r); rates[c] == 0 {
			rates[c] = For(c, 1).Rate(c)
		}
	}
	best := make([]time.Duration, len(rows))
	start := time.Now()
	for round := 0; round < rounds || time.Since(start) < atLeast; round++ {
		for i, f := range work {
			for began := time.Now(); ; {
				took := timed(f)
				if best[i] == 0 || took < best[i] {
					best[i] = took
				}
				if time.Since(began) >= window {
					break
				}
			}
		}
	}
	for i := range list {
		p := &list[i]
		p.MS = float64(max(best[i], 1)) / float64(time.Millisecond)
		p.GMACs = float64(m) * float64(n) * float64(k) / p.MS / 1e6
		p.ShareOfPeak = p.GMACs / rates[NumericsOf(p.Row)]
	}
	return list, nil
}

// blockTiles is the number of tiles of rows that are multiplied with one panel of B before the next one is taken up.
const blockTiles = 6

// product makes operands for a row and returns the product.
func product(r *spec.Row, m, n, k int) func() {
	rng := rand.New(rand.NewPCG(1, 2))
	in, wt, acc, out := r.In.Bits()/8, r.W.Bits()/8, r.Acc.Bits()/8, r.Out.Bits()/8
	panels, depth := (n+r.NR-1)/r.NR, (k+r.KR-1)/r.KR*r.KR
	a := operand(rng, r.In, m*k)
	b := operand(rng, r.W, panels*r.NR*depth) // what lies beyond N and K is not zero, which costs no time
	c := tensor.AlignedBytes(m * n * out)
	bias := tensor.AlignedBytes(n * acc)
	scale := make([]float32, n)
	for i := range scale {
		scale[i] = 1e-4
	}
	f := r.Func.(func(*spec.GemmArgs))
	args := &spec.GemmArgs{AStride: k * in, Taps: 1, K: k, CStride: n, Lo: -1e30, Hi: 1e30, QLo: -100, QHi: 100}
	return func() {
		for i0 := 0; i0 < m; i0 += blockTiles * r.MR {
			for j := 0; j < n; j += r.NR {
				args.B, args.Cols = unsafe.Pointer(&b[j*depth*wt]), min(r.NR, n-j)
				args.Bias, args.Scale = unsafe.Pointer(&bias[j*acc]), unsafe.Pointer(&scale[j])
				for i := i0; i < min(m, i0+blockTiles*r.MR); i += r.MR {
					args.A, args.Rows = unsafe.Pointer(&a[i*k*in]), min(r.MR, m-i)
					args.C = unsafe.Pointer(&c[(i*n+j)*out])
					f(args)
				}
			}
		}
		runtime.KeepAlive(args)
	}
}

// operand draws elements around 0.
func operand(rng *rand.Rand, d tensor.DType, n int) []byte {
	t := &tensor.Tensor{DType: d, Shape: tensor.Shape{n}, Data: tensor.AlignedBytes(n * d.Bits() / 8)}
	switch d {
	case tensor.F32:
		for i, v := 0, tensor.Of[float32](t); i < n; i++ {
			v[i] = rng.Float32() - .5
		}
	case tensor.F16:
		for i, v := 0, tensor.Of[uint16](t); i < n; i++ {
			v[i] = half.F16(rng.Float32() - .5)
		}
	case tensor.BF16:
		for i, v := 0, tensor.Of[uint16](t); i < n; i++ {
			v[i] = half.BF16(rng.Float32() - .5)
		}
	default:
		for i := range t.Data {
			t.Data[i] = byte(rng.Uint32())
		}
	}
	return t.Data
}
