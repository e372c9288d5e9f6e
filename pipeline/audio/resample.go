package audio

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/pipeline/internal/trig"
)

// The resampling filter: a sinc of zeros zero crossings on each side, cut off at cutoff times the lower of the two Nyquist
// rates, under a Kaiser window.
const (
	zeros  = 32
	cutoff = 0.95
	beta   = 9.0
)

// maxPhases bounds the filter table: the output rate divided by the greatest common divisor of both rates.
const maxPhases = 1 << 16

// Resample converts s to rate samples per second. With L/M the reduced ratio of the rates, output n lies at the input
// position n*M/L and there are ceil(N*L/M) outputs. Output n is the sum over inputs k of x[k]*h(k - n*M/L), where
//
//	h(t) = sinc(t*f) * kaiser(t*f/zeros, beta),  |t*f| < zeros,  f = cutoff*min(1, L/M)
//
// and the weights of each of the L phases are divided by their sum, so that a constant stays what it is (away from the
// ends, beyond which the sound is 0). Weights and sums are float64, the result is rounded to float32.
func Resample(s *Sound, rate int, lim Limits) (*Sound, error) {
	if rate == s.Rate {
		return s, nil
	}
	if rate < 1 || rate > maxRate || s.Rate < 1 || s.Rate > maxRate {
		return nil, fmt.Errorf("resample from %d to %d per second: supported are 1 to %d", s.Rate, rate, maxRate)
	}
	g := gcd(rate, s.Rate)
	up, down := rate/g, s.Rate/g
	f := cutoff * min(1, float64(up)/float64(down))
	half := int(math.Ceil(zeros / f))
	if up > maxPhases || 2*half*up > 1<<24 {
		return nil, fmt.Errorf("resample from %d to %d per second: ratio %d/%d needs too large a filter", s.Rate, rate, up, down)
	}
	if len(s.Samples) > math.MaxInt/(2*up) {
		return nil, fmt.Errorf("resample: %w", ErrTooLarge)
	}
	n := (len(s.Samples)*up + down - 1) / down
	if err := lim.check(n); err != nil {
		return nil, fmt.Errorf("resample: %w", err)
	}
	// Row p of table holds the weights of inputs i-half+1 .. i+half for position i + p/up.
	table := make([]float64, up*2*half)
	norm := bessel0(beta)
	for p := range up {
		row := table[p*2*half : (p+1)*2*half]
		var sum float64
		for k := range row {
			t := float64((float64(k-half+1) - float64(p)/float64(up)) * f)
			if a := t / zeros; math.Abs(a) < 1 {
				row[k] = trig.Sinc(t) * bessel0(beta*math.Sqrt(1-float64(a*a))) / norm
			}
			sum += row[k]
		}
		for k := range row {
			row[k] /= sum
		}
	}
	out := &Sound{Rate: rate, Samples: make([]float32, n)}
	for j := range out.Samples {
		i, p := j*down/up, j*down%up
		row := table[p*2*half : (p+1)*2*half]
		first := i - half + 1
		lo, hi := max(0, -first), min(len(row), len(s.Samples)-first)
		var sum float64
		for k := lo; k < hi; k++ {
			sum += float64(row[k] * float64(s.Samples[first+k]))
		}
		out.Samples[j] = float32(sum)
	}
	return out, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// bessel0 is the modified Bessel function I0 by its power series, the sum over k of ((x/2)^k / k!)^2.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; k < 64; k++ {
		q := x / (2 * k)
		term = float64(term * float64(q*q))
		sum += term
	}
	return sum
}

// Frames cuts samples into frames of length samples, hop apart, each preceded by the context samples before it (zeros
// before the start). The tail that fills no frame is dropped, or padded with zeros where pad is set. Frame i is
// result[i*(context+length):].
func Frames(samples []float32, length, hop, context int, pad bool, lim Limits) ([]float32, int, error) {
	if length < 1 || hop < 1 || context < 0 || context > 1<<24 || length > 1<<28 {
		return nil, 0, fmt.Errorf("frames of %d samples, hop %d, context %d", length, hop, context)
	}
	n := 0
	if len(samples) >= length {
		n = (len(samples)-length)/hop + 1
	}
	// With padding every sample is in some frame.
	if pad && (n == 0 && len(samples) > 0 || n > 0 && (n-1)*hop+length < len(samples)) {
		n++
	}
	width := context + length
	if n > math.MaxInt/width {
		return nil, 0, fmt.Errorf("frames: %w", ErrTooLarge)
	}
	if err := lim.check(n * width); err != nil {
		return nil, 0, fmt.Errorf("frames: %w", err)
	}
	out := make([]float32, n*width)
	for i := range n {
		start := i*hop - context
		lo, hi := max(start, 0), min(i*hop+length, len(samples))
		if lo < hi {
			copy(out[i*width+lo-start:], samples[lo:hi])
		}
	}
	return out, n, nil
}
