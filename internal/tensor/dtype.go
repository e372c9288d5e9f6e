package tensor

import "fmt"

// DType is the type of one tensor element.
type DType uint8

// The element types. Sub-byte types are stored packed, low bits first.
const (
	Invalid DType = iota
	F64
	F32
	F16
	BF16
	I64
	I32
	I16
	I8
	U64
	U32
	U16
	U8
	Bool // one byte, 0 or 1
	I4
	U4
	I2
	U2
	F8E4M3FN
	F8E4M3FNUZ
	F8E5M2
	F8E5M2FNUZ
	F8E8M0
	F4E2M1
	String   // elements in Tensor.Str
	Sequence // elements in Tensor.Elems; a sequence has no shape
	numDTypes
)

type dtypeInfo struct {
	name string
	bits int
}

var dtypes = [numDTypes]dtypeInfo{
	Invalid: {"invalid", 0},
	F64:     {"f64", 64}, F32: {"f32", 32}, F16: {"f16", 16}, BF16: {"bf16", 16},
	I64: {"i64", 64}, I32: {"i32", 32}, I16: {"i16", 16}, I8: {"i8", 8},
	U64: {"u64", 64}, U32: {"u32", 32}, U16: {"u16", 16}, U8: {"u8", 8},
	Bool: {"bool", 8},
	I4:   {"i4", 4}, U4: {"u4", 4}, I2: {"i2", 2}, U2: {"u2", 2},
	F8E4M3FN: {"f8e4m3fn", 8}, F8E4M3FNUZ: {"f8e4m3fnuz", 8},
	F8E5M2: {"f8e5m2", 8}, F8E5M2FNUZ: {"f8e5m2fnuz", 8},
	F8E8M0: {"f8e8m0", 8}, F4E2M1: {"f4e2m1", 4},
	String: {"string", 0}, Sequence: {"sequence", 0},
}

// String returns the short name, as in "f32" or "i8".
func (d DType) String() string {
	if d < numDTypes {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// ParseDType is the inverse of String.
func ParseDType(s string) (DType, error) {
	for d := Invalid + 1; d < numDTypes; d++ {
		if dtypes[d].name == s {
			return d, nil
		}
	}
	return Invalid, fmt.Errorf("unknown element type %q", s)
}

// Bits is the size of one element in bits; 0 for String and Sequence.
func (d DType) Bits() int {
	if d < numDTypes {
		return dtypes[d].bits
	}
	return 0
}

// Valid reports whether d names an element type.
func (d DType) Valid() bool { return d > Invalid && d < numDTypes }

// IsFloat reports whether d is a floating-point type of any width.
func (d DType) IsFloat() bool {
	return d >= F64 && d <= BF16 || d >= F8E4M3FN && d <= F4E2M1
}

// IsInt reports whether d is an integer type of any width (Bool is not).
func (d DType) IsInt() bool { return d >= I64 && d <= U8 || d >= I4 && d <= U2 }

// IsSigned reports whether d is a signed integer type.
func (d DType) IsSigned() bool { return d >= I64 && d <= I8 || d == I4 || d == I2 }

// IntRange returns the smallest and largest value of an integer type of at most 32 bits.
func (d DType) IntRange() (lo, hi int64) {
	b := d.Bits()
	if !d.IsInt() || b > 32 {
		panic("BUG: IntRange of " + d.String())
	}
	if d.IsSigned() {
		return -1 << (b - 1), 1<<(b-1) - 1
	}
	return 0, 1<<b - 1
}
