package elem

import "github.com/edgerun/edgerun/internal/tensor"

// strided walks over an output and its broadcast inputs in rows: runs of the innermost dimension along which every
// input has a constant step.
type strided struct {
	n     int   // elements of the output
	row   int   // elements of a run
	dims  []int // of the runs, outermost first
	step  []int // per input: step within a run
	outer [][]int
}

// newStrided prepares the walk over out with the given inputs' shapes; dimensions that all inputs walk alike are joined.
func newStrided(out tensor.Shape, ins ...tensor.Shape) *strided {
	rank := len(out)
	strides := make([][]int, len(ins))
	for k, s := range ins {
		strides[k] = make([]int, rank)
		st := s.Strides()
		for i := range s {
			if s[i] != 1 {
				strides[k][rank-len(s)+i] = st[i]
			}
		}
	}
	var dims []int
	joined := make([][]int, len(ins))
	for d := range rank {
		if out[d] == 1 {
			continue
		}
		if n := len(dims); n > 0 {
			fits := true
			for k := range ins {
				fits = fits && joined[k][n-1] == strides[k][d]*out[d]
			}
			if fits {
				dims[n-1] *= out[d]
				for k := range ins {
					joined[k][n-1] = strides[k][d]
				}
				continue
			}
		}
		dims = append(dims, out[d])
		for k := range ins {
			joined[k] = append(joined[k], strides[k][d])
		}
	}
	s := &strided{n: out.Len(), row: 1, step: make([]int, len(ins)), outer: make([][]int, len(ins))}
	if n := len(dims); n > 0 {
		s.row, s.dims = dims[n-1], dims[:n-1]
		for k := range ins {
			s.step[k], s.outer[k] = joined[k][n-1], joined[k][:n-1]
		}
	}
	return s
}

// rows is the number of runs.
func (s *strided) rows() int {
	if s.n == 0 || s.row == 0 {
		return 0
	}
	return s.n / s.row
}

// start returns where run r begins in input k.
func (s *strided) start(r, k int) int {
	at := 0
	for d := len(s.dims) - 1; d >= 0; d-- {
		at += r % s.dims[d] * s.outer[k][d]
		r /= s.dims[d]
	}
	return at
}
