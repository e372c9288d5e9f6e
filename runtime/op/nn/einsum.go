package nn

import (
	"math"
	"slices"
	"strings"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var einsumOps = map[string]op.Op{"Einsum": {Infer: inferEinsum, Prepare: prepareEinsum}}

// einsum is a parsed equation. Dimensions are letters; those of an ellipsis get the numbers 128 and up, counted from
// the right, so that they broadcast.
type einsum struct {
	in  [][]int
	out []int
	dim map[int]int // extent by letter
}

func parseEinsum(c *op.Call) (*einsum, error) {
	eq := strings.ReplaceAll(c.Attrs.Str("equation", ""), " ", "")
	left, right, explicit := strings.Cut(eq, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.In) {
		return nil, c.Errorf("equation %q has %d operands, %d are given", eq, len(terms), len(c.In))
	}
	e := &einsum{dim: map[int]int{}}
	ellipsis := 0
	read := func(term string, rank int) ([]int, error) {
		at := strings.Index(term, "...")
		letters := len(term)
		if at >= 0 {
			letters -= 3
		}
		more := 0
		if rank >= 0 {
			if more = rank - letters; more < 0 || at < 0 && more != 0 {
				return nil, c.Errorf("equation %q: %q does not fit rank %d", eq, term, rank)
			}
		} else {
			more = ellipsis
		}
		var list []int
		for i := 0; i < len(term); i++ {
			if i == at {
				ellipsis = max(ellipsis, more)
				for k := more; k > 0; k-- {
					list = append(list, 128+k)
				}
				i += 2
				continue
			}
			ch := term[i]
			if (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') {
				return nil, c.Errorf("equation %q: %q is no letter", eq, ch)
			}
			list = append(list, int(ch))
		}
		return list, nil
	}
	count := map[int]int{}
	for i, term := range terms {
		t := c.In[i]
		if t == nil {
			return nil, c.Errorf("operand %d is missing", i)
		}
		if t.Shape == nil {
			return nil, nil
		}
		list, err := read(term, len(t.Shape))
		if err != nil {
			return nil, err
		}
		e.in = append(e.in, list)
		for k, l := range list {
			count[l]++
			d, seen := e.dim[l]
			switch n := t.Shape[k]; {
			case !seen || d == 1 || d < 0:
				e.dim[l] = n
			case n != d && n != 1 && n >= 0:
				return nil, c.Errorf("equation %q: extents %d and %d for one letter", eq, d, n)
			}
		}
	}
	if explicit {
		list, err := read(right, -1)
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			if _, ok := e.dim[l]; !ok {
				return nil, c.Errorf("equation %q: the result has a letter that no operand has", eq)
			}
		}
		e.out = list
		return e, nil
	}
	for k := ellipsis; k > 0; k-- {
		e.out = append(e.out, 128+k)
	}
	var once []int
	for l, n := range count {
		if n == 1 && l < 128 {
			once = append(once, l)
		}
	}
	slices.Sort(once)
	e.out = append(e.out, once...)
	return e, nil
}

func inferEinsum(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	e, err := parseEinsum(c)
	if err != nil {
		return err
	}
	if e == nil {
		c.Set(0, c.In[0].DType, nil)
		return nil
	}
	s := tensor.Shape{}
	for _, l := range e.out {
		s = append(s, e.dim[l])
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

// prepareEinsum multiplies and sums over all letters that the result lacks, in alphabetic order of these.
func prepareEinsum(c *op.Call) (op.Run, error) {
	e, err := parseEinsum(c)
	if err != nil {
		return nil, err
	}
	order := slices.Clone(e.out)
	var summed []int
	for l := range e.dim {
		if !slices.Contains(e.out, l) {
			summed = append(summed, l)
		}
	}
	slices.Sort(summed)
	order = append(order, summed...)
	dims := make([]int, len(order))
	for i, l := range order {
		dims[i] = e.dim[l]
	}
	strides := make([][]int, len(c.In))
	for t, list := range e.in {
		strides[t] = make([]int, len(order))
		st := c.In[t].Shape.Strides()
		for k, l := range list {
			if c.In[t].Shape[k] != 1 {
				strides[t][slices.Index(order, l)] += st[k]
			}
		}
	}
	outer := tensor.Shape(dims[:len(e.out)]).Len()
	inner := tensor.Shape(dims[len(e.out):]).Len()
	for i, t := range c.In {
		if t.DType != c.In[0].DType {
			return nil, c.Errorf("operands 0 and %d have types %v and %v", i, c.In[0].DType, t.DType)
		}
	}
	switch c.In[0].DType {
	case tensor.F64:
		return einsumRun[float64](c, dims, strides, outer, inner), nil
	case tensor.I32:
		return einsumRun[int32](c, dims, strides, outer, inner), nil
	case tensor.I64:
		return einsumRun[int64](c, dims, strides, outer, inner), nil
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return nil, c.Errorf("operands of type %v", c.In[0].DType)
	}
	if len(c.In) == 2 {
		return e.products(c, order, dims, strides), nil
	}
	ins := make([]*floats, len(c.In))
	data := make([][]float32, len(c.In))
	for i, t := range c.In {
		ins[i] = newFloats(c, t)
	}
	y := newFloats(c, c.Out[0])
	var out []float32
	body := func(lo, hi int) {
		index := make([]int, len(data))
		for o := lo; o < hi; o++ {
			sum := float32(0)
			for i := range inner {
				flat := o*inner + i
				clear(index)
				for d := len(dims) - 1; d >= 0; d-- {
					p := flat % dims[d]
					flat /= dims[d]
					for t := range index {
						index[t] += p * strides[t][d]
					}
				}
				v := data[0][index[0]]
				for t := 1; t < len(data)-1; t++ {
					v *= data[t][index[t]]
				}
				if last := len(data) - 1; last > 0 {
					sum = fmath.FMA(v, data[last][index[last]], sum)
				} else {
					sum += v
				}
			}
			out[o] = sum
		}
	}
	return func() error {
		for i, f := range ins {
			data[i] = f.get()
		}
		out = y.room()
		c.Par.For(outer, 1+4096/max(1, inner), body)
		y.put()
		return nil
	}, nil
}

// products computes an equation of two operands by matrix products. A letter of the result that both operands have is a batch, one
// of the first alone a row, one of the second alone a column; all others are summed, in the same order as by the plain loop.
func (e *einsum) products(c *op.Call, order, dims []int, strides [][]int) op.Run {
	// groups collects offsets over a set of letters: into the first operand, the second and the result.
	type offsets struct{ a, b, y []int }
	outStrides := c.Out[0].Shape.Strides()
	groups := func(in func(d int) bool) (g offsets) {
		g = offsets{[]int{0}, []int{0}, []int{0}}
		for d := range order {
			if !in(d) {
				continue
			}
			var next offsets
			for i := range g.a {
				for p := range dims[d] {
					next.a = append(next.a, g.a[i]+p*strides[0][d])
					next.b = append(next.b, g.b[i]+p*strides[1][d])
					y := g.y[i]
					if d < len(outStrides) {
						y += p * outStrides[d]
					}
					next.y = append(next.y, y)
				}
			}
			g = next
		}
		return g
	}
	has := func(operand, d int) bool { return slices.Contains(e.in[operand], order[d]) }
	summed := groups(func(d int) bool { return d >= len(e.out) })
	rowsOf := groups(func(d int) bool { return d < len(e.out) && !has(1, d) })
	cols := groups(func(d int) bool { return d < len(e.out) && !has(0, d) })
	batch := groups(func(d int) bool { return d < len(e.out) && has(0, d) && has(1, d) })

	fa, fb, fy := newFloats(c, c.In[0]), newFloats(c, c.In[1]), newFloats(c, c.Out[0])
	var as, bs, ys []float32
	now := 0
	row := c.Select(spec.Gemm, tensor.F32, tensor.F32, tensor.F32, tensor.F32, num.FP32)
	eng := newEngine[float32, float32, float32](c.Par, row, len(rowsOf.a), 1, len(summed.a), len(cols.a))
	c.Executes(row, len(rowsOf.a)*len(summed.a)*len(cols.a))
	eng.b = op.Make[float32](c, eng.panels())
	element := func(k, j int) float32 { return bs[batch.b[now]+summed.b[k]+cols.b[j]] }
	p := &product[float32, float32, float32]{engine: eng, lo: float32(math.Inf(-1)), hi: float32(math.Inf(1))}
	p.gather = func(dst []float32, r0, n int) {
		for i := range n {
			base := as[batch.a[now]+rowsOf.a[r0+i]:]
			for k, off := range summed.a {
				dst[i*len(summed.a)+k] = base[off]
			}
		}
	}
	p.epilogue = func(sums []float32, stride, r0, n, j0, count int) {
		for i := range n {
			for j := range count {
				ys[batch.y[now]+rowsOf.y[r0+i]+cols.y[j0+j]] = sums[i*stride+j]
			}
		}
	}
	p.ready(c)
	return func() error {
		as, bs, ys = fa.get(), fb.get(), fy.room()
		for now = range batch.a {
			eng.packB(eng.b, element)
			p.run(c.Par)
		}
		fy.put()
		return nil
	}
}

func einsumRun[T float64 | int32 | int64](c *op.Call, dims []int, strides [][]int, outer, inner int) op.Run {
	index := make([]int, len(strides))
	return func() error {
		out := tensor.Of[T](c.Out[0])
		for o := range outer {
			var sum T
			for i := range inner {
				flat := o*inner + i
				v := T(1)
				clear(index)
				for d := len(dims) - 1; d >= 0; d-- {
					p := flat % dims[d]
					flat /= dims[d]
					for t := range index {
						index[t] += p * strides[t][d]
					}
				}
				for t, at := range index {
					v *= tensor.Of[T](c.In[t])[at]
				}
				sum += T(v)
			}
			out[o] = sum
		}
		return nil
	}
}
