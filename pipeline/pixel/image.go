package pixel

import (
	"errors"
	"fmt"
)

// ErrTooLarge is wrapped by errors about pictures that pass a limit.
var ErrTooLarge = errors.New("picture too large")

// Image is a picture of 8-bit RGB, rows from top to bottom, three bytes per pixel, no padding.
type Image struct {
	W, H int
	Pix  []byte // 3*W*H bytes
}

// New allocates a black picture. The caller has checked the size.
func New(w, h int) *Image { return &Image{W: w, H: h, Pix: make([]byte, 3*w*h)} }

// Limits bounds what is decoded. They are checked before the picture is allocated.
type Limits struct {
	// Pixels is the largest width times height; 0 means DefaultPixels.
	Pixels int
}

// DefaultPixels is the largest picture that is decoded unless the caller says otherwise.
const DefaultPixels = 1 << 26

// Check reports whether a picture of w by h may be allocated.
func (l Limits) Check(w, h int) error {
	limit := l.Pixels
	if limit == 0 {
		limit = DefaultPixels
	}
	if w <= 0 || h <= 0 {
		return fmt.Errorf("picture of %d x %d pixels", w, h)
	}
	if w > limit/h {
		return fmt.Errorf("%w: %d x %d, limit %d pixels", ErrTooLarge, w, h, limit)
	}
	return nil
}

// Crop copies the rectangle with corner (x, y). Parts outside the picture are filled with pad.
func Crop(m *Image, x, y, w, h int, pad [3]byte) *Image {
	if x == 0 && y == 0 && w == m.W && h == m.H {
		return m
	}
	r := New(w, h)
	inside := x >= 0 && y >= 0 && x+w <= m.W && y+h <= m.H
	if !inside && pad != [3]byte{} {
		for i := 0; i < len(r.Pix); i += 3 {
			copy(r.Pix[i:], pad[:])
		}
	}
	x0, x1 := max(0, x), min(m.W, x+w)
	if x0 >= x1 {
		return r
	}
	for sy := max(0, y); sy < min(m.H, y+h); sy++ {
		copy(r.Pix[3*((sy-y)*w+x0-x):], m.Pix[3*(sy*m.W+x0):3*(sy*m.W+x1)])
	}
	return r
}

// Orient applies an EXIF orientation, 1 to 8; any other value leaves the picture as it is.
func Orient(m *Image, orientation int) *Image {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.W, m.H
	r := New(w, h)
	if orientation >= 5 {
		r.W, r.H = h, w
	}
	for y := range r.H {
		for x := range r.W {
			var sx, sy int
			switch orientation {
			case 2: // mirrored
				sx, sy = w-1-x, y
			case 3: // turned by 180 degrees
				sx, sy = w-1-x, h-1-y
			case 4: // mirrored top to bottom
				sx, sy = x, h-1-y
			case 5: // transposed
				sx, sy = y, x
			case 6: // to be turned clockwise
				sx, sy = y, h-1-x
			case 7: // transverse
				sx, sy = w-1-y, h-1-x
			case 8: // to be turned anticlockwise
				sx, sy = w-1-y, x
			}
			copy(r.Pix[3*(y*r.W+x):3*(y*r.W+x)+3], m.Pix[3*(sy*w+sx):])
		}
	}
	return r
}

// Gray is the luma of one pixel: (19595 R + 38470 G + 7471 B + 2^15) >> 16.
func Gray(r, g, b byte) byte {
	return byte((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// Map takes a point of the prepared picture to the original one, per axis: original = prepared*Scale + Off.
// Coordinates are continuous: pixel i covers [i, i+1).
type Map struct {
	ScaleX, OffX, ScaleY, OffY float64
}

// Identity maps every point to itself.
func Identity() Map { return Map{ScaleX: 1, ScaleY: 1} }

// Resized adds a step from w by h to nw by nh pixels.
func (m Map) Resized(w, h, nw, nh int) Map {
	m.ScaleX *= float64(w) / float64(nw)
	m.ScaleY *= float64(h) / float64(nh)
	return m
}

// Cropped adds a step that takes the rectangle at (x, y); both are negative where padding was added.
func (m Map) Cropped(x, y int) Map {
	m.OffX += float64(float64(x) * m.ScaleX)
	m.OffY += float64(float64(y) * m.ScaleY)
	return m
}

// Apply maps one point.
func (m Map) Apply(x, y float64) (float64, float64) {
	return float64(x*m.ScaleX) + m.OffX, float64(y*m.ScaleY) + m.OffY
}
