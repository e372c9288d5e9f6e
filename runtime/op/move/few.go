package move

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// mostFew is the largest number of channels that are taken apart or put together in one go.
const mostFew = 4

// turnFew is turn where few elements, as the channels of an image, follow each other on one side: they are taken apart, or put together, element by
// element, and long lines are read and written on the other side. It is nil where neither side is so.
func turnFew[T word](w *walker, c *op.Call, x, y *tensor.Tensor, d int) func() {
	last := len(w.dims) - 1
	apart := w.dims[d] <= mostFew && w.src[last] == w.dims[d] && w.dst[d] > 0
	together := w.dims[last] <= mostFew && w.dst[d] == w.dims[last] && w.src[last] > 0
	if !apart && !together {
		return nil
	}
	k, long, step := w.dims[d], w.dims[last], w.dst[d] // step is that of the lines
	if !apart {
		k, long, step = w.dims[last], w.dims[d], w.src[last]
	}
	const piece = 1 << 12
	outer := w.without(d)
	n, pieces := len(outer.dims), (long+piece-1)/piece
	body := func(lo, hi int) {
		in, out := words[T](x), words[T](y)
		for i := lo; i < hi; i++ {
			p := outer.place(i/pieces, n)
			at := i % pieces * piece
			size := min(piece, long-at)
			if apart {
				takeApart(out[p.to+at:], in[p.from+at*k:], k, size, step)
			} else {
				putTogether(out[p.to+at*k:], in[p.from+at:], k, size, step)
			}
		}
	}
	total, grain := w.n/(k*long)*pieces, 1+(1<<14)/(k*min(piece, long))
	return func() { c.Par.For(total, grain, body) }
}

// takeApart: y[c*step+i] = x[i*k+c], for c < k, i < n; k is 2 to 4.
func takeApart[T word](y, x []T, k, n, step int) {
	x, y0 := x[:k*n], y[:n]
	switch k {
	case 2:
		y1 := y[step:][:len(y0)]
		for i := range y0 {
			y0[i], y1[i] = x[0], x[1]
			x = x[2:]
		}
	case 3:
		y1, y2 := y[step:][:len(y0)], y[2*step:][:len(y0)]
		for i := range y0 {
			y0[i], y1[i], y2[i] = x[0], x[1], x[2]
			x = x[3:]
		}
	case 4:
		y1, y2, y3 := y[step:][:len(y0)], y[2*step:][:len(y0)], y[3*step:][:len(y0)]
		for i := range y0 {
			y0[i], y1[i], y2[i], y3[i] = x[0], x[1], x[2], x[3]
			x = x[4:]
		}
	}
}

// putTogether: y[i*k+c] = x[c*step+i], for c < k, i < n; k is 2 to 4.
func putTogether[T word](y, x []T, k, n, step int) {
	y, x0 := y[:k*n], x[:n]
	switch k {
	case 2:
		x1 := x[step:][:len(x0)]
		for i := range x0 {
			y[0], y[1] = x0[i], x1[i]
			y = y[2:]
		}
	case 3:
		x1, x2 := x[step:][:len(x0)], x[2*step:][:len(x0)]
		for i := range x0 {
			y[0], y[1], y[2] = x0[i], x1[i], x2[i]
			y = y[3:]
		}
	case 4:
		x1, x2, x3 := x[step:][:len(x0)], x[2*step:][:len(x0)], x[3*step:][:len(x0)]
		for i := range x0 {
			y[0], y[1], y[2], y[3] = x0[i], x1[i], x2[i], x3[i]
			y = y[4:]
		}
	}
}
