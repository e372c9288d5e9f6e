package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime"
)

// parseShapes reads NAME=1,3,224,224 for the inputs of a model. A name may hold '='; a scalar has nothing after it.
func parseShapes(m *runtime.Model, flags []string) (map[string]tensor.Shape, error) {
	shapes := map[string]tensor.Shape{}
	for _, f := range flags {
		at := strings.LastIndexByte(f, '=')
		if at < 0 {
			return nil, usagef("--shape %q: want NAME=1,3,224,224", f)
		}
		name, list := f[:at], f[at+1:]
		if !slices.ContainsFunc(m.Inputs(), func(i runtime.Info) bool { return i.Name == name }) {
			return nil, usagef("--shape %q: the model has no input %q, it has %s", f, name, inputNames(m))
		}
		s := tensor.Shape{}
		if list != "" {
			for _, d := range strings.Split(list, ",") {
				n, err := strconv.Atoi(strings.TrimSpace(d))
				if err != nil || n < 0 {
					return nil, usagef("--shape %q: %q is no extent", f, d)
				}
				s = append(s, n)
			}
		}
		shapes[name] = s
	}
	return shapes, nil
}

func inputNames(m *runtime.Model) string {
	names := make([]string, len(m.Inputs()))
	for i, in := range m.Inputs() {
		names[i] = strconv.Quote(in.Name)
	}
	return strings.Join(names, ", ")
}

// randomInputs draws an input of each kind from a fixed seed: normal floats, and integers of 0 to 99 or, with most 1, ones. Masks
// let everything through.
func randomInputs(m *runtime.Model, shapes []tensor.Shape, most int) ([]*tensor.Tensor, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]*tensor.Tensor, len(m.Inputs()))
	for i, in := range m.Inputs() {
		shape := shapes[i]
		if _, err := shape.Size(); err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Name, err)
		}
		small := func() int { return rng.IntN(100) }
		if most == 1 || isMask(in) {
			small = func() int { return 1 }
		}
		t, err := randomTensor(rng, in.DType, shape, small)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Name, err)
		}
		if in.DType == tensor.Bool && isMask(in) {
			fill(t, func() bool { return true })
		}
		if in.Name == "sr" && t.Len() == 1 { // the sampling rate, by the name that speech models give it
			t = sampleRate(in.DType, shape)
		}
		list[i] = t
	}
	return list, nil
}

func sampleRate(d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	t := tensor.New(d, shape)
	switch d {
	case tensor.I64:
		tensor.Of[int64](t)[0] = 16000
	case tensor.I32:
		tensor.Of[int32](t)[0] = 16000
	case tensor.F32:
		tensor.Of[float32](t)[0] = 16000
	}
	return t
}

func randomTensor(rng *rand.Rand, d tensor.DType, shape tensor.Shape, small func() int) (*tensor.Tensor, error) {
	t := tensor.New(d, shape)
	switch d {
	case tensor.F32:
		fill(t, func() float32 { return float32(rng.NormFloat64()) })
	case tensor.F64:
		fill(t, rng.NormFloat64)
	case tensor.F16:
		fill(t, func() uint16 { return half.F16(float32(rng.NormFloat64())) })
	case tensor.BF16:
		fill(t, func() uint16 { return half.BF16(float32(rng.NormFloat64())) })
	case tensor.I64:
		fill(t, func() int64 { return int64(small()) })
	case tensor.I32:
		fill(t, func() int32 { return int32(small()) })
	case tensor.I16:
		fill(t, func() int16 { return int16(small()) })
	case tensor.I8:
		fill(t, func() int8 { return int8(rng.IntN(256) - 128) })
	case tensor.U64:
		fill(t, func() uint64 { return uint64(small()) })
	case tensor.U32:
		fill(t, func() uint32 { return uint32(small()) })
	case tensor.U16:
		fill(t, func() uint16 { return uint16(small()) })
	case tensor.U8:
		fill(t, func() uint8 { return uint8(rng.IntN(256)) })
	case tensor.Bool:
		fill(t, func() bool { return rng.IntN(2) == 1 })
	case tensor.String:
		for i := range t.Str {
			t.Str[i] = strconv.Itoa(small())
		}
	default:
		return nil, fmt.Errorf("no random values of type %v", d)
	}
	return t, nil
}

func fill[T tensor.Elem](t *tensor.Tensor, f func() T) {
	v := tensor.Of[T](t)
	for i := range v {
		v[i] = f()
	}
}

// newOutputs makes tensors that the first Run fills and later ones reuse.
func newOutputs(m *runtime.Model) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(m.Outputs()))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	return out
}
