package signal

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

var floats = []tensor.DType{tensor.F32, tensor.F64, tensor.F16, tensor.BF16}

// parts checks the last extent of a signal: 1 of real, 2 of complex ones, -1 where unknown.
func parts(c *op.Call, s tensor.Shape) (int, error) {
	n := s[len(s)-1]
	if n == 0 || n > 2 {
		return 0, c.Errorf("signal %v holds neither real nor complex numbers", s)
	}
	return n, nil
}

// direction reads what both transforms have in common.
func direction(c *op.Call) (inverse, onesided bool) {
	return c.Attrs.Bool("inverse", false), c.Attrs.Bool("onesided", c.Op == "STFT")
}

// dftAxis is the axis of a DFT; ok is false where it is not known yet.
func dftAxis(c *op.Call, rank int) (axis int, ok bool, err error) {
	axis = -2
	if t := c.Input(2); t != nil {
		if !t.HasData() {
			return 0, false, nil
		}
		if axis, ok = number.Int(t); !ok {
			return 0, false, c.Errorf("axis is %v, want one integer", t)
		}
	}
	if axis, err = c.Axis(axis, rank); err != nil {
		return 0, false, err
	}
	if axis == rank-1 {
		return 0, false, c.Errorf("axis %d holds the parts of complex numbers", axis)
	}
	return axis, true, nil
}

// dftLength is the length of a DFT over an extent; -1 where unknown.
func dftLength(c *op.Call, extent int) (int, error) {
	if c.Input(1) != nil {
		n, ok, err := scalarInt(c, 1, "dft_length", 1)
		if !ok {
			n = -1
		}
		return n, err
	}
	if inverse, onesided := direction(c); inverse && onesided && extent >= 0 {
		extent = 2 * (extent - 1)
	}
	if extent == 0 || extent < -1 || extent > maxLength {
		return 0, c.Errorf("transform of length %d", extent)
	}
	return extent, nil
}

func inferDFT(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := c.Want(0, floats...); err != nil {
		return err
	}
	x := c.In[0]
	if x.Shape == nil {
		c.Set(0, x.DType, nil)
		return nil
	}
	rank := len(x.Shape)
	if rank < 2 {
		return c.Errorf("signal has rank %d, want 2 or more", rank)
	}
	n, err := parts(c, x.Shape)
	if err != nil {
		return err
	}
	inverse, onesided := direction(c)
	if onesided && (inverse && n == 1 || !inverse && n == 2) {
		return c.Errorf("onesided transform of signal %v", x.Shape)
	}
	s := unknown(rank)
	s[rank-1] = 2
	if inverse && onesided {
		s[rank-1] = 1
	}
	axis, ok, err := dftAxis(c, rank)
	if err != nil {
		return err
	}
	if ok {
		copy(s[:rank-1], x.Shape)
		length, err := dftLength(c, x.Shape[axis])
		if err != nil {
			return err
		}
		if s[axis] = length; length >= 0 && onesided && !inverse {
			s[axis] = length/2 + 1
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func unknown(rank int) tensor.Shape {
	s := make(tensor.Shape, rank)
	for i := range s {
		s[i] = -1
	}
	return s
}

// transforms runs many transforms of one length on the session's threads.
type transforms struct {
	c        *op.Call
	fft      *fft
	in, out  []float64
	inverse  bool
	inParts  int // 1 real, 2 complex
	outParts int
	from, to int       // elements that are read of each signal, and written
	step     int       // between elements of a signal, in elements
	window   []float64 // nil: none
	// places says where signal k begins in in and out, in elements.
	places func(k int) (from, to int)
	memory chan pair
}

// prepare returns the work on n signals.
func (t *transforms) prepare(n int) op.Run {
	c := t.c
	t.in, t.out = op.Make[float64](c, c.In[0].Len()), op.Make[float64](c, c.Out[0].Len())
	t.memory = make(chan pair, c.Par.Threads())
	for range cap(t.memory) {
		t.memory <- t.fft.work()
	}
	grain := 1 + (1<<12)/t.fft.m
	body := t.body
	return func() error {
		number.Read(t.in, c.In[0])
		c.Par.For(n, grain, body)
		number.Write(c.Out[0], t.out)
		return nil
	}
}

func (t *transforms) body(lo, hi int) {
	x := <-t.memory
	n := t.fft.n
	for k := lo; k < hi; k++ {
		from, to := t.places(k)
		clear(x.re[:n])
		clear(x.im[:n])
		for j := range t.from {
			at := (from + j*t.step) * t.inParts
			x.re[j] = t.in[at]
			if t.inParts == 2 {
				x.im[j] = t.in[at+1]
			}
			if t.window != nil {
				x.re[j] *= t.window[j]
				x.im[j] *= t.window[j]
			}
		}
		if t.inverse && t.outParts == 1 { // the other half is the conjugate; 0 and n/2 are real
			x.im[0] = 0
			for j := 1; j <= n/2; j++ {
				if j == n-j {
					x.im[j] = 0
				} else {
					x.re[n-j], x.im[n-j] = x.re[j], -x.im[j]
				}
			}
		}
		t.fft.run(x, t.inverse)
		for j := range t.to {
			re, im := x.re[j], x.im[j]
			if t.inverse {
				re, im = re/float64(n), im/float64(n)
			}
			at := (to + j*t.step) * t.outParts
			t.out[at] = re
			if t.outParts == 2 {
				t.out[at+1] = im
			}
		}
	}
	t.memory <- x
}

func prepareDFT(c *op.Call) (op.Run, error) {
	x, y := c.In[0].Shape, c.Out[0].Shape
	rank := len(x)
	axis, ok, err := dftAxis(c, rank)
	if err != nil {
		return nil, err
	}
	length, err := dftLength(c, x[axis])
	if err != nil {
		return nil, err
	}
	if !ok || length < 0 {
		return nil, c.Errorf("BUG: axis or dft_length is unknown")
	}
	inverse, onesided := direction(c)
	c.Take(fftBytes(length, c.Par.Threads()))
	t := &transforms{c: c, fft: newFFT(length), inverse: inverse, inParts: x[rank-1], outParts: y[rank-1], from: min(length, x[axis]), to: y[axis]}
	if inverse && onesided {
		t.from = min(length/2+1, x[axis])
	}
	inner := x[axis+1 : rank-1].Len()
	t.step = inner
	t.places = func(k int) (int, int) {
		o, i := k/inner, k%inner
		return o*x[axis]*inner + i, o*y[axis]*inner + i
	}
	return t.prepare(x[:axis].Len() * inner), nil
}

// frames are the lengths of an STFT; -1 where not known yet.
func frames(c *op.Call) (length, step int, err error) {
	step, ok, err := scalarInt(c, 1, "frame_step", 1)
	if err != nil {
		return 0, 0, err
	}
	if !ok {
		step = -1
	}
	length = -1
	if c.Input(3) != nil {
		n, ok, err := scalarInt(c, 3, "frame_length", 1)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			length = n
		}
	}
	w := c.Input(2)
	switch s := c.In[0].Shape; {
	case w != nil && w.Shape != nil:
		if len(w.Shape) != 1 || w.Shape[0] >= 0 && length >= 0 && w.Shape[0] != length {
			return 0, 0, c.Errorf("window %v for frames of %d", w.Shape, length)
		}
		length = max(length, w.Shape[0])
	case w == nil && c.Input(3) == nil && s != nil:
		length = s[1]
	}
	if length == 0 || length > maxLength {
		return 0, 0, c.Errorf("frames of length %d", length)
	}
	return length, step, nil
}

func inferSTFT(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := c.Want(0, floats...); err != nil {
		return err
	}
	if w := c.Input(2); w != nil && w.DType != c.In[0].DType {
		return c.Errorf("window of type %v for a signal of type %v", w.DType, c.In[0].DType)
	}
	x := c.In[0]
	s := tensor.Shape{-1, -1, -1, 2}
	_, onesided := direction(c)
	if x.Shape != nil {
		n := 1 // [batch,length] is real
		switch len(x.Shape) {
		case 2:
		case 3:
			var err error
			if n, err = parts(c, x.Shape); err != nil {
				return err
			}
		default:
			return c.Errorf("signal has rank %d, want 2 or 3", len(x.Shape))
		}
		if onesided && n == 2 {
			return c.Errorf("onesided transform of signal %v", x.Shape)
		}
		s[0] = x.Shape[0]
	}
	length, step, err := frames(c)
	if err != nil {
		return err
	}
	if length >= 0 {
		if s[2] = length; onesided {
			s[2] = length/2 + 1
		}
		if step > 0 && x.Shape != nil && x.Shape[1] >= 0 {
			if length > x.Shape[1] {
				return c.Errorf("frames of %d in a signal of %d", length, x.Shape[1])
			}
			s[1] = (x.Shape[1]-length)/step + 1
		}
	}
	c.Set(0, x.DType, s)
	return nil
}

func prepareSTFT(c *op.Call) (op.Run, error) {
	length, step, err := frames(c)
	if err != nil {
		return nil, err
	}
	if length < 0 || step < 0 {
		return nil, c.Errorf("BUG: frames are unknown")
	}
	x, y := c.In[0].Shape, c.Out[0].Shape
	c.Take(fftBytes(length, c.Par.Threads()))
	t := &transforms{c: c, fft: newFFT(length), inParts: x[2:].Len(), outParts: 2, from: length, to: y[2], step: 1}
	t.places = func(k int) (int, int) {
		return k/y[1]*x[1] + k%y[1]*step, k * y[2]
	}
	run := t.prepare(y[0] * y[1])
	w := c.Input(2)
	if w == nil {
		return run, nil
	}
	t.window = make([]float64, length)
	return func() error {
		number.Read(t.window, w)
		return run()
	}, nil
}
