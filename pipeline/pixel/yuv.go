package pixel

import (
	"fmt"
	"slices"
)

// Matrix is the standard that fixes the colour primaries' luma weights.
type Matrix int

// The colour matrices.
const (
	BT601 Matrix = iota // Kr 0.299, Kb 0.114
	BT709               // Kr 0.2126, Kb 0.0722
)

// Range says which codes stand for black and white.
type Range int

// The ranges.
const (
	Limited Range = iota // luma 16 to 235, chroma 16 to 240
	Full                 // 0 to 255
)

// Siting says where the chroma samples lie, and so how they are interpolated.
type Siting int

// The sitings. Weights are in docs/pipeline.md.
const (
	Replicate Siting = iota // every pixel of a block takes the block's sample
	Centre                  // samples lie in the middle of their block (JPEG, MPEG-1)
	Left                    // on the left column of their block, between the rows (MPEG-2, H.264)
)

// coef holds the matrix scaled by 2^16:
//
//	r = cy*(Y-y0) + rv*(V-128)
//	g = cy*(Y-y0) - gu*(U-128) - gv*(V-128)
//	b = cy*(Y-y0) + bu*(U-128)
//
// each then (x + 2^15) >> 16, saturated to 0..255.
type coef struct{ y0, cy, rv, gu, gv, bu int32 }

var matrices = [2][2]coef{
	BT601: {Limited: {16, 76309, 104597, 25675, 53279, 132201}, Full: {0, 65536, 91881, 22553, 46802, 116130}},
	BT709: {Limited: {16, 76309, 117489, 13975, 34925, 138438}, Full: {0, 65536, 103206, 12276, 30679, 121609}},
}

// jfif is BT.601 full range with the rounded coefficients that the JFIF standard prints (0.34414, 0.71414).
var jfif = coef{0, 65536, 91881, 22554, 46802, 116130}

type subsampling struct{ h, v int }

// plane is one component: sample (x, y) is at data[y*stride+x*step].
type plane struct {
	data         []byte
	stride, step int
}

type planes struct {
	w, h      int
	y, cb, cr plane
	subsampling
}

func (p planes) rgb(k *coef, siting Siting) *Image {
	m := New(p.w, p.h)
	cw := (p.w + p.subsampling.h - 1) / p.subsampling.h
	ub, vb := make([]byte, p.w), make([]byte, p.w)
	tmp := make([]int32, cw)
	for y := range p.h {
		p.chromaRow(ub, tmp, p.cb, y, siting)
		p.chromaRow(vb, tmp, p.cr, y, siting)
		yrow := p.y.data[y*p.y.stride:]
		out := m.Pix[3*y*p.w : 3*(y+1)*p.w]
		for x, xs := 0, 0; x < p.w; x, xs = x+1, xs+p.y.step {
			l := k.cy*(int32(yrow[xs])-k.y0) + 1<<15
			u, v := int32(ub[x])-128, int32(vb[x])-128
			out[3*x] = clip8((l + k.rv*v) >> 16)
			out[3*x+1] = clip8((l - k.gu*u - k.gv*v) >> 16)
			out[3*x+2] = clip8((l + k.bu*u) >> 16)
		}
	}
	return m
}

func clip8(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

// chromaRow writes the chroma of picture row y at full width. With n the nearer and f the farther row, vertical
// interpolation is 3n+f (quarters); horizontally, Centre weighs 3:1, Left takes the sample or the mean of two.
// The last bit is rounded as libjpeg does: up on even columns, down on odd ones.
func (p planes) chromaRow(dst []byte, tmp []int32, c plane, y int, siting Siting) {
	ch := (p.h + p.v - 1) / p.v
	cw := len(tmp)
	near := y / p.v
	row := c.data[near*c.stride:]
	if siting == Replicate || p.subsampling.h > 2 || p.v > 2 || p.subsampling.h == 1 && p.v == 1 {
		h := p.subsampling.h
		for x := range dst {
			dst[x] = row[x/h*c.step]
		}
		return
	}
	shift := 0
	if p.v == 2 {
		far := near - 1 + 2*(y&1)
		far = min(max(far, 0), ch-1)
		frow := c.data[far*c.stride:]
		for i := range cw {
			tmp[i] = 3*int32(row[i*c.step]) + int32(frow[i*c.step])
		}
		shift = 2
	} else {
		for i := range cw {
			tmp[i] = int32(row[i*c.step])
		}
	}
	if p.subsampling.h == 1 {
		bias := int32(1 + y&1)
		for x := range dst {
			dst[x] = byte((tmp[x] + bias) >> 2)
		}
		return
	}
	even, odd := int32(1), int32(2)
	if shift == 2 {
		even, odd = 8, 7
	}
	for x := range dst {
		i := x / 2
		t := tmp[i]
		switch {
		case siting == Left && x&1 == 0:
			dst[x] = byte((t + int32(shift)) >> shift)
		case siting == Left:
			dst[x] = byte((t + tmp[min(i+1, cw-1)] + 1<<shift) >> (shift + 1))
		case x&1 == 0:
			dst[x] = byte((3*t + tmp[max(i-1, 0)] + even) >> (shift + 2))
		default:
			dst[x] = byte((3*t + tmp[min(i+1, cw-1)] + odd) >> (shift + 2))
		}
	}
}

// Frame is a raw picture as a camera delivers it.
type Frame struct {
	// Format is one of FrameFormats.
	Format string
	W, H   int
	// Stride is the bytes per row of the first plane; 0 means no padding. NV12 and NV21 use it for the chroma plane too,
	// I420 half of it, rounded up.
	Stride int
	Data   []byte
	Matrix Matrix
	Range  Range
	Siting Siting
}

// FrameFormats lists the raw formats: planar 4:2:0 (nv12, nv21, i420), packed 4:2:2 (yuyv, uyvy), and packed 8-bit
// colour (rgb, bgr, gray).
var FrameFormats = []string{"nv12", "nv21", "i420", "yuyv", "uyvy", "rgb", "bgr", "gray"}

// RGB converts the frame.
func (f *Frame) RGB(lim Limits) (*Image, error) {
	if err := lim.Check(f.W, f.H); err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if !slices.Contains(FrameFormats, f.Format) {
		return nil, fmt.Errorf("frame: unknown format %q, known: %v", f.Format, FrameFormats)
	}
	if f.Matrix < BT601 || f.Matrix > BT709 || f.Range < Limited || f.Range > Full || f.Siting < Replicate || f.Siting > Left {
		return nil, fmt.Errorf("frame: unknown matrix, range or siting")
	}
	cw, ch := (f.W+1)/2, (f.H+1)/2
	row, planar := f.W, false
	switch f.Format {
	case "nv12", "nv21":
		row, planar = 2*cw, true
	case "i420":
		planar = true
	case "yuyv", "uyvy":
		row = 4 * cw
	case "rgb", "bgr":
		row = 3 * f.W
	}
	stride := f.Stride
	if stride == 0 {
		stride = row
	}
	if stride < row || stride > 1<<24 {
		return nil, fmt.Errorf("frame: stride %d, a row takes %d bytes", stride, row)
	}
	cstride := stride
	if f.Format == "i420" {
		cstride = (stride + 1) / 2
	}
	need := stride*(f.H-1) + row
	ysize := stride * f.H
	switch {
	case f.Format == "i420":
		need = ysize + cstride*ch + cstride*(ch-1) + cw
	case planar:
		need = ysize + cstride*(ch-1) + 2*cw
	}
	if len(f.Data) < need {
		return nil, fmt.Errorf("frame: %d bytes, %s of %d x %d takes %d", len(f.Data), f.Format, f.W, f.H, need)
	}
	d := f.Data
	p := planes{w: f.W, h: f.H, y: plane{d, stride, 1}, subsampling: subsampling{2, 2}}
	switch f.Format {
	case "nv12":
		p.cb, p.cr = plane{d[ysize:], cstride, 2}, plane{d[ysize+1:], cstride, 2}
	case "nv21":
		p.cr, p.cb = plane{d[ysize:], cstride, 2}, plane{d[ysize+1:], cstride, 2}
	case "i420":
		p.cb, p.cr = plane{d[ysize:], cstride, 1}, plane{d[ysize+cstride*ch:], cstride, 1}
	case "yuyv":
		p.v = 1
		p.y.step, p.cb, p.cr = 2, plane{d[1:], stride, 4}, plane{d[3:], stride, 4}
	case "uyvy":
		p.v = 1
		p.y, p.cb, p.cr = plane{d[1:], stride, 2}, plane{d, stride, 4}, plane{d[2:], stride, 4}
	default:
		m := New(f.W, f.H)
		for y := range f.H {
			r := d[y*stride:]
			for x := range f.W {
				switch f.Format {
				case "rgb":
					m.set(x, y, r[3*x], r[3*x+1], r[3*x+2])
				case "bgr":
					m.set(x, y, r[3*x+2], r[3*x+1], r[3*x])
				default:
					m.set(x, y, r[x], r[x], r[x])
				}
			}
		}
		return m, nil
	}
	return p.rgb(&matrices[f.Matrix][f.Range], f.Siting), nil
}
