package kerneltest

import (
	"math/rand/v2"
	"unsafe"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
)

// The factors of a row that measures the machine: length, places of input and output.
func readLevels(row *spec.Row) []int {
	return []int{2*row.MR*row.NR + 4, int(numPlaces), int(numPlaces)}
}

func readCase(t T, row *spec.Row, s *space, rng *rand.Rand, c []int) {
	n := c[0]
	x, want := make([]uint64, n), uint64(0)
	for i := range x {
		x[i] = rng.Uint64()
		want ^= x[i]
	}
	in, out := s.input(tensor.Bytes(x), 8, place(c[1])), s.output(8, 8, place(c[2]))
	args := spec.MapArgs{X: in.pointer(), Y: out.pointer(), N: n}
	was := args
	row.Func.(func(*spec.MapArgs))(&args)
	if args != was {
		t.Errorf("%s: the kernel changed its arguments", row.Name)
	}
	if got := *(*uint64)(unsafe.Pointer(&out.data[0])); row.Op == spec.Read && got != want {
		t.Errorf("%s: of %d words: %x, want %x", row.Name, n, got, want)
	}
	for _, v := range out.data {
		if row.Op == spec.Peak && v != sentinel {
			t.Errorf("%s: the kernel wrote", row.Name)
			return
		}
	}
	in.unchanged(t, "X")
	out.outside(t)
}
