// Package num names the numerics: the arithmetic that a layer promises, whatever machine runs it.
package num

import "fmt"

// Numerics is part of a model, never a choice of the machine. See docs/numerics.md for each one's definition.
type Numerics uint8

// The numerics.
const (
	Default Numerics = iota // a node that does not say: fp32 for floats, int8 for quantised values
	FP32                    // one FMA chain per output in k order
	FP32W                   // Winograd and split sums allowed
	FP16                    // weights stored as FP16; products and sums in FP32
	FP16B32                 // products summed in FP16 in blocks of at most 32, flushed to FP32
	BF16                    // operands rounded to BF16; products and sums in FP32
	Int8                    // INT32 accumulation, exact
	Int4W                   // weights of 4 bits, widened; sums in FP32
	count
)

var names = [count]string{"default", "fp32", "fp32w", "fp16", "fp16b32", "bf16", "int8", "int4w"}

// String returns the name as it is written in models and on the command line.
func (n Numerics) String() string {
	if n < count {
		return names[n]
	}
	return fmt.Sprintf("numerics(%d)", uint8(n))
}

// Parse is the inverse of String.
func Parse(s string) (Numerics, error) {
	for i, n := range names {
		if n == s {
			return Numerics(i), nil
		}
	}
	return 0, fmt.Errorf("unknown numerics %q", s)
}
