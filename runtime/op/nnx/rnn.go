package nnx

import (
	"math"
	"strings"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
)

var recurrentOps = map[string]op.Op{
	"RNN":  {Infer: inferRecurrent, Prepare: anyRecurrent},
	"GRU":  {Infer: inferRecurrent, Prepare: anyRecurrent},
	"LSTM": {Infer: inferRecurrent, Prepare: anyRecurrent},
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
	x, w, r := c.In[0], c.In[1], c.In[2]
	if err := ranks(c, 3, 0, 1, 2); err != nil {
		return err
	}
	hidden, dirs, g := c.Attrs.Int("hidden_size", -1), directions(c), gates[c.Op]
	if n := extent(r, 2); n >= 0 {
		hidden = n
	}
	for i, want := range [2]tensor.Shape{{dirs, times(g, hidden), extent(x, 2)}, {dirs, times(g, hidden), hidden}} {
		t := [2]*tensor.Tensor{w, r}[i]
		for k, n := range t.Shape {
			if n >= 0 && want[k] >= 0 && n != want[k] {
				return c.Errorf("weights %v, want %v", t.Shape, want)
			}
		}
	}
	return setRecurrent(c, hidden, dirs)
}

func setRecurrent(c *op.Call, hidden, dirs int) error {
	x := c.In[0]
	seq, batch := extent(x, 0), extent(x, 1)
	if c.Attrs.Int("layout", 0) == 1 {
		seq, batch = batch, seq
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

// activation makes an activation function by its ONNX name; nil parameters have the default.
func activation[T float](c *op.Call, name string, alpha, beta *float32) (function[T], error) {
	ar := arithOf[T]()
	var f func(T) T
	def := func(a, b T) (T, T) {
		if alpha != nil {
			a = T(*alpha)
		}
		if beta != nil {
			b = T(*beta)
		}
		return a, b
	}
	switch strings.ToLower(name) {
	case "tanh":
		return kernelOf(ar.tanh, spec.Tanh), nil
	case "sigmoid":
		return kernelOf(ar.sigmoid, spec.Sigmoid), nil
	case "relu":
		f = func(x T) T { return max(x, 0) }
	case "affine":
		a, b := def(1, 0)
		f = func(x T) T { return T(a*x) + b }
	case "leakyrelu":
		a, _ := def(.01, 0)
		f = func(x T) T {
			if x < 0 {
				return a * x
			}
			return x
		}
	case "thresholdedrelu":
		a, _ := def(1, 0)
		f = func(x T) T {
			if x >= a {
				return x
			}
			return 0
		}
	case "scaledtanh":
		a, b := def(1, 1)
		f = func(x T) T { return a * ar.tanh(T(b*x)) }
	case "hardsigmoid":
		a, b := def(.2, .5)
		f = func(x T) T { return min(max(T(a*x)+b, 0), 1) }
	case "elu":
		a, _ := def(1, 0)
		f = func(x T) T {
			if x < 0 {
				return a * (ar.exp(x) - 1)
			}
			return x
		}
	case "softsign":
		f = func(x T) T { return x / (1 + T(math.Abs(float64(x)))) }
	case "softplus":
		f = func(x T) T { return max(x, 0) + ar.log1p(ar.exp(-T(math.Abs(float64(x))))) }
	default:
		return function[T]{}, c.Errorf("activation %q unknown", name)
	}
	return function[T]{scalar: f}, nil
}

func anyRecurrent(c *op.Call) (op.Run, error) {
	return byType(c, c.In[0].DType, prepareRecurrent[float32], prepareRecurrent[float64])
}

// layer is one recurrent layer of known shapes.
type layer[T float] struct {
	c                      *op.Call
	seq, batch, hidden, in int
	dirs, g                int
	batchFirst             bool
	clip                   T
	linear, forget         bool
	reverse                []bool
	acts                   [][]function[T]
	lens                   indices
	src                    [8]*source[T]
	y, yh, yc              *target[T]
	cells                  []cell[T] // one per direction and batch
	bias, inner            []T       // per direction: sums of both biases; GRU's of the hidden state alone
	fixedBias              bool
	// The products of each direction: of all inputs, of the hidden state, and of GRU's hidden gate with the hidden state, whose factor
	// may depend on the other gates.
	enter, again, late []*matrix[T]
	entered            []T // what enter makes, [dirs][rows of the input][gates*hidden]
	grain              int
	body               func(lo, hi int)
	now                struct{ x, h0, c0, p, y, yh, yc []T }
}

// cell is the state of one sequence.
type cell[T float] struct {
	gate, h, c, next, tmp []T
	lane                  lane
	args                  spec.MapArgs
}

func prepareRecurrent[T float](c *op.Call) (op.Run, error) {
	l := newLayer[T](c)
	var err error
	for i, n := range [8]int{l.seq * l.batch * l.in, l.dirs * l.g * l.hidden * l.in, l.dirs * l.g * l.hidden * l.hidden, l.dirs * 2 * l.g * l.hidden, -1,
		l.dirs * l.batch * l.hidden, l.dirs * l.batch * l.hidden, l.dirs * 3 * l.hidden} {
		if i == 4 || i > 5 && c.Op != "LSTM" {
			l.src[i] = &source[T]{}
			continue
		}
		if l.src[i], err = newSource[T](c, i, n); err != nil {
			return nil, err
		}
	}
	return l.prepare()
}

func newLayer[T float](c *op.Call) *layer[T] {
	l := &layer[T]{
		c: c, g: gates[c.Op], dirs: directions(c), batchFirst: c.Attrs.Int("layout", 0) == 1, clip: T(c.Attrs.Float("clip", 0)),
		linear: c.Attrs.Bool("linear_before_reset", false), forget: c.Attrs.Bool("input_forget", false),
	}
	x := c.In[0].Shape
	l.seq, l.batch, l.in = x[0], x[1], x[2]
	if l.batchFirst {
		l.seq, l.batch = l.batch, l.seq
	}
	l.hidden = c.In[2].Shape[2]
	return l
}

// prepare does what does not depend on how the weights are stored; l.src is set.
func (l *layer[T]) prepare() (op.Run, error) {
	c := l.c
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
	var err error
	if l.lens, err = newIndices(c, 4, l.batch); err != nil {
		return nil, err
	}
	if err := l.activations(); err != nil {
		return nil, err
	}
	states := l.dirs * l.batch * l.hidden
	l.y, l.yh, l.yc = newTarget[T](c, 0, 0), newTarget[T](c, 1, states), newTarget[T](c, 2, states)
	l.cells = make([]cell[T], l.dirs*l.batch)
	for i := range l.cells {
		b := op.Make[T](c, (l.g+4)*l.hidden)
		cut := func(n int) []T {
			s := b[:n:n]
			b = b[n:]
			return s
		}
		l.cells[i] = cell[T]{gate: cut(l.g * l.hidden), h: cut(l.hidden), c: cut(l.hidden), next: cut(l.hidden), tmp: cut(l.hidden)}
	}
	l.bias, l.inner = make([]T, l.dirs*l.g*l.hidden), make([]T, l.dirs*l.hidden)
	if l.fixedBias = l.src[3].constant(); l.fixedBias {
		l.biases(l.src[3].get())
	}
	l.matrices()
	l.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			l.sequence(i/l.batch, i%l.batch)
		}
	}
	return l.run, nil
}

// matrices prepares the products.
func (l *layer[T]) matrices() {
	h, gh, rows := l.hidden, l.g*l.hidden, l.seq*l.batch
	for d := range l.dirs {
		l.enter = append(l.enter, newMatrix(l.c, l.src[1], d*gh*l.in, gh, l.in, rows))
		at, first := gh, d*gh*h
		if l.g == 3 {
			at = 2 * h
			l.late = append(l.late, newMatrix(l.c, l.src[2], first+at*h, h, h, 1))
		}
		l.again = append(l.again, newMatrix(l.c, l.src[2], first, at, h, 1))
	}
	l.entered = op.Make[T](l.c, l.dirs*rows*gh)
	l.grain = op.Grain(l.dirs*l.batch, l.dirs*rows*(gh*h/gemvRate+2*gh))
}

// biases reads the inputs' and the hidden state's.
func (l *layer[T]) biases(b []T) {
	gh := l.g * l.hidden
	for d := range l.dirs {
		w, r := b[2*d*gh:(2*d+1)*gh], b[(2*d+1)*gh:(2*d+2)*gh]
		for i := range gh {
			l.bias[d*gh+i] = w[i] + r[i]
		}
		if l.linear && l.g == 3 {
			copy(l.bias[d*gh+2*l.hidden:(d+1)*gh], w[2*l.hidden:])
			copy(l.inner[d*l.hidden:(d+1)*l.hidden], r[2*l.hidden:])
		}
	}
}

func (l *layer[T]) activations() error {
	c := l.c
	def := map[int][]string{1: {"Tanh"}, 3: {"Sigmoid", "Tanh"}, 4: {"Sigmoid", "Tanh", "Tanh"}}[l.g]
	per, names := len(def), c.Attrs.Strs("activations")
	if names == nil {
		for range l.dirs {
			names = append(names, def...)
		}
	}
	if len(names) != per*l.dirs {
		return c.Errorf("%d activations, want %d", len(names), per*l.dirs)
	}
	// The lists of parameters have entries only for the functions that take them, in order.
	takes := func(list []float32, of ...string) func(name string) *float32 {
		return func(name string) *float32 {
			for _, s := range of {
				if strings.EqualFold(s, name) && len(list) > 0 {
					v := list[0]
					list = list[1:]
					return &v
				}
			}
			return nil
		}
	}
	alpha := takes(c.Attrs.Floats("activation_alpha"), "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
	beta := takes(c.Attrs.Floats("activation_beta"), "Affine", "ScaledTanh", "HardSigmoid")
	for d := range l.dirs {
		var list []function[T]
		for _, name := range names[d*per : (d+1)*per] {
			f, err := activation[T](c, name, alpha(name), beta(name))
			if err != nil {
				return err
			}
			list = append(list, f)
		}
		l.acts = append(l.acts, list)
	}
	return nil
}

func (l *layer[T]) run() error {
	n := &l.now
	n.x, n.h0, n.c0, n.p = l.src[0].get(), l.src[5].get(), l.src[6].get(), l.src[7].get()
	n.y, n.yh, n.yc = l.y.get(), l.yh.get(), l.yc.get()
	if b := l.src[3].get(); b != nil && !l.fixedBias {
		l.biases(b)
	}
	if l.lens.present() {
		for b := range l.batch {
			if k := l.lens.at(b); k < 0 || k > l.seq {
				return l.c.Errorf("sequence length %d of batch %d is out of range for %d steps", k, b, l.seq)
			}
		}
	}
	rows, gh := l.seq*l.batch, l.g*l.hidden
	for d, m := range l.enter {
		m.ready()
		l.again[d].ready()
		if l.late != nil {
			l.late[d].ready()
		}
		m.mulAll(l.entered[d*rows*gh:], l.bias[d*gh:(d+1)*gh], n.x, rows)
	}
	l.c.Par.For(l.dirs*l.batch, l.grain, l.body)
	l.y.put()
	l.yh.put()
	l.yc.put()
	return nil
}

// sequence runs one direction of one batch; outputs behind the end of the sequence are zeros.
func (l *layer[T]) sequence(d, b int) {
	n, s := &l.now, &l.cells[d*l.batch+b]
	steps := l.seq
	if l.lens.present() {
		steps = l.lens.at(b)
	}
	state := (d*l.batch + b) * l.hidden
	if l.batchFirst {
		state = (b*l.dirs + d) * l.hidden
	}
	clear(s.h)
	clear(s.c)
	if n.h0 != nil {
		copy(s.h, n.h0[state:])
	}
	if n.c0 != nil {
		copy(s.c, n.c0[state:])
	}
	for k := range l.seq {
		t := k
		if l.reverse[d] && k < steps {
			t = steps - 1 - k
		}
		if k < steps {
			row, gh := t*l.batch+b, l.g*l.hidden
			if l.batchFirst {
				row = b*l.seq + t
			}
			l.step(s, d, l.entered[(d*l.seq*l.batch+row)*gh:][:gh])
		}
		if l.y.t != nil {
			at := ((t*l.dirs+d)*l.batch + b) * l.hidden
			if l.batchFirst {
				at = ((b*l.seq+t)*l.dirs + d) * l.hidden
			}
			if k < steps {
				copy(n.y[at:at+l.hidden], s.h)
			} else {
				clear(n.y[at : at+l.hidden])
			}
		}
	}
	copy(n.yh[state:state+l.hidden], s.h)
	copy(n.yc[state:state+l.hidden], s.c)
}

// limit clips what goes into an activation.
func (l *layer[T]) limit(v []T) {
	if l.clip > 0 {
		for i, x := range v {
			v[i] = min(max(x, -l.clip), l.clip)
		}
	}
}

// multiply continues chains with a product of the state, on all threads where there is but one sequence.
func (l *layer[T]) multiply(m *matrix[T], s *cell[T], out, init, x []T) {
	if len(l.cells) == 1 {
		m.mulAll(out, init, x, 1)
	} else {
		m.mul(&s.lane, out, init, x, 1)
	}
}

// step advances the state by one input, whose products and the bias are in x.
func (l *layer[T]) step(s *cell[T], d int, x []T) {
	h := l.hidden
	act := l.acts[d]
	next, state, tmp := s.next[:h], s.h[:h], s.tmp[:h]
	switch l.g {
	case 1:
		l.multiply(l.again[d], s, next, x, state)
		l.limit(next)
		act[0].apply(&s.args, next)
	case 3: // gates in the order update, reset, hidden
		z, reset, fresh := s.gate[:h], s.gate[h:2*h], s.gate[2*h:][:h]
		l.multiply(l.again[d], s, s.gate[:2*h], x, state)
		l.limit(s.gate[:2*h])
		act[0].apply(&s.args, s.gate[:2*h])
		if l.linear {
			l.multiply(l.late[d], s, tmp, l.inner[d*h:(d+1)*h], state)
			for i, v := range x[2*h:] {
				fresh[i] = v + T(reset[i]*tmp[i])
			}
		} else {
			for i, v := range state {
				tmp[i] = reset[i] * v
			}
			l.multiply(l.late[d], s, fresh, x[2*h:], tmp)
		}
		l.limit(fresh)
		act[1].apply(&s.args, fresh)
		for i, v := range fresh {
			next[i] = T((1-z[i])*v) + T(z[i]*state[i])
		}
	default: // LSTM; gates in the order input, output, forget, cell
		l.multiply(l.again[d], s, s.gate, x, state)
		in, out, forget, fresh := s.gate[:h], s.gate[h:2*h], s.gate[2*h:3*h], s.gate[3*h:][:h]
		cell := s.c[:h]
		if p := l.now.p; p == nil {
			l.limit(s.gate[:3*h])
			act[0].apply(&s.args, s.gate[:3*h])
		} else {
			for i, c := range cell {
				in[i] += T(p[3*d*h+i] * c)
				forget[i] += T(p[(3*d+2)*h+i] * c)
			}
			for _, g := range [2][]T{in, forget} {
				l.limit(g)
				act[0].apply(&s.args, g)
			}
		}
		if l.forget {
			for i, v := range in {
				forget[i] = 1 - v
			}
		}
		l.limit(fresh)
		act[1].apply(&s.args, fresh)
		for i, c := range cell {
			c = T(forget[i]*c) + T(in[i]*fresh[i])
			cell[i], next[i] = c, c
		}
		if p := l.now.p; p != nil {
			for i, c := range cell {
				out[i] += T(p[(3*d+1)*h+i] * c)
			}
			l.limit(out)
			act[0].apply(&s.args, out)
		}
		act[2].apply(&s.args, next)
		for i, o := range out {
			next[i] = o * next[i]
		}
	}
	s.h, s.next = s.next, s.h
}
