package kerneltest

import (
	"flag"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
)

var (
	seed    = flag.Uint64("seed", 1, "seed of the drawn cases; 0 takes one from the clock")
	rounds  = flag.Int("rounds", 1, "pairwise sets of cases per row")
	seconds = flag.Float64("seconds", 0, "go on for as long, in seconds per row")
)

// Every row that this machine can run agrees with the definitions.
func TestRows(t *testing.T) {
	o := Options{Seed: *seed, Rounds: *rounds, Seconds: *seconds}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	for _, row := range kernels.For(cpu.Detect()).Rows() {
		t.Run(row.Name, func(t *testing.T) { Run(t, &row, o) })
	}
}

func BenchmarkRows(b *testing.B) {
	for _, row := range kernels.For(cpu.Detect()).Rows() {
		b.Run(row.Name, func(b *testing.B) { Bench(b, &row) })
	}
}

// Every row of this architecture has work to be measured by.
func TestBench(t *testing.T) {
	for _, row := range kernels.For(cpu.Detect()).Rows() {
		call, macs := work(&row)
		if call(); macs <= 0 {
			t.Errorf("%s: %d multiply-adds", row.Name, macs)
		}
	}
}

// The table holds its rules on every architecture.
func TestTable(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "riscv64"} {
		names := map[string]bool{}
		for _, r := range kernels.Table(arch) {
			if names[r.Name] {
				t.Errorf("%s: two rows %s", arch, r.Name)
			}
			names[r.Name] = true
			if !strings.HasPrefix(r.Name, r.Op.String()) {
				t.Errorf("%s: the name of %v does not begin with its operation", arch, &r)
			}
			if r.MR < 1 || r.NR < 1 || r.KR < 1 {
				t.Errorf("%s: %v has an empty tile", arch, &r)
			}
			if (r.ULP != 0) != (r.Num == spec.Approx) {
				t.Errorf("%s: %v: bounds belong to the class approx", arch, &r)
			}
			if !cpu.All(arch).Has(r.Needs) {
				t.Errorf("%s: %v needs %v", arch, &r, r.Needs)
			}
			if arch == runtime.GOARCH && r.Func == nil {
				t.Errorf("%s: %v has no function", arch, &r)
			}
			ok := false
			switch r.Op {
			case spec.Gemm, spec.Gemv:
				_, ok = r.Func.(func(*spec.GemmArgs))
			case spec.MaxPool, spec.MeanPool:
				_, ok = r.Func.(func(*spec.PoolArgs))
			case spec.DepthwiseRow:
				_, ok = r.Func.(func(*spec.DepthwiseRowArgs))
			case spec.WinogradIn, spec.WinogradOut:
				_, ok = r.Func.(func(*spec.WinogradArgs))
			case spec.ScaleSums:
				_, ok = r.Func.(func(*spec.ScaleArgs))
			case spec.QuantAdd, spec.QuantMul, spec.Quantize, spec.Dequantize, spec.QuantizeAway:
				_, ok = r.Func.(func(*spec.QuantArgs))
			case spec.Add, spec.Sub, spec.SubFrom, spec.Mul, spec.Div, spec.DivInto, spec.PRelu, spec.Max, spec.Min:
				_, ok = r.Func.(func(*spec.BinaryArgs))
			case spec.Mix:
				_, ok = r.Func.(func(*spec.MixArgs))
			case spec.Turn, spec.SumRows, spec.MaxRows, spec.MinRows, spec.ArgMaxRows, spec.ArgMinRows, spec.Softmax:
				_, ok = r.Func.(func(*spec.RowsArgs))
			default:
				_, ok = r.Func.(func(*spec.MapArgs))
			}
			if r.Func != nil && !ok {
				t.Errorf("%s: %v is bound to a %T", arch, &r, r.Func)
			}
		}
	}
}

// Whatever features are masked, each operation and combination of types keeps a row, and the one marked as chosen is the
// one that is selected.
func TestFallbacks(t *testing.T) {
	table := kernels.Table(runtime.GOARCH)
	have := cpu.Detect()
	for _, mask := range []string{"", "-all", "-avx512", "-vnni", "-avx2", "-dotprod", "-i8mm,-bf16"} {
		f, err := have.Mask(mask)
		if err != nil {
			t.Fatal(err)
		}
		set := kernels.For(f)
		for i, r := range table {
			if r.Num == spec.Approx {
				continue
			}
			if got := set.Select(r.Op, r.In, r.W, r.Acc, r.Out, num.FP32); kernels.Chosen(table, i, f, math.MaxInt) != (got.Name == r.Name) {
				t.Errorf("mask %q: %s is selected, %s is marked", mask, got.Name, r.Name)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a combination of types without a row is selected")
		}
	}()
	kernels.For(have).Select(spec.Gemm, tensor.F64, tensor.I8, tensor.F32, tensor.F32, num.FP32)
}

// recorder is a T that only remembers.
type recorder struct{ failed bool }

func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Failed() bool          { return r.failed }

// The test body finds what kernels get wrong.
func TestFindsFaults(t *testing.T) {
	set := kernels.For(0)
	f32 := set.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
	quant := set.Select(spec.Gemm, tensor.I8, tensor.I8, tensor.I32, tensor.I8, num.FP32)
	deep := set.Select(spec.DepthwiseRow, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
	gemm := func(r *spec.Row, f func(inner func(*spec.GemmArgs), a *spec.GemmArgs)) spec.Row {
		c, inner := *r, r.Func.(func(*spec.GemmArgs))
		c.Func = func(a *spec.GemmArgs) { f(inner, a) }
		return c
	}
	last := func(a *spec.GemmArgs) *float32 {
		return (*float32)(unsafe.Add(a.C, 4*((a.Rows-1)*a.CStride+a.Cols-1)))
	}
	faults := map[string]spec.Row{
		"one bit": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			inner(a)
			p := last(a)
			*p = math.Float32frombits(math.Float32bits(*p) ^ 1)
		}),
		"drops the last k": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.K = max(0, b.K-1)
			inner(&b)
		}),
		"ignores the bias": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.Bias = nil
			inner(&b)
		}),
		"ignores the bounds": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.Hi = float32(math.Inf(1))
			inner(&b)
		}),
		"takes row 0 for the row of zeros": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.Zero = b.A
			inner(&b)
		}),
		"leaves out the last tap": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.Taps = max(1, b.Taps-1)
			inner(&b)
		}),
		"takes rows for dense": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.AStride = 4 * b.K
			inner(&b)
		}),
		"writes between rows": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			inner(a)
			if a.CStride > a.Cols && a.Rows > 1 {
				*(*float32)(unsafe.Add(a.C, 4*a.Cols)) = 1
			}
		}),
		"writes to its input": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			inner(a)
			if a.K > 0 {
				*(*float32)(a.A) += 3
			}
		}),
		"writes before its output": gemm(f32, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			inner(a)
			if uintptr(a.C)%64 == 4 { // where memory is mapped there
				*(*float32)(unsafe.Add(a.C, -4)) = 1
			}
		}),
		"rounds half up": gemm(quant, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			inner(a)
			if a.Rows == 1 && a.K == 0 && a.Bias != nil {
				for j, s := range unsafe.Slice((*float32)(a.Scale), a.Cols) {
					f := float32(*(*int32)(unsafe.Add(a.Bias, 4*j))) * s
					q := math.Floor(float64(f)+.5) + float64(a.OutZero)
					*(*int8)(unsafe.Add(a.C, j)) = int8(math.Max(float64(a.QLo), math.Min(float64(a.QHi), q)))
				}
			}
		}),
		"wraps instead of saturating": gemm(quant, func(inner func(*spec.GemmArgs), a *spec.GemmArgs) {
			b := *a
			b.QHi = 1 << 20
			inner(&b)
		}),
	}
	shifted := *quant
	shifted.Shift = 128
	faults["does not shift"] = shifted
	d, inner := *deep, deep.Func.(func(*spec.DepthwiseRowArgs))
	changed := func(change func(a *spec.DepthwiseRowArgs)) spec.Row {
		d.Func = func(a *spec.DepthwiseRowArgs) {
			b := *a
			change(&b)
			inner(&b)
		}
		return d
	}
	faults["drops the tail"] = changed(func(a *spec.DepthwiseRowArgs) { a.Channels &^= 3 })
	faults["knows no gaps between columns"] = changed(func(a *spec.DepthwiseRowArgs) { a.InStep = 4 * a.Channels })
	faults["knows stride 1 alone"] = changed(func(a *spec.DepthwiseRowArgs) { a.Stride = 1 })
	faults["knows no dilation"] = changed(func(a *spec.DepthwiseRowArgs) { a.Dilation = 1 })
	faults["drops the last position"] = changed(func(a *spec.DepthwiseRowArgs) { a.Width &^= 1 })
	faults["drops the last column"] = changed(func(a *spec.DepthwiseRowArgs) { a.Columns-- })
	for name, row := range faults {
		var r recorder
		Run(&r, &row, Options{Seed: 1, Rounds: 100})
		if !r.failed {
			t.Errorf("%s: not found", name)
		}
	}
}

// Pairs covers what it promises.
func TestPairwise(t *testing.T) {
	levels := []int{3, 4, 2, 5}
	seen := map[[4]int]bool{}
	n := 0
	pairwise(rand.New(rand.NewPCG(1, 1)), levels, func(c []int) bool {
		n++
		for f := range c {
			for g := f + 1; g < len(c); g++ {
				seen[[4]int{f, c[f], g, c[g]}] = true
			}
		}
		return true
	})
	want := 3*4 + 3*2 + 3*5 + 4*2 + 4*5 + 2*5
	if len(seen) != want || n > 40 {
		t.Errorf("%d pairs of %d in %d cases", len(seen), want, n)
	}
}
