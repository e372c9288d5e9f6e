package nnx

import (
	"math"
	"sync"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Integer forms of TFLite's LSTM (8-bit values, 16-bit cells of a power-of-two scale) and SVDF. The steps at which
// values are rounded and saturated are those of TFLite's kernels; each rounding is ours: one float32 multiply, half to
// even. Activations are tables of the 65,536 values of 16 bits.

// integerLSTM reports whether the node is a fully quantised LSTM that these steps can compute. Its weights and biases
// must be constants.
func integerLSTM(c *op.Call) bool {
	i8 := func(t *tensor.Tensor) bool {
		return t == nil || t.DType == tensor.I8 && t.Quant != nil && t.Quant.PerTensor()
	}
	for i, t := range c.In {
		ok := true
		switch {
		case t == nil:
		case i <= 8 || i == 16 || i == 18:
			ok = i8(t)
		case i >= 12 && i <= 15 || i == 17:
			ok = t.DType == tensor.I32
		default: // peepholes, norms, cells
			ok = t.DType == tensor.I16 && t.Quant != nil && t.Quant.PerTensor()
		}
		if !ok {
			return false
		}
	}
	y := c.Output(0)
	if y != nil && !i8(y) || len(c.Attrs.Floats("intermediate_scale")) != 5 || len(c.Attrs.Ints("intermediate_zero")) != 5 {
		return false
	}
	exp := math.Log2(float64(c.In[19].Quant.Scale[0]))
	return exp == math.Trunc(exp) && exp >= -15 && exp <= -9 && c.Attrs.Str("activation", "tanh") == "tanh"
}

// factor is a rescaling by one float32 multiply.
type factor float32

func (f factor) of(v int32) int32 {
	return int32(math.RoundToEven(min(max(float64(float32(v)*float32(f)), -1<<31), 1<<31-1)))
}

func scaleOf(t *tensor.Tensor) float64 {
	if t == nil {
		return 1
	}
	return float64(t.Quant.Scale[0])
}

// affine is a matrix of 8 bits with what turns its sums into 16 bits.
type affine struct {
	w      []int8
	start  []int32 // bias, and what the input's zero point contributes
	factor factor
}

func newAffine(w, bias *tensor.Tensor, zero int32, rows int, scale float64) affine {
	a := affine{start: make([]int32, rows), factor: factor(scale)}
	if w == nil {
		return a
	}
	a.w = tensor.Of[int8](w)
	if bias != nil {
		copy(a.start, tensor.Of[int32](bias))
	}
	cols := len(a.w) / max(rows, 1)
	for i := range rows {
		for _, v := range a.w[i*cols : (i+1)*cols] {
			a.start[i] += zero * int32(v)
		}
	}
	return a
}

// add adds the rescaled products to 16-bit sums, saturating.
func (a *affine) add(dst []int16, x []int8) {
	for i := range dst {
		acc := a.start[i]
		for k, w := range a.w[i*len(x) : (i+1)*len(x)] {
			acc += int32(w) * int32(x[k])
		}
		dst[i] = saturate16(int32(dst[i]) + a.factor.of(acc))
	}
}

func saturate16(v int32) int16 { return int16(min(max(v, -32768), 32767)) }
func saturate8(v int32) int8   { return int8(min(max(v, -128), 127)) }

// shiftRound divides by 1<<n, half away from zero.
func shiftRound(v int32, n int) int32 {
	if n <= 0 {
		return v << -n
	}
	half := int32(1) << (n - 1)
	if v < 0 {
		return -(int32(-int64(v)+int64(half)) >> n)
	}
	return int32((int64(v) + int64(half)) >> n)
}

// table16 holds f(q * 2^-fraction) * 2^15 for every q of 16 bits, in the order of their bit patterns.
func table16(fraction int, f func(float32) float32) []int16 {
	t := make([]int16, 1<<16)
	for i := range t {
		x := float32(math.Ldexp(float64(int16(i)), -fraction))
		t[i] = saturate16(int32(math.RoundToEven(float64(f(x)) * 32768)))
	}
	return t
}

var (
	sigmoid16 = sync.OnceValue(func() []int16 { return table16(12, fmath.Sigmoid) })
	tanh16    = func() (list [7]func() []int16) { // by the fraction bits, from 9
		for i := range list {
			list[i] = sync.OnceValue(func() []int16 { return table16(9+i, fmath.Tanh) })
		}
		return list
	}()
)

// integerGate is one gate of a quantised LSTM.
type integerGate struct {
	x, r       affine
	peep, norm []int16
	peepFactor factor
	normFactor factor
	bias       []int32 // behind the norm
	guard      int32
	act        []int16
}

type integerLayer struct {
	c                *op.Call
	steps, batch, in int
	cells, out       int
	timeMajor        bool
	gates            [4]integerGate
	coupled          bool
	cellShift        int // of input gate * cell gate
	tanh             []int16
	hidden           factor
	hiddenZero       int32
	proj             affine
	outZero          int32
	clip, projClip   int32
	gate             [4][]int16
	scratch          []int8
	state            []int8
	cell             []int16
}

func prepareIntegerLSTM(c *op.Call) (op.Run, error) {
	for i, t := range c.In {
		if t != nil && i != 0 && i != 18 && i != 19 && !t.HasData() {
			return nil, c.Errorf("input %d of a quantised layer is not constant", i)
		}
	}
	l := &integerLayer{c: c, coupled: c.In[1] == nil, cells: extent(c.In[4], 0), out: extent(c.In[8], 1)}
	l.steps, l.batch, l.in, l.timeMajor = liteSteps(c, c.In[0])
	for i, n := range map[int]int{1: l.cells * l.in, 2: l.cells * l.in, 3: l.cells * l.in, 4: l.cells * l.in, 5: l.cells * l.out, 6: l.cells * l.out, 7: l.cells * l.out,
		8: l.cells * l.out, 9: l.cells, 10: l.cells, 11: l.cells, 12: l.cells, 13: l.cells, 14: l.cells, 15: l.cells, 16: l.out * l.cells, 17: l.out,
		18: l.batch * l.out, 19: l.batch * l.cells, 20: l.cells, 21: l.cells, 22: l.cells, 23: l.cells} {
		if t := c.Input(i); t != nil && t.Len() != n {
			return nil, c.Errorf("input %d has shape %v, want %d elements", i, t.Shape, n)
		}
	}
	if c.Input(16) == nil && l.out != l.cells {
		return nil, c.Errorf("%d cells and %d outputs without a projection", l.cells, l.out)
	}
	for i, d := range []tensor.DType{tensor.I8, tensor.I8, tensor.I16} {
		if t := c.Output(i); t != nil && t.DType != d {
			return nil, c.Errorf("output %d has type %v, want %v", i, t.DType, d)
		}
	}
	x, h, cell := c.In[0], c.In[18], c.In[19]
	middle, zeros := c.Attrs.Floats("intermediate_scale"), c.Attrs.Ints("intermediate_zero")
	normed := c.Input(21) != nil
	exp := int(math.Log2(scaleOf(cell)))
	l.tanh = tanh16[-exp-9]()
	for g := range l.gates {
		gate := &l.gates[g]
		if g == 0 && l.coupled {
			continue
		}
		to := 1. / 4096
		if normed {
			to = float64(middle[g])
		}
		bias := c.In[12+g]
		if norm := c.Input(20 + g); norm != nil {
			gate.norm, gate.normFactor = tensor.Of[int16](norm), factor(scaleOf(norm)*4096)
			gate.bias, bias = tensor.Of[int32](bias), nil
			gate.guard = max(1, int32(10000*scaleOf(norm)))
		} else if normed {
			return nil, c.Errorf("input %d is missing", 20+g)
		}
		gate.x = newAffine(c.In[1+g], bias, -x.Quant.ZeroAt(0), l.cells, scaleOf(c.In[1+g])*scaleOf(x)/to)
		gate.r = newAffine(c.In[5+g], nil, -h.Quant.ZeroAt(0), l.cells, scaleOf(c.In[5+g])*scaleOf(h)/to)
		if k := [4]int{9, 10, -1, 11}[g]; k >= 0 && c.Input(k) != nil {
			gate.peep, gate.peepFactor = tensor.Of[int16](c.In[k]), factor(scaleOf(cell)*scaleOf(c.In[k])/to)
		}
		gate.act = sigmoid16()
		if g == 2 {
			gate.act = tanh16[12-9]()
		}
		l.gate[g] = make([]int16, l.cells)
	}
	if l.coupled {
		l.gate[0] = make([]int16, l.cells)
	}
	l.cellShift = 30 + exp
	l.hidden, l.hiddenZero = factor(math.Ldexp(1, -30)/float64(middle[4])), int32(zeros[4])
	y := h
	if o := c.Output(0); o != nil {
		y = o
	}
	l.outZero = h.Quant.ZeroAt(0)
	if p := c.Input(16); p != nil {
		l.proj = newAffine(p, c.Input(17), l.hiddenZero, l.out, scaleOf(p)*float64(middle[4])/scaleOf(h))
	}
	if clip := c.Attrs.Float("cell_clip", 0); clip > 0 {
		l.clip = int32(min(clip/cell.Quant.Scale[0], 32767))
	}
	if clip := c.Attrs.Float("proj_clip", 0); clip > 0 {
		l.projClip = int32(min(clip/y.Quant.Scale[0], 127))
	}
	l.scratch = make([]int8, l.cells)
	l.state, l.cell = make([]int8, l.batch*l.out), make([]int16, l.batch*l.cells)
	return l.run, nil
}

func (l *integerLayer) run() error {
	x := tensor.Of[int8](l.c.In[0])
	copy(l.state, tensor.Of[int8](l.c.In[18]))
	copy(l.cell, tensor.Of[int16](l.c.In[19]))
	var y []int8
	if t := l.c.Output(0); t != nil {
		y = tensor.Of[int8](t)
	}
	for b := range l.batch {
		h, cell := l.state[b*l.out:(b+1)*l.out], l.cell[b*l.cells:(b+1)*l.cells]
		for t := range l.steps {
			row := b*l.steps + t
			if l.timeMajor {
				row = t*l.batch + b
			}
			l.step(x[row*l.in:(row+1)*l.in], h, cell)
			if y != nil {
				copy(y[row*l.out:], h)
			}
		}
	}
	if t := l.c.Output(1); t != nil {
		copy(tensor.Of[int8](t), l.state)
	}
	if t := l.c.Output(2); t != nil {
		copy(tensor.Of[int16](t), l.cell)
	}
	return nil
}

func (l *integerLayer) gateOf(g int, x, h []int8, cell []int16) {
	v, gate := l.gate[g], &l.gates[g]
	clear(v)
	gate.x.add(v, x)
	gate.r.add(v, h)
	for i, p := range gate.peep {
		v[i] = saturate16(int32(v[i]) + gate.peepFactor.of(int32(p)*int32(cell[i])))
	}
	if gate.norm != nil {
		gate.normalize(v)
	}
	for i, q := range v {
		v[i] = gate.act[uint16(q)]
	}
}

// normalize is the layer norm on 16 bits: mean and deviation with 10 fraction bits.
func (g *integerGate) normalize(v []int16) {
	n := int64(len(v))
	var total, squares int64
	for _, q := range v {
		total += int64(q)
		squares += int64(q) * int64(q)
	}
	mean := total * 1024 / n
	variance := int32((squares*((1<<20)/n) - mean*mean) / (1 << 20))
	if variance < 1 {
		variance = g.guard
	}
	inv := factor(1 / math.Sqrt(float64(variance)))
	for i, q := range v {
		w := int64(inv.of(int32(1024*int64(q)-mean)))*int64(g.norm[i]) + int64(g.bias[i])
		if w > 0 {
			w += 512
		} else {
			w -= 512
		}
		v[i] = saturate16(g.normFactor.of(int32(min(max(w/1024, -1<<31), 1<<31-1))))
	}
}

func (l *integerLayer) step(x, h []int8, cell []int16) {
	if !l.coupled {
		l.gateOf(0, x, h, cell)
	}
	l.gateOf(1, x, h, cell)
	l.gateOf(2, x, h, cell)
	if l.coupled {
		for i, f := range l.gate[1] {
			l.gate[0][i] = 32767 - f
		}
	}
	for i, c := range cell {
		kept := int32(int16(shiftRound(int32(l.gate[1][i])*int32(c), 15)))
		fresh := int32(int16(shiftRound(int32(l.gate[0][i])*int32(l.gate[2][i]), l.cellShift)))
		v := int32(saturate16(kept + fresh))
		if l.clip > 0 {
			v = min(max(v, -l.clip), l.clip)
		}
		cell[i] = int16(v)
	}
	l.gateOf(3, x, h, cell)
	if l.proj.w == nil {
		for i, c := range cell {
			h[i] = saturate8(l.hidden.of(int32(l.gate[3][i])*int32(l.tanh[uint16(c)])) + l.hiddenZero)
		}
		return
	}
	// The projection's input has the zero point of the other sign; its bias makes up for that.
	for i, c := range cell {
		l.scratch[i] = saturate8(l.hidden.of(int32(l.gate[3][i])*int32(l.tanh[uint16(c)])) - l.hiddenZero)
	}
	for i := range h {
		acc := l.proj.start[i]
		for k, w := range l.proj.w[i*l.cells : (i+1)*l.cells] {
			acc += int32(w) * int32(l.scratch[k])
		}
		v := int32(saturate8(l.proj.factor.of(acc) + l.outZero))
		if l.projClip > 0 {
			v = min(max(v, -l.projClip), l.projClip)
		}
		h[i] = int8(v)
	}
}

// --- SVDF ---

func inferSVDF(c *op.Call) error {
	if err := need(c, 0, 1, 2, 4); err != nil {
		return err
	}
	if err := ranks(c, 2, 0, 1, 2); err != nil {
		return err
	}
	x, rank := c.In[0], c.Attrs.Int("rank", 1)
	if rank < 1 {
		return c.Errorf("rank %d", rank)
	}
	filters := extent(c.In[1], 0)
	units, err := over(c, "filters", filters, rank)
	if err != nil {
		return err
	}
	c.Set(0, floatOf(x), tensor.Shape{extent(x, 0), units})
	c.Set(1, c.In[4].DType, c.In[4].Shape)
	return nil
}

// prepareSVDF shifts each filter's memory by one, puts feature·x at its end, and sums time·memory over the filters of
// each unit: y = act(bias + Σ_rank time·memory).
func prepareSVDF(c *op.Call) (op.Run, error) {
	rank := c.Attrs.Int("rank", 1)
	batch, in := c.In[0].Shape[0], c.In[0].Shape[1]
	filters, memory := extent(c.In[1], 0), extent(c.In[2], 1)
	units := filters / rank
	if memory < 1 {
		return nil, c.Errorf("weights of time %v", c.In[2].Shape)
	}
	act, err := liteActivation(c, "none")
	if err != nil {
		return nil, err
	}
	sizes := [5]int{batch * in, filters * in, filters * memory, units, batch * filters * memory}
	if t := c.In[0]; t.DType == tensor.I8 && c.In[2].DType == tensor.I16 && c.In[4].DType == tensor.I16 {
		for i, n := range sizes {
			if t := c.Input(i); t != nil && t.Len() != n {
				return nil, c.Errorf("input %d has shape %v, want %d elements", i, t.Shape, n)
			}
		}
		return integerSVDF(c, batch, in, filters, memory, rank)
	}
	if err := storable(c); err != nil {
		return nil, err
	}
	var src [5]*source[float32]
	for i, n := range sizes {
		if src[i], err = newSource[float32](c, i, n); err != nil {
			return nil, err
		}
	}
	y, last := newTarget[float32](c, 0, batch*units), newTarget[float32](c, 1, batch*filters*memory)
	fresh, zeros := make([]float32, filters), make([]float32, filters)
	return func() error {
		x, feature, time, bias, before := src[0].get(), src[1].get(), src[2].get(), src[3].get(), src[4].get()
		out, state := y.get(), last.get()
		for b := range batch {
			arith32.products(fresh, zeros, x[b*in:(b+1)*in], feature, in)
			for f, v := range fresh {
				at := (b*filters + f) * memory
				copy(state[at:at+memory-1], before[at+1:at+memory])
				state[at+memory-1] = v
			}
			for u := range units {
				var v float32
				for r := range rank {
					f := u*rank + r
					at := (b*filters + f) * memory
					v += arith32.dot(0, time[f*memory:(f+1)*memory], state[at:at+memory])
				}
				if bias != nil {
					v += bias[u]
				}
				out[b*units+u] = act(v)
			}
		}
		y.put()
		last.put()
		return nil
	}, nil
}

func integerSVDF(c *op.Call, batch, in, filters, memory, rank int) (op.Run, error) {
	x, feature, time, bias, state := c.In[0], c.In[1], c.In[2], c.Input(3), c.In[4]
	y := c.Output(0)
	if y == nil || y.DType != tensor.I8 || y.Quant == nil || x.Quant == nil || feature.Quant == nil || time.Quant == nil || state.Quant == nil ||
		feature.DType != tensor.I8 || bias != nil && bias.DType != tensor.I32 {
		return nil, c.Errorf("types %v, %v, %v and %v do not make a quantised layer", feature, time, bias, y)
	}
	if t := c.Output(1); t != nil && t.DType != tensor.I16 {
		return nil, c.Errorf("output 1 has type %v, want i16", t.DType)
	}
	relu := c.Attrs.Str("activation", "none") == "relu"
	units := filters / rank
	enter := factor(scaleOf(x) * scaleOf(feature) / scaleOf(state))
	leave := factor(scaleOf(state) * scaleOf(time) / scaleOf(y))
	zx, zy := x.Quant.ZeroAt(0), y.Quant.ZeroAt(0)
	low := int32(-128)
	if relu {
		low = max(low, zy)
	}
	mem := make([]int16, batch*filters*memory)
	return func() error {
		before, now := tensor.Of[int16](state), tensor.Of[int8](x)
		w, tw, out := tensor.Of[int8](feature), tensor.Of[int16](time), tensor.Of[int8](y)
		for b := range batch {
			row := now[b*in : (b+1)*in]
			for f := range filters {
				at := (b*filters + f) * memory
				copy(mem[at:at+memory-1], before[at+1:at+memory])
				acc := int32(0)
				for k, v := range w[f*in : (f+1)*in] {
					acc += int32(v) * (int32(row[k]) - zx)
				}
				mem[at+memory-1] = saturate16(enter.of(acc))
			}
			for u := range units {
				acc := int32(0)
				if bias != nil {
					acc = tensor.Of[int32](bias)[u]
				}
				for f := u * rank; f < (u+1)*rank; f++ {
					for k, v := range mem[(b*filters+f)*memory:][:memory] {
						acc += int32(v) * int32(tw[f*memory+k])
					}
				}
				out[b*units+u] = int8(min(max(leave.of(acc)+zy, low), 127))
			}
		}
		if t := c.Output(1); t != nil {
			copy(tensor.Of[int16](t), mem)
		}
		return nil
	}, nil
}
