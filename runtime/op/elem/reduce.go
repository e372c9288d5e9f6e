package elem

import (
	"math"
	"slices"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var reduceOps = map[string]op.Op{
	"ReduceSum":       {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceMean":      {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceMax":       {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceMin":       {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceProd":      {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceL1":        {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceL2":        {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceLogSum":    {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceLogSumExp": {Infer: inferReduce, Prepare: prepareReduce},
	"ReduceSumSquare": {Infer: inferReduce, Prepare: prepareReduce},
}

// reducedAxes reads the axes; known is false where they are computed and not known yet.
func reducedAxes(c *op.Call, rank int) (axes []int, known bool, err error) {
	t := c.Input(1)
	if t != nil && !t.HasData() {
		return nil, rank == 0, nil // a scalar has no axes
	}
	if t != nil {
		v, err := t.Ints()
		if err != nil {
			return nil, false, c.Errorf("axes: %w", err)
		}
		for _, a := range v {
			i, err := c.Axis(tensor.Int(a), rank)
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
	if known {
		c.Set(0, x.DType, reducedShape(x.Shape, axes, keep))
		return nil
	}
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

// groups describes a reduction: each output folds a group of elements, which is visited in row-major order as runs of n
// elements that are step apart.
type groups struct {
	kept, keptSteps []int // dimensions of the outputs but for the columns, outermost first
	outer, steps    []int // dimensions of a group outside its runs
	runs            int   // product of outer
	n, step         int
	cols            int // outputs whose groups begin at consecutive elements
	outputs, size   int // number of groups and of elements in one
}

func newGroups(s tensor.Shape, axes []int) *groups {
	type dim struct {
		n, step int
		reduced bool
	}
	var dims []dim
	st := s.Strides()
	g := &groups{runs: 1, n: 1, step: 1, cols: 1, outputs: 1, size: 1}
	for i, d := range s {
		reduced := slices.Contains(axes, i)
		if reduced {
			g.size *= d
		} else {
			g.outputs *= d
		}
		if last := len(dims) - 1; d == 1 {
			continue
		} else if last >= 0 && dims[last].reduced == reduced {
			dims[last].n, dims[last].step = dims[last].n*d, st[i]
			continue
		}
		dims = append(dims, dim{d, st[i], reduced})
	}
	if last := len(dims) - 1; last >= 0 && !dims[last].reduced {
		g.cols, dims = dims[last].n, dims[:last]
	}
	if last := len(dims) - 1; last >= 0 {
		g.n, g.step, dims = dims[last].n, dims[last].step, dims[:last]
	}
	for _, d := range dims {
		if d.reduced {
			g.outer, g.steps = append(g.outer, d.n), append(g.steps, d.step)
			g.runs *= d.n
		} else {
			g.kept, g.keptSteps = append(g.kept, d.n), append(g.keptSteps, d.step)
		}
	}
	return g
}

// offset is where the i-th of the elements begins that lie steps apart along dims.
func offset(i int, dims, steps []int) int {
	at := 0
	for d := len(dims) - 1; d >= 0; d-- {
		at += i % dims[d] * steps[d]
		i /= dims[d]
	}
	return at
}

// start is where output o's group begins.
func (g *groups) start(o int) int { return offset(o/g.cols, g.kept, g.keptSteps) + o%g.cols }

// run is where run r of a group begins, from the group's beginning.
func (g *groups) run(r int) int { return offset(r, g.outer, g.steps) }

func prepareReduce(c *op.Call) (op.Run, error) {
	x := c.In[0]
	if _, known, err := reducedAxes(c, len(x.Shape)); err != nil {
		return nil, err
	} else if !known {
		return nil, c.Errorf("BUG: axes are unknown")
	}
	if x.DType == tensor.Bool && (c.Op == "ReduceMax" || c.Op == "ReduceMin") {
		return reduceIntegers[uint8](c, 0, 1)
	}
	return each{
		reduceFloats[float64], reduceFloats[float32],
		func(c *op.Call) (op.Run, error) { return reduceIntegers[int64](c, math.MinInt64, math.MaxInt64) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[int32](c, math.MinInt32, math.MaxInt32) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[int16](c, math.MinInt16, math.MaxInt16) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[int8](c, math.MinInt8, math.MaxInt8) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[uint64](c, 0, math.MaxUint64) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[uint32](c, 0, math.MaxUint32) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[uint16](c, 0, math.MaxUint16) },
		func(c *op.Call) (op.Run, error) { return reduceIntegers[uint8](c, 0, math.MaxUint8) },
	}.byInput(c)
}

// fold is a reduction of floats: what happens to each element before it is combined with the others, and how.
type fold uint8

const (
	foldSum    fold = iota
	foldSquare      // sum of squares
	foldAbs         // sum of magnitudes
	foldExp         // sum of e**(x-top), where top is the largest element
	foldProd
	foldMax
	foldMin
)

var folds = map[string]fold{"ReduceSum": foldSum, "ReduceMean": foldSum, "ReduceLogSum": foldSum, "ReduceSumSquare": foldSquare,
	"ReduceL2": foldSquare, "ReduceL1": foldAbs, "ReduceLogSumExp": foldExp, "ReduceProd": foldProd, "ReduceMax": foldMax, "ReduceMin": foldMin}

// lanes is 16 where element k of a group belongs to lane k mod 16 and the lanes are added at the end, else 1.
func (f fold) lanes() int {
	if f >= foldProd {
		return 1
	}
	return 16
}

func start[T float](f fold) T {
	switch f {
	case foldProd:
		return 1
	case foldMax:
		return T(math.Inf(-1))
	case foldMin:
		return T(math.Inf(1))
	}
	return 0
}

// foldRun folds n elements, step apart, the first of which is element k of its group.
func foldRun[T float](f fold, acc *[16]T, k int, x []T, n, step int, top T) {
	switch f {
	case foldSum:
		sumRun(acc, k, x, n, step)
	case foldSquare:
		squareRun(acc, k, x, n, step)
	case foldAbs:
		for i := range n {
			acc[(k+i)&15] += T(math.Abs(float64(x[i*step])))
		}
	case foldExp:
		for i := range n {
			acc[(k+i)&15] += exp(x[i*step] - top)
		}
	case foldProd:
		for i := range n {
			acc[0] *= x[i*step]
		}
	case foldMax:
		if x32, ok := as32(x); ok && step == 1 && n >= 64 {
			acc[0] = T(largest32(float32(acc[0]), x32[:n]))
			break
		}
		m := acc[0]
		for i := range n {
			if v := x[i*step]; v > m || v != v {
				m = v
			}
		}
		acc[0] = m
	case foldMin:
		if x32, ok := as32(x); ok && step == 1 && n >= 64 {
			acc[0] = T(smallest32(float32(acc[0]), x32[:n]))
			break
		}
		m := acc[0]
		for i := range n {
			if v := x[i*step]; v < m || v != v {
				m = v
			}
		}
		acc[0] = m
	}
}

// foldColumn folds x[i] into acc[i]. It is not for foldExp.
func foldColumn[T float](f fold, acc, x []T) {
	switch f {
	case foldSum:
		sumColumn(acc, x)
	case foldSquare:
		acc = acc[:len(x)]
		for i, v := range x {
			acc[i] += T(v * v)
		}
	case foldAbs:
		acc = acc[:len(x)]
		for i, v := range x {
			acc[i] += T(math.Abs(float64(v)))
		}
	case foldProd:
		mulRows(acc[:len(x)], acc, x)
	case foldMax:
		maxRows(acc[:len(x)], acc, x)
	case foldMin:
		minRows(acc[:len(x)], acc, x)
	}
}

// finisher makes a result from what a group of n elements folds to.
func finisher[T float](name string) func(v, top T, n int) T {
	switch name {
	case "ReduceMean":
		return func(v, _ T, n int) T { return v / T(n) }
	case "ReduceL2":
		return func(v, _ T, _ int) T { return T(math.Sqrt(float64(v))) }
	case "ReduceLogSum":
		return func(v, _ T, _ int) T { return log(v) }
	case "ReduceLogSumExp":
		return func(v, top T, _ int) T {
			if math.IsInf(float64(top), 0) {
				return top
			}
			return top + log(v)
		}
	}
	return func(v, _ T, _ int) T { return v }
}

func sumColumn[T float](acc, x []T) {
	acc = acc[:len(x)]
	for i, v := range x {
		acc[i] += v
	}
}

// sumRun adds elements to their lanes; k is the first one's index.
func sumRun[T float](acc *[16]T, k int, x []T, n, step int) {
	i := 0
	for ; i < n && (step != 1 || (k+i)&15 != 0); i++ {
		acc[(k+i)&15] += x[i*step]
	}
	if x32, ok := as32(x); ok && n-i >= 64 {
		sumLanes32(lanes32(acc), x32[i:n])
		return
	}
	for ; i+16 <= n; i += 16 {
		b := x[i : i+16]
		for l := range acc {
			acc[l] += b[l]
		}
	}
	for l := 0; i < n; i, l = i+1, l+1 {
		acc[l] += x[i]
	}
}

// squareRun adds squares.
func squareRun[T float](acc *[16]T, k int, x []T, n, step int) {
	i := 0
	for ; i < n && (step != 1 || (k+i)&15 != 0); i++ {
		v := x[i*step]
		acc[(k+i)&15] += T(v * v)
	}
	if x32, ok := as32(x); ok && n-i >= 64 {
		squareLanes32(lanes32(acc), x32[i:n])
		return
	}
	for ; i+16 <= n; i += 16 {
		b := x[i : i+16]
		for l := range acc {
			acc[l] += T(b[l] * b[l])
		}
	}
	for l := 0; i < n; i, l = i+1, l+1 {
		acc[l] += T(x[i] * x[i])
	}
}

// pairwise adds the lanes: 8+8, 4+4, 2+2, 1+1.
func pairwise[T float](l *[16]T) T {
	for half := 8; half > 0; half /= 2 {
		for k := range half {
			l[k] += l[k+half]
		}
	}
	return l[0]
}

// width is the number of columns that are folded side by side.
const width = 64

func reduceFloats[T float](c *op.Call) (op.Run, error) {
	axes, _, err := reducedAxes(c, len(c.In[0].Shape))
	if err != nil {
		return nil, err
	}
	g, f, finish := newGroups(c.In[0].Shape, axes), folds[c.Op], finisher[T](c.Op)
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Out[0])
	var in, out []T
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			v, top := foldGroup(g, f, in, o)
			out[o] = finish(v, top, g.size)
		}
	}
	count, split := g.outputs, 1+grain/max(1, g.size)
	if f != foldExp && g.cols >= 8 && g.size > 1 {
		tiles := (g.cols + width - 1) / width
		count, split = g.outputs/g.cols*tiles, 1+grain/(g.size*width)
		body = func(lo, hi int) {
			for k := lo; k < hi; k++ {
				at, col := offset(k/tiles, g.kept, g.keptSteps), k%tiles*width
				y := out[k/tiles*g.cols+col:][:min(width, g.cols-col)]
				foldColumns(g, f, y, in[at+col:])
				for i, v := range y {
					y[i] = finish(v, 0, g.size)
				}
			}
		}
	}
	if _, ok := any(T(0)).(float32); ok && g.size > 1 {
		lines := g.cols == 1 && g.runs == 1 && g.step == 1
		switch {
		case (f == foldSum || f == foldMax) && g.cols >= 8:
			return reduceColumns(c, g, f), nil
		case lines && g.size < sideBySide && f != foldAbs && f != foldProd:
			return reduceLines(c, g, f), nil
		case lines && f == foldExp:
			return reduceExps(c, g), nil
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(count, split, body)
		y.put()
		return nil
	}, nil
}

// reduceColumns is reduceFloats for float32 and outputs side by side.
func reduceColumns(c *op.Call, g *groups, f fold) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	columns, finish := newColumns(c, g, f == foldMax), finisher[float32](c.Op)
	return func() error {
		out := y.room()
		columns.Run(c.Par, out, x.get())
		switch c.Op {
		case "ReduceSum", "ReduceMax":
		case "ReduceMean":
			scalar32(div32, out, out, float32(g.size))
		default:
			for i, v := range out {
				out[i] = finish(v, 0, g.size)
			}
		}
		y.put()
		return nil
	}
}

// reduceLines is reduceFloats for float32 and short lines, side by side.
func reduceLines(c *op.Call, g *groups, f fold) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	finish := finisher[float32](c.Op)
	var out []float32
	b := newBeside(c, lines{g.outputs, g.size, 1}, .4, func(t *Tile, _, x []float32) {
		var r, top []float32
		switch f {
		case foldExp:
			top = t.Max(x)
			for i := range t.N {
				row := t.Row(x, i)
				t.Sub(row, row, top, 1)
				t.Exp(row, row)
			}
			r = t.Sum(x)
			t.Log(r, r)
		case foldSum:
			r = t.Sum(x)
		case foldSquare:
			for i := range t.N {
				row := t.Row(x, i)
				t.Mul(row, row, row, 1)
			}
			r = t.Sum(x)
		case foldMax:
			r = t.Max(x)
		default:
			r = t.Min(x)
		}
		for j, v := range r {
			switch y := &out[t.line+j]; {
			case f != foldExp:
				*y = finish(v, 0, g.size)
			case math.IsInf(float64(top[j]), 0):
				*y = top[j]
			default:
				*y = top[j] + v
			}
		}
	})
	b.reduces = true
	return func() error {
		out = y.room()
		b.run(c.Par, nil, x.get())
		y.put()
		return nil
	}
}

// reduceExps is the sum of e**(x-top) for float32 and lines.
func reduceExps(c *op.Call, g *groups) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Out[0])
	finish := finisher[float32](c.Op)
	shares := op.Shares(c.Par, min(g.outputs, 4*c.Par.Threads()), g.outputs*g.size/2)
	room := op.Make[float32](c, shares*g.size)
	var in, out []float32
	body := func(lo, hi int) {
		for s := lo; s < hi; s++ {
			for o := s * g.outputs / shares; o < (s+1)*g.outputs/shares; o++ {
				top, sum := exponentials(room[s*g.size:(s+1)*g.size], in[o*g.size:(o+1)*g.size])
				out[o] = finish(sum, top, g.size)
			}
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(shares, 1, body)
		y.put()
		return nil
	}
}

// foldGroup folds the group of output o; top is for foldExp.
func foldGroup[T float](g *groups, f fold, in []T, o int) (v, top T) {
	acc := [16]T{0: start[T](f)}
	top = T(math.Inf(-1))
	if g.size > 0 {
		at := g.start(o)
		if f == foldExp {
			m := [16]T{0: top}
			for r := range g.runs {
				foldRun(foldMax, &m, 0, in[at+g.run(r):], g.n, g.step, 0)
			}
			top = m[0]
		}
		for r := range g.runs {
			foldRun(f, &acc, r*g.n, in[at+g.run(r):], g.n, g.step, top)
		}
	}
	if f.lanes() == 1 {
		return acc[0], top
	}
	return pairwise(&acc), top
}

// foldColumns folds the groups of len(out) consecutive outputs, the first of which begins at in[0].
func foldColumns[T float](g *groups, f fold, out, in []T) {
	var acc [16][width]T
	w := len(out)
	for i := range w {
		acc[0][i] = start[T](f)
	}
	k, mask := 0, f.lanes()-1
	for r := range g.runs {
		at := g.run(r)
		for i := range g.n {
			from := at + i*g.step
			foldColumn(f, acc[k&mask][:w], in[from:from+w])
			k++
		}
	}
	for half := f.lanes() / 2; half > 0; half /= 2 {
		for l := range half {
			sumColumn(acc[l][:w], acc[l+half][:w])
		}
	}
	copy(out, acc[0][:w])
}

// reduceIntegers folds into 64 bits, of which the result keeps the low ones: sums wrap. Means truncate. Logarithms and
// roots are computed in float64 and truncated.
func reduceIntegers[T integer](c *op.Call, least, most T) (op.Run, error) {
	axes, _, err := reducedAxes(c, len(c.In[0].Shape))
	if err != nil {
		return nil, err
	}
	g := newGroups(c.In[0].Shape, axes)
	start := uint64(0)
	f := func(acc uint64, v T) uint64 { return acc + uint64(v) }
	finish := func(acc uint64) T { return T(acc) }
	real := func(acc uint64) float64 { // of a sum
		if least < 0 {
			return float64(int64(acc))
		}
		return float64(acc)
	}
	switch c.Op {
	case "ReduceSum":
	case "ReduceMean":
		if g.size == 0 {
			break
		}
		finish = func(acc uint64) T { return T(acc / uint64(g.size)) }
		if least < 0 {
			finish = func(acc uint64) T { return T(int64(acc) / int64(g.size)) }
		}
	case "ReduceMax":
		start = uint64(least)
		f = func(acc uint64, v T) uint64 { return uint64(max(T(acc), v)) }
	case "ReduceMin":
		start = uint64(most)
		f = func(acc uint64, v T) uint64 { return uint64(min(T(acc), v)) }
	case "ReduceProd":
		start = 1
		f = func(acc uint64, v T) uint64 { return acc * uint64(v) }
	case "ReduceL1":
		f = func(acc uint64, v T) uint64 {
			if v < 0 {
				return acc - uint64(v)
			}
			return acc + uint64(v)
		}
	case "ReduceSumSquare", "ReduceL2":
		f = func(acc uint64, v T) uint64 { return acc + uint64(v)*uint64(v) }
		if c.Op == "ReduceL2" {
			finish = func(acc uint64) T { return T(truncated(math.Sqrt(float64(acc)))) }
		}
	case "ReduceLogSum":
		finish = func(acc uint64) T { return T(truncated(math.Log(real(acc)))) }
	case "ReduceLogSumExp":
		f = func(acc uint64, v T) uint64 {
			return math.Float64bits(math.Float64frombits(acc) + math.Exp(float64(v)))
		}
		finish = func(acc uint64) T { return T(truncated(math.Log(math.Float64frombits(acc)))) }
	}
	var in, out []T
	body := func(lo, hi int) {
		for o := lo; o < hi; o++ {
			acc := start
			if g.size > 0 {
				at := g.start(o)
				for r := range g.runs {
					x := in[at+g.run(r):]
					for i := range g.n {
						acc = f(acc, x[i*g.step])
					}
				}
			}
			out[o] = finish(acc)
		}
	}
	split := 1 + grain/max(1, g.size)
	return func() error {
		in, out = tensor.Of[T](c.In[0]), tensor.Of[T](c.Out[0])
		c.Par.For(g.outputs, split, body)
		return nil
	}, nil
}
