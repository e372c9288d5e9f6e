package ref

import (
	"unsafe"

	"github.com/edgerun/edgerun/internal/fmath"
	"github.com/edgerun/edgerun/kernels/spec"
)

// The points of the transforms; see spec.WinogradArgs.
const (
	pointA  = 3.0 / 4
	pointB  = 3.0 / 2
	squareA = pointA * pointA
	squareB = pointB * pointB
)

func winogradIn(a *spec.WinogradArgs) {
	index := (*[36]int32)(a.Index)
	for c := range a.Channels {
		var x [6][6]float32
		for i, at := range index {
			p := a.Zero
			if at >= 0 {
				p = unsafe.Add(a.X, int(at)*a.XStride)
			}
			x[i%6][i/6] = *(*float32)(unsafe.Add(p, 4*c))
		}
		var half [6][6]float32 // rows of the tile
		for j, column := range x {
			for i, v := range forward(column) {
				half[i][j] = v
			}
		}
		for i, line := range half {
			for j, v := range forward(line) {
				*(*float32)(unsafe.Add(a.Y, (6*i+j)*a.YStride+4*c)) = v
			}
		}
	}
}

// forward is B'(d).
func forward(d [6]float32) [6]float32 {
	f := fmath.FMA
	even, odd := f(-squareB, d[2], d[4]), f(-squareB, d[1], d[3])
	even2, odd2 := f(-squareA, d[2], d[4]), f(-squareA, d[1], d[3])
	return [6]float32{
		f(squareA*squareB, d[0], f(-squareA-squareB, d[2], d[4])),
		f(pointA, odd, even), f(-pointA, odd, even),
		f(pointB, odd2, even2), f(-pointB, odd2, even2),
		f(squareA*squareB, d[1], f(-squareA-squareB, d[3], d[5])),
	}
}

func winogradOut(a *spec.WinogradArgs) {
	for c := range a.Channels {
		var half [4][6]float32
		for j := range 6 {
			var m [6]float32
			for i := range m {
				m[i] = *(*float32)(unsafe.Add(a.X, (6*i+j)*a.XStride+4*c))
			}
			for i, v := range inverse(m) {
				half[i][j] = v
			}
		}
		bias := float32(0)
		if a.Bias != nil {
			bias = *(*float32)(unsafe.Add(a.Bias, 4*c))
		}
		for i := range a.Rows {
			y := inverse(half[i])
			for j := range a.Cols {
				*(*float32)(unsafe.Add(a.Y, i*a.LineStride+j*a.YStride+4*c)) = Clamp(y[j]+bias, a.Lo, a.Hi)
			}
		}
	}
}

// inverse is A'(m).
func inverse(m [6]float32) [4]float32 {
	f := fmath.FMA
	s, t, u, w := m[1]+m[2], m[3]+m[4], m[1]-m[2], m[3]-m[4]
	return [4]float32{
		(m[0] + s) + t,
		f(pointB, w, float32(pointA*u)),
		f(squareB, t, float32(squareA*s)),
		f(squareB*pointB, w, f(squareA*pointA, u, m[5])),
	}
}
