package tensor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"slices"
)

// Digest is a short hash of types, shapes and elements: equal for tensors of the same bytes, where every NaN of 16 bits or more counts as one, as kernels
// promise no more. A tensor may be nil.
func Digest(list ...*Tensor) string {
	h := sha256.New()
	for _, t := range list {
		t.digest(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (t *Tensor) digest(h hash.Hash) {
	number := func(n int) { h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	if t == nil {
		number(-1)
		return
	}
	number(int(t.DType))
	number(len(t.Shape))
	for _, d := range t.Shape {
		number(d)
	}
	number(len(t.Elems))
	for _, e := range t.Elems {
		e.digest(h)
	}
	for _, s := range t.Str {
		number(len(s))
		h.Write([]byte(s))
	}
	data := t.Elements()
	switch t.DType {
	case F64:
		data = oneNaN(data, 8, func(b []byte) bool { return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b))) })
	case F32:
		data = oneNaN(data, 4, func(b []byte) bool { return binary.LittleEndian.Uint32(b)&^(1<<31) > 0xff<<23 })
	case F16:
		data = oneNaN(data, 2, func(b []byte) bool { return binary.LittleEndian.Uint16(b)&^(1<<15) > 0x1f<<10 })
	case BF16:
		data = oneNaN(data, 2, func(b []byte) bool { return binary.LittleEndian.Uint16(b)&^(1<<15) > 0xff<<7 })
	}
	h.Write(data)
}

// oneNaN is data with all elements that are not numbers replaced by one of them; it copies only where there are any.
func oneNaN(data []byte, size int, isNaN func([]byte) bool) []byte {
	same := true
	for i := 0; i+size <= len(data); i += size {
		if !isNaN(data[i : i+size]) {
			continue
		}
		if same {
			data, same = slices.Clone(data), false
		}
		for k := range size {
			data[i+k] = 0xff
		}
	}
	return data
}
