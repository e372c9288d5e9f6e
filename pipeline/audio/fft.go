package audio

import "github.com/edgerun/edgerun/pipeline/internal/trig"

// fft is a discrete Fourier transform of any length: mixed radix by the factors of n, in float64 without fused
// operations.
type fft struct {
	n        int
	cos, sin []float64 // of 2 pi i/n
	factors  []int
	tmp      []float64
}

func newFFT(n int) *fft {
	f := &fft{n: n, cos: make([]float64, n), sin: make([]float64, n), tmp: make([]float64, 2*n)}
	for i := range n {
		x := 2 * float64(i) / float64(n)
		f.sin[i] = trig.SinPi(x)
		f.cos[i] = trig.SinPi(x + 0.5)
	}
	for m, p := n, 2; m > 1; {
		if m%p == 0 {
			f.factors = append(f.factors, p)
			m /= p
		} else {
			p++
		}
	}
	return f
}

// transform computes re + i*im, both of length n, of the real x.
func (f *fft) transform(re, im, x []float64) {
	f.rec(re, im, x, f.n, 1, f.factors)
}

// rec transforms the n values x[0], x[stride], ... by splitting n = p*m: p transforms of length m, then twiddles.
func (f *fft) rec(re, im, x []float64, n, stride int, factors []int) {
	if n == 1 {
		re[0], im[0] = x[0], 0
		return
	}
	p := factors[0]
	m := n / p
	for r := range p {
		f.rec(re[r*m:(r+1)*m], im[r*m:(r+1)*m], x[r*stride:], m, stride*p, factors[1:])
	}
	tr, ti := f.tmp[:n], f.tmp[f.n:f.n+n]
	for k := range n {
		var sr, si float64
		for r := range p {
			// exp(-2 pi i r k/n); one turn of length n is f.n/n = stride steps of the table.
			w := r * k % n * stride
			c, s := f.cos[w], f.sin[w]
			a, b := re[r*m+k%m], im[r*m+k%m]
			sr += float64(a*c) + float64(b*s)
			si += float64(b*c) - float64(a*s)
		}
		tr[k], ti[k] = sr, si
	}
	copy(re[:n], tr)
	copy(im[:n], ti)
}

// maxFactor bounds the prime factors of a transform's length, whose cost grows with them.
const maxFactor = 127

func largestFactor(n int) int {
	p := 2
	for p*p <= n {
		if n%p == 0 {
			n /= p
		} else {
			p++
		}
	}
	return n
}
