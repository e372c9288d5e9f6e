package audio

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// wav makes a file of one data chunk; odd chunks before it are skipped by a reader.
func wav(tag, channels, rate, bits int, data []byte, extra ...byte) []byte {
	le := binary.LittleEndian
	f := le.AppendUint16(nil, uint16(tag))
	f = le.AppendUint16(f, uint16(channels))
	f = le.AppendUint32(f, uint32(rate))
	f = le.AppendUint32(f, uint32(rate*channels*bits/8))
	f = le.AppendUint16(f, uint16(channels*bits/8))
	f = le.AppendUint16(f, uint16(bits))
	f = append(f, extra...)
	b := []byte("RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt ")
	b = le.AppendUint32(b, uint32(len(f)))
	b = append(b, f...)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(len(data)))
	b = append(b, data...)
	le.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func TestDecodeWAV(t *testing.T) {
	f32 := func(v ...float32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	f64 := binary.LittleEndian.AppendUint64(nil, math.Float64bits(-0.125))
	ext := []byte{22, 0, 16, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113}
	for _, c := range []struct {
		name string
		file []byte
		ch   Channel
		want []float32
	}{
		{"u8", wav(1, 1, 8000, 8, []byte{0, 128, 255}), Left, []float32{-1, 0, 127.0 / 128}},
		{"s16", wav(1, 1, 8000, 16, []byte{0, 128, 0, 0, 255, 127, 0, 64}), Left, []float32{-1, 0, 32767.0 / 32768, 0.5}},
		{"s24", wav(1, 1, 8000, 24, []byte{0, 0, 128, 0, 0, 64, 255, 255, 255}), Left, []float32{-1, 0.5, -1.0 / (1 << 23)}},
		{"s32", wav(1, 1, 8000, 32, []byte{0, 0, 0, 128, 0, 0, 0, 32}), Left, []float32{-1, 0.25}},
		{"f32", wav(3, 1, 8000, 32, f32(0.75, -2, float32(math.NaN()))), Left, []float32{0.75, -2, 0}},
		{"f64", wav(3, 1, 8000, 64, f64), Left, []float32{-0.125}},
		{"extensible", wav(0xfffe, 1, 8000, 16, []byte{0, 64}, ext...), Left, []float32{0.5}},
		{"left", wav(1, 2, 8000, 16, []byte{0, 64, 0, 32, 0, 192, 0, 0}), Left, []float32{0.5, -0.5}},
		{"right", wav(1, 2, 8000, 16, []byte{0, 64, 0, 32, 0, 192, 0, 0}), Right, []float32{0.25, 0}},
		{"mix", wav(1, 2, 8000, 16, []byte{0, 64, 0, 32, 0, 192, 0, 0}), Mix, []float32{0.375, -0.25}},
		{"right of mono", wav(1, 1, 8000, 16, []byte{0, 64}), Right, []float32{0.5}},
		{"cut off", wav(1, 1, 8000, 16, []byte{0, 64, 0, 32, 1})[:len(wav(1, 1, 8000, 16, []byte{0, 64, 0, 32, 1}))-1], Left, []float32{0.5, 0.25}},
	} {
		s, err := DecodeWAV(c.file, c.ch, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s.Rate != 8000 || !slices.Equal(s.Samples, c.want) {
			t.Errorf("%s: %v at %d, want %v", c.name, s.Samples, s.Rate, c.want)
		}
	}
	good := wav(1, 1, 8000, 16, make([]byte, 200))
	if _, err := DecodeWAV(good, Left, Limits{Samples: 99}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("100 samples with limit 99: %v", err)
	}
	for name, c := range map[string]struct {
		file []byte
		ch   Channel
		want string
	}{
		"header":   {[]byte("RIFF"), Left, "header"},
		"no data":  {good[:50], Left, "no data chunk"},
		"adpcm":    {wav(2, 1, 8000, 16, nil), Left, "format 0x2"},
		"12 bits":  {wav(1, 1, 8000, 12, nil), Left, "12 bits"},
		"channels": {wav(1, 0, 8000, 16, nil), Left, "0 channels"},
		"rate":     {wav(1, 1, 0, 16, nil), Left, "0 samples per second"},
		"choice":   {good, "centre", "unknown channel"},
	} {
		if _, err := DecodeWAV(c.file, c.ch, Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

func FuzzWAV(f *testing.F) {
	f.Add(wav(1, 2, 16000, 16, make([]byte, 64)))
	f.Add(wav(3, 1, 8000, 64, make([]byte, 17)))
	f.Add(wav(0xfffe, 1, 44100, 24, make([]byte, 9), 22, 0, 16, 0, 0, 0, 0, 0, 1, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, ch := range []Channel{Left, Right, Mix} {
			s, err := DecodeWAV(data, ch, Limits{Samples: 1 << 16})
			if err == nil && (len(s.Samples) > len(data) || s.Rate < 1) {
				t.Fatalf("%d samples at %d from %d bytes", len(s.Samples), s.Rate, len(data))
			}
		}
	})
}

func sine(rate, n int, hz float64) *Sound {
	s := &Sound{Rate: rate, Samples: make([]float32, n)}
	for i := range s.Samples {
		s.Samples[i] = float32(0.5 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return s
}

func TestResample(t *testing.T) {
	for _, c := range []struct{ from, to int }{{8000, 16000}, {44100, 16000}, {48000, 16000}, {16000, 22050}, {22050, 8000}, {16000, 15999}} {
		in := sine(c.from, c.from/2, 440)
		out, err := Resample(in, c.to, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		g := gcd(c.from, c.to)
		if want := (len(in.Samples)*(c.to/g) + c.from/g - 1) / (c.from / g); len(out.Samples) != want || out.Rate != c.to {
			t.Errorf("%d to %d: %d samples at %d, want %d", c.from, c.to, len(out.Samples), out.Rate, want)
		}
		want := sine(c.to, len(out.Samples), 440)
		edge := c.to / 40
		for i := edge; i < len(out.Samples)-edge; i++ {
			if d := math.Abs(float64(out.Samples[i] - want.Samples[i])); d > 1e-4 {
				t.Errorf("%d to %d: sample %d is %v, want %v", c.from, c.to, i, out.Samples[i], want.Samples[i])
				break
			}
		}
	}
	// What lies above the new Nyquist rate goes.
	out, err := Resample(sine(48000, 24000, 9000), 16000, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := 400; i < len(out.Samples)-400; i++ {
		if math.Abs(float64(out.Samples[i])) > 1e-4 {
			t.Fatalf("9 kHz at 16 kHz: sample %d is %v", i, out.Samples[i])
		}
	}
	same := sine(16000, 10, 1)
	if out, _ := Resample(same, 16000, Limits{}); out != same {
		t.Error("resampling to the same rate copied")
	}
	for _, rate := range []int{0, -1, 1 << 30, 767999} {
		if _, err := Resample(sine(768000, 10, 1), rate, Limits{}); err == nil {
			t.Errorf("rate %d was accepted", rate)
		}
	}
	if _, err := Resample(sine(8000, 100, 1), 16000, Limits{Samples: 150}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
}

func TestFrames(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6, 7}
	for _, c := range []struct {
		length, hop, context int
		pad                  bool
		want                 []float32
	}{
		{3, 3, 0, false, []float32{1, 2, 3, 4, 5, 6}},
		{3, 3, 2, false, []float32{0, 0, 1, 2, 3, 2, 3, 4, 5, 6}},
		{3, 3, 1, true, []float32{0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 0, 0}},
		{4, 2, 0, false, []float32{1, 2, 3, 4, 3, 4, 5, 6}},
		{9, 9, 0, false, nil},
		{9, 9, 0, true, []float32{1, 2, 3, 4, 5, 6, 7, 0, 0}},
		{7, 7, 0, true, []float32{1, 2, 3, 4, 5, 6, 7}},
	} {
		got, n, err := Frames(x, c.length, c.hop, c.context, c.pad, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) || n*(c.length+c.context) != len(c.want) {
			t.Errorf("%+v: %v (%d frames)", c, got, n)
		}
	}
	if _, _, err := Frames(x, 0, 1, 0, false, Limits{}); err == nil {
		t.Error("frames of no samples were accepted")
	}
	if _, _, err := Frames(make([]float32, 100), 50, 1, 0, false, Limits{Samples: 1000}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
}

func TestFFT(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 8, 12, 30, 97, 100, 121} {
		x, re, im := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i] = math.Sin(float64(i*i)) + float64(i%3)
		}
		newFFT(n).transform(re, im, x)
		for k := range n {
			var wr, wi float64
			for i, v := range x {
				s, c := math.Sincos(-2 * math.Pi * float64(i*k%n) / float64(n))
				wr += v * c
				wi += v * s
			}
			if math.Abs(re[k]-wr) > 1e-11 || math.Abs(im[k]-wi) > 1e-11 {
				t.Fatalf("n=%d k=%d: (%v, %v), want (%v, %v)", n, k, re[k], im[k], wr, wi)
			}
		}
	}
}

func TestFeaturesAgainstNumPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/chirp.s16")
	if err != nil {
		t.Fatal(err)
	}
	s, err := DecodeWAV(wav(1, 1, 16000, 16, raw), Left, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/features.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Rows   int
		Values []float64
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]Mel{
		"whisper": {FFT: 400, Window: 400, Hop: 160, Bands: 80, FMax: 8000, Scale: "slaney", Norm: "slaney", Log: "whisper", Centre: true},
		"mfcc":    {FFT: 512, Window: 480, Hop: 320, Bands: 40, FMin: 20, FMax: 4000, Power: 1, Offset: 1e-6, Interp: "mel", DCT: 10, DCTAll: true},
		"db":      {FFT: 420, Window: 300, Hop: 150, Bands: 20, FMin: 50, FMax: 7000, Shape: "hamming", Log: "db", Floor: 1e-6, Preemp: 0.97},
	} {
		want := golden[name]
		got, rows, err := m.Features(s, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if rows != want.Rows || len(got) != len(want.Values) {
			t.Errorf("%s: %d rows, %d values; want %d, %d", name, rows, len(got), want.Rows, len(want.Values))
			continue
		}
		for i, v := range got {
			if d := math.Abs(float64(v) - want.Values[i]); d > 2e-5*max(1, math.Abs(want.Values[i])) {
				t.Errorf("%s: value %d is %v, want %v", name, i, v, want.Values[i])
				break
			}
		}
	}
}

func TestMelValidate(t *testing.T) {
	good := Mel{FFT: 512, Window: 400, Hop: 160, Bands: 40}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(m *Mel){
		"fft":     func(m *Mel) { m.FFT = 399 },
		"fft: ":   func(m *Mel) { m.FFT = 65521 },
		"window":  func(m *Mel) { m.Window = 0 },
		"hop":     func(m *Mel) { m.Hop = 0 },
		"bands":   func(m *Mel) { m.Bands = 1 << 20 },
		"dct":     func(m *Mel) { m.DCT = 41 },
		"f_max":   func(m *Mel) { m.FMin, m.FMax = 100, 50 },
		"f_min":   func(m *Mel) { m.FMin = math.NaN() },
		"power":   func(m *Mel) { m.Power = 3 },
		"log":     func(m *Mel) { m.Log = "log2" },
		"shape":   func(m *Mel) { m.Shape = "kaiser" },
		"scale":   func(m *Mel) { m.Scale = "bark" },
		"floor":   func(m *Mel) { m.Floor = -1 },
		"preemph": func(m *Mel) { m.Preemp = 2 },
	} {
		m := good
		change(&m)
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
