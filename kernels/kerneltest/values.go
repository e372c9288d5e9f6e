package kerneltest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

// kind is a distribution of elements.
type kind int

const (
	plain   kind = iota // normal numbers, or integers of the whole range
	extreme             // the largest and smallest; subnormals
	special             // NaN and infinities among others (integers: as extreme)
	few                 // few bits, so that ties and cancellations are common
	zeros               // mostly zero
	numKinds
)

func float(rng *rand.Rand, k kind) float32 {
	pick := func(v ...float32) float32 { return v[rng.IntN(len(v))] }
	switch k {
	case extreme:
		return pick(math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -0x1p-126, 0x1p-75, -0x1.8p-76, 0x1p63, float32(rng.NormFloat64()), float32(math.Copysign(0, -1)))
	case special:
		if rng.IntN(16) == 0 {
			return pick(float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)))
		}
	case few:
		return float32(math.Ldexp(float64(rng.IntN(9)-4), rng.IntN(26)-13))
	case zeros:
		if rng.IntN(8) > 0 {
			return 0
		}
	}
	return float32(rng.NormFloat64())
}

// integer draws from the range of an element type; 32-bit operands are kept to 17 bits, as differences of 16-bit values.
func integer(rng *rand.Rand, d tensor.DType, k kind) int64 {
	lo, hi := int64(-1<<16), int64(1<<16)
	if d.Bits() < 32 {
		lo, hi = d.IntRange()
	}
	switch k {
	case extreme, special:
		return [...]int64{lo, hi, lo, hi, lo + 1, 0}[rng.IntN(6)]
	case few:
		return max(lo, int64(rng.IntN(5)-2))
	case zeros:
		if rng.IntN(8) > 0 {
			return 0
		}
	}
	return lo + rng.Int64N(hi-lo+1)
}

// values holds n elements of a type, as bytes and as the numbers they stand for.
type values struct {
	d     tensor.DType
	bytes []byte
	f     []float32
	i     []int64
}

// draw makes n elements; those for which zero reports true are 0.
func draw(rng *rand.Rand, d tensor.DType, n int, k kind, zero func(i int) bool) *values {
	t := tensor.New(d, tensor.Shape{n})
	v := &values{d: d, bytes: t.Data}
	for i := range n {
		z := zero != nil && zero(i)
		if d.IsFloat() {
			f := float(rng, k)
			if z {
				f = 0
			}
			v.f = append(v.f, 0)
			v.set(i, f)
			continue
		}
		x := int64(0)
		if !z {
			x = integer(rng, d, k)
		}
		setInt(t, i, x)
		v.i = append(v.i, x)
	}
	return v
}

// set makes f, as far as the type has it, element i.
func (v *values) set(i int, f float32) {
	switch v.d {
	case tensor.F32:
		binary.NativeEndian.PutUint32(v.bytes[4*i:], math.Float32bits(f))
	case tensor.F16:
		binary.NativeEndian.PutUint16(v.bytes[2*i:], half.F16(f))
		f = half.FromF16(half.F16(f))
	case tensor.BF16:
		binary.NativeEndian.PutUint16(v.bytes[2*i:], half.BF16(f))
		f = half.FromBF16(half.BF16(f))
	default:
		panic("BUG: operand of type " + v.d.String())
	}
	v.f[i] = f
}

func setInt(t *tensor.Tensor, i int, x int64) {
	switch t.DType {
	case tensor.I8:
		tensor.Of[int8](t)[i] = int8(x)
	case tensor.U8:
		tensor.Of[uint8](t)[i] = uint8(x)
	case tensor.I16:
		tensor.Of[int16](t)[i] = int16(x)
	case tensor.I32:
		tensor.Of[int32](t)[i] = int32(x)
	case tensor.I64:
		tensor.Of[int64](t)[i] = x
	default:
		panic("BUG: integer of type " + t.DType.String())
	}
}
