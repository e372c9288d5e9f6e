package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/edgerun/edgerun/internal/half"
	"github.com/edgerun/edgerun/internal/tensor"
)

// decimal reports whether printed numbers give back the very bytes.
func decimal(t *Tensor) bool {
	switch t.DType {
	case tensor.F64:
		return all(tensor.Of[float64](t), func(f float64) bool { return f == f })
	case tensor.F32:
		return all(tensor.Of[float32](t), func(f float32) bool { return f == f })
	case tensor.F16:
		return all(tensor.Of[uint16](t), func(h uint16) bool { return h&0x7fff <= 0x7c00 })
	case tensor.BF16:
		return all(tensor.Of[uint16](t), func(h uint16) bool { return h&0x7fff <= 0x7f80 })
	case tensor.Bool:
		return all(t.Data, func(b byte) bool { return b <= 1 })
	case tensor.I4, tensor.U4, tensor.I2, tensor.U2:
		used := t.Len() * t.DType.Bits() % 8
		return used == 0 || len(t.Data) == 0 || t.Data[len(t.Data)-1]>>used == 0
	}
	return t.DType.IsInt() || t.DType == tensor.String
}

func all[T any](list []T, ok func(T) bool) bool {
	for _, x := range list {
		if !ok(x) {
			return false
		}
	}
	return true
}

func uniform(t *Tensor, n int) bool {
	if t.DType == tensor.String {
		return all(t.Str, func(s string) bool { return s == t.Str[0] })
	}
	if bits := t.DType.Bits(); bits < 8 {
		first := packed(t, 0)
		for i := range n {
			if packed(t, i) != first {
				return false
			}
		}
		return true
	}
	size := len(t.Data) / n
	for i := size; i < len(t.Data); i += size {
		if string(t.Data[i:i+size]) != string(t.Data[:size]) {
			return false
		}
	}
	return true
}

// packed reads element i of a type of less than 8 bits, without its sign.
func packed(t *Tensor, i int) uint8 {
	b := t.DType.Bits()
	per := 8 / b
	return t.Data[i/per] >> (i % per * b) & (1<<b - 1)
}

func element(t *Tensor, i int) string {
	switch t.DType {
	case tensor.F64:
		return float(tensor.Of[float64](t)[i], 64)
	case tensor.F32:
		return float(float64(tensor.Of[float32](t)[i]), 32)
	case tensor.F16:
		return float(float64(half.FromF16(tensor.Of[uint16](t)[i])), 32)
	case tensor.BF16:
		return float(float64(half.FromBF16(tensor.Of[uint16](t)[i])), 32)
	case tensor.I64:
		return strconv.FormatInt(tensor.Of[int64](t)[i], 10)
	case tensor.I32:
		return strconv.FormatInt(int64(tensor.Of[int32](t)[i]), 10)
	case tensor.I16:
		return strconv.FormatInt(int64(tensor.Of[int16](t)[i]), 10)
	case tensor.I8:
		return strconv.FormatInt(int64(tensor.Of[int8](t)[i]), 10)
	case tensor.U64:
		return strconv.FormatUint(tensor.Of[uint64](t)[i], 10)
	case tensor.U32:
		return strconv.FormatUint(uint64(tensor.Of[uint32](t)[i]), 10)
	case tensor.U16:
		return strconv.FormatUint(uint64(tensor.Of[uint16](t)[i]), 10)
	case tensor.U8:
		return strconv.Itoa(int(t.Data[i]))
	case tensor.Bool:
		return strconv.FormatBool(t.Data[i] != 0)
	case tensor.U4, tensor.U2:
		return strconv.Itoa(int(packed(t, i)))
	case tensor.I4, tensor.I2:
		shift := 8 - t.DType.Bits()
		return strconv.Itoa(int(int8(packed(t, i)<<shift) >> shift))
	case tensor.String:
		return strconv.Quote(t.Str[i])
	}
	panic("BUG: elements of type " + t.DType.String() + " have no numbers")
}

// digest is the beginning of the hash of the elements.
func digest(t *Tensor) string {
	h := sha256.New()
	h.Write(t.Data)
	for _, s := range t.Str {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// elements collects what a constant holds: types of less than 8 bits one element per byte.
type elements struct {
	dtype DType
	n     int
	data  []byte
	str   []string
}

func (e *elements) add(s string) error {
	e.n++
	bits := e.dtype.Bits()
	var err error
	var f float64
	var i int64
	var u uint64
	switch d := e.dtype; {
	case d == tensor.String:
		e.str = append(e.str, s)
	case d == tensor.F64:
		f, err = strconv.ParseFloat(s, 64)
		e.data = append(e.data, tensor.Bytes([]float64{f})...)
	case d == tensor.F32 || d == tensor.F16 || d == tensor.BF16:
		f, err = strconv.ParseFloat(s, 32)
		switch d {
		case tensor.F32:
			e.data = append(e.data, tensor.Bytes([]float32{float32(f)})...)
		case tensor.F16:
			e.data = append(e.data, tensor.Bytes([]uint16{half.F16(float32(f))})...)
		default:
			e.data = append(e.data, tensor.Bytes([]uint16{half.BF16(float32(f))})...)
		}
	case d == tensor.Bool:
		switch s {
		case "true", "1":
			e.data = append(e.data, 1)
		case "false", "0":
			e.data = append(e.data, 0)
		default:
			err = strconv.ErrSyntax
		}
	case d.IsSigned():
		i, err = strconv.ParseInt(s, 10, bits)
		u = uint64(i)
	case d.IsInt():
		u, err = strconv.ParseUint(s, 10, bits)
	default:
		return fmt.Errorf("elements of type %v are given as bytes", d)
	}
	if e.dtype.IsInt() {
		e.data = append(e.data, tensor.Bytes([]uint64{u})[:max(1, bits/8)]...)
	}
	if err != nil {
		return fmt.Errorf("%q is no %v", s, e.dtype)
	}
	return nil
}

// fill repeats the last element up to n.
func (e *elements) fill(n int) {
	if e.dtype == tensor.String {
		for len(e.str) < n {
			e.str = append(e.str, e.str[e.n-1])
		}
	} else {
		size := len(e.data) / e.n
		last := e.data[len(e.data)-size:]
		all := make([]byte, n*size)
		for i := copy(all, e.data); i < len(all); i += size {
			copy(all[i:], last)
		}
		e.data = all
	}
	e.n = n
}

func (e *elements) store(t *Tensor) {
	if t.DType == tensor.String {
		t.Str = e.str
		return
	}
	bits := t.DType.Bits()
	t.Data = tensor.AlignedBytes(tensor.ByteSize(t.DType, e.n))
	if bits >= 8 {
		copy(t.Data, e.data)
		return
	}
	per := 8 / bits
	for i, b := range e.data {
		t.Data[i/per] |= b & (1<<bits - 1) << (i % per * bits)
	}
}

// float is the shortest decimal that gives back f.
func float(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}
