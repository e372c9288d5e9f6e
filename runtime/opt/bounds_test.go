package opt_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
)

// Bounds that move into the operator before them change no bit: both zeros, NaN and infinities are what they were.
func TestBoundsAreExact(t *testing.T) {
	before := []string{
		"MaxPool(x) {kernel_shape=[1,1]}", "AveragePool(x) {kernel_shape=[1,1]}", "Conv(x, f32[1,1,1,1]{1})",
		"ConvTranspose(x, f32[1,1,1,1]{1})", "MatMul(x, f32[1,1]{1})", "Gemm(f, f32[1,2]{1, -1})",
		"Add(x, f32[1]{-0})", "Sub(x, f32[1]{0})", "Mul(x, f32[1]{1})", "Div(x, f32[1]{-1})",
	}
	bounds := []string{
		"Relu(_)", "Relu6(_)", "Clip(_, f32[]{0}, f32[]{6})", "Clip(_, f32[]{-0}, f32[]{6})", "Clip(_, f32[]{-1}, f32[]{0})",
		"Clip(_, f32[]{-1}, f32[]{-0})", "Clip(_, f32[]{0}, f32[]{-0})", "Clip(_, _none, f32[]{-1})", "Clip(_, f32[]{7})", "Clip(_, f32[]{2}, f32[]{1})",
	}
	zero, inf := float32(math.Copysign(0, -1)), float32(math.Inf(1))
	data := []float32{0, zero, 1, -1, 6, -6, 1e-45, -1e-45, inf, -inf, float32(math.NaN()), 7}
	x, f := tensor.From(data, 1, 1, len(data), 1), tensor.From(data, len(data), 1)
	for _, op := range before {
		for _, first := range bounds {
			for _, second := range append(bounds, "") {
				in, from := "x: f32[1,1,12,1]", x
				if strings.Contains(op, "(f,") {
					in, from = "f: f32[12,1]", f
				}
				line := func(name, bound, of string) string {
					bound = strings.Replace(strings.Replace(bound, "_none", "_", 1), "(_", "("+of, 1)
					return fmt.Sprintf("  %s = %s\n", name, bound)
				}
				text := fmt.Sprintf("graph main(%s) -> (y) {\n  a = %s\n", in, op)
				if second == "" {
					text += line("y", first, "a")
				} else {
					text += line("b", first, "a") + line("y", second, "b")
				}
				checkPasses(t, parse(t, text+"}"), []*tensor.Tensor{from}, 0)
			}
		}
	}
}
