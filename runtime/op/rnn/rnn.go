// Package rnn holds recurrent layers.
package rnn

import (
	"math"
	"strings"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// Ops is the table of this family.
var Ops = map[string]op.Op{
	"RNN":  {Infer: inferRecurrent, Prepare: prepareRecurrent},
	"GRU":  {Infer: inferRecurrent, Prepare: prepareRecurrent},
	"LSTM": {Infer: inferRecurrent, Prepare: prepareRecurrent},
}

// gates is the number of weight blocks per hidden unit.
var gates = map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}

func directions(c *op.Call) int {
	if c.Attrs.Str("direction", "forward") == "bidirectional" {
		return 2
	}
	return 1
}

func inferRecurrent(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	x, r := c.In[0], c.In[2]
	seq, batch, hidden, dirs := -1, -1, c.Attrs.Int("hidden_size", -1), directions(c)
	batchFirst := c.Attrs.Int("layout", 0) == 1
	if x.Shape != nil {
		if len(x.Shape) != 3 {
			return c.Errorf("input has rank %d, want 3", len(x.Shape))
		}
		seq, batch = x.Shape[0], x.Shape[1]
		if batchFirst {
			seq, batch = batch, seq
		}
	}
	if len(r.Shape) == 3 && r.Shape[2] >= 0 {
		hidden = r.Shape[2]
	}
	if x.Shape.Known() && c.In[1].Shape.Known() && r.Shape.Known() {
		g := gates[c.Op]
		if !c.In[1].Shape.Equal(tensor.Shape{dirs, g * hidden, x.Shape[2]}) || !r.Shape.Equal(tensor.Shape{dirs, g * hidden, hidden}) {
			return c.Errorf("weights %v and %v do not fit input %v, %d directions and %d hidden units", c.In[1].Shape, r.Shape, x.Shape, dirs, hidden)
		}
	}
	if batchFirst {
		c.Set(0, x.DType, tensor.Shape{batch, seq, dirs, hidden})
		c.Set(1, x.DType, tensor.Shape{batch, dirs, hidden})
		c.Set(2, x.DType, tensor.Shape{batch, dirs, hidden})
		return nil
	}
	c.Set(0, x.DType, tensor.Shape{seq, dirs, batch, hidden})
	c.Set(1, x.DType, tensor.Shape{dirs, batch, hidden})
	c.Set(2, x.DType, tensor.Shape{dirs, batch, hidden})
	return nil
}

// activation makes an activation function by its ONNX name.
func activation(c *op.Call, name string, alpha, beta float32, hasA, hasB bool) (func(float32) float32, error) {
	def := func(a, b float32) (float32, float32) {
		if hasA {
			a = alpha
		}
		if hasB {
			b = beta
		}
		return a, b
	}
	switch strings.ToLower(name) {
	case "tanh":
		return fmath.Tanh, nil
	case "sigmoid":
		return fmath.Sigmoid, nil
	case "relu":
		return func(x float32) float32 { return max(x, 0) }, nil
	case "affine":
		a, b := def(1, 0)
		return func(x float32) float32 { return float32(a*x) + b }, nil
	case "leakyrelu":
		a, _ := def(.01, 0)
		return func(x float32) float32 {
			if x < 0 {
				return a * x
			}
			return x
		}, nil
	case "thresholdedrelu":
		a, _ := def(1, 0)
		return func(x float32) float32 {
			if x >= a {
				return x
			}
			return 0
		}, nil
	case "scaledtanh":
		a, b := def(1, 1)
		return func(x float32) float32 { return a * fmath.Tanh(float32(b*x)) }, nil
	case "hardsigmoid":
		a, b := def(.2, .5)
		return func(x float32) float32 { return min(max(float32(a*x)+b, 0), 1) }, nil
	case "elu":
		a, _ := def(1, 0)
		return func(x float32) float32 {
			if x < 0 {
				return a * (fmath.Exp(x) - 1)
			}
			return x
		}, nil
	case "softsign":
		return func(x float32) float32 { return x / (1 + float32(math.Abs(float64(x)))) }, nil
	case "softplus":
		return func(x float32) float32 { return float32(math.Log1p(math.Exp(float64(x)))) }, nil
	}
	return nil, c.Errorf("activation %q unknown", name)
}

// floats reads a float tensor as f32 at run time.
type floats struct {
	t   *tensor.Tensor
	buf []float32
}

func newFloats(c *op.Call, t *tensor.Tensor) (*floats, error) {
	f := &floats{t: t}
	if t == nil || t.DType == tensor.F32 {
		return f, nil
	}
	if t.DType != tensor.F16 && t.DType != tensor.BF16 && t.DType != tensor.F64 {
		return nil, c.Errorf("tensor of type %v, want a float", t.DType)
	}
	f.buf = make([]float32, t.Len())
	return f, nil
}

func (f *floats) get() []float32 {
	if f.t == nil {
		return nil
	}
	switch f.t.DType {
	case tensor.F32:
		return tensor.Of[float32](f.t)
	case tensor.F16:
		half.WidenF16(f.buf, tensor.Of[uint16](f.t))
	case tensor.BF16:
		half.WidenBF16(f.buf, tensor.Of[uint16](f.t))
	default:
		for i, v := range tensor.Of[float64](f.t) {
			f.buf[i] = float32(v)
		}
	}
	return f.buf
}

// store writes v as element i of a float tensor.
func store(t *tensor.Tensor, i int, v float32) {
	switch t.DType {
	case tensor.F32:
		tensor.Of[float32](t)[i] = v
	case tensor.F16:
		tensor.Of[uint16](t)[i] = half.F16(v)
	case tensor.BF16:
		tensor.Of[uint16](t)[i] = half.BF16(v)
	case tensor.F64:
		tensor.Of[float64](t)[i] = float64(v)
	}
}

// layer is one recurrent layer of known shapes.
type layer struct {
	c                        *op.Call
	seq, batch, hidden, in   int
	dirs, g                  int
	batchFirst               bool
	clip                     float32
	linear, forget           bool
	acts                     [][]func(float32) float32
	x, w, r, b, h0, c0, p    *floats
	reverse                  []bool
	gate, h, cell, next, tmp []float32
}

// prepareRecurrent runs time step by time step; each pre-activation is one FMA chain over the input, then the hidden
// state, that starts from the biases.
func prepareRecurrent(c *op.Call) (op.Run, error) {
	l := &layer{c: c, g: gates[c.Op], dirs: directions(c), batchFirst: c.Attrs.Int("layout", 0) == 1,
		clip: c.Attrs.Float("clip", 0), linear: c.Attrs.Bool("linear_before_reset", false), forget: c.Attrs.Bool("input_forget", false)}
	x := c.In[0].Shape
	l.seq, l.batch, l.in = x[0], x[1], x[2]
	if l.batchFirst {
		l.seq, l.batch = l.batch, l.seq
	}
	l.hidden = c.In[2].Shape[2]
	switch d := c.Attrs.Str("direction", "forward"); d {
	case "forward":
		l.reverse = []bool{false}
	case "reverse":
		l.reverse = []bool{true}
	case "bidirectional":
		l.reverse = []bool{false, true}
	default:
		return nil, c.Errorf("direction %q unknown", d)
	}
	for i, f := range map[int]**floats{0: &l.x, 1: &l.w, 2: &l.r, 3: &l.b, 5: &l.h0, 6: &l.c0, 7: &l.p} {
		t := c.Input(i)
		if c.Op != "LSTM" && i > 5 {
			t = nil
		}
		v, err := newFloats(c, t)
		if err != nil {
			return nil, err
		}
		*f = v
	}
	if b := c.Input(3); b != nil && b.Len() != l.dirs*2*l.g*l.hidden {
		return nil, c.Errorf("bias %v, want %d elements", b, l.dirs*2*l.g*l.hidden)
	}
	per := map[string]int{"RNN": 1, "GRU": 2, "LSTM": 3}[c.Op]
	names := c.Attrs.Strs("activations")
	if names == nil {
		for range l.dirs {
			names = append(names, map[string][]string{"RNN": {"Tanh"}, "GRU": {"Sigmoid", "Tanh"}, "LSTM": {"Sigmoid", "Tanh", "Tanh"}}[c.Op]...)
		}
	}
	if len(names) != per*l.dirs {
		return nil, c.Errorf("%d activations, want %d", len(names), per*l.dirs)
	}
	alphas, betas := c.Attrs.Floats("activation_alpha"), c.Attrs.Floats("activation_beta")
	at := func(v []float32, i int) (float32, bool) {
		if i < len(v) {
			return v[i], true
		}
		return 0, false
	}
	for d := range l.dirs {
		var list []func(float32) float32
		for k := range per {
			a, hasA := at(alphas, d*per+k)
			b, hasB := at(betas, d*per+k)
			f, err := activation(c, names[d*per+k], a, b, hasA, hasB)
			if err != nil {
				return nil, err
			}
			list = append(list, f)
		}
		l.acts = append(l.acts, list)
	}
	l.gate = make([]float32, l.g*l.hidden)
	l.tmp = make([]float32, l.hidden)
	l.h, l.cell, l.next = make([]float32, l.hidden), make([]float32, l.hidden), make([]float32, l.hidden)
	return l.run, nil
}

func (l *layer) run() error {
	x, w, r, b, h0, c0, p := l.x.get(), l.w.get(), l.r.get(), l.b.get(), l.h0.get(), l.c0.get(), l.p.get()
	lens := l.c.Input(4)
	for d := range l.dirs {
		gh := l.g * l.hidden
		dw, dr := w[d*gh*l.in:(d+1)*gh*l.in], r[d*gh*l.hidden:(d+1)*gh*l.hidden]
		var wb, rb, peep []float32
		if b != nil {
			wb, rb = b[d*2*gh:d*2*gh+gh], b[d*2*gh+gh:(d+1)*2*gh]
		}
		if p != nil {
			peep = p[d*3*l.hidden : (d+1)*3*l.hidden]
		}
		for n := range l.batch {
			steps := l.seq
			if lens != nil {
				switch lens.DType {
				case tensor.I32:
					steps = int(tensor.Of[int32](lens)[n])
				case tensor.I64:
					steps = int(tensor.Of[int64](lens)[n])
				}
				if steps < 0 || steps > l.seq {
					return l.c.Errorf("sequence length %d of batch %d is out of range for %d steps", steps, n, l.seq)
				}
			}
			state := (d*l.batch + n) * l.hidden
			if l.batchFirst {
				state = (n*l.dirs + d) * l.hidden
			}
			clear(l.h)
			clear(l.cell)
			if h0 != nil {
				copy(l.h, h0[state:])
			}
			if c0 != nil {
				copy(l.cell, c0[state:])
			}
			for s := range l.seq {
				t := s
				if l.reverse[d] && s < steps {
					t = steps - 1 - s
				}
				if s < steps {
					from := (t*l.batch + n) * l.in
					if l.batchFirst {
						from = (n*l.seq + t) * l.in
					}
					l.step(d, x[from:from+l.in], dw, dr, wb, rb, peep)
				}
				if y := l.c.Output(0); y != nil {
					at := ((t*l.dirs+d)*l.batch + n) * l.hidden
					if l.batchFirst {
						at = ((n*l.seq+t)*l.dirs + d) * l.hidden
					}
					for i, v := range l.h {
						if s >= steps {
							v = 0
						}
						store(y, at+i, v)
					}
				}
			}
			for k, v := range [2][]float32{l.h, l.cell} {
				if y := l.c.Output(k + 1); y != nil {
					for i, e := range v {
						store(y, state+i, e)
					}
				}
			}
		}
	}
	return nil
}

// dot continues an FMA chain.
func dot(acc float32, a, b []float32) float32 {
	b = b[:len(a)]
	for i, v := range a {
		acc = fmath.FMA(v, b[i], acc)
	}
	return acc
}

func (l *layer) limit(v float32) float32 {
	if l.clip > 0 {
		return min(max(v, -l.clip), l.clip)
	}
	return v
}

// step advances hidden state (and cell) by one input.
func (l *layer) step(d int, x, w, r, wb, rb, peep []float32) {
	h := l.hidden
	bias := func(b []float32, i int) float32 {
		if b == nil {
			return 0
		}
		return b[i]
	}
	whole := func(i int) float32 {
		acc := float32(bias(wb, i) + bias(rb, i))
		return dot(dot(acc, x, w[i*l.in:(i+1)*l.in]), l.h, r[i*h:(i+1)*h])
	}
	act := l.acts[d]
	switch l.c.Op {
	case "RNN":
		for i := range h {
			l.next[i] = act[0](l.limit(whole(i)))
		}
	case "GRU": // gates in the order update, reset, hidden
		for i := range 2 * h {
			l.gate[i] = act[0](l.limit(whole(i)))
		}
		z, rt := l.gate[:h], l.gate[h:2*h]
		if !l.linear {
			for i := range h {
				l.tmp[i] = rt[i] * l.h[i]
			}
		}
		for i := range h {
			k := 2*h + i
			var v float32
			if l.linear {
				inner := dot(bias(rb, k), l.h, r[k*h:(k+1)*h])
				v = dot(bias(wb, k), x, w[k*l.in:(k+1)*l.in]) + float32(rt[i]*inner)
			} else {
				v = dot(dot(float32(bias(wb, k)+bias(rb, k)), x, w[k*l.in:(k+1)*l.in]), l.tmp, r[k*h:(k+1)*h])
			}
			v = act[1](l.limit(v))
			l.next[i] = float32((1-z[i])*v) + float32(z[i]*l.h[i])
		}
	case "LSTM": // gates in the order input, output, forget, cell
		for i := range 4 * h {
			l.gate[i] = whole(i)
		}
		peepAt := func(k, i int, cell float32) float32 {
			if peep == nil {
				return 0
			}
			return float32(peep[k*h+i] * cell)
		}
		for i := range h {
			in := act[0](l.limit(l.gate[i] + peepAt(0, i, l.cell[i])))
			f := act[0](l.limit(l.gate[2*h+i] + peepAt(2, i, l.cell[i])))
			if l.forget {
				f = 1 - in
			}
			ct := act[1](l.limit(l.gate[3*h+i]))
			cell := float32(f*l.cell[i]) + float32(in*ct)
			o := act[0](l.limit(l.gate[h+i] + peepAt(1, i, cell)))
			l.cell[i] = cell
			l.next[i] = o * act[2](cell)
		}
	}
	l.h, l.next = l.next, l.h
}
