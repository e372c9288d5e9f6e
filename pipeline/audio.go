package pipeline

import (
	"fmt"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/pipeline/audio"
)

// prepare turns a WAV file into frames of width values: one where the whole sound is fed at once. rows is the first
// dimension of the features, 0 for samples.
func (a *Audio) prepare(data []byte, lim audio.Limits) (values []float32, n, width, rows int, err error) {
	ch := a.Channel
	if ch == "" {
		ch = audio.Mix
	}
	s, err := audio.DecodeWAV(data, ch, lim)
	if err != nil {
		return nil, 0, 0, 0, err
	}
	if s, err = audio.Resample(s, a.Rate, lim); err != nil {
		return nil, 0, 0, 0, err
	}
	if a.Peak {
		top := float32(0)
		for _, v := range s.Samples {
			top = max(top, v)
		}
		if top > 0 {
			for i := range s.Samples {
				s.Samples[i] /= top
			}
		}
	}
	if a.Samples > 0 {
		cut := make([]float32, a.Samples)
		copy(cut, s.Samples)
		s.Samples = cut
	}
	switch {
	case a.Frame > 0:
		hop := a.Hop
		if hop == 0 {
			hop = a.Frame
		}
		values, n, err = audio.Frames(s.Samples, a.Frame, hop, a.Context, a.PadTail, lim)
		width = a.Frame + a.Context
	case a.Mel != nil:
		values, rows, err = a.Mel.Features(s, lim)
		n, width = 1, len(values)
		if err == nil && a.Transpose {
			values = transpose(values, rows, a.Mel.Width())
			rows = a.Mel.Width()
		}
	default:
		values, n, width = s.Samples, 1, len(s.Samples)
	}
	if err != nil {
		return nil, 0, 0, 0, err
	}
	if n == 0 || width == 0 {
		return nil, 0, 0, 0, fmt.Errorf("sound of %d samples at %d per second is too short", len(s.Samples), s.Rate)
	}
	a.normalise(values)
	return values, n, width, rows, nil
}

// normalise: (v*Scale - Mean) / Std, each step in float32.
func (a *Audio) normalise(v []float32) {
	scale, std := a.Scale, a.Std
	if scale == 0 {
		scale = 1
	}
	if std == 0 {
		std = 1
	}
	if scale == 1 && std == 1 && a.Mean == 0 {
		return
	}
	for i, x := range v {
		v[i] = (float32(x*scale) - a.Mean) / std
	}
}

func transpose(v []float32, rows, cols int) []float32 {
	r := make([]float32, len(v))
	for i := range rows {
		for j := range cols {
			r[j*rows+i] = v[i*cols+j]
		}
	}
	return r
}

// resolve gives the input's free extents the values that make n elements: natural where it fits, else 1 for the first
// dimension and for all free ones but the last.
func resolve(in Info, natural tensor.Shape) (tensor.Shape, error) {
	n := natural.Len()
	if in.Shape == nil {
		return natural, nil
	}
	fits := len(in.Shape) == len(natural)
	for i := 0; fits && i < len(natural); i++ {
		fits = in.Shape[i] < 0 || in.Shape[i] == natural[i]
	}
	if fits {
		return natural, nil
	}
	s := in.Shape.Clone()
	last, known := -1, 1
	for i, d := range s {
		if d < 0 {
			s[i] = 1
			last = i
		} else {
			known *= d
		}
	}
	if last >= 0 && known > 0 && n%known == 0 {
		s[last] = n / known
	}
	if s.Len() != n {
		return nil, fmt.Errorf("%w: input %s takes %v, got %d values (%v)", ErrSpec, in.Name, in.Shape, n, natural)
	}
	return s, nil
}

// fromFloats makes a tensor of the input's type. Integers with parameters are quantised, others rounded half to even.
func fromFloats(in Info, shape tensor.Shape, v []float32) (*tensor.Tensor, error) {
	t := tensor.New(in.DType, shape)
	t.Quant = in.Quant
	x := &imageInput{dtype: in.DType, quant: in.Quant}
	if in.Quant != nil && !in.Quant.PerTensor() {
		return nil, fmt.Errorf("%w: input %s is quantised per channel", ErrSpec, in.Name)
	}
	switch in.DType {
	case tensor.F32:
		copy(tensor.Of[float32](t), v)
	case tensor.F64:
		each(t, v, func(f float32) float64 { return float64(f) })
	case tensor.F16:
		half.ToF16(tensor.Of[uint16](t), v)
	case tensor.BF16:
		half.ToBF16(tensor.Of[uint16](t), v)
	case tensor.U8:
		each(t, v, toInt[uint8](x))
	case tensor.I8:
		each(t, v, toInt[int8](x))
	case tensor.I16:
		each(t, v, toInt[int16](x))
	case tensor.I32:
		each(t, v, toInt[int32](x))
	default:
		return nil, fmt.Errorf("%w: input %s is %v, which cannot be fed", ErrSpec, in.Name, in.DType)
	}
	return t, nil
}

func each[T tensor.Elem](t *tensor.Tensor, v []float32, f func(float32) T) {
	out := tensor.Of[T](t)
	for i, x := range v {
		out[i] = f(x)
	}
}

// fromInts makes a tensor of plain integers (or floats that hold them).
func fromInts(in Info, shape tensor.Shape, v []int32) (*tensor.Tensor, error) {
	t := tensor.New(in.DType, shape)
	switch in.DType {
	case tensor.I64:
		convertInts[int64](t, v)
	case tensor.I32:
		convertInts[int32](t, v)
	case tensor.I16:
		convertInts[int16](t, v)
	case tensor.U8:
		convertInts[uint8](t, v)
	case tensor.F32:
		convertInts[float32](t, v)
	default:
		return nil, fmt.Errorf("%w: input %s is %v, which takes no numbers of bytes or tokens", ErrSpec, in.Name, in.DType)
	}
	return t, nil
}

func convertInts[T int64 | int32 | int16 | uint8 | float32](t *tensor.Tensor, v []int32) {
	out := tensor.Of[T](t)
	for i, x := range v {
		out[i] = T(x)
	}
}
