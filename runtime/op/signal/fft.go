package signal

import (
	"math"
	"math/bits"
)

// turn returns the cosine and sine of 2πk/n for 0 <= k < n. The octant is found in integers; within it both are Taylor
// series, good to 1e-16.
func turn(k, n int) (cos, sin float64) {
	q, r := 8*int64(k)/int64(n), 8*int64(k)%int64(n)
	f := float64(r) / float64(n)
	if q%2 == 1 {
		f = float64(int64(n)-r) / float64(n)
	}
	x := float64(f * (math.Pi / 4))
	s := float64(x * x)
	c, cterm, d, dterm := 1.0, 1.0, x, x
	for i := 1; i <= 9; i++ {
		cterm = -float64(cterm*s) / float64(2*i*(2*i-1))
		dterm = -float64(dterm*s) / float64(2*i*(2*i+1))
		c += cterm
		d += dterm
	}
	if (q+1)/2%2 == 1 { // nearer to the second axis
		c, d = d, c
	}
	if q >= 2 && q < 6 {
		c = -c
	}
	if q >= 4 {
		d = -d
	}
	return c, d
}

// fft transforms complex signals of one length: powers of two by halving, others as a convolution with a chirp
// (Bluestein).
type fft struct {
	n        int
	m        int // the power of two that is transformed
	swap     []int32
	cos, sin []float64 // of -2πk/m, k < m/2
	chirp    pair      // e^(-iπk²/n); empty where n is m
	filter   pair      // the transform of the chirp's conjugate
}

type pair struct{ re, im []float64 }

func newPair(n int) pair { return pair{make([]float64, n), make([]float64, n)} }

// fftBytes is about what newFFT(n) and the memory of each thread take.
func fftBytes(n, threads int) int {
	each := 64 + 32*threads
	if n > math.MaxInt/4/each {
		return math.MaxInt
	}
	m := 1
	for m < n {
		m *= 2
	}
	return 2 * m * each
}

func newFFT(n int) *fft {
	f := &fft{n: n, m: 1}
	for f.m < n {
		f.m *= 2
	}
	if f.m != n {
		f.m *= 2 // at least 2n-1
	}
	shift := 64 - uint(bits.Len(uint(f.m))-1)
	for i := range f.m {
		j := 0
		if f.m > 1 {
			j = int(bits.Reverse64(uint64(i)) >> shift)
		}
		f.swap = append(f.swap, int32(j))
	}
	f.cos, f.sin = make([]float64, f.m/2), make([]float64, f.m/2)
	for k := range f.cos {
		c, s := turn(k, f.m)
		f.cos[k], f.sin[k] = c, -s
	}
	if f.m == n {
		return f
	}
	f.chirp, f.filter = newPair(n), newPair(f.m)
	square := 0 // k² mod 2n
	for k := range n {
		c, s := turn(square, 2*n)
		f.chirp.re[k], f.chirp.im[k] = c, -s
		for _, at := range [2]int{k, (f.m - k) % f.m} {
			f.filter.re[at], f.filter.im[at] = c, s
		}
		square = (square + 2*k + 1) % (2 * n)
	}
	f.halve(f.filter)
	return f
}

// work is the memory that one transform at a time needs; the signal is its first n elements.
func (f *fft) work() pair { return newPair(f.m) }

// run transforms the signal in place: X[k] = Σ x[j]·e^(-2πijk/n), or with e^(+2πijk/n), unscaled, where inverse is set.
func (f *fft) run(x pair, inverse bool) {
	if inverse { // the transform of the conjugate is the conjugate of the inverse
		x.re, x.im = x.im, x.re
	}
	if f.m == f.n {
		f.halve(x)
		return
	}
	for k := range f.n {
		x.re[k], x.im[k] = multiply(x.re[k], x.im[k], f.chirp.re[k], f.chirp.im[k])
	}
	clear(x.re[f.n:])
	clear(x.im[f.n:])
	f.halve(x)
	for k := range f.m {
		x.re[k], x.im[k] = multiply(x.re[k], x.im[k], f.filter.re[k], f.filter.im[k])
	}
	f.halve(pair{x.im, x.re})
	scale := 1 / float64(f.m) // a power of two
	for k := range f.n {
		x.re[k], x.im[k] = multiply(x.re[k]*scale, x.im[k]*scale, f.chirp.re[k], f.chirp.im[k])
	}
}

func multiply(a, b, c, d float64) (re, im float64) {
	return float64(a*c) - float64(b*d), float64(a*d) + float64(b*c)
}

// halve is the transform of m elements.
func (f *fft) halve(x pair) {
	re, im := x.re[:f.m], x.im[:f.m]
	for i, j := range f.swap {
		if int(j) > i {
			re[i], re[j] = re[j], re[i]
			im[i], im[j] = im[j], im[i]
		}
	}
	for half := 1; half < f.m; half *= 2 {
		step := f.m / (2 * half)
		for from := 0; from < f.m; from += 2 * half {
			for k := range half {
				a, b := from+k, from+k+half
				p, q := multiply(re[b], im[b], f.cos[k*step], f.sin[k*step])
				re[b], im[b] = re[a]-p, im[a]-q
				re[a], im[a] = re[a]+p, im[a]+q
			}
		}
	}
}
