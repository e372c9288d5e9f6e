package container

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/huff0"
)

// Weights seldom repeat, so matches gain nothing and their coding costs: an entropy coder alone does better. entropyFrame
// writes a standard zstd frame (RFC 8878) whose blocks hold nothing but Huffman-coded literals; any zstd decoder reads it.
// Where one block ends and the next begins is chosen so that the estimated size is smallest.
const (
	piece    = 2 << 10          // blocks are multiples of this
	maxBlock = 128 << 10        // of zstd
	maxRun   = maxBlock / piece // pieces in a block
	tableMin = 12               // estimated bytes of a block's headers and smallest table
)

type histogram [256]uint32

// Sizes are estimated in integers, in units of 1/65536, so that every machine writes the same bytes.
const one = 1 << 16

// xlogx holds c * log2(c) for the counts that a block can have.
var xlogx = sync.OnceValue(func() *[maxBlock + 1]int64 {
	var t [maxBlock + 1]int64
	for c := range t {
		t[c] = int64(c) * log2(uint32(c))
	}
	return &t
})

// log2 is the logarithm of c rounded down; 0 for 0.
func log2(c uint32) int64 {
	if c == 0 {
		return 0
	}
	n := bits.Len32(c) - 1
	l := int64(n) * one
	x := uint64(c) << (31 - n) // in 1 ... 2, with 31 bits behind the point
	for bit := int64(one / 2); bit > 0; bit /= 2 {
		if x = x * x >> 31; x >= 1<<32 {
			l += bit
			x >>= 1
		}
	}
	return l
}

// cost estimates the bytes that a block of n bytes with this histogram takes.
func (h *histogram) cost(n int, t *[maxBlock + 1]int64) int64 {
	bits, symbols := t[n], int64(0)
	for _, c := range h {
		if c > 0 {
			symbols++
			bits -= t[c]
		}
	}
	if symbols == 1 {
		return 4 * one
	}
	return min(bits/8+tableMin*one+symbols*one*5/11, int64(n+3)*one)
}

func (h *histogram) count(b []byte) {
	for _, c := range b {
		h[c]++
	}
}

func (h *histogram) add(g *histogram) {
	for i, c := range g {
		h[i] += c
	}
}

// blockEnds splits b by dynamic programming over its pieces.
func blockEnds(b []byte) []int {
	n := (len(b) + piece - 1) / piece
	best := make([]int64, n+1)
	from := make([]int, n+1)
	t := xlogx()
	pieces := make([]histogram, n)
	for i := range pieces {
		pieces[i].count(b[i*piece : min((i+1)*piece, len(b))])
	}
	for i := 1; i <= n; i++ {
		best[i] = math.MaxInt64
		var h histogram
		end := min(i*piece, len(b))
		for j := i - 1; j >= 0 && j >= i-maxRun; j-- {
			h.add(&pieces[j])
			if c := best[j] + h.cost(end-j*piece, t); c < best[i] {
				best[i], from[i] = c, j
			}
		}
	}
	var ends []int
	for i := n; i > 0; i = from[i] {
		ends = append(ends, min(i*piece, len(b)))
	}
	for i, j := 0, len(ends)-1; i < j; i, j = i+1, j-1 {
		ends[i], ends[j] = ends[j], ends[i]
	}
	return ends
}

// entropyFrame appends the frame of b, which is not empty, to dst.
func entropyFrame(dst, b []byte) []byte {
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd)
	// Frame header: single segment, no checksum, no dictionary, content size in 1, 2 or 4 bytes.
	switch n := len(b); {
	case n < 256:
		dst = append(dst, 0<<6|1<<5, byte(n))
	case n < 65536+256:
		dst = binary.LittleEndian.AppendUint16(append(dst, 1<<6|1<<5), uint16(n-256))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 2<<6|1<<5), uint32(n))
	}
	at := 0
	for _, end := range blockEnds(b) {
		dst = entropyBlock(dst, b[at:end], end == len(b))
		at = end
	}
	return dst
}

// entropyBlock appends one block: raw, one repeated byte, or Huffman-coded literals with no sequences.
func entropyBlock(dst, b []byte, last bool) []byte {
	const raw, rle, compressed = 0, 1, 2
	head := func(kind, size int) []byte {
		h := uint32(kind)<<1 | uint32(size)<<3
		if last {
			h |= 1
		}
		return append(dst, byte(h), byte(h>>8), byte(h>>16))
	}
	s := &huff0.Scratch{Reuse: huff0.ReusePolicyNone}
	// The header of the literals: one stream and 10-bit sizes below 1 KiB, else four streams and 14- or 18-bit sizes.
	format, bits := 0, 10
	code := huff0.Compress1X
	if len(b) >= 1<<10 {
		format, bits, code = 2, 14, huff0.Compress4X
		if len(b) >= 1<<14 {
			format, bits = 3, 18
		}
	}
	out, _, err := code(b, s)
	if err == huff0.ErrUseRLE {
		return append(head(rle, len(b)), b[0])
	}
	headLen := (4 + 2*bits) / 8
	if 4+2*bits > 8*headLen {
		headLen++
	}
	size := headLen + len(out) + 1
	if err != nil || size >= len(b) {
		return append(head(raw, len(b)), b...)
	}
	dst = head(compressed, size)
	lit := uint64(2) | uint64(format)<<2 | uint64(len(b))<<4 | uint64(len(out))<<(4+bits)
	for range headLen {
		dst = append(dst, byte(lit))
		lit >>= 8
	}
	return append(append(dst, out...), 0)
}
