package elem

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

// A node's attribute chain lists elementwise steps on FP32 that follow its own work, each as an operator's name and fields:
//
//	Add in=3            with input 3 of the node, broadcast to the result; so are Sub, Mul, Div, Max, Min and PRelu, whose slope it is
//	Sub in=3 rev        input 3 less the result
//	Clip lo=0 hi=6
//	LeakyRelu alpha=.1  any function of one element, with its attributes
//
// The pass fuse-chain makes it. Operator Chain does nothing else.
const chainAttr = "chain"

// ChainStep reports whether an operator can be a step: of one operand, or of two, of which the second may go through it where it is reversible.
func ChainStep(name string) (unary, binary, reversible bool) {
	_, unary = unaryOf(name)
	pair, binary := chainPairs[name]
	return unary, binary, len(pair) == 2
}

// chainPairs gives the operations of a step with another operand, as it stands and, where there is one, reversed.
var chainPairs = map[string][]spec.Op{
	"Add": {spec.Add, spec.Add}, "Mul": {spec.Mul, spec.Mul}, "Sub": {spec.Sub, spec.SubFrom}, "Div": {spec.Div, spec.DivInto},
	"Max": {spec.Max, spec.Max}, "Min": {spec.Min, spec.Min}, "PRelu": {spec.PRelu},
}

// Chain is a node's attribute chain, ready to run.
type Chain struct{ steps []chainStep }

// chainStep is one of them; exactly one of unary, row and pair is set.
type chainStep struct {
	unary  func(y, x []float32)
	row    func(*spec.MapArgs)
	lo, hi float32
	pair   func(*spec.BinaryArgs)

	operand *view[float32]
	walk    *strided // of the operand along the result
	// period, where above 0, is after how many elements the operand repeats; tiled then repeats it more often.
	period int
	tiled  []float32
	b      []float32 // of this run
}

// ChainLane holds what one thread needs to apply a chain.
type ChainLane struct {
	m spec.MapArgs
	b spec.BinaryArgs
}

// chainBlock is the number of elements that go through all steps before the next ones do.
const chainBlock = 4096

// chainPeriod is the length up to which short operands are repeated.
const chainPeriod = 512

// NewChain reads attribute chain of a node whose result is of the given shape; nil where it has none.
func NewChain(c *op.Call, out tensor.Shape) (*Chain, error) {
	list := c.Attrs.Strs(chainAttr)
	if len(list) == 0 {
		return nil, nil
	}
	ch := &Chain{}
	for _, text := range list {
		s, err := newChainStep(c, out, text)
		if err != nil {
			return nil, err
		}
		ch.steps = append(ch.steps, s)
	}
	return ch, nil
}

func newChainStep(c *op.Call, out tensor.Shape, text string) (s chainStep, err error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return s, c.Errorf("chain: an empty step")
	}
	name, attrs := fields[0], attr.Attrs{}
	in, reverse := -1, 0
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		x, bad := strconv.ParseFloat(value, 32)
		switch {
		case f == "rev":
			reverse = 1
		case ok && key == "in":
			if in, err = strconv.Atoi(value); err != nil {
				return s, c.Errorf("chain: step %q", text)
			}
		case ok && bad == nil:
			attrs.Set(key, float32(x))
		case ok:
			attrs.Set(key, value)
		default:
			return s, c.Errorf("chain: step %q", text)
		}
	}
	if name == "Clip" {
		s.row = row32(spec.Clip).Func.(func(*spec.MapArgs))
		s.lo, s.hi = attrs.Float("lo", float32(math.Inf(-1))), attrs.Float("hi", float32(math.Inf(1)))
		return s, nil
	}
	if u, ok := unaryOf(name); ok {
		inner := &op.Call{Name: c.Name, Op: name, Attrs: attrs}
		if row, lo, hi := u.kernel(inner); row != nil {
			s.row, s.lo, s.hi = row.Func.(func(*spec.MapArgs)), lo, hi
		} else {
			s.unary = u.f32(inner)
		}
		return s, nil
	}
	pair := chainPairs[name]
	if reverse >= len(pair) {
		return s, c.Errorf("chain: no step %q", text)
	}
	var b *tensor.Tensor
	if in >= 0 {
		b = c.Input(in)
	}
	if b == nil {
		return s, c.Errorf("chain: step %q has no operand", text)
	}
	if b.DType != tensor.F32 && b.DType != tensor.F16 && b.DType != tensor.BF16 || b.Quant != nil {
		return s, c.Errorf("chain: operand of type %v", b.DType)
	}
	if all, err := c.Broadcast(out, b.Shape); err != nil || !all.Equal(out) {
		return s, c.Errorf("chain: operand %v for a result %v", b.Shape, out)
	}
	s.pair = row32(pair[reverse]).Func.(func(*spec.BinaryArgs))
	s.operand, s.walk = newView[float32](c, b), newStrided(out, b.Shape)
	if w := s.walk; len(w.dims) > 0 && w.step[0] == 1 && w.row < chainPeriod && !slices.ContainsFunc(w.outer[0], func(step int) bool { return step != 0 }) {
		s.period = w.row
		s.tiled = op.Make[float32](c, s.period*(1+chainPeriod/s.period))
	}
	return s, nil
}

// Bind reads the operands of a run. The chain may be nil.
func (ch *Chain) Bind() {
	if ch == nil {
		return
	}
	for i := range ch.steps {
		s := &ch.steps[i]
		if s.operand == nil {
			continue
		}
		s.b = s.operand.get()
		if s.period > 0 {
			for n := copy(s.tiled, s.b[:s.period]); n < len(s.tiled); n *= 2 {
				copy(s.tiled[n:], s.tiled[:n])
			}
		}
	}
}

// Apply computes elements at to at+len(y)-1 of the result from x, which may be y.
func (ch *Chain) Apply(l *ChainLane, y, x []float32, at int) {
	x = x[:len(y)]
	for len(y) > 0 {
		n := min(chainBlock, len(y))
		from := x[:n]
		for i := range ch.steps {
			ch.steps[i].apply(l, y[:n], from, at)
			from = y[:n]
		}
		y, x, at = y[n:], x[n:], at+n
	}
}

func (s *chainStep) apply(l *ChainLane, y, x []float32, at int) {
	switch {
	case s.unary != nil:
		s.unary(y, x)
	case s.row != nil:
		l.m = spec.MapArgs{X: unsafe.Pointer(&x[0]), Y: unsafe.Pointer(&y[0]), N: len(y), Lo: s.lo, Hi: s.hi}
		s.row(&l.m)
	case s.period > 0:
		at %= s.period
		for len(y) > 0 {
			n := min(len(y), len(s.tiled)-at)
			s.two(l, y[:n], x, s.tiled[at:], 1)
			y, x, at = y[n:], x[n:], 0
		}
	default:
		w := s.walk
		run := w.seek(at / w.row)
		for off := at % w.row; len(y) > 0; off = 0 {
			n := min(len(y), w.row-off)
			s.two(l, y[:n], x, s.b[run.at[0]+off*w.step[0]:], w.step[0])
			y, x = y[n:], x[n:]
			w.next(&run)
		}
	}
}

// two computes y from x and b, whose elements are step apart; the walk keeps step to 0 or 1 where it is not the inner dimension.
func (s *chainStep) two(l *ChainLane, y, x, b []float32, step int) {
	_ = x[len(y)-1]
	_ = b[(len(y)-1)*step]
	l.b = spec.BinaryArgs{X: unsafe.Pointer(&x[0]), B: unsafe.Pointer(&b[0]), Y: unsafe.Pointer(&y[0]), N: len(y), Step: step}
	s.pair(&l.b)
}

// byRows returns the body of a loop over shares of n elements whose rows lie apart in x or y: some rows at a time are put together.
func (ch *Chain) byRows(c *op.Call, n, shares int, lanes []ChainLane, x, y *[]float32) func(lo, hi int) {
	row, xs, ys := c.Out[0].Shape[len(c.Out[0].Shape)-1], c.In[0].RowStep(), c.Out[0].RowStep()
	rows, most := n/row, max(1, chainBlock/row)
	bufs := op.Make[float32](c, shares*most*row)
	return func(lo, hi int) {
		for s := lo; s < hi; s++ {
			buf := bufs[s*most*row:][:most*row]
			for r, end := s*rows/shares, (s+1)*rows/shares; r < end; {
				k := min(most, end-r)
				src, dst := buf[:k*row], buf[:k*row]
				if xs == row {
					src = (*x)[r*row:][:k*row]
				} else {
					copyRows(src, (*x)[r*xs:], k, row, row, xs)
				}
				if ys == row {
					dst = (*y)[r*row:][:k*row]
				}
				ch.Apply(&lanes[s], dst, src, r*row)
				if ys != row {
					copyRows((*y)[r*ys:], dst, k, row, ys, row)
				}
				r += k
			}
		}
	}
}

// copyRows copies rows that begin dstStep elements apart in dst and srcStep in src.
func copyRows(dst, src []float32, rows, row, dstStep, srcStep int) {
	for r := range rows {
		copy(dst[r*dstStep:][:row], src[r*srcStep:])
	}
}

var chainOps = map[string]op.Op{
	"Chain": {Infer: inferChain, Prepare: prepareChain, Pitched: func(_ *op.Call, i int) bool { return i <= 0 }, Traits: op.InPlace},
}

func inferChain(c *op.Call) error {
	if err := c.Want(0, tensor.F32); err != nil {
		return err
	}
	return same(c)
}

func prepareChain(c *op.Call) (op.Run, error) {
	ch, err := NewChain(c, c.Out[0].Shape)
	if err != nil {
		return nil, err
	}
	if ch == nil {
		return nil, c.Errorf("no chain")
	}
	n := c.In[0].Len()
	shares := max(1, min(4*c.Par.Threads(), n/grain))
	lanes := make([]ChainLane, shares)
	var x, y []float32
	body := func(lo, hi int) {
		for s := lo; s < hi; s++ {
			from, to := s*n/shares, (s+1)*n/shares
			ch.Apply(&lanes[s], y[from:to], x[from:to], from)
		}
	}
	if c.In[0].Pitch > 0 || c.Out[0].Pitch > 0 {
		body = ch.byRows(c, n, shares, lanes, &x, &y)
	}
	return func() error {
		if n == 0 {
			return nil
		}
		x, y = tensor.Of[float32](c.In[0]), tensor.Of[float32](c.Out[0])
		ch.Bind()
		c.Par.For(shares, 1, body)
		return nil
	}, nil
}
