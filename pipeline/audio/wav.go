package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrTooLarge is wrapped by errors about sounds that pass a limit.
var ErrTooLarge = errors.New("sound too large")

// Sound is one channel of sampled sound.
type Sound struct {
	Rate    int // samples per second
	Samples []float32
}

// Channel chooses what becomes of several channels.
type Channel string

// The choices. Left is the first channel, Right the second (the first where there is one only), Mix the mean of all.
const (
	Left  Channel = "left"
	Right Channel = "right"
	Mix   Channel = "mix"
)

// Limits bounds what is decoded, checked before it is allocated.
type Limits struct {
	// Samples is the largest number of samples of the result; 0 means DefaultSamples.
	Samples int
}

// DefaultSamples is almost six hours at 16 kHz.
const DefaultSamples = 320 << 20

func (l Limits) check(n int) error {
	limit := l.Samples
	if limit == 0 {
		limit = DefaultSamples
	}
	if n > limit {
		return fmt.Errorf("%w: %d samples, limit %d", ErrTooLarge, n, limit)
	}
	return nil
}

// The largest values that a WAV header may hold here.
const (
	maxRate     = 768000
	maxChannels = 64
)

const (
	formatPCM        = 1
	formatFloat      = 3
	formatExtensible = 0xfffe
)

// IsWAV reports whether data begins like a WAV file.
func IsWAV(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WAVE"
}

// DecodeWAV reads a RIFF WAVE file: PCM of 8 (unsigned), 16, 24 or 32 bits, or IEEE float of 32 or 64 bits. An integer of
// b bits becomes v / 2^(b-1), rounded to float32; 8-bit samples are (v-128) / 128. A data chunk that is cut off, or whose
// size was never filled in, ends with the file. NaN becomes 0.
func DecodeWAV(data []byte, ch Channel, lim Limits) (*Sound, error) {
	if !IsWAV(data) {
		return nil, fmt.Errorf("wav: no RIFF WAVE header")
	}
	var f wavFormat
	for p := 12; p+8 <= len(data); {
		id := string(data[p : p+4])
		size := uint64(binary.LittleEndian.Uint32(data[p+4:]))
		p += 8
		body := data[p:]
		if size < uint64(len(body)) {
			body = body[:size]
		}
		switch id {
		case "fmt ":
			if err := f.parse(body); err != nil {
				return nil, err
			}
		case "data":
			if f.channels == 0 {
				return nil, fmt.Errorf("wav: data chunk before fmt chunk")
			}
			return f.decode(body, ch, lim)
		}
		if size+size&1 > uint64(len(data)-p) {
			break
		}
		p += int(size + size&1)
	}
	return nil, fmt.Errorf("wav: no data chunk")
}

type wavFormat struct {
	float                bool
	channels, rate, bits int
}

func (f *wavFormat) parse(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("wav: fmt chunk of %d bytes", len(b))
	}
	tag := binary.LittleEndian.Uint16(b)
	channels := int(binary.LittleEndian.Uint16(b[2:]))
	rate := binary.LittleEndian.Uint32(b[4:])
	align := int(binary.LittleEndian.Uint16(b[12:]))
	f.bits = int(binary.LittleEndian.Uint16(b[14:]))
	if tag == formatExtensible {
		if len(b) < 26 {
			return fmt.Errorf("wav: extensible fmt chunk of %d bytes", len(b))
		}
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	f.float = tag == formatFloat
	if tag != formatPCM && tag != formatFloat {
		return fmt.Errorf("wav: format %#x unsupported (PCM and float are)", tag)
	}
	okBits := f.bits == 8 || f.bits == 16 || f.bits == 24 || f.bits == 32
	if f.float {
		okBits = f.bits == 32 || f.bits == 64
	}
	if !okBits {
		return fmt.Errorf("wav: %d bits per sample unsupported", f.bits)
	}
	if channels < 1 || channels > maxChannels {
		return fmt.Errorf("wav: %d channels, supported are 1 to %d", channels, maxChannels)
	}
	if rate < 1 || rate > maxRate {
		return fmt.Errorf("wav: %d samples per second, supported are 1 to %d", rate, maxRate)
	}
	if align != channels*f.bits/8 {
		return fmt.Errorf("wav: block of %d bytes for %d channels of %d bits", align, channels, f.bits)
	}
	f.channels, f.rate = channels, int(rate)
	return nil
}

func (f *wavFormat) decode(b []byte, ch Channel, lim Limits) (*Sound, error) {
	width := f.bits / 8
	block := width * f.channels
	n := len(b) / block
	if err := lim.check(n); err != nil {
		return nil, fmt.Errorf("wav: %w", err)
	}
	s := &Sound{Rate: f.rate, Samples: make([]float32, n)}
	switch {
	case ch == Mix && f.channels > 1:
		for i := range s.Samples {
			var sum float64
			for c := range f.channels {
				sum += float64(f.sample(b[i*block+c*width:]))
			}
			s.Samples[i] = float32(sum / float64(f.channels))
		}
	case ch == Left || ch == Right || ch == Mix:
		off := 0
		if ch == Right && f.channels > 1 {
			off = width
		}
		for i := range s.Samples {
			s.Samples[i] = f.sample(b[i*block+off:])
		}
	default:
		return nil, fmt.Errorf("wav: unknown channel choice %q, known: left, right, mix", ch)
	}
	return s, nil
}

func (f *wavFormat) sample(b []byte) float32 {
	var v float32
	switch {
	case f.float && f.bits == 32:
		v = math.Float32frombits(binary.LittleEndian.Uint32(b))
	case f.float:
		v = float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case f.bits == 8:
		return float32(int(b[0])-128) / 128
	case f.bits == 16:
		return float32(int16(binary.LittleEndian.Uint16(b))) / (1 << 15)
	case f.bits == 24:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
	default:
		return float32(int32(binary.LittleEndian.Uint32(b))) / (1 << 31)
	}
	if v != v {
		return 0
	}
	return v
}
