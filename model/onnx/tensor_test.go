package onnx

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgerun/edgerun/internal/tensor"
)

// typed makes a TensorProto with one data field.
func typed(d tensor.DType, field pb, dims ...int) pb {
	return cat(dimsOf(dims), integerField(tensorType, ElemNumber(d)), field)
}

func fixed32(vals ...float32) pb {
	var b pb
	for _, v := range vals {
		b = protowire.AppendFixed32(b, math.Float32bits(v))
	}
	return b
}

func TestTensorEncodings(t *testing.T) {
	u16 := func(v ...uint16) []byte { return tensor.Bytes(v) }
	for _, c := range []struct {
		name string
		msg  pb
		want *tensor.Tensor
	}{
		{"f32 packed", typed(tensor.F32, bytesField(tensorFloats, fixed32(1, -2)), 2), tensor.From([]float32{1, -2})},
		{"f32 unpacked", typed(tensor.F32, cat(floatField(tensorFloats, 1), floatField(tensorFloats, -2)), 2), tensor.From([]float32{1, -2})},
		{"f32 in pieces", typed(tensor.F32, cat(bytesField(tensorFloats, fixed32(1)), floatField(tensorFloats, 2)), 1, 2), tensor.From([]float32{1, 2}, 1, 2)},
		{"f32 scalar", typed(tensor.F32, floatField(tensorFloats, 7)), tensor.Scalar(float32(7))},
		{"f64", typed(tensor.F64, bytesField(tensorDoubles, binary.LittleEndian.AppendUint64(nil, math.Float64bits(.5))), 1), tensor.From([]float64{.5})},
		{"i64 packed", typed(tensor.I64, packed(tensorInt64s, -1, 1<<40), 2), tensor.From([]int64{-1, 1 << 40})},
		{"i64 unpacked", typed(tensor.I64, unpacked(tensorInt64s, -1, 5), 2), tensor.From([]int64{-1, 5})},
		{"u64", typed(tensor.U64, packed(tensorUint64s, -1), 1), tensor.From([]uint64{math.MaxUint64})},
		{"u32", typed(tensor.U32, packed(tensorUint64s, math.MaxUint32), 1), tensor.From([]uint32{math.MaxUint32})},
		{"i32", typed(tensor.I32, packed(tensorInt32s, -5, 6), 2), tensor.From([]int32{-5, 6})},
		{"i16", typed(tensor.I16, packed(tensorInt32s, -5, 6), 2), tensor.From([]int16{-5, 6})},
		{"u16", typed(tensor.U16, packed(tensorInt32s, 65535), 1), tensor.From([]uint16{65535})},
		{"i8", typed(tensor.I8, packed(tensorInt32s, -128, 127), 2), tensor.From([]int8{-128, 127})},
		{"u8", typed(tensor.U8, packed(tensorInt32s, 255), 1), tensor.From([]uint8{255})},
		{"bool", typed(tensor.Bool, packed(tensorInt32s, 1, 0), 2), tensor.From([]bool{true, false})},
		{"bool, raw and untidy", typed(tensor.Bool, bytesField(tensorRaw, []byte{2, 0, 255}), 3), tensor.From([]bool{true, false, true})},
		{"f16", typed(tensor.F16, packed(tensorInt32s, 0x3c00, 0xfc00), 2), &tensor.Tensor{DType: tensor.F16, Shape: tensor.Shape{2}, Data: u16(0x3c00, 0xfc00)}},
		{"bf16", typed(tensor.BF16, packed(tensorInt32s, 0x3f80), 1), &tensor.Tensor{DType: tensor.BF16, Shape: tensor.Shape{1}, Data: u16(0x3f80)}},
		{"f8", typed(tensor.F8E5M2, packed(tensorInt32s, 0x3c, 0x80), 2), &tensor.Tensor{DType: tensor.F8E5M2, Shape: tensor.Shape{2}, Data: []byte{0x3c, 0x80}}},
		{"f4, two in one", typed(tensor.F4E2M1, packed(tensorInt32s, 0x21, 0x03), 3), &tensor.Tensor{DType: tensor.F4E2M1, Shape: tensor.Shape{3}, Data: []byte{0x21, 0x03}}},
		{"i4 raw", typed(tensor.I4, bytesField(tensorRaw, []byte{0xf1, 0x02}), 3), &tensor.Tensor{DType: tensor.I4, Shape: tensor.Shape{3}, Data: []byte{0xf1, 0x02}}},
		{"u4", typed(tensor.U4, packed(tensorInt32s, 0xfe), 2), &tensor.Tensor{DType: tensor.U4, Shape: tensor.Shape{2}, Data: []byte{0xfe}}},
		{"u2, four in one", typed(tensor.U2, packed(tensorInt32s, 0xe4, 1), 5), &tensor.Tensor{DType: tensor.U2, Shape: tensor.Shape{5}, Data: []byte{0xe4, 1}}},
		{"i2 raw", typed(tensor.I2, bytesField(tensorRaw, []byte{0xe4}), 4), &tensor.Tensor{DType: tensor.I2, Shape: tensor.Shape{4}, Data: []byte{0xe4}}},
		{"strings", typed(tensor.String, cat(text(tensorStrings, "a"), text(tensorStrings, "")), 2), tensor.FromStrings([]string{"a", ""})},
		{"empty", typed(tensor.F32, nil, 0, 3), tensor.New(tensor.F32, tensor.Shape{0, 3})},
		{"empty raw", typed(tensor.I64, bytesField(tensorRaw, nil), 0), tensor.New(tensor.I64, tensor.Shape{0})},
		{"raw f32", typed(tensor.F32, bytesField(tensorRaw, fixed32(3, 4)), 2), tensor.From([]float32{3, 4})},
	} {
		t.Run(c.name, func(t *testing.T) {
			for shift := range 8 { // the message may lie at any address
				buf := append(make([]byte, shift, shift+len(c.msg)), c.msg...)
				name, got, err := ReadValue(buf[shift:], KindTensor, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if name != "" || got.DType != c.want.DType || !got.Shape.Equal(c.want.Shape) || string(got.Data) != string(c.want.Data) || strings.Join(got.Str, ",") != strings.Join(c.want.Str, ",") {
					t.Fatalf("got %v %x %q, want %v %x %q", got, got.Data, got.Str, c.want, c.want.Data, c.want.Str)
				}
				if size := max(1, got.DType.Bits()/8); len(got.Data) > 0 && uintptr(unsafe.Pointer(&got.Data[0]))%uintptr(size) != 0 {
					t.Fatalf("data of %v is not aligned", got)
				}
			}
		})
	}
}

func TestRawDataIsNotCopied(t *testing.T) {
	data := typed(tensor.U8, bytesField(tensorRaw, []byte{1, 2, 3}), 3)
	_, got, err := ReadValue(data, KindTensor, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if &got.Data[0] != &data[len(data)-3] {
		t.Error("raw bytes were copied")
	}
}

func TestTensorErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		msg  pb
		is   error
		want string
	}{
		{"no type", cat(dimsOf([]int{1}), floatField(tensorFloats, 1)), ErrFormat, "element type 0"},
		{"unknown type", integerField(tensorType, 99), ErrFormat, "element type 99"},
		{"complex", integerField(tensorType, 14), ErrUnsupported, "complex"},
		{"negative dimension", typed(tensor.F32, nil, -1), ErrFormat, "dimension -1"},
		{"huge", typed(tensor.F32, nil, 1<<30, 1<<30, 1<<30), ErrLimit, "too large"},
		{"huge dimension", typed(tensor.F32, nil, math.MaxInt), ErrLimit, "too large"},
		{"rank 17", typed(tensor.F32, nil, make([]int, 17)...), ErrLimit, "rank 17"},
		{"little data", typed(tensor.F32, floatField(tensorFloats, 1), 1<<20), ErrFormat, "too little data"},
		{"one short", typed(tensor.F32, floatField(tensorFloats, 1), 2), ErrFormat, "1 numbers for f32[2], want 2"},
		{"one more", typed(tensor.I64, packed(tensorInt64s, 1, 2), 1), ErrFormat, "more than 1 numbers"},
		{"wrong field", typed(tensor.I64, packed(tensorInt32s, 1), 1), ErrFormat, "0 numbers for i64[1]"},
		{"raw size", typed(tensor.F32, bytesField(tensorRaw, make([]byte, 7)), 2), ErrFormat, "7 raw bytes for f32[2], want 8"},
		{"raw strings", typed(tensor.String, bytesField(tensorRaw, []byte("x")), 1), ErrFormat, "strings cannot be raw"},
		{"out of range", typed(tensor.I8, packed(tensorInt32s, 300), 1), ErrFormat, "value 300 out of range"},
		{"few strings", typed(tensor.String, text(tensorStrings, "a"), 2), ErrFormat, "1 strings for string[2]"},
		{"segment", typed(tensor.F32, bytesField(tensorSegment, nil), 0), ErrUnsupported, "segments"},
		{"wire type", typed(tensor.F32, text(tensorType, "x"), 1), ErrFormat, "wire type 2, want 0"},
		{"truncated", typed(tensor.F32, []byte{byte(tensorFloats<<3 | 2), 9, 1}, 1), ErrFormat, "byte 4: malformed onnx: field 4"},
		{"broken varint", typed(tensor.I64, bytesField(tensorInt64s, []byte{0x80}), 1), ErrFormat, "field 7"},
		{"external without a folder", typed(tensor.F32, integerField(tensorLocation, 1), 1), ErrUnsupported, "without its folder"},
		{"location", typed(tensor.F32, integerField(tensorLocation, 5), 1), ErrFormat, "data location 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ReadValue(cat(c.msg, text(tensorName, "w")), KindTensor, Options{})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestMaxTensorBytesIsForAllTensorsTogether(t *testing.T) {
	two := modelOf(18, graphOf(initializer("a", tensor.New(tensor.F32, tensor.Shape{100})), initializer("b", tensor.New(tensor.F32, tensor.Shape{100}))))
	if _, err := Import(two, Options{MaxTensorBytes: 800}); err != nil {
		t.Error(err)
	}
	_, err := Import(two, Options{MaxTensorBytes: 799})
	if !errors.Is(err, ErrLimit) || !errors.Is(err, tensor.ErrTooLarge) || !strings.Contains(err.Error(), "tensor b") {
		t.Errorf("got %v", err)
	}
}

func TestSparseTensors(t *testing.T) {
	sparse := func(values, indices *tensor.Tensor, dims ...int64) pb {
		return cat(bytesField(1, tensorMessage("w", values)), bytesField(2, tensorMessage("", indices)), unpacked(3, dims...))
	}
	values := tensor.From([]float32{5, 6})
	for _, c := range []struct {
		name string
		msg  pb
		want []float32
		err  string
	}{
		{"linear", sparse(values, tensor.From([]int64{1, 5}), 2, 3), []float32{0, 5, 0, 0, 0, 6}, ""},
		{"coordinates", sparse(values, tensor.From([]int64{0, 1, 1, 2}, 2, 2), 2, 3), []float32{0, 5, 0, 0, 0, 6}, ""},
		{"out of range", sparse(values, tensor.From([]int64{0, 6}), 2, 3), nil, "index 6 out of range"},
		{"coordinate out of range", sparse(values, tensor.From([]int64{0, 1, 0, 3}, 2, 2), 2, 3), nil, "index 3 out of range"},
		{"wrong indices", sparse(values, tensor.From([]int64{0}), 2, 3), nil, "has indices i64[1]"},
		{"bomb", sparse(values, tensor.From([]int64{0, 1}), 1<<13, 1<<13), nil, "permitted memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := Import(modelOf(18, graphOf(bytesField(15, c.msg), untyped("w"))), Options{MaxTensorBytes: 1 << 20})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "initializer: tensor w: ") {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w := g.Outputs[0].Const
			if !w.Shape.Equal(tensor.Shape{2, 3}) || string(w.Data) != string(tensor.Bytes(c.want)) {
				t.Errorf("got %v %v", w, tensor.Of[float32](w))
			}
		})
	}
}

func TestReadSequencesAndOptionals(t *testing.T) {
	one := tensorMessage("", tensor.From([]float32{1}))
	for _, c := range []struct {
		name string
		kind Kind
		msg  pb
		want int
	}{
		{"sequence", KindSequence, cat(text(1, "s"), integerField(2, 1), bytesField(3, one), bytesField(3, one)), 2},
		{"sequence of sequences", KindSequence, bytesField(5, bytesField(3, one)), 1},
		{"some", KindOptional, cat(text(1, "o"), integerField(2, 1), bytesField(3, one)), 1},
		{"none", KindOptional, nil, 0},
	} {
		_, v, err := ReadValue(c.msg, c.kind, Options{})
		if err != nil || v.DType != tensor.Sequence || len(v.Elems) != c.want {
			t.Errorf("%s: got %v, %v", c.name, v, err)
		}
	}
	if _, _, err := ReadValue(cat(bytesField(3, one), bytesField(3, one)), KindOptional, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("optional of two: %v", err)
	}
	deep := pb{}
	for range 20 {
		deep = bytesField(5, deep)
	}
	if _, _, err := ReadValue(deep, KindSequence, Options{}); !errors.Is(err, ErrLimit) {
		t.Errorf("deep sequence: %v", err)
	}
}

func TestElemNumbers(t *testing.T) {
	for n := int64(-1); n < 40; n++ {
		if d, err := ElemType(n); err == nil && ElemNumber(d) != n {
			t.Errorf("%d is %v, which is %d", n, d, ElemNumber(d))
		}
	}
	if ElemNumber(tensor.Sequence) != 0 || ElemNumber(tensor.Invalid) != 0 {
		t.Error("a number for a type that ONNX has not")
	}
}

// FuzzReadValue: whatever the bytes, ReadValue returns a value whose data fit its shape or an error that says of what
// kind it is.
func FuzzReadValue(f *testing.F) {
	one := tensorMessage("w", tensor.From([]float32{1, 2}))
	f.Add(one, uint8(KindTensor))
	f.Add(typed(tensor.U2, packed(tensorInt32s, 0xe4, 1), 5), uint8(KindTensor))
	f.Add(typed(tensor.String, text(tensorStrings, "a"), 1), uint8(KindTensor))
	f.Add(bytesField(3, one), uint8(KindSequence))
	f.Add(bytesField(7, bytesField(3, one)), uint8(KindOptional))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		_, v, err := ReadValue(data, Kind(kind%4), Options{MaxTensorBytes: 1 << 20})
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if v.DType.Bits() > 0 && len(v.Data) != tensor.ByteSize(v.DType, v.Len()) {
			t.Fatalf("%d bytes for %v", len(v.Data), v)
		}
	})
}
