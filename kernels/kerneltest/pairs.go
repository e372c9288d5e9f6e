package kerneltest

import "math/rand/v2"

// pairwise draws cases, one level of each factor per case, until every pair of levels of any two factors occurred.
// levels[f] is the number of levels of factor f.
func pairwise(rng *rand.Rand, levels []int, yield func(c []int) bool) {
	type pair struct{ f, a, g, b int }
	left := map[pair]bool{}
	for f := range levels {
		for g := f + 1; g < len(levels); g++ {
			for a := range levels[f] {
				for b := range levels[g] {
					left[pair{f, a, g, b}] = true
				}
			}
		}
	}
	covered := func(c []int) (list []pair) {
		for f := range c {
			for g := f + 1; g < len(c); g++ {
				if p := (pair{f, c[f], g, c[g]}); left[p] {
					list = append(list, p)
				}
			}
		}
		return list
	}
	for len(left) > 0 {
		// The best of some draws, the first of which holds a pair that is left.
		var best []int
		var gain []pair
		var seed pair
		for p := range left {
			if best == nil || p.f < seed.f || p.f == seed.f && (p.g < seed.g || p.g == seed.g && (p.a < seed.a || p.a == seed.a && p.b < seed.b)) {
				seed, best = p, []int{}
			}
		}
		best = nil
		for range 8 {
			c := make([]int, len(levels))
			for f := range c {
				c[f] = rng.IntN(levels[f])
			}
			c[seed.f], c[seed.g] = seed.a, seed.b
			if list := covered(c); best == nil || len(list) > len(gain) {
				best, gain = c, list
			}
		}
		for _, p := range gain {
			delete(left, p)
		}
		if !yield(best) {
			return
		}
	}
}
