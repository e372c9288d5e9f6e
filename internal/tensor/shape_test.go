package tensor

import (
	"math/rand/v2"
	"testing"
)

// Elements stay in order where the strides of a transposed tensor are those that its shape has anyway, extents of 1 apart.
func TestKeepsOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		s := make(Shape, rng.IntN(6))
		for i := range s {
			s[i] = 1 + rng.IntN(2)*(1+rng.IntN(3))
		}
		perm := rng.Perm(len(s))
		r, from := make(Shape, len(s)), s.Strides()
		for i, p := range perm {
			r[i] = s[p]
		}
		want := true
		for i, stride := range r.Strides() {
			want = want && (r[i] == 1 || stride == from[perm[i]])
		}
		if s.KeepsOrder(perm) != want {
			t.Fatalf("%v by %v: %v", s, perm, !want)
		}
	}
}
