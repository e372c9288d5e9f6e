package tree

import (
	"math"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/move/number"
)

// classifier is a support vector classifier. With support vectors each pair of classes is decided by a machine of its own,
// and the class that wins most pairs is chosen; without, each class has a linear score.
type classifier struct {
	*machine
	labels
	classes      int
	perClass     []int // support vectors
	first        []int // of each class
	probA, probB []float64
	positive     bool // all coefficients
	transform    string
}

func supports(c *op.Call) (perClass []int, count int, err error) {
	perClass = c.Attrs.Ints("vectors_per_class")
	for _, n := range perClass {
		if n < 0 || n > 1<<28 {
			return nil, 0, c.Errorf("vectors_per_class %v", perClass)
		}
		count += n
	}
	if count > 1<<28 {
		return nil, 0, c.Errorf("vectors_per_class %v", perClass)
	}
	return perClass, count, nil
}

// width is the number of scores that the machine itself yields, and out of those that are written.
func svmWidth(c *op.Call, classes, count int) (width, out int) {
	width = classes
	if count > 0 && len(c.Attrs.Floats("prob_a")) == 0 {
		width = classes * (classes - 1) / 2
	}
	if out = width; width == 1 && classes == 2 && len(c.Attrs.Floats("rho")) == 1 && c.Attrs.Str("post_transform", "NONE") != "PROBIT" {
		out = 2
	}
	return width, out
}

func inferSVMClassifier(c *op.Call) error {
	rows, _, err := checkRows(c)
	if err != nil {
		return err
	}
	l := readLabels(c, "classlabels_ints")
	if l.len() > 1<<12 {
		return c.Errorf("%d classes", l.len())
	}
	_, count, err := supports(c)
	if err != nil {
		return err
	}
	_, out := svmWidth(c, max(1, l.len()), count)
	setClassified(c, l, rows, out)
	return nil
}

func readClassifier(c *op.Call, cols int) (*classifier, error) {
	s := &classifier{labels: readLabels(c, "classlabels_ints"), probA: reals(c, "prob_a"), probB: reals(c, "prob_b"), positive: true, transform: c.Attrs.Str("post_transform", "NONE")}
	s.classes = max(1, s.labels.len())
	per, count, err := supports(c)
	if err != nil {
		return nil, err
	}
	if s.machine, err = readMachine(c, count, cols); err != nil {
		return nil, err
	}
	for _, v := range s.coefficients {
		s.positive = s.positive && v >= 0
	}
	k := s.classes
	if count == 0 {
		if len(s.coefficients) != k*cols {
			return nil, c.Errorf("%d coefficients for %d classes of %d features", len(s.coefficients), k, cols)
		}
		s.probA = nil
		return s, nil
	}
	pairs := k * (k - 1) / 2
	if k < 2 || len(per) != k || len(s.coefficients) < (k-1)*count || len(s.rho) < pairs {
		return nil, c.Errorf("%d classes, %d numbers of vectors, %d coefficients and %d rho do not fit", k, len(per), len(s.coefficients), len(s.rho))
	}
	if len(s.probA) != 0 && (len(s.probA) < pairs || len(s.probB) < pairs) {
		return nil, c.Errorf("%d prob_a and %d prob_b for %d pairs of classes", len(s.probA), len(s.probB), pairs)
	}
	s.perClass = per
	at := 0
	for _, n := range per {
		s.first = append(s.first, at)
		at += n
	}
	return s, nil
}

// room is what one row needs.
type room struct{ kernels, votes, pairs, q, qp, r []float64 }

func (s *classifier) room() *room {
	k := s.classes
	return &room{kernels: make([]float64, s.count), votes: make([]float64, k), pairs: make([]float64, max(k, k*(k-1)/2)),
		q: make([]float64, k*k), qp: make([]float64, k), r: make([]float64, k*k)}
}

// decide fills votes and one score per pair of classes. The coefficients have one row per rival: class i's vectors against
// class j stand in row j-1, class j's against i in row i.
func (s *classifier) decide(x []float64, m *room) {
	cols := len(x)
	for j := range m.kernels {
		m.kernels[j] = s.similarity(x, s.vectors[j*cols:])
	}
	clear(m.votes)
	n := 0
	for i := range s.classes {
		for j := i + 1; j < s.classes; j++ {
			v := s.rho[n]
			for k := range s.perClass[i] {
				v += float64(s.coefficients[(j-1)*s.count+s.first[i]+k] * m.kernels[s.first[i]+k])
			}
			for k := range s.perClass[j] {
				v += float64(s.coefficients[i*s.count+s.first[j]+k] * m.kernels[s.first[j]+k])
			}
			if m.pairs[n] = v; v > 0 {
				m.votes[i]++
			} else {
				m.votes[j]++
			}
			n++
		}
	}
}

// probabilities couples those of the pairs (Wu, Lin and Weng 2004, method 2).
func (s *classifier) probabilities(p []float64, m *room) {
	k := s.classes
	n := 0
	for i := range k {
		for j := i + 1; j < k; j++ {
			v := 1 - float64(fmath.Sigmoid(float32(float64(m.pairs[n]*s.probA[n])+s.probB[n])))
			v = min(max(v, 1e-7), 1-1e-7)
			m.r[i*k+j], m.r[j*k+i] = v, 1-v
			n++
		}
	}
	for t := range k {
		p[t] = 1 / float64(k)
		m.q[t*k+t] = 0
		for j := range k {
			if j != t {
				m.q[t*k+t] += float64(m.r[j*k+t] * m.r[j*k+t])
				m.q[t*k+j] = -float64(m.r[j*k+t] * m.r[t*k+j])
			}
		}
	}
	for range max(100, k) {
		all := 0.0
		for t := range k {
			m.qp[t] = dot(m.q[t*k:(t+1)*k], p)
			all += float64(p[t] * m.qp[t])
		}
		worst := 0.0
		for t := range k {
			worst = max(worst, math.Abs(m.qp[t]-all))
		}
		if worst < .005/float64(k) {
			return
		}
		for t := range k {
			qtt := m.q[t*k+t]
			d := (all - m.qp[t]) / qtt
			p[t] += d
			all = (all + float64(d*(float64(d*qtt)+2*m.qp[t]))) / float64((1+d)*(1+d))
			for j := range k {
				m.qp[j] = (m.qp[j] + float64(d*m.q[t*k+j])) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
}

// choose is the class of a row with these scores; -1 is the class that is none of the labels.
func (s *classifier) choose(scores, votes []float64) int {
	k := best(scores)
	top := scores[k]
	if s.count > 0 {
		k = best(votes)
		top = votes[k]
	}
	if len(s.rho) != 1 {
		return k
	}
	if s.labels.len() == 2 {
		if len(s.probA) == 0 && s.positive && top >= .5 {
			return 1
		}
		return k
	}
	if top > 0 {
		return 1
	}
	return 0
}

func prepareSVMClassifier(c *op.Call) (op.Run, error) {
	rows, cols, _ := checkRows(c)
	s, err := readClassifier(c, cols)
	if err != nil {
		return nil, err
	}
	post, err := readTransform(c)
	if err != nil {
		return nil, err
	}
	width, n := svmWidth(c, s.classes, s.count)
	memory := make(chan *room, c.Par.Threads())
	for range cap(memory) {
		memory <- s.room()
	}
	read := input(c, 0)
	var x []float64
	z := op.Make[float64](c, rows*n)
	plain := s.labels.len() != 2 && len(s.rho) == 1 // labels are 1 and 0
	label := c.Output(0)
	body := func(lo, hi int) {
		m := <-memory
		for r := lo; r < hi; r++ {
			row, y := x[r*cols:(r+1)*cols], z[r*n:(r+1)*n]
			scores := m.pairs[:width]
			switch {
			case s.count == 0:
				for k := range scores {
					scores[k] = s.rho[0] + dot(row, s.coefficients[k*cols:])
				}
			case len(s.probA) > 0:
				s.decide(row, m)
				scores = y
				s.probabilities(scores, m)
			default:
				s.decide(row, m)
			}
			k := s.choose(scores, m.votes)
			if plain && s.labels.dtype() == tensor.I64 && label != nil {
				tensor.Of[int64](label)[r] = int64(k)
			} else {
				s.labels.put(label, r, k)
			}
			if copy(y, scores); width < n {
				y[0], y[1] = -scores[0], scores[0]
			}
			if width > 1 || width < n || s.transform == "PROBIT" {
				post(y)
			}
		}
		memory <- m
	}
	return func() error {
		x = read()
		c.Par.For(rows, 1+(1<<12)/max(1, cols*(1+s.count)), body)
		if t := c.Output(1); t != nil {
			number.Write(t, z)
		}
		return nil
	}, nil
}
