package move

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// at reads x, of rank 4, at a position within it.
func at(x *tensor.Tensor, p ...int) float64 { return float64(tensor.Of[float32](x)[flat(x.Shape, p)]) }

// cubicAt is the cubic convolution kernel.
func cubicAt(a, d float64) float64 {
	switch d = math.Abs(d); {
	case d <= 1:
		return (a+2)*d*d*d - (a+3)*d*d + 1
	case d < 2:
		return a*d*d*d - 5*a*d*d + 8*a*d - 4*a
	}
	return 0
}

// mixed weighs the rows and columns of a plane.
func mixed(x *tensor.Tensor, n, c int, rows, cols map[int]float64) float32 {
	sum := 0.0
	for i, f := range rows {
		for j, g := range cols {
			sum += f * g * at(x, n, c, i, j)
		}
	}
	return float32(sum)
}

// Where a picture shrinks, an antialiasing kernel is as wide as what an output stands for, and its weights sum up to 1; beyond
// the edge the edge's element counts again.
func TestAntialiasedResizes(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, tensor.Shape{1 + rng.IntN(2), 1 + rng.IntN(2), 1 + rng.IntN(12), 1 + rng.IntN(12)})
		a := attr.Attrs{"mode": []string{"linear", "cubic"}[rng.IntN(2)]}
		exclude, coefficient := rng.IntN(2) == 0, []float32{-.5, -.75}[rng.IntN(2)]
		a.Set("antialias", 1)
		a.Set("exclude_outside", exclude)
		a["cubic_coeff_a"] = coefficient
		out := tensor.Shape{x.Shape[0], x.Shape[1], 1 + rng.IntN(12), 1 + rng.IntN(12)}
		weights := func(in, out, o int) map[int]float64 {
			scale := float64(out) / float64(in)
			narrow := min(1, scale)
			centre := (float64(o)+.5)/scale - .5
			w, sum := map[int]float64{}, 0.0
			for i := -3 * in; i <= 4*in; i++ {
				d := (float64(i) - centre) * narrow
				f := max(0, 1-math.Abs(d))
				if a["mode"] == "cubic" {
					f = cubicAt(float64(coefficient), d)
				}
				if exclude && (i < 0 || i >= in) {
					continue
				}
				w[min(max(i, 0), in-1)] += f
				sum += f
			}
			for i := range w {
				w[i] /= sum
			}
			return w
		}
		want := build(out, func(p []int) float32 {
			return mixed(x, p[0], p[1], weights(x.Shape[2], out[2], p[2]), weights(x.Shape[3], out[3], p[3]))
		})
		y := evaluate(t, "Resize", a, []*tensor.Tensor{x, nil, nil, ints64(out)}, 1)[0]
		expect(t, []any{"Resize", x, a, out}, y, out, want)
	}
}

// tf_crop_and_resize takes a window of the picture, given from 0 to 1, and another value beyond the edge.
func TestCroppedResizes(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, append(tensor.Shape{1, 1 + rng.IntN(2)}, drawShape(rng, 2)...))
		out := tensor.Shape{1, x.Shape[1], 1 + rng.IntN(5), 1 + rng.IntN(5)}
		roi := []float32{0, 0, 0, 0, 1, 1, 1, 1}
		for _, d := range []int{2, 3} {
			roi[d], roi[d+4] = float32(rng.IntN(17)-4)/8, float32(rng.IntN(17)-4)/8
		}
		a := attr.Attrs{"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": float32(7.5)}
		place := func(d, o int) (float64, bool) {
			last := float64(x.Shape[d] - 1)
			lo, hi := float64(roi[d]), float64(roi[d+4])
			v := (lo + hi) / 2 * last
			if out[d] > 1 {
				v = lo*last + float64(o)*(hi-lo)*last/float64(out[d]-1)
			}
			return v, v >= 0 && v <= last
		}
		linear := func(v float64, n int) map[int]float64 {
			i := int(math.Floor(v))
			w := map[int]float64{i: 1 - (v - float64(i))}
			if i+1 < n {
				w[i+1] = v - float64(i)
			}
			return w
		}
		want := build(out, func(p []int) float32 {
			v, in := place(2, p[2])
			u, also := place(3, p[3])
			if !in || !also {
				return 7.5
			}
			return mixed(x, p[0], p[1], linear(v, x.Shape[2]), linear(u, x.Shape[3]))
		})
		y := evaluate(t, "Resize", a, []*tensor.Tensor{x, tensor.From(roi), nil, ints64(out)}, 1)[0]
		expect(t, []any{"Resize", x, roi, out}, y, out, want)
	}
}

// Sizes for some axes, of which one may decide for all.
func TestResizesByPolicy(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, tensor.Shape{1, 2, 1 + rng.IntN(9), 1 + rng.IntN(9)})
		sizes := []int{1 + rng.IntN(20), 1 + rng.IntN(20)}
		policy := []string{"stretch", "not_larger", "not_smaller"}[rng.IntN(3)]
		a := attr.Attrs{"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "keep_aspect_ratio_policy": policy}
		a.Set("axes", []int{2, 3})
		h, w := float64(sizes[0])/float64(x.Shape[2]), float64(sizes[1])/float64(x.Shape[3])
		out, scale := tensor.Shape{1, 2, sizes[0], sizes[1]}, [2]float64{h, w}
		if policy != "stretch" {
			s := min(h, w)
			if policy == "not_smaller" {
				s = max(h, w)
			}
			scale = [2]float64{s, s}
			for d := range 2 {
				out[2+d] = int(math.Floor(s*float64(x.Shape[2+d]) + .5))
			}
		}
		if out[2] == 0 || out[3] == 0 {
			continue
		}
		place := func(d, o int) (int, bool) {
			v := float64(o) / scale[d]
			near := math.Abs(v-math.Round(v)) < 1e-6 && v != math.Round(v) // decided by a rounding
			return min(int(math.Floor(v)), x.Shape[2+d]-1), !near
		}
		sure := true
		want := build(out, func(p []int) float32 {
			i, a := place(0, p[2])
			j, b := place(1, p[3])
			sure = sure && a && b
			return float32(at(x, p[0], p[1], i, j))
		})
		y := evaluate(t, "Resize", a, []*tensor.Tensor{x, nil, nil, ints64(sizes)}, 1)[0]
		if !y.Shape.Equal(out) {
			t.Fatalf("%v to %v, %s: %v, want %v", x.Shape, sizes, policy, y.Shape, out)
		}
		if sure {
			expect(t, []any{"Resize", x, a, sizes}, y, out, want)
		}
	}
}

// mirror folds a coordinate between two walls.
func mirror(v, lo, hi float64) float64 {
	if hi <= lo {
		return lo
	}
	for v < lo || v > hi {
		if v < lo {
			v = 2*lo - v
		} else {
			v = 2*hi - v
		}
	}
	return v
}

// Grids in one to three dimensions, with all modes and paddings.
func TestGridSamplesOfAllKinds(t *testing.T) {
	rng := draws()
	for range *count {
		dims := 1 + rng.IntN(3)
		mode := []string{"linear", "nearest", "cubic"}[rng.IntN(3)]
		if dims == 3 && mode == "cubic" {
			mode = "linear" // cubic is for pictures
		}
		padding := []string{"zeros", "border", "reflection"}[rng.IntN(3)]
		corners := rng.IntN(2) == 0
		x := drawFloats(rng, append(tensor.Shape{1 + rng.IntN(2), 1 + rng.IntN(2)}, drawShape(rng, dims)...))
		space := x.Shape[2:]
		grid := tensor.New(tensor.F32, append(append(tensor.Shape{x.Shape[0]}, drawShape(rng, dims)...), dims))
		for i := range tensor.Of[float32](grid) {
			tensor.Of[float32](grid)[i] = float32(rng.NormFloat64())
		}
		a := attr.Attrs{"mode": mode, "padding_mode": padding}
		a.Set("align_corners", corners)
		walls := func(n int) (lo, hi float64) {
			if corners {
				return 0, float64(n - 1)
			}
			return -.5, float64(n) - .5
		}
		// element brings an index into the picture; false where it stands for 0.
		element := func(i, n int) (int, bool) {
			switch padding {
			case "border":
				return min(max(i, 0), n-1), true
			case "reflection":
				lo, hi := walls(n)
				return min(max(int(math.Round(mirror(float64(i), lo, hi))), 0), n-1), true
			}
			return i, i >= 0 && i < n
		}
		weights := func(g float64, n int) map[int]float64 {
			lo, hi := walls(n)
			v := lo + (g+1)/2*(hi-lo)
			if mode == "nearest" {
				v = math.RoundToEven(v)
			}
			if padding == "border" && (v < lo || v > hi) { // between the edge and the middle of its element nothing changes
				v = min(max(v, 0), float64(n-1))
			} else if padding == "reflection" {
				v = mirror(v, lo, hi)
			}
			w := map[int]float64{}
			add := func(i int, f float64) {
				if i, ok := element(i, n); ok {
					w[i] += f
				}
			}
			low := int(math.Floor(v))
			f := v - math.Floor(v)
			switch mode {
			case "nearest":
				add(int(math.RoundToEven(v)), 1)
			case "linear":
				add(low, 1-f)
				add(low+1, f)
			case "cubic":
				for k := -1; k <= 2; k++ {
					add(low+k, cubicAt(-.75, float64(k)-f))
				}
			}
			return w
		}
		out := append(append(tensor.Shape{}, x.Shape[:2]...), grid.Shape[1:1+dims]...)
		want := build(out, func(p []int) float32 {
			g := tensor.Of[float32](grid)[flat(grid.Shape, append(append([]int{p[0]}, p[2:]...), 0)):][:dims]
			var sum func(d int, index []int, f float64) float64
			sum = func(d int, index []int, f float64) float64 {
				if d == dims {
					return f * at(x, index...)
				}
				total := 0.0
				for i, w := range weights(float64(g[dims-1-d]), space[d]) { // x comes first in a grid
					total += sum(d+1, append(append([]int{}, index...), i), f*w)
				}
				return total
			}
			return float32(sum(0, p[:2:2], 1))
		})
		expect(t, []any{"GridSample", x, grid, a}, evaluate(t, "GridSample", a, []*tensor.Tensor{x, grid}, 1)[0], out, want)
	}
}

// drawRegions makes n regions within a picture and a little beyond it.
func drawRegions(rng *rand.Rand, n int, extent float64) []float32 {
	var list []float32
	for range n {
		x, y := float32(rng.Float64()*extent)-1, float32(rng.Float64()*extent)-1
		list = append(list, x, y, x+.3+float32(rng.Float64()*extent), y+.3+float32(rng.Float64()*extent))
	}
	return list
}

// Regions are cut into bins, of which each is sampled on a grid.
func TestRoiAligns(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, append(tensor.Shape{1 + rng.IntN(3), 1 + rng.IntN(2)}, drawShape(rng, 2)...))
		n, oh, ow := 1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3)
		rois := drawRegions(rng, n, 6)
		batch := make([]int, n)
		for i := range batch {
			batch[i] = rng.IntN(x.Shape[0])
		}
		mode := []string{"avg", "max"}[rng.IntN(2)]
		half := rng.IntN(2) == 0
		scale, ratio := []float32{1, .5, 2}[rng.IntN(3)], rng.IntN(4)
		a := attr.Attrs{"mode": mode, "spatial_scale": scale, "coordinate_transformation_mode": map[bool]string{true: "half_pixel", false: "output_half_pixel"}[half]}
		a.Set("output_height", oh)
		a.Set("output_width", ow)
		a.Set("sampling_ratio", ratio)
		h, w := x.Shape[2], x.Shape[3]
		// corner finds the two elements around a coordinate and the weight of the second.
		corner := func(v float64, n int) (lo, hi int, f float64, ok bool) {
			if v < -1 || v > float64(n) {
				return 0, 0, 0, false
			}
			v = max(v, 0)
			if lo = int(v); lo >= n-1 {
				return n - 1, n - 1, 0, true
			}
			return lo, lo + 1, v - float64(lo), true
		}
		want := build(tensor.Shape{n, x.Shape[1], oh, ow}, func(p []int) float32 {
			var r [4]float64
			for i := range r {
				if r[i] = float64(rois[4*p[0]+i]) * float64(scale); half {
					r[i] -= .5
				}
			}
			rw, rh := r[2]-r[0], r[3]-r[1]
			if !half {
				rw, rh = max(rw, 1), max(rh, 1)
			}
			bh, bw := rh/float64(oh), rw/float64(ow)
			gh, gw := ratio, ratio
			if ratio == 0 {
				gh, gw = int(math.Ceil(bh)), int(math.Ceil(bw))
			}
			sum, top := 0.0, math.Inf(-1)
			for i := range gh {
				for j := range gw {
					y := r[1] + float64(p[2])*bh + (float64(i)+.5)*bh/float64(gh)
					v := r[0] + float64(p[3])*bw + (float64(j)+.5)*bw/float64(gw)
					y0, y1, fy, a := corner(y, h)
					x0, x1, fx, b := corner(v, w)
					if !a || !b {
						top = max(top, 0)
						continue
					}
					for _, c := range [4]float64{(1 - fy) * (1 - fx) * at(x, batch[p[0]], p[1], y0, x0), (1 - fy) * fx * at(x, batch[p[0]], p[1], y0, x1),
						fy * (1 - fx) * at(x, batch[p[0]], p[1], y1, x0), fy * fx * at(x, batch[p[0]], p[1], y1, x1)} {
						sum += c
						top = max(top, c)
					}
				}
			}
			if mode == "max" {
				return float32(top)
			}
			return float32(sum / float64(gh*gw))
		})
		in := []*tensor.Tensor{x, tensor.From(rois, n, 4), ints64(batch)}
		expect(t, []any{"RoiAlign", x, rois, batch, a}, evaluate(t, "RoiAlign", a, in, 1)[0], tensor.Shape{n, x.Shape[1], oh, ow}, want)
	}
}

// Regions of whole elements, of which each bin gives the largest.
func TestMaxRoiPools(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawFloats(rng, append(tensor.Shape{1 + rng.IntN(2), 1 + rng.IntN(2)}, drawShape(rng, 2)...))
		n, oh, ow := 1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3)
		var rois []float32
		for range n {
			left, up := rng.IntN(5), rng.IntN(5)
			rois = append(rois, float32(rng.IntN(x.Shape[0])), float32(left), float32(up), float32(left+rng.IntN(5)), float32(up+rng.IntN(5)))
		}
		a := attr.Attrs{"spatial_scale": float32(1)}
		a.Set("pooled_shape", []int{oh, ow})
		out := tensor.Shape{n, x.Shape[1], oh, ow}
		want := build(out, func(p []int) float32 {
			r := rois[5*p[0]:][:5]
			top, any := 0.0, false
			for i := range x.Shape[2] {
				for j := range x.Shape[3] {
					// Element i, from the region's beginning, lies in bin b of n where floor(b*size/n) <= i < ceil((b+1)*size/n).
					in := func(i int, lo, hi float32, b, n int) bool {
						i, size := i-int(lo), int(hi-lo)+1
						return i >= b*size/n && i < ((b+1)*size+n-1)/n
					}
					if in(i, r[2], r[4], p[2], oh) && in(j, r[1], r[3], p[3], ow) {
						if v := at(x, int(r[0]), p[1], i, j); !any || v > top {
							top, any = v, true
						}
					}
				}
			}
			return float32(top)
		})
		expect(t, []any{"MaxRoiPool", x, rois, a}, evaluate(t, "MaxRoiPool", a, []*tensor.Tensor{x, tensor.From(rois, n, 5)}, 1)[0], out, want)
	}
}
