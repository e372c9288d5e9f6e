package nnx

import (
	"math"
	"strings"

	"github.com/edgerun/edgerun/internal/tensor"
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
func activation[T float](c *op.Call, name string, alpha, beta *float32) (func(T) T, error) {
	ar := arithOf[T]()
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
		return ar.tanh, nil
	case "sigmoid":
		return ar.sigmoid, nil
	case "relu":
		return func(x T) T { return max(x, 0) }, nil
	case "affine":
		a, b := def(1, 0)
		return func(x T) T { return T(a*x) + b }, nil
	case "leakyrelu":
		a, _ := def(.01, 0)
		return func(x T) T {
			if x < 0 {
				return a * x
			}
			return x
		}, nil
	case "thresholdedrelu":
		a, _ := def(1, 0)
		return func(x T) T {
			if x >= a {
				return x
			}
			return 0
		}, nil
	case "scaledtanh":
		a, b := def(1, 1)
		return func(x T) T { return a * ar.tanh(T(b*x)) }, nil
	case "hardsigmoid":
		a, b := def(.2, .5)
		return func(x T) T { return min(max(T(a*x)+b, 0), 1) }, nil
	case "elu":
		a, _ := def(1, 0)
		return func(x T) T {
			if x < 0 {
				return a * (ar.exp(x) - 1)
			}
			return x
		}, nil
	case "softsign":
		return func(x T) T { return x / (1 + T(math.Abs(float64(x)))) }, nil
	case "softplus":
		return func(x T) T { return max(x, 0) + ar.log1p(ar.exp(-T(math.Abs(float64(x))))) }, nil
	}
	return nil, c.Errorf("activation %q unknown", name)
}

func anyRecurrent(c *op.Call) (op.Run, error) {
	return byType(c, c.In[0].DType, prepareRecurrent[float32], prepareRecurrent[float64])
}

// layer is one recurrent layer of known shapes.
type layer[T float] struct {
	arith[T]
	c                      *op.Call
	seq, batch, hidden, in int
	dirs, g                int
	batchFirst             bool
	clip                   T
	linear, forget         bool
	reverse                []bool
	acts                   [][]func(T) T
	lens                   indices
	src                    [8]*source[T]
	y, yh, yc              *target[T]
	cells                  []cell[T] // one per direction and batch
	bias, inner            []T       // per direction: sums of both biases; GRU's of the hidden state alone
	body                   func(lo, hi int)
	now                    struct{ x, w, r, h0, c0, p, y, yh, yc []T }
}

// cell is the state of one sequence.
type cell[T float] struct{ gate, h, c, next, tmp []T }

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
		arith: arithOf[T](), c: c, g: gates[c.Op], dirs: directions(c), batchFirst: c.Attrs.Int("layout", 0) == 1, clip: T(c.Attrs.Float("clip", 0)),
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
		b := make([]T, (l.g+4)*l.hidden)
		cut := func(n int) []T {
			s := b[:n:n]
			b = b[n:]
			return s
		}
		l.cells[i] = cell[T]{cut(l.g * l.hidden), cut(l.hidden), cut(l.hidden), cut(l.hidden), cut(l.hidden)}
	}
	l.bias, l.inner = make([]T, l.dirs*l.g*l.hidden), make([]T, l.dirs*l.hidden)
	l.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			l.sequence(i/l.batch, i%l.batch)
		}
	}
	return l.run, nil
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
		var list []func(T) T
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
	n.x, n.w, n.r, n.h0, n.c0, n.p = l.src[0].get(), l.src[1].get(), l.src[2].get(), l.src[5].get(), l.src[6].get(), l.src[7].get()
	n.y, n.yh, n.yc = l.y.get(), l.yh.get(), l.yc.get()
	if b := l.src[3].get(); b != nil {
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
	if l.lens.present() {
		for b := range l.batch {
			if k := l.lens.at(b); k < 0 || k > l.seq {
				return l.c.Errorf("sequence length %d of batch %d is out of range for %d steps", k, b, l.seq)
			}
		}
	}
	l.c.Par.For(l.dirs*l.batch, 1, l.body)
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
			from := (t*l.batch + b) * l.in
			if l.batchFirst {
				from = (b*l.seq + t) * l.in
			}
			l.step(s, d, n.x[from:from+l.in])
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

func (l *layer[T]) limit(v T) T {
	if l.clip > 0 {
		return min(max(v, -l.clip), l.clip)
	}
	return v
}

// step advances the state by one input.
func (l *layer[T]) step(s *cell[T], d int, x []T) {
	h, gh := l.hidden, l.g*l.hidden
	w, r := l.now.w[d*gh*l.in:(d+1)*gh*l.in], l.now.r[d*gh*h:(d+1)*gh*h]
	act := l.acts[d]
	l.products(s.gate, l.bias[d*gh:(d+1)*gh], x, w, l.in)
	switch l.g {
	case 1:
		l.products(s.gate, s.gate, s.h, r, h)
		for i, v := range s.gate {
			s.next[i] = act[0](l.limit(v))
		}
	case 3: // gates in the order update, reset, hidden
		l.products(s.gate[:2*h], s.gate[:2*h], s.h, r, h)
		for i, v := range s.gate[:2*h] {
			s.gate[i] = act[0](l.limit(v))
		}
		z, reset, fresh := s.gate[:h], s.gate[h:2*h], s.gate[2*h:]
		if l.linear {
			l.products(s.tmp, l.inner[d*h:(d+1)*h], s.h, r[2*h*h:], h)
			for i, v := range s.tmp {
				fresh[i] += T(reset[i] * v)
			}
		} else {
			for i, v := range s.h {
				s.tmp[i] = reset[i] * v
			}
			l.products(fresh, fresh, s.tmp, r[2*h*h:], h)
		}
		for i, v := range fresh {
			s.next[i] = T((1-z[i])*act[1](l.limit(v))) + T(z[i]*s.h[i])
		}
	default: // LSTM; gates in the order input, output, forget, cell
		l.products(s.gate, s.gate, s.h, r, h)
		var peep []T
		if l.now.p != nil {
			peep = l.now.p[d*3*h : (d+1)*3*h]
		}
		look := func(v T, k, i int, c T) T {
			if peep == nil {
				return v
			}
			return v + T(peep[k*h+i]*c)
		}
		for i, c := range s.c {
			in := act[0](l.limit(look(s.gate[i], 0, i, c)))
			forget := 1 - in
			if !l.forget {
				forget = act[0](l.limit(look(s.gate[2*h+i], 2, i, c)))
			}
			c = T(forget*c) + T(in*act[1](l.limit(s.gate[3*h+i])))
			out := act[0](l.limit(look(s.gate[h+i], 1, i, c)))
			s.c[i] = c
			s.next[i] = out * act[2](c)
		}
	}
	s.h, s.next = s.next, s.h
}
