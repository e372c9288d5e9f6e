package audio

import (
	"fmt"
	"math"

	"github.com/edgerun/edgerun/pipeline/internal/trig"
)

// Mel says how sound becomes log-mel features or cepstral coefficients. docs/pipeline.md has the formulas.
type Mel struct {
	FFT    int     `json:"fft"`               // length of the transform, at least Window
	Window int     `json:"window"`            // samples per window
	Hop    int     `json:"hop"`               // samples from window to window
	Bands  int     `json:"bands"`             // number of mel bands
	FMin   float64 `json:"f_min,omitempty"`   // lower edge of the first band, Hz
	FMax   float64 `json:"f_max,omitempty"`   // upper edge of the last band, Hz; 0 means half the rate
	Shape  string  `json:"shape,omitempty"`   // window: hann (periodic, default), hann-symmetric, hamming, rect
	Scale  string  `json:"scale,omitempty"`   // htk (default) or slaney
	Norm   string  `json:"norm,omitempty"`    // none (default) or slaney: bands of equal area
	Power  int     `json:"power,omitempty"`   // 2 (default) or 1: bands sum |X|^2 or |X|
	Log    string  `json:"log,omitempty"`     // ln (default), log10, db (10 log10), none, whisper
	Floor  float64 `json:"floor,omitempty"`   // smallest value under the logarithm; 0 means 1e-10
	Offset float64 `json:"offset,omitempty"`  // added under the logarithm before the floor
	Centre bool    `json:"centre,omitempty"`  // windows centred on i*Hop, the sound mirrored at its ends
	Preemp float64 `json:"preemph,omitempty"` // y[n] = x[n] - Preemp*x[n-1]
	Interp string  `json:"interp,omitempty"`  // triangles are linear in hz (default) or mel
	DCT    int     `json:"dct,omitempty"`     // keep this many DCT-II coefficients instead of the bands
	DCTAll bool    `json:"dct_all,omitempty"` // scale the first coefficient as the others, not orthonormally
}

// Width is the number of features per window.
func (m *Mel) Width() int {
	if m.DCT > 0 {
		return m.DCT
	}
	return m.Bands
}

// Validate checks the fields; errors name them.
func (m *Mel) Validate() error {
	bad := func(field string, v any) error { return fmt.Errorf("%s: %v is not possible", field, v) }
	oneOf := func(field, v string, list ...string) error {
		for _, s := range list {
			if v == s || v == "" {
				return nil
			}
		}
		return fmt.Errorf("%s: unknown %q, known: %v", field, v, list)
	}
	switch {
	case m.Window < 1 || m.Window > 1<<16:
		return bad("window", m.Window)
	case m.FFT < m.Window || m.FFT > 1<<16:
		return bad("fft", m.FFT)
	case m.Hop < 1 || m.Hop > 1<<20:
		return bad("hop", m.Hop)
	case m.Bands < 1 || m.Bands > 4096:
		return bad("bands", m.Bands)
	case m.DCT < 0 || m.DCT > m.Bands:
		return bad("dct", m.DCT)
	case m.Power != 0 && m.Power != 1 && m.Power != 2:
		return bad("power", m.Power)
	case !(m.FMin >= 0) || m.FMin > maxRate:
		return bad("f_min", m.FMin)
	case !(m.FMax == 0 || m.FMax > m.FMin) || m.FMax > maxRate:
		return bad("f_max", m.FMax)
	case !(m.Floor >= 0) || math.IsInf(m.Floor, 0):
		return bad("floor", m.Floor)
	case !(m.Offset >= 0) || math.IsInf(m.Offset, 0):
		return bad("offset", m.Offset)
	case !(math.Abs(m.Preemp) <= 1):
		return bad("preemph", m.Preemp)
	}
	if p := largestFactor(m.FFT); p > maxFactor {
		return fmt.Errorf("fft: %d has the prime factor %d, largest supported %d", m.FFT, p, maxFactor)
	}
	for _, err := range []error{
		oneOf("shape", m.Shape, "hann", "hann-symmetric", "hamming", "rect"),
		oneOf("scale", m.Scale, "htk", "slaney"),
		oneOf("norm", m.Norm, "none", "slaney"),
		oneOf("interp", m.Interp, "hz", "mel"),
		oneOf("log", m.Log, "ln", "log10", "db", "none", "whisper"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Features computes the features of s: Width values per window, window after window, and the number of windows.
func (m *Mel) Features(s *Sound, lim Limits) ([]float32, int, error) {
	if err := m.Validate(); err != nil {
		return nil, 0, err
	}
	x := s.Samples
	if m.Preemp != 0 {
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = v
			if i > 0 {
				y[i] = float32(float64(v) - float64(m.Preemp*float64(x[i-1])))
			}
		}
		x = y
	}
	n := 0
	off := 0
	if m.Centre {
		// Window i covers [i*Hop - FFT/2, ...), the sound mirrored without repeating the end sample.
		off = -m.FFT / 2
		n = len(x)/m.Hop + 1
		if len(x) == 0 {
			n = 0
		}
		if m.Log == "whisper" && n > 0 {
			n-- // Whisper drops the last window
		}
	} else if len(x) >= m.Window {
		n = (len(x)-m.Window)/m.Hop + 1
	}
	width := m.Width()
	if n > math.MaxInt/width {
		return nil, 0, fmt.Errorf("features: %w", ErrTooLarge)
	}
	if err := lim.check(n * width); err != nil {
		return nil, 0, fmt.Errorf("features: %w", err)
	}
	win := m.window()
	bank := m.bank(s.Rate)
	t := newFFT(m.FFT)
	buf, re, im := make([]float64, m.FFT), make([]float64, m.FFT), make([]float64, m.FFT)
	spec := make([]float64, m.FFT/2+1)
	bands := make([]float64, m.Bands)
	out := make([]float32, n*width)
	// A window shorter than the transform lies in its middle where windows are centred, else at its start.
	pad := 0
	if m.Centre {
		pad = (m.FFT - m.Window) / 2
	}
	for i := range n {
		for k := range win {
			j := i*m.Hop + off + pad + k
			if m.Centre {
				j = mirror(j, len(x))
			}
			buf[pad+k] = float64(win[k] * float64(x[j]))
		}
		t.transform(re, im, buf)
		for k := range spec {
			spec[k] = float64(re[k]*re[k]) + float64(im[k]*im[k])
			if m.Power == 1 {
				spec[k] = math.Sqrt(spec[k])
			}
		}
		for b, f := range bank {
			var sum float64
			for k, w := range f.w {
				sum += float64(w * spec[f.first+k])
			}
			bands[b] = m.log(sum)
		}
		row := out[i*width : (i+1)*width]
		if m.DCT == 0 {
			for b, v := range bands {
				row[b] = float32(v)
			}
			continue
		}
		for c := range row {
			// sqrt(2/B) * sum of v[b]*cos(pi*c*(b+0.5)/B); the first coefficient has sqrt(1/B) unless DCTAll.
			var sum float64
			for b, v := range bands {
				a := float64(c) * (float64(b) + 0.5) / float64(m.Bands)
				sum += float64(v * trig.SinPi(a+0.5))
			}
			scale := 2.0
			if c == 0 && !m.DCTAll {
				scale = 1
			}
			row[c] = float32(sum * math.Sqrt(scale/float64(m.Bands)))
		}
	}
	if m.Log == "whisper" {
		// Whisper: clamp to 8 below the maximum (in log10), then (v+4)/4.
		top := float32(math.Inf(-1))
		for _, v := range out {
			top = max(top, v)
		}
		for i, v := range out {
			out[i] = (max(v, top-8) + 4) / 4
		}
	}
	return out, n, nil
}

// mirror folds j into [0, n) about the first and the last sample.
func mirror(j, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	j %= period
	if j < 0 {
		j += period
	}
	if j >= n {
		j = period - j
	}
	return j
}

func (m *Mel) log(v float64) float64 {
	floor := m.Floor
	if floor == 0 {
		floor = 1e-10
	}
	if m.Log == "none" {
		return v
	}
	v = max(v+m.Offset, floor)
	switch m.Log {
	case "log10", "whisper":
		return math.Log10(v)
	case "db":
		return 10 * math.Log10(v)
	}
	return math.Log(v)
}

func (m *Mel) window() []float64 {
	w := make([]float64, m.Window)
	div := float64(m.Window)
	a := 0.5
	switch m.Shape {
	case "rect":
		for i := range w {
			w[i] = 1
		}
		return w
	case "hann-symmetric":
		div = max(float64(m.Window-1), 1)
	case "hamming":
		a = 0.54
	}
	for i := range w {
		// a - (1-a) cos(2 pi i/div)
		w[i] = a - float64((1-a)*trig.SinPi(2*float64(i)/div+0.5))
	}
	return w
}

type band struct {
	first int
	w     []float64
}

// bank builds triangles: with edges e[0..Bands+1] equally spaced on the mel scale from FMin to FMax, band b rises from
// e[b] to e[b+1] and falls to e[b+2], linear in Hz or mel, sampled at the transform's frequencies k*rate/FFT.
func (m *Mel) bank(rate int) []band {
	fmax := m.FMax
	if fmax == 0 {
		fmax = float64(rate) / 2
	}
	lo, hi := m.toMel(m.FMin), m.toMel(fmax)
	e, hz := make([]float64, m.Bands+2), make([]float64, m.Bands+2)
	for i := range e {
		e[i] = lo + float64((hi-lo)*float64(i)/float64(m.Bands+1))
		hz[i] = m.toHz(e[i])
		if m.Interp != "mel" {
			e[i] = hz[i]
		}
	}
	bank := make([]band, m.Bands)
	for b := range bank {
		f := &bank[b]
		scale := 1.0
		if m.Norm == "slaney" && hz[b+2] > hz[b] {
			scale = 2 / (hz[b+2] - hz[b])
		}
		for k := range m.FFT/2 + 1 {
			f0 := float64(k) * float64(rate) / float64(m.FFT)
			if m.Interp == "mel" {
				f0 = m.toMel(f0)
			}
			w := min((f0-e[b])/(e[b+1]-e[b]), (e[b+2]-f0)/(e[b+2]-e[b+1]))
			if !(w > 0) {
				continue
			}
			if len(f.w) == 0 {
				f.first = k
			}
			f.w = append(f.w, w*scale)
		}
	}
	return bank
}

// The Slaney scale is linear up to 1000 Hz (200/3 Hz per mel), then logarithmic (27 steps per factor of 6.4).
const (
	slaneyStep  = 200.0 / 3
	slaneyBreak = 1000.0
)

func (m *Mel) toMel(hz float64) float64 {
	if m.Scale != "slaney" {
		return 2595 * math.Log10(1+hz/700)
	}
	if hz < slaneyBreak {
		return hz / slaneyStep
	}
	return slaneyBreak/slaneyStep + math.Log(hz/slaneyBreak)*27/math.Log(6.4)
}

func (m *Mel) toHz(mel float64) float64 {
	if m.Scale != "slaney" {
		return 700 * (math.Pow(10, mel/2595) - 1)
	}
	if mel < slaneyBreak/slaneyStep {
		return mel * slaneyStep
	}
	return slaneyBreak * math.Exp((mel-slaneyBreak/slaneyStep)*math.Log(6.4)/27)
}
