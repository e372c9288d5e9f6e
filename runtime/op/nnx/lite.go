package nnx

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// TFLite's recurrent operators. Weights of 8 bits with Quant and float inputs (TFLite's hybrid kernels) count as the
// reals that they stand for. Quantised inputs are computed in integers where litequant.go says so, else as reals.
//
// Attributes: activation ("none", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit", "sigmoid"; of LSTMs by default
// "tanh"), time_major, cell_clip and proj_clip of LSTMs, merge_outputs of the bidirectional one, rank of SVDF;
// intermediate_scale and intermediate_zero, one entry for each of an LSTM's intermediate tensors, in TFLite's order.
var liteOps = map[string]op.Op{
	"tflite.UnidirectionalSequenceLSTM": {Traits: op.QuantKernel, Infer: inferLiteLSTM, Prepare: prepareLiteLSTM},
	"tflite.LSTM":                       {Traits: op.QuantKernel, Infer: inferLiteLSTM, Prepare: prepareLiteLSTM},
	"tflite.BidirectionalSequenceLSTM":  {Traits: op.QuantKernel, Infer: inferLiteBidi, Prepare: prepareLiteBidi},
	"tflite.UnidirectionalSequenceRNN":  {Traits: op.QuantKernel, Infer: inferLiteRNN, Prepare: prepareLiteRNN},
	"tflite.RNN":                        {Traits: op.QuantKernel, Infer: inferLiteRNN, Prepare: prepareLiteRNN},
	"tflite.SVDF":                       {Traits: op.QuantKernel, Infer: inferSVDF, Prepare: prepareSVDF},
}

// Inputs of TFLite's LSTM, relative to the first weight. A gate's inputs stand in the order input, forget, cell, output.
const (
	liteX, liteR, litePeep, liteBias, liteProj, liteProjBias = 0, 4, 8, 11, 15, 16
)

// liteLSTMAt says where one direction's inputs are.
type liteLSTMAt struct{ x, weights, state, cell, norm, aux, auxWeights int }

var (
	liteForward = liteLSTMAt{x: 0, weights: 1, state: 18, cell: 19, norm: 20, aux: -1, auxWeights: -1}
	bidiForward = liteLSTMAt{x: 0, weights: 1, state: 35, cell: 36, norm: -1, aux: 39, auxWeights: 40}
	bidiReverse = liteLSTMAt{x: 0, weights: 18, state: 37, cell: 38, norm: -1, aux: 39, auxWeights: 44}
)

func input(c *op.Call, i int) *tensor.Tensor {
	if i < 0 {
		return nil
	}
	return c.Input(i)
}

// need fails where one of the inputs is missing.
func need(c *op.Call, list ...int) error {
	for _, i := range list {
		if c.Input(i) == nil {
			return c.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// checkLiteLSTM checks that the inputs are there which each gate needs, and returns the width of the output.
func checkLiteLSTM(c *op.Call, at liteLSTMAt) (int, error) {
	w := at.weights
	if err := need(c, at.x, w+1, w+2, w+3, w+5, w+6, w+7, w+12, w+13, w+14, at.state, at.cell); err != nil {
		return 0, err
	}
	for k := range liteR * 2 {
		if err := ranks(c, 2, w+k); err != nil {
			return 0, err
		}
	}
	for _, k := range [3]int{liteR, litePeep, liteBias} {
		in := c.Input(w + k)
		if k == litePeep && c.Input(w+litePeep+1) == nil {
			in = c.Input(w) // no peepholes at all
		}
		if (in == nil) != (c.Input(w) == nil) {
			return 0, c.Errorf("input %d: the inputs of the input gate come all or none", w+k)
		}
	}
	if s := c.In[at.x].Shape; s != nil && len(s) != 2 && len(s) != 3 {
		return 0, c.Errorf("input has rank %d, want 2 or 3", len(s))
	}
	return extent(c.In[w+liteR+3], 1), nil
}

func inferLiteLSTM(c *op.Call) error {
	width, err := checkLiteLSTM(c, liteForward)
	if err != nil {
		return err
	}
	x := c.In[0]
	shape := x.Shape.Clone()
	if shape != nil {
		shape[len(shape)-1] = width
	}
	c.Set(0, floatOf(x), shape)
	c.Set(1, stateType(c.In[18]), c.In[18].Shape)
	c.Set(2, stateType(c.In[19]), c.In[19].Shape)
	return nil
}

// floatOf is the type of a result where the output declares none.
func floatOf(x *tensor.Tensor) tensor.DType {
	if x.DType.IsFloat() {
		return x.DType
	}
	return tensor.F32
}

func stateType(s *tensor.Tensor) tensor.DType { return s.DType }

func inferLiteBidi(c *op.Call) error {
	fw, err := checkLiteLSTM(c, bidiForward)
	if err != nil {
		return err
	}
	bw, err := checkLiteLSTM(c, bidiReverse)
	if err != nil {
		return err
	}
	x := c.In[0]
	shape := x.Shape.Clone()
	next := 1
	if c.Attrs.Bool("merge_outputs", false) {
		if shape != nil {
			shape[len(shape)-1] = plus(fw, bw)
		}
	} else {
		if shape != nil {
			shape[len(shape)-1] = bw
		}
		c.Set(1, floatOf(x), shape)
		if shape != nil {
			shape[len(shape)-1] = fw
		}
		next = 2
	}
	c.Set(0, floatOf(x), shape)
	for i := range 4 { // activation states of both, then cell states of both
		s := c.In[35+i%2*2+i/2]
		c.Set(next+i, s.DType, s.Shape)
	}
	return nil
}

// liteSteps reads the extents of a sequence.
func liteSteps(c *op.Call, x *tensor.Tensor) (steps, batch, in int, timeMajor bool) {
	s := x.Shape
	timeMajor = c.Attrs.Bool("time_major", false)
	switch {
	case len(s) == 2:
		return 1, s[0], s[1], false
	case timeMajor:
		return s[0], s[1], s[2], true
	}
	return s[1], s[0], s[2], false
}

// liteActivation makes one of TFLite's fused activations.
func liteActivation(c *op.Call, def string) (func(float32) float32, error) {
	switch name := c.Attrs.Str("activation", def); name {
	case "none":
		return func(x float32) float32 { return x }, nil
	case "relu":
		return func(x float32) float32 { return max(x, 0) }, nil
	case "relu_n1_to_1":
		return func(x float32) float32 { return min(max(x, -1), 1) }, nil
	case "relu6":
		return func(x float32) float32 { return min(max(x, 0), 6) }, nil
	case "tanh":
		return arith32.tanh, nil
	case "sigmoid":
		return arith32.sigmoid, nil
	case "sign_bit":
		return func(x float32) float32 {
			if math.Signbit(float64(x)) {
				return 1
			}
			return 0
		}, nil
	default:
		return nil, c.Errorf("activation %q unknown", name)
	}
}

func prepareLiteLSTM(c *op.Call) (op.Run, error) {
	if _, err := checkLiteLSTM(c, liteForward); err != nil {
		return nil, err
	}
	if integerLSTM(c) {
		return prepareIntegerLSTM(c)
	}
	if err := storable(c); err != nil {
		return nil, err
	}
	l, err := newLiteLSTM(c, liteForward, 0, 1, 2, false)
	if err != nil {
		return nil, err
	}
	l.width = l.out
	return func() error {
		l.run(l.y.get())
		l.y.put()
		return nil
	}, nil
}

func prepareLiteBidi(c *op.Call) (op.Run, error) {
	if err := storable(c); err != nil {
		return nil, err
	}
	merge := c.Attrs.Bool("merge_outputs", false)
	first, yr := 2, 1
	if merge {
		first, yr = 1, 0
	}
	// An auxiliary input without weights is the reverse direction's own input.
	forward, reverse := bidiForward, bidiReverse
	if c.Input(39) != nil && c.Input(41) == nil {
		reverse.x, reverse.aux, forward.aux = 39, -1, -1
	}
	if aux := c.Input(39); aux != nil && len(aux.Shape) != len(c.In[0].Shape) {
		return nil, c.Errorf("auxiliary input %v for an input %v", aux.Shape, c.In[0].Shape)
	}
	fw, err := newLiteLSTM(c, forward, 0, first, first+2, false)
	if err != nil {
		return nil, err
	}
	bw, err := newLiteLSTM(c, reverse, yr, first+1, first+3, true)
	if err != nil {
		return nil, err
	}
	if fw.steps != bw.steps || fw.batch != bw.batch {
		return nil, c.Errorf("inputs of both directions differ in length")
	}
	fw.width, bw.width = fw.out, bw.out
	if merge {
		fw.width = fw.out + bw.out
		bw.width, bw.column = fw.width, fw.out
		fw.y = newTarget[float32](c, 0, fw.steps*fw.batch*fw.width)
		bw.y = fw.y
	}
	return func() error {
		fw.run(fw.y.get())
		bw.run(bw.y.get())
		fw.y.put()
		if !merge {
			bw.y.put()
		}
		return nil
	}, nil
}

// liteLSTM is one direction in float arithmetic:
//
//	gate = act(norm*normalised(Wx*x + Wa*aux + Wr*h + peep*c) + bias), the bias within where there is no norm
//	c = clip(forget*c + input*cell)    h = clip(proj*(output*act(c)) + projBias)
//
// Without an input gate, input = 1 - forget.
type liteLSTM struct {
	c                              *op.Call
	steps, batch, in, auxIn, cells int
	out, width, column             int
	timeMajor, reverse             bool
	clip, projClip                 float32
	act                            func(float32) float32
	x, aux, h0, c0, proj, projBias *source[float32]
	w, r, auxW, bias, norm         [4]*source[float32]
	peep                           [3]*source[float32]
	y, h, cell                     *target[float32]
	gate                           [4][]float32
	hidden, zeros                  []float32
	nx, naux, nh0, nc0, nproj, npb []float32
	nw, nr, nauxW, nbias, nnorm    [4][]float32
	npeep                          [3][]float32
}

func newLiteLSTM(c *op.Call, at liteLSTMAt, y, h, cell int, reverse bool) (*liteLSTM, error) {
	l := &liteLSTM{c: c, reverse: reverse, clip: c.Attrs.Float("cell_clip", 0), projClip: c.Attrs.Float("proj_clip", 0)}
	var err error
	if l.act, err = liteActivation(c, "tanh"); err != nil {
		return nil, err
	}
	l.steps, l.batch, l.in, l.timeMajor = liteSteps(c, c.In[at.x])
	l.cells, l.out = extent(c.In[at.weights+3], 0), extent(c.In[at.weights+liteR+3], 1)
	get := func(dst **source[float32], i, n int) {
		if err != nil {
			return
		}
		if i < 0 {
			*dst = &source[float32]{}
			return
		}
		*dst, err = newSource[float32](c, i, n)
	}
	if at.aux >= 0 && c.Input(at.aux) != nil {
		s := c.In[at.aux].Shape
		l.auxIn = s[len(s)-1]
	} else {
		at.aux, at.auxWeights = -1, -1
	}
	offset := func(i, k int) int {
		if i < 0 {
			return -1
		}
		return i + k
	}
	get(&l.x, at.x, l.steps*l.batch*l.in)
	get(&l.aux, at.aux, l.steps*l.batch*l.auxIn)
	get(&l.h0, at.state, l.batch*l.out)
	get(&l.c0, at.cell, l.batch*l.cells)
	get(&l.proj, at.weights+liteProj, l.out*l.cells)
	get(&l.projBias, at.weights+liteProjBias, l.out)
	for g := range 4 {
		get(&l.w[g], at.weights+liteX+g, l.cells*l.in)
		get(&l.r[g], at.weights+liteR+g, l.cells*l.out)
		get(&l.bias[g], at.weights+liteBias+g, l.cells)
		get(&l.norm[g], offset(at.norm, g), l.cells)
		get(&l.auxW[g], offset(at.auxWeights, g), l.cells*l.auxIn)
	}
	for g := range 3 {
		get(&l.peep[g], at.weights+litePeep+g, l.cells)
	}
	if err != nil {
		return nil, err
	}
	if l.proj.t == nil && l.out != l.cells {
		return nil, c.Errorf("%d cells and %d outputs without a projection", l.cells, l.out)
	}
	for g := range l.gate {
		l.gate[g] = make([]float32, l.cells)
	}
	l.y, l.h, l.cell = newTarget[float32](c, y, l.steps*l.batch*l.out), newTarget[float32](c, h, l.batch*l.out), newTarget[float32](c, cell, l.batch*l.cells)
	l.hidden, l.zeros = make([]float32, l.cells), make([]float32, max(l.cells, l.out))
	return l, nil
}

func (l *liteLSTM) run(y []float32) {
	l.nx, l.naux, l.nh0, l.nc0, l.nproj, l.npb = l.x.get(), l.aux.get(), l.h0.get(), l.c0.get(), l.proj.get(), l.projBias.get()
	for g := range 4 {
		l.nw[g], l.nr[g], l.nbias[g], l.nnorm[g], l.nauxW[g] = l.w[g].get(), l.r[g].get(), l.bias[g].get(), l.norm[g].get(), l.auxW[g].get()
	}
	for g := range 3 {
		l.npeep[g] = l.peep[g].get()
	}
	hs, cs := l.h.get(), l.cell.get()
	copy(hs, l.nh0)
	copy(cs, l.nc0)
	for b := range l.batch {
		h, cell := hs[b*l.out:(b+1)*l.out], cs[b*l.cells:(b+1)*l.cells]
		for k := range l.steps {
			t := k
			if l.reverse {
				t = l.steps - 1 - k
			}
			row := b*l.steps + t
			if l.timeMajor {
				row = t*l.batch + b
			}
			l.step(l.nx[row*l.in:(row+1)*l.in], row, h, cell)
			at := row*l.width + l.column
			copy(y[at:at+l.out], h)
		}
	}
	l.h.put()
	l.cell.put()
}

// gateOf computes one gate; peep is the place among the peepholes, -1 for none.
func (l *liteLSTM) gateOf(g, peep int, x []float32, row int, h, cell []float32, act func(float32) float32) {
	v := l.gate[g]
	norm := l.nnorm[g]
	start := l.nbias[g]
	if norm != nil {
		start = l.zeros[:l.cells]
	}
	arith32.products(v, start, x, l.nw[g], l.in)
	if l.nauxW[g] != nil {
		arith32.products(v, v, l.naux[row*l.auxIn:(row+1)*l.auxIn], l.nauxW[g], l.auxIn)
	}
	arith32.products(v, v, h, l.nr[g], l.out)
	if peep >= 0 && l.npeep[peep] != nil {
		for i, p := range l.npeep[peep] {
			v[i] += float32(p * cell[i])
		}
	}
	if norm != nil {
		normalize(v)
		for i := range v {
			v[i] = float32(v[i]*norm[i]) + l.nbias[g][i]
		}
	}
	for i := range v {
		v[i] = act(v[i])
	}
}

// normalize makes the mean 0 and the variance 1.
func normalize(v []float32) {
	n := float32(len(v))
	mean := sum(v) / n
	for i := range v {
		v[i] -= mean
	}
	var lane [16]float32
	for i, x := range v {
		lane[i&15] += float32(x * x)
	}
	variance := sum(lane[:]) / n
	if variance == 0 {
		variance = 1e-8
	}
	inv := 1 / float32(math.Sqrt(float64(variance)))
	for i := range v {
		v[i] *= inv
	}
}

func (l *liteLSTM) step(x []float32, row int, h, cell []float32) {
	coupled := l.nw[0] == nil
	if !coupled {
		l.gateOf(0, 0, x, row, h, cell, arith32.sigmoid)
	}
	l.gateOf(1, 1, x, row, h, cell, arith32.sigmoid)
	l.gateOf(2, -1, x, row, h, cell, l.act)
	for i, c := range cell {
		forget := l.gate[1][i]
		in := 1 - forget
		if !coupled {
			in = l.gate[0][i]
		}
		c = float32(forget*c) + float32(in*l.gate[2][i])
		if l.clip > 0 {
			c = min(max(c, -l.clip), l.clip)
		}
		cell[i] = c
	}
	l.gateOf(3, 2, x, row, h, cell, arith32.sigmoid)
	for i, c := range cell {
		l.hidden[i] = l.gate[3][i] * l.act(c)
	}
	if l.nproj == nil {
		copy(h, l.hidden)
		return
	}
	start := l.npb
	if start == nil {
		start = l.zeros[:l.out]
	}
	arith32.products(h, start, l.hidden, l.nproj, l.cells)
	if l.projClip > 0 {
		for i, v := range h {
			h[i] = min(max(v, -l.projClip), l.projClip)
		}
	}
}

func inferLiteRNN(c *op.Call) error {
	if err := c.Need(5); err != nil {
		return err
	}
	if err := ranks(c, 2, 1, 2, 4); err != nil {
		return err
	}
	x := c.In[0]
	if s := x.Shape; s != nil && len(s) != 2 && len(s) != 3 {
		return c.Errorf("input has rank %d, want 2 or 3", len(s))
	}
	shape := x.Shape.Clone()
	if shape != nil {
		shape[len(shape)-1] = extent(c.In[1], 0)
	}
	c.Set(0, floatOf(x), shape)
	c.Set(1, c.In[4].DType, c.In[4].Shape)
	return nil
}

// prepareLiteRNN computes h = act(bias + W*x + R*h) step by step.
func prepareLiteRNN(c *op.Call) (op.Run, error) {
	if err := storable(c); err != nil {
		return nil, err
	}
	act, err := liteActivation(c, "none")
	if err != nil {
		return nil, err
	}
	steps, batch, in, timeMajor := liteSteps(c, c.In[0])
	units := extent(c.In[1], 0)
	var src [5]*source[float32]
	for i, n := range [5]int{steps * batch * in, units * in, units * units, units, batch * units} {
		if src[i], err = newSource[float32](c, i, n); err != nil {
			return nil, err
		}
	}
	y, last := newTarget[float32](c, 0, steps*batch*units), newTarget[float32](c, 1, batch*units)
	v := make([]float32, units)
	return func() error {
		x, w, r, bias := src[0].get(), src[1].get(), src[2].get(), src[3].get()
		out, state := y.get(), last.get()
		copy(state, src[4].get())
		for b := range batch {
			h := state[b*units : (b+1)*units]
			for t := range steps {
				row := b*steps + t
				if timeMajor {
					row = t*batch + b
				}
				arith32.products(v, bias, x[row*in:(row+1)*in], w, in)
				arith32.products(v, v, h, r, units)
				for i := range h {
					h[i] = act(v[i])
				}
				copy(out[row*units:], h)
			}
		}
		y.put()
		last.put()
		return nil
	}, nil
}
