package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var normOps = map[string]op.Op{
	"BatchNormalization":                             {Infer: inferBatchNorm, Prepare: prepareBatchNorm},
	"InstanceNormalization":                          {Infer: same, Prepare: prepareInstanceNorm},
	"GroupNormalization":                             {Infer: same, Prepare: prepareGroupNorm},
	"LayerNormalization":                             {Infer: inferLayerNorm, Prepare: prepareLayerNorm},
	"RMSNormalization":                               {Infer: same, Prepare: prepareRMSNorm},
	"LRN":                                            {Infer: same, Prepare: prepareLRN},
	"LpNormalization":                                {Infer: same, Prepare: prepareLpNorm},
	"MeanVarianceNormalization":                      {Infer: same, Prepare: prepareMVN},
	"L2Normalization":                                {Infer: same, Prepare: prepareL2Norm},
	"SimplifiedLayerNormalization":                   {Infer: same, Prepare: prepareRMSNorm},
	"com.microsoft.LayerNormalization":               {Infer: inferLayerNorm, Prepare: prepareLayerNorm},
	"com.microsoft.SkipLayerNormalization":           {Infer: inferSkipNorm, Prepare: prepareSkipNorm},
	"com.microsoft.SkipSimplifiedLayerNormalization": {Infer: inferSkipNorm, Prepare: prepareSkipNorm},
	"com.microsoft.BiasGelu":                         {Infer: same, Prepare: prepareBiasGelu},
	"com.microsoft.FastGelu":                         {Infer: same, Prepare: prepareBiasGelu},
}

func inferBatchNorm(c *op.Call) error {
	if err := c.Need(5); err != nil {
		return err
	}
	if err := same(c); err != nil {
		return err
	}
	for i := 1; i < 5; i++ {
		c.Set(i, c.In[min(i+2, 4)].DType, c.In[3].Shape)
	}
	return nil
}

// floats reads any float input as float32.
func floats(c *op.Call, i int) (*view[float32], error) {
	t := c.Input(i)
	if t != nil && t.DType != tensor.F32 && t.DType != tensor.F16 && t.DType != tensor.BF16 {
		return nil, c.Errorf("input %d of type %v", i, t.DType)
	}
	return newView[float32](t), nil
}

// prepareBatchNorm is (x-mean)*scale/sqrt(var+eps)+bias per channel, as x*a+b.
func prepareBatchNorm(c *op.Call) (op.Run, error) {
	if c.In[0].DType == tensor.F64 {
		return batchNorm64(c)
	}
	var p [5]*view[float32]
	for i := range p {
		v, err := floats(c, i)
		if err != nil {
			return nil, err
		}
		p[i] = v
	}
	y := newView[float32](c.Out[0])
	s := c.In[0].Shape
	if len(s) < 1 {
		return nil, c.Errorf("input has no channels")
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 1), max(2, len(s)))
	if err != nil {
		return nil, err
	}
	channels, inner := 1, 1
	if axis < len(s) {
		channels, inner = s[axis], s[axis+1:].Len()
	}
	if c.In[1].Len() != channels {
		return nil, c.Errorf("%d scales for %d channels", c.In[1].Len(), channels)
	}
	eps := c.Attrs.Float("epsilon", 1e-5)
	training := c.Attrs.Bool("training_mode", false)
	momentum := c.Attrs.Float("momentum", .9)
	a, b := make([]float32, channels), make([]float32, channels)
	mean, variance := make([]float32, channels), make([]float32, channels)
	var in, out []float32
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			ch := i / inner % channels
			out[i] = float32(in[i]*a[ch]) + b[ch]
		}
	}
	n := s.Len()
	var extra [3]*view[float32]
	for i := range extra {
		extra[i] = newView[float32](c.Output(i + 1))
	}
	return func() error {
		in, out = p[0].get(), y.room()
		scale, bias := p[1].get(), p[2].get()
		copy(mean, p[3].get())
		copy(variance, p[4].get())
		if training {
			batchStatistics(in, channels, inner, mean, variance)
			oldM, oldV := p[3].get(), p[4].get()
			for ch := range channels {
				for k, v := range [2]float32{float32(oldM[ch]*momentum) + float32(mean[ch]*(1-momentum)), float32(oldV[ch]*momentum) + float32(variance[ch]*(1-momentum))} {
					if r := extra[k].room(); r != nil {
						r[ch] = v
					}
				}
			}
			extra[0].put()
			extra[1].put()
		}
		for ch := range channels {
			f := float64(scale[ch]) / math.Sqrt(float64(variance[ch])+float64(eps))
			a[ch] = float32(f)
			b[ch] = float32(float64(bias[ch]) - float64(mean[ch])*f)
		}
		c.Par.For(n, grain, body)
		y.put()
		return nil
	}, nil
}

func batchStatistics(x []float32, channels, inner int, mean, variance []float32) {
	n := float64(len(x) / channels)
	for ch := range channels {
		sum, sq := 0.0, 0.0
		each := func(f func(v float64)) {
			for i := ch * inner; i < len(x); i += channels * inner {
				for _, v := range x[i : i+inner] {
					f(float64(v))
				}
			}
		}
		each(func(v float64) { sum += v })
		m := sum / n
		each(func(v float64) { sq += float64((v - m) * (v - m)) })
		mean[ch], variance[ch] = float32(m), float32(sq/n)
	}
}

func batchNorm64(c *op.Call) (op.Run, error) {
	if c.Attrs.Bool("training_mode", false) {
		return nil, c.Errorf("training mode in float64 unsupported")
	}
	for i := range 5 {
		if err := c.Want(i, tensor.F64); err != nil {
			return nil, err
		}
	}
	s := c.In[0].Shape
	inner := s[2:].Len()
	eps := float64(c.Attrs.Float("epsilon", 1e-5))
	return func() error {
		y := tensor.Of[float64](c.Out[0])
		for i, v := range tensor.Of[float64](c.In[0]) {
			ch := i / inner % s[1]
			at := func(k int) float64 { return tensor.Of[float64](c.In[k])[ch] }
			y[i] = (v-at(3))/math.Sqrt(at(4)+eps)*at(1) + at(2)
		}
		return nil
	}, nil
}

// moments are the mean and variance of a run, summed in 16 lanes.
func moments(x []float32) (mean, variance float32) {
	var l [16]float32
	for i, v := range x {
		l[i&15] += v
	}
	mean = pairwise(&l) / float32(len(x))
	l = [16]float32{}
	for i, v := range x {
		d := v - mean
		l[i&15] += float32(d * d)
	}
	return mean, pairwise(&l) / float32(len(x))
}

// normRuns normalises runs of size elements to mean 0 and variance 1; scale and bias are read per element by at.
func normRuns(c *op.Call, size int, eps float32, after func(i int, v float32) float32, note func(run int, mean, inv float32)) (op.Run, error) {
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	y := newView[float32](c.Out[0])
	var in, out []float32
	n := c.In[0].Len() / max(1, size)
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			xs, ys := in[r*size:(r+1)*size], out[r*size:(r+1)*size]
			m, v := moments(xs)
			inv := 1 / float32(math.Sqrt(float64(v+eps)))
			for i, e := range xs {
				ys[i] = after(r*size+i, float32(float32(e-m)*inv))
			}
			if note != nil {
				note(r, m, inv)
			}
		}
	}
	return func() error {
		in, out = x.get(), y.room()
		c.Par.For(n, 1+grain/max(1, size), body)
		y.put()
		return nil
	}, nil
}

func prepareInstanceNorm(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	if len(s) < 2 || len(c.In) < 3 || c.In[1].Len() != s[1] || c.In[2].Len() != s[1] {
		return nil, c.Errorf("input %v, scale %v and bias %v do not fit", c.In[0], c.Input(1), c.Input(2))
	}
	scale, err := floats(c, 1)
	if err != nil {
		return nil, err
	}
	bias, err := floats(c, 2)
	if err != nil {
		return nil, err
	}
	inner := s[2:].Len()
	var a, b []float32
	run, err := normRuns(c, inner, c.Attrs.Float("epsilon", 1e-5), func(i int, v float32) float32 {
		ch := i / inner % s[1]
		return float32(v*a[ch]) + b[ch]
	}, nil)
	if err != nil {
		return nil, err
	}
	return func() error {
		a, b = scale.get(), bias.get()
		return run()
	}, nil
}

// prepareGroupNorm normalises groups of channels; scale and bias are per channel, or per group as opset 18 had it.
func prepareGroupNorm(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	groups := c.Attrs.Int("num_groups", 0)
	if len(s) < 2 || groups < 1 || s[1]%groups != 0 || len(c.In) < 3 || c.In[1].Len() != s[1] && c.In[1].Len() != groups {
		return nil, c.Errorf("input %v, scale %v and %d groups do not fit", c.In[0], c.Input(1), groups)
	}
	scale, err := floats(c, 1)
	if err != nil {
		return nil, err
	}
	bias, err := floats(c, 2)
	if err != nil {
		return nil, err
	}
	inner := s[2:].Len()
	if c.In[1].Len() != s[1] {
		inner *= s[1] / groups
	}
	per := c.In[1].Len()
	var a, b []float32
	run, err := normRuns(c, s[1:].Len()/groups, c.Attrs.Float("epsilon", 1e-5), func(i int, v float32) float32 {
		ch := i / inner % per
		return float32(v*a[ch]) + b[ch]
	}, nil)
	if err != nil {
		return nil, err
	}
	return func() error {
		a, b = scale.get(), bias.get()
		return run()
	}, nil
}

func inferLayerNorm(c *op.Call) error {
	if err := same(c); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(1, tensor.F32, nil)
		c.Set(2, tensor.F32, nil)
		return nil
	}
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return err
	}
	r := s.Clone()
	for i := axis; i < len(r); i++ {
		r[i] = 1
	}
	c.Set(1, tensor.F32, r)
	c.Set(2, tensor.F32, r)
	return nil
}

// perElement returns a function that reads input i, broadcast to the shape of input 0, by flat index.
func perElement(c *op.Call, i int) (begin func(), at func(k int) float32, err error) {
	t := c.Input(i)
	if t == nil {
		return func() {}, nil, nil
	}
	v, err := floats(c, i)
	if err != nil {
		return nil, nil, err
	}
	w := newStrided(c.In[0].Shape, t.Shape)
	var data []float32
	begin = func() { data = v.get() }
	if len(w.dims) == 0 {
		return begin, func(k int) float32 { return data[k*w.step[0]] }, nil
	}
	return begin, func(k int) float32 { return data[w.start(k/w.row, 0)+k%w.row*w.step[0]] }, nil
}

func prepareLayerNorm(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	beginA, a, err := perElement(c, 1)
	if err != nil {
		return nil, err
	}
	beginB, b, err := perElement(c, 2)
	if err != nil {
		return nil, err
	}
	mean, inv := newView[float32](c.Output(1)), newView[float32](c.Output(2))
	run, err := normRuns(c, s[axis:].Len(), c.Attrs.Float("epsilon", 1e-5), func(i int, v float32) float32 {
		if a != nil {
			v = float32(v * a(i))
		}
		if b != nil {
			v += b(i)
		}
		return v
	}, func(r int, m, d float32) {
		if o := mean.room(); o != nil {
			o[r] = m
		}
		if o := inv.room(); o != nil {
			o[r] = d
		}
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		beginA()
		beginB()
		return run()
	}, nil
}

// prepareRMSNorm is x / sqrt(mean(x²)+eps) * scale.
func prepareRMSNorm(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	begin, a, err := perElement(c, 1)
	if err != nil {
		return nil, err
	}
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	y := newView[float32](c.Out[0])
	eps := c.Attrs.Float("epsilon", 1e-5)
	size := s[axis:].Len()
	var in, out []float32
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			var l [16]float32
			for i, v := range in[r*size : (r+1)*size] {
				l[i&15] += float32(v * v)
			}
			inv := 1 / float32(math.Sqrt(float64(pairwise(&l)/float32(size)+eps)))
			for i := r * size; i < (r+1)*size; i++ {
				v := float32(in[i] * inv)
				if a != nil {
					v *= a(i)
				}
				out[i] = v
			}
		}
	}
	return func() error {
		begin()
		in, out = x.get(), y.room()
		c.Par.For(len(in)/max(1, size), 1+grain/max(1, size), body)
		y.put()
		return nil
	}, nil
}

// prepareLRN is x / (bias + alpha/size * Σ x² over neighbouring channels)**beta.
func prepareLRN(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", 1), len(s))
	if err != nil {
		return nil, err
	}
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	y := newView[float32](c.Out[0])
	size := c.Attrs.Int("size", 0)
	if size < 1 {
		return nil, c.Errorf("size %d must be positive", size)
	}
	alpha, beta, bias := float64(c.Attrs.Float("alpha", 1e-4)), float64(c.Attrs.Float("beta", .75)), float64(c.Attrs.Float("bias", 1))
	l := linesOf(s, axis, false)
	before, after := (size-1)/2, size/2
	return func() error {
		in, out := x.get(), y.room()
		for k := range l.outer * l.inner {
			at := k/l.inner*l.n*l.inner + k%l.inner
			for i := range l.n {
				sum := 0.0
				for j := max(0, i-before); j <= min(l.n-1, i+after); j++ {
					v := float64(in[at+j*l.inner])
					sum += float64(v * v)
				}
				o := at + i*l.inner
				out[o] = float32(float64(in[o]) / math.Pow(bias+alpha/float64(size)*sum, beta))
			}
		}
		y.put()
		return nil
	}, nil
}

func prepareLpNorm(c *op.Call) (op.Run, error) {
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(c.In[0].Shape))
	if err != nil {
		return nil, err
	}
	p := c.Attrs.Int("p", 2)
	if p != 1 && p != 2 {
		return nil, c.Errorf("p %d, want 1 or 2", p)
	}
	return lpLines(c, linesOf(c.In[0].Shape, axis, false), p, 0)
}

// prepareL2Norm is TFLite's: along the last axis, the sum of squares at least eps.
func prepareL2Norm(c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	if len(s) == 0 {
		return nil, c.Errorf("input is a scalar")
	}
	return lpLines(c, linesOf(s, len(s)-1, false), 2, float64(c.Attrs.Float("epsilon", 1e-6)))
}

func lpLines(c *op.Call, l lines, p int, least float64) (op.Run, error) {
	if c.In[0].DType == tensor.F64 {
		return lineRun(c, l, func(y, x []float64, step int) { lpLine(y, x, step, p, least) }), nil
	}
	if _, err := floats(c, 0); err != nil {
		return nil, err
	}
	return lineRun(c, l, func(y, x []float32, step int) { lpLine(y, x, step, p, least) }), nil
}

func lpLine[T float](y, x []T, step, p int, least float64) {
	sum := 0.0
	for i := 0; i < len(x); i += step {
		v := float64(x[i])
		if p == 1 {
			sum += math.Abs(v)
		} else {
			sum += float64(v * v)
		}
	}
	sum = max(sum, least)
	if p == 2 {
		sum = math.Sqrt(sum)
	}
	for i := 0; i < len(x); i += step {
		if sum == 0 {
			y[i] = 0
		} else {
			y[i] = T(float64(x[i]) / sum)
		}
	}
}

func prepareMVN(c *op.Call) (op.Run, error) {
	axes := c.Attrs.Ints("axes")
	if axes == nil {
		axes = []int{0, 2, 3}
	}
	rank := len(c.In[0].Shape)
	var list []int
	for _, a := range axes {
		i, err := c.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	y := newView[float32](c.Out[0])
	w := newGroupWalk(c.In[0].Shape, list)
	return func() error {
		in, out := x.get(), y.room()
		for o := range w.n {
			at := w.start(o)
			sum, sq := 0.0, 0.0
			for _, i := range w.inner {
				sum += float64(in[at+i])
			}
			mean := sum / float64(len(w.inner))
			for _, i := range w.inner {
				d := float64(in[at+i]) - mean
				sq += float64(d * d)
			}
			inv := 1 / (math.Sqrt(sq/float64(len(w.inner))) + 1e-9)
			for _, i := range w.inner {
				out[at+i] = float32((float64(in[at+i]) - mean) * inv)
			}
		}
		y.put()
		return nil
	}, nil
}

func inferSkipNorm(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	if err := same(c); err != nil {
		return err
	}
	c.Set(3, c.In[0].DType, c.In[0].Shape)
	return nil
}

// prepareSkipNorm normalises input + skip + bias, with mean (com.microsoft.SkipLayerNormalization) or without.
func prepareSkipNorm(c *op.Call) (op.Run, error) {
	rms := c.Op == "com.microsoft.SkipSimplifiedLayerNormalization"
	bi, beta := 4, 3
	if rms {
		bi, beta = 3, -1
	}
	sum := tensor.New(tensor.F32, c.In[0].Shape)
	inner := *c
	inner.Attrs = c.Attrs.Clone()
	inner.Attrs.Set("axis", -1)
	inner.In = []*tensor.Tensor{sum, c.In[2]}
	if !rms {
		inner.In = append(inner.In, c.Input(beta))
	}
	inner.Out = c.Out[:1]
	if !inner.Attrs.Has("epsilon") {
		inner.Attrs.Set("epsilon", 1e-12)
	}
	prepare := prepareLayerNorm
	if rms {
		prepare = prepareRMSNorm
	}
	run, err := prepare(&inner)
	if err != nil {
		return nil, err
	}
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	beginS, skip, err := perElement(c, 1)
	if err != nil {
		return nil, err
	}
	beginB, bias, err := perElement(c, bi)
	if err != nil {
		return nil, err
	}
	total := newView[float32](c.Output(3))
	return func() error {
		beginS()
		beginB()
		s := tensor.Of[float32](sum)
		for i, v := range x.get() {
			s[i] = v + skip(i)
			if bias != nil {
				s[i] += bias(i)
			}
		}
		if o := total.room(); o != nil {
			copy(o, s)
			total.put()
		}
		return run()
	}, nil
}

func prepareBiasGelu(c *op.Call) (op.Run, error) {
	x, err := floats(c, 0)
	if err != nil {
		return nil, err
	}
	begin, bias, err := perElement(c, 1)
	if err != nil {
		return nil, err
	}
	f := geluErf
	if c.Op == "com.microsoft.FastGelu" {
		f = geluTanh
	}
	y := newView[float32](c.Out[0])
	return func() error {
		begin()
		out := y.room()
		for i, v := range x.get() {
			if bias != nil {
				v += bias(i)
			}
			out[i] = f(v)
		}
		y.put()
		return nil
	}, nil
}
