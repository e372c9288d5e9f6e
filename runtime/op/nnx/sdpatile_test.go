package nnx

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/runtime/op"
)

// several is a Par that tells of more threads than it has.
type several struct{ op.Serial }

func (several) Threads() int { return 3 }

// Tiles give the bytes of one query at a time, whatever is masked and whatever hidden keys hold.
func TestTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	nan, none := float32(math.NaN()), float32(math.Inf(-1))
	fill := func(n int, odd float32) []float32 {
		x := make([]float32, n)
		for i := range x {
			if x[i] = float32(rng.NormFloat64()); odd != 0 && rng.IntN(40) == 0 {
				x[i] = odd
			}
		}
		return x
	}
	for n := range 120 {
		c := &op.Call{Name: "n", Op: "Attention", Par: []op.Par{op.Serial{}, several{}}[n%2]}
		a := &sdpa[float32]{batch: 1 + rng.IntN(2), kvHeads: 1 + rng.IntN(3), qLen: []int{1, 2, 5, 17, 64, 300}[rng.IntN(6)],
			kvLen: []int{1, 3, 16, 33, 130}[rng.IntN(5)], dk: 1 + rng.IntN(40), dv: []int{1, 8, 20, 49, 64}[rng.IntN(5)], scale: .3, left: -1, right: -1}
		a.heads = a.kvHeads * (1 + rng.IntN(2))
		if err := a.prepare(c); err != nil {
			t.Fatal(err)
		}
		a.qAt, a.kAt, a.vAt = split(a.qLen, a.dk, a.heads*a.dk), stacked(a.kvHeads, a.kvLen, a.dk), split(a.kvLen, a.dv, a.kvHeads*a.dv)
		a.yAt = split(a.qLen, a.dv, a.heads*a.dv)
		odd := []float32{0, 0, nan, float32(math.Inf(1))}[rng.IntN(4)]
		a.q, a.k, a.v = fill(a.batch*a.heads*a.qLen*a.dk, 0), fill(a.batch*a.kvHeads*a.kvLen*a.dk, odd), fill(a.batch*a.kvHeads*a.kvLen*a.dv, odd)
		for b := range a.limit {
			a.offset[b] = a.kvLen - a.qLen
			if rng.IntN(3) == 0 {
				a.limit[b] = rng.IntN(a.kvLen + 1)
			}
		}
		a.causal = rng.IntN(3) == 0
		if rng.IntN(4) == 0 {
			a.left, a.right = rng.IntN(9), rng.IntN(9)
		}
		if rng.IntN(4) == 0 {
			a.softcap = 2
		}
		switch rng.IntN(6) {
		case 0:
			a.sinks = fill(a.heads, 0)
		case 1:
			a.smooth = true
		}
		if rng.IntN(2) == 0 { // of each batch and query
			a.bias = mask[float32]{on: true, add: fill(a.batch*a.qLen*a.kvLen, none), batch: a.qLen * a.kvLen, query: a.kvLen, key: 1, length: a.kvLen - rng.IntN(2), zero: none}
		}
		if rng.IntN(3) == 0 { // of each head
			a.more = mask[float32]{on: true, see: make([]bool, a.heads*a.kvLen), head: a.kvLen, key: 1, length: a.kvLen, zero: none}
			for i := range a.more.see {
				a.more.see[i] = rng.IntN(3) > 0
			}
		}
		a.finish(c)
		a.y = make([]float32, a.batch*a.heads*a.qLen*a.dv)
		for range 2 { // the second run finds what the first one left
			a.run()
		}
		got, tiles := a.y, a.tiles
		a.tiles, a.y = nil, make([]float32, len(got))
		a.run()
		for i, v := range a.y {
			if math.Float32bits(v) != math.Float32bits(got[i]) && (v == v || got[i] == got[i]) {
				a.tiles = nil
				t.Fatalf("case %d: %d of %d is %g, want %g: %d shares of %d queries, %d x %d, %d heads", n, i, len(got), got[i], v, len(tiles.shares), tiles.most, a.qLen, a.kvLen, a.heads)
			}
		}
	}
}
