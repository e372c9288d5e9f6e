package nn

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/ref"
	"github.com/edgerun/edgerun/runtime/op"
)

// Integer products come in two ways. Where input, weights and output fit a row of the kernel table that requantises, the
// kernel reads the input as it is; zero points are accounted for in the bias. Otherwise both operands are copied less
// their zero points to 16 bits (32 where they need more) and the sums are finished here.

// intReader returns element i of a tensor of integers of up to 32 bits, as it is when called.
func intReader(t *tensor.Tensor) func(i int) int32 {
	switch t.DType {
	case tensor.I8:
		return func(i int) int32 { return int32(int8(t.Data[i])) }
	case tensor.U8:
		return func(i int) int32 { return int32(t.Data[i]) }
	case tensor.I16:
		return func(i int) int32 { return int32(tensor.Of[int16](t)[i]) }
	case tensor.U16:
		return func(i int) int32 { return int32(tensor.Of[uint16](t)[i]) }
	case tensor.I32:
		return func(i int) int32 { return tensor.Of[int32](t)[i] }
	case tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		return func(i int) int32 { return packed(t, i) }
	}
	panic("BUG: integers of type " + t.DType.String())
}

// intSource is w less the zero points of its output channels. fixed tells whether these are constant, as w then may be.
func intSource[T int8 | int16 | int32](w *tensor.Tensor, zero func(o int) int32, fixed bool, channels int) *source[T] {
	read := intReader(w)
	at := func(i, o int) T { return T(read(i) - zero(o)) }
	s := &source[T]{load: func() func(i, o int) T { return at }}
	if w.HasData() && fixed {
		s.constant, s.kind = w, fmt.Sprintf("%v less %s", tensor.DTypeOf[T](), zeroKind(zero, channels))
	}
	return s
}

// zeroKind names zero points, for use in a key.
func zeroKind(zero func(o int) int32, channels int) string {
	list := make([]int32, 0, channels)
	same := true
	for o := range channels {
		list = append(list, zero(o))
		same = same && list[o] == list[0]
	}
	if same {
		list = list[:min(1, channels)]
	}
	return fmt.Sprint(list)
}

// weightFacts is what the choice of a kernel and its bias need to know of constant weights.
type weightFacts struct {
	bytes bool    // all are within int8, less their zero points
	sum   []int64 // of each output channel, less the zero points
}

// factsOf looks through constant weights; index(o, k) is the flat index of the element that output channel o multiplies with the
// input's k.
func factsOf(c *op.Call, w *tensor.Tensor, kind string, zero func(o int) int32, channels, k int, index func(o, k int) int) *weightFacts {
	// Element 0 says whether all are bytes; the sums follow.
	facts := op.PackedSlice(c, w, "facts/"+kind+"/"+zeroKind(zero, channels), channels+1, func(dst []int64) {
		read := intReader(w)
		dst[0] = 1
		for o := range channels {
			z := zero(o)
			for p := range k {
				v := read(index(o, p)) - z
				if v != int32(int8(v)) {
					dst[0] = 0
				}
				dst[o+1] += int64(v)
			}
		}
	})
	return &weightFacts{bytes: facts[0] != 0, sum: facts[1:]}
}

// qzero is the zero point of channel o of weights that are quantised per tensor or per output channel.
func qzero(q *tensor.QParams) func(o int) int32 {
	return func(o int) int32 { return q.ZeroAt(min(o, max(len(q.Zero), 1)-1)) }
}

// wideSums reports whether sums of k products may pass 32 bits, or operands 16.
func wideSums(x, w tensor.DType, k int) bool {
	return x.Bits() > 8 || w.Bits() > 8 || k > 1<<31/(256*256)
}

// intFill returns the functions that read x less its zero point.
func intFill[T int16 | int32](x *tensor.Tensor, zero func() int32) func(dst []T) {
	return func(dst []T) {
		z := T(zero())
		widenInts(dst, x)
		if z != 0 {
			for i := range dst {
				dst[i] -= z
			}
		}
	}
}

// intBias reads a constant or computed bias of 32 or 64 bits, or a float one in units of the accumulator.
func intBias(b *tensor.Tensor, x, w *tensor.QParams) func(o int) int64 {
	if b == nil {
		return func(int) int64 { return 0 }
	}
	switch b.DType {
	case tensor.I32:
		return func(o int) int64 { return int64(tensor.Of[int32](b)[o]) }
	case tensor.I64:
		return func(o int) int64 { return tensor.Of[int64](b)[o] }
	}
	return func(o int) int64 {
		s := float64(x.Scale[0]) * float64(w.Scale[min(o, len(w.Scale)-1)])
		return int64(math.RoundToEven(float64(tensor.Of[float32](b)[o]) / s))
	}
}

// requant turns sums into quantised elements.
type requant struct {
	scale  []float32 // per channel, or one
	zero   int32
	lo, hi int32
}

// newRequant prepares the epilogue of an integer product: m = sx*sw/sy per channel, bounds from the output's type and
// the fused activation.
func newRequant(c *op.Call, x, w, y *tensor.QParams, d tensor.DType) requant {
	r := requant{zero: y.ZeroAt(0)}
	sw := []float32{1}
	if w != nil {
		sw = w.Scale
	}
	for _, s := range sw {
		r.scale = append(r.scale, float32(float64(x.Scale[0])*float64(s)/float64(y.Scale[0])))
	}
	lo, hi := d.IntRange()
	r.lo, r.hi = int32(lo), int32(hi)
	amin, amax := activation(c)
	bound := func(v float32) int32 {
		q := math.RoundToEven(float64(v)/float64(y.Scale[0])) + float64(r.zero)
		return int32(min(max(q, float64(lo)), float64(hi)))
	}
	if !math.IsInf(float64(amin), -1) {
		r.lo = bound(amin)
	}
	if !math.IsInf(float64(amax), 1) {
		r.hi = bound(amax)
	}
	return r
}

// of requantises one sum of channel ch.
func (r *requant) of(acc int64, ch int) int32 {
	if len(r.scale) == 1 {
		ch = 0
	}
	return ref.Requantise(acc, r.scale[ch], r.zero, r.lo, r.hi)
}

// columns is the scale of each of n channels.
func (r *requant) columns(n int) []float32 {
	s := make([]float32, n)
	for o := range s {
		s[o] = r.scale[min(o, len(r.scale)-1)]
	}
	return s
}

// storeInt writes v as element i of a tensor of integers.
func storeInt(t *tensor.Tensor, i int, v int32) {
	switch t.DType {
	case tensor.I8, tensor.U8:
		t.Data[i] = byte(v)
	case tensor.I16:
		tensor.Of[int16](t)[i] = int16(v)
	case tensor.U16:
		tensor.Of[uint16](t)[i] = uint16(v)
	case tensor.I32:
		tensor.Of[int32](t)[i] = v
	default:
		setPacked(t, i, v)
	}
}

// zeroAt reads a zero point, per tensor or per channel, at run time; 0 where it is absent.
func zeroAt(t *tensor.Tensor) func(o int) int32 {
	if t == nil {
		return func(int) int32 { return 0 }
	}
	return func(o int) int32 {
		i := min(o, t.Len()-1)
		switch t.DType {
		case tensor.I8:
			return int32(int8(t.Data[i]))
		case tensor.U8:
			return int32(t.Data[i])
		case tensor.I16:
			return int32(tensor.Of[int16](t)[i])
		case tensor.U16:
			return int32(tensor.Of[uint16](t)[i])
		case tensor.I32:
			return tensor.Of[int32](t)[i]
		}
		return packed(t, i)
	}
}

// scaleTypes lists the types of scales.
var scaleTypes = []tensor.DType{tensor.F32, tensor.F16, tensor.BF16, tensor.F64, tensor.I32, tensor.F8E8M0}

// scaleAt reads a scale, per tensor or per channel, at run time.
func scaleAt(t *tensor.Tensor) func(o int) float32 {
	return func(o int) float32 {
		i := min(o, t.Len()-1)
		switch t.DType {
		case tensor.F16:
			return half.FromF16(tensor.Of[uint16](t)[i])
		case tensor.BF16:
			return half.FromBF16(tensor.Of[uint16](t)[i])
		case tensor.F64:
			return float32(tensor.Of[float64](t)[i])
		case tensor.I32:
			return float32(tensor.Of[int32](t)[i])
		case tensor.F8E8M0:
			return half.E8M0.Widen(t.Data[i])
		}
		return tensor.Of[float32](t)[i]
	}
}

// wantParams fails unless a scale has one or n elements and a zero point, if there is one, as many, or one, of types that scaleAt and
// zeroAt read.
func wantParams(c *op.Call, what string, scale, zero *tensor.Tensor, n int) error {
	if scale == nil || scale.Len() != 1 && scale.Len() != n || scale.Len() == 0 || !slices.Contains(scaleTypes, scale.DType) {
		return c.Errorf("%s has scale %v, want 1 or %d", what, scale, n)
	}
	if zero != nil && zero.Len() != 1 && zero.Len() != scale.Len() {
		return c.Errorf("%s has zero point %v, want 1 or %d", what, zero, scale.Len())
	}
	return wantZeros(c, zero)
}

// wantZeros fails where a zero point is no integer of up to 32 bits, or empty.
func wantZeros(c *op.Call, list ...*tensor.Tensor) error {
	for _, z := range list {
		if z != nil && (!narrowInt(z.DType) || z.Len() == 0) {
			return c.Errorf("zero point %v, want integers of at most 32 bits", z)
		}
	}
	return nil
}

// narrowInt reports whether intReader, zeroAt and storeInt know the type.
func narrowInt(d tensor.DType) bool { return d.IsInt() && d.Bits() <= 32 && d != tensor.U32 }

// wantInts fails where a tensor is no integer of up to 32 bits.
func wantInts(c *op.Call, list ...*tensor.Tensor) error {
	for _, t := range list {
		if t != nil && !narrowInt(t.DType) {
			return c.Errorf("%v, want integers of at most 32 bits", t)
		}
	}
	return nil
}

// wantFloats fails where a tensor that is there is no float of 16 bits or more.
func wantFloats(c *op.Call, list ...*tensor.Tensor) error {
	for _, t := range list {
		if t != nil && !slices.Contains(anyFloat, t.DType) {
			return c.Errorf("%v, want floats", t)
		}
	}
	return nil
}

// constantParams reads scale and zero point inputs that are known; nil where one is not.
func constantParams(scale, zero *tensor.Tensor) *tensor.QParams {
	if scale == nil || !scale.HasData() || zero != nil && !zero.HasData() || scale.Len() == 0 {
		return nil
	}
	q := &tensor.QParams{}
	at := scaleAt(scale)
	for i := range scale.Len() {
		q.Scale = append(q.Scale, at(i))
	}
	if zero != nil {
		z := zeroAt(zero)
		for i := range zero.Len() {
			q.Zero = append(q.Zero, z(i))
		}
	}
	return q
}

// dynamic quantises rows of floats on the fly.
type dynamic[T int16 | uint8] struct {
	rows, size int
	asymmetric bool
	extent     func(x []float32) (lo, hi float32)
	par        op.Par
	scale      []float32
	body       func(from, to int)
	// The row that is being quantised, and how.
	x                 []float32
	dst               []T
	inverse           float32
	zero, least, most T
}

func newDynamic[T int16 | uint8](c *op.Call, rows, size int) *dynamic[T] {
	d := &dynamic[T]{rows: rows, size: size, asymmetric: c.Attrs.Bool("asymmetric_quantize_inputs", false), extent: newRange(c, size), par: c.Par, scale: make([]float32, rows)}
	d.body = func(from, to int) { // half away from zero, as TFLite
		kernels.QuantizeAway(d.dst[from:to], d.x[from:to], d.inverse, d.zero, d.least, d.most)
	}
	return d
}

// quantise fills dst with the integers of all rows.
func (d *dynamic[T]) quantise(dst []T, x []float32) {
	for r := range d.rows {
		d.row(dst[r*d.size:][:d.size], x, r)
	}
}

// row fills dst with the integers of row r of x and notes its scale. Words are less the zero point, bytes have the one that it returns.
func (d *dynamic[T]) row(dst []T, x []float32, r int) (zero T) {
	d.dst, d.x = dst, x[r*d.size:][:d.size]
	lo, hi := d.extent(d.x)
	middle, least := 0.0, -127.0 // as signed bytes
	var scale float32
	if d.asymmetric {
		if scale = (hi - lo) / 255; scale > 0 {
			middle = math.RoundToEven(-128 - float64(lo)/float64(scale))
			middle = min(max(middle, -128), 127)
		}
		least = -128
	} else {
		scale = max(-lo, hi) / 127
	}
	if unsafe.Sizeof(zero) == 1 {
		zero = T(middle + 128)
	}
	if !(scale > 0) || math.IsInf(float64(scale), 0) {
		d.scale[r] = 0
		fill(dst, zero)
		return zero
	}
	d.scale[r], d.inverse = scale, 1/scale
	d.zero, d.least, d.most = zero, T(least-middle+float64(zero)), T(127-middle+float64(zero))
	d.par.For(d.size, 1<<14, d.body)
	return zero
}

// newRange returns kernels.Range of n elements, which threads share.
func newRange(c *op.Call, n int) func(x []float32) (lo, hi float32) {
	ranges := make([][2]float32, max(1, op.Shares(c.Par, 4*c.Par.Threads(), n/8)))
	var now []float32
	body := func(from, to int) {
		for i := from; i < to; i++ {
			ranges[i][0], ranges[i][1] = kernels.Range(now[i*n/len(ranges) : (i+1)*n/len(ranges)])
		}
	}
	return func(x []float32) (lo, hi float32) {
		now = x
		c.Par.For(len(ranges), 1, body)
		for _, r := range ranges {
			lo, hi = min(lo, r[0]), max(hi, r[1])
		}
		return lo, hi
	}
}

// factors fills scale, of as many columns for each row, with those of sums of a row and weights with scales sw: one, or one per column.
func (d *dynamic[T]) factors(scale, sw []float32) {
	cols := len(scale) / max(1, d.rows)
	for r := range d.rows {
		d.rowFactors(scale[r*cols:][:cols], sw, r)
	}
}

// rowFactors fills scale with those of row r.
func (d *dynamic[T]) rowFactors(scale, sw []float32, r int) {
	for j := range scale {
		scale[j] = d.scale[r] * sw[min(j, len(sw)-1)]
	}
}

func wantBytes(c *op.Call, inputs ...int) error {
	for _, i := range inputs {
		if err := c.Want(i, tensor.I8, tensor.U8); err != nil {
			return err
		}
	}
	return nil
}
