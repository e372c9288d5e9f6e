package move

import (
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// Blocks of the padded picture become images, the offset within the block first, and back.
func TestSpacesAndBatches(t *testing.T) {
	rng := draws()
	for range *count {
		dims := 1 + rng.IntN(2)
		x := drawFloats(rng, append(append(tensor.Shape{1 + rng.IntN(2)}, drawShape(rng, dims)...), 1+rng.IntN(2)))
		block, edges := make([]int, dims), make([]int, 2*dims)
		small := tensor.Shape{x.Shape[0]} // of each image
		for i := range dims {
			block[i] = 1 + rng.IntN(3)
			edges[2*i] = rng.IntN(3)
			n := x.Shape[1+i] + edges[2*i]
			edges[2*i+1] = (block[i] - n%block[i]) % block[i]
			small = append(small, (n+edges[2*i+1])/block[i])
		}
		out := append(small.Clone(), x.Shape[1+dims])
		for _, b := range block {
			out[0] *= b
		}
		want := build(out, func(p []int) float32 {
			from := append([]int{p[0] % x.Shape[0]}, p[1:]...)
			offset := p[0] / x.Shape[0]
			for i := dims - 1; i >= 0; i-- {
				from[1+i] = p[1+i]*block[i] + offset%block[i] - edges[2*i]
				offset /= block[i]
			}
			for i := range dims {
				if from[1+i] < 0 || from[1+i] >= x.Shape[1+i] {
					return 0
				}
			}
			return tensor.Of[float32](x)[flat(x.Shape, from)]
		})
		grid := ints64(edges)
		grid.Shape = tensor.Shape{dims, 2}
		y := evaluate(t, "SpaceToBatchND", nil, []*tensor.Tensor{x, ints64(block), grid}, 1)[0]
		expect(t, []any{"SpaceToBatchND", x, block, edges}, y, out, want)
		back := evaluate(t, "BatchToSpaceND", nil, []*tensor.Tensor{y, ints64(block), grid}, 1)[0]
		expect(t, []any{"BatchToSpaceND", x, block, edges}, back, x.Shape, tensor.Of[float32](x))
	}
}

// along lists the positions that begin:end:step takes of n, as Python does, where nil stands for an absent bound.
func along(n int, begin, end *int, step int) []int {
	list := []int{}
	first, last := 0, n
	if step < 0 {
		first, last = n-1, -1
	}
	bring := func(v int) int {
		if v < 0 {
			v += n
		}
		if step < 0 {
			return min(max(v, -1), n-1)
		}
		return min(max(v, 0), n)
	}
	if begin != nil {
		first = bring(*begin)
	}
	if end != nil {
		last = bring(*end)
	}
	for i := first; step > 0 && i < last || step < 0 && i > last; i += step {
		list = append(list, i)
	}
	return list
}

func TestStridedSlices(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(4)))
		var begin, end, step []int
		a := attr.Attrs{}
		masks := map[string]int{}
		mark := func(name string) { masks[name] |= 1 << len(begin) }
		add := func(b, e, s int) { begin, end, step = append(begin, b), append(end, e), append(step, s) }
		var taken [][]int // positions per input dimension
		out, kept := tensor.Shape{}, []int{}
		whole := func(d int) {
			list := along(x.Shape[d], nil, nil, 1)
			taken, out, kept = append(taken, list), append(out, len(list)), append(kept, d)
		}
		ellipsis := false
		for d := 0; d < len(x.Shape); {
			n := x.Shape[d]
			switch k := rng.IntN(8); {
			case k == 0:
				mark("new_axis_mask")
				add(0, 0, 1)
				out, kept = append(out, 1), append(kept, -1)
			case k == 1:
				mark("shrink_axis_mask")
				b := rng.IntN(2*n) - n
				add(b, b+1, 1)
				taken = append(taken, []int{(b + n) % n})
				d++
			case k == 2 && !ellipsis:
				ellipsis = true
				mark("ellipsis_mask")
				add(0, 0, 1)
				for range rng.IntN(len(x.Shape) - d + 1) { // the dimensions that nothing else takes
					whole(d)
					d++
				}
			case k == 3 && !ellipsis && rng.IntN(2) == 0: // the rest is not mentioned
				for ; d < len(x.Shape); d++ {
					whole(d)
				}
			default:
				b, e, s := rng.IntN(2*n+3)-n-1, rng.IntN(2*n+3)-n-1, []int{1, 1, 2, -1, -2}[rng.IntN(5)]
				pb, pe := &b, &e
				if rng.IntN(4) == 0 {
					mark("begin_mask")
					pb = nil
				}
				if rng.IntN(4) == 0 {
					mark("end_mask")
					pe = nil
				}
				add(b, e, s)
				list := along(n, pb, pe, s)
				taken, out, kept = append(taken, list), append(out, len(list)), append(kept, d)
				d++
			}
		}
		if len(begin) == 0 {
			continue
		}
		for name, m := range masks {
			a.Set(name, m)
		}
		want := build(out, func(p []int) float32 {
			from := make([]int, len(x.Shape))
			for d := range from {
				from[d] = taken[d][0]
			}
			for i, d := range kept {
				if d >= 0 {
					from[d] = taken[d][p[i]]
				}
			}
			return tensor.Of[float32](x)[flat(x.Shape, from)]
		})
		y := evaluate(t, "StridedSlice", a, []*tensor.Tensor{x, ints64(begin), ints64(end), ints64(step)}, 1)[0]
		expect(t, []any{"StridedSlice", x, begin, end, step, a}, y, out, want)
	}
}
