package nn

import (
	"fmt"
	"math"
	"runtime"

	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/kernels/spec"
	"github.com/edgerun/edgerun/runtime/op"
	"github.com/edgerun/edgerun/runtime/op/elem"
)

// Winograd's F(4x4, 3x3): 4x4 outputs come from 6x6 inputs, through 36 products of the transformed tiles with the transformed weights,
//
//	Y = A'[(GwG') · (B'XB)]A
//
// where · multiplies element by element and sums over the channels. spec.WinogradArgs gives A and B.
const (
	winogradIn  = 6
	winogradOut = 4
	planes      = winogradIn * winogradIn
)

// winogradG is G, whose rows belong to the points 0, ±3/4, ±3/2 and infinity.
var winogradG = [winogradIn][3]float64{
	{1 / 1.265625, 0, 0},
	{1 / -1.8984375, .75 / -1.8984375, .5625 / -1.8984375},
	{1 / -1.8984375, -.75 / -1.8984375, .5625 / -1.8984375},
	{1 / 7.59375, 1.5 / 7.59375, 2.25 / 7.59375},
	{1 / 7.59375, -1.5 / 7.59375, 2.25 / 7.59375},
	{0, 0, 1},
}

// winograd reports whether numerics fp32w compute the convolution by tiles. This is part of what they mean, so it depends on one image's geometry alone: with
// a multiply-add of a product for the unit, it weighs those of either way, reading the weights, and the transforms.
func (v *conv) winograd(c *op.Call) bool {
	if c.Num != num.FP32W || v.rank != 2 || v.kernel != [3]int{1, 3, 3} || v.stride != [3]int{1, 1, 1} || v.dilation != [3]int{1, 1, 1} {
		return false
	}
	const read, each, forward, inverse = 32, 15000, 300, 250
	down, across := v.tiles()
	tiles, in, out := float64(down*across), float64(v.cg), float64(v.og)
	direct := 9 * in * out * (float64(v.pos) + read)
	return direct > planes*in*out*(tiles+read)+tiles*(each+forward*in+inverse*out)
}

// tiles are the numbers of tiles of an image.
func (v *conv) tiles() (down, across int) {
	return ceil(v.out[1], winogradOut), ceil(v.out[2], winogradOut)
}

// winograd computes one group of a convolution.
type winograd struct {
	*conv
	gemm, forward      *spec.Row
	inverse            *spec.Row
	u                  []float32 // [panel][plane][cg][NR]
	index              []int32   // of the input's positions: [tile][36]
	zeros              []float32
	first              int // output channel
	lanes              []winogradLane
	rowShare, colShare int
	block              int // tiles that a share computes at once
	chain              *elem.Chain
	lo, hi             float32
	x, y, bias         []float32 // of this run
	body               func(lo, hi int)
}

// winogradLane is the scratch of one share.
type winogradLane struct {
	v, m    []float32 // transformed tiles, and sums of a panel: [36][tile][cg] and [36][tile][NR], planes at odd numbers of lines of the cache
	scratch []byte
	elem.ChainLane
	gemm spec.GemmArgs
	args spec.WinogradArgs
}

// winogradBlock bounds the transformed tiles, in bytes, that a share keeps in the second-level cache.
const winogradBlock = 768 << 10

// planeOf is what n elements of a plane take: an odd number of the cache's lines, so that planes do not compete for the same places in it.
func planeOf(n int) int { return 16 * (ceil(n, 16) | 1) }

// prepareWinograd returns the work of one run.
func prepareWinograd(c *op.Call, v *conv, w *source[float32], chain *elem.Chain, xs, ys, bs *[]float32, lo, hi float32) func() {
	const f = tensor.F32
	in, gemm, out := c.Select(spec.WinogradIn, f, f, f, f, c.Num), c.Select(spec.Gemm, f, f, f, f, c.Num), c.Select(spec.WinogradOut, f, f, f, f, c.Num)
	down, across := v.tiles()
	tiles := v.batch * down * across
	index := op.Common(c, fmt.Sprint("winograd index ", v.batch, v.in, v.out, v.begin), func() []int32 { return v.tileIndex(c, tiles, across) })
	var groups []*winograd
	for g := range v.group {
		e := &winograd{conv: v, gemm: gemm, forward: in, inverse: out, index: index, zeros: op.Make[float32](c, v.cg), first: g * v.og, chain: chain, lo: lo, hi: hi}
		c.Executes(gemm, planes*tiles*v.cg*v.og)
		e.u = e.pack(c, w)
		e.split(c, tiles)
		e.body = func(lo, hi int) {
			for l := lo; l < hi; l++ {
				e.share(&e.lanes[l], l/e.colShare, l%e.colShare)
			}
		}
		groups = append(groups, e)
	}
	return func() {
		if len(*bs) > 0 && len(*bs) < v.outC || len(*xs) < v.batch*v.inPos*v.channels || len(*ys) < v.m*v.outC {
			panic("BUG: input, bias or output are short")
		}
		for _, e := range groups {
			e.x, e.y, e.bias = *xs, *ys, *bs
			c.Par.For(len(e.lanes), 1, e.body)
		}
	}
}

// tileIndex gives the input position of each element of all tiles; -1 in the padding.
func (v *conv) tileIndex(c *op.Call, tiles, across int) []int32 {
	index := op.Make[int32](c, planes*tiles)
	down, _ := v.tiles()
	for t := range tiles {
		image, y0, x0 := t/(down*across), t/across%down*winogradOut-v.begin[1], t%across*winogradOut-v.begin[2]
		for i := range planes {
			y, x := y0+i/winogradIn, x0+i%winogradIn
			index[planes*t+i] = -1
			if y >= 0 && y < v.in[1] && x >= 0 && x < v.in[2] {
				index[planes*t+i] = int32(image*v.inPos + y*v.in[2] + x)
			}
		}
	}
	return index
}

// pack transforms the group's weights.
func (e *winograd) pack(c *op.Call, w *source[float32]) []float32 {
	nr := e.gemm.NR
	panels := ceil(e.og, nr)
	kind := fmt.Sprint(w.kind, "/winograd/", e.gemm.Name, "/", e.first, "of", e.outC, "/", e.cg)
	return op.PackedWeights(c, w.constant, kind, panels*planes*e.cg*nr, func(u []float32) {
		element := w.load()
		c.Par.For(panels, 1, func(lo, hi int) {
			for p := lo; p < hi; p++ {
				for k := range e.cg { // a line of each plane at a time
					to := u[(p*planes*e.cg+k)*nr:]
					for j := range min(nr, e.og-p*nr) {
						o := e.first + p*nr + j
						var taps [9]float64
						for t := range taps {
							taps[t] = float64(element((o*9+t)*e.cg+k, o))
						}
						for i, f := range transformed(&taps) {
							to[i*e.cg*nr+j] = f
						}
					}
				}
			}
		})
	})
}

// transformed is GwG', in float64 until the end.
func transformed(w *[9]float64) (u [planes]float32) {
	var half [3][winogradIn]float64 // columns
	for j := range half {
		half[j] = byTaps(w[j], w[3+j], w[6+j])
	}
	for i := range winogradIn {
		for j, f := range byTaps(half[0][i], half[1][i], half[2][i]) {
			u[winogradIn*i+j] = float32(f)
		}
	}
	return u
}

// byTaps is G's product with three taps.
func byTaps(w0, w1, w2 float64) [winogradIn]float64 {
	g := &winogradG
	even1, odd1 := float64(g[1][0]*w0)+float64(g[1][2]*w2), float64(g[1][1]*w1)
	even3, odd3 := float64(g[3][0]*w0)+float64(g[3][2]*w2), float64(g[3][1]*w1)
	return [winogradIn]float64{g[0][0] * w0, even1 + odd1, even1 - odd1, even3 + odd3, even3 - odd3, w2}
}

// split chooses the shares. Each transforms its tiles itself and reads all weights of its columns, so tiles are not cut finer than some rows of the product's
// tiles, and columns only where tiles are too few for the threads.
func (e *winograd) split(c *op.Call, tiles int) {
	work := float64(planes) * float64(tiles) * float64(e.cg) * float64(e.og) / 40
	shares := op.Shares(c.Par, 4*c.Par.Threads(), int(min(work, 1e9)))
	e.rowShare = max(1, min(shares, tiles/(3*e.gemm.MR)))
	e.colShare = min(ceil(min(shares, c.Par.Threads()), e.rowShare), ceil(e.og, e.gemm.NR))
	e.lanes = make([]winogradLane, e.rowShare*e.colShare)
	// Whole tiles of the product, in blocks of the largest share as even as these allow.
	groups := ceil(ceil(tiles, e.rowShare), e.gemm.MR)
	most := max(1, winogradBlock/(planes*4*(e.cg+e.gemm.NR)*e.gemm.MR))
	e.block = ceil(groups, ceil(groups, most)) * e.gemm.MR
	for i := range e.lanes {
		l := &e.lanes[i]
		l.v, l.m = op.Make[float32](c, planes*planeOf(e.block*e.cg)), op.Make[float32](c, planes*planeOf(e.block*e.gemm.NR))
		l.scratch = op.Make[byte](c, spec.WinogradScratch)
	}
}

// share computes part r of the tiles and part c of the columns.
func (e *winograd) share(l *winogradLane, r, c int) {
	down, across := e.tiles()
	tiles, panels, nr := e.batch*down*across, ceil(e.og, e.gemm.NR), e.gemm.NR
	p0, p1 := c*panels/e.colShare, (c+1)*panels/e.colShare
	t0, end := r*tiles/e.rowShare, (r+1)*tiles/e.rowShare
	for ; t0 < end; t0 += e.block {
		t1 := min(t0+e.block, end)
		e.transform(l, t0, t1)
		for p := p0; p < p1; p++ {
			e.products(l, t1-t0, p)
			e.results(l, t0, t1, p)
		}
		if e.chain != nil {
			e.follow(l, t0, t1, p0*nr, min(p1*nr, e.og))
		}
	}
	runtime.KeepAlive(l)
}

// transform brings tiles t0 to t1-1 into l.v.
func (e *winograd) transform(l *winogradLane, t0, t1 int) {
	run := e.forward.Func.(func(*spec.WinogradArgs))
	a := &l.args
	*a = spec.WinogradArgs{X: pointer(e.x[e.first/e.og*e.cg:]), Zero: pointer(e.zeros), Scratch: pointer(l.scratch), Channels: e.cg, XStride: 4 * e.channels,
		YStride: 4 * planeOf((t1-t0)*e.cg)}
	for t := t0; t < t1; t++ {
		a.Index, a.Y = pointer(e.index[planes*t:]), pointer(l.v[(t-t0)*e.cg:])
		run(a)
	}
}

// products multiplies so many transformed tiles with a panel of the weights.
func (e *winograd) products(l *winogradLane, tiles, panel int) {
	run := e.gemm.Func.(func(*spec.GemmArgs))
	mr, nr := e.gemm.MR, e.gemm.NR
	a := &l.gemm
	*a = spec.GemmArgs{AStride: 4 * e.cg, Taps: 1, K: e.cg, Cols: min(nr, e.og-panel*nr), CStride: nr, Lo: float32(math.Inf(-1)), Hi: float32(math.Inf(1))}
	v, m := planeOf(tiles*e.cg), planeOf(tiles*nr)
	for p := range planes {
		a.B = pointer(e.u[(panel*planes+p)*e.cg*nr:])
		for t := 0; t < tiles; t += mr {
			a.A, a.C, a.Rows = pointer(l.v[p*v+t*e.cg:]), pointer(l.m[p*m+t*nr:]), min(mr, tiles-t)
			run(a)
		}
	}
}

// results brings the sums of a panel back to the output, with bias and bounds.
func (e *winograd) results(l *winogradLane, t0, t1, panel int) {
	run := e.inverse.Func.(func(*spec.WinogradArgs))
	nr, first := e.gemm.NR, e.first+panel*e.gemm.NR
	a := &l.args
	*a = spec.WinogradArgs{Scratch: pointer(l.scratch), Channels: min(nr, e.og-panel*nr), XStride: 4 * planeOf((t1-t0)*nr),
		YStride: 4 * e.outC, LineStride: 4 * e.outC * e.out[2], Lo: e.lo, Hi: e.hi}
	if len(e.bias) > 0 {
		a.Bias = pointer(e.bias[first:])
	}
	for t := t0; t < t1; t++ {
		var at int
		at, a.Rows, a.Cols = e.place(t)
		a.X, a.Y = pointer(l.m[(t-t0)*nr:]), pointer(e.y[at*e.outC+first:])
		run(a)
	}
}

// place is the output position of a tile, and how much of it exists.
func (v *conv) place(tile int) (at, rows, cols int) {
	down, across := v.tiles()
	y, x := tile/across%down*winogradOut, tile%across*winogradOut
	return tile/(down*across)*v.pos + y*v.out[2] + x, min(winogradOut, v.out[1]-y), min(winogradOut, v.out[2]-x)
}

// follow applies the chain to columns from to to-1 of the group in tiles t0 to t1-1.
func (e *winograd) follow(l *winogradLane, t0, t1, from, to int) {
	_, across := e.tiles()
	for t := t0; t < t1; {
		next := min(t1, t-t%across+across) // the tiles of one line of tiles
		at, rows, _ := e.place(t)
		last, _, cols := e.place(next - 1)
		count, step, n := last+cols-at, e.outC, to-from
		if n == step { // positions follow each other
			count, n = 1, count*n
		}
		for i := range rows {
			for j := range count {
				first := (at+i*e.out[2]+j)*step + e.first + from
				y := e.y[first:][:n]
				e.chain.Apply(&l.ChainLane, y, y, first)
			}
		}
		t = next
	}
}
