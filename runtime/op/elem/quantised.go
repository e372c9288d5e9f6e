package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// quantised is the arithmetic of Add, Sub and Mul on quantised values, all in float32:
//
//	Add: (a-za)*(sa/sy) + (b-zb)*(sb/sy)
//	Sub: (a-za)*(sa/sy) - (b-zb)*(sb/sy)
//	Mul: (a-za)*(b-zb)*(sa*sb/sy)
//
// rounded half to even, plus zy, bounded.
type quantised struct {
	name       string
	za, zb, zy int32
	ma, mb, m  float32
	lo, hi     float32 // bounds less zy
}

func prepareQuantised(c *op.Call) (op.Run, error) {
	if c.Op != "Add" && c.Op != "Sub" && c.Op != "Mul" {
		return nil, c.Errorf("quantised values unsupported")
	}
	a, b, y := c.In[0], c.In[1], c.Out[0]
	for _, t := range []*tensor.Tensor{a, b, y} {
		if t.Quant == nil || !t.Quant.PerTensor() || !t.DType.IsInt() || t.DType.Bits() > 16 || t.DType.Bits() < 8 {
			return nil, c.Errorf("inputs %v, %v and output %v must all be quantised per tensor to 8 or 16 bits", a, b, y)
		}
	}
	sa, sb, sy := float64(a.Quant.Scale[0]), float64(b.Quant.Scale[0]), float64(y.Quant.Scale[0])
	q := quantised{name: c.Op, za: a.Quant.ZeroAt(0), zb: b.Quant.ZeroAt(0), zy: y.Quant.ZeroAt(0),
		ma: float32(sa / sy), mb: float32(sb / sy), m: float32(float64(sa*sb) / sy)}
	least, most := y.DType.IntRange()
	lo, hi := float64(least)-float64(q.zy), float64(most)-float64(q.zy)
	actMin, actMax := c.Attrs.Float("act_min", float32(math.Inf(-1))), c.Attrs.Float("act_max", float32(math.Inf(1)))
	q.lo = float32(min(max(math.RoundToEven(float64(actMin)/sy), lo), hi))
	q.hi = float32(min(max(math.RoundToEven(float64(actMax)/sy), lo), hi))
	if math.Abs(lo) > 1<<22 || math.Abs(hi) > 1<<22 {
		return nil, c.Errorf("zero point %d out of range", q.zy)
	}
	if d := a.DType; d == b.DType && d == y.DType && d.Bits() == 8 && q.within(d) {
		return q.kernel(c), nil
	}
	return quantA[a.DType](c, q)
}

// within reports whether all zero points are numbers of type d.
func (q *quantised) within(d tensor.DType) bool {
	lo, hi := d.IntRange()
	for _, z := range []int32{q.za, q.zb, q.zy} {
		if int64(z) < lo || int64(z) > hi {
			return false
		}
	}
	return true
}

// kernel drives a row of the kernel table over the runs along which each input advances or is one element.
func (q *quantised) kernel(c *op.Call) op.Run {
	o := spec.QuantAdd
	ab := spec.QuantArgs{ZeroA: q.za, ZeroB: q.zb, ScaleA: q.ma, ScaleB: q.mb, OutZero: q.zy, QLo: int32(q.lo) + q.zy, QHi: int32(q.hi) + q.zy}
	switch q.name {
	case "Sub":
		ab.ScaleB = -q.mb
	case "Mul":
		o, ab.ScaleA, ab.ScaleB = spec.QuantMul, q.m, q.m
	}
	ba := ab // the same with the operands exchanged
	ba.ZeroA, ba.ZeroB, ba.ScaleA, ba.ScaleB = ab.ZeroB, ab.ZeroA, ab.ScaleB, ab.ScaleA
	d := c.Out[0].DType
	row := c.Select(o, d, d, tensor.F32, d, c.Num)
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	sa, sb := w.step[0], w.step[1]
	if sa == 0 && sb == 0 {
		sa = 1 // of one element
	}
	if sb == 0 {
		ab.OneB = 1
	}
	if sa == 0 {
		ba.OneB = 1
	}
	run := func(y, a, b []byte) {
		if sa == 0 {
			kernels.Quant(row, &ba, y, b, a)
		} else {
			kernels.Quant(row, &ab, y, a, b)
		}
	}
	var as, bs, ys []byte
	rows := func(lo, hi int) {
		at := w.seek(lo)
		for r := lo; r < hi; r++ {
			run(ys[r*w.row:(r+1)*w.row], as[at.at[0]:], bs[at.at[1]:])
			w.next(&at)
		}
	}
	flat := func(lo, hi int) { run(ys[lo:hi], as[lo*sa:], bs[lo*sb:]) }
	return func() error {
		as, bs, ys = c.In[0].Data, c.In[1].Data, c.Out[0].Data
		switch n := w.rows(); n {
		case 0:
		case 1:
			c.Par.For(w.n, 4*grain, flat)
		default:
			c.Par.For(n, 1+4*grain/w.row, rows)
		}
		return nil
	}
}

// The instances of runQuantised, by the types of the inputs and the output.
var quantA = map[tensor.DType]func(c *op.Call, q quantised) (op.Run, error){
	tensor.I8: quantB[int8], tensor.U8: quantB[uint8], tensor.I16: quantB[int16], tensor.U16: quantB[uint16],
}

func quantB[A small](c *op.Call, q quantised) (op.Run, error) {
	switch c.In[1].DType {
	case tensor.I8:
		return quantY[A, int8](c, q)
	case tensor.U8:
		return quantY[A, uint8](c, q)
	case tensor.I16:
		return quantY[A, int16](c, q)
	}
	return quantY[A, uint16](c, q)
}

func quantY[A, B small](c *op.Call, q quantised) (op.Run, error) {
	switch c.Out[0].DType {
	case tensor.I8:
		return runQuantised[A, B, int8](c, q)
	case tensor.U8:
		return runQuantised[A, B, uint8](c, q)
	case tensor.I16:
		return runQuantised[A, B, int16](c, q)
	}
	return runQuantised[A, B, uint16](c, q)
}

type small interface{ int8 | uint8 | int16 | uint16 }

func runQuantised[A, B, Y small](c *op.Call, q quantised) (op.Run, error) {
	w := newStrided(c.Out[0].Shape, c.In[0].Shape, c.In[1].Shape)
	run := func(y []Y, a []A, sa int, b []B, sb int) {
		i, j := 0, 0
		switch q.name {
		case "Add":
			for o := range y {
				y[o] = Y(q.round(float32(float32(int32(a[i])-q.za)*q.ma) + float32(float32(int32(b[j])-q.zb)*q.mb)))
				i, j = i+sa, j+sb
			}
		case "Sub":
			for o := range y {
				y[o] = Y(q.round(float32(float32(int32(a[i])-q.za)*q.ma) - float32(float32(int32(b[j])-q.zb)*q.mb)))
				i, j = i+sa, j+sb
			}
		default:
			for o := range y {
				p := int64(int32(a[i])-q.za) * int64(int32(b[j])-q.zb)
				y[o] = Y(q.round(float32(float32(p) * q.m)))
				i, j = i+sa, j+sb
			}
		}
	}
	var as []A
	var bs []B
	var ys []Y
	sa, sb := w.step[0], w.step[1]
	rows := func(lo, hi int) {
		at := w.seek(lo)
		for r := lo; r < hi; r++ {
			run(ys[r*w.row:(r+1)*w.row], as[at.at[0]:], sa, bs[at.at[1]:], sb)
			w.next(&at)
		}
	}
	flat := func(lo, hi int) { run(ys[lo:hi], as[lo*sa:], sa, bs[lo*sb:], sb) }
	return func() error {
		as, bs, ys = tensor.Of[A](c.In[0]), tensor.Of[B](c.In[1]), tensor.Of[Y](c.Out[0])
		switch n := w.rows(); n {
		case 0:
		case 1:
			c.Par.For(w.n, grain, flat)
		default:
			c.Par.For(n, 1+grain/w.row, rows)
		}
		return nil
	}, nil
}

// round bounds v, rounds it half to even and adds the zero point. The bounds are integers, so that bounding first
// changes nothing, and below 2**22, so that adding 1.5 * 2**23 leaves the rounded number in the low bits.
func (q *quantised) round(v float32) int32 {
	const magic = 0x1.8p23
	v = min(max(v, q.lo), q.hi)
	return int32(math.Float32bits(float32(v+magic))) - int32(math.Float32bits(magic)) + q.zy
}
