package pixel

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/pipeline/internal/trig"
)

// Filter is a way to resize.
type Filter string

// The filters.
const (
	Nearest  Filter = "nearest"  // the pixel whose area holds the centre
	Bilinear Filter = "bilinear" // two taps per axis, half-pixel centres, no antialias (OpenCV INTER_LINEAR)
	Triangle Filter = "triangle" // bilinear with antialias (Pillow BILINEAR)
	Bicubic  Filter = "bicubic"  // a = -0.5, with antialias (Pillow BICUBIC)
	Lanczos  Filter = "lanczos"  // three lobes, with antialias (Pillow LANCZOS)
	Area     Filter = "area"     // mean over the covered area (OpenCV INTER_AREA); enlarging, Bilinear
)

// Filters lists all filters.
var Filters = []Filter{Nearest, Bilinear, Triangle, Bicubic, Lanczos, Area}

// taps are the weights of one axis: output i is the sum over k of w[i*n+k] * in[first[i]+k], k < count[i].
type taps struct {
	n            int
	first, count []int32
	w            []int32
}

// The two fixed-point schemes. Filters with antialias: weights of 22 bits, each pass rounded to 8 bits and saturated.
// Bilinear and Area, whose weights are never negative: weights of 14 bits, 6 bits of fraction kept between the passes.
const (
	wideBits   = 22
	narrowBits = 14
	midBits    = 6
)

// maxTaps bounds the weights of one axis.
const maxTaps = 1 << 26

// Resize scales m to w by h pixels: first each row, then each column. An axis whose size does not change is
// not filtered.
func Resize(m *Image, w, h int, f Filter) (*Image, error) {
	if w <= 0 || h <= 0 || m.W <= 0 || m.H <= 0 {
		return nil, fmt.Errorf("resize from %dx%d to %dx%d", m.W, m.H, w, h)
	}
	if w == m.W && h == m.H {
		return m, nil
	}
	switch f {
	case Nearest:
		return nearest(m, w, h), nil
	case Bilinear, Area:
		tx, err := narrowTaps(m.W, w, f)
		if err != nil {
			return nil, err
		}
		ty, err := narrowTaps(m.H, h, f)
		if err != nil {
			return nil, err
		}
		if w != m.W && h != m.H {
			mid := make([]uint16, 3*w*m.H)
			horizontal(mid, m.Pix, m.W, w, tx, narrowBits-midBits, math.MaxUint16)
			r := New(w, h)
			vertical(r.Pix, mid, w, h, ty, narrowBits+midBits)
			return r, nil
		}
		r := New(w, h)
		if w != m.W {
			horizontal(r.Pix, m.Pix, m.W, w, tx, narrowBits, 255)
		} else {
			vertical(r.Pix, m.Pix, w, h, ty, narrowBits)
		}
		return r, nil
	case Triangle, Bicubic, Lanczos:
		r := m
		if w != m.W {
			t, err := wideTaps(m.W, w, f)
			if err != nil {
				return nil, err
			}
			r = New(w, m.H)
			horizontal(r.Pix, m.Pix, m.W, w, t, wideBits, 255)
		}
		if h != m.H {
			t, err := wideTaps(m.H, h, f)
			if err != nil {
				return nil, err
			}
			s := r
			r = New(w, h)
			vertical(r.Pix, s.Pix, w, h, t, wideBits)
		}
		return r, nil
	}
	return nil, fmt.Errorf("unknown resize filter %q, known: %v", f, Filters)
}

// nearest: source index = floor((2i+1)*in / (2*out)).
func nearest(m *Image, w, h int) *Image {
	r := New(w, h)
	at := func(i, in, out int) int { return int((2*int64(i) + 1) * int64(in) / (2 * int64(out))) }
	xs := make([]int, w)
	for x := range xs {
		xs[x] = 3 * at(x, m.W, w)
	}
	for y := range h {
		row := m.Pix[3*m.W*at(y, m.H, h):]
		out := r.Pix[3*y*w : 3*(y+1)*w]
		for x, sx := range xs {
			out[3*x], out[3*x+1], out[3*x+2] = row[sx], row[sx+1], row[sx+2]
		}
	}
	return r
}

// wideTaps: scale = in/out, s = max(scale, 1), c = (i+0.5)*scale. Taps from floor(c - support*s + 0.5) to
// floor(c + support*s + 0.5), inside the picture; weight of tap x is filter((x - c + 0.5)/s), divided by the sum of all,
// times 2^22, rounded half away from zero. All in float64.
func wideTaps(in, out int, f Filter) (*taps, error) {
	kernel, support := kernelOf(f)
	scale := float64(in) / float64(out)
	s := max(scale, 1)
	reach := float64(support * s)
	t := &taps{n: 2*int(math.Ceil(reach)) + 1}
	if t.n > maxTaps/out {
		return nil, fmt.Errorf("resize from %d to %d: %w", in, out, ErrTooLarge)
	}
	t.alloc(out)
	w := make([]float64, t.n)
	for i := range out {
		c := float64((float64(i) + 0.5) * scale)
		lo := max(int(c-reach+0.5), 0)
		hi := min(int(c+reach+0.5), in)
		var sum float64
		for k := range hi - lo {
			w[k] = kernel((float64(lo+k) - c + 0.5) * (1 / s))
			sum += w[k]
		}
		t.first[i], t.count[i] = int32(lo), int32(hi-lo)
		for k := range hi - lo {
			t.w[i*t.n+k] = int32(math.Round(w[k] / sum * (1 << wideBits)))
		}
	}
	return t, nil
}

// narrowTaps gives the weights of Bilinear and Area. The 14-bit weights of one output sum to 2^14 exactly: what rounding
// leaves over goes to the largest, the first of equals.
func narrowTaps(in, out int, f Filter) (*taps, error) {
	scale := float64(in) / float64(out)
	t := &taps{n: 2}
	area := f == Area && in > out
	if area {
		t.n = int(math.Ceil(scale)) + 1
	}
	if t.n > maxTaps/out {
		return nil, fmt.Errorf("resize from %d to %d: %w", in, out, ErrTooLarge)
	}
	t.alloc(out)
	w := make([]float64, t.n)
	for i := range out {
		var lo, n int
		if area {
			// The output pixel covers [a, b).
			a, b := float64(float64(i)*scale), float64(float64(i+1)*scale)
			lo = min(int(a), in-1)
			hi := min(int(math.Ceil(b)), in)
			n = min(max(hi-lo, 1), t.n)
			for k := range n {
				w[k] = max(min(b, float64(lo+k+1))-max(a, float64(lo+k)), 0) / scale
			}
		} else {
			c := float64((float64(i)+0.5)*scale) - 0.5
			c = min(max(c, 0), float64(in-1))
			lo = min(int(c), max(in-2, 0))
			n = min(2, in)
			w[1] = c - float64(lo)
			w[0] = 1 - w[1]
		}
		rest, big := int32(1<<narrowBits), 0
		q := t.w[i*t.n : i*t.n+n]
		for k := range n {
			q[k] = int32(math.Round(w[k] * (1 << narrowBits)))
			rest -= q[k]
			if q[k] > q[big] {
				big = k
			}
		}
		q[big] += rest
		t.first[i], t.count[i] = int32(lo), int32(n)
	}
	return t, nil
}

func (t *taps) alloc(out int) {
	t.first, t.count = make([]int32, out), make([]int32, out)
	t.w = make([]int32, out*t.n)
}

func kernelOf(f Filter) (func(float64) float64, float64) {
	switch f {
	case Triangle:
		return func(x float64) float64 { return max(1-math.Abs(x), 0) }, 1
	case Bicubic:
		return cubic, 2
	}
	return lanczos3, 3
}

// cubic is Keys' kernel with a = -0.5.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64(float64(float64(float64(float64(x-5)*x)+8)*x)-4) * a
	}
	return 0
}

// lanczos3 is sinc(x)*sinc(x/3) for |x| < 3.
func lanczos3(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return trig.Sinc(x) * trig.Sinc(x/3)
}

// horizontal filters each row of src (in pixels wide) to out pixels.
func horizontal[T uint8 | uint16](dst []T, src []byte, in, out int, t *taps, shift uint, limit int32) {
	round := int32(1) << (shift - 1)
	rows := len(src) / (3 * in)
	for y := range rows {
		row := src[3*y*in : 3*(y+1)*in]
		o := dst[3*y*out : 3*(y+1)*out]
		for x := range out {
			n := int(t.count[x])
			w := t.w[x*t.n : x*t.n+n]
			s := row[3*t.first[x]:]
			s = s[:3*len(w)]
			r, g, b := round, round, round
			for k, wk := range w {
				r += int32(s[3*k]) * wk
				g += int32(s[3*k+1]) * wk
				b += int32(s[3*k+2]) * wk
			}
			o[3*x] = T(min(max(r>>shift, 0), limit))
			o[3*x+1] = T(min(max(g>>shift, 0), limit))
			o[3*x+2] = T(min(max(b>>shift, 0), limit))
		}
	}
}

// vertical filters the columns of src (w pixels wide) to h rows.
func vertical[T uint8 | uint16](dst []byte, src []T, w, h int, t *taps, shift uint) {
	n := 3 * w
	acc := make([]int32, n)
	for y := range h {
		for i := range acc {
			acc[i] = 1 << (shift - 1)
		}
		for k := range int(t.count[y]) {
			wk := t.w[y*t.n+k]
			if wk == 0 {
				continue
			}
			row := src[(int(t.first[y])+k)*n:]
			row = row[:len(acc)]
			for i, v := range row {
				acc[i] += int32(v) * wk
			}
		}
		out := dst[y*n : (y+1)*n]
		for i, v := range acc[:len(out)] {
			out[i] = clip8(v >> shift)
		}
	}
}
