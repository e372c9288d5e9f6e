package elem

import (
	"math"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var normOps = map[string]op.Op{
	"BatchNormalization":                         {Infer: inferBatchNorm, Prepare: prepareBatchNorm, Traits: op.InPlace},
	"InstanceNormalization":                      {Infer: inferScaled, Prepare: prepareInstanceNorm, Traits: op.InPlace},
	"GroupNormalization":                         {Infer: inferScaled, Prepare: prepareGroupNorm, Traits: op.InPlace},
	"LayerNormalization":                         {Infer: inferLayerNorm, Prepare: prepareLayerNorm, Traits: op.InPlace},
	"com.microsoft.LayerNormalization":           {Infer: inferLayerNorm, Prepare: prepareLayerNorm, Traits: op.InPlace},
	"RMSNormalization":                           {Infer: inferRMSNorm, Prepare: prepareRMSNorm, Traits: op.InPlace},
	"SimplifiedLayerNormalization":               {Infer: inferRMSNorm, Prepare: prepareRMSNorm, Traits: op.InPlace},
	"com.microsoft.SimplifiedLayerNormalization": {Infer: inferRMSNorm, Prepare: prepareRMSNorm, Traits: op.InPlace},
	"LRN":                       {Infer: same, Prepare: prepareLRN},
	"LpNormalization":           {Infer: same, Prepare: prepareLpNorm, Traits: op.InPlace},
	"L2Normalization":           {Infer: same, Prepare: prepareL2Norm, Traits: op.InPlace},
	"MeanVarianceNormalization": {Infer: same, Prepare: prepareMVN, Traits: op.InPlace},
}

// vector reads an input of any float type as T; of an absent input it is empty.
type vector[T float] struct {
	view *view[T]
	read func(i int) float64 // set where the input's type is not T's
	buf  []T
}

func newVector[T float](c *op.Call, i int) (*vector[T], error) {
	t := c.Input(i)
	if t == nil {
		return &vector[T]{view: &view[T]{}}, nil
	}
	if !t.DType.IsFloat() {
		return nil, c.Errorf("input %d has type %v, want a float", i, t.DType)
	}
	if double := tensor.DTypeOf[T]() == tensor.F64; double == (t.DType == tensor.F64) && t.DType.Bits() >= 16 {
		return &vector[T]{view: newView[T](c, t)}, nil
	}
	read, err := reader(c, t)
	return &vector[T]{read: read, buf: op.Make[T](c, t.Len())}, err
}

func (v *vector[T]) get() []T {
	if v.read == nil {
		return v.view.get()
	}
	for i := range v.buf {
		v.buf[i] = T(v.read(i))
	}
	return v.buf
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

func prepareBatchNorm(c *op.Call) (op.Run, error) {
	return each{f64: batchNorm[float64], f32: batchNorm[float32]}.byInput(c)
}

// batchNorm is x*a+b per channel with a = scale/sqrt(var+eps) and b = bias - mean*a, both computed in float64.
func batchNorm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	if len(s) < 1 {
		return nil, c.Errorf("input has no channels")
	}
	axis, err := c.Axis(c.Attrs.Int("axis", 1), max(2, len(s)))
	if err != nil {
		return nil, err
	}
	l := lines{s.Len(), 1, 1}
	if axis < len(s) {
		l = linesOf(s, axis, false)
	}
	var p [5]*vector[T]
	for i := range p {
		if i > 0 {
			if err := wants(c, i, l.n); err != nil {
				return nil, err
			}
		}
		if p[i], err = newVector[T](c, i); err != nil {
			return nil, err
		}
	}
	y := newView[T](c, c.Scratch(0, c.In[0].DType, s))
	eps := float64(c.Attrs.Float("epsilon", 1e-5))
	training := c.Attrs.Bool("training_mode", false)
	momentum := float64(c.Attrs.Float("momentum", .9))
	running := [2]func(i int, v float64){func(int, float64) {}, func(int, float64) {}}
	for i := range running {
		if t := c.Output(i + 1); t != nil {
			if running[i], err = writer(c, t); err != nil {
				return nil, err
			}
		}
	}
	a, b := op.Make[T](c, l.n), op.Make[T](c, l.n)
	var in, out []T
	body := func(lo, hi int) { // over channels of all samples
		for k := lo; k < hi; k++ {
			f, g := a[k%l.n], b[k%l.n]
			y := out[k*l.inner : (k+1)*l.inner]
			for i, v := range in[k*l.inner:][:len(y)] {
				y[i] = T(v*f) + g
			}
		}
	}
	count, split := l.outer*l.n, 1+grain/max(1, l.inner)
	if l.inner == 1 {
		count, split = l.outer, 1+grain/max(1, l.n)
		body = func(lo, hi int) { // over samples
			for k := lo; k < hi; k++ {
				y, x := out[k*l.n:][:len(a)], in[k*l.n:][:len(a)]
				for i, f := range a {
					y[i] = T(x[i]*f) + b[i]
				}
			}
		}
	}
	return func() error {
		in, out = p[0].get(), y.room()
		scale, bias, means, variances := p[1].get(), p[2].get(), p[3].get(), p[4].get()
		for ch := range a {
			mean, variance := float64(means[ch]), float64(variances[ch])
			if training {
				m, v := channelMoments(in, l, ch)
				running[0](ch, float64(mean*momentum)+float64(m*(1-momentum)))
				running[1](ch, float64(variance*momentum)+float64(v*(1-momentum)))
				mean, variance = m, v
			}
			f := float64(scale[ch]) / math.Sqrt(variance+eps)
			a[ch], b[ch] = T(f), T(float64(bias[ch])-float64(mean*f))
		}
		c.Par.For(count, split, body)
		y.put()
		return nil
	}, nil
}

// channelMoments are the mean and variance of one channel, summed in float64.
func channelMoments[T float](x []T, l lines, ch int) (mean, variance float64) {
	n := float64(l.outer * l.inner)
	for k := range l.outer {
		for _, v := range x[(k*l.n+ch)*l.inner:][:l.inner] {
			mean += float64(v)
		}
	}
	mean /= n
	for k := range l.outer {
		for _, v := range x[(k*l.n+ch)*l.inner:][:l.inner] {
			d := float64(v) - mean
			variance += float64(d * d)
		}
	}
	return mean, variance / n
}

// standardise makes the mean of a run 0 and its variance 1; inv is 1/sqrt(variance+eps). Sums run in 16 lanes.
func standardise[T float](y, x []T, eps T) (mean, inv T) {
	n := T(len(x))
	var l [16]T
	sumRun(&l, 0, x, len(x), 1)
	mean = pairwise(&l) / n
	for i, v := range x {
		y[i] = v - mean
	}
	l = [16]T{}
	squareRun(&l, 0, y, len(x), 1)
	inv = 1 / T(math.Sqrt(float64(T(pairwise(&l)/n)+eps)))
	for i, v := range y {
		y[i] = v * inv
	}
	return mean, inv
}

// normalise is the work of an operator that standardises runs of size elements; after finishes run r.
func normalise[T float](c *op.Call, size int, begin func(), after func(r int, y []T, mean, inv T)) op.Run {
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Scratch(0, c.In[0].DType, c.In[0].Shape))
	eps := T(c.Attrs.Float("epsilon", 1e-5))
	var in, out []T
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			y := out[r*size : (r+1)*size]
			mean, inv := standardise(y, in[r*size:(r+1)*size], eps)
			after(r, y, mean, inv)
		}
	}
	n := c.In[0].Len() / max(1, size)
	return func() error {
		in, out = x.get(), y.room()
		begin()
		c.Par.For(n, 1+grain/max(1, size), body)
		y.put()
		return nil
	}
}

func affine[T float](y []T, a, b T) {
	for i, v := range y {
		y[i] = T(v*a) + b
	}
}

// inferScaled is the rule of normalisations with input, scale and bias.
func inferScaled(c *op.Call) error {
	if err := c.Need(3); err != nil {
		return err
	}
	return same(c)
}

func prepareInstanceNorm(c *op.Call) (op.Run, error) {
	if s := c.In[0].Shape; len(s) < 2 {
		return nil, c.Errorf("input %v has no channels", c.In[0])
	}
	return each{f64: instanceNorm[float64], f32: instanceNorm[float32]}.byInput(c)
}

func instanceNorm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	return perChannel[T](c, s[1], s[1])
}

// prepareGroupNorm normalises groups of channels; scale and bias are per channel, or per group as opset 18 had it.
func prepareGroupNorm(c *op.Call) (op.Run, error) {
	s, groups := c.In[0].Shape, c.Attrs.Int("num_groups", 0)
	if len(s) < 2 || groups < 1 || s[1]%groups != 0 {
		return nil, c.Errorf("input %v cannot be cut into %d groups of channels", c.In[0], groups)
	}
	return each{f64: groupNorm[float64], f32: groupNorm[float32]}.byInput(c)
}

func groupNorm[T float](c *op.Call) (op.Run, error) {
	groups, params := c.Attrs.Int("num_groups", 0), c.In[0].Shape[1]
	if c.In[1].Len() == groups {
		params = groups
	}
	return perChannel[T](c, groups, params)
}

// perChannel standardises groups of channels and applies as many scales and biases, spread evenly over the channels.
func perChannel[T float](c *op.Call, groups, params int) (op.Run, error) {
	s := c.In[0].Shape
	var p [2]*vector[T]
	for i := range p {
		if err := wants(c, i+1, params); err != nil {
			return nil, err
		}
		v, err := newVector[T](c, i+1)
		if err != nil {
			return nil, err
		}
		p[i] = v
	}
	if groups == 0 {
		return func() error { return nil }, nil
	}
	size := s[1:].Len() / groups
	per := params / groups // parameters of a group
	piece := size / per
	var a, b []T
	begin := func() { a, b = p[0].get(), p[1].get() }
	if v, ok := any(&p).(*[2]*vector[float32]); ok {
		f := &byChannel{groups: groups, per: per, piece: piece}
		return normalise32(c, size, false, func() { f.a, f.b = v[0].get(), v[1].get() }, f), nil
	}
	return normalise(c, size, begin, func(r int, y []T, _, _ T) {
		for k := range per {
			j := r%groups*per + k
			affine(y[k*piece:(k+1)*piece], a[j], b[j])
		}
	}), nil
}

func inferLayerNorm(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	if err := same(c); err != nil {
		return err
	}
	stash := tensor.F32
	if t, ok := onnxTypes[c.Attrs.Int("stash_type", 1)]; ok && t.IsFloat() {
		stash = t
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(1, stash, nil)
		c.Set(2, stash, nil)
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
	c.Set(1, stash, r)
	c.Set(2, stash, r)
	return nil
}

// repeated is an input that is broadcast to the shape of input 0, read in runs of input 0's elements.
type repeated[T float] struct {
	vector *vector[T]
	period int      // element i belongs to element i mod period of the input
	walk   *strided // set where the input must be copied to its full size
	full   []T
	data   []T
}

// newRepeated prepares input i for runs of size elements; nil where it is absent.
func newRepeated[T float](c *op.Call, i, size int) (*repeated[T], error) {
	t, s := c.Input(i), c.In[0].Shape
	if t == nil {
		return nil, nil
	}
	if b, err := c.Broadcast(s, t.Shape); err != nil || !b.Equal(s) {
		return nil, c.Errorf("input %d %v does not broadcast to %v", i, t, s)
	}
	v, err := newVector[T](c, i)
	if err != nil {
		return nil, err
	}
	p := &repeated[T]{vector: v, period: t.Len()}
	p.walk = newStrided(s, t.Shape)
	if p.period == 1 || p.period%max(1, size) == 0 && suffix(s, t.Shape) {
		p.walk = nil
	} else {
		p.period = s.Len()
		p.full = op.Make[T](c, p.period)
	}
	return p, nil
}

// suffix reports whether t, leading ones left out, ends s.
func suffix(s, t tensor.Shape) bool {
	for len(t) > 0 && t[0] == 1 {
		t = t[1:]
	}
	return len(t) <= len(s) && s[len(s)-len(t):].Equal(t)
}

func (p *repeated[T]) begin() {
	if p == nil {
		return
	}
	p.data = p.vector.get()
	if p.walk == nil {
		return
	}
	at := p.walk.seek(0)
	for r := range p.walk.rows() {
		for i := range p.walk.row {
			p.full[r*p.walk.row+i] = p.data[at.at[0]+i*p.walk.step[0]]
		}
		p.walk.next(&at)
	}
	p.data = p.full
}

// at is what belongs to elements from element k on, and its step; nil where the input is absent.
func (p *repeated[T]) at(k int) ([]T, int) {
	switch {
	case p == nil:
		return nil, 0
	case p.period == 1:
		return p.data, 0
	}
	return p.data[k%p.period:], 1
}

// scale multiplies the run y, which begins at element k.
func (p *repeated[T]) scale(y []T, k int) {
	switch {
	case p == nil || len(y) == 0:
	case p.period == 1:
		mulScalar(y, y, p.data[0])
	default:
		mulRows(y, y, p.data[k%p.period:][:len(y)])
	}
}

// add is scale's like.
func (p *repeated[T]) add(y []T, k int) {
	switch {
	case p == nil || len(y) == 0:
	case p.period == 1:
		addScalar(y, y, p.data[0])
	default:
		addRows(y, y, p.data[k%p.period:][:len(y)])
	}
}

func prepareLayerNorm(c *op.Call) (op.Run, error) {
	return each{f64: layerNorm[float64], f32: layerNorm[float32]}.byInput(c)
}

func layerNorm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	size := s[axis:].Len()
	a, err := newRepeated[T](c, 1, size)
	if err != nil {
		return nil, err
	}
	b, err := newRepeated[T](c, 2, size)
	if err != nil {
		return nil, err
	}
	note := [2]func(i int, v float64){func(int, float64) {}, func(int, float64) {}}
	for i := range note {
		if t := c.Output(i + 1); t != nil {
			if note[i], err = writer(c, t); err != nil {
				return nil, err
			}
		}
	}
	begin := func() { a.begin(); b.begin() }
	if a32, ok := any(a).(*repeated[float32]); ok {
		return normalise32(c, size, false, begin, &byElement{size: size, a: a32, b: any(b).(*repeated[float32]), keep: func(r int, mean, inv float32) {
			note[0](r, float64(mean))
			note[1](r, float64(inv))
		}}), nil
	}
	return normalise(c, size, begin, func(r int, y []T, mean, inv T) {
		a.scale(y, r*size)
		b.add(y, r*size)
		note[0](r, float64(mean))
		note[1](r, float64(inv))
	}), nil
}

func inferRMSNorm(c *op.Call) error {
	if err := c.Need(2); err != nil {
		return err
	}
	return inferLayerNorm(c)
}

func prepareRMSNorm(c *op.Call) (op.Run, error) {
	return each{f64: rmsNorm[float64], f32: rmsNorm[float32]}.byInput(c)
}

// rmsNorm is x / sqrt(mean(x²)+eps) * scale. Output 1, which only the variants of com.microsoft have, is the factor.
func rmsNorm[T float](c *op.Call) (op.Run, error) {
	s := c.In[0].Shape
	axis, err := c.Axis(c.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, err
	}
	size := s[axis:].Len()
	a, err := newRepeated[T](c, 1, size)
	if err != nil {
		return nil, err
	}
	note := func(int, float64) {}
	if t := c.Output(1); t != nil {
		if note, err = writer(c, t); err != nil {
			return nil, err
		}
	}
	if a32, ok := any(a).(*repeated[float32]); ok {
		return normalise32(c, size, true, a.begin, &byElement{size: size, a: a32, keep: func(r int, _, inv float32) { note(r, float64(inv)) }}), nil
	}
	x, y := newView[T](c, c.In[0]), newView[T](c, c.Scratch(0, c.In[0].DType, c.In[0].Shape))
	eps := T(c.Attrs.Float("epsilon", 1e-5))
	var in, out []T
	body := func(lo, hi int) {
		for r := lo; r < hi; r++ {
			x, y := in[r*size:(r+1)*size], out[r*size:(r+1)*size]
			var l [16]T
			squareRun(&l, 0, x, size, 1)
			inv := 1 / T(math.Sqrt(float64(T(pairwise(&l)/T(size))+eps)))
			mulScalar(y, x, inv)
			a.scale(y, r*size)
			note(r, float64(inv))
		}
	}
	n := s.Len() / max(1, size)
	return func() error {
		a.begin()
		in, out = x.get(), y.room()
		c.Par.For(n, 1+grain/max(1, size), body)
		y.put()
		return nil
	}, nil
}
