package elem

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var reduceOps = func() map[string]op.Op {
	ops := map[string]op.Op{
		"ArgMax": {Infer: inferArg, Prepare: prepareArg},
		"ArgMin": {Infer: inferArg, Prepare: prepareArg},
	}
	for _, n := range []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"} {
		ops[n] = op.Op{Infer: inferReduce, Prepare: prepareReduce}
	}
	return ops
}()

// reducedAxes reads the axes; known is false where they are computed and not known yet.
func reducedAxes(c *op.Call, rank int) (axes []int, known bool, err error) {
	t := c.Input(1)
	if t != nil && !t.HasData() {
		return nil, false, nil
	}
	if t != nil {
		v, err := t.Ints()
		if err != nil {
			return nil, false, c.Errorf("axes: %w", err)
		}
		for _, a := range v {
			i, err := c.Axis(int(a), rank)
			if err != nil {
				return nil, false, err
			}
			if slices.Contains(axes, i) {
				return nil, false, c.Errorf("axis %d is listed twice", a)
			}
			axes = append(axes, i)
		}
	}
	if len(axes) == 0 && !c.Attrs.Bool("noop_with_empty_axes", false) {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	slices.Sort(axes)
	return axes, true, nil
}

func inferReduce(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	axes, known, err := reducedAxes(c, len(x.Shape))
	if err != nil {
		return err
	}
	keep := c.Attrs.Bool("keepdims", true)
	if !known {
		var s tensor.Shape
		if keep {
			s = make(tensor.Shape, len(x.Shape))
			for i := range s {
				s[i] = -1
			}
		}
		c.Set(0, x.DType, s)
		return nil
	}
	c.Set(0, x.DType, reducedShape(x.Shape, axes, keep))
	return nil
}

func reducedShape(s tensor.Shape, axes []int, keep bool) tensor.Shape {
	r := tensor.Shape{}
	for i, d := range s {
		if !slices.Contains(axes, i) {
			r = append(r, d)
		} else if keep {
			r = append(r, 1)
		}
	}
	return r
}

// groupWalk lists, for a reduction over axes, the offsets of an output's first element and of the elements of its group.
type groupWalk struct {
	outDims, outSteps []int
	inner             []int // offsets within a group, in row-major order
	n                 int   // outputs
	contiguous        bool  // a group is a run of len(inner) elements
}

func newGroupWalk(s tensor.Shape, axes []int) *groupWalk {
	st := s.Strides()
	w := &groupWalk{n: 1, inner: []int{0}}
	for i, d := range s {
		if slices.Contains(axes, i) {
			next := make([]int, 0, len(w.inner)*d)
			for _, o := range w.inner {
				for k := range d {
					next = append(next, o+k*st[i])
				}
			}
			w.inner = next
		} else {
			w.outDims, w.outSteps = append(w.outDims, d), append(w.outSteps, st[i])
			w.n *= d
		}
	}
	w.contiguous = true
	for i, o := range w.inner {
		w.contiguous = w.contiguous && o == i
	}
	return w
}

// start is where output o's group begins.
func (w *groupWalk) start(o int) int {
	at := 0
	for d := len(w.outDims) - 1; d >= 0; d-- {
		at += o % w.outDims[d] * w.outSteps[d]
		o /= w.outDims[d]
	}
	return at
}

func prepareReduce(c *op.Call) (op.Run, error) {
	x := c.In[0]
	axes, known, err := reducedAxes(c, len(x.Shape))
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, c.Errorf("BUG: axes are unknown")
	}
	w := newGroupWalk(x.Shape, axes)
	switch x.DType {
	case tensor.F32, tensor.F16, tensor.BF16:
		return reduceRun(c, w, reduce32(c.Op)), nil
	case tensor.F64:
		return reduceRun(c, w, reduce64(c.Op)), nil
	case tensor.Bool:
		if c.Op == "ReduceMax" || c.Op == "ReduceMin" {
			return reduceBool(c, w), nil
		}
	case tensor.U64:
		return reduceRun(c, w, reduceInt[uint64](c.Op, 0, math.MaxUint64)), nil
	case tensor.I64:
		return reduceRun(c, w, reduceInt[int64](c.Op, math.MinInt64, math.MaxInt64)), nil
	case tensor.I32:
		return reduceRun(c, w, reduceInt[int32](c.Op, math.MinInt32, math.MaxInt32)), nil
	case tensor.U32:
		return reduceRun(c, w, reduceInt[uint32](c.Op, 0, math.MaxUint32)), nil
	case tensor.I8:
		return reduceRun(c, w, reduceInt[int8](c.Op, math.MinInt8, math.MaxInt8)), nil
	case tensor.U8:
		return reduceRun(c, w, reduceInt[uint8](c.Op, 0, math.MaxUint8)), nil
	case tensor.I16:
		return reduceRun(c, w, reduceInt[int16](c.Op, math.MinInt16, math.MaxInt16)), nil
	case tensor.U16:
		return reduceRun(c, w, reduceInt[uint16](c.Op, 0, math.MaxUint16)), nil
	}
	return nil, c.Errorf("elements of type %v unsupported", x.DType)
}

func reduceRun[T number](c *op.Call, w *groupWalk, f func(x []T, inner []int) T) op.Run {
	x, y := newView[T](c.In[0]), newView[T](c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			at := 0
			if len(in) > 0 {
				at = w.start(o)
			}
			out[o] = f(in[at:], w.inner)
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(w.n, 1+grain/max(1, len(w.inner)), body)
		y.put()
		return nil
	}
}

func reduceBool(c *op.Call, w *groupWalk) op.Run {
	return func() error {
		for o := range w.n {
			v := byte(1)
			if c.Op == "ReduceMax" {
				v = 0
			}
			at := w.start(o)
			for _, i := range w.inner {
				b := c.In[0].Data[at+i]
				if c.Op == "ReduceMax" {
					v |= b
				} else {
					v &= b
				}
			}
			c.Out[0].Data[o] = v
		}
		return nil
	}
}

// sum16 sums f(x[i]) over inner in 16 lanes, lane = index mod 16, then pairwise over the lanes.
func sum16(x []float32, inner []int, f func(float32) float32) float32 {
	var l [16]float32
	if f == nil {
		for k, i := range inner {
			l[k&15] += x[i]
		}
	} else {
		for k, i := range inner {
			l[k&15] += f(x[i])
		}
	}
	return pairwise(&l)
}

func pairwise(l *[16]float32) float32 {
	for half := 8; half > 0; half /= 2 {
		for k := range half {
			l[k] += l[k+half]
		}
	}
	return l[0]
}

func reduce32(name string) func(x []float32, inner []int) float32 {
	square := func(v float32) float32 { return v * v }
	abs := func(v float32) float32 { return float32(math.Abs(float64(v))) }
	switch name {
	case "ReduceSum":
		return func(x []float32, in []int) float32 { return sum16(x, in, nil) }
	case "ReduceMean":
		return func(x []float32, in []int) float32 { return sum16(x, in, nil) / float32(len(in)) }
	case "ReduceSumSquare":
		return func(x []float32, in []int) float32 { return sum16(x, in, square) }
	case "ReduceL1":
		return func(x []float32, in []int) float32 { return sum16(x, in, abs) }
	case "ReduceL2":
		return func(x []float32, in []int) float32 { return float32(math.Sqrt(float64(sum16(x, in, square)))) }
	case "ReduceLogSum":
		return func(x []float32, in []int) float32 { return float32(math.Log(float64(sum16(x, in, nil)))) }
	case "ReduceLogSumExp":
		return func(x []float32, in []int) float32 {
			top := extreme(x, in, float32(math.Inf(-1)), true)
			if math.IsInf(float64(top), 0) {
				return top
			}
			s := sum16(x, in, func(v float32) float32 { return fmath.Exp(v - top) })
			return top + float32(math.Log(float64(s)))
		}
	case "ReduceProd":
		return func(x []float32, in []int) float32 {
			p := float32(1)
			for _, i := range in {
				p *= x[i]
			}
			return p
		}
	case "ReduceMax":
		return func(x []float32, in []int) float32 { return extreme(x, in, float32(math.Inf(-1)), true) }
	}
	return func(x []float32, in []int) float32 { return extreme(x, in, float32(math.Inf(1)), false) }
}

// extreme is the largest or smallest element, NaN if there is one.
func extreme[T number](x []T, inner []int, none T, largest bool) T {
	v := none
	for _, i := range inner {
		if e := x[i]; e != e || largest && e > v || !largest && e < v {
			v = e
			if e != e {
				return e
			}
		}
	}
	return v
}

func reduce64(name string) func(x []float64, inner []int) float64 {
	sum := func(x []float64, in []int, f func(float64) float64) float64 {
		s := 0.0
		for _, i := range in {
			s += float64(f(x[i]))
		}
		return s
	}
	id := func(v float64) float64 { return v }
	square := func(v float64) float64 { return v * v }
	switch name {
	case "ReduceSum":
		return func(x []float64, in []int) float64 { return sum(x, in, id) }
	case "ReduceMean":
		return func(x []float64, in []int) float64 { return sum(x, in, id) / float64(len(in)) }
	case "ReduceSumSquare":
		return func(x []float64, in []int) float64 { return sum(x, in, square) }
	case "ReduceL1":
		return func(x []float64, in []int) float64 { return sum(x, in, math.Abs) }
	case "ReduceL2":
		return func(x []float64, in []int) float64 { return math.Sqrt(sum(x, in, square)) }
	case "ReduceLogSum":
		return func(x []float64, in []int) float64 { return math.Log(sum(x, in, id)) }
	case "ReduceLogSumExp":
		return func(x []float64, in []int) float64 {
			top := extreme(x, in, math.Inf(-1), true)
			if math.IsInf(top, 0) {
				return top
			}
			return top + math.Log(sum(x, in, func(v float64) float64 { return math.Exp(v - top) }))
		}
	case "ReduceProd":
		return func(x []float64, in []int) float64 {
			p := 1.0
			for _, i := range in {
				p *= x[i]
			}
			return p
		}
	case "ReduceMax":
		return func(x []float64, in []int) float64 { return extreme(x, in, math.Inf(-1), true) }
	}
	return func(x []float64, in []int) float64 { return extreme(x, in, math.Inf(1), false) }
}

func reduceInt[T int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8](name string, least, most T) func(x []T, inner []int) T {
	return func(x []T, in []int) T {
		switch name {
		case "ReduceMax":
			return extreme(x, in, least, true)
		case "ReduceMin":
			return extreme(x, in, most, false)
		}
		var s T
		if name == "ReduceProd" {
			s = 1
		}
		wide := 0.0
		for _, i := range in {
			v := x[i]
			switch name {
			case "ReduceProd":
				s *= v
			case "ReduceL1":
				if v < 0 {
					v = -v
				}
				s += v
			case "ReduceSumSquare", "ReduceL2":
				s += v * v
			case "ReduceLogSumExp":
				wide += math.Exp(float64(v))
			default:
				s += v
			}
		}
		switch name {
		case "ReduceMean":
			if len(in) > 0 {
				s = T(float64(s) / float64(len(in)))
			}
		case "ReduceL2":
			s = T(math.Sqrt(float64(s)))
		case "ReduceLogSum":
			s = T(math.Log(float64(s)))
		case "ReduceLogSumExp":
			s = T(math.Log(wide))
		}
		return s
	}
}

func inferArg(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, tensor.I64, nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return err
	}
	c.Set(0, tensor.I64, reducedShape(s, []int{axis}, c.Attrs.Bool("keepdims", true)))
	return nil
}

func prepareArg(c *op.Call) (op.Run, error) {
	x := c.In[0]
	axis, err := c.Axis(c.Attrs.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	w := newGroupWalk(x.Shape, []int{axis})
	get, err := reader(c, x)
	if err != nil {
		return nil, err
	}
	if len(w.inner) == 0 && w.n > 0 {
		return nil, c.Errorf("axis %d is empty", axis)
	}
	last, largest := c.Attrs.Bool("select_last_index", false), c.Op == "ArgMax"
	return func() error {
		out := tensor.Of[int64](c.Out[0])
		for o := range out {
			at := w.start(o)
			best := get(at + w.inner[0])
			k := 0
			for i, off := range w.inner {
				v := get(at + off)
				if largest && v > best || !largest && v < best || last && v == best {
					best, k = v, i
				}
			}
			out[o] = int64(k)
		}
		return nil
	}, nil
}
