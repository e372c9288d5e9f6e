package elem

import (
	"math"

	"github.com/edgerun/edgerun/runtime/op"
)

// norm32 standardises runs of FP32 in rows of the kernel table, with the bytes of standardise: each by itself, or short ones side by side.
type norm32 struct {
	size, runs int
	eps        float32
	rms        bool // nothing is taken off
	scaling    scaling
	shares     []Tile // nil: side by side
	in, out    []float32
	body       func(lo, hi int)
}

// scaling is what follows on standardised runs.
type scaling interface {
	// note gets what run r was standardised with.
	note(r int, mean, inv float32)
	// line scales y, which is run r.
	line(t *Tile, y []float32, r int)
	// tile scales rows of y, whose columns are runs from r on.
	tile(t *Tile, y []float32, r int)
}

// sideBySide is the size below which runs fill vectors better side by side.
const sideBySide = 96

// normalise32 is the work of an operator that standardises runs of size elements of input 0.
func normalise32(c *op.Call, size int, rms bool, begin func(), s scaling) op.Run {
	x, y := newView[float32](c, c.In[0]), newView[float32](c, c.Scratch(0, c.In[0].DType, c.In[0].Shape))
	n := &norm32{size: size, runs: c.In[0].Len() / max(1, size), eps: c.Attrs.Float("epsilon", 1e-5), rms: rms, scaling: s}
	if size < sideBySide {
		b := newBeside(c, lines{n.runs, size, 1}, 1, n.tile)
		return func() error {
			begin()
			b.run(c.Par, y.room(), x.get())
			y.put()
			return nil
		}
	}
	n.shares = make([]Tile, op.Shares(c.Par, min(n.runs, 4*c.Par.Threads()), n.runs*size/4))
	n.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for r := i * n.runs / len(n.shares); r < (i+1)*n.runs/len(n.shares); r++ {
				y := n.out[r*size : (r+1)*size]
				n.line(&n.shares[i], y, n.in[r*size:(r+1)*size], r)
			}
		}
	}
	return func() error {
		begin()
		n.in, n.out = x.get(), y.room()
		c.Par.For(len(n.shares), 1, n.body)
		y.put()
		return nil
	}
}

func (n *norm32) line(t *Tile, y, x []float32, r int) {
	t.Cols = len(x)
	mean, size := float32(0), float32(n.size)
	if !n.rms {
		mean = t.SumLanes(x) / size
		t.Sub(y, x, t.number(mean), 0)
		x = y
	}
	inv := n.inverse(t.SquareLanes(x) / size)
	t.Mul(y, x, t.number(inv), 0)
	n.scaling.note(r, mean, inv)
	n.scaling.line(t, y, r)
}

func (n *norm32) inverse(variance float32) float32 {
	return 1 / float32(math.Sqrt(float64(variance+n.eps)))
}

func (n *norm32) tile(t *Tile, y, x []float32) {
	mean, size := t.a[:t.Cols], float32(n.size)
	clear(mean)
	if !n.rms {
		t.Div(mean, t.Sum(x), t.number(size), 0)
		for i := range t.N {
			t.Sub(t.Row(y, i), t.Row(x, i), mean, 1)
		}
		x = y
	}
	clear(t.lanes)
	square := t.b[:t.Cols]
	for i := range t.N {
		r := t.Row(x, i)
		t.Mul(square, r, r, 1)
		t.Add(t.lane(i), t.lane(i), square, 1)
	}
	inv := t.pairwise()
	for j, v := range inv {
		inv[j] = n.inverse(v / size)
		n.scaling.note(t.line+j, mean[j], inv[j])
	}
	for i := range t.N {
		t.Mul(t.Row(y, i), t.Row(x, i), inv, 1)
	}
	n.scaling.tile(t, y, t.line)
}

// byElement scales element i of a run by element i of its operands.
type byElement struct {
	size int
	a, b *repeated[float32] // b may be nil
	keep func(r int, mean, inv float32)
}

func (s *byElement) note(r int, mean, inv float32) { s.keep(r, mean, inv) }

func (s *byElement) line(t *Tile, y []float32, r int) {
	t.Cols = len(y)
	if a, step := s.a.at(r * s.size); a != nil {
		t.Mul(y, y, a, step)
	}
	if b, step := s.b.at(r * s.size); b != nil {
		t.Add(y, y, b, step)
	}
}

func (s *byElement) tile(t *Tile, y []float32, r int) {
	for i := range t.N {
		row := t.Row(y, i)
		if a, step := s.column(t, s.a, t.a, r, i); a != nil {
			t.Mul(row, row, a, step)
		}
		if b, step := s.column(t, s.b, t.b, r, i); b != nil {
			t.Add(row, row, b, step)
		}
	}
}

// column is what belongs to element i of runs from r on: one number, or one for each in room.
func (s *byElement) column(t *Tile, p *repeated[float32], room []float32, r, i int) ([]float32, int) {
	if p == nil || p.period == 1 || p.period == s.size {
		a, _ := p.at(i)
		return a, 0
	}
	for j := range t.Cols {
		room[j] = p.data[((r+j)*s.size+i)%p.period]
	}
	return room, 1
}

// byChannel scales the pieces of a run, of which groups runs have per each, by a number of each of a and b.
type byChannel struct {
	groups, per, piece int
	a, b               []float32
}

func (s *byChannel) note(int, float32, float32) {}

func (s *byChannel) line(t *Tile, y []float32, r int) {
	j := r % s.groups * s.per
	if s.piece == 1 {
		t.Cols = s.per
		t.Mul(y, y, s.a[j:], 1)
		t.Add(y, y, s.b[j:], 1)
		return
	}
	t.Cols = s.piece
	for k := range s.per {
		p := y[k*s.piece:]
		t.Mul(p, p, s.a[j+k:], 0)
		t.Add(p, p, s.b[j+k:], 0)
	}
}

func (s *byChannel) tile(t *Tile, y []float32, r int) {
	for i := range t.N {
		if i%s.piece == 0 {
			for c := range t.Cols {
				j := (r+c)%s.groups*s.per + i/s.piece
				t.a[c], t.b[c] = s.a[j], s.b[j]
			}
		}
		row := t.Row(y, i)
		t.Mul(row, row, t.a, 1)
		t.Add(row, row, t.b, 1)
	}
}
