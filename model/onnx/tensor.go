package onnx

import (
	"fmt"
	"math"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// elemTypes holds the element types by ONNX's number. The complex types 14 and 15 have no counterpart.
var elemTypes = [...]tensor.DType{
	1: tensor.F32, 2: tensor.U8, 3: tensor.I8, 4: tensor.U16, 5: tensor.I16, 6: tensor.I32, 7: tensor.I64, 8: tensor.String,
	9: tensor.Bool, 10: tensor.F16, 11: tensor.F64, 12: tensor.U32, 13: tensor.U64, 16: tensor.BF16,
	17: tensor.F8E4M3FN, 18: tensor.F8E4M3FNUZ, 19: tensor.F8E5M2, 20: tensor.F8E5M2FNUZ,
	21: tensor.U4, 22: tensor.I4, 23: tensor.F4E2M1, 24: tensor.F8E8M0, 25: tensor.U2, 26: tensor.I2,
}

// ElemType translates ONNX's number of an element type, as the attributes "to" and "dtype" hold it.
func ElemType(n int64) (tensor.DType, error) {
	if n > 0 && n < int64(len(elemTypes)) && elemTypes[n] != tensor.Invalid {
		return elemTypes[n], nil
	}
	if n == 14 || n == 15 {
		return tensor.Invalid, fmt.Errorf("%w: complex numbers", ErrUnsupported)
	}
	return tensor.Invalid, fmt.Errorf("%w: element type %d", ErrFormat, n)
}

// ElemNumber is the inverse of ElemType; 0 where ONNX has no such type.
func ElemNumber(d tensor.DType) int64 {
	for n, e := range elemTypes {
		if e == d && e != tensor.Invalid {
			return int64(n)
		}
	}
	return 0
}

// Field numbers of TensorProto.
const (
	tensorDims       = 1
	tensorType       = 2
	tensorSegment    = 3
	tensorFloats     = 4
	tensorInt32s     = 5
	tensorStrings    = 6
	tensorInt64s     = 7
	tensorName       = 8
	tensorRaw        = 9
	tensorDoubles    = 10
	tensorUint64s    = 11
	tensorExternal   = 13
	tensorLocation   = 14
	locationExternal = 1
)

// rawTensor is a TensorProto before its data is looked at.
type rawTensor struct {
	name     string
	dtype    int64
	dims     []int64
	raw      []byte
	hasRaw   bool
	location int64
	external map[string]string
}

// tensor reads a TensorProto.
func (d *decoder) tensor(m msg) (string, *tensor.Tensor, error) {
	var r rawTensor
	err := each(m, func(fd *field) error {
		switch fd.num {
		case tensorDims:
			return d.appendInts(fd, &r.dims)
		case tensorType:
			return fd.int(&r.dtype)
		case tensorName:
			return fd.text(&r.name)
		case tensorRaw:
			r.raw, r.hasRaw = fd.b, true
			return fd.want(protowire.BytesType)
		case tensorLocation:
			return fd.int(&r.location)
		case tensorExternal:
			return fd.message(func(m msg) error { return d.pair(m, &r.external) })
		case tensorSegment:
			return fmt.Errorf("%w: tensor in segments", ErrUnsupported)
		}
		return nil
	})
	if err != nil {
		return r.name, nil, named(r.name, err)
	}
	t, err := d.tensorData(m, &r)
	return r.name, t, named(r.name, err)
}

func named(name string, err error) error {
	if err == nil || name == "" {
		return err
	}
	return fmt.Errorf("tensor %s: %w", brief(name), err)
}

func (d *decoder) tensorData(m msg, r *rawTensor) (*tensor.Tensor, error) {
	dtype, err := ElemType(r.dtype)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", m.off, err)
	}
	shape, n, err := shapeOf(r.dims)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", m.off, err)
	}
	t := &tensor.Tensor{DType: dtype, Shape: shape}
	size := tensor.ByteSize(dtype, n)
	units := n // numbers or strings in the message; those of less than 8 bits share a byte
	if b := dtype.Bits(); b > 0 && b < 8 {
		units = size
	}
	if err := d.charge(256); err != nil {
		return nil, err
	}
	switch {
	case r.location == locationExternal:
		if dtype == tensor.String {
			return nil, m.errorf("strings cannot be external")
		}
		if err := d.chargeTensor(dtype, n); err != nil {
			return nil, err
		}
		if t.Data, err = d.externalData(r.external, size); err != nil {
			return nil, err
		}
	case r.location != 0:
		return nil, m.errorf("data location %d", r.location)
	case r.hasRaw && (len(r.raw) > 0 || n == 0):
		if dtype == tensor.String {
			return nil, m.errorf("strings cannot be raw")
		}
		if len(r.raw) != size {
			return nil, m.errorf("%d raw bytes for %v%v, want %d", len(r.raw), dtype, shape, size)
		}
		if err := d.chargeTensor(dtype, n); err != nil {
			return nil, err
		}
		t.Data = d.view(r.raw, dtype)
	default:
		// Each number takes at least a byte of the message, so what is allocated is in proportion to the file.
		if units > len(m.b) {
			return nil, m.errorf("%v%v has too little data", dtype, shape)
		}
		if err := d.chargeTensor(dtype, n); err != nil {
			return nil, err
		}
		if err := d.typedData(m, t, units); err != nil {
			return nil, err
		}
	}
	if dtype == tensor.Bool {
		normalizeBools(t)
	}
	return t, nil
}

func shapeOf(dims []int64) (tensor.Shape, int, error) {
	if len(dims) > tensor.MaxRank {
		return nil, 0, fmt.Errorf("%w: rank %d", ErrLimit, len(dims))
	}
	s := make(tensor.Shape, len(dims))
	for i, d := range dims {
		if d < 0 {
			return nil, 0, fmt.Errorf("%w: dimension %d", ErrFormat, d)
		}
		if d > math.MaxInt/16 {
			return nil, 0, fmt.Errorf("%w: dimension %d: %w", ErrLimit, d, tensor.ErrTooLarge)
		}
		s[i] = int(d)
	}
	n, err := s.Size()
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrLimit, err)
	}
	return s, n, nil
}

// view returns b itself where elements of type d may be read in place, else a copy. Of a mapped file only what is worth it stays there.
func (d *decoder) view(b []byte, t tensor.DType) []byte {
	if len(b) == 0 {
		return []byte{}
	}
	large := len(b) >= tensor.LargeView
	if size := uintptr(max(1, t.Bits()/8)); (large || !d.mapped) && (uintptr(unsafe.Pointer(&b[0]))%size == 0 || large && tensor.AnyAddress) && !(d.mapped && t == tensor.Bool) {
		return b[:len(b):len(b)]
	}
	c := tensor.AlignedBytes(len(b))
	copy(c, b)
	return c
}

// normalizeBools makes every element 0 or 1, which Go relies on. It never writes to the file's bytes.
func normalizeBools(t *tensor.Tensor) {
	for _, b := range t.Data {
		if b > 1 {
			c := tensor.AlignedBytes(len(t.Data))
			for i, b := range t.Data {
				if b != 0 {
					c[i] = 1
				}
			}
			t.Data = c
			return
		}
	}
}

// typedData reads units numbers from the field that belongs to t's type.
func (d *decoder) typedData(m msg, t *tensor.Tensor, units int) error {
	if t.DType == tensor.String {
		return d.strings(m, t, units)
	}
	var num protowire.Number
	wire := protowire.VarintType
	var set func(i int, u uint64) error
	data := tensor.AlignedBytes(units * max(1, t.DType.Bits()/8))
	t.Data = data
	switch t.DType {
	case tensor.F32:
		v := tensor.Of[float32](t)
		num, wire = tensorFloats, protowire.Fixed32Type
		set = func(i int, u uint64) error { v[i] = math.Float32frombits(uint32(u)); return nil }
	case tensor.F64:
		v := tensor.Of[float64](t)
		num, wire = tensorDoubles, protowire.Fixed64Type
		set = func(i int, u uint64) error { v[i] = math.Float64frombits(u); return nil }
	case tensor.I64:
		v := tensor.Of[int64](t)
		num = tensorInt64s
		set = func(i int, u uint64) error { v[i] = int64(u); return nil }
	case tensor.U64:
		v := tensor.Of[uint64](t)
		num = tensorUint64s
		set = func(i int, u uint64) error { v[i] = u; return nil }
	case tensor.U32:
		v := tensor.Of[uint32](t)
		num = tensorUint64s
		set = func(i int, u uint64) error { v[i] = uint32(u); return fits(u, 0, math.MaxUint32) }
	case tensor.I32:
		v := tensor.Of[int32](t)
		num = tensorInt32s
		set = func(i int, u uint64) error { v[i] = int32(u); return fits(u, math.MinInt32, math.MaxInt32) }
	case tensor.I16, tensor.U16, tensor.F16, tensor.BF16:
		v := tensor.Of[uint16](&tensor.Tensor{DType: tensor.U16, Data: data})
		num = tensorInt32s
		set = func(i int, u uint64) error { v[i] = uint16(u); return fits(u, math.MinInt16, math.MaxUint16) }
	default: // one byte, or two or four elements in one
		num = tensorInt32s
		set = func(i int, u uint64) error { data[i] = byte(u); return fits(u, math.MinInt8, math.MaxUint8) }
	}
	i := 0
	err := each(m, func(fd *field) error {
		if fd.num != num {
			return nil
		}
		return fd.numbers(wire, func(u uint64) error {
			if i >= units {
				return fd.errorf("more than %d numbers for %v", units, t)
			}
			if err := set(i, u); err != nil {
				return fd.errorf("element %d of %v: %w", i, t, err)
			}
			i++
			return nil
		})
	})
	if err == nil && i != units {
		err = m.errorf("%d numbers for %v, want %d", i, t, units)
	}
	return err
}

func fits(u uint64, lo, hi int64) error {
	if v := int64(u); v < lo || v > hi {
		return fmt.Errorf("value %d out of range", v)
	}
	return nil
}

func (d *decoder) strings(m msg, t *tensor.Tensor, n int) error {
	t.Str = make([]string, 0, n)
	err := each(m, func(fd *field) error {
		if fd.num != tensorStrings {
			return nil
		}
		if len(t.Str) == n {
			return fd.errorf("more than %d strings", n)
		}
		var s string
		err := fd.text(&s)
		t.Str = append(t.Str, s)
		return err
	})
	if err == nil && len(t.Str) != n {
		err = m.errorf("%d strings for %v", len(t.Str), t)
	}
	return err
}

// localPath reports whether p names something below the model's folder without going up.
func localPath(p string) bool {
	if p == "" || path.IsAbs(p) || !filepath.IsLocal(p) || strings.ContainsAny(p, "\\\x00") {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return false
		}
	}
	return true
}

func (d *decoder) externalData(entries map[string]string, size int) ([]byte, error) {
	number := func(key string, def int64) (int64, error) {
		s, ok := entries[key]
		if !ok {
			return def, nil
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("%w: external data: %s is %q", ErrFormat, key, s)
		}
		return v, nil
	}
	off, err := number("offset", 0)
	if err != nil {
		return nil, err
	}
	length, err := number("length", -1)
	if err != nil {
		return nil, err
	}
	return d.external(entries["location"], off, length, size)
}

// pair reads a StringStringEntryProto into a map.
func (d *decoder) pair(m msg, dst *map[string]string) error {
	var k, v string
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.text(&k)
		case 2:
			return fd.text(&v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if *dst == nil {
		*dst = map[string]string{}
	}
	(*dst)[k] = v
	return d.charge(128)
}

// sparse reads a SparseTensorProto as a dense tensor.
func (d *decoder) sparse(m msg) (string, *tensor.Tensor, error) {
	var values, indices *tensor.Tensor
	var name string
	var dims []int64
	err := each(m, func(fd *field) error {
		switch fd.num {
		case 1:
			return fd.message(func(m msg) (err error) { name, values, err = d.tensor(m); return err })
		case 2:
			return fd.message(func(m msg) (err error) { _, indices, err = d.tensor(m); return err })
		case 3:
			return d.appendInts(fd, &dims)
		}
		return nil
	})
	if err != nil {
		return name, nil, named(name, err)
	}
	t, err := d.dense(m, values, indices, dims)
	return name, t, named(name, err)
}

func (d *decoder) dense(m msg, values, indices *tensor.Tensor, dims []int64) (*tensor.Tensor, error) {
	shape, n, err := shapeOf(dims)
	if err != nil {
		return nil, err
	}
	if values == nil || len(values.Shape) != 1 || len(shape) == 0 {
		return nil, m.errorf("sparse tensor of shape %v without a list of values", shape)
	}
	if values.DType.Bits() < 8 {
		return nil, fmt.Errorf("%w: sparse tensor of type %v", ErrUnsupported, values.DType)
	}
	nnz, rank := values.Len(), len(shape)
	if indices == nil {
		indices = tensor.New(tensor.I64, tensor.Shape{0})
	}
	linear := len(indices.Shape) == 1 && indices.Shape[0] == nnz
	if indices.DType != tensor.I64 || !linear && !indices.Shape.Equal(tensor.Shape{nnz, rank}) {
		return nil, m.errorf("sparse tensor %v with %d values has indices %v", shape, nnz, indices)
	}
	if err := d.chargeTensor(values.DType, n); err != nil {
		return nil, err
	}
	t := tensor.New(values.DType, shape)
	size := values.DType.Bits() / 8
	idx := tensor.Of[int64](indices)
	for i := range nnz {
		pos := int64(0)
		if linear {
			pos = idx[i]
		} else {
			for k, dim := range shape {
				j := idx[i*rank+k]
				if j < 0 || j >= int64(dim) {
					return nil, m.errorf("sparse tensor %v: index %d out of range", shape, j)
				}
				pos = pos*int64(dim) + j
			}
		}
		if pos < 0 || pos >= int64(n) {
			return nil, m.errorf("sparse tensor %v: index %d out of range", shape, pos)
		}
		copy(t.Data[int(pos)*size:], values.Data[i*size:(i+1)*size])
	}
	return t, nil
}
