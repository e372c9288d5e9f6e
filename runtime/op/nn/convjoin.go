package nn

import (
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// join takes neighbouring outputs of a line, as many as it returns, for one with the channels of all: a row of the product is then what all of them
// see, and the weights of each have zeros where it sees nothing. Where there are few channels, that fills columns of a tile that did not exist, and there
// are fewer rows. Sums of integers stay the same; those of floats would not, as zero times infinity is not zero.
func (v *conv) join(c *op.Call, row *spec.Row) (*conv, int) {
	if row.Op != spec.Gemm || !v.joinable() || v.cg > mergedSteps*row.KR {
		return v, 1
	}
	best := 1
	for p := 2; p*v.outC <= row.NR; p++ {
		if v.out[2]%p == 0 && v.tileTime(row, p)*best < v.tileTime(row, best)*p {
			best = p
		}
	}
	if best == 1 || !c.Choose("join-outputs", true) {
		return v, 1
	}
	win := *v.window
	win.kernel[2], win.stride[2], win.out[2] = v.joinedKernel(best), best*v.stride[2], v.out[2]/best
	u := *v
	u.window, u.og, u.outC, u.pos, u.m = &win, best*v.og, best*v.outC, v.pos/best, v.m/best
	return &u, best
}

// joinable reports whether outputs that follow each other in memory see inputs that do, and some of these together: else zeros would cost what is won.
func (v *conv) joinable() bool {
	return !v.pointwise() && v.group == 1 && v.dilation[2] == 1 && v.x.Pitch == 0 && v.y.Pitch == 0
}

// joinedKernel is the number of positions of a line that p neighbours see.
func (v *conv) joinedKernel(p int) int { return (p-1)*v.stride[2] + v.kernel[2] }

// tileTime is about the time that a tile of rows of p outputs each takes, in cycles: what a call, a tap, a step and a vector of results cost.
func (v *conv) tileTime(row *spec.Row, p int) int {
	lines, vectors := v.kernel[0]*v.kernel[1], ceil(3*p*v.outC, row.NR)
	return 60 + 30*lines + (50+4*lines*ceil(v.joinedKernel(p)*v.cg, row.KR))*vectors
}

// joinedWeights is the source of the weights of p outputs that are joined.
func joinedWeights[T operand](v *conv, p int, w *source[T]) *source[T] {
	lines, line, wide := v.kernel[0]*v.kernel[1], v.kernel[2]*v.cg, v.joinedKernel(p)*v.cg
	joined := *w
	joined.plain = nil
	joined.kind += "/joined" + itoa(p) + "by" + itoa(v.stride[2])
	joined.load = func() func(i, o int) T {
		at := w.load()
		return func(i, o int) T {
			k := i%wide - o/v.outC*v.stride[2]*v.cg
			if k < 0 || k >= line {
				return 0
			}
			o %= v.outC
			return at((o*lines+i/wide%lines)*line+k, o)
		}
	}
	return &joined
}
