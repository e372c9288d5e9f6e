package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoding says how a chunk's bytes are stored.
type Encoding uint8

// The encodings. Planes take the chunk as little-endian elements of 16, 32 or 64 bits and store all lowest bytes, then
// all second ones and so on; Rot rotates each element left by one bit before, so that a float's exponent fills its
// highest byte and the sign joins the mantissa. Nibbles hold bytes of 0…15 or, signed, -8…7, two in a byte, low first.
const (
	Raw       Encoding = iota
	Zstd               // one or more zstd frames
	Planes16           // the planes as zstd
	Planes32           //
	Planes64           //
	Rot16              // the planes of rotated elements as zstd
	Rot32              //
	Rot64              //
	NibblesU           // packed nibbles
	NibblesS           // packed nibbles, sign-extended
	encodings          // the number of encodings
)

var encodingNames = [encodings]string{
	"raw", "zstd", "planes16", "planes32", "planes64", "rot16", "rot32", "rot64", "nibbles", "nibbles-signed",
}

// String returns the name that FORMAT.md gives the encoding.
func (e Encoding) String() string {
	if e < encodings {
		return encodingNames[e]
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// width is the element size of a plane encoding in bytes, 0 for others.
func (e Encoding) width() int {
	switch e {
	case Planes16, Rot16:
		return 2
	case Planes32, Rot32:
		return 4
	case Planes64, Rot64:
		return 8
	}
	return 0
}

func (e Encoding) rotated() bool { return e >= Rot16 && e <= Rot64 }

var (
	zstdBest  = zstdEncoder(zstd.SpeedBestCompression)
	zstdProbe = zstdEncoder(zstd.SpeedFastest)
)

func zstdEncoder(level zstd.EncoderLevel) func() *zstd.Encoder {
	return sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithWindowSize(MaxChunk), zstd.WithAllLitEntropyCompression(true))
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return e
	})
}

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(MaxManifest),
		zstd.WithDecoderMaxWindow(MaxManifest), zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
})

// compress is the smaller of a general zstd frame of b and one of entropy coding alone.
func compress(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	best := entropyFrame(nil, b)
	// A mantissa's low bytes are noise, on which the best level takes longest and gains nothing.
	if noise := len(b) - len(b)/64; len(best) > noise && len(zstdProbe().EncodeAll(b, nil)) > noise {
		return best
	}
	if z := zstdBest().EncodeAll(b, nil); len(z) < len(best) {
		return z
	}
	return best
}

// decompress decodes zstd frames that must fill dst exactly.
func decompress(dst, b []byte) error {
	out, err := zstdDecoder().DecodeAll(b, dst[:0:len(dst)])
	if err != nil {
		return err
	}
	if len(out) != len(dst) {
		return fmt.Errorf("%d bytes decoded, %d declared", len(out), len(dst))
	}
	return nil
}

// encode stores a chunk of elements of width bytes in the smallest form.
func encode(b []byte, width int, float bool) (Encoding, []byte) {
	enc, best := Raw, b
	try := func(e Encoding, s []byte) {
		if s != nil && len(s) < len(best) {
			enc, best = e, s
		}
	}
	for _, e := range []Encoding{NibblesU, NibblesS} {
		try(e, packNibbles(b, e))
	}
	try(Zstd, compress(b))
	if width == 1 || len(b)%width != 0 {
		return enc, best
	}
	for e := Planes16; e <= Rot64; e++ {
		if e.width() != width || e.rotated() && !float {
			continue
		}
		p := split(b, e)
		var s []byte
		for n := len(b) / width; len(p) > 0; p = p[n:] {
			s = append(s, compress(p[:n])...)
		}
		try(e, s)
	}
	return enc, best
}

// decode is the inverse of encode. It fills dst.
func decode(e Encoding, dst, stored []byte, s *buffers) error {
	switch {
	case e == Raw:
		if len(stored) != len(dst) {
			return fmt.Errorf("%d bytes stored raw, %d declared", len(stored), len(dst))
		}
		copy(dst, stored)
		return nil
	case e == Zstd:
		return decompress(dst, stored)
	case e.width() > 0:
		if len(dst)%e.width() != 0 {
			return fmt.Errorf("%d bytes are no whole elements of %v", len(dst), e)
		}
		p := grow(&s.planes, len(dst))
		if err := decompress(p, stored); err != nil {
			return err
		}
		join(dst, p, e)
		return nil
	case e == NibblesU || e == NibblesS:
		return unpackNibbles(dst, stored, e)
	}
	return errors.New("unknown encoding")
}

// split turns elements into planes.
func split(b []byte, e Encoding) []byte {
	w := e.width()
	n := len(b) / w
	p := make([]byte, len(b))
	for i := range n {
		v := load(b[i*w:], w)
		if e.rotated() {
			v = v<<1 | v>>(8*w-1)&1
		}
		for k := range w {
			p[k*n+i] = byte(v >> (8 * k))
		}
	}
	return p
}

// join is the inverse of split. It fills b.
func join(b, p []byte, e Encoding) {
	w := e.width()
	n := len(p) / w
	turn := 0
	if e.rotated() {
		turn = -1
	}
	plane := func(k int) []byte { return p[k*n:][:n:n] }
	switch w {
	case 2:
		p0, p1 := plane(0), plane(1)
		p1 = p1[:len(p0)]
		for i, v := range p0 {
			x := uint16(v) | uint16(p1[i])<<8
			binary.LittleEndian.PutUint16(b[2*i:2*i+2:2*i+2], bits.RotateLeft16(x, turn))
		}
	case 4:
		p0, p1, p2, p3 := plane(0), plane(1), plane(2), plane(3)
		p1, p2, p3 = p1[:len(p0)], p2[:len(p0)], p3[:len(p0)] // so that the loop does not check the bounds of each
		for i, v := range p0 {
			x := uint32(v) | uint32(p1[i])<<8 | uint32(p2[i])<<16 | uint32(p3[i])<<24
			binary.LittleEndian.PutUint32(b[4*i:4*i+4:4*i+4], bits.RotateLeft32(x, turn))
		}
	default:
		for i := range n {
			var x uint64
			for k := range w {
				x |= uint64(p[k*n+i]) << (8 * k)
			}
			binary.LittleEndian.PutUint64(b[8*i:], bits.RotateLeft64(x, turn))
		}
	}
}

func load(b []byte, w int) uint64 {
	var v uint64
	for k := range w {
		v |= uint64(b[k]) << (8 * k)
	}
	return v
}

// nibble is the byte that a nibble stands for.
func nibble(v byte, e Encoding) byte {
	if e == NibblesS {
		return byte(int8(v<<4) >> 4)
	}
	return v & 15
}

// packNibbles returns nil where some byte does not fit.
func packNibbles(b []byte, e Encoding) []byte {
	for _, v := range b {
		if nibble(v, e) != v {
			return nil
		}
	}
	s := make([]byte, (len(b)+1)/2)
	for i, v := range b {
		s[i/2] |= v & 15 << (4 * (i & 1))
	}
	return s
}

// unpackNibbles fills b.
func unpackNibbles(b, s []byte, e Encoding) error {
	if len(s) != (len(b)+1)/2 {
		return fmt.Errorf("%d bytes of nibbles for %d bytes", len(s), len(b))
	}
	for i := range b {
		b[i] = nibble(s[i/2]>>(4*(i&1)), e)
	}
	return nil
}
