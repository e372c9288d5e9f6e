// Package peak measures what this machine can do at most: multiply-adds in registers, and bytes read from each level of
// memory. Profiles and benchmarks tell their share of it. The features that EDGERUN_CPU masks are not used.
// Importers: prof and commands.
package peak

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/klauspost/cpuid/v2"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/pool"
)

// Arithmetic is the rate of one row of the kernel table that multiplies in registers.
type Arithmetic struct {
	Numerics string  `json:"numerics"` // fp32, bf16 or int8
	Kernel   string  `json:"kernel"`
	Needs    string  `json:"needs"` // CPU features
	Threads  int     `json:"threads"`
	GMACs    float64 `json:"gmac_per_s"` // a multiply-add counts as one
	GOPs     float64 `json:"gop_per_s"`  // a multiply-add counts as two operations
}

// Memory is the rate at which one level of memory is read.
type Memory struct {
	Level   string  `json:"level"` // L1, L2, L3 or DRAM
	Bytes   int     `json:"bytes"` // that it holds for all threads; 0 for DRAM
	Threads int     `json:"threads"`
	GBs     float64 `json:"gb_per_s"`
}

// Machine is what a number of threads can do.
type Machine struct {
	Threads    int          `json:"threads"`
	Arithmetic []Arithmetic `json:"arithmetic"`
	Memory     []Memory     `json:"memory"`
}

const (
	windows = 8                    // of which the best counts, as others may have taken the machine meanwhile
	window  = 3 * time.Millisecond // of arithmetic, of one thread
	callFor = 50 * time.Microsecond
)

// Measure measures everything. It takes about a second.
func Measure(threads int) *Machine {
	m := &Machine{Threads: threads}
	p := pool.New(threads)
	defer p.Close()
	for _, t := range []tensor.DType{tensor.F32, tensor.BF16, tensor.I8} {
		m.Arithmetic = append(m.Arithmetic, arithmetic(p, t, false)...)
	}
	m.Memory = memory(p)
	return m
}

// Rate is the peak for one of the numerics, in GMAC/s; 0 where it was not measured.
func (m *Machine) Rate(n num.Numerics) float64 {
	best := func(name string) (x float64) {
		for _, a := range m.Arithmetic {
			if a.Numerics == name {
				x = max(x, a.GMACs)
			}
		}
		return x
	}
	switch n {
	case num.Int8:
		return best("int8")
	case num.BF16:
		if x := best("bf16"); x > 0 {
			return x
		}
	}
	return best("fp32")
}

// Bandwidth is the rate of the fastest level that holds a number of bytes, in GB/s, with the level's name; 0 where memory was not measured.
func (m *Machine) Bandwidth(bytes int) (float64, string) {
	for _, l := range m.Memory {
		if bytes <= l.Bytes || l.Bytes == 0 {
			return l.GBs, l.Level
		}
	}
	return 0, ""
}

// For measures the arithmetic of one of the numerics alone, with its best row. It takes some 30 ms.
func For(n num.Numerics, threads int) *Machine {
	p := pool.New(threads)
	defer p.Close()
	t := tensor.F32
	switch n {
	case num.Int8:
		t = tensor.I8
	case num.BF16:
		t = tensor.BF16
	}
	m := &Machine{Threads: threads, Arithmetic: arithmetic(p, t, true)}
	if len(m.Arithmetic) == 0 {
		m.Arithmetic = arithmetic(p, tensor.F32, true)
	}
	return m
}

var numerics = map[tensor.DType]num.Numerics{tensor.F32: num.FP32, tensor.BF16: num.BF16, tensor.I8: num.Int8}

// arithmetic measures the rows for a type, or the best one. Rows in Go count where there are no others; for BF16, which is then
// computed in FP32, they do not.
func arithmetic(p *pool.Pool, t tensor.DType, first bool) (list []Arithmetic) {
	for _, r := range kernels.Here().Rows() {
		if r.Op != spec.Peak || r.In != t || r.Needs == 0 && (len(list) > 0 || t == tensor.BF16) {
			continue
		}
		f, macs := r.Func.(func(*spec.MapArgs)), float64(r.MR*r.NR*r.KR)
		n := 64
		for timed(func() { f(&spec.MapArgs{N: n}) }) < callFor && n < 1<<24 {
			n *= 2
		}
		calls := 0 // of a thread
		for start := time.Now(); time.Since(start) < window; calls++ {
			f(&spec.MapArgs{N: n})
		}
		rate := best(p, func(int) {
			a := &spec.MapArgs{N: n}
			for range calls {
				f(a)
			}
		}, macs*float64(n*calls))
		list = append(list, Arithmetic{numerics[t].String(), r.Name, r.Needs.String(), p.Threads(), rate / 1e9, 2 * rate / 1e9})
		if first {
			break
		}
	}
	return list
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// best runs work on all threads at once and returns the best rate of some windows, in units of the work of a thread per second.
func best(p *pool.Pool, work func(thread int), units float64) float64 {
	threads := p.Threads()
	x := 0.0
	for range windows {
		var arrived atomic.Int32
		var slowest atomic.Int64
		// All begin together: a piece of the loop goes on only when each thread has one.
		p.For(threads, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				arrived.Add(1)
				for waiting := time.Now(); arrived.Load() < int32(threads) && time.Since(waiting) < window; {
					runtime.Gosched()
				}
				took := timed(func() { work(i) })
				for {
					was := slowest.Load()
					if int64(took) <= was || slowest.CompareAndSwap(was, int64(took)) {
						break
					}
				}
			}
		})
		x = max(x, units*float64(threads)/time.Duration(slowest.Load()).Seconds())
	}
	return x
}

// memory measures all levels. Each thread reads a buffer of its own, of a size that only the level holds.
func memory(p *pool.Pool) []Memory {
	threads := p.Threads()
	c := cpuid.CPU.Cache
	known := func(size, otherwise int) int {
		if size > 0 {
			return size
		}
		return otherwise
	}
	l1, l2 := known(c.L1D, 32<<10), known(c.L2, 512<<10)
	levels := []struct {
		name        string
		holds, each int // bytes: of all threads; of the buffer of one
	}{
		{"L1", threads * l1, l1 / 2},
		{"L2", threads * l2, l2 / 2},
		{"L3", c.L3, max(c.L3/4/threads, min(2*l2, c.L3/threads))},
		{"DRAM", 0, max(4*max(c.L3, l2*threads), 64<<20) / threads},
	}
	if c.L3 <= threads*l2 {
		levels = append(levels[:2], levels[3])
	}
	const most = 512 << 20
	row := kernels.Here().Select(spec.Read, tensor.U64, tensor.U64, tensor.U64, tensor.U64, num.FP32)
	f := row.Func.(func(*spec.MapArgs))
	buffers := make([][]byte, threads)
	p.For(threads, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			buffers[i] = tensor.AlignedBytes(min(levels[len(levels)-1].each, most/threads))
			for at := 0; at < len(buffers[i]); at += 1 << 12 {
				buffers[i][at] = 1
			}
		}
	})
	var list []Memory
	for _, l := range levels {
		words := min(l.each, len(buffers[0])) / 8
		passes := 1
		if took := timed(func() { readAll(f, buffers[0], words, 1) }); took < window {
			took = min(took, timed(func() { readAll(f, buffers[0], words, 1) }))
			passes = int(window/max(took, time.Nanosecond)) + 1
		}
		rate := best(p, func(thread int) { readAll(f, buffers[thread], words, passes) }, float64(8*words*passes))
		list = append(list, Memory{l.name, l.holds, threads, rate / 1e9})
	}
	return list
}

// readAll reads words a number of times, in calls that are short enough not to keep Go from the thread.
func readAll(f func(*spec.MapArgs), b []byte, words, passes int) {
	const most = 1 << 16
	sum := new(uint64)
	a := &spec.MapArgs{Y: unsafe.Pointer(sum)}
	for range passes {
		for at := 0; at < words; at += most {
			a.N = min(most, words-at)
			a.X = unsafe.Pointer(&b[8*at])
			f(a)
		}
	}
	runtime.KeepAlive(b)
}
