package move

import (
	"cmp"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/optest"
)

var (
	seed  = flag.Uint64("seed", 1, "seed of the drawn cases")
	count = flag.Int("count", 200, "cases per property")
)

func draws() *rand.Rand { return rand.New(rand.NewPCG(*seed, 4)) }

func drawShape(rng *rand.Rand, rank int) tensor.Shape {
	s := tensor.Shape{}
	for range rank {
		s = append(s, 1+rng.IntN(5))
	}
	return s
}

// drawFloats makes a tensor of multiples of 1/8.
func drawFloats(rng *rand.Rand, s tensor.Shape) *tensor.Tensor {
	t := tensor.New(tensor.F32, s)
	for i := range tensor.Of[float32](t) {
		tensor.Of[float32](t)[i] = float32(rng.IntN(161)-80) / 8
	}
	return t
}

func evaluate(t *testing.T, name string, a attr.Attrs, in []*tensor.Tensor, outs int) []*tensor.Tensor {
	t.Helper()
	c := &op.Call{Name: "n", Op: name, Attrs: a, In: in}
	for range outs {
		c.Out = append(c.Out, &tensor.Tensor{})
	}
	if err := op.Eval(Ops[name], c, 0); err != nil {
		t.Fatalf("%v %v: %v", in, a, err)
	}
	return c.Out
}

func expect(t *testing.T, what any, got *tensor.Tensor, s tensor.Shape, want []float32) {
	t.Helper()
	if err := optest.Compare(got, tensor.From(want, append([]int{}, s...)...)); err != nil {
		t.Fatalf("%v: %v", what, err)
	}
}

func ints64(v []int) *tensor.Tensor {
	t := tensor.New(tensor.I64, tensor.Shape{len(v)})
	for i, x := range v {
		tensor.Of[int64](t)[i] = int64(x)
	}
	return t
}

// indexOf is the index of flat element i of a shape, flat the inverse.
func indexOf(s tensor.Shape, i int) []int {
	p := make([]int, len(s))
	for d := len(s) - 1; d >= 0; d-- {
		p[d], i = i%s[d], i/s[d]
	}
	return p
}

func flat(s tensor.Shape, p []int) int {
	at := 0
	for d, n := range s {
		at = at*n + p[d]
	}
	return at
}

// build makes the elements of a shape from their positions.
func build(s tensor.Shape, f func(p []int) float32) []float32 {
	v := make([]float32, s.Len())
	for i := range v {
		v[i] = f(indexOf(s, i))
	}
	return v
}

func TestSlices(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(4)))
		var starts, ends, axes, steps []int
		picked := make([][]int, len(x.Shape)) // positions per dimension
		for d, n := range x.Shape {
			for i := range n {
				picked[d] = append(picked[d], i)
			}
			if rng.IntN(3) == 0 {
				continue
			}
			start, end, step := rng.IntN(3*n+4)-n-4, rng.IntN(3*n+4)-n-4, rng.IntN(4)+1
			if rng.IntN(2) == 0 {
				step = -step
			}
			starts, ends, axes, steps = append(starts, start), append(ends, end), append(axes, d-rng.IntN(2)*len(x.Shape)), append(steps, step)
			from, to := start, end
			if from < 0 {
				from += n
			}
			if to < 0 {
				to += n
			}
			picked[d] = nil
			if step > 0 {
				for i := max(from, 0); i < min(to, n); i += step {
					picked[d] = append(picked[d], i)
				}
			} else {
				for i := min(max(from, 0), n-1); i > max(to, -1); i += step {
					picked[d] = append(picked[d], i)
				}
			}
		}
		if len(axes) == 0 {
			continue
		}
		out := tensor.Shape{}
		for _, p := range picked {
			out = append(out, len(p))
		}
		want := build(out, func(p []int) float32 {
			q := make([]int, len(p))
			for d, i := range p {
				q[d] = picked[d][i]
			}
			return tensor.Of[float32](x)[flat(x.Shape, q)]
		})
		y := evaluate(t, "Slice", nil, []*tensor.Tensor{x, ints64(starts), ints64(ends), ints64(axes), ints64(steps)}, 1)[0]
		expect(t, []any{x, starts, ends, axes, steps}, y, out, want)
	}
}

func TestGathers(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(3)))
		v := tensor.Of[float32](x)
		axis := rng.IntN(len(x.Shape))
		n := x.Shape[axis]
		index := func(s tensor.Shape) *tensor.Tensor {
			idx := tensor.New(tensor.I64, s)
			for i := range tensor.Of[int64](idx) {
				tensor.Of[int64](idx)[i] = int64(rng.IntN(2*n) - n)
			}
			return idx
		}
		at := func(idx *tensor.Tensor, p []int) int {
			k := int(tensor.Of[int64](idx)[flat(idx.Shape, p)])
			if k < 0 {
				k += n
			}
			return k
		}
		a := attr.Attrs{"axis": int64(axis - rng.IntN(2)*len(x.Shape))}

		idx := index(drawShape(rng, rng.IntN(3)))
		r := len(idx.Shape)
		out := slices.Concat(x.Shape[:axis], idx.Shape, x.Shape[axis+1:])
		want := build(out, func(p []int) float32 {
			return v[flat(x.Shape, slices.Concat(p[:axis], []int{at(idx, p[axis:axis+r])}, p[axis+r:]))]
		})
		expect(t, []any{"Gather", x, idx, a}, evaluate(t, "Gather", a, []*tensor.Tensor{x, idx}, 1)[0], out, want)

		s := x.Shape.Clone()
		for d := range s {
			s[d] = 1 + rng.IntN(s[d])
		}
		s[axis] = 1 + rng.IntN(6)
		idx = index(s)
		moved := func(p []int) []int {
			q := slices.Clone(p)
			q[axis] = at(idx, p)
			return q
		}
		want = build(s, func(p []int) float32 { return v[flat(x.Shape, moved(p))] })
		expect(t, []any{"GatherElements", x, idx, a}, evaluate(t, "GatherElements", a, []*tensor.Tensor{x, idx}, 1)[0], s, want)

		updates := drawFloats(rng, s)
		a = a.Clone()
		mode := []string{"none", "add", "mul", "max", "min"}[rng.IntN(5)]
		a["reduction"] = mode
		got := slices.Clone(v)
		for i, u := range tensor.Of[float32](updates) {
			k := flat(x.Shape, moved(indexOf(s, i)))
			got[k] = map[string]float32{"none": u, "add": got[k] + u, "mul": got[k] * u, "max": max(got[k], u), "min": min(got[k], u)}[mode]
		}
		expect(t, []any{"ScatterElements", x, idx, updates, a}, evaluate(t, "ScatterElements", a, []*tensor.Tensor{x, idx, updates}, 1)[0], x.Shape, got)
	}
}

func TestIndexTuples(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(4)))
		v := tensor.Of[float32](x)
		k := 1 + rng.IntN(len(x.Shape))
		outer := drawShape(rng, rng.IntN(3))
		idx := tensor.New(tensor.I64, append(outer.Clone(), k))
		list := tensor.Of[int64](idx)
		for i := range list {
			n := x.Shape[i%k]
			list[i] = int64(rng.IntN(2*n) - n)
		}
		at := func(p []int) []int { // of the outer position, then within
			row := flat(outer, p[:len(outer)]) * k
			var q []int
			for d := range k {
				i := int(list[row+d])
				if i < 0 {
					i += x.Shape[d]
				}
				q = append(q, i)
			}
			return append(q, p[len(outer):]...)
		}
		out := slices.Concat(outer, x.Shape[k:])
		want := build(out, func(p []int) float32 { return v[flat(x.Shape, at(p))] })
		expect(t, []any{"GatherND", x, idx}, evaluate(t, "GatherND", nil, []*tensor.Tensor{x, idx}, 1)[0], out, want)

		updates := drawFloats(rng, out)
		got := slices.Clone(v)
		for i, u := range tensor.Of[float32](updates) {
			got[flat(x.Shape, at(indexOf(out, i)))] += u
		}
		a := attr.Attrs{"reduction": "add"}
		expect(t, []any{"ScatterND", x, idx}, evaluate(t, "ScatterND", a, []*tensor.Tensor{x, idx, updates}, 1)[0], x.Shape, got)
	}
}

func TestLargest(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(3)))
		axis := rng.IntN(len(x.Shape))
		k := rng.IntN(x.Shape[axis] + 1)
		largest := rng.IntN(2) == 0
		a := attr.Attrs{"axis": int64(axis)}
		a.Set("largest", largest)
		out := x.Shape.Clone()
		out[axis] = k
		order := func(p []int) []int { // positions along the axis, best first; of equals the first wins
			list := make([]int, x.Shape[axis])
			for i := range list {
				list[i] = i
			}
			value := func(i int) float32 {
				q := slices.Clone(p)
				q[axis] = i
				return tensor.Of[float32](x)[flat(x.Shape, q)]
			}
			slices.SortStableFunc(list, func(i, j int) int {
				if largest {
					i, j = j, i
				}
				return cmp.Compare(value(i), value(j))
			})
			return list
		}
		want := build(out, func(p []int) float32 {
			q := slices.Clone(p)
			q[axis] = order(p)[p[axis]]
			return tensor.Of[float32](x)[flat(x.Shape, q)]
		})
		y := evaluate(t, "TopK", a, []*tensor.Tensor{x, ints64([]int{k})}, 2)
		expect(t, []any{"TopK", x, k, a}, y[0], out, want)
		for i, got := range tensor.Of[int64](y[1]) {
			p := indexOf(out, i)
			if w := order(p)[p[axis]]; int(got) != w {
				t.Fatalf("TopK %v %v: index %d at %v, want %d", x, a, got, p, w)
			}
		}
	}
}

func TestPads(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(4)))
		mode := []string{"constant", "reflect", "edge", "wrap"}[rng.IntN(4)]
		pads := make([]int, 2*len(x.Shape))
		out := x.Shape.Clone()
		for d, n := range x.Shape {
			for _, i := range []int{d, d + len(out)} {
				pads[i] = rng.IntN(n+1) - 1
				if mode == "reflect" {
					pads[i] = rng.IntN(n)
				}
			}
			if out[d] += pads[d] + pads[d+len(out)]; out[d] < 0 {
				pads[d], out[d] = 0, n
				pads[d+len(out)] = 0
			}
		}
		want := build(out, func(p []int) float32 {
			q := make([]int, len(p))
			for d, n := range x.Shape {
				i := p[d] - pads[d]
				if i < 0 || i >= n {
					switch mode {
					case "constant":
						return 0.5
					case "edge":
						i = min(max(i, 0), n-1)
					case "wrap":
						i = (i + n) % n
					case "reflect":
						if i < 0 {
							i = -i
						}
						if i >= n {
							i = 2*(n-1) - i
						}
					}
				}
				q[d] = i
			}
			return tensor.Of[float32](x)[flat(x.Shape, q)]
		})
		y := evaluate(t, "Pad", attr.Attrs{"mode": mode}, []*tensor.Tensor{x, ints64(pads), tensor.From([]float32{0.5}, []int{}...)}, 1)[0]
		expect(t, []any{"Pad", x, mode, pads}, y, out, want)
	}
}

func TestMovesOfAxes(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, drawShape(rng, 1+rng.IntN(4)))
		v := tensor.Of[float32](x)
		perm := rng.Perm(len(x.Shape))
		list := make([]int64, len(perm))
		out, back := tensor.Shape{}, make([]int, len(perm))
		for i, d := range perm {
			list[i], back[d] = int64(d), i
			out = append(out, x.Shape[d])
		}
		want := build(out, func(p []int) float32 {
			q := make([]int, len(p))
			for d := range q {
				q[d] = p[back[d]]
			}
			return v[flat(x.Shape, q)]
		})
		expect(t, []any{"Transpose", x, perm}, evaluate(t, "Transpose", attr.Attrs{"perm": list}, []*tensor.Tensor{x}, 1)[0], out, want)

		repeats := make([]int, len(x.Shape))
		for d := range repeats {
			repeats[d] = 1 + rng.IntN(3)
			out[d] = x.Shape[d] * repeats[d]
		}
		want = build(out, func(p []int) float32 {
			q := slices.Clone(p)
			for d := range q {
				q[d] %= x.Shape[d]
			}
			return v[flat(x.Shape, q)]
		})
		expect(t, []any{"Tile", x, repeats}, evaluate(t, "Tile", nil, []*tensor.Tensor{x, ints64(repeats)}, 1)[0], out, want)

		// What Split cuts, Concat joins.
		axis := rng.IntN(len(x.Shape))
		var parts []int
		for left := x.Shape[axis]; left > 0; {
			n := 1 + rng.IntN(left)
			parts, left = append(parts, n), left-n
		}
		a := attr.Attrs{"axis": int64(axis)}
		cut := evaluate(t, "Split", a, []*tensor.Tensor{x, ints64(parts)}, len(parts))
		first := 0
		for i, y := range cut {
			s := x.Shape.Clone()
			s[axis] = parts[i]
			want := build(s, func(p []int) float32 {
				q := slices.Clone(p)
				q[axis] += first
				return v[flat(x.Shape, q)]
			})
			expect(t, []any{"Split", x, parts, i}, y, s, want)
			first += parts[i]
		}
		expect(t, []any{"Concat", x, parts}, evaluate(t, "Concat", a, cut, 1)[0], x.Shape, v)
	}
}

// resized is the reference of Resize along one dimension: which inputs count how much for output o.
func resized(mode, coordinate, nearest string, in, out int, scale float64, outside bool, o int) map[int]float64 {
	x := float64(o)
	switch coordinate {
	case "half_pixel":
		x = (x+.5)/scale - .5
	case "pytorch_half_pixel":
		if x = (x+.5)/scale - .5; out == 1 {
			x = 0
		}
	case "asymmetric":
		x /= scale
	case "align_corners": // the width before it is rounded down, as in the backend cases
		if width := float64(in) * scale; width == 1 {
			x = 0
		} else {
			x = x * float64(in-1) / (width - 1)
		}
	case "half_pixel_symmetric":
		adjust := float64(out) / (float64(in) * scale)
		x = float64(in)/2*(1-adjust) + (x+.5)/scale - .5
	}
	w := map[int]float64{}
	add := func(i int, f float64) {
		if outside && (i < 0 || i >= in) {
			return
		}
		w[min(max(i, 0), in-1)] += f
	}
	low := int(math.Floor(x))
	t := x - math.Floor(x)
	switch mode {
	case "nearest":
		i := map[string]float64{"round_prefer_floor": math.Ceil(x - .5), "round_prefer_ceil": math.Floor(x + .5), "floor": math.Floor(x), "ceil": math.Ceil(x)}[nearest]
		w[min(max(int(i), 0), in-1)] = 1
	case "linear":
		outside = false
		add(low, 1-t)
		add(low+1, t)
	case "cubic":
		const a = -.75
		sum := 0.0
		for k := -1; k <= 2; k++ {
			d := math.Abs(t - float64(k))
			f := a*d*d*d - 5*a*d*d + 8*a*d - 4*a
			if d <= 1 {
				f = (a+2)*d*d*d - (a+3)*d*d + 1
			}
			add(low+k, f)
			if !outside || low+k >= 0 && low+k < in {
				sum += f
			}
		}
		for i := range w {
			w[i] /= sum
		}
	}
	return w
}

func TestResizes(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, append(tensor.Shape{1 + rng.IntN(2), 1 + rng.IntN(2)}, drawShape(rng, 2)...))
		mode := []string{"nearest", "linear", "cubic"}[rng.IntN(3)]
		coordinate := []string{"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"}[rng.IntN(5)]
		nearest := []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}[rng.IntN(4)]
		outside := mode == "cubic" && rng.IntN(2) == 0
		scales := []float32{1, 1, 1, 1}
		out := x.Shape.Clone()
		for d := 2; d < 4; d++ {
			scales[d] = []float32{0.5, 1, 1.5, 2, 3, 4}[rng.IntN(6)]
			if out[d] = int(float32(x.Shape[d]) * scales[d]); out[d] == 0 {
				scales[d], out[d] = 1, x.Shape[d]
			}
		}
		a := attr.Attrs{"mode": mode, "coordinate_transformation_mode": coordinate, "nearest_mode": nearest, "cubic_coeff_a": float32(-.75)}
		a.Set("exclude_outside", outside)
		want := build(out, func(p []int) float32 {
			sum := 0.0
			for i, f := range resized(mode, coordinate, nearest, x.Shape[2], out[2], float64(scales[2]), outside, p[2]) {
				for j, g := range resized(mode, coordinate, nearest, x.Shape[3], out[3], float64(scales[3]), outside, p[3]) {
					sum += f * g * float64(tensor.Of[float32](x)[flat(x.Shape, []int{p[0], p[1], i, j})])
				}
			}
			return float32(sum)
		})
		y := evaluate(t, "Resize", a, []*tensor.Tensor{x, nil, tensor.From(scales)}, 1)[0]
		expect(t, []any{"Resize", x, a, scales}, y, out, want)
	}
}

func TestGridSamples(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, append(tensor.Shape{1 + rng.IntN(2), 1 + rng.IntN(2)}, drawShape(rng, 2)...))
		grid := tensor.New(tensor.F32, tensor.Shape{x.Shape[0], 1 + rng.IntN(3), 1 + rng.IntN(3), 2})
		for i := range tensor.Of[float32](grid) {
			tensor.Of[float32](grid)[i] = float32(rng.NormFloat64())
		}
		mode := []string{"linear", "nearest"}[rng.IntN(2)]
		padding := []string{"zeros", "border"}[rng.IntN(2)]
		corners := rng.IntN(2) == 0
		a := attr.Attrs{"mode": mode, "padding_mode": padding}
		a.Set("align_corners", corners)
		place := func(g float64, n int) float64 {
			v := ((g+1)*float64(n) - 1) / 2
			if corners {
				v = (g + 1) / 2 * float64(n-1)
			}
			if padding == "border" {
				v = min(max(v, 0), float64(n-1))
			}
			return v
		}
		h, w := x.Shape[2], x.Shape[3]
		out := tensor.Shape{x.Shape[0], x.Shape[1], grid.Shape[1], grid.Shape[2]}
		want := build(out, func(p []int) float32 {
			g := tensor.Of[float32](grid)[flat(grid.Shape, []int{p[0], p[2], p[3], 0}):][:2]
			px, py := place(float64(g[0]), w), place(float64(g[1]), h)
			pixel := func(i, j int) float64 {
				if i < 0 || i >= h || j < 0 || j >= w {
					return 0
				}
				return float64(tensor.Of[float32](x)[flat(x.Shape, []int{p[0], p[1], i, j})])
			}
			if mode == "nearest" {
				return float32(pixel(int(math.RoundToEven(py)), int(math.RoundToEven(px))))
			}
			i, j := int(math.Floor(py)), int(math.Floor(px))
			fy, fx := py-float64(i), px-float64(j)
			return float32((pixel(i, j)*(1-fx)+pixel(i, j+1)*fx)*(1-fy) + (pixel(i+1, j)*(1-fx)+pixel(i+1, j+1)*fx)*fy)
		})
		expect(t, []any{"GridSample", x, a}, evaluate(t, "GridSample", a, []*tensor.Tensor{x, grid}, 1)[0], out, want)
	}
}

// Boxes are taken by score; one that overlaps a taken one of its class too much is left out.
func TestSuppression(t *testing.T) {
	rng := draws()
	for range *count {
		n, classes, most := 1+rng.IntN(10), 1+rng.IntN(3), rng.IntN(5)
		boxes := tensor.New(tensor.F32, tensor.Shape{1, n, 4})
		scores := tensor.New(tensor.F32, tensor.Shape{1, classes, n})
		b, s := tensor.Of[float32](boxes), tensor.Of[float32](scores)
		for i := range n {
			y, x := rng.Float32(), rng.Float32()
			copy(b[4*i:], []float32{y, x, y + .1 + rng.Float32(), x + .1 + rng.Float32()})
		}
		for i := range s {
			s[i] = rng.Float32()
		}
		overlap := func(i, j int) float64 {
			p, q := b[4*i:4*i+4], b[4*j:4*j+4]
			h, w := min(p[2], q[2])-max(p[0], q[0]), min(p[3], q[3])-max(p[1], q[1])
			if h <= 0 || w <= 0 {
				return 0
			}
			both := float64(h) * float64(w)
			area := func(p []float32) float64 { return float64(p[2]-p[0]) * float64(p[3]-p[1]) }
			return both / (area(p) + area(q) - both)
		}
		var want []int64
		for c := range classes {
			order := make([]int, n)
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s[c*n+j], s[c*n+i]) })
			var kept []int
			for _, i := range order {
				if len(kept) == most || s[c*n+i] <= .3 {
					break
				}
				if !slices.ContainsFunc(kept, func(j int) bool { return overlap(i, j) > .4 }) {
					kept = append(kept, i)
					want = append(want, 0, int64(c), int64(i))
				}
			}
		}
		y := evaluate(t, "NonMaxSuppression", nil, []*tensor.Tensor{boxes, scores, ints64([]int{most}), tensor.From([]float32{.4}), tensor.From([]float32{.3})}, 1)[0]
		if !slices.Equal(tensor.Of[int64](y), want) {
			t.Fatalf("%d boxes: %v, want %v", n, tensor.Of[int64](y), want)
		}
	}
}
